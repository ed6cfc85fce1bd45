"""One step of the recurrent layers, for loops of one's own."""

from __future__ import annotations

from typing import Any

from deepcore import creation
from deepcore import functional as F
from deepcore.errors import ShapeError, got, message
from deepcore.functions import unsqueeze
from deepcore.nn import args
from deepcore.nn.sequence.rnn import _Recurrent
from deepcore.tensor import Tensor


class _Cell(_Recurrent):
    """weight_ih (gates * H, D), weight_hh (gates * H, H), bias_ih and bias_hh (gates * H,)."""

    _states = 1

    def __init__(self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None):
        super().__init__()
        self._configure(input_size, hidden_size, bias)
        self._add_weights("", self.input_size, device, dtype)
        self.reset_parameters()

    def _step(self, input: Tensor, states: list[Tensor]) -> tuple[Tensor, ...]:
        """The new states of a batch."""
        raise NotImplementedError

    def forward(self, input: Tensor, hx: Any = None) -> Any:
        if input.ndim not in (1, 2) or input.shape[-1] != self.input_size:
            expected = f"input (N, D) or (D,) with D = {self.input_size}"
            raise ShapeError(message(type(self).__name__, expected, got(input=input)))
        states = self._start(input, hx)
        if input.ndim == 2:
            new = self._step(input, states)
        else:
            new = tuple(s[0] for s in self._step(unsqueeze(input, 0), [unsqueeze(s, 0) for s in states]))
        return new[0] if self._states == 1 else new

    def _start(self, input: Tensor, hx: Any) -> list[Tensor]:
        owner, shape = type(self).__name__, (*input.shape[:-1], self.hidden_size)
        if hx is None:
            return [creation.zeros(shape, dtype=input.dtype, device=input.backend.device)] * self._states
        if self._states > 1 and (not isinstance(hx, tuple | list) or len(hx) != self._states):
            raise ShapeError(message(owner, "hx as a pair (h, c)", f"{type(hx).__name__}"))
        states = [hx] if self._states == 1 else list(hx)
        if any(s.shape != shape for s in states):
            given = {f"hx[{i}]": s for i, s in enumerate(states)} if self._states > 1 else {"hx": hx}
            raise ShapeError(message(owner, f"states {shape}", got(input=input, **given)))
        return states

    def extra_repr(self) -> str:
        return f"{self.input_size}, {self.hidden_size}" + ("" if self.bias else ", bias=False")


class RNNCell(_Cell):
    """h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or with ReLU: input (N, D) or (D,), hx (N, H) or (H,), zeros if None.

    >>> import deepcore as dc
    >>> RNNCell(3, 4)(dc.randn(2, 3)).shape
    (2, 4)
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.nonlinearity = args.choice("RNNCell", "nonlinearity", nonlinearity, ("tanh", "relu"))

    def _step(self, input: Tensor, states: list[Tensor]) -> tuple[Tensor, ...]:
        return (F.rnn_cell(input, states[0], *self._weights(), self.nonlinearity),)


class LSTMCell(_Cell):
    """One step of an LSTM: input (N, D) or (D,), hx = (h, c), each (N, H) or (H,), zeros if None -> (h', c').

    peephole: with weight_peephole (3, H), as for nn.LSTM.

    >>> import deepcore as dc
    >>> h, c = LSTMCell(3, 4)(dc.randn(2, 3))
    >>> h.shape, c.shape
    ((2, 4), (2, 4))
    """

    _gates, _states = 4, 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        peephole: bool = False,
    ) -> None:
        object.__setattr__(self, "_peephole", bool(peephole))  # before the weights, which it adds to
        super().__init__(input_size, hidden_size, bias, device, dtype)

    def _step(self, input: Tensor, states: list[Tensor]) -> tuple[Tensor, ...]:
        peephole = self.weight_peephole if self._peephole else None
        return F.lstm_cell(input, (states[0], states[1]), *self._weights(), peephole)


class GRUCell(_Cell):
    """One step of a GRU: input (N, D) or (D,), hx (N, H) or (H,), zeros if None; reset_after as for nn.GRU.

    >>> import deepcore as dc
    >>> GRUCell(3, 4)(dc.randn(3)).shape
    (4,)
    """

    _gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        reset_after: bool = True,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, device, dtype)
        self.reset_after = bool(reset_after)

    def _step(self, input: Tensor, states: list[Tensor]) -> tuple[Tensor, ...]:
        return (F.gru_cell(input, states[0], *self._weights(), self.reset_after),)
