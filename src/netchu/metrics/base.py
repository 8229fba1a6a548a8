"""`Metric`, and the figures that every other one is made of: the sum, the mean, the mean of a function.

A metric's state lives in Variables, so that a traced step carries it along.  Every mean is over samples: the last,
smaller batch of an epoch counts for as many samples as it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from netchu import initializers, losses, ops
from netchu.arguments import checked_name, checked_shape, returned
from netchu.engines import Array
from netchu.engines.contract import checked_dtype
from netchu.errors import ShapeError, missing_method
from netchu.registry import Configurable, snake_case, unused_name, without_defaults
from netchu.tensor import Tensor, Variable, to_array


class Metric(Configurable):
    """Base: a subclass defines `update_state` and `result`, and keeps its state in `add_weight`.

    Args:
        name: what History and the progress line call it.
        dtype: of its state; None is float32.

    Attributes:
        scalar: whether the result is one number, as History needs it.  Other metrics are for use by hand.
        direction: which way is better, "up" or "down", for callbacks that monitor it; None if that is not known.

    Raises:
        UsageError: a name that is not 1 to 100 printable letters, or another dtype.
    """

    scalar = True
    direction: str | None = None

    def __init__(self, name: str | None = None, dtype: str | None = None) -> None:
        self.named_by_user = name is not None
        self.name = snake_case(type(self).__name__) if name is None else checked_name(type(self).__name__, name)
        self.dtype = checked_dtype(type(self).__name__, dtype)
        self._own_weights: list[Variable] = []
        self._zeros: dict[tuple[tuple[int, ...], str], Array] = {}  # what it begins with; nobody writes to it

    def add_variable(
        self,
        shape: Sequence[int] | None = (),
        initializer: Any = "zeros",
        dtype: str | None = None,
        name: str = "variable",
    ) -> Variable:
        """Make a Variable that belongs to the metric.

        Args:
            shape: of the Variable.
            initializer: a name or an Initializer: its first value; each `reset_state` makes it 0.
            dtype: the metric's if None.
            name: for messages and checkpoints.
        """
        first = initializers.get("zeros" if initializer is None else initializer)
        shape = checked_shape("add_variable", shape)
        dtype = checked_dtype("add_variable", dtype or self.dtype)
        variable = Variable(first(shape, dtype), trainable=False, name=name)
        self._own_weights.append(variable)
        return variable

    add_weight = add_variable  # Keras has both words

    def build(self, y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
        """Make state that depends on the shapes of targets and predictions; called before the first update."""

    def _own(self) -> list[Variable]:
        """What it was added, then Variables that were simply assigned to attributes."""
        return list(dict.fromkeys((*self._own_weights, *self._parts(Variable))))

    @property
    def variables(self) -> list[Variable]:
        """Its state, then that of the metrics it holds."""
        nested = (variable for metric in self._parts(Metric) for variable in metric.variables)
        return list(dict.fromkeys((*self._own(), *nested)))

    def _named_state(self) -> dict[str, Variable]:
        """The same by name."""
        named: dict[str, Variable] = {}
        for variable in self.variables:
            named[unused_name(variable.name, named)] = variable
        return named

    def reset_state(self) -> None:
        """Begin anew: all state is 0, and the metrics that it holds begin anew, too."""
        for part in dict.fromkeys((*self._own_weights, *self._parts((Variable, Metric)))):
            if isinstance(part, Metric):
                part.reset_state()
                continue
            key = (part.shape, part.dtype)
            if key not in self._zeros:
                self._zeros[key] = to_array(np.zeros(*key))
            part.replace(self._zeros[key])

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account."""
        raise missing_method(self, "update_state(self, y_true, y_pred, sample_weight=None)")

    def result(self) -> Tensor:
        """The figure so far."""
        raise missing_method(self, "result(self)")

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return without_defaults(super().get_config(), dtype="float32")

    def __call__(self, *args: Any, **kwargs: Any) -> Tensor:
        """Take a batch into account and give the figure so far."""
        self.update_state(*args, **kwargs)
        return self.result()


def ratio(a: Tensor, b: Tensor) -> Tensor:
    """`a / b`, and 0 where `b` is 0."""
    empty = b == 0.0
    return ops.where(empty, 0.0, a / ops.where(empty, 1.0, b))


def weights_of(values: Tensor, sample_weight: Any) -> Tensor:
    """One weight a value, of its type: `sample_weight` broadcasts from the left, e.g. (batch,) or (); None is 1.

    Raises:
        ShapeError: it does not fit.
    """
    if sample_weight is None:
        return ops.ones_like(values)
    weight = ops.cast(ops.convert_to_tensor(sample_weight), values.dtype)
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

    def __init__(self, name: str = "sum", dtype: str | None = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_variable(name="total")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add values of any shape; `sample_weight` is one number or broadcasts from the left, e.g. (batch,)."""
        values = ops.cast(ops.convert_to_tensor(values), self.dtype)
        self.total.assign_add(ops.sum(values * weights_of(values, sample_weight)))

    def result(self) -> Tensor:
        """The sum so far."""
        return self.total * 1.0


class Mean(Metric):
    """The weighted mean of values; 0 while there are none."""

    def __init__(self, name: str = "mean", dtype: str | None = None) -> None:
        super().__init__(name, dtype)
        self.total = self.add_variable(name="total")
        self.count = self.add_variable(name="count")

    def update_state(self, values: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Add values of any shape; `sample_weight` is one number or broadcasts from the left, e.g. (batch,)."""
        values = ops.cast(ops.convert_to_tensor(values), self.dtype)
        weight = weights_of(values, sample_weight)
        self.total.assign_add(ops.sum(values * weight))
        self.count.assign_add(ops.sum(weight))

    def result(self) -> Tensor:
        """The mean so far."""
        return ratio(self.total, self.count)


class MeanMetricWrapper(Mean):
    """The mean over samples of `fn(y_true, y_pred)`, which gives one value a sample."""

    def __init__(
        self, fn: Callable[..., Any], name: str | None = None, dtype: str | None = None, **settings: Any
    ) -> None:
        super().__init__(name or getattr(fn, "__name__", None) or snake_case(type(fn).__name__), dtype)
        self.fn = fn
        self.settings = settings
        if fn in losses.functions:
            self.direction = "down"

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:  # type: ignore[override]
        """Take a batch into account; `sample_weight` (batch,)."""
        values = returned(self.name, "a value for each sample", self.fn(y_true, y_pred, **self.settings))
        super().update_state(values, sample_weight)
