"""One copy of the training on one device: its model, its optimiser, and a step of which everything is recorded."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from deepcore.autograd import wrap
from deepcore.autograd.observer import observe
from deepcore.devices import device as creation_device
from deepcore.dtypes import finfo
from deepcore.errors import ConfigError, got, message
from deepcore.lockstep.noise import Noise
from deepcore.lockstep.places import Place
from deepcore.nn import Module
from deepcore.random import default_generator, drawn_as
from deepcore.tensor import Tensor


class Key(NamedTuple):
    """Which quantity an array is; see result.Quantity."""

    kind: str
    name: str
    module: str
    type: str
    shape: tuple[int, ...]


class Entry(NamedTuple):
    """A recorded quantity: floating values on the host, in the dtype of the device."""

    key: Key
    value: np.ndarray


@dataclass
class State:
    """All that a step starts from, on the host: copies."""

    tensors: dict[str, np.ndarray]
    """Parameters and buffers by name."""
    optimizer: dict[str, Any]
    random: tuple[int, int]
    """The state of the default generator."""


class Replica:
    """The model and optimiser of one place; `noise` makes it a noisy shadow."""

    def __init__(
        self,
        place: Place,
        model_fn: Callable[[], Module],
        optimizer_fn: Callable[[Any], Any],
        loss_fn: Callable[..., Any],
        noise: Noise | None = None,
    ) -> None:
        self.place, self.loss_fn, self.noise = place, loss_fn, noise
        self.backend = place.backend
        with creation_device(self.backend.device):
            self.model = model_fn()
        if not isinstance(self.model, Module):
            raise ConfigError(message("compare", "model_fn to return an nn.Module", got(model=self.model)))
        self.model.to(self.backend.device, place.dtype)
        self.optimizer = optimizer_fn(list(self.model.parameters()))
        self.parameters = dict(self.model.named_parameters())
        self.buffers = dict(self.model.named_buffers())
        self.modules = dict(self.model.named_modules())
        self.names = {id(module): name for name, module in self.modules.items()}
        self.recording = _Recording(self)

    @property
    def name(self) -> str:
        return self.place.name

    @property
    def dtype(self) -> np.dtype:
        """The coarsest floating dtype of the parameters."""
        return max((p.dtype for p in self.parameters.values()), key=lambda d: finfo(d).eps)

    # ---- state

    def save(self) -> State:
        """Copies of all that a step changes."""
        tensors = {name: self.host(t).copy() for name, t in (self.parameters | self.buffers).items()}
        return State(tensors, _on_host(self.optimizer.state_dict()), default_generator.get_state())

    def load(self, state: State) -> None:
        """Take over a state, of any device and dtype. The dtypes stay this replica's."""
        for name, tensor in (self.parameters | self.buffers).items():
            self.write(tensor, state.tensors[name])
        self.optimizer.load_state_dict(state.optimizer)
        default_generator.set_state(state.random)

    def write(self, tensor: Tensor, value: np.ndarray) -> None:
        """Overwrite a tensor of this replica with host values."""
        tensor.array = self.array(value, tensor.dtype)
        tensor._version_cell = [0]

    def array(self, value: np.ndarray, dtype: Any = None) -> Any:
        """A fresh array of this backend; floating values in `dtype`, or in the replica's."""
        if value.dtype.kind in "fV":
            value = value.astype(self.dtype if dtype is None else dtype)
        return self.backend.from_host(np.array(value))

    def host(self, tensor: Any) -> np.ndarray:
        """The values of a tensor, or of an array of this backend, on the host; shared memory where it lies there."""
        return self.backend.to_host(getattr(tensor, "array", tensor))

    # ---- a step

    @contextlib.contextmanager
    def running(self, drawn: Any) -> Iterator[None]:
        """What is on while this replica computes: its device for new tensors, its random dtype, noise or tf32."""
        gemm: Any = getattr(self.backend, "gemm", None)
        with creation_device(self.backend.device), drawn_as(drawn), observe(self.noise), self.backend.quiet():
            if hasattr(gemm, "tf32"):
                gemm.tf32 = self.place.tf32
            try:
                yield
            finally:
                if hasattr(gemm, "tf32"):
                    gemm.tf32 = False

    def tensors(self, batch: tuple[np.ndarray, ...]) -> list[Tensor]:
        """The batch on this device."""
        return [wrap(self.array(a), self.backend) for a in batch]

    def forward(self, batch: tuple[np.ndarray, ...]) -> Any:
        """The loss of a batch, recorded."""
        *inputs, targets = self.tensors(batch)
        output = self.model(*inputs)
        self.recording.finish_forward()
        loss = self.loss_fn(output, targets)
        if not isinstance(loss, Tensor) or loss.array.size != 1:
            hint = "reduce it to one number, for example with its mean"
            raise ConfigError(message("compare", "loss_fn to return a scalar tensor", got(loss=loss), hint))
        return loss

    def step(self, batch: tuple[np.ndarray, ...], drawn: Any, start: State | None = None) -> list[Entry]:
        """One step of training: everything that it computed, in the order of execution.

        start: the state that it starts from, for the updates; saved here if None.
        """
        before = {n: self.host(p).copy() for n, p in self.parameters.items()} if start is None else start.tensors
        recording = self.recording
        with self.running(drawn), recording.on():
            versions = {name: b._version for name, b in self.buffers.items()}
            loss = self.forward(batch)
            recording.add("loss", "loss", "", self.host(loss))
            for name, buffer in self.buffers.items():
                if buffer.dtype.kind in "fV":
                    if self.noise is not None and buffer._version != versions[name]:
                        self.noise.add_(buffer.array)
                    recording.add("buffer", name, name.rpartition(".")[0], self.host(buffer).copy())
            self.optimizer.zero_grad()
            if np.isfinite(self.host(loss)).all():
                loss.backward()
            for name, param in reversed(self.parameters.items()):
                if param.grad is not None:
                    recording.add("grad", name, name.rpartition(".")[0], self.host(param.grad))
        with self.running(drawn):
            self.update()
        after = []
        for name, param in self.parameters.items():
            value = self.host(param).astype(np.float64)
            recording.add("update", name, name.rpartition(".")[0], value - before[name])
            after.append(value.reshape(-1))
        recording.add("weights", "weights", "", np.concatenate(after))
        return recording.take()

    def update(self) -> None:
        """The optimiser's step; in a noisy shadow with noise on what it reads and writes."""
        if self.noise is not None:
            for param in self.parameters.values():
                if param.grad is not None:
                    param.grad.array = self.noise.add(param.grad.array)
        self.optimizer.step()
        if self.noise is not None:
            for param in self.parameters.values():
                if param.grad is not None:
                    self.noise.add_(param.array)
                for value in self.optimizer.state.get(param, {}).values():
                    if isinstance(value, Tensor) and value.dtype.kind == "f":
                        self.noise.add_(value.array)


def _on_host(value: Any) -> Any:
    """A copy of an optimiser's state with host arrays for its tensors."""
    if isinstance(value, Tensor):
        return np.array(value.backend.to_host(value.array))
    if isinstance(value, dict):
        return {k: _on_host(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on_host(v) for v in value)
    return value


class _Recording:
    """Hooks on every module of a replica: outputs, gradients at outputs, and which module is running."""

    def __init__(self, replica: Replica) -> None:
        self.replica = replica
        self.active = False
        self.entries: list[Entry] = []
        self.backward: list[Entry] = []
        self.seen: set[int] = set()
        self.kept: list[Tensor] = []
        self.calls: dict[str, int] = {}
        self.path: list[str] = []
        self.watch_inputs: Callable[[str, Module, tuple[Any, ...]], None] | None = None
        for module in replica.modules.values():
            module.register_forward_pre_hook(self._enter)
            module.register_forward_hook(self._leave)

    @contextlib.contextmanager
    def on(self) -> Iterator[None]:
        self.clear()
        self.active = True
        try:
            yield
        finally:
            self.active = False

    def clear(self) -> None:
        self.entries, self.backward, self.kept = [], [], []
        self.seen, self.calls, self.path = set(), {}, []

    def take(self) -> list[Entry]:
        """What was recorded: forward, then gradients at outputs, then the parameters' gradients and updates."""
        where = next((i for i, e in enumerate(self.entries) if e.key.kind in ("grad", "update")), len(self.entries))
        entries = self.entries[:where] + self.backward + self.entries[where:]
        self.clear()
        return entries

    def add(self, kind: str, name: str, module: str, value: np.ndarray) -> None:
        self.entries.append(self._entry(kind, name, module, value))

    def _entry(self, kind: str, name: str, module: str, value: np.ndarray) -> Entry:
        owner = self.replica.modules.get(module)
        return Entry(Key(kind, name, module, type(owner).__name__, tuple(value.shape)), value)

    @property
    def module(self) -> str:
        """The dotted name of the module whose forward is running."""
        return self.path[-1] if self.path else ""

    def finish_forward(self) -> None:
        self.path = []

    def _enter(self, module: Module, args: tuple[Any, ...]) -> None:
        if self.active:
            name = self.replica.names[id(module)]
            self.path.append(name)
            if self.watch_inputs is not None:
                self.watch_inputs(name, module, args)

    def _leave(self, module: Module, args: tuple[Any, ...], output: Any) -> None:
        if not self.active:
            return
        name = self.path.pop() if self.path else self.replica.names[id(module)]
        self.calls[name] = self.calls.get(name, 0) + 1
        call = f"{name}#{self.calls[name]}" if self.calls[name] > 1 else name
        tensors = _tensors(output)
        for i, y in enumerate(tensors):
            if id(y) not in self.seen and y.dtype.kind in "fV":
                self.seen.add(id(y))
                self.kept.append(y)
                self._watch(y, f"{call}[{i}]" if len(tensors) > 1 else call, name)

    def _watch(self, y: Tensor, call: str, module: str) -> None:
        self.add("output", call, module, self.replica.host(y))
        if y.requires_grad and not y.is_leaf:

            def keep(gradient: Tensor) -> None:
                if self.active:
                    self.backward.append(self._entry("output_grad", call, module, self.replica.host(gradient)))

            y.register_hook(keep)


def _tensors(value: Any) -> list[Tensor]:
    """The tensors in a module's output: itself, or in tuples, lists and dictionaries."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [t for v in value for t in _tensors(v)]
    return []
