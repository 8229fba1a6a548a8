"""A random network with random data and a random way of training, the same for netchu and for real Keras.

    training = Training(seed=7)
    ours, theirs = training.run(netchu), training.run(keras)
    compare(ours, theirs).history                  # the largest relative difference of a figure

The network comes from `random_architectures.py`, without the layers whose draws differ between libraries.  A run trains
for two epochs of batches in the given order and keeps all that the user sees: History, weights, predictions, figures.

Two libraries that both round correctly still differ in the last bits, and training can blow that up: Lion moves a
weight by the sign of a gradient, Adam by a full step even if the gradient is nothing but rounding (a bias before
BatchNormalization), a maximum or a threshold may fall on the other side.  How much a network does this to Keras itself
is measured, not guessed: `nudged` repeats a training of Keras from numbers that differ in the last bit.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Any

import numpy as np

from random_architectures import ENDINGS, LAYERS, build, description, random_samples, random_weights

DRAW = ("Dropout", "Noise", "Random")  # parts of the names of layers that draw in training
KINDS = [name for name in LAYERS if not any(part in name for part in DRAW)]
LEARNING = [
    "Conv2D", "DepthwiseConv2D", "Dense", "BatchNormalization", "LayerNormalization", "PReLU", "MaxPooling2D",
    "AveragePooling2D", "Activation",
]  # fmt: skip
"""Every second network is made of these alone, so that it has much to learn."""
EPOCHS, BATCH_SIZE = 2, 8

NOUGHT = 1e-2  # a figure below this counts as this size when differences are taken relatively


@dataclass(frozen=True)
class Outcome:
    """What a user sees of a training.

    Attributes:
        history: name -> figure of each epoch.
        weights: all of them, in order.
        predictions: for all samples.
        figures: what `evaluate` says, by name.
    """

    history: dict[str, list[float]]
    weights: list[np.ndarray]
    predictions: np.ndarray
    figures: dict[str, float]


class Training:
    """The network, its data and how it is trained, all from a seed."""

    def __init__(self, seed: int) -> None:
        draw, rng = random.Random(f"training {seed}"), np.random.default_rng(seed)
        self.seed, self.described = seed, description(seed, LEARNING if seed % 2 else KINDS)
        samples, classes = draw.choice((30, 24)), self.described.classes
        loss = self.described.compiled["loss"]
        self.ending = next(name for name, (_, losses, _) in ENDINGS.items() if loss in losses)
        self.x = random_samples(self.described.input_shape, samples, seed)
        labels = rng.integers(0, max(classes, 2), samples)
        self.y: np.ndarray = {
            "labels": labels,
            "one-hot": np.eye(classes, dtype="float32")[labels % classes],
            "yes or no": labels[:, None].astype("float32"),
        }.get(self.ending, rng.normal(0, 1, (samples, classes)).astype("float32"))
        self.settings: dict[str, Any] = {"validation_split": draw.choice((0.0, 0.25))}
        weighting = draw.choice(("none", "sample", "class"))
        if weighting == "class" and self.ending != "numbers":
            self.settings["class_weight"] = {0: 2.0, 1: 0.5}
        elif weighting != "none":
            self.settings["sample_weight"] = rng.uniform(0, 2, samples).astype("float32")

    @property
    def words(self) -> str:
        """What is trained, and how, in one line."""
        layers = " ".join(name for name, _ in self.described.layers)
        optimizer = self.described.compiled["optimizer"].name
        return f"{self.described.input_shape} {layers} | {self.ending} | {optimizer}"

    def run(self, library: Any) -> Outcome:
        """Make the network in `library` and train it."""
        model = build(self.described, library)
        return self._trained(model, random_weights(model.weights, self.seed), self.x)

    def run_and_nudged(self, keras: Any) -> tuple[Outcome, Outcome]:
        """Train Keras's network, and once more with weights and samples that differ in their last bit."""
        keras.backend.clear_session()  # Keras numbers layers and metrics through the whole process: begin anew
        model = build(self.described, keras)
        weights = random_weights(model.weights, self.seed)
        model.optimizer.build(model.trainable_variables)
        start = [v.numpy() for v in model.optimizer.variables]
        first = self._trained(model, weights, self.x)
        for variable, value in zip(model.optimizer.variables, start):
            variable.assign(value)
        rng = np.random.default_rng(self.seed)
        return first, self._trained(model, [nudged(w, rng) for w in weights], nudged(self.x, rng))

    def _trained(self, model: Any, weights: list[np.ndarray], x: np.ndarray) -> Outcome:
        model.set_weights(weights)
        history = model.fit(
            x, self.y, batch_size=BATCH_SIZE, epochs=EPOCHS, shuffle=False, verbose=0, **self.settings
        ).history
        return Outcome(
            {name: list(map(float, values)) for name, values in history.items()},
            [np.array(w) for w in model.get_weights()],
            np.array(model.predict(x, batch_size=BATCH_SIZE, verbose=0)),
            {
                name: float(value)
                for name, value in model.evaluate(x, self.y, batch_size=BATCH_SIZE, verbose=0, return_dict=True).items()
            },
        )


def nudged(a: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Each float32 replaced by the one next to it, above or below."""
    return np.nextafter(a, np.where(rng.random(a.shape) < 0.5, -np.inf, np.inf).astype("float32"))


# --- comparing -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Differences:
    """The largest difference of each kind, relatively; infinite where there are other names or shapes.

    Attributes:
        history: of a figure of an epoch to that figure.
        weights: for each array, of its elements to the largest of them.
        predictions: to the largest of them.
        figures: of a figure of `evaluate` to that figure.
    """

    history: float
    weights: list[float]
    predictions: float
    figures: float

    @property
    def largest_of_weights(self) -> float:
        """Over all arrays."""
        return max(self.weights, default=0.0)


def compare(a: Outcome, b: Outcome) -> Differences:
    """How far `a` is from `b`."""
    return Differences(
        _of_named(a.history, b.history),
        [_of_arrays(v, w) for v, w in zip(a.weights, b.weights)] if len(a.weights) == len(b.weights) else [np.inf],
        _of_arrays(a.predictions, b.predictions),
        _of_named(a.figures, b.figures),
    )


def _of_named(a: dict[str, Any], b: dict[str, Any]) -> float:
    if list(a) != list(b) or any(np.shape(a[name]) != np.shape(b[name]) for name in b):
        return float("inf")
    pairs = [(np.asarray(a[name]), np.asarray(b[name])) for name in b]
    return float(max(np.max(np.abs(v - w) / np.maximum(np.abs(w), NOUGHT)) for v, w in pairs))


def _of_arrays(a: np.ndarray, b: np.ndarray) -> float:
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    return float(np.max(np.abs(a - b), initial=0.0) / max(float(np.max(np.abs(b), initial=0.0)), 1e-30))
