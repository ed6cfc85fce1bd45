"""Optimizer: parameter groups, state, and the step that every method shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from typing import Any

import numpy as np

from deepcore.autograd import enable_grad, memory, wrap
from deepcore.autograd.observer import record_function
from deepcore.backends.base import Backend
from deepcore.backends.base.array import accumulator
from deepcore.backends.base.optim import Scaling
from deepcore.errors import ConfigError, DataError, DeviceError, OutOfMemoryError, got, message
from deepcore.tensor import Tensor

Params = Iterable[Tensor] | Iterable[dict[str, Any]]


class Optimizer:
    """The base of all optimisers. A subclass names its options in ``defaults`` and writes ``_update``.

    Methods with ``scales_on_device`` let a GradScaler unscale the gradients, and skip a step, without the host's help.
    With ``master_weights`` parameters in 16 bits have a float32 copy in the state: the update is made there and rounded
    into the parameter, so that steps smaller than its spacing add up. (`_weights` and `_gradients` see to that.)

    params: parameters, or groups ``{"params": [...], "lr": ...}`` with their own options. param_groups holds the
    groups with all options filled in; state holds what the method remembers of each parameter, on its device.
    Raises ConfigError for parameters that cannot be optimised and for options that cannot be.
    """

    scales_on_device = False
    # Set by a GradScaler for the time of one step: factor of the gradients and whether to skip, for each backend.
    scaling: Mapping[Backend, Scaling] | None = None

    def __init__(self, params: Params, defaults: dict[str, Any], master_weights: bool = False) -> None:
        self.defaults = defaults
        self.master_weights = bool(master_weights)
        # The version of each parameter when it was last rounded from its master: after another one the master is old.
        self._rounded: dict[Tensor, int] = {}
        self.state: dict[Tensor, dict[str, Any]] = {}
        self.param_groups: list[dict[str, Any]] = []
        # Read by the learning-rate schedules, to notice when they are stepped first.
        self.steps_taken = 0
        if isinstance(params, Tensor):
            raise ConfigError(f"{self._name}: expected a list of parameters; got one tensor. Hint: write [tensor]")
        groups: list[Any] = list(params)
        if not groups:
            raise ConfigError(f"{self._name}: expected parameters; got an empty list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    @property
    def _name(self) -> str:
        return type(self).__name__

    # ---- what a method writes ----------------------------------------------------------------------------------

    def _check(self, group: dict[str, Any]) -> None:
        """Raise ConfigError for options that cannot be; called for every new group."""

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """Update ``params`` in place; all have a gradient, one backend and one dtype."""
        raise NotImplementedError(f"{self._name} has no _update()")

    # ---- stepping ----------------------------------------------------------------------------------------------

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One update of every parameter that has a gradient; returns what ``closure`` (a fresh loss) returns."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with record_function(f"Optimizer.step#{self._name}.step"):
            for group in self.param_groups:
                for params in by_backend_and_dtype(group["params"]):
                    self._step(params, group)
        self.steps_taken += 1
        return loss

    def _step(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """Update parameters of one backend and dtype, through their masters where they have some."""
        try:
            if self.master_weights:
                self._refresh_masters(params)
            self._update(params, group)
        except OutOfMemoryError:
            raise
        except MemoryError as error:  # no second try: some parameters may have been changed
            arrays = [param.array for param in params]
            raise memory.explained(f"{self._name}.step", params[0].backend, arrays, error) from None
        for param in params:
            param._bump_version()
        if self.master_weights:
            self._round_masters(params)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters (or fill them with zeros)."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is not None:
                    param.grad = None if set_to_none else param.grad.detach() * 0

    # ---- the arrays of an update -------------------------------------------------------------------------------

    def _has_master(self, param: Tensor) -> bool:
        return self.master_weights and accumulator(param.dtype) != param.dtype

    def _refresh_masters(self, params: list[Tensor]) -> None:
        """Make the masters that are missing, and again those whose parameter somebody else has written to."""
        for param in params:
            if self._has_master(param):
                state = self.state.setdefault(param, {})
                if "master" not in state or self._rounded.get(param, param._version) != param._version:
                    state["master"] = wrap(param.array.astype(accumulator(param.dtype)), param.backend)

    def _round_masters(self, params: list[Tensor]) -> None:
        for param in params:
            if self._has_master(param):
                param.array[...] = self.state[param]["master"].array
                self._rounded[param] = param._version

    def _weights(self, params: list[Tensor]) -> list[Any]:
        """The arrays that an update writes to: the masters where there are any."""
        if not self.master_weights:
            return [param.array for param in params]
        return [self.state[param]["master"].array if self._has_master(param) else param.array for param in params]

    def _gradients(self, params: list[Tensor]) -> list[Any]:
        """The gradients in the dtype of the weights."""
        if not self.master_weights:
            return [param.grad.array for param in params]
        return [
            param.grad.array.astype(accumulator(param.dtype)) if self._has_master(param) else param.grad.array
            for param in params
        ]

    def _state_dtype(self, param: Tensor) -> Any:
        return accumulator(param.dtype) if self._has_master(param) else param.dtype

    def _state_arrays(self, params: list[Tensor], key: str) -> list[Any]:
        """The state ``key`` of each parameter as raw arrays, made of zeros where there is none yet."""
        return [self._state_array(param, key) for param in params]

    def _state_array(self, param: Tensor, key: str) -> Any:
        state = self.state.setdefault(param, {})
        tensor = state.get(key)
        if tensor is None:
            backend = param.backend
            dtype = self._state_dtype(param)
            try:
                array = backend.xp.zeros(param.shape, dtype=dtype)
            except MemoryError as error:
                name, new = f"{self._name}.step", lambda: backend.xp.zeros(param.shape, dtype=dtype)
                array = memory.again(name, backend, [param.array], error, new)
            tensor = state[key] = wrap(array, backend)
        elif not isinstance(tensor, Tensor):
            raise DataError(f"{self._name}.step: expected the state {key} as a tensor; got a {type(tensor).__name__}")
        elif tensor.backend is not param.backend or tensor.dtype != self._state_dtype(param):
            described = got(parameter=param, state=tensor)
            hint = "make the optimizer after model.to(...), or call optimizer.load_state_dict(optimizer.state_dict())"
            expected = f"the state {key} on the parameter's device, with its dtype"
            raise DeviceError(message(f"{self._name}.step", expected, described, hint))
        return tensor.array

    def _scaling(self, params: list[Tensor], taken: Any = None) -> Scaling | None:
        """What a GradScaler asked of this step; `taken` is a counter of `_counters`."""
        if self.scaling is None:
            return None
        return self.scaling[params[0].backend]._replace(taken=taken)

    def _counters(self, params: list[Tensor], unknown: Callable[[Tensor], int]) -> Iterator[tuple[Any, list[Tensor]]]:
        """Under loss scaling: (how many steps were taken, float64 (), the parameters of which that is true).

        On the device, as the host does not know which steps are skipped. Once the caller has made its update, those
        steps count one more where this one was not skipped. unknown: the count of a parameter that has none yet.
        Parameters that are always stepped together share a counter in their state.
        """
        groups: dict[int, tuple[Any, list[Tensor]]] = {}
        for param in params:
            count = self.state.setdefault(param, {}).get("step", None)
            count = unknown(param) if count is None else count
            key = id(count) if isinstance(count, Tensor) else -1 - count  # no id is negative
            groups.setdefault(key, (count, []))[1].append(param)
        for count, some in groups.values():
            backend = some[0].backend
            if not isinstance(count, Tensor):
                count = wrap(backend.xp.full((), count, dtype="float64"), backend)
            elif sum(state.get("step") is count for state in self.state.values()) > len(some):
                count = wrap(count.array.copy(), backend)  # others have no gradient this time
            for param in some:
                self.state[param]["step"] = count
            yield count.array, some
            count.array += 1 - (self._scaling(some).skip != 0)  # type: ignore[union-attr]

    # ---- groups ------------------------------------------------------------------------------------------------

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group of parameters with options of its own, for example when layers are unfrozen."""
        if not isinstance(param_group, dict) or "params" not in param_group:
            raise ConfigError(f'{self._name}: expected a group {{"params": [...], ...}}; got {param_group!r}')
        unknown = [key for key in param_group if key not in (*self.defaults, "params", "initial_lr", "name")]
        if unknown:
            known = ", ".join(self.defaults)
            raise ConfigError(f"{self._name}: expected options among {known}; got {', '.join(map(repr, unknown))}")
        group = {**self.defaults, **param_group}
        given = param_group["params"]
        group["params"] = [given] if isinstance(given, Tensor) else list(given)
        self._check_params(group["params"])
        self._check(group)
        self.param_groups.append(group)

    def _check_params(self, params: list[Tensor]) -> None:
        seen = {id(param) for group in self.param_groups for param in group["params"]}
        for param in params:
            if not isinstance(param, Tensor):
                raise ConfigError(f"{self._name}: expected tensors to optimise; got {type(param).__name__}")
            if not param.is_leaf:
                raise ConfigError(f"{self._name}: expected leaf tensors; got a result of {param.grad_fn!r}")
            if id(param) in seen:
                raise ConfigError(f"{self._name}: expected every parameter once; got {got(parameter=param)} twice")
            seen.add(id(param))

    # ---- saving ------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """``{"state": {index: {...}}, "param_groups": [{..., "params": [index, ...]}]}``, PyTorch's structure."""
        index = {id(param): i for i, param in enumerate(self._params())}
        groups = [{**group, "params": [index[id(param)] for param in group["params"]]} for group in self.param_groups]
        return {"state": {index[id(param)]: dict(state) for param, state in self.state.items()}, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over a `state_dict` (tensors or NumPy arrays), copied to each parameter's device and dtype.

        Raises DataError, and changes nothing, when groups, parameters or shapes do not fit.
        """
        try:
            saved_groups = [dict(group) for group in state_dict["param_groups"]]
            saved_state = dict(state_dict["state"])
            saved_sizes = [len(group["params"]) for group in saved_groups]
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(f'{self._name}.load_state_dict: expected {{"state", "param_groups"}}') from error
        sizes = [len(group["params"]) for group in self.param_groups]
        if sizes != saved_sizes:
            raise DataError(
                f"{self._name}.load_state_dict: expected groups of {sizes} parameters; the state has {saved_sizes}"
            )
        by_index = dict(zip((i for group in saved_groups for i in group["params"]), self._params(), strict=True))
        state = {}
        # Keys arrive as text from formats such as JSON.
        for index, entry in ((_index(key), entry) for key, entry in saved_state.items()):
            if index not in by_index:
                raise DataError(f"{self._name}.load_state_dict: the state has an entry {index!r} without a parameter")
            param = by_index[index]
            state[param] = {key: self._restore(param, key, value) for key, value in entry.items()}
        groups = [
            {**mine, **deepcopy({k: v for k, v in saved.items() if k != "params"}), "params": mine["params"]}
            for mine, saved in zip(self.param_groups, saved_groups, strict=True)
        ]
        for group in groups:
            self._check(group)
        self.state, self.param_groups = state, groups
        self._rounded.clear()

    def _restore(self, param: Tensor, key: str, value: Any) -> Any:
        """One entry of the state: arrays go to the parameter's device and dtype, the step count is an int."""
        if key == "step":
            step = int(value.item() if hasattr(value, "item") else value)
            if not 0 <= step <= 2**53:
                raise DataError(f"{self._name}.load_state_dict: expected a step from 0 to 2**53; got {step:.6g}")
            return step
        if value is None or isinstance(value, bool | int | float | str):
            return value
        host = value.backend.to_host(value.array) if isinstance(value, Tensor) else np.asarray(value)
        if tuple(host.shape) != tuple(param.shape):
            raise DataError(
                f"{self._name}.load_state_dict: expected {key} of shape {tuple(param.shape)}; got {tuple(host.shape)}"
            )
        copy = np.array(host, dtype=self._state_dtype(param), order="C", copy=True)
        return wrap(param.backend.from_host(copy), param.backend)

    def _params(self) -> Iterator[Tensor]:
        for group in self.param_groups:
            yield from group["params"]

    def __repr__(self) -> str:
        lines = [f"{self._name} ("]
        for i, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {i}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


def _index(key: Any) -> Any:
    return int(key) if isinstance(key, str) and key.isdecimal() else key


def by_backend_and_dtype(params: Iterable[Tensor]) -> Iterable[list[Tensor]]:
    """Lists of the parameters that have a gradient, one list for each backend and dtype: one kernel call for each."""
    buckets: dict[tuple[Backend, np.dtype], list[Tensor]] = {}
    for param in params:
        if param.grad is not None:
            buckets.setdefault((param.backend, param.dtype), []).append(param)
    return buckets.values()


def on_host(step: Any) -> int:
    """A step count as a number; one that was counted on the device comes to the host."""
    return round(step.backend.item(step.array)) if isinstance(step, Tensor) else step


def check_range(owner: str, name: str, value: Any, low: float = 0.0, below: float = float("inf")) -> None:
    """Raise ConfigError unless ``value`` is a number with low <= value < below."""
    is_number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not is_number or not low <= value < below:
        limit = f"{name} >= {low:g}" if below == float("inf") else f"{low:g} <= {name} < {below:g}"
        raise ConfigError(f"{owner}: expected {limit}; got {value!r}")


def _memory_names(optimizers: list[Any]) -> Iterator[memory.Named]:
    """The arrays of all optimizers' state, for a report on memory."""
    for optimizer in optimizers:
        for param, state in optimizer.state.items():
            for key, value in state.items():
                if isinstance(value, Tensor):
                    yield value.backend, value.array, "optimizer", f"{key} {tuple(param.shape)} of {optimizer._name}"


memory.NAMERS.insert(0, (Optimizer, _memory_names))
