"""How well a model reads digits that it has not learnt from.

    figures = measure(model, data.x_test, data.y_test)
    print(figures)                                 # accuracy 0.9789 (9,789 of 10,000), loss 0.0712

Any classifier can be measured, whatever loss it was trained with: the figures are always the mean cross-entropy and the
share of images whose most probable class is the right one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netchu import losses, models
from netchu.digits.reader import EVALUATION_BATCH, as_input, probabilities
from netchu.errors import TrainingError
from netchu.layers import Input


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


def measure(
    model: models.Sequential, images: NDArray[np.uint8], labels: NDArray[Any], learning_rate: str = "learning rate"
) -> Figures:
    """How well the model does on images.

    Args:
        model: a classifier.
        images: uint8 `(images, height, width)` or `(images, height, width, channels)`, 0 to 255.
        labels: whole numbers from 0 `(images,)`.
        learning_rate: what a message calls the learning rate.

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
    figures = judged.evaluate(x, labels, batch_size=EVALUATION_BATCH, verbose=0, return_dict=True)
    assert isinstance(figures, dict)  # it was asked for one
    loss = figures["loss"]
    if not math.isfinite(loss):
        raise TrainingError("test", expected="a finite loss", got=f"loss={loss}", do=f"Try a smaller {learning_rate}.")
    right = probabilities(model, x).argmax(axis=-1) == labels
    present = np.unique(labels).tolist()
    return Figures(
        loss=float(loss),
        right={label: int(right[labels == label].sum()) for label in present},
        images={label: int((labels == label).sum()) for label in present},
    )
