"""Logs of a run that other programs read: a table of its epochs (CSV), and a run log (JSON lines).

Both files survive a killed process and a full disk (see `appending.py`), and a resumed run goes on in them as if it had
never been cut.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import math
import os
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from os import PathLike
from pathlib import Path
from typing import Any

from netchu import engines, random
from netchu.arguments import check_whole, checked_path
from netchu.callbacks import appending
from netchu.callbacks.base import Callback, Logs, State
from netchu.errors import UsageError
from netchu.registry import to_json
from netchu.system import environment
from netchu.system.disk import temporary_name, write_atomically


class CSVLogger(Callback):
    """Writes a row of figures for each epoch, in Keras's form: `epoch` from 0, then the names in alphabetical order.

    The columns are those of the first epoch; if that had no validation, a `val_` column for each is added.  A figure
    that an epoch does not have is `NA`.  Rows end in CR LF, as CSV's standard (RFC 4180) and Keras have it.

    Args:
        filename: the file; its folder must be there.
        separator: one character.
        append: go on in a file that is there, without a second heading; otherwise the first row begins it anew.

    Raises:
        UsageError: a separator of another length; at the beginning of training, a file that cannot be written.
    """

    def __init__(self, filename: str | PathLike[str], separator: str = ",", append: bool = False) -> None:
        if not isinstance(separator, str) or len(separator) != 1:
            raise UsageError("CSVLogger", expected="separator to be one character", got=f"{separator=}")
        self.filename = checked_path("CSVLogger", filename=filename)
        self.separator = separator
        self.append = append
        self.keys: list[str] | None = None
        self._begun = False

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Find out now whether the file can be written; an old one is left as it is until the first row."""
        appending.check_appendable("CSVLogger", self.filename)
        self.keys = None
        self._begun = self.append

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the row, below the heading if the file is empty."""
        logs = logs or {}
        if not self._begun:
            appending.cut("CSVLogger", self.filename, 0)
            self._begun = True
        if self.keys is None:
            self.keys = sorted(logs)
            if not any(key.startswith("val_") for key in self.keys):
                self.keys += [f"val_{key}" for key in self.keys]
        rows: list[list[Any]] = [[epoch, *(_cell(logs.get(key, "NA")) for key in self.keys)]]
        if not (os.path.exists(self.filename) and os.path.getsize(self.filename)):
            rows.insert(0, ["epoch", *self.keys])
        text = io.StringIO()
        csv.writer(text, delimiter=self.separator).writerows(rows)
        appending.append(self.filename, text.getvalue().encode())

    def get_state(self) -> State:
        """How long the file is, and its columns."""
        return {"size": appending.size_on_disk(self.filename) if self._begun else 0, "keys": self.keys}

    def set_state(self, state: State) -> None:
        """Take away the rows that are to be made again."""
        appending.cut("CSVLogger", self.filename, state["size"])
        self.keys = state["keys"]
        self._begun = True


def _cell(value: Any) -> Any:
    """A list or an array as Keras writes it, `"[1.0, 2.0]"` with its quotes; anything else as it is."""
    single = isinstance(value, str) or getattr(value, "shape", None) == ()
    if isinstance(value, Iterable) and not single:
        return f'"[{", ".join(map(str, value))}]"'
    return value


class RunLog(Callback):
    """Writes what a run is (`run.json`) and how it goes (`metrics.jsonl`) into a folder, for programs that show runs.

    docs/run-log.md specifies both files.  Where `logs` gets figures from other callbacks, put this one after them.

    Args:
        folder: where the two files are; made if it is not there.  A run log that is there begins anew.
        batch_freq: 0, or a number: every so many training steps of an epoch, a line with the figures so far.
        about: what else to keep in `run.json`: JSON values such as the name and the hash of the data.

    Raises:
        UsageError: a wrong `batch_freq`, an `about` that is no JSON; at the beginning of training, a folder that cannot
            be written.
    """

    SCHEMA = 1

    def __init__(
        self, folder: str | PathLike[str], batch_freq: int = 0, about: Mapping[str, Any] | None = None
    ) -> None:
        check_whole("RunLog", batch_freq=batch_freq)
        self.folder = Path(checked_path("RunLog", folder=folder))
        self.batch_freq = batch_freq
        if about is not None and not isinstance(about, Mapping):
            raise UsageError("RunLog", expected="about as a dictionary", got=f"about={about!r:.60}")
        self.about = dict(about or {})
        try:
            json.dumps(self.about, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError("RunLog", expected="about as JSON values", got=str(error)) from None
        self.metrics_path = self.folder / "metrics.jsonl"
        self.run_path = self.folder / "run.json"
        self._begun = False
        self._began = 0.0  # on the monotonic clock
        self._started = ""
        self._resumed: list[str] = []
        self._epoch = 0

    # --- hooks -------------------------------------------------------------------------------------------------------

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Find out now whether the folder can be written; an old log is left as it is until the first batch."""
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            for leftover in self.folder.glob(temporary_name("run.json", "*")):  # of a killed process
                leftover.unlink(missing_ok=True)
        appending.check_appendable("RunLog", self.metrics_path)
        self._begun = False
        self._began = time.monotonic()
        self._started = _now()
        self._resumed = []

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def next_batch(self, batch: int) -> float:
        """The next batch that gets a line."""
        every = self.batch_freq
        return -(-(batch + 1) // every) * every - 1 if every else math.inf

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Begin the files, unless `set_state` came first: this is the earliest hook after it."""
        self._begin()

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Write a line, if it is time for one."""
        if self.batch_freq and (batch + 1) % self.batch_freq == 0:
            self._write("batch", epoch=self._epoch, batch=batch, step=self._step(), logs=logs)

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Write the epoch's line."""
        self._write("epoch", epoch=epoch, step=self._step(), logs=logs)

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Write the last line, and how the run ended."""
        self._begin()
        status = "interrupted" if getattr(self.model.history, "interrupted", False) else "finished"
        self._write("end", step=self._step(), status=status)
        self._write_run(status)

    # --- state -------------------------------------------------------------------------------------------------------

    def get_state(self) -> State:
        """How long the log is, and its clock."""
        return {
            "size": appending.size_on_disk(self.metrics_path) if self._begun else 0,
            "time": time.monotonic() - self._began,
            "started": self._started,
            "resumed": list(self._resumed),
        }

    def set_state(self, state: State) -> None:
        """Take away the lines that are to be made again, and let the clock go on."""
        appending.cut("RunLog", self.metrics_path, state["size"])
        self._began = time.monotonic() - state["time"]
        self._started = state["started"]
        self._resumed = [*state["resumed"], _now()]
        self._begun = appending.size_on_disk(self.metrics_path) > 0
        self._write_run("running")

    # --- the files ---------------------------------------------------------------------------------------------------

    def _begin(self) -> None:
        if not self._begun:
            self._begun = True
            appending.cut("RunLog", self.metrics_path, 0)
            self._write_run("running")
            epochs = self.params["epochs"]
            steps = self.params["steps"]
            self._write("begin", schema=self.SCHEMA, epochs=epochs, steps=steps)

    def _step(self) -> int:
        return int(self.model.optimizer.iterations)

    def _write(self, event: str, logs: Logs | None = None, **fields: Any) -> None:
        line = {"event": event, "time": round(time.monotonic() - self._began, 3), **fields}
        if logs is not None:
            line["logs"] = {name: _figure(value) for name, value in logs.items()}
        appending.append(self.metrics_path, (json.dumps(line, allow_nan=False) + "\n").encode())

    def _write_run(self, status: str) -> None:
        engine = engines.current()
        model = self.model
        run = {
            "schema": self.SCHEMA,
            "status": status,
            "started": self._started,
            "resumed": self._resumed,
            "ended": None if status == "running" else _now(),
            "process": os.getpid(),
            "netchu": environment.version(),
            "engine": {"name": engine.name, "version": engine.version(), "threads": engine.threads()},
            "seed": random.seed(),
            "epochs": self.params["epochs"],
            "steps": self.params["steps"],
            "model": {
                "name": model.name,
                "parameters": model.count_params() if model.built else None,
                "config": to_json(model.get_config()),
            },
            "optimizer": to_json(model.optimizer),
            "loss": to_json(model.loss),
            "about": self.about,
        }
        try:
            write_atomically(self.run_path, (json.dumps(_plain(run), indent=1) + "\n").encode())
        except OSError as error:
            appending.warn_lost(self.run_path, error)


def _figure(value: Any) -> Any:
    """A number as JSON has it: NaN and the infinities, which JSON lacks, as "NaN", "Infinity" and "-Infinity"."""
    try:
        number = float(value)
    except (TypeError, ValueError):
        return str(value)
    if math.isfinite(number):
        return number
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _plain(value: Any) -> Any:
    """`value` in strict JSON: numbers as `_figure` has them, and anything else that JSON lacks as its repr."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return _figure(value)
    return value if value is None or isinstance(value, (str, int)) else repr(value)


def _now() -> str:
    """The time of day in UTC, e.g. "2026-01-31T12:00:00Z"."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
