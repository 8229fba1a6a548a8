"""Adagrad, whose steps shrink with all that was seen, and Adadelta, which forgets."""

from __future__ import annotations

from typing import Any

from netchu.arguments import check_numbers
from netchu.engines import Array, xp
from netchu.optimizers.base import LearningRate, Optimizer, Slots
from netchu.optimizers.slots import Slot


class Adagrad(Optimizer):
    """Divides each gradient by the root of the sum of all its squares so far.

        a = a + g * g
        w = w - learning_rate * g / sqrt(a + epsilon)

    The slot a is called `accumulator`.

    Args:
        learning_rate: default 0.001; the paper's own form is 1.0.
        initial_accumulator_value: what a begins with, >= 0.
        epsilon: keeps the root away from 0.
        **settings: weight_decay, clipnorm ...; see `Optimizer`.

    Raises:
        UsageError: a number outside its range, or an unknown argument.

    References:
        Duchi, Hazan, Singer, "Adaptive Subgradient Methods for Online Learning and Stochastic Optimization" (2011).
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        initial_accumulator_value: float = 0.1,
        epsilon: float = 1e-7,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        check_numbers("Adagrad", 0, 1e30, initial_accumulator_value=initial_accumulator_value)
        check_numbers("Adagrad", 0, 1, epsilon=epsilon)
        self.initial_accumulator_value = initial_accumulator_value
        self.epsilon = epsilon

    @property
    def slot_kinds(self) -> tuple[Slot, ...]:
        """`accumulator`."""
        return (Slot("accumulator", self.initial_accumulator_value, lifted=True),)

    def update(self, w: Array, g: Array, slots: Slots, learning_rate: Array, t: Array) -> tuple[Array, Slots]:
        """See `Optimizer.update`."""
        a = slots["accumulator"] + g * g
        return w - learning_rate * g / xp.sqrt(a + self.epsilon), {"accumulator": a}


class Adadelta(Optimizer):
    """Steps whose size is that of the recent steps, so that no learning rate has to be found.

        a = rho * a + (1 - rho) * g * g
        step = g * sqrt(d + epsilon) / sqrt(a + epsilon)
        d = rho * d + (1 - rho) * step * step
        w = w - learning_rate * step

    The slots a and d are called `accumulated_grad` and `accumulated_delta_var`.

    Args:
        learning_rate: default 0.001; the paper's own form is 1.0.
        rho: how much of the old mean squares stays, 0 to 1.
        epsilon: keeps the roots away from 0, and makes the first step possible.
        **settings: weight_decay, clipnorm ...; see `Optimizer`.

    Raises:
        UsageError: a number outside its range, or an unknown argument.

    References:
        Zeiler, "ADADELTA: An Adaptive Learning Rate Method" (2012).
    """

    def __init__(
        self, learning_rate: LearningRate = 0.001, rho: float = 0.95, epsilon: float = 1e-7, **settings: Any
    ) -> None:
        super().__init__(learning_rate, **settings)
        check_numbers("Adadelta", 0, 1, rho=rho, epsilon=epsilon)
        self.rho = rho
        self.epsilon = epsilon

    @property
    def slot_kinds(self) -> tuple[Slot, ...]:
        """`accumulated_grad`, and `accumulated_delta_var`, which would begin to grow by itself if it were lifted."""
        return Slot("accumulated_grad", lifted=True), Slot("accumulated_delta_var")

    def update(self, w: Array, g: Array, slots: Slots, learning_rate: Array, t: Array) -> tuple[Array, Slots]:
        """See `Optimizer.update`."""
        a = self.rho * slots["accumulated_grad"] + (1 - self.rho) * (g * g)
        step = g * xp.sqrt(slots["accumulated_delta_var"] + self.epsilon) / xp.sqrt(a + self.epsilon)
        d = self.rho * slots["accumulated_delta_var"] + (1 - self.rho) * (step * step)
        return w - learning_rate * step, {"accumulated_grad": a, "accumulated_delta_var": d}
