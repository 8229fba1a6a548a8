"""The data cache: verified, unpacked files in the user's cache folder, filled by one download for many processes.

    arrays, source, notes = obtain(MNIST, Limits(), offline=False)

The files lie unpacked, as IDX, in `netchu/mnist` under the system's cache folder (`XDG_CACHE_HOME`, `~/.cache`,
`~/Library/Caches`, `%LOCALAPPDATA%`), so that a second start only reads and hashes them.  The SHA-256 is compared at
each load; a damaged file counts as absent and is fetched again.  Writing is atomic (temporary file in the same folder,
fsync, rename), so a process killed at any moment leaves either no file under the final name or a whole one.

The lock file lies beside the data folder, not in it, so that clearing the data does not break the lock.  The lock is
the system's (flock and its kin): it ends with the process that held it, however that ended.

Limits: when the cache cannot be written, the data is used from memory and a note says so; netchu never falls back to a
temporary folder that others may write to.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netchu.datasets.idx import parse_idx
from netchu.datasets.mirrors import DownloadFailedError, Limits, RemoteDataset, RemoteFile
from netchu.system.disk import cache_folder, temporary_name, write_atomically

_log = logging.getLogger("netchu")
_Arrays = dict[str, NDArray[Any]]


def obtain(remote: RemoteDataset, limits: Limits, *, offline: bool) -> tuple[list[NDArray[Any]], str, list[str]]:
    """The data set's arrays from the cache or, failing that, from the mirrors.

    Args:
        remote: what to get; its name is the folder in the cache.
        limits: how long to wait.
        offline: make no network call at all.

    Returns:
        The arrays in the order of `remote.files`, the source in words (`"cache"`, `"download HOST"`), and notes that
        the user should be warned about.

    Raises:
        DownloadFailedError: neither the cache nor any mirror has all the files intact.
    """
    began = time.time()
    try:
        root = cache_folder()
    except OSError as error:
        if offline:
            raise DownloadFailedError([f"cache: {error}"]) from error
        return _download(remote, limits, None, {}, [_unwritable(error)])
    folder = root / remote.name
    held = _read_intact(folder, remote)
    if len(held) == len(remote.files):
        return _in_order(remote, held), "cache", []
    if offline:
        raise DownloadFailedError([f"cache: no intact copy in {folder}"])
    with _one_process(root, remote.name, limits.total) as trouble:
        if trouble is not None:
            return _download(remote, limits, None, held, [_unwritable(trouble)])
        held = _read_intact(folder, remote)  # another process may have done the work while this one waited
        if len(held) == len(remote.files):
            return _in_order(remote, held), "cache", []
        if _waited_in_vain(root, remote) >= began:  # for all who queued behind it, this one too
            raise DownloadFailedError(["no mirror has answered another process just now"])
        _sweep(folder)
        return _download(remote, limits, folder, held, [])


def _download(
    remote: RemoteDataset, limits: Limits, folder: Path | None, held: _Arrays, notes: list[str]
) -> tuple[list[NDArray[Any]], str, list[str]]:
    """Fetch what `held` lacks; keep each file in `folder` (None: nowhere) as soon as it is verified."""
    from netchu.datasets.download import Downloader  # here, because a warm cache needs neither urllib nor ssl

    with Downloader(remote, limits) as downloader:
        for file in remote.files:
            if file.name in held:
                continue
            try:
                data = downloader.fetch(file)
            except DownloadFailedError:
                if folder is not None and not downloader.answered:
                    _remember_silence(folder.parent, remote)
                raise
            held[file.name] = parse_idx(data, file.name)
            if folder is None:
                continue
            try:
                folder.mkdir(parents=True, exist_ok=True)
                write_atomically(folder / file.name, data)
            except OSError as error:
                notes.append(_unwritable(error))
                folder = None
        return _in_order(remote, held), f"download {', '.join(downloader.hosts)}", notes


def _remember_silence(root: Path, remote: RemoteDataset) -> None:
    with contextlib.suppress(OSError):
        (root / f"{remote.name}.no-answer").write_bytes(b"")


def _waited_in_vain(root: Path, remote: RemoteDataset) -> float:
    """When a process last learned that no mirror answers, in seconds since the epoch; 0 for never."""
    try:
        return (root / f"{remote.name}.no-answer").stat().st_mtime
    except OSError:
        return 0.0


def _in_order(remote: RemoteDataset, held: _Arrays) -> list[NDArray[Any]]:
    return [held[file.name] for file in remote.files]


def _unwritable(error: BaseException) -> str:
    return (
        f"The data was not kept, because the cache cannot be written ({error}): it will be downloaded again next time. "
        "Make the cache folder writable, or name a folder that holds the data with --data or NETCHU_DATA_DIR."
    )


def _read_intact(folder: Path, remote: RemoteDataset) -> _Arrays:
    """Those files of the cache whose size and SHA-256 are right, by name."""
    found = ((file.name, _read_file(folder / file.name, file)) for file in remote.files)
    return {name: array for name, array in found if array is not None}


def _read_file(path: Path, file: RemoteFile) -> NDArray[Any] | None:
    try:
        if not path.is_file():
            return None
        data = np.empty(file.size, dtype=np.uint8)
        with path.open("rb") as stream:
            whole = os.fstat(stream.fileno()).st_size == file.size and stream.readinto(data.data) == file.size
    except OSError as error:
        _log.info("the cached file %s cannot be read: %s", path, error)
        return None
    if not whole or hashlib.sha256(data.data).hexdigest() != file.sha256:
        _log.info("the cached file %s is damaged and will be fetched again", path)
        return None
    return parse_idx(data, str(path))


@contextlib.contextmanager
def _one_process(root: Path, name: str, timeout: float) -> Iterator[OSError | None]:
    """Hold the lock of one data set; yields what stood in the way when the cache cannot be written to."""
    import filelock

    trouble: OSError | None = None
    try:
        root.mkdir(parents=True, exist_ok=True)
        lock = filelock.FileLock(root / f"{name}.lock", timeout=timeout)
        lock.acquire()
    except filelock.Timeout as error:
        raise DownloadFailedError([f"another process has held {error.lock_file} for {timeout:g} s"]) from error
    except OSError as error:
        trouble = error
    if trouble is not None:
        yield trouble
        return
    try:
        yield None
    finally:
        lock.release()


def _sweep(folder: Path) -> None:
    """Remove what killed downloads left; the lock is held, so none of it belongs to a living one."""
    with contextlib.suppress(OSError):
        for leftover in folder.glob(temporary_name("*", "*")):
            leftover.unlink()
