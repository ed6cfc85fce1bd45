"""Oracles in float64 for the losses of probability, segmentation and label sequences, and for information theory."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy import special


def reduce(loss, reduction):
    """The losses reduced as PyTorch does."""
    loss = np.asarray(loss)
    if reduction == "none":
        return loss
    if reduction == "batchmean":
        return loss.sum() / (loss.shape[0] if loss.ndim else 1)
    total = loss.sum()
    return total if reduction == "sum" else total / loss.size if loss.size else np.nan


def kl_div(x, target, reduction="mean", log_target=False):
    """target * (log(target) - x); rel_entr(t, q) is t log(t / q)."""
    t = np.exp(target) if log_target else target
    losses = special.rel_entr(t, np.exp(x))
    if reduction == "batchmean":  # the batch is that of x, before it is broadcast
        return losses.sum() / (x.shape[0] if x.ndim else 1)
    return reduce(losses, reduction)


def gaussian_nll_loss(x, target, var, full=False, eps=1e-6, reduction="mean"):
    """-log of the density of a normal distribution, element by element."""
    var = np.asarray(var, dtype=np.float64)
    if var.shape == x.shape[:-1] and var.shape != x.shape and var.ndim:
        var = var[..., None]
    x, target, var = np.broadcast_arrays(x, target, np.maximum(var, eps))
    loss = np.empty(x.shape)
    for i in np.ndindex(*x.shape):
        density = math.exp(-((x[i] - target[i]) ** 2) / (2 * var[i])) / math.sqrt(2 * math.pi * var[i])
        loss[i] = -math.log(density) - (0 if full else math.log(2 * math.pi) / 2)
    return reduce(loss, reduction)


def poisson_nll_loss(x, target, log_input=True, full=False, eps=1e-8, reduction="mean"):
    """Minus target * log(rate) - rate, and Stirling's formula for counts above 1."""
    x, target = np.broadcast_arrays(x, target)
    loss = np.empty(x.shape)
    for i in np.ndindex(*x.shape):
        rate, log_rate = (math.exp(x[i]), x[i]) if log_input else (x[i], math.log(x[i] + eps))
        loss[i] = rate - target[i] * log_rate
        if full and target[i] > 1:
            loss[i] += target[i] * math.log(target[i]) - target[i] + 0.5 * math.log(2 * math.pi * target[i])
    return reduce(loss, reduction)


def vae_loss(x, target, mu, logvar, reconstruction="bce", reduction="mean"):
    """Reconstruction plus the divergence of N(mu, var) from N(0, 1), row by row."""
    rows = []
    for n in range(x.shape[0]):
        if reconstruction == "mse":
            error = ((x[n] - target[n]) ** 2).sum() / 2
        else:
            p = special.expit(x[n]) if reconstruction == "bce_with_logits" else x[n]
            error = special.xlogy(target[n], 1 / p).sum() + special.xlogy(1 - target[n], 1 / (1 - p)).sum()
        divergence = 0.0
        for m, v in zip(mu[n].ravel(), logvar[n].ravel(), strict=True):
            divergence += -math.log(math.sqrt(math.exp(v))) + (math.exp(v) + m * m) / 2 - 0.5
        rows.append(error + divergence)
    return reduce(np.array(rows), reduction)


def sigmoid_focal_loss(x, target, alpha=0.25, gamma=2, reduction="none"):
    """-alpha_t (1 - p_t)^gamma log(p_t), for hard targets; for soft ones the factors are mixed, as in torchvision."""
    loss = np.empty(x.shape)
    for i in np.ndindex(*x.shape):
        t = target[i]
        entropy = t * np.logaddexp(0, -x[i]) + (1 - t) * np.logaddexp(0, x[i])
        p_t = special.expit(x[i]) * t + special.expit(-x[i]) * (1 - t)
        weight = alpha * t + (1 - alpha) * (1 - t) if alpha >= 0 else 1
        loss[i] = weight * max(1 - p_t, 0) ** gamma * entropy
    return reduce(loss, reduction)


def focal_loss(x, target, gamma=2.0, ignore_index=-100, reduction="mean"):
    """(1 - p)^gamma * -log(p) of the target's probability p."""
    if x.ndim == 1:
        loss = focal_loss(x[None], np.asarray(target)[None], gamma, ignore_index, "none")[0]
        return np.asarray(loss)
    p = special.softmax(x, axis=1)
    loss = np.zeros(target.shape)
    for i in np.ndindex(*target.shape):
        if target[i] != ignore_index:
            own = p[(i[0], target[i], *i[1:])]
            loss[i] = (1 - own) ** gamma * -math.log(own)
    if reduction == "mean":
        return loss.sum() / (target != ignore_index).sum() if target.size else np.nan
    return reduce(loss, reduction)


def dice_loss(p, target, smooth=1.0, reduction="mean"):
    """One minus twice the overlap over the sizes, for each class of each image."""
    loss = np.empty(p.shape[:2])
    for i in np.ndindex(*loss.shape):
        overlap = (p[i] * target[i]).sum()
        loss[i] = 1 - (2 * overlap + smooth) / (p[i].sum() + target[i].sum() + smooth)
    return reduce(loss, reduction)


def ctc_loss(log_probs, targets, input_lengths, target_lengths, blank=0, reduction="mean", zero_infinity=False):
    """The definition: add up the probabilities of all paths that collapse to the labels."""
    alone = log_probs.ndim == 2
    if alone:
        log_probs = log_probs[:, None]
        targets = targets[None]
    n, classes = log_probs.shape[1:]
    input_lengths, target_lengths = (np.asarray(a).reshape(n).astype(int) for a in (input_lengths, target_lengths))
    losses, start = np.empty(n), 0
    for i in range(n):
        count = target_lengths[i]
        labels = targets[start : start + count] if targets.ndim == 1 else targets[i, :count]
        start += count
        probability = 0.0
        for path in itertools.product(range(classes), repeat=int(input_lengths[i])):
            merged = [c for c, _ in itertools.groupby(path) if c != blank]
            if merged == labels.tolist():
                probability += math.exp(sum(log_probs[t, i, c] for t, c in enumerate(path)))
        losses[i] = -math.log(probability) if probability else 0.0 if zero_infinity else math.inf
    if reduction == "mean":
        losses = losses / np.maximum(target_lengths, 1)
    elif alone:
        return losses.sum()
    return reduce(losses, reduction)
