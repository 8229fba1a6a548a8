"""Pictures into MNIST's form: any kind of PNG or JPEG gives the same digit, anything else one sentence."""

from __future__ import annotations

import contextlib
import io
import random
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from netchu import datasets, digits
from netchu.digits.pictures import MAX_BYTES
from netchu.errors import DataError, DataNotFoundError


def encoded(picture: Image.Image, file_format: str = "PNG", **settings: Any) -> bytes:
    """The bytes of a picture file."""
    file = io.BytesIO()
    picture.save(file, file_format, **settings)
    return file.getvalue()


@pytest.fixture(scope="module")
def sample() -> datasets.Dataset:
    return datasets.load("sample")


@pytest.fixture(scope="module")
def drawn(sample: datasets.Dataset) -> Image.Image:
    """A dark digit on white paper, 200 x 240, off the middle."""
    return on_paper(sample.x_test[500], 5, (90, 30), (200, 240))


def on_paper(digit: np.ndarray, scale: int, corner: tuple[int, int], size: tuple[int, int]) -> Image.Image:
    """A sheet of `size` (width, height) with a digit enlarged, inverted, its corner where it is said."""
    large = Image.fromarray(255 - digit).resize((28 * scale, 28 * scale), Image.Resampling.BICUBIC)
    sheet = Image.new("L", size, 255)
    sheet.paste(large, corner[::-1])
    return sheet


def difference(a: np.ndarray, b: np.ndarray) -> float:
    """The mean difference of two digits in levels of 255."""
    return float(np.abs(a.astype(int) - b.astype(int)).mean())


# --- the form --------------------------------------------------------------------------------------------------------


def test_digit_lies_in_the_middle_and_fills_the_box(drawn: Image.Image) -> None:
    digit = digits.load(encoded(drawn))
    assert digit.shape == (28, 28)
    assert digit.dtype == np.uint8
    assert digit.max() == 255
    rows = np.flatnonzero(digit.any(axis=1))
    columns = np.flatnonzero(digit.any(axis=0))
    assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
    mass = digit.astype(float)
    centre = (mass.sum(axis=1) @ np.arange(28) / mass.sum(), mass.sum(axis=0) @ np.arange(28) / mass.sum())
    assert centre == pytest.approx((14, 14), abs=0.6)


def test_mnist_digit_stays_what_it_is(sample: datasets.Dataset) -> None:
    for digit in sample.x_test[:50]:
        assert np.array_equal(digits.load(encoded(Image.fromarray(digit))), digit)


def test_light_on_dark_and_dark_on_light_are_one_digit(drawn: Image.Image) -> None:
    inverted = Image.fromarray(255 - np.asarray(drawn))
    assert difference(digits.load(encoded(drawn)), digits.load(encoded(inverted))) == 0


def test_grey_paper_and_faint_ink_are_one_digit(drawn: Image.Image) -> None:
    faint = Image.fromarray((np.asarray(drawn) * 0.4 + 70).astype(np.uint8))
    assert difference(digits.load(encoded(drawn)), digits.load(encoded(faint))) < 2


def test_other_sizes(drawn: Image.Image) -> None:
    assert digits.load(encoded(drawn), size=(8, 8)).shape == (8, 8)
    assert digits.load(encoded(drawn), size=(32, 20)).max() == 255


@pytest.mark.parametrize("size", [(1, 40), (40, 1), (3, 3), (5000, 2)])
def test_odd_shapes_give_a_digit(size: tuple[int, int]) -> None:
    picture = np.full(size, 255, np.uint8)
    picture[size[0] // 2, size[1] // 2] = 0
    assert digits.load(encoded(Image.fromarray(picture))).max() == 255


def test_two_specks_far_apart_do_not_vanish() -> None:
    picture = np.zeros((900, 900), np.uint8)
    picture[0, 0] = picture[899, 899] = 255
    assert np.count_nonzero(digits.load(encoded(Image.fromarray(picture)))) >= 2


def test_pictures_keep_the_labels_of_their_digits(sample: datasets.Dataset) -> None:
    from threadpoolctl import threadpool_limits

    from netchu.layers import Dense, Input
    from netchu.models import Sequential

    model = Sequential([Input((784,)), Dense(64, activation="relu"), Dense(10, activation="softmax")])
    model.compile("rmsprop", "sparse_categorical_crossentropy")
    with threadpool_limits(1):  # two threads get in each other's way on a busy machine
        model.fit(datasets.scale_pixels(sample.x_train), sample.y_train, epochs=3, batch_size=64, verbose=0)
    chosen = sample.x_test[::20]
    draw = random.Random(0)
    pictures = [on_paper(d, 5, (draw.randint(0, 90), draw.randint(0, 150)), (300, 240)) for d in chosen]
    labels = model.predict(datasets.scale_pixels(chosen), verbose=0).argmax(axis=1)
    for file_format in ("PNG", "JPEG"):
        read = np.array([digits.load(encoded(picture, file_format)) for picture in pictures])
        again = model.predict(datasets.scale_pixels(read), verbose=0).argmax(axis=1)
        assert np.mean(again == labels) >= 0.9  # 0.97 to 0.99 when written, chosen digits aside


# --- kinds of pictures -----------------------------------------------------------------------------------------------


def alpha_only(grey: Image.Image, ink: int) -> Image.Image:
    """The digit as transparency alone, drawn in one colour."""
    alpha = Image.fromarray(255 - np.asarray(grey))
    return Image.merge("LA", [Image.new("L", grey.size, ink), alpha])


def sixteen_bits(grey: Image.Image) -> Image.Image:
    return Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)


KINDS: dict[str, Callable[[Image.Image], bytes]] = {
    "1": lambda grey: encoded(grey.convert("1", dither=Image.Dither.NONE)),
    "L": encoded,
    "LA": lambda grey: encoded(grey.convert("LA")),
    "P": lambda grey: encoded(grey.convert("P")),
    "RGB": lambda grey: encoded(grey.convert("RGB")),
    "RGBA": lambda grey: encoded(grey.convert("RGBA")),
    "I;16": lambda grey: encoded(sixteen_bits(grey)),
    "P with a transparent colour": lambda grey: encoded(grey.convert("P"), transparency=255),
    "RGB with a transparent colour": lambda grey: encoded(grey.convert("RGB"), transparency=(255, 255, 255)),
    "black ink on nothing": lambda grey: encoded(alpha_only(grey, 0)),
    "white ink on nothing": lambda grey: encoded(alpha_only(grey, 255)),
    "JPEG grey": lambda grey: encoded(grey, "JPEG", quality=90),
    "JPEG colour": lambda grey: encoded(grey.convert("RGB"), "JPEG", quality=90),
    "JPEG CMYK": lambda grey: encoded(grey.convert("CMYK"), "JPEG", quality=90),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_picture_gives_the_same_digit(kind: str, drawn: Image.Image) -> None:
    expected = digits.load(encoded(drawn))
    assert difference(digits.load(KINDS[kind](drawn)), expected) < 12


TURNS = {
    1: None, 2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_90, 7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}  # fmt: skip


@pytest.mark.parametrize("orientation", TURNS)
def test_exif_orientation_is_obeyed(orientation: int, drawn: Image.Image) -> None:
    turn = TURNS[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = drawn if turn is None else drawn.transpose(turn)
    assert difference(digits.load(encoded(picture, exif=exif)), digits.load(encoded(drawn))) == 0


def test_animation_gives_its_first_picture(drawn: Image.Image) -> None:
    blank = Image.new("L", drawn.size, 255)
    moving = encoded(drawn, save_all=True, append_images=[blank])
    assert difference(digits.load(moving), digits.load(encoded(drawn))) == 0


# --- what is no picture ----------------------------------------------------------------------------------------------


def png_of_size(width: int, height: int) -> bytes:
    """A PNG whose header claims a size and which holds no pixels."""
    header = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


BAD = {
    "empty": (b"", "0 bytes"),
    "text": (b"seven", "another kind of file"),
    "gif": (encoded(Image.new("L", (9, 9)), "GIF"), "another kind of file"),
    "bmp": (encoded(Image.new("L", (9, 9)), "BMP"), "another kind of file"),
    "tiff": (encoded(Image.new("L", (9, 9)), "TIFF"), "another kind of file"),
    "too many bytes": (b"\0" * (MAX_BYTES + 1), f"more than {MAX_BYTES} bytes"),
    "too many pixels": (png_of_size(9000, 9900), "9000 x 9900 pixels"),
    "a bomb": (png_of_size(13000, 13000), "pixels"),
    "too long a side": (png_of_size(12001, 1), "12001 x 1 pixels"),
    "no pixels": (png_of_size(20, 20), "expected a PNG or JPEG picture"),
    "black": (encoded(Image.new("L", (50, 60))), "50 x 60 pixels in one colour"),
    "white": (encoded(Image.new("RGB", (50, 60), "white")), "in one colour"),
    "transparent": (encoded(Image.new("RGBA", (50, 60), (0, 0, 0, 0))), "in one colour"),
    "one pixel": (encoded(Image.new("L", (1, 1), 7)), "in one colour"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_picture_is_one_sentence(case: str, tmp_path: Path) -> None:
    data, got = BAD[case]
    path = tmp_path / "seven.png"
    path.write_bytes(data)
    with pytest.raises(DataError) as caught:
        digits.load(path)
    assert str(caught.value).startswith(f"{path}: expected ")
    assert got in str(caught.value)
    assert "\n" not in str(caught.value)


def test_truncated_picture_is_an_error(drawn: Image.Image) -> None:
    for data in (encoded(drawn), encoded(drawn, "JPEG")):
        for share in range(0, 95, 5):
            with pytest.raises(DataError, match="picture: expected"):
                digits.load(data[: len(data) * share // 100])


def test_damaged_picture_is_an_error_or_a_digit(drawn: Image.Image) -> None:
    draw = random.Random(0)
    for data in (encoded(drawn), encoded(drawn, "JPEG")):
        for _ in range(100):
            damaged = bytearray(data)
            for _ in range(draw.randint(1, 8)):
                damaged[draw.randrange(len(damaged))] = draw.randrange(256)
            with contextlib.suppress(DataError):
                assert digits.load(bytes(damaged)).shape == (28, 28)


def test_no_file_and_no_picture(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"nine\.png: expected an existing PNG or JPEG file"):
        digits.load(tmp_path / "nine.png")
    with pytest.raises(DataError, match="expected a readable PNG or JPEG file"):
        digits.load(tmp_path)
    with pytest.raises(DataError, match="expected a readable PNG or JPEG file"):
        digits.load("a\0b.png")


def test_import_loads_no_pillow() -> None:
    code = "import sys, netchu.digits; assert not {'PIL', 'scipy', 'rich'} & set(sys.modules), sorted(sys.modules)"
    source = str(Path(digits.__file__).parents[2])
    subprocess.run([sys.executable, "-c", f"import sys; sys.path.insert(0, {source!r}); {code}"], check=True)
