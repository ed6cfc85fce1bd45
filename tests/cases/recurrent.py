"""Entries for the recurrent layers, over a sequence and one step at a time."""

from __future__ import annotations

import numpy as np

from deepcore import functional as F
from deepcore.check.opdb import OpCase, bad, normal, sample
from deepcore.check.oracles import recurrent as oracles
from deepcore.errors import ConfigError, DTypeError, ShapeError

_T, _N, _D, _H = 3, 2, 3, 2
_PACKED = (3, 2, 1)


def _layer(rng, gates, states=1, peephole=False, x=(_T, _N, _D), n=_N):
    """Arguments: x, states, w_ih, w_hh, b_ih, b_hh and perhaps the peephole."""
    shapes = [x, *[(n, _H)] * states, (gates * _H, _D), (gates * _H, _H), (gates * _H,), (gates * _H,)]
    return [normal(rng, *shape) for shape in shapes + ([(3, _H)] if peephole else [])]


def _samples(gates, states=1, **more):
    def make(rng):
        def layer(**how):
            return _layer(rng, gates, states, **how)

        return [
            sample("plain", *layer()),
            sample("no bias, reverse", *layer()[:-2], reverse=True),
            sample("packed", *layer(x=(6, _D), n=3), batch_sizes=_PACKED),
            sample("packed, reverse", *layer(x=(6, _D), n=3), batch_sizes=_PACKED, reverse=True),
            sample("no rows", *layer(x=(_T, 0, _D), n=0)),
            sample("no steps", *layer(x=(0, _N, _D))),
            *(sample(name, *layer(**how), **options) for name, (how, options) in more.items()),
        ]

    return make


def _cell_samples(gates, states=1, **more):
    def make(rng):
        def layer(**how):
            return _layer(rng, gates, states, x=(_N, _D), **how)

        return [
            sample("plain", *layer()),
            sample("no bias", *layer()[:-2]),
            sample("no rows", *_layer(rng, gates, states, x=(0, _D), n=0)),
            *(sample(name, *layer(**how), **options) for name, (how, options) in more.items()),
        ]

    return make


def _length(x, *rest, **kwargs):
    """Terms that a gradient sums over: all rows, and each step hands its rounding errors on to the next."""
    return 4 * (_D + _H) * max(x.size, 1)


def _lstm_cell(x, h, c, *weights):
    return F.lstm_cell(x, (h, c), *weights)


def _rnn_cell_oracle(x, h, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh"):
    return oracles.rnn(x[None], h, w_ih, w_hh, b_ih, b_hh, nonlinearity)[1]


def _lstm_cell_oracle(x, h, c, w_ih, w_hh, b_ih=None, b_hh=None, peephole=None):
    return oracles.lstm(x[None], h, c, w_ih, w_hh, b_ih, b_hh, peephole)[1:]


def _gru_cell_oracle(x, h, w_ih, w_hh, b_ih=None, b_hh=None, reset_after=True):
    return oracles.gru(x[None], h, w_ih, w_hh, b_ih, b_hh, reset_after)[1]


def _wrong(gates, states=1):
    """Good arguments, to be spoilt in one place."""
    return _layer(np.random.default_rng(0), gates, states)


def _spoilt(arguments, at, value):
    return [value if i == at else a for i, a in enumerate(arguments)]


def _errors(op, gates, states=1):
    good = _wrong(gates, states)
    return [
        bad("2-d input", ShapeError, rf"^{op}: .*\(T, N, D\)", good[0][0], *good[1:]),
        bad("state", ShapeError, rf"^{op}: expected h0 \(2, 2\).*h0 \(5, 2\)", *_spoilt(good, 1, np.ones((5, 2)))),
        bad("weight", ShapeError, rf"^{op}: expected w_ih .*\(7, 3\)", *_spoilt(good, states + 1, np.ones((7, 3)))),
        bad("hidden weight", ShapeError, rf"^{op}: expected w_hh", *_spoilt(good, states + 2, np.ones((9, 2)))),
        bad("bias", ShapeError, rf"^{op}: expected b_ih", *_spoilt(good, states + 3, np.ones(1))),
        bad("dtype", DTypeError, rf"^{op}: ", *_spoilt(good, 1, np.ones((_N, _H), dtype="int64"))),
        bad("packed", ShapeError, rf"^{op}: .*never grow", good[0][0], *good[1:], batch_sizes=(1, 1, 1)),
    ]


def _cell_errors(op, gates):
    good = _wrong(gates)
    return [
        bad("3-d input", ShapeError, rf"^{op}: .*\(N, D\)", *good),
        bad("state", ShapeError, rf"^{op}: expected hx", good[0][0], np.ones((5, 2)), *good[2:]),
    ]


_peepholes = np.ones((2, _H))

CASES = [
    OpCase(
        "rnn",
        F.rnn,
        oracles.rnn,
        _samples(1, relu=({}, {"nonlinearity": "relu"})),
        length=_length,
        errors=[
            *_errors("rnn", 1),
            bad("nonlinearity", ConfigError, r"^rnn: .*Did you mean 'relu'", *_wrong(1), nonlinearity="rellu"),
        ],
    ),
    OpCase(
        "lstm",
        F.lstm,
        oracles.lstm,
        _samples(
            4,
            2,
            peephole=({"peephole": True}, {}),
            peephole_packed=({"peephole": True, "x": (6, _D), "n": 3}, {"batch_sizes": _PACKED, "reverse": True}),
        ),
        length=_length,
        errors=[
            *_errors("lstm", 4, 2),
            bad("peephole", ShapeError, r"^lstm: expected peephole \(3, 2\)", *_wrong(4, 2), _peepholes),
        ],
        kernels=True,
    ),
    OpCase(
        "gru",
        F.gru,
        oracles.gru,
        _samples(
            3,
            before=({}, {"reset_after": False}),
            before_packed=({"x": (6, _D), "n": 3}, {"batch_sizes": _PACKED, "reset_after": False, "reverse": True}),
        ),
        length=_length,
        errors=_errors("gru", 3),
        kernels=True,
    ),
    OpCase(
        "rnn_cell",
        F.rnn_cell,
        _rnn_cell_oracle,
        _cell_samples(1, relu=({}, {"nonlinearity": "relu"})),
        length=_length,
        errors=[
            *_cell_errors("rnn_cell", 1),
            bad("nonlinearity", ConfigError, r"^rnn_cell: .*'sin'", *_wrong(1), nonlinearity="sin"),
        ],
    ),
    OpCase(
        "rnn_tanh_cell",
        F.rnn_tanh_cell,
        _rnn_cell_oracle,
        _cell_samples(1),
        length=_length,
    ),
    OpCase(
        "rnn_relu_cell",
        F.rnn_relu_cell,
        lambda *args: _rnn_cell_oracle(*args, *[None] * (6 - len(args)), nonlinearity="relu"),
        _cell_samples(1),
        length=_length,
    ),
    OpCase(
        "lstm_cell",
        _lstm_cell,
        _lstm_cell_oracle,
        _cell_samples(4, 2, peephole=({"peephole": True}, {})),
        length=_length,
        errors=[
            bad("3-d input", ShapeError, r"^lstm_cell: .*\(N, D\)", *_wrong(4, 2)),
            bad(
                "state",
                ShapeError,
                r"^lstm_cell: expected hx\[0\]",
                np.ones((_N, _D)),
                *_wrong(4, 2)[:1] * 2,
                *_wrong(4, 2)[3:],
            ),
        ],
    ),
    OpCase(
        "gru_cell",
        F.gru_cell,
        _gru_cell_oracle,
        _cell_samples(3, before=({}, {"reset_after": False})),
        length=_length,
        errors=_cell_errors("gru_cell", 3),
    ),
]
