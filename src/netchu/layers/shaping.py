"""Layers without weights that change the shape or the scale: Flatten, Reshape, Rescaling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from netchu import ops
from netchu.errors import ShapeError, UsageError
from netchu.layers.base import MAX_AXES, BatchShape, Layer
from netchu.tape import Tensor


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
        self.target_shape = tuple(target_shape)
        whole = all(isinstance(n, int) and (n > 0 or n == -1) for n in self.target_shape)
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


def _are_numbers(value: Any) -> bool:
    try:
        return np.asarray(value).dtype.kind in "iuf"
    except ValueError:  # rows of different lengths
        return False


class Rescaling(Layer):
    """`x * scale + offset`, for example `Rescaling(1 / 255)` for pixels from 0 to 255.

    Args:
        scale: factor, a number or one for each channel.
        offset: what is added.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: a scale or an offset that is no number.
    """

    def __init__(self, scale: Any, offset: Any = 0.0, **settings: Any) -> None:
        super().__init__(**settings)
        for key, value in (("scale", scale), ("offset", offset)):
            if not _are_numbers(value):
                raise UsageError("Rescaling", expected=f"numbers as {key}", got=f"{key}={value!r:.60}")
        self.scale, self.offset = scale, offset

    def call(self, x: Tensor) -> Tensor:
        """x * scale + offset."""
        y: Tensor = x * self.scale + self.offset
        return y

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """Unchanged."""
        return input_shape
