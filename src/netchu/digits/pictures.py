"""Reading a picture that somebody else made: PNG or JPEG, of bounded size, or a sentence that says what is wrong.

    grey = read_picture("seven.png")       # uint8 (height, width), 0 black to 255 white

The size stands in the file's header and is looked at before a pixel is decoded.  A camera's note on how it was held
(EXIF) is obeyed; what is transparent lets a ground through on which the drawing shows.

Limits: files of 10 MiB, 25 million pixels, 12,000 pixels a side; of an animation, the first picture; pictures larger
than 1,000 pixels a side come back smaller.
"""

from __future__ import annotations

import os
import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netchu.digits.form import Pixels
from netchu.errors import DataError, DataNotFoundError

if TYPE_CHECKING:
    from PIL.Image import Image as Picture

MAX_BYTES = 10 << 20
MAX_PIXELS = 25_000_000
MAX_SIDE = 12_000
WORKING_SIDE = 1_000  # more than a digit's form needs
FORMATS = ("PNG", "JPEG")
_EXPECTED = "a PNG or JPEG picture"


def read_picture(picture: str | os.PathLike[str] | bytes, *, name: str = "") -> Pixels:
    """Read a picture as brightness.

    Args:
        picture: the path of a PNG or JPEG file, or the file's bytes.
        name: what messages call the picture; its path if empty.

    Returns:
        uint8 `(height, width)`, 0 black to 255 white.

    Raises:
        DataNotFoundError: no such file.
        DataError: not a PNG or JPEG whatever its name ends in, truncated, damaged, empty, a folder, or too large.
    """
    if isinstance(picture, bytes):
        name = name or "picture"
        data = picture
    else:
        name = name or os.fspath(picture)
        data = _read_bytes(Path(picture), name)
    if not data or len(data) > MAX_BYTES:
        got = f"more than {MAX_BYTES} bytes" if data else "0 bytes"
        raise DataError(name, expected=f"{_EXPECTED} of at most {MAX_BYTES} bytes", got=got)
    return _decode(data, name)


def _read_bytes(path: Path, name: str) -> bytes:
    """At most one byte more than is allowed, so that a device without an end does no harm."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise DataNotFoundError(name, expected="an existing PNG or JPEG file", got="no such file") from None
    except (OSError, ValueError) as error:  # a folder, no permission; a name with a zero byte
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(name, expected="a readable PNG or JPEG file", got=reason) from None


def _decode(data: bytes, name: str) -> Pixels:
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # Pillow warns of damaged metadata and of decompression bombs
            with Image.open(BytesIO(data), formats=FORMATS) as opened:
                _check_size(opened, name)
                opened.load()  # all of it: a truncated file is an error, not half a digit
                return _brightness(ImageOps.exif_transpose(opened))
    except (DataError, MemoryError):
        raise
    # Decoders of untrusted bytes fail in every way (OSError, SyntaxError, struct.error, zlib.error ...): all of them
    # mean that this is no usable picture.
    except Exception as error:
        text = "another kind of file" if isinstance(error, UnidentifiedImageError) else f"{error}"
        raise DataError(name, expected=_EXPECTED, got=f"{text or type(error).__name__:.200}") from error


def _check_size(opened: Picture, name: str) -> None:
    width, height = opened.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        expected = f"at most {MAX_PIXELS:,} pixels and {MAX_SIDE:,} a side"
        raise DataError(name, expected=expected, got=f"{width} x {height} pixels", do="Make it smaller first.")


def _brightness(opened: Picture) -> Pixels:
    """Any of Pillow's modes as brightness, no larger than the working size."""
    from PIL import Image

    if opened.mode.startswith("I"):  # 16 bits a pixel, which `convert` would clip at 255
        opened = Image.fromarray((np.asarray(opened).astype(np.uint32) >> 8).clip(0, 255).astype(np.uint8))
    elif opened.has_transparency_data:
        opened = _on_a_ground(opened)
    grey = opened.convert("L") if opened.mode in ("1", "L") else opened.convert("RGB").convert("L")
    grey.thumbnail((WORKING_SIDE, WORKING_SIDE))
    return np.asarray(grey)


def _on_a_ground(opened: Picture) -> Picture:
    """A transparent picture on a ground: its paper's if it has paper, else one that its ink stands out on."""
    from PIL import Image

    grey, alpha = opened.convert("RGBA").convert("LA").split()
    opaque = np.asarray(grey)[np.asarray(alpha) > 127]
    middle = float(np.median(opaque)) if opaque.size else 255.0
    has_paper = opaque.size > grey.width * grey.height / 2
    ground = middle if has_paper else 0 if middle > 127 else 255
    return Image.composite(grey, Image.new("L", grey.size, round(ground)), alpha)
