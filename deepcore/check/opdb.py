"""The op database: ONE entry for an op buys every test of `tests/test_ops.py` and its line in `deepcore check`.

An entry (`OpCase`) is the op, an oracle in float64 that shares no code with it, samples, bad inputs. The entries are in
`tests/cases/<family>.py`, each with a list `CASES`; the longer oracles are in `tests/oracles/`. Both folders are
installed as `deepcore.check.cases` and `deepcore.check.oracles`. To add an op: write its oracle (or use NumPy's),
write its entry, done.
"""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import deepcore as dc
from deepcore.dtypes import as_dtype, is_floating

FAMILIES = (
    "arithmetic",
    "elementwise",
    "special",
    "powers",
    "matmul",
    "reductions",
    "shapes",
    "joining",
    "indexing",
    "activations",
    "rectifiers",
    "gates",
    "convolution",
    "conv_nd",
    "columns",
    "pooling",
    "normalization",
    "vision",
    "resample",
    "detection",
    "losses",
    "distance_losses",
    "classification",
    "recurrent",
    "attention",
    "probability_losses",
    "segmentation_losses",
    "sequence_losses",
    "sample_normalization",
    "pooling_variants",
    "pooling_nd",
    "gathering",
    "sorting",
    "arranging",
    "einsum",
    "linear_algebra",
)
TINY = 256
FLOATS = ("float64", "float32", "float16", "bfloat16")
INTS = ("int64", "int32")


def floating_result(dtype: str) -> str:
    """For `result_dtype` of an op that makes integers floating."""
    return "float32" if dtype in INTS else dtype


@dataclass(frozen=True)
class Sample:
    """Arguments for one call: arrays become tensors, float64 ones are differentiated unless `diff` says which."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    diff: tuple[int, ...]

    def cast(self, dtype: str) -> tuple[Any, ...]:
        """The arguments with every float64 array as `dtype`; other arrays and plain values stay."""
        return tuple(a.astype(as_dtype(dtype)) if _is_float64(a) else a for a in self.args)

    @property
    def tiny(self) -> bool:
        """At most 256 elements, so at most 256 device threads: small enough for the simulator of CUDA."""
        return sum(a.size for a in self.args if isinstance(a, np.ndarray)) <= TINY

    @property
    def empty(self) -> bool:
        return any(isinstance(a, np.ndarray) and a.size == 0 for a in self.args)


def sample(name: str, *args: Any, diff: Sequence[int] | None = None, **kwargs: Any) -> Sample:
    """A sample; `kwargs` go to the op and to the oracle as they are. NumPy scalars become 0-d arrays."""
    args = tuple(np.asarray(a) if isinstance(a, np.generic) else a for a in args)
    if diff is None:
        diff = tuple(i for i, a in enumerate(args) if _is_float64(a))
    return Sample(name, args, kwargs, tuple(diff))


@dataclass(frozen=True)
class BadInput:
    """Arguments that the op must refuse with `error`, whose message matches the regular expression `match`."""

    name: str
    error: Any
    match: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    nan_off_host: bool = False
    """A fault in the values: to find it, the host would wait for the device, so there the result is NaN instead."""


def bad(name: str, error: Any, match: str, *args: Any, nan_off_host: bool = False, **kwargs: Any) -> BadInput:
    """A bad input: the arguments are given as for `sample`; `error` may be a tuple of classes."""
    return BadInput(name, error, match, args, kwargs, nan_off_host)


@dataclass(frozen=True)
class OpCase:
    """Everything that the suite knows about one op."""

    name: str
    op: Callable[..., Any]
    """Called with tensors for the arrays of a sample; returns a tensor or a tuple or list of tensors."""
    oracle: Callable[..., Any]
    """The same signature on float64 arrays; explicit loops or NumPy and SciPy, never code of deepcore."""
    samples: Callable[[np.random.Generator], list[Sample]]
    names: tuple[str, ...] = ()
    """The names of `deepcore.functional` that the entry covers, where they are not just `name`."""
    dtypes: tuple[str, ...] = FLOATS
    """Dtypes that float64 arrays of a sample are cast to; other than floats only the values are tested."""
    no_narrow: str = ""
    """The reason why float16 or bfloat16 is not among `dtypes`."""
    result_dtype: Callable[[str], str] = lambda dtype: dtype
    """Dtype of the first output for arguments of that dtype."""
    length: Callable[..., int] = lambda *args, **kwargs: 1
    """Length of the longest reduction of forward and backward, from the arguments: it sets the tolerance."""
    errors: Sequence[BadInput] = ()
    differentiable: bool = True
    double_backward: bool = True
    no_double_backward: str = ""
    """The reason why, where `double_backward` is False."""
    no_empty: str = ""
    """The reason why no sample is empty."""
    kernels: bool = False
    """Whether a CUDA kernel computes it, so that the simulator runs its tiny samples."""
    tags: frozenset[str] = field(default_factory=frozenset)

    def make_samples(self, seed: int = 0) -> list[Sample]:
        """The samples, the same at each call; another seed gives other numbers in them."""
        own = zlib.crc32(self.name.encode())
        return self.samples(np.random.default_rng([own, seed] if seed else own))

    def __str__(self) -> str:
        return self.name


def all_cases() -> list[OpCase]:
    """Every entry of every family, names unique."""
    cases = [case for family in FAMILIES for case in importlib.import_module(f"deepcore.check.cases.{family}").CASES]
    names = [case.name for case in cases]
    twice = sorted({name for name in names if names.count(name) > 1})
    assert not twice, f"entries with the same name: {twice}"
    return cases


# --- numbers of samples -----------------------------------------------------------------------------------------------


def normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Float64 numbers of both signs with absolute value in [0.5, 1.5]: away from zero, its poles and its kinks."""
    return np.asarray(rng.choice([-1.0, 1.0], shape) * rng.uniform(0.5, 1.5, shape))


def positive(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Float64 numbers in [0.5, 1.5]."""
    return np.asarray(rng.uniform(0.5, 1.5, shape))


def distinct(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Float64 numbers of both signs that differ by at least 2 / size and are not zero: no ties for a maximum."""
    size = int(np.prod(shape))
    values = (np.arange(size) + 0.5) * (2.0 / max(size, 1)) - 1.0
    return np.asarray(rng.permutation(values + 0.1 / max(size, 1)).reshape(shape))


# --- tensors of samples -----------------------------------------------------------------------------------------------


def to_tensors(args: Sequence[Any], device: str, diff: Sequence[int] = ()) -> list[Any]:
    """The arguments with arrays as tensors on `device`; those in `diff` require a gradient."""
    return [
        dc.tensor(a, device=device, requires_grad=i in diff) if isinstance(a, np.ndarray) else a
        for i, a in enumerate(args)
    ]


def outputs(result: Any) -> list[dc.Tensor]:
    """The result of an op as a list of tensors."""
    return list(result) if isinstance(result, (tuple, list)) else [result]


def host(tensor: dc.Tensor) -> np.ndarray:
    """The values of a tensor on any device, by an explicit transfer."""
    return tensor.detach().cpu().numpy()


def is_float(tensor: dc.Tensor) -> bool:
    """Whether the tensor is of a floating dtype."""
    return is_floating(tensor.dtype)


def _is_float64(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype == np.float64
