"""The loop of `fit`: epochs of batches, each batch one training step.

What a step does stands in `stepping.py`; what `fit` makes of its arguments in `training.py`; how a run is saved and
goes on in `resuming.py`.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from netchu import checks
from netchu.batches import Batch, Batches, again_and_again
from netchu.callbacks import CallbackList, History, TerminateOnNaN
from netchu.interruption import Interruption, Terminated
from netchu.resuming import Keeper, Position
from netchu.stepping import Logs, Stepping

OUT_OF_DATA = (
    "The data gave no batch in epoch {epoch}: expected an iterable that can be gone through again for each epoch, or "
    "an endless one with steps_per_epoch. Training stops here."
)


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

    def batches(self, begin: Position) -> Callable[[Position], Iterator[Batch]]:
        """A function from a position to the batches from there to the end of its epoch, for a run from `begin` on."""
        if begin.stopped:
            return lambda at: iter(())
        if self.steps_per_epoch is None:
            return lambda at: self.data.epoch(at.epoch, at.step)
        passes, steps = again_and_again(self.data, self.epochs.start, begin.updates), self.steps_per_epoch
        return lambda at: itertools.islice(passes, steps - at.step)


def run_epochs(model: Stepping, run: Run, keeper: Keeper | None = None) -> None:
    """The loop: epochs of batches, each batch one training step.  A keeper, if any, saves at its safe points."""
    listeners = run.listeners
    stops_at_nan = not any(isinstance(c, TerminateOnNaN) for c in listeners.callbacks)
    kept: deque[checks.Arrays] = deque(maxlen=2)  # every Variable's array before this step, and before the last
    model.stop_training = False
    with Interruption(resumable=keeper is not None) as interruption:
        listeners.on_train_begin()
        at = keeper.begin(run.epochs.start) if keeper else Position(run.epochs.start, 0, {}, 0)
        batches_from, logs, ending, model.stop_training = run.batches(at), at.logs, False, at.stopped
        for epoch in range(at.epoch, at.epoch + (at.step > 0) if at.stopped else run.epochs.stop):
            # 1. A new epoch: figures from zero, the batches in a new order; or one that goes on where it was cut.
            model.reset_metrics()
            listeners.on_epoch_begin(epoch)
            if keeper and at.step:
                keeper.restore()
            logs = at.logs
            for step, batch in enumerate(batches_from(at), at.step):
                # 2. One step of learning; a step that spoils the loss is taken back.
                listeners.on_train_batch_begin(step)
                train = model.step_function("train", batch)
                kept.append([(v, v.array) for v in model.compiled_variables])  # no copies
                logs = alphabetical(train(batch))
                if stops_at_nan and not math.isfinite(logs.get("loss", 0.0)):
                    raise checks.take_back(model, kept, batch, f"Epoch {epoch + 1}, step {step}", logs["loss"])
                listeners.on_train_batch_end(step, logs)
                interruption.first_batch = False
                at = Position(epoch, step + 1, logs, at.updates + 1, model.stop_training)
                ending = interruption.requested
                if keeper:
                    keeper.after_step(at, ending)
                if model.stop_training or ending:
                    break
            if not logs:
                warnings.warn(OUT_OF_DATA.format(epoch=epoch), stacklevel=3)
                break
            if stops_at_nan and not checks.all_finite(model):  # the last step, whose loss came before it
                raise checks.take_back(model, kept, batch, f"Epoch {epoch + 1}, step {step}", logs["loss"])
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
