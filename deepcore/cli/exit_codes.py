"""What the commands return to the shell."""

from __future__ import annotations

USAGE_ERROR = 2  # the input was wrong; nothing was begun
RUN_ERROR = 1  # it failed on the way
DIFFERENT = 1  # two devices differ by more than rounding explains
STOPPED = 3  # a limit of time or memory was reached; it can go on
INTERRUPTED = 130  # Ctrl-C, as shells count it
