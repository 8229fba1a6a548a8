"""Pictures of single digits, brought into the form in which MNIST's digits are.

    digit = netchu.digits.load("seven.png")      # uint8 (28, 28), 0 ground to 255 ink
    label = model.predict(netchu.datasets.scale_pixels(digit[None])).argmax()

Reading order: `form` (what MNIST's form is, plain NumPy), `pictures` (reading files of strangers), `recipes` (networks
that learn digits well, for `netchu train --recipe`), `distortion` (digits as other hands would have written them).
Importing this loads NumPy only; Pillow comes when the first picture is read.

Limits: one digit a picture, on a fairly even ground; PNG and JPEG.
"""

from __future__ import annotations

import os

from netchu.digits.form import Pixels, to_mnist_form
from netchu.digits.pictures import read_picture

__all__ = ["load", "read_picture", "to_mnist_form"]


def load(picture: str | os.PathLike[str] | bytes, *, size: tuple[int, int] = (28, 28), name: str = "") -> Pixels:
    """Read a picture and bring it into MNIST's form.

    Args:
        picture: the path of a PNG or JPEG file, or the file's bytes.
        size: height and width of the result.
        name: what messages call the picture; its path if empty.

    Returns:
        uint8 `size`, 0 ground to 255 ink.

    Raises:
        DataNotFoundError: no such file.
        DataError: no picture, a damaged or too large one, or one without any ink; the message names the file.
    """
    name = name or ("picture" if isinstance(picture, bytes) else os.fspath(picture))
    return to_mnist_form(read_picture(picture, name=name), size=size, name=name)
