"""Oracles in float64 for convolutions over any number of axes and for unfold and fold: loops over the definition."""

from __future__ import annotations

import itertools

import numpy as np


def _tuple(value: object, count: int) -> tuple[int, ...]:
    return (value,) * count if isinstance(value, int) else tuple(value)  # type: ignore[arg-type]


def _places(size, out, kernel, stride, before, dilation):
    """Every (place in the output, place in the kernel, pixel of the input) that lies inside the input."""
    for o in itertools.product(*map(range, out)):
        for k in itertools.product(*map(range, kernel)):
            at = tuple(i * s + j * d - p for i, j, s, d, p in zip(o, k, stride, dilation, before, strict=True))
            if all(0 <= a < n for a, n in zip(at, size, strict=True)):
                yield o, k, at


def conv(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """y[n, o, i] = b[o] + sum over c and k of x[n, c, i * stride + k * dilation - padding] w[o, c, k]."""
    size, kernel = x.shape[2:], w.shape[2:]
    count = len(size)
    stride, dilation = _tuple(stride, count), _tuple(dilation, count)
    reach = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if padding == "same":
        before, both = [r // 2 for r in reach], reach
    else:
        before = _tuple(0 if padding == "valid" else padding, count)
        both = [2 * p for p in before]
    out = [(n + p - r - 1) // s + 1 for n, p, r, s in zip(size, both, reach, stride, strict=True)]
    o, per_group = w.shape[:2]
    y = np.zeros((x.shape[0], o, *out))
    for i, k, at in _places(size, out, kernel, stride, before, dilation):
        for channel in range(o):
            first = channel // (o // groups) * per_group
            ins = x[(slice(None), slice(first, first + per_group), *at)]
            y[(slice(None), channel, *i)] += ins @ w[(channel, slice(None), *k)]
    return y if b is None else y + b.reshape(-1, *[1] * count)


def conv_transpose(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Every input pixel stamps the kernel w (C, O // G, ...) on the output, `stride` apart; `padding` is cut off."""
    size, kernel = x.shape[2:], w.shape[2:]
    count = len(size)
    stride, padding, dilation = _tuple(stride, count), _tuple(padding, count), _tuple(dilation, count)
    extra = _tuple(output_padding, count)
    axes = zip(size, kernel, stride, padding, dilation, extra, strict=True)
    out = [(n - 1) * s - 2 * p + d * (k - 1) + 1 + e for n, k, s, p, d, e in axes]
    c, per_group = w.shape[:2]
    y = np.zeros((x.shape[0], per_group * groups, *out))
    for i, k, at in _places(out, size, kernel, stride, padding, dilation):
        for channel in range(c):
            first = channel // (c // groups) * per_group
            stamp = np.outer(x[(slice(None), channel, *i)], w[(channel, slice(None), *k)])
            y[(slice(None), slice(first, first + per_group), *at)] += stamp
    return y if b is None else y + b.reshape(-1, *[1] * count)


def unfold(x, kernel_size, dilation=1, padding=0, stride=1):
    """(C * KH * KW, OH * OW) for each image: entry (c, k), l is the pixel of channel c under k at place l."""
    if x.ndim == 3:
        return unfold(x[None], kernel_size, dilation, padding, stride)[0]
    kernel, dilation, padding, stride = (_tuple(v, 2) for v in (kernel_size, dilation, padding, stride))
    out = _out(x.shape[2:], kernel, dilation, padding, stride)
    columns = np.zeros((x.shape[0], x.shape[1], *kernel, *out))
    for o, k, at in _places(x.shape[2:], out, kernel, stride, padding, dilation):
        columns[(slice(None), slice(None), *k, *o)] = x[(slice(None), slice(None), *at)]
    return columns.reshape(x.shape[0], x.shape[1] * kernel[0] * kernel[1], out[0] * out[1])


def fold(x, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """The columns of unfold added back to the pixels that they came from."""
    if x.ndim == 2:
        return fold(x[None], output_size, kernel_size, dilation, padding, stride)[0]
    kernel, dilation, padding, stride = (_tuple(v, 2) for v in (kernel_size, dilation, padding, stride))
    size = _tuple(output_size, 2)
    out = _out(size, kernel, dilation, padding, stride)
    columns = x.reshape(x.shape[0], x.shape[1] // (kernel[0] * kernel[1]), *kernel, *out)
    y = np.zeros((*columns.shape[:2], *size))
    for o, k, at in _places(size, out, kernel, stride, padding, dilation):
        y[(slice(None), slice(None), *at)] += columns[(slice(None), slice(None), *k, *o)]
    return y


def _out(size, kernel, dilation, padding, stride):
    axes = zip(size, kernel, dilation, padding, stride, strict=True)
    return [(n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, d, p, s in axes]
