"""netchu's cost of a call beside NumPy by hand, in one process, taking turns: `python small.py`.

`step`: `train_on_batch` of a 4-8-3 network, 8 samples, RMSprop, with accuracy.  `predict`: one sample through 4-8-3
and through 784-512-10.  Each figure is the ratio of the medians of many short turns.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

import netchu

sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))
from small_by_hand import SmallNetwork

TURNS = 60
CALLS = 50


def ratio(ours: Callable[[], object], by_hand: Callable[[], object]) -> dict[str, float]:
    """Microseconds a call of both, and ours by theirs."""
    figures: dict[str, list[float]] = {"ours_us": [], "hand_us": []}
    for _ in range(TURNS):
        for name, call in (("ours_us", ours), ("hand_us", by_hand)):
            began = time.perf_counter()
            for _ in range(CALLS):
                call()
            figures[name].append((time.perf_counter() - began) / CALLS * 1e6)
    medians = {name: statistics.median(values) for name, values in figures.items()}
    return {**medians, "ratio": medians["ours_us"] / medians["hand_us"]}


def network(inputs: int, width: int, classes: int) -> netchu.models.Sequential:
    """The same network in netchu."""
    layers = netchu.layers
    model = netchu.models.Sequential(
        [
            layers.Input((inputs,)),
            layers.Dense(width, activation="relu"),
            layers.Dense(classes, activation="softmax"),
        ]
    )
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def step_ratio() -> dict[str, float]:
    """One training step."""
    x = random.random((8, 4), dtype=np.float32)
    y = random.integers(0, 3, 8)
    model = network(4, 8, 3)
    by_hand = SmallNetwork(4, 8, 3)
    return ratio(lambda: model.train_on_batch(x, y), lambda: by_hand.step(x, y))


def predict_ratio(inputs: int, width: int, classes: int) -> dict[str, float]:
    """One sample through the network."""
    one = random.random((1, inputs), dtype=np.float32)
    model = network(inputs, width, classes)
    by_hand = SmallNetwork(inputs, width, classes)
    return ratio(lambda: model.predict(one, verbose=0), lambda: by_hand.forward(one)[1])


random = np.random.default_rng(0)
figures = {
    "step": step_ratio(),
    "predict_4_8_3": predict_ratio(4, 8, 3),
    "predict_784_512_10": predict_ratio(784, 512, 10),
}
print(json.dumps(figures))
