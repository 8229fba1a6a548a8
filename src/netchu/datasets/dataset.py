"""What a data set is here: four checked arrays that know their name and where they came from.

    data = netchu.datasets.load()
    (x_train, y_train), (x_test, y_test) = data.splits
    print(data.name, data.source)                  # mnist cache
    x = netchu.datasets.scale_pixels(x_train)      # float32 (60000, 784), 0-1

Limits: images are uint8, labels whole numbers from 0 to 255, everything lies in memory, training and test images have
the same height and width.
"""

from __future__ import annotations

import hashlib
import math
import mmap
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netchu.array_likes import plain_array
from netchu.datasets.idx import idx_sha256
from netchu.errors import DataError

Pixels = NDArray[np.uint8]
Split = tuple[Pixels, Pixels]

LARGE = 1 << 20  # numbers in an array whose pages are asked for at once

KEYS = ("x_train", "y_train", "x_test", "y_test")


@dataclass(frozen=True, eq=False, repr=False)
class Dataset:
    """Images and labels for training and test, with their origin.

    Attributes:
        name: `"mnist"`, `"mnist-sample"`, or the name of the user's folder or file.
        source: where the bytes came from, for people: `"folder ../mnist"`, `"file digits.npz"`, `"cache"`,
            `"download storage.googleapis.com"`, `"package sample"`.
        x_train, x_test: uint8 `(images, height, width)` or `(images, height, width, channels)`, 0 background to 255
            ink.
        y_train, y_test: uint8 `(images,)`, the class of each image.

    Raises:
        DataError: labels that are not whole numbers from 0 to 255, images that are not uint8, an empty split, different
            numbers of images and labels, or training and test images of different shapes.
    """

    name: str
    source: str
    x_train: Pixels
    y_train: Pixels
    x_test: Pixels
    y_test: Pixels

    def __post_init__(self) -> None:
        """Check the arrays once, so that nobody after this has to."""
        for half in ("train", "test"):
            images = _checked_images(self.source, f"x_{half}", getattr(self, f"x_{half}"))
            labels = _checked_labels(self.source, f"y_{half}", getattr(self, f"y_{half}"))
            object.__setattr__(self, f"x_{half}", images)
            object.__setattr__(self, f"y_{half}", labels)
            if len(images) != len(labels):
                got = f"{len(images)} images in x_{half} and {len(labels)} labels in y_{half}"
                raise DataError(self.source, expected="one label for each image", got=got)
        if self.x_train.shape[1:] != self.x_test.shape[1:]:
            got = f"x_train.shape={self.x_train.shape}, x_test.shape={self.x_test.shape}"
            raise DataError(self.source, expected="training and test images of one shape", got=got)

    @property
    def splits(self) -> tuple[Split, Split]:
        """`(x_train, y_train), (x_test, y_test)`, as Keras returns them."""
        return (self.x_train, self.y_train), (self.x_test, self.y_test)

    @cached_property
    def digests(self) -> tuple[str, str, str, str]:
        """SHA-256 of each array's IDX form, in the order x_train, y_train, x_test, y_test."""
        return (idx_sha256(self.x_train), idx_sha256(self.y_train), idx_sha256(self.x_test), idx_sha256(self.y_test))

    @cached_property
    def sha256(self) -> str:
        """One hash over the four arrays' bytes, shapes and order: equal data, equal hash, whatever the source."""
        return hashlib.sha256("".join(self.digests).encode()).hexdigest()

    def __repr__(self) -> str:
        """Name, origin and shapes, not fifty million pixels."""
        shapes = f"train={self.x_train.shape}, test={self.x_test.shape}"
        return f"Dataset(name={self.name!r}, source={self.source!r}, {shapes})"


def _checked_images(source: str, key: str, images: Any) -> Pixels:
    pixels: Pixels = plain_array(f"{source}: {key}", images)
    if pixels.dtype != np.uint8:
        raise DataError(
            source,
            expected=f"{key} to hold pixels as uint8, 0 to 255",
            got=f"dtype={pixels.dtype}",
            do="For pixels from 0 to 1 store numpy.rint(x * 255).astype(numpy.uint8).",
        )
    if pixels.ndim not in (3, 4) or 0 in pixels.shape:
        raise DataError(
            source,
            expected=f"{key} of shape (images, height, width) or (images, height, width, channels), none empty",
            got=f"shape={pixels.shape}",
        )
    return pixels


def _checked_labels(source: str, key: str, labels: Any) -> Pixels:
    given: NDArray[Any] = plain_array(f"{source}: {key}", labels)
    if given.ndim != 1 or not given.size:
        do = "For one-hot rows store labels.argmax(axis=1)." if given.ndim == 2 else ""
        raise DataError(source, expected=f"{key} of shape (images,)", got=f"shape={given.shape}", do=do)
    if given.dtype.kind not in "iu":
        do = "Store labels.astype(numpy.uint8)."
        raise DataError(source, expected=f"{key} to hold whole numbers", got=f"dtype={given.dtype}", do=do)
    low, high = int(given.min()), int(given.max())
    if low < 0 or high > 255:
        raise DataError(source, expected=f"{key} from 0 to 255", got=f"values from {low} to {high}")
    return given.astype(np.uint8, copy=False)


def scale_pixels(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Flatten images and bring their pixels from 0-255 to 0-1.

    Formula: `float32(pixel) / float32(255)`, a true division.  `netchu train` does the same within a step, where a
    compiler may multiply by 1/255 and get another last bit.

    Args:
        images: uint8 `(images, height, width)` or `(images, height, width, channels)`, 0 to 255.

    Returns:
        float32 `(images, height * width * channels)`, 0 to 1, a new array: four times the memory of the images.

    Raises:
        DataError: the images are not uint8 (floats may have been scaled already), or have no height and width.

    Example:
        >>> scale_pixels(np.full((1, 1, 2), 255, dtype=np.uint8))
        array([[1., 1.]], dtype=float32)
    """
    images = _checked_images("scale_pixels", "images", images)
    pixels = images.reshape(len(images), -1)  # (images, height * width * channels)
    return np.divide(pixels, np.float32(255), out=_fresh(pixels.shape), dtype=np.float32)


def _fresh(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """An array to be filled.

    A large one gets its pages from the system at once, which takes 0.05 s for MNIST; one by one, as they are first
    written to, they were seen to take 0.4 s.
    """
    count = math.prod(shape)
    if count < LARGE or not hasattr(mmap, "MAP_POPULATE"):
        return np.empty(shape, np.float32)
    pages = mmap.mmap(-1, 4 * count, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)
    return np.frombuffer(pages, np.float32).reshape(shape)
