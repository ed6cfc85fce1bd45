"""Recurrent layers over a whole sequence, one layer and one direction each, and their single steps.

The inputs of all time steps go through one matrix product before the loop, and each weight's gradient is one product
after it. Weight layouts and the order of the gates are PyTorch's.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.observer import composite
from deepcore.autograd.precision import cast_as_one
from deepcore.backends.base.array import accumulator
from deepcore.backends.base.recurrent import blocks, previous, spans
from deepcore.errors import ConfigError, ShapeError, got, message, nearest
from deepcore.functions.activation.basic import relu, sigmoid, tanh
from deepcore.functions.linalg.products import linear, same_dtype
from deepcore.functions.sequence import repeats
from deepcore.functions.shape import cat, chunk, reshape

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "gru",
    "gru_cell",
    "lstm",
    "lstm_cell",
    "rnn",
    "rnn_cell",
    "rnn_relu_cell",
    "rnn_tanh_cell",
]

NONLINEARITIES = ("tanh", "relu")


class _Sequence(Function):
    """What the three have in common: rows x (M, D) of all steps, `steps` with the number of rows of each."""

    gates = 1
    intermediates = ("repeats",)

    def __init__(self, name: str, steps: tuple[int, ...], reverse: bool) -> None:
        self.name, self.steps, self.reverse = name, steps, reverse
        self.repeats: repeats.Repeats | None = None

    def spans(self) -> list[tuple[int, int]]:
        """First and last row of each step, in the order of computation."""
        return spans(self.steps, self.reverse)

    def in_time(self, pieces: list[Any], nothing: Any) -> Any:
        """The steps' results, listed in the order of computation, in one tensor."""
        return cat(pieces[::-1] if self.reverse else pieces) if pieces else nothing

    def before(self, y: Any, start: Any) -> Any:
        """The state before the step of each row."""
        return previous(self.backend.xp, y, start, self.steps, self.reverse)

    def weight_grad(self, g: Any, y: Any, start: Any) -> Any:
        """g^T times the state before the step of each row: the gradient (C, H) of a weight, from g (M, C)."""
        n, matmul = start.shape[0], self.backend.matmul
        if n == 0 or len(self.steps) < 2 or self.steps[0] != self.steps[-1]:
            return matmul(g.T, self.before(y, start))
        # With as many rows in every step the states before are those after, moved by a step: no copy is needed.
        first, rest, known = (g[-n:], g[:-n], y[n:]) if self.reverse else (g[:n], g[n:], y[:-n])
        out = matmul(rest.T, known)
        out += matmul(first.T, start)
        return out

    def zeros_for(self, grads: Sequence[Any], *likes: Any) -> list[Any]:
        """Gradients of the outputs, zeros for those that took no part."""
        given = [*grads, *([None] * (len(likes) - len(grads)))]
        return [self.backend.xp.zeros_like(like) if g is None else g for g, like in zip(given, likes, strict=True)]

    def from_input(self, x: Any, w_ih: Any, bias: Any) -> Any:
        """x W_ih^T + bias, rows that are equal computed once."""
        if self.repeats is None:
            return self.backend.linear(x, w_ih, bias)
        first, kind = self.repeats
        return self.backend.xp.take(self.backend.linear(x[first], w_ih, bias), kind, axis=0)

    def input_grads(self, at: int, dgx: Any, x: Any, w_ih: Any) -> tuple[Any, Any]:
        """(dx, dw_ih) from the gradient of the gates; w_ih is input `at`."""
        dx = self.backend.matmul(dgx, w_ih) if self.wants(0) else None
        if not self.wants(at):
            return dx, None
        if self.repeats is not None:
            first, kind = self.repeats
            dgx, x = self.backend.index_add((first.shape[0], dgx.shape[1]), dgx.dtype, kind, dgx), x[first]
        return dx, self.backend.matmul(dgx.T, x)

    def bias_grads(self, at: int, dgx: Any, b_ih: Any, b_hh: Any) -> tuple[Any, Any]:
        """The gradients of b_ih and b_hh, inputs `at` and `at` + 1, which are added to the same sums."""
        first, second = (b is not None and self.wants(i) for i, b in ((at, b_ih), (at + 1, b_hh)))
        if not first and not second:
            return None, None
        db = self.backend.bias_grad(dgx, 1)
        return (db if first else None), ((db.copy() if first else db) if second else None)


def column_sums(g: Any) -> Any:
    """The sum over rows, of float16 in float32."""
    return g.sum(axis=0, dtype=accumulator(g.dtype)).astype(g.dtype, copy=False)


def both_biases(b_ih: Any, b_hh: Any) -> Any:
    """The sum of two biases of which each may be None."""
    return b_hh if b_ih is None else b_ih if b_hh is None else b_ih + b_hh


def moved(new: Any, state: Any) -> Any:
    """`state` with its first rows replaced: only the sequences that are still running move on."""
    return new if new.shape[0] == state.shape[0] else cat([new, state[new.shape[0] :]])


class Rnn(_Sequence):
    def __init__(self, name: str, steps: tuple[int, ...], reverse: bool, nonlinearity: str) -> None:
        super().__init__(name, steps, reverse)
        self.nonlinearity = nonlinearity

    def forward(self, x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
        gx = self.from_input(x, w_ih, both_biases(b_ih, b_hh))
        y, h_n = self.backend.rnn(gx, h0, w_hh, self.steps, self.reverse, self.nonlinearity)
        self.saved = (x, h0, w_ih, w_hh, b_ih, b_hh, y)
        return y, h_n

    def backward(self, *grads: Any) -> Any:
        x, h0, w_ih, w_hh, b_ih, b_hh, y = self.saved
        dy, dh_n = self.zeros_for(grads, y, h0)
        dgx, dh0 = self.backend.rnn_grad(dy, dh_n, y, w_hh, self.steps, self.reverse, self.nonlinearity)
        dx, dw_ih = self.input_grads(2, dgx, x, w_ih)
        dw_hh = self.weight_grad(dgx, y, h0) if self.wants(3) else None
        return dx, dh0, dw_ih, dw_hh, *self.bias_grads(4, dgx, b_ih, b_hh)

    def formula(self, x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
        gx, h, pieces = linear(x, w_ih, b_ih), h0, []
        for first, last in self.spans():
            a = gx[first:last] + linear(h[: last - first], w_hh, b_hh)
            pieces.append(tanh(a) if self.nonlinearity == "tanh" else relu(a))
            h = moved(pieces[-1], h)
        return self.in_time(pieces, gx), h


class Lstm(_Sequence):
    gates = 4

    def forward(self, x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, peephole: Any) -> Any:
        gx = self.from_input(x, w_ih, both_biases(b_ih, b_hh))
        y, h_n, c_n, gates, cells = self.backend.lstm(gx, h0, c0, w_hh, peephole, self.steps, self.reverse)
        self.saved = (x, h0, c0, w_ih, w_hh, b_ih, b_hh, peephole, y, gates, cells)
        return y, h_n, c_n

    def backward(self, *grads: Any) -> Any:
        x, h0, c0, w_ih, w_hh, b_ih, b_hh, peephole, y, gates, cells = self.saved
        dy, dh_n, dc_n = self.zeros_for(grads, y, h0, c0)
        dgx, dh0, dc0 = self.backend.lstm_grad(
            dy, dh_n, dc_n, gates, cells, c0, w_hh, peephole, self.steps, self.reverse
        )
        dx, dw_ih = self.input_grads(3, dgx, x, w_ih)
        dw_hh = self.weight_grad(dgx, y, h0) if self.wants(4) else None
        dp = None
        if peephole is not None and self.wants(7):
            i, f, _, o = blocks(dgx, 4)
            old = self.before(cells, c0)
            dp = self.backend.xp.stack([column_sums(i * old), column_sums(f * old), column_sums(o * cells)])
        return dx, dh0, dc0, dw_ih, dw_hh, *self.bias_grads(5, dgx, b_ih, b_hh), dp

    def formula(self, x: Any, h0: Any, c0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, peephole: Any) -> Any:
        gx, h, c, pieces = linear(x, w_ih, b_ih), h0, c0, []
        for first, last in self.spans():
            old = c[: last - first]
            i, f, g, o = chunk(gx[first:last] + linear(h[: last - first], w_hh, b_hh), 4, 1)
            if peephole is not None:
                i, f = i + peephole[0] * old, f + peephole[1] * old
            new = sigmoid(f) * old + sigmoid(i) * tanh(g)
            if peephole is not None:
                o = o + peephole[2] * new
            pieces.append(sigmoid(o) * tanh(new))
            h, c = moved(pieces[-1], h), moved(new, c)
        return self.in_time(pieces, gx[:, : h0.shape[1]]), h, c


class Gru(_Sequence):
    gates = 3

    def __init__(self, name: str, steps: tuple[int, ...], reverse: bool, reset_after: bool) -> None:
        super().__init__(name, steps, reverse)
        self.reset_after = reset_after

    def forward(self, x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
        gx = self.from_input(x, w_ih, b_ih)
        y, h_n, gates = self.backend.gru(gx, h0, w_hh, b_hh, self.steps, self.reverse, self.reset_after)
        self.saved = (x, h0, w_ih, w_hh, b_ih, b_hh, y, gates)
        return y, h_n

    def backward(self, *grads: Any) -> Any:
        x, h0, w_ih, w_hh, b_ih, b_hh, y, gates = self.saved
        dy, dh_n = self.zeros_for(grads, y, h0)
        dgx, dh0 = self.backend.gru_grad(dy, dh_n, gates, y, h0, w_hh, self.steps, self.reverse, self.reset_after)
        dx, dw_ih = self.input_grads(2, dgx, x, w_ih)
        xp, size = self.backend.xp, h0.shape[1]
        r, _, _, extra = blocks(gates, 4)
        # What reaches the hidden side: with reset_after the third gate's part passes through r first.
        gates_part, new_part = dgx[:, : 2 * size], dgx[:, 2 * size :]
        if self.reset_after:
            new_part = new_part * r
        dw_hh = None
        if self.wants(3):
            last = self.weight_grad(new_part, y, h0) if self.reset_after else self.backend.matmul(new_part.T, extra)
            dw_hh = xp.concatenate((self.weight_grad(gates_part, y, h0), last))
        db, db_hh = self.bias_grads(4, dgx, b_ih, b_hh)
        if db_hh is not None and self.reset_after:
            db_hh[2 * size :] = self.backend.bias_grad(new_part, 1)
        return dx, dh0, dw_ih, dw_hh, db, db_hh

    def formula(self, x: Any, h0: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
        gx, h, pieces, size = linear(x, w_ih, b_ih), h0, [], h0.shape[1]
        for first, last in self.spans():
            old = h[: last - first]
            xr, xz, xn = chunk(gx[first:last], 3, 1)
            hr, hz, hn = chunk(linear(old, w_hh, b_hh), 3, 1)
            r, z = sigmoid(xr + hr), sigmoid(xz + hz)
            if not self.reset_after:
                hn = linear(r * old, w_hh[2 * size :], None if b_hh is None else b_hh[2 * size :])
            n = tanh(xn + (r * hn if self.reset_after else hn))
            pieces.append((1.0 - z) * n + z * old)
            h = moved(pieces[-1], h)
        return self.in_time(pieces, gx[:, :size]), h


def _check(op: str, fn: type[_Sequence], x: Any, rows: int, states: dict[str, Any], weights: dict[str, Any]) -> None:
    """Shapes and dtypes of one layer; `rows` is the number of sequences."""
    arrays = {"input": x, **states, **weights}
    size = weights["w_hh"].shape[-1] if weights["w_hh"].ndim else 0
    wide = fn.gates * size
    shapes: dict[str, tuple[int, ...]] = {
        **dict.fromkeys(states, (rows, size)),
        "w_ih": (wide, x.shape[-1]),
        "w_hh": (wide, size),
    }
    shapes |= {"b_ih": (wide,), "b_hh": (wide,), "peephole": (3, size)}
    for name, shape in shapes.items():
        if arrays.get(name) is not None and arrays[name].shape != shape:
            expected = f"{name} {shape}: {fn.gates} x hidden size {size} from w_hh, {rows} sequences"
            given = {k: a for k, a in arrays.items() if a is not None}
            raise ShapeError(message(op, expected, got(**given)))
    same_dtype(op, **arrays)


def _steps(op: str, x: Any, batch_sizes: Any) -> tuple[int, ...]:
    """How many rows each step has."""
    if batch_sizes is None:
        if x.ndim != 3:
            hint = "packed rows (M, D) need batch_sizes"
            raise ShapeError(message(op, "input (T, N, D)", got(input=x), hint))
        return (x.shape[1],) * x.shape[0]
    sizes = batch_sizes.numpy().tolist() if hasattr(batch_sizes, "numpy") else batch_sizes
    steps = tuple(int(n) for n in sizes)
    falling = all(a >= b > 0 for a, b in itertools.pairwise(steps))
    if x.ndim != 2 or not steps or not falling or sum(steps) != x.shape[0]:
        expected = "input (M, D) and batch_sizes that never grow and add up to M"
        raise ShapeError(message(op, expected, f"{got(input=x)}, batch_sizes={steps}"))
    return steps


def _run(fn: _Sequence, x: Any, states: dict[str, Any], weights: dict[str, Any]) -> tuple[Any, ...]:
    """The checked call: x (T, N, D) or packed (M, D), and y in the same form."""
    rows = fn.steps[0] if x.ndim == 2 else x.shape[1]
    _check(fn.name, type(fn), x, rows, states, weights)
    flat = x if x.ndim == 2 else reshape(x, (x.shape[0] * x.shape[1], x.shape[2]))
    fn.repeats = repeats.find(x, flat, weights["w_ih"])
    y, *last = fn(flat, *states.values(), *weights.values())
    return (y if x.ndim == 2 else reshape(y, (*x.shape[:2], y.shape[1])), *last)


def _weights(w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> dict[str, Any]:
    return {"w_ih": w_ih, "w_hh": w_hh, "b_ih": b_ih, "b_hh": b_hh}


def _check_nonlinearity(op: str, nonlinearity: str) -> None:
    if nonlinearity not in NONLINEARITIES:
        found = f"nonlinearity={nonlinearity!r}.{nearest(str(nonlinearity), NONLINEARITIES)}"
        raise ConfigError(message(op, "nonlinearity 'tanh' or 'relu'", found))


@cast_as_one
@composite
def rnn(
    input: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    nonlinearity: str = "tanh",
    reverse: bool = False,
    batch_sizes: Tensor | Sequence[int] | None = None,
) -> tuple[Tensor, Tensor]:
    """A recurrent layer over a sequence, h_t = f(x_t W_ih^T + b_ih + h_(t-1) W_hh^T + b_hh) (Elman 1990).

    input (T, N, D), h0 (N, H), w_ih (H, D), w_hh (H, H), biases (H,) or None -> y (T, N, H), h_n (N, H); f is 'tanh' or
    'relu'. reverse: from the last step to the first. batch_sizes: input is packed (M, D), step t has batch_sizes[t]
    rows, and so has y. Raises ShapeError, DTypeError, ConfigError.

    >>> import deepcore as dc
    >>> y, h = rnn(dc.ones(2, 1, 1), dc.zeros(1, 1), dc.ones(1, 1), dc.ones(1, 1), nonlinearity="relu")
    >>> y.flatten(), h
    (tensor([1., 2.]), tensor([[2.]]))
    """
    _check_nonlinearity("rnn", nonlinearity)
    fn = Rnn("rnn", _steps("rnn", input, batch_sizes), reverse, nonlinearity)
    y, h_n = _run(fn, input, {"h0": h0}, _weights(w_ih, w_hh, b_ih, b_hh))
    return y, h_n


@cast_as_one
@composite
def lstm(
    input: Tensor,
    h0: Tensor,
    c0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    peephole: Tensor | None = None,
    reverse: bool = False,
    batch_sizes: Tensor | Sequence[int] | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """A layer of long short-term memory over a sequence (Hochreiter & Schmidhuber 1997; Gers et al. 2000).

    i, f, o = sigmoid, g = tanh of x W_ih^T + b_ih + h W_hh^T + b_hh; c' = f * c + i * g; h' = o * tanh(c').
    input (T, N, D), h0 and c0 (N, H), w_ih (4H, D), w_hh (4H, H), biases (4H,) or None, gates in the order i, f, g, o
    -> y (T, N, H), h_n, c_n (N, H). peephole (3, H): weights from the old cell to i and f and from the new one to o
    (Gers & Schmidhuber 2000). reverse and batch_sizes as for `rnn`. Raises ShapeError and DTypeError.
    """
    fn = Lstm("lstm", _steps("lstm", input, batch_sizes), reverse)
    weights = {**_weights(w_ih, w_hh, b_ih, b_hh), "peephole": peephole}
    y, h_n, c_n = _run(fn, input, {"h0": h0, "c0": c0}, weights)
    return y, h_n, c_n


@cast_as_one
@composite
def gru(
    input: Tensor,
    h0: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    reset_after: bool = True,
    reverse: bool = False,
    batch_sizes: Tensor | Sequence[int] | None = None,
) -> tuple[Tensor, Tensor]:
    """A layer of gated recurrent units over a sequence (Cho et al. 2014).

    r, z = sigmoid(x W_ih^T + b_ih + h W_hh^T + b_hh); h' = (1 - z) * n + z * h, where with reset_after (PyTorch's, and
    cuDNN's) n = tanh(x W_in^T + b_in + r * (h W_hn^T + b_hn)), and without (the paper's) the reset gate comes before
    the product: n = tanh(x W_in^T + b_in + (r * h) W_hn^T + b_hn).
    input (T, N, D), h0 (N, H), w_ih (3H, D), w_hh (3H, H), biases (3H,) or None, gates in the order r, z, n
    -> y (T, N, H), h_n (N, H). reverse and batch_sizes as for `rnn`. Raises ShapeError and DTypeError.
    """
    fn = Gru("gru", _steps("gru", input, batch_sizes), reverse, reset_after)
    y, h_n = _run(fn, input, {"h0": h0}, _weights(w_ih, w_hh, b_ih, b_hh))
    return y, h_n


def _one_step(op: str, input: Any) -> tuple[int]:
    if input.ndim != 2:
        raise ShapeError(message(op, "input (N, D)", got(input=input)))
    return (input.shape[0],)


@cast_as_one
def rnn_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    nonlinearity: str = "tanh",
) -> Tensor:
    """One step of `rnn`: input (N, D), hx (N, H) -> (N, H)."""
    _check_nonlinearity("rnn_cell", nonlinearity)
    fn = Rnn("rnn_cell", _one_step("rnn_cell", input), False, nonlinearity)
    return _run(fn, input, {"hx": hx}, _weights(w_ih, w_hh, b_ih, b_hh))[1]


def rnn_tanh_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """rnn_cell with tanh."""
    return rnn_cell(input, hx, w_ih, w_hh, b_ih, b_hh, "tanh")


def rnn_relu_cell(
    input: Tensor, hx: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor | None = None, b_hh: Tensor | None = None
) -> Tensor:
    """rnn_cell with ReLU."""
    return rnn_cell(input, hx, w_ih, w_hh, b_ih, b_hh, "relu")


@cast_as_one
def lstm_cell(
    input: Tensor,
    hx: tuple[Tensor, Tensor],
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    peephole: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """One step of `lstm`: input (N, D), hx = (h, c), each (N, H) -> (h', c')."""
    if not isinstance(hx, tuple | list) or len(hx) != 2:
        raise ShapeError(message("lstm_cell", "hx as a pair (h, c)", f"{type(hx).__name__}"))
    fn = Lstm("lstm_cell", _one_step("lstm_cell", input), False)
    weights = {**_weights(w_ih, w_hh, b_ih, b_hh), "peephole": peephole}
    _, h, c = _run(fn, input, {"hx[0]": hx[0], "hx[1]": hx[1]}, weights)
    return h, c


@cast_as_one
def gru_cell(
    input: Tensor,
    hx: Tensor,
    w_ih: Tensor,
    w_hh: Tensor,
    b_ih: Tensor | None = None,
    b_hh: Tensor | None = None,
    reset_after: bool = True,
) -> Tensor:
    """One step of `gru`: input (N, D), hx (N, H) -> (N, H)."""
    fn = Gru("gru_cell", _one_step("gru_cell", input), False, reset_after)
    return _run(fn, input, {"hx": hx}, _weights(w_ih, w_hh, b_ih, b_hh))[1]
