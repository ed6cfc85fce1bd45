"""Arithmetic that several kernels share; in the simulator it is plain Python."""

from __future__ import annotations

import numpy as np
from numba import cuda, int32, uint32, uint64

from deepcore.kernels import constants
from deepcore.kernels.cuda.compiler import device

__all__ = ["block_max", "block_sum", "first_window", "last_window", "philox_block", "quotient"]

# NumPy scalars, because Numba makes float64 of uint64 with an int
MASK, WORD = np.uint64(constants.MASK), np.uint64(32)
MULTIPLIER_0, MULTIPLIER_1 = map(np.uint64, constants.MULTIPLIERS)
STEP_0, STEP_1 = map(np.uint64, constants.KEY_STEPS)
ROUNDS = constants.ROUNDS


@device
def quotient(a, b):
    """a // b for 0 <= a, 0 < b < 2**31, by one 32-bit division (Numba's own // is a 64-bit one, many times slower)."""
    return int32(uint32(a) // uint32(b))


@device
def first_window(pixel, extent, stride, padding):
    """First output place whose window (of `extent` pixels, dilation included) reaches `pixel`."""
    behind = pixel + padding - extent + 1
    return quotient(behind + stride - 1, stride) if behind > 0 else int32(0)


@device
def last_window(pixel, stride, padding, out):
    """Last of `out` output places whose window reaches `pixel`."""
    return min(quotient(pixel + padding, stride), int32(out - 1))


@device
def philox_block(counter, seed):
    """Philox 4x32-10: four 32-bit words (as uint64) of the 64-bit counter under the 64-bit key `seed`."""
    c0, c1 = counter & MASK, counter >> WORD
    c2 = c3 = uint64(0)
    k0, k1 = seed & MASK, seed >> WORD
    for _ in range(ROUNDS):
        p0, p1 = c0 * MULTIPLIER_0, c2 * MULTIPLIER_1
        c0, c1, c2, c3 = (p1 >> WORD) ^ c1 ^ k0, p1 & MASK, (p0 >> WORD) ^ c3 ^ k1, p0 & MASK
        k0, k1 = (k0 + STEP_0) & MASK, (k1 + STEP_1) & MASK
    return c0, c1, c2, c3


@device
def block_max(shared, value):
    """Largest `value` of the block's threads, for all of them."""
    thread = cuda.threadIdx.x
    shared[thread] = value
    cuda.syncthreads()
    half = cuda.blockDim.x >> 1
    while half > 0:
        if thread < half and shared[thread + half] > shared[thread]:
            shared[thread] = shared[thread + half]
        cuda.syncthreads()
        half >>= 1
    result = shared[0]
    cuda.syncthreads()
    return result


@device
def block_sum(shared, value):
    """Sum of `value` over the block's threads, for all of them, as a tree."""
    thread = cuda.threadIdx.x
    shared[thread] = value
    cuda.syncthreads()
    half = cuda.blockDim.x >> 1
    while half > 0:
        if thread < half:
            shared[thread] += shared[thread + half]
        cuda.syncthreads()
        half >>= 1
    result = shared[0]
    cuda.syncthreads()
    return result
