"""Log files that grow record by record, and survive a killed process, a full disk and a resumed run.

For each record the file is opened, written and closed.  So all earlier records are in it, whatever kills the process,
and nothing is held open.  A record that cannot be written (disk full, folder gone) is taken back and warned about,
and training goes on: hours of it are worth more than a line of its log.
"""

from __future__ import annotations

import contextlib
import os
import warnings
from pathlib import Path

from netchu.errors import UsageError


def check_appendable(where: str, path: str | Path) -> None:
    """Raise UsageError unless the file can be written; makes an empty one where there is none."""
    try:
        with open(path, "ab"):
            pass
    except OSError as error:
        raise UsageError(
            where,
            expected="a file that can be written, in a folder that is there",
            got=f"{str(path)!r}: {error.strerror}",
        ) from None


def append(path: str | Path, record: bytes) -> None:
    """Put a record at the end of the file; if that fails, warn, and leave the file as it was before."""
    try:
        with open(path, "ab", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            try:
                written = 0
                while written < len(record):
                    written += file.write(record[written:])
            except OSError:
                with contextlib.suppress(OSError):
                    file.truncate(size)
                raise
    except OSError as error:
        warn_lost(path, error)


def warn_lost(path: str | Path, error: OSError) -> None:
    """Give a RuntimeWarning that something could not be written, and why."""
    warnings.warn(
        f"{path}: a record is lost, training goes on: {error.strerror or error}", RuntimeWarning, stacklevel=4
    )


def size_on_disk(path: str | Path) -> int:
    """The bytes in the file, forced to the disk, so that a checkpoint may count on them; 0 if there is none."""
    try:
        with open(path, "rb+") as file:
            os.fsync(file.fileno())
            return os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return 0


def cut(where: str, path: str | Path, size: int) -> None:
    """Take away all that was written after the first `size` bytes.

    A log that is gone begins anew, with a warning.

    Raises:
        UsageError: the file is shorter than that, so it is another one; it is left alone.
    """
    if not os.path.exists(path):
        if size:
            warnings.warn(f"{path}: this log of the resumed run is gone; it begins anew", RuntimeWarning, stacklevel=3)
        return
    found = os.path.getsize(path)
    if found < size:
        raise UsageError(
            where,
            expected=f"the log that the checkpoint knows, of at least {size} bytes",
            got=f"{str(path)!r} of {found} bytes",
            do="Move that file away, or resume in the folder of the run.",
        )
    os.truncate(path, size)
