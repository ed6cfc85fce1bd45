"""Settings: what a file and the command line say, what is said about those that cannot be, and the page on them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import pytest
import tomli_w

import config_fuzz
from deepcore import models
from deepcore.errors import ConfigError
from deepcore.models.registry import _MODELS
from deepcore.train.config import TrainConfig, docs, from_command_line, read_toml, setting_names
from deepcore.train.config.check import MOST_FAULTS

ROOT = Path(__file__).resolve().parent.parent


def error_of(call: Callable[..., object], *arguments: object) -> str:
    """The message of the ConfigError that a call must raise."""
    with pytest.raises(ConfigError) as caught:
        call(*arguments)
    return str(caught.value)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """A function that writes `my.toml` in the current folder."""
    monkeypatch.chdir(tmp_path)

    def write_text(text: str) -> Path:
        Path("my.toml").write_text(text, encoding="utf-8")
        return Path("my.toml")

    return write_text


# --- what is wrong, and where -----------------------------------------------------------------------------------------


def test_all_faults_of_a_file_at_once_each_with_its_line(write: Callable[[str], Path]) -> None:
    path = write(
        '# mine\nmodel = "lenett"\nepoch = 3\nbatch_size = [\n  1, # two = 3\n]\n"lr" = nan\nschedule = "cosin"\n'
        "nesterov = 1\nseed = 0xFFFFFFFFFFFFFFFFFFFF\nkeep = true\n\n[trainer]\nepochs = 3\n"
    )
    assert error_of(read_toml, path).split("\n") == [
        f"my.toml:2: unknown model 'lenett'; there are {', '.join(models.names())}. Did you mean 'lenet'?",
        "my.toml:3: unknown setting 'epoch'. Did you mean 'epochs'?",
        "my.toml:4: batch_size: expected a whole number; got [1].",
        "my.toml:7: lr: expected more than 0; got nan.",
        "my.toml:8: unknown schedule 'cosin'; there are one_cycle, cosine, step, plateau, constant. "
        "Did you mean 'cosine'?",
        "my.toml:9: nesterov: expected true or false; got 1.",
        "my.toml:10: seed: expected at most 9223372036854775807 in size; got one of 25 digits.",
        "my.toml:11: keep: expected a whole number; got True.",
        "my.toml:13: unknown table 'trainer'; settings stand in no table.",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("epochs = 3\nschedule = cosine\n", "my.toml:2: not a TOML file (invalid value, column 12). Hint: texts stand"),
        ("epochs = 3\nlr = 1\nepochs = 4\n", "my.toml:3: 'epochs' is set twice."),
        ("epochs = 3\n\nlr\n", "my.toml:3: not a TOML file (expected '=' after a key"),
        ('epochs = 3\nmodel = """', "my.toml:2: not a TOML file (unterminated string)"),
        ("epochs = " + "[" * 1900, "my.toml: brackets stand too deep in one another"),
        ("lr = 1\nepochs = " + "1" * 3000, "my.toml:2: a line of 3009 characters"),
        ("a." * 900 + "a = 1\n", "my.toml:1: unknown table 'a'"),
        ("# a comment\n" * 6000, "my.toml: larger than 65536 bytes"),
    ],
)
def test_files_that_are_no_settings(write: Callable[[str], Path], text: str, said: str) -> None:
    assert error_of(read_toml, write(text)).startswith(said)


def test_bytes_that_are_no_text_have_a_line(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_bytes(b"epochs = 3\nmodel = '\xff'\n")
    assert error_of(read_toml, path).startswith(f"{path}:2: not a TOML file")
    assert f"{tmp_path}: cannot be read" in error_of(read_toml, tmp_path)


def test_files_of_other_editors_are_read(tmp_path: Path) -> None:
    path = tmp_path / "my.toml"
    path.write_bytes(b"\xef\xbb\xbfepochs = 3\r\nlr = 1\r\n")
    settings = read_toml(path)
    assert (settings, settings.places["lr"]) == ({"epochs": 3, "lr": 1.0}, f"{path}:2")


def test_many_faults_are_counted(write: Callable[[str], Path]) -> None:
    lines = error_of(read_toml, write("".join(f"a{i} = 1\n" for i in range(3000)))).split("\n")
    assert len(lines) == MOST_FAULTS + 1
    assert lines[-1] == f"... and {3000 - MOST_FAULTS} more faults."


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"nesterov": True}, "nesterov: expected optimizer 'sgd' with it; got 'adam'."),
        ({"nesterov": True, "optimizer": "sgd", "momentum": 0}, "nesterov: expected momentum of more than 0 with it"),
    ],
)
def test_settings_that_exclude_each_other(write: Callable[[str], Path], given: dict[str, object], said: str) -> None:
    assert error_of(TrainConfig.resolve, given).startswith(said)
    path = write("seed = 1\n" + tomli_w.dumps(given))
    assert error_of(TrainConfig.resolve, read_toml(path)).startswith(f"my.toml:2: {said}")
    assert TrainConfig.resolve(given | {"optimizer": "sgd", "momentum": 0.5}).nesterov


def test_values_of_the_command_line_win_and_lose_their_line(write: Callable[[str], Path]) -> None:
    settings = read_toml(write("epochs = 3\nlr = 1\n")) | from_command_line({"epochs": 4}, ["keep=3"])
    assert settings == {"epochs": 4, "lr": 1.0, "keep": 3}
    assert settings.places == {"lr": "my.toml:2", "keep": "--set"}


# --- key=value --------------------------------------------------------------------------------------------------------


def test_assignments_get_the_types_of_the_schema() -> None:
    texts = ["lr=1e-3", "epochs = 3", "flip=true", "tensorboard=false", "model=mlp", "max_memory=1_000"]
    given = from_command_line({"seed": 3}, texts)
    assert given == {"seed": 3, "lr": 0.001, "epochs": 3, "flip": True, "tensorboard": False, "model": "mlp"} | {
        "max_memory": 1000
    }
    assert {type(given[name]) for name in ("lr", "epochs", "flip", "model")} == {float, int, bool, str}


def test_all_faults_of_assignments_at_once() -> None:
    texts = ["epochz=3", "lr=x", "epochs=4", "momentum", "ema=1", "keep=2.5", "flip=maybe", "seed=1", "seed=2", "=3"]
    assert error_of(from_command_line, {"epochs": 3}, texts).split("\n") == [
        "--set: epochs is named twice, also by --epochs.",
        "--set: expected key=value; got 'momentum'.",
        "--set: seed is named twice, also by another --set.",
        "--set: expected key=value; got '=3'.",
        "--set: unknown setting 'epochz'. Did you mean 'epochs'?",
        "--set: lr: expected a number; got 'x'.",
        "--set: ema: expected at least 0 and less than 1; got '1'.",
        "--set: keep: expected a whole number; got '2.5'.",
        "--set: flip: expected true or false; got 'maybe'.",
    ]


# --- what stays as it is ----------------------------------------------------------------------------------------------


def test_every_setting_is_written_and_read_back(write: Callable[[str], Path]) -> None:
    given = {"optimizer": "sgd", "nesterov": True, "flip": True, "mixup": 0.2, "monitor": "test_loss", "max_minutes": 3}
    config = TrainConfig.resolve(given)
    settings = read_toml(write(config.to_toml()))
    assert list(settings) == setting_names()
    assert TrainConfig.resolve(settings) == config
    assert {type(value) for value in asdict(config).values()} == {str, int, float, bool}


def test_a_model_that_is_registered_later_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "unknown model 'later'" in error_of(TrainConfig.resolve, {"model": "later"})
    monkeypatch.setitem(_MODELS, "later", models.LeNet)
    assert TrainConfig.resolve({"model": "later"}).model == "later"


@pytest.mark.parametrize("name", ["degrees", "flip", "crop", "cutout", "mixup", "randaugment"])
def test_augments(name: str) -> None:
    still = {"degrees": 0, "scale": 0, "translate": 0}
    assert not TrainConfig.resolve(still).augments
    assert TrainConfig.resolve(still | {name: name == "flip" or 1}).augments


# --- whatever the file holds ------------------------------------------------------------------------------------------


def test_no_file_ends_in_another_error_than_ours(tmp_path: Path) -> None:
    outcomes = config_fuzz.run(seed=0, cases=600, folder=tmp_path)
    assert len(outcomes) == 4 and min(outcomes.values()) > 10, outcomes


@pytest.mark.slow
def test_no_file_ends_in_another_error_than_ours_at_length(tmp_path: Path) -> None:
    outcomes = config_fuzz.run(seed=1, cases=30_000, folder=tmp_path)
    assert len(outcomes) == 4 and min(outcomes.values()) > 500, outcomes


# --- the page ---------------------------------------------------------------------------------------------------------


def test_the_page_is_up_to_date() -> None:
    written = (ROOT / docs.PAGE).read_text(encoding="utf-8")
    assert written == docs.page(), "run `python -m deepcore.train.config.docs`"
    assert all(f"| `{name}` |" in written for name in setting_names())


def test_the_command_writes_the_page(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert docs.main([str(tmp_path / "page.md")]) == 0
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == docs.page()
    assert docs.main([str(tmp_path / "absent" / "page.md")]) == 2
    assert "there is no folder" in capsys.readouterr().err
