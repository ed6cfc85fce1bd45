"""Attention: weighted means of values, with weights from how well a query fits each key."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from deepcore.autograd.function import Function
from deepcore.autograd.precision import cast_as_one
from deepcore.autograd.variable import wrap
from deepcore.dtypes import is_floating
from deepcore.errors import ConfigError, DeviceError, DTypeError, ShapeError, got, message
from deepcore.functions.activation.basic import softmax, tanh
from deepcore.functions.arithmetic import where
from deepcore.functions.dropout import dropout
from deepcore.functions.linalg.products import linear, matmul, same_dtype
from deepcore.functions.reduce import amax
from deepcore.functions.shape import reshape, transpose, unsqueeze

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

__all__ = [
    "additive_attention",
    "scaled_dot_product_attention",
]


def masked_softmax(op: str, scores: Any, mask: Any, is_causal: bool = False) -> Any:
    """softmax over the last axis of scores (..., L, S), with a mask that broadcasts to them, or None.

    A bool mask says what takes part, a floating one is added. A row in which nothing takes part is 0 (not NaN).
    """
    if is_causal:
        xp, (rows, columns) = scores.backend.xp, scores.shape[-2:]
        mask = wrap(xp.arange(rows).reshape(-1, 1) >= xp.arange(columns), scores.backend)
    if mask is None:
        return softmax(scores, -1)
    _check_mask(op, scores.shape, scores, mask)
    scores = scores + mask if is_floating(mask.dtype) else where(mask, scores, -math.inf)
    if not scores.shape[-1]:
        return softmax(scores, -1)
    nothing = amax(scores.detach(), -1, keepdim=True) == -math.inf
    return where(nothing, 0.0, softmax(where(nothing, 0.0, scores), -1))


def _check_mask(op: str, shape: tuple[int, ...], like: Any, mask: Any) -> None:
    """A mask must broadcast to the scores' shape, and be bool or of the dtype of `like`."""
    lead = len(shape) - len(mask.shape)
    if lead < 0 or any(m not in (1, n) for m, n in zip(mask.shape, shape[lead:], strict=True)):
        raise ShapeError(message(op, f"attn_mask that broadcasts to the scores {shape}", got(attn_mask=mask)))
    if mask.dtype.kind != "b" and mask.dtype != like.dtype:
        hint = "bool: True takes part; floating: added to the scores"
        raise DTypeError(message(op, f"attn_mask bool or {like.dtype}", got(attn_mask=mask), hint))
    if mask.backend is not like.backend:
        found = got(attn_mask=mask, **{"others on": like.backend.device})
        raise DeviceError(message(op, "attn_mask on the device of the others", found, "use .to()"))


def _check_three(op: str, query: Any, key: Any, value: Any) -> None:
    given = got(query=query, key=key, value=value)
    if min(query.ndim, key.ndim, value.ndim) < 2 or key.shape[-2] != value.shape[-2]:
        raise ShapeError(message(op, "query (..., L, E), key (..., S, E), value (..., S, EV)", given))
    same_dtype(op, query=query, key=key, value=value)


def dot_product_weights(
    op: str,
    query: Any,
    key: Any,
    mask: Any = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Any:
    """The weights (..., L, S) of scaled_dot_product_attention, after their dropout."""
    factor = 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else scale
    # The query is scaled before the product, so that float16 scores do not overflow.
    scores = matmul(query * factor, transpose(key, -1, -2))
    return dropout(masked_softmax(op, scores, mask, is_causal), dropout_p)


class Attention(Function):
    """Attention in one step, with a bool mask or none: only the outputs are kept, not the weights."""

    name = "scaled_dot_product_attention"
    intermediates = ("mask",)

    def __init__(self, mask: Any, is_causal: bool, scale: float) -> None:
        self.mask, self.is_causal, self.scale = mask, is_causal, scale

    def forward(self, q: Any, k: Any, v: Any) -> Any:
        y, lse = self.backend.attention(q, k, v, self.mask, self.is_causal, self.scale)
        self.saved = (q, k, v, y, lse)
        return y

    def backward(self, gy: Any) -> Any:
        return self.backend.attention_grad(gy, *self.saved, self.mask, self.is_causal, self.scale)

    def formula(self, q: Any, k: Any, v: Any) -> Any:
        mask = None if self.mask is None else wrap(self.mask, self.backend)
        return matmul(dot_product_weights(self.name, q, k, mask, 0.0, self.is_causal, self.scale), v)


@cast_as_one
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(query key^T * scale + mask) value (Vaswani et al. 2017, eq. 1).

    query (..., L, E), key (..., S, E), value (..., S, EV) -> (..., L, EV); leading axes broadcast. scale: None is
    1 / sqrt(E). attn_mask, which broadcasts to (..., L, S): bool, True takes part; or floating, added. is_causal: query
    i sees the keys 0..i, without another mask. A query that sees no key gets 0. dropout_p: dropout of the weights, also
    outside of training. Raises ShapeError, DTypeError, ConfigError.

    >>> import deepcore as dc
    >>> scaled_dot_product_attention(dc.ones(2, 3, 4), dc.ones(2, 5, 4), dc.ones(2, 5, 6)).shape
    (2, 3, 6)
    """
    op = "scaled_dot_product_attention"
    _check_three(op, query, key, value)
    if query.shape[-1] != key.shape[-1]:
        raise ShapeError(message(op, "query.shape[-1] == key.shape[-1]", got(query=query, key=key)))
    if is_causal and attn_mask is not None:
        raise ConfigError(message(op, "attn_mask or is_causal", f"both, {got(attn_mask=attn_mask)}"))
    factor = 1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else scale
    alike = query.shape[:-2] == key.shape[:-2] == value.shape[:-2]
    if dropout_p == 0 and alike and (attn_mask is None or attn_mask.dtype.kind == "b"):
        if attn_mask is not None:
            _check_mask(op, (*query.shape[:-1], key.shape[-2]), query, attn_mask)
        return Attention(None if attn_mask is None else attn_mask.array, is_causal, factor)(query, key, value)
    return matmul(dot_product_weights(op, query, key, attn_mask, dropout_p, is_causal, factor), value)


@cast_as_one
def additive_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    w_query: Tensor,
    w_key: Tensor,
    v: Tensor,
    bias: Tensor | None = None,
    attn_mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Attention with the score v . tanh(W_query q + W_key k + bias) (Bahdanau et al. 2014, appendix A.1.2).

    query (..., L, Q), key (..., S, K), value (..., S, EV), w_query (A, Q), w_key (A, K), v and bias (A,)
    -> the context (..., L, EV) and the weights (..., L, S). attn_mask as for scaled_dot_product_attention. It makes an
    array (..., L, S, A). Raises ShapeError and DTypeError.

    >>> import deepcore as dc
    >>> w, v = dc.ones(4, 3), dc.ones(4)
    >>> context, weights = additive_attention(dc.ones(1, 3), dc.ones(5, 3), dc.ones(5, 2), w, w, v)
    >>> context.shape, weights.shape
    ((1, 2), (1, 5))
    """
    op = "additive_attention"
    _check_three(op, query, key, value)
    if v.ndim != 1 or w_query.shape != (v.shape[0], query.shape[-1]) or w_key.shape != (v.shape[0], key.shape[-1]):
        given = got(query=query, key=key, w_query=w_query, w_key=w_key, v=v)
        raise ShapeError(message(op, "w_query (A, Q), w_key (A, K), v (A,)", given))
    same_dtype(op, query=query, w_query=w_query, w_key=w_key, v=v, bias=bias)
    q, k = linear(query, w_query, bias), linear(key, w_key)
    hidden = tanh(unsqueeze(q, -2) + unsqueeze(k, -3))
    scores = reshape(linear(hidden, reshape(v, (1, -1))), hidden.shape[:-1])
    weights = masked_softmax(op, scores, attn_mask)
    return matmul(weights, value), weights
