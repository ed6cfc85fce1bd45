"""Pixels of NCHW images copied to planes in the core's cache, for convolution with any stride.

A channel becomes a plane for each first row and column (the phases) of the pixels that a stride of (sh, sw) leads to,
with zeros for the padding. A plane's rows are `pitch` pixels apart.
"""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.vector import vectorised

LINE = 16  # float32 numbers in a cache line


@vectorised
def copy_row(v, planes, source, at, start, first, end, pitch):
    """Write pixels first..end of a row that begins at source[start] to planes[at:], zeros up to `pitch` of them.

    Up to one vector behind is overwritten: rows are written in their order.
    """
    with v.loop((pitch + (v.lanes - 1)) // v.lanes) as i:
        t = i * v.lanes
        v.store(planes + at + t, v.part(source + start + t, first - t, end - t))


@vectorised
def split_row(v, planes, source, at, other, start, first, end, pitch):
    """Write every other pixel of a row to `pitch` places from `at` on, and those between to as many from `other` on."""
    with v.loop((pitch + (v.lanes - 1)) // v.lanes) as i:
        t, n = i * v.lanes, v.lanes
        a = v.part(source + start + t * 2, first - t * 2, end - t * 2)
        b = v.part(source + start + t * 2 + n, first - t * 2 - n, end - t * 2 - n)
        v.store(planes + at + t, v.shuffle(a, b, list(range(0, 2 * n, 2))), pitch - t)
        v.store(planes + other + t, v.shuffle(a, b, list(range(1, 2 * n, 2))), pitch - t)


@vectorised
def take_row(v, planes, source, at, start, first, end, pitch):
    """Write every other pixel of a row that begins at source[start] to planes[at:], as copy_row does."""
    n = v.lanes
    with v.loop((pitch + (n - 1)) // n) as i:
        t = i * (2 * n)
        a = v.part(source + start + t, first - t, end - t)
        b = v.part(source + start + t + n, first - t - n, end - t - n)
        v.store(planes + at + i * n, v.shuffle(a, b, list(range(0, 2 * n, 2))))


@vectorised
def merge_row(v, target, source, at, one, other, width):
    """Write source[one], source[other], source[one + 1], source[other + 1], ... to target[at : at + width]."""
    n = v.lanes
    with v.loop((width + (2 * n - 1)) // (2 * n)) as i:
        a, b, t = v.load(source + one + i * n), v.load(source + other + i * n), i * (2 * n)
        for part in (0, n):
            places = [p // 2 + p % 2 * n for p in range(part, part + n)]
            v.store(target + at + t + part, v.shuffle(a, b, places), width - t - part)


@vectorised
def clear_row(v, planes, at, pitch):
    """Write zeros to planes[at : at + pitch]."""
    with v.loop((pitch + (v.lanes - 1)) // v.lanes) as i:
        v.store(planes + at + i * v.lanes, v.zero(), pitch - i * v.lanes)


@kernel()
def fill(planes, at, source, start, h, w, top, left, step_h, step_w, rows, pitch, other):
    """Copy pixels (top + u * step_h, left + t * step_w) of an h x w image, zero outside, to planes from `at` on.

    With step_w 2 and other >= 0 the pixels between go to `other`. Up to one vector behind the last row is overwritten.
    """
    for u in range(rows):
        row = top + u * step_h
        pixel = start + row * w + left
        if row < 0 or row >= h:
            clear_row(planes, at, pitch)
            if other >= 0:
                clear_row(planes, other, pitch)
        elif step_w == 1:
            copy_row(planes, source, at, pixel, -left, w - left, pitch)
        elif other >= 0:
            split_row(planes, source, at, other, pixel, -left, w - left, pitch)
        elif step_w == 2:
            take_row(planes, source, at, pixel, -left, w - left, pitch)
        else:
            for t in range(pitch):
                column = left + t * step_w
                planes[at + t] = source[pixel + t * step_w] if 0 <= column < w else 0
        at += pitch
        other += pitch if other >= 0 else 0


@kernel()
def fill_channels(planes, at, x, image, channel, channels, row, rows, phases, place):
    """Copy what output rows row, row + 1, ... of one image need to `channels` * len(phases) planes of `rows` rows.

    phases (P, 2): the first row and column of each plane. place: (stride, padding, pitch, plane).
    """
    _, c, h, w = x.shape
    source = x.reshape(x.size)
    (step_h, step_w), (pad_h, pad_w), pitch, plane = place
    for i in range(channels):
        start = (image * c + channel + i) * h * w
        p = 0
        while p < len(phases):
            top, left = row * step_h + phases[p, 0] - pad_h, phases[p, 1] - pad_w
            both = step_w == 2 and p + 1 < len(phases) and phases[p, 1] == 0 and phases[p + 1, 1] == 1
            fill(planes, at, source, start, h, w, top, left, step_h, step_w, rows, pitch, at + plane if both else -1)
            at += plane + plane if both else plane
            p += 2 if both else 1


@kernel()
def buffer(size):
    """Return zeros that begin with a cache line."""
    whole = np.zeros(size + LINE, np.float32)
    skip = (-whole.ctypes.data // 4) % LINE
    return whole[skip : skip + size]
