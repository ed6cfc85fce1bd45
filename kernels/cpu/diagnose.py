"""What the CPU kernels run on: Numba's version, the team's threads, and the threads that Numba itself would use."""

from __future__ import annotations

from dataclasses import dataclass

from deepcore.kernels.cpu.team import team

__all__ = ["Facts", "diagnose"]


@dataclass(frozen=True)
class Facts:
    """`team` threads share out deepcore's kernels; `threads` and `layer` (tbb, omp, workqueue) are Numba's own.

    Numba's own threads serve code of other people that says parallel=True; deepcore's kernels do without.
    """

    team: int
    numba: str
    llvmlite: str
    threads: int
    layer: str


def diagnose() -> Facts:
    """Imports Numba and starts its threads: until then the layer is only a wish."""
    import llvmlite
    import numba

    return Facts(team.size, numba.__version__, llvmlite.__version__, numba.get_num_threads(), _layer())


def _layer() -> str:
    import numba
    from numba.np.ufunc import parallel

    try:
        parallel._launch_threads()  # what the first parallel kernel does; Numba has no public name for it
        return numba.threading_layer()
    except Exception as error:  # each missing library fails in a way of its own
        return f"none ({error})"
