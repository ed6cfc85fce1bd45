"""One declaration per CUDA kernel: its parameters, for the compiler, the launcher and the simulator.

A kernel is a Python function in Numba's CUDA dialect over flat arrays. Its parameters are written once, like in C, and
generic over ``T`` (float32 or float64; float16 in kernels that say so) and ``W``, in which T is added up (float32 for
float16, else T)::

    @kernel("x: T*, y: T*, n: i32")
    def double(x, y, n):
        i = cuda.grid(1)
        if i < n:
            y[i] = x[i] + x[i]
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from dataclasses import dataclass, field
from types import FunctionType

import numpy as np

__all__ = ["FAMILIES", "Kernel", "Parameter", "all_kernels", "kernel"]

FAMILIES = (
    "activation",
    "conv",
    "ctc",
    "gates",
    "loss",
    "norm",
    "optim",
    "places",
    "pool",
    "random",
    "recurrent",
    "rows",
    "vision",
)
SCALARS = {
    "i32": np.dtype(np.int32),
    "u32": np.dtype(np.uint32),
    "i64": np.dtype(np.int64),
    "u64": np.dtype(np.uint64),
    "f32": np.dtype(np.float32),
    "f64": np.dtype(np.float64),
}
REGISTRY: dict[str, Kernel] = {}


@dataclass(frozen=True)
class Parameter:
    """One parameter: ``T`` is the kernel's floating type, ``W`` at least float32, ``*`` points to a flat buffer."""

    name: str
    type: str
    pointer: bool

    def dtype(self, real: np.dtype) -> np.dtype:
        """NumPy dtype of the value (or of what the pointer points to) where ``T`` is `real`."""
        if self.type == "W":
            return np.result_type(real, np.float32)
        return np.dtype(real) if self.type == "T" else SCALARS[self.type]


@dataclass(frozen=True, eq=False)
class Kernel:
    """A declared kernel. `fma=False`: a*b+c is two roundings; `float64=True`: computes in float64 by definition.

    `float16=True`: T may be float16 as well.
    """

    name: str
    function: FunctionType
    parameters: tuple[Parameter, ...]
    fma: bool = True
    float64: bool = False
    float16: bool = False
    max_threads: int = 256
    type_at: int = -1  # the first parameter T*, whose array's dtype is T; -1 where the kernel is not generic
    _source: list[str] = field(default_factory=list, repr=False)

    @property
    def generic(self) -> bool:
        """Whether the code differs between float32 and float64."""
        return self.type_at >= 0

    @property
    def source(self) -> str:
        """The text that decides what the kernel computes: its own source and that of all it refers to."""
        if not self._source:
            self._source.append(_source(self.function))
        return self._source[0]


def kernel(
    parameters: str, *, fma: bool = True, float64: bool = False, float16: bool = False, max_threads: int = 256
) -> Callable[[FunctionType], Kernel]:
    """Declare a kernel, see this module's docstring. Raises ValueError where declaration and function disagree."""

    def declare(function: FunctionType) -> Kernel:
        parsed = tuple(_parse(text, function.__name__) for text in parameters.split(","))
        names, declared = list(inspect.signature(function).parameters), [p.name for p in parsed]
        if names != declared:
            raise ValueError(f"kernel {function.__name__}: declared {declared}, but the function takes {names}")
        family = function.__module__.rpartition(".")[2]
        pointers = [p.type == "T" and p.pointer for p in parsed]
        type_at = pointers.index(True) if any(pointers) else -1
        made = Kernel(f"{family}.{function.__name__}", function, parsed, fma, float64, float16, max_threads, type_at)
        REGISTRY[made.name] = made
        return made

    return declare


def all_kernels() -> list[Kernel]:
    """Every kernel of deepcore, sorted by name ("conv.im2col", ...)."""
    for family in FAMILIES:
        importlib.import_module(f"{__package__}.{family}")
    return [REGISTRY[name] for name in sorted(REGISTRY)]


def _parse(text: str, owner: str) -> Parameter:
    name, colon, kind = (part.strip() for part in text.partition(":"))
    base = kind.removesuffix("*").strip()
    if not (colon and name.isidentifier() and (base in ("T", "W") or base in SCALARS)):
        known = ", ".join(["T", "W", *SCALARS])
        wanted = f"'name: type' or 'name: type*', type one of {known}"
        raise ValueError(f"kernel {owner}: cannot read parameter {text.strip()!r}; write {wanted}")
    return Parameter(name, base, kind.endswith("*"))


def _source(function: FunctionType) -> str:
    """Source of a function, then of the helpers and the values of the constants that it names, and so on."""
    parts, todo, seen = [], [function], set()
    while todo:
        current = todo.pop()
        if current in seen:
            continue
        seen.add(current)
        parts.append(inspect.getsource(current))
        for name in sorted(current.__code__.co_names):
            value = current.__globals__.get(name)
            if isinstance(value, FunctionType):
                todo.append(value)
            elif isinstance(value, (bool, int, float, tuple, np.generic)):
                parts.append(f"{name} = {value!r}")
    return "\n".join(parts)
