"""Entries for the losses of label sequences."""

from __future__ import annotations

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, sample
from deepcore.check.oracles import probability as oracles
from deepcore.errors import ArgumentError, ConfigError, DTypeError, IndexRangeError, ShapeError


def _length(log_probs, *rest, **kwargs):
    return max(4 * log_probs.size, 1)


def _log_probs(rng, *shape):
    x = rng.standard_normal(shape)
    return x - np.log(np.exp(x).sum(-1, keepdims=True))


def _samples(rng):
    x = _log_probs(rng, 4, 3, 3)
    padded, inputs, lengths = np.array([[1, 2], [2, 2], [1, -7]]), np.array([4, 3, 2]), np.array([2, 2, 1])
    row = np.array([1, 2, 2, 2, 1])
    return [
        sample("mean", x, padded, inputs, lengths),
        sample("none", x, padded, inputs, lengths, reduction="none"),
        sample("in a row", x, row, inputs, lengths, reduction="sum"),
        sample("lengths on the host", x, row, (4, 3, 2), [2, 2, 1], reduction="none"),
        sample("last class is blank", x, np.array([[1, 0], [0, 0], [1, 0]]), inputs, lengths, blank=2),
        sample("no labels", x[:3], np.array([[1], [2], [0]]), np.array([3, 2, 0]), np.array([1, 0, 0])),
        sample("all without labels", x, np.zeros((3, 0), dtype="int64"), inputs, (0, 0, 0), reduction="none"),
        sample("three labels", x, np.array([[1, 2, 1], [1, 1, 2], [2, 1, 2]], dtype="int32"), (4, 4, 3), (3, 3, 3)),
        sample("impossible", x, padded, (4, 2, 0), lengths, reduction="none", diff=()),
        sample("impossible is 0", x, padded, (4, 2, 0), lengths, reduction="none", zero_infinity=True),
        sample("not normalised", x + 0.5, padded, inputs, lengths, reduction="sum"),
        sample("one sequence", x[:, 0], padded[0], 3, 2),
        sample("one sequence, none", x[:, 0], padded[0], (4,), np.array(1), reduction="none"),
        sample("empty", x[:, :0], padded[:0], inputs[:0], lengths[:0], reduction="sum"),
        sample("no time", x[:0], padded, (0, 0, 0), (0, 0, 0), reduction="none"),
    ]


_x, _t, _n = np.full((3, 2, 4), -1.4), np.array([[1, 2], [3, 1]]), np.array([3, 3])
_two = np.array([2, 2])

CASES = [
    OpCase(
        "ctc_loss",
        F.ctc_loss,
        oracles.ctc_loss,
        _samples,
        length=_length,
        kernels=True,
        errors=[
            bad("axes", ShapeError, r"^ctc_loss: expected log_probs \(T, N, C\).*\(4,\)", _x[0, 0], _t, _n, _two),
            bad("batch", ShapeError, r"^ctc_loss: expected targets \(2, S\).*\(1, 2\)", _x, _t[:1], _n, _two),
            bad("dtype", DTypeError, r"^ctc_loss: .*float64", _x, _t.astype("float64"), _n, _two),
            bad("integers", DTypeError, r"^ctc_loss: .*int64", _x.astype("int64"), _t, _n, _two),
            bad("lengths", ShapeError, r"^ctc_loss: expected input_lengths \(2,\).*\(3,\)", _x, _t, (3, 3, 3), _two),
            bad("lengths not whole", DTypeError, r"^ctc_loss: expected target_lengths integers", _x, _t, _n, (1.5, 2)),
            bad("blank", ConfigError, r"^ctc_loss: .*0 <= blank < 4.*blank=4", _x, _t, _n, _two, blank=4),
            bad("blank not whole", ArgumentError, r"^ctc_loss: .*blank=0\.5", _x, _t, _n, _two, blank=0.5),
            bad("ragged lengths", ShapeError, r"^ctc_loss: expected input_lengths", _x, _t, [[1], [2, 3]], _two),
            bad("reduction", ConfigError, r"^ctc_loss: .*average", _x, _t, _n, _two, reduction="average"),
            bad("row too short", ShapeError, r"^ctc_loss: .*4 labels.*\(3,\)", _x, np.array([1, 2, 3]), _n, _two),
            bad("too much time", IndexRangeError, r"input_lengths in 0\.\.3.*4", _x, _t, (3, 4), _two),
            bad("negative time", IndexRangeError, r"input_lengths in 0\.\.3.*-1", _x, _t, (3, -1), _two),
            bad("too many labels", IndexRangeError, r"target_lengths in 0\.\.2.*3", _x, _t, _n, (3, 1)),
            bad("no such label", IndexRangeError, r"labels 0\.\.3.*4", _x, _t + 1, _n, _two, nan_off_host=True),
            bad("length", IndexRangeError, r"target_lengths.*5", _x, _t, _n, np.array([5, 1]), nan_off_host=True),
            bad("time", IndexRangeError, r"input_lengths.*9", _x, _t, np.array([9, 1]), _two, nan_off_host=True),
        ],
    ),
]
