"""Ctrl-C that loses nothing: the first lets the batch finish and ends the training, a second is an exception."""

from __future__ import annotations

import signal
import threading
import time
from types import FrameType, TracebackType

SECONDS_BETWEEN = 2.0

_last_interruption = float("-inf")  # monotonic seconds
_interrupted_before = False  # whether the fit before this one was ended by Ctrl-C


class Interruption:
    """Watches for Ctrl-C during one `fit`.

    The first sets `requested`.  A second while the batch still runs, one within 2 s of the last, or one in the first
    batch of a fit that follows an interrupted one (a loop of fits is to end, too) raises KeyboardInterrupt.  Does
    nothing outside the main thread, or when the program has a SIGINT handler of its own.
    """

    def __init__(self) -> None:
        global _interrupted_before
        self.requested = False
        self.first_batch = True
        self._after_interrupted = _interrupted_before
        _interrupted_before = False
        self._installed = False

    def __enter__(self) -> Interruption:
        in_main = threading.current_thread() is threading.main_thread()
        if in_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, self._on_signal)
            self._installed = True
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        global _interrupted_before
        if self._installed:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        _interrupted_before = self.requested

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        global _last_interruption
        now = time.monotonic()
        again = self.requested or now - _last_interruption < SECONDS_BETWEEN
        _last_interruption = now
        if again or (self._after_interrupted and self.first_batch):
            raise KeyboardInterrupt
        self.requested = True
