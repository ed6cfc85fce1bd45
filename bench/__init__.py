"""Benchmarks: each module is a program, for example ``python -m deepcore.bench.startup``."""

from __future__ import annotations

if __name__ != "deepcore.bench":
    # From the repository's root the folder would import under a second name, and every module in it twice.
    raise ImportError(f"this is not a package named {__name__!r}: write `import deepcore.bench`")
