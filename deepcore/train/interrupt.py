"""Ctrl-C during a training: the first ends it after the running step, the second at once."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any


class StopRequest:
    """Whether somebody asked for an end; calling it says so, which is what `Trainer.train` wants."""

    def __init__(self) -> None:
        self.asked = False

    def __call__(self) -> bool:
        return self.asked

    def handle(self, number: int, frame: FrameType | None) -> None:
        """The signal handler. Raises KeyboardInterrupt at the second signal."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        # Not print: a signal may come in the middle of one, and its buffer must not be entered twice.
        os.write(2, b"\nstopping after this step; Ctrl-C again stops at once\n")


@contextlib.contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """A StopRequest that Ctrl-C (SIGINT) and SIGTERM set; the handlers of before are put back at the end."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may set handlers
        yield request
        return
    before: dict[int, Any] = {
        number: signal.signal(number, request.handle) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
