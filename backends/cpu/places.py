"""Adding at places, regions of interest and boxes on device "cpu"."""

from __future__ import annotations

import math

import numpy as np

from deepcore.backends.base import Backend
from deepcore.backends.override import override
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import team


class CpuPlaces(Backend):
    """Methods of CpuBackend that read or write where the data say."""

    @override()
    def index_add(self, shape, dtype, index, values):
        """Return zeros(shape) with `values` added at `index`; see Array.index_add.

        Taken: integer arrays for the first axes, or one integer array behind whole axes; the rest is the reference's.
        """
        parts = index if isinstance(index, tuple) else (index,)
        before = sum(isinstance(part, slice) for part in parts)
        arrays = parts[before:]
        plain = all(isinstance(a, np.ndarray) and a.dtype.kind in "iu" for a in arrays)
        whole = all(part == slice(None) for part in parts[:before] if isinstance(part, slice))
        fast = len(parts) == len(shape) == 1  # numpy.add.at itself is quick along one axis
        if not (arrays and plain and whole) or fast or (before and len(arrays) > 1) or values.dtype != dtype:
            return super().index_add(shape, dtype, index, values)
        sizes, rest = shape[before : len(parts)], shape[len(parts) :]
        places = _flat_places(arrays, sizes)
        expected = shape[:before] + np.broadcast_shapes(*(a.shape for a in arrays)) + rest
        if places is None or values.shape != expected or (before and math.prod(rest) > 1):
            return super().index_add(shape, dtype, index, values)
        out = np.zeros(shape, dtype)
        if before:
            planes = math.prod(shape[:before])
            given = values.reshape(planes, places.size)
            team.run(kernels.indexing.add_planes, planes, places.size, out.reshape(planes, -1), places, given)
        else:
            width = math.prod(rest)
            if width == 1:
                kernels.indexing.add_planes(0, 1, out.reshape(1, -1), places, values.reshape(1, -1))
                return out
            given = values.reshape(places.size, width)
            team.run(kernels.indexing.add_rows, width, places.size, out.reshape(-1, width), places, given)
        return out

    @override()
    def nms(self, boxes, scores, groups, iou_threshold):
        """Return the kept boxes' places, best score first; see Detection.nms."""
        order = np.argsort(-scores, kind="stable")
        corners = np.ascontiguousarray(boxes[order].T)
        groups = np.zeros(order.shape, np.int64) if groups is None else groups[order]
        kept = np.empty(order.shape, np.bool_)
        kernels.detection.nms(0, 1, kept, *corners, groups, float(iou_threshold))
        return order[kept]

    @override()
    def add_at_places(self, values, places, shape):
        """Return zeros(shape) with each value added at its place; see Roi.add_at_places."""
        out, size = np.zeros(math.prod(shape), values.dtype), math.prod(shape)
        if places.shape != values.shape or places.max() >= size:
            return super().add_at_places(values, places, shape)
        kernels.indexing.add_at(0, 1, out, places.reshape(-1), values.reshape(-1))
        return out.reshape(shape)

    @override()
    def roi_pool(self, x, boxes, output_size, spatial_scale):
        """Return (maxima, their places in x flattened); see Roi.roi_pool."""
        shape = boxes.shape[0], x.shape[1], *output_size
        y, places = np.empty(shape, x.dtype), np.empty(shape, np.int64)
        cost = x.shape[1] * (2 * math.prod(output_size) + x.shape[2] * x.shape[3] // 4)
        team.run(kernels.roi.roi_pool, shape[0], cost, y, places, x, boxes, x.dtype.type(spatial_scale))
        return y, places

    @override()
    def roi_align(self, x, boxes, output_size, spatial_scale, sampling_ratio, aligned):
        """Return the mean of bilinear samples in each bin of each box; see Roi.roi_align."""
        weights = self._weights(boxes, x.shape, output_size, spatial_scale, sampling_ratio, aligned)
        y = np.empty((boxes.shape[0], x.shape[1], *output_size), x.dtype)
        cost = x.shape[1] * (8 * math.prod(output_size) + x.shape[2] * x.shape[3] // 4)
        team.run(kernels.roi.roi_align, boxes.shape[0], cost, y, x, *weights)
        return y

    @override()
    def roi_align_grad(self, gy, boxes, x_shape, output_size, spatial_scale, sampling_ratio, aligned):
        """Return the transpose of roi_align; see Roi.roi_align_grad."""
        weights = self._weights(boxes, x_shape, output_size, spatial_scale, sampling_ratio, aligned)
        gx = np.zeros(x_shape, gy.dtype)
        cost = boxes.shape[0] * (8 * math.prod(output_size) + x_shape[2] * x_shape[3] // 4)
        team.run(kernels.roi.roi_align_grad, x_shape[1], cost, gx, gy, *weights)
        return gx

    def _weights(self, boxes, x_shape, output_size, spatial_scale, sampling_ratio, aligned):
        """Return (images, rows, columns, where rows are not 0, where columns are not 0); see kernels/cpu/roi.py."""
        image, known = self._roi_images(boxes, x_shape[0])
        weights = self._roi_weights(boxes, x_shape, output_size, spatial_scale, sampling_ratio, aligned, boxes.dtype)
        bounds = []
        for w in weights:
            bounds.append(np.empty((*w.shape[:2], 2), np.int64))
            flat = bounds[-1].reshape(-1, 2), w.reshape(-1, w.shape[2])
            team.run(kernels.roi.reach, len(flat[0]), w.shape[2], *flat)
        return np.where(known, image, -1), *weights, *bounds


def _flat_places(arrays, sizes):
    """Return the places that index arrays name in an array of these sizes flattened; None where one lies outside."""
    for a, size in zip(arrays, sizes, strict=True):
        if not a.size or a.min() < -size or a.max() >= size:
            return None
    if len(arrays) == 1:
        return np.ascontiguousarray(arrays[0].reshape(-1).astype(np.int64, copy=False))
    places = np.zeros((), np.int64)
    for a, size in zip(arrays, sizes, strict=True):
        places = places * size + np.where(a < 0, a + size, a)
    return np.ascontiguousarray(places.reshape(-1).astype(np.int64, copy=False))
