"""`Metric`, and the figures that every other one is made of: the sum, the mean, the mean of a function.

A metric's state lives in Variables, so that a traced step carries it along.  Every mean is over samples: the last,
smaller batch of an epoch counts for as many samples as it has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from netchu import losses, ops
from netchu.arguments import checked_name
from netchu.engines import Array
from netchu.errors import ShapeError
from netchu.registry import Configurable, snake_case
from netchu.tensor import Tensor, Variable, to_array


class Metric(Configurable):
    """Base: a subclass defines `update_state` and `result`; state made by `add_variable` starts at 0.

    Args:
        name: what History and the progress line call it.

    Attributes:
        scalar: whether the result is one number, as History needs it.  Other metrics are for use by hand.
        direction: which way is better, "up" or "down", for callbacks that monitor it; None if that is not known.

    Raises:
        UsageError: a name that is not 1 to 100 printable letters.
    """

    scalar = True
    direction: str | None = None

    def __init__(self, name: str | None = None) -> None:
        self.named_by_user = name is not None
        self.name = snake_case(type(self).__name__) if name is None else checked_name(type(self).__name__, name)
        self._state: dict[str, Variable] = {}
        self._zeros: dict[tuple[int, ...], Array] = {}  # by shape: what it begins with; nobody writes to it

    def add_variable(self, name: str, shape: tuple[int, ...] = ()) -> Variable:
        """A float32 Variable of zeros that belongs to the metric."""
        variable = Variable(np.zeros(shape, dtype="float32"), trainable=False, name=name)
        self._state[name] = variable
        self._zeros[variable.shape] = variable.array
        return variable

    def build(self, y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
        """Make state that depends on the shapes of targets and predictions; called before the first update."""

    @property
    def variables(self) -> list[Variable]:
        """The state."""
        return list(self._state.values())

    def reset_state(self) -> None:
        """Begin anew."""
        for variable in self.variables:
            zeros = self._zeros.get(variable.shape)
            variable.replace(to_array(np.zeros(variable.shape, dtype="float32")) if zeros is None else zeros)

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


def ratio(a: Tensor, b: Tensor) -> Tensor:
    """`a / b`, and 0 where `b` is 0."""
    empty = b == 0.0
    return ops.where(empty, 0.0, a / ops.where(empty, 1.0, b))


def weights_of(values: Tensor, sample_weight: Any) -> Tensor:
    """One float32 weight a value: `sample_weight` is one number or broadcasts from the left, e.g. (batch,); None is 1.

    Raises:
        ShapeError: it does not fit.
    """
    if sample_weight is None:
        return ops.ones_like(values)
    weight = ops.cast(ops.convert_to_tensor(sample_weight), "float32")
    if weight.ndim == values.ndim + 1 and weight.shape[-1] == 1:
        weight = ops.squeeze(weight, -1)
    if weight.ndim > values.ndim or any(n not in (1, m) for n, m in zip(weight.shape, values.shape)):
        raise ShapeError(
            "sample_weight",
            expected=f"one weight a sample of {values.shape}",
            got=f"sample_weight.shape={weight.shape}",
        )
    weight = ops.reshape(weight, weight.shape + (1,) * (values.ndim - weight.ndim))
    return ops.broadcast_to(weight, values.shape)


class Sum(Metric):
    """The weighted sum of values."""

    def __init__(self, name: str = "sum") -> None:
        super().__init__(name)
        self.total = self.add_variable("total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add values of any shape; `sample_weight` is one number or broadcasts from the left, e.g. (batch,)."""
        values = ops.cast(ops.convert_to_tensor(values), "float32")
        self.total.assign_add(ops.sum(values * weights_of(values, sample_weight)))

    def result(self) -> Tensor:
        """The sum so far."""
        return self.total * 1.0


class Mean(Metric):
    """The weighted mean of values; 0 while there are none."""

    def __init__(self, name: str = "mean") -> None:
        super().__init__(name)
        self.total = self.add_variable("total")
        self.count = self.add_variable("count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add values of any shape; `sample_weight` is one number or broadcasts from the left, e.g. (batch,)."""
        values = ops.cast(ops.convert_to_tensor(values), "float32")
        weight = weights_of(values, sample_weight)
        self.total.assign_add(ops.sum(values * weight))
        self.count.assign_add(ops.sum(weight))

    def result(self) -> Tensor:
        """The mean so far."""
        return ratio(self.total, self.count)


class MeanMetricWrapper(Mean):
    """The mean over samples of `fn(y_true, y_pred)`, which gives one value a sample."""

    def __init__(self, fn: Callable[..., Any], name: str | None = None, **settings: Any) -> None:
        super().__init__(name or getattr(fn, "__name__", None) or snake_case(type(fn).__name__))
        self.fn = fn
        self.settings = settings
        if fn in losses.functions:
            self.direction = "down"

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take a batch into account; `sample_weight` (batch,)."""
        super().update_state(self.fn(y_true, y_pred, **self.settings), sample_weight)
