"""Activation functions as layers of their own: ReLU, LeakyReLU, PReLU, ELU, Softmax.

    Dense(64), LeakyReLU(0.1), ...

All of them keep the shape of their input.  `Activation("tanh")` in `core.py` makes a layer of any other function.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from netchu import activations, constraints, initializers, ops, regularizers
from netchu.arguments import check_numbers, is_whole, whole_numbers
from netchu.errors import ShapeError
from netchu.layers.base import BatchShape, ShapeKeepingLayer
from netchu.tensor import Tensor


class ReLU(ShapeKeepingLayer):
    """The rectifier, with a slope, a ceiling and a threshold if wanted.

        y = x                                  where x > threshold, at most max_value
        y = negative_slope * (x - threshold)   elsewhere

    Args:
        max_value: ceiling, >= 0; None for none.
        negative_slope: slope below the threshold, >= 0.
        threshold: from where x passes, >= 0.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: a setting below 0.
    """

    casts_integers = True

    def __init__(
        self, max_value: float | None = None, negative_slope: float = 0.0, threshold: float = 0.0, **settings: Any
    ) -> None:
        super().__init__(**settings)
        check_numbers("ReLU", negative_slope=negative_slope, threshold=threshold)
        if max_value is not None:
            check_numbers("ReLU", max_value=max_value)
        self.max_value = max_value
        self.negative_slope = negative_slope
        self.threshold = threshold

    def call(self, x: Tensor) -> Tensor:
        """See `ReLU`."""
        return activations.relu(x, self.negative_slope, self.max_value, self.threshold)


class LeakyReLU(ShapeKeepingLayer):
    """`x` where positive, else `negative_slope * x`, so that a silent unit still learns.

    Args:
        negative_slope: >= 0.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: a slope below 0.

    References:
        Maas, Hannun, Ng, "Rectifier Nonlinearities Improve Neural Network Acoustic Models" (2013).
    """

    casts_integers = True

    def __init__(self, negative_slope: float = 0.3, **settings: Any) -> None:
        super().__init__(**settings)
        check_numbers("LeakyReLU", negative_slope=negative_slope)
        self.negative_slope = negative_slope

    def call(self, x: Tensor) -> Tensor:
        """See `LeakyReLU`."""
        return ops.leaky_relu(x, self.negative_slope)


class PReLU(ShapeKeepingLayer):
    """`x` where positive, else `alpha * x` with slopes that are learned.

    Shapes: x and y (batch, ...), alpha (...) with length 1 along the shared axes.

    Args:
        alpha_initializer: first values of the slopes, a name or an Initializer.
        alpha_regularizer: what the size of the slopes adds to the loss.
        alpha_constraint: what the slopes are put through after each step.
        shared_axes: axes along which one slope serves all, the batch being 0: [1, 2] for one slope a channel of images.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: an unknown name, or an axis below 1.
        ShapeError: when built, an axis that the input does not have, or one of unknown length that is not shared.

    References:
        He, Zhang, Ren, Sun, "Delving Deep into Rectifiers" (2015).
    """

    casts_integers = True

    def __init__(
        self,
        alpha_initializer: Any = "zeros",
        alpha_regularizer: Any = None,
        alpha_constraint: Any = None,
        shared_axes: int | Sequence[int] | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        self.alpha_initializer = initializers.get(alpha_initializer)
        self.alpha_regularizer = regularizers.get(alpha_regularizer)
        self.alpha_constraint = constraints.get(alpha_constraint)
        self.shared_axes = (
            None if shared_axes is None else whole_numbers("PReLU", "shared_axes", shared_axes, 1, fewest=0)
        )

    def build(self, input_shape: BatchShape) -> None:
        """Make the slopes."""
        shared = set(self.shared_axes or ())
        lengths = [1 if axis in shared else n for axis, n in enumerate(input_shape)][1:]
        if None in lengths or any(axis >= len(input_shape) for axis in shared):
            raise ShapeError(
                f"layer '{self.name}' (PReLU)",
                expected="a known length along each axis that is not shared, and every shared axis in the input",
                got=f"input_shape={input_shape}, shared_axes={self.shared_axes}",
            )
        self.alpha = self.add_weight(
            tuple(n for n in lengths if n is not None),
            self.alpha_initializer,
            name="alpha",
            regularizer=self.alpha_regularizer,
            constraint=self.alpha_constraint,
        )

    def call(self, x: Tensor) -> Tensor:
        """See `PReLU`."""
        return ops.relu(x) - self.alpha * ops.relu(-x)


class ELU(ShapeKeepingLayer):
    """`x` where positive, else `alpha * (exp(x) - 1)`.

    Args:
        alpha: minus what large negative x come to.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: an alpha that is no number.

    References:
        Clevert, Unterthiner, Hochreiter, "Fast and Accurate Deep Network Learning by Exponential Linear Units" (2016).
    """

    casts_integers = True

    def __init__(self, alpha: float = 1.0, **settings: Any) -> None:
        super().__init__(**settings)
        check_numbers("ELU", -math.inf, alpha=alpha)
        self.alpha = alpha

    def call(self, x: Tensor) -> Tensor:
        """See `ELU`."""
        return ops.elu(x, self.alpha)


class Softmax(ShapeKeepingLayer):
    """`exp(x) / sum(exp(x))`: numbers that sum to 1 along `axis`.

    Over the last axis the output remembers `x`, so that a cross-entropy is computed from the logits, as after
    `activation="softmax"`.

    Args:
        axis: a number, or a list of numbers to sum over together.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: an axis that is no whole number.
        ShapeError: when built, an axis that the input does not have.
    """

    casts_integers = True

    def __init__(self, axis: int | Sequence[int] = -1, **settings: Any) -> None:
        super().__init__(**settings)
        self._axes = whole_numbers("Softmax", "axis", axis)
        self.axis = self._axes[0] if is_whole(axis) else self._axes

    def build(self, input_shape: BatchShape) -> None:
        """Check that the input has the axes."""
        ndim = len(input_shape)
        if len({a % ndim for a in self._axes if -ndim <= a < ndim}) != len(self._axes):
            raise ShapeError(
                f"layer '{self.name}' (Softmax)",
                expected=f"different axes from {-ndim} to {ndim - 1}",
                got=f"axis={self.axis!r:.60} for {input_shape=}",
            )

    def call(self, x: Tensor) -> Tensor:
        """See `Softmax`."""
        axes = self._axes
        if len(axes) == 1:
            return ops.softmax(x, axis=axes[0])
        return ops.exp(x - ops.logsumexp(x, axis=tuple(axes), keepdims=True))
