"""Constraints: what a weight is put through after each step of an optimizer, with Keras's names and formulas.

    layers.Dense(512, kernel_constraint="non_neg")        # or constraints.MaxNorm(3)

A constraint is a function of a weight that gives the weight that is allowed.  `norm` is the Euclidean norm along
`axis`: with axis 0 of a kernel (in, units), that of the weights into each unit; with (0, 1, 2) of a kernel
(kh, kw, in, filters), that of each filter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from netchu import ops
from netchu.arguments import check_numbers, whole_numbers
from netchu.errors import UsageError
from netchu.left_to_keras import missing_names
from netchu.registry import Configurable, Registry
from netchu.tensor import Tensor

__all__ = ["Constraint", "MaxNorm", "MinMaxNorm", "NonNeg", "UnitNorm", "get"]

__getattr__ = missing_names("constraints")

EPSILON = 1e-7  # keeps a quotient finite for weights of 0, as in Keras

Axis: TypeAlias = int | Sequence[int]


class Constraint(Configurable):
    """Base: a subclass defines `__call__(w)`, the allowed weight, of the shape of w; the base allows all."""

    def __call__(self, w: Any) -> Tensor:
        """The allowed weight."""
        return ops.convert_to_tensor(w)


def _norm(w: Any, axis: Axis) -> Tensor:
    axes = tuple(whole_numbers("norm", "axis", axis))
    return ops.sqrt(ops.sum(ops.square(w), axis=axes, keepdims=True))


class MaxNorm(Constraint):
    """At most a norm of `max_value`: `w * clip(norm, 0, max_value) / (norm + 1e-7)`.

    Args:
        max_value: greatest norm, > 0.
        axis: along which the norm is taken.

    Raises:
        UsageError: a max_value that is not positive, or an axis that is no whole number or list of them.

    References:
        Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: A Simple Way to Prevent Neural Networks
        from Overfitting" (2014), section 5.1.
    """

    def __init__(self, max_value: float = 2, axis: Axis = 0) -> None:
        check_numbers("MaxNorm", above=True, max_value=max_value)
        self.max_value = max_value
        whole_numbers("MaxNorm", "axis", axis)  # looked at now, not in the first step
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        """See `MaxNorm`."""
        norm = _norm(w, self.axis)
        return ops.convert_to_tensor(w * (ops.clip(norm, 0, self.max_value) / (norm + EPSILON)))


class NonNeg(Constraint):
    """Nothing below 0: `max(w, 0)`."""

    def __call__(self, w: Any) -> Tensor:
        """See `NonNeg`."""
        return ops.maximum(w, 0.0)


class UnitNorm(Constraint):
    """A norm of 1: `w / (norm + 1e-7)`.

    Args:
        axis: along which the norm is taken.

    Raises:
        UsageError: an axis that is no whole number or list of them.
    """

    def __init__(self, axis: Axis = 0) -> None:
        whole_numbers("UnitNorm", "axis", axis)  # looked at now, not in the first step
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        """See `UnitNorm`."""
        return ops.convert_to_tensor(w / (_norm(w, self.axis) + EPSILON))


class MinMaxNorm(Constraint):
    """A norm from `min_value` to `max_value`: `w * (rate * clip(norm) + (1 - rate) * norm) / (norm + 1e-7)`.

    Args:
        min_value: least norm.
        max_value: greatest norm.
        rate: 1 brings the norm into the bounds at once, less only part of the way, 0 to 1.
        axis: along which the norm is taken.

    Raises:
        UsageError: bounds or a rate outside their ranges, or an axis that is no whole number or list of them.
    """

    def __init__(self, min_value: float = 0.0, max_value: float = 1.0, rate: float = 1.0, axis: Axis = 0) -> None:
        check_numbers("MinMaxNorm", 0, 1, rate=rate)
        check_numbers("MinMaxNorm", -math.inf, min_value=min_value, max_value=max_value)
        if not 0 <= min_value <= max_value:
            raise UsageError("MinMaxNorm", expected="0 <= min_value <= max_value", got=f"{min_value=}, {max_value=}")
        self.min_value = min_value
        self.max_value = max_value
        self.rate = rate
        whole_numbers("MinMaxNorm", "axis", axis)  # looked at now, not in the first step
        self.axis = axis

    def __call__(self, w: Any) -> Tensor:
        """See `MinMaxNorm`."""
        norm = _norm(w, self.axis)
        wanted = self.rate * ops.clip(norm, self.min_value, self.max_value) + (1 - self.rate) * norm
        return ops.convert_to_tensor(w * (wanted / (norm + EPSILON)))


# Keras's short names: `constraints.max_norm(3)`.
max_norm = MaxNorm
min_max_norm = MinMaxNorm
non_neg = NonNeg
unit_norm = UnitNorm

_registry: Registry[Constraint] = Registry.of("constraint", globals(), __all__, base=Constraint)
names = _registry.names


def get(identifier: Any) -> Callable[[Any], Tensor] | None:
    """The constraint for a name, a class, a configuration, a function of the weight, or the object; None stays None.

    Raises:
        UsageError: an unknown name; the message lists the known ones.
    """
    found: Callable[[Any], Tensor] | None = _registry.get(identifier)
    return found
