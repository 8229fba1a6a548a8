"""The averages of the weights that an optimizer with `use_ema=True` keeps: for evaluation, and as weights in the end.

    model.compile(Adam(use_ema=True, ema_momentum=0.999), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, validation_split=0.1, callbacks=[SwapEMAWeights()])       # val_accuracy is that of the averages

Limits: the optimizer's weights are averaged, not what layers gather themselves (BatchNormalization's means).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from netchu.callbacks.base import Callback, Logs, State
from netchu.errors import UsageError
from netchu.optimizers.base import AVERAGE


class SwapEMAWeights(Callback):
    """Puts the averages into the model while it is evaluated or predicts, and the weights in training back afterwards.

    Keras exchanges weights and averages.  Here the averages stay where they are, and meanwhile the callback holds the
    weights.  So a training that is interrupted or stopped early with the averages in the model ends with them, too, and
    a model that is saved then does not hold the weights in training as its averages.

    Args:
        swap_on_epoch: put the averages in at the end of an epoch, too, until the next begins: for a `ModelCheckpoint`
            that comes after it.

    Raises:
        UsageError: the optimizer keeps no averages; when training or evaluation begins.
    """

    def __init__(self, swap_on_epoch: bool = False) -> None:
        self.swap_on_epoch = swap_on_epoch
        self._in_training: list[Any] | None = None  # the weights that the averages stand in for

    def set_model(self, model: Any) -> None:
        """Called first; the weights of another model are held no longer."""
        if model is not self.model:
            self._in_training = None
        super().set_model(model)

    def _put_averages_in(self) -> None:
        optimizer = self._optimizer()
        if self._in_training is None:
            self._in_training = [w.numpy().copy() for w in optimizer.weights]
            optimizer.finalize_variable_values(optimizer.weights)

    def _put_weights_back(self) -> None:
        if self._in_training is not None:
            for weight, value in zip(self._optimizer().weights, self._in_training):
                weight.assign(value)
            self._in_training = None

    def _optimizer(self) -> Any:
        optimizer = self.model.optimizer
        if not optimizer.use_ema:
            raise UsageError(
                "SwapEMAWeights",
                expected="an optimizer that averages the weights",
                got=f"optimizer={optimizer!r:.80}",
                do=f"Compile with {type(optimizer).__name__}(use_ema=True).",
            )
        return optimizer

    def on_train_begin(self, logs: Logs | None = None) -> None:
        """Find out now whether there will be averages; put back the weights of a training that failed before."""
        optimizer = self._optimizer()
        averages = [slots[AVERAGE] for slots in optimizer.slots]
        if not all(np.array_equal(w.numpy(), average.numpy()) for w, average in zip(optimizer.weights, averages)):
            self._in_training = None  # somebody has given the model other weights since
        self._put_weights_back()

    def on_train_end(self, logs: Logs | None = None) -> None:
        """The averages stay."""
        self._in_training = None

    def on_epoch_begin(self, epoch: int, logs: Logs | None = None) -> None:
        """Put the weights back."""
        self._put_weights_back()

    def on_epoch_end(self, epoch: int, logs: Logs | None = None) -> None:
        """Put the averages in, if that was asked for."""
        if self.swap_on_epoch:
            self._put_averages_in()

    def on_test_begin(self, logs: Logs | None = None) -> None:
        """Put the averages in."""
        self._put_averages_in()

    def on_test_end(self, logs: Logs | None = None) -> None:
        """Put the weights back."""
        self._put_weights_back()

    def on_predict_begin(self, logs: Logs | None = None) -> None:
        """Put the averages in."""
        self._put_averages_in()

    def on_predict_end(self, logs: Logs | None = None) -> None:
        """Put the weights back."""
        self._put_weights_back()

    def get_state(self) -> State:
        """The weights in training while the averages stand in for them, as a list of arrays; else None."""
        return {"in_training": self._in_training}

    def set_state(self, state: State) -> None:
        """Hold them again."""
        self._in_training = state["in_training"]


class EndWithAverages(Callback):
    """Gives the weights the values of their averages at the end of `fit`, which puts it before all other callbacks.

    Checkpoints of the run were written before, with the weights in training, and a resumed run continues with those.
    """

    def on_train_end(self, logs: Logs | None = None) -> None:
        """Give the weights their averages, if there was an epoch at all."""
        if self.params["epochs"] > 0:
            self.model.optimizer.finalize_variable_values(self.model.trainable_weights)
