"""Suite "memory": what training takes: the largest resident set (or the GPU's memory), and page faults of a step."""

from __future__ import annotations

from dataclasses import replace

from deepcore.bench.result import BYTES, FAULTS
from deepcore.bench.spec import Spec
from deepcore.bench.suites.models import TRAINING, model_spec
from deepcore.bench.workloads import WORKLOADS

PEAK, ABOVE, FAULTS_A_STEP = "peak", "peak above import", "page faults a step"
PARTS = ((PEAK, BYTES), (ABOVE, BYTES), (FAULTS_A_STEP, FAULTS))


def specs(threads: int) -> list[Spec]:
    """One process of training for each workload."""
    cases = [model_spec("memory", name, TRAINING, fresh=True, parts=PARTS, group="") for name in WORKLOADS]
    return [replace(case, items=0) for case in cases]
