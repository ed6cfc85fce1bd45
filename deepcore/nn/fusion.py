"""What `Sequential` runs in another way than one module after the other, without changing a bit of any result.

Linear, Conv2d, BatchNorm + ReLU    one op, which neither writes nor keeps what lies between the two
ReLU + MaxPool2d                    the pooling first: the ReLU of a maximum is the maximum of the ReLUs, of a quarter
                                    of the numbers with windows of 2 x 2; the gradient takes the same way back

Only modules of exactly these classes, with the forward of their class and without hooks, are taken together; none are
while an observer that is not passive or the anomaly mode looks at single ops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from deepcore import functional as F
from deepcore.autograd.mode import altered, state
from deepcore.autograd.observer import module_call
from deepcore.nn.activation.basic import ReLU
from deepcore.nn.conv.convolution import Conv2d
from deepcore.nn.linear import Linear
from deepcore.nn.module import Module
from deepcore.nn.norm.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from deepcore.nn.pool.pool2d import MaxPool2d


def in_turn(modules: Iterable[Module], x: Any) -> Any:
    """The modules one after the other on x, neighbours together where `PAIRS` has a way."""
    waiting = list(modules)
    together = not (state.anomaly or altered())
    i, last = 0, len(waiting) - 1
    while i <= last:
        way = _way(waiting, i) if together and i < last else None
        if way is None:
            x = waiting[i](x)
            i += 1
        else:
            with module_call(waiting[i], waiting[i + 1]):
                x = way(waiting[i], waiting[i + 1], x)
            i += 2
    return x


def _way(modules: list[Module], i: int) -> Callable[[Any, Any, Any], Any] | None:
    """How modules i and i + 1 run together, or None."""
    first, second = modules[i], modules[i + 1]
    way = PAIRS.get((type(first), type(second)))
    if way is None or not (is_plain(first) and is_plain(second)):
        return None
    if type(second) is ReLU and i + 2 < len(modules) and _way(modules, i + 1) is not None:
        return None  # the ReLU behind the pooling is the shorter way
    return None if way is _pool_first and not _can_go_first(second) else way


def is_plain(module: Module) -> bool:
    """Whether a call of the module is its class's forward, and nobody looks on."""
    return not (module._forward_pre_hooks or module._forward_hooks or "forward" in module.__dict__)


def _can_go_first(pool: Module) -> bool:
    """Indices would be others; and a window wholly in the border, which dilation allows, is -inf and not 0."""
    return not pool.return_indices and (pool.dilation in (1, (1, 1)) or pool.padding in (0, (0, 0)))


def _linear_relu(linear: Linear, relu: ReLU, x: Any) -> Any:
    return F.linear_relu(x, linear.weight, linear.bias)


def _conv_relu(conv: Conv2d, relu: ReLU, x: Any) -> Any:
    return conv.convolve(F.conv2d_relu, x)


def _norm_relu(norm: Any, relu: ReLU, x: Any) -> Any:
    return norm.normalise(F.batch_norm_relu, x)


def _pool_first(relu: ReLU, pool: MaxPool2d, x: Any) -> Any:
    return F.relu(pool.forward(x))


PAIRS: dict[tuple[type, type], Callable[[Any, Any, Any], Any]] = {
    (Linear, ReLU): _linear_relu,
    (Conv2d, ReLU): _conv_relu,
    (BatchNorm1d, ReLU): _norm_relu,
    (BatchNorm2d, ReLU): _norm_relu,
    (BatchNorm3d, ReLU): _norm_relu,
    (ReLU, MaxPool2d): _pool_first,
}
