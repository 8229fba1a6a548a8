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
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from netchu.errors import CheckpointError, DataNotFoundError, NetchuError, UsageError
from netchu.system import environment
from netchu.system.disk import temporary_name, write_atomically

SCHEMA = 1


@dataclass(frozen=True)
class RunFolder:
    """A run's folder.

    Attributes:
        path: where it is.
        name: what messages call it; its path if empty.
    """

    path: Path
    name: str = ""

    @property
    def _where(self) -> str:
        return self.name or str(self.path)

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
                self._where,
                expected="a folder without a run in it",
                got=f"{str(self.path)!r}",
                do=f"To go on with that run: netchu train --resume {self.path}",
            )
        document = {"schema": SCHEMA, "netchu": environment.version(), "train": settings}
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            for leftover in self.path.glob(temporary_name("settings.json", "*")):  # of a killed process
                leftover.unlink(missing_ok=True)
            write_atomically(self.settings, (json.dumps(document, indent=1) + "\n").encode())
        except OSError as error:
            raise NetchuError(
                self._where, expected="a folder that can be written to", got=f"{str(self.path)!r}: {error.strerror}"
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
                self._where, expected="the folder of a run, with settings.json in it", got=f"{str(self.path)!r}"
            ) from None
        except ValueError as error:
            raise CheckpointError(str(self.settings), expected="JSON", got=f"{error}") from None
        if not isinstance(document, dict) or document.get("schema") != SCHEMA:
            raise CheckpointError(str(self.settings), expected=f'"schema": {SCHEMA}', got=f"{document!r:.80}")
        if not isinstance(document.get("train"), dict):
            raise CheckpointError(
                str(self.settings), expected='an object "train"', got=f"{document.get('train')!r:.80}"
            )
        return dict(document["train"])


def new_run_folder(given: str | None, name: str = "") -> RunFolder:
    """The folder that was asked for; or a new one, runs/<date-time>, which nobody else gets in the same second.

    Args:
        given: its path, or None for a new one.
        name: what messages call it; its path if empty.
    """
    if given is not None:
        return RunFolder(Path(given), name)
    now = time.strftime("%Y-%m-%d-%H%M%S")
    for number in itertools.count(1):
        path = Path("runs", now if number == 1 else f"{now}-{number}")
        with suppress(FileExistsError):
            path.mkdir(parents=True)
            break
    return RunFolder(path, name)
