"""`nn.Sequential` runs neighbours together: the same bits as one module after the other, and nobody can tell."""

from __future__ import annotations

import numpy as np
import pytest

import deepcore as dc
from deepcore import nn
from deepcore.autograd.observer import observe


class Plain(nn.Sequential):
    """One module after the other."""

    def forward(self, x):
        for module in self:
            x = module(x)
        return x


class Names:
    """An observer that notes which ops run forward."""

    def __init__(self):
        self.names = []

    def forward(self, fn, arrays):
        self.names.append(fn.name)
        return fn.forward(*arrays)

    def backward(self, fn, grads):
        return fn.backward(*grads)


def models():
    """(name, modules, shape of the input)"""
    yield "linear", [nn.Linear(7, 5), nn.ReLU(), nn.Linear(5, 3), nn.ReLU()], (6, 7)
    yield "linear, a sequence without bias", [nn.Linear(7, 5, bias=False), nn.ReLU()], (2, 3, 7)
    yield "conv", [nn.Conv2d(3, 5, 3, padding=1), nn.ReLU(), nn.Conv2d(5, 2, 1, bias=False), nn.ReLU()], (2, 3, 9, 7)
    yield "conv, same, even kernel", [nn.Conv2d(3, 20, 4, padding="same"), nn.ReLU()], (2, 3, 9, 7)
    yield "norm of vectors", [nn.Linear(7, 5, bias=False), nn.BatchNorm1d(5), nn.ReLU()], (6, 7)
    yield "norm of images", [nn.BatchNorm2d(3, affine=False), nn.ReLU(), nn.BatchNorm2d(3), nn.ReLU()], (4, 3, 5, 7)
    yield "norm and pooling", [nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2)], (4, 3, 6, 8)
    yield "norm, evaluated", [nn.BatchNorm2d(3).eval(), nn.ReLU()], (4, 3, 5, 7)
    yield "conv and pooling", [nn.Conv2d(2, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.ReLU()], (3, 2, 11, 10)
    yield (
        "pooling that overlaps",
        [nn.ReLU(), nn.MaxPool2d(3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2, 0, 2)],
        (2, 2, 11, 9),
    )
    yield "pooling of borders", [nn.ReLU(), nn.MaxPool2d(2, 1, 1, dilation=3)], (1, 2, 2, 5)


def step(model, x, device):
    """Output, gradient of the input and of every parameter, as bytes; and the output's graph differentiated twice."""
    x = dc.tensor(x, device=device, requires_grad=True)
    model.zero_grad()
    y = model(x)
    weight = dc.tensor(np.cos(np.arange(y.array.size)).astype(y.dtype).reshape(y.shape), device=device)
    (y * weight).sum().backward()
    found = [y, x.grad, *(p.grad for p in model.parameters())]
    (gx,) = dc.autograd.grad((model(x) * weight).sum(), x, create_graph=True)
    if gx.requires_grad:
        found += [
            g for g in dc.autograd.grad((gx * gx).sum(), list(model.parameters()), allow_unused=True) if g is not None
        ]
    return [t.detach().cpu().numpy().tobytes() for t in found]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", [name for name, *_ in models()])
def test_the_same_bits(device, name, dtype):
    modules, shape = next((m, s) for n, m, s in models() if n == name)
    together = nn.Sequential(*modules).to(device, dtype)
    rng = np.random.default_rng(0)
    for x in (rng.standard_normal(shape), np.zeros(shape), rng.integers(-1, 2, shape)):
        x = x.astype(dtype)
        assert step(together, x, device) == step(Plain(*modules), x, device)


def test_what_runs():
    ran = []
    originals = dict(nn.fusion.PAIRS)
    for pair, way in originals.items():
        nn.fusion.PAIRS[pair] = lambda a, b, x, way=way: (
            ran.append((type(a).__name__, type(b).__name__)) or way(a, b, x)
        )
    try:
        model = nn.Sequential(
            *(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Conv2d(2, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()),
            *(nn.Linear(8, 4), nn.ReLU(), nn.Linear(4, 2)),
        )
        x = dc.ones(1, 1, 8, 8)
        model(x)
        assert ran == [("Conv2d", "ReLU"), ("ReLU", "MaxPool2d"), ("Linear", "ReLU")]
    finally:
        nn.fusion.PAIRS.update(originals)


def test_hooks_and_own_forwards_are_called():
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    x = dc.ones(1, 3)
    seen = []
    handle = model[0].register_forward_hook(lambda module, args, output: seen.append(output.shape))
    model(x)
    handle.remove()
    handle = model[1].register_forward_pre_hook(lambda module, args: seen.append("relu"))
    model(x)
    handle.remove()
    model(x)
    assert seen == [(1, 2), "relu"]
    model[1].forward = lambda x: x + 100
    assert model(x).min().item() > 50


def test_a_subclass_stays_itself():
    class Loud(nn.Linear):
        def forward(self, x):
            return super().forward(x) + 100

    assert nn.Sequential(Loud(3, 2), nn.ReLU())(dc.ones(1, 3)).min().item() > 50


def test_an_observer_sees_single_ops():
    watching = Names()
    with observe(watching):
        nn.Sequential(nn.Linear(3, 2), nn.ReLU())(dc.ones(1, 3))
    assert watching.names == ["linear", "relu"]


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_anomaly_mode_names_the_op():
    model = nn.Sequential(nn.Linear(3, 2), nn.ReLU())
    with dc.autograd.detect_anomaly(), pytest.raises(dc.errors.DeepcoreError, match="linear"):
        model(dc.tensor([[np.inf, -np.inf, 0.0]]))
