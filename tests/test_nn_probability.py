"""The modules of likelihoods, divergences and label sequences, and CTC on longer sequences than its entry has."""

from __future__ import annotations

import math

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import nn
from deepcore.check.tolerance import assert_close
from deepcore.errors import ConfigError, DeviceError

RNG = np.random.default_rng(5)


def host(tensor: dc.Tensor) -> np.ndarray:
    return tensor.backend.to_host(tensor.array)


def test_modules_pass_their_settings_on(device: str) -> None:
    x, t, v = (dc.tensor(RNG.uniform(0.2, 2.0, (3, 4)), device=device) for _ in range(3))
    pairs = [
        (nn.KLDivLoss(reduction="batchmean", log_target=True)(x, t), F.kl_div(x, t, "batchmean", True)),
        (nn.KLDivLoss()(x, t), F.kl_div(x, t)),
        (nn.GaussianNLLLoss(full=True, eps=0.7)(x, t, v), F.gaussian_nll_loss(x, t, v, True, 0.7)),
        (nn.GaussianNLLLoss(reduction="sum")(x, t, 2.0), F.gaussian_nll_loss(x, t, 2.0, reduction="sum")),
        (nn.PoissonNLLLoss(False, True, eps=0.1)(x, t), F.poisson_nll_loss(x, t, False, True, 0.1)),
        (nn.PoissonNLLLoss(reduction="none")(x, t), F.poisson_nll_loss(x, t, reduction="none")),
    ]
    for got, want in pairs:
        assert_close(host(got), host(want), "float64")


def test_modules_refuse_what_is_unknown() -> None:
    for make in (nn.KLDivLoss, nn.GaussianNLLLoss, nn.PoissonNLLLoss, nn.CTCLoss):
        with pytest.raises(ConfigError, match=f"^{make.__name__}: expected reduction .*average"):
            make(reduction="average")
    with pytest.raises(ConfigError, match="CTCLoss: expected blank"):
        nn.CTCLoss(blank=-1)


def test_kl_div_of_softmaxes_is_the_divergence(device: str) -> None:
    """'batchmean' of log_softmax is the textbook's number."""
    logits, p = RNG.standard_normal((2, 3)), np.array([[0.2, 0.3, 0.5], [1.0, 0.0, 0.0]])
    q = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    want = sum(a * math.log(a / b) for a, b in zip(p.ravel(), q.ravel(), strict=True) if a) / 2
    log_q = F.log_softmax(dc.tensor(logits, device=device), 1)
    assert_close(
        host(nn.KLDivLoss(reduction="batchmean")(log_q, dc.tensor(p, device=device))), np.array(want), "float64", 6
    )


def test_the_variance_below_eps_keeps_its_gradient(device: str) -> None:
    """As in PyTorch: the variance is raised for the value, and its gradient is that at eps."""
    var = dc.tensor([0.0, 0.1], device=device, requires_grad=True)
    zero = dc.zeros(2, device=device)
    F.gaussian_nll_loss(zero, zero + 1, var, eps=0.5, reduction="sum").backward()
    assert host(var.grad).tolist() == [0.5 * (1 / 0.5 - 1 / 0.25)] * 2


# --- CTC --------------------------------------------------------------------------------------------------------------


def ctc_by_rows(log_probs: np.ndarray, labels: list[int], blank: int) -> float:
    """Minus the logarithm of the sum over alignments, by the recursion on probabilities, one number at a time."""
    states = [blank]
    for label in labels:
        states += [label, blank]
    p = np.exp(log_probs)
    alpha = [p[0, states[0]]] + ([p[0, states[1]]] if labels else []) + [0.0] * (len(states) - 2)
    for t in range(1, len(p)):
        before = alpha
        alpha = []
        for s, c in enumerate(states):
            total = before[s] + (before[s - 1] if s else 0.0)
            if s > 1 and c not in (blank, states[s - 2]):
                total += before[s - 2]
            alpha.append(total * p[t, c])
    return -math.log(alpha[-1] + (alpha[-2] if labels else 0.0))


def test_ctc_of_long_sequences(device: str) -> None:
    steps, n, classes, longest = 40, 3, 7, 9
    logits = RNG.standard_normal((steps, n, classes))
    log_probs = logits - np.log(np.exp(logits).sum(2, keepdims=True))
    targets, inputs, lengths = RNG.integers(1, classes, (n, longest)), [40, 31, 22], [9, 4, 0]
    sizes = list(enumerate(zip(inputs, lengths, strict=True)))
    want = [ctc_by_rows(log_probs[:t, i], targets[i, :k].tolist(), 0) for i, (t, k) in sizes]
    loss = nn.CTCLoss(reduction="none")
    got = loss(dc.tensor(log_probs, device=device), dc.tensor(targets, device=device), inputs, lengths)
    assert_close(host(got), np.array(want), "float64", steps)
    x = dc.tensor(logits, device=device, requires_grad=True)
    loss(F.log_softmax(x, -1), dc.tensor(targets, device=device), inputs, lengths).sum().backward()
    gradient = host(x.grad)
    assert_close(gradient.sum(-1), np.zeros((steps, n)), "float64", steps)  # of a softmax
    assert not gradient[31:, 1].any()  # behind the end of the input


def test_ctc_does_not_underflow(device: str) -> None:
    """A probability of exp(-3000) is no number, its logarithm is."""
    log_probs = dc.full((1000, 1, 2), -3.0, dtype="float32", device=device)
    got = F.ctc_loss(log_probs, dc.tensor([[1]], device=device), (1000,), (1,), reduction="sum").item()
    assert got == pytest.approx(3000 - math.log(1000 * 1001 / 2), rel=1e-5)


def test_ctc_of_impossible_sequences(device: str) -> None:
    x = dc.tensor(np.log(np.full((2, 2, 3), 1 / 3)), device=device, requires_grad=True)
    targets, inputs, lengths = dc.tensor([[1, 1], [1, 2]], device=device), (2, 2), (2, 2)  # 1 1 takes three steps
    assert F.ctc_loss(x, targets, inputs, lengths).item() == math.inf
    nn.CTCLoss(zero_infinity=True, reduction="sum")(x, targets, inputs, lengths).backward()
    assert not host(x.grad)[:, 0].any()
    assert_close(host(x.grad)[:, 1], np.array([[0.0, -1.0, 0.0], [0.0, 0.0, -1.0]]), "float64")
    x.grad = None
    F.ctc_loss(x, targets, inputs, lengths, reduction="sum").backward()
    assert np.isnan(host(x.grad)[:, 0]).any()


def test_ctc_takes_lengths_from_the_host(device: str) -> None:
    x = F.log_softmax(dc.tensor(RNG.standard_normal((4, 2, 3)), device=device), -1)
    targets, row = dc.tensor([[1, 2], [2, 0]], device=device), dc.tensor([1, 2, 2], device=device)
    want = F.ctc_loss(x, targets, (4, 3), (2, 1)).item()
    on_host = [dc.tensor([4, 3], device="numpy"), dc.tensor([2, 1], device="numpy")]
    there = [dc.tensor([4, 3], device=device), dc.tensor([2, 1], device=device, dtype="int32")]
    for labels in (targets, row):
        for lengths in (on_host, there, [np.array([4, 3]), [2, 1]]):
            assert F.ctc_loss(x, labels, *lengths).item() == pytest.approx(want)


def test_ctc_refuses_other_devices() -> None:
    x, targets = dc.zeros(2, 1, 3, device="numpy"), dc.tensor([[1]], device="numpy")
    with pytest.raises(DeviceError, match="ctc_loss: expected log_probs and targets on one device"):
        F.ctc_loss(x, targets.to("strict"), (2,), (1,))
    with pytest.raises(DeviceError, match="ctc_loss: expected input_lengths on numpy or on the host"):
        F.ctc_loss(x, targets, dc.tensor([2], device="strict"), (1,))


def test_losses_learn() -> None:
    """A few steps of gradient descent lower each loss."""
    targets, lengths = dc.tensor([[1, 2], [2, 1]]), ((6, 6), (2, 2))
    hard = dc.tensor(RNG.integers(0, 2, (2, 3, 4)).astype(np.float32))
    losses = [
        lambda x: F.ctc_loss(F.log_softmax(x.reshape(6, 2, 4), -1), targets, *lengths),
        lambda x: F.dice_loss(F.sigmoid(x.reshape(2, 3, 8)[..., :4]), hard),
        lambda x: F.sigmoid_focal_loss(x.reshape(2, 3, 8)[..., :4], hard, reduction="mean"),
    ]
    for loss in losses:
        x = dc.tensor(RNG.standard_normal(48).astype(np.float32), requires_grad=True)
        first = loss(x).item()
        for _ in range(20):
            (g,) = dc.autograd.grad([loss(x)], [x])
            x = (x.detach() - g).requires_grad_()
        assert loss(x).item() < first
