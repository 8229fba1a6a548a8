"""The main job in JAX without a library above it: `python jax_by_hand.py FOLDER`.

One compiled call an epoch: a `fori_loop` over the batches, everything on the device, the state donated.
"""

from __future__ import annotations

import functools
import sys
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from common import mnist, report

BATCH = 128
Arrays = list[Any]


def first_weights(random: np.random.Generator) -> Arrays:
    """Glorot's, as Keras draws them."""
    weights = []
    for rows, columns in ((784, 512), (512, 10)):
        limit = (6 / (rows + columns)) ** 0.5
        weights += [random.uniform(-limit, limit, (rows, columns)).astype(np.float32), np.zeros(columns, np.float32)]
    return [jnp.asarray(w) for w in weights]


def logits_of(weights: Arrays, x: Any) -> Any:
    """The network: (batch, 784) to (batch, 10)."""
    w1, b1, w2, b2 = weights
    return jnp.maximum(x @ w1 + b1, 0) @ w2 + b2


def loss_of(weights: Arrays, x: Any, y: Any) -> tuple[Any, Any]:
    """The mean cross-entropy, and how many of the batch are right."""
    logits = logits_of(weights, x)
    mine = jnp.take_along_axis(jax.nn.log_softmax(logits), y[:, None], axis=1)
    return -jnp.mean(mine), jnp.sum(jnp.argmax(logits, axis=1) == y)


def step(state: tuple[Arrays, Arrays, Any, Any], x: Any, y: Any) -> tuple[Arrays, Arrays, Any, Any]:
    """One batch: gradient, RMSprop, the running figures."""
    weights, slots, total, right = state
    (loss, correct), gradients = jax.value_and_grad(loss_of, has_aux=True)(weights, x.astype(jnp.float32) / 255, y)
    slots = [0.9 * v + 0.1 * g * g + 1e-30 for v, g in zip(slots, gradients)]  # 1e-30: no denormals
    weights = [w - 1e-3 * g / jnp.sqrt(v + 1e-7) for w, g, v in zip(weights, gradients, slots)]
    return weights, slots, total + loss * len(x), right + correct


@functools.partial(jax.jit, donate_argnums=0)
def epoch(state: tuple[Arrays, Arrays, Any, Any], x: Any, y: Any, order: Any) -> tuple[Arrays, Arrays, Any, Any]:
    """All whole batches in a loop, then the rest."""

    def one(i: Any, state: Any) -> Any:
        """The batch with the number i."""
        rows = jax.lax.dynamic_slice_in_dim(order, i * BATCH, BATCH)
        return step(state, x[rows], y[rows])

    whole = len(x) // BATCH
    state = jax.lax.fori_loop(0, whole, one, state)
    rest = order[whole * BATCH :]
    return step(state, x[rest], y[rest]) if len(rest) else state


def new_state(seed: int) -> tuple[Arrays, Arrays, Any, Any]:
    """Weights, RMSprop's slots, and the figures at zero."""
    weights = first_weights(np.random.default_rng(seed))
    return weights, [jnp.zeros_like(w) for w in weights], jnp.zeros(()), jnp.zeros((), jnp.int32)


def main(folder: str, seed: int) -> None:
    """Five epochs and the test."""
    x_train, y_train, x_test, y_test = (jnp.asarray(a) for a in mnist(folder))
    y_train = y_train.astype(jnp.int32)
    state = new_state(seed)
    random = np.random.default_rng(seed)
    seconds = []
    for _ in range(5):
        began = time.perf_counter()
        order = jnp.asarray(random.permutation(len(x_train)).astype(np.int32))
        state = epoch((*state[:2], jnp.zeros(()), jnp.zeros((), jnp.int32)), x_train, y_train, order)
        figures = float(state[2]) / len(x_train), float(state[3]) / len(x_train)
        seconds.append(time.perf_counter() - began)
    chosen = jnp.argmax(logits_of(state[0], x_test.astype(jnp.float32) / 255), axis=1)
    report(seconds, float(jnp.mean(chosen == y_test)), last_epoch=figures)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 0)
