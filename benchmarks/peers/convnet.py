"""A convolutional network in Keras's words, for Keras and for netchu: seconds an epoch, and the accuracy reached.

    KERAS_BACKEND=tensorflow python convnet.py FOLDER --library keras --epochs 3 --images 12800
    NETCHU_ENGINE=jax        python convnet.py FOLDER --library netchu --epochs 12

Conv2D(32, 3), MaxPooling2D, Conv2D(64, 3), MaxPooling2D, Flatten, Dropout(0.5), Dense(10): 34,826 parameters, Adam,
batches of 128, as Keras's own example has it but for the batch size.
"""

from __future__ import annotations

import argparse
import importlib
import time
from itertools import pairwise

from common import mnist, report

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder")
parser.add_argument("--library", choices=["keras", "netchu"], required=True)
parser.add_argument("--epochs", type=int, default=3)
parser.add_argument("--images", type=int, default=60000, help="of the training images, for a shorter epoch")
parser.add_argument("--seed", type=int, default=0)
parser.add_argument("--follow", action="store_true", help="report the test accuracy after each epoch")
chosen = parser.parse_args()

library = importlib.import_module(chosen.library)
layers = library.layers
library.utils.set_random_seed(chosen.seed)
x_train, y_train, x_test, y_test = mnist(chosen.folder)
x_train = x_train[: chosen.images]
y_train = y_train[: chosen.images]
x_train, x_test = (x.reshape(-1, 28, 28, 1).astype("float32") / 255 for x in (x_train, x_test))

model = library.models.Sequential(
    [
        layers.Input((28, 28, 1)),
        layers.Conv2D(32, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Conv2D(64, 3, activation="relu"),
        layers.MaxPooling2D(2),
        layers.Flatten(),
        layers.Dropout(0.5),
        layers.Dense(10, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
times = [time.perf_counter()]
followed = []


def end_of_epoch(epoch: int, logs: object) -> None:
    """Stop the watch, and look at the test images where that was asked for."""
    times.append(time.perf_counter())
    if chosen.follow:
        followed.append(model.evaluate(x_test, y_test, batch_size=500, verbose=0)[1])


clock = library.callbacks.LambdaCallback(on_epoch_end=end_of_epoch)
model.fit(x_train, y_train, epochs=chosen.epochs, batch_size=128, verbose=0, callbacks=[clock])
loss, accuracy = model.evaluate(x_test, y_test, batch_size=500, verbose=0)
report([after - before for before, after in pairwise(times)], accuracy, followed=followed)
