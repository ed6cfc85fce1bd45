"""The CPU backend among threads and forks, its bits, its memory, and what it says while it compiles."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from deepcore.backends import get_backend


def conv_step(seed: int) -> bytes:
    backend = get_backend("cpu")
    x = backend.normal(seed, 0, (32, 3, 20, 20), "float32")
    w = backend.normal(seed, 99, (8, 3, 5, 5), "float32")
    y = backend.conv2d(x, w, None, (1, 1), (2, 2), (1, 1), 1)
    gx = backend.conv2d_input(y, w, x.shape, (1, 1), (2, 2), (1, 1), 1)
    gw = backend.conv2d_weight(y, x, w.shape, (1, 1), (2, 2), (1, 1), 1)
    return y.tobytes() + gx.tobytes() + gw.tobytes()


def test_bits_repeat():
    assert conv_step(1) == conv_step(1)


def test_several_python_threads():
    right = [conv_step(seed) for seed in range(4)]
    got: dict[int, bytes] = {}
    threads = [threading.Thread(target=lambda s=s: got.update({s: conv_step(s)})) for s in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [got[seed] for seed in range(4)] == right


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_computes():
    right = conv_step(5)
    child = os.fork()
    if child == 0:
        os._exit(0 if conv_step(5) == right else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="this system has no interval timer")
def test_an_interrupted_job_leaves_nothing_behind():
    """A Ctrl-C while the team waits: the next job must wait for its own work, not for the late end of the old."""
    from deepcore.kernels.cpu.team import LEAST_WORK, Team

    def interrupt(signum, frame):
        raise KeyboardInterrupt

    team = Team(2)
    done = np.zeros(2, int)

    def slow(first, last):
        if first:
            time.sleep(0.3)
        done[first:last] += 1

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        with pytest.raises(KeyboardInterrupt):
            team.run(slow, 2, LEAST_WORK)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert done.tolist() == [1, 0]  # the helper is still asleep
    team.run(slow, 2, LEAST_WORK)
    assert done.tolist() == [2, 2]


def test_team_shares_out_everything_once():
    from deepcore.kernels.cpu.team import Team

    for size, count in ((1, 5), (3, 2), (4, 1000), (3, 1001)):
        hits = np.zeros(count, int)

        def kernel(first, last, hits=hits):
            hits[first:last] += 1

        Team(size).run(kernel, count, 1 << 20)
        assert hits.tolist() == [1] * count


def test_an_error_in_a_share_comes_out():
    from deepcore.kernels.cpu.team import Team

    def kernel(first, last):
        if last == 100:
            raise ValueError("in a helper")

    team = Team(3)
    for _ in range(2):
        with pytest.raises(ValueError, match="in a helper"):
            team.run(kernel, 100, 1 << 20)


def test_blas_threads_come_back():
    from deepcore.kernels.cpu.blas import one_thread

    before = [library.get_num_threads() for library in one_thread._libraries]
    with one_thread, one_thread:
        assert {library.get_num_threads() for library in one_thread._libraries} == {1}
    assert [library.get_num_threads() for library in one_thread._libraries] == before


def test_compilation_is_announced_once(capsys, monkeypatch):
    from types import SimpleNamespace

    from deepcore.kernels.cpu import compiler

    monkeypatch.setattr(compiler, "PATIENCE_S", 0.0)
    notice = compiler.Notice()
    ours = SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=conv_kernel())})
    theirs = SimpleNamespace(data={"dispatcher": SimpleNamespace(py_func=get_backend)})
    notice.on_start(theirs)
    assert notice.timer is None
    notice.on_end(theirs)
    for _ in range(2):
        notice.on_start(ours)
        if notice.timer is not None:
            notice.timer.join()
        notice.on_end(ours)
    assert capsys.readouterr().err == compiler.NOTICE + "\n"


def conv_kernel():
    from deepcore.kernels.cpu import conv

    return conv.forward.py_func


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc can be told")
def test_freed_arrays_are_reused():
    code = """
import resource, numpy as np
from deepcore.backends import get_backend
get_backend("cpu")
for i in range(30):
    if i == 10:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    np.ones(4_000_000, np.uint8)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=clean)
    assert int(done.stdout) < 1000  # 19,500 without


def test_size_of_the_team(monkeypatch):
    from deepcore.kernels.cpu.team import default_size

    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {1, 4, 5}, raising=False)
    for asked, size in (("7", 7), ("0", 3), ("many", 3), ("", 3)):
        monkeypatch.setenv("DEEPCORE_NUM_THREADS", asked)
        assert default_size() == size
    monkeypatch.delattr(os, "sched_getaffinity")
    for count, size in ((6, 6), (None, 1)):
        monkeypatch.setattr(os, "cpu_count", lambda count=count: count)
        assert default_size() == size
