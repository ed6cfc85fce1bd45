"""Non-maximum suppression of boxes."""

from __future__ import annotations

import numpy

from deepcore.backends.base.array import accumulator


class Detection:
    """What detectors need beside arithmetic; a mixin of Backend."""

    def nms(self, boxes, scores, groups, iou_threshold):
        """Return the kept boxes' places, int64, best score first: boxes (N, 4), scores (N,), groups (N,) or None.

        Greedy: the best box is kept, those of its group that overlap it by more than iou_threshold are dropped, and so
        on with the rest; equal scores stay in order. Each step depends on the one before, so the boxes are copied to
        the host and the steps are made there.
        """
        wide = accumulator(boxes.dtype)
        corners = self.to_host(boxes).astype(wide, copy=False)
        order = numpy.argsort(-self.to_host(scores).astype(wide, copy=False), kind="stable")
        groups = None if groups is None else self.to_host(groups)
        x1, y1, x2, y2 = corners.T
        areas = (x2 - x1) * (y2 - y1)
        kept = []
        with numpy.errstate(all="ignore"):  # a pair of empty boxes has the overlap 0 / 0, which is not more than any
            while order.size:
                best, rest = order[0], order[1:]
                kept.append(best)
                width = numpy.maximum(numpy.minimum(x2[best], x2[rest]) - numpy.maximum(x1[best], x1[rest]), 0)
                height = numpy.maximum(numpy.minimum(y2[best], y2[rest]) - numpy.maximum(y1[best], y1[rest]), 0)
                shared = width * height
                overlap = shared / (areas[best] + areas[rest] - shared)
                dropped = overlap.astype("float64") > iou_threshold
                if groups is not None:
                    dropped &= groups[rest] == groups[best]
                order = rest[~dropped]
        return self.from_host(numpy.array(kept, dtype="int64"))
