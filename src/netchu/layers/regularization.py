"""Layers that act in training only, so that a network does not lean on single numbers: dropout and noise.

All draws are a pure function of (seed, stream, step), see `netchu.random`.  Outside training each layer here is the
identity; the shape stays.
"""

from __future__ import annotations

import math
from typing import Any

from netchu import ops
from netchu.arguments import check_numbers, checked_list, is_whole
from netchu.engines import Array, Shape, xp
from netchu.errors import ShapeError, UsageError
from netchu.layers.base import BatchShape, ShapeKeepingLayer
from netchu.layers.images import check_images
from netchu.ops.windows import check_data_format
from netchu.random import Stream
from netchu.regularizers import L1L2
from netchu.tensor import Tensor

# Klambauer, Unterthiner, Mayr, Hochreiter, "Self-Normalizing Neural Networks" (2017): what selu comes to far below 0.
SELU_FLOOR = -1.6732632423543772 * 1.0507009873554805


class _Random(ShapeKeepingLayer):
    """A layer with draws of its own, that keeps the shape."""

    def __init__(self, seed: int | None, **settings: Any) -> None:
        super().__init__(**settings)
        self.seed = seed
        self.stream = Stream(seed)

    def _fractions(self, x: Tensor) -> Tensor:
        """x in the layer's dtype, if it holds whole numbers: a draw cannot be put to those."""
        return x if x.dtype == self.dtype else ops.cast(x, self.dtype)


class Dropout(_Random):
    """Sets a share of the numbers to 0 in each training step and scales the rest by 1 / (1 - rate).

        y = x * kept / (1 - rate),  kept = 1 with probability 1 - rate, else 0;   outside training y = x

    Args:
        rate: the share that is dropped, 0 <= rate < 1.
        noise_shape: shape of the draws, batch included, 1 where they are shared along an axis; None draws for each.
        seed: of its own; None takes the program's.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: a rate outside [0, 1), or a noise_shape that is no shape.
        ShapeError: an input that noise_shape does not fit.

    References:
        Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: A Simple Way to Prevent Neural Networks
        from Overfitting" (2014), who scale in use instead of in training.
    """

    def __init__(
        self, rate: float, noise_shape: tuple[int | None, ...] | None = None, seed: int | None = None, **settings: Any
    ) -> None:
        super().__init__(seed, **settings)
        check_numbers(type(self).__name__, 0, 1, below=True, rate=rate)
        self.rate = rate
        given = None if noise_shape is None else checked_list(type(self).__name__, noise_shape=noise_shape)
        self.noise_shape = None if given is None else tuple(given)
        if not all(n is None or (is_whole(n) and n >= 1) for n in self.noise_shape or ()):
            raise UsageError(
                type(self).__name__, expected="noise_shape of lengths or None", got=f"noise_shape={noise_shape!r:.60}"
            )

    def build(self, input_shape: BatchShape) -> None:
        """Check that `noise_shape` fits the input."""
        noise = input_shape if self.noise_shape is None else self.noise_shape
        lengths = list(zip(noise, input_shape))  # None, in either, fits any
        if len(noise) != len(input_shape) or any(n not in (None, 1, m) and m is not None for n, m in lengths):
            raise ShapeError(
                f"layer '{self.name}' ({type(self).__name__})",
                expected=f"noise_shape with a length of 1, None or that of the input for each axis of {input_shape}",
                got=f"noise_shape={self.noise_shape}",
            )

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Dropped and scaled in training, else x itself."""
        if not training or self.rate == 0:
            return x
        x = self._fractions(x)
        return x * ops.convert_to_tensor(self.draw_kept(x) / (1 - self.rate))

    def draw_kept(self, x: Tensor) -> Array:
        """1 where a number stays, 0 where it is dropped; of the shape of `x`, or of length 1 along shared axes."""
        shape = x.shape if self.noise_shape is None else tuple(n or m for n, m in zip(self.noise_shape, x.shape))
        return _kept(self.stream, self.rate, shape, x)


class SpatialDropout2D(_Random):
    """Dropout of whole channels of images: neighbouring pixels are so alike that single ones hide nothing.

    Shapes: x and y (batch, height, width, channels).

    Args:
        rate: the share of the channels that is dropped, 0 <= rate < 1.
        data_format: None or `"channels_last"`.
        seed: of its own; None takes the program's.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: a rate outside [0, 1).
        ShapeError: an input that is no batch of images.

    References:
        Tompson, Goroshin, Jain, LeCun, Bregler, "Efficient Object Localization Using Convolutional Networks" (2015).
    """

    def __init__(self, rate: float, data_format: str | None = None, seed: int | None = None, **settings: Any) -> None:
        super().__init__(seed, **settings)
        check_numbers("SpatialDropout2D", 0, 1, below=True, rate=rate)
        self.rate = rate
        self.data_format = check_data_format("SpatialDropout2D", data_format)

    def build(self, input_shape: BatchShape) -> None:
        """Check that the input is images."""
        check_images(self, input_shape)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Dropped and scaled in training, else x itself."""
        if not training or self.rate == 0:
            return x
        x = self._fractions(x)
        kept = _kept(self.stream, self.rate, (x.shape[0], 1, 1, x.shape[3]), x)
        return x * ops.convert_to_tensor(kept / (1 - self.rate))


class AlphaDropout(Dropout):
    """Dropout for networks of `selu`: what is dropped takes the floor of selu, and mean and variance stay.

        y = a * (x * kept + floor * (1 - kept)) + b
        floor = -1.758,  a = 1 / sqrt((1 - rate) * (1 + rate * floor ** 2)),  b = -a * floor * rate

    Args:
        rate: the share that is dropped, 0 <= rate < 1.
        noise_shape: as for `Dropout`.
        seed: of its own; None takes the program's.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: a rate outside [0, 1).

    References:
        Klambauer, Unterthiner, Mayr, Hochreiter, "Self-Normalizing Neural Networks" (2017).
    """

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Dropped in training, else x itself."""
        if not training or self.rate == 0:
            return x
        x = self._fractions(x)
        kept = ops.convert_to_tensor(self.draw_kept(x))
        a = 1 / math.sqrt((1 - self.rate) * (1 + self.rate * SELU_FLOOR**2))
        return a * (x * kept + SELU_FLOOR * (1 - kept)) - a * SELU_FLOOR * self.rate


class GaussianNoise(_Random):
    """Adds noise in training: `y = x + stddev * n`, n standard normal.

    Args:
        stddev: of the noise, 0 to 1.
        seed: of its own; None takes the program's.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: a stddev outside [0, 1].
    """

    def __init__(self, stddev: float, seed: int | None = None, **settings: Any) -> None:
        super().__init__(seed, **settings)
        check_numbers("GaussianNoise", 0, 1, stddev=stddev)
        self.stddev = stddev

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """With noise in training, else x itself."""
        if not training or self.stddev == 0:
            return x
        x = self._fractions(x)
        return x + self.stddev * ops.convert_to_tensor(xp.astype(self.stream.normal(x.shape), x.array.dtype))


class GaussianDropout(_Random):
    """Multiplies by noise in training: `y = x * (1 + sqrt(rate / (1 - rate)) * n)`, n standard normal.

    Mean and variance of the factor are those of `Dropout` at the same rate.

    Args:
        rate: 0 <= rate < 1.
        seed: of its own; None takes the program's.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: a rate outside [0, 1).

    References:
        Srivastava et al. (2014), section 10; see `Dropout`.
    """

    def __init__(self, rate: float, seed: int | None = None, **settings: Any) -> None:
        super().__init__(seed, **settings)
        check_numbers("GaussianDropout", 0, 1, below=True, rate=rate)
        self.rate = rate

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """With noise in training, else x itself."""
        if not training or self.rate == 0:
            return x
        x = self._fractions(x)
        n = xp.astype(self.stream.normal(x.shape), x.array.dtype)
        return x * ops.convert_to_tensor(1 + math.sqrt(self.rate / (1 - self.rate)) * n)


class ActivityRegularization(ShapeKeepingLayer):
    """Passes its input on, and adds its size to the loss: `(l1 * sum(|x|) + l2 * sum(x * x)) / batch`.

    Args:
        l1: factor of the absolute values, >= 0.
        l2: factor of the squares, >= 0.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: a factor below 0.
    """

    def __init__(self, l1: float = 0.0, l2: float = 0.0, **settings: Any) -> None:
        super().__init__(activity_regularizer=L1L2(l1, l2), **settings)
        self.l1 = l1
        self.l2 = l2

    def call(self, x: Tensor) -> Tensor:
        """The input itself."""
        return x

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        config = super().get_config()
        config.pop("activity_regularizer", None)  # it follows from the two factors
        return config


def _kept(stream: Stream, rate: float, shape: Shape, x: Tensor) -> Array:
    """1 with probability 1 - rate, else 0, of `shape` and of the type of `x`."""
    return xp.astype(stream.uniform(shape) >= rate, x.array.dtype)
