"""ONNX Runtime: inference of the models, exported from PyTorch; it folds and fuses what it can."""

from __future__ import annotations

import importlib.util
import io
import logging
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from deepcore.bench.peers.torch_eager import Torch
from deepcore.bench.spec import Spec

NEEDS = ("onnxruntime", "onnx", "onnxscript")


class OnnxRuntime(Torch):
    """ONNX Runtime on the CPU."""

    name, about, order = "onnxruntime", "ONNX Runtime on the CPU, models exported from PyTorch", 3
    packages = ("onnxruntime", "onnx", "torch", "numpy")
    imports = "onnxruntime"
    layered = False

    def absent(self) -> str:
        missing = [name for name in NEEDS if importlib.util.find_spec(name) is None]
        if missing:
            return f"{' and '.join(missing)} not installed: pip install {' '.join(missing)}"
        reason = super().absent()
        return f"it gets its models from PyTorch, and {reason}" if reason else ""

    def skips(self, spec: Spec) -> str:
        return "" if spec.program in ("inference", "import") else "it runs inference of whole models only"

    def opening(self, threads: int) -> str:
        return ""

    def tensor(self, array: np.ndarray, grad: bool = False) -> Any:
        return array

    def numpy(self, tensor: Any) -> np.ndarray:
        return tensor

    def for_inference(self, model: Any, x: Any, optimised: bool) -> Callable[[Any], Any]:
        import onnxruntime

        logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it tells of every library that it could also use
        file = io.BytesIO()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = self.top.onnx.export(model, (self.top.from_numpy(x),), dynamo=True, verbose=False)
            program.save(file)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self.threads, 1
        session = onnxruntime.InferenceSession(file.getvalue(), options, providers=["CPUExecutionProvider"])
        name = session.get_inputs()[0].name
        return lambda x: session.run(None, {name: x})[0]


PEER = OnnxRuntime
