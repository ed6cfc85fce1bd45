"""The report on memory, and what happens when there is no room: on the strict device with a limit, and on the CPU."""

from __future__ import annotations

import gc
import re
from types import SimpleNamespace

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import nn, optim
from deepcore.autograd import Function, memory
from deepcore.autograd.observer import observe
from deepcore.backends import get_backend, strict_memory
from deepcore.backends.base import MemoryUse
from deepcore.bench.workloads import WORKLOADS
from deepcore.errors import DeviceError, OutOfMemoryError
from deepcore.profiler import profile

KIB, MIB = 2**10, 2**20


def train(name: str, batch: int, limit: int, steps: int = 2) -> strict_memory.LimitedMemory:
    """Steps of a workload on the strict device with so much memory; returns what it counted."""
    work = WORKLOADS[name]
    x, target = work.batch(np.random.default_rng(0), batch, work.extent)
    gc.collect()
    with strict_memory.memory_limit(limit) as counted:
        model = work.build(nn, F, False).to("strict")
        optimizer = getattr(optim, work.optimizer[0])(model.parameters(), **work.optimizer[1])
        x, target = dc.tensor(x, device="strict"), dc.tensor(target, device="strict")
        for _ in range(steps):
            loss = work.loss(F, model(x), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return counted


# ---- the report


def test_the_report_names_what_is_in_memory() -> None:
    model = nn.Sequential(nn.Linear(100, 200), nn.Tanh(), nn.BatchNorm1d(200))
    optimizer = optim.Adam(model.parameters())
    x = dc.ones(50, 100)
    model(x).sum().backward()
    optimizer.step()
    with profile():
        y = model(x)
    held = dc.zeros(7, 1000)
    report = dc.cuda.memory_report("cpu")
    what = [h.what for h in report.holdings]
    for name in (
        "parameter Sequential.0.weight",
        "gradient of Sequential.0.weight",
        "buffer Sequential.2.running_mean",
        "exp_avg (200, 100) of Adam",
        "output of tanh in Sequential.1",
        "output of batch_norm in Sequential.2",
    ):
        assert name in what, name
    assert [h.bytes for h in report.holdings] == sorted((h.bytes for h in report.holdings), reverse=True)
    found = next(h for h in report.holdings if h.shape == (7, 1000))
    assert (found.bytes, found.kind, found.what) == (28000, "tensor", "a tensor outside of the graph")
    text = dc.cuda.memory_summary("cpu", row_limit=2)
    assert re.match(r"memory of cpu: [\d.]+ [KM]iB in arrays", text)
    assert re.search(r"in \d+ smaller ones$", text)
    del y, held


def test_views_count_once_and_other_devices_not_at_all() -> None:
    base = dc.zeros(1234, 3)
    views = [base[1:], base.reshape(-1), base.t()]
    other = dc.zeros(4321, 3, device="numpy")
    found = dc.cuda.memory_report("cpu").holdings
    assert sum(h.bytes == 1234 * 3 * 4 for h in found) == 1
    assert not any(h.bytes == 4321 * 3 * 4 for h in found)
    assert any(h.bytes == 4321 * 3 * 4 for h in dc.cuda.memory_report("numpy").holdings)
    del views, other


def test_the_device_counts_for_itself() -> None:
    with strict_memory.memory_limit(MIB) as counted:
        a, b = (dc.zeros(100, KIB // 4, device="strict") for _ in range(2))
        del b
        gc.collect()
        assert dc.cuda.memory_allocated("strict") == 100 * KIB
        assert dc.cuda.memory_reserved("strict") == 200 * KIB
        assert dc.cuda.mem_get_info("strict") == (MIB - 200 * KIB, MIB)
        first = dc.cuda.memory_summary("strict").splitlines()[0]
        assert first == "memory of strict: 100.0 KiB in arrays, 100.0 KiB kept for reuse, 824.0 KiB free of 1.0 MiB"
        dc.cuda.empty_cache("strict")
        assert dc.cuda.memory_reserved("strict") == 100 * KIB
        assert counted.peak == 200 * KIB
        del a


def test_cupys_pool_is_asked() -> None:
    from deepcore.backends.cuda import CudaBackend

    pool = SimpleNamespace(
        used_bytes=lambda: 30, total_bytes=lambda: 50, get_limit=lambda: limit, free_all_blocks=lambda: freed.append(1)
    )
    events: list[str] = []
    cuda = SimpleNamespace(
        runtime=SimpleNamespace(memGetInfo=lambda: (400, 1000), getDevice=lambda: 0),
        Event=lambda: SimpleNamespace(record=lambda: events.append("recorded")),
        get_elapsed_time=lambda start, end: 250.0,
        nvtx=SimpleNamespace(RangePush=events.append, RangePop=lambda: events.append("end"), available=True),
    )
    backend = CudaBackend.__new__(CudaBackend)
    backend.cupy, backend.index = SimpleNamespace(cuda=cuda, get_default_memory_pool=lambda: pool), 0
    freed: list[int] = []
    limit = 0
    assert backend.memory() == MemoryUse(30, 20, 400, 1000)
    limit = 60
    assert backend.memory() == MemoryUse(30, 20, 10, 60)
    backend.free_cache()
    assert freed == [1]
    assert backend.seconds_between(backend.mark(), backend.mark()) == 0.25
    backend.push_range("relu")
    backend.pop_range()
    assert events == ["recorded", "recorded", "relu", "end"]
    other = CudaBackend.__new__(CudaBackend)
    other.cupy = SimpleNamespace(cuda=SimpleNamespace(nvtx=SimpleNamespace(available=False)))
    other.push_range("relu")
    other.pop_range()


def test_cuda_without_a_gpu() -> None:
    if dc.cuda.is_available():
        pytest.skip("there is a GPU")
    assert dc.cuda.device_count() == 0
    for ask in (dc.cuda.memory_summary, dc.cuda.synchronize, dc.cuda.memory_allocated):
        with pytest.raises(DeviceError, match="expected a working CUDA device"):
            ask()


# ---- no room


def test_the_cache_is_given_back_and_the_op_tried_again() -> None:
    with strict_memory.memory_limit(MIB) as counted:
        x = dc.ones(32, KIB // 4, device="strict", requires_grad=True)
        parts = [dc.zeros(90, KIB // 4, device="strict") for _ in range(10)]
        del parts  # kept blocks that are too small for what comes
        big = dc.cat([x] * 6)  # 192 KiB
        assert counted.failures == 1
        big.sum().backward()  # as much again, for the gradient
        assert x.grad is not None
        np.testing.assert_array_equal(x.grad.cpu().numpy(), np.full((32, KIB // 4), 6, "float32"))


class Hungry(Function):
    """Takes 600 KiB on its way, in vain where `fails` says so."""

    def __init__(self, fails: int) -> None:
        self.fails, self.tries = fails, 0

    def forward(self, x):
        scratch = self.backend.xp.zeros(600 * KIB // 4, dtype="float32")
        self.tries += 1
        if self.tries <= self.fails:
            raise MemoryError("Out of memory allocating 12 bytes")
        return x + scratch[0]


@pytest.mark.parametrize("watched", [False, True])
def test_what_a_failed_op_had_made_is_gone_at_the_second_try(watched: bool) -> None:
    with strict_memory.memory_limit(MIB), observe(None):
        x = dc.ones(10, device="strict")
        op = Hungry(fails=1)
        if watched:
            with profile():
                op(x)
        else:
            op(x)
        assert op.tries == 2
        op = Hungry(fails=9)
        with pytest.raises(OutOfMemoryError, match=r"^hungry: expected 12 B of memory on strict; got Out of memory"):
            op(x)
        assert op.tries == 2  # once, and once more


def test_without_room_the_error_has_the_report_and_a_batch_that_fits() -> None:
    limit = train("lenet", 64, 2**40).peak
    with pytest.raises(OutOfMemoryError) as caught:
        train("lenet", 256, limit)
    lines = str(caught.value).splitlines()
    assert lines[0].startswith(
        "conv2d: expected 19.1 MiB of memory on strict; got Out of memory allocating 20,070,400 bytes"
    )
    assert "argument 0 (256, 1, 28, 28) float32 on strict" in lines[0]
    assert re.match(r"memory of strict: [\d.]+ MiB in arrays, .* kept for reuse, .* free of 8\.\d MiB$", lines[1])
    assert any(line.endswith("parameter Sequential.7.weight") for line in lines[2:])
    assert isinstance(caught.value, MemoryError)
    fits = int(re.search(r"Hint: a batch of (\d+) would fit \(this one has 256\)", lines[0])[1])
    assert 32 <= fits <= 64
    train("lenet", fits, limit)


@pytest.mark.parametrize("name", ["deepconvnet", "vgg_small", "char_lstm", "resnet20"])
@pytest.mark.slow
def test_following_the_advice_leads_to_a_batch_that_trains(name: str) -> None:
    """With a tenth to spare over what a batch of 8 needs, 32 comes down to a batch that trains, in a few tries.

    Without mlp: nearly all of its memory is the weights', and on this device the optimizer's formulas need more of it.
    """
    limit = int(1.1 * train(name, 8, 2**40).peak)
    batch = 32
    problem, tried = "", []
    while len(tried) < 6:
        tried.append(batch)
        try:
            train(name, batch, limit)
        except OutOfMemoryError as error:
            problem = str(error)
        else:
            return
        found = re.search(r"a batch of (\d+) would fit", problem)
        assert found, problem
        batch = int(found[1])
    raise AssertionError(f"{name}: still none that fits after {tried}: {problem}")


def test_without_a_model_no_batch_is_guessed() -> None:
    with strict_memory.memory_limit(MIB):
        x = dc.ones(200, KIB // 4, device="strict")
        with pytest.raises(
            OutOfMemoryError, match="use smaller arrays, or let go of tensors that are no longer needed"
        ):
            dc.cat([x] * 8)


def test_each_way_to_make_an_array_says_what_was_wanted() -> None:
    for make in (dc.zeros, dc.ones, dc.empty, dc.rand, dc.randn):
        with pytest.raises(OutOfMemoryError) as caught:
            make(10**7, 10**7)
        assert str(caught.value).startswith(
            f"{make.__name__}: expected 363.8 TiB of memory on cpu; got Unable to allocate"
        )
    x = dc.ones(10**6)
    with pytest.raises(OutOfMemoryError) as caught:
        x.reshape(-1, 1) * x
    assert "mul: expected 3.6 TiB of memory on cpu" in str(caught.value)
    assert "argument 0 (1000000, 1) float32 on cpu, argument 1 (1000000,) float32 on cpu" in str(caught.value)


def test_the_optimizer_and_the_backward_pass_say_so_too() -> None:
    with strict_memory.memory_limit(MIB):
        w = dc.ones(100, KIB // 4, device="strict", requires_grad=True)
        optimizer = optim.Adam([w])
        keep = dc.ones(600, KIB // 4, device="strict")
        w.grad = dc.ones(100, KIB // 4, device="strict")
        with pytest.raises(OutOfMemoryError, match=r"^Adam\.step: expected 100\.0 KiB of memory on strict"):
            optimizer.step()
        del keep
    with strict_memory.memory_limit(MIB):
        w = dc.ones(100, KIB // 4, device="strict", requires_grad=True)
        y = w.exp()
        seed = dc.ones(100, KIB // 4, device="strict")
        keep = dc.ones(680, KIB // 4, device="strict")
        with pytest.raises(OutOfMemoryError, match=r"^exp backward: expected 100\.0 KiB of memory on strict"):
            y.backward(seed)
        del keep
        y.backward(seed)  # nothing was lost: there is room now
        assert w.grad is not None


def test_how_much_was_wanted_is_read_from_the_error() -> None:
    with pytest.raises(MemoryError) as caught:
        np.zeros((10**7, 10**7), "float32")
    assert memory.requested_bytes(caught.value) == 4 * 10**14
    cupy = MemoryError(
        "Out of memory allocating 1,024 bytes (allocated so far: 5,000 bytes, limit set to: 6,000 bytes)."
    )
    assert memory.requested_bytes(cupy) == 1024
    assert memory.requested_bytes(MemoryError()) is None


def test_the_limited_memory_is_that_of_a_pool() -> None:
    backend = get_backend("strict")
    with strict_memory.memory_limit(1000) as counted:
        a = backend.from_host(np.zeros(400, "uint8"))
        del a
        assert (counted.live, counted.kept) == (0, [400])
        b = backend.from_host(np.zeros(300, "uint8"))  # from the kept block
        assert (counted.live, counted.kept) == (300, [100])
        view = b[10:]
        assert counted.live == 300
        with pytest.raises(MemoryError):
            backend.from_host(np.zeros(700, "uint8"))
        del b
        assert counted.live == 300  # the view holds it
        del view
        assert (counted.live, counted.cached) == (0, 400)
        backend.free_cache()
        backend.from_host(np.zeros(700, "uint8"))
    assert backend.memory() == MemoryUse(None, None, None, None)
