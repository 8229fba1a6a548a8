"""Losses, with Keras's names, formulas and reductions.

    loss = losses.SparseCategoricalCrossentropy()(labels, predictions)          # one number
    losses.sparse_categorical_crossentropy(labels, predictions)                 # one number a sample

Reading order: `base.py` (Loss, and how the losses of the samples become one number), `probabilistic.py`,
`regression.py`, `hinge.py`: in each a column of formulas and then the classes.

Shapes: predictions (batch, ..., classes), the loss of each sample (batch, ...).  Reduction `"sum_over_batch_size"`
divides the weighted sum by the number of samples, not by the sum of the weights, as Keras does.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netchu.left_to_keras import missing_names
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
from netchu.tensor import Tensor

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

__getattr__ = missing_names("losses")

# Keras's short names.
_ALIASES = {
    "bce": "binary_crossentropy",
    "huber_loss": "huber",
    "kld": "kl_divergence",
    "mae": "mean_absolute_error",
    "mape": "mean_absolute_percentage_error",
    "mse": "mean_squared_error",
    "msle": "mean_squared_logarithmic_error",
}
_registry: Registry[Loss] = Registry.of(
    "loss", globals(), __all__, base=Loss, without={"LossFunction"}, aliases=_ALIASES
)
_functions: Registry[Callable[..., Tensor]] = Registry.of(
    "loss", globals(), __all__, without={"get", "get_function", "reduce"}, aliases=_ALIASES
)
names = _registry.names
classes = _registry.entries
functions = _functions.entries


def get(identifier: Any) -> Loss | None:
    """The Loss for a name, a Loss, its class or configuration, or a function; None for None."""
    found = _registry.get(identifier)
    if found is None:
        return None
    if found in functions:  # one of netchu's own: its class knows which targets are right
        found = _registry.find(getattr(found, "__name__", ""))()
    return found if isinstance(found, Loss) else LossFunction(found)


def get_function(name: str) -> Callable[..., Tensor]:
    """The function of that name which gives the loss of each sample."""
    found: Callable[..., Tensor] = _functions.find(name)
    return found
