"""How long the command has been running, the start of Python included where the system tells.

    timing.start(whole_process=True);  ...;  timing.seconds()

Limits: the process's own start is read from `/proc` (Linux, to 10 ms); elsewhere time counts from `start`.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

PLAUSIBLE_STARTUP = 60.0  # seconds; a /proc that claims more for Python's start is not believed

_began = time.perf_counter()


def start(*, whole_process: bool) -> None:
    """Begin to count, from the start of the process if `whole_process`."""
    global _began
    _began = time.perf_counter() - (_startup_seconds() if whole_process else 0.0)


def seconds() -> float:
    """Seconds since the beginning."""
    return time.perf_counter() - _began


def _startup_seconds() -> float:
    """How old this process is; 0 where that cannot be known."""
    try:
        # The 22nd field, counted after the command's name, which may hold spaces: clock ticks from boot to start.
        ticks = int(Path("/proc/self/stat").read_text(errors="replace").rpartition(")")[2].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
    except (OSError, AttributeError, IndexError, ValueError):
        return 0.0
    return age if 0 <= age < PLAUSIBLE_STARTUP else 0.0
