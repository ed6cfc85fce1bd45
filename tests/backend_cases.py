"""One entry for each method of a backend: arguments with float64 arrays, and the length of its longest sum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from deepcore.backends import get_backend
from deepcore.backends.base.optim import Scaling

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
    if hasattr(value, "_fields"):
        return type(value)(*(convert(member, change) for member in value))
    if isinstance(value, list | tuple):
        return type(value)(convert(member, change) for member in value)
    return value


def _arithmetic(rng: np.random.Generator) -> list[Case]:
    cases = []
    for method in ("add", "sub", "mul", "div"):
        for a, b in (((3, 4), (3, 4)), ((2, 3, 4), (4,)), ((3, 1), (1, 4)), ((1,), (1,))):
            given = rng.standard_normal(a), rng.uniform(0.5, 2, b)
            cases.append(Case(f"{a}, {b}", method, given))
    parts = [rng.standard_normal((2, n, 3)) for n in (1, 4, 0)]
    return [*cases, Case("three parts", "concatenate", (parts, 1))]


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
            Case(name, "conv2d_relu", (x, w, b, *geometry, groups), k),
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
        cases.append(Case(name, "max_pool2d_places", (indices, x.shape, size)))
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
    cases, reference = [], get_backend("numpy")
    for shape in ((7, 3), (4, 3, 5, 2), (2, 5, 6), (3, 2, 7, 11), (2, 3, 64)):
        x, gy, w, b = rng.random(shape) + 2, rng.random(shape), rng.random(shape[1]), rng.random(shape[1])
        mean, rstd = rng.random(shape[1]) + 2, rng.random(shape[1])
        n, name = x[:, 0].size, str(shape)
        cases += [
            Case(name, "batch_norm_stats", (x,), n),
            Case(name, "batch_norm_apply", (x, mean, rstd, w, b)),
            Case(name + ", plain", "batch_norm_apply", (x, mean, rstd, None, None)),
            Case(name, "batch_norm_grad", (gy, x, mean, rstd, w), n),
            Case(name + ", plain", "batch_norm_grad", (gy, x, mean, rstd, None), n),
            Case(name, "batch_norm_train", (x, w, b, 1e-5), n),
            Case(name + ", plain", "batch_norm_train", (x, None, None, 1e-5), n),
        ]
        for label, residual in (("", None), (", residual", rng.standard_normal(shape))):
            for kind, weight, bias in ((name, w, b), (name + ", plain", None, None)):
                y = reference.batch_norm_relu_apply(x, mean, rstd, weight, bias, residual)
                given = gy, y, x, mean, rstd, weight, bias, residual is not None
                cases += [
                    Case(kind + label, "batch_norm_relu_train", (x, weight, bias, 1e-5, residual), n),
                    Case(kind + label, "batch_norm_relu_apply", (x, mean, rstd, weight, bias, residual)),
                    Case(kind + label, "batch_norm_relu_grad", given, n),
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
                Case(name, "softmax_grad", (gy, np.exp(-np.abs(x)), axis), b.size),
                Case(name, "log_softmax_grad", (gy, -np.abs(x), axis), b.size),
                Case(name, "bias_relu", (x, b, axis)),
                Case(name, "bias_relu_grad", (gy, np.maximum(x, 0), axis), n),
                Case(name, "bias_grad", (gy, axis), n),
            ]
    return cases


def _gates(rng: np.random.Generator) -> list[Case]:
    cases = []
    for shape in ((), (4, 7)):
        x, gy, name = np.asarray(rng.uniform(-5, 5, shape)), np.asarray(rng.standard_normal(shape)), str(shape)
        cases.append(Case(name, "erf", (x,)))
        for method, options in [
            ("silu", ()),
            ("mish", ()),
            ("gelu", ("none",)),
            ("gelu", ("tanh",)),
            ("softplus", (2.0, 3.0)),
            ("elu", (0.7, 1.5)),
        ]:
            cases.append(Case(f"{name} {options}", method, (x, *options)))
            cases.append(Case(f"{name} {options}", f"{method}_grad", (gy, x, *options)))
    return cases


def _special(rng: np.random.Generator) -> list[Case]:
    cases = []
    for shape in ((), (4, 7)):
        x, name = np.asarray(rng.uniform(-5, 15, shape)), str(shape)
        a, logs = np.asarray(rng.uniform(0.1, 20, shape)), np.asarray(rng.uniform(-3, 3, shape))
        cases += [
            Case(name, "lgamma", (x,)),
            Case(name, "digamma", (x,)),
            Case(name, "polygamma", (2, np.abs(x) + 0.5)),  # near a pole float16 overflows
            Case(name, "erfinv", (np.asarray(rng.uniform(-1, 1, shape)),)),
            Case(name, "standard_gamma_grad", (a, logs), dtypes=("float64",)),
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


def _ctc(rng: np.random.Generator) -> list[Case]:
    logits, g = rng.standard_normal((5, 3, 4)), rng.random(3)
    log_probs = logits - np.log(np.exp(logits).sum(2, keepdims=True))
    inputs, lengths = np.array([5, 4, 3]), np.array([2, 0, 1])
    cases = []
    for kind in ("int64", "int32"):
        options = (log_probs, np.array([[2, 2], [0, 9], [3, 1]], dtype=kind), inputs, lengths, 1)
        cases.append(Case(kind, "ctc_loss", options, 20))
        results = get_backend("numpy").ctc_loss(*options)
        cases.append(Case(kind, "ctc_loss_grad", (g, *options, *results), 20))
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
    numbers = {"taken": (0.25, 0.0, 3.0), "first": (0.25, 0.0, 0.0), "skipped": (0.25, 1.0, 3.0)}
    for name, values in numbers.items():
        scaling = Scaling(*map(np.asarray, values))
        buffers = [np.asarray(a * (name != "first")) for a in some()]
        args = (some(), some(), buffers, 0.1, 0.9, 0.3, 0.1, True, True, False, scaling)
        cases.append(Case(f"scaling, {name}", "sgd_update", args, 4, WIDE))
        args = (some(), some(), some(), some(), some(), 0, 0.1, 0.9, 0.999, 1e-8, 0.1, True, True, scaling)
        cases.append(Case(f"scaling, {name}", "adam_update", args, 4, WIDE))
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
        Case("bias", "linear_relu", (x - 0.5, w, b - 2), 7),
        Case("repeats", "index_add", ((6, 2), "float64", np.array([0, 5, 0, 0]), rng.random((4, 2))), 4, ("float64",)),
    ]


def _recurrent(rng: np.random.Generator) -> list[Case]:
    def some(*shape: int) -> np.ndarray:
        return rng.uniform(-1, 1, shape)

    cases, size, reference = [], 4, get_backend("numpy")
    # the last ones are long enough for two blocks of rows, one of which ends early
    ends = ((3, 2, 2, 1), (10, 9, 2))
    for steps, reverse in (((3, 3, 3), True), *((steps, reverse) for steps in ends for reverse in (False, True))):
        m, n, h0, c0 = sum(steps), steps[0], some(steps[0], size), some(steps[0], size)
        dy, dh, dc = some(m, size), some(n, size), some(n, size)
        name = f"{steps} {'reverse' if reverse else ''}"
        for nonlinearity in ("tanh", "relu"):
            args = (some(m, size), h0, some(size, size), steps, reverse, nonlinearity)
            given = (dy, dh, reference.rnn(*args)[0], *args[2:])
            cases += [
                Case(f"{nonlinearity} {name}", "rnn", args, 16),
                Case(f"{nonlinearity} {name}", "rnn_grad", given, 64),
            ]
        for peephole in (None, some(3, size)):
            args = (some(m, 4 * size), h0, c0, some(4 * size, size), peephole, steps, reverse)
            *_, gates, cells = reference.lstm(*args)
            full = f"{'peephole ' if peephole is not None else ''}{name}"
            given = (dy, dh, dc, gates, cells, c0, *args[3:])
            cases += [Case(full, "lstm", args, 64), Case(full, "lstm_grad", given, 256)]
        for after, b in ((True, None), (True, some(3 * size)), (False, some(3 * size))):
            args = (some(m, 3 * size), h0, some(3 * size, size), b, steps, reverse, after)
            y, _, gates = reference.gru(*args)
            full = f"{'bias ' if b is not None else ''}{'after' if after else 'before'} {name}"
            given = (dy, dh, gates, y, h0, args[2], steps, reverse, after)
            cases += [Case(full, "gru", args, 64), Case(full, "gru_grad", given, 256)]
    return cases


def _attention(rng: np.random.Generator) -> list[Case]:
    cases, reference = [], get_backend("numpy")
    for lead, rows, columns in (((2, 3), 4, 5), ((), 5, 3)):
        q, k = rng.uniform(-1, 1, (*lead, rows, 6)), rng.uniform(-1, 1, (*lead, columns, 6))
        v, gy = rng.uniform(-1, 1, (*lead, columns, 2)), rng.uniform(-1, 1, (*lead, rows, 2))
        mask = rng.random((rows, columns)) < 0.6
        mask[1] = False
        for seen, causal in ((None, False), (None, True), (mask, False), (mask, True)):
            args = (seen, causal, 0.4)
            name = f"{lead} {'mask ' if seen is not None else ''}{'causal' if causal else ''}"
            cases.append(Case(name, "attention", (q, k, v, *args), 16))
            given = (gy, q, k, v, *reference.attention(q, k, v, *args), *args)
            cases.append(Case(name, "attention_grad", given, 64))
    return cases


def _detection(rng: np.random.Generator) -> list[Case]:
    corner, scores = rng.uniform(0, 8, (20, 2)), rng.permutation(20) / 20
    boxes = np.concatenate([corner, corner + rng.uniform(1, 6, (20, 2))], axis=1)
    return [
        Case("plain", "nms", (boxes, scores, None, 0.3)),
        Case("groups", "nms", (boxes, scores, rng.integers(0, 3, 20), 0.2)),
    ]


def _row_norms(rng: np.random.Generator) -> list[Case]:
    cases, reference = [], get_backend("numpy")
    x, gy, w, b = (rng.standard_normal(shape) for shape in ((5, 7), (5, 7), 7, 7))
    for name, weight, bias in (("affine", w, b), ("plain", None, None)):
        _, mean, rstd = reference.layer_norm(x, weight, bias, 1e-5)
        _, rrms = reference.rms_norm(x, weight, 1e-5)
        cases += [
            Case(name, "layer_norm", (x, weight, bias, 1e-5), 7),
            Case(name, "layer_norm_grad", (gy, x, mean, rstd, weight), 35, WIDE),
            Case(name, "rms_norm", (x, weight, 1e-5), 7),
            Case(name, "rms_norm_grad", (gy, x, rrms, weight), 35, WIDE),
        ]
    images = rng.standard_normal((2, 5, 3))
    return cases + [
        Case(f"{before}, {after}", "channel_window_sum", (images, before, after), before + after + 1)
        for before, after in ((1, 2), (0, 0), (9, 0))
    ]


def _regions(rng: np.random.Generator) -> list[Case]:
    x = rng.permutation(2 * 3 * 6 * 5).reshape(2, 3, 6, 5) / 64.0
    corners = rng.uniform(-2, 7, (5, 4))
    boxes = np.concatenate([np.array([[0.0], [1.0], [1.0], [0.0], [1.0]]), np.sort(corners)], axis=1)
    strange = np.concatenate([boxes, [[2.0, 0.0, 0.0, 3.0, 3.0]]])  # there are images 0 and 1, and three channels
    cases = [
        Case("adaptive", "adaptive_max_pool2d", (x, (4, 2))),
        Case("some nowhere", "add_at_places", (rng.random((2, 4)), rng.integers(-1, 6, (2, 4)), (2, 3)), 8),
        Case("boxes", "roi_pool", (x, boxes, (2, 3), 0.9)),
        Case("no such image", "roi_pool", (x, strange, (2, 3), 0.9)),
    ]
    for ratio, aligned in ((2, True), (-1, False)):
        args = ((3, 2), 0.9, ratio, aligned)
        gy = rng.standard_normal((5, 3, 3, 2))
        cases += [
            Case(f"{ratio}", "roi_align", (x, boxes, *args), 30, WIDE),
            Case(f"{ratio}", "roi_align_grad", (gy, boxes, x.shape, *args), 30, WIDE),
        ]
        more = rng.standard_normal((6, 3, 3, 2))
        cases += [
            Case(f"{ratio}, no such image", "roi_align", (x, strange, *args), 30, WIDE),
            Case(f"{ratio}, no such image", "roi_align_grad", (more, strange, x.shape, *args), 30, WIDE),
        ]
    return cases


def build() -> list[Case]:
    """Return all cases, the same ones in every process."""
    rng = np.random.default_rng(20)
    families = (
        _linear,
        _arithmetic,
        _convolutions,
        _pools,
        _norms,
        _activations,
        _gates,
        _special,
        _losses,
        _vision,
        _optimisers,
        _ctc,
        _recurrent,
        _attention,
        _detection,
        _row_norms,
        _regions,
    )
    return [case for family in families for case in family(rng)]


CASES = build()
