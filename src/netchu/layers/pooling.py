"""Layers that make images smaller: the largest or the mean value of each window, or of each whole channel.

    Conv2D(32, 3, activation="relu"), MaxPooling2D(), ..., GlobalAveragePooling2D(), Dense(10)

Images have the shape (batch, height, width, channels); each channel is pooled by itself.  No weights.
"""

from __future__ import annotations

from typing import Any

from netchu import ops
from netchu.layers.base import BatchShape, Layer
from netchu.layers.images import check_images, images_after
from netchu.ops.windows import Sizes, check_data_format, check_padding, pair
from netchu.tensor import Tensor


class _Pooling(Layer):
    """What both poolings share: the settings of the windows, and the shape of the output."""

    casts_integers = True

    def __init__(
        self, pool_size: Sizes, strides: Sizes | None, padding: str, data_format: str | None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        kind = type(self).__name__
        self.pool_size = pair(kind, "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else pair(kind, "strides", strides)
        self.padding = check_padding(kind, padding)
        self.data_format = check_data_format(kind, data_format)

    def build(self, input_shape: BatchShape) -> None:
        """Check that the input is images of at least one window."""
        self.compute_output_shape(input_shape)

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """(None, height, width, channels) -> (None, rows, columns, channels)."""
        channels = check_images(self, input_shape)
        return (None, *images_after(self, input_shape, self.pool_size, self.strides, self.padding), channels)


class MaxPooling2D(_Pooling):
    """The largest value of each window: (batch, height, width, channels) -> (batch, rows, columns, channels).

    Args:
        pool_size: height and width of a window, one number or two.
        strides: the step from window to window; None for windows that lie side by side.
        padding: `"valid"`: windows lie inside the image; `"same"`: also over its edges, ceil(height / stride) rows.
        data_format: None or `"channels_last"`.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: a wrong setting.
        ShapeError: an input that is no image, or smaller than a window.
    """

    def __init__(
        self,
        pool_size: Sizes = (2, 2),
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **settings)

    def call(self, x: Tensor) -> Tensor:
        """The largest of each window."""
        return ops.max_pool(x, self.pool_size, self.strides, self.padding)


class AveragePooling2D(_Pooling):
    """The mean of each window; beyond an edge there is nothing to count.

    Args:
        pool_size, strides, padding, data_format: see `MaxPooling2D`.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: a wrong setting.
        ShapeError: an input that is no image, or smaller than a window.
    """

    def __init__(
        self,
        pool_size: Sizes,
        strides: Sizes | None = None,
        padding: str = "valid",
        data_format: str | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(pool_size, strides, padding, data_format, **settings)

    def call(self, x: Tensor) -> Tensor:
        """The mean of each window."""
        return ops.average_pool(x, self.pool_size, self.strides, self.padding)


class _GlobalPooling(Layer):
    """One number for each channel of an image.

    Args:
        data_format: None or `"channels_last"`.
        keepdims: whether height and width stay, with length 1.
        name, trainable, dtype: see `Layer`.
    """

    def __init__(self, data_format: str | None = None, keepdims: bool = False, **settings: Any) -> None:
        super().__init__(**settings)
        self.data_format = check_data_format(type(self).__name__, data_format)
        self.keepdims = keepdims

    def build(self, input_shape: BatchShape) -> None:
        """Check that the input is images."""
        check_images(self, input_shape)

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """(None, height, width, channels) -> (None, channels), or (None, 1, 1, channels) with keepdims."""
        channels = check_images(self, input_shape)
        return (None, 1, 1, channels) if self.keepdims else (None, channels)


class GlobalAveragePooling2D(_GlobalPooling):
    """The mean of each channel: (batch, height, width, channels) -> (batch, channels).

    Args:
        data_format: None or `"channels_last"`.
        keepdims: whether height and width stay, with length 1.
        name, trainable, dtype: see `Layer`.
    """

    casts_integers = True

    def call(self, x: Tensor) -> Tensor:
        """The mean over height and width."""
        return ops.mean(x, axis=(1, 2), keepdims=self.keepdims)


class GlobalMaxPooling2D(_GlobalPooling):
    """The largest value of each channel: (batch, height, width, channels) -> (batch, channels).

    Several equally large values share the gradient, as in TensorFlow.

    Args:
        data_format: None or `"channels_last"`.
        keepdims: whether height and width stay, with length 1.
        name, trainable, dtype: see `Layer`.
    """

    def call(self, x: Tensor) -> Tensor:
        """The largest over height and width."""
        return ops.max(x, axis=(1, 2), keepdims=self.keepdims)
