"""Taking back: a chunk of steps that spoils the loss or a weight leaves the model as it was before, and says where.

recovery = Recovery(model)
logs = recovery.learn(step, chunk, epoch, first)       # TrainingError: the step and the first layer that was spoilt
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from typing import TypeAlias

import numpy as np

from netchu import engines
from netchu.callbacks.base import Logs
from netchu.engines import Array
from netchu.errors import TrainingError
from netchu.tensor import Tensor, Variable
from netchu.training.arrays import Batch
from netchu.training.batches import Chunk, Rows
from netchu.training.step import Learner

Snapshot: TypeAlias = list[tuple[Variable, Array]]


def snapshot(variables: Iterable[Variable], into: Snapshot | None = None) -> Snapshot:
    """The values that Variables have now, to be put back; `into` is an older one that is not needed any more."""
    engine = engines.current()
    older = {id(variable): array for variable, array in into or ()}
    return [(variable, engine.snapshot(variable.array, older.get(id(variable)))) for variable in variables]


def put_back(before: Snapshot) -> None:
    """Give Variables the values of a snapshot, which is used up by it: a step may write into its arrays."""
    for variable, array in before:
        variable.array = array


def all_finite(model: Learner) -> bool:
    """Whether no weight is NaN or infinite."""
    return all(np.isfinite(w.numpy()).all() for w in model.weights)


def is_spoilt(model: Learner, logs: Mapping[str, float]) -> bool:
    """Whether the loss, or a weight, is NaN or infinite."""
    return not math.isfinite(logs.get("loss", 0.0)) or not all_finite(model)


class Recovery:
    """Makes chunks of steps so that a spoilt one can be taken back.

    Args:
        model: in training.
        enabled: False where a callback (`TerminateOnNaN`) wants to see the NaN.
    """

    def __init__(self, model: Learner, enabled: bool = True) -> None:
        self.model = model
        self.enabled = enabled
        self._before: Snapshot = []

    def learn(self, step: Callable[[Chunk], Logs], chunk: Chunk, epoch: int, first: int) -> Logs:
        """Learn from the chunk; the figures after its last batch.

        Args:
            step: the traced steps on the batches of a chunk.
            chunk: of batches.
            epoch: its number.
            first: the number of the chunk's first batch.

        Raises:
            TrainingError: the loss or a weight became NaN or infinite; the model is as it was before that step.
        """
        if not self.enabled:
            return step(chunk)
        self._before = snapshot(self.model.traced_variables, self._before)
        try:
            logs = step(chunk)
        except BaseException:
            if not all_finite(self.model):  # no NaN stays of steps that ended in an exception
                put_back(self._before)
            raise
        if is_spoilt(self.model, logs):
            raise self._take_back(chunk, epoch, first)
        return logs

    def _take_back(self, chunk: Chunk, epoch: int, first: int) -> TrainingError:
        """Undo the step that spoilt the model, and give the error that says which layer was the first to be spoilt.

        To find it, the chunk is gone through again step by step: equal steps give equal bits.
        """
        model = self.model
        put_back(self._before)
        beginning = snapshot(model.traced_variables)
        batches = [chunk[i : i + 1] for i in range(len(chunk))] if isinstance(chunk, Rows) else [[b] for b in chunk]
        for number, one in enumerate(batches, first):
            before = snapshot(model.traced_variables)
            logs = model.chunk_function(one)(one)
            if is_spoilt(model, logs):
                return _spoilt_by(model, next(iter(one)), before, logs, f"Epoch {epoch + 1}, step {number}")
        put_back(beginning)
        return TrainingError(
            f"Epoch {epoch + 1}, steps {first} to {first + len(batches) - 1}",
            expected="a finite loss and finite weights",
            got="others, and not when the steps were made again",
            do="The batches or the layers give something else each time. The model has the weights of before them.",
        )


def _spoilt_by(model: Learner, batch: Batch, before: Snapshot, logs: Logs, where: str) -> TrainingError:
    """The error for the step that the model has just made on a batch; the model is then as it was before it."""
    place = "" if all_finite(model) else _first_not_finite(model, batch)
    put_back(before)
    place = place or _first_not_finite(model, batch)
    rate = float(model.optimizer.learning_rate) if model.optimizer is not None else 0.0
    return TrainingError(
        where,
        expected="a finite loss and finite weights",
        got=f"loss={logs.get('loss')}; first not finite: {place}",
        do=f"The model has the weights of before this happened. Try a smaller learning rate than {rate:g}, "
        "clipnorm=1.0, or look at the targets of this batch.",
    )


def _first_not_finite(model: Learner, batch: Batch) -> str:
    """The first layer, on the way of the batch through the model, whose weights or output hold NaN or infinity."""
    with np.errstate(all="ignore"):
        x = Tensor(batch[0])
        for layer in model.layers:
            if any(not np.isfinite(w.numpy()).all() for w in layer.weights):
                return f"the weights of layer '{layer.name}'"
            x = layer(x)
            if not np.isfinite(x.numpy()).all():
                return f"the output of layer '{layer.name}'"
    return "the loss itself"
