"""Suite "ops": each op of the table at each size, forward and backward."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from deepcore.bench.spec import Spec
from deepcore.bench.suites.op_table import BACKWARD, FORWARD, OPS, Input, OpEntry, shape_of


def specs(threads: int) -> list[Spec]:
    """The cases."""
    return [
        op_spec("ops", op, part, inputs)
        for op in OPS
        for inputs in op.sizes
        for part in ((FORWARD, BACKWARD) if op.backward else (FORWARD,))
    ]


def op_spec(
    suite: str, op: OpEntry, part: str, inputs: Sequence[Input], *, name: str = "", group: str = "", **more: Any
) -> Spec:
    """The case of an op on these inputs."""
    arguments = {"op": op.name, "part": part, "inputs": tuple(inputs), "images": len(shape_of(inputs[0])) == 4}
    return Spec(
        suite=suite,
        name=name or op.name,
        part=part,
        program="op",
        arguments=arguments,
        size=" * ".join("x".join(map(str, shape_of(value))) for value in inputs),
        group=group or op.family,
        **more,
    )
