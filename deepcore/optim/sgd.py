"""Stochastic gradient descent, with momentum (Polyak 1964) or Nesterov's momentum (Sutskever et al. 2013)."""

from __future__ import annotations

from typing import Any

from deepcore.errors import ConfigError
from deepcore.optim.optimizer import Optimizer, Params, check_range
from deepcore.tensor import Tensor


class SGD(Optimizer):
    """p -= lr * d, where d is the gradient g + weight_decay * p, or with momentum the velocity v.

    v = momentum * v + (1 - dampening) * g (at first v = g); nesterov: d = g + momentum * v. This is PyTorch's form:
    the learning rate is outside of the velocity, in the book's (v = momentum * v - lr * g, p += v) it is inside.

    >>> import deepcore as dc
    >>> p = dc.tensor([1.0], requires_grad=True)
    >>> (p * p).sum().backward()
    >>> SGD([p], lr=0.1).step()
    >>> round(p.item(), 6)
    0.8
    """

    scales_on_device = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        master_weights: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
        }
        super().__init__(params, defaults, master_weights)

    def _check(self, group: dict[str, Any]) -> None:
        for name in ("lr", "momentum", "weight_decay"):
            check_range("SGD", name, group[name])
        if group["nesterov"] and (group["momentum"] <= 0 or group["dampening"] != 0):
            raise ConfigError(
                "SGD: expected momentum > 0 and dampening 0 with nesterov; "
                f"got momentum={group['momentum']}, dampening={group['dampening']}"
            )

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        if not group["momentum"]:
            self._call(params, None, group, first=False)
            return
        if self.scaling is not None:
            self._update_on_device(params, group)
            return
        # A parameter whose first gradient comes late starts its velocity then.
        new = [param for param in params if "momentum_buffer" not in self.state.get(param, {})]
        known = params if not new else [param for param in params if "momentum_buffer" in self.state.get(param, {})]
        for some, first in ((new, True), (known, False)):
            if some:
                self._call(some, self._state_arrays(some, "momentum_buffer"), group, first)

    def _update_on_device(self, params: list[Tensor], group: dict[str, Any]) -> None:
        """The step with momentum under loss scaling, where only the device knows if a velocity was started.

        Velocities are zeros until then, which without dampening is all that a first step needs.
        """
        if not group["dampening"]:
            self._call(params, self._state_arrays(params, "momentum_buffer"), group, first=False)
            return
        for taken, some in self._counters(params, lambda param: int("momentum_buffer" in self.state[param])):
            self._call(some, self._state_arrays(some, "momentum_buffer"), group, False, taken)

    def _call(
        self, params: list[Tensor], buffers: list[Any] | None, group: dict[str, Any], first: bool, taken: Any = None
    ) -> None:
        params[0].backend.sgd_update(
            self._weights(params),
            self._gradients(params),
            buffers,
            group["lr"],
            group["momentum"],
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            group["maximize"],
            first,
            self._scaling(params, taken),
        )
