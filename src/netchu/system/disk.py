"""Writing a file so that, whatever happens, the old one or the new one is there whole; and where the cache lies."""

from __future__ import annotations

import contextlib
import os
import tempfile
from os import PathLike
from pathlib import Path

from netchu.errors import DataNotFoundError, UsageError


def cache_folder() -> Path:
    """Where netchu keeps what can be had again on this system, downloaded data for example; nothing is created.

    Raises:
        OSError: the system names no such folder (no home, or a relative `XDG_CACHE_HOME`).
    """
    import platformdirs

    folder = Path(platformdirs.user_cache_dir("netchu", appauthor=False))
    if not folder.is_absolute():  # would otherwise land, as "~" or so, in whatever the current folder is
        raise OSError(f"the cache folder {str(folder)!r} is no absolute path; set HOME or XDG_CACHE_HOME")
    return folder


def temporary_name(name: str, mark: str) -> str:
    """How the temporary files of a target called `name` are called; a killed process may leave one."""
    return f".{name}.{mark}.tmp"


def write_atomically(path: str | PathLike[str], data: bytes | bytearray) -> None:
    """Write `data` to a temporary file in the same folder, force it to the disk, and rename it to `path`.

    Raises:
        OSError: no such folder, no permission, disk full: the old file is untouched and no temporary file stays.
        UsageError: a name that no system allows.
    """
    target = Path(path)
    prefix, suffix = temporary_name(target.name, "/").split("/")  # which no name has
    try:
        descriptor, temporary = tempfile.mkstemp(suffix, prefix, target.parent)
    except ValueError:
        raise UsageError(
            "writing a file", expected="a name without null bytes", got=f"name={str(path)!r:.100}"
        ) from None
    except FileNotFoundError:
        folder = str(target.parent)
        raise DataNotFoundError(
            str(target),
            expected="a folder that is there",
            got=f"folder={folder!r}, which is not",
            do=f"Make it first: os.makedirs({folder!r}).",
        ) from None
    except OSError as error:
        error.filename = str(target)  # the user knows nothing of a temporary file
        raise
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, _mode_for(target))
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
    _sync_folder(target.parent)


def _mode_for(target: Path) -> int:
    """The old file's permissions, or those that a plain `open` would give: a temporary file has 600."""
    with contextlib.suppress(OSError):
        return target.stat().st_mode & 0o777
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


def _sync_folder(folder: Path) -> None:
    """Force the new name to the disk; Windows has no such call and keeps names safe by itself."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
