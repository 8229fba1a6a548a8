"""The F score: precision and recall of each class in one number.

Shapes: one-hot or multi-hot targets and predictions (batch, classes).
"""

from __future__ import annotations

from typing import Any

from netchu import ops
from netchu.arguments import check_choice, check_numbers
from netchu.errors import ShapeError
from netchu.metrics.base import Metric, weights_of
from netchu.tensor import Tensor

EPSILON = 1e-7  # keeps quotients finite, as in Keras; it takes 1e-7 off a perfect score
AVERAGES = (None, "micro", "macro", "weighted")


class FBetaScore(Metric):
    """`(1 + b * b) * precision * recall / (b * b * precision + recall)` of each class: recall counts `b` times as much.

    Args:
        average: None gives one score a class, for use by hand; "macro" their mean; "weighted" their mean weighted by
            how often each class is the target; "micro" the score of all classes' counts together.
        beta: `b`, above 0.
        threshold: a class is predicted where its probability lies above it; None predicts the most probable class.
        name: see `Metric`.

    Raises:
        UsageError: an argument outside what is said here.

    References:
        van Rijsbergen, "Information retrieval" (1979).
    """

    direction = "up"

    def __init__(
        self,
        average: str | None = None,
        beta: float = 1.0,
        threshold: float | None = None,
        name: str = "fbeta_score",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, dtype)
        check_choice(type(self).__name__, AVERAGES, average=average)
        check_numbers(type(self).__name__, above=True, beta=beta)
        if threshold is not None:
            check_numbers(type(self).__name__, 0, 1, above=True, threshold=threshold)
        self.average = average
        self.beta = beta
        self.threshold = threshold
        self.scalar = average is not None

    def build(self, y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
        """Make the state, one count a class."""
        if len(y_shape) != 2 or len(output_shape) != 2 or y_shape[-1] != output_shape[-1]:
            raise ShapeError(
                type(self).__name__,
                expected="targets and predictions (batch, classes)",
                got=f"y_true.shape={y_shape}, y_pred.shape={output_shape}",
                do="One-hot targets come from utils.to_categorical.",
            )
        shape = () if self.average == "micro" else output_shape[1:]
        for kind in ("true_positives", "false_positives", "false_negatives", "intermediate_weights"):
            if kind not in self._named_state():
                self.add_variable(shape, name=kind)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account; `sample_weight` (batch,)."""
        y_true = ops.cast(ops.convert_to_tensor(y_true), "float32")
        y_pred = ops.cast(ops.convert_to_tensor(y_pred), "float32")
        self.build(y_true.shape, y_pred.shape)
        if self.threshold is None:  # all of several that are the most probable; none where all are 0
            largest = ops.max(y_pred, axis=-1, keepdims=True)
            yes = ops.logical_and(y_pred >= largest, ops.absolute(y_pred) > 1e-9)
        else:
            yes = y_pred > self.threshold
        guess = ops.cast(yes, "float32")
        weight = weights_of(y_pred, sample_weight)
        axis = None if self.average == "micro" else 0
        counted = (guess * y_true, guess * (1.0 - y_true), (1.0 - guess) * y_true, y_true)
        for variable, values in zip(self.variables, counted):
            variable.assign_add(ops.sum(values * weight, axis=axis))

    def result(self) -> Tensor:
        """The score so far, or (classes,) for `average=None`."""
        if not self.variables:
            return ops.zeros(())
        tp, fp, fn, targets = self.variables
        precision, recall = tp / (tp + fp + EPSILON), tp / (tp + fn + EPSILON)
        b2 = self.beta * self.beta
        score = (1 + b2) * (precision * recall / (b2 * precision + recall + EPSILON))
        if self.average == "weighted":
            return ops.sum(score * targets / (ops.sum(targets) + EPSILON))
        return score if self.average is None else ops.mean(score)


class F1Score(FBetaScore):
    """The harmonic mean of precision and recall: the F score with `beta` 1; see `FBetaScore`."""

    def __init__(
        self,
        average: str | None = None,
        threshold: float | None = None,
        name: str = "f1_score",
        dtype: str | None = None,
    ) -> None:
        super().__init__(average, 1.0, threshold, name, dtype)
