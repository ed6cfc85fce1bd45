"""PyTorch as it is installed: eager, one op after the other."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from deepcore.bench.framework import Framework


class Torch(Framework):
    """PyTorch on the CPU, eager."""

    name, about, order = "torch", "PyTorch on the CPU, eager", 0
    packages: Sequence[str] = ("torch", "numpy")
    imports = "torch"

    def absent(self) -> str:
        if importlib.util.find_spec("torch") is None:
            return "PyTorch is not installed: pip install torch --index-url https://download.pytorch.org/whl/cpu"
        return ""

    def opening(self, threads: int) -> str:
        return (
            "import torch\nimport torch.nn.functional as F\nfrom torch import nn, optim\n"
            f"torch.set_num_threads({threads})\nput = torch.tensor\nplace = lambda model: model\n"
        )

    def start(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        self.top, self.nn, self.F, self.optim, self.threads = torch, torch.nn, torch.nn.functional, torch.optim, threads

    def tensor(self, array: np.ndarray, grad: bool = False) -> Any:
        return self.top.tensor(array, requires_grad=grad)

    def numpy(self, tensor: Any) -> np.ndarray:
        tensor = tensor.detach()
        return (tensor.float() if tensor.dtype == self.top.bfloat16 else tensor).numpy()  # NumPy has no bfloat16

    def pictures(self, path: Path, folder: str, batch: int, workers: int) -> Any:
        from torch.utils.data import DataLoader

        from deepcore.bench.packed import PackedPictures

        dataset: Any = PackedPictures(path, folder)
        return DataLoader(dataset, batch, shuffle=True, num_workers=workers, persistent_workers=workers > 0)

    def model(self, build: Callable[..., Any], weights: Mapping[str, np.ndarray]) -> Any:
        model = build(self.nn, self.F, False)
        model.load_state_dict({name: self.top.from_numpy(np.array(value)) for name, value in weights.items()})
        return model


PEER = Torch
