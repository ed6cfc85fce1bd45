"""Functions as methods: `x.sum(dim)` is `deepcore.functions.sum(x, dim)`, whose docstring says what it does."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from deepcore import functions as fn
from deepcore.autograd.variable import Variable
from deepcore.errors import ShapeError, got, message
from deepcore.functions.axes import Dim, flat_ints

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


class Methods(Variable):
    """One line a function; a mixin of Tensor."""

    def __getitem__(self, index: Any) -> Tensor:
        return fn.getitem(self, index)

    def add(self, other: Any, *, alpha: Any = 1) -> Tensor:
        return fn.add(self, other, alpha=alpha)

    def sub(self, other: Any, *, alpha: Any = 1) -> Tensor:
        return fn.sub(self, other, alpha=alpha)

    def mul(self, other: Any) -> Tensor:
        return fn.mul(self, other)

    def div(self, other: Any) -> Tensor:
        return fn.div(self, other)

    def pow(self, exponent: Any) -> Tensor:
        return fn.pow(self, exponent)

    def matmul(self, other: Tensor) -> Tensor:
        return fn.matmul(self, other)

    def dot(self, other: Tensor) -> Tensor:
        return fn.dot(self, other)

    def neg(self) -> Tensor:
        return fn.neg(self)

    def abs(self) -> Tensor:
        return fn.abs(self)

    def sign(self) -> Tensor:
        return fn.sign(self)

    def exp(self) -> Tensor:
        return fn.exp(self)

    def log(self) -> Tensor:
        return fn.log(self)

    def log1p(self) -> Tensor:
        return fn.log1p(self)

    def sqrt(self) -> Tensor:
        return fn.sqrt(self)

    def square(self) -> Tensor:
        return fn.square(self)

    def sin(self) -> Tensor:
        return fn.sin(self)

    def cos(self) -> Tensor:
        return fn.cos(self)

    def tanh(self) -> Tensor:
        return fn.tanh(self)

    def sigmoid(self) -> Tensor:
        return fn.sigmoid(self)

    def relu(self) -> Tensor:
        return fn.relu(self)

    def prelu(self, weight: Tensor) -> Tensor:
        return fn.prelu(self, weight)

    def erf(self) -> Tensor:
        return fn.erf(self)

    def erfinv(self) -> Tensor:
        return fn.erfinv(self)

    def lgamma(self) -> Tensor:
        return fn.lgamma(self)

    def digamma(self) -> Tensor:
        return fn.digamma(self)

    def polygamma(self, n: Any) -> Tensor:
        return fn.polygamma(n, self)

    def softmax(self, dim: Any) -> Tensor:
        return fn.softmax(self, dim)

    def log_softmax(self, dim: Any) -> Tensor:
        return fn.log_softmax(self, dim)

    def maximum(self, other: Any) -> Tensor:
        return fn.maximum(self, other)

    def minimum(self, other: Any) -> Tensor:
        return fn.minimum(self, other)

    def clamp(self, min: Any = None, max: Any = None) -> Tensor:
        return fn.clamp(self, min, max)

    clip = clamp

    def where(self, condition: Tensor, other: Any) -> Tensor:
        return fn.where(condition, self, other)

    def sum(self, dim: Dim = None, keepdim: Any = False) -> Tensor:
        return fn.sum(self, dim, keepdim)

    def mean(self, dim: Dim = None, keepdim: Any = False) -> Tensor:
        return fn.mean(self, dim, keepdim)

    def prod(self, dim: Any = None, keepdim: Any = False) -> Tensor:
        return fn.prod(self, dim, keepdim)

    def var(self, dim: Dim = None, correction: Any = 1, keepdim: Any = False) -> Tensor:
        return fn.var(self, dim, correction, keepdim)

    def std(self, dim: Dim = None, correction: Any = 1, keepdim: Any = False) -> Tensor:
        return fn.std(self, dim, correction, keepdim)

    def max(self, dim: Any = None, keepdim: Any = False) -> Any:
        return fn.max(self, dim, keepdim)

    def min(self, dim: Any = None, keepdim: Any = False) -> Any:
        return fn.min(self, dim, keepdim)

    def amax(self, dim: Dim = None, keepdim: Any = False) -> Tensor:
        return fn.amax(self, dim, keepdim)

    def amin(self, dim: Dim = None, keepdim: Any = False) -> Tensor:
        return fn.amin(self, dim, keepdim)

    def argmax(self, dim: Any = None, keepdim: Any = False) -> Tensor:
        return fn.argmax(self, dim, keepdim)

    def argmin(self, dim: Any = None, keepdim: Any = False) -> Tensor:
        return fn.argmin(self, dim, keepdim)

    def cumsum(self, dim: Any) -> Tensor:
        return fn.cumsum(self, dim)

    def logsumexp(self, dim: Dim, keepdim: Any = False) -> Tensor:
        return fn.logsumexp(self, dim, keepdim)

    def norm(self, dim: Dim = None, keepdim: Any = False) -> Tensor:
        return fn.norm(self, dim, keepdim)

    def reshape(self, *shape: Any) -> Tensor:
        return fn.reshape(self, flat_ints("reshape", shape))

    def view(self, *shape: Any) -> Tensor:
        return fn.view(self, flat_ints("view", shape))

    def view_as(self, other: Tensor) -> Tensor:
        return fn.reshape(self, other.shape)

    def flatten(self, start_dim: Any = 0, end_dim: Any = -1) -> Tensor:
        return fn.flatten(self, start_dim, end_dim)

    def unflatten(self, dim: Any, sizes: Sequence[Any]) -> Tensor:
        return fn.unflatten(self, dim, sizes)

    def permute(self, *dims: Any) -> Tensor:
        return fn.permute(self, flat_ints("permute", dims))

    def transpose(self, dim0: Any, dim1: Any) -> Tensor:
        return fn.transpose(self, dim0, dim1)

    swapaxes = transpose

    def movedim(self, source: Any, destination: Any) -> Tensor:
        return fn.movedim(self, source, destination)

    def t(self) -> Tensor:
        """The transpose of a matrix."""
        if self.ndim > 2:
            raise ShapeError(message("t", "at most two axes", got(x=self), "use transpose or permute"))
        return self.T

    def squeeze(self, dim: Any = None) -> Tensor:
        return fn.squeeze(self, dim)

    def unsqueeze(self, dim: Any) -> Tensor:
        return fn.unsqueeze(self, dim)

    def expand(self, *shape: Any) -> Tensor:
        return fn.expand(self, flat_ints("expand", shape))

    def broadcast_to(self, *shape: Any) -> Tensor:
        return fn.broadcast_to(self, flat_ints("broadcast_to", shape))

    def sum_to_size(self, *shape: Any) -> Tensor:
        """Summed down to a shape that broadcasts to this tensor's."""
        return fn.sum_to(self, flat_ints("sum_to_size", shape))

    def split(self, split_size: Any, dim: Any = 0) -> tuple[Tensor, ...]:
        return fn.split(self, split_size, dim)

    def chunk(self, chunks: Any, dim: Any = 0) -> tuple[Tensor, ...]:
        return fn.chunk(self, chunks, dim)

    def unbind(self, dim: Any = 0) -> tuple[Tensor, ...]:
        return fn.unbind(self, dim)

    def flip(self, *dims: Any) -> Tensor:
        return fn.flip(self, flat_ints("flip", dims))

    def clone(self) -> Tensor:
        return fn.clone(self)

    def contiguous(self) -> Tensor:
        return fn.contiguous(self)

    def gather(self, dim: Any, index: Tensor) -> Tensor:
        return fn.gather(self, dim, index)

    def scatter(self, dim: Any, index: Tensor, src: Any) -> Tensor:
        return fn.scatter(self, dim, index, src)

    def scatter_add(self, dim: Any, index: Tensor, src: Tensor) -> Tensor:
        return fn.scatter_add(self, dim, index, src)

    def take_along_dim(self, indices: Tensor, dim: Any = None) -> Tensor:
        return fn.take_along_dim(self, indices, dim)

    def index_select(self, dim: Any, index: Tensor) -> Tensor:
        return fn.index_select(self, dim, index)

    def index_add(self, dim: Any, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
        return fn.index_add(self, dim, index, source, alpha=alpha)

    def masked_fill(self, mask: Tensor, value: Any) -> Tensor:
        return fn.masked_fill(self, mask, value)

    def masked_select(self, mask: Tensor) -> Tensor:
        return fn.masked_select(self, mask)

    def nonzero(self, *, as_tuple: Any = False) -> Any:
        return fn.nonzero(self, as_tuple=as_tuple)

    def sort(self, dim: Any = -1, descending: Any = False, stable: Any = False) -> tuple[Tensor, Tensor]:
        return fn.sort(self, dim, descending, stable)

    def argsort(self, dim: Any = -1, descending: Any = False, stable: Any = False) -> Tensor:
        return fn.argsort(self, dim, descending, stable)

    def topk(self, k: Any, dim: Any = -1, largest: Any = True, sorted: Any = True) -> tuple[Tensor, Tensor]:
        return fn.topk(self, k, dim, largest, sorted)

    def unique(
        self, sorted: Any = True, return_inverse: Any = False, return_counts: Any = False, dim: Any = None
    ) -> Any:
        return fn.unique(self, sorted, return_inverse, return_counts, dim)

    def cumprod(self, dim: Any) -> Tensor:
        return fn.cumprod(self, dim)

    def roll(self, shifts: Any, dims: Any = None) -> Tensor:
        return fn.roll(self, shifts, dims)

    def tril(self, diagonal: Any = 0) -> Tensor:
        return fn.tril(self, diagonal)

    def triu(self, diagonal: Any = 0) -> Tensor:
        return fn.triu(self, diagonal)

    def diag(self, diagonal: Any = 0) -> Tensor:
        return fn.diag(self, diagonal)

    def diagonal(self, offset: Any = 0, dim1: Any = 0, dim2: Any = 1) -> Tensor:
        return fn.diagonal(self, offset, dim1, dim2)

    def trace(self) -> Tensor:
        return fn.trace(self)

    def repeat(self, *sizes: Any) -> Tensor:
        return fn.repeat(self, flat_ints("repeat", sizes))

    def tile(self, *dims: Any) -> Tensor:
        return fn.tile(self, flat_ints("tile", dims))

    def repeat_interleave(self, repeats: Any, dim: Any = None) -> Tensor:
        return fn.repeat_interleave(self, repeats, dim)

    def bmm(self, mat2: Tensor) -> Tensor:
        return fn.bmm(self, mat2)

    def outer(self, vec2: Tensor) -> Tensor:
        return fn.outer(self, vec2)
