"""What PyTorch spells in another way, and what it does not have; each with the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch.nn import functional as TF


class NoCounterpart(Exception):
    """PyTorch has the op, but not with these options."""


@dataclass(frozen=True)
class Translation:
    """An op in PyTorch's words, and why it needs other words."""

    call: Callable[..., Any]
    because: str


_TORCHVISION = "a function of torchvision; PyTorch itself has none"

ABSENT: dict[str, str] = {
    "step": "the step function of the book; torch.heaviside takes the value at 0 and has no gradient",
    "step_straight_through": "straight-through gradients are written by hand in PyTorch",
    "dropout": "each framework draws from a random stream of its own; tests/test_ops.py compares with our stream",
    "box_area": _TORCHVISION,
    "box_iou": _TORCHVISION,
    "generalized_box_iou": _TORCHVISION,
    "distance_box_iou": _TORCHVISION,
    "complete_box_iou": _TORCHVISION,
    "generalized_box_iou_loss": _TORCHVISION,
    "distance_box_iou_loss": _TORCHVISION,
    "complete_box_iou_loss": _TORCHVISION,
    "box_convert": _TORCHVISION,
    "clip_boxes_to_image": _TORCHVISION,
    "remove_small_boxes": _TORCHVISION,
    "nms": _TORCHVISION,
    "batched_nms": _TORCHVISION,
    "encode_boxes": _TORCHVISION,
    "decode_boxes": _TORCHVISION,
    "grid_anchors": _TORCHVISION,
    "roi_pool": _TORCHVISION,
    "roi_align": _TORCHVISION,
    "sigmoid_focal_loss": _TORCHVISION,
    "focal_loss": "the loss of Lin et al. for several classes; PyTorch has none",
    "dice_loss": "PyTorch has none",
    "vae_loss": "PyTorch has none",
    "additive_attention": "PyTorch has dot-product attention only",
    "spatial_pyramid_pool": "PyTorch has none",
}


# --- the layouts of the book ------------------------------------------------------------------------------------------


def _im2col(
    x: Any, kernel_size: Any, stride: Any = 1, padding: Any = 0, dilation: Any = 1, constant_values: float = 0.0
) -> Any:
    if constant_values:
        raise NoCounterpart("unfold pads with zeros, and only them")
    columns = TF.unfold(x, kernel_size, dilation, padding, stride)
    return columns.permute(0, 2, 1).reshape(-1, columns.shape[1])


def _col2im(
    col: Any,
    input_shape: Any,
    kernel_size: Any,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    accumulate: bool = True,
) -> Any:
    if not accumulate:
        raise NoCounterpart("fold adds where columns overlap, and only that")
    n = input_shape[0]
    columns = col.reshape(n, -1 if n else 12, col.shape[1]).permute(0, 2, 1)
    return TF.fold(columns, tuple(input_shape[2:]), kernel_size, dilation, padding, stride)


# --- recurrent layers -------------------------------------------------------------------------------------------------


def _layer(kind: str, states: int) -> Callable[..., Any]:
    """One layer by torch.lstm and its like, which take lists of weights."""

    def run(*args: Any, reverse: bool = False, batch_sizes: Any = None, **options: Any) -> tuple[Any, ...]:
        x, hidden, weights = args[0], args[1 : 1 + states], [w for w in args[1 + states :] if w is not None]
        if len(weights) > 4 or not options.pop("reset_after", True):
            raise NoCounterpart("PyTorch has no peepholes, and one place of the reset gate")
        _check_layer({"rnn": 1, "lstm": 4, "gru": 3}[kind], x, hidden, weights, batch_sizes)
        function = getattr(torch, f"rnn_{_nonlinearity(options)}" if kind == "rnn" else kind)
        two = reverse  # PyTorch runs backwards only as the second half of two directions
        h0 = [torch.stack([h] * (1 + two)) for h in hidden]
        state = h0 if states > 1 else h0[0]
        settings = (weights * (1 + two), len(weights) == 4, 1, 0.0, False, two)
        if batch_sizes is None:
            y, *last = function(x, state, *settings, False)
        else:
            y, *last = function(x, torch.tensor(batch_sizes), state, *settings)
        if two:
            y = y[..., y.shape[-1] // 2 :]
        return y, *(h[-1] for h in last)

    return run


def _check_layer(gates: int, x: Any, hidden: Any, weights: Any, batch_sizes: Any) -> None:
    """What torch.nn.LSTM and PackedSequence see to: torch.lstm itself would read memory that is not there."""
    size = weights[1].shape[-1]
    rows = x.shape[1] if batch_sizes is None and x.ndim == 3 else batch_sizes[0] if batch_sizes else 0
    fits = x.ndim == (3 if batch_sizes is None else 2) and all(h.shape == (rows, size) for h in hidden)
    fits = fits and weights[0].ndim == 2 and x.shape[-1] == weights[0].shape[1]
    fits = fits and all(w.shape[0] == gates * size for w in weights)
    if batch_sizes is not None:
        falling = all(a >= b > 0 for a, b in pairwise(batch_sizes))
        fits = fits and falling and sum(batch_sizes) == x.shape[0]
    if not fits:
        raise ValueError("input, hidden state, weights and batch_sizes do not fit")


def _nonlinearity(options: dict[str, Any]) -> str:
    """The name in the options, taken out of them; refused as torch.nn.RNN refuses it."""
    name = options.pop("nonlinearity", "tanh")
    if name not in ("tanh", "relu"):
        raise ValueError(f"Unknown nonlinearity '{name}'. Select from 'tanh' or 'relu'.")
    return name


def _cell(kind: str, states: int) -> Callable[..., Any]:
    def run(*args: Any, nonlinearity: str = "", reset_after: bool = True, peephole: Any = None) -> Any:
        args = args if states == 1 else (args[0], tuple(args[1:3]), *args[3:])
        if len(args) > 6 or not reset_after or peephole is not None:
            raise NoCounterpart("PyTorch has no peepholes, and one place of the reset gate")
        name = (
            f"rnn_{_nonlinearity({'nonlinearity': nonlinearity or 'tanh'})}_cell" if kind == "rnn" else f"{kind}_cell"
        )
        return getattr(torch, name)(*args)

    return run


def _batch_norm_relu(x: Any, *args: Any, residual: Any = None, **kwargs: Any) -> Any:
    args, rest = args[:7], args[7:]
    residual = rest[0] if rest else residual
    y = TF.batch_norm(x, *args, **kwargs)
    return torch.relu(y if residual is None else y + residual)


def _bias_relu(x: Any, bias: Any, dim: int = 1) -> Any:
    return torch.relu(x + bias.reshape([-1 if d == dim % x.ndim else 1 for d in range(x.ndim)]))


def _over_last(norm: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, normalized_shape: Any, *args: Any, **kwargs: Any) -> Any:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        return norm(x, shape, *args, **kwargs)

    return run


def _ctc_loss(log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, **kwargs: Any) -> Any:
    if targets.numel() and not 0 <= int(targets.min()) <= int(targets.max()) < log_probs.shape[-1]:
        raise NoCounterpart("PyTorch does not check labels: it reads memory past the classes")
    inputs, wanted = (torch.as_tensor(n, dtype=torch.int64) for n in (input_lengths, target_lengths))
    return TF.ctc_loss(log_probs, targets, inputs, wanted, **kwargs)


def _stable(sort: Callable[..., Any]) -> Callable[..., Any]:
    def run(x: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
        return sort(x, dim=dim, descending=descending, stable=True)

    return run


TRANSLATED: dict[str, Translation] = {
    "batch_norm_relu": Translation(_batch_norm_relu, "three ops in one: batch_norm, a sum and relu"),
    "bias_relu": Translation(_bias_relu, "two ops in one kernel, for models of CNNs"),
    "conv2d_relu": Translation(lambda *a, **k: torch.relu(TF.conv2d(*a, **k)), "two ops in one, for nn.Sequential"),
    "linear_relu": Translation(lambda *a, **k: torch.relu(TF.linear(*a, **k)), "two ops in one, for nn.Sequential"),
    "layer_norm": Translation(_over_last(TF.layer_norm), "one int will do for the last axis, as in torch.nn.LayerNorm"),
    "rms_norm": Translation(_over_last(TF.rms_norm), "one int will do for the last axis, as in torch.nn.RMSNorm"),
    "ctc_loss of log_softmax": Translation(
        lambda x, *args, **kwargs: _ctc_loss(torch.log_softmax(x, -1), *args, **kwargs), "see ctc_loss"
    ),
    "sort": Translation(_stable(torch.sort), "ours is always stable, so PyTorch's is asked for the same"),
    "argsort": Translation(_stable(torch.argsort), "ours is always stable, so PyTorch's is asked for the same"),
    "ctc_loss": Translation(_ctc_loss, "lengths may be numbers, sequences or tensors, each as it comes"),
    "identity": Translation(lambda x: torch.nn.Identity()(x), "PyTorch has it as a module only"),
    "im2col": Translation(_im2col, "rows are windows, as in the book"),
    "col2im": Translation(_col2im, "rows are windows, as in the book"),
    "repeat": Translation(lambda x, sizes: x.repeat(*sizes), "PyTorch has it as a method only"),
    "rnn": Translation(_layer("rnn", 1), "torch.rnn_tanh and rnn_relu take lists of weights"),
    "lstm": Translation(_layer("lstm", 2), "torch.lstm takes lists of weights"),
    "gru": Translation(_layer("gru", 1), "torch.gru takes lists of weights"),
    "rnn_cell": Translation(_cell("rnn", 1), "the nonlinearity is part of PyTorch's name"),
    "lstm_cell": Translation(_cell("lstm", 2), "the peepholes are ours"),
    "gru_cell": Translation(_cell("gru", 1), "the place of the reset gate is ours to choose"),
}
