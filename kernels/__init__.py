"""What runs on a device: Numba code for the CPU (kernels.cpu) and for CUDA (kernels.cuda)."""

from __future__ import annotations

if __name__ == "kernels":  # a second copy of the modules would be created under this name
    raise ImportError("deepcore's kernels have the name deepcore.kernels: write `from deepcore.kernels import ...`")
