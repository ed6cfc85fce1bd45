"""Every kernel against the reference; tests/test_simulator_kernels.py runs it with NUMBA_ENABLE_CUDASIM=1."""

from __future__ import annotations

import pytest

from deepcore.backends import get_backend
from deepcore.kernels.cuda.declare import all_kernels
from kernel_cases import CASES, KernelCase, check

# the reference computes 0 * inf and the like on purpose; the simulator adds uint64 with a wanted wrap
pytestmark = pytest.mark.filterwarnings("ignore::RuntimeWarning")

RAN: set[str] = set()


NARROW = {kernel.name for kernel in all_kernels() if kernel.float16}
RUNS = [(case, dtype) for case in CASES for dtype in ("float32", "float64")]
RUNS += [(case, "float16") for case in CASES if case.kernels and set(case.kernels) <= NARROW]


@pytest.mark.parametrize(("case", "dtype"), RUNS, ids=str)
def test_case(case: KernelCase, dtype: str) -> None:
    """Values, shapes, dtypes; the expected kernels ran; nothing went over to the host."""
    launched = check(case, dtype, get_backend("simulator"), get_backend("numpy"))
    assert launched == set(case.kernels)
    RAN.update(launched)


def test_every_kernel_ran() -> None:
    """No kernel is without a case."""
    assert {kernel.name for kernel in all_kernels()} == RAN


def test_a_host_array_is_refused() -> None:
    """What a real device could not read, the simulator refuses to read."""
    import numpy as np

    from deepcore.backends.errors import DeviceError

    backend = get_backend("simulator")
    x = np.zeros(4, "float32")
    with pytest.raises(DeviceError, match="launching a kernel: expected data to stay where it is"):
        backend.launch(backend.kernels.activation.relu_grad, backend.launch.flat(4), x, x, x, 0, 4)


def test_an_argument_of_the_wrong_dtype_is_refused() -> None:
    """The simulator has no types; the launcher checks them against the declaration."""
    backend = get_backend("simulator")
    x, y = backend.from_host([1.0]), backend.from_host([1])
    with pytest.raises(TypeError, match=r"activation.relu_grad: y is declared T\* with T = float64, got int64"):
        backend.launch(backend.kernels.activation.relu_grad, backend.launch.flat(1), x, y, x, 0, 1)


def test_lenet_trains_as_on_the_reference() -> None:
    """Two steps: the same losses and weights within rounding, and no copy to the host before the end."""
    import numpy as np

    import deepcore as dc
    from deepcore import functional as F
    from deepcore import models, optim
    from deepcore.check.tolerance import assert_close

    rng = np.random.default_rng(0)
    images, labels = rng.standard_normal((2, 1, 16, 16)).astype("float32"), np.array([3, 7])
    results = []
    for device in ("numpy", "simulator"):
        backend = get_backend(device)
        dc.manual_seed(0)
        model = models.create("lenet", image_size=16).to(device)
        optimizer = optim.Adam(model.parameters(), lr=1e-3)
        x, y = dc.tensor(images, device=device), dc.tensor(labels, device=device)
        before, losses = dict(getattr(backend, "transfers", {})), []
        for _ in range(2):
            optimizer.zero_grad()
            losses.append(F.cross_entropy(model(x), y))
            losses[-1].backward()
            optimizer.step()
        assert dict(getattr(backend, "transfers", {})) == before
        results.append([backend.to_host(t.array) for t in (*losses, *model.parameters())])
    for mine, other in zip(*results, strict=True):
        assert_close(other, mine, "float32", 16 * 25)
