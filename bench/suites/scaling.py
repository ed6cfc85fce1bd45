"""Suite "scaling": time against one size at a time, everything else held: batch, side, channels, length, threads."""

from __future__ import annotations

from dataclasses import replace

from deepcore.bench.spec import Spec
from deepcore.bench.suites.models import TRAINING, model_spec
from deepcore.bench.suites.op_table import BY_NAME, CONVS, FORWARD
from deepcore.bench.suites.ops import op_spec

BATCHES = (8, 16, 32, 64, 128, 256)
SIDES = (8, 16, 32, 64)
CHANNELS = (8, 16, 32, 64, 128, 256)
PRODUCTS = (128, 256, 512, 1024, 2048)
LENGTHS = (16, 32, 64, 128, 256)


def specs(threads: int) -> list[Spec]:
    """The cases; the axis "threads" goes up to the threads of the run by doubling."""
    found = []
    for name in ("mlp", "lenet"):
        found += [_model(name, "batch", n, batch=n) for n in BATCHES]
    found += [_model("resnet20", "side", n, batch=16, extent=n) for n in SIDES]
    conv = CONVS[False, 1, 1]
    for n in CHANNELS:
        inputs = (16, n, 28, 28), (n, n, 3, 3)
        found.append(op_spec("scaling", conv, FORWARD, inputs, name="conv2d 3x3", axis="channels", at=n))
    for n in PRODUCTS:
        found.append(op_spec("scaling", BY_NAME["matmul"], FORWARD, ((n, n), (n, n)), axis="side", at=n))
    found += [_model("char_lstm", "length", n, batch=16, extent=n) for n in LENGTHS]
    found += [_model("transformer", "length", n, batch=4, extent=n) for n in LENGTHS]
    for name in ("deepconvnet", "mlp"):
        found += [_model(name, "threads", n, threads=n) for n in _doubling(threads)]
    return found


def _model(name: str, axis: str, at: int, **more: int) -> Spec:
    case = model_spec("scaling", name, TRAINING, axis=axis, at=at, group=f"{name} by {axis}", **more)
    return replace(case, size=f"{case.size}, {at} thread{'s' if at > 1 else ''}") if axis == "threads" else case


def _doubling(threads: int) -> list[int]:
    """1, 2, 4, ... and the last: all threads."""
    return sorted({threads, *(1 << i for i in range(threads.bit_length()) if 1 << i <= threads)})
