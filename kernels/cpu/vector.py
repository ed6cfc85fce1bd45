"""Explicit vectors: Python functions that write LLVM code, for the few loops where LLVM does not find them by itself.

A function under `@vectorised` is called from kernels like any other. It runs once, when a kernel is compiled: its first
argument `v` writes the code, the others stand for the values of the call. Numba arrays arrive as the `Pointer` to their
first element, integers as `Number`; `v.load`, `v.store` and the operators + - * make vectors of `v.lanes` numbers, as
many as the host's registers hold (float32: 16 with AVX-512, 8 with AVX2, 4 with NEON; float64: half of it).

    @vectorised
    def axpy(v, y, x, a, count):             # y += a[0] * x, for a multiple of v.lanes
        factor = v.broadcast(a)
        with v.loop(count // v.lanes) as i:
            at = i * v.lanes
            v.store(y + at, v.fma(factor, v.load(x + at), v.load(y + at)))

Nothing checks an address. Loops of Python are unrolled; `v.loop` makes a loop of the machine. Arrays must be
C-contiguous; the dtype of the first decides the lanes. Sums that float32 is too short for are vectors of as many
float64: `v.widen` makes them, `v.load` and `v.store` take pointers to either.
"""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

INT = ir.IntType(64)
LANE = ir.IntType(32)


def _host() -> tuple[int, int]:
    """(bytes of a vector register, how many there are) on this machine."""
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 64, 32
    if features.get("avx"):
        return 32, 16
    return 16, 32 if features.get("neon") or features.get("fp-armv8") else 16


BYTES, REGISTERS = _host()


def lanes(itemsize: int) -> int:
    """Return how many numbers of this many bytes a register holds."""
    return BYTES // itemsize


class Value:
    """Something of LLVM's with Python's operators; `other` may be a plain number."""

    def __init__(self, code: Code, value: Any) -> None:
        self.code, self.value = code, value


class Number(Value):
    """An integer (64 bits), such as an index or a stride in elements."""

    def __add__(self, other: Number | int) -> Number:
        return Number(self.code, self.code.builder.add(self.value, self.code.int(other)))

    def __sub__(self, other: Number | int) -> Number:
        return Number(self.code, self.code.builder.sub(self.value, self.code.int(other)))

    def __mul__(self, other: Number | int) -> Number:
        return Number(self.code, self.code.builder.mul(self.value, self.code.int(other)))

    def __floordiv__(self, other: Number | int) -> Number:
        """The quotient of two numbers that are not negative."""
        return Number(self.code, self.code.builder.udiv(self.value, self.code.int(other)))

    __radd__, __rmul__ = __add__, __mul__


class Pointer(Value):
    """The address of a float; + moves it by elements."""

    def __add__(self, elements: Number | int) -> Pointer:
        return Pointer(self.code, self.code.builder.gep(self.value, [self.code.int(elements)]))


class Vector(Value):
    """`v.lanes` numbers, one operation on all of them."""

    def __add__(self, other: Vector) -> Vector:
        return Vector(self.code, self.code.builder.fadd(self.value, other.value, flags=["contract"]))

    def __sub__(self, other: Vector) -> Vector:
        return Vector(self.code, self.code.builder.fsub(self.value, other.value, flags=["contract"]))

    def __mul__(self, other: Vector | float) -> Vector:
        if not isinstance(other, Vector):
            other = self.code.constant(other)
        return Vector(self.code, self.code.builder.fmul(self.value, other.value, flags=["contract"]))

    __rmul__ = __mul__


class Variable(Value):
    """A vector that loops change: read `.vector`, write with `set`. It lives in a register."""

    @property
    def vector(self) -> Vector:
        return Vector(self.code, self.code.builder.load(self.value))

    def set(self, vector: Vector) -> None:
        self.code.builder.store(vector.value, self.value)


class Code:
    """Writes the code of one call; `real` is the type of the arrays' elements."""

    def __init__(self, builder: Any, real: Any, itemsize: int) -> None:
        self.builder, self.real, self.itemsize = builder, real, itemsize
        self.lanes = lanes(itemsize)
        self.type = ir.VectorType(real, self.lanes)
        self.wide = ir.VectorType(ir.DoubleType(), self.lanes)

    def int(self, x: Number | int) -> Any:
        return x.value if isinstance(x, Number) else ir.Constant(INT, x)

    def least(self, a: Number | int, b: Number | int) -> Number:
        """The smaller of two integers."""
        first, second = self.int(a), self.int(b)
        return Number(self, self.builder.select(self.builder.icmp_signed("<", first, second), first, second))

    def pointer(self, address: Number) -> Pointer:
        """An address in memory (array.ctypes.data) as a pointer to floats."""
        return Pointer(self, self.builder.inttoptr(address.value, self.real.as_pointer()))

    def constant(self, x: float) -> Vector:
        """All lanes x."""
        return Vector(self, ir.Constant(self.type, [float(x)] * self.lanes))

    def zero(self) -> Vector:
        return self.constant(0.0)

    def load(self, pointer: Pointer, count: Number | int | None = None) -> Vector:
        """`v.lanes` elements from `pointer` on; of only `count`, the rest 0 and not touched."""
        kind = ir.VectorType(pointer.value.type.pointee, self.lanes)
        address = self.builder.bitcast(pointer.value, kind.as_pointer())
        if count is None:
            value = self.builder.load(address)
            value.align = self.itemsize
            return Vector(self, value)
        return Vector(self, self._masked("load", address, count))

    def part(self, pointer: Pointer, first: Number | int, end: Number | int) -> Vector:
        """Lanes first..end from `pointer` on; the others are 0 and not touched."""
        mask = self.builder.and_(self._first(end), self.builder.not_(self._first(first)))
        address = self.builder.bitcast(pointer.value, self.type.as_pointer())
        values = [address, ir.Constant(LANE, self.itemsize), mask, self.zero().value]
        return Vector(self, self._call(f"llvm.masked.load.{self._suffix}.p0", values))

    def store(self, pointer: Pointer, vector: Vector, count: Number | int | None = None) -> None:
        """Write the lanes to `pointer` and behind it; only the first `count`."""
        address = self.builder.bitcast(pointer.value, vector.value.type.as_pointer())
        if count is None:
            self.builder.store(vector.value, address).align = self.itemsize
        else:
            self._masked("store", address, count, vector)

    def prefetch(self, pointer: Pointer) -> None:
        """Ask for the cache line of `pointer`, which may lie behind an array's end."""
        byte = ir.IntType(8).as_pointer()
        signature = ir.FunctionType(ir.VoidType(), [byte, LANE, LANE, LANE])
        function = cgutils.get_or_insert_function(self.builder.module, signature, "llvm.prefetch.p0")
        options = [ir.Constant(LANE, n) for n in (0, 3, 1)]  # to read, into the nearest cache, data
        self.builder.call(function, [self.builder.bitcast(pointer.value, byte), *options])

    def broadcast(self, pointer: Pointer) -> Vector:
        """All lanes the element at `pointer`."""
        return self.splat(self.builder.load(pointer.value))

    def splat(self, scalar: Any) -> Vector:
        """All lanes the float `scalar` of LLVM."""
        undefined = ir.Constant(ir.VectorType(scalar.type, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, scalar, ir.Constant(LANE, 0))
        everywhere = ir.Constant(ir.VectorType(LANE, self.lanes), [0] * self.lanes)
        return Vector(self, self.builder.shuffle_vector(first, undefined, everywhere))

    def widen(self, a: Vector) -> Vector:
        """The lanes as float64; of float64 the vector itself."""
        return a if self.itemsize == 8 else Vector(self, self.builder.fpext(a.value, self.wide))

    def narrow(self, scalar: Any) -> Any:
        """A double of LLVM as a float of the arrays' kind."""
        return scalar if self.itemsize == 8 else self.builder.fptrunc(scalar, self.real)

    def shuffle(self, a: Vector, b: Vector, places: list[int]) -> Vector:
        """The elements at `places` of a, then b: v.lanes of them."""
        mask = ir.Constant(ir.VectorType(LANE, self.lanes), places)
        return Vector(self, self.builder.shuffle_vector(a.value, b.value, mask))

    def transpose(self, rows: list[Vector]) -> list[Vector]:
        """Lane j of vector i becomes lane i of vector j, for `v.lanes` vectors: log2(lanes) rounds of shuffles."""
        n = self.lanes
        assert len(rows) == n
        half = 1
        while half < n:
            low = [j if not j & half else n + j - half for j in range(n)]
            high = [j + half if not j & half else n + j for j in range(n)]
            for i in range(n):
                if not i & half:
                    a, b = rows[i], rows[i + half]
                    rows[i], rows[i + half] = self.shuffle(a, b, low), self.shuffle(a, b, high)
            half *= 2
        return rows

    def fma(self, a: Vector, b: Vector, c: Vector) -> Vector:
        """a * b + c in one rounding."""
        return Vector(self, self._call(f"llvm.fma.{self._suffix}", [a.value, b.value, c.value]))

    def number(self, pointer: Pointer) -> Number:
        """The int64 at `pointer`."""
        return Number(self, self.builder.load(pointer.value))

    def max(self, a: Vector, b: Vector) -> Vector:
        """The larger of each lane, b where a is NaN or neither is larger."""
        return Vector(self, self.builder.select(self.builder.fcmp_ordered(">", a.value, b.value), a.value, b.value))

    def gate(self, g: Vector, y: Vector) -> Vector:
        """The lanes of g where y is positive or NaN, else 0."""
        closed = self.builder.fcmp_ordered("<=", y.value, self.zero().value)
        return Vector(self, self.builder.select(closed, self.zero().value, g.value))

    def only(self, a: Vector, count: Number | int, other: Vector | None = None) -> Vector:
        """The first `count` lanes of a, the others of `other`, or 0."""
        rest = ir.Constant(a.value.type, None) if other is None else other.value
        return Vector(self, self.builder.select(self._first(count), a.value, rest))

    def sum(self, a: Vector) -> Any:
        """The sum of the lanes, as a float of LLVM, by halves."""
        return self._by_halves(a, self.builder.fadd)

    def highest(self, a: Vector) -> Any:
        """The maximum of the lanes, as a float of LLVM; with NaN among them any lane."""
        return self._by_halves(a, lambda x, y: self.builder.select(self.builder.fcmp_ordered(">", x, y), x, y))

    def _by_halves(self, a: Vector, combine: Callable[[Any, Any], Any]) -> Any:
        value, n = a.value, self.lanes
        while n > 1:
            n //= 2
            undefined = ir.Constant(value.type, ir.Undefined)
            parts = [
                self.builder.shuffle_vector(value, undefined, ir.Constant(ir.VectorType(LANE, n), list(places)))
                for places in (range(n), range(n, 2 * n))
            ]
            value = combine(*parts)
        return self.builder.extract_element(value, ir.Constant(LANE, 0))

    def put(self, pointer: Pointer, scalar: Any) -> None:
        """Write one float of LLVM's."""
        self.builder.store(scalar, pointer.value)

    def variable(self, start: Vector) -> Variable:
        """A vector to be changed inside of `v.loop`."""
        slot = cgutils.alloca_once(self.builder, start.value.type)
        self.builder.store(start.value, slot)
        return Variable(self, slot)

    @contextlib.contextmanager
    def loop(self, count: Number | int) -> Iterator[Number]:
        """Repeat what is written inside; gives the index, from 0 on."""
        with cgutils.for_range(self.builder, self.int(count), intp=INT) as loop:
            yield Number(self, loop.index)

    @contextlib.contextmanager
    def when(self, count: Number) -> Iterator[None]:
        """Do what is written inside only where count is not 0."""
        with self.builder.if_then(self.builder.icmp_signed("!=", count.value, ir.Constant(INT, 0))):
            yield

    @property
    def _suffix(self) -> str:
        return f"v{self.lanes}f{8 * self.itemsize}"

    def _call(self, name: str, values: list[Any], result: Any = None) -> Any:
        signature = ir.FunctionType(result or self.type, [value.type for value in values])
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, signature, name), values)

    def _first(self, count: Number | int) -> Any:
        """A mask of the first `count` lanes."""
        undefined = ir.Constant(ir.VectorType(INT, self.lanes), ir.Undefined)
        first = self.builder.insert_element(undefined, self.int(count), ir.Constant(LANE, 0))
        zeros = ir.Constant(ir.VectorType(LANE, self.lanes), [0] * self.lanes)
        limit = self.builder.shuffle_vector(first, undefined, zeros)
        numbers = ir.Constant(ir.VectorType(INT, self.lanes), list(range(self.lanes)))
        return self.builder.icmp_signed("<", numbers, limit)

    def _masked(self, what: str, address: Any, count: Number | int, vector: Vector | None = None) -> Any:
        mask = self._first(count)
        name = f"llvm.masked.{what}.{self._suffix}.p0"
        align = ir.Constant(LANE, self.itemsize)
        if vector is None:
            return self._call(name, [address, align, mask, self.zero().value])
        return self._call(name, [vector.value, address, align, mask], ir.VoidType())


def vectorised(function: Callable) -> Any:
    """Make a function that writes code callable from kernels; see the module's text."""
    names = list(inspect.signature(function).parameters)[1:]

    def typed(given: tuple) -> Any:
        arrays = [t for t in given if isinstance(t, types.Array)]
        if not arrays or any(t.layout != "C" for t in arrays):
            return None
        kind = arrays[0].dtype
        itemsize = kind.bitwidth // 8
        signature = types.void(*[t if isinstance(t, types.Array) else types.int64 for t in given])

        def write(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            code = Code(builder, context.get_value_type(kind), itemsize)
            arguments = []
            for t, value in zip(signature.args, values, strict=True):
                if isinstance(t, types.Array):
                    arguments.append(Pointer(code, context.make_array(t)(context, builder, value).data))
                else:
                    arguments.append(Number(code, value))
            function(code, *arguments)
            return context.get_dummy_value()

        return signature, write

    # Numba reads the names of an intrinsic's arguments from its signature.
    place: dict[str, Any] = {"typed": typed}
    tuple_of = "".join(f"{name}, " for name in names)
    exec(f"def {function.__name__}(context, {', '.join(names)}):\n    return typed(({tuple_of}))", place)
    made = place[function.__name__]
    made.__doc__, made.__module__ = function.__doc__, function.__module__
    return intrinsic(made)
