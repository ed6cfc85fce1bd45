"""Parameter updates, in place, with PyTorch's definitions (torch.optim.SGD, Adam, AdamW)."""

from __future__ import annotations

import math


class Optim:
    """Optimiser steps over lists of arrays; a mixin of Backend. Gradients are read only."""

    def sgd_update(
        self, params, grads, buffers, lr, momentum, dampening, weight_decay, nesterov, maximize, first
    ) -> None:
        """Step params by stochastic gradient descent; buffers (None without momentum) hold the velocity.

        With `first` the buffers are not initialised yet and take the gradient as it is.
        """
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            if maximize:
                grad = -grad
            if weight_decay:
                grad = grad + weight_decay * param
            if momentum:
                buffer = buffers[i]
                if first:
                    buffer[...] = grad
                else:
                    buffer *= momentum
                    buffer += (1 - dampening) * grad
                grad = grad + momentum * buffer if nesterov else buffer
            param -= lr * grad

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
    ) -> None:
        """Step params by Adam (Kingma & Ba 2014), AdamW with `decoupled`, AMSGrad with max_exp_avg_sqs; step is from 1.

        p -= lr / (1 - beta1**t) * m / (sqrt(v) / sqrt(1 - beta2**t) + eps): epsilon outside of the root.
        """
        step_size = lr / (1 - beta1**step)
        root = math.sqrt(1 - beta2**step)
        for i, (param, grad) in enumerate(zip(params, grads, strict=True)):
            mean, square = exp_avgs[i], exp_avg_sqs[i]
            if maximize:
                grad = -grad
            if weight_decay and decoupled:
                param *= 1 - lr * weight_decay
            elif weight_decay:
                grad = grad + weight_decay * param
            mean += (1 - beta1) * (grad - mean)
            square *= beta2
            square += (1 - beta2) * (grad * grad)
            if max_exp_avg_sqs is not None:
                largest = max_exp_avg_sqs[i]
                largest[...] = self.xp.maximum(largest, square)
                square = largest
            param -= step_size * (mean / (self.xp.sqrt(square) / root + eps))
