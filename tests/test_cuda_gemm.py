"""GEMM's arithmetic of strides, flags and operand order, against a cuBLAS that reads memory as the manual says."""

from __future__ import annotations

import ctypes
import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore.check.tolerance import assert_close
from deepcore.errors import ConfigError
from deepcore.kernels.cuda.gemm import CublasGemm, layout


class FakeCublas:
    """gemmStridedBatchedEx as the manual defines it: column-major, op N or T, strides between matrices."""

    CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_64F = 68, 70

    def __init__(self) -> None:
        self.calls: list[tuple] = []

    def gemmStridedBatchedEx(
        self, handle, transa, transb, m, n, k, alpha, a, type_a, lda, step_a, b, type_b, ldb, step_b, beta, c, type_c,
        ldc, step_c, count, compute, algorithm,
    ):  # fmt: skip
        self.calls.append((transa, transb, m, n, k, lda, ldb, ldc, count, compute))
        number = ctypes.c_double if type_a == 1 else ctypes.c_float  # of alpha and beta
        assert (type_a, compute) in ((0, 68), (0, 77), (1, 70), (2, 68))
        assert type_a == type_b == type_c
        dtype = np.dtype({0: "float32", 1: "float64", 2: "float16"}[type_a])
        size = dtype.itemsize

        def matrix(pointer: int, rows: int, columns: int, leading: int, turned: int) -> np.ndarray:
            stored = (columns, rows) if turned else (rows, columns)
            assert leading >= max(1, stored[0]), "cuBLAS refuses a leading dimension below the number of rows"
            memory = (ctypes.c_byte * (size * (leading * (stored[1] - 1) + stored[0]))).from_address(pointer)
            flat = np.frombuffer(memory, dtype)
            view = np.lib.stride_tricks.as_strided(flat, stored, (size, leading * size))
            return view.T if turned else view

        scale_ab, scale_c = number.from_address(alpha).value, number.from_address(beta).value
        for i in range(count):
            left = matrix(a + i * step_a * size, m, k, lda, transa)
            right = matrix(b + i * step_b * size, k, n, ldb, transb)
            out = matrix(c + i * step_c * size, m, n, ldc, 0)
            product = left.astype(number) @ right.astype(number)
            out[...] = scale_ab * product + (scale_c * out if scale_c else 0)


class Device(np.ndarray):
    """An ndarray with CuPy's `array.data.ptr`."""

    @property
    def data(self) -> Any:
        return SimpleNamespace(ptr=self.__array_interface__["data"][0])


def on_device(array: np.ndarray) -> Any:
    return array.view(Device)


STACKS = {
    "matrix": lambda rng, b, r, c: rng.standard_normal((r, c)),
    "turned matrix": lambda rng, b, r, c: rng.standard_normal((c, r)).T,
    "part of a matrix": lambda rng, b, r, c: rng.standard_normal((r, c + 3))[:, 1 : c + 1],
    "every second column": lambda rng, b, r, c: rng.standard_normal((r, 2 * c))[:, ::2],
    "stack": lambda rng, b, r, c: rng.standard_normal((b, r, c)),
    "turned stack": lambda rng, b, r, c: rng.standard_normal((b, c, r)).swapaxes(1, 2),
    "same for all": lambda rng, b, r, c: np.broadcast_to(rng.standard_normal((1, r, c)), (b, r, c)),
    "backwards": lambda rng, b, r, c: rng.standard_normal((b, r, c))[::-1],
}


SIZES = ((2, 3, 4, 5), (1, 3, 1, 2), (3, 1, 4, 1), (2, 1, 1, 1), (2, 4, 3, 1), (2, 1, 3, 4))  # B, M, K, N


@pytest.mark.parametrize("right", STACKS)
@pytest.mark.parametrize("left", STACKS)
def test_gemm(left: str, right: str) -> None:
    """out = a @ b, then out + a @ b, for every layout of the operands."""
    rng = np.random.default_rng(0)
    namespace = SimpleNamespace(ascontiguousarray=lambda x: on_device(np.ascontiguousarray(x)))
    gemm = CublasGemm(namespace, FakeCublas(), lambda: 0)
    for count, m, k, n in SIZES:
        for dtype in ("float16", "float32", "float64"):
            a = on_device(STACKS[left](rng, count, m, k).astype(dtype, order="K"))
            b = on_device(STACKS[right](rng, count, k, n).astype(dtype, order="K"))
            stacked = a.ndim == 3 or b.ndim == 3
            out = on_device(np.full((count, m, n) if stacked else (m, n), np.nan, dtype))  # beta = 0 must not read it
            expected = np.broadcast_to(np.matmul(np.asarray(a), np.asarray(b)), out.shape)
            assert_close(np.asarray(gemm(a, b, out)), expected, dtype, k)
            assert_close(np.asarray(gemm(a, b, out, accumulate=True)), 2 * expected, dtype, k)


def test_gemm_copies_no_transposed_operand() -> None:
    cublas = FakeCublas()
    namespace = SimpleNamespace(ascontiguousarray=lambda x: pytest.fail("a copy was made"))
    gemm = CublasGemm(namespace, cublas, lambda: 0)
    a, b = (on_device(np.ones(shape, "float32")) for shape in ((4, 3), (5, 4)))
    gemm(a.T, b.T, on_device(np.empty((3, 5), "float32")))
    assert cublas.calls == [(1, 1, 5, 3, 4, 4, 3, 5, 1, 68)]


def test_tf32_is_used_only_where_it_is_switched_on_and_never_for_float64() -> None:
    cublas = FakeCublas()
    gemm = CublasGemm(SimpleNamespace(ascontiguousarray=np.ascontiguousarray), cublas, lambda: 0)
    for tf32, dtype, compute in ((False, "float32", 68), (True, "float32", 77), (True, "float64", 70)):
        gemm.tf32 = tf32
        gemm(on_device(np.ones((3, 4), dtype)), on_device(np.ones((4, 5), dtype)), on_device(np.empty((3, 5), dtype)))
        assert cublas.calls[-1][-1] == compute


def test_one_switch_for_all_products() -> None:
    cublas = FakeCublas()
    gemm = CublasGemm(SimpleNamespace(ascontiguousarray=np.ascontiguousarray), cublas, lambda: 0)
    arrays = [on_device(np.ones(shape, "float32")) for shape in ((3, 4), (4, 5), (3, 5))]
    assert dc.get_float32_matmul_precision() == "highest"
    try:
        for name, compute, known in (("high", 77, "high"), ("ieee", 68, "highest"), ("tf32", 77, "high")):
            dc.set_float32_matmul_precision(name)
            gemm(*arrays)
            assert (cublas.calls[-1][-1], dc.get_float32_matmul_precision()) == (compute, known)
        with pytest.raises(ConfigError, match=r"got 'tf23'\. Did you mean 'tf32'"):
            dc.set_float32_matmul_precision("tf23")
    finally:
        dc.set_float32_matmul_precision("highest")


def test_layouts() -> None:
    assert layout(np.zeros((2, 3))) == (False, 3, 0)
    assert layout(np.zeros((2, 3)).T) == (True, 3, 0)
    assert layout(np.zeros((4, 2, 3))) == (False, 3, 6)
    assert layout(np.zeros((2, 6))[:, ::2]) is None
    assert layout(np.zeros((4, 2, 3))[::-1]) is None


def test_the_fake_has_the_signature_of_the_real_one() -> None:
    """Where CuPy is installed its cuBLAS loads, also from the wheels, and takes the arguments in our order."""
    cupy = pytest.importorskip("cupy")
    cublas = cupy.cuda.cublas
    assert (cublas.CUBLAS_COMPUTE_32F, cublas.CUBLAS_COMPUTE_64F) == (68, 70)
    order = re.findall(r"(\w+)[,)]", cublas.gemmStridedBatchedEx.__doc__)
    expected = "handle transa transb m n k alpha A Atype lda strideA B Btype ldb strideB beta C Ctype ldc strideC"
    assert " ".join(order) == expected + " batchCount computeType algo"
