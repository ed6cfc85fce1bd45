"""DLPack: memory shared with NumPy and PyTorch in both directions, and what is refused."""

from __future__ import annotations

import gc
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore.backends import get_backend
from deepcore.errors import ArgumentError
from deepcore.tensor import dlpack
from deepcore.tensor.dlpack import DLPackError

DTYPES = ("float64", "float32", "float16", "int64", "int32", "int16", "int8", "uint8", "bool")


def numbers(dtype: str, *shape: int) -> np.ndarray:
    return np.asarray(np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, shape)).astype(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 3), (), (0, 4)])
def test_numpy_both_ways(dtype: str, shape: tuple[int, ...]) -> None:
    a = numbers(dtype, *shape)
    t = dc.from_dlpack(a)
    back = np.from_dlpack(t)
    assert t.dtype == back.dtype == a.dtype
    assert t.shape == shape
    a[...] = 1
    assert np.array_equal(t.numpy(), a)
    assert np.array_equal(back, a)


@pytest.mark.parametrize("dtype", [*DTYPES, "bfloat16"])
@pytest.mark.parametrize("shape", [(2, 3), (), (0, 4)])
def test_torch_both_ways(dtype: str, shape: tuple[int, ...]) -> None:
    """What one writes the other sees."""
    torch = pytest.importorskip("torch")
    x = torch.ones(shape, dtype=getattr(torch, dtype))
    t = dc.from_dlpack(x)
    assert t.dtype.name == dtype
    assert t.shape == shape
    x.zero_()
    assert not (t != 0).any().item()

    t = dc.ones(shape, dtype=dtype)
    y = torch.from_dlpack(t)
    assert y.dtype == getattr(torch, dtype)
    t.zero_()
    assert not y.any().item()
    y.fill_(1)
    assert (t == 1).all().item()


def test_strides_stay() -> None:
    torch = pytest.importorskip("torch")
    t = dc.arange(24.0).reshape(4, 6)[::2, 1::2].T
    y = torch.from_dlpack(t)
    assert y.stride() == tuple(s // 4 for s in t.array.strides)
    assert np.array_equal(y.numpy(), t.numpy())
    x = torch.arange(24.0).reshape(4, 6)[::2, 1::2].T
    assert np.array_equal(dc.from_dlpack(x).numpy(), x.numpy())
    assert np.shares_memory(dc.from_dlpack(x).numpy(), x.numpy())


def test_read_only_arrays() -> None:
    a = numbers("float32", 3)
    a.flags.writeable = False
    t = dc.from_dlpack(a)
    with pytest.raises(dc.errors.ShapeError):
        t.add_(1)
    assert not np.from_dlpack(dc.ones(1, 3).expand(2, 3)).flags.writeable
    with pytest.raises(DLPackError, match="clone"):  # a consumer that cannot be told that it must not write
        dc.ones(1, 3).expand(2, 3).__dlpack__()


def test_memory_outlives_its_maker() -> None:
    torch = pytest.importorskip("torch")
    for make in (lambda: np.full(1000, 3.0), lambda: torch.full((1000,), 3.0, dtype=torch.float64)):
        t = dc.from_dlpack(make())
        gc.collect()
        rubbish = [np.full(1000, float(i)) for i in range(50)]
        assert (t == 3).all().item(), len(rubbish)
    y = torch.from_dlpack(dc.full((1000,), 3.0))
    gc.collect()
    rubbish = [np.full(1000, float(i), np.float32) for i in range(50)]
    assert bool((y == 3).all()), len(rubbish)
    for _ in range(100):  # capsules that nobody takes free what they hold
        dc.ones(10, dtype="bfloat16").__dlpack__()


def test_options_of_the_consumer() -> None:
    t = dc.ones(3)
    assert t.__dlpack_device__() == (1, 0)
    assert not np.shares_memory(np.from_dlpack(t, copy=True), t.numpy())
    assert "dltensor_versioned" in repr(t.__dlpack__(max_version=(1, 0)))
    with pytest.raises(DLPackError):
        t.__dlpack__(dl_device=(2, 0))
    assert dc.from_dlpack(t).array is t.array


def test_what_is_refused() -> None:
    with pytest.raises(BufferError, match="detach"):
        np.from_dlpack(dc.ones(2, requires_grad=True))
    with pytest.raises(ArgumentError, match="__dlpack__"):
        dc.from_dlpack([1.0])
    with pytest.raises(DLPackError, match="strict"):
        dc.ones(2, device="strict").__dlpack__()
    with pytest.raises(DLPackError, match="strict"):
        dc.ones(2, device="strict").__dlpack_device__()

    class Elsewhere:
        def __dlpack__(self, **_: Any) -> Any:
            raise AssertionError

        def __dlpack_device__(self) -> tuple[int, int]:
            return 10, 0

    with pytest.raises(DLPackError, match="device type 10"):
        dc.from_dlpack(Elsewhere())


def test_an_array_on_a_gpu_goes_to_that_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """The way of CuPy's arrays, with the strict device in CuPy's place: the array library of that device takes it."""
    backend, taken = get_backend("strict"), []

    class Array:
        def __dlpack__(self, **_: Any) -> Any:
            raise AssertionError

        def __dlpack_device__(self) -> tuple[int, int]:
            return dlpack.CUDA, 1

    def take(x: Any) -> Any:
        taken.append(x)
        return backend.from_host(np.ones(2))

    asked = []
    monkeypatch.setattr(dlpack, "get_backend", lambda name: asked.append(name) or backend)
    monkeypatch.setattr(backend.xp, "from_dlpack", take, raising=False)
    x = Array()
    assert dc.from_dlpack(x).device == "strict"
    assert asked == ["cuda:1"]
    assert taken == [x]
