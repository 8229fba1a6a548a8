"""What this machine's processor does at best: GFLOP/s of a product of float32 matrices, 2048 x 2048, best of many."""

from __future__ import annotations

import json
import time

import numpy as np

SIDE = 2048
TIMES = 20

a = np.ones((SIDE, SIDE), np.float32)
out = np.empty_like(a)
best = float("inf")
for _ in range(TIMES):
    began = time.perf_counter()
    np.matmul(a, a, out=out)
    best = min(best, time.perf_counter() - began)
print(json.dumps({"gflops": 2 * SIDE**3 / best / 1e9}))
