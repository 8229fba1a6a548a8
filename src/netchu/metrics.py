"""Metrics: running figures over the samples of an epoch, with Keras's names and numbers.

    accuracy = metrics.SparseCategoricalAccuracy()
    accuracy.update_state(labels, predictions)
    accuracy.result()

A metric's state lives in Variables, so that a compiled step carries it along.  Every mean is over samples: the last,
smaller batch of an epoch counts for as many samples as it has.  Shapes: labels (batch,), predictions (batch, classes).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from netchu import ops
from netchu.errors import UsageError
from netchu.registry import Configurable, Registry
from netchu.tape import Tensor, Variable


class Metric(Configurable):
    """Base: a subclass defines `update_state` and `result`; state made by `add_variable` starts at 0.

    Args:
        name: what History and the progress line call it.
    """

    def __init__(self, name: str | None = None) -> None:
        self.name = name or type(self).__name__.lower()
        self._state: dict[str, Variable] = {}

    def add_variable(self, name: str, shape: tuple[int, ...] = ()) -> Variable:
        """A float32 Variable of zeros that belongs to the metric."""
        self._state[name] = Variable(np.zeros(shape, dtype="float32"), trainable=False, name=name)
        return self._state[name]

    @property
    def variables(self) -> list[Variable]:
        """The state."""
        return list(self._state.values())

    def reset_state(self) -> None:
        """Begin anew."""
        for variable in self.variables:
            variable.assign(np.zeros(variable.shape, dtype="float32"))

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account."""
        raise NotImplementedError

    def result(self) -> Tensor:
        """The figure so far."""
        raise NotImplementedError

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Take a batch into account and give the figure so far."""
        self.update_state(*args, **kwargs)
        return self.result()


class Mean(Metric):
    """The weighted mean of values; 0 while there are none."""

    def __init__(self, name: str = "mean") -> None:
        super().__init__(name)
        self.total, self.count = self.add_variable("total"), self.add_variable("count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add values of any shape; `sample_weight` is one number or broadcasts from the left, e.g. (batch,)."""
        values = ops.cast(ops.convert_to_tensor(values), "float32")
        if sample_weight is None:
            weight = ops.ones_like(values)
        else:
            weight = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
            weight = ops.reshape(weight, weight.shape + (1,) * (values.ndim - weight.ndim))
            weight = ops.broadcast_to(weight, values.shape)
        self.total.assign_add(ops.sum(values * weight))
        self.count.assign_add(ops.sum(weight))

    def result(self) -> Tensor:
        """The mean so far."""
        empty = self.count == 0.0
        return ops.where(empty, 0.0, self.total / ops.where(empty, 1.0, self.count))


class MeanMetricWrapper(Mean):
    """The mean over samples of `function(y_true, y_pred)`, which gives one value a sample."""

    def __init__(self, fn: Callable[..., Any], name: str | None = None, **settings: Any) -> None:
        super().__init__(name or fn.__name__)
        self.fn, self.settings = fn, settings

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take a batch into account; `sample_weight` (batch,)."""
        super().update_state(self.fn(y_true, y_pred, **self.settings), sample_weight)


def _row(y: Any) -> Tensor:
    """Labels (batch,) from (batch,) or (batch, 1)."""
    y = ops.convert_to_tensor(y)
    return ops.squeeze(y, -1) if y.ndim > 1 and y.shape[-1] == 1 else y


def accuracy(y_true: Any, y_pred: Any) -> Tensor:
    """1.0 where `y_true == y_pred`, else 0.0, elementwise."""
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    return ops.cast(ops.cast(y_true, y_pred.dtype) == y_pred, "float32")


def binary_accuracy(y_true: Any, y_pred: Any, threshold: float = 0.5) -> Tensor:
    """The share of the last axis where `y_pred > threshold` agrees with the target 0 or 1."""
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if y_true.ndim == y_pred.ndim - 1:
        y_true = ops.expand_dims(y_true, -1)
    guess = ops.cast(y_pred > threshold, "float32")
    return ops.mean(ops.cast(ops.cast(y_true, "float32") == guess, "float32"), axis=-1)


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


class Accuracy(MeanMetricWrapper):
    """How often predictions equal labels: for predictions that are class numbers already."""

    def __init__(self, name: str = "accuracy") -> None:
        super().__init__(accuracy, name)


class BinaryAccuracy(MeanMetricWrapper):
    """How often a probability lies on the right side of `threshold`."""

    def __init__(self, name: str = "binary_accuracy", threshold: float = 0.5) -> None:
        super().__init__(binary_accuracy, name, threshold=threshold)
        self.threshold = threshold


class CategoricalAccuracy(MeanMetricWrapper):
    """How often the most probable class is right, for one-hot targets."""

    def __init__(self, name: str = "categorical_accuracy") -> None:
        super().__init__(categorical_accuracy, name)


class SparseCategoricalAccuracy(MeanMetricWrapper):
    """How often the most probable class is right, for integer labels."""

    def __init__(self, name: str = "sparse_categorical_accuracy") -> None:
        super().__init__(sparse_categorical_accuracy, name)


def _checked_k(k: int) -> int:
    if not isinstance(k, (int, np.integer)) or k < 1:
        raise UsageError("top-k accuracy", expected="k to be a positive integer", got=f"k={k!r}")
    return int(k)


class TopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the right class is among the `k` most probable, for one-hot targets."""

    def __init__(self, k: int = 5, name: str = "top_k_categorical_accuracy") -> None:
        self.k = _checked_k(k)
        super().__init__(top_k_categorical_accuracy, name, k=self.k)


class SparseTopKCategoricalAccuracy(MeanMetricWrapper):
    """How often the right class is among the `k` most probable, for integer labels."""

    def __init__(self, k: int = 5, name: str = "sparse_top_k_categorical_accuracy") -> None:
        self.k = _checked_k(k)
        super().__init__(sparse_top_k_categorical_accuracy, name, k=self.k)


_registry: Registry[Metric] = Registry(
    "metric",
    {
        "mean": Mean,
        "accuracy": Accuracy,
        "binary_accuracy": BinaryAccuracy,
        "categorical_accuracy": CategoricalAccuracy,
        "sparse_categorical_accuracy": SparseCategoricalAccuracy,
        "top_k_categorical_accuracy": TopKCategoricalAccuracy,
        "sparse_top_k_categorical_accuracy": SparseTopKCategoricalAccuracy,
    },
)
names = list(_registry.table)


def get(identifier: Any) -> Metric:
    """The Metric for a name, a Metric, its class or configuration, or a function `(y_true, y_pred) -> values`."""
    found = _registry.get(identifier)
    return found if isinstance(found, Metric) else MeanMetricWrapper(found)


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
