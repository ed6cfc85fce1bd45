"""The book's recurrent layers: values against plain NumPy, gradients against central differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import layers
from deepcore.backends import get_backend
from deepcore.check.tolerance import STEP, assert_close, assert_derivative_close
from deepcore.errors import DTypeError, GraphError, ShapeError

N, T, D, H = 3, 4, 2, 3
RNG = np.random.default_rng(8)


@pytest.fixture
def place(device: str) -> Any:
    with dc.device(device):
        yield get_backend(device)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def rnn(x, h, Wx, Wh, b):
    return (np.tanh(x @ Wx + h @ Wh + b),)


def lstm(x, h, c, Wx, Wh, b, Wc=None):
    a = x @ Wx + h @ Wh + b
    f, g, i, o = (a[:, k * H : (k + 1) * H] for k in range(4))
    pf, pi, po = np.zeros((3, H)) if Wc is None else Wc
    new = sigmoid(f + pf * c) * c + sigmoid(i + pi * c) * np.tanh(g)
    return sigmoid(o + po * new) * np.tanh(new), new


def gru(x, h, Wx, Wh, b):
    r = sigmoid(x @ Wx[:, :H] + h @ Wh[:, :H] + b[:H])
    z = sigmoid(x @ Wx[:, H : 2 * H] + h @ Wh[:, H : 2 * H] + b[H : 2 * H])
    n = np.tanh(x @ Wx[:, 2 * H :] + (r * h) @ Wh[:, 2 * H :] + b[2 * H :])
    return (z * h + (1 - z) * n,)


def over_time(step: Callable) -> Callable:
    """hs (N, T, H) of a sequence, from zeros or from the given states."""

    def run(xs, *states, **weights):
        hs = []
        for t in range(xs.shape[1]):
            states = step(xs[:, t], *states, **weights)
            hs.append(states[0])
        return (np.stack(hs, axis=1),)

    return run


def weights(gates: int, peepholes: bool = False) -> dict[str, np.ndarray]:
    shapes = {"Wx": (D, gates * H), "Wh": (H, gates * H), "b": (gates * H,)} | ({"Wc": (3, H)} if peepholes else {})
    return {name: RNG.standard_normal(shape) for name, shape in shapes.items()}


def states(count: int) -> tuple[np.ndarray, ...]:
    return tuple(RNG.standard_normal((N, H)) for _ in range(count))


# Each: layer, weights, x, states that go into forward, formula.
STEPS = {
    "RNN": (layers.RNN, weights(1), RNG.standard_normal((N, D)), states(1), rnn),
    "LSTM": (layers.LSTM, weights(4), RNG.standard_normal((N, D)), states(2), lstm),
    "LSTM with peepholes": (layers.LSTM, weights(4, True), RNG.standard_normal((N, D)), states(2), lstm),
    "GRU": (layers.GRU, weights(3), RNG.standard_normal((N, D)), states(1), gru),
}
SEQUENCES = {
    "TimeRNN": (layers.TimeRNN, weights(1), RNG.standard_normal((N, T, D)), states(1), over_time(rnn)),
    "TimeLSTM": (layers.TimeLSTM, weights(4), RNG.standard_normal((N, T, D)), states(2), over_time(lstm)),
    "TimeLSTM with peepholes": (
        layers.TimeLSTM,
        weights(4, True),
        RNG.standard_normal((N, T, D)),
        states(2),
        over_time(lstm),
    ),
    "TimeGRU": (layers.TimeGRU, weights(3), RNG.standard_normal((N, T, D)), states(1), over_time(gru)),
}


def slope(value: Callable[[np.ndarray], float], at: np.ndarray, direction: np.ndarray) -> float:
    return (value(at + STEP * direction) - value(at - STEP * direction)) / (2 * STEP)


def check(place: Any, got: dict[str, Any], arguments: dict[str, np.ndarray], loss: Callable[..., float]) -> None:
    """Each gradient along random directions of length one."""
    for name, gradient in got.items():
        for _ in range(3):
            direction = RNG.standard_normal(arguments[name].shape)
            direction /= np.linalg.norm(direction)
            numerical = slope(lambda moved, name=name: loss(**arguments | {name: moved}), arguments[name], direction)
            assert_derivative_close((place.to_host(gradient) * direction).sum(), numerical, N * T * H, f"d{name}")


@pytest.mark.parametrize("name", STEPS)
def test_one_step(place: Any, name: str) -> None:
    make, params, x, start, formula = STEPS[name]
    layer = make(**{key: place.from_host(w.copy()) for key, w in params.items()})
    inputs = [place.from_host(a.copy()) for a in (x, *start)]
    expected = formula(x, *start, **params)
    cotangents = [RNG.standard_normal((N, H)) for _ in start]
    results = layer.forward(*inputs)
    results = results if isinstance(results, tuple) else (results,)
    for got, e in zip(results, expected, strict=True):
        assert_close(place.to_host(got), e, "float64", 2 * H + D)
    douts = [place.from_host(v.copy()) for v in cotangents]
    grads = layer.backward(*douts)

    def loss(**arguments):
        names = ["x", *(f"state{i}" for i in range(len(start)))]
        ys = formula(*[arguments.pop(n) for n in names], **arguments)
        return float(sum((y * v).sum() for y, v in zip(ys, cotangents, strict=True)))

    given = {"x": x, **{f"state{i}": s for i, s in enumerate(start)}}
    found = dict(zip(given, grads, strict=True)) | {key: getattr(layer, f"d{key}") for key in params}
    check(place, found, given | params, loss)
    for array, before in zip([*inputs, *douts], [x, *start, *cotangents], strict=True):
        np.testing.assert_array_equal(place.to_host(array), before, err_msg="what is given is only read")


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_sequence(place: Any, name: str) -> None:
    make, params, xs, start, formula = SEQUENCES[name]
    layer = make(**{key: place.from_host(w.copy()) for key, w in params.items()}, stateful=True)
    layer.set_state(*[place.from_host(s) for s in start])
    hs = layer.forward(place.from_host(xs))
    (expected,) = formula(xs, *start, **params)
    assert_close(place.to_host(hs), expected, "float64", T * (2 * H + D))
    np.testing.assert_array_equal(place.to_host(layer.h), place.to_host(hs)[:, -1])
    cotangent = RNG.standard_normal(expected.shape)
    dxs = layer.backward(place.from_host(cotangent))
    names = ["h", "c"][: len(start)]

    def loss(**arguments):
        return float((formula(*[arguments.pop(n) for n in ("xs", *names)], **arguments)[0] * cotangent).sum())

    given = {"xs": xs, **dict(zip(names, start, strict=True))} | params
    found = {"xs": dxs} | {n: getattr(layer, f"d{n}") for n in (*names, *params)}
    check(place, found, given, loss)


@pytest.mark.parametrize("name", SEQUENCES)
def test_a_stateful_layer_goes_on(name: str) -> None:
    make, params, xs, start, _ = SEQUENCES[name]
    whole = make(**params).forward(xs)
    layer = make(**params, stateful=True)
    for _ in range(2):
        pieces = [layer.forward(xs[:, :1]), layer.forward(xs[:, 1:])]
        assert_close(np.concatenate(pieces, axis=1), whole, "float64", T * H)
        layer.reset_state()
    fresh = make(**params)
    fresh.set_state(*start)
    assert_close(fresh.forward(xs), whole, "float64", T * H)  # not stateful: from zeros


def test_the_step_is_that_of_tensors() -> None:
    """The same Function with the book's weights: equal bits."""
    _, params, x, (h, c), _ = STEPS["LSTM"]
    got = layers.LSTM(**params).forward(x, h, c)
    order = np.concatenate([np.arange(k * H, (k + 1) * H) for k in (2, 0, 1, 3)])
    t = [dc.tensor(params[n][..., order].T) for n in ("Wx", "Wh", "b")]
    for mine, theirs in zip(got, F.lstm_cell(dc.tensor(x), (dc.tensor(h), dc.tensor(c)), *t), strict=True):
        np.testing.assert_array_equal(mine, theirs.numpy())


def test_errors() -> None:
    layer = layers.LSTM(np.ones((D, 4 * H)), np.ones((H, 4 * H)), np.ones(4 * H))
    x, h = np.ones((N, D)), np.ones((N, H))
    with pytest.raises(GraphError, match=r"LSTM: .*call forward"):
        layer.backward(h, h)
    with pytest.raises(ShapeError, match=r"LSTM: expected .*Wx \(D, 4 H\).*got x \(3, 5\)"):
        layer.forward(np.ones((N, 5)), h, h)
    with pytest.raises(ShapeError, match=r"LSTM: .*state 1 \(2, 3\)"):
        layer.forward(x, h, h[:2])
    with pytest.raises(ShapeError, match=r"RNN: expected .*b \(H,\)"):
        layers.RNN(np.ones((D, H)), np.ones((H, H)), np.ones(H + 1)).forward(x, h)
    with pytest.raises(ShapeError, match=r"LSTM: expected Wc \(3, H\)"):
        layers.LSTM(layer.Wx, layer.Wh, layer.b, np.ones((2, H))).forward(x, h, h)
    with pytest.raises(ShapeError, match=r"TimeGRU: expected xs \(N, T, D\)"):
        layers.TimeGRU(np.ones((D, 3 * H)), np.ones((H, 3 * H)), np.ones(3 * H)).forward(x)
    with pytest.raises(ShapeError, match=r"LSTM: expected x \(N, D\); got x \(2,\)"):
        layer.forward(x[0], h, h)
    with pytest.raises(DTypeError, match="list"):
        layer.forward([1.0], h, h)
    with pytest.raises(DTypeError, match="LSTM: expected one floating dtype"):
        layer.forward(x.astype("float32"), h, h)
