"""`python -m deepcore.cli`, the same as the `deepcore` command."""

from __future__ import annotations

from deepcore.cli.app import main

if __name__ == "__main__":
    main()
