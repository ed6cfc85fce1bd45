"""`Function`: a differentiable op, forward and backward side by side, as in the book.

    class Exp(Function):
        def forward(self, x):          # plain arrays of self.backend
            y = self.backend.xp.exp(x)
            self.saved = (y,)
            return y

        def backward(self, gy):        # plain arrays, or tensors when the gradient is itself differentiated
            (y,) = self.saved
            return gy * y

    y = Exp()(x)

`backward` is written once. In an ordinary backward pass it gets plain arrays and `self.saved` holds plain arrays; under
`create_graph=True` both are tensors, so what it computes is recorded again. Operators and the functions of
`deepcore.functions` work on both.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from deepcore.autograd import anomaly
from deepcore.autograd.mode import state
from deepcore.autograd.narrow import any_narrow, is_narrow, keep, rounded, widened
from deepcore.autograd.variable import Variable, wrap
from deepcore.errors import ArgumentError, DeviceError, GraphError, got, message

_sequence = itertools.count()
_ML_DTYPES = "ml_dtypes"  # while it is not loaded there is no bfloat16, and nothing to look for

# An edge leads from an input to what made it: (Function, output number), (leaf Variable, 0), or None.
Edge = tuple[Any, int] | None


class Function:
    """Base class of every differentiable op; parameters go to `__init__`, arrays to `__call__`.

    forward(*arrays) returns one array or a tuple of arrays; what `backward` needs goes into `self.saved`.
    backward(*gradients of the outputs) returns one gradient per input (None where there is none). An output that took
    no part in the result has the gradient None.
    """

    name: str = "function"
    # The output shares memory with the first input, so both share one version counter.
    view: bool = False
    # Inputs were broadcast against each other: gradients are summed back to the inputs' shapes by the engine.
    broadcasts: bool = False
    # inf and NaN are results like others here: the forward runs without NumPy's floating-point warnings.
    may_overflow: bool = False
    # bfloat16 inputs come as float32, and float32 results are rounded to bfloat16; False for what only moves elements.
    # A view is never widened.
    widens: bool = True
    # The same op composed of differentiable functions, for ops whose `backward` is not itself differentiable. It gets
    # the inputs as tensors; such an op saves all its inputs first, in order.
    formula: Callable[..., Any] | None = None
    # The reason why `backward` cannot be differentiated again, where there is no `formula` either.
    once_differentiable: str = ""

    # The forward is x[self.index] with slices and integers: the gradient is gy there and 0 elsewhere, and the engine
    # may add it to others without the zeros. memory_order: the axes of x as they lie in memory, None for C order.
    takes_part: bool = False
    index: Any = None
    memory_order: tuple[int, ...] | None = None

    # Names of further attributes that hold arrays for backward; they are freed with `saved`.
    intermediates: tuple[str, ...] = ()

    backend: Any = None
    output_backend: Any = None
    saved: tuple[Any, ...] = ()
    needs: tuple[bool, ...] = ()
    edges: Sequence[Edge] = ()
    metas: Sequence[Any] = ()
    roles: Sequence[Any] = ()
    sequence: int
    freed = False
    # Whether bfloat16 went in, so that backward too has float32 in its place.
    narrow: bool = False
    output_hooks: dict[int, list[Callable[[Any], Any]]] | None = None
    where: str | None = None
    # Which module called it, `LeNet.features.0`; known where a watcher looked on.
    module_name: str = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "name" not in cls.__dict__:
            cls.name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", cls.__name__).lower()

    def forward(self, *arrays: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}.forward is not written")

    def backward(self, *grads: Any) -> Any:
        raise GraphError(message(self.name, "an op that has a gradient", f"a backward pass through {self.name}"))

    def wants(self, i: int) -> bool:
        """Whether the gradient of input i is needed (all are, outside of a recorded graph)."""
        return not self.needs or self.needs[i]

    def __call__(self, *inputs: Any) -> Any:
        if state.autocast is not None:
            inputs = state.autocast.inputs(self.name, inputs)
        backend = None
        needs = narrow = False
        watch = _ML_DTYPES in sys.modules
        arrays = []
        for x in inputs:
            if isinstance(x, Variable):
                if backend is None:
                    backend = x.backend
                elif x.backend is not backend:
                    raise _mixed_devices(self.name, inputs)
                if x.requires_grad:
                    needs = True
                x = x.array
                if watch and x.dtype.kind == "V":
                    narrow = True
            arrays.append(x)
        if backend is None:
            return self._on_arrays(arrays)
        self.backend = backend
        if needs:
            needs = state.grad_enabled
            if needs:
                self.needs = tuple([isinstance(x, Variable) and x.requires_grad for x in inputs])
        stand_ins = self._widen(arrays) if narrow else None
        try:
            if state.observer is not None:
                result = state.observer.forward(self, arrays)
            elif self.may_overflow:
                with backend.quiet():
                    result = self.forward(*arrays)
            else:
                result = self.forward(*arrays)
        except MemoryError as error:
            result = self._again("forward", arrays, error)
        several = type(result) is tuple
        backend = self.output_backend or backend
        if not several and not isinstance(result, backend.array_type):  # NumPy makes 0-d results scalars
            array = backend.xp.asarray(result)
            self.saved = tuple([array if s is result else s for s in self.saved])
            result = array
        if stand_ins is not None:
            arrays, result = self._round(stand_ins, arrays, result)
        if state.anomaly:
            anomaly.check_forward(self, result)
            self.where = anomaly.calling_line()
        outputs = [wrap(y, backend) for y in result] if several else [wrap(result, backend)]
        if self.view:
            outputs[0]._version_cell = inputs[0]._version_cell
        if needs:
            self._record(inputs, arrays, outputs)
        return tuple(outputs) if several else outputs[0]

    def _on_arrays(self, arrays: list[Any]) -> Any:
        """A call with plain arrays only: inside a backward pass or an `array_scope`."""
        if state.array_backend is None:
            values = {f"argument {i}": a for i, a in enumerate(arrays)}
            raise ArgumentError(message(self.name, "a Tensor", got(**values), "make one with dc.tensor(array)"))
        self.backend = state.array_backend
        stand_ins = self._widen(arrays) if _ML_DTYPES in sys.modules and any_narrow(arrays) else None
        try:
            result = self.forward(*arrays) if state.observer is None else state.observer.forward(self, arrays)
        except MemoryError as error:
            result = self._again("forward", arrays, error)
        return result if stand_ins is None else self._round(stand_ins, arrays, result)[1]

    def _widen(self, arrays: list[Any]) -> list[tuple[Any, Any]] | None:
        """Put float32 in place of bfloat16, of which there is one; return pairs (input, stand-in), or None."""
        if not self.widens or self.view:
            return None
        self.narrow = True
        if any(getattr(getattr(x, "dtype", None), "kind", "") == "f" for x in arrays):
            return None  # the op itself promotes both, or refuses
        narrow, arrays[:] = arrays.copy(), widened(arrays)
        return list(zip(narrow, arrays, strict=True))

    def _round(self, stand_ins: list[tuple[Any, Any]], arrays: list[Any], result: Any) -> tuple[list[Any], Any]:
        """(inputs, result) in bfloat16, after an op on float32; what it saved of them is replaced by them."""
        dtype = next(x.dtype for x, _ in stand_ins if is_narrow(x))
        short = rounded(result, dtype)
        # An observer may have put another array in a stand-in's place.
        inputs = [x if a is wide else rounded(a, dtype) for a, (x, wide) in zip(arrays, stand_ins, strict=True)]
        outputs = zip(result, short, strict=True) if type(result) is tuple else [(result, short)]
        self.saved = keep(self.saved, [*zip(arrays, inputs, strict=True), *outputs])
        return inputs, short

    def run_backward(self, grads: list[Any]) -> Any:
        """What `backward` returns for plain arrays, float32 in place of bfloat16; an observer sees it."""
        if not self.narrow:
            try:
                return self.backward(*grads) if state.observer is None else state.observer.backward(self, grads)
            except MemoryError as error:
                return self._again("backward", grads, error)
        saved, grads = self.saved, widened(grads)
        self.saved = tuple(widened(saved))
        try:
            return self.backward(*grads) if state.observer is None else state.observer.backward(self, grads)
        except MemoryError as error:
            return self._again("backward", grads, error)
        finally:
            self.saved = saved

    def _again(self, phase: str, arrays: list[Any], error: MemoryError) -> Any:
        """A second try after the first found no memory; an op changes none of its inputs, so it may run twice."""
        from deepcore.autograd import memory  # looks at all objects, tensors among them: above this file

        run = getattr(self if state.observer is None else state.observer, phase)
        rest = arrays if state.observer is None else (self, arrays)
        op = self.name if phase == "forward" else f"{self.name} backward"
        backend = self.output_backend or self.backend
        return memory.again(op, backend, arrays, error, lambda: run(*rest), self.module_name)

    def _record(self, inputs: tuple[Any, ...], arrays: list[Any], outputs: list[Any]) -> None:
        """Enter this Function into the graph: it becomes the creator of its outputs."""
        self.sequence = next(_sequence)
        edges: list[Edge] = []
        metas: list[Any] = []
        for x, needed in zip(inputs, self.needs, strict=True):
            if needed:
                creator, array = x.grad_fn, x.array
                edges.append((x, 0) if creator is None else (creator, x.output_nr))
                metas.append((array.shape, array.dtype))
            else:
                edges.append(None)
                metas.append(None)
        self.edges, self.metas = edges, metas
        for nr, y in enumerate(outputs):
            if y.array.dtype.kind in "fcV":  # floating (V: bfloat16); integer results such as indices have no gradient
                y.requires_grad = True
                y.grad_fn = self
                if nr:
                    y.output_nr = nr
        if self.saved:
            self.roles = [_role(s, inputs, arrays, outputs) for s in self.saved]

    def check_saved(self) -> None:
        """Raise GraphError when the saved arrays are gone or were written in place since the forward."""
        if self.freed:
            raise GraphError(
                message(
                    self.name,
                    "one backward pass per forward pass",
                    "a second one, and the arrays saved by the forward are freed",
                    "call backward(retain_graph=True) the first time, or run the forward again",
                )
            )
        for role in self.roles:
            if role is not None and role[2][0] != role[3]:
                kind, nr, cell, version = role
                raise GraphError(
                    message(
                        self.name,
                        f"its {kind} {nr}, saved for backward, to be unchanged since the forward",
                        f"version {cell[0]}, saved at version {version}: it was written in place",
                        "write out of place (y = y + 1, not y += 1), or clone() the tensor first",
                    )
                )

    def saved_tensors(self) -> tuple[Any, ...]:
        """`self.saved` as tensors that are connected to the graph, for a gradient that is differentiated again."""
        roles = self.roles or (None,) * len(self.saved)
        return tuple([self._saved_tensor(s, role) for s, role in zip(self.saved, roles, strict=True)])

    def _saved_tensor(self, s: Any, role: Any) -> Any:
        if not isinstance(s, self.backend.array_type):
            return s
        t = wrap(s, self.backend)
        if role is None:
            return t
        t._version_cell = role[2]
        edge = (self, role[1]) if role[0] == "output" else self.edges[role[1]]
        if edge is None:
            return t
        if isinstance(edge[0], Variable):
            return edge[0]
        t.requires_grad, t.grad_fn, t.output_nr = True, edge[0], edge[1]
        return t

    def free(self) -> None:
        """Let go of the saved arrays; a later backward through this Function is an error."""
        if self.saved or self.intermediates:
            self.saved = ()
            self.roles = ()
            for name in self.intermediates:
                setattr(self, name, None)
            self.freed = True

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


def _role(s: Any, inputs: tuple[Any, ...], arrays: list[Any], outputs: list[Any]) -> Any:
    """Which input or output a saved array is, and its version, so that in-place writes are noticed."""
    for i, a in enumerate(arrays):
        if s is a:
            x = inputs[i]
            return ("input", i, x._version_cell, x._version_cell[0]) if isinstance(x, Variable) else None
    for j, y in enumerate(outputs):
        if s is y.array:
            return ("output", j, y._version_cell, y._version_cell[0])
    return None


def _mixed_devices(name: str, inputs: tuple[Any, ...]) -> DeviceError:
    tensors = {f"argument {i}": x for i, x in enumerate(inputs) if isinstance(x, Variable)}
    first = next(iter(tensors.values()))
    hint = f'move one of them, for example with .to("{first.device}")'  # type: ignore[attr-defined]
    return DeviceError(message(name, "all tensors on one device", got(**tensors), hint))
