"""Losses that ask for a margin: there is nothing to learn where the right side already wins by 1.

Shapes: targets and predictions (batch, ..., units), the loss of each sample (batch, ...).
"""

from __future__ import annotations

from typing import Any

from netchu import ops
from netchu.losses.base import Loss, same_rank
from netchu.tensor import Tensor


def hinge(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `max(1 - y_true * y_pred, 0)`, for targets -1 and 1 (or 0 and 1)."""
    y_true, y_pred = same_rank(y_true, y_pred)
    return ops.mean(_margin_missed(y_true, y_pred), axis=-1)


def squared_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `max(1 - y_true * y_pred, 0) ** 2`, for targets -1 and 1 (or 0 and 1)."""
    y_true, y_pred = same_rank(y_true, y_pred)
    return ops.mean(ops.square(_margin_missed(y_true, y_pred)), axis=-1)


def _margin_missed(y_true: Tensor, y_pred: Tensor) -> Tensor:
    """`max(1 - y * p, 0)`; targets that are all 0 or 1 in this batch become -1 or 1 first, as in Keras."""
    binary = ops.all(ops.logical_or(y_true == 0.0, y_true == 1.0))
    y = ops.where(binary, 2.0 * y_true - 1.0, y_true)
    return ops.maximum(1.0 - y * y_pred, 0.0)


def categorical_hinge(y_true: Any, y_pred: Any) -> Tensor:
    """`max(largest wrong - right + 1, 0)` for one-hot targets: by how much the right class fails to win by 1."""
    y_true, y_pred = same_rank(y_true, y_pred)
    right = ops.sum(y_true * y_pred, axis=-1)
    wrong = ops.max((1.0 - y_true) * y_pred, axis=-1)
    return ops.maximum(wrong - right + 1.0, 0.0)


# --- classes ---------------------------------------------------------------------------------------------------------


class Hinge(Loss):
    """The mean of `max(1 - y_true * y_pred, 0)`; see `hinge`."""

    target_range = (-1, 1)

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "hinge", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return hinge(y_true, y_pred)


class SquaredHinge(Loss):
    """The mean of `max(1 - y_true * y_pred, 0) ** 2`; see `squared_hinge`."""

    target_range = (-1, 1)

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "squared_hinge", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return squared_hinge(y_true, y_pred)


class CategoricalHinge(Loss):
    """By how much the right class fails to win by 1; see `categorical_hinge`."""

    target_range = (0, 1)

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "categorical_hinge", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return categorical_hinge(y_true, y_pred)
