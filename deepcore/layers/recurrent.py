"""The book's recurrent layers: one step (`RNN`, `LSTM`, `GRU`) and a whole sequence (`TimeRNN`, `TimeLSTM`, `TimeGRU`).

N rows, T steps, D features, H hidden units. The gates' weights stand side by side: Wx (D, G H), Wh (H, G H), b (G H,)
for G gates. After backward dWx, dWh and db are their gradients. The Functions are those of `deepcore.functional.rnn`,
`lstm` and `gru`, whose weights are transposed and whose gates are in PyTorch's order; here they are rearranged.
"""

from __future__ import annotations

from typing import Any

from deepcore.arrays import backend_of
from deepcore.errors import ShapeError, got, message
from deepcore.functions.linalg.products import same_dtype
from deepcore.functions.sequence import recurrent
from deepcore.layers.base import Layer


class _Recurrent(Layer):
    """What the six have in common."""

    # Which of the book's blocks stands k-th in the Function's weights.
    order: tuple[int, ...] = (0,)

    def __init__(self, Wx: Any, Wh: Any, b: Any) -> None:
        self.Wx, self.Wh, self.b = Wx, Wh, b
        self.dWx: Any = None
        self.dWh: Any = None
        self.db: Any = None

    def _function(self, steps: tuple[int, ...]) -> Any:
        return recurrent.Rnn(type(self).__name__, steps, False, "tanh")

    def _extra(self) -> tuple[Any, ...]:
        """Further weights of the Function, behind the biases."""
        return ()

    def _run(self, x: Any, states: list[Any], steps: tuple[int, ...]) -> tuple[Any, ...]:
        """(y of all rows, last states) for rows x (M, D)."""
        size, wide = self.Wh.shape[0], len(self.order) * self.Wh.shape[0]
        wanted = {"Wx": (x.shape[-1], wide), "Wh": (size, wide), "b": (wide,)}
        shapes_fit = all(getattr(self, name).shape == shape for name, shape in wanted.items())
        if not shapes_fit or any(s.shape != (steps[0], size) for s in states):
            name, g = type(self).__name__, "" if len(self.order) == 1 else f"{len(self.order)} "
            expected = f"x (..., D), states (N, H), Wx (D, {g}H), Wh (H, {g}H), b ({g}H,)"
            given = {"x": x, **{f"state {i}": s for i, s in enumerate(states)}}
            raise ShapeError(message(name, expected, got(**given, Wx=self.Wx, Wh=self.Wh, b=self.b)))
        same_dtype(type(self).__name__, x=x, Wx=self.Wx, Wh=self.Wh, b=self.b)
        w_ih, w_hh, b = (self._blocks(w, self.order) for w in (self.Wx, self.Wh, self.b))
        return self._forward(self._function(steps), x, *states, w_ih.T, w_hh.T, b, None, *self._extra())

    def _step(self, x: Any, states: list[Any]) -> tuple[Any, ...]:
        """The next states for one step x (N, D)."""
        backend_of(x)  # says what is wrong with what is no array
        if x.ndim != 2:
            raise ShapeError(message(type(self).__name__, "x (N, D)", got(x=x)))
        return self._run(x, states, x.shape[:1])[1:]

    def _run_back(self, *grads: Any) -> tuple[Any, ...]:
        """(dx, gradients of the first states) and, in the attributes, those of the weights."""
        found = self._backward(*grads)
        states = len(grads) - 1
        dw_ih, dw_hh, db = found[1 + states : 4 + states]
        back = tuple(self.order.index(k) for k in range(len(self.order)))
        self.dWx, self.dWh, self.db = (self._blocks(g, back) for g in (dw_ih.T, dw_hh.T, db))
        self._take_extra(found[5 + states :])
        return found[: 1 + states]

    def _take_extra(self, grads: tuple[Any, ...]) -> None:
        """Keep the gradients of `_extra`."""

    def _blocks(self, w: Any, order: tuple[int, ...]) -> Any:
        """w (..., G H) with its G blocks in another order."""
        size = w.shape[-1] // len(order)
        pieces = [w[..., k * size : (k + 1) * size] for k in order]
        return backend_of(w).xp.concatenate(pieces, axis=-1)


class _Rnn(_Recurrent):
    pass


class _Lstm(_Recurrent):
    order = (2, 0, 1, 3)

    def __init__(self, Wx: Any, Wh: Any, b: Any, Wc: Any = None) -> None:
        super().__init__(Wx, Wh, b)
        self.Wc = Wc
        self.dWc: Any = None

    def _function(self, steps: tuple[int, ...]) -> Any:
        return recurrent.Lstm(type(self).__name__, steps, False)

    def _extra(self) -> tuple[Any, ...]:
        if self.Wc is not None and self.Wc.shape != (3, self.Wh.shape[0]):
            raise ShapeError(message(type(self).__name__, "Wc (3, H)", got(Wc=self.Wc, Wh=self.Wh)))
        return (None if self.Wc is None else _swapped(self.Wc),)

    def _take_extra(self, grads: tuple[Any, ...]) -> None:
        self.dWc = None if grads[0] is None else _swapped(grads[0])


def _swapped(w: Any) -> Any:
    """The peepholes f, i, o in the Function's order i, f, o, and back."""
    return backend_of(w).xp.stack([w[1], w[0], w[2]])


class _Gru(_Recurrent):
    order = (0, 1, 2)

    def _function(self, steps: tuple[int, ...]) -> Any:
        return recurrent.Gru(type(self).__name__, steps, False, False)


# --- one step ---------------------------------------------------------------------------------------------------------


class RNN(_Rnn):
    """h' = tanh(x Wx + h Wh + b): one step of x (N, D) and h (N, H), Wx (D, H), Wh (H, H), b (H,)."""

    def forward(self, x: Any, h: Any) -> Any:
        """The next state h' (N, H)."""
        return self._step(x, [h])[0]

    def backward(self, dh: Any) -> tuple[Any, Any]:
        """(dx, dh) from the gradient of the next state."""
        dx, dh = self._run_back(None, dh)
        return dx, dh


class LSTM(_Lstm):
    """Long short-term memory, one step: c' = f * c + g * i, h' = o * tanh(c').

    f, i, o = sigmoid and g = tanh of x Wx + h Wh + b, whose four blocks are in the order f, g, i, o: x (N, D), h and c
    (N, H), Wx (D, 4 H), Wh (H, 4 H), b (4 H,). With peepholes Wc (3, H), rows f, i, o, the gates see the cell too: f
    and i see c, o sees c'; dWc is its gradient.

    >>> import numpy as np
    >>> layer = LSTM(np.ones((3, 8)), np.ones((2, 8)), np.zeros(8))
    >>> h, c = layer.forward(np.ones((5, 3)), np.zeros((5, 2)), np.zeros((5, 2)))
    >>> dx, dh, dc = layer.backward(np.ones((5, 2)), np.zeros((5, 2)))
    >>> dx.shape, dh.shape, layer.dWx.shape, layer.db.shape
    ((5, 3), (5, 2), (3, 8), (8,))
    """

    def forward(self, x: Any, h: Any, c: Any) -> tuple[Any, Any]:
        """The next state h' and cell c', (N, H) each."""
        h, c = self._step(x, [h, c])
        return h, c

    def backward(self, dh: Any, dc: Any) -> tuple[Any, Any, Any]:
        """(dx, dh, dc) from the gradients of the next state and cell."""
        dx, dh, dc = self._run_back(None, dh, dc)
        return dx, dh, dc


class GRU(_Gru):
    """Gated recurrent unit, one step (Cho et al. 2014): h' = z * h + (1 - z) * n.

    r, z = sigmoid(x Wx + h Wh + b) and n = tanh(x Wx + (r * h) Wh + b) of three blocks, in the order r, z, n:
    x (N, D), h (N, H), Wx (D, 3 H), Wh (H, 3 H), b (3 H,). Some texts call 1 - z what is z here.
    """

    def forward(self, x: Any, h: Any) -> Any:
        """The next state h' (N, H)."""
        return self._step(x, [h])[0]

    def backward(self, dh: Any) -> tuple[Any, Any]:
        """(dx, dh) from the gradient of the next state."""
        dx, dh = self._run_back(None, dh)
        return dx, dh


# --- whole sequences --------------------------------------------------------------------------------------------------


class _Time(_Recurrent):
    """A sequence xs (N, T, D) -> hs (N, T, H): all states, or in LSTM's case the h of them.

    It starts from zeros; with stateful=True from where the last sequence ended (truncated backpropagation through
    time), until `reset_state`. h is the last state; after backward dh is the gradient of the first, for what made it.
    """

    # The attributes with the states.
    names: tuple[str, ...] = ("h",)
    stateful = False

    def forward(self, xs: Any) -> Any:
        """The states of all steps, (N, T, H)."""
        backend = backend_of(xs)
        if xs.ndim != 3 or xs.shape[1] == 0:
            raise ShapeError(message(type(self).__name__, "xs (N, T, D), T at least 1", got(xs=xs)))
        n, t, d = xs.shape
        zeros = backend.xp.zeros((n, self.Wh.shape[0]), dtype=xs.dtype)
        held = [getattr(self, name) if self.stateful else None for name in self.names]
        start = [zeros if state is None else state for state in held]
        y, *last = self._run(xs.transpose(1, 0, 2).reshape(t * n, d), start, (n,) * t)
        for name, state in zip(self.names, last, strict=True):
            setattr(self, name, state)
        return y.reshape(t, n, y.shape[1]).transpose(1, 0, 2)

    def backward(self, dhs: Any) -> Any:
        """dxs (N, T, D) from the gradient of all states; the weights' gradients are summed over the steps."""
        n, t, size = dhs.shape
        nothing = [None] * len(self.names)
        dx, *first = self._run_back(dhs.transpose(1, 0, 2).reshape(t * n, size), *nothing)
        for name, grad in zip(self.names, first, strict=True):
            setattr(self, f"d{name}", grad)
        return dx.reshape(t, n, dx.shape[1]).transpose(1, 0, 2)

    def reset_state(self) -> None:
        """Start the next sequence from zeros."""
        for name in self.names:
            setattr(self, name, None)


class TimeRNN(_Time, _Rnn):
    """`RNN` over a sequence xs (N, T, D) -> hs (N, T, H).

    >>> import numpy as np
    >>> layer = TimeRNN(np.ones((3, 2)), np.ones((2, 2)), np.zeros(2), stateful=True)
    >>> layer.forward(np.ones((5, 4, 3))).shape, layer.h.shape
    ((5, 4, 2), (5, 2))
    """

    def __init__(self, Wx: Any, Wh: Any, b: Any, stateful: bool = False) -> None:
        super().__init__(Wx, Wh, b)
        self.stateful = stateful
        self.h: Any = None
        self.dh: Any = None

    def set_state(self, h: Any) -> None:
        """Start the next sequence from h (N, H), if the layer is stateful."""
        self.h = h


class TimeLSTM(_Time, _Lstm):
    """`LSTM` over a sequence xs (N, T, D) -> hs (N, T, H); the cell is c, and dc is the gradient of the first one."""

    names = ("h", "c")

    def __init__(self, Wx: Any, Wh: Any, b: Any, stateful: bool = False, Wc: Any = None) -> None:
        super().__init__(Wx, Wh, b, Wc)
        self.stateful = stateful
        self.h: Any = None
        self.c: Any = None
        self.dh: Any = None
        self.dc: Any = None

    def set_state(self, h: Any, c: Any = None) -> None:
        """Start the next sequence from h and c (N, H), c None meaning zeros, if the layer is stateful."""
        self.h, self.c = h, c


class TimeGRU(_Time, _Gru):
    """`GRU` over a sequence xs (N, T, D) -> hs (N, T, H)."""

    def __init__(self, Wx: Any, Wh: Any, b: Any, stateful: bool = False) -> None:
        super().__init__(Wx, Wh, b)
        self.stateful = stateful
        self.h: Any = None
        self.dh: Any = None

    def set_state(self, h: Any) -> None:
        """Start the next sequence from h (N, H), if the layer is stateful."""
        self.h = h
