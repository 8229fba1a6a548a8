"""`fit`, `evaluate` and `predict`: from their arguments to the loop and back.

What becomes of the data stands in `data.py`, the loop of `fit` in `loop.py`, what a step does in `step.py`.
"""

from __future__ import annotations

import itertools
import sys
import warnings
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import numpy as np

from netchu import engines
from netchu.arguments import check_whole
from netchu.callbacks import BackupAndRestore, Callback, CallbackList, History
from netchu.callbacks.averaging import EndWithAverages
from netchu.callbacks.base import Logs, listed
from netchu.callbacks.progress import ProgressLine, checked_verbose
from netchu.callbacks.stopping import wants_nan
from netchu.errors import DataError, UsageError
from netchu.listening import listener
from netchu.operation import here
from netchu.system.signals import Interruption, Terminated
from netchu.training.arrays import as_array, is_arrays, weights_for_classes
from netchu.training.batches import Batches
from netchu.training.checks import check_input
from netchu.training.data import checked_arrays, evaluation_data, prediction_data, refuse_both_weights, training_data
from netchu.training.loop import Run, Saver, Validate, alphabetical, run_epochs
from netchu.training.resuming import Keeper, fingerprint
from netchu.training.step import Learner
from netchu.training.traced import line_by_line

Figures: TypeAlias = float | list[float] | dict[str, float]
"""The loss alone, [loss, metric, ...], or all of them by name."""

NO_VALIDATION = (
    "The validation data gave no batch after epoch {epoch}, which has no val_ figures: expected an iterable that can "
    "be gone through again for each epoch, or an endless one with validation_steps."
)

_running: WeakKeyDictionary[Trainer, Interruption] = WeakKeyDictionary()
"""The models whose `fit` is running, and what ends it.  It is no attribute of the model: all of those are asked whether
they are netchu's own code, and the signal handlers that an Interruption keeps are not."""


class Trainer(Learner):
    """A Layer that can be trained, evaluated and asked for predictions.  `Sequential` is one.

    Attributes:
        history: of the last `fit`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.history: History | None = None

    # --- fit ---------------------------------------------------------------------------------------------------------

    def fit(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: int | str = "auto",
        callbacks: Sequence[Callback] | Callback | None = None,
        validation_split: float = 0.0,
        validation_data: Any = None,
        shuffle: bool | str = True,
        class_weight: Mapping[int, float] | None = None,
        sample_weight: Any = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: int | Sequence[int] = 1,
    ) -> History:
        """Train for a number of epochs.

        Args:
            x: samples (n, ...), an iterable of batches `(x, y)` or `(x, y, sample_weight)`, or an object that gives
                them by number, such as Keras's `PyDataset`.
            y: targets (n, ...).
            batch_size: samples a step; 32 if None.
            epochs: the number of the epoch to stop before, counted from 0.
            verbose: "auto" or 1 a bar, 2 a line an epoch, 0 nothing, "steps:100" the loss every 100 steps.
            callbacks: see `netchu.callbacks`.
            validation_split: the share of the samples, taken from the end before shuffling, that is only evaluated.
            validation_data: `(x, y)`, `(x, y, sample_weight)` or an iterable of batches; goes before the split.
            shuffle: a new order each epoch (True), the given one (False), or shuffled within batches ("batch").
            class_weight: label -> weight of its samples in the loss.
            sample_weight: (n,), the weight of each sample in the loss.
            initial_epoch: the number of the first epoch.
            steps_per_epoch: batches an epoch; the data is gone through again and again.
            validation_steps: batches of validation.
            validation_batch_size: as `batch_size` if None.
            validation_freq: validate every so many epochs, or after the epochs in a list (counted from 1).

        Returns:
            History: `history.history["loss"]` and so on; `history.interrupted` after Ctrl-C.

        Raises:
            UsageError, DataError: before the first step, with what was expected and what came.
            TrainingError: the loss became NaN or infinite; the weights are those of before it did.

        Whatever ends it in the middle, `model.history` has the figures of the epochs that were reached.
        """
        self.check_compiled("fit")
        _check_counts(epochs, initial_epoch, steps_per_epoch, validation_steps, validation_freq)
        size = 32 if batch_size is None else batch_size
        finite = not wants_nan(callbacks)
        data, held_back = training_data(
            self, x, y, sample_weight, class_weight,
            batch_size=size, shuffle=shuffle, validation_split=validation_split, finite=finite,
        )  # fmt: skip
        given = held_back if validation_data is None else validation_data
        validation_size = size if validation_batch_size is None else validation_batch_size
        validation = None if given is None else evaluation_data("fit", self, given, validation_size, finite=finite)
        self.history = History()
        hooks = self._hooks(callbacks, verbose, epochs, steps_per_epoch or data.steps, self.history)
        hooks.foresee(self.figure_names(validated=validation is not None))
        validate = self._validator(validation, validation_steps, validation_freq)
        run = Run(data, range(initial_epoch, epochs), steps_per_epoch, hooks, self.history, validate)
        settings = {"shuffle": shuffle, "steps_per_epoch": steps_per_epoch, "initial_epoch": initial_epoch,
                    "validation_freq": validation_freq, "validation_steps": validation_steps}  # fmt: skip
        with self._saver(run, validation, settings) as saver:
            self._run(run, saver)
        return self.history

    def figure_names(self, validated: bool) -> frozenset[str]:
        """The names of the figures of an epoch."""
        names = {*self.metrics_names, *(self.measures.names if self.measures is not None else ())}
        return frozenset(names | {f"val_{name}" for name in names} if validated else names)

    def _saver(self, run: Run, validation: Batches | None, settings: dict[str, Any]) -> AbstractContextManager[Saver]:
        """Who keeps the run: the `BackupAndRestore` among the callbacks, if there is one."""
        backups = [c for c in run.hooks.callbacks if isinstance(c, BackupAndRestore)]
        if len(backups) > 1:
            raise UsageError("fit", expected="one BackupAndRestore", got=f"{len(backups)} among the callbacks")
        if not backups:
            return nullcontext(Saver())
        return Keeper(backups[0], self, run.data, run.hooks, fingerprint(self, run.data, validation, settings))

    def _run(self, run: Run, saver: Saver) -> None:
        """The epochs, on the engine that is set now, until their end or a signal's."""
        with engines.held(), Interruption(resumable=saver.resumable) as interruption:
            around = _running.get(self)  # a callback may call fit
            _running[self] = interruption
            try:
                run_epochs(self, run, saver, interruption)
            finally:
                del _running[self]
                if around is not None:
                    _running[self] = around
        if interruption.terminated:
            raise Terminated
        if not run.history.interrupted:  # no signal is held back any more that would say "resume" of what goes here
            saver.finish()

    def interrupt(self) -> bool:
        """End a running `fit` as the first Ctrl-C does: after its batch, with a History that says so.

        May be called from any thread.  A run that keeps checkpoints can be resumed.

        Returns:
            Whether a fit was running.
        """
        interruption = _running.get(self)
        if interruption is not None:
            interruption.requested = True
        return interruption is not None

    def _validator(self, data: Batches | None, steps: int | None, every: int | Sequence[int]) -> Validate:
        """What validates after an epoch, if it is due."""

        def validate(epoch: int, hooks: CallbackList, stop: Callable[[], bool]) -> Logs | None:
            due = epoch + 1 in every if isinstance(every, Collection) else (epoch + 1) % every == 0
            if data is None or not due:
                return {}
            figures = self._evaluate(data, steps, hooks, stop)
            if figures == {}:
                warnings.warn(NO_VALIDATION.format(epoch=epoch), stacklevel=6)
            return None if figures is None else {f"val_{name}": value for name, value in figures.items()}

        return validate

    # --- evaluate, predict -------------------------------------------------------------------------------------------

    def evaluate(
        self,
        x: Any = None,
        y: Any = None,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        sample_weight: Any = None,
        steps: int | None = None,
        callbacks: Sequence[Callback] | Callback | None = None,
        return_dict: bool = False,
    ) -> Figures:
        """The loss and the metrics on samples that are not learnt from.

        Args:
            x: samples (n, ...), or an iterable of batches.
            y: targets (n, ...).
            batch_size: samples at a time; 32 if None.
            verbose: as for `fit`.
            sample_weight: (n,).
            steps: batches to look at; all if None.
            callbacks: see `netchu.callbacks`.
            return_dict: return name -> value.

        Returns:
            The loss (a float), or with metrics [loss, metric, ...] in compile order; or the dictionary.
        """
        self.check_compiled("evaluate")
        check_whole("evaluate", 1, sys.maxsize, or_none=True, steps=steps)
        given = x if y is None else (x, y) if sample_weight is None else (x, y, sample_weight)
        data = evaluation_data("evaluate", self, given, 32 if batch_size is None else batch_size)
        with engines.held():
            logs = self._evaluate(data, steps, self._hooks(callbacks, verbose, 1, steps or data.steps)) or {}
        if not logs:
            raise DataError("evaluate", expected="at least one batch", got="none")
        return alphabetical(logs) if return_dict else as_keras_returns(logs)

    def _evaluate(
        self, data: Batches, steps: int | None, hooks: CallbackList, stop: Callable[[], bool] = lambda: False
    ) -> Logs | None:
        """The figures over the batches, in compile order; None if `stop` says before the end that it is to stop.

        There are none where the data gave no batch.
        """
        self.reset_metrics()
        hooks.on_test_begin()
        logs: Logs = {}
        for step, batch in enumerate(itertools.islice(data.epoch(0), steps)):
            if stop():
                return None
            hooks.on_test_batch_begin(step)
            logs = self.step_function("test", batch)(batch)
            hooks.on_test_batch_end(step, alphabetical(logs))
        hooks.on_test_end(alphabetical(logs))
        return logs

    def predict(
        self,
        x: Any,
        batch_size: int | None = None,
        verbose: int | str = "auto",
        steps: int | None = None,
        callbacks: Sequence[Callback] | Callback | None = None,
    ) -> np.ndarray:
        """The outputs for samples (n, ...), as a NumPy array (n, ...), rows in order.

        Args:
            x: samples, or an iterable of batches.
            batch_size: samples at a time; 32 if None.
            verbose: as for `fit`.
            steps: batches to go through; all if None.
            callbacks: see `netchu.callbacks`.
        """
        check_whole("predict", 1, sys.maxsize, or_none=True, batch_size=batch_size, steps=steps)
        if is_arrays(x):
            x = samples = as_array(x, "x")
            alone = samples.ndim > 0 and len(samples) == 1 and not callbacks and verbose == 0
            if alone and batch_size is None and steps is None:
                return self.predict_on_batch(samples)  # nobody looks on: no need of a loop
        data = prediction_data(self, x, 32 if batch_size is None else batch_size)
        hooks = self._hooks(callbacks, verbose, 1, steps or data.steps)
        with engines.held():
            return self._predict(data, steps, hooks)

    def _predict(self, data: Batches, steps: int | None, hooks: CallbackList) -> np.ndarray:
        """The outputs for the batches, one below the other."""
        hooks.on_predict_begin()
        outputs = []
        for step, batch in enumerate(itertools.islice(data.epoch(0), steps)):
            hooks.on_predict_batch_begin(step)
            batch = (batch[0], None, None)
            outputs.append(self.step_function("predict", batch)(batch))
            hooks.on_predict_batch_end(step, {"outputs": outputs[-1]})
        if not outputs:
            raise DataError("predict", expected="at least one batch", got="none")
        hooks.on_predict_end()
        return np.concatenate(outputs)

    # --- one batch ---------------------------------------------------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Figures:
        """One training step.  Returns as `evaluate` does, the figures of this batch.

        While a tape is open in this thread, or somebody listens (`netchu.listening`), the step is run line by line,
        so that they see all of it.
        """
        refuse_both_weights("train_on_batch", class_weight, sample_weight)
        if class_weight is not None:
            sample_weight = weights_for_classes("train_on_batch", as_array(y, "y"), class_weight)
        return self._on_batch("train", x, y, sample_weight, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Figures:
        """The figures of one batch, without learning; see `train_on_batch`."""
        return self._on_batch("test", x, y, sample_weight, return_dict)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """The outputs for one batch."""
        batch = (check_input(self, as_array(x, "x")), None, None)
        return np.array(self.step_function("predict", batch)(batch))

    def _on_batch(self, mode: str, x: Any, y: Any, sample_weight: Any, return_dict: bool) -> Figures:
        where = f"{mode}_on_batch"
        self.check_compiled(where)
        arrays = checked_arrays(where, self, x, y, sample_weight)
        batch = (arrays["x"], arrays.get("y"), arrays.get("sample_weight"))
        self.reset_metrics()
        watched = bool(here.tapes) or listener() is not None
        step = line_by_line(self, mode, batch) if watched else self.step_function(mode, batch)
        logs = step(batch)
        return alphabetical(logs) if return_dict else as_keras_returns(logs)

    def _hooks(
        self,
        callbacks: Sequence[Callback] | Callback | None,
        verbose: int | str,
        epochs: int,
        steps: int | None,
        *own: Callback,
    ) -> CallbackList:
        """The user's callbacks, then those of `fit`, then the progress line, unless the user brings one.

        Before all stands what ends a training with averaged weights, so that `on_train_end` of the others finds them.
        """
        averaging = [EndWithAverages()] if self.optimizer is not None and self.optimizer.use_ema else []
        given = [*averaging, *listed(callbacks), *own]
        shown = checked_verbose(verbose)
        if shown != 0 and not any(isinstance(callback, ProgressLine) for callback in given):
            given.append(ProgressLine(shown))
        return CallbackList(given, self, {"verbose": verbose, "epochs": epochs, "steps": steps})


def _check_counts(
    epochs: int,
    initial_epoch: int,
    steps_per_epoch: int | None,
    validation_steps: int | None,
    validation_freq: int | Sequence[int],
) -> None:
    """Raise UsageError for a count that is no whole number; a list of epochs to validate after may hold anything."""
    check_whole("fit", epochs=epochs, initial_epoch=initial_epoch)
    steps = {"steps_per_epoch": steps_per_epoch, "validation_steps": validation_steps}
    check_whole("fit", 1, sys.maxsize, or_none=True, **steps)
    if isinstance(validation_freq, str) or not isinstance(validation_freq, Collection):
        check_whole("fit", 1, validation_freq=validation_freq)


def as_keras_returns(logs: Logs) -> float | list[float]:
    """The loss alone as a float, or a list [loss, metric, ...]."""
    values = list(logs.values())
    return values if len(values) > 1 else values[0]
