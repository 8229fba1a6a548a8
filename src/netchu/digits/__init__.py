"""Pictures of single digits, brought into the form in which MNIST's digits are, and networks that read them.

    digit = netchu.digits.load("seven.png")      # uint8 (28, 28), 0 ground to 255 ink
    label = model.predict(netchu.datasets.scale_pixels(digit[None])).argmax()

Reading order: `form` (what MNIST's form is, plain NumPy), `pictures` (reading files of strangers), `reader` (a picture
goes in, its label comes out), `measuring` (how well a model reads), `recipes` (networks that learn digits well),
`distortion` (digits as other hands would have written them); then what `netchu train` does: `job` (what is asked for),
`run_folder` (where it is kept), `data`, `training` (doing it).
Importing this loads nothing large: NumPy comes with the first name that is asked for, Pillow with the first picture.

Limits: one digit a picture, on a fairly even ground; PNG and JPEG.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from netchu.digits.form import Pixels, to_mnist_form
    from netchu.digits.pictures import read_picture

__all__ = ["load", "read_picture", "to_mnist_form"]

# Loaded when they are asked for: a job is checked before NumPy is there.
_NAMES = {"read_picture": "netchu.digits.pictures", "to_mnist_form": "netchu.digits.form"}


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'netchu.digits' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


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
    from netchu.digits.form import to_mnist_form
    from netchu.digits.pictures import read_picture

    name = name or ("picture" if isinstance(picture, bytes) else os.fspath(picture))
    return to_mnist_form(read_picture(picture, name=name), size=size, name=name)
