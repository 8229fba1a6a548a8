"""Layers without weights that change the shape or the scale: Flatten, Reshape, Permute, ZeroPadding2D, Rescaling."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from netchu import ops
from netchu.arguments import checked_list, is_whole
from netchu.errors import ShapeError, UsageError
from netchu.layers.base import MAX_AXES, BatchShape, Layer, ShapeKeepingLayer
from netchu.layers.images import check_images
from netchu.ops.windows import Sizes, check_data_format, pair
from netchu.tensor import Tensor


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
        lengths = tuple(target_shape) if isinstance(target_shape, Iterable) else (target_shape,)
        whole = all(is_whole(n) and (n > 0 or n == -1) for n in lengths)
        if not whole or lengths.count(-1) > 1 or len(lengths) > MAX_AXES:
            raise UsageError(
                "Reshape", expected="positive lengths, at most one of them -1", got=f"target_shape={target_shape!r:.60}"
            )
        self.target_shape = tuple(int(n) for n in lengths)

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
        self.dims = tuple(checked_list("Permute", dims=dims))
        if not all(map(is_whole, self.dims)) or sorted(self.dims) != list(range(1, len(self.dims) + 1)):
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

    def __init__(
        self, padding: int | Sequence[Sizes] = (1, 1), data_format: str | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        both = (padding, padding) if is_whole(padding) else padding
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

    casts_integers = True

    def __init__(self, scale: float | Sequence[float], offset: float | Sequence[float] = 0.0, **settings: Any) -> None:
        super().__init__(**settings)
        for key, value in (("scale", scale), ("offset", offset)):
            if not _are_numbers(value):
                raise UsageError("Rescaling", expected=f"numbers as {key}", got=f"{key}={value!r:.60}")
        self.scale = scale
        self.offset = offset

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
