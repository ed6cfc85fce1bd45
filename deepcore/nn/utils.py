"""Helpers for training: clipping gradients; weight and spectral normalisation."""

from __future__ import annotations

import math
from collections.abc import Iterable

from deepcore import creation
from deepcore.autograd import no_grad
from deepcore.errors import DeviceError, RunError, got, message
from deepcore.functions import stack
from deepcore.nn.norm.reparametrize import remove_spectral_norm, remove_weight_norm, spectral_norm, weight_norm
from deepcore.nn.sequence import packing as rnn  # noqa: F401 - nn.utils.rnn, as in PyTorch
from deepcore.tensor import Tensor

__all__ = [
    "clip_grad_norm_",
    "clip_grad_value_",
    "remove_spectral_norm",
    "remove_weight_norm",
    "spectral_norm",
    "weight_norm",
]


@no_grad()
def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
) -> Tensor:
    """Scale all gradients together, in place, so that their joint norm is at most ``max_norm``; returns the old norm.

    norm_type: the p of the p-norm, or inf. The factor min(1, max_norm / (norm + 1e-6)) stays on the device.
    Raises RunError for a norm that is not finite if ``error_if_nonfinite``, DeviceError for several devices.
    """
    grads = _grads(parameters)
    if not grads:
        return creation.zeros(())
    if len({grad.backend.device for grad in grads}) > 1:
        named = {f"gradient {i}": grad for i, grad in enumerate(grads)}
        raise DeviceError(message("clip_grad_norm_", "all gradients on one device", got(**named)))
    total = _total_norm(grads, float(norm_type))
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RunError(f"clip_grad_norm_: expected a finite norm of the gradients; got {total.item()}")
    factor = (float(max_norm) / (total + 1e-6)).clamp(max=1.0)
    for grad in grads:
        grad.mul_(factor.to(grad.dtype))
    return total


@no_grad()
def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float) -> None:
    """Clip every gradient, in place, to [-clip_value, clip_value]."""
    for grad in _grads(parameters):
        grad.copy_(grad.clamp(min=-float(clip_value), max=float(clip_value)))


def _grads(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    params = [parameters] if isinstance(parameters, Tensor) else parameters
    return [param.grad for param in params if param.grad is not None]


def _total_norm(grads: list[Tensor], p: float) -> Tensor:
    if math.isinf(p):
        return stack([grad.abs().max() for grad in grads]).max()
    if p == 2.0:
        return stack([(grad * grad).sum() for grad in grads]).sum().sqrt()
    return stack([(grad.abs() ** p).sum() for grad in grads]).sum() ** (1.0 / p)
