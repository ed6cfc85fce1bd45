"""Monte Carlo arithmetic: a float64 run with the rounding errors of a coarser arithmetic put into it at random.

Every floating input and output of every Function, forward and backward, is multiplied elementwise by 1 + eps * u with
u uniform in [-1, 1] (Parker, "Monte Carlo Arithmetic", 1997; Denis, de Oliveira Castro and Petit, "Verificarlo", 2016;
Fevotte and Lathuiliere, "Verrou", 2016). How far such runs lie from one without noise is what rounding explains: with
all that the model does to rounding errors, growth and cancellation (Sohier et al., "Confidence intervals for
stochastic arithmetic", 2021). Noise on the inputs is what finds cancellation inside of one op: x - mean(x) loses the
digits that x and its mean have in common, and the result alone does not show it.

Where an op's backward is one kernel, what is rounded inside of it is seen from neither end: batch normalisation
subtracts a mean, whose one rounding error shifts all elements alike. Such an op has a `formula`, of differentiable
Functions; its backward goes through that, with noise on each of them.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from deepcore.autograd import Function, enable_grad, engine, wrap

PRODUCTS = frozenset(
    [
        "matmul",
        "linear",
        "conv2d",
        "conv_transpose2d",
        "conv2d_weight",
        "rnn",
        "lstm",
        "gru",
        "rnn_cell",
        "lstm_cell",
        "gru_cell",
        "scaled_dot_product_attention",
    ]
)
"""The Functions that are matrix products or contain them: tf32 rounds their inputs."""

POOL = (1 << 20) - 3
"""Random numbers are drawn once and used again from another place: an odd number, so that places do not align."""


@functools.lru_cache(maxsize=4)
def _pool(eps: float) -> np.ndarray:
    """Factors 1 + eps * u, drawn once: every noise begins at places of its own."""
    return 1.0 + eps * np.random.default_rng(20240229).uniform(-1.0, 1.0, POOL)


class Noise:
    """An observer (deepcore.autograd.observer) that adds noise; for host backends.

    eps: the distance from 1 to the next number of the imitated dtype; product_eps: the same for what goes into matrix
    products. Whole numbers are left as they are (0 and 1, masks, counts: they are exact in every dtype), an array
    inside of [-1, 1] stays inside (probabilities), and views are not touched.
    """

    def __init__(self, eps: float, product_eps: float, seed: int) -> None:
        self.eps, self.product_eps = eps, product_eps
        self._random = np.random.default_rng(seed)

    def forward(self, fn: Function, arrays: list[Any]) -> Any:
        """Run a Function's forward on noisy inputs, and return noisy outputs."""
        if fn.view or fn.output_backend is not None:
            return fn.forward(*arrays)
        eps = self.product_eps if fn.name in PRODUCTS else self.eps
        arrays[:] = [self.add(a, eps) for a in arrays]
        with fn.backend.quiet():
            result = fn.forward(*arrays)
        several = type(result) is tuple
        outputs = result if several else (result,)
        noisy = tuple([self.add(y, self.eps) for y in outputs])
        # An output that is saved for backward is the one that goes on.
        fn.saved = tuple([_other(s, outputs, noisy) for s in fn.saved])
        return noisy if several else noisy[0]

    def backward(self, fn: Function, grads: list[Any]) -> Any:
        """Run a Function's backward on noisy gradients, and return noisy gradients."""
        if fn.view or fn.output_backend is not None:
            return fn.backward(*grads)
        eps = self.product_eps if fn.name in PRODUCTS else self.eps
        noisy = [self.add(g, eps) for g in grads]
        results = fn.backward(*noisy) if fn.formula is None or not fn.needs else _through_formula(fn, noisy)
        results = results if type(results) is tuple else (results,)
        return tuple([self.add(g, self.eps) for g in results])

    def add(self, x: Any, eps: float | None = None) -> Any:
        """A noisy copy of a floating host array (a NumPy scalar becomes an array); anything else as it is."""
        if not isinstance(x, np.ndarray | np.floating) or x.dtype.kind != "f" or not x.size:
            return x
        x = np.asarray(x)
        y = np.asarray(x * self._factors(x, self.eps if eps is None else eps))
        np.copyto(y, x, where=x == np.rint(x))
        if np.abs(x.reshape(-1)[:64]).max() <= 1.0 and x.max() <= 1.0 and x.min() >= -1.0:
            np.clip(y, -1.0, 1.0, out=y)
        return y

    def add_(self, x: np.ndarray) -> None:
        """Add noise in place."""
        x[...] = self.add(x)

    def _factors(self, x: np.ndarray, eps: float) -> np.ndarray:
        """1 + eps * u in the shape of x."""
        pool, start = _pool(eps), int(self._random.integers(POOL))
        if x.size <= POOL - start:
            return pool[start : start + x.size].reshape(x.shape)
        return pool[np.arange(start, start + x.size) % POOL].reshape(x.shape)


class TiedNoise(Noise):
    """Noise that is the same for equal values, so that a tie stays a tie: for ops that return places."""

    def _factors(self, x: np.ndarray, eps: float) -> np.ndarray:
        bits = np.ascontiguousarray(x, dtype=np.float64).view(np.uint64).reshape(x.shape)
        with np.errstate(over="ignore"):  # SplitMix64's mixing of the bits
            mixed = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
            mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return 1.0 + eps * ((mixed >> np.uint64(11)).astype(np.float64) * 2.0**-52 - 1.0)


def _through_formula(fn: Function, grads: list[Any]) -> tuple[Any, ...]:
    """The gradients of an op by the Functions of its formula; the observer that is on sees each of them."""
    assert fn.formula is not None
    inputs = []
    for x, needed in zip(fn.saved, fn.needs, strict=False):
        tensor = wrap(x, fn.backend) if isinstance(x, fn.backend.array_type) else x
        if needed:
            tensor.requires_grad = True
        inputs.append(tensor)
    wanted = [i for i, needed in enumerate(fn.needs) if needed]
    with enable_grad():
        outputs = fn.formula(*inputs)
    outputs = outputs if type(outputs) is tuple else (outputs,)
    pairs = [(y, wrap(g, fn.backend)) for y, g in zip(outputs, grads, strict=False) if g is not None]
    found = engine.differentiate(
        [y for y, _ in pairs], [inputs[i] for i in wanted], [g for _, g in pairs], allow_unused=True
    )
    results: list[Any] = [None] * len(fn.needs)
    for i, g in zip(wanted, found, strict=True):
        results[i] = None if g is None else g.array
    return tuple(results)


def _other(s: Any, outputs: tuple[Any, ...], noisy: tuple[Any, ...]) -> Any:
    for y, z in zip(outputs, noisy, strict=True):
        if s is y:
            return z
    return s
