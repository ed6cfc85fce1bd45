"""Connectionist temporal classification: all alignments of a label sequence with a longer one, by forward-backward.

Graves et al., "Connectionist temporal classification", 2006, section 4. A label sequence of S labels is read as the
2 S + 1 states blank, l1, blank, l2, ..., blank. From one time step to the next an alignment stays in its state, goes on
by one, or skips a blank between two different labels. Everything is kept as logarithms, which cannot underflow.
"""

from __future__ import annotations

from deepcore.backends.base.array import accumulator


class Ctc:
    """The CTC loss and its gradient; a mixin of Backend.

    T time, N batch, C classes, S the longest label sequence. log_probs (T, N, C); targets (N, S) integers, of which
    the first target_lengths[n] count; input_lengths (N,) and target_lengths (N,) integers.
    """

    def ctc_loss(self, log_probs, targets, input_lengths, target_lengths, blank):
        """Return (losses, alpha): -log of the probability of every label sequence (N,), inf where none fits, and the
        logarithms (T, N, 2 S + 1) of the probability of all alignments that are in a state after a time step.

        Labels outside 0..C-1 and lengths outside 0..T and 0..S give NaN, because a device cannot raise.
        """
        xp = self.xp
        steps = log_probs.shape[0]
        wide = accumulator(log_probs.dtype)
        states, known, skips = states_of(xp, targets, target_lengths, log_probs.shape[2], blank)
        emitted = _emitted(xp, log_probs, states, wide)
        emitted = xp.where(known, emitted, xp.nan)
        count = states.shape[1]
        now = xp.where(xp.arange(count) == 0, xp.zeros(states.shape, wide), -xp.inf)  # before the first step
        alpha = xp.empty((steps, *states.shape), dtype=wide)
        with self.quiet():  # log(0) is -inf
            for t in range(steps):
                step = _sum_of_three(xp, now, _shifted(xp, now, 1), xp.where(skips, _shifted(xp, now, 2), -xp.inf))
                now = xp.where((t < input_lengths).reshape(-1, 1), step + emitted[t], now)
                alpha[t] = now
            losses = -_log_sum(xp, xp.where(endings(xp, target_lengths, count), now, -xp.inf))
        valid = (input_lengths >= 0) & (input_lengths <= steps) & (target_lengths >= 0)
        losses = xp.where(valid & (2 * target_lengths < count), losses, xp.nan)
        return losses, alpha

    def ctc_loss_grad(self, g, log_probs, targets, input_lengths, target_lengths, blank, losses, alpha):
        """Return the gradient (T, N, C) with respect to log_probs, g (N,) being that of every loss.

        It is minus the probability, given the labels, of emitting a class at a time step: alpha times beta over the
        whole (eq. 14). Where the loss is inf, it is NaN; the caller decides what becomes of it.
        """
        xp = self.xp
        steps, n, classes = log_probs.shape
        wide = accumulator(log_probs.dtype)
        states, _, skips = states_of(xp, targets, target_lengths, classes, blank)
        emitted = _emitted(xp, log_probs, states, wide)
        count = states.shape[1]
        skips = xp.concatenate([skips[:, 2:], xp.zeros((n, min(2, count)), dtype="bool")], axis=1)
        # beta: all ways to go on from a state after a time step
        now = xp.where(endings(xp, target_lengths, count), xp.zeros(states.shape, wide), -xp.inf)
        share = xp.empty((steps, *states.shape), dtype=wide)
        with self.quiet():
            for t in range(steps - 1, -1, -1):
                inside = (t < input_lengths).reshape(-1, 1)
                share[t] = xp.where(inside, -g.reshape(-1, 1) * xp.exp(alpha[t] + now + losses.reshape(-1, 1)), 0)
                go = now + emitted[t]
                step = _sum_of_three(xp, go, _shifted(xp, go, -1), xp.where(skips, _shifted(xp, go, -2), -xp.inf))
                now = xp.where(inside, step, now)
        # Label by label no place is met twice, so a GPU needs no atomic additions, whose sums differ from run to run.
        grad = xp.zeros(log_probs.shape, dtype=wide)
        grad[:, :, blank] = share[:, :, 0::2].sum(axis=2)
        for s in range(1, count, 2):
            grad[(xp.arange(steps).reshape(-1, 1), xp.arange(n), states[:, s])] += share[:, :, s]
        return grad.astype(log_probs.dtype, copy=False)


def states_of(xp, targets, target_lengths, classes, blank):
    """Return the states (N, 2 S + 1) as classes, which of them exist, and which may be reached by a skip."""
    n, longest = targets.shape
    used = xp.arange(longest) < target_lengths.reshape(-1, 1)
    labels = xp.where(used, targets, blank)
    states = xp.full((n, 2 * longest + 1), blank, dtype="int64")
    states[:, 1::2] = labels
    skips = xp.zeros(states.shape, dtype="bool")
    if longest > 1:
        skips[:, 3::2] = labels[:, 1:] != labels[:, :-1]
    inside = xp.clip(states, 0, classes - 1)
    return inside, inside == states, skips


def _emitted(xp, log_probs, states, dtype):
    """Return log_probs of the class of every state: (T, N, 2 S + 1)."""
    steps, n = log_probs.shape[:2]
    index = (xp.arange(steps).reshape(-1, 1, 1), xp.arange(n).reshape(-1, 1), states)
    return log_probs[index].astype(dtype, copy=False)


def endings(xp, target_lengths, count):
    """Return where an alignment may end: at the last label or at the blank behind it."""
    state, last = xp.arange(count), 2 * target_lengths.reshape(-1, 1)
    return (state == last) | (state == last - 1)


def _shifted(xp, x, by):
    """Return x moved along its last axis by `by` places, -inf coming in."""
    out = xp.full(x.shape, -xp.inf, dtype=x.dtype)
    if by > 0:
        out[:, by:] = x[:, :-by]
    else:
        out[:, :by] = x[:, -by:]
    return out


def _sum_of_three(xp, a, b, c):
    """Return log(exp(a) + exp(b) + exp(c)), -inf where all are."""
    top = xp.maximum(xp.maximum(a, b), c)
    top = xp.where(top == -xp.inf, 0, top)
    return xp.log(xp.exp(a - top) + xp.exp(b - top) + xp.exp(c - top)) + top


def _log_sum(xp, x):
    """Return log(sum(exp(x))) along the last axis, -inf where all are."""
    top = x.max(axis=1, keepdims=True)
    top = xp.where(top == -xp.inf, 0, top)
    return xp.log(xp.exp(x - top).sum(axis=1)) + top.reshape(-1)
