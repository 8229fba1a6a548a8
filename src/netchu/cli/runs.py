"""The folder of a training run: what was asked for, how it went, and what it can be resumed from.

    runs/2026-11-22-091500/settings.json     what `netchu train` was asked for; `--resume` asks for the same
                           run.json          what runs, with which versions; see docs/run-log.md
                           metrics.jsonl     how it goes, a line an epoch
                           checkpoints/      the newest three; one when the run is finished

A run folder belongs to one run: a new one is refused where one lies.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from netchu.cli.output import silence_if_broken
from netchu.cli.version import version
from netchu.errors import CheckpointError, DataNotFoundError, NetchuError, UsageError
from netchu.system.disk import temporary_name, write_atomically
from netchu.system.signals import TERMINATING, raise_terminated

SCHEMA = 1


@dataclass(frozen=True)
class RunFolder:
    """A run's folder.

    Attributes:
        path: of the folder.
    """

    path: Path

    @property
    def settings(self) -> Path:
        """The file of what was asked for."""
        return self.path / "settings.json"

    @property
    def checkpoints(self) -> Path:
        """The folder of the checkpoints."""
        return self.path / "checkpoints"

    def begin(self, settings: dict[str, Any]) -> None:
        """Make the folder and write down what was asked for.

        Raises:
            UsageError: a run lies there already.
            NetchuError: the folder cannot be made or written to.
        """
        if self.settings.exists():
            raise UsageError(
                "--run",
                expected="a folder without a run in it",
                got=f"{str(self.path)!r}",
                do=f"To go on with that run: netchu train --resume {self.path}",
            )
        document = {"schema": SCHEMA, "netchu": version(), "train": settings}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for leftover in self.path.glob(temporary_name("settings.json", "*")):  # of a killed process
                leftover.unlink(missing_ok=True)
            write_atomically(self.settings, (json.dumps(document, indent=1) + "\n").encode())
        except OSError as error:
            raise NetchuError(
                "--run", expected="a folder that can be written to", got=f"{str(self.path)!r}: {error.strerror}"
            ) from None

    @contextmanager
    def forgotten_unless_training_begins(self) -> Iterator[None]:
        """After an error before the first epoch, a mistyped name for example, leave no folder behind."""
        try:
            yield
        except NetchuError:
            if not (self.path / "run.json").exists():
                self.settings.unlink(missing_ok=True)
                for folder in (self.checkpoints, self.path):
                    with suppress(OSError):  # it is not there, or holds something else
                        folder.rmdir()
            raise

    def read(self) -> dict[str, Any]:
        """What was asked for.

        Raises:
            DataNotFoundError: there is no run in the folder.
            CheckpointError: its settings cannot be read.
        """
        try:
            document = json.loads(self.settings.read_text(encoding="utf-8"))
        except OSError:
            raise DataNotFoundError(
                "--resume", expected="the folder of a run, with settings.json in it", got=f"{str(self.path)!r}"
            ) from None
        except ValueError as error:
            raise CheckpointError(f"{self.settings}: expected JSON, got {error}.") from None
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise CheckpointError(str(self.settings), expected=f'"schema": {SCHEMA}', got=f"{document!r:.80}")
        if not isinstance(document.get("train"), dict):
            raise CheckpointError(
                str(self.settings), expected='an object "train"', got=f"{document.get('train')!r:.80}"
            )
        return dict(document["train"])


def new_run_folder(given: str | None) -> RunFolder:
    """The folder that was asked for; or a new one, runs/<date-time>, which nobody else gets in the same second."""
    if given is not None:
        return RunFolder(Path(given))
    name = time.strftime("%Y-%m-%d-%H%M%S")
    for number in itertools.count(1):
        path = Path("runs", name if number == 1 else f"{name}-{number}")
        with suppress(FileExistsError):
            path.mkdir(parents=True)
            break
    return RunFolder(path)


def absolute_if_path(data: str | None) -> str | None:
    """A folder or a file by its whole name, so that the run can be resumed from elsewhere; names as they are."""
    return os.path.abspath(data) if data is not None and os.path.exists(data) else data


class LastingStream:
    """A stream for the words of a training: when its terminal is closed they go nowhere, and the run can be saved.

    Args:
        stream: standard error.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream, self.isatty = stream, stream.isatty

    def write(self, text: str) -> None:
        """Write, or lose it."""
        self._try(lambda: self.stream.write(text))

    def flush(self) -> None:
        """Have it shown, or lose it."""
        self._try(self.stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except BrokenPipeError:  # a reader who left, as in `2>&1 | head -1`, ends the command
            raise
        except OSError:
            silence_if_broken(self.stream)


@contextmanager
def ending_by_signal() -> Iterator[None]:
    """While it is open, SIGTERM and SIGHUP raise Terminated, before and after the training too."""
    in_main = threading.current_thread() is threading.main_thread()
    numbers = [n for n in TERMINATING if in_main and signal.getsignal(n) is signal.SIG_DFL]
    for number in numbers:
        signal.signal(number, raise_terminated)
    try:
        yield
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
