"""How a tensor prints: like PyTorch's, through NumPy's own printer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deepcore import dtypes

if TYPE_CHECKING:
    from deepcore.tensor import Tensor

_NAME = "tensor("


def tensor_repr(x: Tensor) -> str:
    """`tensor([1., 2.], device='cuda', requires_grad=True)`; what is the default is left out."""
    host = x.backend.to_host(x.array)
    if host.dtype.kind == "V":  # NumPy prints bfloat16 number by number, each in its own width
        host = host.astype(np.float32)
    body = np.array2string(host, separator=", ", precision=4, suppress_small=False, threshold=1000, prefix=_NAME)
    extras = []
    if x.backend.device != "cpu":
        extras.append(f"device='{x.device!s}'")
    usual = (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_)
    if x.dtype not in usual or x.array.size == 0:
        extras.append(f"dtype={x.dtype}")
    if x.array.size == 0:
        extras.append(f"shape={tuple(x.shape)}")
    if x.grad_fn is not None:
        extras.append(f"grad_fn={x.grad_fn!r}")
    elif x.requires_grad:
        extras.append("requires_grad=True")
    return ", ".join([_NAME + body, *extras]) + ")"
