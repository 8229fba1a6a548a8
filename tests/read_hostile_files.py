"""Read files as models in a process of its own, and print what happened to each; `test_hostile_files.py` runs it.

    python read_hostile_files.py GOOD FOLDER [PATH ...]       every file of FOLDER, and the paths
    python read_hostile_files.py --junk EVERY OF FOLDER       junk in every setting; see `hostile_files.junk_files`

An audit hook notes every import, execution, opened file, socket, command and call of the system while a file is read;
time is the processor's, and memory is the greatest that was resident.  An audit hook cannot be taken away: hence the
process.
"""

from __future__ import annotations

import collections
import difflib  # errors.py imports it at the first unknown name: not the file's doing
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from netchu import errors
from netchu.models import Sequential, load_model

FORBIDDEN = (
    "import", "exec", "compile", "open", "socket.", "subprocess.", "pickle.", "marshal.", "os.", "shutil.", "ctypes.",
    "tempfile.", "urllib.", "http.", "builtins.input", "builtins.breakpoint", "glob.",
)  # fmt: skip


class Watch:
    """What a file's reading did, between `begin` and `end`."""

    def __init__(self) -> None:
        self.path: str | None = None
        self.events: list[str] = []
        sys.addaudithook(self.hook)

    def hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Note what a reader of a model must not do."""
        if self.path is None or not event.startswith(FORBIDDEN):
            return
        if not (event == "open" and arguments[0] == self.path):
            self.events.append(f"{event} {arguments!r:.100}")

    def begin(self, path: str) -> None:
        """From now on."""
        self.path, self.events = path, []

    def end(self) -> list[str]:
        """Until now; the events."""
        self.path = None
        return self.events


def peak() -> float:
    """The greatest resident memory so far, in MB; Linux."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024


def forget_peak() -> float:
    """The resident memory now, in MB, from which `peak` begins anew."""
    Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
    return peak()


def read(path: str) -> tuple[str, str, Sequential | None]:
    """(the error's class or "loaded", its message, the model)."""
    try:
        return "loaded", "", load_model(path)
    except Exception as error:
        return type(error).__name__, str(error), None


def reading(watch: Watch, path: str) -> dict[str, Any]:
    """What happened, what it took; the time is the best of three if it is long, for the computer may be busy."""
    found: dict[str, Any] = {"seconds": 1e9}
    for _ in range(3):
        resident, began = forget_peak(), time.process_time()
        watch.begin(path)
        error, message, _ = read(path)
        events = watch.end()
        seconds = min(found["seconds"], time.process_time() - began)
        found = {"error": error, "message": message, "events": events, "seconds": seconds, "growth": peak() - resident}
        if seconds < 0.05:
            break
    return found


def read_folder(good: str, folder: Path, others: list[str]) -> dict[str, dict[str, Any]]:
    """`reading` of each file, by the file's name in `folder`, or its path."""
    assert read(good)[0] == "loaded", read(good)
    assert difflib
    for first in sorted(folder.iterdir())[:40]:  # what is imported at the first error of a kind is not the file's doing
        read(str(first))
    watch = Watch()
    before = os.environ.copy(), dict(sys.modules)
    found = {path: reading(watch, path) for path in others}
    found |= {path.name: reading(watch, str(path)) for path in sorted(folder.iterdir())}
    assert os.environ.copy() == before[0]
    assert set(sys.modules) == set(before[1]), set(sys.modules) ^ set(before[1])
    return found


def outcome_of(model: Sequential) -> str:
    """What a model does that was read: its predictions must be finite."""
    shape = (4, *(n or 3 for n in model.input_shape[1:]))
    samples = np.random.default_rng(0).normal(size=shape).astype("float32")
    try:
        predicted = model.predict(samples, verbose=0)
    except Exception as error:
        return f"predict: {type(error).__name__}: {error}"
    return "works" if np.isfinite(predicted).all() else "predicts NaN or infinity"


def read_junk(every: int, of: int, path: Path) -> dict[str, Any]:
    """How often each thing happened, and the names of the files to which nothing of that kind should."""
    from hostile_files import junk_files

    counts: collections.Counter[str] = collections.Counter()
    wrong: list[str] = []
    watch = Watch()
    for name, data in junk_files(every, of):
        path.write_bytes(data)
        began = time.process_time()
        watch.begin(str(path))
        error, message, model = read(str(path))
        events = watch.end()
        seconds = time.process_time() - began
        outcome = outcome_of(model) if model is not None else error
        counts[outcome] += 1
        if (
            outcome not in ("works", errors.ModelFileError.__name__)
            or events
            or seconds > 0.5
            or not message.isprintable()
        ):
            wrong.append(f"{name}: {outcome} {message} {events} {seconds:.2f} s")
    return {"counts": counts, "wrong": wrong}


if __name__ == "__main__":
    if sys.argv[1] == "--junk":
        json.dump(read_junk(int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]) / "junk.safetensors"), sys.stdout)
    else:
        json.dump(read_folder(sys.argv[1], Path(sys.argv[2]), sys.argv[3:]), sys.stdout)
