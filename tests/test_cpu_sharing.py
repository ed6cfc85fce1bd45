"""How a kernel is shared out: every range once, late and sleeping helpers, errors, many threads at once."""

from __future__ import annotations

import sys
import threading
import time

import numpy as np
import pytest

from deepcore.kernels.cpu.compiler import kernel
from deepcore.kernels.cpu.sharing import ASLEEP, FREE, STATE
from deepcore.kernels.cpu.team import ALL, Team


@kernel()
def count_up(first, last, hits, step):
    """Add to each element of the range its index, and step[1]."""
    for i in range(first, last):
        hits[i] += i + step[1]


@kernel()
def refuse(first, last, hits, bad):
    """Raise where the range holds `bad`."""
    for i in range(first, last):
        if i == bad:
            raise ValueError("a bad element")
        hits[i] += 1


@kernel()
def nothing_named_range(x, y):
    """A helper: its arguments are no range."""
    y[0] = x[0] + 1


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("count", [2, 7, 1000])
def test_every_element_once(size, count):
    team, hits = Team(size), np.zeros(count, np.int64)
    for _ in range(50):
        team.run(count_up, count, ALL, hits, (0, 3))
    assert (hits == 50 * (np.arange(count) + 3)).all()


def test_a_kernel_by_itself_and_one_without_a_range():
    hits = np.zeros(5, np.int64)
    count_up(1, 4, hits, (0, 1))
    assert hits.tolist() == [0, 2, 3, 4, 0]
    nothing_named_range(hits, hits)
    assert hits[0] == 1


def test_sleeping_helpers_are_woken():
    team, hits = Team(2), np.zeros(100, np.int64)
    team.run(count_up, 100, ALL, hits, (0, 0))
    line = team._lines[0]
    for _ in range(3):
        until = time.monotonic() + 10
        while team._words[line + ASLEEP] != 1 and time.monotonic() < until:
            time.sleep(0.001)
        assert team._words[line + ASLEEP] == 1
        team.run(count_up, 100, ALL, hits, (0, 0))
        assert team._words[line + STATE] == FREE
    assert (hits == 4 * np.arange(100)).all()


def test_what_no_helper_begins_is_taken_back(monkeypatch):
    team, hits = Team(3), np.zeros(100, np.int64)
    monkeypatch.setattr(Team, "_work", lambda self, inbox, board, line: None)  # threads that end at once
    for _ in range(3):
        team.run(count_up, 100, ALL, hits, (0, 0))
    assert (hits == 3 * np.arange(100)).all()


@pytest.mark.parametrize("bad", [0, 40, 99])
@pytest.mark.parametrize("helpers", [True, False])
def test_an_error_in_any_share_comes_out(monkeypatch, bad, helpers):
    if not helpers:
        monkeypatch.setattr(Team, "_work", lambda self, inbox, board, line: None)
    team, hits = Team(3), np.zeros(100, np.int64)
    for _ in range(20):
        with pytest.raises(ValueError, match="a bad element"):
            team.run(refuse, 100, ALL, hits, bad)
    team.run(refuse, 100, ALL, hits, -1)  # and the team is whole again
    assert hits[:bad].max(initial=0) <= 21


def test_functions_of_python_between_kernels():
    team, hits = Team(3), np.zeros(60, np.int64)

    def plain(first, last, hits):
        hits[first:last] += 1

    for _ in range(30):
        team.run(count_up, 60, ALL, hits, (0, 0))
        team.run(plain, 60, ALL, hits)
    assert (hits == 30 * (np.arange(60) + 1)).all()


def test_several_callers_at_once():
    team = Team(2)
    arrays = [np.zeros(500, np.int64) for _ in range(4)]

    def call(hits):
        for _ in range(300):
            team.run(count_up, 500, ALL, hits, (0, 0))

    callers = [threading.Thread(target=call, args=(hits,)) for hits in arrays]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert all((hits == 300 * np.arange(500)).all() for hits in arrays)


def test_more_threads_than_cores():
    """Helpers that lose their core to each other are waited for without keeping it from them."""
    team, hits = Team(16), np.zeros(160, np.int64)
    started = time.monotonic()
    for _ in range(200):
        team.run(count_up, 160, ALL, hits, (0, 0))
    assert (hits == 200 * np.arange(160)).all()
    assert time.monotonic() - started < 60


def test_no_argument_is_kept_alive():
    team, hits = Team(2), np.zeros(100, np.int64)
    before = sys.getrefcount(hits)
    team.run(count_up, 100, ALL, hits, (0, 0))
    assert sys.getrefcount(hits) == before
