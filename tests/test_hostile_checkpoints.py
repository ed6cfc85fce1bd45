"""Checkpoint files that are damaged or meant to do harm: each ends in an error of ours, soon, and runs no code."""

from __future__ import annotations

import json
import pickle
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
import run_fuzz
from deepcore import functional as F
from deepcore import nn, optim
from deepcore.errors import RunError
from deepcore.train import Checkpoints, RunFolder, Trainer, checkpoint

LONGEST_S = 2.0  # for one file: what takes longer may be said to hang


def trainer(folder: Path | None = None) -> Trainer:
    dc.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2)).to("numpy")
    x = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)
    batches = [(x, x[:, :2])] * 2
    made = Trainer(model, F.mse_loss, optim.Adam(model.parameters(), lr=0.01), batches)
    if folder is not None:
        made.use([Checkpoints(folder, monitor="train_loss")])
    return made


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A whole checkpoint."""
    folder = tmp_path_factory.mktemp("good")
    trainer(folder).train()
    return RunFolder(folder).checkpoint(2).read_bytes()


def refused(path: Path, content: bytes) -> bool:
    """Whether the file is refused by an error of ours, in time."""
    path.write_bytes(content)
    start = time.monotonic()
    try:
        checkpoint.load(path)
    except RunError as error:
        return str(path) in str(error) and time.monotonic() - start < LONGEST_S
    return False


def with_header(header: Any, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def test_every_truncation_is_refused(good: bytes, tmp_path: Path) -> None:
    lengths = sorted({*range(0, 64), *range(0, len(good), max(1, len(good) // 300)), len(good) - 1})
    assert all(refused(tmp_path / "x", good[:length]) for length in lengths)
    assert len(lengths) > 300


def test_every_changed_byte_is_noticed(good: bytes, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    places = sorted({*range(0, 16), *rng.integers(0, len(good), 700).tolist()})
    (tmp_path / "good").write_bytes(good)
    expected = repr(checkpoint.load(tmp_path / "good"))
    refusals = 0
    for at in places:
        content = bytearray(good)
        content[at] ^= int(rng.integers(1, 256))
        if refused(tmp_path / "x", bytes(content)):
            refusals += 1
        else:  # white space of the header, which says the same afterwards
            assert repr(checkpoint.load(tmp_path / "x")) == expected, at
    assert refusals >= len(places) - 5


def test_swapped_bytes_are_noticed(good: bytes, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    count = 0
    while count < 200:
        a, b = (int(i) for i in rng.integers(0, len(good), 2))
        if good[a] == good[b]:
            continue
        content = bytearray(good)
        content[a], content[b] = content[b], content[a]
        assert refused(tmp_path / "x", bytes(content)), (a, b)
        count += 1


@pytest.mark.parametrize("length", [0, 1, 2**31, 2**32 - 1, 2**53, 2**62, 2**63, 2**64 - 1])
def test_header_length_that_lies(good: bytes, tmp_path: Path, length: int) -> None:
    assert refused(tmp_path / "x", struct.pack("<Q", length) + good[8:])
    assert refused(tmp_path / "x", struct.pack("<Q", length))


TENSOR = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
HEADERS: list[Any] = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"\xff\xfe",
    b"[" * 100_000,
    b'{"a":' * 50_000,
    {},
    {"__metadata__": 3},
    {"__metadata__": {"deepcore": 3}},
    {"__metadata__": {}},
    {"x": TENSOR},
    {"x": TENSOR | {"dtype": "F33"}},
    {"x": TENSOR | {"shape": [2**62]}},
    {"x": TENSOR | {"shape": [-2]}},
    {"x": TENSOR | {"shape": [2**33, 2**33]}},
    {"x": TENSOR | {"data_offsets": [0, 2**62]}},
    {"x": TENSOR | {"data_offsets": [8, 0]}},
    {"x": TENSOR | {"data_offsets": [4, 12]}},
    {"x": TENSOR, "y": TENSOR},
    {"x": 7},
]


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: str(header)[:40])
def test_header_that_is_wrong(tmp_path: Path, header: Any) -> None:
    assert refused(tmp_path / "x", with_header(header, bytes(8)))


TEXTS = [
    "",
    "{",
    "nul",
    "[" * 100_000 + "]" * 100_000,
    "9" * 5000,
    "[]",
    "3",
    '{"sha256": 3}',
    '{"sha256": ""}',
    '{"map": []}',
]
VALUES: list[Any] = [
    {"array": "absent"},
    {"array": ["x"]},
    {"array": 3},
    {"map": 3},
    {"map": [1, 2]},
    {"map": [[["a", "list"], 1]]},
    {"map": [["only a key"]]},
    {"tuple": 3},
    {"other": 3},
    {"map": [["a", {"other": 3}]]},
]


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text[:30])
def test_metadata_that_is_wrong(tmp_path: Path, text: str) -> None:
    assert refused(tmp_path / "x", with_header({"__metadata__": {"deepcore": text}}))


@pytest.mark.parametrize("values", VALUES, ids=str)
def test_values_that_are_wrong_in_a_file_that_is_whole(tmp_path: Path, values: Any) -> None:
    checkpoint._write(tmp_path / "y", {}, values)
    assert refused(tmp_path / "x", (tmp_path / "y").read_bytes())


def replaced(tree: Any, rng: np.random.Generator, at: list[int]) -> Any:
    """The tree with its at[0]-th leaf or branch replaced by something odd."""
    at[0] -= 1
    if at[0] == -1:
        odd = [None, -1, 2**70, "text", [], {}, (), {"a": 1}, np.zeros(3), [[1]], 1e308, float("nan"), True]
        return odd[int(rng.integers(len(odd)))]
    if isinstance(tree, dict):
        return {key: replaced(value, rng, at) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return type(tree)(replaced(value, rng, at) for value in tree)
    return tree


def test_state_of_odd_values_is_refused_or_taken(good: bytes, tmp_path: Path) -> None:
    """A file that is whole and says nonsense: an error of ours, or a state that a training could go on from."""
    run = RunFolder(tmp_path)
    run.checkpoints.mkdir()
    run.checkpoint(2).write_bytes(good)
    tree = checkpoint.load(run.checkpoint(2))
    rng = np.random.default_rng(0)
    refusals = taken = 0
    for _ in range(400):
        checkpoint.save(run.checkpoint(2), replaced(tree, rng, [int(rng.integers(1, 120))]))
        try:
            trainer(tmp_path).resume(tmp_path, say=str)
        except RunError as error:
            refusals += "does not belong to" in str(error)
        else:
            taken += 1
    assert refusals + taken == 400
    assert refusals > 100


class Bomb:
    """What a pickle would run when it is read."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return exec, ("import deepcore; deepcore.exploded = True",)


def pickles() -> Iterator[bytes]:
    for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
        yield pickle.dumps({"model": Bomb()}, protocol)


def test_no_pickle_is_read(tmp_path: Path) -> None:
    for content in pickles():
        assert refused(tmp_path / "x", content)
        assert refused(tmp_path / "x", with_header({"__metadata__": {"deepcore": content.decode("latin-1")}}))
    assert not hasattr(dc, "exploded")


def test_what_is_no_file(tmp_path: Path) -> None:
    import os

    os.mkfifo(tmp_path / "pipe")  # reading it would wait for ever
    for name in ("pipe", "."):
        with pytest.raises(RunError, match="it is not a file"):
            checkpoint.load(tmp_path / name)
    with pytest.raises(RunError, match="there is no"):
        checkpoint.load(tmp_path / "absent")


@pytest.mark.parametrize("cases", [60, pytest.param(1500, marks=pytest.mark.slow)])
def test_run_folders_with_anything_in_them(cases: int, tmp_path: Path) -> None:
    outcomes = run_fuzz.run(5, cases, tmp_path)
    assert sum(outcomes.values()) == cases
    assert outcomes["bytes: gone on, one passed over"] > 0


NO_PICKLE = """
import sys
from pathlib import Path
sys.path.insert(0, {tests!r})
import run_fuzz
from deepcore.train import RunFolder
def refuse(event, arguments):
    if event == "pickle.find_class":
        raise SystemExit(f"a pickle was read: {{arguments}}")
folder = Path({folder!r})
with run_fuzz.small_world():
    expected = run_fuzz.make_run(folder)
    sys.addaudithook(refuse)
    run = RunFolder(folder / "run")
    print(run_fuzz.go_on(run, expected, True), run_fuzz.use(run))
"""


def test_resume_and_prediction_read_no_pickle(tmp_path: Path) -> None:
    program = NO_PICKLE.format(tests=str(Path(__file__).parent), folder=str(tmp_path))
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert said.stdout == "gone on used\n", said
