"""Suite "startup": importing the framework, and everything up to the end of the first training step of LeNet.

"first step, cold" begins with no compiled kernel on the disk, as after an installation; "warm" is every later run. Each
sample is a fresh interpreter.
"""

from __future__ import annotations

from deepcore.bench.spec import Spec

IMPORT, COLD, WARM = "import", "first step, cold", "first step, warm"


def specs(threads: int) -> list[Spec]:
    """The cases."""
    lenet = {"workload": "lenet", "batch": 128, "extent": 28}
    return [
        Spec("startup", "import", IMPORT, "import", group="import", fresh=True),
        Spec("startup", "lenet", WARM, "first step", lenet, "batch 128, Adam", group=WARM, fresh=True),
        Spec(
            "startup", "lenet", COLD, "first step", {**lenet, "cold": True}, "batch 128, Adam", group=COLD, fresh=True
        ),
    ]
