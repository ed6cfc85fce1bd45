"""Every algorithm of convolution on device "cpu", forced one by one; how one is chosen, pinned and shown."""

from __future__ import annotations

import numpy as np
import pytest

from deepcore.backends import DeepcoreError, get_backend
from deepcore.backends.base.conv import output_size
from deepcore.backends.cpu import choice, pinned
from deepcore.backends.cpu.conv import ALGORITHMS
from deepcore.backends.cpu.conv_choice import PASSES, Algorithms, Problem
from deepcore.check.measure import agreement, values
from deepcore.check.opdb import all_cases
from deepcore.check.tolerance import assert_close
from deepcore.kernels.cpu.team import team

NAMES = list(ALGORITHMS.all)
OPS = [case for case in all_cases() if case.name in ("conv2d", "conv2d_relu", "conv_transpose2d", "conv1d")]
REFERENCE, CPU = get_backend("numpy"), get_backend("cpu")

# n, c, h, w, o, kernel, stride, padding, dilation, groups: sizes that are no multiples of a vector's lanes or of a tile
SHAPES = {
    "one pixel": (2, 3, 1, 1, 2, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "one pixel, 1x1": (1, 1, 1, 1, 1, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    "few channels": (3, 1, 13, 11, 6, (5, 5), (1, 1), (2, 2), (1, 1), 1),
    "many channels": (2, 37, 7, 6, 35, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "3x3, no padding": (9, 17, 10, 12, 18, (3, 3), (1, 1), (0, 0), (1, 1), 1),
    "rows of 8": (20, 5, 8, 8, 7, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "long rows": (2, 3, 9, 70, 9, (3, 3), (1, 1), (1, 1), (1, 1), 1),
    "high": (1, 2, 150, 33, 3, (3, 1), (1, 1), (1, 0), (1, 1), 1),
    "stride 2": (9, 5, 17, 16, 11, (3, 3), (2, 2), (1, 1), (1, 1), 1),
    "stride 2, 1x1": (2, 18, 9, 9, 5, (1, 1), (2, 2), (0, 0), (1, 1), 1),
    "stride 2, 2x2": (2, 33, 16, 16, 17, (2, 2), (2, 2), (0, 0), (1, 1), 1),
    "stride 2, 7x7": (2, 3, 30, 34, 10, (7, 7), (2, 2), (3, 3), (1, 1), 1),
    "stride 3 and 1": (2, 3, 14, 15, 4, (2, 3), (3, 1), (1, 0), (1, 1), 1),
    "stride 1 and 2": (2, 3, 14, 15, 4, (2, 3), (1, 2), (0, 3), (1, 1), 1),
    "stride larger than the kernel": (2, 3, 20, 20, 4, (2, 2), (3, 3), (0, 0), (1, 1), 1),
    "more padding than kernel": (2, 3, 5, 6, 4, (3, 3), (1, 1), (4, 5), (1, 1), 1),
    "dilation": (2, 3, 17, 14, 9, (3, 2), (2, 1), (2, 1), (2, 3), 1),
    "groups": (3, 6, 9, 20, 9, (3, 3), (1, 1), (1, 1), (1, 1), 3),
    "depthwise": (3, 19, 12, 20, 19, (3, 3), (1, 1), (1, 1), (1, 1), 19),
    "depthwise, stride 2": (3, 19, 12, 20, 38, (5, 5), (2, 2), (2, 2), (1, 1), 19),
    "1x1": (3, 40, 6, 7, 21, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    "many output channels, 1x1": (5, 21, 7, 7, 530, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    "many input channels, 1x1": (3, 330, 14, 14, 9, (1, 1), (1, 1), (0, 0), (1, 1), 1),
    "many taps, stride 2": (7, 50, 9, 11, 30, (3, 3), (2, 2), (1, 1), (1, 1), 1),
    "groups, 1x1": (4, 36, 9, 9, 24, (1, 1), (1, 1), (0, 0), (1, 1), 2),
    "one output channel": (2, 32, 20, 24, 1, (1, 1), (1, 1), (0, 0), (1, 1), 1),
}


def problems(shape, dtype="float32"):
    """The three passes of a shape."""
    n, c, h, w, o, kernel, *window = shape
    out = [output_size((h, w)[i], kernel[i], window[0][i], window[1][i], window[2][i]) for i in (0, 1)]
    return [Problem(run, dtype, n, c, h, w, o, *kernel, *out, *window) for run in PASSES]


def passes(backend, shape, dtype="float32"):
    """Forward, forward with a ReLU, input gradient and weight gradient of a shape."""
    n, c, h, w, o, kernel, *window = shape
    *_, out_h, out_w = problems(shape)[0][:11]
    rng = np.random.default_rng(1)
    x, gy = rng.standard_normal((n, c, h, w)), rng.standard_normal((n, o, out_h, out_w))
    weight, b = rng.standard_normal((o, c // window[-1], *kernel)), rng.standard_normal(o)
    x, gy, weight, b = (a.astype("float32").astype(dtype) for a in (x, gy, weight, b))
    return [
        backend.conv2d(x, weight, b, *window),
        backend.conv2d_relu(x, weight, None, *window),
        backend.conv2d_input(gy, weight, x.shape, *window),
        backend.conv2d_weight(gy, x, weight.shape, *window),
    ]


@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_passes_against_float64_and_their_bits(shape, monkeypatch):
    """Every algorithm that computes a pass, with 1 and with 2 threads: right, and the same bits."""
    right = passes(REFERENCE, shape, "float64")
    length = max(right[2].size, right[3].size)  # as for the op database
    for name in NAMES:
        if not any(ALGORITHMS.all[name].computes(problem) for problem in problems(shape)):
            continue
        found = []
        for threads in (1, 2):
            monkeypatch.setattr(team, "size", threads)
            with pinned(name):
                found.append(passes(CPU, shape))
        for i, expected in enumerate(right):
            assert found[0][i].tobytes() == found[1][i].tobytes(), (name, i)
            assert_close(found[0][i], expected, "float32", length, f"{name}, {i}")


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("case", OPS, ids=str)
def test_op_database(case, name):
    """Values and gradients of every sample of the op database."""
    with pinned(name):
        for sample in case.make_samples():
            for dtype in ("float32", "float64"):
                for comparison in (*values(case, sample, "cpu", dtype), *agreement(case, sample, "cpu", dtype)):
                    comparison.check()


def test_not_a_number_goes_through_the_relu():
    x, w = np.ones((1, 2, 6, 6), "f"), -np.ones((3, 2, 3, 3), "f")
    x[0, 1, 2, 2] = np.nan
    right = REFERENCE.conv2d_relu(x, w, None, (1, 1), (1, 1), (1, 1), 1)
    for name in NAMES:
        if ALGORITHMS.all[name].computes(problems((1, 2, 6, 6, 3, (3, 3), (1, 1), (1, 1), (1, 1), 1))[0]):
            with pinned(name):
                got = CPU.conv2d_relu(x, w, None, (1, 1), (1, 1), (1, 1), 1)
            assert np.isnan(got).any(), name
            assert (got[~np.isnan(got)] == 0).all(), name
            assert (np.isnan(got) | ~np.isnan(right)).all(), name


def test_the_last_algorithm_computes_everything():
    last = list(ALGORITHMS.all.values())[-1]
    for shape in SHAPES.values():
        for dtype in ("float32", "float64"):
            for problem in problems(shape, dtype):
                assert last.computes(problem)
                assert choice(problem).computes(problem)


def test_pins_and_their_end():
    problem = problems(SHAPES["few channels"])[0]
    before = choice(problem).name
    for name in NAMES:
        with pinned(name):
            fits = ALGORITHMS.all[name].computes(problem)
            assert choice(problem).name == (name if fits else before)
            with pinned("im2col"):
                assert choice(problem).name == "im2col"
    assert choice(problem).name == before
    with pytest.raises(DeepcoreError, match=r"DEEPCORE_CONV: expected one of .*im2col; got im2row"), pinned("im2row"):
        pass


def test_environment(monkeypatch, capsys):
    problem = problems(SHAPES["stride 2"])[2]
    monkeypatch.setenv("DEEPCORE_CONV", "im2col, direct")
    monkeypatch.setenv("DEEPCORE_CONV_VERBOSE", "1")
    algorithms = Algorithms(list(ALGORITHMS.all.values()))
    for _ in range(2):
        assert algorithms.choice(problem).name == "im2col"
    line = "deepcore: conv im2col       weight float32 x 9x5x17x16 w 11x5x3x3 y 9x8 stride (2, 2) padding (1, 1)\n"
    assert capsys.readouterr().err == line
