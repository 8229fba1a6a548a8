"""The loop of `fit`: epochs of batches, each batch one training step.

What a step does stands in `stepping.py`; what `fit` makes of its arguments in `training.py`; how a run is saved and
goes on in `resuming.py`.
"""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace

from netchu.callbacks import CallbackList, History, TerminateOnNaN
from netchu.system.signals import Interruption, Terminated
from netchu.training import checks
from netchu.training.batches import Batches, Take, again_and_again
from netchu.training.resuming import Keeper, Position
from netchu.training.step import Logs, Stepping

OUT_OF_DATA = (
    "The data gave no batch in epoch {epoch}: expected an iterable that can be gone through again for each epoch, or "
    "an endless one with steps_per_epoch. Training stops here."
)

CHUNK_SECONDS = 0.25


@dataclass(frozen=True)
class Run:
    """What one `fit` goes through.

    Attributes:
        data: the batches to learn from.
        epochs: their numbers.
        steps_per_epoch: batches an epoch; None for one pass through the data.
        listeners: all callbacks.
        history: the one among them that `fit` returns.
        validate: `(epoch, listeners, stop)` to the figures of the validation, None if `stop()` cut it short.
    """

    data: Batches
    epochs: range
    steps_per_epoch: int | None
    listeners: CallbackList
    history: History
    validate: Callable[[int, CallbackList, Callable[[], bool]], Logs | None]

    def chunks(self, begin: Position) -> Callable[[Position], Take]:
        """A function from a position to what gives the batches from there on, for a run from `begin` on."""
        if begin.stopped:
            return lambda at: lambda most: ()
        if self.steps_per_epoch is None:
            return lambda at: self.data.chunks(at.epoch, at.step)
        take = again_and_again(self.data, self.epochs.start, begin.updates)
        return lambda at: take

    def room(self, at: Position) -> float:
        """How many steps may be made from here before somebody must be told: a callback, or the end of the epoch."""
        left = math.inf if self.steps_per_epoch is None else self.steps_per_epoch - at.step
        return min(left, max(self.listeners.next_batch(at.step), at.step) + 1 - at.step)


class Pace:
    """How many steps to make at once, so that a signal is never waited for long: first one, which may be compiled.

    Attributes:
        steps: for the next chunk.
    """

    def __init__(self) -> None:
        self.steps, self._began = 1, 0.0

    def begin(self) -> None:
        """Start the clock."""
        self._began = time.perf_counter()

    def end(self, made: int) -> None:
        """Take the steps that were made since into account; the next chunk may be eight times as long at most."""
        a_step = max(time.perf_counter() - self._began, 1e-9) / made
        self.steps = max(1, min(int(CHUNK_SECONDS / a_step), 8 * self.steps))


def run_epochs(model: Stepping, run: Run, keeper: Keeper | None = None) -> None:
    """The loop: epochs of batches, each batch one training step.  A keeper, if any, saves at its safe points.

    Steps are made in chunks, as many at once as nobody needs to be told of.  However an epoch is cut into chunks, it
    gives the same bits.
    """
    listeners, pace = run.listeners, Pace()
    before: checks.Snapshot = []
    stops_at_nan = not any(isinstance(c, TerminateOnNaN) for c in listeners.callbacks)
    line_by_line, model.stop_training = not model.compiles, False  # code of one's own may want to stop after a batch
    with Interruption(resumable=keeper is not None) as interruption:
        listeners.on_train_begin()
        at = keeper.begin(run.epochs.start) if keeper else Position(run.epochs.start, 0, {}, 0)
        chunks_from, logs, ending, model.stop_training = run.chunks(at), at.logs, False, at.stopped
        for epoch in range(at.epoch, at.epoch + (at.step > 0) if at.stopped else run.epochs.stop):
            # 1. A new epoch: figures from zero, the batches in a new order; or one that goes on where it was cut.
            model.reset_metrics()
            listeners.on_epoch_begin(epoch)
            if listeners.may_change_data:
                run.data.look_again()
            if keeper and at.step:
                keeper.restore()
            logs, take = at.logs, chunks_from(at)
            while (room := min(run.room(at), keeper.room(at) if keeper else math.inf)) > 0:
                chunk = take(1 if model.stop_training or line_by_line else int(min(pace.steps, room)))
                if len(chunk) == 0:
                    break
                # 2. A chunk of steps of learning; one that spoils the loss or a weight is taken back.
                listeners.on_train_batch_begin(at.step)
                train = model.chunk_function(chunk)
                before = checks.snapshot(model.compiled_variables, before) if stops_at_nan else []
                pace.begin()
                with checks.without_nan(model, before):
                    logs = alphabetical(train(chunk))
                pace.end(len(chunk))
                if stops_at_nan and checks.is_spoilt(model, logs):
                    raise checks.take_back(model, before, chunk, epoch, at.step)
                at = Position(epoch, at.step + len(chunk), logs, at.updates + len(chunk))
                listeners.on_train_batch_end(at.step - 1, logs)
                at = replace(at, stopped=model.stop_training)
                interruption.first_batch = False
                ending = interruption.requested
                if keeper:
                    keeper.after_step(at, ending)
                if model.stop_training or ending:
                    break
            if not logs:
                warnings.warn(OUT_OF_DATA.format(epoch=epoch), stacklevel=3)
                break
            # 3. The figures of the epoch, with those of the validation.
            validated = None if ending else _validated(run, at, keeper, interruption)
            logs = alphabetical(logs | (validated or {}))
            if validated is not None or not interruption.terminated:  # a whole epoch has its end in any case
                listeners.on_epoch_end(epoch, logs)
            ending = run.history.interrupted = interruption.requested
            at = Position(epoch + 1, 0, {}, at.updates, model.stop_training)
            if keeper and validated is not None:
                keeper.after_epoch(at, ending or at.stopped or epoch + 1 == run.epochs.stop)
            if model.stop_training or ending:
                break
        listeners.on_train_end(logs)
    if interruption.terminated:
        raise Terminated
    if keeper and not ending:  # no signal is held back any more that would say "resume" of what is removed here
        keeper.finish()


def _validated(run: Run, at: Position, keeper: Keeper | None, interruption: Interruption) -> Logs | None:
    """The figures of a validation; None if it was cut short, and the run saved as it was before it."""
    if keeper is None:
        return run.validate(at.epoch, run.listeners, lambda: False)
    save_as_it_was = keeper.before_validation(at)
    figures = run.validate(at.epoch, run.listeners, lambda: interruption.requested)
    if figures is None:
        save_as_it_was()
    return figures


def alphabetical(logs: Logs) -> Logs:
    """The order in which Keras hands figures to callbacks, History and the progress line."""
    return dict(sorted(logs.items()))
