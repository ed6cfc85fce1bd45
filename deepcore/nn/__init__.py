"""Layers, losses and containers with PyTorch's names, defaults and weight layouts."""

from __future__ import annotations

from deepcore.nn import init, utils
from deepcore.nn.activation import LeakyReLU, LogSoftmax, ReLU, Sigmoid, Softmax, Tanh
from deepcore.nn.container import ModuleDict, ModuleList, ParameterList, Sequential
from deepcore.nn.conv import Conv2d, ConvTranspose2d
from deepcore.nn.dropout import Dropout
from deepcore.nn.linear import Flatten, Identity, Linear, Unflatten
from deepcore.nn.loss import BCELoss, BCEWithLogitsLoss, CrossEntropyLoss, MSELoss, NLLLoss
from deepcore.nn.module import Module
from deepcore.nn.norm import BatchNorm1d, BatchNorm2d
from deepcore.nn.parameter import Parameter
from deepcore.nn.pool import AdaptiveAvgPool2d, AvgPool2d, MaxPool2d

__all__ = [
    "AdaptiveAvgPool2d",
    "AvgPool2d",
    "BCELoss",
    "BCEWithLogitsLoss",
    "BatchNorm1d",
    "BatchNorm2d",
    "Conv2d",
    "ConvTranspose2d",
    "CrossEntropyLoss",
    "Dropout",
    "Flatten",
    "Identity",
    "LeakyReLU",
    "Linear",
    "LogSoftmax",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "ModuleDict",
    "ModuleList",
    "NLLLoss",
    "Parameter",
    "ParameterList",
    "ReLU",
    "Sequential",
    "Sigmoid",
    "Softmax",
    "Tanh",
    "Unflatten",
    "init",
    "utils",
]
