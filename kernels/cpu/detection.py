"""Non-maximum suppression."""

from __future__ import annotations

import numpy as np

from deepcore.kernels.cpu.compiler import kernel


@kernel()
def nms(first, last, kept, x1, y1, x2, y2, groups, threshold):
    """Write True to kept (N,) for every box that stays; boxes in order of falling scores. The range is 0..1.

    The roundings are those of the reference, so that the same boxes stay.
    """
    count = kept.size
    areas = (x2 - x1) * (y2 - y1)
    zero = x1.dtype.type(0)
    dropped = np.zeros(count, np.uint8)
    for i in range(count):
        kept[i] = dropped[i] == 0
        if dropped[i]:
            continue
        left, top, right, bottom, area, group = x1[i], y1[i], x2[i], y2[i], areas[i], groups[i]
        for j in range(i + 1, count):
            low_x, low_y = (left if left > x1[j] else x1[j]), (top if top > y1[j] else y1[j])
            high_x, high_y = (right if right < x2[j] else x2[j]), (bottom if bottom < y2[j] else y2[j])
            width, height = high_x - low_x, high_y - low_y
            width = zero if width < 0 else width
            height = zero if height < 0 else height
            shared = width * height
            over = np.float64(shared / (area + areas[j] - shared)) > threshold
            same = groups[j] == group
            dropped[j] |= np.uint8(over & same)
