"""Automatic differentiation: the tape (`Function`), the backward pass, gradient mode and anomaly mode."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from deepcore.autograd import debug, engine
from deepcore.autograd.anomaly import detect_anomaly, set_detect_anomaly
from deepcore.autograd.function import Function
from deepcore.autograd.mode import array_scope, enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from deepcore.autograd.variable import Variable, wrap

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Add the gradients of `tensors` to `.grad` of every leaf with requires_grad that they depend on.

    grad_tensors: the gradient of each tensor, in its shape; None for a scalar.
    Raises GraphError for a tensor outside of a graph and on a second pass through freed arrays.
    """
    outputs = engine.as_list(tensors)
    grads = [None] * len(outputs) if grad_tensors is None else _grads(grad_tensors)
    engine.backward(outputs, grads, retain_graph, create_graph)


def grad(
    outputs: Tensor | Iterable[Tensor],
    inputs: Tensor | Iterable[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor, ...]:
    """The gradients of `outputs` with respect to `inputs`, one per input; `.grad` stays as it is.

    create_graph: record the computation, so that the gradients can be differentiated again.
    allow_unused: None for an input that the outputs do not depend on, instead of GraphError.

    >>> import deepcore as dc
    >>> x = dc.tensor(3.0, requires_grad=True)
    >>> (g,) = dc.autograd.grad(x**3, x, create_graph=True)
    >>> (h,) = dc.autograd.grad(g, x)
    >>> g.item(), h.item()
    (27.0, 18.0)
    """
    ys = engine.as_list(outputs)
    grads = [None] * len(ys) if grad_outputs is None else _grads(grad_outputs)
    return engine.differentiate(ys, engine.as_list(inputs), grads, retain_graph, create_graph, allow_unused)


debug.install(debug.from_environment())


def _grads(value: Any) -> list[Any]:
    return [value] if isinstance(value, Variable) else list(value)


__all__ = [
    "Function",
    "Variable",
    "array_scope",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "is_grad_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
    "wrap",
]
