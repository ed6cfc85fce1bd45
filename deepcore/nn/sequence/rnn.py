"""Recurrent layers: RNN, LSTM and GRU over sequences, and their single steps."""

from __future__ import annotations

import math
import warnings
from typing import Any

from deepcore import creation
from deepcore import functional as F
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.functions import cat, getitem, stack, transpose, unsqueeze
from deepcore.nn import args, init
from deepcore.nn.module import Module
from deepcore.nn.parameter import Parameter
from deepcore.nn.sequence.packing import PackedSequence, numbers
from deepcore.tensor import Tensor


class _Recurrent(Module):
    """What layers and cells share: names, shapes and initial values of the weights of one layer and direction."""

    _gates = 1
    _peephole = False

    def _configure(self, input_size: int, hidden_size: int, bias: bool) -> None:
        owner = type(self).__name__
        self.input_size = args.integer(owner, "input_size", input_size)
        self.hidden_size = args.integer(owner, "hidden_size", hidden_size)
        self.bias = bool(bias)

    def _add_weights(self, suffix: str, inputs: int, device: Any, dtype: Any) -> None:
        wide = self._gates * self.hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (wide, inputs), "weight_hh": (wide, self.hidden_size)}
        shapes |= {"bias_ih": (wide,), "bias_hh": (wide,)} if self.bias else {}
        shapes |= {"weight_peephole": (3, self.hidden_size)} if self._peephole else {}
        for name, shape in shapes.items():
            parameter = Parameter(creation.empty(shape, dtype=dtype, device=device))
            self.register_parameter(name + suffix, parameter)

    def _weights(self, suffix: str = "") -> tuple[Any, Any, Any, Any]:
        """w_ih, w_hh, b_ih, b_hh as the functions take them."""
        b_ih, b_hh = (getattr(self, name + suffix) if self.bias else None for name in ("bias_ih", "bias_hh"))
        return getattr(self, "weight_ih" + suffix), getattr(self, "weight_hh" + suffix), b_ih, b_hh

    def reset_parameters(self) -> None:
        """Draw new initial values: all uniform in +-1/sqrt(hidden_size)."""
        bound = 1 / math.sqrt(self.hidden_size)
        for parameter in self.parameters():
            init.uniform_(parameter, -bound, bound)


class _Layers(_Recurrent):
    """Several layers, one or two directions each."""

    _states = 1

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int,
        bias: bool,
        batch_first: bool,
        dropout: float,
        bidirectional: bool,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        owner = type(self).__name__
        self._configure(input_size, hidden_size, bias)
        self.num_layers = args.integer(owner, "num_layers", num_layers)
        self.batch_first = bool(batch_first)
        self.dropout = args.probability(owner, "dropout", dropout)
        self.bidirectional = bool(bidirectional)
        if self.dropout and self.num_layers == 1:
            text = f"{owner}: dropout={dropout} comes after every layer but the last, and there is only one"
            warnings.warn(text, UserWarning, stacklevel=3)
        for layer in range(self.num_layers):
            inputs = self.input_size if layer == 0 else self.hidden_size * len(self._directions)
            for direction in self._directions:
                self._add_weights(f"_l{layer}{direction}", inputs, device, dtype)
        self.reset_parameters()

    @property
    def _directions(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _run(self, x: Tensor, states: list[Tensor], suffix: str, reverse: bool, steps: Any) -> tuple[Tensor, ...]:
        """One layer in one direction: its outputs, and its last states."""
        raise NotImplementedError

    def flatten_parameters(self) -> None:
        """Nothing to do; PyTorch's has it, for cuDNN."""

    def forward(self, input: Tensor | PackedSequence, hx: Any = None) -> Any:
        packed = input if isinstance(input, PackedSequence) else None
        x: Any = packed.data if packed else input
        single = packed is None and x.ndim == 2
        self._check_input(x, packed is not None)
        if single:
            x = unsqueeze(x, 1)
        elif self.batch_first and packed is None:
            x = transpose(x, 0, 1)
        steps = numbers(type(self).__name__, "batch_sizes", packed.batch_sizes) if packed else None
        states = self._start(hx, x, steps[0] if steps else x.shape[1], single)
        if packed and packed.sorted_indices is not None and hx is not None:
            states = [getitem(s, (slice(None), packed.sorted_indices)) for s in states]
        y, last = self._stack(x, states, steps)
        if packed:
            if packed.unsorted_indices is not None:
                last = [getitem(s, (slice(None), packed.unsorted_indices)) for s in last]
            y = packed._replace(data=y)
        elif single:
            y, last = y[:, 0], [s[:, 0] for s in last]
        elif self.batch_first:
            y = transpose(y, 0, 1)
        return y, (last[0] if self._states == 1 else tuple(last))

    def _stack(self, x: Any, states: list[Any], steps: Any) -> tuple[Any, list[Any]]:
        """All layers: x (T, N, D) or packed, states (L * directions, N, H) each -> y and the last states."""
        last: list[list[Any]] = [[] for _ in states]
        for layer in range(self.num_layers):
            outputs = []
            for k, direction in enumerate(self._directions):
                start = [s[layer * len(self._directions) + k] for s in states]
                y, *ends = self._run(x, start, f"_l{layer}{direction}", bool(k), steps)
                outputs.append(y)
                for found, end in zip(last, ends, strict=True):
                    found.append(end)
            x = outputs[0] if len(outputs) == 1 else cat(outputs, -1)
            if layer < self.num_layers - 1:
                x = F.dropout(x, self.dropout, self.training)
        return x, [stack(found) for found in last]

    def _check_input(self, x: Any, packed: bool) -> None:
        layout = "packed (M, D)" if packed else "(N, T, D) or (T, D)" if self.batch_first else "(T, N, D) or (T, D)"
        fits = x.ndim == 2 if packed else x.ndim in (2, 3)
        if not fits or x.shape[-1] != self.input_size:
            expected = f"input {layout} with D = {self.input_size}"
            raise ShapeError(message(type(self).__name__, expected, got(input=x)))
        if not packed and x.shape[1 if self.batch_first and x.ndim == 3 else 0] == 0:
            raise ShapeError(message(type(self).__name__, "a sequence of at least one step", got(input=x)))

    def _start(self, hx: Any, x: Any, rows: int, single: bool) -> list[Any]:
        """The initial states (L * directions, N, H), zeros where none are given."""
        owner, count = type(self).__name__, self.num_layers * len(self._directions)
        if hx is None:
            zeros = creation.zeros((count, rows, self.hidden_size), dtype=x.dtype, device=x.backend.device)
            return [zeros] * self._states
        if self._states > 1 and (not isinstance(hx, tuple | list) or len(hx) != self._states):
            raise ShapeError(message(owner, "hx as a pair (h_0, c_0)", f"{type(hx).__name__}"))
        states = [hx] if self._states == 1 else list(hx)
        shape = (count, self.hidden_size) if single else (count, rows, self.hidden_size)
        if any(s.shape != shape for s in states):
            given = {f"hx[{i}]": s for i, s in enumerate(states)} if self._states > 1 else {"hx": hx}
            raise ShapeError(message(owner, f"initial states {shape}", got(input=x, **given)))
        return [unsqueeze(s, 1) for s in states] if single else states

    def extra_repr(self) -> str:
        defaults = {"num_layers": 1, "bias": True, "batch_first": False, "dropout": 0.0, "bidirectional": False}
        options = [f"{k}={getattr(self, k)}" for k, default in defaults.items() if getattr(self, k) != default]
        return ", ".join([f"{self.input_size}, {self.hidden_size}", *options])


class RNN(_Layers):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or with ReLU, over sequences (Elman 1990).

    input (T, N, D), with batch_first (N, T, D), one sequence (T, D), or a PackedSequence; hx (L * directions, N, H),
    zeros if None -> output with the last layer's h of every step, directions side by side, and h_n like hx.
    num_layers: each reads the one before, with dropout between them; bidirectional: a second set of weights reads from
    the end. Parameters have PyTorch's names: weight_ih_l0 (H, D), weight_hh_l0 (H, H), bias_ih_l0, bias_hh_l0 (H,),
    then _l0_reverse, _l1, ... Raises ShapeError, DTypeError, ConfigError.

    >>> import deepcore as dc
    >>> output, h_n = RNN(3, 4, bidirectional=True)(dc.randn(7, 2, 3))
    >>> output.shape, h_n.shape
    ((7, 2, 8), (2, 2, 4))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)
        self.nonlinearity = args.choice("RNN", "nonlinearity", nonlinearity, ("tanh", "relu"))

    def _run(self, x: Tensor, states: list[Tensor], suffix: str, reverse: bool, steps: Any) -> tuple[Tensor, ...]:
        return F.rnn(x, states[0], *self._weights(suffix), self.nonlinearity, reverse, steps)


class LSTM(_Layers):
    """Long short-term memory over sequences (Hochreiter & Schmidhuber 1997); arguments and shapes as for RNN.

    hx = (h_0, c_0), and it returns output, (h_n, c_n). weight_ih_l0 (4H, D) and the others hold the gates in PyTorch's
    order i, f, g, o. peephole: the gates also see the cell, the output gate the new one and the others the old
    (Gers & Schmidhuber 2000), with weight_peephole_l0 (3, H) for i, f, o. proj_size: only 0.

    >>> import deepcore as dc
    >>> output, (h_n, c_n) = LSTM(3, 4, num_layers=2)(dc.randn(7, 2, 3))
    >>> output.shape, c_n.shape
    ((7, 2, 4), (2, 2, 4))
    """

    _gates, _states = 4, 2

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
        *,
        peephole: bool = False,
    ) -> None:
        if proj_size:
            hint = "put a Linear behind it"
            raise ConfigError(message("LSTM", "proj_size=0", f"proj_size={proj_size}", hint))
        object.__setattr__(self, "_peephole", bool(peephole))  # before the weights, which it adds to
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)

    def _run(self, x: Tensor, states: list[Tensor], suffix: str, reverse: bool, steps: Any) -> tuple[Tensor, ...]:
        peephole = getattr(self, "weight_peephole" + suffix) if self._peephole else None
        return F.lstm(x, states[0], states[1], *self._weights(suffix), peephole, reverse, steps)

    def extra_repr(self) -> str:
        return super().extra_repr() + (", peephole=True" if self._peephole else "")


class GRU(_Layers):
    """Gated recurrent units over sequences (Cho et al. 2014); arguments and shapes as for RNN.

    weight_ih_l0 (3H, D) and the others hold the gates in PyTorch's order r, z, n. reset_after: the reset gate is
    applied after the matrix product (PyTorch, cuDNN), else before it (the paper).

    >>> import deepcore as dc
    >>> output, h_n = GRU(3, 4, batch_first=True)(dc.randn(2, 7, 3))
    >>> output.shape, h_n.shape
    ((2, 7, 4), (1, 2, 4))
    """

    _gates = 3

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        reset_after: bool = True,
    ) -> None:
        super().__init__(input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, device, dtype)
        self.reset_after = bool(reset_after)

    def _run(self, x: Tensor, states: list[Tensor], suffix: str, reverse: bool, steps: Any) -> tuple[Tensor, ...]:
        return F.gru(x, states[0], *self._weights(suffix), self.reset_after, reverse, steps)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")
