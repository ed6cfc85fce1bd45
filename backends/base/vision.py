"""Sampling an image at the points of a grid, with the semantics of torch.nn.functional.grid_sample."""

from __future__ import annotations

from deepcore.backends.base.array import accumulator


class Vision:
    """grid_sample and its gradient; a mixin of Backend. x (N, C, H, W), grid (N, OH, OW, 2) holds (x, y) in [-1, 1]."""

    def grid_sample(self, x, grid, mode, padding_mode, align_corners):
        """Return x at the grid's points: (N, C, OH, OW). mode bilinear|nearest, padding_mode zeros|border|reflection.

        A point that is NaN reads 0.
        """
        n, c, h, w = x.shape
        out_h, out_w = grid.shape[1:3]
        wide = accumulator(x.dtype)
        px, _, py, _ = self._points(grid, h, w, padding_mode, align_corners)
        total = self.xp.zeros((n, out_h, out_w, c), dtype=wide)
        for iy, ix, weight, _, _ in self._corners(px, py, mode):
            batch, row, col, inside = self._place(n, iy, ix, h, w)
            value = x[batch, :, row, col]
            total += self.xp.where(inside[..., None], value * weight[..., None], 0)
        return self.contiguous(total.transpose(0, 3, 1, 2)).astype(x.dtype, copy=False)

    def grid_sample_grad(self, gy, x, grid, mode, padding_mode, align_corners):
        """Return (gx, ggrid) for gy (N, C, OH, OW); ggrid is zero for nearest."""
        xp = self.xp
        n, c, h, w = x.shape
        wide = accumulator(x.dtype)
        px, scale_x, py, scale_y = self._points(grid, h, w, padding_mode, align_corners)
        g = gy.transpose(0, 2, 3, 1).astype(wide, copy=False)
        gx = xp.zeros((n, h, w, c), dtype=wide)
        gpx, gpy = xp.zeros_like(px), xp.zeros_like(py)
        for iy, ix, weight, slope_x, slope_y in self._corners(px, py, mode):
            batch, row, col, inside = self._place(n, iy, ix, h, w)
            share = xp.where(inside[..., None], g * weight[..., None], 0)
            gx = gx + self.index_add(gx.shape, wide, (batch, row, col), share)
            if mode == "bilinear":
                along = (xp.where(inside[..., None], x[batch, :, row, col], 0) * g).sum(axis=3)
                gpx, gpy = gpx + along * slope_x, gpy + along * slope_y
        ggrid = xp.stack([gpx * scale_x, gpy * scale_y], axis=3)
        gx = self.contiguous(gx.transpose(0, 3, 1, 2)).astype(x.dtype, copy=False)
        return gx, ggrid.astype(grid.dtype, copy=False)

    def _points(self, grid, h, w, padding_mode, align_corners):
        """Return pixel coordinates and their slopes by the grid: x, dx, y, dy, each (N, OH, OW)."""
        grid = grid.astype(accumulator(grid.dtype), copy=False)
        return (
            *self._coordinate(grid[..., 0], w, padding_mode, align_corners),
            *self._coordinate(grid[..., 1], h, padding_mode, align_corners),
        )

    def _coordinate(self, u, size, padding_mode, align_corners):
        """Map u in [-1, 1] to a pixel coordinate, padded as asked: return (coordinate, its slope by u)."""
        xp = self.xp
        factor = (size - 1) / 2 if align_corners else size / 2
        p = (u + 1) * factor if align_corners else ((u + 1) * size - 1) / 2
        slope = xp.full(u.shape, factor, dtype=u.dtype)
        if padding_mode == "reflection":
            low, span = (0.0, size - 1) if align_corners else (-0.5, size)
            p, sign = self._reflect(p, low, span)
            slope = slope * sign
        if padding_mode != "zeros":
            slope = xp.where((p <= 0) | (p >= size - 1), 0, slope)
            p = xp.clip(p, 0, size - 1)
        # as PyTorch: what no integer can hold (and NaN) lies outside of every image
        return xp.where(xp.abs(p) < 2**30, p, -100), slope

    def _reflect(self, p, low, span):
        """Fold p into [low, low + span] as between two mirrors; also return the sign of the fold's slope."""
        xp = self.xp
        if span == 0:
            return xp.zeros_like(p), xp.zeros_like(p)
        sign = xp.where(p < low, -1, 1).astype(p.dtype)
        distance = xp.abs(p - low)
        turns = xp.floor(distance / span)
        rest = distance - turns * span
        odd = turns - 2 * xp.floor(turns / 2) == 1
        return xp.where(odd, span - rest, rest) + low, xp.where(odd, -sign, sign)

    def _corners(self, px, py, mode):
        """Yield (iy, ix, weight, d weight / d px, d weight / d py) for each pixel that a point reads."""
        xp = self.xp
        if mode == "nearest":
            yield xp.rint(py), xp.rint(px), xp.ones_like(px), None, None
            return
        x0, y0 = xp.floor(px), xp.floor(py)
        fx, fy = px - x0, py - y0
        for dy, wy, sy in ((0, 1 - fy, -1), (1, fy, 1)):
            for dx, wx, sx in ((0, 1 - fx, -1), (1, fx, 1)):
                yield y0 + dy, x0 + dx, wy * wx, wy * sx, wx * sy

    def _place(self, n, iy, ix, h, w):
        """Return index arrays (batch, row, column), each inside the image, and where they were so to begin with."""
        xp = self.xp
        inside = (iy >= 0) & (iy < h) & (ix >= 0) & (ix < w)
        row = xp.where(inside, iy, 0).astype("int64")
        col = xp.where(inside, ix, 0).astype("int64")
        return xp.arange(n).reshape(n, 1, 1), row, col, inside
