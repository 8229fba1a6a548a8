"""Layers without weights that change the shape or the scale: Flatten, Reshape, Permute, ZeroPadding2D, Rescaling.

Also what all layers over images (batch, height, width, channels) check and work out: `check_images`, `images_after`.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from netchu import ops
from netchu.errors import ShapeError, UsageError
from netchu.layers.base import MAX_AXES, BatchShape, Layer, ShapeKeepingLayer
from netchu.ops.convolution import Pair, check_data_format, pair, windows_along
from netchu.tensor import Tensor

MAX_BORDER = 1024  # that "same" may add to an image at an edge: a slip of the pen would fill the memory with zeros


class Flatten(Layer):
    """All numbers of a sample in one row: (batch, 28, 28) -> (batch, 784)."""

    def call(self, x: Tensor) -> Tensor:
        """One row a sample."""
        return ops.reshape(x, (x.shape[0], math.prod(x.shape[1:])))

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """(None, a, b, ...) -> (None, a * b * ...)."""
        lengths = [n for n in input_shape[1:] if n is not None]
        return (None, math.prod(lengths) if len(lengths) == len(input_shape) - 1 else None)


class Reshape(Layer):
    """The numbers of a sample in another shape.

    Args:
        target_shape: without the batch; one length may be -1.
        name, trainable, dtype: see `Layer`.

    Raises:
        ShapeError: when built, if the sizes do not match.
    """

    def __init__(self, target_shape: tuple[int, ...], **settings: Any) -> None:
        super().__init__(**settings)
        self.target_shape = (target_shape,) if isinstance(target_shape, int) else tuple(target_shape)
        whole = all(isinstance(n, int) and n is not True and (n > 0 or n == -1) for n in self.target_shape)
        if not whole or self.target_shape.count(-1) > 1 or len(self.target_shape) > MAX_AXES:
            raise UsageError(
                "Reshape", expected="positive lengths, at most one of them -1", got=f"target_shape={target_shape!r:.60}"
            )

    def call(self, x: Tensor) -> Tensor:
        """Each sample in `target_shape`."""
        return ops.reshape(x, (x.shape[0], *self._resolved((None, *x.shape[1:]))))

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """(None, *target_shape), -1 worked out."""
        return (None, *self._resolved(input_shape))

    def _resolved(self, input_shape: BatchShape) -> tuple[int, ...]:
        size = math.prod(n or 1 for n in input_shape[1:])
        known = math.prod(n for n in self.target_shape if n != -1)
        resolved = tuple(size // known if n == -1 else n for n in self.target_shape)
        if math.prod(resolved) != size:
            raise ShapeError(
                f"layer '{self.name}' (Reshape)",
                expected=f"{size} numbers a sample in the target",
                got=f"target_shape={self.target_shape} for input {input_shape}",
            )
        return resolved


class Permute(Layer):
    """The axes of a sample in another order.

    Args:
        dims: where each axis comes from, counted from 1: (2, 1) exchanges the two axes of a sample.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: dims that do not name each axis once.
        ShapeError: an input with another number of axes.
    """

    def __init__(self, dims: tuple[int, ...], **settings: Any) -> None:
        super().__init__(**settings)
        self.dims = tuple(dims)
        if any(n is True for n in self.dims) or sorted(self.dims) != list(range(1, len(self.dims) + 1)):
            raise UsageError("Permute", expected="each axis once, counted from 1", got=f"dims={dims!r:.60}")

    def call(self, x: Tensor) -> Tensor:
        """The axes of each sample in the order `dims`."""
        self.compute_output_shape(x.shape)
        return ops.transpose(x, (0, *self.dims))

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """(None, a, b) -> (None, b, a) for dims (2, 1)."""
        if len(input_shape) != len(self.dims) + 1:
            raise ShapeError(
                f"layer '{self.name}' (Permute)",
                expected=f"{len(self.dims)} axes in a sample, as dims={self.dims} has",
                got=f"input_shape={(None, *input_shape[1:])}",
            )
        return (None, *(input_shape[axis] for axis in self.dims))


def check_images(layer: Layer, input_shape: BatchShape) -> int:
    """How many channels images of `input_shape` have; ShapeError, naming the layer, if they are no images."""
    channels = input_shape[-1] if len(input_shape) == 4 else None
    if channels is None:
        do = ""
        if len(input_shape) == 3:
            shape = f"({input_shape[1]}, {input_shape[2]}, 1)"
            do = f"For grey images put Reshape({shape}) before it, or write x[..., None]; for a single image x[None]."
        raise ShapeError(
            f"layer '{layer.name}' ({type(layer).__name__})",
            expected="images (batch, height, width, channels)",
            got=f"input_shape={(None, *input_shape[1:])}",
            do=do,
        )
    return channels


def images_after(
    layer: Layer, input_shape: BatchShape, size: Pair, strides: Pair, padding: str, dilation: Pair = (1, 1)
) -> tuple[int | None, int | None]:
    """How many windows of `size` there are, (rows, columns); ShapeError, naming the layer, if not even one fits."""
    along = [
        (None, (0, 0)) if length is None else windows_along(length, window, stride, apart, padding)
        for length, window, stride, apart in zip(input_shape[1:3], size, strides, dilation)
    ]
    (rows, _), (columns, _) = along
    if any(count is not None and count < 1 for count in (rows, columns)):
        raise ShapeError(
            f"layer '{layer.name}' ({type(layer).__name__})",
            expected=f"images of at least one window of {size}"
            + (f" with dilation {dilation}" if max(dilation) > 1 else ""),
            got=f"input_shape={(None, *input_shape[1:])}",
            do='Leave out a pooling layer before it, use a smaller window, or padding="same".',
        )
    if max(max(border) for _, border in along) > MAX_BORDER:
        raise ShapeError(
            f"layer '{layer.name}' ({type(layer).__name__})",
            expected=f'windows that reach at most {MAX_BORDER} pixels over an edge with padding="same"',
            got=f"windows of {size} with dilation {dilation} for input_shape={(None, *input_shape[1:])}",
        )
    return rows, columns


class ZeroPadding2D(Layer):
    """Zeros around each image: (batch, height, width, channels) -> (batch, top + height + bottom, ..., channels).

    Args:
        padding: one number for all four edges; (rows, columns), each added on both sides; or
            ((top, bottom), (left, right)).
        data_format: None or `"channels_last"`.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: padding that is none of the three.
        ShapeError: an input that is no image.
    """

    def __init__(self, padding: Any = (1, 1), data_format: str | None = None, **settings: Any) -> None:
        super().__init__(**settings)
        both = (padding, padding) if isinstance(padding, int) else padding
        if not isinstance(both, (tuple, list)) or len(both) != 2:
            raise UsageError("ZeroPadding2D", expected="a number or two entries", got=f"padding={padding!r:.60}")
        self.padding = tuple(pair("ZeroPadding2D", "padding", edges, least=0) for edges in both)
        self.data_format = check_data_format("ZeroPadding2D", data_format)

    def build(self, input_shape: BatchShape) -> None:
        """Check that the input is images."""
        check_images(self, input_shape)

    def call(self, x: Tensor) -> Tensor:
        """Each image with its border."""
        return ops.pad(x, ((0, 0), *self.padding, (0, 0)))

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """(None, height, width, channels) -> (None, top + height + bottom, left + width + right, channels)."""
        channels = check_images(self, input_shape)
        height, width = (
            None if n is None else before + n + after for n, (before, after) in zip(input_shape[1:3], self.padding)
        )
        return (None, height, width, channels)


def _are_numbers(value: Any) -> bool:
    try:
        numbers = np.asarray(value)
        return numbers.dtype.kind in "iuf" and bool(np.all(np.abs(numbers) <= np.finfo("float32").max))
    except ValueError:  # rows of different lengths
        return False


class Rescaling(ShapeKeepingLayer):
    """`x * scale + offset`, for example `Rescaling(1 / 255)` for pixels from 0 to 255.

    Args:
        scale: factor, a number or one for each channel.
        offset: what is added.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: a scale or an offset that is no number, or none that float32 can hold.
        ShapeError: an input that scale and offset do not broadcast to.
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **settings: Any) -> None:
        super().__init__(**settings)
        for key, value in (("scale", scale), ("offset", offset)):
            if not _are_numbers(value):
                raise UsageError("Rescaling", expected=f"numbers as {key}", got=f"{key}={value!r:.60}")
        self.scale, self.offset = scale, offset

    def build(self, input_shape: BatchShape) -> None:
        """Check that scale and offset fit the input."""
        for key, shape in (("scale", np.shape(self.scale)), ("offset", np.shape(self.offset))):
            lengths = list(zip(reversed(shape), reversed(input_shape)))  # a length that is not known fits any
            if len(shape) > len(input_shape) or any(n != 1 and m not in (n, None) for n, m in lengths):
                raise ShapeError(
                    f"layer '{self.name}' (Rescaling)",
                    expected=f"{key} as one number, or one for each channel of {input_shape}",
                    got=f"{key} of shape {shape}",
                )

    def call(self, x: Tensor) -> Tensor:
        """x * scale + offset."""
        y: Tensor = x * self.scale + self.offset
        return y
