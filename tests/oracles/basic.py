"""Oracles in float64: what each op means, written as loops over the definition. They share no code with deepcore.

Slow on purpose. An oracle takes the arguments of its op as float64 (or integer) arrays and the same keywords.
Shapes: N batch, C in-channels, O out-channels, H W image, KH KW kernel, OH OW output, G groups.
"""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy import special


def pair(value: object) -> tuple[int, int]:
    """An int or a pair of ints as a pair."""
    return (value, value) if isinstance(value, (int, np.integer)) else tuple(value)  # type: ignore[arg-type,return-value]


# --- convolution ------------------------------------------------------------------------------------------------------


def conv2d(x, w, b=None, stride=1, padding=0, dilation=1, groups=1):
    """Cross-correlation: y[n, o, i, j] = b[o] + sum of x[n, c, i*sh + r*dh - ph, j*sw + s*dw - pw] w[o, c, r, s]."""
    (sh, sw), (dh, dw) = pair(stride), pair(dilation)
    _, _, kh, kw = w.shape
    if padding == "same":
        total_h, total_w = dh * (kh - 1), dw * (kw - 1)
        (top, left) = total_h // 2, total_w // 2  # PyTorch: the odd row goes to the end
        bottom, right = total_h - top, total_w - left
    elif padding == "valid":
        top = left = bottom = right = 0
    else:
        (top, left) = (bottom, right) = pair(padding)
    n, c, h, wd = x.shape
    o = w.shape[0]
    oh = (h + top + bottom - dh * (kh - 1) - 1) // sh + 1
    ow = (wd + left + right - dw * (kw - 1) - 1) // sw + 1
    y = np.zeros((n, o, oh, ow))
    for i, j, r, s in itertools.product(range(oh), range(ow), range(kh), range(kw)):
        row, column = i * sh + r * dh - top, j * sw + s * dw - left
        if 0 <= row < h and 0 <= column < wd:
            for g in range(groups):
                ins = slice(g * (c // groups), (g + 1) * (c // groups))
                outs = slice(g * (o // groups), (g + 1) * (o // groups))
                y[:, outs, i, j] += x[:, ins, row, column] @ w[outs, :, r, s].T
    return y if b is None else y + b[:, None, None]


def conv_transpose2d(x, w, b=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1):
    """Each input pixel stamps the kernel w (C, O//G, KH, KW) on the output, `stride` apart; `padding` is cut off."""
    (sh, sw), (ph, pw), (dh, dw), (eh, ew) = pair(stride), pair(padding), pair(dilation), pair(output_padding)
    n, c, h, wd = x.shape
    _, per_group, kh, kw = w.shape
    oh = (h - 1) * sh - 2 * ph + dh * (kh - 1) + eh + 1
    ow = (wd - 1) * sw - 2 * pw + dw * (kw - 1) + ew + 1
    y = np.zeros((n, per_group * groups, oh, ow))
    for i, j, r, s in itertools.product(range(h), range(wd), range(kh), range(kw)):
        row, column = i * sh + r * dh - ph, j * sw + s * dw - pw
        if 0 <= row < oh and 0 <= column < ow:
            for g in range(groups):
                ins = slice(g * (c // groups), (g + 1) * (c // groups))
                outs = slice(g * per_group, (g + 1) * per_group)
                y[:, outs, row, column] += x[:, ins, i, j] @ w[ins, :, r, s]
    return y if b is None else y + b[:, None, None]


def im2col(x, kernel_size, stride=1, padding=0, dilation=1, constant_values=0.0):
    """(N*OH*OW, C*KH*KW): a row is one receptive field, as in the book; the border is `constant_values`."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = pair(kernel_size), pair(stride), pair(padding), pair(dilation)
    n, c, h, w = x.shape
    oh, ow = (h + 2 * ph - dh * (kh - 1) - 1) // sh + 1, (w + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    rows = np.full((n, oh, ow, c, kh, kw), float(constant_values))
    for i, j, r, s in itertools.product(range(oh), range(ow), range(kh), range(kw)):
        row, column = i * sh + r * dh - ph, j * sw + s * dw - pw
        if 0 <= row < h and 0 <= column < w:
            rows[:, i, j, :, r, s] = x[:, :, row, column]
    return rows.reshape(n * oh * ow, c * kh * kw)


def col2im(cols, input_shape, kernel_size, stride=1, padding=0, dilation=1, accumulate=True):
    """The image (N, C, H, W) from its receptive fields: added where they overlap, or the last one written wins."""
    (kh, kw), (sh, sw), (ph, pw), (dh, dw) = pair(kernel_size), pair(stride), pair(padding), pair(dilation)
    n, c, h, w = input_shape
    oh, ow = (h + 2 * ph - dh * (kh - 1) - 1) // sh + 1, (w + 2 * pw - dw * (kw - 1) - 1) // sw + 1
    rows = cols.reshape(n, oh, ow, c, kh, kw)
    x = np.zeros((n, c, h, w))
    for r, s, i, j in itertools.product(range(kh), range(kw), range(oh), range(ow)):
        row, column = i * sh + r * dh - ph, j * sw + s * dw - pw
        if 0 <= row < h and 0 <= column < w:
            x[:, :, row, column] = rows[:, i, j, :, r, s] + (x[:, :, row, column] if accumulate else 0.0)
    return x


# --- pooling ----------------------------------------------------------------------------------------------------------


def pooled_size(size, kernel, stride, padding, dilation=1, ceil_mode=False):
    """With `ceil_mode` a last window may hang over the end, if it starts inside image or front padding (PyTorch)."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (math.ceil(span / stride) if ceil_mode else span // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    return count


def max_pool2d(x, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False, return_indices=False):
    """The largest value of each window and, if asked, its flat position in its image; the first of equals."""
    (kh, kw), (ph, pw), (dh, dw) = pair(kernel_size), pair(padding), pair(dilation)
    sh, sw = pair(kernel_size if stride is None else stride)
    n, c, h, w = x.shape
    oh, ow = pooled_size(h, kh, sh, ph, dh, ceil_mode), pooled_size(w, kw, sw, pw, dw, ceil_mode)
    y, indices = np.zeros((n, c, oh, ow)), np.zeros((n, c, oh, ow), dtype=np.int64)
    for a, b, i, j in np.ndindex(n, c, oh, ow):
        rows = [r for r in (i * sh - ph + k * dh for k in range(kh)) if 0 <= r < h]
        columns = [q for q in (j * sw - pw + m * dw for m in range(kw)) if 0 <= q < w]
        r, q = max(itertools.product(rows, columns), key=lambda at: x[a, b, at[0], at[1]])
        y[a, b, i, j], indices[a, b, i, j] = x[a, b, r, q], r * w + q
    return (y, indices) if return_indices else y


def avg_pool2d(x, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None):
    """The mean of each window; the divisor is the window's part inside image and padding, or inside the image only."""
    (kh, kw), (ph, pw) = pair(kernel_size), pair(padding)
    sh, sw = pair(kernel_size if stride is None else stride)
    n, c, h, w = x.shape
    oh, ow = pooled_size(h, kh, sh, ph, 1, ceil_mode), pooled_size(w, kw, sw, pw, 1, ceil_mode)
    y = np.zeros((n, c, oh, ow))
    for i, j in np.ndindex(oh, ow):
        top, left = i * sh - ph, j * sw - pw
        rows, columns = range(top, min(top + kh, h + ph)), range(left, min(left + kw, w + pw))
        inside = [(r, q) for r in rows for q in columns if 0 <= r < h and 0 <= q < w]
        divisor = divisor_override or (len(rows) * len(columns) if count_include_pad else len(inside))
        y[:, :, i, j] = sum(x[:, :, r, q] for r, q in inside) / divisor
    return y


def adaptive_avg_pool2d(x, output_size):
    """Window i of OH covers rows floor(i*H/OH) to ceil((i+1)*H/OH); None keeps the size."""
    n, c, h, w = x.shape
    oh, ow = (output_size, output_size) if output_size is None else pair(output_size)
    oh, ow = h if oh is None else oh, w if ow is None else ow
    y = np.zeros((n, c, oh, ow))
    for i, j in np.ndindex(oh, ow):
        rows = slice(i * h // oh, math.ceil((i + 1) * h / oh))
        columns = slice(j * w // ow, math.ceil((j + 1) * w / ow))
        y[:, :, i, j] = x[:, :, rows, columns].mean(axis=(2, 3))
    return y


# --- normalisation and activations ------------------------------------------------------------------------------------


def batch_norm(x, mean, var, w=None, b=None, training=False, momentum=0.1, eps=1e-5):
    """(x - mean) / sqrt(var + eps) * w + b of each channel; training takes the batch's mean and biased variance."""
    del momentum  # it moves the running statistics, which have a test of their own
    y = np.zeros_like(x)
    for c in range(x.shape[1]):
        channel = x[:, c]
        m, v = (channel.mean(), ((channel - channel.mean()) ** 2).mean()) if training else (mean[c], var[c])
        y[:, c] = (channel - m) / math.sqrt(v + eps) * (1.0 if w is None else w[c]) + (0.0 if b is None else b[c])
    return y


def sigmoid(x):
    """1 / (1 + exp(-x))."""
    return special.expit(x)


def softmax(x, dim):
    """exp(x) over its sum along `dim`."""
    return special.softmax(x, axis=dim)


def log_softmax(x, dim):
    """x - log(sum of exp(x)) along `dim`."""
    return special.log_softmax(x, axis=dim)


# --- losses -----------------------------------------------------------------------------------------------------------


def reduce(losses, reduction, denominator=None):
    """'none', 'sum' or 'mean' of the losses (`denominator` is the weight that the mean divides by)."""
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / (losses.size if denominator is None else denominator)


def nll_loss(logp, target, weight=None, ignore_index=-100, reduction="mean"):
    """-weight[t] * logp[n, t] for class labels t; the mean divides by the weights in use. logp (N, C, ...)."""
    return _class_loss(logp, target, weight, ignore_index, reduction, 0.0)


def cross_entropy(x, target, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """Cross-entropy of logits (N, C, ...) or (C,) with class labels (N, ...) or class probabilities (N, C, ...)."""
    single = x.ndim == 1
    if single:
        x, target = x[None], target[None]
    logp = log_softmax(x, 1)
    if np.issubdtype(target.dtype, np.integer):
        loss = _class_loss(logp, target, weight, ignore_index, reduction, label_smoothing)
        return loss[0] if single and reduction == "none" else loss
    classes = x.shape[1]
    weights = np.ones(classes) if weight is None else weight
    smooth = target * (1.0 - label_smoothing) + label_smoothing / classes
    losses = -(smooth * logp * weights.reshape(1, -1, *([1] * (x.ndim - 2)))).sum(axis=1)
    losses = reduce(losses, reduction)
    return losses[0] if single and reduction == "none" else losses


def _class_loss(logp, target, weight, ignore_index, reduction, smoothing):
    classes = logp.shape[1]
    weights = np.ones(classes) if weight is None else weight
    losses, used = np.zeros(target.shape), 0.0
    for at in np.ndindex(*target.shape):
        t = int(target[at])
        if t == ignore_index:
            continue
        row = logp[(at[0], slice(None), *at[1:])]
        losses[at] = -(1.0 - smoothing) * weights[t] * row[t] - smoothing / classes * (weights * row).sum()
        used += weights[t]
    return reduce(losses, reduction, used)


def mse_loss(x, target, reduction="mean"):
    """(x - target)**2."""
    return reduce((x - target) ** 2, reduction)


def l1_loss(x, target, reduction="mean"):
    """|x - target|."""
    return reduce(np.abs(x - target), reduction)


def binary_cross_entropy(p, target, weight=None, reduction="mean"):
    """-(t log p + (1 - t) log(1 - p)), the logarithms not below -100."""
    with np.errstate(divide="ignore"):
        losses = -(target * np.maximum(np.log(p), -100.0) + (1.0 - target) * np.maximum(np.log(1.0 - p), -100.0))
    return reduce(losses if weight is None else losses * weight, reduction)


def binary_cross_entropy_with_logits(x, target, weight=None, reduction="mean", pos_weight=None):
    """-(pos_weight t log s(x) + (1 - t) log(1 - s(x))), s the sigmoid, in a form safe from overflow."""
    log_p, log_q = -np.logaddexp(0.0, -x), -np.logaddexp(0.0, x)
    losses = -((1.0 if pos_weight is None else pos_weight) * target * log_p + (1.0 - target) * log_q)
    return reduce(losses if weight is None else losses * weight, reduction)


# --- sampling of images -----------------------------------------------------------------------------------------------


def affine_grid(theta, size, align_corners=False):
    """(N, H, W, 2): where output pixel (i, j) looks, theta (N, 2, 3) times (x, y, 1) with x, y in [-1, 1]."""
    n, _, h, w = size
    grid = np.zeros((n, h, w, 2))
    for i, j in np.ndindex(h, w):
        if align_corners:
            x, y = (2 * j / (w - 1) - 1 if w > 1 else 0.0), (2 * i / (h - 1) - 1 if h > 1 else 0.0)
        else:
            x, y = (2 * j + 1) / w - 1, (2 * i + 1) / h - 1
        grid[:, i, j] = theta @ np.array([x, y, 1.0])
    return grid


def grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False):
    """(N, C, OH, OW): the image at the positions of the grid (N, OH, OW, 2) in [-1, 1], (x, y) order."""
    n, c, h, w = x.shape
    oh, ow = grid.shape[1:3]
    y = np.zeros((n, c, oh, ow))

    def pixel(a, row, column):
        return x[a, :, row, column] if 0 <= row < h and 0 <= column < w else np.zeros(c)

    for a, i, j in np.ndindex(n, oh, ow):
        u = _position(grid[a, i, j, 0], w, padding_mode, align_corners)
        v = _position(grid[a, i, j, 1], h, padding_mode, align_corners)
        if mode == "nearest":
            y[a, :, i, j] = pixel(a, round(v), round(u))  # Python rounds halves to even, as nearbyint does
            continue
        left, top = math.floor(u), math.floor(v)
        for row, column in itertools.product((top, top + 1), (left, left + 1)):
            y[a, :, i, j] += (1 - abs(u - column)) * (1 - abs(v - row)) * pixel(a, row, column)
    return y


def _position(g, size, padding_mode, align_corners):
    """A coordinate in [-1, 1] as a pixel position, moved inside the image as the padding mode says."""
    p = (g + 1) / 2 * (size - 1) if align_corners else ((g + 1) * size - 1) / 2
    if padding_mode == "reflection":
        low, high = (0.0, size - 1.0) if align_corners else (-0.5, size - 0.5)
        if high == low:
            return 0.0
        while not low <= p <= high:
            p = 2 * low - p if p < low else 2 * high - p
    return p if padding_mode == "zeros" else min(max(p, 0.0), size - 1.0)


# --- random numbers ---------------------------------------------------------------------------------------------------


def philox_words(seed, offset, n):
    """n uint32 words of Philox 4x32-10 (Salmon et al. 2011) in Python integers; block i has counter offset + i."""
    words = []
    for block in range(-(-n // 4)):
        count = (offset + block) & (2**64 - 1)
        c = [count & 0xFFFFFFFF, count >> 32, 0, 0]
        k0, k1 = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
        for _ in range(10):
            a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [(b >> 32) ^ c[1] ^ k0, b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k1, a & 0xFFFFFFFF]
            k0, k1 = (k0 + 0x9E3779B9) & 0xFFFFFFFF, (k1 + 0xBB67AE85) & 0xFFFFFFFF
        words += c
    return np.array(words[:n], dtype=np.uint32)


def dropout(x, p, seed, offset=0):
    """x / (1 - p) where the word of the element is at least round(p * 2**32), else 0."""
    keep = philox_words(seed, offset, x.size).reshape(x.shape) >= round(p * 2**32)
    return np.where(keep, x / (1.0 - p), 0.0)
