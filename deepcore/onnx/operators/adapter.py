"""How an operator of ONNX becomes calls of deepcore, and the small conversions that many of them share."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from deepcore.errors import ConfigError


def one(case: Case) -> int:
    """The length of the reduction where there is none."""
    return 1


def longest(case: Case) -> int:
    """The length where the elements of any one axis may meet in one number."""
    return max(case.inputs[0].shape, default=1)


def per_output(case: Case) -> int:
    """The length of a reduction whose outputs share the elements of the first input among them."""
    return math.ceil(case.inputs[0].size / max(case.outputs[0].size, 1))


class Case(Protocol):
    """A call of one operator on known values, for the length of its longest reduction."""

    attributes: dict[str, Any]
    inputs: tuple[Any, ...]
    outputs: tuple[Any, ...]


@dataclass(frozen=True)
class Adapter:
    """The call that stands for one operator."""

    call: Callable[..., Any]
    """Called with a tensor for each input (None for one left out) and the attributes by name.

    Returns a tensor or a tuple of them; None for an output that deepcore's function does not have.
    """
    length: Callable[[Case], int] = one
    """The length of the longest reduction, which sets the tolerance."""
    without: str = ""
    """Why some of the node's outputs are None or missing, and so are not compared."""
    counts_outputs: bool = False
    """Whether the call also needs to know how many outputs the node has, as `outputs`."""


LARGEST = 2**28
"""Elements of a value whose shape stands in the file: more is taken for a fault in it."""


def need(holds: bool, what: str = "a combination of options that deepcore does not have") -> None:
    """Raise ConfigError unless it holds."""
    if not holds:
        raise ConfigError(what)


def sizes(given: Any) -> list[int]:
    """As `ints`, for a shape that is to be filled; raises ConfigError for an absurd one."""
    found = ints(given)
    need(math.prod(found) <= LARGEST, f"a shape with more than {LARGEST} elements: {found}")
    return found


# --- conversions ------------------------------------------------------------------------------------------------------


def ints(given: Any) -> list[int]:
    """A shape, axes or sizes as numbers on the host: an input (a 0-d one is a list of one) or, once, an attribute."""
    values = given if isinstance(given, list) else given.tolist()
    return [int(v) for v in values] if isinstance(values, list) else [int(values)]


def number(tensor: Any, default: Any = None) -> Any:
    """An input that is one number, of shape () or (1,)."""
    return default if tensor is None else tensor.reshape(()).item() if hasattr(tensor, "reshape") else tensor


def dtype_of(code: int) -> np.dtype:
    """The dtype of a number of ONNX's TensorProto.DataType."""
    import onnx

    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(code))


def counted(index: Any, size: int) -> Any:
    """An index of which negative ones count from the end, as ONNX allows, in [0, size)."""
    return index % size
