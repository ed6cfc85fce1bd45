"""The initial weights of the workloads: drawn once by deepcore, given to every candidate as a file."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np

from deepcore.bench.spec import Spec
from deepcore.bench.workloads import WORKLOADS


class InitialWeights:
    """Files in a folder that goes away at the end."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.folder = tempfile.TemporaryDirectory(prefix="deepcore-bench-")

    def of(self, spec: Spec) -> str:
        """The .npz file for a case; "" for one without a model."""
        workload = spec.arguments.get("workload")
        if workload is None:
            return ""
        file = Path(self.folder.name) / f"{workload}.npz"
        if not file.exists():
            np.savez(file, **draw(workload, self.seed))  # type: ignore[arg-type]
        return str(file)

    def __enter__(self) -> InitialWeights:
        return self

    def __exit__(self, *error: object) -> None:
        self.folder.cleanup()


def draw(workload: str, seed: int) -> dict[str, np.ndarray]:
    """The state of a new model, as each layer initialises itself, by name.

    The running statistics of batch normalisation are drawn too: a mean of 0 and a variance of 1 would hide a mistake in
    folding them.
    """
    import deepcore as dc
    from deepcore import functional, nn

    dc.manual_seed(seed)
    with dc.device("cpu"):
        model = WORKLOADS[workload].build(nn, functional, False)
    rng = np.random.default_rng(seed)
    found = {}
    for name, value in model.state_dict().items():
        array = np.array(value.numpy() if hasattr(value, "numpy") else value)
        if name.endswith("running_mean"):
            array = rng.normal(0.0, 0.2, array.shape).astype(array.dtype)
        elif name.endswith("running_var"):
            array = rng.uniform(0.5, 1.5, array.shape).astype(array.dtype)
        found[name] = array
    return found
