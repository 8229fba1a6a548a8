"""Losses between distributions: the cross-entropies, their focal forms, the Kullback-Leibler divergence, Poisson.

First the column of formulas, then the classes.  In the formulas `y` is the target, `p` the prediction, `s` the label
smoothing.  Shapes: predictions (batch, ..., classes) or (batch, ..., units), the loss of each sample (batch, ...).

Limits: the focal forms, the divergence and Poisson are computed from the probabilities, clipped to [1e-7, 1 - 1e-7] or
[1e-7, 1] as Keras does; where a probability is clipped it learns nothing.
"""

from __future__ import annotations

import math
from typing import Any

from netchu import ops
from netchu.arguments import check_numbers
from netchu.losses.base import EPSILON, Loss, same_rank
from netchu.tensor import Tensor


def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, axis: int = -1) -> Tensor:
    """`-log(p[label])` for integer labels; see `netchu.ops.sparse_categorical_crossentropy`."""
    return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """`-sum(y * log(p))` for one-hot `y`, smoothed first: `y * (1 - s) + s / classes`."""
    check_numbers("categorical_crossentropy", 0, 1, label_smoothing=label_smoothing)
    y_pred = ops.convert_to_tensor(y_pred)
    if label_smoothing:
        y_true = ops.cast(ops.convert_to_tensor(y_true), y_pred.dtype)
        y_true = y_true * (1 - label_smoothing) + label_smoothing / y_pred.shape[axis]
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """The mean over `axis` of `-y * log(p) - (1 - y) * log(1 - p)`, `y` smoothed first: `y * (1 - s) + s / 2`."""
    check_numbers("binary_crossentropy", 0, 1, label_smoothing=label_smoothing)
    y_true, y_pred = same_rank(y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits), axis=axis)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """`-sum(alpha * (1 - p) ** gamma * y * log(p))` for one-hot `y`: what is classified well already counts for less.

    `y` is smoothed first, as in `categorical_crossentropy`; `p` is made to sum to 1, then clipped to [1e-7, 1 - 1e-7].

    References:
        Lin, Goyal, Girshick, He, Dollar, "Focal loss for dense object detection" (2017).
    """
    check_numbers("categorical_focal_crossentropy", 0, 1, label_smoothing=label_smoothing)
    y_true, y_pred = same_rank(y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1 - label_smoothing) + label_smoothing / y_pred.shape[axis]
    if from_logits:
        y_pred = ops.softmax(y_pred, axis=axis)
    p = ops.clip(y_pred / ops.sum(y_pred, axis=axis, keepdims=True), EPSILON, 1 - EPSILON)
    return -ops.sum(alpha * (1 - p) ** gamma * y_true * ops.log(p), axis=axis)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    apply_class_balancing: bool = False,
    alpha: float = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    axis: int = -1,
) -> Tensor:
    """The mean over `axis` of the binary cross-entropy times `(1 - q) ** gamma`, `q = y * p + (1 - y) * (1 - p)`.

    With `apply_class_balancing` also times `alpha` where `y` is 1 and `1 - alpha` where it is 0.

    References:
        Lin, Goyal, Girshick, He, Dollar, "Focal loss for dense object detection" (2017).
    """
    check_numbers("binary_focal_crossentropy", 0, 1, label_smoothing=label_smoothing)
    y_true, y_pred = same_rank(y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    p = ops.sigmoid(y_pred) if from_logits else y_pred
    q = y_true * p + (1 - y_true) * (1 - p)
    loss = (1 - q) ** gamma * ops.binary_crossentropy(y_true, p)
    if apply_class_balancing:
        loss = (y_true * alpha + (1 - y_true) * (1 - alpha)) * loss
    return ops.mean(loss, axis=axis)


def kl_divergence(y_true: Any, y_pred: Any) -> Tensor:
    """`sum(y * log(y / p))`, both clipped to [1e-7, 1].

    References:
        Kullback and Leibler, "On information and sufficiency" (1951).
    """
    y_true, y_pred = same_rank(y_true, y_pred)
    y, p = ops.clip(y_true, EPSILON, 1.0), ops.clip(y_pred, EPSILON, 1.0)
    return ops.sum(y * ops.log(y / p), axis=-1)


def poisson(y_true: Any, y_pred: Any) -> Tensor:
    """The mean of `p - y * log(p + 1e-7)`: counts `y` beside their expected number `p`."""
    y_true, y_pred = same_rank(y_true, y_pred)
    return ops.mean(y_pred - y_true * ops.log(y_pred + EPSILON), axis=-1)


# --- classes ---------------------------------------------------------------------------------------------------------


class SparseCategoricalCrossentropy(Loss):
    """Cross-entropy for integer labels (batch,) and probabilities or logits (batch, classes)."""

    takes_labels = True

    def __init__(
        self,
        from_logits: bool = False,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.from_logits = from_logits
        self.axis = axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return sparse_categorical_crossentropy(y_true, y_pred, self.from_logits, self.axis)


class CategoricalCrossentropy(Loss):
    """Cross-entropy for one-hot targets (batch, classes), with label smoothing."""

    target_range = (0, 1)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        check_numbers(type(self).__name__, 0, 1, label_smoothing=label_smoothing)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return categorical_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


class BinaryCrossentropy(Loss):
    """Cross-entropy for targets 0 or 1 (batch, units), each unit a question of its own, with label smoothing."""

    target_range = (0, 1)

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        check_numbers(type(self).__name__, 0, 1, label_smoothing=label_smoothing)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return binary_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


class CategoricalFocalCrossentropy(Loss):
    """Cross-entropy for one-hot targets that dwells on what is hard; see `categorical_focal_crossentropy`.

    Args:
        alpha: a factor of the whole loss.
        gamma: how much less an easy sample counts; 0 gives `alpha` times the cross-entropy.
        from_logits: whether predictions are logits.
        label_smoothing: share of each target that is spread over the classes.
        axis: where the classes lie.
        reduction: see `Loss`.
        name: see `Loss`.
    """

    target_range = (0, 1)

    def __init__(
        self,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_focal_crossentropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.alpha = alpha
        self.gamma = gamma
        check_numbers(type(self).__name__, 0, 1, label_smoothing=label_smoothing)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return categorical_focal_crossentropy(
            y_true, y_pred, self.alpha, self.gamma, self.from_logits, self.label_smoothing, self.axis
        )


class BinaryFocalCrossentropy(Loss):
    """Cross-entropy for targets 0 or 1 that dwells on what is hard; see `binary_focal_crossentropy`.

    Args:
        apply_class_balancing: whether targets 1 weigh `alpha` and targets 0 `1 - alpha`.
        alpha: see `apply_class_balancing`.
        gamma: how much less an easy sample counts; 0 gives the cross-entropy.
        from_logits: whether predictions are logits.
        label_smoothing: how far targets are drawn towards 1/2.
        axis: along which the mean is taken.
        reduction: see `Loss`.
        name: see `Loss`.
    """

    target_range = (0, 1)

    def __init__(
        self,
        apply_class_balancing: bool = False,
        alpha: float = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_focal_crossentropy",
        dtype: str | None = None,
    ) -> None:
        super().__init__(name, reduction, dtype)
        self.apply_class_balancing = apply_class_balancing
        self.alpha = alpha
        self.gamma = gamma
        check_numbers(type(self).__name__, 0, 1, label_smoothing=label_smoothing)
        self.from_logits = from_logits
        self.label_smoothing = label_smoothing
        self.axis = axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        balance = (self.apply_class_balancing, self.alpha, self.gamma)
        return binary_focal_crossentropy(y_true, y_pred, *balance, self.from_logits, self.label_smoothing, self.axis)


class KLDivergence(Loss):
    """How far the predicted distribution lies from the true one; see `kl_divergence`."""

    target_range = (0, 1)

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "kl_divergence", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return kl_divergence(y_true, y_pred)


class Poisson(Loss):
    """For counts, predicted by their expected number; see `poisson`."""

    target_range = (0, math.inf)

    def __init__(
        self, reduction: str | None = "sum_over_batch_size", name: str = "poisson", dtype: str | None = None
    ) -> None:
        super().__init__(name, reduction, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return poisson(y_true, y_pred)
