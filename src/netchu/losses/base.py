"""What every loss shares: targets of the predictions' rank, `Loss`, and how the samples' losses become one number.

Shapes: predictions (batch, ..., units), the loss of each sample (batch, ...).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from netchu import ops
from netchu.arguments import check_choice, checked_name, returned
from netchu.engines.contract import checked_dtype
from netchu.errors import ShapeError, missing_method
from netchu.registry import Configurable, is_netchus, without_defaults
from netchu.tensor import Tensor

REDUCTIONS = ("sum_over_batch_size", "mean", "sum", "mean_with_sample_weight", "none", None)
EPSILON = 1e-7  # what keeps logarithms and quotients finite, as in Keras


def rank_of_predictions(y_true: Any, y_pred: Any) -> tuple[Tensor, Tensor]:
    """Targets (batch,) beside predictions (batch, 1), or the reverse, brought to the shape of the predictions."""
    y_true = ops.convert_to_tensor(y_true)
    y_pred = ops.convert_to_tensor(y_pred)
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


class Loss(Configurable):
    """Base: a subclass defines `call(y_true, y_pred)`, the loss of each sample.

    Args:
        name: what History and messages call it.
        reduction: `"sum_over_batch_size"` (alias `"mean"`), `"sum"`, `"mean_with_sample_weight"` (divides by the sum of
            the weights), or `"none"`.
        dtype: in which targets and predictions are compared; None is float32.

    Attributes:
        takes_labels: whether targets are whole numbers, which reach `call` as they are.
        target_range: the lowest and the highest target that it is made for; `fit` refuses others before the first step.

    Raises:
        UsageError: another reduction or dtype, or a name that is not 1 to 100 printable letters.
    """

    target_range: tuple[float, float] = (-math.inf, math.inf)
    takes_labels = False

    def __init__(
        self, name: str | None = None, reduction: str | None = "sum_over_batch_size", dtype: str | None = None
    ) -> None:
        check_choice(type(self).__name__, REDUCTIONS, reduction=reduction)
        self.reduction = reduction
        self.name = type(self).__name__ if name is None else checked_name(type(self).__name__, name)
        self.dtype = checked_dtype(type(self).__name__, dtype)

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """The loss of each sample, shape (batch, ...)."""
        raise missing_method(self, "call(self, y_true, y_pred)")

    def __call__(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> Tensor:
        """The reduced loss.

        Args:
            y_true: targets (batch, ...); `call` gets them, and the predictions, as Tensors of the loss's dtype.
            y_pred: predictions (batch, ...).
            sample_weight: (batch,) or of the shape of the losses.

        Raises:
            UsageError: `call` returned nothing.
        """
        y_pred = self._converted(y_pred)
        y_true = ops.convert_to_tensor(y_true) if self.takes_labels else self._converted(y_true)
        losses = returned(f"{type(self).__name__}.call", "the losses", self.call(y_true, y_pred))
        return reduce(ops.convert_to_tensor(losses), sample_weight, self.reduction)

    def _converted(self, value: Any) -> Tensor:
        """A Tensor of the loss's dtype; a Tensor of float64 stays one: a model that computes so also learns so."""
        tensor = ops.convert_to_tensor(value)
        if tensor.dtype == self.dtype or (isinstance(value, Tensor) and tensor.dtype == "float64"):
            return tensor
        return ops.cast(tensor, self.dtype)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return without_defaults(super().get_config(), dtype="float32")


def reduce(losses: Tensor, sample_weight: Any, reduction: str | None) -> Tensor:
    """Weight the losses of the samples and reduce them to one number; see `Loss`."""
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


class LossFunction(Loss):
    """A user's own function `(y_true, y_pred) -> loss of each sample` as a Loss."""

    def __init__(
        self,
        function: Callable[..., Any],
        reduction: str | None = "sum_over_batch_size",
        name: str | None = None,
        dtype: str | None = None,
    ) -> None:
        super().__init__(name or getattr(function, "__name__", "loss"), reduction, dtype)
        self.function = function
        self.takes_labels = is_netchus(function)  # which converts them itself, where it needs to

    def call(self, y_true: Any, y_pred: Any) -> Tensor:
        """See `Loss`."""
        y_true, y_pred = rank_of_predictions(y_true, y_pred)  # (batch,) - (batch, 1) would be (batch, batch)
        return returned(self.name, "the losses", self.function(y_true, y_pred))  # type: ignore[no-any-return]
