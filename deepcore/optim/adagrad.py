"""AdaGrad (Duchi, Hazan and Singer, Adaptive subgradient methods, JMLR 12, 2011)."""

from __future__ import annotations

from typing import Any

from deepcore.optim.optimizer import Optimizer, Params, check_range
from deepcore.tensor import Tensor


class Adagrad(Optimizer):
    """p -= lr / (1 + (t - 1) * lr_decay) * g / (sqrt(h) + eps), where h is the sum of all g ** 2 so far.

    g is the gradient + weight_decay * p, h begins at initial_accumulator_value, t counts the steps from 1.

    >>> import deepcore as dc
    >>> p = dc.tensor([1.0], requires_grad=True)
    >>> (p * p).sum().backward()
    >>> Adagrad([p], lr=0.1).step()
    >>> round(p.item(), 6)
    0.9
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-2,
        lr_decay: float = 0.0,
        weight_decay: float = 0.0,
        initial_accumulator_value: float = 0.0,
        eps: float = 1e-10,
        *,
        maximize: bool = False,
        master_weights: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "eps": eps,
            "maximize": maximize,
        }
        super().__init__(params, defaults, master_weights)

    def _check(self, group: dict[str, Any]) -> None:
        for name in ("lr", "lr_decay", "weight_decay", "initial_accumulator_value", "eps"):
            check_range("Adagrad", name, group[name])

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        for param, weight, gradient in zip(params, self._weights(params), self._gradients(params), strict=True):
            new = "sum" not in self.state.get(param, {})
            total = self._state_array(param, "sum")
            if new:
                total += group["initial_accumulator_value"]
            state = self.state[param]
            state["step"] = state.get("step", 0) + 1
            g = -gradient if group["maximize"] else gradient
            if group["weight_decay"]:
                g = g + group["weight_decay"] * weight
            total += g * g
            rate = group["lr"] / (1 + (state["step"] - 1) * group["lr_decay"])
            weight -= rate * g / (param.backend.xp.sqrt(total) + group["eps"])
