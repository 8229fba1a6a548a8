"""The file that a command writes: whether there is a place for it, asked before the work begins."""

from __future__ import annotations

import tempfile
from pathlib import Path

from netchu.errors import DataNotFoundError, NetchuError, UsageError


def check_place(flag: str, out: str) -> None:
    """Raise now what would otherwise be found out after the work: no such folder, or none to write to.

    Args:
        flag: what the user named the file with, for the message.
        out: the file's name.
    """
    if Path(out).is_dir():
        raise UsageError(flag, expected="the name of a file", got=f"the folder {out!r}")
    folder = Path(out).parent
    if not folder.is_dir():
        raise DataNotFoundError(
            flag,
            expected="a name in a folder that exists",
            got=f"{out!r}",
            do=f"Make the folder first: {str(folder)!r}.",
        )
    try:
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise NetchuError(
            flag, expected="a folder that can be written to", got=f"{str(folder)!r}: {error.strerror}"
        ) from None
