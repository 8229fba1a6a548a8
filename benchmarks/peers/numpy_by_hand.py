"""The main job in NumPy by hand, as fast as plain NumPy goes: `python numpy_by_hand.py FOLDER [SEED [ROWS]]`.

Every array is made once and written in place; the images stay uint8 and are scaled batch by batch.  With ROWS the
optimizer goes over the weights in blocks of so many rows, which stay in the processor's cache.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from common import mnist, report

BATCH = 128
INPUTS = 784
WIDTH = 512
CLASSES = 10
f32 = np.float32


class Network:
    """784-512-10 with RMSprop.

    Args:
        seed: of the first weights.
        rows: see above; None for the whole of each array at once.
    """

    def __init__(self, seed: int = 0, rows: int | None = None) -> None:
        random = np.random.default_rng(seed)
        self.weights = []
        for m, n in ((INPUTS, WIDTH), (WIDTH, CLASSES)):
            limit = (6 / (m + n)) ** 0.5
            self.weights += [random.uniform(-limit, limit, (m, n)).astype(f32), np.zeros(n, f32)]
        self.gradients = [np.empty_like(w) for w in self.weights]
        slots = [np.zeros_like(w) for w in self.weights]
        spare = [np.empty_like(w) for w in self.weights]
        self.blocks = [
            tuple(a[i : i + (rows or len(w))] for a in (w, g, v, t))
            for w, g, v, t in zip(self.weights, self.gradients, slots, spare)
            for i in range(0, len(w), rows or len(w))
        ]
        self.x = np.empty((BATCH, INPUTS), f32)
        self.h = np.empty((BATCH, WIDTH), f32)
        self.dh = np.empty((BATCH, WIDTH), f32)
        self.on = np.empty((BATCH, WIDTH), bool)

    def step(self, images: np.ndarray, labels: np.ndarray) -> tuple[float, int]:
        """Learn from uint8 images (batch, 784); the sum of the losses, and how many were right."""
        n = len(images)
        x = self.x[:n]
        h = self.h[:n]
        dh = self.dh[:n]
        on = self.on[:n]
        each = np.arange(n)
        w1, b1, w2, b2 = self.weights
        dw1, db1, dw2, db2 = self.gradients
        # 1. Forward.
        np.multiply(images, f32(1 / 255), out=x)
        np.matmul(x, w1, out=h)
        np.add(h, b1, out=h)
        np.maximum(h, 0, out=h)
        z = h @ w2
        z += b2
        right = int((z.argmax(axis=1) == labels).sum())
        z -= z.max(axis=1, keepdims=True)
        np.exp(z, out=z)
        z /= z.sum(axis=1, keepdims=True)  # the probabilities
        loss = -float(np.log(z[each, labels]).sum())
        # 2. Backward.
        z[each, labels] -= 1
        z /= n
        np.matmul(h.T, z, out=dw2)
        np.sum(z, axis=0, out=db2)
        np.matmul(z, w2.T, out=dh)
        np.greater(h, 0, out=on)
        np.multiply(dh, on, out=dh)
        np.matmul(x.T, dh, out=dw1)
        np.sum(dh, axis=0, out=db1)
        # 3. RMSprop.
        for block in self.blocks:
            rmsprop(*block)
        return loss, right

    def right(self, images: np.ndarray, labels: np.ndarray) -> int:
        """How many images are recognized."""
        w1, b1, w2, b2 = self.weights
        z = np.maximum(images.astype(f32) / 255 @ w1 + b1, 0) @ w2 + b2
        return int((z.argmax(axis=1) == labels).sum())


def rmsprop(w: np.ndarray, g: np.ndarray, v: np.ndarray, t: np.ndarray) -> None:
    """v = 0.9 v + 0.1 g^2;  w = w - 0.001 g / sqrt(v + 1e-7): all in place, t is spare room."""
    np.multiply(g, g, out=t)
    np.multiply(t, f32(0.1), out=t)
    np.multiply(v, f32(0.9), out=v)
    np.add(v, t, out=v)
    np.add(v, f32(1e-30), out=v)  # no denormals
    np.add(v, f32(1e-7), out=t)
    np.sqrt(t, out=t)
    np.multiply(g, f32(1e-3), out=g)
    np.divide(g, t, out=g)
    np.subtract(w, g, out=w)


def main(folder: str, seed: int, rows: int | None) -> None:
    """Five epochs and the test."""
    x_train, y_train, x_test, y_test = mnist(folder)
    network = Network(seed, rows)
    random = np.random.default_rng(seed)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        order = random.permutation(len(x_train))
        for i in range(0, len(order), BATCH):
            chosen = order[i : i + BATCH]
            network.step(x_train[chosen], y_train[chosen])
        seconds.append(time.perf_counter() - began)
    report(seconds, network.right(x_test, y_test) / len(x_test))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0, int(sys.argv[3]) if len(sys.argv) > 3 else None)
