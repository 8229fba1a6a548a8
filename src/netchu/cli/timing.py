"""How long the command has been running, the start of Python included.

    timing.start(whole_process=True);  ...;  timing.seconds()

Limits: what came before `start` is counted in processor time, which for an interpreter that loads its modules is close
to time on the clock.  (The process's own age would be more than that: a shell may have become this process.)
"""

from __future__ import annotations

import time

_began = time.perf_counter()


def start(*, whole_process: bool) -> None:
    """Begin to count, from the start of Python if `whole_process`."""
    global _began
    _began = time.perf_counter() - (time.process_time() if whole_process else 0.0)


def seconds() -> float:
    """Seconds since the beginning."""
    return time.perf_counter() - _began
