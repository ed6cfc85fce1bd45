"""Calls of the seam's methods that have a CUDA kernel or a GEMM behind them, each with tiny odd sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepcore.backends.base.optim import Scaling
from kernel_case import CASES, KernelCase, Numbers, add, check
from kernel_cases_fused import FUSED

__all__ = ["CASES", "KernelCase", "check"]


def out_of(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def _convolutions() -> None:
    # name, x, (o, kernel), stride, padding, dilation, groups, workspace
    for name, (n, c, h, w), (o, kernel), stride, padding, dilation, groups, workspace in (
        ("plain", (2, 3, 5, 4), (4, (3, 2)), (1, 1), (0, 0), (1, 1), 1, None),
        ("odd", (2, 2, 6, 5), (3, (3, 2)), (2, 1), (1, 2), (1, 2), 1, None),
        ("pixels-left-over", (1, 2, 6, 7), (3, (2, 2)), (3, 2), (0, 0), (1, 1), 1, None),
        ("groups", (2, 4, 5, 6), (6, (3, 2)), (1, 2), (1, 0), (2, 1), 2, None),
        ("depthwise", (2, 3, 4, 5), (3, (2, 2)), (1, 1), (1, 1), (1, 1), 3, None),
        ("pointwise", (2, 4, 3, 3), (5, (1, 1)), (1, 1), (0, 0), (1, 1), 1, None),
        ("pointwise-with-stride", (2, 4, 3, 5), (5, (1, 1)), (2, 2), (0, 0), (1, 1), 1, None),
        ("one-image-at-a-time", (3, 2, 4, 4), (3, (3, 3)), (1, 1), (1, 1), (1, 1), 1, 1),
        ("groups-one-image-at-a-time", (3, 4, 4, 3), (4, (2, 2)), (1, 1), (1, 0), (1, 1), 2, 1),
    ):
        out = tuple(out_of(*sizes) for sizes in zip((h, w), kernel, stride, padding, dilation, strict=True))
        x, weight, y = (n, c, h, w), (o, c // groups, *kernel), (n, o, *out)
        geometry = stride, padding, dilation, groups
        forward = () if kernel == stride == (1, 1) and groups == 1 else ("conv.im2col",)
        backward = ("conv.col2im",) if forward else ()

        def conv(f: Numbers, x: Any = x, weight: Any = weight, geometry: Any = geometry) -> tuple:
            return f(*x), f(*weight), f(weight[0]), *geometry

        def without_bias(f: Numbers, x: Any = x, weight: Any = weight, geometry: Any = geometry) -> tuple:
            return f(*x), f(*weight), None, *geometry

        def by_input(f: Numbers, y: Any = y, weight: Any = weight, x: Any = x, geometry: Any = geometry) -> tuple:
            return f(*y), f(*weight), x, *geometry

        def by_weight(f: Numbers, y: Any = y, weight: Any = weight, x: Any = x, geometry: Any = geometry) -> tuple:
            return f(*y), f(*x), weight, *geometry

        add("conv2d", name, conv, *forward, workspace=workspace)
        add("conv2d_input", name, by_input, *backward, workspace=workspace)
        add("conv2d_weight", name, by_weight, "conv.im2col", workspace=workspace)
        if name == "plain":
            add("conv2d", "no-bias", without_bias, *forward)
        if groups == 1 and workspace is None:
            shape = (n, c, *kernel, *out)
            add(
                "im2col",
                name,
                lambda f, a=(x, kernel, *geometry[:3]): (f(*a[0]), *a[1:], 1.5),
                "conv.im2col",
                exact=True,
            )
            add("col2im", name, lambda f, s=shape, a=(x, kernel, *geometry[:3]): (f(*s), *a), "conv.col2im")
    add(
        "conv2d_weight",
        "larger-image-than-windows",
        lambda f: (f(2, 3, 2, 2), f(2, 2, 6, 6), (3, 2, 2, 2), (2, 2), (0, 0), (1, 1), 1),
        "conv.im2col",
    )


def _pooling() -> None:
    def image(f: Numbers) -> np.ndarray:
        x = f(2, 2, 5, 7)
        x[0, 0, 1, 1] = np.nan
        x[1, 1, 2:4, 2:4] = 3  # equal maxima: the first wins
        x[1, 0] = -np.inf
        return x

    for name, sizes, out in (
        ("plain", ((2, 2), (2, 2), (0, 0), (1, 1)), (2, 3)),
        ("overlap-dilated", ((3, 2), (2, 1), (1, 1), (1, 2)), (3, 7)),
        ("ceil", ((2, 2), (2, 2), (0, 0), (1, 1)), (3, 4)),
        ("gaps", ((1, 2), (3, 3), (0, 0), (1, 1)), (2, 2)),
    ):
        add("max_pool2d", name, lambda f, s=sizes, o=out: (image(f), *s, o), "pool.max_pool2d", exact=True)

        def gradient(f: Numbers, sizes: Any = sizes, out: Any = out) -> tuple:
            from deepcore.backends import get_backend

            x = image(f)
            indices = get_backend("numpy").max_pool2d(x, *sizes, out)[1]
            return f(2, 2, *out), indices, x.shape, *sizes

        add("max_pool2d_grad", name, gradient, "pool.max_pool2d_grad")
    for name, sizes, out, with_padding, divisor in (
        ("plain", ((2, 2), (2, 2), (0, 0)), (2, 3), True, None),
        ("overlap", ((3, 2), (2, 1), (1, 1)), (3, 8), True, None),
        ("pixels-only", ((3, 3), (2, 2), (1, 1)), (3, 4), False, None),
        ("ceil", ((3, 3), (2, 2), (1, 1)), (4, 4), True, None),
        ("divisor", ((3, 3), (2, 2), (1, 1)), (3, 4), False, 5),
    ):
        rest = with_padding, divisor
        add("avg_pool2d", name, lambda f, s=sizes, o=out, r=rest: (f(2, 2, 5, 7), *s, o, *r), "pool.avg_pool2d")
        add(
            "avg_pool2d_grad",
            name,
            lambda f, s=sizes, o=out, r=rest: (f(2, 2, *o), (2, 2, 5, 7), *s, *r),
            "pool.avg_pool2d_grad",
        )


def _normalisation() -> None:
    stats = "norm.batch_norm_stats_parts", "norm.batch_norm_stats_merge"
    grads = "norm.batch_norm_grad_parts", "norm.batch_norm_grad_merge", "norm.batch_norm_grad"
    for name, shape in (("images", (3, 3, 4, 5)), ("signals", (2, 3, 11)), ("one-item", (1, 2, 9))):
        c = shape[1]
        add("batch_norm_stats", name, lambda f, s=shape: (f(*s),), *stats)
        add(
            "batch_norm_apply",
            name,
            lambda f, s=shape, c=c: (f(*s), f(c), f.positive(c), f(c), f(c)),
            "norm.batch_norm_apply",
        )
        add(
            "batch_norm_apply",
            f"{name}-plain",
            lambda f, s=shape, c=c: (f(*s), f(c), f.positive(c), None, None),
            "norm.batch_norm_apply",
        )
        add("batch_norm_grad", name, lambda f, s=shape, c=c: (f(*s), f(*s), f(c), f.positive(c), f(c)), *grads)
        add(
            "batch_norm_grad",
            f"{name}-plain",
            lambda f, s=shape, c=c: (f(*s), f(*s), f(c), f.positive(c), None),
            *grads,
        )
    # mean 1000 times the deviation: sums of squares would cancel
    add(
        "batch_norm_stats",
        "far-from-zero",
        lambda f: ((f(4, 2, 9) + 1000).astype(f.dtype),),
        *stats,
        length=72 * 1000**2,
    )
    add("batch_norm_stats", "features", lambda f: (f(5, 3),))


def _activations() -> None:
    def with_nan(f: Numbers) -> np.ndarray:
        y = f(3, 7)
        y[0, 0] = np.nan
        return y

    add("relu_grad", "nan", lambda f: (f(3, 7), with_nan(f)), "activation.relu_grad", exact=True)
    add("bias_relu", "last-axis", lambda f: (with_nan(f), f(7), -1), "activation.bias_relu", exact=True)
    add("bias_relu", "channels", lambda f: (f(2, 3, 4, 2), f(3), 1), "activation.bias_relu", exact=True)
    add("bias_relu", "first-axis", lambda f: (f(4, 5), f(4), 0), "activation.bias_relu", exact=True)
    add("bias_relu_grad", "channels", lambda f: (f(2, 3, 4, 2), f(2, 3, 4, 2), 1), "activation.relu_grad")
    add("bias_relu_grad", "last-axis", lambda f: (f(5, 3), f(5, 3), 1), "activation.relu_grad")


def _losses() -> None:
    target = np.array([0, 6, -100, 3, 9])  # the last is not a class: NaN
    for name, weighted, smoothing in (
        ("plain", False, 0.0),
        ("weight", True, 0.0),
        ("smoothing", False, 0.1),
        ("weight-smoothing", True, 0.1),
    ):

        def rows(f: Numbers, weighted: bool = weighted, smoothing: float = smoothing) -> tuple:
            logits = f(5, 7) * np.asarray(3, f.dtype)
            logits[0, 1] = logits[1, 2] = 800  # exp overflows unless the maximum of all threads is taken off
            return logits, target, f.positive(7) if weighted else None, -100, smoothing

        def gradient(f: Numbers, rows: Any = rows) -> tuple:
            from deepcore.backends import get_backend

            logits, _, weight, ignored, smoothing = rows(f)
            valid = np.where(target == 9, 2, target).astype("int32")
            lse = get_backend("numpy").softmax_cross_entropy(logits, valid, weight, ignored, smoothing)[1]
            return f(5), logits, valid, lse, weight, ignored, smoothing

        add("softmax_cross_entropy", name, rows, "loss.softmax_cross_entropy")
        add("softmax_cross_entropy_grad", name, gradient, "loss.softmax_cross_entropy_grad")


def _random_numbers() -> None:
    for name, seed, offset, n in (
        ("start", 0, 0, 13),
        ("carry", 12345678901234567, 2**32 - 1, 8),
        ("large-seed", 2**64 - 1, 2**63 + 5, 1),
    ):
        add("philox", name, lambda f, a=(seed, offset, n): a, "random.philox", exact=True)
    for method in ("uniform", "normal"):
        add(method, "float32", lambda f: (7, 3, (3, 15), "float32"), f"random.{method}", exact=True)
        add(method, "float64", lambda f: (7, 3, (3, 15), "float64"), f"random.{method}_double", exact=True)
    for n in (1, 2, 3, 4, 9):
        add("dropout", f"{n}", lambda f, n=n: (f(n), 7, 3, 0.4), "random.dropout", exact=True)
    add("dropout", "everything", lambda f: (f(2, 3), 7, 3, 1.0), exact=True)


def _optimisers() -> None:
    def two(f: Numbers) -> list[np.ndarray]:
        return [f(3, 2), f(5)]

    for name, momentum, nesterov, first, damping, decay, maximize in (
        ("plain", 0, False, False, 0, 0, False),
        ("first-step", 0.9, False, True, 0.1, 0.01, True),
        ("momentum", 0.9, False, False, 0.1, 0, False),
        ("nesterov", 0.9, True, False, 0, 0.01, False),
    ):
        rest = 0.1, momentum, damping, decay, nesterov, maximize, first
        add(
            "sgd_update",
            name,
            lambda f, r=rest: (two(f), two(f), two(f) if r[1] else None, *r),
            "optim.sgd_update",
            inplace=(0, 2) if momentum else (0,),
        )
    for name, amsgrad, decay, decoupled, maximize in (
        ("plain", False, 0, False, False),
        ("amsgrad", True, 0.1, False, True),
        ("decoupled", False, 0.1, True, False),
    ):

        def arguments(f: Numbers, amsgrad: bool = amsgrad, rest: tuple = (decay, decoupled, maximize)) -> tuple:
            squares, largest = [[f.positive(3, 2), f.positive(5)] for _ in range(2)]
            return two(f), two(f), two(f), squares, largest if amsgrad else None, 3, 0.1, 0.9, 0.99, 1e-8, *rest

        add("adam_update", name, arguments, "optim.adam_update", inplace=(0, 2, 3, 4) if amsgrad else (0, 2, 3))
    for name, skip, taken in (("scaled", 0, 3), ("scaled-first", 0, 0), ("skipped", 1, 3)):

        def scaling(skip: int = skip, taken: int = taken) -> Scaling:
            return Scaling(np.asarray(0.25, "float32"), np.asarray(skip, "float32"), np.asarray(taken, "float64"))

        add(
            "sgd_update",
            name,
            lambda f, scaling=scaling, taken=taken: (
                *(two(f), two(f), [a * np.asarray(taken, f.dtype) for a in two(f)]),
                *(0.1, 0.9, 0.3, 0.01, True, True, False, scaling()),
            ),
            "optim.sgd_update",
            inplace=(0, 2),
        )
        add(
            "adam_update",
            name,
            lambda f, scaling=scaling: (
                *(two(f), two(f), two(f), [f.positive(3, 2), f.positive(5)], [f.positive(3, 2), f.positive(5)]),
                *(0, 0.1, 0.9, 0.99, 1e-8, 0.01, True, True, scaling()),
            ),
            "optim.adam_update",
            inplace=(0, 2, 3, 4),
        )


def _loss_scaling() -> None:
    for name, wrong in (("finite", 0.0), ("inf", np.inf), ("nan", np.nan)):
        for how, factor in (("unscaled", 0.25), ("looked-at", None)):

            def arguments(f: Numbers, wrong: float = wrong, factor: float | None = factor) -> tuple:
                grads = [f(3, 2), f(5)]
                grads[1][3] += np.asarray(wrong, f.dtype)
                return grads, None if factor is None else np.asarray(factor, f.dtype), np.zeros((), f.dtype)

            add("unscale", f"{name}-{how}", arguments, "optim.unscale", inplace=(0, 2))


def _sampling() -> None:
    def points(f: Numbers) -> np.ndarray:
        grid = f.rng.uniform(-1.6, 1.6, (2, 3, 3, 2)).astype(f.dtype)
        grid[0, 0] = [[np.nan, 0], [1e30, 0], [np.inf, 0]]
        grid[1, 0] = [[-1, 1], [-0.5, 0.5], [0, 0]]
        return grid

    for mode in ("bilinear", "nearest"):
        for padding in ("zeros", "border", "reflection"):
            for corners in (True, False):
                rest = mode, padding, corners
                add(
                    "grid_sample",
                    f"{mode}-{padding}-{'corners' if corners else 'edges'}",
                    lambda f, r=rest: (f(2, 3, 4, 5), points(f), *r),
                    "vision.grid_sample",
                )
    add(
        "grid_sample",
        "one-pixel",
        lambda f: (f(2, 1, 1, 1), points(f), "bilinear", "reflection", True),
        "vision.grid_sample",
    )


def _products() -> None:
    add("matmul", "matrices", lambda f: (f(3, 4), f(4, 5)))
    add("matmul", "rows", lambda f: (f(2, 3, 4), f(4, 5)))
    add("matmul", "stacks", lambda f: (f(2, 2, 3, 4), f(2, 2, 4, 5)))
    add("matmul", "turned", lambda f: (f(2, 2, 4, 3).swapaxes(-1, -2), f(2, 2, 5, 4).swapaxes(-1, -2)))
    add("matmul", "broadcast", lambda f: (f(2, 1, 3, 4), f(2, 4, 5)))
    add("matmul", "vector", lambda f: (f(4), f(4, 3)))
    add("linear", "bias", lambda f: (f(2, 3, 4), f(5, 4), f(5)))
    add("linear", "no-bias", lambda f: (f(3, 4), f(5, 4), None))


for family in (
    _convolutions,
    _pooling,
    _normalisation,
    _activations,
    _losses,
    _random_numbers,
    _optimisers,
    _loss_scaling,
    _sampling,
    _products,
    *FUSED,
):
    family()
