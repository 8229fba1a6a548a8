"""Regularizers: what a weight adds to the loss by its size, with Keras's names and formulas.

    layers.Dense(512, kernel_regularizer="l2")        # or regularizers.L2(1e-4)

A regularizer is a function of a weight of any shape that gives one number; the penalties of all trainable weights are
part of the loss in training and in evaluation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from netchu import ops
from netchu.arguments import check_choice, check_numbers
from netchu.errors import ShapeError
from netchu.left_to_keras import missing_names
from netchu.registry import Configurable, Registry
from netchu.tensor import Tensor

__all__ = ["L1", "L1L2", "L2", "OrthogonalRegularizer", "Regularizer", "get"]

__getattr__ = missing_names("regularizers")


class Regularizer(Configurable):
    """Base: a subclass defines `__call__(x)`, the penalty for a weight, shape (); the base asks for none."""

    def __call__(self, x: Any) -> Tensor:
        """The penalty."""
        return ops.zeros(())


class L1L2(Regularizer):
    """Both penalties: `l1 * sum(|x|) + l2 * sum(x * x)`.

    Args:
        l1: factor of the absolute values, >= 0.
        l2: factor of the squares, >= 0.

    Raises:
        UsageError: a factor that is negative or no finite number.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0) -> None:
        check_numbers("L1L2", l1=l1, l2=l2)
        self.l1 = float(l1)
        self.l2 = float(l2)

    def __call__(self, x: Any) -> Tensor:
        """`l1 * sum(|x|) + l2 * sum(x * x)`."""
        return self.l1 * ops.sum(ops.absolute(x)) + self.l2 * ops.sum(ops.square(x))


class L1(Regularizer):
    """`l1 * sum(|x|)`: draws weights to exactly 0.

    Args:
        l1: factor, >= 0.

    Raises:
        UsageError: a factor that is negative or no finite number.
    """

    def __init__(self, l1: float = 0.01) -> None:
        check_numbers("L1", l1=l1)
        self.l1 = float(l1)

    def __call__(self, x: Any) -> Tensor:
        """`l1 * sum(|x|)`."""
        return self.l1 * ops.sum(ops.absolute(x))


class L2(Regularizer):
    """`l2 * sum(x * x)`: draws weights towards 0.  The gradient is `2 * l2 * x`.

    Args:
        l2: factor, >= 0.

    Raises:
        UsageError: a factor that is negative or no finite number.
    """

    def __init__(self, l2: float = 0.01) -> None:
        check_numbers("L2", l2=l2)
        self.l2 = float(l2)

    def __call__(self, x: Any) -> Tensor:
        """`l2 * sum(x * x)`."""
        return self.l2 * ops.sum(ops.square(x))


class OrthogonalRegularizer(Regularizer):
    """The mean size of the cosine between two rows, or columns, of a matrix: 0 if all are at right angles.

        factor * mean(|u_i . u_j| for i < j),  u_i = row i / max(norm of row i, 1e-7)

    Args:
        factor: >= 0.
        mode: `"rows"` or `"columns"`.

    Raises:
        UsageError: a factor that is negative or no finite number, or another mode.
        ShapeError: when called, a weight that is no matrix of at least two rows (columns).
    """

    def __init__(self, factor: float = 0.01, mode: str = "rows") -> None:
        check_numbers("OrthogonalRegularizer", factor=factor)
        check_choice("OrthogonalRegularizer", ("rows", "columns"), mode=mode)
        self.factor = float(factor)
        self.mode = mode

    def __call__(self, x: Any) -> Tensor:
        """See `OrthogonalRegularizer`."""
        rows = ops.convert_to_tensor(x) if self.mode == "rows" or len(x.shape) != 2 else ops.transpose(x)
        if rows.ndim != 2 or rows.shape[0] < 2:
            raise ShapeError(
                "OrthogonalRegularizer", expected=f"a matrix of two or more {self.mode}", got=f"shape={tuple(x.shape)}"
            )
        n = rows.shape[0]
        u = rows / ops.sqrt(ops.maximum(ops.sum(ops.square(rows), axis=1, keepdims=True), 1e-14))
        cosines = ops.absolute(u @ ops.transpose(u)) * (1 - np.eye(n, dtype=rows.dtype))  # (n, n), each pair twice
        return self.factor / (n * (n - 1)) * ops.sum(cosines)


# Keras's short names: `regularizers.l2(1e-4)`.
l1 = L1
l2 = L2
l1_l2 = L1L2
orthogonal_regularizer = OrthogonalRegularizer

_registry: Registry[Regularizer] = Registry.of("regularizer", globals(), __all__, base=Regularizer)
names = _registry.names


def get(identifier: Any) -> Callable[[Any], Tensor] | None:
    """The regularizer for a name, a class, a configuration, a function of the weight, or the object; None stays None.

    Raises:
        UsageError: an unknown name; the message lists the known ones.
    """
    found: Callable[[Any], Tensor] | None = _registry.get(identifier)
    return found
