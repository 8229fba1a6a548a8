"""Saving the model while it trains: after each epoch, after so many batches, or whenever it got better."""

from __future__ import annotations

import math
import os
import re
import warnings
from os import PathLike
from pathlib import Path
from string import Formatter
from typing import Any

import numpy as np

from netchu.arguments import checked_path, is_whole
from netchu.callbacks.base import Logs, State
from netchu.callbacks.monitoring import Monitor
from netchu.errors import ModelFileError, UsageError
from netchu.system.printing import say

MODEL_ENDINGS = (".safetensors", ".keras")
WEIGHTS_ENDING = ".weights.h5"


def _checked_frequency(save_freq: object) -> str | int:
    """Either "epoch" or a number of batches; UsageError, in Keras's words, for anything else."""
    if save_freq == "epoch":
        return "epoch"
    if not is_whole(save_freq) or save_freq < 1:
        words = "ModelCheckpoint: Unrecognized save_freq"
        raise UsageError(words, expected="'epoch' or integer values >= 1", got=f"save_freq={save_freq!r:.60}")
    return int(save_freq)


class ModelCheckpoint(Monitor):
    """Saves the model, or its weights, as training goes on.

        ModelCheckpoint("{epoch:02d}-{val_loss:.2f}.safetensors", save_best_only=True, verbose=1)

    Where a model cannot be saved (disk full, weights that are NaN), a RuntimeWarning names the file, and training goes
    on; it does not count as the best, so the next better one is saved again.  The old file stays whole: files are
    written atomically.

    Args:
        filepath: the file; `{epoch}` and, with `save_freq` in batches, `{batch}` (both from 1) and any figure are
            filled in.  It ends in `.safetensors` (netchu's own) or `.keras`; with `save_weights_only` in `.weights.h5`.
        monitor: the figure that says which model is the best.
        verbose: 1 prints what it does.
        save_best_only: save only a model that is better than all before.
        save_weights_only: save the weights alone.
        mode: "min", "max", or "auto" to ask the metric.
        save_freq: "epoch", or a number of batches; in the middle of an epoch a figure is the mean of its batches so
            far.
        initial_value_threshold: only a model better than this is the first best.

    Attributes:
        best: the figure of the best model that was saved.

    Raises:
        UsageError: another ending or `save_freq`; a folder in the way, or one that cannot be written; a name in
            `filepath` that is no figure.
    """

    def __init__(
        self,
        filepath: str | PathLike[str],
        monitor: str = "val_loss",
        verbose: int = 0,
        save_best_only: bool = False,
        save_weights_only: bool = False,
        mode: str = "auto",
        save_freq: str | int = "epoch",
        initial_value_threshold: float | None = None,
    ) -> None:
        super().__init__(monitor, mode, initial_value_threshold)
        self.filepath = checked_path("ModelCheckpoint", filepath=filepath)
        self.verbose = verbose
        self.save_best_only = save_best_only
        self.save_weights_only = save_weights_only
        self.save_freq = _checked_frequency(save_freq)
        self._epoch = 0
        self._batches_since_saving = self._first = 0
        self._check_ending()
        self._check_fields()

    def _check_ending(self) -> None:
        """Raise UsageError, in Keras's words, if no format is written under the file's name."""
        got = f"filepath={self.filepath!r}"
        if self.save_weights_only and not self.filepath.endswith(WEIGHTS_ENDING):
            words = (
                "When using `save_weights_only=True` in `ModelCheckpoint`, the filepath provided must end in "
                f"`{WEIGHTS_ENDING}`"
            )
            raise UsageError(words, expected="Keras's weights format", got=got)
        if not self.save_weights_only and not self.filepath.endswith(MODEL_ENDINGS):
            words = "The filepath provided must end in `.safetensors` or `.keras`"
            raise UsageError(words, expected="netchu's model format or Keras's", got=got)

    def _check_fields(self) -> None:
        """Raise UsageError for braces in the file's name that no figure could fill."""
        got = f"filepath={self.filepath!r}"
        try:
            fields = [name for _, name, _, _ in Formatter().parse(self.filepath) if name is not None]
            names = {re.split(r"[.\[]", field)[0] for field in fields}
            self._fill_with_anything(names)
        except ValueError as error:
            raise UsageError(
                "ModelCheckpoint",
                expected="a filepath whose {fields} are whole",
                got=f"{got}: {error}",
                do="Double a brace that is part of the name: {{ and }}.",
            ) from None
        if any(not name or name.isdigit() for name in names):
            expected, do = "a name in each pair of braces of filepath", 'Write ModelCheckpoint("{epoch}.keras").'
            raise UsageError("ModelCheckpoint", expected=expected, got=got, do=do)

    def _fill_with_anything(self, names: set[str]) -> None:
        """Raise ValueError if the file's name has a form that neither numbers nor a text have."""
        failed = None
        for value in (0.5, 1, "a"):
            try:
                self.filepath.format(**(dict.fromkeys(names, value) | {"epoch": 1, "batch": 1, "val_loss": 0.5}))
            except (AttributeError, LookupError, TypeError):
                return  # what is asked of a figure is seen when there is one
            except ValueError as error:
                failed = error
            else:
                return
        if failed is not None:
            raise failed

    def foresee(self, figures: frozenset[str]) -> None:
        """Raise UsageError for a name in `filepath` that no figure will have, or whose form no number has."""
        if self.save_best_only:
            super().foresee(figures)
        numbers = {"epoch": 1, **({"batch": 1} if isinstance(self.save_freq, int) else {})}
        if isinstance(self.save_freq, int):
            figures = frozenset(name for name in figures if not name.startswith("val_"))
        else:
            figures |= {"learning_rate"}  # of LearningRateScheduler and ReduceLROnPlateau
        self._formatted({**dict.fromkeys(sorted(figures), 0.5), **numbers})

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Find out now what could not be written later."""
        if os.path.isdir(self.filepath):
            raise UsageError(
                "Please specify a non-directory filepath for ModelCheckpoint",
                expected="the name of a file",
                got=f"filepath={self.filepath!r}, which is a folder",
            )
        wanted = Path(self.filepath.partition("{")[0] + "_").absolute().parent
        folder = next(path for path in (wanted, *wanted.parents) if path.exists())
        if not folder.is_dir() or not os.access(folder, os.W_OK):
            raise UsageError("ModelCheckpoint", expected="a folder that can be written", got=f"{str(folder)!r}")
        if getattr(self.model, "built", False) and not self.save_weights_only:
            self.model.check_savable(self.filepath)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the epoch."""
        self._epoch = epoch

    def next_batch(self, batch: int) -> float:
        """The next batch after which it saves."""
        return batch + self.save_freq - self._batches_since_saving - 1 if isinstance(self.save_freq, int) else math.inf

    def on_train_batch_begin(self, batch: int, logs: Logs | None = None) -> None:
        """Note the first of the batches that are gone through together."""
        self._first = batch

    def on_train_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Save, if it is time for it."""
        if isinstance(self.save_freq, int):
            self._batches_since_saving += batch + 1 - self._first
            if self._batches_since_saving >= self.save_freq:
                self._batches_since_saving = 0
                self._save_if_wanted(self._epoch, {"batch": batch + 1, **(logs or {})})

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Save, if it is time for it."""
        if self.save_freq == "epoch":
            self._save_if_wanted(epoch, logs or {})

    def get_state(self) -> State:
        """The best value, and the batches since the last saving."""
        return {"best": self.best, "batches_since_saving": self._batches_since_saving}

    def set_state(self, state: State) -> None:
        """Go on from there."""
        self.best = state["best"]
        self._batches_since_saving = state["batches_since_saving"]

    def _save_if_wanted(self, epoch: int, logs: dict[str, Any]) -> None:
        try:
            path = self._formatted({**logs, "epoch": epoch + 1})
        except UsageError as error:  # a figure that this epoch lacks, without validation for example
            self._warn(epoch, self.filepath, error)
            return
        if not self.save_best_only:
            self._say(epoch, f"saving model to {path}")
            self._save(epoch, path)
            return
        current = self._watched_scalar(logs)
        if current is None:
            self._save(epoch, path)
            return
        best = "None" if self.best is None else f"{self.best:.5f}"
        if not self.improves(current, self.best):
            self._say(epoch, f"{self.monitor} did not improve from {best}")
            return
        self._say(epoch, f"{self.monitor} improved from {best} to {current:.5f}, saving model to {path}")
        if self._save(epoch, path):
            self.best = current

    def _formatted(self, values: dict[str, Any]) -> str:
        """The file's name with these values in it; UsageError if one is missing, or has another form."""
        try:
            return self.filepath.format(**values)
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            raise UsageError(
                "Failed to format this callback filepath",
                expected=f"names among {', '.join(values)}, which are numbers",
                got=f"{error} in filepath={self.filepath!r}",
            ) from None

    def _watched_scalar(self, logs: dict[str, Any]) -> float | None:
        """The figure that decides; None, with a warning, if there is none to decide by: then every model is saved."""
        current = self.watched(logs, f"Can save best model only with {self.monitor} available.")
        if np.ndim(current) > 0:
            warnings.warn(
                f"Can save best model only when `monitor` is a scalar value. Received: {current}. "
                "Falling back to `save_best_only=False`.",
                stacklevel=2,
            )
            return None
        return None if current is None else float(current)

    def _save(self, epoch: int, path: str) -> bool:
        """Whether the model was saved."""
        try:
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            if self.save_weights_only:
                self.model.save_weights(path)
            else:
                self.model.save(path)
        except (OSError, ModelFileError) as error:
            self._warn(epoch, path, error)
            return False
        self._say(epoch, f"finished saving model to {path}")
        return True

    def _warn(self, epoch: int, path: str, error: Exception) -> None:
        words = f"Epoch {epoch + 1}: the model was not saved to {path}, training goes on: {error}"
        warnings.warn(words, RuntimeWarning, stacklevel=4)

    def _say(self, epoch: int, words: str) -> None:
        if self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: {words}")
