"""Windows over images: where they lie, how they are cut out of an image and put back, and the checks of their settings.

    windows = windows_over("max_pool", x, size=(2, 2), strides=2, padding="valid", data_format=None)
    cut = windows.cut(x)                                    # (batch, rows, columns, 2, 2, channels)

Images have the shape (batch, height, width, channels).  Limits: two space axes, channels last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from netchu.arguments import is_whole
from netchu.engines import Array, xp
from netchu.errors import ShapeError, UsageError

Pair: TypeAlias = tuple[int, int]
"""One number for the height and one for the width."""

Sizes: TypeAlias = int | Sequence[int]
"""One number for both height and width, or one for each."""


# --- settings --------------------------------------------------------------------------------------------------------


def pair(where: str, name: str, value: Sizes, least: int = 1) -> Pair:
    """`value` as (height, width): a number stands for both.  Raises UsageError unless both are whole and >= `least`."""
    both = value if isinstance(value, Sequence) else (value, value)
    if len(both) != 2 or not all(is_whole(n) and n >= least for n in both):
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


def check_steps(where: str, strides: Sizes, dilation_rate: Sizes) -> None:
    """Raise UsageError for strides and dilation that are both above 1: Keras refuses them together."""
    if max(pair(where, "strides", strides)) > 1 and max(pair(where, "dilation_rate", dilation_rate)) > 1:
        raise UsageError(
            where,
            expected="strides or dilation_rate above 1, not both",
            got=f"strides={strides}, dilation_rate={dilation_rate}",
        )


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
    strides = pair(where, "strides", strides)
    dilation = pair(where, "dilation_rate", dilation)
    along = [windows_along(*axis, padding) for axis in zip(shape[1:3], size, strides, dilation)]
    if any(count < 1 for count, _ in along):
        raise ShapeError(
            where,
            expected=f"images of at least one window of {size} with dilation_rate={dilation}",
            got=f"inputs.shape={shape}",
            do='Use a smaller window, or padding="same".',
        )
    rows, columns = (border for _, border in along)
    height = shape[1] + sum(rows)
    width = shape[2] + sum(columns)
    return Windows(size, strides, dilation, height, width, ((0, 0), rows, columns, (0, 0)))


def add_border(x: Array, border: Sequence[Pair], value: float = 0.0) -> Array:
    """`x` with `border` around it, or `x` itself where there is none."""
    return xp.pad(x, tuple(border), value) if any(map(any, border)) else x


def cut_border(x: Array, border: Sequence[Pair]) -> Array:
    """The transpose of `add_border`: `x` without its border."""
    return x[tuple(slice(before, n - after) for n, (before, after) in zip(x.shape, border))]
