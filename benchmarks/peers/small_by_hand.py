"""Small networks in NumPy by hand, written plainly: what `train_on_batch` and one-sample `predict` stand beside."""

from __future__ import annotations

import numpy as np


class SmallNetwork:
    """A hidden layer with relu, softmax at the end, RMSprop.

    Args:
        inputs, width, classes: the sizes, 4-8-3 for example.
    """

    def __init__(self, inputs: int, width: int, classes: int) -> None:
        random = np.random.default_rng(0)
        self.weights = [
            random.normal(0, 0.1, (inputs, width)).astype(np.float32),
            np.zeros(width, np.float32),
            random.normal(0, 0.1, (width, classes)).astype(np.float32),
            np.zeros(classes, np.float32),
        ]
        self.slots = [np.zeros_like(w) for w in self.weights]

    def forward(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The hidden layer (batch, width) and the probabilities (batch, classes)."""
        w1, b1, w2, b2 = self.weights
        h = np.maximum(x @ w1 + b1, 0)
        z = h @ w2 + b2
        e = np.exp(z - z.max(axis=1, keepdims=True))
        return h, e / e.sum(axis=1, keepdims=True)

    def step(self, x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
        """Learn from a batch; its mean loss and its accuracy."""
        n = len(x)
        each = np.arange(n)
        h, p = self.forward(x)
        loss = -np.log(p[each, y]).mean()
        accuracy = (p.argmax(axis=1) == y).mean()
        dz = p.copy()
        dz[each, y] -= 1
        dz /= n
        dh = (dz @ self.weights[2].T) * (h > 0)
        gradients = [x.T @ dh, dh.sum(axis=0), h.T @ dz, dz.sum(axis=0)]
        for i, g in enumerate(gradients):
            self.slots[i] = np.float32(0.9) * self.slots[i] + np.float32(0.1) * g * g
            self.weights[i] = self.weights[i] - np.float32(1e-3) * g / np.sqrt(self.slots[i] + np.float32(1e-7))
        return float(loss), float(accuracy)
