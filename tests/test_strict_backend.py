"""The strict device refuses what would copy to the host in silence, and otherwise behaves like a device array."""

from __future__ import annotations

import numpy as np
import pytest

from backend_cases import CASES
from deepcore.backends import DeviceError, get_backend
from deepcore.backends.base.array import Array


def test_strict_counts_transfers():
    backend = get_backend("strict")
    start = dict(backend.transfers)
    x = backend.from_host(np.ones((2, 2)))
    total = (x @ x).sum()
    assert backend.item(total) == 8
    backend.to_host(x)
    assert {key: backend.transfers[key] - start[key] for key in start} == {"to_host": 2, "to_device": 1}


REFUSALS = {
    "numpy.asarray": lambda x: np.asarray(x),
    "numpy function": lambda x: np.concatenate([x, x]),
    "numpy array on the left": lambda x: np.ones(3) + x,
    "numpy array on the right": lambda x: x * np.ones(3),
    "0-d numpy array": lambda x: x * np.array(2.0),
    "numpy array in place": lambda x: x.__iadd__(np.ones(3)),
    "list": lambda x: x * [1, 2, 3],
    "float": lambda x: float(x[0]),
    "int": lambda x: int(x[0]),
    "index": lambda x: [0, 1][x[0].astype("int64")],
    "bool": lambda x: bool((x > 0).all()),
    "if": lambda x: 1 if x[0] > 0 else 0,
    "in": lambda x: 1.0 in x,
    "sorted": lambda x: sorted(x),
    "item": lambda x: x.item(),
    "tolist": lambda x: x.tolist(),
    "list index": lambda x: x[[0, 1]],
    "numpy mask": lambda x: x[np.array([True, False, True])],
    "numpy value": lambda x: x.__setitem__(0, np.ones(())),
    "numpy into xp": lambda x: get_backend("strict").xp.stack([x, np.ones(3)]),
    "xp.asarray": lambda x: get_backend("strict").xp.asarray(np.ones(3)),
    "to_host of a numpy array": lambda x: get_backend("strict").to_host(np.ones(3)),
}


@pytest.mark.parametrize("what", REFUSALS)
def test_strict_refuses(what):
    x = get_backend("strict").from_host([1.0, 2.0, 3.0])
    with pytest.raises(DeviceError, match=r"expected data to stay where it is; got .* Hint: "):
        REFUSALS[what](x)


def test_strict_behaves_like_a_device_array():
    backend = get_backend("strict")
    x = backend.from_host(np.arange(6.0).reshape(2, 3))
    assert (x.shape, x.ndim, x.size, x.dtype, len(x)) == ((2, 3), 2, 6, np.float64, 2)
    assert x.sum().shape == ()
    assert backend.is_array(x.sum())
    x[x > 3] = 0
    x[0, 1:] += 1
    x *= np.float32(2)
    assert backend.to_host(x).tolist() == [[0, 4, 6], [6, 0, 0]]
    rows = [backend.to_host(row).tolist() for row in x]
    assert rows[1] == [6, 0, 0]
    u, s, v = backend.xp.linalg.svd(x)
    assert all(backend.is_array(part) for part in (u, s, v))
    assert backend.is_array(backend.xp.allclose(u, u))
    assert repr(x) == "StrictArray(shape=(2, 3), dtype=float64)"
    out = backend.xp.empty_like(x)
    assert backend.xp.add(x, 1, out=out) is out
    with pytest.raises(AttributeError, match="drawn with backend"):
        _ = backend.xp.random
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = x.nothing


def test_strict_finds_a_planted_host_copy(monkeypatch):
    def hidden_copy(self, x, w, b):
        return self.xp.asarray(np.asarray(x) @ np.asarray(w).T)

    monkeypatch.setattr(Array, "linear", hidden_copy)
    case = next(case for case in CASES if case.method == "linear")
    assert get_backend("numpy").linear(*case.args) is not None
    strict = get_backend("strict")
    with pytest.raises(DeviceError, match=r"numpy.asarray\(array\)"):
        strict.linear(*case.arguments("float64", strict.from_host))
