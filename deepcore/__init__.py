"""deepcore: a deep-learning framework in readable Python, the same model on a laptop CPU and on an NVIDIA GPU.

import deepcore as dc
from deepcore import nn, optim, functional as F
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from deepcore import autograd, dtypes, errors, functions
from deepcore import functional as functional
from deepcore.autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from deepcore.creation import (
    allclose,
    arange,
    as_tensor,
    bernoulli,
    empty,
    empty_like,
    equal,
    eye,
    from_numpy,
    full,
    full_like,
    linspace,
    meshgrid,
    ones,
    ones_like,
    rand,
    rand_like,
    randint,
    randn,
    randn_like,
    randperm,
    tensor,
    zeros,
    zeros_like,
)
from deepcore.devices import (
    device,
    get_default_device,
    get_float32_matmul_precision,
    set_default_device,
    set_float32_matmul_precision,
)
from deepcore.dtypes import bool_ as bool
from deepcore.dtypes import (
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    set_default_dtype,
    uint8,
)
from deepcore.functions import *
from deepcore.random import Generator, get_rng_state, initial_seed, manual_seed, set_rng_state
from deepcore.serialization import load, save
from deepcore.tensor import Tensor
from deepcore.tensor.dlpack import from_dlpack

if TYPE_CHECKING:
    from deepcore import (
        amp,
        backends,
        cuda,
        data,
        distributions,
        information,
        layers,
        linalg,
        models,
        nn,
        onnx,
        optim,
        profiler,
        train,
    )
    from deepcore.amp import autocast
    from deepcore.dtypes import bfloat16
    from deepcore.gradient import numerical_gradient
    from deepcore.inference import optimize_for_inference
    from deepcore.lockstep import compare
    from deepcore.summaries import summary

__version__ = "0.1.0"

__all__ = [
    "Generator",
    "Tensor",
    "allclose",
    "amp",
    "arange",
    "as_tensor",
    "autocast",
    "autograd",
    "backends",
    "bernoulli",
    "bfloat16",
    "bool",
    "compare",
    "cuda",
    "data",
    "device",
    "distributions",
    "empty",
    "empty_like",
    "enable_grad",
    "equal",
    "errors",
    "eye",
    "float16",
    "float32",
    "float64",
    "from_dlpack",
    "from_numpy",
    "full",
    "full_like",
    "functional",
    "get_default_device",
    "get_default_dtype",
    "get_float32_matmul_precision",
    "get_rng_state",
    "information",
    "initial_seed",
    "int8",
    "int16",
    "int32",
    "int64",
    "is_grad_enabled",
    "layers",
    "linalg",
    "linspace",
    "load",
    "manual_seed",
    "meshgrid",
    "models",
    "nn",
    "no_grad",
    "numerical_gradient",
    "ones",
    "ones_like",
    "onnx",
    "optim",
    "optimize_for_inference",
    "profiler",
    "rand",
    "rand_like",
    "randint",
    "randn",
    "randn_like",
    "randperm",
    "save",
    "set_default_device",
    "set_default_dtype",
    "set_float32_matmul_precision",
    "set_grad_enabled",
    "set_rng_state",
    "summary",
    "tensor",
    "train",
    "uint8",
    "zeros",
    "zeros_like",
]
if not TYPE_CHECKING:
    __all__ += functions.__all__

# Loaded when first used, so that `import deepcore` stays quick.
_LAZY = (
    *("amp", "backends", "data", "distributions", "information", "layers", "linalg", "models", "nn", "onnx", "optim"),
    *("cuda", "profiler", "train", "viz"),
)


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return importlib.import_module(f"deepcore.{name}")
    if name == "numerical_gradient":
        from deepcore.gradient import numerical_gradient

        return numerical_gradient
    if name == "optimize_for_inference":
        from deepcore.inference import optimize_for_inference

        return optimize_for_inference
    if name == "autocast":
        from deepcore.amp import autocast

        return autocast
    if name == "bfloat16":
        return dtypes.bfloat16
    if name == "compare":
        from deepcore.lockstep import compare

        return compare
    if name == "summary":
        from deepcore.summaries import summary

        return summary
    raise AttributeError(f"module 'deepcore' has no attribute {name!r}")
