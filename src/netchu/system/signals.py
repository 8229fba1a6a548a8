"""Ctrl-C and termination that lose nothing: the batch is finished, and the training ends where it can be resumed.

The first Ctrl-C lets the batch finish and ends the training, a second is an exception.  A run that keeps checkpoints
also looks for SIGTERM and SIGHUP (a cluster takes its machine back, a terminal is closed): it saves one, and then
`fit` raises Terminated, a SystemExit with code 75, which tells a supervisor that the run can be resumed.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

SECONDS_BETWEEN = 2.0
RESUMABLE = 75  # the exit code: EX_TEMPFAIL of sysexits.h, "try again later"
TERMINATING = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]

_last_interruption = float("-inf")  # monotonic seconds
_interrupted_before = False  # whether the fit before this one was ended by Ctrl-C


class Terminated(SystemExit):
    """The process was asked to end, and can be resumed: its exit code is 75."""

    def __init__(self, code: int = RESUMABLE) -> None:
        super().__init__(code)


class Interruption:
    """Watches for signals during one `fit`.

    The first Ctrl-C sets `requested`.  A second while the batch still runs, one within 2 s of the last, or one in the
    first batch of a fit that follows an interrupted one (a loop of fits is to end, too) raises KeyboardInterrupt.  Does
    nothing outside the main thread, or when the program has a handler of its own.

    Args:
        resumable: whether the run keeps checkpoints; then SIGTERM and SIGHUP set `requested` and `terminated`.
    """

    def __init__(self, *, resumable: bool = False) -> None:
        global _interrupted_before
        self.requested = False
        self.terminated = False
        self.first_batch = True
        self._resumable = resumable
        self._after_interrupted = _interrupted_before
        _interrupted_before = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            self._watch(signal.SIGINT, signal.default_int_handler, self._on_interrupt)
            for number in TERMINATING if self._resumable else ():
                self._watch(number, signal.SIG_DFL, self._on_terminate)
        return self

    def _watch(self, number: int, default: Any, handler: Any) -> None:
        """Handle a signal that nobody else handles but `raise_terminated`."""
        if signal.getsignal(number) in (default, raise_terminated):
            self._before[number] = signal.signal(number, handler)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        global _interrupted_before
        for number, handler in self._before.items():
            signal.signal(number, handler)
        _interrupted_before = self.requested

    def _on_interrupt(self, number: int, frame: FrameType | None) -> None:
        global _last_interruption
        now = time.monotonic()
        again = self.requested or now - _last_interruption < SECONDS_BETWEEN
        _last_interruption = now
        if again or (self._after_interrupted and self.first_batch):
            raise KeyboardInterrupt
        self.requested = True

    def _on_terminate(self, number: int, frame: FrameType | None) -> None:
        self.requested = self.terminated = True


def raise_terminated(number: int, frame: FrameType | None) -> None:
    """A signal handler that raises Terminated at once: for what a command does before and after its training."""
    raise Terminated


@contextmanager
def ending_by_signal() -> Iterator[None]:
    """While it is open, SIGTERM and SIGHUP raise Terminated, before and after the training too.

    Does nothing outside the main thread, and leaves a signal alone that the program handles itself.
    """
    in_main = threading.current_thread() is threading.main_thread()
    numbers = [n for n in TERMINATING if in_main and signal.getsignal(n) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, raise_terminated)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
