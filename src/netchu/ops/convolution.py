"""Operations over images: convolution, and pooling, which takes the largest or the mean value of each window.

Images have the shape (batch, height, width, channels).  All of it rests on two functions of the engine: `xp.patches`
cuts the windows out of the images, (batch, rows, columns, kh, kw, channels), and its transpose `xp.add_patches` puts
windows back where they came from, adding up where they overlap (`windows.py`).  Between the two a convolution is a
product of matrices, and pooling is a `max` or a `mean`.

Limits: two space axes, channels last.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence

from netchu.engines import Array, xp
from netchu.engines.types import Kind, alike, is_float
from netchu.errors import ShapeError, UsageError
from netchu.ops.windows import Pair, Sizes, add_border, check_steps, cut_border, pair, windows_over
from netchu.tape import Result, operation


def _fractions_alike(*kinds: Kind) -> tuple[Kind, ...]:
    """float32 and float64 in one type; whole numbers stay what they are, and are refused."""
    return alike(*kinds) if all(map(is_float, kinds)) else kinds


@operation(types=_fractions_alike)
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


@operation(types=_fractions_alike)
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


def _check_kernel(where: str, inputs: Array, kernel: Array, last: str) -> tuple[int, int, int, int]:
    """The shape of the kernel.  Raises ShapeError unless it has four axes and the channels of the images."""
    shape = tuple(getattr(kernel, "shape", ()))
    images = tuple(getattr(inputs, "shape", ()))
    if len(shape) != 4 or 0 in shape or (len(images) == 4 and images[3] != shape[2]):
        raise ShapeError(
            where,
            expected=f"shapes (batch, height, width, channels) and (kh, kw, channels, {last})",
            got=f"inputs.shape={images}, kernel.shape={shape}",
        )
    return shape
