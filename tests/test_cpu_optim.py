"""The optimisers' kernels on device "cpu": one pass over all parameters, wherever the range is cut."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from deepcore.backends import get_backend
from deepcore.backends.cpu import optim
from deepcore.check.tolerance import assert_close

SHAPES = [(3, 5), (1,), (7, 2, 3), (70,), (), (33, 3)]


def arrays(dtype, seed, positive=False):
    rng = np.random.default_rng(seed)
    made = [np.asarray(rng.standard_normal(shape)).astype(dtype) for shape in SHAPES]
    return [np.asarray(np.abs(a)) for a in made] if positive else made


def sgd(backend, lists, momentum=0.9, nesterov=False, first=False):
    params, grads, buffers, _, _ = lists
    backend.sgd_update(params, grads, buffers if momentum else None, 0.1, momentum, 0.2, 0.03, nesterov, True, first)


def adam(backend, lists, amsgrad=False, decoupled=False):
    params, grads, means, squares, largest = lists
    most = largest if amsgrad else None
    backend.adam_update(params, grads, means, squares, most, 3, 0.1, 0.9, 0.99, 1e-8, 0.03, decoupled, False)


STEPS = {
    "sgd": sgd,
    "sgd without momentum": lambda b, lists: sgd(b, lists, momentum=0),
    "sgd, first": lambda b, lists: sgd(b, lists, first=True),
    "sgd, Nesterov": lambda b, lists: sgd(b, lists, nesterov=True),
    "adam": adam,
    "amsgrad": lambda b, lists: adam(b, lists, amsgrad=True),
    "adamw": lambda b, lists: adam(b, lists, decoupled=True),
}


def stepped(step, device, dtype):
    lists = [arrays(dtype, seed, positive=seed > 2) for seed in range(5)]
    step(get_backend(device), lists)
    return lists


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", STEPS)
def test_all_parameters_at_once(name, dtype):
    right = stepped(STEPS[name], "numpy", "float64")
    for mine, theirs in zip(stepped(STEPS[name], "cpu", dtype), right, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            assert_close(a, b, dtype, 9, name)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", STEPS)
def test_the_same_bits_wherever_the_range_is_cut(name, dtype, monkeypatch):
    class Cut:
        def __init__(self, *places):
            self.places = places

        def run(self, kernel, count, cost, *args):
            bounds = [0, *self.places, count]
            for first, last in itertools.pairwise(bounds):
                kernel(first, last, *args)

    found = []
    for places in ((), (15,), (16, 17), (1, 60, 61, 100)):
        monkeypatch.setattr(optim, "team", Cut(*places))
        found.append([a.tobytes() for arrays in stepped(STEPS[name], "cpu", dtype) for a in arrays])
    assert all(bits == found[0] for bits in found)
