"""Where the executables that JAX compiled are kept from one process to the next: a folder in the user's cache.

    ~/.cache/netchu/compiled/jax-0.10.2-6e5d5c1a0b2f/

An executable holds instructions of the processor that it was compiled for, so the folder's name holds a digest of what
the processor can do, beside the compiler's version.  `NETCHU_COMPILATION_CACHE=0` keeps nothing.

Limits: all versions together are cut back to half of `MOST_BYTES` when they have grown larger, oldest files first.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
from pathlib import Path

from netchu.system import environment
from netchu.system.disk import cache_folder

SWITCH = "NETCHU_COMPILATION_CACHE"
MOST_BYTES = 256 << 20


def executables_folder(compiler: str) -> Path | None:
    """The folder for the executables of a compiler, `"jax-0.10.2"`; None if it cannot be made, or none is wanted."""
    if not environment.switch(SWITCH, default=True):
        return None
    try:
        root = cache_folder() / "compiled"
        folder = root / f"{compiler}-{hashlib.sha256(processor().encode()).hexdigest()[:12]}"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not is_ours(folder):
            return None
        cut_back(root)
    except OSError:
        return None
    return folder


def is_ours(folder: Path) -> bool:
    """Whether nobody but this user can write there: what lies in it will be run."""
    about = folder.stat()
    return not hasattr(os, "getuid") or (about.st_uid == os.getuid() and not about.st_mode & 0o022)


def processor() -> str:
    """What the processor is and can do, in the words of the system."""
    told = [platform.machine(), platform.processor()]
    with contextlib.suppress(OSError):
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").partition("\n\n")[0].splitlines()
        told += [line for line in lines if line.startswith(("model name", "flags", "Features", "CPU part"))]
    return "\n".join(told)


def cut_back(root: Path, most: int = MOST_BYTES) -> None:
    """Remove the oldest files below a folder that holds more bytes than `most`, until it holds half of that."""
    found = [(path, path.stat()) for path in root.rglob("*") if path.is_file()]
    held = sum(about.st_size for _, about in found)
    if held <= most:
        return
    for path, about in sorted(found, key=lambda item: item[1].st_mtime):
        with contextlib.suppress(OSError):
            path.unlink()
        held -= about.st_size
        if held <= most // 2:
            return
