"""Tensors of PyTorch from the arrays of a sample, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

BFLOAT16 = "bfloat16"


def to_torch(array: np.ndarray, requires_grad: bool = False) -> torch.Tensor:
    """A tensor of PyTorch with the values, shape and dtype of the array, in memory of its own."""
    if array.dtype.name == BFLOAT16:  # a dtype that PyTorch does not take from NumPy
        t = torch.from_numpy(array.astype(np.float32)).to(torch.bfloat16)
    else:
        t = torch.from_numpy(np.array(array))
    return t.requires_grad_() if requires_grad else t


def to_torches(args: Sequence[Any], diff: Sequence[int] = ()) -> list[Any]:
    """The arguments with arrays as tensors; those in `diff` require a gradient."""
    return [to_torch(a, i in diff) if isinstance(a, np.ndarray) else a for i, a in enumerate(args)]


def to_numpy(value: Any) -> np.ndarray:
    """An array of the values; bfloat16 becomes float32, which has all its numbers."""
    if not isinstance(value, torch.Tensor):
        return np.asarray(value)
    t = value.detach().resolve_conj().resolve_neg()
    return np.asarray((t.float() if t.dtype == torch.bfloat16 else t).numpy())


def dtype_name(value: Any) -> str:
    """`float32` for a tensor of torch.float32 and for one of deepcore's float32."""
    dtype = getattr(value, "dtype", None)
    return str(dtype).removeprefix("torch.") if isinstance(dtype, torch.dtype) else np.dtype(dtype).name


def outputs(result: Any) -> list[Any]:
    """The tensors of a result, those inside of tuples and lists too."""
    if isinstance(result, tuple | list):
        return [t for part in result for t in outputs(part)]
    return [result]
