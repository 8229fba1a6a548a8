"""Operations over whole images: seen through an affine map, as `keras.ops.image` has it, or read at any places.

    rotated = ops.image.affine_transform(images, transform, fill_mode="reflect")
    bent = ops.image.sample(images, rows, columns)

Images have the shape (batch, height, width, channels).  Each pixel of the output looks up a place of the input, between
pixels in general, and takes the nearest pixel or a mean of the four around it; so the output is linear in the images.
The numbers are those of TensorFlow's ImageProjectiveTransformV3, on which Keras rests.

Limits: channels last; no gradient flows to the transform or to the places.
"""

from __future__ import annotations

import math

from netchu.engines import Array, xp
from netchu.errors import ShapeError, unknown_name
from netchu.tape import Derivative, Result, operation

# --- beyond the edges: where along an axis of `n` pixels is read for coordinate `c` -----------------------------------


def _constant(c: Array, n: int) -> Array:
    """k k k k | a b c d | k k k k: outside stays outside."""
    return c


def _nearest(c: Array, n: int) -> Array:
    """a a a a | a b c d | d d d d."""
    return xp.clip(c, 0.0, n - 1.0)


def _reflect(c: Array, n: int) -> Array:
    """d c b a | a b c d | d c b a."""
    t = c - 2 * n * xp.floor(c / (2 * n))
    return _nearest(xp.where(t < n, t, 2 * n - 1 - t), n)


def _wrap(c: Array, n: int) -> Array:
    """a b c d | a b c d | a b c d; as in TensorFlow, at distances of 2 * (n - 1) and more the edge pixel repeats."""
    period = max(n - 1, 1)
    before = c + n * (xp.floor(-c / period) + 1)
    after = c - n * xp.floor(c / period)
    return _nearest(xp.where(c < 0, before, xp.where(c > n - 1, after, c)), n)


FILL_MODES = {"constant": _constant, "nearest": _nearest, "reflect": _reflect, "wrap": _wrap}


# --- which pixels are read, and with what weight ----------------------------------------------------------------------


def _rounded(c: Array) -> Array:
    """The nearest whole number, halves away from zero."""
    whole = xp.floor(xp.abs(c))
    return xp.sign(c) * xp.where(xp.abs(c) - whole >= 0.5, whole + 1, whole)


def _nearest_pixel(y: Array, x: Array) -> list[tuple[Array, Array, Array]]:
    return [(_rounded(y), _rounded(x), xp.ones_like(y))]


def _four_pixels(y: Array, x: Array) -> list[tuple[Array, Array, Array]]:
    top, left = xp.floor(y), xp.floor(x)
    down, right = y - top, x - left  # how far from them, in [0, 1)
    return [
        (top, left, (1 - down) * (1 - right)),
        (top, left + 1, (1 - down) * right),
        (top + 1, left, down * (1 - right)),
        (top + 1, left + 1, down * right),
    ]


INTERPOLATIONS = {"bilinear": _four_pixels, "nearest": _nearest_pixel}


def check_sampling(where: str, interpolation: str, fill_mode: str) -> None:
    """Raise UsageError for an unknown interpolation or fill mode; the message lists the known ones."""
    for kind, given, known in (
        ("interpolation", interpolation, list(INTERPOLATIONS)),
        ("fill_mode", fill_mode, list(FILL_MODES)),
    ):
        if given not in known:
            raise unknown_name(kind, given, known, where=where)


# --- the operations ---------------------------------------------------------------------------------------------------


def _sources(transform: Array, height: int, width: int) -> tuple[Array, Array]:
    """Where each pixel of the output looks in the input: y and x, each (batch, height, width)."""
    a0, a1, a2, b0, b1, b2, c0, c1 = (transform[:, i, None, None] for i in range(8))
    rows = xp.astype(xp.arange(height), transform.dtype)[None, :, None]
    columns = xp.astype(xp.arange(width), transform.dtype)[None, None, :]
    k = c0 * columns + c1 * rows + 1
    return (b0 * columns + b1 * rows + b2) / k, (a0 * columns + a1 * rows + a2) / k


@operation
def affine_transform(
    images: Array,
    transform: Array,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
) -> Result:
    """Each image, seen through a map of the plane: turned, moved, made larger or smaller.

        k = c0 * x + c1 * y + 1
        output(y, x) = image((b0 * x + b1 * y + b2) / k, (a0 * x + a1 * y + a2) / k)

    Shapes: images and output (batch, height, width, channels), transform (batch, 8).

    Args:
        images: of any range; whole numbers become float32 first.
        transform: rows (a0, a1, a2, b0, b1, b2, c0, c1) of float32; c0 and c1 bend straight lines and are 0 in an
            affine map.
        interpolation: `"bilinear"`, a mean of the four pixels around, or `"nearest"`.
        fill_mode: what lies outside: `"constant"`, `"nearest"`, `"reflect"` (d c b a | a b c d | d c b a), `"wrap"`.
        fill_value: for `"constant"`.

    Raises:
        ShapeError: images without four axes, or another number of transforms than images.
        UsageError: an unknown interpolation or fill mode.
    """
    check_sampling("affine_transform", interpolation, fill_mode)
    if len(images.shape) != 4 or tuple(transform.shape) != (images.shape[0], 8):
        raise ShapeError(
            "affine_transform",
            expected="images (batch, height, width, channels) and transform (batch, 8)",
            got=f"images.shape={tuple(images.shape)}, transform.shape={tuple(transform.shape)}",
        )
    y, x = _sources(transform, *images.shape[1:3])
    output, for_images = _read(images, y, x, interpolation, fill_mode, fill_value)
    return output, (for_images, None)


@operation
def sample(
    images: Array,
    y: Array,
    x: Array,
    interpolation: str = "bilinear",
    fill_mode: str = "constant",
    fill_value: float = 0,
) -> Result:
    """Each image, read at places of its own.

        output(i, j) = image(y(i, j), x(i, j))

    Shapes: images (batch, height, width, channels); y, x (batch, rows, columns); output (batch, rows, columns,
    channels).

    Args:
        images: of any range; whole numbers become float32 first.
        y: float32, in pixels: 0 is the middle of the first row, height - 1 that of the last.
        x: the same for columns.
        interpolation, fill_mode, fill_value: see `affine_transform`.

    Raises:
        ShapeError: images without four axes, or places that are no (batch, rows, columns) of the same batch.
        UsageError: an unknown interpolation or fill mode.
    """
    check_sampling("sample", interpolation, fill_mode)
    if len(images.shape) != 4 or len(y.shape) != 3 or y.shape[0] != images.shape[0] or y.shape != x.shape:
        raise ShapeError(
            "sample",
            expected="images (batch, height, width, channels), y and x (batch, rows, columns)",
            got=f"images.shape={tuple(images.shape)}, y.shape={tuple(y.shape)}, x.shape={tuple(x.shape)}",
        )
    output, for_images = _read(images, y, x, interpolation, fill_mode, fill_value)
    return output, (for_images, None, None)


def _read(
    images: Array, y: Array, x: Array, interpolation: str, fill_mode: str, fill_value: float
) -> tuple[Array, Derivative]:
    """The images at the places (batch, rows, columns), and the derivative for the images."""
    if images.dtype not in (xp.float32, xp.float64):
        images = xp.astype(images, xp.float32)
    batch, height, width, channels = images.shape
    y = FILL_MODES[fill_mode](y, height)
    x = FILL_MODES[fill_mode](x, width)
    pixels = xp.reshape(images, (-1, channels))
    first = xp.astype(xp.arange(batch), xp.int32)[:, None, None] * (height * width)  # of each image, among all pixels
    output: Array = 0.0
    read: list[tuple[Array, Array]] = []  # positions and weights, each (batch * rows * columns,); weight 0 outside
    for row, column, weight in INTERPOLATIONS[interpolation](y, x):
        inside = (row >= 0) & (row < height) & (column >= 0) & (column < width)
        row = xp.clip(row, 0.0, height - 1.0)
        column = xp.clip(column, 0.0, width - 1.0)
        positions = xp.reshape(first + xp.astype(row * width + column, xp.int32), (-1,))
        weight = xp.reshape(xp.astype(weight, images.dtype), (-1, 1))
        inside = xp.reshape(inside, (-1, 1))
        output = output + weight * xp.where(inside, xp.take(pixels, positions, axis=0), fill_value)
        read.append((positions, xp.where(inside, weight, 0.0)))

    def for_images(g: Array) -> Array:
        """Each pixel of the input collects from all that read it."""
        g = xp.reshape(g, (-1, channels))
        channel = xp.astype(xp.arange(channels), xp.int32)
        places = [xp.reshape(positions[:, None] * channels + channel, (-1,)) for positions, _ in read]
        shares = [xp.reshape(g * weight, (-1,)) for _, weight in read]
        size = math.prod(images.shape)
        return xp.reshape(xp.scatter_add(size, xp.concat(places, axis=0), xp.concat(shares, axis=0)), images.shape)

    return xp.reshape(output, (*y.shape, channels)), for_images
