"""Memory that this process has for itself, from Linux's /proc; NaN elsewhere.

with Watch() as watch: ...
watch.grown_mb
"""

from __future__ import annotations

import re
import threading
from pathlib import Path
from types import TracebackType


def anonymous_megabytes() -> float:
    """RssAnon, the memory that no file stands behind, in MB of 10^6 bytes."""
    status = Path("/proc/self/status")
    found = re.search(r"RssAnon:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) * 1024 / 1e6 if found else float("nan")


class Watch:
    """Looks at the memory 20 times a second.

    Attributes:
        before_mb: what there was at the beginning.
        grown_mb: the most that came on top.
    """

    def __enter__(self) -> Watch:
        self.before_mb = self._most = anonymous_megabytes()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()
        return self

    def _look(self) -> None:
        while not self._over.wait(0.05):
            self._most = max(self._most, anonymous_megabytes())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        self.grown_mb = max(self._most, anonymous_megabytes()) - self.before_mb
