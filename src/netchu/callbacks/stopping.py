"""Ending a training before its last epoch: when it gets no better, and when the loss is no number any more."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from netchu.callbacks.base import Callback, Logs, State
from netchu.callbacks.monitoring import Monitor
from netchu.errors import TrainingError
from netchu.system.printing import say


class EarlyStopping(Monitor):
    """Stops training when a figure has not got better for some epochs.

    `wait` counts the epochs since the last better one, and training stops at the end of an epoch that is no better and
    has `wait >= patience`.  So, in Keras and here, patience 0 and patience 1 are the same, and the very first epoch
    never stops.

    Args:
        monitor: the figure to watch.
        min_delta: the least change that counts as better.
        patience: how many epochs in a row may be no better.
        verbose: 1 prints what it does at the end of training.
        mode: "min", "max", or "auto" to ask the metric.
        baseline: `wait` starts anew only by values that are better than this, too.
        restore_best_weights: whether training ends with the weights of the best epoch, also when no epoch stopped it.
        start_from_epoch: epochs before this one (counted from 0) are not looked at.

    Attributes:
        wait, best, best_epoch, stopped_epoch, best_weights: where it stands; epochs count from 0.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        min_delta: float = 0,
        patience: int = 0,
        verbose: int = 0,
        mode: str = "auto",
        baseline: float | None = None,
        restore_best_weights: bool = False,
        start_from_epoch: int = 0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        self.patience = patience
        self.verbose = verbose
        self.baseline = baseline
        self.restore_best_weights = restore_best_weights
        self.start_from_epoch = start_from_epoch
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best_weights: list[Any] | None = None

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget the fit before."""
        self.wait = self.stopped_epoch = self.best_epoch = 0
        self.best = None
        self.best_weights = None

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Look at the figure, and decide."""
        current = self.watched(
            logs,
            f"Early stopping conditioned on metric `{self.monitor}` which is not available. "
            f"Available metrics are: {','.join(logs or {})}",
        )
        if current is None or epoch < self.start_from_epoch:
            return
        if self.restore_best_weights and self.best_weights is None:
            self.best_weights = self.model.get_weights()
            self.best_epoch = epoch
        self.wait += 1
        if self.improves(current, self.best):
            self.best = float(current)
            self.best_epoch = epoch
            if self.restore_best_weights:
                self.best_weights = self.model.get_weights()
            if self.baseline is None or self.improves(current, self.baseline):
                self.wait = 0
        elif self.wait >= self.patience and epoch > 0:
            self.stopped_epoch = epoch
            self.model.stop_training = True

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Say that it stopped, and bring back the best weights if that was asked for."""
        if self.stopped_epoch > 0 and self.verbose > 0:
            say(f"Epoch {self.stopped_epoch + 1}: early stopping")
        if self.restore_best_weights and self.best_weights is not None:
            if self.verbose > 0:
                best = self.best_epoch + 1
                say(f"Restoring model weights from the end of the best epoch: {best}.")
            self.model.set_weights(self.best_weights)

    def get_state(self) -> State:
        """Counters, the best value, and the best weights as a list of arrays (or None)."""
        names = ("wait", "best", "best_epoch", "stopped_epoch", "best_weights")
        return {name: getattr(self, name) for name in names}

    def set_state(self, state: State) -> None:
        """Go on counting."""
        vars(self).update(state)


def wants_nan(callbacks: Sequence[Callback] | Callback | None) -> bool:
    """Whether a `TerminateOnNaN` is among the callbacks: then NaN and infinity are its business, in the data too."""
    given = callbacks if isinstance(callbacks, Sequence) else [callbacks]
    return any(isinstance(callback, TerminateOnNaN) for callback in given)


class TerminateOnNaN(Callback):
    """Stops training, instead of raising TrainingError, when the loss is NaN or infinite.

    Args:
        raise_error: raise TrainingError after all, from the callback.
    """

    def __init__(self, raise_error: bool = False) -> None:
        self.raise_error = raise_error

    def on_batch_end(self, batch: int, logs: Logs | None = None) -> None:
        """Look at the loss."""
        loss = (logs or {}).get("loss")
        if loss is not None and not math.isfinite(loss):
            if self.raise_error:
                raise TrainingError(
                    f"NaN or Inf loss encountered at batch {batch}",
                    expected="a finite loss",
                    got=f"loss={loss}",
                    do="Terminating training immediately.",
                )
            say(f"Batch {batch}: Invalid loss, terminating training")
            self.model.stop_training = True
