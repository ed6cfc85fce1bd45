"""Integers as vectors: embedding (rows of a learned table) and one_hot."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.observer import composite
from deepcore.autograd.variable import wrap
from deepcore.dtypes import int64
from deepcore.errors import ConfigError, DTypeError, ShapeError, got, message
from deepcore.functions.arithmetic import where
from deepcore.functions.index.gathering import need_tensor, places, poisoned
from deepcore.functions.shape import unsqueeze

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "embedding",
    "one_hot",
]


class Embedding(Function):
    """Rows of a table; the gradient adds up in the rows, and leaves out the one of `padding_idx`."""

    widens = False

    def __init__(self, padding_idx: int | None = None) -> None:
        self.padding_idx = padding_idx

    def forward(self, weight: Any, index: Any) -> Any:
        if weight.ndim != 2:
            found = got(on=self.backend.device, input=index, weight=weight)
            raise ShapeError(message("embedding", "weight (V, D)", found))
        self.saved = (index,)
        self.w_shape = weight.shape
        index, outside = places("embedding", self.backend, index, weight.shape[0], "input")
        return poisoned(self.backend, weight[index], None if outside is None else outside[..., None])

    def backward(self, gy: Any) -> Any:
        (index,) = self.saved
        return EmbeddingGrad(self.w_shape, self.padding_idx)(gy, index), None


class EmbeddingGrad(Function):
    """Zeros (V, D) with the rows of g added at `index`, but for those of the padding."""

    def __init__(self, shape: tuple[int, int], padding_idx: int | None) -> None:
        self.shape, self.padding_idx = shape, padding_idx

    def forward(self, g: Any, index: Any) -> Any:
        self.saved = (index,)
        xp = self.backend.xp
        if self.padding_idx is not None:
            g = xp.where((index == self.padding_idx)[..., None], xp.zeros((), dtype=g.dtype), g)
        index, _ = places("embedding", self.backend, index, self.shape[0], "input")
        return self.backend.index_add(self.shape, g.dtype, index, g)

    def backward(self, gy: Any) -> Any:
        (index,) = self.saved
        rows = Embedding()(gy, index)
        if self.padding_idx is not None:
            rows = where(unsqueeze(index == self.padding_idx, -1), rows * 0, rows)
        return rows, None


def embedding(input: Tensor, weight: Tensor, padding_idx: int | None = None) -> Tensor:
    """Rows of a table: input (...) integers, weight (V, D) -> (..., D).

    padding_idx: the row that gets no gradient; negative ones count from the end. Raises IndexRangeError for an index
    outside of [0, V) (NaN where the device is not the host), ConfigError for such a padding_idx.

    >>> import deepcore as dc
    >>> dc.embedding(dc.tensor([2, 0]), dc.tensor([[1.0], [2.0], [3.0]]))
    tensor([[3.],
            [1.]])
    """
    need_tensor("embedding", "input", input)
    if weight.ndim != 2:
        raise ShapeError(message("embedding", "weight (V, D)", got(input=input, weight=weight)))
    if padding_idx is not None:
        rows = weight.shape[0]
        if not -rows <= padding_idx < rows:
            raise ConfigError(message("embedding", f"-{rows} <= padding_idx < {rows}", f"padding_idx={padding_idx}"))
        padding_idx %= rows
    return Embedding(padding_idx)(weight, input)


@composite
def one_hot(input: Tensor, num_classes: int = -1) -> Tensor:
    """1 at the place that each integer names, else 0: (...) integers -> (..., num_classes) int64.

    num_classes=-1 stands for the largest integer + 1, for which the host waits for the device. Raises IndexRangeError
    for integers outside of [0, num_classes); where the device is not the host such a row is all 0 instead.
    """
    backend, index = input.backend, input.array
    if index.dtype.kind not in "iu":
        raise DTypeError(message("one_hot", "an integer dtype", got(input=input), "convert with .long()"))
    if num_classes == -1:
        if not index.size:
            raise ConfigError(message("one_hot", "num_classes for an empty input", got(input=input)))
        num_classes = max(int(backend.item(index.max())) + 1, 1)
    if num_classes < 1:
        raise ConfigError(message("one_hot", "num_classes >= 1, or -1", f"num_classes={num_classes}"))
    if backend.on_host:
        places("one_hot", backend, index, num_classes, "input")
    hot = index[..., None] == backend.xp.arange(num_classes)
    return wrap(hot.astype(int64), backend)
