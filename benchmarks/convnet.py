"""Time a convolutional network, netchu on each engine beside Keras on each backend, in turn; see README.md here.

    python benchmarks/convnet.py --data FOLDER --rounds 3 --epochs 2        # seconds an epoch
    python benchmarks/convnet.py --data FOLDER --rounds 1 --epochs 12       # the accuracy it reaches

The network is Conv2D(32, 3), MaxPooling2D, Conv2D(64, 3), MaxPooling2D, Flatten, Dropout(0.5), Dense(10): 34,826
parameters, Adam, batches of 128.  Each command is a process of its own; the program below is the same for both
libraries.  The first epoch holds the compilation and does not count, where there are more.
"""

from __future__ import annotations

import argparse
import gzip
import importlib
import importlib.util
import json
import os
import statistics
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

COMMANDS = {
    "netchu, numpy": ("netchu", {"NETCHU_ENGINE": "numpy"}, ["netchu"]),
    "netchu, jax": ("netchu", {"NETCHU_ENGINE": "jax"}, ["netchu", "jax"]),
    "netchu, tensorflow": ("netchu", {"NETCHU_ENGINE": "tensorflow"}, ["netchu", "tensorflow"]),
    "Keras on TensorFlow": ("keras", {"KERAS_BACKEND": "tensorflow"}, ["keras", "tensorflow"]),
    "Keras on JAX": ("keras", {"KERAS_BACKEND": "jax"}, ["keras", "jax"]),
}


def read(folder: str, name: str, offset: int) -> np.ndarray:
    """One IDX file, plain or .gz, without its header."""
    plain = Path(folder) / name
    data = plain.read_bytes() if plain.exists() else gzip.decompress(plain.with_name(name + ".gz").read_bytes())
    return np.frombuffer(data, np.uint8, offset=offset)


def train(library: Any, folder: str, epochs: int, seed: int) -> dict[str, Any]:
    """The job: seconds of each epoch, and the accuracy on the test images."""
    layers = library.layers
    library.utils.set_random_seed(seed)
    images = {part: read(folder, f"{part}-images-idx3-ubyte", 16) for part in ("train", "t10k")}
    labels = {part: read(folder, f"{part}-labels-idx1-ubyte", 8) for part in ("train", "t10k")}
    x = {part: a.reshape(-1, 28, 28, 1).astype("float32") / 255 for part, a in images.items()}
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
    ends = [time.perf_counter()]
    clock = library.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter()))
    model.fit(x["train"], labels["train"], epochs=epochs, batch_size=128, verbose=0, callbacks=[clock])
    _, accuracy = model.evaluate(x["t10k"], labels["t10k"], batch_size=500, verbose=0)
    return {"seconds": [b - a for a, b in pairwise(ends)], "test_accuracy": accuracy}


def run(name: str, arguments: list[str]) -> dict[str, Any]:
    """One command in a process of its own."""
    library, environment, _ = COMMANDS[name]
    done = subprocess.run(
        [sys.executable, __file__, *arguments, "--library", library],
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", **environment},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"{name} failed with exit code {done.returncode}:\n{done.stderr[-2000:]}")
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def main() -> None:
    """Run the commands in turn and print a table; with `--library`, be one of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder with MNIST's four IDX files")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", action="append", help="a name of the table; may be given again")
    parser.add_argument("--library", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.library:
        library = importlib.import_module(chosen.library)
        print(json.dumps(train(library, chosen.data, chosen.epochs, chosen.seed)))
        return
    there = {name: all(map(importlib.util.find_spec, needs)) for name, (_, _, needs) in COMMANDS.items()}
    names = [name for name in COMMANDS if there[name] and name in (chosen.only or COMMANDS)]
    results: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    for number in range(chosen.rounds):
        for name in names:
            arguments = ["--data", chosen.data, "--epochs", str(chosen.epochs), "--seed", str(chosen.seed + number)]
            results[name].append(run(name, arguments))
            print(f"round {number + 1}/{chosen.rounds}  {name}: {results[name][-1]}", file=sys.stderr)
    print("| command | median s an epoch | range s | n | test accuracy |\n| --- | --- | --- | --- | --- |")
    for name, runs in results.items():
        seconds = [s for one in runs for s in one["seconds"][1:] or one["seconds"]]
        accuracies = [one["test_accuracy"] for one in runs]
        print(
            f"| {name} | {statistics.median(seconds):.1f} | {min(seconds):.1f}-{max(seconds):.1f} | {len(seconds)} "
            f"| {min(accuracies):.4f}-{max(accuracies):.4f} after {chosen.epochs} epochs |"
        )


if __name__ == "__main__":
    main()
