"""Every differentiable op, one file a family; a family lists what it offers in its `__all__`."""

from __future__ import annotations

from typing import TYPE_CHECKING

# Under private names, because an op such as `pad` takes over the name of its family here.
from deepcore.functions import activation as _activation
from deepcore.functions import adaptive_pool as _adaptive_pool
from deepcore.functions import arithmetic as _arithmetic
from deepcore.functions import arranging as _arranging
from deepcore.functions import attention as _attention
from deepcore.functions import box_losses as _box_losses
from deepcore.functions import boxes as _boxes
from deepcore.functions import columns as _columns
from deepcore.functions import conv as _conv
from deepcore.functions import conv_nd as _conv_nd
from deepcore.functions import detection as _detection
from deepcore.functions import distance_loss as _distance_loss
from deepcore.functions import dropout as _dropout
from deepcore.functions import einsum as _einsum
from deepcore.functions import embedding as _embedding
from deepcore.functions import gates as _gates
from deepcore.functions import gathering as _gathering
from deepcore.functions import group_norm as _group_norm
from deepcore.functions import indexing as _indexing
from deepcore.functions import layer_norm as _layer_norm
from deepcore.functions import linalg as _linalg
from deepcore.functions import loss as _loss
from deepcore.functions import lp_pool as _lp_pool
from deepcore.functions import masking as _masking
from deepcore.functions import max_unpool as _max_unpool
from deepcore.functions import norm as _norm
from deepcore.functions import normalize as _normalize
from deepcore.functions import pad as _pad
from deepcore.functions import pool as _pool
from deepcore.functions import pool1d as _pool1d
from deepcore.functions import pool3d as _pool3d
from deepcore.functions import probability_loss as _probability_loss
from deepcore.functions import rectifiers as _rectifiers
from deepcore.functions import recurrent as _recurrent
from deepcore.functions import reduce as _reduce
from deepcore.functions import resample as _resample
from deepcore.functions import roi as _roi
from deepcore.functions import segmentation_loss as _segmentation_loss
from deepcore.functions import sequence_loss as _sequence_loss
from deepcore.functions import shape as _shape
from deepcore.functions import sorting as _sorting
from deepcore.functions import vision as _vision
from deepcore.functions.activation import *
from deepcore.functions.adaptive_pool import *
from deepcore.functions.arithmetic import *
from deepcore.functions.arranging import *
from deepcore.functions.attention import *
from deepcore.functions.box_losses import *
from deepcore.functions.boxes import *
from deepcore.functions.columns import *
from deepcore.functions.conv import *
from deepcore.functions.conv_nd import *
from deepcore.functions.detection import *
from deepcore.functions.distance_loss import *
from deepcore.functions.dropout import *
from deepcore.functions.einsum import *
from deepcore.functions.embedding import *
from deepcore.functions.gates import *
from deepcore.functions.gathering import *
from deepcore.functions.group_norm import *
from deepcore.functions.indexing import *
from deepcore.functions.layer_norm import *
from deepcore.functions.linalg import *
from deepcore.functions.loss import *
from deepcore.functions.lp_pool import *
from deepcore.functions.masking import *
from deepcore.functions.max_unpool import *
from deepcore.functions.norm import *
from deepcore.functions.normalize import *
from deepcore.functions.pad import *
from deepcore.functions.pool import *
from deepcore.functions.pool1d import *
from deepcore.functions.pool3d import *
from deepcore.functions.probability_loss import *
from deepcore.functions.rectifiers import *
from deepcore.functions.recurrent import *
from deepcore.functions.reduce import *
from deepcore.functions.resample import *
from deepcore.functions.roi import *
from deepcore.functions.segmentation_loss import *
from deepcore.functions.sequence_loss import *
from deepcore.functions.shape import *
from deepcore.functions.sorting import *
from deepcore.functions.vision import *

if not TYPE_CHECKING:  # a type checker follows the lines above, but not a sum of lists
    _FAMILIES = (
        _activation,
        _adaptive_pool,
        _arithmetic,
        _arranging,
        _attention,
        _box_losses,
        _boxes,
        _columns,
        _conv,
        _conv_nd,
        _detection,
        _distance_loss,
        _dropout,
        _einsum,
        _embedding,
        _gates,
        _gathering,
        _group_norm,
        _indexing,
        _layer_norm,
        _linalg,
        _loss,
        _lp_pool,
        _masking,
        _max_unpool,
        _norm,
        _normalize,
        _pad,
        _pool,
        _pool1d,
        _pool3d,
        _probability_loss,
        _rectifiers,
        _recurrent,
        _reduce,
        _resample,
        _roi,
        _segmentation_loss,
        _sequence_loss,
        _shape,
        _sorting,
        _vision,
    )
    __all__ = [name for family in _FAMILIES for name in family.__all__]
