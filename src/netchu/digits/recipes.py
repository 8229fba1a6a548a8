"""Recipes: what `netchu train --recipe NAME` trains, and how well that comes out.

    recipe = recipes.get("quick")
    optimizer = recipe.optimizer(recipe.learning_rate, steps)       # steps: of the whole training
    model = recipe.model((28, 28), 10, optimizer)
    model.fit(pixels, recipe.targets(labels, 10), batch_size=recipe.batch_size, epochs=recipe.epochs)

A recipe is data: layers, optimizer, epochs and the rest, with the accuracy that it reached on MNIST.  How they were
found, and what was tried and lost: docs/recipes.md.

Every choice was made on training digits: trained on the first 50,000, chosen by the last 10,000.  The test digits were
used once, for the figures below.  The number of epochs is fixed.

Limits: MNIST and what looks like it; an image must be large enough for the convolutions' windows.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from netchu import ops
from netchu.callbacks.base import Logs
from netchu.digits.distortion import RandomDistortion
from netchu.errors import UsageError
from netchu.layers import Activation, BatchNormalization, Conv2D, Dense, Dropout, Flatten, Input, Layer
from netchu.losses import CategoricalCrossentropy
from netchu.models import Sequential
from netchu.optimizers import Adam, Optimizer, RMSprop
from netchu.optimizers.schedules import CosineDecay
from netchu.tensor import Tensor
from netchu.training.arrays import unpack_x_y_sample_weight
from netchu.utils import to_categorical

MakeOptimizer: TypeAlias = Callable[[float, int], Optimizer]


class LearnsFromPixels(Sequential):
    """A network that takes pixels as bytes, 0 to 255, too: each step brings them to 0-1, as `scale_pixels` does.

    So images stay a quarter of the size until their batch comes.  Numbers that are no bytes are taken as they are.

    Attributes:
        distortion: what each image goes through before the network learns from it, or None; no part of a file.
    """

    scales_pixels = True
    distortion: RandomDistortion | None = None

    def train_step(self, data: Any) -> Logs:
        """See `Sequential`."""
        x, *others = _scaled(data)
        return super().train_step((x if self.distortion is None else self.distortion(x, training=True), *others))

    def test_step(self, data: Any) -> Logs:
        """See `Sequential`."""
        return super().test_step(_scaled(data))

    def predict_step(self, data: Any) -> Tensor:
        """See `Sequential`."""
        return super().predict_step(_scaled(data))


def _scaled(data: Any) -> Any:
    """A batch with pixels from 0 to 1."""
    x, *others = unpack_x_y_sample_weight(data)
    return (ops.cast(x, "float32") / 255.0 if x.dtype == "uint8" else x, *others)


@dataclass(frozen=True)
class Recipe:
    """What to train and how.

    Attributes:
        description: in a few words.
        layers: makes the layers before the last, which is a Dense with softmax and as many units as there are classes.
        optimizer: makes it from the (highest) learning rate and the number of steps of the whole training.
        learning_rate: the highest.
        epochs, epochs_on_sample: on MNIST, and on the 8,004 digits to learn from in the package.
        batch_size: images a step.
        label_smoothing: share of each target that is spread evenly over all classes.
        distortion: makes what each image goes through in training; None for images as they are.
        accuracy, spread, seeds: on MNIST's test digits: mean and standard deviation over so many seeds.
        seconds: of the whole command on two cores of one machine; docs/recipes.md says which, and on which engine.
    """

    description: str
    layers: Callable[[], Sequence[Layer]]
    optimizer: MakeOptimizer
    learning_rate: float
    epochs: int
    epochs_on_sample: int
    batch_size: int
    label_smoothing: float
    accuracy: float
    spread: float
    seeds: int
    seconds: float
    distortion: Callable[[], RandomDistortion] | None = None

    def __str__(self) -> str:
        """In a line: what it is, and what to expect."""
        epochs = f"{self.epochs} epoch{'s' * (self.epochs > 1)}"
        reached = f"{self.accuracy:.2%} +- {self.spread:.2%} ({self.seeds} seeds)"
        return f"{self.description}, {epochs}; {reached}, about {self.seconds:g} s on two cores"

    def model(
        self, image_shape: Sequence[int], classes: int, optimizer: Optimizer, layers: Sequence[Layer] | None = None
    ) -> Sequential:
        """The compiled network, to be trained on pixels from 0 to 255.

        Args:
            image_shape: (height, width) or (height, width, channels).
            classes: how many.
            optimizer: the recipe's, or another.
            layers: in place of the recipe's.

        Raises:
            ShapeError: the images are smaller than a window.
        """
        layers = layers or self.layers()
        height, width, *channels = image_shape
        flat = isinstance(layers[0], Dense)
        shape = (math.prod(image_shape),) if flat else (height, width, *(channels or [1]))
        model = LearnsFromPixels([Input(shape), *layers, Dense(classes, activation="softmax")], name="sequential")
        smoothed = CategoricalCrossentropy(label_smoothing=self.label_smoothing)
        loss = smoothed if self.label_smoothing else "sparse_categorical_crossentropy"
        if self.distortion is not None:
            model.distortion = self.distortion()
        model.compile(optimizer, loss, metrics=["accuracy"])
        return model

    def targets(self, labels: np.ndarray, classes: int | None) -> np.ndarray:
        """Labels (images,) as the loss wants them: one-hot rows (images, classes) to be smoothed, or themselves."""
        return to_categorical(labels, classes) if self.label_smoothing else labels


def one_cycle(learning_rate: float, steps: int) -> CosineDecay:
    """A rate that rises in a straight line for a fifth of the steps, then falls to 0 along half a cosine.

    References:
        Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates" (2018).
    """
    rising = steps // 5
    return CosineDecay(learning_rate / 25, steps - rising, warmup_target=learning_rate, warmup_steps=rising)


def in_one_cycle(learning_rate: float, steps: int) -> Adam:
    """Adam at the rate of `one_cycle`, its averages over 1 / (1 - 0.8) and 1 / (1 - 0.95) steps, for there are few."""
    return Adam(one_cycle(learning_rate, steps), beta_1=0.8, beta_2=0.95)


def in_one_cycle_averaged(learning_rate: float, steps: int) -> Adam:
    """Adam at the rate of `one_cycle`; the weights become their average over the last 1 / (1 - 0.99) steps."""
    return Adam(one_cycle(learning_rate, steps), use_ema=True, ema_momentum=0.99)


def convolution(filters: int, window: int, strides: int = 1) -> list[Layer]:
    """A convolution, normalized over the batch, then ReLU; the normalization's beta is its bias."""
    normalized = BatchNormalization(momentum=0.95)
    return [Conv2D(filters, window, strides=strides, use_bias=False), normalized, Activation("relu")]


RECIPES = {
    "tutorial": Recipe(
        description="the Keras tutorial's network, 784-512-10",
        layers=lambda: [Dense(512, activation="relu")],
        optimizer=lambda learning_rate, _: RMSprop(learning_rate),
        learning_rate=0.001,
        epochs=5,
        epochs_on_sample=20,
        batch_size=128,
        label_smoothing=0.0,
        accuracy=0.9787,
        spread=0.0015,
        seeds=10,
        seconds=4.8,
    ),
    "quick": Recipe(
        description="98 % in the least time: a convolution with wide steps, two dense layers",
        layers=lambda: [
            Conv2D(32, 8, strides=5, activation="relu"),
            Flatten(),
            Dense(64, activation="relu"),
        ],
        optimizer=in_one_cycle,
        learning_rate=0.03,
        epochs=1,
        epochs_on_sample=8,
        batch_size=256,
        label_smoothing=0.1,
        accuracy=0.9838,
        spread=0.0012,
        seeds=10,
        seconds=1.2,
    ),
    "convnet": Recipe(
        description="99 % in the least time: two convolutions with steps of 2, two dense layers",
        layers=lambda: [
            Conv2D(16, 5, strides=2, activation="relu"),
            Conv2D(32, 4, strides=2, activation="relu"),
            Flatten(),
            Dense(128, activation="relu"),
        ],
        optimizer=in_one_cycle,
        learning_rate=0.015,
        epochs=2,
        epochs_on_sample=16,
        batch_size=256,
        label_smoothing=0.1,
        accuracy=0.9916,
        spread=0.0005,
        seeds=10,
        seconds=6.0,
    ),
    "best": Recipe(
        description="accuracy over everything (--engine jax): five convolutions that never see a digit twice",
        layers=lambda: [
            *convolution(16, 3),
            *convolution(32, 3, strides=2),
            *convolution(96, 3),
            *convolution(96, 3),
            *convolution(192, 3, strides=2),
            Dropout(0.3),
            Flatten(),
        ],
        optimizer=in_one_cycle_averaged,
        learning_rate=0.004,
        epochs=24,
        epochs_on_sample=96,
        batch_size=128,
        label_smoothing=0.1,
        distortion=lambda: RandomDistortion(rotation=0.035, shear=0.15, zoom=0.12, translation=0.05, bend=0.6),
        accuracy=0.9967,
        spread=0.0003,
        seeds=3,
        seconds=805.0,
    ),
}


def get(name: str, where: str = "recipe") -> Recipe:
    """The recipe of a name.

    Args:
        name: of a recipe.
        where: what a message calls the name.

    Raises:
        UsageError: there is no such recipe; the message lists those that there are.
    """
    if name not in RECIPES:
        known = "\n".join(f"  {name:10}{recipe}" for name, recipe in RECIPES.items())
        raise UsageError(where, expected="the name of a recipe", got=f"{name!r:.60}", do=f"There are:\n{known}")
    return RECIPES[name]
