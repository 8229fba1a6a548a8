"""Lion: steps of one size, in the direction of a sign."""

from __future__ import annotations

from typing import Any

import numpy as np

from netchu.arguments import check_numbers
from netchu.engines import Array, xp
from netchu.errors import UsageError
from netchu.optimizers.base import LearningRate, Optimizer, Slots
from netchu.optimizers.slots import Slot

SMALLEST_NORMAL = float(np.finfo("float32").smallest_normal)


class Lion(Optimizer):
    """Moves every element by the learning rate, up or down: the sign of a mean of gradient and momentum.

        w = w - learning_rate * sign(beta_1 * m + (1 - beta_1) * g)
        m = beta_2 * m + (1 - beta_2) * g

    The slot m is called `momentum`.  Steps are larger than Adam's, so learning rates are 3 to 10 times smaller.

    Args:
        learning_rate: default 0.001.
        beta_1: share of the momentum in a step, above 0 to 1.
        beta_2: how much of the momentum stays, 0 to 1.
        **settings: weight_decay, clipnorm ...; see `Optimizer`.

    Raises:
        UsageError: a number outside its range, or an unknown argument.

    References:
        Chen et al., "Symbolic Discovery of Optimization Algorithms" (2023).
    """

    def __init__(
        self, learning_rate: LearningRate = 0.001, beta_1: float = 0.9, beta_2: float = 0.99, **settings: Any
    ) -> None:
        super().__init__(learning_rate, **settings)
        check_numbers("Lion", 0, 1, beta_1=beta_1, beta_2=beta_2)
        if not beta_1:
            raise UsageError(
                "Lion", expected="beta_1 > 0", got="beta_1=0", do="Without momentum it is the gradient's sign."
            )
        self.beta_1 = beta_1
        self.beta_2 = beta_2

    @property
    def slot_kinds(self) -> tuple[Slot, ...]:
        """`momentum`; however small it is, its sign moves the weight."""
        return (Slot("momentum", negligible=SMALLEST_NORMAL),)

    def update(self, w: Array, g: Array, slots: Slots, learning_rate: Array, t: Array) -> tuple[Array, Slots]:
        """See `Optimizer.update`."""
        m = slots["momentum"]
        step = xp.sign(self.beta_1 * m + (1 - self.beta_1) * g)
        return w - learning_rate * step, {"momentum": self.beta_2 * m + (1 - self.beta_2) * g}
