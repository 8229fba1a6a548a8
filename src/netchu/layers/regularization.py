"""Layers that act in training only, so that a network does not lean on single numbers: Dropout."""

from __future__ import annotations

from typing import Any

from netchu import ops
from netchu.engines import xp
from netchu.errors import UsageError
from netchu.layers.base import BatchShape, Layer
from netchu.random import Stream
from netchu.tape import Tensor


class Dropout(Layer):
    """Sets a share of the numbers to 0 in each training step and scales the rest by 1 / (1 - rate).

        y = x * kept / (1 - rate),  kept = 1 with probability 1 - rate, else 0;   outside training y = x

    The draws are a pure function of (seed, stream, step), see `netchu.random`.

    Args:
        rate: the share that is dropped, 0 <= rate < 1.
        noise_shape: shape of the draws, batch included, 1 where they are shared along an axis; None draws for each.
        seed: of one's own; None takes the program's.
        name, trainable, dtype: see `Layer`.

    Raises:
        UsageError: a rate outside [0, 1).

    References:
        Srivastava, Hinton, Krizhevsky, Sutskever, Salakhutdinov, "Dropout: A Simple Way to Prevent Neural Networks
        from Overfitting" (2014), who scale in use instead of in training.
    """

    def __init__(
        self, rate: float, noise_shape: tuple[int | None, ...] | None = None, seed: int | None = None, **settings: Any
    ) -> None:
        super().__init__(**settings)
        if not 0 <= rate < 1:
            raise UsageError("Dropout", expected="0 <= rate < 1, the share dropped", got=f"rate={rate}")
        self.rate, self.seed = rate, seed
        self.noise_shape = None if noise_shape is None else tuple(noise_shape)
        self.stream = Stream(seed)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Dropped and scaled in training, else x itself."""
        if not training or self.rate == 0:
            return x
        shape = x.shape if self.noise_shape is None else tuple(n or m for n, m in zip(self.noise_shape, x.shape))
        kept = xp.astype(self.stream.uniform(shape) >= self.rate, x.array.dtype)
        return x * ops.convert_to_tensor(kept / (1 - self.rate))

    def compute_output_shape(self, input_shape: BatchShape) -> BatchShape:
        """Unchanged."""
        return input_shape
