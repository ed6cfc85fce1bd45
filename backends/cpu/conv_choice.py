"""Which algorithm computes a convolution on device "cpu", and how to see and pin the choice.

Every pass of every shape is a `Problem`. The choice is the first algorithm of the list in conv.py that can compute it
(`fits`) and was measured to be the fastest for such a shape (`pays`); the last one in the list computes everything.
`deepcore.backends.cpu.choice(problem).name` says which one it is.

    DEEPCORE_CONV=im2col             use this algorithm wherever it can compute the pass; several, by commas: the first
    DEEPCORE_CONV_VERBOSE=1          print a line on stderr for each new problem
    with pinned("im2col"): ...       the same as DEEPCORE_CONV in a program
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from deepcore.backends.errors import DeepcoreError, ShapeError, message

Pair = tuple[int, int]
FORWARD, INPUT, WEIGHT = PASSES = ("forward", "input", "weight")


class Problem(NamedTuple):
    """One pass of a convolution: x (n, c, h, w), weight (o, c // groups, kh, kw), output (n, o, out_h, out_w).

    `run` is "forward", "input" (the gradient of x) or "weight" (the gradient of the weight). Pairs are (height, width).
    In a gradient the output may be smaller than the image allows: a transposed convolution has output padding.
    """

    run: str
    dtype: str
    n: int
    c: int
    h: int
    w: int
    o: int
    kh: int
    kw: int
    out_h: int
    out_w: int
    stride: Pair
    padding: Pair
    dilation: Pair
    groups: int

    @property
    def multiplications(self) -> int:
        return self.n * self.o * self.out_h * self.out_w * (self.c // self.groups) * self.kh * self.kw

    def check(self) -> None:
        """Raise ShapeError where a kernel, which checks no index, would leave its arrays."""
        fits = self.c % self.groups == self.o % self.groups == 0 and min(self.out_h, self.out_w) > 0
        for out, size, k, i in ((self.out_h, self.h, self.kh, 0), (self.out_w, self.w, self.kw, 1)):
            fits = fits and (out - 1) * self.stride[i] + self.dilation[i] * (k - 1) < size + 2 * self.padding[i]
        if not fits:
            self.refuse(self.c // self.groups)

    def refuse(self, c_group: int) -> None:
        """Raise ShapeError for a weight of c_group channels."""
        op = {FORWARD: "conv2d", INPUT: "conv2d_input", WEIGHT: "conv2d_weight"}[self.run]
        got = f"x {(self.n, self.c, self.h, self.w)}, w {(self.o, c_group, self.kh, self.kw)}, output "
        got += f"{(self.out_h, self.out_w)}, stride {self.stride}, padding {self.padding}, dilation {self.dilation}, "
        expected = "C == w.shape[1] * groups and a kernel inside of the padded image"
        raise ShapeError(message(op, expected, f"{got}groups {self.groups}"))

    def __str__(self) -> str:
        parts = [f"{self.run} {self.dtype} x {self.n}x{self.c}x{self.h}x{self.w}"]
        parts += [f"w {self.o}x{self.c // self.groups}x{self.kh}x{self.kw} y {self.out_h}x{self.out_w}"]
        for name, plain in (("stride", (1, 1)), ("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            if getattr(self, name) != plain:
                parts.append(f"{name} {getattr(self, name)}")
        return " ".join(parts)


class Algorithm:
    """One way to compute some passes of some convolutions. Arrays are C-contiguous, not empty, of problem.dtype.

    A subclass has the methods of the passes that it computes.
    """

    name = ""

    def fits(self, problem: Problem) -> bool:
        """Whether it computes this pass of this shape right; no question of speed."""
        raise NotImplementedError

    def pays(self, problem: Problem) -> bool:
        """Whether it was measured to be faster than what stands behind it in the list, for a problem that fits."""
        return True

    def forward(self, problem, x, w, b, relu):
        """Return y (N, O, OH, OW), plus b (O,) if that is not None, and with a ReLU if `relu`."""
        raise NotImplementedError

    def input_gradient(self, problem, gy, w):
        """Return gx (N, C, H, W)."""
        raise NotImplementedError

    def weight_gradient(self, problem, gy, x):
        """Return gw (O, C // G, KH, KW)."""
        raise NotImplementedError

    def computes(self, problem: Problem) -> bool:
        """Whether it has the pass and fits."""
        method = {FORWARD: "forward", INPUT: "input_gradient", WEIGHT: "weight_gradient"}[problem.run]
        return getattr(type(self), method) is not getattr(Algorithm, method) and self.fits(problem)


class Algorithms:
    """The algorithms in the order in which they are asked; the last computes everything."""

    def __init__(self, algorithms: Sequence[Algorithm]) -> None:
        self.all = {algorithm.name: algorithm for algorithm in algorithms}
        self.verbose = os.environ.get("DEEPCORE_CONV_VERBOSE", "") not in ("", "0")
        self._chosen: dict[Problem, Algorithm] = {}
        self._pins: tuple[str, ...] = ()
        self._pins = self._names(os.environ.get("DEEPCORE_CONV", ""))

    def _names(self, pins: str) -> tuple[str, ...]:
        names = tuple(name.strip() for name in pins.split(",") if name.strip())
        for name in names:
            if name not in self.all:
                raise DeepcoreError(message("DEEPCORE_CONV", f"one of {', '.join(self.all)}", name))
        return names

    @contextlib.contextmanager
    def pinned(self, names: str) -> Iterator[None]:
        """Choose the first of these algorithms (names, by commas) that can compute the pass; then as ever."""
        before, self._pins, self._chosen = self._pins, self._names(names), {}
        try:
            yield
        finally:
            self._pins, self._chosen = before, {}

    def choice(self, problem: Problem) -> Algorithm:
        """Return the algorithm for this problem."""
        found = self._chosen.get(problem)
        if found is None:
            found = self._chosen[problem] = self._choose(problem)
            if self.verbose:
                print(f"deepcore: conv {found.name:12} {problem}", file=sys.stderr)
        return found

    def _choose(self, problem: Problem) -> Algorithm:
        problem.check()
        for name in self._pins:
            if self.all[name].computes(problem):
                return self.all[name]
        *others, last = self.all.values()
        return next((a for a in others if a.computes(problem) and a.pays(problem)), last)
