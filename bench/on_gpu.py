"""What a machine with an NVIDIA GPU has to say about deepcore, in one go of a few minutes.

``python -m deepcore.bench.on_gpu [--out DIR] [--quick] [--no-tests]`` writes DIR/<machine>-<date>.json and .md: the
environment, the GPU tests, `deepcore check` on the GPU (whole in DIR/<machine>-<date>-check.json), the bandwidth of
every kernel beside a device-to-device copy of the same run, GEMM and convolution, the cost of a launch, and a training
step of LeNet. Without a GPU it says so and ends with status 2.

Times are taken between CUDA events around several calls, after warm-up: the median of `repeat` such groups. The arrays
are larger than the GPU's cache, and what a kernel must at least read and write counts as its traffic, no more.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from deepcore import machine
from deepcore.backends import get_backend
from deepcore.kernels.cuda.diagnose import Facts, diagnose

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("deepcore", "numpy", "cupy-cuda12x", "cupy-cuda13x", "numba", "numba-cuda", "cuda-core", "llvmlite")
NO_GPU = 2  # exit status
TEST_LIMIT_S = 240
CHECK_LIMIT_S = 240


class Work(NamedTuple):
    """One measured call: `traffic` in bytes read and written at least, or `flops` where arithmetic is the limit."""

    name: str
    shape: str
    run: Callable[[], Any]
    traffic: int
    flops: int = 0


class Clock:
    """Seconds of GPU time of a call, by events."""

    def __init__(self, cupy: Any, repeat: int, seconds: float = 0.02) -> None:
        self.cupy, self.repeat, self.seconds = cupy, repeat, seconds

    def __call__(self, run: Callable[[], Any]) -> float:
        run()
        once = self._group(run, 1)
        calls = max(1, min(200, int(self.seconds / max(once, 1e-7))))
        self._group(run, calls)
        return statistics.median(self._group(run, calls) for _ in range(self.repeat))

    def _group(self, run: Callable[[], Any], calls: int) -> float:
        start, end = self.cupy.cuda.Event(), self.cupy.cuda.Event()
        start.record()
        for _ in range(calls):
            run()
        end.record()
        end.synchronize()
        return self.cupy.cuda.get_elapsed_time(start, end) / 1e3 / calls


def works(backend: Any, count: int = 1 << 26, batch: int = 256) -> Iterator[Work]:
    """A call of every kernel: `count` numbers for the flat ones, `batch` images of 64x56x56 for the others."""
    yield from _flat_works(backend, count)
    yield from _image_works(backend, batch)
    for rows, classes in ((count // 1024, 1000), (count // 64, 10)):
        yield from _loss_works(backend, rows, classes)


def _new(backend: Any, *shape: int) -> Any:
    return backend.normal(1, 0, shape, "float32")


def _flat_works(backend: Any, count: int) -> Iterator[Work]:
    size, flat = 4 * count, _new(backend, count)
    yield Work("relu_grad", f"{count}", partial(backend.relu_grad, flat, flat), 2 * size)  # both inputs are one array
    for name in ("uniform", "normal"):
        yield Work(name, f"{count} float32", partial(getattr(backend, name), 1, 0, (count,), "float32"), size)
    yield Work("philox", f"{count}", partial(backend.philox, 1, 0, count), size)
    yield Work("dropout", f"{count}", partial(backend.dropout, flat, 1, 0, 0.5), 2 * size)
    p, g, m = (_new(backend, count // 4) for _ in range(3))
    v = m * m
    sgd = partial(backend.sgd_update, [p], [g], [m], 0.1, 0.9, 0, 1e-4, False, False, False)
    yield Work("sgd_update", f"{p.size} with momentum", sgd, 5 * p.nbytes)
    adam = partial(backend.adam_update, [p], [g], [m], [v], None, 3, 1e-3, 0.9, 0.999, 1e-8, 0, False, False)
    yield Work("adam_update", f"{p.size}", adam, 7 * p.nbytes)


def _image_works(backend: Any, batch: int) -> Iterator[Work]:
    x, gy = _new(backend, batch, 64, 56, 56), _new(backend, batch, 64, 56, 56)
    w, b = _new(backend, 64), _new(backend, 64)
    size, shape = x.nbytes, f"{batch}x64x56x56"
    mean, var = backend.batch_norm_stats(x)
    rstd = 1 / backend.xp.sqrt(var + 1e-5)
    yield Work("batch_norm_stats", shape, partial(backend.batch_norm_stats, x), size)
    yield Work("batch_norm_apply", shape, partial(backend.batch_norm_apply, x, mean, rstd, w, b), 2 * size)
    yield Work("batch_norm_grad", shape, partial(backend.batch_norm_grad, gy, x, mean, rstd, w), 5 * size)
    yield Work("bias_relu", shape, partial(backend.bias_relu, x, b, 1), 2 * size)
    yield Work("bias_relu_grad", shape, partial(backend.bias_relu_grad, gy, x, 1), 3 * size)
    window, half = ((2, 2), (2, 2), (0, 0)), (28, 28)
    y, places = backend.max_pool2d(x, *window, (1, 1), half)
    small, with_places, shape = y.nbytes, y.nbytes + places.nbytes, f"{shape}, 2x2"
    maximum = partial(backend.max_pool2d, x, *window, (1, 1), half)
    yield Work("max_pool2d", shape, maximum, size + with_places)
    maximum = partial(backend.max_pool2d_grad, y, places, x.shape, *window, (1, 1))
    yield Work("max_pool2d_grad", shape, maximum, size + with_places)
    yield Work("avg_pool2d", shape, partial(backend.avg_pool2d, x, *window, half, True, None), size + small)
    average = partial(backend.avg_pool2d_grad, y, x.shape, *window, True, None)
    yield Work("avg_pool2d_grad", shape, average, size + small)
    grid = backend.uniform(1, 0, (batch, 56, 56, 2), "float32") * 2 - 1
    sampled = partial(backend.grid_sample, x, grid, "bilinear", "zeros", False)
    yield Work("grid_sample", f"{batch}x64x56x56", sampled, 2 * size + grid.nbytes)
    few = x[: max(1, batch // 4)]
    sizes = (3, 3), (1, 1), (1, 1), (1, 1)
    cols = backend.im2col(few, *sizes)
    shape = f"{few.shape[0]}x64x56x56, 3x3"
    yield Work("im2col", shape, partial(backend.im2col, few, *sizes), few.nbytes + cols.nbytes)
    yield Work("col2im", shape, partial(backend.col2im, cols, few.shape, *sizes), few.nbytes + cols.nbytes)


def _loss_works(backend: Any, rows: int, classes: int) -> Iterator[Work]:
    logits, weights = _new(backend, rows, classes), _new(backend, rows)
    target = backend.xp.zeros((rows,), dtype="int64")
    _, lse = backend.softmax_cross_entropy(logits, target, None, -100, 0.0)
    shape = f"{rows}x{classes}"
    forward = partial(backend.softmax_cross_entropy, logits, target, None, -100, 0.0)
    yield Work("softmax_cross_entropy", shape, forward, logits.nbytes)
    backward = partial(backend.softmax_cross_entropy_grad, weights, logits, target, lse, None, -100, 0.0)
    yield Work("softmax_cross_entropy_grad", shape, backward, 2 * logits.nbytes)


# x (N, C, H, H), O filters, KH = KW
CONVOLUTIONS = ((64, 64, 56, 64, 3), (64, 256, 14, 256, 3), (64, 256, 28, 128, 1), (128, 1, 28, 6, 5))


def products(backend: Any, side: int = 4096, convolutions: Sequence[tuple[int, ...]] = CONVOLUTIONS) -> Iterator[Work]:
    """GEMM and the three convolutions in IEEE float32: what counts is arithmetic."""
    a, b = _new(backend, side, side), _new(backend, side, side)
    yield Work("matmul", f"{side}x{side}x{side}", partial(backend.matmul, a, b), 0, 2 * side**3)
    yield Work("matmul, b transposed", f"{side}x{side}x{side}", partial(backend.matmul, a, b.T), 0, 2 * side**3)
    for n, c, size, o, k in convolutions:
        geometry = (1, 1), (k // 2, k // 2), (1, 1), 1
        x, w = _new(backend, n, c, size, size), _new(backend, o, c, k, k)
        gy = backend.conv2d(x, w, None, *geometry)
        flops, shape = 2 * gy.size * c * k * k, f"{n}x{c}x{size}x{size}, {o} filters {k}x{k}"
        yield Work("conv2d", shape, partial(backend.conv2d, x, w, None, *geometry), 0, flops)
        yield Work("conv2d_input", shape, partial(backend.conv2d_input, gy, w, x.shape, *geometry), 0, flops)
        yield Work("conv2d_weight", shape, partial(backend.conv2d_weight, gy, x, w.shape, *geometry), 0, flops)


def copy_rate(cupy: Any, clock: Clock, count: int = 1 << 28) -> float:
    """Bytes a second, read and written, of a device-to-device copy of float32 numbers."""
    source = cupy.ones((count,), dtype="float32")
    target = cupy.empty_like(source)
    stream = cupy.cuda.get_current_stream()
    move = partial(target.data.copy_from_device_async, source.data, source.nbytes, stream)
    return 2 * source.nbytes / clock(move)


def launch_cost(backend: Any, calls: int = 20000) -> dict[str, float]:
    """Microseconds of Python for a launch of one tiny kernel, an operation of the seam, and a CuPy operation."""
    x = backend.from_host([0.5] * 32)
    y, kernel, shape = backend.xp.empty_like(x), backend.kernels.activation.relu_grad, backend.launch.flat(32)

    def micros(run: Callable[[], Any]) -> float:
        groups = []
        for _ in range(7):
            backend.synchronize()
            start = time.perf_counter()
            for _ in range(calls // 7):
                run()
            groups.append((time.perf_counter() - start) / (calls // 7) * 1e6)
            backend.synchronize()
        return round(statistics.median(groups), 2)

    return {
        "launch_us": micros(lambda: backend.launch(kernel, shape, x, x, y, 0, 32)),
        "relu_grad_us": micros(lambda: backend.relu_grad(x, x)),
        "cupy_add_us": micros(lambda: x + x),
    }


def lenet_step(device: str, batch: int = 128, steps: int = 60) -> dict[str, Any]:
    """Milliseconds of an eager training step of LeNet-5 on 28x28 images with Adam, and images a second."""
    import deepcore as dc
    from deepcore import functional as F
    from deepcore import models, optim

    dc.manual_seed(0)
    model = models.create("lenet", image_size=28).to(device)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    images = dc.rand(batch, 1, 28, 28, device=device)
    labels = dc.randint(0, 10, (batch,), device=device)
    backend = get_backend(device)
    times = []
    for _ in range(steps):
        start = time.perf_counter()
        optimizer.zero_grad()
        loss = F.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        backend.synchronize()
        times.append(time.perf_counter() - start)
    middle = statistics.median(times[steps // 3 :])
    return {
        "device": device,
        "batch": batch,
        "first_step_ms": round(1e3 * times[0], 2),
        "step_ms": round(1e3 * middle, 3),
        "images_per_s": round(batch / middle),
        "last_loss": round(loss.item(), 4),
    }


def gpu_tests() -> dict[str, Any]:
    """The suite's GPU ring, where the repository is at hand: pytest's last line and the names of what failed."""
    if not (ROOT / "tests").is_dir():
        return {"summary": "not run: the tests are in the repository, not in the installed package"}
    command = [sys.executable, "-m", "pytest", "-q", "-m", "gpu", "-p", "no:cacheprovider", "tests"]
    start = time.perf_counter()
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=TEST_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"summary": f"stopped after {TEST_LIMIT_S} s"}
    lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["no output"]
    return {
        "summary": lines[-1].strip("= "),
        "exit_status": done.returncode,
        "seconds": round(time.perf_counter() - start, 1),
        "failed": [line for line in lines if line.startswith(("FAILED", "ERROR"))],
    }


def gpu_check(file: Path) -> dict[str, Any]:
    """Every op on the GPU against the oracle and the reference; the whole result goes to `file`."""
    command = [sys.executable, "-m", "deepcore.check", "--device", "cuda", "--json", str(file)]
    start = time.perf_counter()
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=CHECK_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return {"summary": f"stopped after {CHECK_LIMIT_S} s"}
    found = [line for line in done.stdout.splitlines() if " on cuda" in line]
    return {
        "summary": found[-1] if found else (done.stderr.strip().splitlines() or ["no output"])[-1],
        "exit_status": done.returncode,
        "seconds": round(time.perf_counter() - start, 1),
        "failed": [line for line in found if line.startswith("FAIL")],
        "file": file.name,
    }


def environment(facts: Facts) -> dict[str, Any]:
    """Versions and devices."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "python": platform.python_version(),
        "machine": machine.describe(),
        "driver_cuda": facts.driver,
        "runtime_cuda": facts.runtime,
        "devices": [str(gpu) for gpu in facts.devices],
        "kernels": facts.kernel_problem or "compiled",
        "versions": versions,
    }


def measure(run: Work, clock: Clock, copy: float) -> dict[str, Any]:
    """One row of a table; a call that fails is a row that says so."""
    row: dict[str, Any] = {"name": run.name, "shape": run.shape}
    try:
        seconds = clock(run.run)
    except Exception as error:  # the rest of the table is still wanted
        return {**row, "error": f"{type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    row["ms"] = round(1e3 * seconds, 4)
    if run.flops:
        row["tflops"] = round(run.flops / seconds / 1e12, 2)
    else:
        row["gb_per_s"] = round(run.traffic / seconds / 1e9, 1)
        row["share_of_copy"] = round(run.traffic / seconds / copy, 3)
    return row


def collect(facts: Facts, quick: bool, tests: bool, checked: Path) -> dict[str, Any]:
    """Everything, in the order of the report; `checked` is the file for the result of the check."""
    report: dict[str, Any] = {"command": " ".join(["python -m deepcore.bench.on_gpu", *sys.argv[1:]])}
    report["environment"] = environment(facts)
    _say(f"on {facts.devices[0]}")
    if tests:
        _say("GPU tests ...")
        report["tests"] = gpu_tests()
        _say(report["tests"]["summary"])
        _say("deepcore check ...")
        report["check"] = gpu_check(checked)
        _say(report["check"]["summary"])
    backend: Any = get_backend("cuda")
    clock = Clock(backend.cupy, repeat=3 if quick else 9)
    copy = copy_rate(backend.cupy, clock)
    report["copy_gb_per_s"] = round(copy / 1e9, 1)
    _say(f"device-to-device copy {copy / 1e9:.0f} GB/s, read and written")
    for title, table in (
        ("kernels", works(backend, 1 << 23, 32) if quick else works(backend)),
        ("products", products(backend)),
    ):
        report[title] = []
        for work in table:
            report[title].append(measure(work, clock, copy))
            _say(_line(report[title][-1]))
    if facts.kernel_problem is None:
        report["launch"] = launch_cost(backend)
        _say(str(report["launch"]))
    report["lenet"] = [lenet_step(device) for device in ("cuda:0", "cpu")]
    for row in report["lenet"]:
        _say(f"LeNet on {row['device']}: {row['step_ms']} ms a step, {row['images_per_s']} images/s")
    return report


def markdown(report: dict[str, Any]) -> str:
    """The report as a page."""
    facts = report["environment"]
    lines = [f"# {facts['devices'][0]}, {facts['date']}", "", f"`{report['command']}`", ""]
    lines += [f"- {name}: {facts[name]}" for name in ("machine", "python", "driver_cuda", "runtime_cuda", "kernels")]
    lines += [f"- {name} {version}" for name, version in facts["versions"].items()]
    if "tests" in report:
        lines += ["", f"GPU tests: {report['tests']['summary']}"]
        lines += [f"- `{name}`" for name in report["tests"].get("failed", [])]
    if "check" in report:
        lines += ["", f"`deepcore check --device cuda`: {report['check']['summary']}"]
        lines += [f"- `{name}`" for name in report["check"].get("failed", [])]
    lines += ["", f"Device-to-device copy: {report['copy_gb_per_s']} GB/s, read and written.", ""]
    lines += ["| kernel | size | ms | GB/s | share of copy |", "|---|---|---|---|---|"]
    lines += [_row(row, "gb_per_s", "share_of_copy") for row in report["kernels"]]
    lines += ["", "IEEE float32, no TF32:", "", "| product | size | ms | TFLOP/s |", "|---|---|---|---|"]
    lines += [_row(row, "tflops") for row in report["products"]]
    if "launch" in report:
        lines += ["", "Python's cost of a call, microseconds:", ""]
        lines += [f"- {name.removesuffix('_us')}: {value}" for name, value in report["launch"].items()]
    lines += ["", "LeNet-5, 28x28, Adam, eager:", "", "| device | batch | first step ms | step ms | images/s |"]
    lines += ["|---|---|---|---|---|"]
    columns = "device", "batch", "first_step_ms", "step_ms", "images_per_s"
    lines += ["| " + " | ".join(str(row[name]) for name in columns) + " |" for row in report["lenet"]]
    return "\n".join(lines) + "\n"


def _row(row: dict[str, Any], *columns: str) -> str:
    if "error" in row:
        return f"| {row['name']} | {row['shape']} | failed: {row['error']} |" + " |" * len(columns)
    return "| " + " | ".join(str(row[name]) for name in ("name", "shape", "ms", *columns)) + " |"


def _line(row: dict[str, Any]) -> str:
    rest = ", ".join(f"{key} {value}" for key, value in row.items() if key not in ("name", "shape"))
    return f"{row['name']} ({row['shape']}): {rest}"


def _say(text: str) -> None:
    print(text, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Measure and write the report; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m deepcore.bench.on_gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=ROOT / "bench" / "results", help="folder of the report")
    parser.add_argument("--quick", action="store_true", help="smaller arrays and fewer repetitions")
    parser.add_argument("--no-tests", action="store_true", help="leave out the GPU tests and the check")
    options = parser.parse_args(arguments)
    facts = diagnose()
    if not facts.usable:
        print(f"on_gpu: nothing to measure: {facts}", file=sys.stderr)
        return NO_GPU
    gpu = re.sub(r"[^a-z0-9]+", "-", facts.devices[0].name.lower()).strip("-")
    name = f"{gpu}-{datetime.datetime.now(datetime.UTC).date()}"
    options.out.mkdir(parents=True, exist_ok=True)
    report = collect(facts, options.quick, not options.no_tests, options.out / f"{name}-check.json")
    (options.out / f"{name}.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    (options.out / f"{name}.md").write_text(markdown(report), encoding="utf-8")
    _say(f"written: {options.out / name}.json and .md")
    failed = any(report.get(part, {}).get("exit_status") for part in ("tests", "check"))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
