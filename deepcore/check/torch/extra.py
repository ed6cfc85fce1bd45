"""Entries beside those of the op database: what only a comparison with PyTorch asks for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from deepcore import functional as F
from deepcore.check.opdb import OpCase, all_cases


def _ctc_of_log_softmax(log_probs: Any, *args: Any, **kwargs: Any) -> Any:
    return F.ctc_loss(F.log_softmax(log_probs, -1), *args, **kwargs)


def entries() -> list[OpCase]:
    """Every entry of the op database, and `ctc_loss of log_softmax`.

    PyTorch's gradient of ctc_loss is that through a log_softmax before it, so only the two together can be compared.
    """
    cases = all_cases()
    ctc = next(case for case in cases if case.name == "ctc_loss")
    return [*cases, replace(ctc, name="ctc_loss of log_softmax", op=_ctc_of_log_softmax, errors=())]
