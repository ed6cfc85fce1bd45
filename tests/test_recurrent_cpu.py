"""What device "cpu" does to be fast in recurrent layers: packed weights, shares of a batch, rows that repeat."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import nn
from deepcore.backends import get_backend
from deepcore.backends.cpu import recurrent
from deepcore.check.tolerance import assert_close
from deepcore.functions.sequence import repeats
from deepcore.kernels.cpu import recurrent_product
from deepcore.kernels.cpu.team import Team

SIZES = [(1, 1, 1), (1, 5, 20), (7, 5, 4), (16, 17, 68), (9, 128, 51), (33, 40, 96), (15, 300, 112)]
BACKEND = get_backend("cpu")


def noise(*shape: int, seed: int = 0, dtype: str = "float32") -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("turned", [True, False])
@pytest.mark.parametrize(("rows", "k", "columns"), SIZES)
def test_product(rows: int, k: int, columns: int, turned: bool, dtype: str) -> None:
    w, x = noise(k, columns, dtype=dtype), noise(rows + 2, k, seed=1, dtype=dtype)
    start = noise(rows + 1, columns, seed=2, dtype=dtype)
    packed = recurrent._packed(np.ascontiguousarray(w.T) if turned else w, turned)
    product = x[2:].astype("float64") @ w
    for add, expected in ((True, product + start[1:]), (False, product)):
        for backwards in (True, False):
            out = np.full((rows + 3, columns), 7, dtype)
            recurrent_product.product(out, 2, start, 1, x, 2, rows, packed, add, backwards)
            assert_close(out[2:-1], expected, dtype, k)
            assert (out[:2] == 7).all()
            assert (out[-1] == 7).all()


def everything(hidden: int, steps: tuple[int, ...], reverse: bool) -> list[np.ndarray]:
    """All results of the kernels for steps of so many rows."""
    rows, m = steps[0], sum(steps)
    found: list[Any] = []
    h, c, dy = noise(rows, hidden), noise(rows, hidden, seed=1), noise(m, hidden, seed=2)
    w, gx = noise(4 * hidden, hidden, seed=3), noise(m, 4 * hidden, seed=4)
    for peephole in (None, noise(3, hidden, seed=5)):
        y, h_n, c_n, gates, cells = BACKEND.lstm(gx, h, c, w, peephole, steps, reverse)
        found += [y, h_n, c_n, gates, cells]
        found += BACKEND.lstm_grad(dy, h, c, gates, cells, c, w, peephole, steps, reverse)
    w, gx, bias = w[: 3 * hidden], np.ascontiguousarray(gx[:, : 3 * hidden]), noise(3 * hidden, seed=6)
    for after in (True, False):
        y, h_n, gates = BACKEND.gru(gx, h, w, bias, steps, reverse, after)
        found += [y, h_n, gates, *BACKEND.gru_grad(dy, h, gates, y, h, w, steps, reverse, after)]
    w, gx = w[:hidden], np.ascontiguousarray(gx[:, :hidden])
    for nonlinearity in ("tanh", "relu"):
        y, h_n = BACKEND.rnn(gx, h, w, steps, reverse, nonlinearity)
        found += [y, h_n, *BACKEND.rnn_grad(dy, h, y, w, steps, reverse, nonlinearity)]
    return found


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize(("hidden", "steps"), [(96, (33, 33, 33)), (97, (29, 29, 11, 3)), (129, (70,)), (101, (2, 1))])
def test_the_same_bits_with_any_number_of_threads(
    hidden: int, steps: tuple[int, ...], reverse: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    results = []
    for size in (1, 2, 3):
        monkeypatch.setattr(recurrent, "team", Team(size))
        results.append(everything(hidden, steps, reverse))
    for one, *others in zip(*results, strict=True):
        for other in others:
            assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_rows_that_repeat(kind: str, batch_first: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Behind an embedding: the same results as without looking for them, also when one is changed in between."""
    dc.manual_seed(0)
    words = dc.tensor(np.random.default_rng(0).integers(0, 5, (9, 8)))
    table, layer = nn.Embedding(7, 12), getattr(nn, kind)(12, 10, num_layers=2, batch_first=batch_first)
    parameters = [*table.parameters(), *layer.parameters()]
    g = dc.tensor(noise(9, 8, 10))
    seen = []
    find = repeats.find
    monkeypatch.setattr(repeats, "find", lambda *args: seen.append(find(*args)) or seen[-1])
    for change in (False, True):
        results = []
        for least in (0, 1 << 60):
            monkeypatch.setattr(repeats, "LEAST_WORK", least)
            seen.clear()
            for parameter in parameters:
                parameter.grad = None
            x = table(words)
            x.retain_grad()
            if change:
                x.detach().numpy()[3, 4] += 1
            layer(x)[0].backward(g)
            results.append([x.grad, *(p.grad for p in parameters)])
            assert [r is not None for r in seen] == [least == 0 and not change, False]
        for got, expected in zip(*results, strict=True):
            assert_close(got.numpy(), expected.numpy(), "float32", 72)
