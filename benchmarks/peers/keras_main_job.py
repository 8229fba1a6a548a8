"""The main job in Keras, as its own example writes it; takes the data folder, and KERAS_BACKEND from outside."""

import gzip
import json
import sys
from pathlib import Path

import keras
import numpy as np


def read(folder: str, name: str, offset: int) -> np.ndarray:
    """One IDX file, plain or .gz, without its header."""
    plain = Path(folder) / name
    data = plain.read_bytes() if plain.exists() else gzip.decompress(plain.with_name(name + ".gz").read_bytes())
    return np.frombuffer(data, np.uint8, offset=offset)


folder = sys.argv[1]
x_train = read(folder, "train-images-idx3-ubyte", 16).reshape(-1, 784).astype("float32") / 255
y_train = read(folder, "train-labels-idx1-ubyte", 8)
x_test = read(folder, "t10k-images-idx3-ubyte", 16).reshape(-1, 784).astype("float32") / 255
y_test = read(folder, "t10k-labels-idx1-ubyte", 8)

model = keras.Sequential(
    [
        keras.Input((784,)),
        keras.layers.Dense(512, activation="relu"),
        keras.layers.Dense(10, activation="softmax"),
    ]
)
model.compile(optimizer="rmsprop", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(x_train, y_train, epochs=5, batch_size=128, verbose=0)
loss, accuracy = model.evaluate(x_test, y_test, verbose=0)
version = f"keras {keras.__version__} on {keras.backend.backend()}"
print(json.dumps({"test_accuracy": accuracy, "updates": int(model.optimizer.iterations), "version": version}))
