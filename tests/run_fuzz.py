"""Run folders with anything in them: damaged and hostile checkpoints, models, figures, settings, links and pipes.

`python tests/run_fuzz.py CASES SEED` runs many and prints how they ended.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pickle
import random
import shutil
import signal
import struct
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from deepcore import data, models, nn
from deepcore.errors import DeepcoreError
from deepcore.tensor import Tensor
from deepcore.train import RunFolder, TrainConfig, checkpoint, job
from deepcore.train.predict import Classifier

LIMIT_S = 5.0  # of one case, on a machine that does other things as well; most take a hundredth
LONGEST_MESSAGE = 3000
STOP, KEEP = 5, 3
SETTINGS = {
    "model": "fuzzed",
    "device": "numpy",
    "epochs": 2,
    "batch_size": 8,
    "save_every": 1,
    "keep": KEEP,
    "ema": 0.9,
    "accumulate": 2,
    "patience": 3,
    "schedule": "plateau",
}


def quiet(line: str) -> None:
    """Nothing is shown."""


class Small(nn.Module):
    """A model whose checkpoints are small."""

    def __init__(self, num_classes: int = 10, in_channels: int = 1, image_size: int = 32) -> None:
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(in_channels, 2, 5, 4), nn.BatchNorm2d(2), nn.Linear(98, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.conv(x)).flatten(1))


@contextlib.contextmanager
def small_world() -> Iterator[None]:
    """Inside, there is the model, and digits are few."""
    from deepcore.models import registry

    train, test = data.load("digits")
    few = data.Splits(train.subset(slice(0, 32)), test.subset(slice(0, 8)))
    before = data.LOADERS["digits"]
    data.LOADERS["digits"] = lambda log: few
    if "fuzzed" not in models.names():
        models.register("fuzzed")(Small)
    try:
        yield
    finally:
        data.LOADERS["digits"] = before
        registry._MODELS.pop("fuzzed", None)


def make_run(folder: Path) -> dict[str, np.ndarray]:
    """A run that was stopped, in `folder / "run"`, and one that was not, in `folder / "whole"`; the weights of that."""
    config = TrainConfig.resolve(SETTINGS)
    whole = job.start(config, folder / "whole", say=quiet)
    whole.trainer.train()
    job.save_model(*whole)
    stopped = job.start(config, folder / "run", say=quiet)
    stopped.trainer.train(lambda: stopped.trainer.step == STOP)
    return checkpoint.load_model(whole.run.model)[0]


# --- bytes ------------------------------------------------------------------------------------------------------------


def damaged(rng: random.Random, good: bytes) -> bytes:
    """A file that a disk, a copy or a text editor has spoilt."""
    content = bytearray(good)
    how = rng.randrange(8)
    at, length = rng.randrange(len(content)), rng.choice([1, 2, 8, 100, 4096])
    if how == 0:
        return bytes(content[:at])
    if how == 1:
        content[at] ^= rng.randrange(1, 256)
    elif how == 2:
        content[at : at + length] = bytes(len(content[at : at + length]))  # a hole, as after a power failure
    elif how == 3:
        del content[at : at + length]
    elif how == 4:
        content[at:at] = rng.randbytes(length)
    elif how == 5:
        other = rng.randrange(len(content))
        content[at], content[other] = content[other], content[at]
    elif how == 6:
        content += rng.randbytes(length)
    else:
        content = content.replace(b"\n", b"\r\n").replace(b"\x00", b"\xef\xbb\xbf", 1)
    return bytes(content)


def hostile(rng: random.Random, good: bytes) -> bytes:
    """A file that somebody made to do harm."""
    lengths = [0, 1, 2**31, 2**53, 2**62, 2**63, 2**64 - 1]
    headers: list[Any] = [
        {"x": {"dtype": "F32", "shape": [2**62], "data_offsets": [0, 2**62]}},
        {"x": {"dtype": "F64", "shape": [2**33, 2**33], "data_offsets": [0, 8]}},
        {"__metadata__": {"deepcore": "[" * 100_000}},
        {"__metadata__": {"deepcore": '{"map":' * 50_000}},
        {"__metadata__": {"deepcore": "9" * 5000}},
        {"__metadata__": {"deepcore": pickle.dumps(os.system).decode("latin-1")}},
        {f"../../{i}": {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for i in range(2000)},
    ]
    header = json.dumps(rng.choice(headers)).encode()
    kinds = [
        struct.pack("<Q", rng.choice(lengths)) + good[8:],
        struct.pack("<Q", len(header)) + header + bytes(8),
        pickle.dumps({"model": os.system}, rng.randrange(6)),
        b"PK\x03\x04" + rng.randbytes(200),
        rng.randbytes(rng.choice([0, 7, 8, 9, 5000])),
    ]
    return rng.choice(kinds)


# --- values in a file that is whole -----------------------------------------------------------------------------------


def odd(rng: random.Random) -> Any:
    values = [None, -1, 0, 2**31, 2**70, -(2**63), "text", "", [], {}, (), {"a": 1}, [[1]], (1, 2), True, False]
    values += [1e308, -0.0, float("nan"), float("inf"), "9" * 2000, 10**9]
    values += [np.zeros(3), np.zeros((2, 0)), np.full(3, np.nan, "f4"), np.zeros((), "i8"), np.arange(6, dtype="u1")]
    return rng.choice(values)


def branches(tree: Any) -> int:
    parts = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list | tuple) else ()
    return 1 + sum(branches(part) for part in parts)


def replaced(tree: Any, rng: random.Random, at: list[int]) -> Any:
    """The tree with its at[0]-th branch replaced by something odd, taken out, or doubled."""
    at[0] -= 1
    if at[0] == -1:
        return odd(rng)
    if isinstance(tree, dict):
        found = {key: replaced(value, rng, at) for key, value in tree.items()}
        if rng.random() < 0.01 and found:
            found.pop(rng.choice(list(found)))
        if rng.random() < 0.005:
            found[rng.choice(["x", "", "__class__", "../x"])] = odd(rng)
        return found
    if isinstance(tree, list | tuple):
        return type(tree)(replaced(value, rng, at) for value in tree)
    return tree


def change_values(rng: random.Random, run: RunFolder) -> None:
    """Another state in every checkpoint, with a checksum that is right."""
    tree = checkpoint.load(run.saved()[0][1])
    if rng.random() < 0.7:  # beside the arrays, where most of the values are
        part = rng.choice([key for key in tree if key not in ("model", "random")])
        tree[part] = replaced(tree[part], rng, [rng.randrange(branches(tree[part]))])
    else:
        tree = replaced(tree, rng, [rng.randrange(branches(tree))])
    for _, path in run.saved():
        checkpoint.save(path, tree)


def change_model(rng: random.Random, run: RunFolder) -> None:
    weights, info = checkpoint.load_model(run.model)
    if rng.random() < 0.5:
        name = rng.choice(list(weights))
        weights[name] = np.asarray(rng.choice([np.zeros(3), np.zeros((2, 0)), np.arange(6, dtype="u1"), np.ones(())]))
    else:
        name = rng.choice(["model", "options", "classes", "mean", "std"])
        info[name] = replaced(info[name], rng, [rng.randrange(branches(info[name]))])
        if isinstance(info[name], np.ndarray):
            info[name] = info[name].tolist()
    with contextlib.suppress(TypeError):  # an array inside is nothing that JSON can hold
        checkpoint.save_model(run.model, weights, info)


# --- the rest of the folder -------------------------------------------------------------------------------------------


def text(rng: random.Random) -> bytes:
    lines = [b"{", b"[" * 50_000, b'{"step": 1}', b'{"step": "x"}', b'{"step": 1e999}', b"9" * 5000, b"\xff\xfe", b""]
    lines += [b'{"step": null}', b"epoch,step", b"1,2,3", b'"', b"a\x00b", b"null", b"[]", b'{"step": [1]}']
    return b"\n".join(rng.choices(lines, k=rng.randrange(12)))


def spoil_place(rng: random.Random, run: RunFolder, path: Path) -> None:
    """Something else than a file where a file should be."""
    path.unlink(missing_ok=True)
    how = rng.randrange(5)
    if how == 0:
        path.mkdir()
    elif how == 1:
        path.symlink_to(path)
    elif how == 2:
        path.symlink_to("/dev/zero")
    elif how == 3:
        os.mkfifo(path)
    else:
        path.symlink_to("../../outside")


def odd_names(rng: random.Random, run: RunFolder) -> None:
    names = [f"step-{number}.safetensors" for number in ("9" * 23, "٣", "-1", "")]
    names += [".step-1.safetensors.1.tmp", "best.safetensors", "step-00000007.safetensors", "step-7.safetensors"]
    (run.checkpoints / rng.choice(names)).write_bytes(damaged(rng, run.saved()[0][1].read_bytes()))


# --- one case ---------------------------------------------------------------------------------------------------------


KINDS = ("bytes", "bytes", "hostile", "values", "values", "model", "model bytes", "text", "place", "names")


def spoil(rng: random.Random, run: RunFolder) -> str:
    """Does something to the run and says what kind of thing."""
    newest = [path for _, path in run.saved()]
    kind = rng.choice(KINDS)
    if kind in ("bytes", "hostile"):
        for path in newest[: rng.choice([1, 1, 2, 3])]:
            path.write_bytes((damaged if kind == "bytes" else hostile)(rng, path.read_bytes()))
    elif kind == "values":
        change_values(rng, run)
    elif kind == "model":
        change_model(rng, run)
    elif kind == "model bytes":
        run.model.write_bytes(rng.choice([damaged, hostile])(rng, run.model.read_bytes()))
    elif kind == "text":
        path = rng.choice([run.log, run.metrics, run.config])
        path.write_bytes(text(rng) if rng.random() < 0.5 else damaged(rng, path.read_bytes()))
    elif kind == "place":
        spoil_place(rng, run, rng.choice([*newest, run.config, run.log, run.metrics, run.model, run.best]))
    else:
        odd_names(rng, run)
    return kind


def go_on(run: RunFolder, expected: dict[str, np.ndarray], exact: bool) -> str:
    """Resumes and trains to the end; with `exact` the weights have to be those of an undisturbed run."""
    said: list[str] = []
    resumed = job.resume(run.path, say=said.append)
    resumed.trainer.train()
    job.save_model(*resumed)
    if exact:
        for name, value in checkpoint.load_model(run.model)[0].items():
            np.testing.assert_array_equal(value, expected[name])
    return "gone on, one passed over" if any("is damaged" in line for line in said) else "gone on"


def use(run: RunFolder) -> str:
    found = Classifier(run.path, "numpy")  # Numba keeps its kernels as pickles, in a folder of its own
    images = np.zeros((2, found.channels, found.size, found.size), np.float32)
    from deepcore.creation import tensor

    found.model(found.normalize(tensor(images, device="numpy")))
    return "used"


def run(seed: int, cases: int, folder: Path) -> Counter[str]:
    """How the cases ended; raises AssertionError where one ended neither well nor with an error of ours, or late."""
    rng = random.Random(seed)
    outcomes: Counter[str] = Counter()
    with small_world(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of NumPy, on numbers that are too large
        expected = make_run(folder)
        inside = folder / "cases"
        inside.mkdir()
        (folder / "outside").write_bytes(b"outside")
        before = fingerprint(folder)
        for case in range(cases):
            where = f"seed {seed}, case {case}"
            copy = RunFolder(inside / "run")
            shutil.copytree(folder / "run", copy.path)
            shutil.copyfile(folder / "whole" / "model.safetensors", copy.model)
            kind = spoil(rng, copy)
            if not kind.startswith("model"):
                with contextlib.suppress(OSError):
                    copy.model.unlink()
            steps: list[Callable[[], str]] = [lambda copy=copy, kind=kind: go_on(copy, expected, kind == "bytes")]
            if kind.startswith("model") or rng.random() < 0.1:
                steps = [lambda copy=copy: use(copy)]
            for step in steps:
                outcomes[f"{kind}: {_outcome(step, where + ', ' + kind)}"] += 1
            shutil.rmtree(copy.path)
            assert fingerprint(folder) == before, f"{where}: something outside of the folder was changed"
    return outcomes


def fingerprint(folder: Path) -> list[tuple[str, str]]:
    """What there is outside of the case's folder."""
    files = [*folder.iterdir(), *(folder / "cases").iterdir()]
    files += [path for name in ("run", "whole") for path in (folder / name).rglob("*")]
    return sorted((str(p), hashlib.sha256(p.read_bytes()).hexdigest() if p.is_file() else "") for p in files)


def _outcome(step: Callable[[], str], where: str) -> str:
    def late(*signal_and_frame: Any) -> None:
        raise AssertionError(f"{where}: longer than {LIMIT_S} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LIMIT_S)
    try:
        return step()
    except DeepcoreError as error:
        if len(str(error)) > LONGEST_MESSAGE:
            raise AssertionError(f"{where}: {str(error)[:200]}...") from error
        return "refused"
    except AssertionError:
        raise
    except BaseException as error:
        raise AssertionError(f"{where}: {type(error).__name__}: {error}") from error
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


if __name__ == "__main__":
    cases, seed = map(int, sys.argv[1:3])
    with tempfile.TemporaryDirectory() as home:
        for outcome, count in sorted(run(seed, cases, Path(home)).items()):
            print(f"{count:7,} {outcome}")
