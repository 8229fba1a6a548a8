"""The main job in Keras's words, for Keras and for netchu: 784-512-10, RMSprop, batches of 128, MNIST.

KERAS_BACKEND=tensorflow python dense.py FOLDER --library keras
NETCHU_ENGINE=jax        python dense.py FOLDER --library netchu
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
parser.add_argument("--optimizer", default="rmsprop")
parser.add_argument("--epochs", type=int, default=5)
parser.add_argument("--seed", type=int, default=0)
chosen = parser.parse_args()

library = importlib.import_module(chosen.library)
library.utils.set_random_seed(chosen.seed)
x_train, y_train, x_test, y_test = mnist(chosen.folder)
x_train = x_train.astype("float32") / 255
x_test = x_test.astype("float32") / 255

model = library.models.Sequential(
    [
        library.layers.Input((784,)),
        library.layers.Dense(512, activation="relu"),
        library.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer=chosen.optimizer, loss="sparse_categorical_crossentropy", metrics=["accuracy"])
times = [time.perf_counter()]
clock = library.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: times.append(time.perf_counter()))
model.fit(x_train, y_train, epochs=chosen.epochs, batch_size=128, verbose=0, callbacks=[clock])
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
report([after - before for before, after in pairwise(times)], accuracy)
