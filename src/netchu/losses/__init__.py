"""Losses, with Keras's names, formulas and reductions.

    loss = losses.SparseCategoricalCrossentropy()(labels, predictions)          # one number
    losses.sparse_categorical_crossentropy(labels, predictions)                 # one number a sample

Reading order: `base.py` (Loss, and how the losses of the samples become one number), `probabilistic.py`,
`regression.py`, `hinge.py`: in each a column of formulas and then the classes.

Shapes: predictions (batch, ..., classes), the loss of each sample (batch, ...).  Reduction `"sum_over_batch_size"`
divides the weighted sum by the number of samples, not by the sum of the weights, as Keras does.
"""

from __future__ import annotations

from typing import Any

from netchu.losses.base import Loss, LossFunction, reduce
from netchu.losses.hinge import CategoricalHinge, Hinge, SquaredHinge, categorical_hinge, hinge, squared_hinge
from netchu.losses.probabilistic import (
    BinaryCrossentropy,
    BinaryFocalCrossentropy,
    CategoricalCrossentropy,
    CategoricalFocalCrossentropy,
    KLDivergence,
    Poisson,
    SparseCategoricalCrossentropy,
    binary_crossentropy,
    binary_focal_crossentropy,
    categorical_crossentropy,
    categorical_focal_crossentropy,
    kl_divergence,
    poisson,
    sparse_categorical_crossentropy,
)
from netchu.losses.regression import (
    CosineSimilarity,
    Huber,
    LogCosh,
    MeanAbsoluteError,
    MeanAbsolutePercentageError,
    MeanSquaredError,
    MeanSquaredLogarithmicError,
    cosine_similarity,
    huber,
    log_cosh,
    mean_absolute_error,
    mean_absolute_percentage_error,
    mean_squared_error,
    mean_squared_logarithmic_error,
)
from netchu.registry import Registry

__all__ = [
    "BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "CategoricalFocalCrossentropy",
    "CategoricalHinge", "CosineSimilarity", "Hinge", "Huber", "KLDivergence", "LogCosh", "Loss", "LossFunction",
    "MeanAbsoluteError", "MeanAbsolutePercentageError", "MeanSquaredError", "MeanSquaredLogarithmicError", "Poisson",
    "SparseCategoricalCrossentropy", "SquaredHinge", "binary_crossentropy", "binary_focal_crossentropy",
    "categorical_crossentropy", "categorical_focal_crossentropy", "categorical_hinge", "classes", "cosine_similarity",
    "functions", "get", "get_function", "hinge", "huber", "kl_divergence", "log_cosh", "mean_absolute_error",
    "mean_absolute_percentage_error", "mean_squared_error", "mean_squared_logarithmic_error", "names", "poisson",
    "reduce", "sparse_categorical_crossentropy", "squared_hinge",
]  # fmt: skip

# By name -> (class, function of each sample).
_BY_NAME = {
    "sparse_categorical_crossentropy": (SparseCategoricalCrossentropy, sparse_categorical_crossentropy),
    "categorical_crossentropy": (CategoricalCrossentropy, categorical_crossentropy),
    "binary_crossentropy": (BinaryCrossentropy, binary_crossentropy), "bce": (BinaryCrossentropy, binary_crossentropy),
    "categorical_focal_crossentropy": (CategoricalFocalCrossentropy, categorical_focal_crossentropy),
    "binary_focal_crossentropy": (BinaryFocalCrossentropy, binary_focal_crossentropy),
    "kl_divergence": (KLDivergence, kl_divergence), "kld": (KLDivergence, kl_divergence),
    "poisson": (Poisson, poisson),
    "mean_squared_error": (MeanSquaredError, mean_squared_error), "mse": (MeanSquaredError, mean_squared_error),
    "mean_absolute_error": (MeanAbsoluteError, mean_absolute_error), "mae": (MeanAbsoluteError, mean_absolute_error),
    "mean_absolute_percentage_error": (MeanAbsolutePercentageError, mean_absolute_percentage_error),
    "mape": (MeanAbsolutePercentageError, mean_absolute_percentage_error),
    "mean_squared_logarithmic_error": (MeanSquaredLogarithmicError, mean_squared_logarithmic_error),
    "msle": (MeanSquaredLogarithmicError, mean_squared_logarithmic_error),
    "huber": (Huber, huber), "huber_loss": (Huber, huber),
    "log_cosh": (LogCosh, log_cosh),
    "cosine_similarity": (CosineSimilarity, cosine_similarity),
    "hinge": (Hinge, hinge), "squared_hinge": (SquaredHinge, squared_hinge),
    "categorical_hinge": (CategoricalHinge, categorical_hinge),
}  # fmt: skip
_registry: Registry[Loss] = Registry("loss", {name: cls for name, (cls, _) in _BY_NAME.items()})
_functions: Registry[Any] = Registry("loss", {name: function for name, (_, function) in _BY_NAME.items()})


def get(identifier: Any) -> Loss:
    """The Loss for a name, a Loss, its class or configuration, or a function `(y_true, y_pred) -> losses`."""
    found = _registry.get(identifier)
    return found if isinstance(found, Loss) else LossFunction(found)


def get_function(name: str) -> Any:
    """The function of that name which gives the loss of each sample."""
    return _functions.find(name)


names = list(_BY_NAME)
classes = tuple(dict.fromkeys(cls for cls, _ in _BY_NAME.values()))
functions = tuple(dict.fromkeys(function for _, function in _BY_NAME.values()))
