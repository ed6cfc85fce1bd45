"""Sums of products named by letters: einsum; and two products of its kind, bmm and outer."""

from __future__ import annotations

import math
import string
from typing import TYPE_CHECKING, Any

from deepcore.autograd.precision import cast_as_one
from deepcore.errors import ConfigError, ShapeError, got, message
from deepcore.functions.arranging import diagonal
from deepcore.functions.linalg.products import Matmul, matmul
from deepcore.functions.reduce import sum
from deepcore.functions.shape import broadcast_to, cast, permute, reshape, squeeze

if TYPE_CHECKING:
    from deepcore.tensor import Tensor


__all__ = [
    "bmm",
    "einsum",
    "outer",
]

# A term is an operand with the labels of its axes: letters, and numbers for the axes of "...", from the right.
Label = str | int
Labels = tuple[Label, ...]


@cast_as_one
def einsum(equation: str, *operands: Tensor) -> Tensor:
    """The sum of products that the equation names: "ij,jk->ik" is a matrix product, "bii->b" a batch of traces.

    A letter stands for an axis; letters that the output lacks are summed over, a letter twice in one operand takes its
    diagonal, "..." stands for axes that broadcast. Without "->" the output has the letters that occur once, in order.
    Operands are contracted from left to right, each pair by one matrix product.
    Raises ConfigError for an equation that cannot be read, ShapeError for sizes that do not fit.

    >>> import deepcore as dc
    >>> dc.einsum("ij,j->i", dc.ones(2, 3), dc.ones(3))
    tensor([3., 3.])
    """
    if len(operands) == 1 and isinstance(operands[0], list | tuple):
        operands = tuple(operands[0])
    inputs, output = _parse(equation, operands)
    sizes = _sizes(equation, operands, inputs)
    terms = [_without_repeats(x, labels) for x, labels in zip(operands, inputs, strict=True)]
    x, labels = terms[0]
    for i, (y, others) in enumerate(terms[1:], 1):
        later = set(output).union(*(found for _, found in terms[i + 1 :]))
        x, labels = _contract(x, labels, y, others, later, sizes)
    x, labels = _summed(x, labels, set(output))
    shape = tuple(sizes[label] for label in output)
    aligned = permute(x, tuple(labels.index(label) for label in output if label in labels))
    return broadcast_to(aligned, shape)


def _parse(equation: str, operands: tuple[Any, ...]) -> tuple[list[Labels], Labels]:
    """The labels of each operand and of the output."""
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    parts = left.split(",")
    if not operands or len(parts) != len(operands):
        found = f"{equation!r} with {len(operands)} operands"
        raise ConfigError(message("einsum", "one group of letters an operand", found))
    inputs = [
        _labels(equation, part, x.ndim, got(**{f"operand {i}": x}))
        for i, (part, x) in enumerate(zip(parts, operands, strict=True))
    ]
    used = [label for labels in inputs for label in labels]
    dots = sorted({label for label in used if isinstance(label, int)}, reverse=True)
    if not arrow:
        letters = sorted(label for label in used if isinstance(label, str) and used.count(label) == 1)
        return inputs, (*dots, *letters)
    before, ellipsis, after = right.partition("...")
    output: Labels = (*before, *(dots if ellipsis else ()), *after)
    wrong = [label for label in output if label not in used]
    if wrong or len(set(output)) != len(output):
        expected = "an output in which each letter occurs once, and in an operand too"
        raise ConfigError(message("einsum", expected, repr(equation)))
    return inputs, output


def _labels(equation: str, part: str, ndim: int, found: str) -> Labels:
    before, dots, after = part.partition("...")
    if any(c not in string.ascii_letters for c in before + after):
        raise ConfigError(message("einsum", 'letters, ",", "..." and "->"', repr(equation)))
    extra = ndim - len(before) - len(after)
    if extra < 0 or (extra and not dots):
        expected = f"{len(before) + len(after)} axes{' or more' if dots else ''} for {part!r}"
        raise ShapeError(message("einsum", expected, found))
    return (*before, *range(extra - 1, -1, -1), *after)


def _sizes(equation: str, operands: tuple[Any, ...], inputs: list[Labels]) -> dict[Label, int]:
    """The size of each label; sizes of 1 broadcast."""
    sizes: dict[Label, int] = {}
    for x, labels in zip(operands, inputs, strict=True):
        for label, n in zip(labels, x.shape, strict=True):
            known = sizes.setdefault(label, n)
            if n != known and 1 not in (n, known):
                found = got(**{f"operand {i}": y for i, y in enumerate(operands)})
                name = "..." if isinstance(label, int) else label
                raise ShapeError(message("einsum", f"one size for {name!r} in {equation!r}", found))
            sizes[label] = n if known == 1 else known
    return sizes


def _without_repeats(x: Any, labels: Labels) -> tuple[Any, Labels]:
    """The diagonal of every label that occurs twice."""
    for label in dict.fromkeys(labels):
        while labels.count(label) > 1:
            first = labels.index(label)
            second = labels.index(label, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ShapeError(message("einsum", f"one size for {label!r} within an operand", got(operand=x)))
            x = diagonal(x, 0, first, second)
            labels = (*(old for old in labels if old != label), *(label,) * (labels.count(label) - 1))
    return x, labels


def _summed(x: Any, labels: Labels, keep: set[Label]) -> tuple[Any, Labels]:
    """Summed over the labels that nobody needs any more."""
    gone = [i for i, label in enumerate(labels) if label not in keep]
    if not gone:
        return x, labels
    return cast(sum(x, gone), x.dtype), tuple(label for label in labels if label in keep)


def _contract(
    x: Any, x_labels: Labels, y: Any, y_labels: Labels, later: set[Label], sizes: dict[Label, int]
) -> tuple[Any, Labels]:
    """Two terms as one, by a batched matrix product: (batch, rows, common) @ (batch, common, columns)."""
    x, x_labels = _ones_dropped(x, x_labels, y, y_labels, sizes)
    y, y_labels = _ones_dropped(y, y_labels, x, x_labels, sizes)
    x, x_labels = _summed(x, x_labels, later | set(y_labels))
    y, y_labels = _summed(y, y_labels, later | set(x_labels))
    batch = tuple(label for label in x_labels if label in y_labels and label in later)
    common = tuple(label for label in x_labels if label in y_labels and label not in later)
    rows = tuple(label for label in x_labels if label not in y_labels)
    columns = tuple(label for label in y_labels if label not in x_labels)
    known = dict(zip(x_labels, x.shape, strict=True)) | dict(zip(y_labels, y.shape, strict=True))

    def shape(*groups: Labels) -> tuple[int, ...]:
        return tuple(math.prod(known[label] for label in group) for group in groups)

    def ordered(t: Any, labels: Labels, *groups: Labels) -> Any:
        order = tuple(labels.index(label) for group in groups for label in group)
        return reshape(permute(t, order), shape(*groups))

    if common:
        product = matmul(ordered(x, x_labels, batch, rows, common), ordered(y, y_labels, batch, common, columns))
    else:
        product = ordered(x, x_labels, batch, rows, ()) * ordered(y, y_labels, batch, (), columns)
    result = (*batch, *rows, *columns)
    return reshape(product, tuple(known[label] for label in result)), result


def _ones_dropped(x: Any, labels: Labels, y: Any, others: Labels, sizes: dict[Label, int]) -> tuple[Any, Labels]:
    """x without its axes of length 1 that broadcast against a longer axis of the same label."""
    gone = [i for i, label in enumerate(labels) if label in others and x.shape[i] == 1 != sizes[label]]
    gone = [i for i in gone if y.shape[others.index(labels[i])] != 1]
    if not gone:
        return x, labels
    return squeeze(x, gone), tuple(label for i, label in enumerate(labels) if i not in gone)


def bmm(x: Tensor, mat2: Tensor) -> Tensor:
    """A batch of matrix products: (N, n, k) @ (N, k, m) -> (N, n, m). Nothing broadcasts."""
    a, b = x.shape, mat2.shape
    if len(a) != 3 or len(b) != 3 or a[0] != b[0] or a[2] != b[1]:
        raise ShapeError(message("bmm", "x (N, n, k), mat2 (N, k, m)", got(x=x, mat2=mat2), "matmul broadcasts"))
    return Matmul()(x, mat2)


def outer(x: Tensor, vec2: Tensor) -> Tensor:
    """All products of two vectors: (n,), (m,) -> (n, m)."""
    if len(x.shape) != 1 or len(vec2.shape) != 1:
        raise ShapeError(message("outer", "two 1-d tensors", got(x=x, vec2=vec2)))
    return reshape(x, (*x.shape, 1)) * vec2
