"""RMSprop: each weight has a step size of its own, by the recent size of its gradient."""

from __future__ import annotations

from typing import Any

from netchu.arguments import check_numbers
from netchu.engines import Array, xp
from netchu.optimizers.base import LearningRate, Optimizer, Slots
from netchu.optimizers.slots import Slot


class RMSprop(Optimizer):
    """Divides each gradient by a running root mean square of itself.

        v = rho * v + (1 - rho) * g * g
        step = learning_rate * g / sqrt(v + epsilon)              centered: sqrt(v - a * a + epsilon),
        w = w - step                                                        a = rho * a + (1 - rho) * g
        with momentum:  m = momentum * m + step;  w = w - m

    Epsilon stands inside the root, as in Keras (PyTorch has it outside, and rho = 0.99: another optimizer).

    Args:
        learning_rate: default 0.001.
        rho: how much of the old mean square stays, 0 to 1.
        momentum: 0 to 1.
        epsilon: keeps the root away from 0.
        centered: whether to subtract the square of the mean gradient.

    References:
        Tieleman and Hinton, "Lecture 6.5: rmsprop" (2012).
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        check_numbers("RMSprop", 0, 1, rho=rho, momentum=momentum, epsilon=epsilon)
        self.rho = rho
        self.momentum = momentum
        self.epsilon = epsilon
        self.centered = centered

    @property
    def slot_kinds(self) -> tuple[Slot, ...]:
        """`velocity`, and `average` and `momentum` if they are used."""
        average = (Slot("average"),) if self.centered else ()
        momentum = (Slot("momentum"),) if self.momentum else ()
        return (Slot("velocity", lifted=True), *average, *momentum)

    def update(self, w: Array, g: Array, slots: Slots, learning_rate: Array, t: Array) -> tuple[Array, Slots]:
        """See `Optimizer.update`."""
        v = self.rho * slots["velocity"] + (1 - self.rho) * (g * g)
        new = {"velocity": v}
        spread = v
        if self.centered:
            new["average"] = a = self.rho * slots["average"] + (1 - self.rho) * g
            spread = v - a * a
        step = learning_rate * g / xp.sqrt(spread + self.epsilon)
        if self.momentum:
            new["momentum"] = step = self.momentum * slots["momentum"] + step
        return w - step, new
