"""Attention with several heads (Vaswani et al. 2017)."""

from __future__ import annotations

import math
from typing import Any

from deepcore import creation
from deepcore import functional as F
from deepcore.autograd import wrap
from deepcore.dtypes import is_floating
from deepcore.errors import ConfigError, DTypeError, ShapeError, got, message
from deepcore.functions import broadcast_to, cat, chunk, matmul, permute, reshape, transpose, unsqueeze
from deepcore.functions.sequence.attention import dot_product_weights
from deepcore.nn import args, init
from deepcore.nn.linear import Linear
from deepcore.nn.module import Module
from deepcore.nn.parameter import Parameter
from deepcore.tensor import Tensor


class MultiheadAttention(Module):
    """concat(head_1, ..., head_h) W_o, where head_i = attention(query W_i^q, key W_i^k, value W_i^v).

    query (L, N, E), key (S, N, kdim), value (S, N, vdim), with batch_first N comes first, or all without N; E =
    embed_dim, and kdim = vdim = E if None -> output like query, and the weights (N, L, S), averaged over the heads, or
    with average_attn_weights=False (N, num_heads, L, S); None with need_weights=False. Masks are PyTorch's: bool, True
    is left out (the opposite of F.scaled_dot_product_attention), or floating, added. key_padding_mask (N, S), attn_mask
    (L, S) or (N * num_heads, L, S). A query that sees no key gets weights of 0.
    add_bias_kv: a learned key and value behind all others; add_zero_attn: one of zeros. dropout: of the weights.

    Parameters have PyTorch's names: in_proj_weight (3E, E) for q, k, v, or q_proj_weight, k_proj_weight, v_proj_weight
    where kdim or vdim differ; in_proj_bias, out_proj.weight, out_proj.bias. Raises ShapeError, DTypeError, ConfigError.

    >>> import deepcore as dc
    >>> x = dc.randn(5, 2, 8)
    >>> output, weights = MultiheadAttention(8, num_heads=4)(x, x, x)
    >>> output.shape, weights.shape
    ((5, 2, 8), (2, 5, 5))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        owner = "MultiheadAttention"
        self.embed_dim = args.integer(owner, "embed_dim", embed_dim)
        self.num_heads = args.integer(owner, "num_heads", num_heads)
        self.kdim = self.embed_dim if kdim is None else args.integer(owner, "kdim", kdim)
        self.vdim = self.embed_dim if vdim is None else args.integer(owner, "vdim", vdim)
        self.dropout = args.probability(owner, "dropout", dropout)
        self.batch_first, self.add_zero_attn = bool(batch_first), bool(add_zero_attn)
        if self.embed_dim % self.num_heads:
            raise ConfigError(
                message(owner, "embed_dim divisible by num_heads", f"embed_dim={embed_dim}, num_heads={num_heads}")
            )
        e, together = self.embed_dim, self.kdim == self.vdim == self.embed_dim
        shapes: dict[str, tuple[int, ...] | None] = {
            "in_proj_weight": (3 * e, e) if together else None,
            "q_proj_weight": None if together else (e, e),
            "k_proj_weight": None if together else (e, self.kdim),
            "v_proj_weight": None if together else (e, self.vdim),
            "in_proj_bias": (3 * e,) if bias else None,
            "bias_k": (1, 1, e) if add_bias_kv else None,
            "bias_v": (1, 1, e) if add_bias_kv else None,
        }
        for name, shape in shapes.items():
            empty = None if shape is None else Parameter(creation.empty(shape, dtype=dtype, device=device))
            self.register_parameter(name, empty)
        self.out_proj = Linear(e, e, bias, device, dtype)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        """Projections Xavier-uniform, biases 0, the learned key and value Xavier-normal, out_proj as a Linear's."""
        for name in ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight"):
            if getattr(self, name) is not None:
                init.xavier_uniform_(getattr(self, name))
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for extra in (self.bias_k, self.bias_v):
            if extra is not None:
                init.xavier_normal_(extra)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        self._check(query, key, value)
        if is_causal and attn_mask is None:
            hint = "it only says that attn_mask is causal"
            raise ConfigError(message("MultiheadAttention", "attn_mask with is_causal=True", "attn_mask=None", hint))
        single = query.ndim == 2
        q, k, v = (
            unsqueeze(x, 0) if single else x if self.batch_first else transpose(x, 0, 1) for x in (query, key, value)
        )
        rows, columns = q.shape[:2], k.shape[1]
        mask = self._mask(q, attn_mask, key_padding_mask, columns)
        q, k, v = self._projections(q, k, v)
        k, v, added = self._extend(k, v)
        if mask is not None and added:
            mask = cat([mask, self._zeros(mask, (*mask.shape[:-1], added))], -1)
        q, k, v = (self._heads(x) for x in (q, k, v))
        dropout, weights = self.dropout if self.training else 0.0, None
        if mask is not None and not is_floating(mask.dtype):  # from what is left out to what takes part
            mask = wrap(mask.backend.xp.logical_not(mask.array), mask.backend)
        if need_weights:
            weights = dot_product_weights("MultiheadAttention", q, k, mask, dropout)
            y = matmul(weights, v)
        else:
            y = F.scaled_dot_product_attention(q, k, v, mask, dropout)
        y = reshape(permute(y, (0, 2, 1, 3)), (*rows, self.embed_dim))
        y = self.out_proj(y)
        y = y[0] if single else y if self.batch_first else transpose(y, 0, 1)
        if weights is None:
            return y, None
        shown = weights.mean(1) if average_attn_weights else weights
        return y, (shown[0] if single else shown)

    def _projections(self, q: Any, k: Any, v: Any) -> list[Any]:
        biases: Any = [None] * 3 if self.in_proj_bias is None else chunk(self.in_proj_bias, 3)
        if self.in_proj_weight is None:
            weights: Any = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        elif q is k is v:
            return list(chunk(F.linear(q, self.in_proj_weight, self.in_proj_bias), 3, -1))
        else:
            weights = chunk(self.in_proj_weight, 3)
        return [F.linear(x, w, b) for x, w, b in zip((q, k, v), weights, biases, strict=True)]

    def _extend(self, k: Any, v: Any) -> tuple[Any, Any, int]:
        """Keys and values (N, S, E) with the learned ones and the zeros behind them, and how many these are."""
        shape, before = (k.shape[0], 1, self.embed_dim), k.shape[1]
        if self.bias_k is not None:
            k, v = (cat([x, broadcast_to(extra, shape)], 1) for x, extra in ((k, self.bias_k), (v, self.bias_v)))
        if self.add_zero_attn:
            k, v = (cat([x, self._zeros(x, shape)], 1) for x in (k, v))
        return k, v, k.shape[1] - before

    def _heads(self, x: Any) -> Any:
        """(N, L, E) -> (N, num_heads, L, E / num_heads)."""
        split = (*x.shape[:2], self.num_heads, self.embed_dim // self.num_heads)
        return permute(reshape(x, split), (0, 2, 1, 3))

    def _zeros(self, like: Any, shape: tuple[int, ...]) -> Any:
        return creation.zeros(shape, dtype=like.dtype, device=like.backend.device)

    def _mask(self, q: Any, attn_mask: Any, padding: Any, columns: int) -> Any:
        """Both masks as one for the scores (N, num_heads, L, S): bool, True is left out, or added."""
        items, length = q.shape[:2]
        if attn_mask is not None:
            if attn_mask.shape not in ((length, columns), (items * self.num_heads, length, columns)):
                expected = f"attn_mask {(length, columns)} or {(items * self.num_heads, length, columns)}"
                raise ShapeError(message("MultiheadAttention", expected, got(attn_mask=attn_mask)))
            if attn_mask.ndim == 3:
                attn_mask = reshape(attn_mask, (items, self.num_heads, length, columns))
        if padding is not None:
            if padding.shape not in ((items, columns), *([(columns,)] if items == 1 else [])):
                expected = f"key_padding_mask {(items, columns)}"
                raise ShapeError(message("MultiheadAttention", expected, got(key_padding_mask=padding)))
            padding = reshape(padding, (items, 1, 1, columns))
        masks = [m for m in (attn_mask, padding) if m is not None]
        for m in masks:
            if m.dtype.kind != "b" and not is_floating(m.dtype):
                raise DTypeError(message("MultiheadAttention", "masks of bool or floating dtype", got(mask=m)))
        if not masks or all(m.dtype.kind == "b" for m in masks):
            return masks[0] | masks[1] if len(masks) == 2 else masks[0] if masks else None
        total = _added(masks[0], q)
        return total + _added(masks[1], q) if len(masks) == 2 else total

    def _check(self, query: Any, key: Any, value: Any) -> None:
        sizes = (self.embed_dim, self.kdim, self.vdim)
        same = query.ndim in (2, 3) and all(x.ndim == query.ndim for x in (key, value))
        fits = same and all(x.shape[-1] == n for x, n in zip((query, key, value), sizes, strict=True))
        if (
            not fits
            or key.shape[:-1] != value.shape[:-1]
            or (query.ndim == 3 and self._items(query) != self._items(key))
        ):
            layout = (
                "(N, L, E), (N, S, kdim), (N, S, vdim)" if self.batch_first else "(L, N, E), (S, N, kdim), (S, N, vdim)"
            )
            expected = f"query, key, value {layout}, or all without N, with E, kdim, vdim = {sizes}"
            raise ShapeError(message("MultiheadAttention", expected, got(query=query, key=key, value=value)))

    def _items(self, x: Any) -> int:
        return x.shape[0 if self.batch_first else 1]

    def extra_repr(self) -> str:
        return f"embed_dim={self.embed_dim}, num_heads={self.num_heads}, dropout={self.dropout}"


def _added(mask: Any, like: Any) -> Any:
    """A mask as numbers that are added: a bool one has -inf where it is True."""
    if is_floating(mask.dtype):
        return mask.to(like.dtype)
    xp = mask.backend.xp
    return wrap(xp.where(mask.array, -math.inf, 0.0).astype(like.dtype), mask.backend)
