"""Losses between numbers: mean errors of several kinds, Huber, log-cosh, the cosine.

First the column of formulas, then the classes.  Shapes: targets and predictions (batch, ..., units), the loss of each
sample (batch, ...): the mean over the last axis, or for the cosine the sum.
"""

from __future__ import annotations

import math
from typing import Any

from netchu import ops
from netchu.arguments import check_numbers
from netchu.losses.base import EPSILON, Loss, same_rank
from netchu.tensor import Tensor


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `(y_true - y_pred) ** 2`."""
    y_true, y_pred = same_rank(y_true, y_pred)
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `|y_true - y_pred|`."""
    y_true, y_pred = same_rank(y_true, y_pred)
    return ops.mean(ops.absolute(y_true - y_pred), axis=-1)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `100 * |y_true - y_pred| / |y_true|`, the divisor at least 1e-7."""
    y_true, y_pred = same_rank(y_true, y_pred)
    error = ops.absolute(y_true - y_pred) / ops.maximum(ops.absolute(y_true), EPSILON)
    return 100.0 * ops.mean(error, axis=-1)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `(log(y_true + 1) - log(y_pred + 1)) ** 2`, both at least 1e-7."""
    y_true, y_pred = same_rank(y_true, y_pred)
    error = ops.log(ops.maximum(y_pred, EPSILON) + 1.0) - ops.log(ops.maximum(y_true, EPSILON) + 1.0)
    return ops.mean(ops.square(error), axis=-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """The mean of `e * e / 2` where `e = |y_true - y_pred| <= delta`, else of `delta * (e - delta / 2)`.

    References:
        Huber, "Robust estimation of a location parameter" (1964).
    """
    y_true, y_pred = same_rank(y_true, y_pred)
    e = ops.absolute(y_true - y_pred)
    return ops.mean(ops.where(e <= delta, 0.5 * ops.square(e), delta * e - 0.5 * delta * delta), axis=-1)


def log_cosh(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `log(cosh(y_pred - y_true))`: about `e * e / 2` near 0, `|e| - log(2)` far out."""
    y_true, y_pred = same_rank(y_true, y_pred)
    e = y_pred - y_true
    # log(cosh(e)) = log((exp(e) + exp(-e)) / 2) = e + log(1 + exp(-2 e)) - log(2), which cannot overflow
    return ops.mean(e + ops.softplus(-2.0 * e) - math.log(2), axis=-1)


def cosine_similarity(y_true: Any, y_pred: Any, axis: int = -1) -> Tensor:
    """`-cos` of the angle between target and prediction along `axis`: -1 for one direction, 0 where one is 0."""
    y_true, y_pred = same_rank(y_true, y_pred)
    return -ops.sum(_of_length_one(y_true, axis) * _of_length_one(y_pred, axis), axis=axis)


def _of_length_one(x: Tensor, axis: int) -> Tensor:
    """`x / |x|`; a vector shorter than 1e-7 is multiplied by 1e7."""
    square = ops.sum(ops.square(x), axis=axis, keepdims=True)
    return x * ops.rsqrt(ops.maximum(square, EPSILON * EPSILON))


# --- classes ---------------------------------------------------------------------------------------------------------


class MeanSquaredError(Loss):
    """The mean of `(y_true - y_pred) ** 2`."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "mean_squared_error", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return mean_squared_error(y_true, y_pred)


class MeanAbsoluteError(Loss):
    """The mean of `|y_true - y_pred|`."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "mean_absolute_error", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return mean_absolute_error(y_true, y_pred)


class MeanAbsolutePercentageError(Loss):
    """The mean of `100 * |y_true - y_pred| / |y_true|`."""

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_absolute_percentage_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return mean_absolute_percentage_error(y_true, y_pred)


class MeanSquaredLogarithmicError(Loss):
    """The mean of `(log(y_true + 1) - log(y_pred + 1)) ** 2`."""

    target_range = (0, math.inf)

    def __init__(
        self,
        reduction: str | None = "sum_over_batch_size",
        name: str = "mean_squared_logarithmic_error",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return mean_squared_logarithmic_error(y_true, y_pred)


class Huber(Loss):
    """Squared near 0, linear beyond `delta`; see `huber`."""

    def __init__(
        self,
        delta: float = 1.0,
        reduction: str | None = "sum_over_batch_size",
        name: str = "huber_loss",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        check_numbers("Huber", above=True, delta=delta)
        self.delta = delta

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return huber(y_true, y_pred, self.delta)


class LogCosh(Loss):
    """Squared near 0, linear far out, smooth between; see `log_cosh`."""

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "log_cosh", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return log_cosh(y_true, y_pred)


class CosineSimilarity(Loss):
    """Minus the cosine of the angle between target and prediction; see `cosine_similarity`."""

    def __init__(
        self,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "cosine_similarity",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.axis = axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return cosine_similarity(y_true, y_pred, self.axis)
