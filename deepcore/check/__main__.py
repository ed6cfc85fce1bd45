"""`python -m deepcore.check`, the same as `deepcore check`."""

from __future__ import annotations

import sys

from deepcore.cli.app import main

if __name__ == "__main__":
    main(["check", *sys.argv[1:]])
