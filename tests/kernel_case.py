"""What a case of tests/kernel_cases*.py is: a call of a method of the seam with a CUDA kernel or a GEMM behind it.

`check` runs one on a device and on the reference and compares; it is used in Numba's simulator (tests/simulator/) and
on a real GPU (tests/test_cuda_gpu.py).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from deepcore.check.tolerance import assert_close

Arguments = Callable[["Numbers"], tuple]


class Numbers:
    """Random arrays of one floating dtype."""

    def __init__(self, dtype: str) -> None:
        self.dtype, self.rng = dtype, np.random.default_rng(7)

    def __call__(self, *shape: int) -> np.ndarray:
        return self.rng.standard_normal(shape).astype(self.dtype)

    def positive(self, *shape: int) -> np.ndarray:
        return np.abs(self(*shape)) + np.asarray(0.1, self.dtype)


@dataclass(frozen=True)
class KernelCase:
    """`method` of a backend called with arguments(numbers). `exact`: equal bits; `inplace`: arguments to compare."""

    method: str
    name: str
    arguments: Arguments
    kernels: tuple[str, ...]
    exact: bool = False
    inplace: tuple[int, ...] = ()
    length: int = 64
    workspace: int | None = None
    settings: dict[str, Any] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.method}-{self.name}"


def check(case: KernelCase, dtype: str, device: Any, reference: Any) -> set[str]:
    """Compare one call on `device` with the reference, in values, shapes, dtypes and in hidden copies to the host.

    Returns the names of the kernels that ran. `device` and `reference` are backends.
    """
    mine, theirs = case.arguments(Numbers(dtype)), case.arguments(Numbers(dtype))
    there = [to_device(device, a) for a in mine]
    before = dict(getattr(device, "transfers", {}))
    with Recorder(device, case.workspace) as launched:
        got = getattr(device, case.method)(*there)
    assert dict(getattr(device, "transfers", {})) == before, "a hidden copy between host and device"
    expected = getattr(reference, case.method)(*theirs)
    if case.inplace:
        got, expected = [there[i] for i in case.inplace], [theirs[i] for i in case.inplace]
    compare(case, device, got, expected, dtype)
    for i, (left, given) in enumerate(zip(there, mine, strict=True)):
        if i not in case.inplace:
            untouched(device, left, given, f"argument {i} was written to")
    return launched


def to_device(device: Any, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return device.from_host(value.copy())
    if hasattr(value, "_fields"):
        return type(value)(*(to_device(device, v) for v in value))
    return type(value)(to_device(device, v) for v in value) if isinstance(value, (list, tuple)) else value


def compare(case: KernelCase, device: Any, got: Any, expected: Any, dtype: str) -> None:
    if isinstance(expected, (tuple, list)):
        assert len(got) == len(expected)
        for one, other in zip(got, expected, strict=True):
            compare(case, device, one, other, dtype)
        return
    got = device.to_host(got)
    assert got.dtype == expected.dtype
    if case.exact:
        np.testing.assert_array_equal(got, expected)
    else:
        assert_close(got, expected, dtype, case.length)


def untouched(device: Any, left: Any, given: Any, message: str) -> None:
    if isinstance(given, list):
        for one, other in zip(left, given, strict=True):
            untouched(device, one, other, message)
    elif isinstance(given, np.ndarray):
        np.testing.assert_array_equal(device.to_host(left), given, err_msg=message)


class Recorder:
    """Notes the kernels that a backend launches, and sets its workspace for a while."""

    def __init__(self, device: Any, workspace: int | None) -> None:
        self.device, self.workspace, self.names = device, workspace, set()

    def __enter__(self) -> set[str]:
        self.launch, self.old = self.device.launch, self.device.workspace_bytes
        self.device.launch = self
        self.device.workspace_bytes = self.workspace or self.old
        return self.names

    def __exit__(self, *_: object) -> None:
        self.device.launch, self.device.workspace_bytes = self.launch, self.old

    def __getattr__(self, name: str) -> Any:
        return getattr(self.launch, name)

    def __call__(self, kernel: Any, *args: Any) -> None:
        self.names.add(kernel.name)
        self.launch(kernel, *args)


CASES: list[KernelCase] = []


def add(method: str, name: str, arguments: Arguments, *kernels: str, **options: Any) -> None:
    CASES.append(KernelCase(method, name, arguments, kernels, **options))
