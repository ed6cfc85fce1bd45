"""Recurrent layers and attention: ONNX orders gates, biases and heads differently."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from deepcore import creation, dtypes
from deepcore import functional as F
from deepcore.onnx.operators.adapter import Adapter, Case, ints, need

IOFC_TO_IFGO = (0, 2, 3, 1)
ZRH_TO_RZN = (1, 0, 2)


def gates(weight: Any, order: tuple[int, ...]) -> Any:
    """The blocks of rows, one a gate, in another order."""
    blocks = F.chunk(weight, len(order))
    return F.cat([blocks[i] for i in order])


def layer(step: Callable[..., tuple[Any, ...]], order: tuple[int, ...], states: int) -> Callable[..., tuple[Any, ...]]:
    """A layer in one or two directions; `step` runs one of them on (x, states, weights, biases, options)."""

    def call(
        x: Any,
        w: Any,
        r: Any,
        b: Any = None,
        lengths: Any = None,
        *more: Any,
        direction: str,
        hidden_size: int,
        layout: int,
        **options: Any,
    ) -> tuple[Any, ...]:
        if layout:
            x = F.transpose(x, 0, 1)
        time, batch = x.shape[:2]
        need(lengths is None or set(ints(lengths)) == {time})
        need(options["clip"] is None)
        results = []
        for d in range(w.shape[0]):
            given = [s[d] if s is not None else None for s in more]
            h = [
                creation.zeros(batch, hidden_size, dtype=x.dtype, device=x.device)
                if i >= len(given) or given[i] is None
                else given[i]
                for i in range(states)
            ]
            biases = (None, None) if b is None else (gates(half, order) for half in F.chunk(b[d], 2))
            reverse = d == 1 or direction == "reverse"
            peephole = given[states] if len(given) > states else None
            weights = (gates(w[d], order), gates(r[d], order), *biases)
            results.append(step(x, h, weights, reverse, peephole, options))
        y, *last = (F.stack(parts) for parts in zip(*results, strict=True))
        y = F.transpose(y, 0, 1)  # (T, directions, N, H)
        if layout:
            return F.permute(y, (2, 0, 1, 3)), *(F.transpose(h, 0, 1) for h in last)
        return y, *last

    return call


def rnn_step(x: Any, h: Any, weights: Any, reverse: bool, _: Any, options: dict[str, Any]) -> tuple[Any, ...]:
    return F.rnn(x, *h, *weights, reverse=reverse)  # type: ignore[misc]


def gru_step(x: Any, h: Any, weights: Any, reverse: bool, _: Any, options: dict[str, Any]) -> tuple[Any, ...]:
    after = bool(options["linear_before_reset"])
    return F.gru(x, *h, *weights, reset_after=after, reverse=reverse)  # type: ignore[misc]


def lstm_step(x: Any, h: Any, weights: Any, reverse: bool, p: Any, options: dict[str, Any]) -> tuple[Any, ...]:
    if p is not None:
        i, o, f = F.chunk(p, 3)
        p = F.stack([i, f, o])
    return F.lstm(x, *h, *weights, peephole=p, reverse=reverse)  # type: ignore[misc]


def heads(x: Any, count: Any) -> Any:
    """(N, L, heads * E) as (N, heads, L, E)."""
    return x if x.ndim == 4 else F.transpose(F.unflatten(x, 2, (count, -1)), 1, 2)


def allowed(rows: int, columns: int, start: Any, causal: int, left: int, right: int, device: str) -> Any:
    """Which keys each query may see, (..., L, S): query i stands at `start` + i among them."""
    key = creation.arange(columns, device=device)
    distance = key - (creation.arange(rows, device=device).unsqueeze(1) + start)
    seen = (key >= 0).unsqueeze(0)
    if causal:
        seen = seen & (distance <= 0)
    if left >= 0:
        seen = seen & (distance >= -left)
    return seen & (distance <= right) if right >= 0 else seen


def attention(
    q: Any,
    k: Any,
    v: Any,
    mask: Any = None,
    past_key: Any = None,
    past_value: Any = None,
    lengths: Any = None,
    *,
    is_causal: int,
    q_num_heads: int | None,
    kv_num_heads: int | None,
    scale: float | None,
    softcap: float,
    qk_matmul_output_mode: int,
    softmax_precision: int | None,
    left_window_size: int = -1,
    right_window_size: int = -1,
) -> tuple[Any, ...]:
    """Heads that share keys are repeated; a causal mask that is not plain joins the other mask."""
    need(not softcap)
    flat = q.ndim == 3
    q, k, v = heads(q, q_num_heads), heads(k, kv_num_heads), heads(v, kv_num_heads)
    if past_key is not None:
        k, v = F.cat([past_key, k], 2), F.cat([past_value, v], 2)
    present = k, v
    rows, columns, share = q.shape[2], k.shape[2], q.shape[1] // k.shape[1]
    if share > 1:
        k, v = (F.repeat_interleave(t, share, 1) for t in (k, v))

    windowed = left_window_size >= 0 or right_window_size >= 0
    plain = bool(is_causal) and mask is None and lengths is None and past_key is None and not windowed
    if mask is not None and mask.shape[-1] < columns:
        fill = (0, columns - mask.shape[-1])
        mask = F.pad(mask, fill, value=False) if mask.dtype == dtypes.bool_ else F.pad(mask, fill, value=float("-inf"))
    if (is_causal or windowed or lengths is not None) and not plain:
        start: Any = 0 if past_key is None else past_key.shape[2]
        if lengths is not None:
            lengths = lengths.reshape(-1, 1, 1, 1)
            start = lengths - rows
        seen = allowed(rows, columns, start, is_causal, left_window_size, right_window_size, q.device)
        if lengths is not None:
            seen = seen & (creation.arange(columns, device=q.device) < lengths)
        if mask is None:
            mask = seen
        elif mask.dtype == dtypes.bool_:
            mask = mask & seen
        else:
            mask = F.where(seen, mask, float("-inf"))
    y = F.scaled_dot_product_attention(q, k, v, mask, is_causal=plain, scale=scale)
    return (F.flatten(F.transpose(y, 1, 2), 2) if flat else y), *present, None


def flex_attention(q: Any, k: Any, v: Any, *, scale: float | None, score_mod: Any, prob_mod: Any, **_: Any) -> Any:
    """Attention whose scores and weights are as they are; heads that share keys are repeated."""
    need(score_mod is None)
    need(prob_mod is None)
    k, v = (F.repeat_interleave(t, q.shape[1] // k.shape[1], 1) for t in (k, v))
    return F.scaled_dot_product_attention(q, k, v, scale=scale)


def inner(case: Case) -> int:
    """The longest of a product with the inputs and one with the hidden state, over all steps."""
    return max(case.inputs[1].shape[-1], case.inputs[2].shape[-1]) * max(case.inputs[0].shape[:2])


ADAPTERS = {
    "Attention": Adapter(
        attention,
        lambda case: max(*case.inputs[0].shape, *case.inputs[1].shape),
        without="scaled_dot_product_attention does not return its scores",
    ),
    "ai.onnx.preview.FlexAttention": Adapter(flex_attention, lambda case: case.inputs[0].shape[-1]),
    "GRU": Adapter(layer(gru_step, ZRH_TO_RZN, 1), inner),
    "LSTM": Adapter(layer(lstm_step, IOFC_TO_IFGO, 2), inner),
    "RNN": Adapter(layer(rnn_step, (0,), 1), inner),
}
