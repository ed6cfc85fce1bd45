"""Layers, losses and containers with PyTorch's names, defaults and weight layouts."""

from __future__ import annotations

from deepcore.nn import init, utils
from deepcore.nn.activation.basic import LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from deepcore.nn.activation.gates import GELU, GLU, LogSigmoid, Mish, SiLU, Softmin, Softplus, Softsign
from deepcore.nn.activation.rectifiers import ELU, SELU, Hardsigmoid, Hardswish, Hardtanh, PReLU, ReLU6
from deepcore.nn.container import ModuleDict, ModuleList, ParameterList, Sequential
from deepcore.nn.conv.columns import Fold, Unfold
from deepcore.nn.conv.convolution import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from deepcore.nn.conv.resample import PixelShuffle, PixelUnshuffle, Upsample
from deepcore.nn.dropout import Dropout
from deepcore.nn.linear import Flatten, Identity, Linear, Unflatten
from deepcore.nn.loss.classification import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, MSELoss, NLLLoss
from deepcore.nn.loss.distance import (
    CosineEmbeddingLoss,
    CosineSimilarity,
    HingeEmbeddingLoss,
    HuberLoss,
    L1Loss,
    MarginRankingLoss,
    PairwiseDistance,
    SmoothL1Loss,
    SoftMarginLoss,
    TripletMarginLoss,
)
from deepcore.nn.loss.probability import CTCLoss, GaussianNLLLoss, KLDivLoss, PoissonNLLLoss
from deepcore.nn.module import Module
from deepcore.nn.norm.batch_norm import BatchNorm1d, BatchNorm2d, BatchNorm3d
from deepcore.nn.norm.layer_norm import (
    GroupNorm,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
    LayerNorm,
    LocalResponseNorm,
    RMSNorm,
)
from deepcore.nn.parameter import Parameter
from deepcore.nn.pool.adaptive import (
    AdaptiveAvgPool1d,
    AdaptiveAvgPool3d,
    AdaptiveMaxPool1d,
    AdaptiveMaxPool3d,
    LPPool1d,
    LPPool3d,
    MaxUnpool1d,
    MaxUnpool3d,
)
from deepcore.nn.pool.pool2d import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d
from deepcore.nn.pool.pool3d import AvgPool3d, MaxPool3d
from deepcore.nn.pool.variants import AdaptiveMaxPool2d, AvgPool1d, LPPool2d, MaxPool1d, MaxUnpool2d
from deepcore.nn.sequence.attention import MultiheadAttention
from deepcore.nn.sequence.embedding import Embedding
from deepcore.nn.sequence.rnn import GRU, LSTM, RNN
from deepcore.nn.sequence.rnn_cell import GRUCell, LSTMCell, RNNCell

__all__ = [
    "ELU",
    "GELU",
    "GLU",
    "GRU",
    "LSTM",
    "RNN",
    "SELU",
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AdaptiveAvgPool3d",
    "AdaptiveMaxPool1d",
    "AdaptiveMaxPool2d",
    "AdaptiveMaxPool3d",
    "AvgPool1d",
    "AvgPool2d",
    "AvgPool3d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "CTCLoss",
    "Conv1d",
    "Conv2d",
    "Conv3d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "ConvTranspose3d",
    "CosineEmbeddingLoss",
    "CosineSimilarity",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "Fold",
    "GRUCell",
    "GaussianNLLLoss",
    "GroupNorm",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "HingeEmbeddingLoss",
    "HuberLoss",
    "Identity",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "KLDivLoss",
    "L1Loss",
    "LPPool1d",
    "LPPool2d",
    "LPPool3d",
    "LSTMCell",
    "LayerNorm",
    "LeakyReLU",
    "Linear",
    "LocalResponseNorm",
    "LogSigmoid",
    "LogSoftmax",
    "MSELoss",
    "MarginRankingLoss",
    "MaxPool1d",
    "MaxPool2d",
    "MaxPool3d",
    "MaxUnpool1d",
    "MaxUnpool2d",
    "MaxUnpool3d",
    "Mish",
    "Module",
    "ModuleDict",
    "ModuleList",
    "MultiheadAttention",
    "NLLLoss",
    "PReLU",
    "PairwiseDistance",
    "Parameter",
    "ParameterList",
    "PixelShuffle",
    "PixelUnshuffle",
    "PoissonNLLLoss",
    "RMSNorm",
    "RNNCell",
    "ReLU",
    "ReLU6",
    "Sequential",
    "SiLU",
    "Sigmoid",
    "SmoothL1Loss",
    "SoftMarginLoss",
    "Softmax",
    "Softmin",
    "Softplus",
    "Softsign",
    "Tanh",
    "TripletMarginLoss",
    "Unflatten",
    "Unfold",
    "Upsample",
    "init",
    "utils",
]
