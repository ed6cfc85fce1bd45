"""Rows that a sequence repeats: behind an embedding of few words most rows of a layer's input are equal.

A row's product with the input weight is then computed once for each word and not once for each place, and the weight's
gradient from sums over a word's places. The results are the same; the gradient's terms are added in another order.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from deepcore.autograd.mode import altered
from deepcore.functions.index.embedding import Embedding
from deepcore.functions.shape import Permute

LEAST_WORK = 1 << 24  # multiplications of the whole product, below which looking for repeats takes as long
LEAST_REPEATS = 4  # places for each word


class Repeats(NamedTuple):
    """`first` (R,): the place of one row of each kind; `kind` (M,): for each row which of them it equals."""

    first: Any
    kind: Any


def find(x: Any, rows: Any, w: Any) -> Repeats | None:
    """Return which of `rows` (M, D), tensor x seen as rows, are equal, or None where it is not known or does not pay.

    Known for the output of an embedding, as it is or with its axes in another order, from the graph. w: the weight.
    """
    creator, order = x.grad_fn, None
    if type(creator) is Permute and creator.edges[0] is not None:
        order = creator.dims
        creator = creator.edges[0][0]
    backend, count = x.backend, rows.shape[0]
    if type(creator) is not Embedding or not backend.on_host or altered() or creator.freed:
        return None
    if count * math.prod(w.shape) < LEAST_WORK or (order is not None and order[-1] != len(order) - 1):
        return None
    (index,) = creator.saved
    index = (index if order is None else index.transpose(order[:-1])).reshape(-1)
    xp = backend.xp
    place = xp.full(creator.w_shape[0], -1)
    place[index] = xp.arange(count)
    words = xp.flatnonzero(place >= 0)
    if index.shape[0] != count or LEAST_REPEATS * len(words) > count:
        return None
    first = place[words]
    place[words] = xp.arange(len(words))
    kind = place[index]
    # What was written into the rows since is not in the graph: look.
    same = bool((xp.take(rows.array, first[kind], axis=0) == rows.array).all())
    return Repeats(first, kind) if same else None
