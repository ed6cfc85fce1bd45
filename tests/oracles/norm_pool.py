"""Oracles in float64 for normalisation and pooling: loops over the definitions, no code of deepcore. See oracles.py."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from deepcore.check.oracles import basic as oracles

# --- normalisation ----------------------------------------------------------------------------------------------------


def layer_norm(x, normalized_shape, weight=None, bias=None, eps=1e-5):
    """Each sample minus its mean, over its standard deviation."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    y = np.zeros_like(x)
    for i in np.ndindex(x.shape[: x.ndim - len(shape)]):
        y[i] = (x[i] - x[i].mean()) / math.sqrt(x[i].var() + eps)
        y[i] = y[i] * (1.0 if weight is None else weight) + (0.0 if bias is None else bias)
    return y


def rms_norm(x, normalized_shape, weight=None, eps=None):
    """Each sample over the root of its mean square; the default eps is too small to be seen."""
    shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
    y = np.zeros_like(x)
    for i in np.ndindex(x.shape[: x.ndim - len(shape)]):
        y[i] = x[i] / math.sqrt((x[i] ** 2).mean() + (0.0 if eps is None else eps))
        y[i] *= 1.0 if weight is None else weight
    return y


def group_norm(x, num_groups, weight=None, bias=None, eps=1e-5):
    """Each group of channels of each sample minus its mean, over its standard deviation."""
    y = np.zeros_like(x)
    size = x.shape[1] // num_groups
    for n in range(x.shape[0]):
        for c in range(x.shape[1]):
            group = x[n, c // size * size : (c // size + 1) * size]
            y[n, c] = (x[n, c] - group.mean()) / math.sqrt(group.var() + eps)
            y[n, c] = y[n, c] * (1.0 if weight is None else weight[c]) + (0.0 if bias is None else bias[c])
    return y


def instance_norm(x, mean, var, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-5):
    """Each channel of each sample by its own statistics, or by the given ones."""
    del momentum
    y = np.zeros_like(x)
    for n, c in np.ndindex(x.shape[:2]):
        m, v = (x[n, c].mean(), x[n, c].var()) if use_input_stats else (mean[c], var[c])
        y[n, c] = (x[n, c] - m) / math.sqrt(v + eps)
        y[n, c] = y[n, c] * (1.0 if weight is None else weight[c]) + (0.0 if bias is None else bias[c])
    return y


def local_response_norm(x, size, alpha=1e-4, beta=0.75, k=1.0):
    """Each value over a power of the mean square of the channels around it."""
    y = np.zeros_like(x)
    for c in range(x.shape[1]):
        around = range(max(0, c - size // 2), min(x.shape[1], c + (size - 1) // 2 + 1))
        y[:, c] = x[:, c] / (k + alpha * sum(x[:, i] ** 2 for i in around) / size) ** beta
    return y


def normalize(x, p=2.0, dim=1, eps=1e-12):
    """Each vector along `dim` over its p-norm."""
    if isinstance(dim, tuple):
        flat = {math.inf: lambda v, **k: v.max(**k), 1: lambda v, **k: v.sum(**k)}[p]
        return x / np.maximum(flat(np.abs(x), axis=dim, keepdims=True), eps)
    return x / np.maximum(np.linalg.norm(x, ord=p, axis=dim, keepdims=True), eps) if x.size else x


# --- pooling ----------------------------------------------------------------------------------------------------------


def adaptive_max_pool2d(x, output_size, return_indices=False):
    """The largest value of each window and its place, the first of equals."""
    n, c, h, w = x.shape
    oh, ow = output_size if isinstance(output_size, tuple) else (output_size, output_size)
    oh, ow = h if oh is None else oh, w if ow is None else ow
    y, indices = np.zeros((n, c, oh, ow)), np.zeros((n, c, oh, ow), dtype=np.int64)
    for a, b, i, j in np.ndindex(n, c, oh, ow):
        rows = range(i * h // oh, math.ceil(Fraction((i + 1) * h, oh)))
        columns = range(j * w // ow, math.ceil(Fraction((j + 1) * w, ow)))
        r, q = max(((r, q) for r in rows for q in columns), key=lambda at: x[a, b, at[0], at[1]])
        y[a, b, i, j], indices[a, b, i, j] = x[a, b, r, q], r * w + q
    return (y, indices) if return_indices else y


def adaptive_pool(reduce, x, output_size, return_indices=False):
    """The reduction of each window of any number of axes, and the flat place of the first equal to it."""
    sizes = x.shape[2:]
    given = output_size if isinstance(output_size, tuple) else (output_size,) * len(sizes)
    out = [m if n is None else n for n, m in zip(given, sizes, strict=True)]
    y, indices = np.zeros((*x.shape[:2], *out)), np.zeros((*x.shape[:2], *out), dtype=np.int64)
    flat = np.arange(math.prod(sizes)).reshape(sizes)
    for n, c, *at in np.ndindex(y.shape):
        window = tuple(slice(i * m // o, -(-(i + 1) * m // o)) for i, m, o in zip(at, sizes, out, strict=True))
        value = reduce(x[n, c][window])
        y[n, c][tuple(at)] = value
        indices[n, c][tuple(at)] = flat[window][x[n, c][window] == value].min(initial=flat.size)
    return (y, indices) if return_indices else y


def spatial_pyramid_pool(x, levels=(1, 2, 4), mode="max"):
    """The pools of all levels, flattened and side by side."""
    pool = adaptive_max_pool2d if mode == "max" else oracles.adaptive_avg_pool2d
    return np.concatenate([pool(x, n).reshape(x.shape[0], x.shape[1] * n * n) for n in levels], axis=1)


def pool1d(pool, x, kernel_size, **kwargs):
    """A pooling of images with one row."""
    across = {"stride": 1, "padding": 0, "dilation": 1}  # of the axis with one pixel
    sizes = {name: (across[name], value) if name in across else value for name, value in kwargs.items()}
    result = pool(x[:, :, None], (1, kernel_size), **sizes)
    return tuple(y[:, :, 0] for y in result) if isinstance(result, tuple) else result[:, :, 0]


def pool3d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, largest=True, **kwargs):
    """(maxima, places) or the means of windows over volumes."""
    kernel, pads, gaps = ((v,) * 3 if isinstance(v, int) else v for v in (kernel_size, padding, dilation))
    steps = kernel if stride is None else (stride,) * 3 if isinstance(stride, int) else stride
    sizes = x.shape[2:]
    out = [oracles.pooled_size(*s, ceil_mode) for s in zip(sizes, kernel, steps, pads, gaps, strict=True)]
    y, indices = np.zeros((*x.shape[:2], *out)), np.zeros((*x.shape[:2], *out), dtype=np.int64)
    for n, c, *at in np.ndindex(y.shape):
        starts = [i * s - p for i, s, p in zip(at, steps, pads, strict=True)]
        reach = [[a + k * g for k in range(m)] for a, m, g in zip(starts, kernel, gaps, strict=True)]
        pixels = [(d, h, w) for d in reach[0] for h in reach[1] for w in reach[2]]
        inside = [q for q in pixels if all(0 <= v < m for v, m in zip(q, sizes, strict=True))]
        if largest:
            best = max(inside, key=lambda q: x[n, c][q])
            y[n, c][tuple(at)], indices[n, c][tuple(at)] = x[n, c][best], np.ravel_multi_index(best, sizes)
            continue
        padded = [q for q in pixels if all(v < m + p for v, m, p in zip(q, sizes, pads, strict=True))]
        count = len(padded if kwargs.get("count_include_pad", True) else inside)
        y[n, c][tuple(at)] = sum(x[n, c][q] for q in inside) / (kwargs.get("divisor_override") or count)
    return (y, indices) if kwargs.get("return_indices") else y


def lp_pool2d(x, norm_type, kernel_size, stride=None, ceil_mode=False):
    """The p-th root of the sum of p-th powers; a window cut by the image counts as if its mean filled it."""
    kh, kw = oracles.pair(kernel_size)
    sh, sw = oracles.pair(kernel_size if stride is None else stride)
    n, c, h, w = x.shape
    oh, ow = (oracles.pooled_size(m, k, s, 0, 1, ceil_mode) for m, k, s in ((h, kh, sh), (w, kw, sw)))
    y = np.zeros((n, c, oh, ow))
    for i, j in np.ndindex(oh, ow):
        window = x[:, :, i * sh : i * sh + kh, j * sw : j * sw + kw]
        total = (window**norm_type).sum(axis=(2, 3)) * (kh * kw / (window.shape[2] * window.shape[3]))
        y[:, :, i, j] = total ** (1 / norm_type)
    return y


def max_unpool2d(x, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Zeros but for the values at their places."""
    kernel, cut = oracles.pair(kernel_size), oracles.pair(padding)
    step = kernel if stride is None else oracles.pair(stride)
    size = [(n - 1) * s - 2 * p + k for n, s, p, k in zip(x.shape[2:], step, cut, kernel, strict=True)]
    size = size if output_size is None else list(output_size)[-2:]
    y = np.zeros((*x.shape[:2], *size))
    for n, c, i, j in np.ndindex(x.shape):
        y[n, c].reshape(-1)[indices[n, c, i, j]] = x[n, c, i, j]
    return y


def max_unpool_nd(x, indices, kernel_size, stride=None, padding=0, output_size=None):
    """Zeros but for the values at their places, for any number of axes."""
    axes = x.ndim - 2
    kernel, cut = np.broadcast_to(kernel_size, axes), np.broadcast_to(padding, axes)
    step = kernel if stride is None else np.broadcast_to(stride, axes)
    size = [(n - 1) * s - 2 * p + k for n, s, p, k in zip(x.shape[2:], step, cut, kernel, strict=True)]
    size = size if output_size is None else list(output_size)
    y = np.zeros((*x.shape[:2], *size))
    for n, c, *at in np.ndindex(x.shape):
        y[n, c].reshape(-1)[indices[n, c][tuple(at)]] = x[n, c][tuple(at)]
    return y


def _rows_of(boxes):
    """A list of boxes for each image as rows with the image first."""
    if isinstance(boxes, (list, tuple)):
        return [(i, *map(float, box)) for i, found in enumerate(boxes) for box in found]
    return [tuple(map(float, box)) for box in boxes]


def _half_away(value):
    return int(math.copysign(math.floor(abs(value) + 0.5), value))


def roi_pool(x, boxes, output_size, spatial_scale=1.0):
    """The largest pixel of each bin of each box, after torchvision's loops, with exact fractions for the bins."""
    rows = _rows_of(boxes)
    oh, ow = oracles.pair(output_size)
    h, w = x.shape[2:]
    y = np.zeros((len(rows), x.shape[1], oh, ow))
    for k, (image, *corners) in enumerate(rows):
        left, top, right, bottom = (_half_away(v * spatial_scale) for v in corners)
        height, width = max(bottom - top + 1, 1), max(right - left + 1, 1)
        for i, j in np.ndindex(oh, ow):
            r0, r1 = math.floor(Fraction(i * height, oh)) + top, math.ceil(Fraction((i + 1) * height, oh)) + top
            c0, c1 = math.floor(Fraction(j * width, ow)) + left, math.ceil(Fraction((j + 1) * width, ow)) + left
            window = x[int(image), :, max(r0, 0) : max(min(r1, h), 0), max(c0, 0) : max(min(c1, w), 0)]
            if window.shape[1] and window.shape[2]:
                y[k, :, i, j] = window.max(axis=(1, 2))
    return y


def _bilinear(x, row, column):
    """x (C, H, W) between pixels; 0 more than a pixel outside."""
    h, w = x.shape[1:]
    if not (-1 <= row <= h and -1 <= column <= w):
        return np.zeros(x.shape[0])
    row, column = min(max(row, 0.0), h - 1.0), min(max(column, 0.0), w - 1.0)
    r, q = int(row), int(column)
    r1, q1 = min(r + 1, h - 1), min(q + 1, w - 1)
    a, b = row - r, column - q
    upper = (1 - b) * x[:, r, q] + b * x[:, r, q1]
    lower = (1 - b) * x[:, r1, q] + b * x[:, r1, q1]
    return (1 - a) * upper + a * lower


def roi_align(x, boxes, output_size, spatial_scale=1.0, sampling_ratio=-1, aligned=False):
    """The mean of bilinear samples of each bin, after torchvision's loops."""
    rows = _rows_of(boxes)
    oh, ow = oracles.pair(output_size)
    y = np.zeros((len(rows), x.shape[1], oh, ow))
    for k, (image, *corners) in enumerate(rows):
        left, top, right, bottom = (v * spatial_scale - (0.5 if aligned else 0.0) for v in corners)
        height, width = bottom - top, right - left
        if not aligned:
            height, width = max(height, 1.0), max(width, 1.0)
        gh = sampling_ratio if sampling_ratio > 0 else math.ceil(height / oh)
        gw = sampling_ratio if sampling_ratio > 0 else math.ceil(width / ow)
        for i, j in np.ndindex(oh, ow):
            total = np.zeros(x.shape[1])
            for a in range(gh):
                for b in range(gw):
                    row = top + (i + (a + 0.5) / gh) * height / oh
                    column = left + (j + (b + 0.5) / gw) * width / ow
                    total += _bilinear(x[int(image)], row, column)
            y[k, :, i, j] = total / max(gh * gw, 1)
    return y
