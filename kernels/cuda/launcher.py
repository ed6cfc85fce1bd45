"""Running kernels: through CuPy on CuPy's current stream, or in Numba's simulator on NumPy arrays.

Numba's own launcher would cost tens of microseconds a call with CuPy arrays and synchronise; CuPy's costs a few. Both
launchers also choose grid and block, so that a kernel's host code is the same for them:

- flat(n): n elements, a grid-stride loop;
- planes(count, size): grid.x = count planes, grid.y and the threads walk over the `size` places of one;
- rows(count, width): one block a row, whose threads (a power of two) reduce it together;
- parts(count, items): as rows, each row cut into grid.y parts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from deepcore.kernels.cuda.compiler import compile_kernel
from deepcore.kernels.cuda.declare import Kernel

__all__ = ["CompilingLauncher", "CupyLauncher", "Shape", "SimulatorLauncher"]

Shape = tuple[tuple[int, ...], tuple[int, ...]]  # grid, block
THREADS = 256
MAX_GRID_Y = 65535


def power_of_two(n: int) -> int:
    """Smallest power of two that is at least n.

    >>> power_of_two(33), power_of_two(1)
    (64, 1)
    """
    return 1 << max(0, n - 1).bit_length()


class Geometry:
    """Grid and block of a launch on a real device."""

    def __init__(self, processors: int) -> None:
        self.full = 16 * processors  # blocks that keep every multiprocessor busy

    def flat(self, n: int, loops: bool = True) -> Shape:
        """Grid and block for n elements; `loops` says that a thread takes several."""
        blocks = _ceil(n, THREADS)
        return (min(blocks, self.full) if loops else blocks,), (THREADS,)

    def planes(self, count: int, size: int) -> Shape:
        """Grid and block for `count` planes of `size` places; a thread takes several where blocks abound."""
        block = min(THREADS, max(32, power_of_two(size)))
        chunks = _ceil(size, block)
        if count * chunks > self.full:
            chunks = _ceil(size, 4 * block)
        return (count, min(chunks, MAX_GRID_Y)), (block,)

    def rows(self, count: int, width: int) -> Shape:
        """Grid and block for one reduction over `width` values in each of `count` rows."""
        return (count,), (min(THREADS, max(32, power_of_two(width) // 4)),)

    def parts(self, count: int, items: int) -> Shape:
        """Grid and block for a reduction in two stages. It depends on the sizes only, and so do the results' bits."""
        parts = min(_ceil(items, 8 * THREADS), max(1, 2048 // count))
        return (count, parts), (min(THREADS, max(32, power_of_two(items))),)


class SmallGeometry:
    """A few threads, as the simulator needs most of a millisecond for each; still several blocks, chunks and parts."""

    def flat(self, n: int, loops: bool = True) -> Shape:
        """Blocks of four threads; two of them where threads loop."""
        return (2 if loops else _ceil(n, 4),), (4,)

    def planes(self, count: int, size: int) -> Shape:
        """Two chunks of two threads a plane."""
        return (count, 2), (2,)

    def rows(self, count: int, width: int) -> Shape:
        """Four threads a row."""
        return (count,), (4,)

    def parts(self, count: int, items: int) -> Shape:
        """Two parts of four threads a row."""
        return (count, 2), (4,)


class _Loaded:
    """A kernel in a device's memory, with what a launch needs to look up nothing."""

    __slots__ = ("convert", "function", "module")

    def __init__(self, module: Any, function: Any, convert: tuple) -> None:
        self.module, self.function, self.convert = module, function, convert


class CupyLauncher(Geometry):
    """Launches kernels on one device: launcher(kernel, shape, *arguments).

    Arrays are CuPy's, C-contiguous; Python numbers are converted to the declared types.
    """

    def __init__(self, cupy: Any, capability: tuple[int, int], processors: int) -> None:
        super().__init__(processors)
        self.cupy, self.capability = cupy, capability
        self.loaded: dict[tuple, _Loaded] = {}

    def __call__(self, kernel: Kernel, shape: Shape, *args: Any) -> None:
        """Put one launch on the current stream. Raises CompilerMissing at a kernel's first launch where it applies."""
        real = args[kernel.type_at].dtype if kernel.generic else None
        try:
            loaded = self.loaded[kernel, real]
        except KeyError:
            loaded = self.loaded[kernel, real] = self._load(kernel, real)
        packed = [a if c is None else c(a) for a, c in zip(args, loaded.convert, strict=True)]
        loaded.function(*shape, packed)

    def _load(self, kernel: Kernel, real: np.dtype | None) -> _Loaded:
        target = np.dtype(np.float32) if real is None else real  # any, where the kernel is not generic
        cubin = compile_kernel(kernel, target, self.capability)
        module = self.cupy.cuda.function.Module()
        module.load(cubin.code)
        return _Loaded(module, module.get_function(cubin.entry), _converters(kernel, real))


class CompilingLauncher(Geometry):
    """Runs nothing: compiles each kernel that would be launched, for a GPU of another machine."""

    def __init__(self, capability: tuple[int, int]) -> None:
        super().__init__(processors=132)
        self.capability = capability
        self.seen: set[tuple[str, np.dtype]] = set()

    def __call__(self, kernel: Kernel, shape: Shape, *args: Any) -> None:
        """Raises CompilerMissing where nothing can be compiled."""
        real = np.dtype(args[kernel.type_at].dtype if kernel.generic else np.float32)
        if (kernel.name, real) not in self.seen:
            compile_kernel(kernel, real, self.capability)
            self.seen.add((kernel.name, real))


class SimulatorLauncher(SmallGeometry):
    """Runs the same Python functions in Numba's simulator: launcher(kernel, shape, *arguments).

    unwrap: turns the backend's array into the numpy.ndarray that shares its memory.
    """

    def __init__(self, unwrap: Any = None) -> None:
        from numba import cuda

        self.unwrap = unwrap or (lambda array: array)
        self.jit = cuda.jit
        self.made: dict[Kernel, Any] = {}

    def __call__(self, kernel: Kernel, shape: Shape, *args: Any) -> None:
        """Run every thread; arguments are checked against the declaration, as the compiler would."""
        arrays = {i: self.unwrap(args[i]) for i, p in enumerate(kernel.parameters) if p.pointer}
        real = arrays[kernel.type_at].dtype if kernel.generic else None
        flat = []
        for i, (parameter, convert) in enumerate(zip(kernel.parameters, _converters(kernel, real), strict=True)):
            if convert is None:
                flat.append(_flat_view(kernel, parameter, arrays[i], real))
            else:
                value = convert(args[i])
                flat.append(value if parameter.type in ("T", "W", "u64") else int(value))
        if kernel not in self.made:
            self.made[kernel] = self.jit(kernel.function)
        with np.errstate(all="ignore"):
            self.made[kernel][shape](*flat)


def _converters(kernel: Kernel, real: np.dtype | None) -> tuple:
    """For each parameter None (a pointer) or the NumPy scalar type that a Python number is packed into."""
    return tuple(None if p.pointer else p.dtype(real).type for p in kernel.parameters)


def _flat_view(kernel: Kernel, parameter: Any, array: np.ndarray, real: np.dtype | None) -> np.ndarray:
    """The 1-d view of an array that the kernel reads and writes; never a copy."""
    if array.dtype != parameter.dtype(real):
        declared = f"{parameter.name} is declared {parameter.type}* with T = {real}"
        raise TypeError(f"{kernel.name}: {declared}, got {array.dtype}")
    if not array.flags.c_contiguous:
        raise ValueError(f"{kernel.name}: {parameter.name} is not C-contiguous")
    return array.reshape(-1)


def _ceil(a: int, b: int) -> int:
    return -(-a // b)
