"""Adam (Kingma and Ba 2014), AMSGrad (Reddi et al. 2018) and AdamW (Loshchilov and Hutter 2017)."""

from __future__ import annotations

from typing import Any

from deepcore.errors import ConfigError
from deepcore.optim.optimizer import Optimizer, Params, check_range, on_host
from deepcore.tensor import Tensor


class Adam(Optimizer):
    """p -= lr * m_hat / (sqrt(v_hat) + eps), with the bias-corrected averages of the gradient and of its square.

    m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, m_hat = m / (1 - beta1^t), v_hat = v / (1 - beta2^t).
    weight_decay is added to the gradient; amsgrad uses the largest v so far. eps is outside of the root, and added
    after the bias correction, as in PyTorch.

    >>> import deepcore as dc
    >>> p = dc.tensor([1.0], requires_grad=True)
    >>> (p * p).sum().backward()
    >>> Adam([p], lr=0.1).step()  # the first step has length lr, whatever the gradient
    >>> round(p.item(), 6)
    0.9
    """

    _decoupled = False
    scales_on_device = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        master_weights: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
        }
        super().__init__(params, defaults, master_weights)

    def _check(self, group: dict[str, Any]) -> None:
        for name in ("lr", "eps", "weight_decay"):
            check_range(self._name, name, group[name])
        betas = group["betas"]
        if not isinstance(betas, tuple | list) or len(betas) != 2:
            raise ConfigError(f"{self._name}: expected betas to be two numbers; got {betas!r}")
        group["betas"] = tuple(betas)
        for i, beta in enumerate(betas):
            check_range(self._name, f"betas[{i}]", beta, below=1.0)

    def _update(self, params: list[Tensor], group: dict[str, Any]) -> None:
        if self.scaling is not None:
            for taken, some in self._counters(params, lambda param: 0):
                self._call(some, 0, group, taken)
            return
        # Bias correction needs the number of steps of each parameter: one that had no gradient for a while is behind.
        by_step: dict[int, list[Tensor]] = {}
        for param in params:
            state = self.state.setdefault(param, {})
            state["step"] = on_host(state.get("step", 0)) + 1
            by_step.setdefault(state["step"], []).append(param)
        for step, some in by_step.items():
            self._call(some, step, group)

    def _call(self, params: list[Tensor], step: int, group: dict[str, Any], taken: Any = None) -> None:
        beta1, beta2 = group["betas"]
        params[0].backend.adam_update(
            self._weights(params),
            self._gradients(params),
            self._state_arrays(params, "exp_avg"),
            self._state_arrays(params, "exp_avg_sq"),
            self._state_arrays(params, "max_exp_avg_sq") if group["amsgrad"] else None,
            step,
            group["lr"],
            beta1,
            beta2,
            group["eps"],
            group["weight_decay"],
            self._decoupled,
            group["maximize"],
            self._scaling(params, taken),
        )


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameter itself, p *= 1 - lr * weight_decay, apart from the gradient."""

    _decoupled = True

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        master_weights: bool = False,
    ) -> None:
        options = {"maximize": maximize, "master_weights": master_weights}
        super().__init__(params, lr, betas, eps, weight_decay, amsgrad, **options)
