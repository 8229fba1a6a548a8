"""Layers that show each image a little moved, turned or zoomed in training, so that a network sees more than there is.

    Sequential([Input((28, 28, 1)), RandomTranslation(0.1, 0.1), RandomRotation(0.05), Conv2D(...), ...])

`fit` draws anew for each image in each step; `evaluate` and `predict` leave images as they are.  Called by hand, as
`layer(images)`, the layer draws, as in Keras; `layer(images, training=False)` does not.  Images have the shape
(batch, height, width, channels), of any range, and are not clipped.

The draws are a pure function of (seed, stream, step), see `netchu.random`; what is done with them is Keras's, to the
pixel.
"""

from __future__ import annotations

import math
from typing import Any, TypeAlias

from netchu.arguments import is_number
from netchu.engines import Array, xp
from netchu.errors import UsageError
from netchu.layers.base import BatchShape, Layer
from netchu.layers.images import check_images
from netchu.ops.image import affine_transform, check_sampling
from netchu.ops.windows import check_data_format
from netchu.random import Stream
from netchu.tensor import Tensor

Factor: TypeAlias = float | tuple[float, float]
"""One number f for the range from -f to f, or the two ends of a range."""


class _RandomTransform(Layer):
    """What all three share: a subclass defines `draw_transforms`.

    Args:
        fill_mode: what lies beyond the edges: `"reflect"` (d c b a | a b c d | d c b a), `"constant"`, `"nearest"` (the
            edge pixel again) or `"wrap"` (a b c d | a b c d | a b c d).
        interpolation: `"bilinear"`, a mean of the four pixels around, or `"nearest"`.
        seed: of its own; None takes the program's.
        fill_value: for `"constant"`.
        data_format: None or `"channels_last"`.
        name, trainable, dtype: see `Layer`.
    """

    casts_integers = True

    def __init__(
        self,
        fill_mode: str = "reflect",
        interpolation: str = "bilinear",
        seed: int | None = None,
        fill_value: float = 0.0,
        data_format: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        check_sampling(type(self).__name__, interpolation, fill_mode)
        self.fill_mode = fill_mode
        self.interpolation = interpolation
        self.fill_value = fill_value
        self.data_format = check_data_format(type(self).__name__, data_format)
        self.seed = seed
        self.stream = Stream(seed)

    def draw_transforms(self, batch: int, height: int, width: int) -> Array:
        """One map for each image, (batch, 8), as `ops.image.affine_transform` takes them."""
        raise NotImplementedError

    def build(self, input_shape: BatchShape) -> None:
        """Check that the input is images."""
        check_images(self, input_shape)

    def call(self, x: Tensor, training: bool = True) -> Tensor:
        """Moved in training, else x itself."""
        if not training:
            return x
        transforms = self.draw_transforms(*x.shape[:3])
        return affine_transform(x, transforms, self.interpolation, self.fill_mode, self.fill_value)

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """Unchanged."""
        check_images(self, input_shape)
        return input_shape

    def _drawn(self, batch: int, *ranges: tuple[float, float]) -> list[Array]:
        """For each range (lower, upper) one number in it for each image, (batch,)."""
        u = self.stream.uniform((batch, len(ranges)))
        return [lower + (upper - lower) * u[:, i] for i, (lower, upper) in enumerate(ranges)]


class RandomTranslation(_RandomTransform):
    """Moves each image by pixels and parts of pixels, up or down and left or right.

        output(y, x) = image(y - height * h, x - width * w),  h from height_factor, w from width_factor

    Shapes: input and output (batch, height, width, channels).

    Args:
        height_factor: how far down, as a share of the height: f for -f to f, or (lower, upper); within [-1, 1].
        width_factor: how far to the right, as a share of the width.
        **settings: fill_mode, interpolation, seed, fill_value, data_format; see `_RandomTransform`.

    Raises:
        UsageError: a factor outside its range, or an unknown setting.
        ShapeError: an input that is no batch of images.
    """

    def __init__(self, height_factor: Factor, width_factor: Factor, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.height_factor = height_factor
        self.width_factor = width_factor
        self._ranges = (
            _range_of("RandomTranslation", "height_factor", height_factor),
            _range_of("RandomTranslation", "width_factor", width_factor),
        )

    def draw_transforms(self, batch: int, height: int, width: int) -> Array:
        """See `RandomTranslation`."""
        h, w = self._drawn(batch, *self._ranges)
        one = xp.ones_like(h)
        zero = xp.zeros_like(h)
        return xp.stack([one, zero, -w * width, zero, one, -h * height, zero, zero], axis=1)


class RandomRotation(_RandomTransform):
    """Turns each image about its centre.

        output(y, x) = image(cy + sin(t) * (x - cx) + cos(t) * (y - cy), cx + cos(t) * (x - cx) - sin(t) * (y - cy))
        t = 2 * pi * f,  f from factor,  cy = (height - 1) / 2,  cx = (width - 1) / 2

    A positive angle turns the picture counter-clockwise.  Shapes: input and output (batch, height, width, channels).

    Args:
        factor: the angle, as a share of a full turn: f for -f to f, or (lower, upper); within [-1, 1].
        **settings: fill_mode, interpolation, seed, fill_value, data_format; see `_RandomTransform`.

    Raises:
        UsageError: a factor outside its range, or an unknown setting.
        ShapeError: an input that is no batch of images.
    """

    def __init__(self, factor: Factor, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.factor = factor
        self._range = _range_of("RandomRotation", "factor", factor)

    def draw_transforms(self, batch: int, height: int, width: int) -> Array:
        """See `RandomRotation`."""
        (f,) = self._drawn(batch, self._range)
        t = 2 * math.pi * f
        cy, cx = (height - 1) / 2, (width - 1) / 2
        sin = xp.sin(t)
        cos = xp.cos(t)
        zero = xp.zeros_like(t)
        return xp.stack(
            [cos, -sin, cx - cx * cos + cy * sin, sin, cos, cy - cx * sin - cy * cos, zero, zero], axis=1
        )  # fmt: skip


class RandomZoom(_RandomTransform):
    """Makes the content of each image smaller or larger about its centre; the image keeps its size.

        output(y, x) = image(cy + (1 + h) * (y - cy), cx + (1 + w) * (x - cx))
        h from height_factor, w from width_factor,  cy = (height - 1) / 2,  cx = (width - 1) / 2

    A positive number zooms out: there is more to see, smaller.  Shapes: input and output (batch, height, width,
    channels).

    Args:
        height_factor: h: f for -f to f, or (lower, upper); above -1, at most 1.
        width_factor: w; None takes h for both, so that the proportions stay.
        **settings: fill_mode, interpolation, seed, fill_value, data_format; see `_RandomTransform`.

    Raises:
        UsageError: a factor outside its range, or an unknown setting.
        ShapeError: an input that is no batch of images.
    """

    def __init__(self, height_factor: Factor, width_factor: Factor | None = None, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.height_factor = height_factor
        self.width_factor = width_factor
        factors = {"height_factor": height_factor} | ({} if width_factor is None else {"width_factor": width_factor})
        self._ranges = [_range_of("RandomZoom", name, f, above=-1.0) for name, f in factors.items()]

    def draw_transforms(self, batch: int, height: int, width: int) -> Array:
        """See `RandomZoom`."""
        drawn = self._drawn(batch, *self._ranges)
        sy, sx = 1 + drawn[0], 1 + drawn[-1]
        zero = xp.zeros_like(sy)
        return xp.stack(
            [sx, zero, (width - 1) / 2 * (1 - sx), zero, sy, (height - 1) / 2 * (1 - sy), zero, zero], axis=1
        )


def _range_of(where: str, name: str, factor: Any, above: float = -math.inf) -> tuple[float, float]:
    """(lower, upper) of a factor; UsageError unless both are numbers within [-1, 1], and above `above`."""
    ends = factor if isinstance(factor, (tuple, list)) else (factor, factor)
    numbers = all(is_number(n) and -1 <= n <= 1 and n > above for n in ends)
    if len(ends) != 2 or not numbers:
        bounds = "[-1, 1]" if above < -1 else "(-1, 1]"
        raise UsageError(where, expected=f"{name} as a number or two in {bounds}", got=f"{name}={factor!r:.60}")
    lower, upper = sorted(ends) if isinstance(factor, (tuple, list)) else (-abs(factor), abs(factor))
    return float(lower), float(upper)
