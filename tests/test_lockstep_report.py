"""The reports of a comparison: what they say, that they are whole, and that they need nothing from anywhere."""

from __future__ import annotations

import html.parser
import io
import json
import math
import re
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console

from comparison_examples import comparison
from deepcore import charts
from deepcore.errors import RunError
from deepcore.lockstep import EXACT, Comparison, Settings, Verdict, pair_key, report
from deepcore.lockstep.report import facts, pictures, words

FAULT = (7, "features.2")


@pytest.fixture(scope="module")
def good() -> Comparison:
    return comparison()


@pytest.fixture(scope="module")
def bad() -> Comparison:
    return comparison(jump=FAULT)


def printed(result: Comparison, width: int = 120) -> str:
    """The summary, as text."""
    file = io.StringIO()
    report.print_summary(result, Console(width=width, color_system=None, file=file))
    return file.getvalue()


# --- numbers ----------------------------------------------------------------------------------------------------------


def test_ratios_know_zero_and_what_is_no_number() -> None:
    got = facts.ratios([0.0, 1.0, 1.0, math.inf, math.nan], [0.0, 0.0, 2.0, 2.0, 2.0])
    assert got.tolist() == [0, math.inf, 0.5, math.inf, math.inf]
    assert facts.ratios([1.0, 1.0], [2.0]).tolist() == [0.5]  # a run that was broken off


def test_nearest_is_the_largest_multiple_of_its_bound(good: Comparison) -> None:
    places = facts.nearest(good)
    assert len(places) == len(good.tracks)
    assert [p.ratio for p in places] == sorted((p.ratio for p in places), reverse=True)
    best = places[0]
    track = good.tracks[best.quantity.index]
    values = track.to_exact[best.a] if best.b == EXACT else track.between[pair_key(best.a, best.b)]
    assert best.ratio == values[best.step] / track.bound[best.step]
    assert best.ratio == max(np.nanmax(row) for row in facts.heat(good, good.tracks))
    assert report.largest_ratio(good, best.step) == best.ratio


def test_layers_are_shown_once_and_where_they_say_most(good: Comparison, bad: Comparison) -> None:
    names = [track.quantity.name for track in facts.of_kind(good, "output")]
    assert names[:2] == ["features.0", "features.1"]
    assert "features" not in names
    assert "" not in names
    assert facts.step_to_show(bad) == 7
    assert facts.step_to_show(good) == 19
    lost = comparison()
    lost.power_lost = 12
    assert facts.step_to_show(lost) == 11


def test_equal_bits_are_counted() -> None:
    same = comparison(steps=5)
    for track in same.tracks:
        track.between["numpy | cpu"][:3] = [0.0, 0.0, 0.0]
    assert facts.same_bits(same) == 3
    assert "In the first 3 steps the devices gave the same bits everywhere." in words.sentences(same)


# --- words ------------------------------------------------------------------------------------------------------------


def test_the_verdict_comes_first(good: Comparison, bad: Comparison) -> None:
    assert words.headline(good) == "numpy and cpu agree: rounding explains every difference"
    assert words.headline(bad) == "cpu computes max_pool2d backward wrongly in features.2 (MaxPool2d)"
    assert words.sentences(bad)[0] == "Step 7: max_pool2d backward in features.2 is wrong on cpu."
    text = " ".join(words.sentences(bad))
    assert "The first place beyond the bound is the gradient at the output of features.2 (MaxPool2d) at step 7" in text
    assert "at once (a jump)" in text


@pytest.mark.parametrize(
    ("cause", "said"),
    [
        ("not repeatable", "cpu: max_pool2d in features.2 (MaxPool2d) gives other bits each time"),
        ("optimizer", "cpu: the optimiser max_pool2d changes the weights wrongly"),
        ("buffer", "cpu: the buffer max_pool2d in features.2 (MaxPool2d) is wrong"),
        ("unexplained", "numpy and cpu differ by more than rounding explains, and no single op is to blame"),
        ("rounding", "numpy and cpu agree; from float64 they differ by more than the bound, and every op is right on"),
    ],
)
def test_every_cause_has_its_headline(cause: str, said: str) -> None:
    result = comparison(jump=FAULT)
    old = result.verdicts[0]
    values = {field.name: getattr(old, field.name) for field in fields(Verdict)}
    result.verdicts[0] = Verdict(**(values | {"cause": cause}))
    assert words.headline(result).startswith(said)
    assert said in printed(result)


def test_overflow_is_named() -> None:
    result = comparison(jump=FAULT)
    worst = result.verdicts[0].worst
    assert worst is not None
    result.verdicts[0] = replace(result.verdicts[0], worst=replace(worst, value=math.inf, exact=7e4))
    assert words.headline(result).startswith("cpu: max_pool2d backward in features.2 (MaxPool2d) overflows")
    assert words.headline(result).endswith("where float64 has 70,000")


def test_devices_that_come_apart_by_rounding() -> None:
    result = comparison(steps=12)
    event = comparison(jump=FAULT).events[0]
    result.events.append(replace(event, a="numpy", b="cpu"))
    result.verdicts += [Verdict(7, "rounding", f"Step {s}: rounding", event, None) for s in (7, 9, 11)]
    assert words.headline(result).startswith("numpy and cpu come apart, and rounding explains it")
    said = words.sentences(result)
    assert said[:2] == ["Step 7: rounding.", "2 other steps were looked at in the same way."]
    assert "what a ReLU or a max-pooling makes of rounding" in said[2]


def test_limits_are_said() -> None:
    result = comparison(steps=20)
    result.power_lost = 15
    result.stopped = "Ctrl-C after step 19"
    text = " ".join(words.sentences(result))
    assert "From step 15 on, rounding alone explains differences of more than 10%" in text
    assert "The run ended before its 20 steps: Ctrl-C after step 19." in text


def test_numbers_are_short() -> None:
    assert [words.number(x) for x in (0, 0.5, 12.3, 123.0, 99999.0, 1e-4, -math.inf, math.nan)] == [
        "0", "0.5", "12", "120", "100,000", "1.0e-04", "minus infinite", "not a number",
    ]  # fmt: skip


# --- terminal ---------------------------------------------------------------------------------------------------------


def test_summary_fits_a_narrow_terminal(good: Comparison, bad: Comparison) -> None:
    for result in (good, bad):
        for width in (60, 120):
            lines = printed(result, width).splitlines()
            assert max(map(len, lines)) <= width
            assert len(lines) < 70
    said = printed(bad)
    assert "look at CpuBackend.max_pool2d_grad" in said
    assert "gradient of input 0 (64, 6, 28, 28) at [0, 3, 27, 27]: 0.0125 on cpu, 0.0025 in float64" in said
    assert re.search(r"max_pool2d, backward +features.2 \(MaxPool2d\) +cpu +170,000 +21,000", said)


# --- JSON -------------------------------------------------------------------------------------------------------------


def test_json_has_everything(bad: Comparison, tmp_path: Path) -> None:
    report.write_json(bad, tmp_path / "r.json", "deepcore compare")
    tree = json.loads((tmp_path / "r.json").read_text(), parse_constant=pytest.fail)
    assert (tree["schema"], tree["version"], tree["command"]) == ("deepcore.compare", 1, "deepcore compare")
    assert tree["ok"] is False
    assert tree["headline"] == words.headline(bad)
    assert {field.name for field in fields(Comparison)} <= set(tree)
    assert {field.name for field in fields(Settings)} == set(tree["settings"])
    assert {field.name for field in fields(Verdict)} <= set(tree["verdicts"][0])
    assert tree["fault"] == 0
    first = tree["events"][tree["verdicts"][0]["event"]]
    assert tree["tracks"][first["quantity"]]["quantity"]["name"] == "features.2"
    for track, stored in zip(bad.tracks, tree["tracks"], strict=True):
        np.testing.assert_allclose(stored["bound"], track.bound, rtol=1e-6)
        np.testing.assert_allclose(stored["to_exact"]["cpu"], track.to_exact["cpu"], rtol=1e-6)
        np.testing.assert_allclose(stored["between"]["numpy | cpu"], track.between["numpy | cpu"], rtol=1e-6)
        assert stored["quantity"]["label"] == track.quantity.label
    assert tree["losses"][EXACT] == bad.losses[EXACT]


def test_json_writes_what_is_no_number_as_text() -> None:
    result = comparison(steps=3)
    result.losses["cpu"][2] = math.nan
    result.tracks[0].to_exact["cpu"][2] = math.inf
    result.growth["noise"] = np.float32(1.5)  # type: ignore[assignment]
    tree = json.loads(report.to_json(result), parse_constant=pytest.fail)
    assert tree["losses"]["cpu"][2] == "NaN"
    assert tree["tracks"][0]["to_exact"]["cpu"][2] == "Infinity"
    assert tree["growth"]["noise"] == 1.5


# --- HTML -------------------------------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """Checks that every element is closed, and gathers addresses, ids and text."""

    VOID = ("meta", "br", "hr", "link", "img")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.addresses: list[str] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name == "id":
                self.ids.append(str(value))
            if name in ("src", "href", "xlink:href"):
                self.addresses.append(str(value))

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def pages(good: Comparison, bad: Comparison) -> dict[str, str]:
    three = comparison(("numpy", "cpu", "cpu@float16"), steps=12, resync=5)
    one = comparison(steps=1)
    return {name: report.to_html(c, "deepcore compare") for name, c in
            (("good", good), ("bad", bad), ("three", three), ("one", one))}  # fmt: skip


def test_page_is_whole_and_loads_nothing(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        page = Page(text)
        assert [a for a in page.addresses if not a.startswith(("#", "data:"))] == [], name
        assert not re.search(r"url\((?!#)|@import|<script|<link", text), name
        assert "default-src 'none'" in text
        assert len(page.ids) == len(set(page.ids)), f"{name}: an id stands twice"
        known = {f"#{i}" for i in page.ids}
        assert {a for a in page.addresses if a.startswith("#")} <= known
        assert set(re.findall(r"url\((#[^)]+)\)", text)) <= known


def test_page_takes_its_colours_from_light_and_dark(pages: dict[str, str]) -> None:
    for text in pages.values():
        light, dark = text.split("prefers-color-scheme: dark")[:2]
        for variable in {*re.findall(r"var\((--\w+)\)", text)}:
            assert f"{variable}:" in light
            assert f"{variable}:" in dark or variable in ("--device3",)
        for color in charts.VARIABLES:
            assert color not in text
    assert 'name="viewport" content="width=device-width' in pages["good"]


def test_page_begins_with_the_verdict(pages: dict[str, str]) -> None:
    for name, text in pages.items():
        body = text[text.index("<main>") :]
        assert body.index("<h1>") < body.index("<svg")
        assert ('class="verdict bad"' in body) == (name == "bad")
    assert "CpuBackend.max_pool2d_grad" in pages["bad"]
    assert "equal within rounding" in pages["good"]


def test_page_has_every_picture(pages: dict[str, str], good: Comparison) -> None:
    titles = [picture.title for picture in pictures.all_of(good)]
    assert titles == [
        "Drift of the weights", "Loss", "Every quantity at every step", "Error by layer, forward",
        "Error by layer, backward", "Error of the gradients", "Error of the updates",
    ]  # fmt: skip
    for text in pages.values():
        for title in titles:
            assert f"<h3>{title}</h3>" in text
    shown = " ".join(Page(pages["bad"]).text)
    assert "classifier.5.weight" in shown
    assert "first beyond: step 7" in shown


@pytest.fixture
def no_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """For tests that look at something else: drawing takes a second."""
    monkeypatch.setattr(pictures, "all_of", lambda result: [])


@pytest.mark.usefixtures("no_pictures")
def test_page_escapes_names() -> None:
    result = comparison(steps=2, jump=(1, "features.2"))
    result.stopped = "<script>alert(1)</script>"
    text = report.to_html(result, "deepcore compare --devices '<b>,cpu'")
    assert "<script" not in text
    assert "&lt;b&gt;" in text


def test_same_comparison_gives_the_same_page(pages: dict[str, str], good: Comparison) -> None:
    assert report.to_html(good, "deepcore compare") == pages["good"]


def test_layers_of_a_deep_model_have_room() -> None:
    deep = comparison(steps=2, model="resnet56")
    picture = pictures.by_layer(deep, *pictures.GROUPS[0])
    assert picture is not None
    width, height = map(float, re.search(r'viewBox="0 0 ([\d.]+) ([\d.]+)"', picture.svg).groups())  # type: ignore[union-attr]
    assert 2 < height / width < 5


# --- odd runs ---------------------------------------------------------------------------------------------------------


def odd_runs() -> dict[str, Comparison]:
    """Runs that end early, say nothing, or hold numbers that no axis can show."""
    empty = comparison(steps=0)
    bare = Comparison(empty.settings)
    equal = comparison(steps=4)
    for track in equal.tracks:
        track.between["numpy | cpu"] = [0.0] * 4
        track.to_exact = {"numpy": [0.0] * 4, "cpu": [0.0] * 4}
        track.noise = track.bound = [0.0] * 4
    infinite = comparison(steps=4)
    infinite.tracks[0].to_exact["cpu"][2] = math.inf
    infinite.tracks[-1].between["numpy | cpu"] = [math.inf] * 4
    infinite.losses["cpu"] = [math.inf] * 4
    broken = comparison(steps=4)
    broken.steps = 3
    broken.tracks[0].norm.append(1.0)
    return {"empty": empty, "bare": bare, "equal": equal, "infinite": infinite, "broken": broken}


@pytest.mark.parametrize("name", odd_runs())
def test_odd_runs_are_reported(name: str, recwarn: pytest.WarningsRecorder) -> None:
    result = odd_runs()[name]
    Page(report.to_html(result))
    json.loads(report.to_json(result), parse_constant=pytest.fail)
    assert words.headline(result) in printed(result, 200)
    assert [str(w.message) for w in recwarn] == []
    if name in ("empty", "bare"):
        assert "Nothing was compared" in words.headline(result)
        assert "no verdict" in report.to_html(result)


@pytest.mark.usefixtures("no_pictures")
def test_events_without_a_verdict_are_open() -> None:
    result = comparison(jump=FAULT)
    result.verdicts.clear()
    assert "ended before the cause was looked for" in words.headline(result)
    assert 'class="verdict open"' in report.to_html(result)


def test_no_room_for_the_report(good: Comparison, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"r\.json could not be written"):
        report.write_json(good, tmp_path / "absent" / "r.json")


def test_many_devices_have_colours() -> None:
    result = comparison(("numpy", "cpu", "cpu@float16", "strict", "simulator"), steps=3)
    picture = pictures.drift(result)
    assert picture is not None
    Page(picture.svg)
