"""Oracles of the recurrent layers and of attention: one sequence, one step, one row after the other, in float64."""

from __future__ import annotations

import numpy as np


def _sigmoid(x):
    return np.exp(-np.logaddexp(0.0, -x))


def _affine(w, x, b, k, size):
    """Block k of W x + b."""
    rows = slice(k * size, (k + 1) * size)
    y = (w[rows] * x).sum(axis=1)
    return y if b is None else y + b[rows]


def rnn_step(x, h, w_ih, w_hh, b_ih, b_hh, nonlinearity="tanh"):
    a = _affine(w_ih, x, b_ih, 0, h.size) + _affine(w_hh, h, b_hh, 0, h.size)
    return np.where(a > 0, a, 0.0) if nonlinearity == "relu" else 1 - 2 / (np.exp(2 * a) + 1)


def lstm_step(x, h, c, w_ih, w_hh, b_ih, b_hh, peephole):
    p = np.zeros((3, h.size)) if peephole is None else peephole
    i, f, g, o = (_affine(w_ih, x, b_ih, k, h.size) + _affine(w_hh, h, b_hh, k, h.size) for k in range(4))
    new = _sigmoid(f + p[1] * c) * c + _sigmoid(i + p[0] * c) * np.tanh(g)
    return _sigmoid(o + p[2] * new) * np.tanh(new), new


def gru_step(x, h, w_ih, w_hh, b_ih, b_hh, reset_after=True):
    r, z = (_sigmoid(_affine(w_ih, x, b_ih, k, h.size) + _affine(w_hh, h, b_hh, k, h.size)) for k in range(2))
    inner = r * _affine(w_hh, h, b_hh, 2, h.size) if reset_after else _affine(w_hh, r * h, b_hh, 2, h.size)
    n = np.tanh(_affine(w_ih, x, b_ih, 2, h.size) + inner)
    return n + z * (h - n)


def run(step, x, states, reverse, batch_sizes):
    """`step(x, *states)` -> states over the time of each sequence by itself; the outputs in the form of x."""
    lengths = (x.shape[1],) * x.shape[0] if batch_sizes is None else batch_sizes
    starts = np.concatenate([[0], np.cumsum(lengths)]).astype(int)
    rows = x.reshape(-1, x.shape[-1])
    y = np.zeros((len(rows), states[0].shape[1]))
    last = [s.copy() for s in states]
    for n in range(states[0].shape[0]):
        times = [t for t, running in enumerate(lengths) if running > n]
        now = tuple(s[n] for s in states)
        for t in reversed(times) if reverse else times:
            now = step(rows[starts[t] + n], *now)
            y[starts[t] + n] = now[0]
        for s, value in zip(last, now, strict=True):
            s[n] = value
    return (y.reshape(*x.shape[:-1], y.shape[1]), *last)


def rnn(x, h0, w_ih, w_hh, b_ih=None, b_hh=None, nonlinearity="tanh", reverse=False, batch_sizes=None):
    def step(row, h):
        return (rnn_step(row, h, w_ih, w_hh, b_ih, b_hh, nonlinearity),)

    return run(step, x, (h0,), reverse, batch_sizes)


def lstm(x, h0, c0, w_ih, w_hh, b_ih=None, b_hh=None, peephole=None, reverse=False, batch_sizes=None):
    def step(row, h, c):
        return lstm_step(row, h, c, w_ih, w_hh, b_ih, b_hh, peephole)

    return run(step, x, (h0, c0), reverse, batch_sizes)


def gru(x, h0, w_ih, w_hh, b_ih=None, b_hh=None, reset_after=True, reverse=False, batch_sizes=None):
    def step(row, h):
        return (gru_step(row, h, w_ih, w_hh, b_ih, b_hh, reset_after),)

    return run(step, x, (h0,), reverse, batch_sizes)


def _weights(scores, mask):
    """The softmax of one row of scores, over those that the mask lets through."""
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    if not scores.size or scores.max() == -np.inf:
        return np.zeros_like(scores)
    e = np.exp(scores - scores.max())
    return e / e.sum()


def attend(scores, value, mask):
    """(context, weights) of scores (..., L, S), one query after the other."""
    value = np.broadcast_to(value, (*scores.shape[:-2], *value.shape[-2:]))
    mask = None if mask is None else np.broadcast_to(mask, scores.shape)
    weights = np.zeros(scores.shape)
    context = np.zeros((*scores.shape[:-1], value.shape[-1]))
    for at in np.ndindex(*scores.shape[:-1]):
        weights[at] = _weights(scores[at], None if mask is None else mask[at])
        context[at] = (weights[at][:, None] * value[at[:-1]]).sum(axis=0)
    return context, weights


def scaled_dot_product_attention(q, k, v, attn_mask=None, dropout_p=0.0, is_causal=False, scale=None):
    scores = np.einsum("...le,...se->...ls", q, k) * (q.shape[-1] ** -0.5 if scale is None else scale)
    if is_causal:
        attn_mask = np.tril(np.ones(scores.shape[-2:], dtype=bool))
    return attend(scores, v, attn_mask)[0]


def additive_attention(q, k, v, w_query, w_key, vector, bias=None, attn_mask=None):
    a = (
        np.einsum("...lq,aq->...la", q, w_query)[..., :, None, :]
        + np.einsum("...sk,ak->...sa", k, w_key)[..., None, :, :]
    )
    scores = (np.tanh(a if bias is None else a + bias) * vector).sum(axis=-1)
    return attend(scores, v, attn_mask)
