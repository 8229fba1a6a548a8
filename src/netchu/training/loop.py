"""The loop of `fit`: epochs of batches, each batch one training step.

`run_epochs` is the whole of it.  It works with others, each of which can be read by itself: a `Reader` draws the
batches, `Learning` makes the steps (at a `Pace`, with a `Recovery` that takes a spoilt one back), a `Saver` keeps the
run (`resuming.py`), and an `Interruption` listens for Ctrl-C (`system/signals.py`).
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Protocol

from netchu.callbacks import CallbackList, History
from netchu.callbacks.base import Logs
from netchu.callbacks.stopping import wants_nan
from netchu.system.signals import Interruption
from netchu.training.batches import Batches, Chunk, Take, again_and_again
from netchu.training.recovery import Recovery
from netchu.training.step import Learner

OUT_OF_DATA = (
    "The data gave {what} in epoch {epoch}: expected an iterable that can be gone through again for each epoch, or an "
    "endless one with steps_per_epoch. Training stops here."
)

CHUNK_SECONDS = 0.25


@dataclass(frozen=True)
class Position:
    """Where a run stands: before batch number `step` of epoch number `epoch`, both from 0.

    Attributes:
        logs: the figures of the epoch so far.
        updates: batches since the run began.
        stopped: whether a callback ended the training.
    """

    epoch: int
    step: int
    logs: Logs
    updates: int
    stopped: bool = False


class Saver:
    """Who keeps a run so that it can go on after a crash; this one keeps nothing.

    Attributes:
        resumable: whether it keeps anything.
    """

    resumable = False

    def begin(self, first_epoch: int) -> Position:
        """Where the run goes on, or begins."""
        return Position(first_epoch, 0, {}, 0)

    def restore(self) -> None:
        """In the middle of an epoch, put everything back once more, after `on_epoch_begin` had its effects again."""

    def room(self, at: Position) -> float:
        """How many steps may be made from here before `after_step` must be called."""
        return math.inf

    def after_step(self, at: Position, ending: bool) -> None:
        """A safe point: nothing of a step is half done.  `ending`: the run ends here."""

    def before_validation(self, at: Position) -> Callable[[], None]:
        """A function that saves the run as it is now, for a validation that is cut short: it begins anew."""
        return lambda: None

    def after_epoch(self, at: Position, ending: bool) -> None:
        """A safe point: the epoch is over for everyone.  `ending`: the run is, too."""

    def finish(self) -> None:
        """The run is over, and will not be resumed."""


class Validate(Protocol):
    """The figures of the validation after an epoch: none if it is not due, None if `stop()` cut it short."""

    def __call__(self, epoch: int, hooks: CallbackList, stop: Callable[[], bool]) -> Logs | None:
        """Validate, and let `hooks` hear of it."""


@dataclass(frozen=True)
class Run:
    """What one `fit` goes through.

    Attributes:
        data: the batches to learn from.
        epochs: their numbers.
        steps_per_epoch: batches an epoch; None for one pass through the data.
        hooks: all callbacks.
        history: the one among them that `fit` returns.
        validate: see there.
    """

    data: Batches
    epochs: range
    steps_per_epoch: int | None
    hooks: CallbackList
    history: History
    validate: Validate

    def epochs_from(self, at: Position) -> range:
        """The epochs that are left.  Of a run that a callback had stopped, only the end of the epoch it stopped in."""
        if at.stopped:
            return range(at.epoch, at.epoch + 1) if at.step else range(0)
        return range(at.epoch, self.epochs.stop)

    def room(self, at: Position) -> float:
        """How many steps may be made from here before somebody must hear of it: a callback, or the end of the epoch."""
        left = math.inf if self.steps_per_epoch is None else self.steps_per_epoch - at.step
        return min(left, max(self.hooks.next_batch(at.step), at.step) + 1 - at.step)


class Reader:
    """Draws the batches of a run, several at a time.

    Args:
        run: whose data it draws.
        begin: where the run goes on.
    """

    def __init__(self, run: Run, begin: Position) -> None:
        self._run = run
        self._take: Take = lambda most: ()
        self._stopped = begin.stopped
        self._endless = run.steps_per_epoch is not None  # the passes through the data are not the epochs
        if self._endless and not begin.stopped:
            self._take = again_and_again(run.data, run.epochs.start, begin.updates)

    def open_epoch(self, at: Position) -> None:
        """Go to where `at` says; a callback of the user's may have changed the data since the last epoch."""
        if self._run.hooks.may_change_data:
            self._run.data.look_again()
        if not self._endless and not self._stopped:
            self._take = self._run.data.chunks(at.epoch, at.step)

    def take(self, most: int) -> Chunk:
        """The next batches, at most so many; none at the end of the data."""
        return self._take(most)


class Pace:
    """How many steps to make at once, so that a signal never waits for long: first one, which may have to be traced.

    Attributes:
        steps: for the next chunk.
    """

    def __init__(self) -> None:
        self.steps = 1

    def took(self, seconds: float, made: int) -> None:
        """Take a chunk into account; the next may be eight times as long at most."""
        self.steps = max(1, min(int(CHUNK_SECONDS * made / max(seconds, 1e-9)), 8 * self.steps))


class Learning:
    """Makes the steps of an epoch, chunk by chunk: as many at once as nobody needs to hear of.

    However an epoch is cut into chunks, it gives the same bits.

    Args:
        model: compiled.
        run: what it goes through.
        saver: who keeps the run.
        interruption: who knows whether it is to end.
    """

    def __init__(self, model: Learner, run: Run, saver: Saver, interruption: Interruption) -> None:
        self._model = model
        self._run = run
        self._saver = saver
        self._interruption = interruption
        self._pace = Pace()
        self._one_by_one = not model.is_traced  # the user's code may want to stop after a batch
        self._recovery = Recovery(model, enabled=not wants_nan(run.hooks.callbacks))

    def steps(self, at: Position, reader: Reader) -> tuple[Position, bool]:
        """The steps of the epoch from `at` on: where the run stands then, and whether it was asked to end there."""
        model, hooks = self._model, self._run.hooks
        ending = False
        while (room := min(self._run.room(at), self._saver.room(at))) > 0:
            one = self._one_by_one or model.stop_training
            chunk = reader.take(1 if one else int(min(self._pace.steps, room)))
            if len(chunk) == 0:
                break
            hooks.on_train_batch_begin(at.step)
            step = model.chunk_function(chunk)
            began = time.perf_counter()
            logs = alphabetical(self._recovery.learn(step, chunk, at.epoch, at.step))
            self._pace.took(time.perf_counter() - began, len(chunk))
            at = Position(at.epoch, at.step + len(chunk), logs, at.updates + len(chunk))
            hooks.on_train_batch_end(at.step - 1, logs)
            at = replace(at, stopped=model.stop_training)
            self._interruption.first_batch = False
            ending = self._interruption.requested
            self._saver.after_step(at, ending)
            if model.stop_training or ending:
                break
        return at, ending


def run_epochs(model: Learner, run: Run, saver: Saver, interruption: Interruption) -> None:
    """The loop: epochs of batches, each batch one training step; a saver keeps the run at its safe points.

    Args:
        model: compiled.
        run: what it goes through.
        saver: who keeps the run.
        interruption: who knows whether it is to end before its time.
    """
    learning = Learning(model, run, saver, interruption)
    model.stop_training = False
    run.hooks.on_train_begin()
    at = saver.begin(run.epochs.start)
    model.stop_training |= at.stopped
    reader = Reader(run, at)
    logs = at.logs
    for epoch in run.epochs_from(at):
        # 1. A new epoch: figures from zero, the batches in a new order; or one that goes on where it was cut.
        model.reset_metrics()
        run.hooks.on_epoch_begin(epoch)
        if at.step:
            saver.restore()
        reader.open_epoch(at)
        # 2. Its steps.
        at, ending = learning.steps(at, reader)
        logs = at.logs
        if not logs:
            warnings.warn(OUT_OF_DATA.format(what="no batch", epoch=epoch), stacklevel=3)
            break
        ran_out = at.step < (run.steps_per_epoch or 0) and not (ending or model.stop_training)
        if ran_out:
            told = OUT_OF_DATA.format(what=f"{at.step} of {run.steps_per_epoch} batches", epoch=epoch)
            warnings.warn(told, stacklevel=3)
        # 3. The figures of the epoch, with those of the validation.
        validated = None if ending else _validated(run, at, saver, interruption)
        logs = alphabetical(logs | (validated or {}))
        if validated is not None or not interruption.terminated:  # a whole epoch has its end in any case
            run.hooks.on_epoch_end(epoch, logs)
        ending = interruption.requested
        run.history.interrupted = ending
        at = Position(epoch + 1, 0, {}, at.updates, model.stop_training)
        if validated is not None:
            saver.after_epoch(at, ending or at.stopped or epoch + 1 == run.epochs.stop)
        if model.stop_training or ending or ran_out:
            break
    run.hooks.on_train_end(logs)


def _validated(run: Run, at: Position, saver: Saver, interruption: Interruption) -> Logs | None:
    """The figures of a validation; None if it was cut short, and the run saved as it was before it."""
    if not saver.resumable:
        return run.validate(at.epoch, run.hooks, lambda: False)
    save_as_it_was = saver.before_validation(at)
    figures = run.validate(at.epoch, run.hooks, lambda: interruption.requested)
    if figures is None:
        save_as_it_was()
    return figures


def alphabetical(logs: Logs) -> Logs:
    """The order in which Keras hands figures to callbacks, History and the progress line."""
    return dict(sorted(logs.items()))
