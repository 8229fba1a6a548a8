"""Operations over images: convolution, and pooling, which takes the largest or the mean value of each window.

Images have the shape (batch, height, width, channels).  All of it rests on two functions of the engine: `xp.patches`
cuts the windows out of the images, (batch, rows, columns, kh, kw, channels), and its transpose `xp.add_patches` puts
windows back where they came from, adding up where they overlap.  Between the two a convolution is a product of
matrices, and pooling is a `max` or a `mean`.

Limits: two space axes, channels last.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import TypeAlias

from netchu.engines import Array, xp
from netchu.errors import ShapeError, UsageError
from netchu.tape import Result, operation

Pair: TypeAlias = tuple[int, int]
Sizes: TypeAlias = int | Sequence[int]
"""One number for both height and width, or one for each."""


# --- settings --------------------------------------------------------------------------------------------------------


def pair(where: str, name: str, value: Sizes, least: int = 1) -> Pair:
    """`value` as (height, width): a number stands for both.  Raises UsageError unless both are whole and >= `least`."""
    both = tuple(value) if isinstance(value, Sequence) else (value, value)
    if len(both) != 2 or not all(isinstance(n, Integral) and not isinstance(n, bool) and n >= least for n in both):
        raise UsageError(
            where, expected=f"{name} to be one or two whole numbers of at least {least}", got=f"{name}={value!r:.60}"
        )
    return int(both[0]), int(both[1])


def check_padding(where: str, padding: str) -> str:
    """`padding` in small letters.  Raises UsageError unless it is "valid" or "same"."""
    if not isinstance(padding, str) or padding.lower() not in ("valid", "same"):
        raise UsageError(where, expected='padding to be "valid" or "same"', got=f"padding={padding!r:.60}")
    return padding.lower()


def check_data_format(where: str, data_format: str | None) -> str | None:
    """`data_format` itself.  Raises UsageError for any but channels last."""
    if data_format not in (None, "channels_last"):
        raise UsageError(
            where,
            expected='data_format to be "channels_last"',
            got=f"data_format={data_format!r:.60}",
            do="Move the channels behind: x = netchu.ops.transpose(x, (0, 2, 3, 1)).",
        )
    return data_format


# --- where the windows lie -------------------------------------------------------------------------------------------


def windows_along(length: int, window: int, stride: int, dilation: int, padding: str) -> tuple[int, Pair]:
    """How many windows lie along an axis, and the border (before, after) that "same" adds to it, as TensorFlow does.

        reach  = (window - 1) * dilation + 1
        valid:  count = floor((length - reach) / stride) + 1,  no border
        same:   count = ceil(length / stride),  border = (count - 1) * stride + reach - length, the odd one after

    The count is 0 or less where not even one window fits.
    """
    reach = (window - 1) * dilation + 1
    if padding == "valid":
        return (length - reach) // stride + 1, (0, 0)
    count = -(-length // stride)
    border = max((count - 1) * stride + reach - length, 0)
    return count, (border // 2, border - border // 2)


@dataclass(frozen=True)
class Windows:
    """Windows over images of one height and width: how to cut them out, and how to put them back.

    Attributes:
        size, strides, dilation: (height, width) of a window, of the step to the next one, and between its own elements.
        height, width: of the images with their border.
        border: what lies before and after each of the four axes.
    """

    size: Pair
    strides: Pair
    dilation: Pair
    height: int
    width: int
    border: tuple[Pair, Pair, Pair, Pair]

    def cut(self, x: Array, border_value: float = 0.0) -> Array:
        """(batch, height, width, channels) -> (batch, rows, columns, kh, kw, channels)."""
        return xp.patches(add_border(x, self.border, border_value), self.size, self.strides, self.dilation)

    def put_back(self, p: Array) -> Array:
        """The transpose of `cut`: (batch, rows, columns, kh, kw, channels) -> (batch, height, width, channels)."""
        return cut_border(xp.add_patches(p, self.height, self.width, self.strides, self.dilation), self.border)

    def places(self, p: Array) -> list[Array]:
        """For each place in a window what all windows have there, (batch, rows, columns, channels), row by row."""
        return [p[:, :, :, i, j, :] for i in range(self.size[0]) for j in range(self.size[1])]

    def from_places(self, places: list[Array]) -> Array:
        """The inverse of `places`: (batch, rows, columns, kh, kw, channels)."""
        stacked = xp.reshape(xp.stack(places), (*self.size, *places[0].shape))
        return xp.permute_dims(stacked, (2, 3, 4, 0, 1, 5))


def windows_over(
    where: str, x: Array, size: Pair, strides: Sizes, padding: str, data_format: str | None, dilation: Sizes = 1
) -> Windows:
    """The windows of `size` over images `x` (batch, height, width, channels), after all settings were checked."""
    shape = tuple(getattr(x, "shape", ()))
    if len(shape) != 4 or "float" not in str(x.dtype):
        raise ShapeError(
            where,
            expected="floating-point images (batch, height, width, channels)",
            got=f"inputs.shape={shape}, dtype={getattr(x, 'dtype', type(x))}",
        )
    check_data_format(where, data_format)
    padding = check_padding(where, padding)
    strides, dilation = pair(where, "strides", strides), pair(where, "dilation_rate", dilation)
    along = [windows_along(*axis, padding) for axis in zip(shape[1:3], size, strides, dilation)]
    if any(count < 1 for count, _ in along):
        raise ShapeError(
            where,
            expected=f"images of at least one window of {size} with dilation_rate={dilation}",
            got=f"inputs.shape={shape}",
            do='Use a smaller window, or padding="same".',
        )
    rows, columns = (border for _, border in along)
    height, width = shape[1] + sum(rows), shape[2] + sum(columns)
    return Windows(size, strides, dilation, height, width, ((0, 0), rows, columns, (0, 0)))


def add_border(x: Array, border: Sequence[Pair], value: float = 0.0) -> Array:
    """`x` with `border` around it, or `x` itself where there is none."""
    return xp.pad(x, tuple(border), value) if any(map(any, border)) else x


def cut_border(x: Array, border: Sequence[Pair]) -> Array:
    """The transpose of `add_border`: `x` without its border."""
    return x[tuple(slice(before, n - after) for n, (before, after) in zip(x.shape, border))]


# --- operations ------------------------------------------------------------------------------------------------------


@operation
def conv(
    inputs: Array,
    kernel: Array,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Result:
    """Each output pixel is the sum of a window of the input, weighted by the kernel: one sum for each filter.

        y[n, r, c, f] = sum over i, j, k of
            x[n, r * stride + i * dilation, c * stride + j * dilation, k] * w[i, j, k, f]

    (A cross-correlation: the kernel is not turned round.)  As a product of matrices, with one row for each window:
    (batch * rows * columns, kh * kw * channels) @ (kh * kw * channels, filters).

    Args:
        inputs: x, (batch, height, width, channels).
        kernel: w, (kh, kw, channels, filters).
        strides: the step from window to window.
        padding: `"valid"`: windows lie inside the image; `"same"`: zeros around it, so that with strides 1 the output
            has its size, the odd row and column of zeros at the bottom and on the right.
        data_format: None or `"channels_last"`.
        dilation_rate: the step between neighbours in a window; not together with strides above 1.

    Returns:
        y, (batch, rows, columns, filters).

    Raises:
        ShapeError: images and kernel that do not fit each other.
        UsageError: a wrong setting.

    References:
        LeCun, Boser, Denker, Henderson, Howard, Hubbard, Jackel, "Backpropagation applied to handwritten zip code
        recognition" (1989).  Chellapilla, Puri, Simard, "High performance convolutional neural networks for document
        processing" (2006): convolution as a product of matrices.
    """
    kh, kw, channels, filters = _check_kernel("conv", inputs, kernel, "filters")
    check_steps("conv", strides, dilation_rate)
    windows = windows_over("conv", inputs, (kh, kw), strides, padding, data_format, dilation_rate)
    cut = windows.cut(inputs)
    x = xp.reshape(cut, (-1, kh * kw * channels))  # (batch * rows * columns, kh * kw * channels)
    w = xp.reshape(kernel, (-1, filters))  # (kh * kw * channels, filters)

    def for_inputs(g: Array) -> Array:
        p = xp.reshape(g, (-1, filters)) @ xp.matrix_transpose(w)  # (batch * rows * columns, kh * kw * channels)
        return windows.put_back(xp.reshape(p, tuple(cut.shape)))

    def for_kernel(g: Array) -> Array:
        return xp.reshape(xp.matrix_transpose(x) @ xp.reshape(g, (-1, filters)), (kh, kw, channels, filters))

    return xp.reshape(x @ w, (*cut.shape[:3], filters)), (for_inputs, for_kernel)


@operation
def depthwise_conv(
    inputs: Array,
    kernel: Array,
    strides: Sizes = 1,
    padding: str = "valid",
    data_format: str | None = None,
    dilation_rate: Sizes = 1,
) -> Result:
    """A convolution of each channel by itself: `multiplier` outputs of channel 0, then those of channel 1 ...

        y[n, r, c, k * multiplier + m] = sum over i, j of
            x[n, r * stride + i * dilation, c * stride + j * dilation, k] * w[i, j, k, m]

    Args:
        inputs: x, (batch, height, width, channels).
        kernel: w, (kh, kw, channels, multiplier).
        strides, padding, data_format, dilation_rate: see `conv`; here strides and dilation may both be above 1.

    Returns:
        y, (batch, rows, columns, channels * multiplier).

    Raises:
        ShapeError: images and kernel that do not fit each other.
        UsageError: a wrong setting.
    """
    kh, kw, channels, multiplier = _check_kernel("depthwise_conv", inputs, kernel, "multiplier")
    windows = windows_over("depthwise_conv", inputs, (kh, kw), strides, padding, data_format, dilation_rate)
    cut = windows.cut(inputs)
    x = [xp.expand_dims(place, axis=4) for place in windows.places(cut)]  # (batch, rows, columns, channels, 1) each
    w = [kernel[i, j, :, :] for i in range(kh) for j in range(kw)]  # (channels, multiplier) each
    y = functools.reduce(operator.add, (a * b for a, b in zip(x, w)))  # (batch, rows, columns, channels, multiplier)

    def for_inputs(g: Array) -> Array:
        g = xp.reshape(g, tuple(y.shape))
        return windows.put_back(windows.from_places([xp.sum(g * b, axis=4) for b in w]))

    def for_kernel(g: Array) -> Array:
        g = xp.reshape(g, tuple(y.shape))
        return xp.reshape(xp.stack([xp.sum(a * g, axis=(0, 1, 2)) for a in x]), (kh, kw, channels, multiplier))

    return xp.reshape(y, (*y.shape[:3], channels * multiplier)), (for_inputs, for_kernel)


@operation
def max_pool(
    inputs: Array,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Result:
    """The largest value of each window, channel by channel.

    Where several are the largest, the gradient goes to the first of them, row by row, as in TensorFlow.  A window with
    NaN in it gives NaN (TensorFlow passes over it).

    Args:
        inputs: floating-point images (batch, height, width, channels).
        pool_size: height and width of a window.
        strides: the step from window to window; None for windows that lie side by side.
        padding: see `conv`; what `"same"` adds is never the largest.
        data_format: None or `"channels_last"`.

    Returns:
        (batch, rows, columns, channels).

    Raises:
        ShapeError: no images, or not even one window fits.
        UsageError: a wrong setting.
    """
    size = pair("max_pool", "pool_size", pool_size)
    windows = windows_over("max_pool", inputs, size, size if strides is None else strides, padding, data_format)
    cut = windows.cut(inputs, border_value=-math.inf)
    y = functools.reduce(xp.maximum, windows.places(cut))

    def for_inputs(g: Array) -> Array:
        unmet = xp.ones_like(y, dtype=xp.bool)  # windows whose largest value was not met yet
        before = xp.zeros_like(y, dtype=xp.int16)  # how many places of a window come before it
        for place in windows.places(cut):
            unmet = xp.logical_and(unmet, place != y)
            before = before + xp.astype(unmet, xp.int16)
        number = xp.reshape(xp.arange(windows.size[0] * windows.size[1], dtype=xp.int16), (*windows.size, 1))
        of_window = (*y.shape[:3], 1, 1, y.shape[3])
        share = xp.astype(xp.reshape(before, of_window) == number, g.dtype)  # `where` is slower on NumPy
        return windows.put_back(xp.reshape(g, of_window) * share)

    return y, (for_inputs,)


@operation
def average_pool(
    inputs: Array,
    pool_size: Sizes,
    strides: Sizes | None = None,
    padding: str = "valid",
    data_format: str | None = None,
) -> Result:
    """The mean of each window, channel by channel; what `"same"` adds does not count.

    Args:
        inputs, pool_size, strides, padding, data_format: see `max_pool`.

    Returns:
        (batch, rows, columns, channels).

    Raises:
        ShapeError: no images, or not even one window fits.
        UsageError: a wrong setting.
    """
    size = pair("average_pool", "pool_size", pool_size)
    windows = windows_over("average_pool", inputs, size, size if strides is None else strides, padding, data_format)
    cut = windows.cut(inputs)
    pixels = windows.cut(xp.ones((1, *inputs.shape[1:3], 1), dtype=inputs.dtype))
    count = xp.sum(pixels, axis=(3, 4))  # (1, rows, columns, 1)

    def for_inputs(g: Array) -> Array:
        share = xp.expand_dims(xp.expand_dims(g / count, axis=3), axis=3)  # (batch, rows, columns, 1, 1, channels)
        return windows.put_back(xp.broadcast_to(share, tuple(cut.shape)))

    return functools.reduce(operator.add, windows.places(cut)) / count, (for_inputs,)


@operation
def pad(x: Array, pad_width: Sequence[Pair], mode: str = "constant", constant_values: float | None = None) -> Result:
    """`x` with elements of one value around it.

    Args:
        x: of any shape.
        pad_width: ((before, after), ...), how many for each axis.
        mode: `"constant"` only.
        constant_values: the value; None is 0.

    Raises:
        UsageError: another mode, or not one pair of whole numbers for each axis.
    """
    if mode != "constant":
        raise UsageError("pad", expected='mode to be "constant"', got=f"mode={mode!r:.60}")
    axes = [pair("pad", "each entry of pad_width", width, least=0) for width in pad_width]
    if len(axes) != len(x.shape):
        raise UsageError("pad", expected=f"a pair for each of {len(x.shape)} axes", got=f"pad_width={pad_width!r:.60}")
    return add_border(x, axes, constant_values or 0.0), (lambda g: cut_border(g, axes),)


# --- checks ----------------------------------------------------------------------------------------------------------


def check_steps(where: str, strides: Sizes, dilation_rate: Sizes) -> None:
    """Raise UsageError for strides and dilation that are both above 1: Keras refuses them together."""
    if max(pair(where, "strides", strides)) > 1 and max(pair(where, "dilation_rate", dilation_rate)) > 1:
        raise UsageError(
            where,
            expected="strides or dilation_rate above 1, not both",
            got=f"strides={strides}, dilation_rate={dilation_rate}",
        )


def _check_kernel(where: str, inputs: Array, kernel: Array, last: str) -> tuple[int, int, int, int]:
    """The shape of the kernel.  Raises ShapeError unless it has four axes and the channels of the images."""
    shape, images = tuple(getattr(kernel, "shape", ())), tuple(getattr(inputs, "shape", ()))
    if len(shape) != 4 or 0 in shape or (len(images) == 4 and images[3] != shape[2]):
        raise ShapeError(
            where,
            expected=f"shapes (batch, height, width, channels) and (kh, kw, channels, {last})",
            got=f"inputs.shape={images}, kernel.shape={shape}",
        )
    return shape
