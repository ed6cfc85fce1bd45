"""Ring 4: device "cuda" on a real GPU (`pytest -m gpu`); the op tests of test_ops.py run there as well."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from deepcore.backends import DeviceError, get_backend
from deepcore.check.tolerance import assert_close
from deepcore.kernels.cuda.diagnose import diagnose
from kernel_cases import CASES, KernelCase, check

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore::RuntimeWarning:deepcore.backends.base")]


@pytest.fixture
def cuda() -> Any:
    try:
        return get_backend("cuda")
    except DeviceError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_kernels_equal_the_reference_on_a_gpu(case: KernelCase, dtype: str, cuda: Any) -> None:
    """The simulator's cases on the real thing."""
    assert check(case, dtype, cuda, get_backend("numpy")) == set(case.kernels)


def test_sizes_of_practice_equal_the_reference_on_a_gpu(cuda: Any) -> None:
    """Whole blocks, several chunks, several parts: sizes that the simulator is too slow for."""
    reference, rng = get_backend("numpy"), np.random.default_rng(0)
    x, w = (rng.standard_normal(s).astype("float32") for s in ((16, 24, 33, 31), (40, 24, 3, 3)))
    there, weights = cuda.from_host(x), cuda.from_host(w)
    geometry = (1, 1), (1, 1), (1, 1), 1
    assert_close(
        cuda.to_host(cuda.conv2d(there, weights, None, *geometry)),
        reference.conv2d(x, w, None, *geometry), "float32", 24 * 9,
    )  # fmt: skip
    for mine, other in zip(cuda.batch_norm_stats(there), reference.batch_norm_stats(x), strict=True):
        assert_close(cuda.to_host(mine), other, "float32", 16 * 33 * 31)
    assert_close(
        cuda.to_host(cuda.normal(3, 4, (10**6,), "float32")), reference.normal(3, 4, (10**6,), "float32"), "int64"
    )
    pooled, places = cuda.max_pool2d(there, (3, 3), (2, 2), (1, 1), (1, 1), (17, 16))
    expected, expected_places = reference.max_pool2d(x, (3, 3), (2, 2), (1, 1), (1, 1), (17, 16))
    np.testing.assert_array_equal(cuda.to_host(pooled), expected)
    np.testing.assert_array_equal(cuda.to_host(places), expected_places)


def test_work_goes_to_the_current_stream(cuda: Any) -> None:
    """A kernel waits for what was put on its stream before, and work on another stream waits for an event."""
    import cupy

    n = 1 << 24
    stream, other = cupy.cuda.Stream(non_blocking=True), cupy.cuda.Stream(non_blocking=True)
    with stream:
        x = cupy.full((n,), -1, "float32")
        for _ in range(50):  # keeps the stream busy, so that a launch elsewhere would overtake
            x *= 1
        x += 3
        y = cuda.relu_grad(x, x)
        z = cuda.matmul(y.reshape(-1, 4), cuda.xp.ones((4, 4), "float32"))
        done = stream.record()
    other.wait_event(done)
    with other:
        total = float(z.min()), float(z.max())
    cuda.synchronize()
    assert total == (8.0, 8.0)


def test_host_copies_are_explicit(cuda: Any) -> None:
    x = cuda.from_host(np.arange(6, dtype="float32").reshape(2, 3))
    assert cuda.from_host(x) is x
    assert cuda.item(x.sum()) == 15.0
    assert isinstance(cuda.to_host(x), np.ndarray)
    with pytest.raises(TypeError):
        np.asarray(x)


def test_the_last_gpu(cuda: Any) -> None:
    """With one GPU this is the first again; with several, arrays lie where the device string says."""
    facts = diagnose()
    last = get_backend(f"cuda:{len(facts.devices) - 1}")
    x = last.from_host(np.ones((3, 4), "float32"))
    assert x.device.id == last.index
    assert last.relu_grad(x, x).device.id == last.index
    cuda.activate()
