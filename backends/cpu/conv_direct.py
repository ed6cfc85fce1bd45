"""Direct convolution: register tiles over shifted pixels, without columns; see kernels.cpu.direct."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import numpy as np

from deepcore.backends.cpu.conv_choice import FORWARD, INPUT, WEIGHT, Algorithm, Problem
from deepcore.kernels import cpu as kernels
from deepcore.kernels.cpu.team import ALL, pieces, team

PLANES_BYTES = 512 << 10  # what the planes of one tile may take of a core's second cache
POSITIONS = 1024  # about so many pixels make a tile worth its overhead
LEAST_TILES = 8
SHARES = 8  # parts of the sum over the batch
FLAT = 1.1  # what copying gy costs beside lanes left empty
FEW_WEIGHTS, MANY_WEIGHTS = 1 << 12, 1 << 17
LEAST_SIDE = 8  # channels of a matrix that is worth packing


class Layout(NamedTuple):
    """Where the pixels of a tile lie: see kernels.cpu.direct."""

    offsets: np.ndarray  # (K,)
    phases: np.ndarray  # (P, 2)
    place: tuple  # (stride, padding, pitch, plane)
    reach: int  # rows of the planes beyond those of the output
    images: int  # of a tile
    rows: int  # output rows of a tile


def layout(problem: Problem, c_group: int) -> Layout:
    """Return the layout for tiles of which the cache holds c_group channels."""
    sh, sw = problem.stride
    dh, dw = problem.dilation
    taps = [(j * dh, i * dw) for j in range(problem.kh) for i in range(problem.kw)]
    phases = sorted({(y % sh, x % sw) for y, x in taps})
    slot = {phase: i for i, phase in enumerate(phases)}
    reach, across = (problem.kh - 1) * dh // sh, (problem.kw - 1) * dw // sw
    pitch, left = problem.out_w + across, problem.padding[1]
    if sw == 1 and left >= 0 and pitch - left - problem.w <= left:
        pitch = max(problem.out_w, left + problem.w)
    line = kernels.planes.LINE
    planes = c_group * len(phases)
    most = PLANES_BYTES // (4 * planes * pitch) - reach
    bands = pieces(problem.out_h, max(1, min(most, max(pieces(POSITIONS, pitch), 2 * reach))))
    rows = pieces(problem.out_h, bands)
    plane = (pieces((rows + reach) * pitch, line) | 1) * line  # an odd number of lines: no two planes in one place
    images = 1
    if bands == 1:
        images = max(
            1, min(PLANES_BYTES // (4 * planes * plane), pieces(POSITIONS, pitch * rows), problem.n // LEAST_TILES)
        )
    offsets = [
        (c * len(phases) + slot[y % sh, x % sw]) * plane + y // sh * pitch + x // sw
        for c in range(c_group)
        for y, x in taps
    ]
    place = (problem.stride, problem.padding, pitch, plane)
    return Layout(np.array(offsets, np.int64), np.array(phases, np.int64), place, reach, images, rows)


def best(tiles: dict[int, tuple[int, float]], outputs: int, taps: int = 0) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the tile that is fastest for so many output channels (and, of a weight gradient, taps)."""

    def time(high: int) -> float:
        wide, cost = tiles[high]
        return pieces(outputs, high) * cost * (pieces(taps, wide) * wide if taps else 1)

    high = min(tiles, key=time)
    return (0,) * high, (0,) * tiles[high][0]


class Plan(NamedTuple):
    """What depends on the shape only."""

    layout: Layout
    shape: tuple[tuple[int, ...], ...]


def parts(width: int) -> tuple[int, ...]:
    """Return one element for each part of a vector: two where rows of that width fill vectors badly."""
    lanes = kernels.direct_tiles.LANES
    whole, halves = pieces(width, lanes) * lanes, pieces(width, lanes // 2) * (lanes // 2)
    return (0, 0) if halves < 0.9 * whole else (0,)


@functools.lru_cache(256)
def forward_plan(problem: Problem) -> Plan:
    """Return the plan of a forward pass."""
    shape = best(kernels.direct_tiles.FORWARD_TILES, problem.o // problem.groups)
    return Plan(layout(problem, problem.c // problem.groups), (*shape, parts(problem.out_w)))


@functools.lru_cache(256)
def weight_plan(problem: Problem) -> tuple[Plan, int, bool]:
    """Return the plan of a weight gradient, how many channels are taken at a time, and `straight`."""
    c_group, taps, lanes = problem.c // problem.groups, problem.kh * problem.kw, kernels.direct_tiles.LANES
    shape = best(kernels.direct_tiles.WEIGHT_TILES, problem.o // problem.groups, c_group * taps)
    whole = layout(problem, 1)  # of one channel: its rows and pitch
    step = len(shape[1]) // math.gcd(len(shape[1]), taps)  # so many channels end with a block of taps
    pitch, plane = whole.place[2:]
    channels = max(1, PLANES_BYTES // (4 * len(whole.phases) * plane) // step) * step
    channels = min(c_group, channels)
    found = layout(problem, channels)
    more = -len(found.offsets) % len(shape[1])
    found = found._replace(offsets=np.append(found.offsets, np.zeros(more, np.int64)))
    return Plan(found, shape), channels, pieces(problem.out_w, lanes) * lanes <= pitch * FLAT


def packed(w, rows: int):
    """Return weights (G, O // G, K) as (G, blocks, K, rows), zeros behind the last channel."""
    groups, o, taps = w.shape
    blocks = pieces(o, rows)
    if o % rows:
        whole = np.zeros((groups, blocks * rows, taps), w.dtype)
        whole[:, :o] = w
        w = whole
    return np.ascontiguousarray(w.reshape(groups, blocks, rows, taps).swapaxes(2, 3))


def convolve(problem: Problem, x, w, b, relu: bool):
    """Return the forward pass for weights w (G, O // G, K)."""
    found, shape = forward_plan(problem)
    o, high = problem.o, len(shape[0])
    y = np.empty((problem.n, o, problem.out_h, problem.out_w), x.dtype)
    bias = np.zeros(o + high, x.dtype)
    if b is not None:
        bias[:o] = b
    bound = np.array([0 if relu else -np.inf], x.dtype)
    weights = packed(w, high)
    tiles = pieces(problem.n, found.images) * problem.groups * pieces(problem.out_h, found.rows)
    places = found.offsets, found.phases, shape, found.place, found.reach, found.images, found.rows
    team.run(kernels.direct.forward, tiles, ALL, y, x, weights, bias, bound, *places)
    return y


class Remainders(NamedTuple):
    """What depends on the shape only, of an input gradient with strides; see kernels.cpu.direct.input_gradient."""

    offsets: np.ndarray
    remainders: np.ndarray  # (sh * sw, 3)
    taps: tuple  # of each remainder: its rows and its columns of the kernel
    size: tuple
    shape: tuple
    rows: int


@functools.lru_cache(256)
def input_plan(problem: Problem) -> Remainders:
    """Return the plan of an input gradient with strides."""
    sides = []
    for stride, padding, dilation, k in zip(
        problem.stride, problem.padding, problem.dilation, (problem.kh, problem.kw), strict=True
    ):
        # for each remainder: [(tap, distance in gy)]
        at = [
            [(j, (r + padding - j * dilation) // stride) for j in range(k) if not (r + padding - j * dilation) % stride]
            for r in range(stride)
        ]
        distances = [d for some in at for _, d in some]
        sides.append((at, min(distances), max(distances)))
    (down, top, bottom), (across, left, right) = sides
    (sh, sw), groups = problem.stride, problem.groups
    o_group, c_group = problem.o // groups, problem.c // groups
    shape = (*best(kernels.direct_tiles.FORWARD_TILES, c_group), parts(pieces(problem.w, sw)))
    high = len(shape[0])
    blocks, reach = pieces(c_group, high), bottom - top
    out_h, out_w = pieces(problem.h, sh), pieces(problem.w, sw)
    line, vector = kernels.planes.LINE, kernels.direct_tiles.LANES // len(shape[2])
    row_size = pieces(out_w, vector) * vector
    pitch = row_size + right - left
    most = min(PLANES_BYTES // (4 * o_group * pitch) - reach, PLANES_BYTES // (4 * sh * sw * high * row_size))
    rows = pieces(out_h, pieces(out_h, max(1, most)))
    plane = (pieces((rows + reach) * pitch, line) | 1) * line
    offsets: list[int] = []
    remainders, weights = [], 0
    taps = tuple(([j for j, _ in a], [i for i, _ in b]) for a in down for b in across)
    for a in down:
        for b in across:
            remainders.append((o_group * len(a) * len(b), len(offsets), weights))
            for o in range(o_group):
                offsets += [o * plane + (y - top) * pitch + x - left for _, y in a for _, x in b]
            weights += groups * blocks * o_group * len(a) * len(b) * high
    size = (groups, blocks, top, left, reach, pitch, plane)
    return Remainders(np.array([*offsets, 0], np.int64), np.array(remainders, np.int64), taps, size, shape, rows)


def scattered(problem: Problem, gy, w):
    """Return the input gradient of a convolution with strides."""
    plan, g = input_plan(problem), problem.groups
    high = len(plan.shape[0])
    split = w.reshape(g, problem.o // g, problem.c // g, problem.kh, problem.kw).swapaxes(1, 2)
    weights = [packed(split[..., j, :][..., i].reshape(*split.shape[:2], -1), high).reshape(-1) for j, i in plan.taps]
    gx = np.empty((problem.n, problem.c, problem.h, problem.w), gy.dtype)
    bias, bound = np.zeros(high, gy.dtype), np.array([-np.inf], gy.dtype)
    tiles = problem.n * g * pieces(pieces(problem.h, problem.stride[0]), plan.rows)
    places = plan.offsets, plan.remainders, plan.shape, problem.stride, plan.size, plan.rows
    team.run(kernels.direct.input_gradient, tiles, ALL, gx, gy, np.concatenate(weights), bias, bound, *places)
    return gx


class Direct(Algorithm):
    """Few channels, large kernels, strides: float32."""

    name = "direct"

    def fits(self, problem):
        return problem.dtype == "float32"

    def pays(self, problem):
        """Where a group has few weights: every tile reads them all again, and its sums are as many.

        5 x 5, 32 images of 14 x 14, milliseconds here and of im2col: 64 -> 64 channels 3.0 and 4.2 forward, 6.7 and 4.3
        for the weight's gradient; 256 -> 256, 7 x 7: 14.5 and 13.5, 48 and 15. Columns of a 1 x 1 kernel cost nothing.
        """
        taps, strided = problem.kh * problem.kw, problem.stride != (1, 1)
        if taps == 1 and problem.groups == 1 and min(problem.c, problem.o) >= LEAST_SIDE:
            return False
        weights = problem.o // problem.groups * (problem.c // problem.groups) * taps
        sums = problem.run == WEIGHT or (problem.run == INPUT and strided)
        return weights < (FEW_WEIGHTS if sums else MANY_WEIGHTS)

    def forward(self, problem, x, w, b, relu):
        """By tiles of output rows."""
        return convolve(problem, x, w.reshape(problem.groups, problem.o // problem.groups, w[0].size), b, relu)

    def input_gradient(self, problem, gy, w):
        """With stride 1: the forward pass of gy with the weights turned by half a circle."""
        g, o, c, kh, kw = problem.groups, problem.o, problem.c, problem.kh, problem.kw
        if problem.stride != (1, 1):
            return scattered(problem, gy, w)
        turned = w.reshape(g, o // g, c // g, kh, kw)[..., ::-1, ::-1].swapaxes(1, 2)
        padding = tuple(problem.dilation[i] * (w.shape[2 + i] - 1) - problem.padding[i] for i in (0, 1))
        swapped = problem._replace(
            run=FORWARD,
            c=o,
            h=problem.out_h,
            w=problem.out_w,
            o=c,
            out_h=problem.h,
            out_w=problem.w,
            padding=padding,
        )
        return convolve(swapped, gy, turned.reshape(g, c // g, o // g * kh * kw), None, relu=False)

    def weight_gradient(self, problem, gy, x):
        """By shares of the batch that do not depend on the number of threads."""
        (found, shape), channels, straight = weight_plan(problem)
        g, o_group, taps = (
            problem.groups,
            problem.o // problem.groups,
            problem.c // problem.groups * problem.kh * problem.kw,
        )
        high, wide = len(shape[0]), len(shape[1])
        tiles = pieces(problem.n, found.images) * pieces(problem.out_h, found.rows)
        shares = min(tiles, SHARES)
        sums = np.zeros((shares, g, pieces(o_group, high), pieces(taps, wide), high * wide), gy.dtype)
        places = found.offsets, found.phases, shape, found.place, found.reach, found.images, found.rows
        team.run(kernels.direct.weight_gradient, shares, ALL, sums, gy, x, *places, channels, straight)
        total = sums.sum(axis=0).reshape(*sums.shape[1:4], high, wide).swapaxes(2, 3)
        total = total.reshape(g, sums.shape[2] * high, sums.shape[3] * wide)[:, :o_group, :taps]
        return total.reshape(problem.o, problem.c // g, problem.kh, problem.kw)
