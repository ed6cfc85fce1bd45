"""Adding values at places, repeats one after the other: the sums of numpy.add.at, in its order."""

from __future__ import annotations

from deepcore.kernels.cpu.compiler import kernel


@kernel()
def add_rows(first, last, out, places, values):
    """Add row i of values (n, D) to row places[i] of out (A, D), columns first..last; negative places from the end."""
    for i in range(places.size):
        place = places[i]
        if place < 0:
            place += out.shape[0]
        target, source = out[place, first:last], values[i, first:last]
        for d in range(source.size):
            target[d] += source[d]


@kernel()
def add_planes(first, last, out, places, values):
    """Add values (L, n) at places (n,) of out (L, A), planes first..last; negative places from the end."""
    for k in range(first, last):
        target, source = out[k], values[k]
        for i in range(places.size):
            place = places[i]
            if place < 0:
                place += target.size
            target[place] += source[i]


@kernel()
def add_at(first, last, out, places, values):
    """Add values (n,) at places (n,) of out, flat; a negative place is none. The range is 0..1."""
    for i in range(places.size):
        if places[i] >= 0:
            out[places[i]] += values[i]
