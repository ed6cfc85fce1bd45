"""Parameter updates, in place, with PyTorch's definitions (torch.optim.SGD, Adam, AdamW), and loss scaling."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from deepcore.backends.base.array import accumulator


class Scaling(NamedTuple):
    """An update under loss scaling, decided on the device: the host does not wait to see whether it takes place.

    factor: float32 (), by which the gradients are multiplied. skip: float32 (); where it is not 0, nothing changes.
    taken: float64 (), how many updates took place before, instead of `step` and `first`; None where those hold.
    """

    factor: Any
    skip: Any
    taken: Any = None


class Optim:
    """Optimiser steps over lists of arrays; a mixin of Backend. Gradients are read only."""

    xp: Any

    def sgd_update(
        self, params, grads, buffers, lr, momentum, dampening, weight_decay, nesterov, maximize, first, scaling=None
    ) -> None:
        """Step params by stochastic gradient descent; buffers (None without momentum) hold the velocity.

        With `first` the buffers are not initialised yet and take the gradient as it is; where scaling.taken says so,
        they hold zeros. scaling: see Scaling.
        """
        keep = kept(self.xp, dampening, first, scaling, params)
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            grad = _unscaled(grad, scaling)
            if maximize:
                grad = -grad
            if weight_decay:
                grad = grad + weight_decay * param
            if momentum:
                velocity = grad if first else momentum * buffers[i] + keep * grad
                self._write(buffers[i], velocity, scaling)
                grad = grad + momentum * velocity if nesterov else velocity
            self._write(param, param - lr * grad, scaling)

    def adam_update(
        self,
        params,
        grads,
        exp_avgs,
        exp_avg_sqs,
        max_exp_avg_sqs,
        step,
        lr,
        beta1,
        beta2,
        eps,
        weight_decay,
        decoupled,
        maximize,
        scaling=None,
    ) -> None:
        """Step params by Adam (Kingma & Ba 2014), AdamW with `decoupled`, AMSGrad with max_exp_avg_sqs; step is from 1.

        p -= lr / (1 - beta1**t) * m / (sqrt(v) / sqrt(1 - beta2**t) + eps): epsilon outside of the root.
        scaling: see Scaling.
        """
        step_size, root = corrected(self.xp, lr, beta1, beta2, step, scaling, params)
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            grad = _unscaled(grad, scaling)
            mean, square = exp_avgs[i], exp_avg_sqs[i]
            if maximize:
                grad = -grad
            new = param
            if weight_decay and decoupled:
                new = param * (1 - lr * weight_decay)
            elif weight_decay:
                grad = grad + weight_decay * param
            m = mean + (1 - beta1) * (grad - mean)
            v = square * beta2 + (1 - beta2) * (grad * grad)
            self._write(mean, m, scaling)
            self._write(square, v, scaling)
            if max_exp_avg_sqs is not None:
                v = self.xp.maximum(max_exp_avg_sqs[i], v)
                self._write(max_exp_avg_sqs[i], v, scaling)
            self._write(param, new - step_size * (m / (self.xp.sqrt(v) / root + eps)), scaling)

    def _write(self, place: Any, value: Any, scaling: Scaling | None) -> None:
        place[...] = value if scaling is None else self.xp.where(scaling.skip != 0, place, value)

    def unscale(self, grads, factor, found_inf) -> None:
        """Set found_inf, float32 (), to 1 where a gradient is not finite, and multiply all by factor, float32 ().

        In place. With factor=None the gradients are only looked at.
        """
        for grad in grads:
            finite = self.xp.isfinite(grad.astype(accumulator(grad.dtype), copy=False)).all()
            found_inf[...] = self.xp.where(finite, found_inf, 1)
            if factor is not None:
                grad[...] = grad * factor

    def update_scale(self, scale, good_steps, found_inf, growth_factor, backoff_factor, growth_interval) -> None:
        """Move a loss scale, float32 (), in place: down after a step that was skipped, up after a row of good ones.

        good_steps: int32 (), how many there were since the last change. A scale that would not be finite stays.
        """
        xp = self.xp
        skipped, ripe = found_inf != 0, good_steps + 1 >= growth_interval
        wide = scale.astype("float64")  # the product is rounded once, as in PyTorch
        grown, smaller = (wide * growth_factor).astype("float32"), (wide * backoff_factor).astype("float32")
        larger = xp.where(ripe & xp.isfinite(grown), grown, scale)
        scale[...] = xp.where(skipped, smaller, larger)
        good_steps[...] = xp.where(skipped | ripe, 0, good_steps + 1)


def _unscaled(grad: Any, scaling: Scaling | None) -> Any:
    if scaling is None:
        return grad
    wide = accumulator(grad.dtype)
    return grad.astype(wide, copy=False) * scaling.factor.astype(wide)


def kept(xp: Any, dampening: float, first: bool, scaling: Scaling | None, params: list[Any]) -> Any:
    """What a velocity takes of the gradient: 1 - dampening, and all of the first one."""
    if scaling is None or scaling.taken is None:
        return 1 if first else 1 - dampening
    return xp.where(scaling.taken == 0, 1.0, 1 - dampening).astype(accumulator(params[0].dtype))


def corrected(
    xp: Any, lr: float, beta1: float, beta2: float, step: int, scaling: Scaling | None, params: list[Any]
) -> tuple[Any, Any]:
    """Adam's (lr / (1 - beta1**t), sqrt(1 - beta2**t)); on the device where the number t of the step is there."""
    if scaling is None or scaling.taken is None:
        return lr / (1 - beta1**step), math.sqrt(1 - beta2**step)
    t, dtype = scaling.taken + 1, accumulator(params[0].dtype)
    return (lr / (1 - beta1**t)).astype(dtype), xp.sqrt(1 - beta2**t).astype(dtype)
