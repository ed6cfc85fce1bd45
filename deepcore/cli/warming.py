"""What `deepcore warmup` does: a short training of each model on random data, which compiles all that it needs."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

import deepcore.kernels.cuda.compiler as cuda_compiler
from deepcore import data, models
from deepcore.backends import register
from deepcore.errors import ConfigError, DeviceError
from deepcore.kernels.cuda import cache
from deepcore.train import device as devices
from deepcore.train.config import TrainConfig
from deepcore.train.recipe import ImageTrainer

# Of one image, its dtype in the data set, and how many classes there are.
SHAPES = {
    "cifar10": ((3, 32, 32), "uint8", 10),
    "cifar100": ((3, 32, 32), "uint8", 100),
    "digits": ((1, 32, 32), "float32", 10),
    "fashion-mnist": ((1, 28, 28), "uint8", 10),
    "kmnist": ((1, 28, 28), "uint8", 10),
    "mnist": ((1, 28, 28), "uint8", 10),
}


class Count(NamedTuple):
    """Kernels compiled and found on the disk, and the seconds that compiling took."""

    compiled: int
    found: int
    seconds: float

    def since(self, before: Count) -> Count:
        """What came after `before`."""
        return Count(self.compiled - before.compiled, self.found - before.found, self.seconds - before.seconds)


def warmup_command(names: Sequence[str], device: str, arch: str | None, data_name: str, optimizer: str) -> None:
    """Compile what a training of the named models needs (of all, where none is named), and say how much that was."""
    names = list(dict.fromkeys(names)) or models.names()
    configs = [
        TrainConfig.resolve({"model": name, "data": data_name, "optimizer": optimizer, "epochs": 1}) for name in names
    ]
    name, target = _target(device, arch)
    print(target, flush=True)
    width = max(map(len, names))
    start = _count(name)
    for config in configs:
        before, started = _count(name), time.perf_counter()
        run(config, name)
        count = _count(name).since(before)
        print(f"{config.model:<{width}}  {_said(count)}; {time.perf_counter() - started:.1f} s in all", flush=True)
    total = _count(name).since(start)
    if total.compiled:
        print(f"{total.compiled} kernels compiled in {total.seconds:.1f} s, kept in {_place(name)}")
    else:
        print(f"nothing to do: all kernels are in {_place(name)}")


def _target(device: str, arch: str | None) -> tuple[str, str]:
    """The device that runs the training, and a line about it; "compiling" stands for a GPU that is not here."""
    if arch is None:
        try:
            return devices.choose(device)
        except DeviceError as error:
            if not device.startswith("cuda"):
                raise
            raise DeviceError(f"{error} Without a GPU, --arch sm_90 compiles for one of another machine.") from error
    if device not in ("auto", "cuda"):
        raise ConfigError(f"--arch names a GPU; it does not fit --device {device}.")
    match = re.fullmatch(r"(?:sm_)?(\d+)\.?(\d)", arch)
    if match is None:
        raise ConfigError(f"--arch: expected a compute capability such as sm_90 or 9.0; got {arch!r}.")
    capability = int(match[1]), int(match[2])
    from deepcore.backends.compiling import CompilingBackend

    backend = CompilingBackend(capability)
    register(backend.name, lambda: backend)
    return backend.name, "compiling for sm_{}{} without running anything".format(*capability)


def run(config: TrainConfig, device: str) -> None:
    """Three steps of the training that the config describes and its evaluation, on random images.

    The last batch of each has one image: kernels are chosen by the sizes, and a prediction is often one of one image.
    """
    shape, dtype, classes = SHAPES[config.data]
    rng = np.random.default_rng(0)
    sets = []
    for count in (2 * config.batch_size + 1, config.batch_size + 1):
        images = rng.random((count, *shape))
        images = (images * 255).astype(dtype) if dtype == "uint8" else images.astype(dtype)
        sets.append(data.ArrayDataset(images, np.arange(count) % classes, tuple(map(str, range(classes))), config.data))
    ImageTrainer(config, data.Splits(*sets), device).train()


def _count(device: str) -> Count:
    if device.startswith(("cuda", "compiling")):
        tally = cuda_compiler.tally
        return Count(tally.compiled, tally.found, tally.seconds)
    if device == "numpy":
        return Count(0, 0, 0.0)
    from deepcore.kernels.cpu import compiler

    return Count(compiler.notice.compiled, compiler.found_on_disk(), compiler.notice.seconds)


def _said(count: Count) -> str:
    if not count.compiled:
        return f"nothing to compile, {count.found} kernels were on the disk" if count.found else "nothing to compile"
    return f"{count.compiled} kernels compiled in {count.seconds:.1f} s, {count.found} were on the disk"


def _place(device: str) -> str:
    if device.startswith(("cuda", "compiling")):
        return str(cache.cache_dir())
    return "Numba's cache" if device != "numpy" else "NumPy, which compiles nothing"
