"""Every differentiable op, one file a family; a family lists what it offers in its `__all__`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deepcore.functions import arithmetic as _arithmetic
from deepcore.functions import arranging as _arranging
from deepcore.functions import dropout as _dropout
from deepcore.functions import elementwise as _elementwise
from deepcore.functions import pad as _pad
from deepcore.functions import powers as _powers
from deepcore.functions import reduce as _reduce
from deepcore.functions import shape as _shape
from deepcore.functions import special as _special
from deepcore.functions import trigonometry as _trigonometry

# Under private names, because an op such as `pad` takes over the name of its family here.
from deepcore.functions.activation import basic as _activation
from deepcore.functions.activation import fused as _fused
from deepcore.functions.activation import gates as _gates
from deepcore.functions.activation import rectifiers as _rectifiers
from deepcore.functions.activation.basic import *
from deepcore.functions.activation.fused import *
from deepcore.functions.activation.gates import *
from deepcore.functions.activation.rectifiers import *
from deepcore.functions.arguments import explained as _explained
from deepcore.functions.arithmetic import *
from deepcore.functions.arranging import *
from deepcore.functions.conv import columns as _columns
from deepcore.functions.conv import conv2d as _conv
from deepcore.functions.conv import conv_nd as _conv_nd
from deepcore.functions.conv.columns import *
from deepcore.functions.conv.conv2d import *
from deepcore.functions.conv.conv_nd import *
from deepcore.functions.dropout import *
from deepcore.functions.elementwise import *
from deepcore.functions.index import embedding as _embedding
from deepcore.functions.index import gathering as _gathering
from deepcore.functions.index import indexing as _indexing
from deepcore.functions.index import masking as _masking
from deepcore.functions.index import sorting as _sorting
from deepcore.functions.index.embedding import *
from deepcore.functions.index.gathering import *
from deepcore.functions.index.indexing import *
from deepcore.functions.index.masking import *
from deepcore.functions.index.sorting import *
from deepcore.functions.linalg import einsum as _einsum
from deepcore.functions.linalg import products as _linalg
from deepcore.functions.linalg.einsum import *
from deepcore.functions.linalg.products import *
from deepcore.functions.loss import classification as _loss
from deepcore.functions.loss import distance as _distance_loss
from deepcore.functions.loss import probability as _probability_loss
from deepcore.functions.loss import segmentation as _segmentation_loss
from deepcore.functions.loss import sequence as _sequence_loss
from deepcore.functions.loss.classification import *
from deepcore.functions.loss.distance import *
from deepcore.functions.loss.probability import *
from deepcore.functions.loss.segmentation import *
from deepcore.functions.loss.sequence import *
from deepcore.functions.norm import batch_norm as _norm
from deepcore.functions.norm import group_norm as _group_norm
from deepcore.functions.norm import layer_norm as _layer_norm
from deepcore.functions.norm import normalize as _normalize
from deepcore.functions.norm.batch_norm import *
from deepcore.functions.norm.group_norm import *
from deepcore.functions.norm.layer_norm import *
from deepcore.functions.norm.normalize import *
from deepcore.functions.pad import *
from deepcore.functions.pool import adaptive as _adaptive_pool
from deepcore.functions.pool import adaptive_nd as _adaptive_nd_pool
from deepcore.functions.pool import lp_pool as _lp_pool
from deepcore.functions.pool import max_unpool as _max_unpool
from deepcore.functions.pool import pool1d as _pool1d
from deepcore.functions.pool import pool2d as _pool
from deepcore.functions.pool import pool3d as _pool3d
from deepcore.functions.pool.adaptive import *
from deepcore.functions.pool.adaptive_nd import *
from deepcore.functions.pool.lp_pool import *
from deepcore.functions.pool.max_unpool import *
from deepcore.functions.pool.pool1d import *
from deepcore.functions.pool.pool2d import *
from deepcore.functions.pool.pool3d import *
from deepcore.functions.powers import *
from deepcore.functions.reduce import *
from deepcore.functions.sequence import attention as _attention
from deepcore.functions.sequence import recurrent as _recurrent
from deepcore.functions.sequence.attention import *
from deepcore.functions.sequence.recurrent import *
from deepcore.functions.shape import *
from deepcore.functions.special import *
from deepcore.functions.trigonometry import *
from deepcore.functions.vision import box_losses as _box_losses
from deepcore.functions.vision import boxes as _boxes
from deepcore.functions.vision import detection as _detection
from deepcore.functions.vision import resample as _resample
from deepcore.functions.vision import roi as _roi
from deepcore.functions.vision import sampling as _vision
from deepcore.functions.vision.box_losses import *
from deepcore.functions.vision.boxes import *
from deepcore.functions.vision.detection import *
from deepcore.functions.vision.resample import *
from deepcore.functions.vision.roi import *
from deepcore.functions.vision.sampling import *

if not TYPE_CHECKING:  # a type checker follows the lines above, but not a sum of lists
    _FAMILIES = (
        _activation,
        _adaptive_pool,
        _adaptive_nd_pool,
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
        _elementwise,
        _einsum,
        _embedding,
        _fused,
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
        _powers,
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
        _special,
        _trigonometry,
        _vision,
    )
    __all__ = [name for family in _FAMILIES for name in family.__all__]
    globals().update({name: _explained(globals()[name]) for name in __all__})
