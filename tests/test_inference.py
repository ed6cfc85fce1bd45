"""`dc.optimize_for_inference`: the same outputs from fewer ops, the given model untouched, and what is left alone."""

from __future__ import annotations

import numpy as np
import pytest

import deepcore as dc
from deepcore import functional as F
from deepcore import nn
from deepcore.autograd.observer import observe
from deepcore.bench.workloads import WORKLOADS
from deepcore.check.tolerance import assert_close
from deepcore.errors import ConfigError


class Ops:
    """An observer that counts ops by name."""

    def __init__(self):
        self.names = []

    def forward(self, fn, arrays):
        self.names.append(fn.name)
        with fn.backend.quiet():
            return fn.forward(*arrays)

    def backward(self, fn, grads):
        return fn.backward(*grads)


def ops(model, x):
    watching = Ops()
    with dc.no_grad(), observe(watching):
        model(x)
    return watching.names


def unsettled(model):
    """The model in evaluation mode with running statistics and affine parameters that are not 0 and 1."""
    rng = np.random.default_rng(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d | nn.BatchNorm3d):
            for t, low, high in ((module.running_mean, -1, 1), (module.running_var, 0.5, 2)):
                if t is not None:
                    t.array[...] = rng.uniform(low, high, t.shape)
            for t in (module.weight, module.bias):
                if t is not None:
                    t.array[...] = rng.uniform(0.5, 1.5, t.shape)
    return model.eval()


def same(model, fast, *example, length=3000):
    with dc.no_grad():
        right, got = model(*example), fast(*example)
    assert_close(got.numpy(), right.numpy(), str(right.dtype), length, "optimize_for_inference")


SMALL = {"resnet20": 2, "vgg_small": 2, "unet": 1, "transformer": 1, "char_lstm": 1}


@pytest.mark.parametrize("name", WORKLOADS)
@pytest.mark.parametrize("traced", [False, True])
def test_the_reference_workloads(name, traced):
    dc.manual_seed(0)
    work = WORKLOADS[name]
    model = unsettled(work.build(nn, F, True))
    x = dc.tensor(work.batch(np.random.default_rng(0), SMALL.get(name, 4))[0])
    before = {key: value.numpy().copy() for key, value in model.state_dict().items()}
    text = repr(model)
    fast = dc.optimize_for_inference(model, *([x] if traced else []))
    same(model, fast, x)
    assert repr(model) == text
    assert all(np.array_equal(before[key], value.numpy()) for key, value in model.state_dict().items())
    assert not any(p.requires_grad for p in fast.parameters())
    names = ops(fast, x)
    assert "dropout" not in names
    if traced:
        assert "batch_norm" not in names


class Block(nn.Module):
    """A residual block whose forward names its modules one by one."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1, self.relu1 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()
        self.conv2, self.bn2, self.relu2 = nn.Conv2d(4, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU()

    def forward(self, x):
        return self.relu2(self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x))))) + x)


def test_blocks_of_ones_own_are_merged_with_an_example():
    model = unsettled(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), Block(), Block()))
    x = dc.tensor(np.random.default_rng(0).standard_normal((2, 3, 6, 7), np.float32))
    assert ops(model, x).count("batch_norm") == 5
    assert ops(dc.optimize_for_inference(model), x).count("batch_norm") == 4
    fast = dc.optimize_for_inference(model, x)
    same(model, fast, x)
    assert sorted(ops(fast, x)) == sorted(["conv2d", *2 * ["conv2d_relu", "conv2d", "add", "relu"]])
    assert type(fast[2].conv1).__name__ == "Conv2dReLU"
    assert type(fast[2].bn1) is nn.Identity


def test_every_layer_that_takes_a_norm_in():
    x1, x2, x3 = (np.random.default_rng(0).standard_normal((2, 4) + (6,) * n) for n in (1, 2, 3))
    for x, layer, norm in [
        (x1, nn.Conv1d(4, 6, 3, padding=1), nn.BatchNorm1d(6)),
        (x2, nn.Conv2d(4, 6, 3, groups=2, bias=False), nn.BatchNorm2d(6, affine=False)),
        (x2, nn.Conv2d(4, 6, 3, padding=1, padding_mode="reflect"), nn.BatchNorm2d(6, eps=0.1)),
        (x3, nn.Conv3d(4, 6, 3), nn.BatchNorm3d(6, bias=False)),
        (x1, nn.ConvTranspose1d(4, 6, 3), nn.BatchNorm1d(6)),
        (x2, nn.ConvTranspose2d(4, 6, 3, stride=2), nn.BatchNorm2d(6)),
        (x3, nn.ConvTranspose3d(4, 6, 2), nn.BatchNorm3d(6)),
        (x1[:, :, 0], nn.Linear(4, 6), nn.BatchNorm1d(6)),
    ]:
        model = unsettled(nn.Sequential(layer, norm, nn.ReLU()).to("float64"))
        x = dc.tensor(x)
        fast = dc.optimize_for_inference(model, x)
        same(model, fast, x, length=200)
        assert type(fast[1]) is nn.Identity


def test_what_is_left_alone():
    x = dc.tensor(np.random.default_rng(0).standard_normal((2, 4, 6, 6), np.float32))
    hooked = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6)).eval()
    hooked[1].register_forward_hook(lambda module, args, output: output * 2)
    batch = nn.Sequential(nn.Conv2d(4, 6, 3), nn.BatchNorm2d(6, track_running_stats=False)).eval()
    grouped = nn.Sequential(nn.ConvTranspose2d(4, 6, 3, groups=2), nn.BatchNorm2d(6)).eval()
    other = nn.Sequential(nn.Conv2d(4, 6, 3), nn.GroupNorm(2, 6), nn.BatchNorm2d(6)).eval()
    shared = nn.BatchNorm2d(4)
    twice = nn.Sequential(nn.Conv2d(4, 4, 1), shared, nn.Conv2d(4, 4, 1), shared).eval()
    for model in (hooked, batch, grouped, other, twice):
        for example in ((), (x,)):
            fast = dc.optimize_for_inference(unsettled(model), *example)
            assert nn.Identity not in {type(m) for m in fast.modules()}
            same(model, fast, x)


def test_sequences_keep_the_norm_that_runs_over_another_axis():
    model = unsettled(nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5)))
    x = dc.tensor(np.random.default_rng(0).standard_normal((3, 5, 4), np.float32))
    for fast in (dc.optimize_for_inference(model), dc.optimize_for_inference(model, x)):
        assert type(fast[1]) is nn.BatchNorm1d
        same(model, fast, x)


class Tapped(nn.Module):
    """A module whose convolution is read twice."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3)

    def forward(self, x):
        y = self.conv(x)
        return self.norm(y) + y


class Both(Tapped):
    """Returns what lies between the two."""

    def forward(self, x):
        y = self.conv(x)
        return self.norm(y), {"between": y}


class Hidden(Tapped):
    """Reads the array behind the tape's back."""

    def forward(self, x):
        y = self.conv(x)
        kept = y.array.copy()
        return self.norm(y) + dc.tensor(kept)


def test_an_output_that_is_read_twice():
    x = dc.tensor(np.random.default_rng(0).standard_normal((2, 2, 5, 5), np.float32))
    for kind in (Tapped, Both):
        fast = dc.optimize_for_inference(unsettled(kind()), x)
        assert type(fast.norm) is nn.BatchNorm2d
    with pytest.raises(ConfigError, match=r"^optimize_for_inference: expected the same outputs.*leave out the example"):
        dc.optimize_for_inference(unsettled(Hidden()), x)
    assert type(dc.optimize_for_inference(unsettled(Hidden())).norm) is nn.BatchNorm2d


def test_training_mode_is_refused():
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout()).eval()
    model[1].train()
    with pytest.raises(ConfigError, match=r"^optimize_for_inference: .*training mode in 1. Hint: model.eval\(\)"):
        dc.optimize_for_inference(model)
    with pytest.raises(ConfigError, match=r"an nn\.Module; got int"):
        dc.optimize_for_inference(3)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_dtypes(dtype):
    model = unsettled(nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU())).to(dtype)
    x = dc.tensor(np.random.default_rng(0).standard_normal((2, 3, 6, 6))).to(dtype)
    fast = dc.optimize_for_inference(model, x)
    assert fast[0].weight.dtype == x.dtype
    same(model, fast, x, length=300)


def test_other_devices(device):
    model = unsettled(nn.Sequential(nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU())).to(device)
    x = dc.tensor(np.ones((2, 3, 6, 6), np.float32), device=device)
    fast = dc.optimize_for_inference(model, x)
    assert fast(x).device == device
