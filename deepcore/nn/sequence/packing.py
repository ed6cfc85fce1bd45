"""Sequences of several lengths in one batch, padded or packed; `nn.utils.rnn` in PyTorch.

Packed: the rows of all time steps one after the other, longest sequence first, without the padding. Step t holds the
batch_sizes[t] sequences that are still running, so a recurrent layer computes nothing that is thrown away.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from deepcore import creation
from deepcore.autograd import wrap
from deepcore.errors import ConfigError, DeviceError, ShapeError, got, message
from deepcore.functions import cat, getitem, reshape, stack, transpose
from deepcore.tensor import Tensor

__all__ = [
    "PackedSequence",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class PackedSequence(NamedTuple):
    """What pack_padded_sequence returns; recurrent layers take it and give it back.

    data (M, ...), M = the sum of all lengths; batch_sizes (T,) int64 on the host. sorted_indices and unsorted_indices
    (N,) int64 on data's device: the order in which the sequences lie here, and the way back; None where they were
    sorted already.
    """

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same with data (and the indices) moved or cast as by Tensor.to; batch_sizes stays on the host."""
        data = self.data.to(*args, **kwargs)
        order = (self.sorted_indices, self.unsorted_indices)
        return PackedSequence(data, self.batch_sizes, *(None if i is None else i.to(data.device) for i in order))


def numbers(op: str, name: str, values: Any) -> list[int]:
    """Integers from a list or from a tensor on the host."""
    if isinstance(values, Tensor):
        if not values.backend.on_host:
            hint = f"keep {name} on the host: a list, or {name}.cpu()"
            raise DeviceError(message(op, f"{name} on the host", got(**{name: values}), hint))
        values = values.numpy()
    host = np.asarray(values)
    if host.ndim != 1 or (host.size and host.dtype.kind not in "iu"):
        raise ShapeError(message(op, f"{name} as integers, one for each sequence", got(**{name: host})))
    return host.tolist()


def _places(values: np.ndarray, like: Tensor) -> Tensor:
    """An int64 tensor on the device of `like`."""
    return wrap(like.backend.from_host(np.asarray(values, dtype=np.int64)), like.backend)


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Pack a padded batch: input (T, N, ...), with batch_first (N, T, ...); lengths (N,) on the host, 1..T each.

    enforce_sorted: the sequences lie from long to short already; False sorts them, and recurrent layers give their
    results in the original order. Raises ShapeError, ConfigError, DeviceError.

    >>> import deepcore as dc
    >>> packed = pack_padded_sequence(dc.tensor([[1, 2, 3], [4, 5, 0]]), [3, 2], batch_first=True)
    >>> packed.data, packed.batch_sizes
    (tensor([1, 4, 2, 5, 3]), tensor([2, 2, 1]))
    """
    op = "pack_padded_sequence"
    if input.ndim < 2:
        raise ShapeError(message(op, "input (T, N, ...)", got(input=input)))
    x = transpose(input, 0, 1) if batch_first else input
    steps, rows = x.shape[:2]
    sizes = np.asarray(numbers(op, "lengths", lengths), dtype=np.int64)
    if sizes.size != rows or not sizes.size or sizes.min() < 1 or sizes.max() > steps:
        found = f"lengths={sizes.tolist()}, {got(input=input)}"
        raise ShapeError(message(op, f"{rows} lengths, at least one, each from 1 to {steps}", found))
    order = back = None
    if not enforce_sorted:
        permutation = np.argsort(-sizes, kind="stable")
        order, back = _places(permutation, x), _places(np.argsort(permutation), x)
        sizes = sizes[permutation]
    elif (np.diff(sizes) > 0).any():
        hint = "pass enforce_sorted=False"
        raise ConfigError(message(op, "lengths from long to short", f"lengths={sizes.tolist()}", hint))
    running = sizes > np.arange(sizes[0]).reshape(-1, 1)  # (T, N), of the sorted sequences
    times, columns = np.nonzero(running)
    if not enforce_sorted:
        columns = permutation[columns]
    flat = reshape(x, (steps * rows, *x.shape[2:]))
    data = getitem(flat, _places(times * rows + columns, x))
    return PackedSequence(data, creation.tensor(running.sum(axis=1), device="cpu"), order, back)


def _layout(packed: PackedSequence) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(steps, lengths in sorted order, place of each sequence) of a packed batch, on the host."""
    steps = np.asarray(numbers("pad_packed_sequence", "batch_sizes", packed.batch_sizes), dtype=np.int64)
    lengths = (steps > np.arange(steps[0]).reshape(-1, 1)).sum(axis=1)
    if packed.unsorted_indices is None:
        return steps, lengths, np.arange(steps[0])
    index = packed.unsorted_indices
    return steps, lengths, index.backend.to_host(index.array)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """Undo pack_padded_sequence: (T, N, ...), with batch_first (N, T, ...), and the lengths (N,) int64 on the host.

    T is the longest length, or total_length. The sequences are in their original order; for a batch that was packed
    with enforce_sorted=False this order is read from the device, N integers. Raises ShapeError.
    """
    steps, lengths, places = _layout(sequence)
    total = len(steps) if total_length is None else total_length
    if total < len(steps):
        found = f"total_length={total_length}"
        raise ShapeError(message("pad_packed_sequence", f"total_length of at least {len(steps)}", found))
    data, rows = sequence.data, int(steps[0])
    starts = np.concatenate([[0], np.cumsum(steps)[:-1]])
    # The row of each (time, sequence); those past the end look at one row of padding behind all others.
    at = np.full((total, rows), data.shape[0], dtype=np.int64)
    running = steps.reshape(-1, 1) > np.arange(rows)
    at[: len(steps)][running] = (starts.reshape(-1, 1) + np.arange(rows))[running]
    at = at[:, places]
    if batch_first:
        at = at.T
    padding = wrap(data.backend.xp.full((1, *data.shape[1:]), padding_value, dtype=data.dtype), data.backend)
    padded = getitem(cat([data, padding]), _places(at.reshape(-1), data))
    return reshape(padded, (*at.shape, *data.shape[1:])), creation.tensor(lengths[places], device="cpu")


def pad_sequence(
    sequences: Sequence[Tensor],
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Stack sequences (length, ...) into (T, N, ...), with batch_first (N, T, ...), filled up to the longest.

    padding_side: 'right' pads behind, 'left' in front. Raises ShapeError and ConfigError.

    >>> import deepcore as dc
    >>> pad_sequence([dc.tensor([1, 2]), dc.tensor([3])], batch_first=True)
    tensor([[1, 2],
            [3, 0]])
    """
    op = "pad_sequence"
    if padding_side not in ("right", "left"):
        raise ConfigError(message(op, "padding_side 'right' or 'left'", f"{padding_side!r}"))
    if not sequences or any(s.ndim < 1 or s.shape[1:] != sequences[0].shape[1:] for s in sequences):
        found = ", ".join(str(s.shape) for s in sequences) or "none"
        raise ShapeError(message(op, "sequences (length, ...) that differ in their first axis only", found))
    longest = max(s.shape[0] for s in sequences)
    whole = []
    for s in sequences:
        shape = (longest - s.shape[0], *s.shape[1:])
        padding = wrap(s.backend.xp.full(shape, padding_value, dtype=s.dtype), s.backend)
        whole.append(s if not math.prod(shape) else cat([s, padding] if padding_side == "right" else [padding, s]))
    return stack(whole, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Any, batch_first: bool = False) -> list[Tensor]:
    """Undo pad_sequence: the sequences with their own lengths."""
    x = padded_sequences if batch_first else transpose(padded_sequences, 0, 1)
    return [x[i, :n] for i, n in enumerate(numbers("unpad_sequence", "lengths", lengths))]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Pack sequences (length, ...): pad_sequence, then pack_padded_sequence."""
    return pack_padded_sequence(pad_sequence(sequences), [s.shape[0] for s in sequences], False, enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """Undo pack_sequence."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences))
