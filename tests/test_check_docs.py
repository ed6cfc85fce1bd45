"""The page on second derivatives is up to date, and what it says holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import deepcore as dc
from deepcore.autograd import Function
from deepcore.check import docs, measure
from deepcore.check.opdb import OpCase, Sample, all_cases, is_float, to_tensors
from deepcore.errors import GraphError

ROOT = Path(__file__).resolve().parent.parent
CASES = all_cases()


class Cubed(Function):
    """x ** 3 by a backward that leaves the tape."""

    name = "cubed"
    once_differentiable = "its backward is a kernel"

    def forward(self, x):
        self.saved = (x,)
        return x**3

    def backward(self, gy):
        (x,) = self.saved
        return gy * 3 * self.backend.xp.square(x)


CUBED = OpCase(
    "cubed",
    lambda x: Cubed()(x),
    lambda x: x**3,
    lambda rng: [Sample("plain", (rng.uniform(1, 2, 3),), {}, (0,))],
    double_backward=False,
    no_double_backward="its backward is a kernel",
)


def test_the_page_is_up_to_date() -> None:
    written = (ROOT / docs.PAGE).read_text(encoding="utf-8")
    assert written == docs.page(CASES), "run `python -m deepcore.check.docs`"


def test_the_page_lists_ops_and_reasons() -> None:
    text = docs.page([*CASES, CUBED])
    assert "| `cubed` | its backward is a kernel |" in text
    assert "None: every op" not in text
    assert "`argmax`" in text
    assert "`conv2d`" not in text


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert docs.main([str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == docs.page(CASES)
    assert docs.main([str(tmp_path / "absent" / "page.md")]) == 2
    assert "there is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("case", [*(c for c in CASES if c.differentiable and not c.double_backward), CUBED], ids=str)
def test_an_op_without_a_second_derivative_says_so(case: OpCase, device: str) -> None:
    """The error names the op, and says that it is not twice differentiable and why."""
    sample = next(s for s in case.make_samples() if s.diff and not s.empty)
    args, results = measure.call(case, sample, device, grad=True)
    floats = [y for y in results if is_float(y)]
    seeds = to_tensors([np.ones(y.shape) for y in floats], device)
    with pytest.raises(GraphError, match="not twice differentiable") as caught:
        dc.autograd.grad(floats, [args[i] for i in sample.diff], seeds, create_graph=True)
    assert case.no_double_backward in str(caught.value)
    assert case.name.partition(".")[2] or case.name in str(caught.value)


def test_the_first_derivative_is_not_refused() -> None:
    x = dc.tensor([1.0, 2.0], requires_grad=True)
    (g,) = dc.autograd.grad(Cubed()(x).sum(), x)
    assert g.numpy().tolist() == [3.0, 12.0]
    with pytest.raises(GraphError, match=r"^cubed: expected .* got create_graph=True, but its backward is a kernel"):
        Cubed()(x).sum().backward(create_graph=True)


@pytest.mark.parametrize("name", ["complete_box_iou", "complete_box_iou_loss"])
def test_a_gradient_that_is_no_slope_can_be_differentiated_too(name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    args, results = measure.call(case, case.make_samples()[0], "numpy", grad=True)
    (g,) = dc.autograd.grad(results[0].sum(), args[0], create_graph=True)
    (h,) = dc.autograd.grad(g.sum(), args[0])
    assert np.isfinite(h.numpy()).all()
