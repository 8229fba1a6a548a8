"""Changing the learning rate from epoch to epoch: by a function, or when the training gets no better.

Both put the learning rate that the epoch was trained with into `logs`, so History has a `learning_rate`.  A rate that
follows a schedule within the epoch belongs to the optimizer: `netchu.optimizers.schedules`.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np

from netchu.arguments import check_numbers
from netchu.callbacks.base import Callback, Logs, State
from netchu.callbacks.monitoring import Monitor
from netchu.errors import UsageError
from netchu.system.printing import say
from netchu.tensor import Variable


class LearningRateScheduler(Callback):
    """Sets the learning rate at the beginning of each epoch.

    Args:
        schedule: `(epoch, learning_rate) -> learning_rate`, or `(epoch) -> learning_rate`; epochs count from 0.
        verbose: 1 prints each new learning rate.

    Raises:
        UsageError: a schedule that cannot be called so; at the beginning of training, an optimizer whose learning rate
            is a schedule itself; in the epoch, a schedule that gives no float.
    """

    def __init__(self, schedule: Callable[..., float], verbose: int = 0) -> None:
        if not callable(schedule):
            raise UsageError(
                "LearningRateScheduler", expected="a function (epoch, learning_rate)", got=f"schedule={schedule!r:.60}"
            )
        self.schedule = schedule
        self.verbose = verbose
        self._takes_rate = _takes_two(schedule)

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Find out now whether the learning rate can be set."""
        _check_settable(self)

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Ask the schedule."""
        optimizer = self.model.optimizer
        rate = self.schedule(epoch, float(optimizer.learning_rate)) if self._takes_rate else self.schedule(epoch)
        if not isinstance(rate, (float, np.float32, np.float64)):
            raise UsageError(
                "The output of the `schedule` function should be a float",
                expected="a learning rate such as 1e-3",
                got=f"{rate!r:.60} for epoch {epoch}",
            )
        optimizer.learning_rate = rate
        if self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: LearningRateScheduler setting learning rate to {rate}.")

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the learning rate."""
        if logs is not None:
            logs["learning_rate"] = float(self.model.optimizer.learning_rate)


def _check_settable(callback: Callback) -> None:
    """Raise UsageError if the optimizer's learning rate is a schedule or a function: no number can take its place."""
    source = callback.model.optimizer.learning_rate_source
    if not isinstance(source, Variable):
        raise UsageError(
            type(callback).__name__,
            expected="an optimizer whose learning rate is a number",
            got=f"learning_rate={source!r:.80}",
            do="Leave out this callback, or compile with a number such as learning_rate=1e-3.",
        )


def _takes_two(schedule: Callable[..., Any]) -> bool:
    """Whether it can be called with two arguments; a function written in C may have no signature, and counts as one."""
    try:
        inspect.signature(schedule).bind(0, 0.0)
    except TypeError:
        return False
    except ValueError:
        return True
    return True


class ReduceLROnPlateau(Monitor):
    """Lowers the learning rate, `new = max(old * factor, min_lr)`, when a figure has not got better for some epochs.

    Args:
        monitor: the figure to watch.
        factor: < 1.
        patience: how many epochs in a row may be no better.
        verbose: 1 prints each new learning rate.
        mode: "min", "max", or "auto" to ask the metric.
        min_delta: the least change that counts as better.
        cooldown: how many epochs after lowering are not counted.
        min_lr: the least learning rate.

    Raises:
        UsageError: factor >= 1; at the beginning of training, an optimizer whose learning rate is a schedule.
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        factor: float = 0.1,
        patience: int = 10,
        verbose: int = 0,
        mode: str = "auto",
        min_delta: float = 1e-4,
        cooldown: int = 0,
        min_lr: float = 0.0,
    ) -> None:
        super().__init__(monitor, mode, min_delta=min_delta)
        check_numbers("ReduceLROnPlateau", -math.inf, factor=factor)
        if factor >= 1.0:
            words = "ReduceLROnPlateau does not support a factor >= 1.0"
            raise UsageError(words, expected="a factor that lowers the learning rate, such as 0.1", got=f"{factor=}")
        self.factor = factor
        self.patience = patience
        self.verbose = verbose
        self.cooldown = cooldown
        self.min_lr = min_lr
        self.wait = self.cooldown_counter = 0

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Forget the fit before, and find out now whether the learning rate can be set."""
        _check_settable(self)
        self.best = None
        self.wait = self.cooldown_counter = 0

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Note the learning rate of this epoch, look at the figure, and lower the rate of the next."""
        logs = {} if logs is None else logs
        logs["learning_rate"] = float(self.model.optimizer.learning_rate)
        current = self.watched(
            logs,
            f"Learning rate reduction is conditioned on metric `{self.monitor}` which is not available. "
            f"Available metrics are: {','.join(logs)}.",
        )
        if current is None:
            return
        if self.in_cooldown():
            self.cooldown_counter -= 1
            self.wait = 0
        if self.improves(current, self.best):
            self.best = float(current)
            self.wait = 0
        elif not self.in_cooldown():
            self.wait += 1
            if self.wait >= self.patience and self._reduce(epoch):
                self.cooldown_counter = self.cooldown
                self.wait = 0

    def in_cooldown(self) -> bool:
        """Whether epochs are not counted now."""
        return self.cooldown_counter > 0

    def _reduce(self, epoch: int) -> bool:
        """Lower the learning rate, unless it is at its least."""
        old = float(self.model.optimizer.learning_rate)
        if old <= np.float32(self.min_lr):
            return False
        new = max(old * self.factor, self.min_lr)
        self.model.optimizer.learning_rate = new
        if self.verbose > 0:
            say(f"\nEpoch {epoch + 1}: ReduceLROnPlateau reducing learning rate to {new}.")
        return True

    def get_state(self) -> State:
        """The best value and the counters; the learning rate itself is the optimizer's."""
        return {"best": self.best, "wait": self.wait, "cooldown_counter": self.cooldown_counter}

    def set_state(self, state: State) -> None:
        """Go on counting."""
        vars(self).update(state)
