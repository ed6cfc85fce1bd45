"""The HTML report of a benchmark and the figures of the README: what they say, and that they hold together."""

from __future__ import annotations

import html.parser
import re
from pathlib import Path

import pytest

from bench_examples import empty, measured
from deepcore.bench import figures, page, pictures, result
from deepcore.bench.result import FAILED, Fit, LayerTime, Measurement, Profile, Result, Roof

ROOT = Path(__file__).resolve().parent.parent
VOID = ("meta", "br", "img", "path", "use", "rect", "line")


class Balanced(html.parser.HTMLParser):
    """Raises where an element is not closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        pass


@pytest.fixture
def rich() -> Result:
    """A result with something for every picture."""
    found = measured({"cpu": [1.0, 1.1, 0.9], "torch": [2.0, 2.2, 1.9]}, name="<b>relu</b>")
    found.roof = Roof(2e11, 1e10, "a product", "a copy")
    case = found.cases[0]
    case.flops, case.bytes = 2e9, 1e8
    for at in (1, 2, 4):
        scaled = measured({"cpu": [1e-3 * at] * 3, "torch": [2e-3 * at] * 3}, name="line").cases[0]
        scaled.suite, scaled.axis, scaled.at = "scaling", "batch", float(at)
        found.cases.append(scaled)
    found.fits.append(Fit("line", scaled.part, "batch", "cpu", 1.0, 0.9, 1.1, 1e-3, 3))
    for name in ("cpu", "torch"):
        layers = [LayerTime("0", "Conv2d", 1e-3, 2e-3), LayerTime("1", "ReLU", 1e-9, 1e-9)]
        found.profiles.append(Profile("lenet", name, 4e-3, 5e-4, layers))
    return found


def test_pictures_of_everything(rich: Result) -> None:
    titles = [picture.title for picture in pictures.all_of(rich)]
    part, line = rich.cases[0].part, rich.cases[1].part
    assert titles[0].endswith(part)
    assert titles[1:] == ["Beneath the roof", f"line, {line}: time by batch", "lenet: time by layer"]
    assert len({picture.name for picture in pictures.all_of(rich)}) == len(titles)
    assert "power 1.00" in pictures.all_of(rich)[2].svg
    assert "1 ReLU" not in pictures.all_of(rich)[3].svg  # too short to be seen
    assert "other layers" in pictures.all_of(rich)[3].svg


def test_page_is_whole_and_loads_nothing(rich: Result) -> None:
    rich.cases[0].measurements.append(Measurement("torch-compile", FAILED, "no <compiler>"))
    text = page.to_html(rich)
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    assert not re.search(r'(?:src|href)="(?!#)', text)
    assert "<b>relu</b>" not in text
    assert "no &lt;compiler&gt;" in text
    assert "2.00x" in text
    names = re.findall(r'\bid="([^"]+)"', text)
    assert len(names) == len(set(names))


def test_a_page_of_nothing() -> None:
    assert "nothing measured" in page.to_html(empty())


def test_figures_are_drawn_between_their_marks(tmp_path: Path) -> None:
    found = measured({"cpu": [0.010] * 3, "torch": [0.020] * 3, "torch-compile": [0.015] * 3}, name="lenet")
    found.cases[0].suite, found.cases[0].part = "models", "training"
    result.write(found, tmp_path / "r.json")
    text = "before\n<!-- speed: r.json -->\nold\n<!-- end -->\nafter\n"
    drawn = figures.drawn(text, tmp_path)
    assert "old" not in drawn
    assert "10.0 ms | 15.0 ms | 1.50 |" in drawn
    assert drawn.startswith("before\n<!-- speed: r.json -->\n| training")
    assert drawn.endswith("<!-- end -->\nafter\n")
    assert figures.drawn(drawn, tmp_path) == drawn


@pytest.mark.parametrize("name", figures.PAGES, ids=str)
def test_the_pages_say_what_the_result_files_say(name: Path) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    assert figures.BLOCK.search(text)
    assert figures.drawn(text, ROOT) == text, "run: python -m deepcore.bench.figures"
