"""The backward pass: Functions in reverse order of their creation, without recursion.

A Function is created after everything that it depends on, so the highest sequence number among the waiting Functions
has received all its gradients. A heap gives that order; a chain of any length needs no deep stack.
"""

from __future__ import annotations

import contextlib
import heapq
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from deepcore.autograd import anomaly
from deepcore.autograd.function import Function
from deepcore.autograd.mode import altered, enable_grad, no_grad, state
from deepcore.autograd.precision import as_recorded
from deepcore.autograd.variable import Variable, wrap
from deepcore.errors import ArgumentError, GraphError, ShapeError, got, message


class _Sum:
    """The gradients that have arrived at one place; `owned` once the array is ours to add into."""

    __slots__ = ("owned", "value")

    def __init__(self, value: Any) -> None:
        self.value = value
        self.owned = False

    def result(self, backend: Any) -> Any:
        if isinstance(self.value, _Part):
            self.value, self.owned = self.value.whole(backend), True
        return self.value

    def add(self, value: Any, backend: Any) -> None:
        if isinstance(value, Variable):
            self.value = self.value + value
            return
        if isinstance(self.value, _Part) and not isinstance(value, _Part):
            self.value, value = value.copy(), self.value
            self.owned = True
        if isinstance(value, _Part):
            if not self.owned and not isinstance(self.value, _Part):
                self.value, self.owned = self.value.copy(), True
            value.add_into(self.result(backend), backend)
            return
        # Held by `self.value` and by getrefcount's argument: nobody else may write to it.
        if self.owned or (sys.getrefcount(self.value) <= 2 and _owns_memory(self.value) and _alike(self.value, value)):
            backend.add_to(self.value, value)
        else:
            self.value = backend.add(self.value, value)
        self.owned = bool(getattr(self.value, "shape", ()))


class _Part:
    """The gradient of an op that takes a part of its input: `value` at an index, 0 elsewhere."""

    __slots__ = ("dtype", "index", "order", "shape", "value")

    def __init__(self, fn: Function, value: Any) -> None:
        self.shape, self.dtype = fn.metas[0]
        self.index, self.order, self.value = fn.index, fn.memory_order, value

    def whole(self, backend: Any) -> Any:
        """The gradient with its zeros, its axes in memory as those of the input."""
        if self.order is None:
            array = backend.xp.zeros(self.shape, dtype=self.dtype)
        else:
            array = backend.xp.zeros(tuple([self.shape[axis] for axis in self.order]), dtype=self.dtype)
            array = array.transpose(tuple([self.order.index(axis) for axis in range(len(self.order))]))
        array[self.index] = self.value
        return array

    def add_into(self, total: Any, backend: Any) -> None:
        place = total[self.index]
        if getattr(place, "shape", ()):
            backend.add_to(place, self.value)
        else:
            total[self.index] = place + self.value


def _alike(a: Any, b: Any) -> bool:
    return bool(a.shape) and a.shape == b.shape and a.dtype == b.dtype


class _Pass:
    """One backward pass."""

    def __init__(self, retain_graph: bool, create_graph: bool) -> None:
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.waiting: list[tuple[int, Function]] = []
        self.sums: dict[Function, list[_Sum | None]] = {}
        self.leaves: dict[int, tuple[Variable, _Sum]] = {}
        # Where a gradient is to be captured: (Function, output number) -> keys of the result.
        self.captures: dict[tuple[Function, int], list[int]] = {}
        self.captured: dict[int, Any] = {}
        # For `differentiate`: the Functions and leaves that may receive a gradient, and those whose backward runs.
        self.needed: set[Any] | None = None
        self.running: set[Function] | None = None

    def send(self, edge: tuple[Any, int], value: Any) -> None:
        """Hand a gradient to the place that an edge leads to."""
        target, nr = edge
        if self.needed is not None and target not in self.needed:
            return
        if isinstance(target, Variable):
            entry = self.leaves.get(id(target))
            if entry is None:
                self.leaves[id(target)] = (target, _Sum(value))
            else:
                entry[1].add(value, target.backend)
            return
        slots = self.sums.get(target)
        if slots is None:
            slots = self.sums[target] = []
            heapq.heappush(self.waiting, (-target.sequence, target))
        while len(slots) <= nr:
            slots.append(None)
        slot = slots[nr]
        if slot is None:
            slots[nr] = _Sum(value)
        else:
            slot.add(value, target.output_backend or target.backend)

    def run(self) -> None:
        while self.waiting:
            _, fn = heapq.heappop(self.waiting)
            backend = fn.output_backend or fn.backend
            grads = [None if s is None else s.result(backend) for s in self.sums.pop(fn)]
            if fn.output_hooks:
                self._run_hooks(fn, grads)
            if self.captures:
                for nr in range(len(grads)):
                    for key in self.captures.get((fn, nr), ()):
                        self.captured[key] = grads[nr]
            if self.running is None or fn in self.running:
                self._run_backward(fn, grads)

    def _run_hooks(self, fn: Function, grads: list[Any]) -> None:
        for nr, hooks in (fn.output_hooks or {}).items():
            if nr < len(grads) and grads[nr] is not None:
                backend = fn.output_backend or fn.backend
                for hook in list(hooks):
                    grads[nr] = call_hook(hook, grads[nr], backend)

    def _run_backward(self, fn: Function, grads: list[Any]) -> None:
        fn.check_saved()
        if fn.takes_part and fn.metas[0][0] and not (self.create_graph or altered() or state.anomaly):
            part = _Part(fn, grads[0])
            if part.dtype == grads[0].dtype:
                self.send(fn.edges[0], part)  # type: ignore[arg-type]
                return
        results = self._differentiate(fn, grads)
        if state.anomaly:
            anomaly.check_backward(fn, results)
        if not self.retain_graph:
            fn.free()  # before a gradient is added to another, which may need memory
        for i, edge in enumerate(fn.edges):
            if edge is not None and i < len(results) and results[i] is not None:
                try:
                    self.send(edge, _fit(fn, i, results[i]))
                except MemoryError as error:  # before anything was changed
                    _again(error, fn.backend, lambda e=edge, i=i: self.send(e, _fit(fn, i, results[i])))

    def _differentiate(self, fn: Function, grads: list[Any]) -> tuple[Any, ...]:
        if not self.create_graph:
            previous = state.array_backend
            state.array_backend = fn.backend
            try:
                results = fn.run_backward(grads)
            finally:
                state.array_backend = previous
        elif fn.formula is not None:
            return _differentiate_formula(fn, grads)
        elif fn.once_differentiable:
            raise _not_twice(fn)
        else:
            arrays = fn.saved
            fn.saved = fn.saved_tensors()
            try:
                results = fn.backward(*grads)
            finally:
                fn.saved = arrays
        return results if type(results) is tuple else (results,)


def _not_twice(fn: Function) -> GraphError:
    expected = "a gradient that is not differentiated again: this op is not twice differentiable"
    why = f"create_graph=True, but {fn.once_differentiable}"
    return GraphError(message(fn.name, expected, why, "leave create_graph out, or detach() its input"))


def _differentiate_formula(fn: Function, grads: list[Any]) -> tuple[Any, ...]:
    """The gradients of an op through its `formula`, recorded, so that they can be differentiated again."""
    tensors = fn.saved_tensors()[: len(fn.edges)]
    # Stand-ins: the gradient stops at them, also where one input was computed from another.
    inputs = [_StandIn()(t) if fn.edges[i] is not None else t for i, t in enumerate(tensors)]
    assert fn.formula is not None
    outputs = fn.formula(*inputs)
    outputs = outputs if type(outputs) is tuple else (outputs,)
    pairs = [(y, g) for y, g in zip(outputs, grads, strict=False) if g is not None]
    wanted = [i for i, edge in enumerate(fn.edges) if edge is not None]
    found = differentiate(
        [y for y, _ in pairs], [inputs[i] for i in wanted], [g for _, g in pairs], create_graph=True, allow_unused=True
    )
    results: list[Any] = [None] * len(fn.edges)
    for i, g in zip(wanted, found, strict=True):
        results[i] = g
    return tuple(results)


class _StandIn(Function):
    view = True

    def forward(self, x: Any) -> Any:
        return x

    def backward(self, gy: Any) -> Any:
        return gy


def _fit(fn: Function, i: int, g: Any) -> Any:
    """A gradient in the shape and dtype of its input: summed where the input was broadcast, cast where promoted."""
    shape, dtype = fn.metas[i]
    if g.shape != shape:
        if not fn.broadcasts:
            raise ShapeError(
                message(
                    fn.name, f"backward to return shape {shape} for input {i}", got(gradient=g), "mend its backward"
                )
            )
        g = g.sum_to_size(shape) if isinstance(g, Variable) else _sum_to(g, shape)  # type: ignore[attr-defined]
    if g.dtype != dtype:
        g = g.to(dtype) if isinstance(g, Variable) else g.astype(dtype)  # type: ignore[attr-defined]
    return g


def _sum_to(g: Any, shape: tuple[int, ...]) -> Any:
    """Sum a gradient over the axes along which an input of `shape` was broadcast (the book's sum_to)."""
    lead = g.ndim - len(shape)
    stretched = tuple([i + lead for i, n in enumerate(shape) if n == 1 and g.shape[i + lead] != 1])
    return g.sum(axis=tuple(range(lead)) + stretched, keepdims=True).reshape(shape)


def call_hook(hook: Any, g: Any, backend: Any) -> Any:
    """Run a tensor hook on a gradient; what it returns replaces the gradient."""
    plain = not isinstance(g, Variable)
    result = hook(wrap(g, backend) if plain else g)
    if result is None:
        return g
    return result.array if plain else result


def _seed(y: Variable, grad: Any) -> Any:
    """The gradient that a pass starts with: given, or 1 for a scalar."""
    if not y.requires_grad:
        hint = "make an input with requires_grad=True, and mind no_grad() and detach()"
        raise GraphError(message("backward", "a tensor that depends on one with requires_grad", got(tensor=y), hint))
    if grad is None:
        if y.array.size != 1:
            hint = "give backward(gradient=...) of the same shape, or reduce first: y.sum().backward()"
            raise GraphError(message("backward", "a scalar, or a gradient argument", got(tensor=y), hint))
        return wrap(y.backend.xp.ones_like(y.array), y.backend)
    if not isinstance(grad, Variable):
        raise ArgumentError(message("backward", "the gradient as a Tensor", got(gradient=grad), "use dc.tensor(...)"))
    if grad.shape != y.shape:
        raise ShapeError(message("backward", "the gradient in the shape of the tensor", got(tensor=y, gradient=grad)))
    if grad.backend is not y.backend:
        raise GraphError(message("backward", "the gradient on the tensor's device", got(tensor=y, gradient=grad)))
    return grad


def _start(task: _Pass, outputs: Sequence[Variable], grads: Sequence[Any], inputs: Sequence[Variable] | None) -> None:
    if inputs is not None:
        for key, x in enumerate(inputs):
            if x.grad_fn is not None:
                task.captures.setdefault((x.grad_fn, x.output_nr), []).append(key)
        task.running = _functions_between(outputs, inputs)
        task.needed = {*task.running, *(x if x.grad_fn is None else x.grad_fn for x in inputs)}
    for y, grad in zip(outputs, grads, strict=True):
        g = _seed(y, grad)
        value = g if task.create_graph else g.array
        edge = (y, 0) if y.grad_fn is None else (y.grad_fn, y.output_nr)
        task.send(edge, value)


def _functions_between(outputs: Sequence[Variable], inputs: Sequence[Variable]) -> set[Function]:
    """The Functions whose backward must run for a gradient to come from an output to an input."""
    targets: set[Any] = {x if x.grad_fn is None else x.grad_fn for x in inputs}
    found: set[Function] = set()
    stack = [y.grad_fn for y in outputs if y.grad_fn is not None]
    while stack:
        fn = stack.pop()
        if fn not in found:
            found.add(fn)
            stack.extend([e[0] for e in fn.edges if e is not None and isinstance(e[0], Function)])
    running: set[Function] = set()
    for fn in sorted(found, key=lambda f: f.sequence):  # what made an input comes before what uses it
        if any(e is not None and (e[0] in running or e[0] in targets) for e in fn.edges):
            running.add(fn)
    return running


def backward(
    outputs: Sequence[Variable],
    grads: Sequence[Any],
    retain_graph: bool = False,
    create_graph: bool = False,
) -> None:
    """Add the gradients of `outputs` to `.grad` of every leaf that they depend on."""
    task = _Pass(retain_graph or create_graph, create_graph)
    with enable_grad() if create_graph else no_grad(), _quiet(outputs), as_recorded():
        _start(task, outputs, grads, None)
        task.run()
        leaves = list(task.leaves.values())
        task.leaves.clear()
        while leaves:
            leaf, total = leaves.pop()
            value = total.result(leaf.backend)
            del total
            try:
                _accumulate(leaf, value, create_graph)
            except MemoryError as error:
                _again(error, leaf.backend, lambda leaf=leaf, value=value: _accumulate(leaf, value, create_graph))


def _quiet(outputs: Sequence[Variable]) -> Any:
    """The backend's context without floating-point warnings, entered once for the whole pass."""
    return outputs[0].backend.quiet() if outputs else contextlib.nullcontext()


def _again(error: MemoryError, backend: Any, run: Any) -> None:
    """A second try to hand on a gradient for which there was no memory."""
    from deepcore.autograd import memory  # see Function._again

    memory.again("backward", backend, (), error, run)


def _accumulate(leaf: Variable, value: Any, create_graph: bool) -> None:
    for hook in list((leaf._hooks or {}).values()):
        value = call_hook(hook, value, leaf.backend)
    if create_graph:
        leaf.grad = value if leaf.grad is None else leaf.grad + value
    elif leaf.grad is None:
        # Held by `value` here, by the caller's `value` and by getrefcount's argument: nobody else may write to it.
        alone = sys.getrefcount(value) <= 3 and _owns_memory(value)
        array = value if alone else value.copy()
        leaf.grad = wrap(array, leaf.backend)
    elif leaf.grad.requires_grad:
        leaf.grad = wrap(leaf.grad.array + value, leaf.backend)
    else:
        leaf.grad.array += value
        leaf.grad._bump_version()


def _owns_memory(array: Any) -> bool:
    """Whether this array may become a `.grad`: whole, writable, and no other array sees its memory."""
    flags = getattr(array, "flags", None)
    if flags is None or not hasattr(array, "base") or not flags.c_contiguous or not getattr(flags, "writeable", True):
        return False
    base = array.base
    return base is None or (
        getattr(base, "base", None) is None and sys.getrefcount(base) <= 3
    )  # held by the view alone


def differentiate(
    outputs: Sequence[Variable],
    inputs: Sequence[Variable],
    grads: Sequence[Any],
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Any, ...]:
    """The gradients of `outputs` with respect to `inputs`, returned; no `.grad` changes."""
    for x in inputs:
        if not x.requires_grad:
            hint = "call requires_grad_() on it before the forward"
            raise GraphError(message("grad", "inputs with requires_grad", got(input=x), hint))
    task = _Pass(create_graph if retain_graph is None else retain_graph, create_graph)
    with enable_grad() if create_graph else no_grad(), _quiet(outputs), as_recorded():
        _start(task, outputs, grads, inputs)
        task.run()
    return tuple([_result(task, key, x, allow_unused) for key, x in enumerate(inputs)])


def _result(task: _Pass, key: int, x: Variable, allow_unused: bool) -> Any:
    if x.grad_fn is None:
        entry = task.leaves.get(id(x))
        value = None if entry is None else entry[1].result(x.backend)
        if value is not None:
            for hook in list((x._hooks or {}).values()):
                value = call_hook(hook, value, x.backend)
    else:
        value = task.captured.get(key)
    if value is None:
        if allow_unused:
            return None
        hint = "pass allow_unused=True to get None for it"
        raise GraphError(message("grad", "outputs that depend on every input", f"input {key} unused", hint))
    return value if isinstance(value, Variable) else wrap(value, x.backend)


def as_list(x: Variable | Iterable[Variable]) -> list[Variable]:
    """One tensor or several, as a list."""
    return [x] if isinstance(x, Variable) else list(x)
