"""The reader of digits: a picture goes in, its label and how probable it is come out.

    classifier = load_classifier("netchu-model.safetensors")
    label, probability = recognize(classifier, "seven.png")             # 7, 0.998

Below `recognize` lie its steps, for whoever has images already: `as_input` brings them into the shape and the scale
that a model takes, and `probabilities` asks the model about many at once.

Limits: models with one number for each class; `recognize` reads grey pictures.
"""

from __future__ import annotations

import math
import os

import numpy as np
from numpy.typing import NDArray

from netchu import digits, models
from netchu.datasets import scale_pixels
from netchu.errors import DataError, UsageError
from netchu.layers import Dense, Rescaling

EVALUATION_BATCH = 1000


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


def recognize(
    model: models.Sequential, picture: str | os.PathLike[str] | bytes, *, name: str = ""
) -> tuple[int, float]:
    """The label of a picture and its probability, 0 to 1.

    Args:
        model: a classifier of grey pictures.
        picture: the path of a PNG or JPEG file, or the file's bytes.
        name: what messages call the picture; its path if empty.

    Raises:
        UsageError: the model takes something else than grey pictures.
        DataError, DataNotFoundError: see `netchu.digits.load`.
    """
    digit = digits.load(picture, size=picture_size(model), name=name)
    chances = probabilities(model, as_input(model, digit[None]))[0]  # (classes,)
    return int(chances.argmax()), float(chances.max())


def picture_size(model: models.Sequential, name: str = "recognize") -> tuple[int, int]:
    """Height and width of the grey pictures that the model takes.

    Args:
        model: any.
        name: what a message calls the model.

    Raises:
        UsageError: it takes something else.
    """
    shape = image_shape(model)
    if len(shape) != 2 or min(shape) < 1:
        got = f"a model for {' x '.join(map(str, shape))} values"
        raise UsageError(name, expected="a model for grey pictures (height x width)", got=got)
    return shape[0], shape[1]


def image_shape(model: models.Sequential) -> tuple[int, ...]:
    """The shape of the images a model was made for: as its file says, or as its input allows.

    Returns:
        (height, width), (height, width, channels), or (values,) if nothing better is known.
    """
    shape = tuple(n or 0 for n in model.input_shape[1:])
    stated = model.info.get("image_shape")  # what stands in a file may be anything
    lengths = stated if isinstance(stated, list) and all(type(n) is int and n > 0 for n in stated) else [0]
    if math.prod(lengths) == math.prod(shape):
        return tuple(lengths)
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
