"""Counting right and wrong answers to yes-or-no questions: precision and recall, and the confusion matrix of classes.

A prediction says yes where it lies above a threshold (strictly; 0.5 unless given); a target says yes where it is not 0:

    true positives    target yes, prediction yes        false negatives   target yes, prediction no
    false positives   target no,  prediction yes        true negatives    target no,  prediction no

Shapes: targets and predictions (batch,) or (batch, labels), each element a question of its own; thresholds (t,).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from netchu import engines, ops
from netchu.arguments import check_numbers, check_whole
from netchu.engines import xp
from netchu.errors import ShapeError, UsageError
from netchu.losses.base import rank_of_predictions
from netchu.metrics.base import Metric, ratio, weights_of
from netchu.ops.crossentropy import check_labels
from netchu.tensor import Tensor, unwrap, wrap

NO_THRESHOLD = -1e10  # below every prediction: with top_k, all that are among the k say yes


def paired(where: str, y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Targets and predictions as float32 of one shape; ShapeError if they are not."""
    y_true, y_pred = rank_of_predictions(y_true, y_pred)
    if y_true.shape != y_pred.shape:
        raise ShapeError(
            where,
            expected=f"targets of the predictions' shape {y_pred.shape}",
            got=f"y_true.shape={y_true.shape}",
            do="One-hot targets come from utils.to_categorical.",
        )
    return ops.cast(y_true, "float32"), ops.cast(y_pred, "float32")


def count(kind: str, y_true: Tensor, y_pred: Tensor, weight: Tensor, thresholds: np.ndarray) -> Tensor:
    """The weighted number of `kind`, "true_positives" say, at each threshold.

    Args:
        kind: one of the four.
        y_true: (n, labels); not 0 means yes.
        y_pred: (n, labels).
        weight: (n, labels).
        thresholds: (t,).

    Returns:
        (t, labels).
    """
    right, said = kind.split("_")
    above = ops.expand_dims(y_pred, 0) > np.reshape(thresholds, (-1, 1, 1)).astype("float32")  # (t, n, labels)
    says = above if said == "positives" else ops.logical_not(above)
    is_yes = (right == "true") is (said == "positives")  # what the target is, for this kind
    wanted = ops.where((y_true != 0.0) if is_yes else (y_true == 0.0), weight, 0.0)  # (n, labels)
    return ops.sum(ops.where(says, wanted, 0.0), axis=1)


class ThresholdMetric(Metric):
    """Base of what is counted at one or several thresholds; a subclass names its `kinds` and gives the `result`.

    Args:
        thresholds: a number in [0, 1] or several; None means 0.5, or with `top_k` none at all.
        name: see `Metric`.

    Raises:
        UsageError: a threshold outside [0, 1].
    """

    kinds: tuple[str, ...] = ()
    top_k: int | None = None
    class_id: int | None = None

    def __init__(
        self, thresholds: float | Sequence[float] | None = None, name: str | None = None, dtype: str | None = None
    ) -> None:
        super().__init__(name, dtype)
        default = 0.5 if self.top_k is None else NO_THRESHOLD
        self.thresholds = thresholds
        self._levels = np.array([default] if thresholds is None else self._checked(thresholds), dtype="float32")
        self.scalar = len(self._levels) == 1
        for kind in self.kinds:
            self.add_variable(self._levels.shape, name=kind)

    def _checked(self, thresholds: float | Sequence[float]) -> list[float]:
        """The thresholds, one at least, each from 0 to 1."""
        given: Any = thresholds if np.ndim(thresholds) else [thresholds]
        if not len(given):
            raise UsageError(type(self).__name__, expected="thresholds, one at least", got=f"{thresholds=}")
        for threshold in given:
            check_numbers(type(self).__name__, 0, 1, thresholds=threshold)
        return list(given)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account; `sample_weight` (batch,) or of the predictions' shape."""
        y_true, y_pred = paired(type(self).__name__, y_true, y_pred)
        if self.top_k is not None:
            y_pred = _only_top_k(y_pred, self.top_k)
        if self.class_id is not None:
            y_true, y_pred = (_one_class(y, self.class_id, type(self).__name__) for y in (y_true, y_pred))
        weight = weights_of(y_pred, sample_weight)
        y_true, y_pred, weight = (ops.reshape(a, (-1, 1)) for a in (y_true, y_pred, weight))
        for kind, variable in self._named_state().items():
            variable.assign_add(ops.ravel(count(kind, y_true, y_pred, weight, self._levels)))

    def _figure(self, values: Tensor) -> Tensor:
        """One number for one threshold, else (thresholds,)."""
        return values[0] if self.scalar else values

    def result(self) -> Tensor:
        """The count, at each threshold if there are several."""
        return self._figure(self.variables[0])


def _only_top_k(y_pred: Tensor, k: int) -> Tensor:
    """`y_pred` with everything but the `k` largest of the last axis below any threshold."""
    _, best = ops.top_k(y_pred, k)
    among = ops.sum(ops.one_hot(best, y_pred.shape[-1]), axis=-2)
    return ops.where(among > 0.0, y_pred, NO_THRESHOLD)


def _one_class(y: Tensor, class_id: int, where: str) -> Tensor:
    """Column `class_id` of the last axis, the axis kept."""
    if y.ndim < 2 or not 0 <= class_id < y.shape[-1]:
        raise ShapeError(
            where, expected=f"predictions (batch, classes) with a class {class_id}", got=f"shape={y.shape}"
        )
    return y[..., class_id : class_id + 1]


class TruePositives(ThresholdMetric):
    """How many targets that are yes were found."""

    kinds = ("true_positives",)


class FalsePositives(ThresholdMetric):
    """How many targets that are no were taken for yes."""

    kinds = ("false_positives",)


class TrueNegatives(ThresholdMetric):
    """How many targets that are no were left alone."""

    kinds = ("true_negatives",)


class FalseNegatives(ThresholdMetric):
    """How many targets that are yes were missed."""

    kinds = ("false_negatives",)


class _Share(ThresholdMetric):
    """The share of the true positives in all that is counted."""

    direction = "up"

    def __init__(
        self,
        thresholds: float | Sequence[float] | None = None,
        top_k: int | None = None,
        class_id: int | None = None,
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        check_whole(type(self).__name__, 1, or_none=True, top_k=top_k)
        check_whole(type(self).__name__, 0, or_none=True, class_id=class_id)
        self.top_k = top_k
        self.class_id = class_id
        super().__init__(thresholds, name, dtype)

    def result(self) -> Tensor:
        """The share so far, 0 while nothing was counted; at each threshold if there are several."""
        found, other = self.variables
        return self._figure(ratio(found, found + other))


class Precision(_Share):
    """Of what the predictions said yes to, the share that was right: `tp / (tp + fp)`.

    Args:
        thresholds: see `ThresholdMetric`; with several the result is (thresholds,), for use by hand.
        top_k: only the `top_k` largest predictions of a sample say yes.
        class_id: look at this class only.
        name: see `Metric`.
    """

    kinds = ("true_positives", "false_positives")


class Recall(_Share):
    """Of the targets that are yes, the share that was found: `tp / (tp + fn)`.

    Args:
        thresholds: see `ThresholdMetric`; with several the result is (thresholds,), for use by hand.
        top_k: only the `top_k` largest predictions of a sample say yes.
        class_id: look at this class only.
        name: see `Metric`.
    """

    kinds = ("true_positives", "false_negatives")


# --- the confusion matrix --------------------------------------------------------------------------------------------

MOST_CLASSES = 4096  # a matrix of 64 MiB


def confusion_matrix(y_true: Any, y_pred: Any, num_classes: int, sample_weight: Any = None) -> Tensor:
    """How often each class was taken for each: row the label, column the prediction.

    Args:
        y_true: labels (n,) or (n, 1), or one-hot (n, num_classes).
        y_pred: class numbers, or scores (n, num_classes), of which the largest counts (the first of equals).
        num_classes: how many there are.
        sample_weight: (n,); None counts each sample once.

    Returns:
        (num_classes, num_classes), float32.

    Raises:
        DataError: a class number outside [0, num_classes).
        ShapeError: other shapes.

    Example:
        >>> confusion_matrix([0, 1, 1], [0, 1, 0], num_classes=2).numpy().tolist()
        [[1.0, 0.0], [1.0, 1.0]]
    """
    labels, guesses = (_class_numbers(y, num_classes) for y in (y_true, y_pred))
    if labels.shape != guesses.shape:
        raise ShapeError("confusion_matrix", expected=f"y_true of shape {guesses.shape}", got=f"shape={labels.shape}")
    weight = weights_of(ops.cast(labels, "float32"), sample_weight)
    places = labels * num_classes + guesses
    return ops.reshape(
        wrap(xp.scatter_add(num_classes * num_classes, unwrap(places), unwrap(weight))), (num_classes, num_classes)
    )


def _class_numbers(y: Any, num_classes: int) -> Tensor:
    """Class numbers (n,), int32, from a row, a column, one-hot targets or scores; checked where they can be seen."""
    y = ops.convert_to_tensor(y)
    if y.ndim == 2 and y.shape[-1] == num_classes and num_classes > 1:
        return ops.cast(ops.argmax(y, axis=-1), "int32")
    y = ops.squeeze(y, -1) if y.ndim == 2 and y.shape[-1] == 1 else y
    if y.ndim != 1:
        raise ShapeError("confusion_matrix", expected=f"(n,), (n, 1) or (n, {num_classes})", got=f"shape={y.shape}")
    if not engines.current().is_traced(y.array):
        check_labels(y.numpy(), num_classes, "confusion_matrix")
    return ops.cast(y, "int32")


class ConfusionMatrix(Metric):
    """How often each class was taken for each, over all batches; see `confusion_matrix`.  Keras has no such metric.

        matrix = ConfusionMatrix(num_classes=10)
        matrix.update_state(labels, model.predict(images))
        matrix.result()                                                         # (10, 10): row the label

    Its result is no single number, so it is used by hand and not given to `compile`.

    Args:
        num_classes: from 1 to 4096.
        name: see `Metric`.

    Raises:
        UsageError: another number of classes.
    """

    scalar = False

    def __init__(self, num_classes: int, name: str = "confusion_matrix", dtype: str | None = None) -> None:
        super().__init__(name, dtype)
        check_whole("ConfusionMatrix", 1, MOST_CLASSES, num_classes=num_classes)
        self.num_classes = int(num_classes)
        self.matrix = self.add_variable((self.num_classes, self.num_classes), name="matrix")

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account; arguments as for `confusion_matrix`."""
        self.matrix.assign_add(confusion_matrix(y_true, y_pred, self.num_classes, sample_weight))

    def result(self) -> Tensor:
        """(num_classes, num_classes)."""
        return self.matrix * 1.0
