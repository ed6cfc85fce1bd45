"""`optimize_for_inference`: a copy of a trained model that computes the same with fewer passes over memory.

In evaluation mode batch normalisation is y = scale * x + shift with constants for each channel. Behind a convolution
or a linear layer it becomes part of their weights (Jacob et al. 2018, section 3.2):

    scale = gamma / sqrt(running_var + eps)        w' = scale * w        b' = scale * (b - running_mean) + beta
"""

from __future__ import annotations

import copy
import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from deepcore import functional as F
from deepcore import nn
from deepcore.autograd import no_grad, wrap
from deepcore.autograd.observer import observe
from deepcore.dtypes import finfo
from deepcore.errors import ConfigError, message
from deepcore.nn.fusion import is_plain
from deepcore.tensor import Tensor

OP = "optimize_for_inference"


class Conv2dReLU(nn.Conv2d):
    """A convolution with the ReLU behind it."""

    _op = staticmethod(F.conv2d_relu)


class LinearReLU(nn.Linear):
    """A linear layer with the ReLU behind it."""

    def forward(self, x: Tensor) -> Tensor:
        return F.linear_relu(x, self.weight, self.bias)


NORMS: dict[type, type] = {
    nn.Conv1d: nn.BatchNorm1d,
    nn.Conv2d: nn.BatchNorm2d,
    nn.Conv3d: nn.BatchNorm3d,
    nn.ConvTranspose1d: nn.BatchNorm1d,
    nn.ConvTranspose2d: nn.BatchNorm2d,
    nn.ConvTranspose3d: nn.BatchNorm3d,
    nn.Linear: nn.BatchNorm1d,
}
TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
WITH_RELU: dict[type, type] = {nn.Conv2d: Conv2dReLU, nn.Linear: LinearReLU}


def optimize_for_inference(model: nn.Module, *example: Tensor) -> nn.Module:
    """A copy of `model` for evaluation without gradients, with the same outputs within rounding.

    `model` stays as it is, and what happens to it later does not reach the copy.

    Batch normalisation goes into the convolution or linear layer before it, a ReLU into the op before it, and dropout
    away; nn.Identity takes their places. Parameters of the copy ask for no gradient. Modules of other classes, and
    those with hooks or a forward of their own, are left alone.

    example: arguments of one call of the model. With them, one forward shows which module feeds which, also inside of
    modules that you wrote; a layer is merged with the next one where that one alone reads its output, and where both
    run once. Then the outputs of model and copy are compared on the example. Without an example only neighbours in
    nn.Sequential are merged (not Linear with BatchNorm1d, which depends on the number of axes), and each Sequential is
    taken to run as a whole.

    Raises ConfigError for a model in training mode, and for one whose copy gives other outputs for the example.

    >>> import deepcore as dc
    >>> from deepcore import nn
    >>> model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Dropout()).eval()
    >>> optimize_for_inference(model)
    Sequential(
      (0): Conv2dReLU(1, 4, kernel_size=(3, 3), stride=(1, 1))
      (1): Identity()
      (2): Identity()
      (3): Flatten(start_dim=1, end_dim=-1)
      (4): Identity()
    )
    """
    _check(model)
    fast = copy.deepcopy(model).requires_grad_(False)
    feeds = _traced(fast, example) if example else _adjacent(fast)
    gone: list[nn.Module] = [module for module in fast.modules() if type(module) is nn.Dropout and is_plain(module)]
    for module in list(fast.modules()):
        if type(module) in NORMS and is_plain(module):
            gone += _merge(module, feeds)
    _replace(fast, {id(module) for module in gone})
    if example:
        _compare(model, fast, example)
    return fast


def _check(model: Any) -> None:
    if not isinstance(model, nn.Module):
        raise ConfigError(message(OP, "an nn.Module", type(model).__name__))
    training = [name or "the model itself" for name, module in model.named_modules() if module.training]
    if training:
        raise ConfigError(message(OP, "a model in evaluation mode", f"training mode in {training[0]}", "model.eval()"))


# ---- which module feeds which


Next = Callable[[nn.Module], nn.Module | None]


def _adjacent(model: nn.Module) -> Next:
    """Neighbours in Sequentials, where both stand in one place of the model only."""
    places = Counter(id(child) for module in model.modules() for child in module._modules.values())
    after: dict[int, nn.Module] = {}
    for module in model.modules():
        if type(module) is nn.Sequential and is_plain(module):
            for first, second in itertools.pairwise(module):
                flat = type(first) is nn.Linear and type(second) is nn.BatchNorm1d
                if places[id(first)] == places[id(second)] == 1 and not flat:
                    after[id(first)] = second
    return lambda module: after.get(id(module))


class _Readers:
    """An observer that counts how many ops read each array; all arrays are kept, so that no id comes twice."""

    def __init__(self) -> None:
        self.count: Counter[int] = Counter()
        self.kept: list[Any] = []

    def forward(self, fn: Any, arrays: list[Any]) -> Any:
        self.count.update({id(array) for array in arrays})
        self.kept.append(arrays)
        with fn.backend.quiet():
            return fn.forward(*arrays)

    def backward(self, fn: Any, grads: list[Any]) -> Any:
        return fn.backward(*grads)


def _traced(model: nn.Module, example: tuple[Tensor, ...]) -> Next:
    """What one forward shows: the module that alone reads another one's output, where both run once."""
    calls: list[tuple[nn.Module, Any, Any]] = []
    modules = [m for m in model.modules() if is_plain(m) and not m._modules]

    def note(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        calls.append((module, args, output))

    handles = [module.register_forward_hook(note) for module in modules]
    readers = _Readers()
    try:
        with no_grad(), observe(readers):
            result = model(*example)
    finally:
        for handle in handles:
            handle.remove()
    runs = Counter(id(module) for module, _, _ in calls)
    results = {id(t.array) for t in _tensors(result)}
    reader = {id(args[0].array): module for module, args, _ in calls if len(args) == 1 and isinstance(args[0], Tensor)}
    after: dict[int, nn.Module] = {}
    for module, _, output in calls:
        if not isinstance(output, Tensor) or id(output.array) in results or readers.count[id(output.array)] != 1:
            continue
        second = reader.get(id(output.array))
        flat = type(module) is not nn.Linear or type(second) is not nn.BatchNorm1d or output.ndim == 2
        if second is not None and runs[id(module)] == runs[id(second)] == 1 and flat:
            after[id(module)] = second
    return lambda module: after.get(id(module))


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors of a result, in tuples, lists and dictionaries too."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tensors(part)


# ---- merging


def _merge(layer: nn.Module, feeds: Next) -> list[nn.Module]:
    """Take into a layer what follows it; returns the modules that are in it now."""
    merged = []
    second = feeds(layer)
    if second is not None and is_plain(second) and type(second) is NORMS[type(layer)] and _fold(layer, second):
        merged.append(second)
        second = feeds(second)
    if type(second) is nn.ReLU and is_plain(second) and type(layer) in WITH_RELU:
        layer.__class__ = WITH_RELU[type(layer)]
        merged.append(second)
    return merged


def _fold(layer: Any, norm: Any) -> bool:
    """Batch normalisation into the weights, computed in float64; False where its statistics are the batch's."""
    if norm.running_mean is None or (type(layer) in TRANSPOSED and layer.groups > 1):
        return False
    weight, mean, var = (_host(t) for t in (layer.weight, norm.running_mean, norm.running_var))
    scale = 1 / np.sqrt(var + norm.eps)
    if norm.weight is not None:
        scale = scale * _host(norm.weight)
    shift = -mean * scale if layer.bias is None else (_host(layer.bias) - mean) * scale
    if norm.bias is not None:
        shift = shift + _host(norm.bias)
    axis = 1 if type(layer) in TRANSPOSED else 0
    along = scale.reshape([-1 if i == axis else 1 for i in range(weight.ndim)])
    like = layer.weight
    layer.weight = nn.Parameter(_device(weight * along, like), requires_grad=False)
    layer.bias = nn.Parameter(_device(shift, like), requires_grad=False)
    return True


def _host(t: Tensor) -> np.ndarray:
    return np.asarray(t.backend.to_host(t.array)).astype(np.float64)


def _device(value: np.ndarray, like: Tensor) -> Tensor:
    return wrap(like.backend.from_host(np.ascontiguousarray(value.astype(like.dtype))), like.backend)


def _replace(model: nn.Module, gone: set[int]) -> None:
    """Put nn.Identity in the places of modules; every index and name stays."""
    for module in list(model.modules()):
        for name, child in module._modules.items():
            if id(child) in gone:
                module._modules[name] = nn.Identity().eval()


def _compare(model: nn.Module, fast: nn.Module, example: tuple[Tensor, ...]) -> None:
    """Raise ConfigError where the copy gives other outputs: a trace does not see what happens outside of ops."""
    with no_grad():
        pairs = zip(_tensors(model(*example)), _tensors(fast(*example)), strict=True)
        for right, got in pairs:
            if right.dtype.kind not in "fV" or not right.array.size:
                continue
            a, b = _host(right), _host(got)
            error = float(np.nanmax(np.abs(a - b), initial=0.0))
            limit = float(finfo(right.dtype).eps) ** 0.5 * (1 + float(np.nanmax(np.abs(a), initial=0.0)))
            if not error <= limit:
                expected = f"the same outputs after merging, within {limit:.1e}"
                hint = "a forward reads a layer's output in a way that a trace cannot see: leave out the example"
                raise ConfigError(message(OP, expected, f"a difference of {error:.1e}", hint))
