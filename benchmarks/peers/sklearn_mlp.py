"""The main job as near as scikit-learn comes to it: `python sklearn_mlp.py FOLDER`.

MLPClassifier has no RMSprop: Adam, with the same width, batch size, learning rate and no penalty on the weights.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from common import mnist, report
from sklearn.neural_network import MLPClassifier

x_train, y_train, x_test, y_test = mnist(sys.argv[1])
x_train = x_train.astype("float32") / 255
x_test = x_test.astype("float32") / 255
seed = int(sys.argv[2]) if len(sys.argv) > 2 else 0
model = MLPClassifier((512,), solver="adam", batch_size=128, alpha=0.0, random_state=seed)
seconds = []
for _ in range(5):
    began = time.perf_counter()
    model.partial_fit(x_train, y_train, classes=np.arange(10))
    seconds.append(time.perf_counter() - began)
report(seconds, float(model.score(x_test, y_test)))
