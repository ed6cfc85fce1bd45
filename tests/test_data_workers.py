"""Loaders with threads and processes: the same batches, resumed alike, and a clean end whatever happens."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import deepcore as dc
from deepcore.data import ArrayDataset, DataLoader, Dataset, IterableDataset, TensorDataset, default_collate
from deepcore.errors import ConfigError, DataError
from loader_sets import Faulty, Growing, Mixed, Unloadable, Who, Wide

KINDS: list[dict[str, Any]] = [
    {"num_workers": 1},
    {"num_workers": 3, "prefetch_factor": 1},
    {"num_workers": 2, "worker_type": "process"},
]


def shared_memory() -> set[str]:
    folder = Path("/dev/shm")
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


@pytest.fixture(autouse=True)
def _nothing_is_left() -> Iterator[None]:
    """After each test: no worker thread, no process, no shared memory."""
    before = shared_memory()
    yield
    until = time.monotonic() + 5
    while time.monotonic() < until and any(t.name.startswith("deepcore-data") for t in threading.enumerate()):
        time.sleep(0.01)
    assert [t.name for t in threading.enumerate() if t.name.startswith("deepcore-data")] == []
    assert multiprocessing.active_children() == []
    assert {name for name in shared_memory() - before if name.startswith("psm_")} == set()


def plain(batch: Any) -> Any:
    """The batch as lists, to compare."""
    if isinstance(batch, dict):
        return {key: plain(value) for key, value in batch.items()}
    if isinstance(batch, tuple | list):
        return [plain(value) for value in batch]
    return batch.numpy().tolist() if isinstance(batch, dc.Tensor) else batch


def new(**options: Any) -> DataLoader:
    return DataLoader(Mixed(), batch_size=4, shuffle=True, generator=dc.Generator(3), **options)


@pytest.mark.parametrize("options", KINDS)
def test_batches_are_the_same_for_any_number_of_workers(options: dict[str, Any]) -> None:
    alone, helped = new(), new(**options)
    for _ in range(2):
        expected = plain(list(alone))
        assert plain(list(helped)) == expected
        assert len({row for batch in expected for row in batch["drawn"]}) == 23
    assert set(expected[0]) == {"pixels", "pair", "drawn"}
    assert expected[0]["pair"][1][0].startswith("row ")


@pytest.mark.parametrize("options", [{}, *KINDS])
def test_resuming_counts_what_was_given_out(options: dict[str, Any]) -> None:
    whole = new()
    expected = plain(list(whole)) + plain(list(whole))
    stopped = new(**options)
    batches = iter(stopped)
    for _ in range(2):
        next(batches)
    state = stopped.state_dict()
    assert state["position"] == 2
    del batches
    resumed = DataLoader(Mixed(), batch_size=4, shuffle=True, generator=dc.Generator(99), **options)
    resumed.load_state_dict(state)
    assert plain(list(resumed)) + plain(list(resumed)) == expected[2:]


@pytest.mark.parametrize("options", [{}, *KINDS])
def test_samples_in_order_are_drawn_anew_in_each_epoch_and_resumed(options: dict[str, Any]) -> None:
    def new(**options: Any) -> DataLoader:
        return DataLoader(Mixed(), batch_size=4, **options)

    dc.manual_seed(1)
    whole, stopped = new(), new(**options)
    expected = [plain(list(whole)) for _ in range(3)]
    drawn = {row for epoch in expected for batch in epoch for row in batch["drawn"]}
    assert len(drawn) == 3 * 23
    assert plain(list(stopped)) == expected[0]
    batches = iter(stopped)
    assert plain([next(batches), next(batches)]) == expected[1][:2]
    del batches
    dc.manual_seed(2)
    resumed = new(**options)
    resumed.load_state_dict(json.loads(json.dumps(stopped.state_dict())))
    assert plain(list(resumed)) == expected[1][2:]
    assert plain(list(resumed)) == expected[2]


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ({"position": 3}, "expected a state that state_dict"),
        ({"position": "3", "random": None}, "expected a state that state_dict"),
        ({"position": 3, "random": [1]}, "expected a state that state_dict"),
        ([], "expected a state that state_dict"),
        ({"position": 1, "random": None}, "of a loader without a random order, and this one is with"),
        ({"position": 6, "random": [3, 0]}, "position 6 is outside the 6 batches"),
    ],
)
def test_states_that_are_none(state: Any, said: str) -> None:
    with pytest.raises(DataError, match=said):
        new().load_state_dict(state)


def test_batches_that_outgrow_their_memory() -> None:
    loader = DataLoader(Growing(), batch_size=4, num_workers=2, worker_type="process", prefetch_factor=1)
    for i, batch in enumerate(loader):
        assert batch.shape == (4 if i < 5 else 3, 1000 * (1 + i))
        assert batch.numpy()[:, 0].tolist() == list(range(4 * i, min(4 * i + 4, 23)))


def test_many_rows_at_once_do_not_block_the_pipes() -> None:
    rows = 60_000
    loader = DataLoader(Wide(5 * rows), rows, num_workers=1, worker_type="process", prefetch_factor=4, timeout=60)
    assert [int(batch[-1, 0].item()) for (batch,) in loader] == [rows * (i + 1) - 1 for i in range(5)]


@pytest.mark.parametrize("options", KINDS[1:])
def test_an_error_in_a_worker_reaches_the_user(options: dict[str, Any]) -> None:
    loader = DataLoader(Faulty("error"), batch_size=2, **options)
    with pytest.raises(
        DataError, match=r"failed at batch 2 \(rows 4, 5\): KeyError: 'a label that nobody knows'"
    ) as caught:
        list(loader)
    if options.get("worker_type") == "process":
        assert "in __getitem__" in str(caught.value)
    else:
        assert isinstance(caught.value.__cause__, KeyError)
    assert plain(next(iter(loader))) == [0, 1]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("killed", r"was ended by signal 9 \(SIGKILL\). Hint: the system kills"),
        ("exit", r"ended with status 3 while it read batch 2 \(rows 4, 5\)"),
    ],
)
def test_a_process_that_dies_is_an_error(fault: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        list(DataLoader(Faulty(fault), batch_size=2, num_workers=2, worker_type="process"))


@pytest.mark.parametrize("worker_type", ["thread", "process"])
def test_a_worker_that_does_not_answer(worker_type: str) -> None:
    loader = DataLoader(Faulty("asleep"), batch_size=2, num_workers=1, worker_type=worker_type, timeout=0.7)
    if worker_type == "process":
        loader.timeout = 3.0  # it has to start first
    with pytest.raises(DataError, match=r"no answer within .* s from the worker that reads batch 2"):
        list(loader)


@pytest.mark.parametrize(
    "options", [{**KINDS[1], "persistent_workers": True}, {**KINDS[2], "persistent_workers": True}]
)
def test_persistent_workers_stay_until_the_loader_goes(options: dict[str, Any]) -> None:
    loader = DataLoader(Who(), batch_size=4, **options)
    first = {pid for batch in loader for pid in plain(batch)}
    assert {pid for batch in loader for pid in plain(batch)} <= first
    assert (os.getpid() in first) == (options.get("worker_type") != "process")
    next(iter(loader))  # left half-way: these workers end at once
    del loader


def test_what_cannot_be_sent_to_a_process() -> None:
    class Local(Mixed):
        pass

    with pytest.raises(DataError, match=r"cannot be sent to a worker process .* use worker_type=\"thread\""):
        list(DataLoader(Local(), batch_size=4, num_workers=1, worker_type="process"))


SCRIPT = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from loader_sets import Mixed
from deepcore.data import DataLoader

def main():
    loader = DataLoader(Mixed(10**6), batch_size=4, num_workers=2, worker_type="process")
    for i, batch in enumerate(loader):
        if i == 3:
            import multiprocessing
            print(*(child.pid for child in multiprocessing.active_children()), flush=True)

if __name__ == "__main__":
    main()
"""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_no_process_outlives_the_program(sent: signal.Signals, tmp_path: Path) -> None:
    script = tmp_path / "train.py"
    script.write_text(SCRIPT)
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    program = subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert program.stdout is not None
    children = [int(pid) for pid in program.stdout.readline().split()]
    assert len(children) == 2
    program.send_signal(sent)
    _, errors = program.communicate(timeout=30)
    assert program.returncode == (-signal.SIGINT if sent == signal.SIGINT else -signal.SIGKILL)
    if sent == signal.SIGINT:
        assert errors.strip().endswith("KeyboardInterrupt")
        assert "leaked" not in errors
    until = time.monotonic() + 20
    while time.monotonic() < until and any(alive(pid) for pid in children):
        time.sleep(0.05)
    assert [pid for pid in children if alive(pid)] == []


@pytest.mark.parametrize(
    ("data", "options"),
    [
        ("Mixed()", "num_workers=1"),
        # Too large for a pipe that nobody empties, so that whoever waits for the reader waits for ever.
        ("TensorDataset(np.zeros(10**6))", "num_workers=2, persistent_workers=True"),
    ],
)
def test_a_script_without_a_guard_is_told_so(data: str, options: str, tmp_path: Path) -> None:
    script = tmp_path / "bare.py"
    script.write_text(
        "import numpy as np\nfrom loader_sets import Mixed\nfrom deepcore.data import DataLoader, TensorDataset\n"
        f"list(DataLoader({data}, batch_size=4, {options}, worker_type='process'))\n"
    )
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 1
    assert "before its first batch" in done.stderr.strip().splitlines()[-1]
    assert 'does its work below `if __name__ == "__main__":`' in done.stderr.strip().splitlines()[-1]


def test_a_daemon_may_not_start_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(multiprocessing.current_process()._config, "daemon", True)  # type: ignore[attr-defined]
    with pytest.raises(DataError, match="a daemonic process may not start worker processes"):
        list(new(num_workers=1, worker_type="process"))


def test_a_dataset_that_cannot_be_loaded_in_a_process() -> None:
    with pytest.raises(DataError, match="could not start: OSError: no such disk"):
        list(DataLoader(Unloadable(), batch_size=4, num_workers=2, worker_type="process"))


# --- options, collating, streams --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"num_workers": -1}, "num_workers must be a whole number of at least 0; got -1"),
        ({"prefetch_factor": 0}, "prefetch_factor must be a whole number of at least 1; got 0"),
        ({"worker_type": "proces"}, "one of thread, process; got 'proces'. Did you mean 'process'"),
        ({"timeout": -1}, "timeout must be a number of seconds"),
        ({"sampler": [1], "shuffle": True}, "expected shuffle=False beside it"),
    ],
)
def test_options_that_cannot_be(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        DataLoader(Mixed(), **options)


def test_sampler_gives_the_rows() -> None:
    data = TensorDataset(np.arange(10))
    loader = DataLoader(data, batch_size=2, sampler=[7, 7, 1, 9, 0], num_workers=2)
    assert len(loader) == 3
    assert plain(list(loader)) == [[[7, 7]], [[1, 9]], [[0]]]


def test_collate_fn_gets_samples_and_its_arrays_become_tensors() -> None:
    loader = DataLoader(
        TensorDataset(np.arange(3)), batch_size=2, collate_fn=lambda rows: ("n", np.array([len(rows)]), dc.ones(1))
    )
    assert plain(list(loader)) == [["n", [2], [1.0]], ["n", [1], [1.0]]]


def test_samples_that_do_not_stack() -> None:
    with pytest.raises(DataError, match=r"expected samples of one shape in a batch; got \(2,\) and \(3,\)"):
        default_collate([np.zeros(2), np.zeros(3)])
    with pytest.raises(DataError, match="expected 2 parts in every sample"):
        default_collate([(1, 2), (1, 2, 3)])
    with pytest.raises(DataError, match="expected dicts with the keys"):
        default_collate([{"a": 1}, {"b": 1}])


class Counting(IterableDataset):
    def __iter__(self) -> Iterator[int]:
        return iter(range(7))


def test_streams_are_batched_and_resumed() -> None:
    loader = DataLoader(Counting(), batch_size=3)
    assert plain(list(loader)) == [[0, 1, 2], [3, 4, 5], [6]]
    next(iter(loader))
    resumed = DataLoader(Counting(), batch_size=3, drop_last=True)
    resumed.load_state_dict(loader.state_dict())
    assert plain(list(resumed)) == [[3, 4, 5]]
    assert plain(list(resumed)) == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(DataError, match="position -1 is outside the batches"):
        resumed.load_state_dict({"position": -1, "random": None})
    with pytest.raises(TypeError, match="nobody knows the length"):
        len(loader)
    with pytest.raises(ConfigError, match="is read in the loop; got num_workers=2"):
        DataLoader(Counting(), num_workers=2)


def test_a_dataset_has_to_be_written() -> None:
    with pytest.raises(NotImplementedError, match="Dataset has to define __getitem__"):
        Dataset()[0]


def test_threads_read_an_array_dataset(device: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (9, 1, 4, 4), dtype=np.uint8)
    data = ArrayDataset(pixels, np.arange(9), [str(i) for i in range(9)])
    batches = list(DataLoader(data, batch_size=4, num_workers=2, device=device))
    np.testing.assert_array_equal(np.concatenate([images.cpu().numpy() for images, _ in batches]), pixels)
    assert batches[0][0].device == dc.tensor(0, device=device).device
