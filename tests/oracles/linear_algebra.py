"""Oracles of deepcore.linalg in float64: loops, cofactors and permutations, or SciPy; no code of deepcore."""

from __future__ import annotations

import itertools
import math

import numpy as np
from scipy import linalg as scipy_linalg


def each(routine):
    """The routine for one matrix, applied to each of a batch."""

    def apply(a, *rest, **kwargs):
        if a.ndim == 2:
            return routine(a, *rest, **kwargs)
        return np.stack([apply(x, *rest, **kwargs) for x in a]) if len(a) else np.zeros(a.shape)

    return apply


def determinant(a):
    """The sum over all permutations."""
    n = len(a)
    total = 0.0
    for order in itertools.permutations(range(n)):
        swaps = sum(order[i] > order[j] for i in range(n) for j in range(i + 1, n))
        total += (-1) ** swaps * math.prod(a[i, k] for i, k in enumerate(order))
    return np.asarray(total)


def inverse(a):
    """The matrix of cofactors over the determinant."""
    n = len(a)
    y = np.zeros((n, n))
    for i, j in np.ndindex(n, n):
        minor = np.delete(np.delete(a, i, 0), j, 1)
        y[j, i] = (-1) ** (i + j) * determinant(minor) / determinant(a)
    return y


def solve(a, b, left=True):
    """By the inverse."""
    y = each(inverse)(a)
    if not left:
        return b @ y
    if b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1]):
        return (y @ b[..., None])[..., 0]
    return y @ b


def cholesky(a):
    """Row after row."""
    y = np.zeros_like(a)
    for i, j in np.ndindex(a.shape):
        if j < i:
            y[i, j] = (a[i, j] - y[i, :j] @ y[j, :j]) / y[j, j]
        elif i == j:
            y[i, i] = math.sqrt(a[i, i] - y[i, :i] @ y[i, :i])
    return y


def gram_schmidt(a):
    """(Q, R) with a positive diagonal in R."""
    n, m = a.shape
    k = min(n, m)
    q = np.zeros((n, k))
    for j in range(k):
        v = a[:, j] - q @ (q.T @ a[:, j])
        v = v - q @ (q.T @ v)
        q[:, j] = v / np.sqrt(v @ v)
    return q, q.T @ a


def each_of_several(routine):
    """The routine for one matrix, which has several results, applied to each of a batch."""

    def apply(a):
        if a.ndim == 2:
            return routine(a)
        return tuple(np.stack(parts) for parts in zip(*[apply(x) for x in a], strict=True))

    return apply


def symmetric_part(a):
    """(A + A^T) / 2."""
    return (a + a.swapaxes(-1, -2)) * 0.5


def eigh(a):
    """Eigenvalues, and the squares of the eigenvectors' elements, which have no sign."""
    w, v = scipy_linalg.eig(symmetric_part(a)) if a.size else (np.zeros(0), np.zeros((0, 0)))
    order = np.argsort(w.real)
    return w.real[order], (v.real**2)[:, order]


def svd_parts(u, s, vh):
    """What is unique: S, the product of the vectors, and each vector's elements squared."""
    return s, u @ vh, u * u, vh * vh


def svd(a):
    """By SciPy, with another routine of LAPACK."""
    u, s, vh = scipy_linalg.svd(a, full_matrices=False, lapack_driver="gesvd")
    return svd_parts(u, s, vh)


def vector_norm(x, ord=2, dim=None, keepdim=False):
    """By the definition of each ord."""
    axes = dim if dim is None or isinstance(dim, int) else tuple(dim)
    size = np.abs(x)
    options = {"axis": axes, "keepdims": keepdim}
    if ord == math.inf:
        return size.max(**options)
    if ord == -math.inf:
        return size.min(**options)
    if ord == 0:
        return (x != 0).sum(**options).astype(np.float64)
    return (size**ord).sum(**options) ** (1 / ord)


def matrix_norm(x, ord="fro", dim=(-2, -1), keepdim=False):
    """NumPy's, on the two axes moved to the end."""
    y = np.linalg.norm(np.moveaxis(x, dim, (-2, -1)), ord, (-2, -1))
    if keepdim:
        for d in sorted(d % x.ndim for d in dim):
            y = np.expand_dims(y, d)
    return y


def matrix_power(a, n):
    """One product after another."""
    y = np.eye(a.shape[-1]) + np.zeros_like(a)
    for _ in range(abs(n)):
        y = y @ a
    return y if n >= 0 else each(inverse)(y)
