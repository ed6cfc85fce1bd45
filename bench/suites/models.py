"""Suite "models": a training step and inference of each reference workload."""

from __future__ import annotations

from typing import Any

from deepcore.bench.spec import Spec
from deepcore.bench.workloads import WORKLOADS

TRAINING, INFERENCE, OPTIMISED = "training", "inference", "inference, optimised"
WITHOUT_IMAGES = ("mlp", "char_lstm", "transformer")


def specs(threads: int) -> list[Spec]:
    """The cases: all training steps, then all inference."""
    return [model_spec("models", name, part) for part in (TRAINING, INFERENCE, OPTIMISED) for name in WORKLOADS]


def model_spec(suite: str, workload: str, part: str, batch: int = 0, extent: int = 0, **more: Any) -> Spec:
    """The case of a workload, with its own batch and extent where none is given."""
    found = WORKLOADS[workload]
    batch, extent = batch or found.size, extent or found.extent
    arguments = {
        "workload": workload,
        "batch": batch,
        "extent": extent,
        "images": workload not in WITHOUT_IMAGES,
        "optimised": part == OPTIMISED,
    }
    return Spec(
        suite=suite,
        name=workload,
        part=part,
        program="training" if part == TRAINING else "inference",
        arguments=arguments,
        size=f"batch {batch}, {found.about}" if extent == found.extent else f"batch {batch}, extent {extent}",
        group=more.pop("group", part),
        items=batch,
        **more,
    )
