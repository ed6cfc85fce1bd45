"""`dc.viz` and `deepcore report`: graphs with their gradients, figures as files, the page of a run."""

from __future__ import annotations

import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore import models, nn, optim
from deepcore.check.tolerance import assert_close
from deepcore.cli import main
from deepcore.errors import ConfigError, RunError
from deepcore.train import checkpoint
from deepcore.train.run import RunFolder
from deepcore.viz.histograms import layer_values
from deepcore.viz.paths import path, valley

FRUIT = {"apple": 100, "apples": 2, "orange": 150, "oranges": 3, "tax": 1.1}


def fruit(apple: Any, apples: Any, orange: Any, oranges: Any, tax: Any) -> Any:
    return (apple * apples + orange * oranges) * tax


def test_apples() -> None:
    found = dc.viz.graph(lambda apple, number, tax: apple * number * tax, apple=100, number=2, tax=1.1)
    assert list(found.gradients) == ["apple", "number", "tax"]
    assert_close(list(found.gradients.values()), [2.2, 110.0, 200.0], "float64")
    assert_close([edge.value for edge in found.edges], [100, 2, 200, 1.1, 220], "float64")
    assert_close([edge.gradient for edge in found.edges], [2.2, 110, 1.1, 200, 1], "float64")


def test_apples_and_oranges() -> None:
    found = dc.viz.graph(fruit, **FRUIT)
    assert_close(found.value, 715.0, "float64")
    assert_close(list(found.gradients.values()), [2.2, 110, 3.3, 165, 650], "float64")
    assert sorted(found.ops.values()) == ["+", *3 * ["\N{MULTIPLICATION SIGN}"]]


def test_gradients_of_a_module_are_those_of_backward() -> None:
    model = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), nn.Linear(3, 1))
    x = dc.randn(1, 4)
    named = dict(model.named_parameters())
    found = dc.viz.graph(model, x=x)
    assert all(p.grad is None for p in named.values())
    model(x).sum().backward()
    for name, parameter in named.items():
        assert parameter.grad is not None
        np.testing.assert_array_equal(found.gradients[name], parameter.grad.numpy())
    assert found.gradients["x"].shape == (1, 4)


def test_an_input_that_is_used_twice_and_broadcast() -> None:
    x = np.array([1.0, 2.0, 3.0])
    found = dc.viz.graph(lambda x, b: (x * x * b + b).sum(), x=x, b=2.0)
    np.testing.assert_array_equal(found.gradients["x"], 4 * x)
    assert found.gradients["b"] == 14 + 3


@pytest.mark.parametrize("function", [lambda x: x * dc.ones(2), lambda x: 3, lambda x: dc.ones(())])
def test_a_graph_needs_one_result(function: Any) -> None:
    with pytest.raises(ConfigError, match="one element"):
        dc.viz.graph(function, x=1.0)


@pytest.mark.skipif(shutil.which("dot") is None, reason="Graphviz is not installed")
@pytest.mark.parametrize(("ending", "begin"), [("svg", b"<?xml"), ("png", b"\x89PNG")])
def test_a_graph_is_drawn(ending: str, begin: bytes, tmp_path: Path) -> None:
    pytest.importorskip("graphviz")
    file = tmp_path / f"fruit.{ending}"
    dc.viz.graph(fruit, **FRUIT).save(file)
    assert file.read_bytes().startswith(begin)
    if ending == "svg":
        assert all(f">{number}<" in file.read_text() for number in ("715", "2.2", "110", "3.3", "165", "650"))


def test_without_graphviz(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(__import__("sys").modules, "graphviz", None)
    with pytest.raises(ConfigError, match="pip install graphviz"):
        dc.viz.graph(fruit, **FRUIT).save(tmp_path / "fruit.svg")


def test_figures_are_files(tmp_path: Path) -> None:
    model, x = models.create("lenet"), dc.randn(1, 1, 32, 32)
    row = {"train_loss": 1.0, "test_loss": 1.2, "train_accuracy": 0.5, "test_accuracy": 0.4}
    figures = {
        "filters.png": dc.viz.filters(model),
        "colour.png": dc.viz.filters(models.create("resnet20")),
        "maps.svg": dc.viz.feature_maps(model, x, "features.0"),
        "matrix.svg": dc.viz.confusion_matrix([0, 1, 1], [0, 1, 0], ["a", "b"]),
        "curves.svg": dc.viz.curves([{"epoch": 1, **row}, {"epoch": 2, **row}]),
        "gradients.png": dc.viz.initializers("relu", "gradients", layers=3),
        "paths.svg": dc.viz.optimizer_paths(),
    }
    for name, figure in figures.items():
        dc.viz.save(figure, tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG" if name.endswith("png") else b"<?xml")
    with pytest.raises(ConfigError, match=r"\.png or \.svg"):
        dc.viz.save(figures["paths.svg"], tmp_path / "paths.gif")


def test_wrong_arguments() -> None:
    model, x = models.create("mlp"), dc.randn(1, 1, 32, 32)
    with pytest.raises(ConfigError, match="no Conv2d"):
        dc.viz.filters(model)
    with pytest.raises(ConfigError, match="no layer 'first'"):
        dc.viz.feature_maps(model, x, "first")
    with pytest.raises(ConfigError, match="expected maps"):
        dc.viz.feature_maps(model, x, next(iter(dc.viz.outputs(model, x))))
    with pytest.raises(ConfigError, match="integers from 0 to 1"):
        dc.viz.confusion_matrix([0, 2], [0, 1], ["a", "b"])
    with pytest.raises(ConfigError, match="one length"):
        dc.viz.confusion_matrix([0, 1], [0], ["a", "b"])
    with pytest.raises(ConfigError, match="no rows"):
        dc.viz.curves([])
    with pytest.raises(ConfigError, match="Did you mean 'sigmoid'"):
        dc.viz.initializers("sigmoyd")
    with pytest.raises(ConfigError, match="'activations' or 'gradients'"):
        dc.viz.initializers(what="weights")


def test_outputs_leave_the_model_as_it_was() -> None:
    model = nn.Sequential(nn.Linear(3, 3), nn.Dropout(0.5))
    model[0].eval()
    found = dc.viz.outputs(model, dc.ones(2, 3))
    np.testing.assert_array_equal(found["0"], found["1"])
    assert [m.training for m in model] == [False, True]
    assert not any(m._forward_hooks for m in model.modules())


def test_paths_follow_the_formula() -> None:
    points = path(lambda p: optim.SGD(p, lr=0.5), (-7.0, 2.0), 3)
    assert_close(points[:, 0], -7 * 0.95 ** np.arange(4), "float64", 4)  # x - 0.5 * x / 10
    assert points[:, 1].tolist() == [2, 0, 0, 0]  # y - 0.5 * 2 y
    assert valley(*points[-1]) < valley(*points[0])


def test_he_keeps_what_a_small_deviation_loses() -> None:
    small, he = (layer_values("relu", std)[1][0].std() for std in (0.01, 0.02**0.5))
    assert small < 1e-3 < 0.3 < he


# ---- the page of a run


@pytest.fixture
def run(tmp_path: Path) -> RunFolder:
    """A run folder as a training leaves it, without the training."""
    folder = RunFolder.create(tmp_path / "lenet <1>")
    folder.config.write_text('model = "lenet"\ndata = "digits"\nlr = 0.005\nflip = false\n')
    row = {"step": 5, "lr": 0.1, "train_loss": 1.0, "train_accuracy": 0.5, "test_loss": 1.2, "test_accuracy": 0.4}
    folder.write_metrics([{"epoch": i, **row, "seconds": 2.0, "images_per_second": 100.0} for i in (1, 2)])
    return folder


def finish(folder: RunFolder) -> None:
    model = models.create("lenet")
    info = {"model": "lenet", "options": {"num_classes": 10, "in_channels": 1, "image_size": 32}}
    checkpoint.save_model(folder.model, model.state_dict(), info)
    matrix = dc.viz.confusion_matrix([0, 1, 1], [0, 1, 0], ["a", "b"])
    dc.viz.save(matrix, folder.path / "confusion.png")


class Sources(HTMLParser):
    """What a page would load, and its ids."""

    def __init__(self) -> None:
        super().__init__()
        self.sources: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [v or "" for k, v in attrs if k in ("src", "href", "xlink:href") or tag in ("script", "link")]
        self.ids += [v or "" for k, v in attrs if k == "id"]


def test_page_of_a_run(run: RunFolder, capsys: pytest.CaptureFixture[str]) -> None:
    finish(run)
    with pytest.raises(SystemExit) as stop:
        main(["report", str(run)])
    assert stop.value.code == 0
    assert "report.html" in capsys.readouterr().out
    text = (run.path / "report.html").read_text()
    expected = ("lenet on digits", "40.00 %", "61,706", "Confusion matrix", "Filters", "416,520", "0.005", "false")
    assert [word for word in expected if word not in text] == []
    assert "lenet &lt;1&gt;" in text
    page = Sources()
    page.feed(text)
    assert all(source.startswith(("data:", "#")) for source in page.sources)
    assert len(set(page.ids)) == len(page.ids)


def test_page_of_a_run_that_goes_on(run: RunFolder) -> None:
    text = dc.viz.run_page(run.path)
    assert "has not ended" in text
    assert "Layers" not in text
    run.metrics.unlink()
    assert "No epoch is finished" in dc.viz.run_page(run.path)


def test_page_of_a_damaged_run(run: RunFolder, tmp_path: Path) -> None:
    run.model.write_bytes(b"nothing")
    with pytest.raises(RunError, match="damaged"):
        dc.viz.run_page(run.path)
    with pytest.raises(RunError, match="no run folder"):
        dc.viz.run_page(tmp_path / "absent")


CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUIET = ("--disable-gpu", "--no-first-run", "--disable-background-networking", "--disable-component-update")


@pytest.mark.slow
@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
@pytest.mark.parametrize("width", [1200, 390])
def test_page_in_a_browser(run: RunFolder, width: int, tmp_path: Path) -> None:
    """Nothing is wider than the window: a frame of that width tells how wide the page is inside it."""
    finish(run)
    page = tmp_path / "report.html"
    page.write_text(dc.viz.run_page(run.path))
    frame = f'<iframe id="page" src="report.html" style="width: {width}px; height: 800px; border: 0"></iframe>'
    script = """<script>onload = () => {
        const root = document.getElementById("page").contentDocument.documentElement;
        const pictures = root.querySelectorAll("svg, img").length;
        document.title = root.scrollWidth + " of " + root.clientWidth + ", " + pictures;
    }</script>"""
    (tmp_path / "frame.html").write_text(f"<title></title>{frame}{script}")
    assert CHROMIUM is not None
    flags = [
        "--headless",
        "--hide-scrollbars",
        "--no-sandbox",
        "--disable-sync",
        *QUIET,
        "--allow-file-access-from-files",
    ]
    command = [CHROMIUM, *flags, f"--user-data-dir={tmp_path}/profile", "--window-size=1400,900", "--dump-dom"]
    result = subprocess.run(
        [*command, f"file://{tmp_path}/frame.html"], capture_output=True, text=True, timeout=60, check=True
    )
    assert f"<title>{width} of {width}, 5</title>" in result.stdout
