"""Modules of both frameworks with the same weights, on the same numbers, in train and in eval mode.

The weights are those that PyTorch drew; they are loaded by name, strictly, so names and shapes are compared as well.
Compared are the outputs, the gradients of the inputs and of every parameter, and the buffers afterwards (the running
statistics of batch normalisation).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from deepcore import nn
from deepcore.autograd import grad
from deepcore.check import measure
from deepcore.check.opdb import host, is_float
from deepcore.check.tolerance import tolerance
from deepcore.check.torch.arrays import outputs, to_numpy, to_torch
from deepcore.check.torch.compare import Difference, unlike, worst
from deepcore.creation import tensor
from deepcore.dtypes import as_dtype


@dataclass(frozen=True)
class ModuleCase:
    """A module by its name in `nn`, how it is made, and the shapes of what it is called with."""

    name: str
    args: tuple[Any, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ((3, 4),)
    kwargs: dict[str, Any] = field(default_factory=dict)
    length: int = 64
    """Length of the longest reduction, for the tolerance."""
    call: dict[str, Any] = field(default_factory=dict)
    """Keywords of the call."""
    labels: int = 0
    """Classes of the last argument, where that is labels."""
    unit: bool = False
    """Whether the numbers are between 0 and 1."""

    def __str__(self) -> str:
        given = [*map(repr, self.args), *(f"{k}={v!r}" for k, v in self.kwargs.items())]
        return f"nn.{self.name}({', '.join(given)})"


def _image(*shape: int) -> tuple[tuple[int, ...], ...]:
    return (shape,)


ACTIVATIONS = (
    "ReLU",
    "ReLU6",
    "ELU",
    "SELU",
    "GELU",
    "SiLU",
    "Mish",
    "Sigmoid",
    "Tanh",
    "Hardtanh",
    "Hardsigmoid",
    "Hardswish",
    "LeakyReLU",
    "Softplus",
    "Softsign",
    "LogSigmoid",
    "Identity",
)
_PAIR = ((3, 4), (3, 4))
_SEQUENCE = ((5, 3, 4),)
_HEADS = ((4, 2, 8), (5, 2, 8), (5, 2, 8))

CASES: tuple[ModuleCase, ...] = (
    ModuleCase("Linear", (4, 5)),
    ModuleCase("Linear", (4, 5), kwargs={"bias": False}),
    ModuleCase("Conv1d", (4, 6, 3), _image(2, 4, 7), {"padding": 1, "groups": 2}),
    ModuleCase("Conv2d", (3, 4, 3), _image(2, 3, 6, 5), {"stride": 2, "padding": 1}),
    ModuleCase("Conv2d", (4, 4, (3, 2)), _image(2, 4, 6, 5), {"padding": "same", "dilation": 2}),
    ModuleCase("Conv2d", (3, 4, 3), _image(2, 3, 6, 5), {"padding": 1, "padding_mode": "reflect", "bias": False}),
    ModuleCase("Conv2d", (3, 4, 3), _image(2, 3, 6, 5), {"padding": (2, 1), "padding_mode": "circular"}),
    ModuleCase("Conv2d", (3, 4, 3), _image(2, 3, 6, 5), {"padding": 1, "padding_mode": "replicate"}),
    ModuleCase("Conv3d", (2, 3, 2), _image(2, 2, 3, 4, 3)),
    ModuleCase("ConvTranspose1d", (4, 3, 3), _image(2, 4, 5), {"stride": 2, "output_padding": 1}),
    ModuleCase("ConvTranspose2d", (4, 3, 3), _image(2, 4, 5, 4), {"stride": 2, "padding": 1, "output_padding": 1}),
    ModuleCase("ConvTranspose3d", (2, 3, 2), _image(2, 2, 3, 2, 3), {"stride": 2}),
    ModuleCase("BatchNorm1d", (4,), _image(6, 4)),
    ModuleCase("BatchNorm1d", (4,), _image(3, 4, 5), {"momentum": None}),
    ModuleCase("BatchNorm2d", (3,), _image(4, 3, 2, 5), {"eps": 1e-3, "momentum": 0.3}),
    ModuleCase("BatchNorm2d", (3,), _image(4, 3, 2, 5), {"affine": False}),
    ModuleCase("BatchNorm2d", (3,), _image(4, 3, 2, 5), {"track_running_stats": False}),
    ModuleCase("BatchNorm3d", (2,), _image(3, 2, 2, 3, 2)),
    ModuleCase("LayerNorm", (4,), _image(3, 5, 4)),
    ModuleCase("LayerNorm", ((5, 4),), _image(3, 5, 4), {"elementwise_affine": False}),
    ModuleCase("LayerNorm", ((5, 4),), _image(3, 5, 4), {"bias": False}),
    ModuleCase("RMSNorm", (4,), _image(3, 5, 4)),
    ModuleCase("GroupNorm", (2, 6), _image(2, 6, 3, 2)),
    ModuleCase("InstanceNorm1d", (3,), _image(2, 3, 6), {"affine": True}),
    ModuleCase("InstanceNorm2d", (3,), _image(2, 3, 4, 3), {"track_running_stats": True, "affine": True}),
    ModuleCase("LocalResponseNorm", (3,), _image(2, 5, 3, 4)),
    ModuleCase("PReLU", (4,)),
    *(ModuleCase(name) for name in ACTIVATIONS),
    *(ModuleCase(name, (1,)) for name in ("Softmax", "LogSoftmax", "Softmin", "GLU")),
    ModuleCase("MaxPool1d", (3,), _image(2, 3, 8), {"stride": 2, "padding": 1}),
    ModuleCase("MaxPool2d", (2,), _image(2, 3, 7, 6), {"ceil_mode": True}),
    ModuleCase("MaxPool3d", (2,), _image(2, 2, 4, 4, 4)),
    ModuleCase("AvgPool1d", (3,), _image(2, 3, 8)),
    ModuleCase("AvgPool2d", (3,), _image(2, 3, 7, 6), {"stride": 2, "padding": 1, "count_include_pad": False}),
    ModuleCase("AvgPool3d", (2,), _image(2, 2, 4, 4, 4)),
    ModuleCase("AdaptiveAvgPool2d", ((3, 2),), _image(2, 3, 7, 6)),
    ModuleCase("AdaptiveMaxPool2d", ((3, 2),), _image(2, 3, 7, 6)),
    ModuleCase("LPPool2d", (2, 3), _image(2, 3, 7, 6)),
    ModuleCase("PixelShuffle", (2,), _image(2, 8, 3, 2)),
    ModuleCase("PixelUnshuffle", (2,), _image(2, 2, 4, 6)),
    ModuleCase("Upsample", (), _image(2, 3, 4, 5), {"scale_factor": 2, "mode": "bilinear", "align_corners": True}),
    ModuleCase("Upsample", (), _image(2, 3, 4, 5), {"size": (7, 3)}),
    ModuleCase("Flatten", (), _image(2, 3, 4)),
    ModuleCase("Unflatten", (1, (2, 2)), _image(3, 4)),
    ModuleCase("Unfold", (2,), _image(2, 3, 4, 5)),
    ModuleCase("Fold", ((4, 5), 2), _image(2, 12, 12)),
    ModuleCase("RNN", (4, 5, 2), _SEQUENCE, {"bidirectional": True}),
    ModuleCase("RNN", (4, 5), _SEQUENCE, {"nonlinearity": "relu", "bias": False}),
    ModuleCase("LSTM", (4, 5, 2), _SEQUENCE, {"bidirectional": True}),
    ModuleCase("LSTM", (4, 5), _SEQUENCE, {"batch_first": True}),
    ModuleCase("GRU", (4, 5, 2), _SEQUENCE, {"bidirectional": True, "bias": False}),
    ModuleCase("GRU", (4, 5), ((3, 4),)),
    ModuleCase("RNNCell", (4, 5), ((3, 4), (3, 5))),
    ModuleCase("LSTMCell", (4, 5)),
    ModuleCase("GRUCell", (4, 5), ((3, 4), (3, 5))),
    ModuleCase("MultiheadAttention", (8, 2), _HEADS),
    ModuleCase("MultiheadAttention", (8, 4), _HEADS, {"bias": False}, call={"average_attn_weights": False}),
    ModuleCase(
        "MultiheadAttention", (8, 2), ((2, 4, 8), (2, 5, 6), (2, 5, 4)), {"kdim": 6, "vdim": 4, "batch_first": True}
    ),
    ModuleCase("MultiheadAttention", (8, 2), _HEADS, {"add_bias_kv": True, "add_zero_attn": True}),
    *(
        ModuleCase(name, (), _PAIR, {"reduction": reduction})
        for name in ("MSELoss", "L1Loss", "SmoothL1Loss", "HuberLoss", "BCEWithLogitsLoss", "PoissonNLLLoss")
        for reduction in ("mean", "sum", "none")
    ),
    ModuleCase("BCELoss", (), _PAIR, unit=True),
    ModuleCase("KLDivLoss", (), _PAIR, {"reduction": "batchmean"}, unit=True),
    ModuleCase("GaussianNLLLoss", (), ((3, 4), (3, 4), (3, 4)), unit=True),
    ModuleCase("CrossEntropyLoss", (), ((3, 4), (3,)), {"label_smoothing": 0.1}, labels=4),
    ModuleCase("NLLLoss", (), ((3, 4), (3,)), {"ignore_index": 1}, labels=4),
    ModuleCase("CosineSimilarity", (), _PAIR),
    ModuleCase("PairwiseDistance", (), _PAIR),
    ModuleCase("TripletMarginLoss", (), ((3, 4), (3, 4), (3, 4)), {"swap": True}),
)


def compare_module(case: ModuleCase, device: str, dtype: str, training: bool) -> Iterator[Difference]:
    """The differences of one module."""
    mode = "train" if training else "eval"

    def difference(kind: str, detail: str, error: float = float("inf")) -> Difference:
        return Difference(str(case), mode, device, dtype, kind, detail, error=error)

    torch.manual_seed(0)
    other = getattr(torch.nn, case.name)(*case.args, **case.kwargs).to(getattr(torch, dtype)).train(training)
    mine = getattr(nn, case.name)(*case.args, **case.kwargs).to(device).to(dtype=as_dtype(dtype)).train(training)
    loaded = {name: to_numpy(value) for name, value in other.state_dict().items()}
    if list(loaded) != list(mine.state_dict()):
        yield difference("names", f"{list(mine.state_dict())}, PyTorch {list(loaded)}")
        return
    mine.load_state_dict(loaded)
    arrays = _inputs(case, dtype)
    floats = [i for i, a in enumerate(arrays) if a.dtype.kind == "f"]
    xs = [tensor(a, device=device, requires_grad=i in floats) for i, a in enumerate(arrays)]
    ts = [to_torch(a, i in floats) for i, a in enumerate(arrays)]
    ys, zs = outputs(mine(*xs, **case.call)), outputs(other(*ts, **case.call))
    allowed = tolerance(dtype, case.length)
    named = [(f"output {k}", host(y), to_numpy(z)) for k, (y, z) in enumerate(zip(ys, zs, strict=True))]
    ys, zs = [y for y in ys if is_float(y)], [z for z in zs if z.is_floating_point()]
    vs = measure.random_like([np.empty(y.shape) for y in ys], seed=1)
    names = [f"input {i}" for i in floats] + [name for name, _ in mine.named_parameters()]
    gs = grad(
        ys,
        [*(xs[i] for i in floats), *mine.parameters()],
        [tensor(v.astype(dtype), device=device) for v in vs],
        allow_unused=True,
    )
    hs = torch.autograd.grad(
        zs, [*(ts[i] for i in floats), *other.parameters()], [to_torch(v.astype(dtype)) for v in vs], allow_unused=True
    )
    for name, g, h in zip(names, gs, hs, strict=True):
        if g is not None or h is not None:
            named.append((f"gradient of {name}", _or_zeros(g, h), to_numpy(torch.zeros(()) if h is None else h)))
    buffers = zip(mine.named_buffers(), other.named_buffers(), strict=True)
    named += [(f"buffer {name}", host(b), to_numpy(c)) for (name, b), (_, c) in buffers]
    for what, x, y in named:
        if detail := unlike(x, y, allowed):
            yield difference("value", f"{what}: {detail}", worst(x, y))


def _or_zeros(g: Any, h: Any) -> np.ndarray:
    return np.zeros(tuple(h.shape)) if g is None else host(g)


def _inputs(case: ModuleCase, dtype: str) -> list[np.ndarray]:
    rng = np.random.default_rng(3)
    low = 0.1 if case.unit else -1.5
    arrays = [rng.uniform(low, 0.9 if case.unit else 1.5, shape).astype(dtype) for shape in case.shapes]
    if case.labels:
        arrays[-1] = rng.integers(0, case.labels, case.shapes[-1])
    return arrays
