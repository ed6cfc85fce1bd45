"""Float64 oracles of the op database: loops, NumPy and SciPy, never code of deepcore.

The folder is installed as `deepcore.check.oracles`, so that `deepcore check` has it without the test suite.
"""

from __future__ import annotations

if __name__ != "deepcore.check.oracles":  # a second copy of every entry would be created under this name
    raise ImportError(f"this is not a package named {__name__!r}: write `import deepcore.check.oracles`")
