"""Pooling over windows that follow the data: adaptive maxima, RoI pooling (Girshick 2015), RoI align (He et al. 2017).

Boxes are rows (image, x1, y1, x2, y2). All three are separable: first along the width, then along the height.
"""

from __future__ import annotations

import math

from deepcore.backends.base.array import accumulator

CHUNK = 2**22
"""Boxes are taken a few at a time, so that the pixels copied for them stay below this number of elements."""


class Roi:
    """Adaptive and region-of-interest pooling; a mixin of Backend."""

    def adaptive_max_pool2d(self, x, output_size):
        """Return (maxima, their places h * W + w, int64), each (N, C, OH, OW), of x (N, C, H, W).

        Window i spans floor(i * H / OH) .. ceil((i + 1) * H / OH). The first of equal maxima or of several NaN wins.
        """
        w = x.shape[3]
        best, col = self._adaptive_max_of_rows(x, output_size[1])  # (N, C, H, OW)
        y, row = self._adaptive_max_of_rows(best.swapaxes(2, 3), output_size[0])  # (N, C, OW, OH)
        col = self.xp.take_along_axis(col.swapaxes(2, 3), row, axis=3)
        return self.contiguous(y.swapaxes(2, 3)), self.contiguous((row * w + col).swapaxes(2, 3))

    def _adaptive_max_of_rows(self, x, bins):
        """Return (maxima, places) of the last axis in `bins` windows."""
        xp, size = self.xp, x.shape[3]
        window = xp.arange(bins).reshape(bins, 1)
        first = window * size // bins
        last = ((window + 1) * size + bins - 1) // bins - 1
        widest = max(((i + 1) * size + bins - 1) // bins - i * size // bins for i in range(bins))
        places = xp.minimum(first + xp.arange(widest), last)  # a shorter window repeats its last pixel
        values = x[..., places]
        found = xp.expand_dims(xp.argmax(values, axis=4), 4)
        best = xp.take_along_axis(values, found, axis=4)[..., 0]
        return best, first.reshape(bins) + found[..., 0]

    def add_at_places(self, values, places, shape):
        """Return zeros(shape) with each value added at its place in the flattened result; a negative place is none."""
        nowhere = places < 0
        values = self.xp.where(nowhere, 0, values)
        return self.index_add((math.prod(shape),), values.dtype, self.xp.where(nowhere, 0, places), values).reshape(
            shape
        )

    def roi_pool(self, x, boxes, output_size, spatial_scale):
        """Return (maxima, their places in x flattened), each (K, C, OH, OW), of x (N, C, H, W) in boxes (K, 5).

        Corners are rounded to pixels, both corners included; bin i of a box of h pixels spans floor(i * h / OH) ..
        ceil((i + 1) * h / OH), cut at the image. An empty bin gives 0 and place -1, an image outside 0..N-1 NaN.
        """
        xp = self.xp
        n, c, h, w = x.shape
        k, (out_h, out_w) = boxes.shape[0], output_size
        image, known = self._roi_images(boxes, n)
        edges = self._roi_round(boxes[:, 1:].astype(accumulator(x.dtype)) * spatial_scale)
        lefts, rights = self._roi_pixel_bins(edges[:, 0], edges[:, 2], out_w, w)
        tops, bottoms = self._roi_pixel_bins(edges[:, 1], edges[:, 3], out_h, h)
        y, places = xp.zeros((k, c, out_h, out_w), dtype=x.dtype), xp.full((k, c, out_h, out_w), -1, dtype="int64")
        for some in self._roi_chunks(k, c * h * w if n else 0):
            best, col = self._roi_bin_max(x[image[some]], lefts[some], rights[some])  # (K, C, H, OW)
            top, row = self._roi_bin_max(best.swapaxes(2, 3), tops[some], bottoms[some])  # (K, C, OW, OH)
            col = xp.take_along_axis(col.swapaxes(2, 3), row, axis=3)
            plane = image[some].reshape(-1, 1, 1, 1) * c + xp.arange(c).reshape(1, c, 1, 1)
            full = (tops < bottoms)[some].reshape(-1, 1, out_h, 1) & (lefts < rights)[some].reshape(-1, 1, 1, out_w)
            y[some] = xp.where(full, top.swapaxes(2, 3), 0)
            places[some] = xp.where(full, (plane * h + row.swapaxes(2, 3)) * w + col.swapaxes(2, 3), -1)
        known = known.reshape(k, 1, 1, 1)
        return xp.where(known, y, math.nan).astype(x.dtype, copy=False), xp.where(known, places, -1)

    def _roi_round(self, x):
        """Return x rounded to int64, halves away from zero as in C."""
        size = self.xp.abs(x)
        whole = self.xp.floor(size)
        return (self.xp.sign(x) * (whole + (size - whole >= 0.5))).astype("int64")

    def _roi_pixel_bins(self, first, last, bins, size):
        """Return (starts, stops), each (K, bins), of the bins of pixels first .. last, cut at 0 .. size."""
        length = self.xp.maximum(last - first + 1, 1).reshape(-1, 1)
        number = self.xp.arange(bins)
        starts = number * length // bins + first.reshape(-1, 1)
        stops = ((number + 1) * length + bins - 1) // bins + first.reshape(-1, 1)
        return self.xp.clip(starts, 0, size), self.xp.clip(stops, 0, size)

    def _roi_bin_max(self, x, starts, stops):
        """Return (maxima, places), each (K, C, M, bins), of x (K, C, M, L) in bins starts .. stops (K, bins)."""
        xp = self.xp
        place = xp.arange(x.shape[3])
        values, places = [], []
        for b in range(starts.shape[1]):
            start, stop = (edge[:, b].reshape(-1, 1, 1, 1) for edge in (starts, stops))
            inside = xp.where((place >= start) & (place < stop), x, -math.inf)
            found = xp.expand_dims(xp.argmax(inside, axis=3), 3)
            found = xp.minimum(xp.maximum(found, start), x.shape[3] - 1)  # also where all of them are -inf
            values.append(xp.take_along_axis(x, found, axis=3))
            places.append(found)
        return xp.concatenate(values, axis=3), xp.concatenate(places, axis=3)

    def roi_align(self, x, boxes, output_size, spatial_scale, sampling_ratio, aligned):
        """Return (K, C, OH, OW): the mean of bilinear samples in each bin of each box, as in torchvision.

        A sample is linear in x and separable, so that a box is two matrix products A x B^T.
        """
        xp = self.xp
        wide = accumulator(x.dtype)
        n, c, h, w = x.shape
        k, (out_h, out_w) = boxes.shape[0], output_size
        image, known = self._roi_images(boxes, n)
        rows, columns = self._roi_weights(boxes, x.shape, output_size, spatial_scale, sampling_ratio, aligned, wide)
        y = xp.zeros((k, c, out_h, out_w), dtype=wide)
        for some in self._roi_chunks(k, c * h * w if n else 0):
            pixels = x[image[some]].astype(wide, copy=False)
            across = xp.matmul(pixels.reshape(-1, c * h, w), columns[some].swapaxes(1, 2)).reshape(-1, c, h, out_w)
            y[some] = xp.matmul(rows[some].reshape(-1, 1, out_h, h), across)
        return xp.where(known.reshape(k, 1, 1, 1), y, math.nan).astype(x.dtype, copy=False)

    def roi_align_grad(self, gy, boxes, x_shape, output_size, spatial_scale, sampling_ratio, aligned):
        """Return the transpose of `roi_align` applied to gy (K, C, OH, OW): x_shape (N, C, H, W)."""
        xp = self.xp
        wide = accumulator(gy.dtype)
        n, c, h, w = x_shape
        out_h, out_w = output_size
        image, known = self._roi_images(boxes, n)
        rows, columns = self._roi_weights(boxes, x_shape, output_size, spatial_scale, sampling_ratio, aligned, wide)
        belongs = ((xp.arange(n).reshape(n, 1) == image) & known).astype(wide)  # (N, K)
        gx = xp.zeros((n, c * h * w), dtype=wide)
        for some in self._roi_chunks(boxes.shape[0], c * h * w if n else 0):
            down = xp.matmul(rows[some].swapaxes(1, 2).reshape(-1, 1, h, out_h), gy[some].astype(wide, copy=False))
            pixels = xp.matmul(down.reshape(-1, c * h, out_w), columns[some])
            gx += xp.matmul(belongs[:, some], pixels.reshape(-1, c * h * w))
        return gx.reshape(x_shape).astype(gy.dtype, copy=False)

    def _roi_chunks(self, boxes, each):
        """Return slices that share out the boxes, `each` the pixels of one; none where there are no pixels."""
        step = max(1, CHUNK // each) if each else 1
        return [slice(i, min(i + step, boxes)) for i in range(0, boxes, step)] if each else []

    def _roi_images(self, boxes, n):
        """Return each box's image (0 where there is no such image), and whether there is one."""
        image = boxes[:, 0].astype("int64")
        known = (image >= 0) & (image < n)
        return self.xp.where(known, image, 0), known

    def _roi_weights(self, boxes, x_shape, output_size, spatial_scale, sampling_ratio, aligned, dtype):
        """Return the weights A (K, OH, H) and B (K, OW, W) of rows and columns."""
        corners = boxes[:, 1:].astype(dtype) * spatial_scale - (0.5 if aligned else 0.0)
        found = []
        for axis, (low, high) in enumerate(((1, 3), (0, 2))):
            extent = corners[:, high] - corners[:, low]
            extent = extent if aligned else self.xp.maximum(extent, 1)
            size, bins = x_shape[2 + axis], output_size[axis]
            found.append(self._roi_bin_weights(corners[:, low], extent, bins, size, sampling_ratio))
        return found

    def _roi_bin_weights(self, start, extent, bins, size, sampling_ratio):
        """Return (K, bins, size): how much each pixel counts in each bin, from `sampling_ratio` samples a bin.

        sampling_ratio <= 0: ceil(extent / bins) samples. They are then more than half a pixel apart, so at most
        2 * size + 4 of them lie on the image: a bound that needs no look at the boxes.
        """
        xp = self.xp
        k, dtype = start.shape[0], start.dtype
        bin_ = (extent / bins).reshape(k, 1, 1)
        number = xp.arange(bins).reshape(1, bins, 1)
        first = start.reshape(k, 1, 1) + (number * bin_).astype(dtype)
        if sampling_ratio > 0:
            grid, steps = xp.full((k, 1, 1), sampling_ratio, dtype=dtype), sampling_ratio
            skipped = 0
        else:
            grid, steps = xp.ceil(bin_), 2 * size + 5
            if self.on_host and k:
                steps = int(min(steps, max(1, xp.max(xp.where(grid > 0, grid, 0)))))
            gap = xp.where(grid > 0, bin_ / xp.where(grid > 0, grid, 1), 1)
            skipped = xp.maximum(xp.floor((-1 - first) / gap - 0.5), 0)  # samples before the image
        sample = (xp.arange(steps).reshape(1, 1, steps) + skipped).astype(dtype)
        at = first + (sample + 0.5) * bin_ / xp.where(grid > 0, grid, 1)
        inside = (sample < grid) & (at >= -1) & (at <= size)
        at = xp.where(inside, xp.clip(at, 0, size - 1), 0)
        below = xp.floor(at)
        share = inside / xp.where(grid > 0, grid, 1)
        upper = share * (at - below)
        below = below.astype("int64")
        row = (xp.arange(k).reshape(k, 1, 1) * bins + number) * size
        places = xp.stack([row + below, row + xp.minimum(below + 1, size - 1)])
        weights = xp.stack([share - upper, upper]).astype(dtype)
        return self.index_add((k * bins * size,), dtype, places, weights).reshape(k, bins, size)
