"""safetensors files: PyTorch's weights load here and ours load there; damaged and hostile files are refused."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest

import deepcore as dc
from deepcore import nn
from deepcore.errors import DataError


def state() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "weight": rng.standard_normal((3, 4)).astype(np.float32),
        "count": np.array(7),
        "empty": np.zeros((0, 2), np.float16),
        "mask": rng.random(5) < 0.5,
    }


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    arrays = state()
    narrow = dc.tensor([1.5, -2.0], dtype="bfloat16")
    dc.save(arrays | {"turned": arrays["weight"].T, "narrow": narrow}, path, {"by": "a test"})
    found = dc.load(path)
    assert found.keys() == {*arrays, "turned", "narrow"}
    for name, array in (arrays | {"turned": arrays["weight"].T}).items():
        assert found[name].dtype == array.dtype
        assert found[name].shape == array.shape
        assert np.array_equal(found[name].numpy(), array)
    assert found["narrow"].dtype == dc.bfloat16
    assert found["narrow"].tolist() == [1.5, -2.0]
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert dc.load(path, device="numpy")["count"].device == "numpy"


@pytest.mark.parametrize("length", [0x280, 0x480])
def test_a_header_that_begins_as_a_pickle_does(length: int, tmp_path: Path) -> None:
    """The length of the header is the file's first number, whose bytes are those that mark a pickle."""
    path = tmp_path / "x.safetensors"
    dc.save({"x": dc.ones(3)}, path)
    header = path.read_bytes()[8:-12].rstrip()
    path.write_bytes(struct.pack("<Q", length) + header.ljust(length) + path.read_bytes()[-12:])
    assert dc.load(path)["x"].tolist() == [1.0, 1.0, 1.0]


def test_what_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="state_dict"):
        dc.save(nn.Linear(2, 2), tmp_path / "x")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="'a': str"):
        dc.save({"a": "text"}, tmp_path / "x")
    with pytest.raises(DataError, match="cannot be written"):
        dc.save({}, tmp_path / "no" / "folder")
    with pytest.raises(DataError, match="cannot be read"):
        dc.load(tmp_path / "absent")
    (tmp_path / "old.pt").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(DataError, match="save_file"):
        dc.load(tmp_path / "old.pt")
    assert [p.name for p in tmp_path.iterdir()] == ["old.pt"]


def headers() -> dict[str, bytes]:
    """Files whose header lies."""

    def file(header: object, body: bytes = b"\0" * 16, length: int | None = None) -> bytes:
        text = header if isinstance(header, bytes) else json.dumps(header).encode()
        return struct.pack("<Q", len(text) if length is None else length) + text + body

    def entry(shape: object = (2,), offsets: object = (0, 16), dtype: object = "I64") -> dict[str, object]:
        return {"x": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}

    return {
        "nothing": b"",
        "a length of 2^62": file(entry(), length=2**62),
        "a length of 2^64 - 1": file(entry(), length=2**64 - 1),
        "a length past the end": file(entry(), length=1000),
        "a shape of 2^62": file(entry(shape=(2**62, 4))),
        "a negative shape": file(entry(shape=(-2,))),
        "offsets past the end": file(entry(offsets=(0, 2**40))),
        "offsets swapped": file(entry(offsets=(16, 0))),
        "another dtype": file(entry(dtype="F9")),
        "a dtype that is a number": file(entry(dtype=5)),
        "deep nesting": file(b'{"x":' + b"[" * 50000 + b"]" * 50000 + b"}"),
        "no JSON": file(b"\xff\xfe"),
        "a list": file([1, 2]),
        "text for a tensor": file({"x": "y"}),
    }


@pytest.mark.parametrize("what", headers())
def test_headers_that_lie(what: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(headers()[what])
    with pytest.raises(DataError, match=r"x\.safetensors"):
        dc.load(path)


def fuzz(rounds: int, path: Path, seed: int = 0) -> int:
    """Files with bytes cut off, changed, swapped and repeated; how many were refused. Nothing else may happen."""
    dc.save(state(), path)
    good, rng, refused = path.read_bytes(), np.random.default_rng(seed), 0
    for _ in range(rounds):
        bad = bytearray(good)
        for _ in range(rng.integers(1, 4)):
            i, j = sorted(rng.integers(0, len(bad) + 1, 2).tolist())
            kind = rng.integers(0, 4)
            if kind == 0:
                del bad[j:]
            elif kind == 1 and i < len(bad):
                bad[i] = rng.integers(0, 256)
            elif kind == 2:
                bad[i:j] = bad[i:j][::-1]
            else:
                bad[j:j] = bad[i:j]
        path.write_bytes(bytes(bad))
        try:
            dc.load(path)
        except DataError:
            refused += 1
    return refused


def test_fuzz(tmp_path: Path) -> None:
    assert fuzz(300, tmp_path / "x.safetensors") > 200


@pytest.mark.slow
def test_long_fuzz(tmp_path: Path) -> None:
    assert fuzz(20000, tmp_path / "x.safetensors", 1) > 12000


def test_weights_of_pytorch_and_back(tmp_path: Path) -> None:
    """Every module that both have: files of either load strictly in the other, and the outputs are the same."""
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file, save_file

    from deepcore.check.tolerance import assert_close
    from deepcore.check.torch.arrays import outputs, to_torch
    from deepcore.check.torch.modules import CASES, _inputs

    theirs, ours, seen = tmp_path / "torch.safetensors", tmp_path / "deepcore.safetensors", 0
    for case in CASES:
        torch.manual_seed(0)
        other = getattr(torch.nn, case.name)(*case.args, **case.kwargs).eval()
        if not other.state_dict():
            continue
        mine = getattr(nn, case.name)(*case.args, **case.kwargs).eval()
        save_file({name: t.contiguous() for name, t in other.state_dict().items()}, theirs)
        mine.load_state_dict(dc.load(theirs))
        back = getattr(torch.nn, case.name)(*case.args, **case.kwargs).eval()
        dc.save(mine.state_dict(), ours)
        back.load_state_dict(load_file(ours), strict=True)
        arrays = _inputs(case, "float32")
        with dc.no_grad(), torch.no_grad():
            ys = outputs(mine(*map(dc.tensor, arrays), **case.call))
            zs = outputs(back(*(to_torch(a, False) for a in arrays), **case.call))
        for y, z in zip(ys, zs, strict=True):
            assert_close(y.numpy(), z.numpy(), "float32", case.length, str(case))
        seen += 1
    assert seen > 30
