"""`GradScaler`: losses are multiplied before backward, so that small gradients do not vanish in float16."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import Any

from deepcore.autograd.variable import Variable, wrap
from deepcore.backends import Backend, get_backend
from deepcore.backends.base.optim import Scaling
from deepcore.dtypes import float16
from deepcore.errors import ConfigError, DataError, DTypeError, RunError, got, message
from deepcore.functions.shape import to_backend
from deepcore.optim.optimizer import Optimizer, by_backend_and_dtype, check_range
from deepcore.tensor import Tensor


class _Stage(Enum):
    """How far an optimizer is since the last update()."""

    READY = "ready"
    UNSCALED = "unscaled"
    STEPPED = "stepped"


class _Progress:
    """What is known of one optimizer since the last update().

    found_inf: for each device float32 (), 1 where a gradient is not finite.
    """

    def __init__(self) -> None:
        self.stage = _Stage.READY
        self.found_inf: dict[Backend, Any] = {}


class GradScaler:
    """Dynamic loss scaling (Micikevicius et al. 2017, section 3.2), decided on the device: no step waits for the host.

    A step whose gradients are not all finite is skipped (nothing of the parameters or of the optimizer's state
    changes), and the scale is multiplied by backoff_factor; after growth_interval good steps in a row it is multiplied
    by growth_factor. Under bfloat16, which has the range of float32, no scaling is needed.

    device: where the scale lives; None is where the first loss is. enabled=False turns every method into what it would
    be without a scaler. Raises ConfigError for numbers that cannot be.

    >>> import deepcore as dc
    >>> from deepcore import optim
    >>> w = dc.tensor([1.0], requires_grad=True)
    >>> optimizer, scaler = optim.SGD([w], lr=0.5), dc.amp.GradScaler()
    >>> scaler.scale((w * w).sum()).backward()  # w.grad is 2 * 65536
    >>> scaler.step(optimizer)                  # which the step divides again
    >>> scaler.update()
    >>> w.item(), scaler.get_scale()
    (0.0, 65536.0)
    """

    def __init__(
        self,
        device: str | None = None,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        if device is not None and not isinstance(device, str):
            hint = "write GradScaler(init_scale=...): the first argument is the device"
            raise ConfigError(message("GradScaler", 'a device such as "cuda", or None', repr(device), hint))
        self._enabled = bool(enabled)
        self._init_scale, self._init_good_steps = init_scale, 0
        self._progress: dict[int, _Progress] = {}
        self._scale: Tensor | None = None
        self._good_steps: Any = None
        check_range("GradScaler", "init_scale", init_scale, low=2.0**-126)
        self.set_growth_factor(growth_factor)
        self.set_backoff_factor(backoff_factor)
        self.set_growth_interval(growth_interval)
        if device is not None and self._enabled:
            self._start(get_backend(device))

    def _start(self, backend: Backend) -> None:
        """Put scale and count onto the device; made there, not copied."""
        self._scale = wrap(backend.xp.full((), self._init_scale, dtype="float32"), backend)
        self._good_steps = backend.xp.full((), self._init_good_steps, dtype="int32")

    def _started(self, method: str) -> Tensor:
        if self._scale is None:
            hint = "write scaler.scale(loss).backward() before it"
            raise RunError(message(f"GradScaler.{method}", "a loss that was scaled", "no call of scale() yet", hint))
        return self._scale

    def _scale_on(self, backend: Backend) -> Tensor:
        scale = self._started("scale")
        return wrap(_moved(scale.array, scale.backend, backend), backend)

    # ---- a step --------------------------------------------------------------------------------------------------

    def scale(self, outputs: Any) -> Any:
        """A loss, or a list or tuple of them, multiplied by the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Variable):
            if self._scale is None:
                self._start(outputs.backend)
            return outputs * self._scale_on(outputs.backend)
        if isinstance(outputs, list | tuple):
            return type(outputs)([self.scale(each) for each in outputs])
        raise ConfigError(message("GradScaler.scale", "a tensor, or a list or tuple of them", got(outputs=outputs)))

    def unscale_(self, optimizer: Optimizer) -> None:
        """Divide the gradients of an optimizer by the scale, in place, for example to clip them before step().

        Raises RunError for a second call in one step, DTypeError for float16 gradients, which would vanish.
        """
        if not self._enabled:
            return
        progress = self._of(optimizer, "unscale_")
        if progress.stage is not _Stage.READY:
            done = "unscale_()" if progress.stage is _Stage.UNSCALED else "step()"
            hint = "call scaler.update() once after the step"
            raise RunError(message("GradScaler.unscale_", "one call a step", f"one after {done}", hint))
        self._look(optimizer, progress, unscale=True)
        progress.stage = _Stage.UNSCALED

    def step(self, optimizer: Optimizer, *args: Any, **kwargs: Any) -> Any:
        """optimizer.step() with unscaled gradients, or nothing where one of them is not finite.

        SGD, Adam and AdamW find that out on the device. For an optimizer of your own that does not (Optimizer.scaling),
        the host waits for the answer. Raises RunError out of order, ConfigError for a closure.
        """
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if args or kwargs:
            hint = "compute the loss before, scale it, and call step(optimizer)"
            raise ConfigError(message("GradScaler.step", "no closure under loss scaling", "further arguments", hint))
        progress = self._of(optimizer, "step")
        if progress.stage is _Stage.STEPPED:
            hint = "call scaler.update() once after the step"
            raise RunError(message("GradScaler.step", "one call before update()", "a second one", hint))
        on_device, result = optimizer.scales_on_device, None
        if progress.stage is _Stage.READY:
            self._look(optimizer, progress, unscale=not on_device)
        if on_device:
            with self._started("step").backend.quiet():  # what is not finite is computed before it is thrown away
                result = self._step_on_device(optimizer, progress)
        elif not any(backend.item(found) for backend, found in progress.found_inf.items()):
            result = optimizer.step()
        progress.stage = _Stage.STEPPED
        return result

    def _step_on_device(self, optimizer: Optimizer, progress: _Progress) -> Any:
        scaling = {}
        for backend, found in progress.found_inf.items():
            done = progress.stage is _Stage.UNSCALED
            factor = backend.xp.ones((), dtype="float32") if done else self._inverse(backend)
            scaling[backend] = Scaling(factor, found)
        optimizer.scaling = scaling
        try:
            return optimizer.step()
        finally:
            optimizer.scaling = None

    def _inverse(self, backend: Backend) -> Any:
        return backend.xp.asarray(1 / self._scale_on(backend).array)

    def _look(self, optimizer: Optimizer, progress: _Progress, unscale: bool) -> None:
        """Note for each device whether a gradient is not finite, and unscale them all on the way."""
        factors: dict[Backend, Any] = {}
        for group in optimizer.param_groups:
            for params in by_backend_and_dtype(group["params"]):
                backend, grads = params[0].backend, [param.grad for param in params]
                narrow = next((param for param in params if param.grad.dtype == float16), None)
                if unscale and narrow is not None:
                    hint = "keep the parameters in float32: autocast casts them where they are used"
                    raise DTypeError(message("GradScaler.unscale_", "float32 gradients", got(grad=narrow.grad), hint))
                if backend not in progress.found_inf:
                    progress.found_inf[backend] = backend.xp.zeros((), dtype="float32")
                    factors[backend] = self._inverse(backend) if unscale else None
                backend.unscale([g.array for g in grads], factors[backend], progress.found_inf[backend])
                for grad in grads if unscale else ():
                    grad._bump_version()
        if not progress.found_inf:
            hint = "call backward() before step(), and give the optimizer the parameters of the loss"
            raise RunError(message("GradScaler.step", "gradients in the optimizer", "none", hint))

    def update(self, new_scale: float | Tensor | None = None) -> None:
        """Move the scale, once after the steps of all optimizers; or set it to new_scale.

        Raises RunError where no optimizer was stepped or unscaled since the last time.
        """
        if not self._enabled:
            return
        scale = self._started("update")
        backend = scale.backend
        if new_scale is not None:
            self._set(scale, new_scale)
        else:
            found = [
                _moved(array, there, backend)
                for progress in self._progress.values()
                for there, array in progress.found_inf.items()
            ]
            if not found:
                hint = "call scaler.step(optimizer) before update()"
                raise RunError(message("GradScaler.update", "an optimizer that was stepped", "none", hint))
            total = found[0]
            for more in found[1:]:
                total = total + more
            growth = self._growth_factor, self._backoff_factor, self._growth_interval
            with backend.quiet():
                backend.update_scale(scale.array, self._good_steps, total, *growth)
        scale._bump_version()
        self._progress.clear()

    def _set(self, scale: Tensor, new: Any) -> None:
        if not isinstance(new, Variable):
            check_range("GradScaler.update", "new_scale", new, low=2.0**-126)
            scale.array[...] = new
            return
        if new.array.size != 1 or new.requires_grad:
            raise ConfigError(message("GradScaler.update", "new_scale as a number", got(new_scale=new)))
        scale.array[...] = _moved(new.array, new.backend, scale.backend).reshape(())

    def _of(self, optimizer: Optimizer, method: str) -> _Progress:
        self._started(method)
        return self._progress.setdefault(id(optimizer), _Progress())

    # ---- settings ------------------------------------------------------------------------------------------------

    def is_enabled(self) -> bool:
        """Whether losses are scaled at all."""
        return self._enabled

    def get_scale(self) -> float:
        """The scale as a number, 1.0 where disabled; waits for the device."""
        if not self._enabled:
            return 1.0
        return float(self._init_scale) if self._scale is None else float(self._scale.item())

    def get_growth_factor(self) -> float:
        """The factor of the scale after growth_interval good steps."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set it; more than 1."""
        check_range("GradScaler", "growth_factor", new_factor, low=1.0)
        if new_factor == 1:
            raise ConfigError(message("GradScaler", "growth_factor > 1", repr(new_factor)))
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """The factor of the scale after a step that was skipped."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set it; between 0 and 1."""
        check_range("GradScaler", "backoff_factor", new_factor, below=1.0)
        if new_factor == 0:
            raise ConfigError(message("GradScaler", "backoff_factor > 0", repr(new_factor)))
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """How many good steps in a row make the scale grow."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set it; at least 1."""
        if not isinstance(new_interval, int) or isinstance(new_interval, bool) or new_interval < 1:
            raise ConfigError(message("GradScaler", "growth_interval as an int, at least 1", repr(new_interval)))
        self._growth_interval = new_interval

    # ---- saving --------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Scale, factors and count as numbers, under PyTorch's names; empty where disabled. Waits for the device."""
        if not self._enabled:
            return {}
        good = self._init_good_steps
        if self._scale is not None:
            good = int(self._scale.backend.item(self._good_steps))
        return {
            "scale": self.get_scale(),
            "growth_factor": self._growth_factor,
            "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval,
            "_growth_tracker": good,
        }

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on where `state_dict` was taken, bit for bit; a disabled scaler takes nothing over.

        Raises DataError for a missing entry, ConfigError for a number that cannot be, and changes nothing then.
        """
        if not self._enabled:
            return
        names = ("scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker")
        missing = [name for name in names if name not in state_dict]
        if missing:
            hint = "the state of a scaler that was disabled is empty"
            expected = f"entries {', '.join(names)}"
            raise DataError(message("GradScaler.load_state_dict", expected, f"none for {', '.join(missing)}", hint))
        scale, growth, backoff, interval, good = (state_dict[name] for name in names)
        device = None if self._scale is None else self._scale.device
        GradScaler(None, scale, growth, backoff, interval)  # raises what is wrong with them
        self._init_scale, self._init_good_steps = float(scale), int(good)
        self._growth_factor, self._backoff_factor, self._growth_interval = growth, backoff, interval
        self._progress.clear()
        if device is not None:
            self._start(get_backend(device))


def _moved(array: Any, backend: Backend, to: Backend) -> Any:
    """An array of one device on another one; where they are one it stays."""
    return array if to is backend else to_backend(wrap(array, backend), to).array
