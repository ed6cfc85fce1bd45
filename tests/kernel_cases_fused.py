"""Calls of the seam's fused methods: smooth activations, rows, recurrent layers, places; see tests/kernel_cases.py."""

from __future__ import annotations

from typing import Any

import numpy as np

from deepcore.backends import get_backend
from kernel_case import Numbers, add


def reference() -> Any:
    return get_backend("numpy")


def _gates() -> None:
    def wide(f: Numbers) -> np.ndarray:
        x = f(3, 7) * np.asarray(3, f.dtype)
        x[0, :6] = [np.nan, 60, -60, 1e-6, 0, -4]
        return x

    for method, name, *options in (
        ("gelu", "exact", "none"),
        ("gelu", "tanh", "tanh"),
        ("silu", "all"),
        ("mish", "all"),
        ("softplus", "all", 2.0, 20.0),
        ("elu", "all", 1.3, 1.1),
    ):
        add(method, name, lambda f, o=tuple(options): (wide(f), *o), f"gates.{method}")
        kernel = f"gates.{method}_grad"
        add(f"{method}_grad", name, lambda f, o=tuple(options): (f(3, 7), wide(f), *o), kernel)
    for method in ("sigmoid", "erf"):
        add(method, "all", lambda f: (wide(f),), f"gates.{method}")


def _rows() -> None:
    def hard(f: Numbers) -> np.ndarray:
        x = f(5, 7) * np.asarray(3, f.dtype)
        x[0, 0] = 80  # exp overflows unless the maximum is taken off
        x[1, 3] = np.nan
        x[2] = -np.inf
        x[3, 2] = -np.inf
        return x

    for method in ("softmax", "log_softmax"):
        add(method, "rows", lambda f: (hard(f), -1), "rows.softmax")
        add(method, "stacks", lambda f: (f(2, 3, 5), 2), "rows.softmax")
        add(method, "first-axis", lambda f: (f(3, 4), 0))

        def gradient(f: Numbers, method: str = method, axis: int = -1) -> tuple:
            return f(4, 7), getattr(reference(), method)(f(4, 7), axis), axis

        add(f"{method}_grad", "rows", gradient, f"rows.{method}_grad")
        add(f"{method}_grad", "first-axis", lambda f, g=gradient: g(f, axis=0))
    grads = "rows.layer_norm_grad", "rows.layer_norm_columns"
    for name, affine in (("affine", True), ("plain", False)):

        def given(f: Numbers, affine: bool = affine) -> tuple:
            return f(5, 6), f(6) if affine else None

        def layer(f: Numbers, affine: bool = affine, given: Any = given) -> tuple:
            return *given(f), f(6) if affine else None, 1e-5

        def layer_grad(f: Numbers, given: Any = given) -> tuple:
            x, w = given(f)
            return f(5, 6), x, *reference().layer_norm(x, w, None, 1e-5)[1:], w

        def rms_grad(f: Numbers, given: Any = given) -> tuple:
            x, w = given(f)
            return f(5, 6), x, reference().rms_norm(x, w, 1e-5)[1], w

        add("layer_norm", name, layer, "rows.layer_norm")
        add("layer_norm_grad", name, layer_grad, *grads)
        add("rms_norm", name, lambda f, given=given: (*given(f), 1e-5), "rows.layer_norm")
        add("rms_norm_grad", name, rms_grad, *grads)
    # the rows of one part of the sums over rows, and one more
    add(
        "layer_norm_grad",
        "two-parts",
        lambda f: (f(65, 2), f(65, 2), f(65, 1), f.positive(65, 1), f(2)),
        *grads,
        length=130,
    )


def _recurrent() -> None:
    steps, m, h = (3, 3, 1), 7, 2  # three sequences, two of which end early
    for reverse in (False, True):
        way = "backwards" if reverse else "forwards"
        for name, peephole in (("plain", False), ("peephole", True)):

            def lstm(f: Numbers, peephole: bool = peephole, reverse: bool = reverse) -> tuple:
                return f(m, 4 * h), f(3, h), f(3, h), f(4 * h, h), f(3, h) if peephole else None, steps, reverse

            def lstm_grad(f: Numbers, lstm: Any = lstm) -> tuple:
                given = lstm(f)
                *_, gates, cells = reference().lstm(*given)
                _, _, c0, w, p, *rest = given
                return f(m, h), f(3, h), f(3, h), gates, cells, c0, w, p, *rest

            add("lstm", f"{name}-{way}", lstm, "recurrent.lstm_step")
            add("lstm_grad", f"{name}-{way}", lstm_grad, "recurrent.lstm_step_grad")
        for name, bias, after in (("after", True, True), ("before", True, False), ("no-bias", False, True)):

            def gru(f: Numbers, bias: bool = bias, after: bool = after, reverse: bool = reverse) -> tuple:
                return f(m, 3 * h), f(3, h), f(3 * h, h), f(3 * h) if bias else None, steps, reverse, after

            def gru_grad(f: Numbers, gru: Any = gru) -> tuple:
                given = gru(f)
                y, _, gates = reference().gru(*given)
                _, h0, w, _, *rest = given
                return f(m, h), f(3, h), gates, y, h0, w, *rest

            add("gru", f"{name}-{way}", gru, "recurrent.gru_gates", "recurrent.gru_new")
            add("gru_grad", f"{name}-{way}", gru_grad, "recurrent.gru_new_grad", "recurrent.gru_gates_grad")


def _places() -> None:
    def at(shape: tuple, index: Any, *values: int) -> Any:
        return lambda f: (shape, np.dtype(f.dtype), index, f(*values))

    kernel = "places.add_segments"
    add("index_add", "rows", at((5, 3), np.array([1, -1, 1, 0]), 4, 3), kernel, exact=True)
    grid = np.array([[0], [1]]), np.array([[1, 1, 2], [0, 0, 0]])
    add("index_add", "two-axes", at((4, 3, 2), grid, 2, 3, 2), kernel, exact=True)
    add("index_add", "behind-an-axis", at((2, 4), (slice(None), np.array([3, 0, 3])), 2, 3))
    add("add_at_places", "some", lambda f: (f(6), np.array([0, -1, 3, 3, 5, 3]), (2, 3)), kernel, exact=True)

    # four sums at places, so that the gradient repeats bit for bit
    for mode in ("bilinear", "nearest"):

        def sampled(f: Numbers, mode: str = mode) -> tuple:
            points = f.rng.uniform(-1.6, 1.6, (2, 3, 3, 2)).astype(f.dtype)
            return f(2, 2, 3, 3), f(2, 2, 4, 5), points, mode, "border", False

        add("grid_sample_grad", mode, sampled, kernel)

    def boxes(f: Numbers) -> np.ndarray:
        rows = [[0, 0, 0, 5, 4], [1, 1.5, -2, 3, 9], [5, 0, 0, 1, 1], [1, 20, 20, 30, 30], [0, -9, -9, -8, -8]]
        return np.array(rows, f.dtype)

    def image(f: Numbers) -> np.ndarray:
        x = f(2, 2, 6, 5)
        x[0, 0, 1, 1] = np.nan
        x[1, 1, 2:4, 2:4] = 3  # equal maxima: the first wins
        x[1, 0] = -np.inf
        return x

    add("roi_pool", "boxes", lambda f: (image(f), boxes(f), (2, 3), 0.9), "places.roi_pool", exact=True)

    def scored(f: Numbers) -> tuple:
        corner, size = f.rng.uniform(0, 10, (40, 2)), f.rng.uniform(1, 6, (40, 2))
        found = np.concatenate([corner, corner + size], 1).astype(f.dtype)
        found[3:5] = 0  # two empty boxes: the overlap is 0 / 0
        found[5, 0] = np.nan
        return found, f.rng.integers(0, 9, 40).astype(f.dtype)

    suppress = "places.nms_mask", "places.nms_scan"
    add("nms", "all", lambda f: (*scored(f), None, 0.3), *suppress, exact=True)
    add("nms", "classes", lambda f: (*scored(f), np.arange(40) % 3, 0.1), *suppress, exact=True)
    same = np.array([[0, 0, 4, 2], [0, 0, 4, 1], [0, 0, 4, 4]])  # overlaps of exactly a half: not more than a half
    add("nms", "on-the-threshold", lambda f: (same.astype(f.dtype), f(3), None, 0.5), *suppress, exact=True)


def _ctc() -> None:
    def given(f: Numbers) -> tuple:
        targets = np.array([[1, 1, 2], [3, 1, 0], [2, 0, 0]])  # a repeated label, and labels that do not count
        log_probs = reference().log_softmax(f(5, 3, 4), -1)
        return log_probs, targets, np.array([5, 4, 2]), np.array([3, 2, 1]), 0

    def wrong(f: Numbers) -> tuple:  # too short for its labels, a label that is no class, a length beyond T
        log_probs, targets, *_ = given(f)
        targets[1, 0] = 9
        return log_probs, targets, np.array([2, 4, 6]), np.array([3, 2, 0]), 0

    def gradient(f: Numbers) -> tuple:
        return f(3), *given(f), *reference().ctc_loss(*given(f))

    add("ctc_loss", "all", given, "ctc.ctc_alpha")
    add("ctc_loss", "no-alignment", wrong, "ctc.ctc_alpha")
    add("ctc_loss_grad", "all", gradient, "ctc.ctc_grad")


FUSED = (_ctc, _gates, _rows, _recurrent, _places)
