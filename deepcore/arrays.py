"""Which backend a plain array belongs to, for code that works on arrays instead of tensors."""

from __future__ import annotations

from typing import Any

from deepcore.backends import available, get_backend
from deepcore.devices import backend_for
from deepcore.errors import DTypeError, message


def backend_of(array: Any) -> Any:
    """The default device's backend if ``array`` is one of its arrays, else the first other backend that takes it.

    NumPy arrays are taken by "cpu" unless the default device is "numpy". Raises DTypeError for anything else, such as
    a list.

    >>> import numpy as np
    >>> backend_of(np.zeros(2)).device
    'cpu'
    """
    for device in (None, "cpu"):
        backend = backend_for(device)
        if backend.is_array(array):
            return backend
    if hasattr(array, "shape"):
        for device, usable, _ in available():
            if usable and get_backend(device).is_array(array):
                return get_backend(device)
    hint = "make one with numpy.asarray(x); a tensor's array is x.array"
    raise DTypeError(message("backend_of", "an array of a backend", f"{type(array).__name__}", hint))
