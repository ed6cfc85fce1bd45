"""Ring 2: every CUDA kernel compiled to machine code for two GPUs, without a GPU; and the cache of compiled kernels.

A float32 kernel with a float64 instruction runs at a small fraction of its speed, and so does one that spills registers
to memory. Both are easy to write by accident in Python: `x * 0.1` is a float64 product.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from deepcore.kernels.cuda import cache, compiler, declare
from deepcore.kernels.cuda.compiler import CompilerMissing, Cubin, compile_kernel
from deepcore.kernels.cuda.declare import Kernel, all_kernels, kernel

PROBLEM = compiler.compiler_problem()
needs_compiler = pytest.mark.skipif(PROBLEM is not None, reason=f"kernels cannot be compiled: {PROBLEM}")
COMPUTES_IN_FLOAT64 = {"random.normal", "random.normal_double", "random.uniform_double"}
CAPABILITIES = ((8, 0), (9, 0))


def targets() -> list:
    """Every (kernel, dtype, capability); a kernel that is not generic over T has one dtype."""
    if PROBLEM is not None:
        return []
    return [
        pytest.param(k, dtype, capability, id=f"{k.name}-{dtype}-sm_{capability[0]}{capability[1]}")
        for k in all_kernels()
        for dtype in ((*(["float16"] if k.float16 else []), "float32", "float64") if k.generic else ("float32",))
        for capability in CAPABILITIES
    ]


@pytest.fixture
def kept_cubins(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cubins are kept in pytest's own cache folder, so that the next run compiles what was changed."""
    folder = request.config.rootpath / ".pytest_cache" / "d" / "deepcore"
    monkeypatch.setenv("DEEPCORE_CACHE_DIR", os.environ.get("DEEPCORE_CACHE_DIR") or str(folder))


@needs_compiler
@pytest.mark.usefixtures("kept_cubins")
@pytest.mark.parametrize(("one", "dtype", "capability"), targets())
def test_kernel_compiles(one: Kernel, dtype: str, capability: tuple[int, int]) -> None:
    """No spill; no float64 in a float32 kernel; nothing fused where the bits must be the reference's."""
    cubin = compile_kernel(one, np.dtype(dtype), capability)
    check_code(one, dtype, cubin)


def check_code(one: Kernel, dtype: str, cubin: Cubin) -> None:
    assert cubin.code[:4] == b"\x7fELF"
    assert cubin.registers > 0, "ptxas' log could not be read"
    assert cubin.spill_bytes == 0, f"{one.name}: {cubin.spill_bytes} bytes of spills or stack"
    # a block of max_threads threads must fit into the 65,536 registers of a multiprocessor
    assert cubin.registers * one.max_threads <= 65536
    if dtype == "float32" and not one.float64:
        count = cubin.float64_instructions
        assert count == 0, f"{one.name}: {count} float64 instructions in a float32 kernel: write real(0.1), not 0.1"
    if not one.fma:
        assert cubin.fused_instructions == 0


@needs_compiler
def test_only_random_numbers_may_compute_in_float64() -> None:
    """The exception is spelled out here a second time, so that nobody silences the check with a flag."""
    assert {k.name for k in all_kernels() if k.float64} == COMPUTES_IN_FLOAT64


# --- the ring sees what it should see ---------------------------------------------------------------------------------


def literal(x, y, n):
    i = cuda.grid(1)
    if i < n:
        y[i] = x[i] * 0.1 + y[i]


def fused(x, y, n):
    i = cuda.grid(1)
    if i < n:
        y[i] = x[i] * x[i] + y[i]


def spilling(x, y, n):
    buffer = cuda.local.array(400, real)
    i = cuda.grid(1)
    for k in range(n):
        buffer[k % 400] = x[k]
    y[i] = buffer[i % 400]


if PROBLEM is None:
    from numba import cuda
    from numba import float32 as real


def declared(function, **options) -> Kernel:
    """A kernel outside of deepcore's registry."""
    before = dict(declare.REGISTRY)
    try:
        return kernel("x: T*, y: T*, n: i32", **options)(function)
    finally:
        declare.REGISTRY.clear()
        declare.REGISTRY.update(before)


@needs_compiler
@pytest.mark.usefixtures("kept_cubins")
def test_a_float64_literal_is_found() -> None:
    one = declared(literal)
    cubin = compile_kernel(one, np.dtype("float32"), (9, 0))
    with pytest.raises(AssertionError, match=r"literal: \d+ float64 instructions in a float32 kernel"):
        check_code(one, "float32", cubin)


@needs_compiler
@pytest.mark.usefixtures("kept_cubins")
def test_a_spill_is_found() -> None:
    one = declared(spilling)
    with pytest.raises(AssertionError, match="bytes of spills or stack"):
        check_code(one, "float32", compile_kernel(one, np.dtype("float32"), (9, 0)))


@needs_compiler
@pytest.mark.usefixtures("kept_cubins")
def test_fusing_is_off_where_it_was_declared_off() -> None:
    one, other = declared(fused), declared(fused, fma=False)
    assert compile_kernel(one, np.dtype("float32"), (9, 0)).fused_instructions > 0
    assert compile_kernel(other, np.dtype("float32"), (9, 0)).fused_instructions == 0


# --- declarations -----------------------------------------------------------------------------------------------------


def test_a_declaration_that_does_not_fit_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"kernel literal: declared \['x', 'n'\], but the function takes \['x', 'y', 'n'\]"
    ):
        kernel("x: T*, n: i32")(literal)
    with pytest.raises(ValueError, match="cannot read parameter 'y: float'; write 'name: type'"):
        kernel("x: T*, y: float, n: i32")(literal)


def test_the_source_of_a_kernel_holds_its_helpers_and_constants() -> None:
    """It is the key of the cache: a changed helper or constant must not find the old machine code."""
    pytest.importorskip("numba.cuda", reason="numba-cuda is not installed")
    from deepcore.kernels.cuda import random, vision

    assert "def philox_block" in random.dropout.source
    assert "MULTIPLIER_0 = np.uint64(3528531795)" in random.dropout.source
    assert "CENTRE_P = (2509.08" in random.normal.source
    assert "def _reflect" in vision.grid_sample.source


# --- the cache on disk ------------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def _nothing_said_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each test is like a new process: what is said once a process has not been said."""
    monkeypatch.setattr(cache, "_SAID", set())


@pytest.fixture
def cache_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPCORE_CACHE_DIR", str(tmp_path))
    return tmp_path / "cubin"


@pytest.fixture
def compilations(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the kernels that were really compiled."""
    done: list[str] = []
    real_compile = compiler._compile
    monkeypatch.setattr(compiler, "_compile", lambda k, *rest: (done.append(k.name), real_compile(k, *rest))[1])
    return done


@needs_compiler
def test_a_kernel_is_compiled_once(cache_folder: Path, compilations: list[str]) -> None:
    one = declared(fused)
    first, second = (compile_kernel(one, np.dtype("float32"), (9, 0)) for _ in range(2))
    assert first == second
    assert len(compilations) == 1
    assert len(list(cache_folder.iterdir())) == 1
    compile_kernel(one, np.dtype("float64"), (9, 0))
    compile_kernel(one, np.dtype("float32"), (8, 0))
    assert len(compilations) == 3


@needs_compiler
@pytest.mark.parametrize("damage", [b"", b"no json\n", b'{"registers": 1}\n', b"[]\nabc"])
def test_a_damaged_file_is_compiled_again(cache_folder: Path, compilations: list[str], damage: bytes) -> None:
    one = declared(fused)
    first = compile_kernel(one, np.dtype("float32"), (9, 0))
    [file] = cache_folder.iterdir()
    file.write_bytes(damage)
    assert compile_kernel(one, np.dtype("float32"), (9, 0)) == first
    whole = file.read_bytes()
    file.write_bytes(whole[:-7])
    assert compile_kernel(one, np.dtype("float32"), (9, 0)) == first
    assert file.read_bytes() == whole
    assert len(compilations) == 3


def test_a_damaged_file_is_said_once(cache_folder: Path, capsys: pytest.CaptureFixture) -> None:
    for name in ("one", "two"):
        assert cache.store(name, {"entry": "f"}, b"code")
        (cache_folder / name).write_bytes(b"rubbish")
        assert cache.load(name) is None
    assert capsys.readouterr().err == f"deepcore: {cache_folder / 'one'} is damaged; the kernel is compiled again\n"
    assert cache.load("absent") is None  # as usual, and nothing to say


def test_every_part_of_the_key_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Source, signature, options, dtype, capability and the tools' versions: where one changes it is another file."""
    float32, sm = np.dtype("float32"), (9, 0)
    one = declared(fused)
    names = [
        compiler._cache_name(one, float32, sm),
        compiler._cache_name(declared(literal), float32, sm),
        compiler._cache_name(declared(fused, fma=False), float32, sm),
        compiler._cache_name(declared(fused, max_threads=128), float32, sm),
        compiler._cache_name(one, np.dtype("float64"), sm),
        compiler._cache_name(one, float32, (8, 0)),
    ]
    other = declared(fused)
    other._source.append(other.source.replace("x[i] * x[i]", "x[i] * 2"))
    del other._source[0]
    names.append(compiler._cache_name(other, float32, sm))
    wider = declared(fused)
    object.__setattr__(wider, "parameters", (*wider.parameters[:2], kernel_parameter("n", "i64")))
    names.append(compiler._cache_name(wider, float32, sm))
    monkeypatch.setattr(compiler, "_tools", lambda: ("3.11.7", "numba-cuda=0.30.5"))
    names.append(compiler._cache_name(one, float32, sm))
    assert len(set(names)) == len(names)
    assert names[-1] == compiler._cache_name(declared(fused), float32, sm)  # and nothing else does


def kernel_parameter(name: str, kind: str) -> declare.Parameter:
    return declare.Parameter(name, kind, False)


def test_what_keeps_kernels_from_being_kept_is_said_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("DEEPCORE_CACHE_DIR", str(tmp_path / "file"))
    for _ in range(2):
        assert cache.store("name", {"entry": "f"}, b"code") is False
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert said.startswith(f"deepcore: compiled CUDA kernels are not kept ({tmp_path}")
    assert said.endswith("; DEEPCORE_CACHE_DIR names another folder\n")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write into any folder")
def test_a_read_only_folder_is_read(cache_folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert cache.store("name", {"entry": "f"}, b"code")
    cache_folder.chmod(0o500)
    try:
        assert cache.load("name") == ({"entry": "f"}, b"code")
        assert cache.store("other", {"entry": "f"}, b"code") is False
    finally:
        cache_folder.chmod(0o700)
    assert "Permission denied" in capsys.readouterr().err


@needs_compiler
def test_several_processes_compile_one_kernel_at_once(cache_folder: Path) -> None:
    """Each gets machine code that is whole, and one file is left."""
    code = (
        "import numpy as np\n"
        "from deepcore.kernels.cuda.compiler import compile_kernel, tally\n"
        "from deepcore.kernels.cuda.declare import all_kernels\n"
        "one = next(k for k in all_kernels() if k.name == 'activation.bias_relu')\n"
        "assert compile_kernel(one, np.dtype('float32'), (9, 0)).code[:4] == b'\\x7fELF'\n"
        "assert compile_kernel(one, np.dtype('float32'), (9, 0)).registers > 0\n"
        "assert (tally.compiled + tally.found, tally.found >= 1) == (2, True)\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(3)]
    assert [process.wait(timeout=120) for process in running] == [0] * 3
    assert len(list(cache_folder.iterdir())) == 1


@needs_compiler
def test_a_folder_that_cannot_be_written_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compilations: list[str]
) -> None:
    (tmp_path / "file").write_text("not a folder")  # also for root, who may write into any folder
    monkeypatch.setenv("DEEPCORE_CACHE_DIR", str(tmp_path / "file"))
    one = declared(fused)
    assert compile_kernel(one, np.dtype("float32"), (9, 0)) == compile_kernel(one, np.dtype("float32"), (9, 0))
    assert len(compilations) == 2


def test_a_full_disk_leaves_nothing_behind(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(cache.os, "replace", full)
    assert cache.store("name", {"entry": "f"}, b"code") is False
    assert list(cache_folder.iterdir()) == []
    assert cache.load("name") is None


def test_several_processes_share_the_folder(cache_folder: Path) -> None:
    """Four processes write one name 50 times each and always read something whole."""
    code = (
        "from deepcore.kernels.cuda import cache\n"
        "for i in range(50):\n"
        "    assert cache.store('name', {'entry': 'f'}, bytes(10000))\n"
        "    assert cache.load('name') == ({'entry': 'f'}, bytes(10000))\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", code]) for _ in range(4)]
    assert [process.wait(timeout=60) for process in running] == [0] * 4
    assert [file.name for file in cache_folder.iterdir()] == ["name"]


def test_the_cache_folder_is_the_users(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("DEEPCORE_CACHE_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache.cache_dir() == tmp_path / "deepcore" / "cubin"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache.cache_dir() == tmp_path / ".cache" / "deepcore" / "cubin"


def test_a_missing_compiler_is_named(cache_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiler, "compiler_problem", lambda: "numba-cuda is not installed")
    with pytest.raises(CompilerMissing, match="numba-cuda is not installed"):
        compile_kernel(declared(fused), np.dtype("float32"), (9, 0))


@needs_compiler
def test_a_gpu_newer_than_the_toolkit_is_named(cache_folder: Path) -> None:
    with pytest.raises(CompilerMissing, match=r"nvJitLink makes no code for sm_990 \("):
        compiler._link(".version 8.0\n.target sm_80\n.address_size 64\n", (99, 0), fma=True)


def test_long_compiling_is_announced_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(compiler, "NOTICE_AFTER", 0.02)
    notice = compiler._Notice()
    with notice.watch():
        pass
    assert capsys.readouterr().err == ""
    for _ in range(3):
        with notice.watch():
            compiler.time.sleep(0.1)
    printed = capsys.readouterr().err
    assert printed.startswith("deepcore: compiling CUDA kernels, once (kept in ")
    assert printed.count("\n") == 1
