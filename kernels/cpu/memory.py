"""Keep freed memory in the process instead of giving it back to the system after every step.

Fresh pages cost as much as the arithmetic of a memory-bound operation: by default glibc maps every large array anew and
unmaps it when it is freed, so that a training step of LeNet touches 2,900 new pages; with these settings 20.
"""

from __future__ import annotations

import ctypes
import os
import platform

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
LARGEST_KEPT = 32 << 20  # glibc refuses more
TOTAL_KEPT = 512 << 20


def keep_freed_memory() -> bool:
    """Tell glibc to reuse arrays up to 32 MiB, and up to 512 MiB in all; return whether it could be told.

    MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_ in the environment, where set, stay in force.
    """
    if platform.libc_ver()[0] != "glibc" or {"MALLOC_MMAP_THRESHOLD_", "MALLOC_TRIM_THRESHOLD_"} & set(os.environ):
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)) and bool(mallopt(M_TRIM_THRESHOLD, TOTAL_KEPT))
