"""Training from a memory-mapped file: `python mapped.py FOLDER --images 600000` (or 60000, which lie in memory).

The file is MNIST ten times over as uint8 (470 MB), made in the current folder if it is not there; a Rescaling layer
brings the pixels to 0-1.  A short fit before the watch starts keeps beginnings out of the time.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from memory import Watch

from netchu.layers import Dense, Input, Rescaling
from netchu.models import Sequential

sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))
from common import mnist

FILE = Path("mnist-ten-times.npy")
TIMES = 10

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("folder")
parser.add_argument("--images", type=int, choices=[60_000, 600_000], required=True)
parser.add_argument("--epochs", type=int, default=1)
chosen = parser.parse_args()

x, y = mnist(chosen.folder)[:2]
few = np.array(x[:1280])
if chosen.images > len(x):
    if not FILE.exists():
        np.save(FILE, np.tile(x, (TIMES, 1)))
    x = np.load(FILE, mmap_mode="r")
    y = np.tile(y, TIMES)

model = Sequential([Input((784,)), Rescaling(1 / 255), Dense(512, activation="relu"), Dense(10, activation="softmax")])
model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(few, y[: len(few)], batch_size=128, verbose=0)
with Watch() as watch:
    began = time.perf_counter()
    model.fit(x, y, batch_size=128, epochs=chosen.epochs, verbose=0)
    seconds = time.perf_counter() - began
print(
    json.dumps(
        {
            "us_per_image": seconds / chosen.epochs / len(x) * 1e6,
            "anonymous_before_mb": watch.before_mb,
            "anonymous_grown_mb": watch.grown_mb,
        }
    )
)
