"""The gradient of 3 x 3 filters by Winograd's algorithm on device "cpu"; see kernels.cpu.winograd_weight."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from deepcore.backends.cpu.conv_choice import Algorithm, Problem
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import pieces, team

SHARES = 16  # of the tiles at most, however many threads there are: the sums must not depend on it
LEAST_TILES = 128  # of a share, so that to add it up is little work beside it
STEP = 64  # tiles transformed at once, where S leaves as much room in the cache
KEPT = 16 << 20  # bytes of transformed tiles that are kept for several blocks
ALL = 1 << 20  # the cost of an element that always deserves its own thread


class Plan(NamedTuple):
    """How the work is split; it depends on the shape alone."""

    step: tuple[int, int, int]  # images, rows and columns of tiles transformed at once
    shares: int  # of the steps; each has a sum of its own
    kept: bool  # all tiles of a share are transformed before any are multiplied


class Tiles:
    """Numbers of tiles, and of steps in the order (images, rows, columns)."""

    def __init__(self, problem: Problem) -> None:
        size = kernels.winograd_weight.M
        self.images, self.rows, self.columns = problem.n, pieces(problem.out_h, size), pieces(problem.out_w, size)
        self.count = self.images * self.rows * self.columns

    def largest_step(self, tiles: int) -> tuple[int, int, int]:
        """Return a rectangle of at most so many tiles: whole images, whole rows of tiles, or part of a row."""
        if self.rows * self.columns <= tiles:
            return min(self.images, tiles // (self.rows * self.columns)), self.rows, self.columns
        if self.columns <= tiles:
            return 1, even(self.rows, tiles // self.columns), self.columns
        return 1, 1, even(self.columns, tiles)

    def steps(self, step: tuple[int, int, int]) -> int:
        """Return how many steps there are."""
        return math.prod(map(pieces, (self.images, self.rows, self.columns), step))

    def before(self, index: int, step: tuple[int, int, int]) -> int:
        """Return how many tiles there are before a step."""
        down, across = pieces(self.rows, step[1]), pieces(self.columns, step[2])
        image, row = min(self.images, index // across // down * step[0]), index // across % down * step[1]
        height = min(step[1], self.rows - row)
        return (image * self.rows + row) * self.columns + height * (index % across * step[2])


def even(total: int, most: int) -> int:
    """Return a size, at most `most`, of pieces that are about equally large."""
    return pieces(total, pieces(total, most))


def plan(problem: Problem) -> Plan:
    """Return the split for a problem."""
    tiles, kernel = Tiles(problem), kernels.winograd_weight
    if max(problem.o, problem.c) > kernel.BLOCK:
        step = tiles.largest_step(STEP)
        steps, size = tiles.steps(step), math.prod(step) * (problem.o + problem.c) * kernel.POINTS * 4
        return Plan(step, pieces(steps, even(steps, max(1, KEPT // size))), True)
    pairs = problem.o * problem.c
    step = tiles.largest_step(STEP // 4 if pairs > 2048 else STEP // 2 if pairs > 512 else STEP)
    most = min(SHARES, tiles.count // LEAST_TILES)
    return Plan(step, 1 << max(0, most.bit_length() - 1), False)


def _by_steps(problem, gy, x, plan):
    """Return gw (O, C, 9): each step's tiles are multiplied while they are in the cache."""
    kernel = kernels.winograd_weight
    parts = np.empty((plan.shares, problem.o, problem.c, 9), x.dtype)
    team.run(kernel.by_steps, plan.shares, ALL, parts, gy, x, problem.padding, plan.step)
    if plan.shares == 1:
        return parts[0]
    gw = np.empty_like(parts[0])
    team.run(kernel.total, gw.size, plan.shares, gw.reshape(-1), parts.reshape(plan.shares, gw.size))
    return gw


def _by_blocks(problem, gy, x, plan):
    """Return gw (O, C, 9): a share's tiles are transformed once for all blocks of channels."""
    kernel, tiles = kernels.winograd_weight, Tiles(problem)
    steps = tiles.steps(plan.step)
    in_share = pieces(steps, plan.shares)
    point = kernel.spread(min(tiles.count, in_share * math.prod(plan.step)) * kernel.LANES) * kernel.POINTS
    w, v = (kernel.aligned(pieces(count, kernel.LANES) * point) for count in (problem.o, problem.c))
    o_blocks, c_blocks = pieces(problem.o, kernel.BLOCK), pieces(problem.c, kernel.BLOCK)
    gw = np.empty((problem.o, problem.c, 9), x.dtype)
    for begin in range(0, steps, in_share):
        end = min(steps, begin + in_share)
        origin = tiles.before(begin, plan.step)
        count = tiles.before(end, plan.step) - origin
        items = (end - begin) * (o_blocks + c_blocks)
        team.run(kernel.tiles, items, ALL, w, v, gy, x, problem.padding, plan.step, begin, origin, count)
        team.run(kernel.by_blocks, o_blocks * c_blocks, ALL, gw, w, v, count, min(begin, 1))
    return gw


class WinogradWeight(Algorithm):
    """3 x 3 filters, stride 1, no dilation, one group, float32."""

    name = "winograd_weight"

    def fits(self, problem):
        """See Algorithm.fits."""
        window = (problem.kh, problem.kw, problem.stride, problem.dilation, problem.groups)
        return problem.dtype == "float32" and window == (3, 3, (1, 1), (1, 1), 1)

    def pays(self, problem):
        """Where channels fill at least half of the vectors; a 2 x 2 image in a tile of 4 x 4 is enough."""
        lanes, (c, o) = kernels.winograd_weight.LANES, (problem.c, problem.o)
        return 2 * min(c, o) >= lanes and 2 * c * o >= lanes**2 and problem.out_h * problem.out_w >= 4

    def weight_gradient(self, problem, gy, x):
        """See Algorithm.weight_gradient."""
        made = plan(problem)
        gw = (_by_blocks if made.kept else _by_steps)(problem, gy, x, made)
        return gw.reshape(problem.o, problem.c, 3, 3)
