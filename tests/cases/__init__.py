"""The entries of the op database, a module for each family of ops.

The folder is installed as `deepcore.check.cases`, so that `deepcore check` has it without the test suite.
"""

from __future__ import annotations

if __name__ != "deepcore.check.cases":  # a second copy of every entry would be created under this name
    raise ImportError(f"this is not a package named {__name__!r}: write `import deepcore.check.cases`")
