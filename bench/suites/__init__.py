"""The suites: each is a function that lists its cases as `Spec`, given how many threads the run has."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from deepcore.bench.spec import Spec
from deepcore.bench.suites import convs, loader, memory, models, ops, scaling, startup
from deepcore.errors import ConfigError, message, nearest

SUITES: dict[str, Callable[[int], list[Spec]]] = {
    "models": models.specs,
    "convs": convs.specs,
    "ops": ops.specs,
    "scaling": scaling.specs,
    "startup": startup.specs,
    "memory": memory.specs,
    "loader": loader.specs,
}


def choose(names: Sequence[str], text: str, threads: int) -> list[Spec]:
    """The cases of these suites ("all" for every one) whose key contains `text`.

    Raises ConfigError for an unknown suite and where no case is left.
    """
    wanted = list(SUITES) if "all" in names else list(dict.fromkeys(names))
    for name in wanted:
        if name not in SUITES:
            known = [*SUITES, "all"]
            hint = nearest(name, known).strip()
            raise ConfigError(message("deepcore bench", f"a suite of {', '.join(known)}", repr(name), hint))
    specs = [spec for name in wanted for spec in SUITES[name](threads)]
    left = [spec for spec in specs if any(text in key for key in spec.keys)]
    if not left:
        keys = [key for spec in specs for key in spec.keys]
        examples = "; ".join(keys[:: max(1, len(keys) // 4)][:4]) or "no suite"
        hint = f"cases are named like these: {examples}"
        raise ConfigError(message("deepcore bench", "a case whose name contains the filter", repr(text), hint))
    return left
