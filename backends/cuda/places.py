"""Adding at places, RoI pooling and non-maximum suppression on CUDA kernels."""

from __future__ import annotations

import math

import numpy

from deepcore.backends.cuda.core import KernelBackend, on_kernels


class CudaPlaces(KernelBackend):
    """Methods of CudaFamilies that read or write where the data say."""

    @on_kernels()
    def index_add(self, shape, dtype, index, values):
        """Return zeros(shape) with `values` added at `index`; see Array.index_add.

        For integer arrays along the first axes: the places are sorted and each is summed by one thread, in order, so
        that the result repeats bit for bit, which atomic additions do not. The rest is the reference's.
        """
        arrays = index if isinstance(index, tuple) else (index,)
        plain = all(self.is_array(a) and a.dtype.kind in "iu" for a in arrays)
        if not (arrays and plain and values.dtype == dtype and math.prod(shape) <= numpy.iinfo("int32").max):
            return super().index_add(shape, dtype, index, values)
        sizes, width = shape[: len(arrays)], math.prod(shape[len(arrays) :])
        places = self.xp.zeros((), dtype="int64")
        for a, size in zip(arrays, sizes, strict=True):
            places = places * size + self.xp.where(a < 0, a + size, a).astype("int64")
        if values.shape != (*places.shape, *shape[len(arrays) :]):
            return super().index_add(shape, dtype, index, values)
        return self._add(shape, places.reshape(-1), values, width, math.prod(sizes))

    @on_kernels()
    def add_at_places(self, values, places, shape):
        """Return zeros(shape) with each value added at its place; see Roi.add_at_places."""
        if places.shape != values.shape:
            return super().add_at_places(values, places, shape)
        return self._add(shape, places.reshape(-1), values, 1, math.prod(shape))

    def _add(self, shape, places, values, width, size):
        """Return zeros(shape), as rows of `width`, with the rows of values added at places (n,) of `size`."""
        out = self.xp.zeros(shape, dtype=values.dtype)
        order = self.xp.argsort(places, kind="stable").astype("int64", copy=False)
        numbers = 0, places.size, width, size
        launched = self.launch.flat(values.size)
        self.launch(self.kernels.places.add_segments, launched, places[order], order, values, out, *numbers)
        return out

    @on_kernels()
    def roi_pool(self, x, boxes, output_size, spatial_scale):
        """Return (maxima, their places in x flattened); see Roi.roi_pool."""
        k, (n, c, h, w) = boxes.shape[0], x.shape
        y = self.xp.empty((k, c, *output_size), dtype=x.dtype)
        places = self.xp.empty(y.shape, dtype="int64")
        shape = self.launch.planes(k * c, math.prod(output_size))
        sizes = n, c, h, w, *output_size
        self.launch(self.kernels.places.roi_pool, shape, x, boxes, y, places, spatial_scale, *sizes)
        return y, places

    @on_kernels()
    def nms(self, boxes, scores, groups, iou_threshold):
        """Return the kept boxes' places, best score first; see Detection.nms. Only their number goes to the host."""
        xp, count = self.xp, scores.size
        words = -(-count // 32)
        if count * words > numpy.iinfo("int32").max:
            return super().nms(boxes, scores, groups, iou_threshold)
        order = xp.argsort(-scores, kind="stable")
        grouped = groups is not None
        groups = order if groups is None else groups[order]
        mask, dropped = xp.empty((count, words), dtype="uint32"), xp.zeros((words,), dtype="uint32")
        kept = xp.empty((count,), dtype="int32")
        given = boxes[order], groups.astype("int64", copy=False), mask, _at_most(iou_threshold, boxes.dtype)
        shape = self.launch.planes(count, words)
        self.launch(self.kernels.places.nms_mask, shape, *given, count, words, grouped)
        block = ((1,), self.launch.rows(1, words)[1])
        self.launch(self.kernels.places.nms_scan, block, mask, dropped, kept, count, words)
        return order[xp.nonzero(kept)[0]].astype("int64", copy=False)


def _at_most(threshold, dtype):
    """Return the largest number of `dtype` that is not above threshold: a number is above both or above none."""
    rounded = numpy.dtype(dtype).type(threshold)
    return numpy.nextafter(rounded, -numpy.inf, dtype=dtype) if float(rounded) > threshold else rounded
