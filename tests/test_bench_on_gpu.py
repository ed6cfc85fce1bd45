"""The program that measures on a GPU, as far as a machine without one can run it."""

from __future__ import annotations

import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from deepcore.backends import get_backend
from deepcore.bench import on_gpu
from deepcore.kernels.cuda.diagnose import Facts, Gpu

GPU = Gpu(0, "NVIDIA H200", 139 * 2**30, (9, 0), 132)


class Event:
    """A CUDA event on the host's clock."""

    def record(self) -> None:
        self.time = time.perf_counter()

    def synchronize(self) -> None:
        pass


CUPY = SimpleNamespace(
    cuda=SimpleNamespace(Event=Event, get_elapsed_time=lambda start, end: 1e3 * (end.time - start.time))
)


def test_without_a_gpu_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    facts = Facts(problem="no NVIDIA driver was found", fix="install one")
    monkeypatch.setattr(on_gpu, "diagnose", lambda: facts)
    assert on_gpu.main([]) == 2
    assert capsys.readouterr().err == ("on_gpu: nothing to measure: no NVIDIA driver was found. Fix: install one\n")


def test_every_call_that_it_measures_works() -> None:
    """On the reference, with small sizes; the arguments are the ones that a GPU gets."""
    backend, clock = get_backend("numpy"), on_gpu.Clock(CUPY, repeat=1, seconds=0)
    table = [
        *on_gpu.works(backend, count=4096, batch=1),
        *on_gpu.products(backend, side=8, convolutions=((2, 3, 6, 4, 3),)),
    ]
    rows = [on_gpu.measure(work, clock, copy=1e9) for work in table]
    assert not [row for row in rows if "error" in row]
    assert all(row["ms"] >= 0 for row in rows)
    names = {row["name"] for row in rows}
    assert {"relu_grad", "im2col", "col2im", "softmax_cross_entropy_grad", "adam_update", "conv2d_weight"} <= names


def test_a_call_that_fails_is_a_row_and_no_end() -> None:
    def broken() -> None:
        raise MemoryError("out of\nmemory")

    row = on_gpu.measure(on_gpu.Work("relu", "8", broken, 1), on_gpu.Clock(CUPY, 1), 1.0)
    assert row == {"name": "relu", "shape": "8", "error": "MemoryError: out of memory"}


def test_a_step_of_lenet_is_measured() -> None:
    row = on_gpu.lenet_step("numpy", batch=4, steps=3)
    assert row["batch"] == 4
    assert row["images_per_s"] > 0


def test_launch_cost() -> None:
    host = get_backend("numpy")

    class Launch:
        def __call__(self, *args: Any) -> None: ...
        def flat(self, n: int) -> None: ...

    backend = SimpleNamespace(
        from_host=host.from_host,
        xp=host.xp,
        relu_grad=host.relu_grad,
        synchronize=host.synchronize,
        launch=Launch(),
        kernels=SimpleNamespace(activation=SimpleNamespace(relu_grad=None)),
    )
    cost = on_gpu.launch_cost(backend, calls=70)
    assert set(cost) == {"launch_us", "relu_grad_us", "cupy_add_us"}


def test_the_report_is_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    """JSON and page from one run, with a failed row and a failed test in it."""
    report = {
        "command": "python -m deepcore.bench.on_gpu",
        "environment": on_gpu.environment(Facts(driver=12090, runtime=12090, devices=(GPU,))),
        "tests": {"summary": "1 failed, 9 passed", "exit_status": 1, "failed": ["FAILED tests/a.py::b"]},
        "check": {"summary": "263 ops on cuda:0: 2 failures", "exit_status": 1, "failed": ["FAIL relu on cuda:0"]},
        "copy_gb_per_s": 4300.0,
        "kernels": [
            {"name": "relu_grad", "shape": "8", "ms": 1.5, "gb_per_s": 4000.0, "share_of_copy": 0.93},
            {"name": "philox", "shape": "8", "error": "RuntimeError: no"},
        ],
        "products": [{"name": "matmul", "shape": "4x4x4", "ms": 2.0, "tflops": 50.0}],
        "launch": {"launch_us": 5.0},
        "lenet": [{"device": "cuda:0", "batch": 128, "first_step_ms": 9.0, "step_ms": 2.0, "images_per_s": 64000}],
    }
    monkeypatch.setattr(on_gpu, "diagnose", lambda: Facts(devices=(GPU,)))
    monkeypatch.setattr(on_gpu, "collect", lambda facts, quick, tests, checked: report)
    assert on_gpu.main(["--out", str(tmp_path)]) == 1
    names = sorted(path.name for path in tmp_path.iterdir())
    assert [name.rpartition(".")[2] for name in names] == ["json", "md"]
    assert names[0].startswith("nvidia-h200-20")
    page = (tmp_path / names[1]).read_text()
    assert "| relu_grad | 8 | 1.5 | 4000.0 | 0.93 |" in page
    assert "| philox | 8 | failed: RuntimeError: no | | |" in page
    assert "| matmul | 4x4x4 | 2.0 | 50.0 |" in page
    assert "GPU tests: 1 failed, 9 passed\n- `FAILED tests/a.py::b`" in page
    assert "`deepcore check --device cuda`: 263 ops on cuda:0: 2 failures\n- `FAIL relu on cuda:0`" in page


def test_the_check_of_the_gpu_is_kept(tmp_path: Path) -> None:
    """Without a GPU the command says why; with one its JSON file is beside the report."""
    found = on_gpu.gpu_check(tmp_path / "gpu-check.json")
    if found["exit_status"] == 2:
        assert "expected a working CUDA device" in found["summary"]
        assert not list(tmp_path.iterdir())
    else:
        assert "ops on cuda:0" in found["summary"]
        assert (tmp_path / found["file"]).is_file()
