"""Checkpoints: files that hold all of a training run, so that it goes on after a crash as if nothing had happened.

    folder = CheckpointFolder("runs/one/checkpoints")
    with folder.locked():
        found = folder.newest()                      # None, or what `save` was given last
        folder.save(updates, about, arrays)

A checkpoint is one safetensors file, `checkpoint-000000469.safetensors`, named after the number of updates it was taken
at.  Its metadata holds `netchu`, a JSON object, and `sha256`, the checksum of the whole file with sixty-four zeros in
that place; so a flipped bit anywhere is noticed.  It is written atomically, the newest few are kept, and a damaged one
gives way to the one before it.  docs/checkpoints.md says what is promised, and what is not.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import math
import os
import re
import socket
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from netchu.errors import CheckpointError, ModelFileError, NetchuError
from netchu.formats.document import read_bytes, strict_json
from netchu.formats.safetensors import header_length, pack, read_header, unpack
from netchu.system.disk import temporary_name, write_atomically

FORMAT = 1
MAX_HEADER_BYTES = 1 << 26
MAX_FILE_BYTES = 1 << 34
NO_CHECKSUM = "0" * 64
NAME = re.compile(r"checkpoint-([0-9]{9,})\.safetensors")


@dataclass(frozen=True)
class Checkpoint:
    """What was saved.

    Attributes:
        path: of the file.
        about: JSON values; arrays inside were put back in their places.
        arrays: by name.
    """

    path: Path
    about: dict[str, Any]
    arrays: dict[str, np.ndarray]


class CheckpointFolder:
    """The checkpoints of one run.

    Args:
        folder: made if it is missing.
        keep: how many of the newest are kept, at least 1.
    """

    def __init__(self, folder: str | PathLike[str], keep: int = 3) -> None:
        self.folder = Path(folder)
        self.keep = keep

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder, so that no second run writes to it; the lock ends with the process, however it ends.

        Raises:
            CheckpointError: another process holds it; the message says which.
            OSError: the folder cannot be made or written to.
        """
        from filelock import FileLock, Timeout

        holder = self.folder / "holder.json"
        lock = FileLock(self.folder / "lock", timeout=0)
        with _os_errors_as_sentence(f"{self.folder}: the folder of the checkpoints cannot be used"):
            self.folder.mkdir(parents=True, exist_ok=True)
            try:
                lock.acquire()
            except Timeout:
                raise CheckpointError(
                    str(self.folder), expected="a run folder that no other process uses", got=_holder_in_words(holder)
                ) from None
        try:
            with _os_errors_as_sentence(f"{self.folder}: the folder of the checkpoints cannot be used"):
                self._sweep()
                write_atomically(holder, json.dumps({"pid": os.getpid(), "host": socket.gethostname()}).encode())
            yield
        finally:
            with contextlib.suppress(OSError):
                holder.unlink()
            lock.release()

    def _sweep(self) -> None:
        """Remove what a killed process left half written; nobody else writes here while the folder is locked."""
        for name in ("checkpoint-*", "holder.json"):
            for leftover in self.folder.glob(temporary_name(name, "*")):
                leftover.unlink(missing_ok=True)

    def files(self) -> list[Path]:
        """The checkpoints, newest first, by the number in their names: clocks may be wrong."""
        numbers = {path: int(found[1]) for path in self.folder.glob("*") if (found := NAME.fullmatch(path.name))}
        return sorted(numbers, key=numbers.__getitem__, reverse=True)

    def save(self, number: int, about: dict[str, Any], arrays: dict[str, np.ndarray]) -> Path:
        """Write a checkpoint atomically, then remove those that are not among the newest.

        Args:
            number: of updates so far; a checkpoint of the same number is replaced.
            about: JSON values, and NumPy arrays anywhere in them.
            arrays: by name.

        Raises:
            NetchuError: the disk does not take it; the checkpoints from before are untouched.
            ModelFileError: `arrays` or `about` cannot be read back: an element type without a name in the format, or
                more than 64 MiB of JSON; nothing is written.
        """
        path = self.folder / f"checkpoint-{number:09d}.safetensors"
        named = dict(arrays)
        document = json.dumps({"format": FORMAT, "about": _without_arrays(about, named)}, allow_nan=False)
        data = pack({"netchu": document, "sha256": NO_CHECKSUM}, named)
        header_length(str(path), data, len(data), MAX_HEADER_BYTES)
        read_header(str(path), data, len(data))  # what could not be read is not written
        at = data.index(NO_CHECKSUM.encode(), data.index(b'"sha256"'))
        whole = bytearray(data)
        whole[at : at + len(NO_CHECKSUM)] = hashlib.sha256(data).hexdigest().encode()
        with _os_errors_as_sentence(f"{path}: the checkpoint could not be saved"):
            write_atomically(path, whole)
        # A later number can only be that of a damaged one, which was passed over.
        files = self.files()
        place = files.index(path)
        with contextlib.suppress(OSError):  # what cannot be removed now is removed after the next
            _remove(files[:place] + files[place + self.keep :])
        return path

    def prune(self, keep: int) -> None:
        """Remove all but the newest `keep` checkpoints."""
        _remove(self.files()[keep:])

    def newest(self) -> Checkpoint | None:
        """The newest checkpoint that is whole, None if there is none at all.

        Warns about each damaged one that is passed over.

        Raises:
            CheckpointError: there are checkpoints, and all of them are damaged.
        """
        damaged = []
        for path in self.files():
            try:
                found = read(path)
            except CheckpointError as error:
                damaged.append(str(error))
                continue
            if damaged:
                warnings.warn(f"Passed over: {' '.join(damaged)} Resuming from {path.name}.", stacklevel=2)
            return found
        if damaged:
            raise CheckpointError(
                str(self.folder),
                expected="a checkpoint that is whole",
                got=f"{len(damaged)} damaged: {' '.join(damaged)}",
                do="Train anew with another run folder, or bring the files back from a copy.",
            )
        return None


def read(path: Path) -> Checkpoint:
    """The checkpoint in a file.

    Raises:
        CheckpointError: its checksum, or anything else in it, is wrong.
    """
    name = path.name
    try:
        data, size = read_bytes(str(path), MAX_FILE_BYTES, MAX_FILE_BYTES)
        header_length(name, data, size, MAX_HEADER_BYTES)
        metadata, _ = read_header(name, data, size)
        content = strict_json(name, _checked_document(name, metadata, data))
        arrays = unpack(name, data)
    except CheckpointError:
        raise
    except ModelFileError as error:  # a whole sentence
        raise CheckpointError(str(error)) from None
    except ValueError as error:  # a text that is no UTF-8
        raise CheckpointError(name, expected="JSON and arrays", got=f"{error!s:.200}") from None
    if content.get("format") != FORMAT:
        raise CheckpointError(name, expected=f"format {FORMAT}", got=f"format={content.get('format')!r:.60}")
    return Checkpoint(path, _with_arrays(content["about"], arrays), arrays)


def _checked_document(name: str, metadata: dict[str, Any], data: bytes) -> bytes:
    """The JSON text in the metadata; CheckpointError if the checksum beside it is not that of the file."""
    checksum = metadata.get("sha256")
    document = metadata.get("netchu")
    if not isinstance(checksum, str) or not isinstance(document, str) or len(checksum) != len(NO_CHECKSUM):
        raise CheckpointError(name, expected="a checkpoint with its checksum", got="a file without one")
    before, _, after = data.partition(checksum.encode())
    if hashlib.sha256(before + NO_CHECKSUM.encode() + after).hexdigest() != checksum:
        raise CheckpointError(name, expected="the bytes that were written", got="others: its checksum is wrong")
    return document.encode()


def _remove(files: list[Path]) -> None:
    """Oldest first: whatever ends this process, what is left are the newest."""
    for path in reversed(files):
        path.unlink(missing_ok=True)


@contextlib.contextmanager
def _os_errors_as_sentence(what: str) -> Iterator[None]:
    """An error of the operating system as NetchuError: what, why, its number, and what to do."""
    try:
        yield
    except OSError as error:
        number = errno.ENOENT if isinstance(error, FileNotFoundError) else error.errno or 0
        reason = f"{error.strerror or os.strerror(number)} ({errno.errorcode.get(number, number)})"
        raise NetchuError(
            what,
            expected="a disk that takes it",
            got=reason,
            do="The checkpoints from before are untouched: mend that, and resume.",
        ) from error


def _holder_in_words(holder: Path) -> str:
    """Who holds the folder, as far as it is known."""
    with contextlib.suppress(OSError, ValueError, KeyError):
        about = json.loads(holder.read_text(encoding="utf-8"))
        return f"locked by pid {int(about['pid'])} on {str(about['host'])!r:.60}"
    return "locked by another process"


# --- what JSON cannot say --------------------------------------------------------------------------------------------


def _without_arrays(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """JSON for `value`: an array becomes {"$array": name} and is put into `arrays`, infinity {"$float": "inf"}."""
    if isinstance(value, dict):
        return {str(key): _without_arrays(item, arrays) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without_arrays(item, arrays) for item in value]
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, np.ndarray):
        name = f"about/{len(arrays)}"
        arrays[name] = value
        return {"$array": name}
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    return value


def _with_arrays(value: Any, arrays: dict[str, np.ndarray]) -> Any:
    """The reverse; the arrays it puts back are taken out of `arrays`."""
    if isinstance(value, list):
        return [_with_arrays(item, arrays) for item in value]
    if not isinstance(value, dict):
        return value
    if list(value) == ["$array"]:
        return arrays.pop(value["$array"])
    if list(value) == ["$float"]:
        return float(value["$float"])
    return {key: _with_arrays(item, arrays) for key, item in value.items()}
