"""`fit`, `evaluate` and `predict`: what becomes of their arguments.

The loop of `fit` stands in `loop.py`, what a step does in `stepping.py`, how data becomes batches in `batches.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from netchu.callbacks import BackupAndRestore, Callback, CallbackList, History
from netchu.callbacks.averaging import EndWithAverages
from netchu.callbacks.progress import ProgressLine, checked_verbose
from netchu.errors import DataError, UsageError
from netchu.random import next_stream
from netchu.training import checks
from netchu.training.batches import (
    ArrayBatches,
    Batch,
    Batches,
    IterableBatches,
    as_array,
    is_arrays,
    split_validation,
    unpack_x_y_sample_weight,
    weights_for_classes,
)
from netchu.training.loop import Run, alphabetical, run_epochs
from netchu.training.resuming import Keeper, fingerprint
from netchu.training.step import Logs, Stepping


class Trainer(Stepping):
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
            x: samples (n, ...), or an iterable of batches `(x, y)` or `(x, y, sample_weight)`.
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
        """
        self._check_ready()
        size = 32 if batch_size is None else batch_size
        check_whole(epochs=epochs, initial_epoch=initial_epoch)
        check_whole(1, steps_per_epoch=steps_per_epoch, validation_steps=validation_steps)
        if isinstance(validation_freq, (int, float, np.number)):
            check_whole(1, validation_freq=validation_freq)
        data, held_back = self._training_data(x, y, sample_weight, class_weight, size, shuffle, validation_split)
        given = held_back if validation_data is None else validation_data
        validation_size = size if validation_batch_size is None else validation_batch_size
        validation = None if given is None else self._evaluation_data(given, validation_size)
        self.history = History()
        run = Run(
            data,
            range(initial_epoch, epochs),
            steps_per_epoch,
            self._listeners(callbacks, verbose, epochs, steps_per_epoch or data.steps, self.history),
            self.history,
            self._validator(validation, validation_steps, validation_freq),
        )
        backups = [c for c in run.listeners.callbacks if isinstance(c, BackupAndRestore)]
        if len(backups) > 1:
            raise UsageError("fit", expected="one BackupAndRestore", got=f"{len(backups)} among the callbacks")
        if not backups:
            run_epochs(self, run)
            return self.history
        settings = {
            "shuffle": shuffle,
            "steps_per_epoch": steps_per_epoch,
            "initial_epoch": initial_epoch,
            "validation_freq": validation_freq,
            "validation_steps": validation_steps,
        }
        with Keeper(backups[0], self, data, run.listeners, fingerprint(self, data, validation, settings)) as keeper:
            run_epochs(self, run, keeper)
        return self.history

    def _validator(
        self, data: Batches | None, steps: int | None, every: int | Sequence[int]
    ) -> Callable[[int, CallbackList, Callable[[], bool]], Logs | None]:
        """What validates after an epoch, if it is due: see `Run.validate`."""

        def validate(epoch: int, listeners: CallbackList, stop: Callable[[], bool]) -> Logs | None:
            due = (epoch + 1) % every == 0 if isinstance(every, (int, np.integer)) else epoch + 1 in every
            if data is None or not due:
                return {}
            figures = self._evaluate(data, steps, listeners, stop)
            return None if figures is None else {f"val_{name}": value for name, value in figures.items()}

        return validate

    def _training_data(
        self,
        x: Any,
        y: Any,
        sample_weight: Any,
        class_weight: Mapping[int, float] | None,
        batch_size: int,
        shuffle: bool | str,
        validation_split: float,
    ) -> tuple[Batches, tuple[Any, ...] | None]:
        """The batches to train on, and the arrays held back for validation (or None)."""
        if class_weight is not None and sample_weight is not None:
            raise UsageError("fit: expected class_weight or sample_weight, got both. Multiply them into sample_weight.")
        if not is_arrays(x):
            batches = self._checked_iterable(x, class_weight)
            if y is not None or sample_weight is not None:
                raise UsageError(
                    "fit",
                    expected="x alone when it is an iterable of batches",
                    got=f"x={type(x).__name__} with y or sample_weight",
                    do="Let it yield (x, y) or (x, y, sample_weight).",
                )
            if validation_split:
                raise UsageError(
                    "fit",
                    expected="arrays for a validation split",
                    got=f"x={type(x).__name__}",
                    do="Pass validation_data instead.",
                )
            return batches, None
        if y is None:
            raise UsageError("fit", expected="targets", got="y=None", do="Write fit(x, y).")
        arrays = self._checked_arrays(x, y, sample_weight)
        held_back = None
        if validation_split:
            arrays, last = split_validation(arrays, validation_split)
            checks.warn_missing_classes(arrays["y"], last["y"])
            held_back = tuple(last.values())
        if class_weight is not None:
            arrays["sample_weight"] = weights_for_classes(arrays["y"], class_weight)
        return ArrayBatches(**arrays, batch_size=batch_size, shuffle=shuffle, stream=next_stream()), held_back

    def _checked_arrays(self, x: Any, y: Any, sample_weight: Any) -> dict[str, np.ndarray]:
        named = {"x": x, "y": y, "sample_weight": sample_weight}
        arrays = {name: as_array(a, name) for name, a in named.items() if a is not None}
        checks.check_training_data(self, arrays)
        return arrays

    def _checked_iterable(self, iterable: Iterable[Any], class_weight: Mapping[int, float] | None) -> Batches:
        def checked(batch: Batch) -> Batch:
            if batch[1] is None and self.loss is not None:
                raise DataError("fit", expected="batches (x, y) or (x, y, sample_weight)", got="a batch without y")
            arrays = self._checked_arrays(*batch)
            if class_weight is not None:
                arrays["sample_weight"] = weights_for_classes(arrays["y"], class_weight)
            return arrays["x"], arrays.get("y"), arrays.get("sample_weight")

        return IterableBatches(iterable, checked)

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
    ) -> Any:
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
        self._check_ready()
        check_whole(1, steps=steps)
        given = x if y is None else (x, y) if sample_weight is None else (x, y, sample_weight)
        data = self._evaluation_data(given, 32 if batch_size is None else batch_size)
        logs = self._evaluate(data, steps, self._listeners(callbacks, verbose, 1, steps or data.steps)) or {}
        return alphabetical(logs) if return_dict else as_keras_returns(logs)

    def _evaluation_data(self, data: Any, batch_size: int) -> Batches:
        batches = isinstance(data, list) and len(data) > 0 and isinstance(data[0], tuple)
        if isinstance(data, (tuple, list)) and not batches and len(data) in (2, 3) and is_arrays(data[0]):
            arrays = self._checked_arrays(*unpack_x_y_sample_weight(data))
            return ArrayBatches(arrays["x"], arrays["y"], arrays.get("sample_weight"), batch_size=batch_size)
        if data is None or is_arrays(data):
            raise UsageError("evaluate", expected="targets", got="y=None", do="Write evaluate(x, y).")
        return self._checked_iterable(data, None)

    def _evaluate(
        self, data: Batches, steps: int | None, listeners: CallbackList, stop: Callable[[], bool] = lambda: False
    ) -> Logs | None:
        """The figures over the batches, in compile order; None if `stop` says before the end that it is to stop."""
        self.reset_metrics()
        listeners.on_test_begin()
        logs: Logs = {}
        for step, batch in enumerate(itertools.islice(data.epoch(0), steps)):
            if stop():
                return None
            listeners.on_test_batch_begin(step)
            logs = self.step_function("test", batch)(batch)
            listeners.on_test_batch_end(step, alphabetical(logs))
        if not logs:
            raise DataError("evaluate", expected="at least one batch", got="none")
        listeners.on_test_end(alphabetical(logs))
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
        if is_arrays(x):
            size, samples = 32 if batch_size is None else batch_size, as_array(x, "x")
            alone = samples.ndim > 0 and len(samples) == 1 and not callbacks and verbose == 0
            if alone and batch_size is None and steps is None:
                return self.predict_on_batch(samples)  # nobody looks on: no need of a loop
            data: Batches = ArrayBatches(checks.check_input(self, samples), batch_size=size)
        else:
            data = IterableBatches(x)
        check_whole(1, steps=steps)
        listeners = self._listeners(callbacks, verbose, 1, steps or data.steps)
        listeners.on_predict_begin()
        outputs = []
        for step, batch in enumerate(itertools.islice(data.epoch(0), steps)):
            listeners.on_predict_batch_begin(step)
            batch = (batch[0], None, None)
            outputs.append(self.step_function("predict", batch)(batch))
            listeners.on_predict_batch_end(step, {"outputs": outputs[-1]})
        if not outputs:
            raise DataError("predict", expected="at least one batch", got="none")
        listeners.on_predict_end()
        return np.concatenate(outputs)

    # --- one batch ---------------------------------------------------------------------------------------------------

    def train_on_batch(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        class_weight: Mapping[int, float] | None = None,
        return_dict: bool = False,
    ) -> Any:
        """One training step.  Returns as `evaluate` does, the figures of this batch."""
        if class_weight is not None and sample_weight is not None:
            raise UsageError("train_on_batch: expected class_weight or sample_weight, got both. Multiply them.")
        if class_weight is not None:
            sample_weight = weights_for_classes(as_array(y, "y"), class_weight)
        return self._on_batch("train", x, y, sample_weight, return_dict)

    def test_on_batch(self, x: Any, y: Any = None, sample_weight: Any = None, return_dict: bool = False) -> Any:
        """The figures of one batch, without learning; see `train_on_batch`."""
        return self._on_batch("test", x, y, sample_weight, return_dict)

    def predict_on_batch(self, x: Any) -> np.ndarray:
        """The outputs for one batch."""
        batch = (checks.check_input(self, as_array(x, "x")), None, None)
        return np.array(self.step_function("predict", batch)(batch))

    def _on_batch(self, mode: str, x: Any, y: Any, sample_weight: Any, return_dict: bool) -> Any:
        self._check_ready(each_batch=True)
        arrays = self._checked_arrays(x, y, sample_weight)
        batch = (arrays["x"], arrays.get("y"), arrays.get("sample_weight"))
        self.reset_metrics()
        logs = self.step_function(mode, batch)(batch)
        return alphabetical(logs) if return_dict else as_keras_returns(logs)

    def _listeners(
        self,
        callbacks: Sequence[Callback] | Callback | None,
        verbose: int | str,
        epochs: int,
        steps: int | None,
        *own: Callback,
    ) -> CallbackList:
        """The user's callbacks, then one's own, then the progress line, unless the user brings one.

        Before all stands what ends a training with averaged weights, so that `on_train_end` of the others finds them.
        """
        averaging = [EndWithAverages()] if self.optimizer is not None and self.optimizer.use_ema else []
        given = [*averaging, *([callbacks] if isinstance(callbacks, Callback) else callbacks or ()), *own]
        shown = checked_verbose(verbose)
        if shown != 0 and not any(isinstance(callback, ProgressLine) for callback in given):
            given.append(ProgressLine(shown))
        return CallbackList(given, self, {"verbose": verbose, "epochs": epochs, "steps": steps})


def check_whole(least: int = 0, **numbers: Any) -> None:
    """Raise UsageError unless each is None or a whole number from `least` on."""
    for name, number in numbers.items():
        if number is None:
            continue
        if isinstance(number, bool) or not isinstance(number, (int, np.integer)) or number < least:
            raise UsageError("fit", expected=f"{name} to be a whole number >= {least}", got=f"{name}={number!r}")


def as_keras_returns(logs: Logs) -> Any:
    """The loss alone as a float, or a list [loss, metric, ...]."""
    values = list(logs.values())
    return values if len(values) > 1 else values[0]
