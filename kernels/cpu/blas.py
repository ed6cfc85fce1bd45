"""One BLAS thread while the team of threads keeps all cores busy already."""

from __future__ import annotations

import functools
import threading

import scipy.linalg  # Numba's np.dot calls the BLAS that SciPy brings
import threadpoolctl

assert scipy.linalg


class OneThread:
    """Context manager: BLAS uses one thread until the last of the (nested or concurrent) users has left."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._before: list[int] = []

    @functools.cached_property
    def _libraries(self) -> list:
        libraries = threadpoolctl.ThreadpoolController().lib_controllers
        return [library for library in libraries if library.user_api == "blas"]

    def __enter__(self) -> None:
        with self._lock:
            self._users += 1
            if self._users == 1:
                self._before = [library.get_num_threads() for library in self._libraries]
                for library in self._libraries:
                    library.set_num_threads(1)

    def __exit__(self, *error: object) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                for library, count in zip(self._libraries, self._before, strict=True):
                    library.set_num_threads(count)


one_thread = OneThread()
