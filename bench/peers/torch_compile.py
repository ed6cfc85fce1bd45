"""PyTorch with `torch.compile`: Inductor makes C++ of whole models. What compiling costs is not in the samples."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from deepcore.bench.peers.torch_eager import Torch
from deepcore.bench.spec import Spec


class TorchCompile(Torch):
    """PyTorch on the CPU, with torch.compile."""

    name, about, order = "torch-compile", "PyTorch on the CPU, torch.compile (Inductor) of the whole model", 1
    layered = False

    def absent(self) -> str:
        if not (shutil.which("g++") or shutil.which("clang++") or shutil.which("c++")):
            return "torch.compile needs a C++ compiler: install g++"
        return super().absent()

    def skips(self, spec: Spec) -> str:
        if spec.program == "op":
            return "torch.compile takes whole models; an op of its own is that of torch"
        if spec.program == "pictures":
            return "its loader is that of torch"
        return super().skips(spec)

    def opening(self, threads: int) -> str:
        return super().opening(threads) + "place = torch.compile\n"

    def cold(self, folder: Path) -> dict[str, str]:
        return {"TORCHINDUCTOR_CACHE_DIR": str(folder)}

    def for_training(self, model: Any) -> Any:
        return self.top.compile(model)


PEER = TorchCompile
