"""The decorator of all overrides: when the fast body runs, and what it may assume."""

from __future__ import annotations

import time

import numpy as np
import pytest

from deepcore.backends import Backend, override
from deepcore.dtypes import bfloat16


class Probe(Backend):
    """Notes which overridden bodies ran, and with what."""

    device = "probe"

    def __init__(self):
        self.seen = []

    @override()
    def relu_grad(self, gy, y):
        self.seen.append((gy, y))
        return gy

    @override(dtypes=("float32",))
    def sigmoid(self, x):
        self.seen.append(x)
        return super().sigmoid(x)

    @override()
    def uniform(self, seed, offset, shape, dtype):
        self.seen.append(shape)
        return np.zeros(shape, dtype)

    @override()
    def im2col(self, x, kernel_size, stride, padding, dilation, constant_value=0):
        self.seen.append(constant_value)
        return x

    @override(strided=True)
    def matmul(self, a, b):
        self.seen.append((a, b))
        return super().matmul(a, b)

    @override(inplace=("params", "buffers"))
    def sgd_update(
        self, params, grads, buffers, lr, momentum, dampening, weight_decay, nesterov, maximize, first, scaling=None
    ) -> None:
        self.seen.append((params, grads, buffers))


def ones(*shape, dtype="float32"):
    return np.ones(shape, dtype=dtype)


@pytest.fixture
def probe():
    return Probe()


def test_runs_on_its_dtypes(probe):
    for dtype in ("float32", "float64"):
        probe.relu_grad(ones(2, 3, dtype=dtype), ones(2, 3, dtype=dtype))
    assert len(probe.seen) == 2


@pytest.mark.parametrize(
    ("gy", "y"),
    [
        (ones(3, dtype="float16"), ones(3, dtype="float16")),
        (ones(3, dtype=bfloat16), ones(3, dtype=bfloat16)),
        (ones(3, dtype=bfloat16), ones(3)),
        (np.float16(1), np.float16(1)),
        (ones(3, dtype=">f4"), ones(3, dtype=">f4")),
        (ones(3, dtype="complex64"), ones(3)),
        (ones(3), ones(3, dtype="float64")),
        (ones(3, dtype="int64"), ones(3, dtype="int64")),
        (ones(0, 3), ones(0, 3)),
    ],
    ids=["float16", "bfloat16", "bfloat16 mixed", "scalar", "byte order", "complex", "mixed", "integers", "empty"],
)
def test_falls_back(probe, gy, y):
    if gy.dtype.kind != "c":
        assert np.array_equal(probe.relu_grad(gy, y), gy)
    else:
        probe.relu_grad(gy, y)
    assert probe.seen == []


def test_dtypes_of_the_decorator(probe):
    probe.sigmoid(ones(3, dtype="float64"))
    assert probe.seen == []
    assert probe.sigmoid(ones(3)).dtype == np.float32
    assert len(probe.seen) == 1


def test_dtype_argument(probe):
    probe.uniform(0, 0, (2,), "float16")
    assert probe.seen == []
    probe.uniform(0, 0, (2,), np.float32)
    assert probe.seen == [(2,)]


def test_keywords_and_defaults(probe):
    x = ones(1, 1, 4, 4)
    probe.im2col(x, (2, 2), (1, 1), (0, 0), (1, 1))
    probe.im2col(x, kernel_size=(2, 2), stride=(1, 1), padding=(0, 0), dilation=(1, 1), constant_value=3)
    assert probe.seen == [0, 3]
    with pytest.raises(TypeError, match="missing a required argument"):
        probe.im2col(x)


def test_arrays_come_contiguous(probe):
    gy, y = ones(4, 6)[:, ::2], ones(3, 4).T
    probe.relu_grad(gy, y)
    assert all(array.flags.c_contiguous for array in probe.seen[0])
    assert gy.base is not None  # the caller's arrays are as they were


def test_a_body_may_take_strided_arrays(probe):
    a = ones(3, 2).T
    assert probe.matmul(a, ones(3, 2)).shape == (2, 2)
    assert probe.seen[0][0] is a


def test_zero_dimensional(probe):
    probe.relu_grad(ones(), ones())
    assert probe.seen[0][0].shape == ()


def test_lists(probe):
    params, grads = [ones(3), ones(2, 2)], [ones(3), ones(2, 4)[:, ::2]]
    probe.sgd_update(params, grads, None, 0.1, 0, 0, 0, False, False, True)
    seen_params, seen_grads, buffers = probe.seen[0]
    assert seen_params[0] is params[0]
    assert seen_params[1] is params[1]
    assert seen_grads[1].flags.c_contiguous
    assert not grads[1].flags.c_contiguous
    assert buffers is None


def test_inplace_arrays_are_never_copied(probe):
    storage = ones(2, 4)
    probe.sgd_update([storage[:, ::2]], [ones(2, 2)], None, 1.0, 0, 0, 0, False, False, True)
    assert probe.seen == []
    assert storage.tolist() == [[0, 1, 0, 1], [0, 1, 0, 1]]


def test_mixed_dtypes_in_a_list(probe):
    params = [ones(3), ones(3, dtype="float64")]
    probe.sgd_update(params, [ones(3), ones(3)], None, 1.0, 0, 0, 0, False, False, True)
    assert probe.seen == []
    assert not params[1].any()


def test_signature_must_be_the_reference():
    with pytest.raises(
        TypeError, match=r"Wrong\.relu: expected the signature of the reference, \(self, x\); got \(self, y\)"
    ):

        class Wrong(Backend):
            @override()
            def relu(self, y):
                return y


def test_defaults_and_plain_methods_are_checked_too():
    with pytest.raises(TypeError, match=r"Plain\.softmax"):

        class Plain(Backend):
            def softmax(self, x, axis=-1):
                return x


def test_nothing_to_override():
    with pytest.raises(TypeError, match=r"Other\.rellu: expected a method of Backend to override"):

        class Other(Backend):
            @override()
            def rellu(self, x):
                return x


def test_name_and_docstring_stay():
    assert Probe.sigmoid.__name__ == "sigmoid"
    assert Probe.relu_grad.__qualname__ == "Probe.relu_grad"


def test_overhead_is_microseconds(probe):
    x = ones(8, 8)
    probe.relu_grad(x, x)
    best = min(_seconds(lambda: probe.relu_grad(x, x)) for _ in range(50))
    assert best < 50e-6  # measured: 1.2e-6; a look-up of signatures in each call would show


def _seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def test_private_helpers_of_the_mixins_do_not_clash():
    """A backend is put together from many classes: a private name that two of them use would be overridden unseen."""
    from deepcore.backends.cpu import CpuBackend
    from deepcore.backends.cuda import CudaBackend
    from deepcore.backends.strict import StrictBackend

    for cls in (CpuBackend, CudaBackend, StrictBackend):
        owners: dict[str, list[str]] = {}
        for base in cls.__mro__[:-1]:
            for name in vars(base):
                if name.startswith("_") and not name.startswith("__"):
                    owners.setdefault(name, []).append(base.__name__)
        assert {name: classes for name, classes in owners.items() if len(classes) > 1} == {}
