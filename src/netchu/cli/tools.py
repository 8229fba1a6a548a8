"""What the commands share: a data set said aloud, images as a model takes them, and how well a model does on them.

Imported by commands once they have read their flags; loads NumPy and the engine.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netchu import datasets, engines, losses, models
from netchu.cli.options import Common
from netchu.datasets import Dataset, scale_pixels
from netchu.errors import DataError, TrainingError, UsageError
from netchu.layers import Dense, Input, Rescaling

EVALUATION_BATCH = 1000


@dataclass(frozen=True)
class Figures:
    """How well a model does on images that it has not learnt from.

    Attributes:
        loss: the mean cross-entropy.
        right: label -> how many of its images were recognized.
        images: label -> how many images of it there are.
    """

    loss: float
    right: dict[int, int]
    images: dict[int, int]

    @property
    def n(self) -> int:
        """All images."""
        return sum(self.images.values())

    @property
    def accuracy(self) -> float:
        """The share of the images that was recognized, 0 to 1."""
        return sum(self.right.values()) / self.n

    def __str__(self) -> str:
        """For people."""
        return f"accuracy {self.accuracy:.4f} ({sum(self.right.values()):,} of {self.n:,}), loss {self.loss:.4f}"


def say_if_busy(common: Common) -> None:
    """A word of advice where other programs keep the processors busy and one thread would be faster now.

    It is not taken by itself: the number of threads is part of the last bits, and equal commands give equal files.
    """
    engine = engines.current()
    if "NETCHU_THREADS" not in os.environ and engine.suited_threads() < engine.threads():
        common.say("The processors are busy with something else: NETCHU_THREADS=1 would be faster now.")


def load_data(name_or_path: str | None, common: Common) -> Dataset:
    """The data set, after a word on where it came from."""
    data = datasets.load(name_or_path)
    shape = " x ".join(map(str, data.x_train.shape[1:]))
    counts = f"{len(data.x_train):,} images to learn from and {len(data.x_test):,} to test with, {shape} pixels"
    common.say(f"Data: {data.name} from {data.source}, {counts}.")
    return data


def load_classifier(path: str) -> models.Sequential:
    """The model in a file, which must give one number for each class.

    Raises:
        DataNotFoundError, ModelFileError: see `load_model`.
        UsageError: a model that does something else.
    """
    model = models.load_model(path)
    if len(model.output_shape) != 2 or (model.output_shape[-1] or 0) < 2:
        got = f"a model with output shape {model.output_shape}"
        raise UsageError(path, expected="a classifier with output shape (None, classes)", got=got)
    return model


def image_shape(model: models.Sequential) -> tuple[int, ...]:
    """The shape of the images a model was made for: as the file tells, or as its input allows.

    Returns:
        (height, width), (height, width, channels), or (values,) if nothing better is known.
    """
    shape = tuple(n or 0 for n in model.input_shape[1:])
    told = model.info.get("image_shape")
    if isinstance(told, list) and all(type(n) is int and n > 0 for n in told) and math.prod(told) == math.prod(shape):
        return tuple(told)
    side = math.isqrt(shape[0]) if len(shape) == 1 else 0
    if side and side * side == shape[0]:
        return side, side
    return shape[:2] if len(shape) == 3 and shape[2] == 1 else shape


def as_pixels(model: models.Sequential, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The same bytes in the shape that the model takes; DataError for images of another size than the model's."""
    shape = tuple(n or 0 for n in model.input_shape[1:])
    if math.prod(shape) != math.prod(images.shape[1:]):
        expected = f"images of {' x '.join(map(str, image_shape(model)))} pixels, as the model takes them"
        got = " x ".join(map(str, images.shape[1:]))
        raise DataError("data", expected=expected, got=got)
    return images.reshape(len(images), *shape)


def as_input(model: models.Sequential, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Images as numbers in the shape that the model takes.

    Args:
        model: it gets pixels from 0 to 1, or from 0 to 255 if it begins with a Rescaling of its own.
        images: uint8 `(images, height, width)` or `(images, height, width, channels)`, 0 to 255.

    Returns:
        float32 `(images, *model.input_shape[1:])`.

    Raises:
        DataError: the images are of another size than the model's.
    """
    pixels = as_pixels(model, images)
    first = next((layer for layer in model.layers if isinstance(layer, (Dense, Rescaling))), None)
    x = images.astype(np.float32) if isinstance(first, Rescaling) else scale_pixels(images)
    return x.reshape(pixels.shape)


def probabilities(model: models.Sequential, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """The probability of each class, `(images, classes)`, for inputs as `as_input` makes them."""
    outputs = model.predict(x, batch_size=EVALUATION_BATCH, verbose=0)
    if getattr(model.loss, "from_logits", False):
        outputs = np.exp(outputs - outputs.max(axis=-1, keepdims=True))
        outputs /= outputs.sum(axis=-1, keepdims=True)
    return outputs


def measure(model: models.Sequential, images: NDArray[np.uint8], labels: NDArray[Any]) -> Figures:
    """How well the model does on images with these labels `(images,)`.

    Raises:
        DataError: images of another size than the model's, or labels that it has no output for.
        TrainingError: the loss is NaN or infinite.
    """
    x = as_input(model, images)
    judged = model
    if not isinstance(model.loss, losses.SparseCategoricalCrossentropy):  # the model itself keeps what it learns with
        from_logits = bool(getattr(model.loss, "from_logits", False))
        judged = models.Sequential([Input(model.input_shape[1:]), *model.layers])
        judged.compile("rmsprop", losses.SparseCategoricalCrossentropy(from_logits=from_logits))
    loss = judged.evaluate(x, labels, batch_size=EVALUATION_BATCH, verbose=0, return_dict=True)["loss"]
    if not math.isfinite(loss):
        raise TrainingError("test", expected="a finite loss", got=f"loss={loss}", do="Try a smaller --learning-rate.")
    right = probabilities(model, x).argmax(axis=-1) == labels
    present = np.unique(labels).tolist()
    return Figures(
        float(loss),
        {label: int(right[labels == label].sum()) for label in present},
        {label: int((labels == label).sum()) for label in present},
    )
