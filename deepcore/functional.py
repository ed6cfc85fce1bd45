"""`from deepcore import functional as F`: every op, with the names and defaults of PyTorch's `F`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepcore import functions
from deepcore.functions import *

if not TYPE_CHECKING:
    __all__ = functions.__all__
