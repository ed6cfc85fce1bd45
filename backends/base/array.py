"""Moving arrays in and out, and the linear algebra that layers share."""

from __future__ import annotations

from typing import Any

import numpy

from deepcore.backends.errors import DTypeError, message


def accumulator(dtype: Any) -> numpy.dtype:
    """Return the dtype that sums over values of `dtype` are made in: float16 and bfloat16 are widened to float32.

    >>> accumulator("float16"), accumulator("float64")
    (dtype('float32'), dtype('float64'))
    """
    dtype = numpy.dtype(dtype)
    return numpy.dtype("float32") if dtype.itemsize == 2 and dtype.kind in "fV" else dtype  # V: ml_dtypes' bfloat16


class Array:
    """Array handling: a mixin of Backend, so `self.xp` and `self.array_type` exist."""

    name: str
    device: str
    xp: Any
    array_type: type
    relu: Any

    def from_host(self, array):
        """Copy a host array or nested sequence of numbers to this device; no copy when it is there already."""
        array = numpy.asarray(array)
        known = array.dtype.kind in "biufc" and array.dtype.isbuiltin != 2  # 2: of another library
        if not known and array.dtype.name != "bfloat16":
            hint = "ragged lists and strings have no numeric dtype"
            raise DTypeError(message("from_host", "numbers", f"dtype {array.dtype}", hint))
        return array

    def to_host(self, array):
        """Return the array as a numpy.ndarray; on a host backend this is the array itself."""
        return numpy.asarray(array)

    def item(self, array):
        """Return the only element of an array as a Python scalar; waits for the device."""
        return self.to_host(array).item()

    def is_array(self, x) -> bool:
        """Tell whether x is an array of this backend."""
        return isinstance(x, self.array_type)

    def synchronize(self) -> None:
        """Wait until the device has finished all work given to it."""

    def quiet(self):
        """Return a context in which 1 / 0 and log(0) give inf and NaN without a NumPy warning, as on a GPU."""
        return numpy.errstate(all="ignore")

    def shares_memory(self, a, b) -> bool:
        """Tell whether two arrays, one made from the other, look at the same memory."""
        return bool(self.xp.may_share_memory(a, b))

    def contiguous(self, x):
        """Return x with C-contiguous memory; no copy when it is so already."""
        return x if x.flags.c_contiguous else self.xp.ascontiguousarray(x)

    def index_add(self, shape, dtype, index, values):
        """Return zeros(shape) with `values` added at `index` (as in out[index] += values, repeats accumulate)."""
        wide = accumulator(dtype)
        if wide.kind in "iu":  # CuPy adds into uint64, but not into int64; negative numbers wrap round, and back
            wide, values = numpy.dtype("uint64"), values.astype("uint64")
        out = self.xp.zeros(shape, dtype=wide)
        self.xp.add.at(out, index, values)
        return out.astype(dtype, copy=False)

    def matmul(self, a, b):
        """Return a @ b with the shape rules of numpy.matmul; float16 and bfloat16 are summed in float32."""
        wide = accumulator(a.dtype)
        if a.dtype == b.dtype != wide:
            product = self.xp.matmul(a.astype(wide), b.astype(wide)).astype(a.dtype)
        else:
            product = self.xp.matmul(a, b)
        return self.xp.asarray(product)  # two vectors give a scalar

    def linear(self, x, w, b):
        """Return x @ w.T + b: x (..., D), w (O, D), b (O,) or None -> (..., O)."""
        y = self.matmul(x, w.T)
        return y if b is None else y + b

    def linear_relu(self, x, w, b):
        """Return relu(x @ w.T + b); shapes as in linear."""
        return self.relu(self.linear(x, w, b))
