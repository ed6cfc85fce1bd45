"""Exponentials of vectors and loops over rows, for functions under `@vectorised`; see kernels/cpu/elementary.py."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from llvmlite import ir

from deepcore.kernels.cpu.elementary import LEAST, LOG2_E, LOG2_HIGH, LOG2_LOW, ROUND, TERMS
from deepcore.kernels.cpu.vector import Code, Number, Pointer, Variable, Vector


def decay(v: Code, x: Vector) -> Vector:
    """exp(x) of x <= 0, as elementary.decay."""
    size = v.itemsize
    x = v.max(v.constant(LEAST[size]), x)
    moved = v.fma(x, v.constant(LOG2_E), v.constant(ROUND[size]))
    k = moved - v.constant(ROUND[size])
    r = v.fma(k, v.constant(-LOG2_LOW[size]), v.fma(k, v.constant(-LOG2_HIGH[size]), x))
    square = r * r
    terms = [v.constant(1 / math.factorial(n)) for n in range(2, TERMS[size] + 1)]
    pairs = [v.fma(r, high, low) for low, high in zip(terms[::2], terms[1::2], strict=True)]
    p = pairs[-1]
    for pair in reversed(pairs[:-1]):
        p = v.fma(p, square, pair)
    q = v.fma(p, square, r)
    bits = ir.VectorType(ir.IntType(8 * size), v.lanes)
    exponent = v.builder.shl(
        v.builder.bitcast(moved.value, bits), ir.Constant(bits, [23 if size == 4 else 52] * v.lanes)
    )
    s = Vector(v, v.builder.bitcast(exponent, v.type))
    return v.fma(q, s, s)


def by_vectors(v: Code, count: Number, body: Callable[..., Any]) -> None:
    """Write body(at) for every whole vector of `count` elements and body(at, rest) for what is left."""
    whole = count // v.lanes
    with v.loop(whole) as i:
        body(i * v.lanes)
    rest = count - whole * v.lanes
    with v.when(rest):
        body(whole * v.lanes, rest)


def largest(v: Code, x: Pointer, count: Number) -> Vector:
    """All lanes the maximum of count > 0 numbers; of NaN among them any number, if they are not all NaN."""
    first = v.broadcast(x)
    top = v.variable(first)

    def body(at: Number, rest: Number | None = None) -> None:
        here = v.load(x + at, rest)
        top.set(v.max(here if rest is None else v.only(here, rest, first), top.vector))

    by_vectors(v, count, body)
    return v.splat(v.highest(top.vector))


def exponentials(v: Code, y: Pointer, x: Pointer, top: Vector, count: Number) -> Variable:
    """Write exp(x - top) of count numbers to y and return their sum, lane by lane, in float64."""
    total = v.variable(v.widen(v.zero()))

    def body(at: Number, rest: Number | None = None) -> None:
        e = decay(v, v.load(x + at, rest) - top)
        v.store(y + at, e, rest)
        wide = v.widen(e)
        total.set(total.vector + (wide if rest is None else v.only(wide, rest)))

    by_vectors(v, count, body)
    return total
