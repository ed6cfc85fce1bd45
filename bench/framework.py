"""What a case needs of a framework. deepcore's devices and the peers each fill in this class; see bench/peers/.

An object of it is made in the parent (which asks `absent` and `skips` and imports nothing heavy) and again in the
candidate's own process, where `start` imports the framework.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepcore.bench.spec import Round, Spec


class Framework:
    """One candidate. deepcore and PyTorch have the same names, so most of it is where those names are found."""

    name = ""
    """As on the command line."""
    kind = "peer"
    order = 99
    """Where it stands in lists of peers."""
    about = ""
    """One line: what it is and how it is set up."""
    packages: Sequence[str] = ()
    """Whose versions go into the result."""
    imports = ""
    """The module that a user imports, for the suite "startup"."""
    source = ""
    """The file that the peer was loaded from, where that is not one of bench/peers/."""
    layered = True
    """Whether its models run layer by layer, so that the layers can be timed."""

    # Found by `start`:
    top: Any
    """The package: dc, torch."""
    nn: Any
    F: Any
    optim: Any
    threads: int

    def absent(self) -> str:
        """Why it cannot be used here, and how to install it; "" where it can."""
        return ""

    def skips(self, spec: Spec) -> str:
        """Why it does not take part in a case; "" where it does."""
        if spec.program in ("read", "batches"):
            return "only deepcore's own loader is measured"
        if spec.program == "pictures" and type(self).pictures is Framework.pictures:
            return "its loader is not measured"
        if spec.program == "first step" and not self.opening(1):
            return "its first step is not measured"
        return ""

    def environment(self, threads: int) -> dict[str, str]:
        """More variables for its process, beside those that set the threads."""
        return {}

    def cold(self, folder: Path) -> dict[str, str]:
        """Variables that make a process find no compiled kernels: they would be kept in `folder`."""
        return {}

    def opening(self, threads: int) -> str:
        """Lines of Python with which a user's program begins, for the suite "startup"; "" where there are none.

        They import the framework and define `nn`, `F`, `optim`, `put(array)`, a tensor on the device, and
        `place(model)`, the model there.
        """
        return ""

    def pictures(self, path: Path, folder: str, batch: int, workers: int) -> Any:
        """A loader of shuffled batches of the pictures `folder/<class>/*.jpg` in a zip, by so many processes."""
        raise NotImplementedError

    def start(self, threads: int) -> None:
        """Import the framework and give it so many threads."""
        raise NotImplementedError

    def op(self, name: str) -> Callable[..., Any]:
        """The function of that name, wherever the framework keeps it."""
        return getattr(self.F, name, None) or getattr(self.top, name)

    def tensor(self, array: np.ndarray, grad: bool = False) -> Any:
        """A tensor on the candidate's device, a leaf that wants a gradient if asked for."""
        raise NotImplementedError

    def numpy(self, tensor: Any) -> np.ndarray:
        """Its values on the host."""
        raise NotImplementedError

    def grad(self, y: Any, inputs: Sequence[Any], gy: Any) -> Sequence[Any]:
        """The gradients of `inputs`; the graph stays, so that the next step can do it again."""
        return self.top.autograd.grad(y, inputs, gy, retain_graph=True)

    def model(self, build: Callable[..., Any], weights: Mapping[str, np.ndarray]) -> Any:
        """`build(nn, F, dropout)` with these weights, on the device."""
        raise NotImplementedError

    def for_training(self, model: Any) -> Any:
        """What is called in training steps: the model, or something compiled from it."""
        return model

    def for_inference(self, model: Any, x: Any, optimised: bool) -> Callable[[Any], Any]:
        """What is called in inference; `optimised` asks for the call that a user makes to have it faster, if any."""
        return self.for_training(model)

    def synchronize(self) -> None:
        """Wait until the device has done all its work."""

    def device_bytes(self) -> int:
        """The most memory that the device has held; 0 where its arrays are in the process's own memory."""
        return 0

    def round(self, step: Callable[[], Any], steps: int) -> Round:
        """Time so many steps."""
        self.synchronize()
        start = time.perf_counter()
        for _ in range(steps):
            step()
        self.synchronize()
        return Round((time.perf_counter() - start) / steps)


class CudaTimer:
    """A round on a GPU: host time and, apart from it, GPU time between two events on the current stream.

    `cuda` has `Event()` and `get_elapsed_time(start, end)` in milliseconds, as cupy.cuda does.
    """

    def __init__(self, cuda: Any, synchronize: Callable[[], None]) -> None:
        self.cuda, self.synchronize = cuda, synchronize

    def round(self, step: Callable[[], Any], steps: int) -> Round:
        """Time so many steps: until all is launched, until all is done, and between the events."""
        first, last = self.cuda.Event(), self.cuda.Event()
        self.synchronize()
        start = time.perf_counter()
        first.record()
        for _ in range(steps):
            step()
        last.record()
        launched = time.perf_counter()
        last.synchronize()
        self.synchronize()
        done = time.perf_counter()
        gpu = self.cuda.get_elapsed_time(first, last) / 1e3
        return Round((done - start) / steps, gpu / steps, (launched - start) / steps)


class Device(Framework):
    """A device of deepcore."""

    kind = "device"
    packages = ("deepcore", "numpy", "numba", "llvmlite", "scipy", "numba-cuda", "cupy-cuda12x", "cupy-cuda13x")
    imports = "deepcore"

    def __init__(self, name: str) -> None:
        self.name = name
        self.about = f"deepcore on {name}"
        self.timer: CudaTimer | None = None

    def cold(self, folder: Path) -> dict[str, str]:
        return {"NUMBA_CACHE_DIR": str(folder), "CUPY_CACHE_DIR": str(folder), "XDG_CACHE_HOME": str(folder)}

    def start(self, threads: int) -> None:
        import deepcore as dc
        from deepcore import functional, nn, optim
        from deepcore.backends import get_backend

        self.top, self.nn, self.F, self.optim, self.threads = dc, nn, functional, optim, threads
        self.backend: Any = get_backend(self.name)
        if self.name.startswith("cuda"):
            self.timer = CudaTimer(self.backend.xp.cuda, self.synchronize)

    def op(self, name: str) -> Callable[..., Any]:
        return getattr(self.F, name)

    def tensor(self, array: np.ndarray, grad: bool = False) -> Any:
        return self.top.tensor(array, device=self.name, requires_grad=grad)

    def numpy(self, tensor: Any) -> np.ndarray:
        return tensor.detach().cpu().numpy()

    def model(self, build: Callable[..., Any], weights: Mapping[str, np.ndarray]) -> Any:
        model = build(self.nn, self.F, False)
        model.load_state_dict(dict(weights))
        return model.to(self.name)

    def for_inference(self, model: Any, x: Any, optimised: bool) -> Callable[[Any], Any]:
        return self.top.optimize_for_inference(model) if optimised else model

    def skips(self, spec: Spec) -> str:
        if "zip" in spec.arguments and not Path(spec.arguments["zip"]).is_file():
            return f"{spec.arguments['zip']} is not here: name its folder in DEEPCORE_DATA (see the README)"
        if "data" in spec.arguments:
            return _absent_data(spec.arguments["data"])
        if spec.arguments.get("optimised"):
            import deepcore

            known = hasattr(deepcore, "optimize_for_inference")
            return "" if known else "this deepcore has no optimize_for_inference"
        return super().skips(spec)

    def pictures(self, path: Path, folder: str, batch: int, workers: int) -> Any:
        from deepcore.data import DataLoader, ImageFolder

        options: dict[str, Any] = {"num_workers": workers, "worker_type": "process", "persistent_workers": True}
        return DataLoader(ImageFolder(path / folder), batch, shuffle=True, device=self.name, **options)

    def opening(self, threads: int) -> str:
        return (
            "import deepcore\nfrom deepcore import functional as F, nn, optim\n"
            f"put = lambda array: deepcore.tensor(array, device={self.name!r})\n"
            f"place = lambda model: model.to({self.name!r})\n"
        )

    def synchronize(self) -> None:
        self.backend.synchronize()

    def device_bytes(self) -> int:
        if self.timer is None:
            return 0
        return int(self.backend.xp.get_default_memory_pool().total_bytes())

    def round(self, step: Callable[[], Any], steps: int) -> Round:
        return self.timer.round(step, steps) if self.timer else super().round(step, steps)


def _absent_data(name: str) -> str:
    """Why the files of a data set cannot be read; "" where they are here, so that nothing will be downloaded."""
    from deepcore.data.sets import cifar, mnist

    here = {"mnist": lambda: all(mnist.find(file) for file in mnist.FILES), "cifar10": lambda: cifar.find() is not None}
    if here.get(name, lambda: True)():
        return ""
    return f"the files of {name} are not here: name their folder in DEEPCORE_DATA (see the README)"
