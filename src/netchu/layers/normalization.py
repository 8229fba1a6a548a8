"""Layers that bring numbers to mean 0 and variance 1, then scale and shift them by what is learned.

    Conv2D(32, 3, use_bias=False), BatchNormalization(), ReLU(), ...

`BatchNormalization` takes mean and variance over the batch, for each channel by itself; `LayerNormalization` over the
channels, for each sample by itself.  Both compute

    y = gamma * (x - mean) / sqrt(variance + epsilon) + beta
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from netchu import constraints, initializers, ops, regularizers
from netchu.arguments import check_numbers, is_whole, whole_numbers
from netchu.engines import Shape, xp
from netchu.errors import ShapeError, UsageError
from netchu.layers.base import BatchShape, ShapeKeepingLayer
from netchu.tensor import Tensor, Variable


class _Normalizing(ShapeKeepingLayer):
    """What both share: gamma and beta along the axes `self._axes`, and the formula.

    Args:
        epsilon: keeps the quotient finite where the variance is 0.
        center: whether to add `beta`.
        scale: whether to multiply by `gamma`; needless before a linear layer, which can scale by itself.
        beta_initializer, gamma_initializer: first values, a name or an Initializer.
        beta_regularizer, gamma_regularizer: what their size adds to the loss, a name or a Regularizer.
        beta_constraint, gamma_constraint: what they are put through after each step, a name or a Constraint.
        name, trainable, dtype: see `Layer`.
    """

    casts_integers = True

    def __init__(
        self,
        epsilon: float,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        beta_regularizer: Any = None,
        gamma_regularizer: Any = None,
        beta_constraint: Any = None,
        gamma_constraint: Any = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        check_numbers(type(self).__name__, epsilon=epsilon)
        self.epsilon = float(epsilon)
        self.center = center
        self.scale = scale
        self.beta_initializer = initializers.get(beta_initializer)
        self.gamma_initializer = initializers.get(gamma_initializer)
        self.beta_regularizer = regularizers.get(beta_regularizer)
        self.gamma_regularizer = regularizers.get(gamma_regularizer)
        self.beta_constraint = constraints.get(beta_constraint)
        self.gamma_constraint = constraints.get(gamma_constraint)

    def _find_axes(self, axes: Sequence[int], input_shape: BatchShape) -> Shape:
        """Keep `axes`, counted from 0, and return the lengths along them; ShapeError for one without a length."""
        ndim = len(input_shape)
        self._axes = sorted({axis % ndim for axis in axes if -ndim <= axis < ndim})
        lengths = tuple(n for axis in self._axes if (n := input_shape[axis]) is not None)
        if len(lengths) != len(axes) or 0 in self._axes:
            raise ShapeError(
                f"layer '{self.name}' ({type(self).__name__})",
                expected="an axis of the input other than the batch, of known length",
                got=f"axis={list(axes)!r:.60} for input_shape={input_shape}",
            )
        self._lengths = lengths
        return lengths

    def _add_gamma_and_beta(self, shape: Shape) -> None:
        self.gamma: Variable | None = None
        self.beta: Variable | None = None
        if self.scale:
            self.gamma = self.add_weight(
                shape, self.gamma_initializer, None, True, "gamma", self.gamma_regularizer, self.gamma_constraint
            )
        if self.center:
            self.beta = self.add_weight(
                shape, self.beta_initializer, None, True, "beta", self.beta_regularizer, self.beta_constraint
            )

    def _check_lengths(self, x: Tensor) -> None:
        """Raise ShapeError if `x` is not of the lengths that the layer was built for."""
        got = tuple(x.shape[axis] if axis < x.ndim else None for axis in self._axes)
        if got != self._lengths:
            raise ShapeError(
                f"layer '{self.name}' ({type(self).__name__})",
                expected=f"lengths {self._lengths} along the axes {self._axes}",
                got=f"an input of shape {(None, *x.shape[1:])}",
            )

    def _along_axes(self, v: Tensor, x: Tensor) -> Tensor:
        """A weight in the shape in which it meets `x`: length 1 along all other axes."""
        if self._axes[-1] - self._axes[0] == len(self._axes) - 1 and self._axes[-1] == x.ndim - 1:
            return v  # the last axes: broadcasting does it
        return ops.reshape(v, tuple(n if axis in self._axes else 1 for axis, n in enumerate(x.shape)))

    def _scaled_and_shifted(self, distance: Tensor, variance: Tensor) -> Tensor:
        """gamma * distance / sqrt(variance + epsilon) + beta, where distance = x - mean."""
        factor = ops.rsqrt(variance + self.epsilon)
        if self.gamma is not None:
            factor = factor * self._along_axes(self.gamma, distance)
        y = distance * factor
        return y if self.beta is None else y + self._along_axes(self.beta, distance)


class BatchNormalization(_Normalizing):
    """Mean 0 and variance 1 for each channel over the batch; in use, by averages kept in training.

        training:    mean, variance     = of x over all axes but `axis`
                     moving_mean        = momentum * moving_mean + (1 - momentum) * mean
                     moving_variance    = momentum * moving_variance + (1 - momentum) * variance
        else:        mean, variance     = moving_mean, moving_variance
        y = gamma * (x - mean) / sqrt(variance + epsilon) + beta

    The variance is divided by n, not n - 1.  A layer that is frozen, or stands in a frozen one (`trainable = False`),
    uses its averages in training too, and leaves them alone.

    Shapes: x and y (batch, ..., channels); gamma, beta, moving_mean, moving_variance (channels,).

    Args:
        axis: that of the channels.
        momentum: how much of the averages stays in a step.
        epsilon: keeps the quotient finite where the variance is 0.
        moving_mean_initializer, moving_variance_initializer: the averages before the first step.
        renorm, renorm_clipping, renorm_momentum, synchronized: known for Keras's sake, at their defaults only.
        **settings: center, scale, and of beta and gamma initializer, regularizer, constraint; see `_Normalizing`.

    Raises:
        UsageError: an unknown name, or a setting that netchu does not have.
        ShapeError: an input without that axis, or of another length along it than the layer was built for.

    References:
        Ioffe and Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal Covariate
        Shift" (2015), who use the variance divided by n - 1 for the average.
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        moving_mean_initializer: Any = "zeros",
        moving_variance_initializer: Any = "ones",
        *,
        renorm: bool = False,
        renorm_clipping: None = None,
        renorm_momentum: float = 0.99,
        synchronized: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, beta_initializer, gamma_initializer, **settings)
        given = {"renorm": renorm, "renorm_clipping": renorm_clipping, "synchronized": synchronized}
        for name, value in given.items():
            if value:
                default = None if name == "renorm_clipping" else False
                raise UsageError("BatchNormalization", expected=f"{name}={default}", got=f"{name}={value!r:.60}")
        check_numbers("BatchNormalization", 0, 1, momentum=momentum)
        if not is_whole(axis):
            raise UsageError("BatchNormalization", expected="axis as one whole number", got=f"axis={axis!r:.60}")
        self.axis = int(axis)
        self.momentum = float(momentum)
        self.moving_mean_initializer = initializers.get(moving_mean_initializer)
        self.moving_variance_initializer = initializers.get(moving_variance_initializer)
        self.renorm = renorm
        self.renorm_clipping = renorm_clipping
        self.renorm_momentum = renorm_momentum
        self.synchronized = synchronized

    def build(self, input_shape: BatchShape) -> None:
        """Make gamma, beta and the averages."""
        shape = self._find_axes([self.axis], input_shape)
        self._add_gamma_and_beta(shape)
        self.moving_mean = self.add_weight(shape, self.moving_mean_initializer, None, False, "moving_mean")
        self.moving_variance = self.add_weight(shape, self.moving_variance_initializer, None, False, "moving_variance")

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """See `BatchNormalization`."""
        self._check_lengths(x)
        if not training or self.is_frozen():
            distance = x - self._along_axes(self.moving_mean, x)
            return self._scaled_and_shifted(distance, self._along_axes(self.moving_variance, x))
        others = tuple(axis for axis in range(x.ndim) if axis not in self._axes)
        mean = ops.mean(x, axis=others, keepdims=True)
        distance = x - mean
        variance = ops.mean(ops.square(distance), axis=others, keepdims=True)
        self._follow(self.moving_mean, mean)
        self._follow(self.moving_variance, variance)
        return self._scaled_and_shifted(distance, variance)

    def _follow(self, average: Variable, value: Tensor) -> None:
        """Move `average` towards `value`, on arrays: no gradient flows, so the tape need not know."""
        value_of_batch = xp.reshape(value.array, average.shape)
        average.replace(self.momentum * average.array + (1 - self.momentum) * value_of_batch)


class LayerNormalization(_Normalizing):
    """Mean 0 and variance 1 for each sample along `axis`, in training and in use alike.

        y = gamma * (x - mean) / sqrt(variance + epsilon) + beta,   mean, variance of x along `axis`

    Shapes: x and y (batch, ..., channels); gamma and beta: the lengths along `axis`, (channels,).

    Args:
        axis: an axis or a list of them, the batch not among them.
        epsilon: keeps the quotient finite where the variance is 0.
        rms_scaling: known for Keras's sake, False only.
        **settings: center, scale, and of beta and gamma initializer, regularizer, constraint; see `_Normalizing`.

    Raises:
        UsageError: an unknown name, or a setting that netchu does not have.
        ShapeError: an input without that axis, or of another length along it than the layer was built for.

    References:
        Ba, Kiros, Hinton, "Layer Normalization" (2016).
    """

    def __init__(
        self,
        axis: int | Sequence[int] = -1,
        epsilon: float = 1e-3,
        center: bool = True,
        scale: bool = True,
        beta_initializer: Any = "zeros",
        gamma_initializer: Any = "ones",
        *,
        rms_scaling: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(epsilon, center, scale, beta_initializer, gamma_initializer, **settings)
        if rms_scaling:
            raise UsageError("LayerNormalization", expected="rms_scaling=False", got=f"{rms_scaling=}")
        axes = whole_numbers("LayerNormalization", "axis", axis)
        self.axis = axes[0] if is_whole(axis) else axes
        self.rms_scaling = rms_scaling

    def build(self, input_shape: BatchShape) -> None:
        """Make gamma and beta."""
        axes = whole_numbers("LayerNormalization", "axis", self.axis)
        self._add_gamma_and_beta(self._find_axes(axes, input_shape))

    def call(self, x: Tensor) -> Tensor:
        """See `LayerNormalization`."""
        self._check_lengths(x)
        axes = tuple(self._axes)
        distance = x - ops.mean(x, axis=axes, keepdims=True)
        variance = ops.mean(ops.square(distance), axis=axes, keepdims=True)
        return self._scaled_and_shifted(distance, variance)
