"""Winograd's minimal filtering F(m x m, 3 x 3): its three matrices, and code that multiplies vectors by them.

m outputs of a filter of 3 taps over n = m + 2 inputs take n multiplications instead of 3 m:

    y = A^T [(G g) * (B^T d)],    in two dimensions  Y = A^T [(G g G^T) * (B^T d B)] A

The filter's gradient takes the same matrices, transposed:  dg = G^T [(A dy A^T) * (B^T d B)] G.

The matrices come from the Toom-Cook polynomials at n - 1 points and infinity (S. Winograd, "Arithmetic Complexity of
Computations", 1980; A. Lavin and S. Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016). With Lavin
and Gray's points 0, 1, -1, 2, -2 for m = 4 rounding errors are twice as large as with those below, which oneDNN also
uses; these cost two operations more in A^T.
"""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any, NamedTuple

Matrix = tuple[tuple[float, ...], ...]
TAPS = 3


class Winograd(NamedTuple):
    """The transforms of F(m x m, 3 x 3): `m` outputs and `n` inputs along a side of a tile."""

    m: int
    n: int
    data: Matrix  # B^T (n, n)
    filter: Matrix  # G (n, 3)
    output: Matrix  # A^T (m, n)


def polynomial(roots: list[Fraction], size: int) -> list[Fraction]:
    """Return the coefficients of the product of (x - root), the constant first, filled up with zeros to `size`."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        coefficients = [a - root * b for a, b in zip(shifted, [*coefficients, Fraction(0)], strict=True)]
    return coefficients + [Fraction(0)] * (size - len(coefficients))


def winograd(*points: Fraction | int) -> Winograd:
    """Return the matrices for these points and infinity; m is one less than there are points."""
    at = [Fraction(point) for point in points]
    n = len(at) + 1
    m = n + 1 - TAPS
    filters, data = [], []
    for p in at:
        others = [q for q in at if q != p]
        scale = Fraction(1)
        for q in others:
            scale *= p - q
        filters.append([p**i / scale for i in range(TAPS)])
        data.append(polynomial(others, n))
    filters.append([Fraction(i == TAPS - 1) for i in range(TAPS)])
    data.append(polynomial(at, n))
    output = [[p**i for p in at] + [Fraction(i == m - 1)] for i in range(m)]
    return Winograd(m, n, numbers(data), numbers(filters), numbers(output))


def numbers(rows: list[list[Fraction]]) -> Matrix:
    """Return a matrix of floats."""
    return tuple(tuple(float(x) for x in row) for row in rows)


def transposed(matrix: Matrix) -> Matrix:
    """Return the transposed matrix."""
    return tuple(zip(*matrix, strict=True))


F4 = winograd(0, Fraction(5, 8), Fraction(-5, 8), Fraction(3, 2), Fraction(-3, 2))
F2 = winograd(0, 1, -1)


def apply(v: Any, matrix: Matrix, vectors: list[Any]) -> list[Any]:
    """Write the product of a matrix and a list of vectors; `v` is the code of `vectorised`.

    Two rows, or two columns, whose coefficients differ only in signs (those of the points p and -p) share their sums:
    they become their half sum and half difference first, and are put together again at the end.
    """
    rows, vectors = [list(row) for row in matrix], list(vectors)
    for i, k in pairs(transposed(matrix)):
        x, y = vectors[i], vectors[k]
        vectors[i], vectors[k] = x + y, x - y
        for row in rows:
            row[i], row[k] = (row[i], 0.0) if row[i] == row[k] else (0.0, row[i])
    made: list[Any] = [None] * len(rows)
    for i, k in pairs(tuple(map(tuple, rows))):
        same = [a if a == b else 0.0 for a, b in zip(rows[i], rows[k], strict=True)]
        other = [a if a != b else 0.0 for a, b in zip(rows[i], rows[k], strict=True)]
        # most of its coefficients become 1 when the last one is taken out
        factor = next(a for a in reversed(other) if a)
        even, odd = combine(v, same, vectors), combine(v, [a / factor for a in other], vectors)
        if factor == 1:
            made[i], made[k] = even + odd, even - odd
        else:
            made[i], made[k] = (v.fma(odd, v.constant(f), even) for f in (factor, -factor))
    return [combine(v, row, vectors) if done is None else done for row, done in zip(rows, made, strict=True)]


def pairs(rows: Matrix) -> list[tuple[int, int]]:
    """Return the disjoint pairs of rows that are equal up to signs, with at least one equal and one opposite number."""
    found: list[tuple[int, int]] = []
    for i, row in enumerate(rows):
        for k in range(i + 1, len(rows)):
            free = not any(j in pair for pair in found for j in (i, k))
            alike = all(abs(a) == abs(b) for a, b in zip(row, rows[k], strict=True))
            signs = {a == b for a, b in zip(row, rows[k], strict=True) if a}
            if free and alike and signs == {True, False}:
                found.append((i, k))
    return found


def combine(v: Any, coefficients: list[float] | tuple[float, ...], vectors: list[Any]) -> Any:
    """Write the sum of coefficient * vector."""
    terms = [(a, x) for a, x in zip(coefficients, vectors, strict=True) if a]
    start = next((i for i, (a, _) in enumerate(terms) if a == 1), 0)
    a, total = terms.pop(start)
    if a != 1:
        total = total * a
    for a, x in terms:
        total = total + x if a == 1 else total - x if a == -1 else v.fma(x, v.constant(a), total)
    return total


def both(v: Any, matrix: Matrix, load: Callable[[int, int], Any], store: Callable[[int, int, Any], None]) -> None:
    """Write matrix @ tile @ matrix^T: load(i, j) gives the tile's vectors, store(i, j, vector) takes the result's."""
    n = len(matrix[0])
    columns = [apply(v, matrix, [load(i, j) for i in range(n)]) for j in range(n)]
    for i in range(len(matrix)):
        for j, vector in enumerate(apply(v, matrix, [column[i] for column in columns])):
            store(i, j, vector)
