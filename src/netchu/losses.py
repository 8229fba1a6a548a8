"""Losses, with Keras's names, formulas and reductions.

    loss = losses.SparseCategoricalCrossentropy()(labels, predictions)          # one number
    losses.sparse_categorical_crossentropy(labels, predictions)                 # one number a sample

Shapes: predictions (batch, ..., classes), the loss of each sample (batch, ...).  Reduction `"sum_over_batch_size"`
divides the weighted sum by the number of samples, not by the sum of the weights, as Keras does.
"""

from __future__ import annotations

from typing import Any

from netchu import ops
from netchu.errors import ShapeError, UsageError
from netchu.registry import Configurable, Registry
from netchu.tape import Tensor

REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None)


def rank_of_predictions(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Targets (batch,) beside predictions (batch, 1), or the reverse, brought to the shape of the predictions."""
    y_true, y_pred = ops.convert_to_tensor(y_true), ops.convert_to_tensor(y_pred)
    if y_true.ndim == y_pred.ndim - 1 and y_pred.shape[-1] == 1:
        y_true = ops.expand_dims(y_true, -1)
    elif y_true.ndim == y_pred.ndim + 1 and y_true.shape[-1] == 1:
        y_true = ops.squeeze(y_true, -1)
    return y_true, y_pred


def same_rank(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Targets of the predictions' rank and type; ShapeError if the shapes do not broadcast."""
    y_true, y_pred = rank_of_predictions(y_true, y_pred)
    if any(n != m and 1 not in (n, m) for n, m in zip(reversed(y_true.shape), reversed(y_pred.shape))):
        raise ShapeError("the loss", expected=f"targets of shape {y_pred.shape}", got=f"y_true.shape={y_true.shape}")
    if y_true.dtype != y_pred.dtype:
        y_true = ops.cast(y_true, y_pred.dtype)
    return y_true, y_pred


def sparse_categorical_crossentropy(y_true: Any, y_pred: Any, from_logits: bool = False, axis: int = -1) -> Tensor:
    """`-log(p[label])` for integer labels; see `netchu.ops.sparse_categorical_crossentropy`."""
    return ops.sparse_categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


def categorical_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """`-sum(y * log(p))` for one-hot `y`, smoothed first: `y * (1 - s) + s / classes`."""
    y_pred = ops.convert_to_tensor(y_pred)
    if label_smoothing:
        y_true = ops.cast(ops.convert_to_tensor(y_true), y_pred.dtype)
        y_true = y_true * (1 - label_smoothing) + label_smoothing / y_pred.shape[axis]
    return ops.categorical_crossentropy(y_true, y_pred, from_logits=from_logits, axis=axis)


def binary_crossentropy(
    y_true: Any, y_pred: Any, from_logits: bool = False, label_smoothing: float = 0.0, axis: int = -1
) -> Tensor:
    """The mean over `axis` of `-y * log(p) - (1 - y) * log(1 - p)`, `y` smoothed first: `y * (1 - s) + s / 2`."""
    y_true, y_pred = same_rank(y_true, y_pred)
    if label_smoothing:
        y_true = y_true * (1 - label_smoothing) + 0.5 * label_smoothing
    return ops.mean(ops.binary_crossentropy(y_true, y_pred, from_logits=from_logits), axis=axis)


def mean_squared_error(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `(y_true - y_pred) ** 2`."""
    y_true, y_pred = same_rank(y_true, y_pred)
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


def mean_absolute_error(y_true: Any, y_pred: Any) -> Tensor:
    """The mean over the last axis of `|y_true - y_pred|`."""
    y_true, y_pred = same_rank(y_true, y_pred)
    return ops.mean(ops.absolute(y_true - y_pred), axis=-1)


def huber(y_true: Any, y_pred: Any, delta: float = 1.0) -> Tensor:
    """The mean of `e * e / 2` where `e = |y_true - y_pred| <= delta`, else of `delta * (e - delta / 2)`.

    References:
        Huber, "Robust estimation of a location parameter" (1964).
    """
    y_true, y_pred = same_rank(y_true, y_pred)
    e = ops.absolute(y_true - y_pred)
    return ops.mean(ops.where(e <= delta, 0.5 * ops.square(e), delta * e - 0.5 * delta * delta), axis=-1)


class Loss(Configurable):
    """Base: a subclass defines `call(y_true, y_pred)`, the loss of each sample.

    Args:
        reduction: `"sum_over_batch_size"` (alias `"mean"`), `"sum"`, `"mean_with_sample_weight"` (divides by the sum of
            the weights), or `"none"`.
        name: what History and messages call it.

    Raises:
        UsageError: another reduction.
    """

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str | None = None) -> None:
        if reduction not in REDUCTIONS:
            raise UsageError(type(self).__name__, expected=f"reduction in {REDUCTIONS}", got=f"reduction={reduction!r}")
        self.reduction = reduction
        self.name = name or type(self).__name__

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """The loss of each sample, shape (batch, ...)."""
        raise NotImplementedError

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The reduced loss; `sample_weight` (batch,) or of the shape of the losses."""
        return reduce(self.call(y_true, y_pred), sample_weight, self.reduction)


def reduce(losses: Tensor, sample_weight: Any, reduction: str | None) -> Tensor:
    """Weight the losses of the samples and take them together; see `Loss`."""
    weight = None
    if sample_weight is not None:
        weight = ops.cast(ops.convert_to_tensor(sample_weight), losses.dtype)
        if weight.ndim == losses.ndim + 1 and weight.shape[-1] == 1:
            weight = ops.squeeze(weight, -1)
        if weight.ndim > losses.ndim:
            raise ShapeError(
                "sample_weight",
                expected=f"one weight a loss, shape {losses.shape}",
                got=f"sample_weight.shape={weight.shape}",
            )
        weight = ops.reshape(weight, weight.shape + (1,) * (losses.ndim - weight.ndim))
        losses = losses * weight
    if reduction in ("none", None):
        return losses
    if reduction == "sum":
        return ops.sum(losses)
    if reduction == "mean_with_sample_weight" and weight is not None:
        return ops.sum(losses) / ops.sum(ops.broadcast_to(weight, losses.shape))
    return ops.mean(losses)


class SparseCategoricalCrossentropy(Loss):
    """Cross-entropy for integer labels (batch,) and probabilities or logits (batch, classes)."""

    def __init__(
        self,
        from_logits: bool = False,
        reduction: str | None = "sum_over_batch_size",
        axis: int = -1,
        name: str = "sparse_categorical_crossentropy",
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits, self.axis = from_logits, axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return sparse_categorical_crossentropy(y_true, y_pred, self.from_logits, self.axis)


class CategoricalCrossentropy(Loss):
    """Cross-entropy for one-hot targets (batch, classes), with label smoothing."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "categorical_crossentropy",
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return categorical_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


class BinaryCrossentropy(Loss):
    """Cross-entropy for targets 0 or 1 (batch, units), each unit a question of its own, with label smoothing."""

    def __init__(
        self,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        axis: int = -1,
        reduction: str | None = "sum_over_batch_size",
        name: str = "binary_crossentropy",
    ) -> None:
        super().__init__(reduction, name)
        self.from_logits, self.label_smoothing, self.axis = from_logits, label_smoothing, axis

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return binary_crossentropy(y_true, y_pred, self.from_logits, self.label_smoothing, self.axis)


class MeanSquaredError(Loss):
    """The mean of `(y_true - y_pred) ** 2`."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str = "mean_squared_error") -> None:
        super().__init__(reduction, name)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return mean_squared_error(y_true, y_pred)


class MeanAbsoluteError(Loss):
    """The mean of `|y_true - y_pred|`."""

    def __init__(self, reduction: str | None = "sum_over_batch_size", name: str = "mean_absolute_error") -> None:
        super().__init__(reduction, name)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return mean_absolute_error(y_true, y_pred)


class Huber(Loss):
    """Squared near 0, linear beyond `delta`; see `huber`."""

    def __init__(
        self, delta: float = 1.0, reduction: str | None = "sum_over_batch_size", name: str = "huber_loss"
    ) -> None:
        super().__init__(reduction, name)
        self.delta = delta

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        return huber(y_true, y_pred, self.delta)


class LossFunction(Loss):
    """A user's own function `(y_true, y_pred) -> loss of each sample` as a Loss."""

    def __init__(self, function: Any, reduction: str | None = "sum_over_batch_size", name: str | None = None) -> None:
        super().__init__(reduction, name or getattr(function, "__name__", "loss"))
        self.function = function

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        y_true, y_pred = rank_of_predictions(y_true, y_pred)  # (batch,) - (batch, 1) would be (batch, batch)
        if y_true.shape == y_pred.shape and y_true.dtype != y_pred.dtype:
            y_true = ops.cast(y_true, y_pred.dtype)  # targets, not labels: bytes would wrap
        return ops.convert_to_tensor(self.function(y_true, y_pred))


# By name -> (class, function of each sample).
_BY_NAME = {
    "sparse_categorical_crossentropy": (SparseCategoricalCrossentropy, sparse_categorical_crossentropy),
    "categorical_crossentropy": (CategoricalCrossentropy, categorical_crossentropy),
    "binary_crossentropy": (BinaryCrossentropy, binary_crossentropy), "bce": (BinaryCrossentropy, binary_crossentropy),
    "mean_squared_error": (MeanSquaredError, mean_squared_error), "mse": (MeanSquaredError, mean_squared_error),
    "mean_absolute_error": (MeanAbsoluteError, mean_absolute_error), "mae": (MeanAbsoluteError, mean_absolute_error),
    "huber": (Huber, huber), "huber_loss": (Huber, huber),
}  # fmt: skip
_registry: Registry[Loss] = Registry("loss", {name: cls for name, (cls, _) in _BY_NAME.items()})
_functions: Registry[Any] = Registry("loss", {name: function for name, (_, function) in _BY_NAME.items()})


def get(identifier: Any) -> Loss:
    """The Loss for a name, a Loss, its class or configuration, or a function `(y_true, y_pred) -> losses`."""
    found = _registry.get(identifier)
    return found if isinstance(found, Loss) else LossFunction(found)


def get_function(name: str) -> Any:
    """The function of that name which gives the loss of each sample; metrics use it."""
    return _functions.find(name)


names = list(_BY_NAME)
classes = tuple({cls for cls, _ in _BY_NAME.values()})
