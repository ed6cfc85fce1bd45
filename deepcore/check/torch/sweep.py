"""More samples than an entry's own, drawn from them, so that what we did not think of is compared too.

A drawn sample is one of the entry's with one thing changed: other numbers, other sizes, other options, or (for ops that
work element by element) infinities, NaN, -0.0 and numbers at both ends of the range. Sizes and options are often
wrong after that: then both frameworks have to refuse them.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from deepcore.check.opdb import OpCase, Sample
from deepcore.dtypes import finfo

Change = Callable[[tuple[Any, ...], np.random.Generator], tuple[Any, ...]]

SPECIAL = (np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-310, 1e-30, -1e-30, 1e30, -1e30, 1e300, -700.0, 89.0, 30.0, 1.0, -1.0)
"""Numbers where functions have poles, kinks and limits: subnormal, tiny, huge, where exp overflows, and so on."""

LARGEST = 4096
"""Elements of a drawn sample: enough for several blocks of a kernel, few enough to be quick."""


def is_special(sample: Sample) -> bool:
    """Whether the sample was drawn with infinities, NaN and the like among its numbers."""
    return sample.name.startswith("drawn") and ": specials of " in sample.name


def is_drawn(sample: Sample) -> bool:
    """Whether the sample comes from `draw`."""
    return sample.name.startswith("drawn ")


def nudged(sample: Sample, dtype: str) -> Sample:
    """The sample with every number moved up or down by one rounding error of the dtype."""
    rng = np.random.default_rng(5)
    eps = float(finfo(dtype).eps)
    moved = (a * (1 + eps * rng.choice([-1.0, 1.0], a.shape)) if _is_real(a) else a for a in sample.args)
    return replace(sample, args=tuple(np.asarray(a) if isinstance(a, np.generic) else a for a in moved))


def draw(case: OpCase, count: int, special: bool, seed: int = 0) -> Iterator[Sample]:
    """`count` samples drawn from those of the entry, the same at each call; `special` allows infinities and so on."""
    rng = np.random.default_rng([seed, zlib.crc32(case.name.encode())])
    samples = case.make_samples()
    options: dict[str, list[Any]] = {}
    for s in samples:
        for name, value in s.kwargs.items():
            options.setdefault(name, []).append(value)
    kinds: list[Change] = [numbers, sizes, *([specials] * 2 if special else [])]
    for k in range(count):
        start = samples[int(rng.integers(len(samples)))]
        turn = k % (len(kinds) + bool(options))
        if turn == len(kinds):
            made = replace(start, kwargs=more_options(start.kwargs, options, rng))
            what = "options"
        else:
            made = replace(start, args=kinds[turn](start.args, rng))
            what = kinds[turn].__name__
        yield replace(made, name=f"drawn {k}: {what} of {start.name}")


def _is_real(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float64


def numbers(args: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...]:
    """The same numbers in another order and up to half as small: signs and ranges such as 0..1 are kept."""
    return tuple(
        np.asarray(rng.permutation(a.reshape(-1)).reshape(a.shape) * rng.uniform(0.5, 1.0, a.shape))
        if _is_real(a)
        else a
        for a in args
    )


def specials(args: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...]:
    """Half of the elements replaced by special numbers, or all of a 0-d array."""
    return tuple(
        np.asarray(np.where(rng.random(a.shape) < 0.5, rng.choice(SPECIAL, a.shape), a)) if _is_real(a) else a
        for a in args
    )


def sizes(args: tuple[Any, ...], rng: np.random.Generator) -> tuple[Any, ...]:
    """Every axis of one size given another size; now and then one axis of one array only, which then may not fit."""
    axes = [(i, d) for i, a in enumerate(args) if isinstance(a, np.ndarray) for d in range(a.ndim) if a.shape[d]]
    if not axes:
        return args
    i, d = axes[int(rng.integers(len(axes)))]
    old = args[i].shape[d]
    new = int(rng.choice([0, 1, old - 1, old + 1, old + 2, 2 * old, 17]))
    chosen = {(i, d)} if rng.random() < 0.25 else {(j, e) for j, e in axes if args[j].shape[e] == old}
    made = list(args)
    for j, e in chosen:
        made[j] = np.take(made[j], np.arange(new) % old, axis=e)
    if any(a.size > LARGEST for a in made if isinstance(a, np.ndarray)):
        return args
    return tuple(
        np.asarray(a * rng.uniform(0.5, 1.0, a.shape)) if _is_real(a) else a for a in made
    )  # rows repeat no longer


def more_options(kwargs: dict[str, Any], options: dict[str, list[Any]], rng: np.random.Generator) -> dict[str, Any]:
    """Options of other samples mixed in, numbers moved by one, flags turned round."""
    made = dict(kwargs)
    for name, values in options.items():
        if rng.random() < 0.5:
            made[name] = values[int(rng.integers(len(values)))]
        if name in made and rng.random() < 0.4:
            made[name] = _moved(made[name], rng)
    return made


def _moved(value: Any, rng: np.random.Generator) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + int(rng.choice([-1, 1]))
    if isinstance(value, float) and np.isfinite(value):
        return value * float(rng.choice([0.5, 2.0]))
    if isinstance(value, tuple) and value and all(isinstance(v, int) for v in value):
        at = int(rng.integers(len(value)))
        return (*value[:at], _moved(value[at], rng), *value[at + 1 :])
    return value
