"""Memory over 100,000 one-sample calls of `predict`: `python predict_memory.py`."""

from __future__ import annotations

import json

import numpy as np
from memory import Watch

from netchu.layers import Dense, Input
from netchu.models import Sequential

WARM_UP = 2_000
CALLS = 100_000

model = Sequential([Input((4,)), Dense(8, activation="relu"), Dense(3, activation="softmax")])
one = np.ones((1, 4), np.float32)
for _ in range(WARM_UP):
    model.predict(one, verbose=0)
with Watch() as watch:
    for _ in range(CALLS):
        model.predict(one, verbose=0)
print(json.dumps({"calls": CALLS, "grown_mb": watch.grown_mb}))
