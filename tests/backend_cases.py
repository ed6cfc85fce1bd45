"""One entry for each method of a backend: arguments with float64 arrays, and the length of its longest sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepcore.backends import get_backend

FLOATS = ("float16", "float32", "float64")
WIDE = ("float32", "float64")


@dataclass(frozen=True)
class Case:
    """A call of backend.<method>(*args); arrays in lists are written to when the method returns nothing."""

    name: str
    method: str
    args: tuple[Any, ...]
    length: int = 1
    dtypes: tuple[str, ...] = FLOATS

    def arguments(self, dtype: str, move: Callable[[np.ndarray], Any]) -> list[Any]:
        """Return the arguments with floating arrays rounded to dtype and every array moved by `move`."""
        return [convert(value, lambda a: move(a.astype(dtype) if a.dtype.kind == "f" else a)) for value in self.args]


def convert(value: Any, change: Callable[[np.ndarray], Any]) -> Any:
    """Return value with `change` applied to every array in it (also inside lists and tuples)."""
    if isinstance(value, np.ndarray):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(convert(member, change) for member in value)
    return value


def _convolutions(rng: np.random.Generator) -> list[Case]:
    cases = []
    shapes = [
        ("plain", 2, 3, 4, (3, 3), (1, 1), (1, 1), (1, 1), 1),
        ("stride, padding, dilation", 3, 2, 5, (3, 2), (2, 1), (2, 1), (1, 3), 1),
        ("groups", 2, 6, 4, (1, 3), (1, 2), (0, 0), (1, 1), 2),
        ("depthwise", 1, 4, 4, (3, 3), (2, 2), (1, 0), (1, 1), 4),
        ("1x1", 5, 4, 3, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    ]
    for name, n, c, o, kernel, stride, padding, dilation, groups in shapes:
        x, w, b = rng.random((n, c, 9, 11)), rng.random((o, c // groups, *kernel)), rng.random(o)
        size = [
            (x.shape[2 + i] + 2 * padding[i] - dilation[i] * (kernel[i] - 1) - 1) // stride[i] + 1 for i in range(2)
        ]
        gy = rng.random((n, o, *size))
        cols = rng.random((n, c, *kernel, *size))
        k = w[0].size
        geometry = (stride, padding, dilation)
        cases += [
            Case(name, "conv2d", (x, w, b, *geometry, groups), k),
            Case(name + ", no bias", "conv2d", (x, w, None, *geometry, groups), k),
            Case(name, "conv2d_input", (gy, w, x.shape, *geometry, groups), o * kernel[0] * kernel[1]),
            Case(name, "conv2d_weight", (gy, x, w.shape, *geometry, groups), n * size[0] * size[1]),
            Case(name, "im2col", (x, kernel, *geometry)),
            Case(name + ", value", "im2col", (x, kernel, *geometry, 1.5)),
            Case(name, "col2im", (cols, x.shape, kernel, *geometry), kernel[0] * kernel[1]),
        ]
    # a transposed convolution with output padding: an image larger than the kernel positions reach
    gy, w = rng.random((2, 3, 4, 4)), rng.random((3, 2, 3, 3))
    larger = (2, 2, 10, 10)
    cases.append(Case("larger image", "conv2d_input", (gy, w, larger, (2, 2), (0, 0), (1, 1), 1), 27))
    args = (gy, rng.random(larger), w.shape, (2, 2), (0, 0), (1, 1), 1)
    cases.append(Case("larger image", "conv2d_weight", args, 32))
    return cases


def _pools(rng: np.random.Generator) -> list[Case]:
    cases = []
    shapes = [
        ("2x2", (2, 2), (2, 2), (0, 0), (1, 1), (4, 4)),
        ("2x2 ceil", (2, 2), (2, 2), (0, 0), (1, 1), (4, 5)),
        ("overlap", (3, 3), (2, 1), (1, 1), (1, 1), (4, 9)),
        ("padded ceil", (3, 2), (2, 2), (1, 1), (1, 1), (5, 5)),
        ("dilated", (2, 3), (1, 2), (1, 0), (2, 2), (8, 3)),
    ]
    reference = get_backend("numpy")
    for name, kernel, stride, padding, dilation, size in shapes:
        x = rng.standard_normal((3, 2, 8, 9))
        x[0, 0, 2, 2:4] = np.nan
        x[1] = np.round(x[1])  # ties
        x[2, 1, :4] = -np.inf
        geometry = (kernel, stride, padding)
        _, indices = reference.max_pool2d(x, *geometry, dilation, size)
        gy = rng.random(indices.shape)
        cases.append(Case(name, "max_pool2d", (x, *geometry, dilation, size)))
        cases.append(Case(name, "max_pool2d_grad", (gy, indices, x.shape, *geometry, dilation), 9))
        if dilation != (1, 1):
            continue
        plain = rng.random((2, 3, 8, 9))
        for include, divisor in ((True, None), (False, None), (True, 3)):
            label = f"{name}, {include}, {divisor}"
            cases.append(Case(label, "avg_pool2d", (plain, *geometry, size, include, divisor), 9))
            gy = rng.random((2, 3, *size))
            cases.append(Case(label, "avg_pool2d_grad", (gy, plain.shape, *geometry, include, divisor), 9))
    return cases


def _norms(rng: np.random.Generator) -> list[Case]:
    cases = []
    for shape in ((7, 3), (4, 3, 5, 2), (2, 5, 6)):
        x, gy, w, b = rng.random(shape) + 2, rng.random(shape), rng.random(shape[1]), rng.random(shape[1])
        mean, rstd = rng.random(shape[1]) + 2, rng.random(shape[1])
        n, name = x[:, 0].size, str(shape)
        cases += [
            Case(name, "batch_norm_stats", (x,), n),
            Case(name, "batch_norm_apply", (x, mean, rstd, w, b)),
            Case(name + ", plain", "batch_norm_apply", (x, mean, rstd, None, None)),
            Case(name, "batch_norm_grad", (gy, x, mean, rstd, w), n),
            Case(name + ", plain", "batch_norm_grad", (gy, x, mean, rstd, None), n),
        ]
    return cases


def _activations(rng: np.random.Generator) -> list[Case]:
    cases = []
    for shape in ((), (5,), (4, 7), (2, 3, 5)):
        x, gy = rng.standard_normal(shape), rng.standard_normal(shape)
        cases += [
            Case(str(shape), "relu", (x,)),
            Case(str(shape), "relu_grad", (gy, np.maximum(x, 0))),
            Case(str(shape), "sigmoid", (x,)),
        ]
        for axis in range(-1, len(shape) - 1):
            if not shape:
                continue
            b = rng.standard_normal(shape[axis])
            n = x.size // b.size
            name = f"{shape} along {axis}"
            cases += [
                Case(name, "softmax", (4 * x, axis), b.size),
                Case(name, "log_softmax", (4 * x, axis), b.size),
                Case(name, "bias_relu", (x, b, axis)),
                Case(name, "bias_relu_grad", (gy, np.maximum(x, 0), axis), n),
            ]
    return cases


def _losses(rng: np.random.Generator) -> list[Case]:
    cases = []
    logits, g, weight = rng.standard_normal((9, 5)), rng.random(9), rng.random(5) + 0.1
    target = np.array([0, 4, 2, -100, 3, 1, 2, 9, 0])  # 9 is no class
    reference = get_backend("numpy")
    for w, ignore_index, smoothing in ((None, -100, 0.0), (weight, 2, 0.0), (None, -100, 0.1), (weight, 2, 0.2)):
        for kind in ("int64", "int32"):
            t = target.astype(kind)
            _, lse = reference.softmax_cross_entropy(logits, t, w, ignore_index, smoothing)
            options = (w, ignore_index, smoothing)
            name = f"{'weights, ' if w is not None else ''}ignore {ignore_index}, smoothing {smoothing}, {kind}"
            cases.append(Case(name, "softmax_cross_entropy", (logits, t, *options), 5))
            cases.append(Case(name, "softmax_cross_entropy_grad", (g, logits, t, lse, *options), 5))
    return cases


def _vision(rng: np.random.Generator) -> list[Case]:
    cases = []
    for mode in ("bilinear", "nearest"):
        for padding_mode in ("zeros", "border", "reflection"):
            for align_corners in (True, False):
                for size in ((5, 6), (1, 4)):
                    x = rng.random((2, 3, *size))
                    grid = rng.uniform(-2.5, 2.5, (2, 4, 5, 2)).astype("float32").astype("float64")
                    options = (mode, padding_mode, align_corners)
                    name = f"{options} {size}"
                    cases.append(Case(name, "grid_sample", (x, grid, *options), 16, WIDE))
                    gy = rng.random((2, 3, 4, 5))
                    cases.append(Case(name, "grid_sample_grad", (gy, x, grid, *options), 64, WIDE))
    return cases


def _optimisers(rng: np.random.Generator) -> list[Case]:
    def some() -> list[np.ndarray]:
        return [rng.random((3, 4)), rng.random(5), rng.random(())]

    sgd = [
        (0.0, 0.0, 0.0, False, False, True),
        (0.9, 0.0, 0.1, True, False, False),
        (0.9, 0.3, 0.0, False, True, False),
        (0.9, 0.0, 0.1, True, False, True),
    ]
    adam = [(False, 0.0, False, False), (True, 0.1, False, True), (False, 0.1, True, False), (True, 0.0, True, True)]
    cases = []
    for momentum, dampening, decay, nesterov, maximize, first in sgd:
        buffers = some() if momentum else None
        args = (some(), some(), buffers, 0.1, momentum, dampening, decay, nesterov, maximize, first)
        cases.append(Case(str(args[4:]), "sgd_update", args, 4, WIDE))
    for amsgrad, decay, decoupled, maximize in adam:
        largest = some() if amsgrad else None
        args = (some(), some(), some(), some(), largest, 3, 0.1, 0.9, 0.999, 1e-8, decay, decoupled, maximize)
        cases.append(Case(f"{amsgrad}, {decay}, {decoupled}, {maximize}", "adam_update", args, 4, WIDE))
    return cases


def _linear(rng: np.random.Generator) -> list[Case]:
    x, w, b = rng.random((4, 3, 7)), rng.random((5, 7)), rng.random(5)
    return [
        Case("batched", "matmul", (x, rng.random((7, 2))), 7),
        Case("vectors", "matmul", (rng.random(7), rng.random(7)), 7),
        Case("bias", "linear", (x, w, b), 7),
        Case("no bias", "linear", (x, w, None), 7),
        Case("repeats", "index_add", ((6, 2), "float64", np.array([0, 5, 0, 0]), rng.random((4, 2))), 4, ("float64",)),
    ]


def build() -> list[Case]:
    """Return all cases, the same ones in every process."""
    rng = np.random.default_rng(20)
    families = (_linear, _convolutions, _pools, _norms, _activations, _losses, _vision, _optimisers)
    return [case for family in families for case in family(rng)]


CASES = build()
