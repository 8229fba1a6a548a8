"""Metrics: running figures over the samples of an epoch, with Keras's names and numbers.

    accuracy = metrics.SparseCategoricalAccuracy()
    accuracy.update_state(labels, predictions)
    accuracy.result()

Reading order: `base.py` (Metric, and the mean that most are), `accuracy.py`, `confusion.py` (precision, recall, the
confusion matrix), `auc.py`, `f_score.py`; `probabilistic.py` and `regression.py` are means of losses.

Every mean is over samples: the last, smaller batch of an epoch counts for as many samples as it has.  Shapes: labels
(batch,), predictions (batch, classes).
"""

from __future__ import annotations

from typing import Any

from netchu import losses
from netchu.errors import UsageError
from netchu.left_to_keras import missing_names
from netchu.losses import (
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    categorical_hinge,
    hinge,
    huber,
    kl_divergence,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
    poisson,
    sparse_categorical_crossentropy,
    squared_hinge,
)
from netchu.metrics.accuracy import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    accuracy_for,
    binary_accuracy,
    categorical_accuracy,
    sparse_categorical_accuracy,
    sparse_top_k_categorical_accuracy,
    top_k_categorical_accuracy,
)
from netchu.metrics.auc import AUC
from netchu.metrics.base import Mean, MeanMetricWrapper, Metric, Sum
from netchu.metrics.confusion import (
    ConfusionMatrix,
    FalseNegatives,
    FalsePositives,
    Precision,
    Recall,
    TrueNegatives,
    TruePositives,
    confusion_matrix,
)
from netchu.metrics.f_score import F1Score, FBetaScore
from netchu.metrics.probabilistic import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    CategoricalHinge,
    Hinge,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
    SquaredHinge,
)
from netchu.metrics.regression import (
    CosineSimilarity,
    LogCoshError,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    RootMeanSquaredError,
)
from netchu.registry import Registry

__all__ = [
    "AUC", "Accuracy", "BinaryAccuracy", "BinaryCrossentropy", "CategoricalAccuracy", "CategoricalCrossentropy",
    "CategoricalHinge", "ConfusionMatrix", "CosineSimilarity", "F1Score", "FBetaScore", "FalseNegatives",
    "FalsePositives", "Hinge", "KLDivergence", "LogCoshError", "Mean", "MeanAbsoluteError",
    "MeanAbsolutePercentageError", "MeanMetricWrapper", "MeanSquaredError", "MeanSquaredLogarithmicError", "Metric",
    "Poisson", "Precision", "Recall", "RootMeanSquaredError", "SparseCategoricalAccuracy",
    "SparseCategoricalCrossentropy", "SparseTopKCategoricalAccuracy", "SquaredHinge", "Sum",
    "TopKCategoricalAccuracy", "TrueNegatives", "TruePositives", "accuracy_for", "binary_accuracy",
    "binary_crossentropy", "binary_focal_crossentropy", "categorical_accuracy", "categorical_crossentropy",
    "categorical_focal_crossentropy", "categorical_hinge", "classes", "confusion_matrix", "get", "hinge", "huber",
    "kl_divergence", "log_cosh", "mean_absolute_error", "mean_absolute_percentage_error", "mean_squared_error",
    "mean_squared_logarithmic_error", "names", "poisson", "sparse_categorical_accuracy",
    "sparse_categorical_crossentropy", "sparse_top_k_categorical_accuracy", "squared_hinge",
    "top_k_categorical_accuracy",
]  # fmt: skip

__getattr__ = missing_names("metrics")

# Keras's short names.
_ALIASES = {
    "acc": "accuracy",
    "bce": "binary_crossentropy",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}
_registry: Registry[Metric] = Registry.of(
    "metric",
    globals(),
    __all__,
    base=Metric,
    without={"ConfusionMatrix", "MeanMetricWrapper"},  # they need an argument, so that no name can make one
    aliases=_ALIASES,
    besides={name: losses.get_function(name) for name in losses.names},
)
names = _registry.names
classes = tuple(entry for entry in _registry.entries if isinstance(entry, type))


def get(identifier: Any) -> Metric:
    """The Metric for a name, a Metric, its class or configuration, or a function `(y_true, y_pred) -> values`.

    The name of a loss that is no metric of its own gives the mean of that loss.
    """
    found = _registry.get(identifier)
    if found is None:
        raise UsageError("metrics.get", expected="a name, a Metric or a function", got="None")
    return found if isinstance(found, Metric) else MeanMetricWrapper(found)
