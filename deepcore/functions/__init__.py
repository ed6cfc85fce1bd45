"""Every differentiable op, one file a family; a family lists what it offers in its `__all__`."""

from __future__ import annotations

from typing import TYPE_CHECKING

# Under private names, because an op such as `pad` takes over the name of its family here.
from deepcore.functions import activation as _activation
from deepcore.functions import arithmetic as _arithmetic
from deepcore.functions import columns as _columns
from deepcore.functions import conv as _conv
from deepcore.functions import dropout as _dropout
from deepcore.functions import indexing as _indexing
from deepcore.functions import linalg as _linalg
from deepcore.functions import loss as _loss
from deepcore.functions import norm as _norm
from deepcore.functions import pad as _pad
from deepcore.functions import pool as _pool
from deepcore.functions import reduce as _reduce
from deepcore.functions import shape as _shape
from deepcore.functions import vision as _vision
from deepcore.functions.activation import *
from deepcore.functions.arithmetic import *
from deepcore.functions.columns import *
from deepcore.functions.conv import *
from deepcore.functions.dropout import *
from deepcore.functions.indexing import *
from deepcore.functions.linalg import *
from deepcore.functions.loss import *
from deepcore.functions.norm import *
from deepcore.functions.pad import *
from deepcore.functions.pool import *
from deepcore.functions.reduce import *
from deepcore.functions.shape import *
from deepcore.functions.vision import *

if not TYPE_CHECKING:  # a type checker follows the lines above, but not a sum of lists
    _FAMILIES = (
        _activation,
        _arithmetic,
        _columns,
        _conv,
        _dropout,
        _indexing,
        _linalg,
        _loss,
        _norm,
        _pad,
        _pool,
        _reduce,
        _shape,
        _vision,
    )
    __all__ = [name for family in _FAMILIES for name in family.__all__]
