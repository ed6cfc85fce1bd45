"""Connectionist temporal classification: a loss for label sequences whose alignment with the input is unknown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.autograd.variable import Variable, wrap
from deepcore.backends.base.array import accumulator
from deepcore.backends.base.ctc import endings, states_of
from deepcore.dtypes import is_floating
from deepcore.errors import ConfigError, DeviceError, DTypeError, IndexRangeError, ShapeError, got, message
from deepcore.functions.arithmetic import clamp, maximum, where
from deepcore.functions.elementwise import exp, log
from deepcore.functions.index.indexing import getitem
from deepcore.functions.loss.classification import _check_reduction, _reduce
from deepcore.functions.reduce import logsumexp
from deepcore.functions.shape import broadcast_to, cast, cat, reshape, unsqueeze

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = ["ctc_loss"]

# Stands for log(0) in the formula that is differentiated: with -inf itself, derivatives would be NaN.
LOG_ZERO = -1e30


class CtcLoss(Function):
    """The loss of every sequence (N,) from log-probabilities (T, N, C)."""

    intermediates = ("targets", "input_lengths", "target_lengths", "losses", "alpha")

    def __init__(self, targets: Any, input_lengths: Any, target_lengths: Any, blank: int, zero_infinity: bool) -> None:
        self.targets, self.input_lengths, self.target_lengths = targets, input_lengths, target_lengths
        self.blank, self.zero_infinity = blank, zero_infinity

    def forward(self, log_probs: Any) -> Any:
        xp = self.backend.xp
        self.losses, self.alpha = self.backend.ctc_loss(
            log_probs, self.targets, self.input_lengths, self.target_lengths, self.blank
        )
        self.saved = (log_probs,)
        losses = xp.where(xp.isinf(self.losses), 0, self.losses) if self.zero_infinity else self.losses
        return losses.astype(log_probs.dtype)

    def backward(self, g: Any) -> Any:
        (log_probs,) = self.saved
        xp, lengths = self.backend.xp, (self.input_lengths, self.target_lengths)
        grad = self.backend.ctc_loss_grad(g, log_probs, self.targets, *lengths, self.blank, self.losses, self.alpha)
        return xp.where(xp.isinf(self.losses).reshape(-1, 1), 0, grad) if self.zero_infinity else grad

    def formula(self, log_probs: Any) -> Any:
        # The forward algorithm of Backend.ctc_loss, step by step on tensors.
        backend, xp = self.backend, self.backend.xp
        steps, n, classes = log_probs.shape
        wide = accumulator(log_probs.dtype)
        states, _, skips = states_of(xp, self.targets, self.target_lengths, classes, self.blank)
        index = (xp.arange(steps).reshape(-1, 1, 1), xp.arange(n).reshape(-1, 1), states)
        emitted = clamp(cast(getitem(log_probs, index), wide), min=LOG_ZERO)
        count = states.shape[1]
        skips, ends = wrap(skips, backend), wrap(endings(xp, self.target_lengths, count), backend)
        now = wrap(xp.where(xp.arange(count) == 0, xp.zeros(states.shape, wide), LOG_ZERO), backend)
        nothing = wrap(xp.full(states.shape, LOG_ZERO, dtype=wide), backend)
        for t in range(steps):
            one = cat([nothing[:, :1], now[:, :-1]], 1)
            two = where(skips, cat([nothing[:, :2], now[:, :-2]], 1), LOG_ZERO) if count > 2 else nothing
            top = maximum(maximum(now.detach(), one.detach()), two.detach())
            step = log(exp(now - top) + exp(one - top) + exp(two - top)) + top + emitted[t]
            inside = broadcast_to(wrap((t < self.input_lengths).reshape(-1, 1), backend), states.shape)
            now = where(inside, step, now)
        losses = -logsumexp(where(ends, now, LOG_ZERO), 1)
        worth = xp.where(xp.isinf(self.losses), 0.0 if self.zero_infinity else xp.nan, 1.0).astype(wide)
        return cast(losses * wrap(worth, backend), log_probs.dtype)


@cast_as_one
def ctc_loss(
    log_probs: Tensor,
    targets: Tensor,
    input_lengths: Tensor | Sequence[int] | int,
    target_lengths: Tensor | Sequence[int] | int,
    blank: int = 0,
    reduction: str = "mean",
    zero_infinity: bool = False,
) -> Tensor:
    """-log of the probability of label sequences, over all their alignments (Graves et al. 2006).

    log_probs: (T, N, C) or (T, C), logarithms of probabilities, as log_softmax gives them. targets: integers (N, S),
    filled up behind each sequence with any values; or all sequences in a row, (sum of target_lengths,); for (T, C)
    it is (S,). input_lengths, target_lengths: (N,) integers up to T and S, or one number for (T, C). blank: the class
    that stands for no label. A sequence that fits in no alignment has the loss inf (and a gradient NaN), or with
    zero_infinity the loss and gradient 0.
    reduction: 'mean' divides every loss by its target length (at least 1), then averages; 'sum'; 'none' gives (N,).
    float16 is computed in float32. The gradient is that of the formula; PyTorch's adds exp(log_probs), which makes no
    difference once it has gone through log_softmax.

    Lengths may be plain integers or tensors on the host or on the device of log_probs. Only for targets in a row with
    target_lengths on a GPU does the host wait for the device. Raises ShapeError, DTypeError, DeviceError, ConfigError,
    and, where the values are on the host, IndexRangeError for labels outside 0..C-1 and for lengths that are negative
    or too long; elsewhere the loss is then NaN.

    >>> import deepcore as dc
    >>> log_probs = dc.log(dc.full((2, 1, 2), 0.5))
    >>> round(ctc_loss(log_probs, dc.tensor([[1]]), [2], [1]).item(), 4)  # "1", "1-" and "-1": log(4 / 3)
    0.2877
    """
    op = "ctc_loss"
    _check_reduction(op, reduction)
    _check_arrays(op, log_probs, targets, blank)
    alone = log_probs.ndim == 2
    batch = unsqueeze(log_probs, 1) if alone else log_probs
    steps, n, classes = batch.shape
    backend = log_probs.backend
    inputs, inputs_host = _lengths(op, "input_lengths", input_lengths, n, backend)
    lengths, lengths_host = _lengths(op, "target_lengths", target_lengths, n, backend)
    if alone:
        labels = targets.array.reshape(1, -1)
    elif targets.ndim == 1:
        lengths_host = backend.to_host(lengths) if lengths_host is None else lengths_host
        labels = _in_rows(op, targets, lengths_host)
    else:
        labels = targets.array
    _check_lengths(op, "input_lengths", inputs_host, steps)
    _check_lengths(op, "target_lengths", lengths_host, labels.shape[1])
    if backend.on_host:
        wrong = (np.arange(labels.shape[1]) < lengths.reshape(-1, 1)) & ((labels < 0) | (labels >= classes))
        if wrong.any():
            raise IndexRangeError(message(op, f"labels 0..{classes - 1}", f"a target of {int(labels[wrong][0])}"))
    losses = CtcLoss(labels, inputs, lengths, blank, zero_infinity)(batch)
    if reduction == "mean":
        losses = losses / wrap(backend.xp.maximum(lengths, 1).astype(losses.dtype), backend)
    elif alone:
        losses = reshape(losses, ())
    return _reduce(losses, reduction)


def _check_arrays(op: str, log_probs: Any, targets: Any, blank: int) -> None:
    given = got(log_probs=log_probs, targets=targets)
    if log_probs.ndim not in (2, 3) or targets.ndim not in ((1,) if log_probs.ndim == 2 else (1, 2)):
        expected = "log_probs (T, N, C) with targets (N, S) or in a row, or log_probs (T, C) with targets (S,)"
        raise ShapeError(message(op, expected, given))
    if targets.ndim == 2 and targets.shape[0] != log_probs.shape[1]:
        raise ShapeError(message(op, f"targets ({log_probs.shape[1]}, S)", given, "the batch is axis 1 of log_probs"))
    if not is_floating(log_probs.dtype) or targets.dtype.kind not in "iu":
        raise DTypeError(message(op, "floating log_probs and integer targets", given))
    if targets.backend is not log_probs.backend:
        raise DeviceError(message(op, "log_probs and targets on one device", given, "use .to()"))
    if not hasattr(blank, "__index__") or not 0 <= blank < log_probs.shape[-1]:
        found = got(blank=blank, log_probs=log_probs)
        raise ConfigError(message(op, f"an integer 0 <= blank < {log_probs.shape[-1]}", found))


def _lengths(op: str, name: str, lengths: Any, n: int, backend: Any) -> tuple[Any, Any]:
    """Lengths (N,) on the device of `backend`, and on the host; None there where that would be a copy."""
    if isinstance(lengths, Variable):
        array, home = lengths.array, lengths.backend
        if home is not backend and not home.on_host:
            raise DeviceError(message(op, f"{name} on {backend.device} or on the host", got(**{name: lengths})))
    else:
        try:
            array, home = np.asarray(lengths), None
        except ValueError as error:
            raise ShapeError(message(op, f"{name} ({n},)", str(error))) from None
        if not array.size:
            array = array.astype(np.int64)
    if array.dtype.kind not in "iu":
        raise DTypeError(message(op, f"{name} integers", got(**{name: lengths})))
    if array.shape != (n,) and (array.shape != () or n != 1):
        raise ShapeError(message(op, f"{name} ({n},)", got(**{name: array})))
    array = array.reshape(n).astype(np.int64)
    if home is None or home.on_host:
        return backend.from_host(array), array
    return array, None


def _check_lengths(op: str, name: str, lengths: Any, most: int) -> None:
    if lengths is not None and lengths.size and not (lengths.min() >= 0 and lengths.max() <= most):
        raise IndexRangeError(message(op, f"{name} in 0..{most}", f"{lengths.tolist()}"))


def _in_rows(op: str, targets: Any, lengths: np.ndarray) -> Any:
    """Sequences that stand in a row, as rows (N, S) that are filled up with any labels."""
    if targets.shape != (int(lengths.sum()),) or (lengths.size and lengths.min() < 0):
        expected = f"targets in a row to have the sum of target_lengths, {int(lengths.sum())} labels"
        raise ShapeError(message(op, expected, got(targets=targets), "or give them as (N, S)"))
    longest = int(lengths.max()) if lengths.size else 0
    start = np.cumsum(lengths) - lengths
    place = np.minimum(start[:, None] + np.arange(longest), max(targets.shape[0] - 1, 0))
    return targets.array[targets.backend.from_host(place)]
