"""The random streams that a training may draw from: the framework's, and Python's and NumPy's for code of users."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import numpy as np

from deepcore.random import get_rng_state, set_rng_state


def get_state() -> dict[str, Any]:
    """The default stream of deepcore, that of `random`, and NumPy's global one."""
    version, words, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()
    return {
        "deepcore": get_rng_state(),
        "python": {"version": version, "words": np.array(words, np.uint64), "gauss": gauss},
        "numpy": {"kind": kind, "keys": keys, "rest": (position, has_gauss, cached)},
    }


def set_state(state: Mapping[str, Any]) -> None:
    """Goes on with the streams where `get_state` was called."""
    python, legacy = state["python"], state["numpy"]
    random.setstate((python["version"], tuple(np.asarray(python["words"]).tolist()), python["gauss"]))
    np.random.set_state((legacy["kind"], np.asarray(legacy["keys"]), *legacy["rest"]))
    set_rng_state(tuple(state["deepcore"]))
