"""What lies in a device's memory, and what happens when there is no room for more.

Nothing is recorded while a program runs. When a report is asked for, or memory has run out, the objects that Python
keeps alive are looked through: tensors, the Functions of the graph with what they saved, and whatever other parts of
deepcore have entered in `NAMERS` (modules their parameters, optimizers their state).
"""

from __future__ import annotations

import functools
import gc
import inspect
import re
import traceback
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar, cast

import numpy as np

from deepcore.autograd.function import Function
from deepcore.autograd.variable import Variable
from deepcore.backends.base import MemoryUse
from deepcore.devices import backend_for
from deepcore.errors import OutOfMemoryError, describe, message

# (class, function): the function gets all living objects of the class and yields (backend, array, kind, what it is).
# The first name that an array gets is the one that counts, so the most telling come first.
Named = tuple[Any, Any, str, str]
NAMERS: list[tuple[type, Callable[[list[Any]], Iterable[Named]]]] = []
LASTING = ("parameter", "gradient", "buffer", "optimizer")
"""Kinds that do not grow with the batch."""


class Holding(NamedTuple):
    """One piece of memory: `kind` is one of LASTING, "output", "saved" or "tensor"; `what` says it in words."""

    bytes: int
    shape: tuple[int, ...]
    dtype: str
    kind: str
    what: str


class MemoryReport(NamedTuple):
    """`holdings`, largest first, and what the device itself counts."""

    device: str
    use: MemoryUse
    holdings: list[Holding]
    progress: float
    """Which share of the parameters the running forward has come to; 1 where none is running."""
    moments: int
    """How many arrays of its size the optimizer keeps of a parameter."""

    @property
    def live(self) -> int:
        """Bytes in arrays: what the device counts, or the sum of the holdings."""
        return sum(h.bytes for h in self.holdings) if self.use.live is None else self.use.live

    def table(self, row_limit: int = 10) -> str:
        """The report as text."""
        parts = [f"{size(self.live)} in arrays"]
        if self.use.cached is not None:
            parts.append(f"{size(self.use.cached)} kept for reuse")
        if self.use.free is not None and self.use.total is not None:
            parts.append(f"{size(self.use.free)} free of {size(self.use.total)}")
        lines = [f"memory of {self.device}: {', '.join(parts)}"]
        lines += [f"  {size(h.bytes):>10}  {h.shape} {h.dtype}  {h.what}" for h in self.holdings[:row_limit]]
        rest = self.holdings[row_limit:]
        if rest:
            lines.append(f"  {size(sum(h.bytes for h in rest)):>10}  in {len(rest)} smaller ones")
        return "\n".join(lines)


def size(count: int) -> str:
    """Bytes in words.

    >>> size(512), size(3 * 2**20), size(5 * 2**40)
    ('512 B', '3.0 MiB', '5.0 TiB')
    """
    value, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    while value >= 1024 and len(units) > 1:
        value /= 1024
        del units[0]
    return f"{value:.0f} B" if units[0] == "B" else f"{value:.1f} {units[0]}"


def report(backend: Any) -> MemoryReport:
    """What is alive on the device of `backend`. Takes some 0.1 s; nothing is copied and nothing waited for."""
    found: dict[Any, Holding] = {}
    objects = _objects()
    for array, kind, what in _named(backend, objects):
        key, count = backend.block(array)
        if key not in found and count:
            found[key] = Holding(count, tuple(array.shape), str(array.dtype), kind, what)
    holdings = sorted(found.values(), key=lambda h: -h.bytes)
    return MemoryReport(backend.device, backend.memory(), holdings, _progress(objects), _moments(objects))


def _objects() -> dict[type, list[Any]]:
    """All living objects of the classes in NAMERS."""
    objects: dict[type, list[Any]] = {kind: [] for kind, _ in NAMERS}
    for thing in gc.get_objects():
        for kind in type(thing).__mro__[:-1]:
            if kind in objects:
                objects[kind].append(thing)
    return objects


def _progress(objects: dict[type, list[Any]]) -> float:
    """By the parameters (leaves with requires_grad) that are inputs of Functions whose backward is still to come."""
    leaves = [t for t in objects[Variable] if t.__dict__.get("requires_grad") and t.grad_fn is None]
    if any(leaf.grad is not None for leaf in leaves):  # the backward pass hands out gradients at its end
        return 1.0
    seen = {id(e[0]) for fn in objects[Function] if not fn.freed for e in fn.edges if e is not None}
    reached = sum(id(leaf) in seen for leaf in leaves)
    return reached / len(leaves) if reached else 1.0


def _moments(objects: dict[type, list[Any]]) -> int:
    """By the options of the optimizers that there are: two for Adam and its kin, one for momentum."""
    options = [
        thing.defaults
        for things in objects.values()
        for thing in things
        if hasattr(type(thing), "zero_grad") and hasattr(thing, "defaults")
    ]
    return max((2 if "betas" in o or "rho" in o else int(bool(o.get("momentum"))) for o in options), default=0)


def _named(backend: Any, objects: dict[type, list[Any]]) -> Iterator[tuple[Any, str, str]]:
    for kind, namer in NAMERS:
        for owner, array, group, what in namer(objects[kind]):
            if owner is backend and backend.is_array(array):
                yield array, group, what


def _of_tensors(tensors: list[Any]) -> Iterator[Named]:
    for tensor in tensors:
        maker = getattr(tensor, "grad_fn", None)
        array = tensor.__dict__.get("array")
        if array is not None:
            yield tensor.backend, array, "tensor" if maker is None else "output", _place("output of ", maker)
        gradient = tensor.__dict__.get("grad")
        if gradient is not None:
            yield gradient.backend, gradient.array, "gradient", "a gradient"


def _of_functions(functions: list[Any]) -> Iterator[Named]:
    for fn in functions:  # first what each op made, for another op may have saved it as an input
        for array, role in zip(fn.saved, fn.roles, strict=False):
            if role is not None and role[0] == "output":
                yield fn.backend, array, "saved", _place("output of ", fn)
    for fn in functions:
        for array in (*fn.saved, *(getattr(fn, name, None) for name in fn.intermediates)):
            yield fn.backend, array, "saved", _place("saved for backward by ", fn)


def _place(what: str, fn: Any) -> str:
    if fn is None:
        return "a tensor outside of the graph"
    return f"{what}{fn.name}{f' in {fn.module_name}' if fn.module_name else ''}"


NAMERS += [(Variable, _of_tensors), (Function, _of_functions)]


# ---- no room ---------------------------------------------------------------------------------------------------------


def again(
    op: str, backend: Any, arrays: Iterable[Any], error: MemoryError, run: Callable[[], Any], module: str = ""
) -> Any:
    """What `run` returns at a second try, after the first ended with `error` and the cache was given back.

    op, arrays, module: for the message. Raises OutOfMemoryError where there is no room then either.
    """
    _let_go(error, backend)
    try:
        with backend.quiet():
            return run()
    except OutOfMemoryError:
        raise
    except MemoryError as second:
        traceback.clear_frames(second.__traceback__)
        raise explained(op, backend, arrays, second, module) from None


F = TypeVar("F", bound=Callable[..., Any])


def allocates(repeats: bool = True) -> Callable[[F], F]:
    """Decorator of a function that makes tensors: without memory it says what was wanted and what is there.

    repeats: whether a second try does the same; one that draws random numbers has moved on.
    """

    def mark(function: F) -> F:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except MemoryError as error:
                backend = backend_for(inspect.signature(function).bind(*args, **kwargs).arguments.get("device"))
                if isinstance(error, OutOfMemoryError):
                    raise
                if not repeats:
                    raise explained(function.__name__, backend, (), error) from None
                return again(function.__name__, backend, (), error, lambda: function(*args, **kwargs))

        return cast(F, call)

    return mark


def _let_go(error: MemoryError, backend: Any) -> None:
    """Give back what nobody needs; raises the error again where it is one of ours, which has been through this."""
    if isinstance(error, OutOfMemoryError):
        raise error
    traceback.clear_frames(error.__traceback__)  # the op's half-finished arrays lie there
    gc.collect()
    backend.free_cache()


def explained(op: str, backend: Any, arrays: Iterable[Any], error: MemoryError, module: str = "") -> OutOfMemoryError:
    """The error of an op that found no room: what it was given, what is in memory, and a batch that would fit."""
    arrays = [a for a in arrays if hasattr(a, "shape")]
    given = ", ".join(describe(f"argument {i}", a, backend.device) for i, a in enumerate(arrays))
    text = " ".join(str(error).split()) or "an allocation failed"
    wanted = requested_bytes(error)
    need = "memory" if wanted is None else f"{size(wanted)} of memory"
    need += f" in {module}" if module else ""
    state = report(backend)
    hint = _advice(state, arrays, wanted)
    problem = message(op, f"{need} on {backend.device}", f"{text}{f'; {given}' if given else ''}", hint)
    return OutOfMemoryError(f"{problem}\n{state.table()}")


def requested_bytes(error: MemoryError) -> int | None:
    """How much was asked for, where the error tells: NumPy's has a shape, others are made with a number of bytes."""
    shape, dtype = getattr(error, "shape", None), getattr(error, "dtype", None)
    if shape is not None and dtype is not None:
        return int(np.prod([int(n) for n in np.atleast_1d(shape)], dtype=object)) * np.dtype(dtype).itemsize
    told = re.search(r"([\d,]+) bytes", str(error))
    return int(told[1].replace(",", "")) if told else None


def _advice(state: MemoryReport, arrays: list[Any], wanted: int | None) -> str:
    batch = fitting_batch(state, arrays, wanted)
    if batch is None:
        return "use smaller arrays, or let go of tensors that are no longer needed"
    now, fits = batch
    if fits < 1:
        return f"not even a batch of 1 would fit beside what does not grow with the batch (this one has {now})"
    return f"a batch of {fits} would fit (this one has {now}), by a linear model of what this step has used so far"


def fitting_batch(state: MemoryReport, arrays: list[Any], wanted: int | None) -> tuple[int, int] | None:
    """(the batch size of now, one that would fit); None where this does not look like a step over a batch.

    Parameters, gradients and the optimizer's state do not grow with the batch, and are added where they are still to
    come; what has the batch as its first axis, or a multiple of it, does. A step is taken to need what it has now and
    the request that failed twice over, and, where the forward has not come to all parameters, more in proportion. That
    errs towards a smaller batch, as the arrays of a network mostly shrink from layer to layer.
    """
    use = state.use
    if use.free is None:
        return None
    room = state.live + (use.cached or 0) + use.free
    lasting = {kind: sum(h.bytes for h in state.holdings if h.kind == kind) for kind in LASTING}
    passing = [h for h in state.holdings if h.kind not in LASTING]
    if not lasting["parameter"]:
        return None
    now = _batch_size(passing, arrays)
    if now is None:
        return None
    growing = sum(h.bytes for h in passing if h.shape and h.shape[0] % now == 0)
    # Arrays that no tensor holds, an op's own among them, are in the device's count only.
    growing += max(0, state.live - sum(h.bytes for h in state.holdings))
    need = growing / state.progress + 2 * (wanted or 0)
    fixed = sum(lasting.values()) + max(0, lasting["parameter"] - lasting["gradient"])
    fixed += max(0, state.moments * lasting["parameter"] - lasting["optimizer"])
    return now, max(0, min(now - 1, int(now * (room - fixed) / need))) if need else now


def _batch_size(passing: list[Holding], arrays: list[Any]) -> int | None:
    """The first axis that most of the tensors outside of the graph have, inputs and targets among them."""
    lengths = [h.shape[0] for h in passing if h.kind == "tensor" and h.shape and h.shape[0] > 1]
    lengths = lengths or [a.shape[0] for a in arrays if a.shape and a.shape[0] > 1]
    return max(lengths, key=lambda n: (lengths.count(n), -n), default=None)
