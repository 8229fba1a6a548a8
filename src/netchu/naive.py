"""The tutorial's system, whole: dense layers, a model, batches, one training step, the loop, an evaluation.

    python -m netchu.naive --epochs 10

Everything that `Sequential.fit` does is here in the open, on netchu's public names: the tape (`GradientTape`) and the
operations (`netchu.ops`).  The same network through `Sequential.compile.fit` gives the same numbers, bit for bit, from
the same start with the same rule (a test holds that).

Limits, on purpose: weights uniform in [0, 0.1) and plain updates of 1e-3 make learning slow, so that one can watch it:
10 epochs of MNIST reach an accuracy of 0.81 to 0.82.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterable

import numpy as np

from netchu import GradientTape, Tensor, Variable, datasets, initializers, ops, optimizers

LEARNING_RATE = 1e-3


class NaiveDense:
    """`activation(inputs @ W + b)`.

    Args:
        input_size: numbers in a sample.
        output_size: numbers it computes.
        activation: a function such as `ops.relu`.

    Attributes:
        W: Variable (input_size, output_size), uniform in [0, 0.1).
        b: Variable (output_size,), zeros.
    """

    def __init__(self, input_size: int, output_size: int, activation: Callable[[Tensor], Tensor]) -> None:
        self.activation = activation
        self.W = Variable(initializers.RandomUniform(0, 0.1)((input_size, output_size)), name="W")
        self.b = Variable(initializers.Zeros()((output_size,)), name="b")

    def __call__(self, inputs: Tensor) -> Tensor:
        """(batch, input_size) -> (batch, output_size)."""
        return self.activation(ops.matmul(inputs, self.W) + self.b)

    @property
    def weights(self) -> list[Variable]:
        """[W, b]."""
        return [self.W, self.b]


class NaiveSequential:
    """Layers one after the other."""

    def __init__(self, layers: Iterable[NaiveDense]) -> None:
        self.layers = list(layers)

    def __call__(self, inputs: Tensor) -> Tensor:
        """The output of the last layer."""
        x = inputs
        for layer in self.layers:
            x = layer(x)
        return x

    @property
    def weights(self) -> list[Variable]:
        """Those of all layers: four for the digit network."""
        return [weight for layer in self.layers for weight in layer.weights]


class BatchGenerator:
    """Hands out a data set in batches, in order.

    Args:
        images: (n, ...).
        labels: (n,).
        batch_size: samples a batch; the last one may have fewer.
    """

    def __init__(self, images: np.ndarray, labels: np.ndarray, batch_size: int = 128) -> None:
        self.index = 0
        self.images = images
        self.labels = labels
        self.batch_size = batch_size
        self.num_batches = math.ceil(len(images) / batch_size)

    def next(self) -> tuple[np.ndarray, np.ndarray]:
        """The next batch: images (batch, ...), labels (batch,)."""
        images = self.images[self.index : self.index + self.batch_size]
        labels = self.labels[self.index : self.index + self.batch_size]
        self.index += self.batch_size
        return images, labels


def update_weights(gradients: list[Tensor], weights: list[Variable]) -> None:
    """The simplest rule there is: each weight takes a small step against its gradient."""
    for gradient, weight in zip(gradients, weights):
        weight.assign_sub(gradient * LEARNING_RATE)


Update = Callable[[list[Tensor], list[Variable]], None]


def one_training_step(
    model: NaiveSequential, images_batch: np.ndarray, labels_batch: np.ndarray, update: Update = update_weights
) -> Tensor:
    """Learn from one batch: predict, measure the loss, find the gradients on the tape, change the weights.

    Args:
        model: anything that is called with images and has `weights`.
        images_batch: float32 (batch, 784), 0 to 1.
        labels_batch: integers (batch,), 0 to 9.
        update: what to do with gradients and weights.

    Returns:
        The mean loss of the batch before the step, a Tensor of shape ().
    """
    with GradientTape() as tape:
        predictions = model(Tensor(images_batch))
        per_sample_losses = ops.sparse_categorical_crossentropy(labels_batch, predictions)
        average_loss = ops.mean(per_sample_losses)
    gradients = tape.gradient(average_loss, model.weights)
    update(gradients, model.weights)
    return average_loss


def fit(
    model: NaiveSequential,
    images: np.ndarray,
    labels: np.ndarray,
    epochs: int,
    batch_size: int = 128,
    update: Update = update_weights,
) -> None:
    """The training loop: so many epochs, each through all batches; prints the loss every 100 batches."""
    for epoch_counter in range(epochs):
        print(f"Epoch {epoch_counter}")
        batch_generator = BatchGenerator(images, labels, batch_size)
        for batch_counter in range(batch_generator.num_batches):
            images_batch, labels_batch = batch_generator.next()
            loss = one_training_step(model, images_batch, labels_batch, update)
            if batch_counter % 100 == 0:
                print(f"loss at batch {batch_counter}: {float(loss):.2f}")


def evaluate(model: NaiveSequential, images: np.ndarray, labels: np.ndarray) -> float:
    """The share of images whose most probable class is their label."""
    predictions = model(Tensor(images)).numpy()
    predicted_labels = np.argmax(predictions, axis=1)
    matches = predicted_labels == labels
    return float(matches.mean())


def digit_model() -> NaiveSequential:
    """The tutorial's network for 28 x 28 pixels: 512 units with relu, 10 with softmax."""
    return NaiveSequential([NaiveDense(28 * 28, 512, ops.relu), NaiveDense(512, 10, ops.softmax)])


def main(arguments: list[str] | None = None) -> None:
    """`python -m netchu.naive`: train the digit network and print its accuracy on the test digits."""
    parser = argparse.ArgumentParser(prog="python -m netchu.naive", description="The tutorial's system, run as it is.")
    parser.add_argument("--epochs", type=int, default=10, help="times through the training digits (10)")
    parser.add_argument(
        "--optimizer",
        choices=["none", "sgd"],
        default="none",
        help="none: weight -= 1e-3 * gradient, by hand; sgd: through optimizers.SGD(1e-3)",
    )
    chosen = parser.parse_args(arguments)

    data = datasets.load()
    steps = chosen.epochs * math.ceil(len(data.x_train) / 128)
    print(
        f"data: {data.name} from {data.source}; {steps} steps of 4,690 bring this rule to an accuracy of 0.81 to 0.82"
    )
    train_images, test_images = datasets.scale_pixels(data.x_train), datasets.scale_pixels(data.x_test)

    update = update_weights
    if chosen.optimizer == "sgd":
        optimizer = optimizers.SGD(learning_rate=LEARNING_RATE)
        update = lambda gradients, weights: optimizer.apply_gradients(zip(gradients, weights))  # noqa: E731

    model = digit_model()
    fit(model, train_images, data.y_train, chosen.epochs, update=update)
    print(f"accuracy: {evaluate(model, test_images, data.y_test):.2f}")


if __name__ == "__main__":
    main()
