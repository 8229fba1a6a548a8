"""Equal first weights for two libraries: imported by every program here, and by itself it imports neither of them.

Two libraries never draw the same random numbers, so a program that is to be compared sets its weights itself.
"""

from typing import Any

import numpy as np

with_dropout = False
"""Whether Dropout draws.  Its draws differ between libraries, so programs are compared number by number without it."""


def same_start(model: Any, seed: int = 0) -> None:
    """Draw the kernels of a built model from `seed`; biases, gamma and the like stay at their zeros and ones.

    A kernel is normal with standard deviation 1 / sqrt(inputs of a unit).  Every Dropout is set to rate 0 unless
    `with_dropout`.
    """
    rng = np.random.default_rng(seed)
    model.set_weights([_drawn(rng, w.shape) if w.ndim > 1 else w for w in model.get_weights()])
    for layer in model.layers:
        if type(layer).__name__ == "Dropout" and not with_dropout:
            layer.rate = 0.0


def _drawn(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return (rng.normal(0, 1, shape) / np.sqrt(np.prod(shape[:-1]))).astype("float32")
