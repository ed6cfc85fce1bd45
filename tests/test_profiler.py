"""deepcore.profiler: what it counts, that it changes nothing, tables and trace; DEEPCORE_DEBUG, DEEPCORE_NVTX."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import nn, optim
from deepcore.autograd import Function, debug
from deepcore.autograd.mode import state
from deepcore.autograd.observer import observe
from deepcore.errors import ConfigError, OpError, RunError, ShapeError
from deepcore.profiler import profile, record_function
from deepcore.profiler.averages import NOWHERE, OUTSIDE
from fake_gpu import TICK, FakeGpu, fake_gpu


class Net(nn.Module):
    """Two rooms, a fused pair in the first, a module that is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten())
        self.head = nn.Linear(36, 36)

    def forward(self, x):
        return self.head(self.head(self.body(x)).tanh())


class Training:
    """A net on a device, with one batch."""

    def __init__(self, device: str = "cpu") -> None:
        dc.manual_seed(0)
        rng = np.random.default_rng(0)
        self.model = Net().to(device)
        self.optimizer = optim.Adam(self.model.parameters(), lr=0.01)
        self.x = dc.tensor(rng.normal(size=(5, 1, 8, 8)).astype("float32"), device=device)
        self.y = dc.tensor(rng.integers(0, 36, 5), device=device)

    def step(self) -> None:
        loss = F.cross_entropy(self.model(self.x), self.y)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()

    def weights(self) -> list[np.ndarray]:
        return [p.detach().cpu().numpy() for p in self.model.parameters()]


@pytest.fixture(scope="module")
def recorded() -> profile:
    """Three steps on the CPU."""
    training = Training()
    training.step()
    with profile(record_shapes=True) as p:
        for _ in range(3):
            with record_function("my step"):
                training.step()
            p.step()
    return p


@pytest.fixture
def gpu() -> Iterator[FakeGpu]:
    with fake_gpu() as backend:
        yield backend


# ---- what is counted


def test_every_op_is_counted_forward_and_backward(recorded: profile) -> None:
    rows = {row.key: row for row in recorded.key_averages()}
    assert (rows["linear"].count, rows["linear"].backward_count) == (6, 6)
    assert (rows["tanh"].count, rows["cross_entropy"].backward_count) == (3, 3)
    assert rows["Optimizer.step#Adam.step"].count == rows["my step"].count == 3
    assert rows["linear"].forward_cpu > 0 < rows["linear"].backward_cpu
    assert rows["linear"].self_device_time_total is None
    x, w, b, y = 5 * 36 * 4, 36 * 36 * 4, 36 * 4, 5 * 36 * 4
    # forward: what goes in and comes out; backward: the gradient, what was saved, and what comes out
    assert rows["linear"].bytes >= 6 * (x + w + b + y) + 6 * (y + x + w + x + w + b)


def test_own_times_are_disjoint_and_make_up_the_wall_time(recorded: profile) -> None:
    table = recorded.key_averages()
    own = sum(row.self_cpu_time_total for row in table)
    assert 0 < own <= table.wall
    assert all(row.self_cpu_time_total <= row.cpu_time_total + 1e-6 for row in table)
    mine = next(row for row in table if row.key == "my step")
    assert own <= mine.cpu_time_total + 1e-6  # all else is inside of it
    assert "outside of ops" in table.table()


def test_modules_hold_their_parts_and_fused_pairs_stay_fused(recorded: profile) -> None:
    rows = recorded.module_averages()
    names = [row.key for row in rows]
    assert names == ["Net", "Net.body", "Net.body.0", "Net.body.1+2", "Net.body.3", "Net.head", NOWHERE]
    found = {row.key: row for row in rows}
    assert (found["Net.head"].count, found["Net.head"].detail) == (6, "Linear")
    assert found["Net.body.1+2"].detail == "ReLU+MaxPool2d"
    parts = sum(found[name].self_cpu_time_total for name in names if name.startswith("Net.body."))
    assert found["Net.body"].self_cpu_time_total == pytest.approx(parts)
    assert found["Net"].forward_cpu >= found["Net.body"].forward_cpu + found["Net.head"].forward_cpu
    assert found["Net.head"].backward_cpu > 0
    everything = found["Net"].self_cpu_time_total + found[NOWHERE].self_cpu_time_total
    assert everything == pytest.approx(sum(row.self_cpu_time_total for row in recorded.key_averages()))


def test_two_models_of_a_class_have_names_of_their_own() -> None:
    a, b = nn.Linear(2, 2), nn.Linear(2, 2)
    with profile() as p:
        b(a(dc.ones(1, 2)))
        a(dc.ones(1, 2))
    assert [(row.key, row.count) for row in p.module_averages()] == [("Linear", 2), ("Linear#2", 1)]


def test_shapes_of_arguments(recorded: profile) -> None:
    rows = [row for row in recorded.key_averages(group_by_input_shape=True) if row.key == "conv2d"]
    assert [row.detail.split(", (")[0] for row in rows if row.count] == ["(5, 1, 8, 8) float32"]
    with profile() as p:
        dc.ones(2).exp()
    with pytest.raises(ConfigError, match="record_shapes=True"):
        p.key_averages(group_by_input_shape=True)


def test_the_results_have_the_bits_that_they_have_without() -> None:
    plain, watched = Training(), Training()
    for _ in range(3):
        plain.step()
    with profile(record_shapes=True):
        for _ in range(3):
            watched.step()
    for a, b in zip(plain.weights(), watched.weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_what_raises_inside_is_closed_and_the_profile_still_counts() -> None:
    layer = nn.Linear(3, 2)
    with profile() as p, pytest.raises(ShapeError), record_function("block"):
        layer(dc.ones(1, 4))
    assert state.observer is None
    with profile() as p:
        with pytest.raises(ShapeError):
            layer(dc.ones(1, 4))
        layer(dc.ones(1, 3))
    assert {row.key: row.count for row in p.key_averages()}["linear"] == 2  # the failed one too
    assert p.recorder.open is None


def test_other_threads_are_not_recorded() -> None:
    with profile() as p:
        other = threading.Thread(target=lambda: dc.ones(2).exp())
        other.start()
        other.join()
        dc.ones(2).log()
    assert [row.key for row in p.key_averages()] == ["log"]


def test_record_function_decorates() -> None:
    @record_function("double")
    def double(x):
        return double(x - 1) + 2 if x > 0 else 0

    with profile() as p:
        assert double(2) == 4
    assert {row.key: row.count for row in p.key_averages()} == {"double": 3}
    assert double(1) == 2


# ---- a device that queues


def test_the_device_is_timed_by_marks_and_not_waited_for_between_ops(gpu: FakeGpu) -> None:
    training = Training("fakegpu")
    with profile() as p:
        before = gpu.waits
        training.step()
        assert gpu.waits - before == 1  # once, to set the two clocks beside each other
    assert gpu.waits - before == 2
    spans = [s for s in p.events() if s.device_s is not None]
    rows = {row.key: row for row in p.key_averages()}
    # an op is one tick from mark to mark; one with others inside is longer, but its own time is without them
    assert rows["tanh"].forward_device == pytest.approx(TICK * 1e6)
    assert all(
        s.device_self_s == pytest.approx(s.device_s - sum(c.device_s for c in spans if c.parent is s)) for s in spans
    )
    starts = [s.device_at for s in spans]
    assert starts == sorted(starts)
    assert starts[0] > 0
    text = p.table()
    assert re.search(r"forward CPU +backward CPU +CPU +share +forward GPU +backward GPU +GPU +share +bytes", text)
    assert "the device's time in ops" in text
    rows = p.module_averages()
    assert [row.key for row in rows if row.backward_device][:2] == ["Net", "Net.body"]


def test_the_device_need_not_be_timed(gpu: FakeGpu) -> None:
    x = dc.ones(2, device="fakegpu")
    with profile(device_time=False) as p:
        x.exp()
    assert gpu.marks == 1  # where the clocks are set beside each other
    assert p.key_averages()[0].self_device_time_total is None


def test_ranges_for_profilers_of_the_device(gpu: FakeGpu) -> None:
    x = dc.ones(2, device="fakegpu", requires_grad=True)
    with profile():
        x.exp().sum().backward()
    assert gpu.ranges[:4] == ["+exp", "-", "+sum", "-"]
    assert "+exp backward" in gpu.ranges
    gpu.ranges.clear()
    model = nn.Sequential(nn.Linear(2, 2)).to("fakegpu")
    with observe(debug.Debug(finish=False, ranges=True)):
        x.exp()
        model(x)
    assert gpu.ranges == ["+exp", "-", "+Sequential", "+Sequential.0", "+linear", "-", "-", "-"]
    assert gpu.waits == 1 + 1  # of the profile


# ---- tables


def test_the_table(recorded: profile) -> None:
    lines = recorded.table(row_limit=3).splitlines()
    assert re.fullmatch(r"op +calls +forward CPU +backward CPU +CPU +share +bytes", lines[0])
    assert lines[-3].startswith(OUTSIDE)
    assert re.fullmatch(r"\(\d+ more\)", lines[-2])
    assert re.fullmatch(r"wall time [\d.]+ [mu]?s, 3 steps of [\d.]+ [mu]?s", lines[-1])
    shares = [float(m) for m in re.findall(r"([\d.]+) %", recorded.table())]
    assert sum(shares) == pytest.approx(100, abs=0.05 * len(shares) + 0.1)  # each is rounded to a tenth
    by_name = recorded.table(sort_by="key").splitlines()[2:-2]
    assert by_name == sorted(by_name, key=lambda line: line.split("  ")[0])
    longest = max(recorded.module_averages(), key=lambda row: row.self_cpu_time_total)
    modules = recorded.table(by="module", sort_by="self_cpu_time_total").splitlines()
    assert modules[2].startswith(f"{longest.key} ")


def test_wrong_use_is_named(recorded: profile, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"sort_by among .*got 'self_cpu'"):
        recorded.table(sort_by="self_cpu")
    with pytest.raises(ConfigError, match=r"Did you mean 'module'\?"):
        recorded.table(by="modules")
    p = profile()
    for use in (p.stop, p.step, p.events, p.table):
        with pytest.raises(ConfigError, match=r"^(profile|table): expected "):
            use()
    with p, pytest.raises(ConfigError, match="running already"):
        p.start()
    with pytest.raises(RunError, match="could not be written: no such file or directory"):
        recorded.export_chrome_trace(tmp_path / "no" / "trace.json")


def test_an_empty_profile_has_a_table() -> None:
    with profile() as p:
        pass
    assert "wall time" in p.table()
    assert "wall time" in p.table(by="module")


# ---- the trace


def checked_trace(path: Path) -> list[dict]:
    """The events of a trace, after a check of what Chrome's format demands of each."""
    content = json.loads(path.read_text())
    assert set(content) == {"displayTimeUnit", "traceEvents"}
    events = content["traceEvents"]
    for event in events:
        assert isinstance(event["name"], str)
        assert isinstance(event["pid"], int)
        assert isinstance(event["tid"], int)
        assert event["ts"] >= 0
        assert event["ph"] in "XMsf"
        if event["ph"] == "X":
            assert event["dur"] >= 0
        if event["ph"] in "sf":
            assert isinstance(event["id"], int)
    return events


def test_the_trace_is_in_chromes_format(recorded: profile, tmp_path: Path) -> None:
    recorded.export_chrome_trace(tmp_path / "trace.json")
    events = checked_trace(tmp_path / "trace.json")
    complete = [e for e in events if e["ph"] == "X"]
    names = [e["name"] for e in complete]
    for name in (
        "ProfilerStep#0",
        "ProfilerStep#2",
        "my step",
        "Net.body.1+2 (ReLU+MaxPool2d)",
        "conv2d",
        "tanh backward",
    ):
        assert name in names
    assert "ProfilerStep#3" not in names
    # On one track events lie inside of each other or apart, or Perfetto shows them wrongly; a nanosecond is 0.001.
    open_until: list[float] = []
    for event in sorted(complete, key=lambda e: (e["ts"], -e["dur"])):
        while open_until and open_until[-1] <= event["ts"] + 1e-6:
            open_until.pop()
        if open_until:
            assert event["ts"] + event["dur"] <= open_until[-1] + 1e-6
        open_until.append(event["ts"] + event["dur"])
    linear = next(e for e in complete if e["name"] == "linear")
    assert linear["args"]["module"] == "Net.head"
    assert linear["args"]["arguments"][0] == "(5, 36) float32"
    starts = {e["id"]: e["ts"] for e in events if e["ph"] == "s"}
    ends = {e["id"]: e["ts"] for e in events if e["ph"] == "f"}
    assert starts.keys() == ends.keys()
    assert all(starts[i] < ends[i] for i in starts)


def test_a_device_has_a_track_of_its_own(gpu: FakeGpu, tmp_path: Path) -> None:
    training = Training("fakegpu")
    with profile() as p:
        training.step()
    p.export_chrome_trace(tmp_path / "trace.json")
    events = checked_trace(tmp_path / "trace.json")
    processes = {e["args"]["name"]: e["pid"] for e in events if e["name"] == "process_name"}
    assert processes.keys() == {"host", "fakegpu"}
    on_device = [e for e in events if e["ph"] == "X" and e["pid"] == processes["fakegpu"]]
    assert [e["dur"] for e in on_device if e["name"] == "tanh"] == [pytest.approx(TICK * 1e6)]


# ---- DEEPCORE_DEBUG


def test_debugging_names_the_op_that_the_device_failed_in(gpu: FakeGpu) -> None:
    model = nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Linear(2, 2)).to("fakegpu")
    bad = dc.tensor(np.array([[-1e9, 0]], "float32"), device="fakegpu")
    model(bad)
    with pytest.raises(RuntimeError, match=r"^CUDA_ERROR_ILLEGAL_ADDRESS"):  # comes late and names nothing
        gpu.synchronize()
    with observe(debug.Debug()), pytest.raises(OpError) as caught:
        model(bad)
    assert str(caught.value) == (
        "relu: expected its forward in Sequential.1 to succeed; got RuntimeError: CUDA_ERROR_ILLEGAL_ADDRESS: "
        "an illegal memory access was encountered; argument 0 (1, 2) float32 on fakegpu. "
        "Hint: every op before this one was finished by the device."
    )


class Broken(Function):
    def forward(self, x):
        self.saved = (x,)
        return x + 0

    def backward(self, gy):
        raise KeyError("a mistake in the op")


class Module(nn.Module):
    def forward(self, x):
        return Broken()(x)


def test_debugging_names_the_backward_and_its_module_on_any_device() -> None:
    x = dc.ones(3, requires_grad=True)
    with observe(debug.Debug()):
        y = Module()(x).sum()
        with pytest.raises(OpError) as caught:
            y.backward()
    assert str(caught.value) == (
        "broken: expected its backward in Module to succeed; got KeyError: 'a mistake in the op'; "
        "gradient of output 0 (3,) float32 on cpu, saved 0 (3,) float32 on cpu."
    )
    assert isinstance(caught.value.__cause__, KeyError)


def test_debugging_leaves_our_own_errors_and_results_alone() -> None:
    plain, watched = Training(), Training()
    plain.step()
    with observe(debug.Debug()):
        watched.step()
        with pytest.raises(ShapeError), profile() as p:
            watched.model.head(dc.ones(1, 4))
    assert [row.key for row in p.key_averages()] == ["linear"]
    for a, b in zip(plain.weights(), watched.weights(), strict=True):
        np.testing.assert_array_equal(a, b)


def test_debugging_names_the_optimizer(gpu: FakeGpu) -> None:
    training = Training("fakegpu")
    with observe(debug.Debug()):
        loss = training.model(training.x).sum()
        loss.backward()
        gpu.fault = RuntimeError("CUDA_ERROR_LAUNCH_FAILED")
        with pytest.raises(
            OpError, match=r"^Optimizer.step#Adam.step: expected it to succeed; got RuntimeError: CUDA_ERR"
        ):
            training.optimizer.step()


def test_the_variables_switch_it_on_in_every_thread() -> None:
    code = """
import threading
import deepcore as dc
class Broken(dc.autograd.Function):
    def forward(self, x):
        return x.nothing
def call():
    try:
        Broken()(dc.ones(2))
    except Exception as error:
        print(type(error).__name__, error)
call()
thread = threading.Thread(target=call)
thread.start()
thread.join()
"""
    environment = os.environ | {"DEEPCORE_DEBUG": "1", "DEEPCORE_NVTX": "1"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert line.startswith("OpError broken: expected its forward to succeed; got AttributeError: 'numpy.ndarray'")
        assert line.endswith("argument 0 (2,) float32 on cpu.")
