"""Gradient descent."""

from __future__ import annotations

from typing import Any

from netchu.arguments import check_numbers
from netchu.engines import Array
from netchu.optimizers.base import LearningRate, Optimizer, Slots
from netchu.optimizers.slots import Slot


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum on request.

        without momentum:  w = w - learning_rate * g
        with momentum:     m = momentum * m - learning_rate * g;   w = w + m
        nesterov:          w = w + momentum * m - learning_rate * g, with the new m

    Args:
        learning_rate: default 0.01.
        momentum: 0 to 1.
        nesterov: whether to look ahead along the momentum.

    References:
        Sutskever, Martens, Dahl, Hinton, "On the importance of initialization and momentum in deep learning" (2013).
    """

    def __init__(
        self, learning_rate: LearningRate = 0.01, momentum: float = 0.0, nesterov: bool = False, **settings: Any
    ) -> None:
        super().__init__(learning_rate, **settings)
        check_numbers("SGD", 0, 1, momentum=momentum)
        self.momentum = momentum
        self.nesterov = nesterov

    @property
    def slot_kinds(self) -> tuple[Slot, ...]:
        """`momentum` if it is used."""
        return (Slot("momentum"),) if self.momentum else ()

    def update(self, w: Array, g: Array, slots: Slots, learning_rate: Array, t: Array) -> tuple[Array, Slots]:
        """See `Optimizer.update`."""
        if not self.momentum:
            return w - learning_rate * g, {}
        m = self.momentum * slots["momentum"] - learning_rate * g
        return w + (self.momentum * m - learning_rate * g if self.nesterov else m), {"momentum": m}
