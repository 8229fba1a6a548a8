"""One engine's part of `netchu bench`, in a process of its own: the main job's network, epoch after epoch.

    python -m netchu.cli.bench_engine ENGINE SECONDS [DATA]

Prints a JSON object: `seconds` of each epoch, the first with its compilation; `images`, `products` (the floating-point
operations of an epoch's two large products), `threads` and `version` of the engine.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from netchu import datasets, engines, utils
from netchu.callbacks import Callback
from netchu.cli.outcome import OK, guarded
from netchu.cli.output import result_json
from netchu.digits.reader import as_input
from netchu.layers import Dense, Input
from netchu.models import Sequential

WIDTH = 512
BATCH = 128
LEAST_EPOCHS = 3  # after the first


class Clock(Callback):
    """Seconds of each epoch; ends the training when they are enough for a figure.

    Args:
        least: seconds to go on for, the first epoch not counted.

    Attributes:
        seconds: so far, in order.
    """

    def __init__(self, least: float) -> None:
        super().__init__()
        self._least = least
        self.seconds: list[float] = []

    def on_epoch_begin(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Start the watch."""
        self._began = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Stop it, and the training too if that was enough."""
        self.seconds.append(time.perf_counter() - self._began)
        after_first = self.seconds[1:]
        self.model.stop_training = len(after_first) >= LEAST_EPOCHS and sum(after_first) >= self._least


def measure(engine: str, least_seconds: float, name_or_path: str | None) -> dict[str, Any]:
    """Train on the data and say how long the epochs took."""
    engines.set_engine(engine)
    utils.set_random_seed(0)
    data = datasets.load(name_or_path)
    pixels = int(data.x_train[0].size)
    classes = max(2, int(data.y_train.max()) + 1)
    model = Sequential([Input((pixels,)), Dense(WIDTH, activation="relu"), Dense(classes, activation="softmax")])
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    clock = Clock(least_seconds)
    x = as_input(model, data.x_train)
    model.fit(x, data.y_train, batch_size=BATCH, epochs=10_000, verbose=0, callbacks=[clock])
    return {
        "seconds": clock.seconds,
        "images": len(x),
        "products": 2 * 2 * len(x) * pixels * WIDTH,  # x @ w and x.T @ gradient, a product and a sum each
        "threads": engines.current().threads(),
        "version": engines.current().version(),
    }


def main(engine: str, least_seconds: str, name_or_path: str = "") -> int:
    """Measure and print; the exit code."""
    result_json(measure(engine, float(least_seconds), name_or_path or None))
    return OK


if __name__ == "__main__":
    raise SystemExit(guarded(lambda: main(*sys.argv[1:]), debugging=False))
