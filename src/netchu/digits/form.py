"""MNIST's form: a light digit on a dark ground, fitted into the middle of a small square.

LeCun, Cortes and Burges made MNIST by fitting each digit into 20 x 20 pixels, keeping its aspect, and laying its centre
of mass on the centre of 28 x 28.  A network trained on MNIST has seen nothing else, so a picture from elsewhere has to
go the same way before it is shown to one.

Limits: one digit; every stroke in the picture counts as part of it; the ground is taken to be of one brightness.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from netchu.errors import DataError

Pixels = NDArray[np.uint8]
Ink = NDArray[np.float32]

BOX = 20 / 28  # the share of height and width that the digit may fill
LEAST_CONTRAST = 20  # of 255; below it the brightest and the darkest pixel count as one colour
NOISE = 0.12  # share of the strongest ink below which it is taken for paper: texture, shadow, JPEG's ripples
DARK_GROUND = 64  # of 255; MNIST's own ground is 0


def to_mnist_form(grey: Pixels, *, size: tuple[int, int] = (28, 28), name: str = "picture") -> Pixels:
    """Fit the digit of a grey picture into a small square, as MNIST's makers did.

    Args:
        grey: uint8 `(height, width)`, 0 black to 255 white; strokes may be darker or lighter than the ground.
        size: height and width of the result.  A picture that has this size and a dark ground already is returned as
            it is, so that MNIST's own digits stay what they are.
        name: what messages call the picture.

    Returns:
        uint8 `size`, 0 ground to 255 ink.

    Raises:
        DataError: the picture is of one colour.

    Reference:
        Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", 1998.  Where they say only
        "anti-aliasing", this averages areas when it makes a picture smaller and interpolates when it makes one larger.
    """
    contrast = int(grey.max()) - int(grey.min())
    if contrast < LEAST_CONTRAST:
        raise DataError(
            name,
            expected="a digit that is darker or lighter than its ground",
            got=f"a picture of {grey.shape[1]} x {grey.shape[0]} pixels in one colour "
            f"(brightness {grey.min()} to {grey.max()} of 255)",
        )
    if grey.shape == tuple(size) and _ground(grey) < DARK_GROUND:
        return grey
    ink = _ink(grey)  # (height, width)
    rows = np.flatnonzero(ink.any(axis=1))
    columns = np.flatnonzero(ink.any(axis=0))
    digit = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return _centred(_fitted(digit, size), size)


def _ground(grey: Pixels) -> float:
    """The brightness of the ground: the median along the picture's edge."""
    return float(np.median(np.concatenate([grey[0], grey[-1], grey[:, 0], grey[:, -1]])))


def _ink(grey: Pixels) -> Ink:
    """How much each pixel differs from the ground, 0 to 255, in the direction (lighter or darker) of the strokes."""
    above = grey.astype(np.int16) - round(_ground(grey))
    darker = above.min() + above.max() < 0  # the strokes lie on the side that is farther from the ground
    ink = (-above if darker else above).astype(np.float32)
    ink *= np.float32(255 / ink.max())
    ink[ink < 255 * NOISE] = 0
    return ink


def _fitted(digit: Ink, size: tuple[int, int]) -> Pixels:
    """The digit scaled until its height or its width fills the box, neither more, and neither below one pixel.

    Its strongest pixel becomes 255 again: a thin line on a large sheet would be faint otherwise.
    """
    from PIL import Image

    height, width = digit.shape
    scale = min(size[0] * BOX / height, size[1] * BOX / width)
    new_size = (max(1, round(width * scale)), max(1, round(height * scale)))
    # Pillow's BILINEAR widens its window when it makes a picture smaller, which averages areas.
    scaled = np.asarray(Image.fromarray(digit).resize(new_size, Image.Resampling.BILINEAR))
    fitted: Pixels = np.rint(scaled * (255 / scaled.max())).astype(np.uint8)
    return fitted


def _centred(digit: Pixels, size: tuple[int, int]) -> Pixels:
    """The digit on a dark ground of `size`, its centre of mass as near to its middle as whole pixels allow.

    The middle is the pixel (14, 14), the first one of the right and lower half.
    """
    mass = digit.astype(np.float64)
    corner = []
    for axis in (0, 1):
        centre = float((mass.sum(axis=1 - axis) * np.arange(digit.shape[axis])).sum() / mass.sum())
        corner.append(min(max(round(size[axis] / 2 - centre), 0), size[axis] - digit.shape[axis]))
    result = np.zeros(size, dtype=np.uint8)
    result[corner[0] : corner[0] + digit.shape[0], corner[1] : corner[1] + digit.shape[1]] = digit
    return result
