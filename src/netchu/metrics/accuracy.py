"""How often a prediction is right, in the forms that fit the targets; `accuracy_for` chooses among them.

First the functions, one value a sample, then the classes.  Shapes: labels (batch,) or (batch, 1), one-hot targets and
predictions (batch, classes).
"""

from __future__ import annotations

from typing import Any

from netchu import ops
from netchu.arguments import positive_integer
from netchu.losses.base import rank_of_predictions
from netchu.metrics.base import MeanMetricWrapper, Metric
from netchu.tensor import Tensor


def _row(y: Any) -> Tensor:
    """Labels (batch,) from (batch,) or (batch, 1)."""
    y = ops.convert_to_tensor(y)
    return ops.squeeze(y, -1) if y.ndim > 1 and y.shape[-1] == 1 else y


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1.0 where `y_true == y_pred`, else 0.0, elementwise."""
    y_true, y_pred = rank_of_predictions(y_true, y_pred)
    return ops.cast(ops.cast(y_true, y_pred.dtype) == y_pred, "float32")


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """1.0 where `y_pred > threshold` agrees with the target 0 or 1, else 0.0, elementwise."""
    y_true, y_pred = rank_of_predictions(y_true, y_pred)
    guess = ops.cast(y_pred > threshold, "float32")
    return ops.cast(ops.cast(y_true, "float32") == guess, "float32")


def categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1.0 where the most probable class is the one-hot target's, else 0.0."""
    return sparse_categorical_accuracy(ops.argmax(y_true, axis=-1), y_pred)


def sparse_categorical_accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1.0 where the most probable class (the first of equals) is the label, else 0.0."""
    guess = ops.argmax(y_pred, axis=-1)
    labels = ops.convert_to_tensor(y_true)
    if labels.ndim > guess.ndim:
        labels = _row(labels)
    return ops.cast(ops.cast(labels, guess.dtype) == guess, "float32")


def top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1.0 where the one-hot target's class is among the `k` most probable, else 0.0."""
    return ops.cast(ops.in_top_k(ops.argmax(y_true, axis=-1), y_pred, k), "float32")


def sparse_top_k_categorical_accuracy(y_true: Any, y_pred: Any, k: int = 5) -> Tensor:
    """1.0 where the label is among the `k` most probable classes, else 0.0."""
    return ops.cast(ops.in_top_k(_row(y_true), y_pred, k), "float32")


# --- classes ---------------------------------------------------------------------------------------------------------


class Accuracy(MeanMetricWrapper):
    """How often predictions equal labels: for predictions that are class numbers already."""

    direction = "up"

    def __init__(self, name: str = "accuracy", dtype: str | None = None) -> None:
        super().__init__(accuracy, name, dtype)


class BinaryAccuracy(MeanMetricWrapper):
    """How often a probability lies on the right side of `threshold`."""

    direction = "up"

    def __init__(self, name: str = "binary_accuracy", dtype: str | None = None, threshold: float = 0.5) -> None:
        super().__init__(binary_accuracy, name, dtype, threshold=threshold)
        self.threshold = threshold


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the most probable class is right, for one-hot targets."""

    direction = "up"

    def __init__(self, name: str = "categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(categorical_accuracy, name, dtype)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the most probable class is right, for integer labels."""

    direction = "up"

    def __init__(self, name: str = "sparse_categorical_accuracy", dtype: str | None = None) -> None:
        super().__init__(sparse_categorical_accuracy, name, dtype)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the right class is among the `k` most probable, for one-hot targets."""

    direction = "up"

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy", dtype: str | None = None) -> None:
        self.k = positive_integer("TopKCategoricalAccuracy", "k", k)
        super().__init__(top_k_categorical_accuracy, name, dtype, k=self.k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the right class is among the `k` most probable, for integer labels."""

    direction = "up"

    def __init__(self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy", dtype: str | None = None) -> None:
        self.k = positive_integer("SparseTopKCategoricalAccuracy", "k", k)
        super().__init__(sparse_top_k_categorical_accuracy, name, dtype, k=self.k)


def accuracy_for(target_shape: tuple[int, ...], output_shape: tuple[int, ...], name: str) -> Metric:
    """What `metrics=["accuracy"]` means for these shapes, under the name that was typed; Keras's rule.

    One output a sample: BinaryAccuracy.  Labels of lower rank, or with a last axis of 1: the sparse form.  Otherwise
    one-hot targets: CategoricalAccuracy.
    """
    if output_shape[-1] == 1:
        return BinaryAccuracy(name)
    if len(target_shape) < len(output_shape) or target_shape[-1] == 1:
        return SparseCategoricalAccuracy(name)
    return CategoricalAccuracy(name)
