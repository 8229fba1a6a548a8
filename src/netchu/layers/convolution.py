"""Layers that move a small kernel over images (batch, height, width, channels): Conv2D, DepthwiseConv2D.

    Conv2D(32, 3, activation="relu"), MaxPooling2D(), Conv2D(64, 3, activation="relu"), MaxPooling2D(), Flatten(), ...

The arithmetic stands in `netchu/ops/convolution.py`.  Limits: channels last, one group.
"""

from __future__ import annotations

from typing import Any

from netchu import activations, ops
from netchu.arguments import positive_integer
from netchu.errors import UsageError
from netchu.layers.base import BatchShape, check_axis
from netchu.layers.core import KernelLayer
from netchu.layers.images import check_images, images_after
from netchu.ops.windows import Sizes, check_data_format, check_padding, check_steps, pair
from netchu.tensor import Tensor


class _Windowed(KernelLayer):
    """What both convolutions share: the settings of the windows, and the shape of the output."""

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes,
        padding: str,
        data_format: str | None,
        dilation_rate: Sizes,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        kind = type(self).__name__
        self.kernel_size = pair(kind, "kernel_size", kernel_size)
        self.strides = pair(kind, "strides", strides)
        self.padding = check_padding(kind, padding)
        self.data_format = check_data_format(kind, data_format)
        self.dilation_rate = pair(kind, "dilation_rate", dilation_rate)

    def outputs(self, channels: int) -> int:
        """How many channels the kernel makes of so many that come in."""
        raise NotImplementedError

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """(None, height, width, channels) -> (None, rows, columns, outputs), or half as many outputs for `glu`."""
        channels = check_images(self, input_shape)
        space = images_after(self, input_shape, self.kernel_size, self.strides, self.padding, self.dilation_rate)
        return activations.output_shape(self.activation, (None, *space, self.outputs(channels)))


class Conv2D(_Windowed):
    """A convolution: each output pixel is a weighted sum of a window of the input, with the same weights everywhere.

        y = activation(conv(x, kernel) + bias)

    Shapes: x (batch, height, width, channels), kernel (kh, kw, channels, filters), bias (filters,),
    y (batch, rows, columns, filters).

    Args:
        filters: how many channels go out, a positive integer.
        kernel_size: height and width of the window, one number or two.
        strides: the step from window to window.
        padding: `"valid"`: windows lie inside the image; `"same"`: zeros around it, so that with strides 1 the output
            has its size.
        data_format: None or `"channels_last"`.
        dilation_rate: the step between neighbours in a window; not together with strides above 1.
        groups: 1 only.
        activation: a name or a function; None for none.
        use_bias: whether to add the bias.
        **settings: initializers, regularizers and constraints of kernel and bias; see `KernelLayer`.

    Raises:
        UsageError: a wrong setting.
        ShapeError: an input that is no image, or smaller than a window.

    Example:
        >>> Conv2D(32, 3, activation="relu")
        Conv2D(filters=32, kernel_size=[3, 3], activation='relu')
        >>> Conv2D(32, 3)(np.zeros((1, 28, 28, 1))).shape
        (1, 26, 26, 32)
    """

    def __init__(
        self,
        filters: int,
        kernel_size: Sizes,
        strides: Sizes = (1, 1),
        padding: str = "valid",
        data_format: str | None = None,
        dilation_rate: Sizes = (1, 1),
        groups: int = 1,
        activation: Any = None,
        use_bias: bool = True,
        **settings: Any,
    ) -> None:
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate,
            activation=activation, use_bias=use_bias, **settings,
        )  # fmt: skip
        self.filters = positive_integer("Conv2D", "filters", filters)
        check_steps("Conv2D", self.strides, self.dilation_rate)
        if groups != 1:
            raise UsageError("Conv2D", expected="groups=1", got=f"groups={groups!r:.60}", do="See DepthwiseConv2D.")
        self.groups = 1

    def build(self, input_shape: BatchShape) -> None:
        """Make kernel and bias for images (None, height, width, channels)."""
        self.compute_output_shape(input_shape)  # so that images smaller than a window are refused here
        self.add_kernel_and_bias((*self.kernel_size, check_images(self, input_shape), self.filters), self.filters)

    def call(self, x: Tensor) -> Tensor:
        """y = activation(conv(x, kernel) + bias)."""
        check_axis(self, self.kernel.shape[2], x.shape)
        y = ops.conv(x, self.kernel, self.strides, self.padding, self.data_format, self.dilation_rate)
        return self.biased_and_activated(y)

    def outputs(self, channels: int) -> int:
        """The filters."""
        return self.filters


class DepthwiseConv2D(_Windowed):
    """A convolution of each channel by itself.

        y = activation(depthwise_conv(x, kernel) + bias)

    Shapes: x (batch, height, width, channels), kernel (kh, kw, channels, depth_multiplier),
    bias (channels * depth_multiplier,), y (batch, rows, columns, channels * depth_multiplier).

    Args:
        kernel_size, strides, padding, data_format, dilation_rate, activation, use_bias: see `Conv2D`; here strides and
            dilation_rate may both be above 1.
        depth_multiplier: how many channels go out for each that comes in, a positive integer.
        depthwise_initializer, depthwise_regularizer, depthwise_constraint: of the kernel.
        **settings: initializer, regularizer and constraint of the bias; see `KernelLayer`.

    Raises:
        UsageError: a wrong setting.
        ShapeError: an input that is no image, or smaller than a window.
    """

    def __init__(
        self,
        kernel_size: Sizes,
        strides: Sizes = (1, 1),
        padding: str = "valid",
        depth_multiplier: int = 1,
        data_format: str | None = None,
        dilation_rate: Sizes = (1, 1),
        activation: Any = None,
        use_bias: bool = True,
        depthwise_initializer: Any = "glorot_uniform",
        depthwise_regularizer: Any = None,
        depthwise_constraint: Any = None,
        **settings: Any,
    ) -> None:
        for name in settings:
            if name.startswith("kernel_"):
                do = f"Write depthwise_{name.removeprefix('kernel_')}."
                raise UsageError("DepthwiseConv2D", expected="Keras's names for its kernel", got=f"{name}=...", do=do)
        super().__init__(
            kernel_size, strides, padding, data_format, dilation_rate,
            activation=activation, use_bias=use_bias, kernel_initializer=depthwise_initializer,
            kernel_regularizer=depthwise_regularizer, kernel_constraint=depthwise_constraint, **settings,
        )  # fmt: skip
        self.depth_multiplier = positive_integer("DepthwiseConv2D", "depth_multiplier", depth_multiplier)
        self.depthwise_initializer = self.kernel_initializer
        self.depthwise_regularizer = self.kernel_regularizer
        self.depthwise_constraint = self.kernel_constraint

    def build(self, input_shape: BatchShape) -> None:
        """Make kernel and bias for images (None, height, width, channels)."""
        self.compute_output_shape(input_shape)
        channels = check_images(self, input_shape)
        self.add_kernel_and_bias((*self.kernel_size, channels, self.depth_multiplier), self.outputs(channels))

    def call(self, x: Tensor) -> Tensor:
        """y = activation(depthwise_conv(x, kernel) + bias)."""
        check_axis(self, self.kernel.shape[2], x.shape)
        y = ops.depthwise_conv(x, self.kernel, self.strides, self.padding, self.data_format, self.dilation_rate)
        return self.biased_and_activated(y)

    def outputs(self, channels: int) -> int:
        """channels * depth_multiplier."""
        return channels * self.depth_multiplier

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments: the kernel's are called depthwise."""
        kernel = ("kernel_initializer", "kernel_regularizer", "kernel_constraint")
        return {key: value for key, value in super().get_config().items() if key not in kernel}
