"""PyTorch with images and filters laid out channels last, which oneDNN often prefers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from deepcore.bench.peers.torch_eager import Torch
from deepcore.bench.spec import Spec


class TorchChannelsLast(Torch):
    """PyTorch on the CPU, eager, with memory_format=torch.channels_last."""

    name, about, order = "torch-channels-last", "PyTorch on the CPU, eager, images and filters channels last", 2

    def skips(self, spec: Spec) -> str:
        if not spec.arguments.get("images"):
            return "without images there are no channels to lay out"
        return super().skips(spec)

    def opening(self, threads: int) -> str:
        return ""

    def tensor(self, array: np.ndarray, grad: bool = False) -> Any:
        tensor = self.top.tensor(array)
        if tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=self.top.channels_last)
        return tensor.requires_grad_(grad)

    def model(self, build: Callable[..., Any], weights: Mapping[str, np.ndarray]) -> Any:
        return super().model(build, weights).to(memory_format=self.top.channels_last)


PEER = TorchChannelsLast
