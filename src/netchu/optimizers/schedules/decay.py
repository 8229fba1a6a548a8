"""Learning rates that fall: in steps, by a factor, over time, along a power."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from netchu import ops
from netchu.arguments import check_numbers, checked_list, is_number
from netchu.errors import UsageError
from netchu.optimizers.schedules.base import LearningRateSchedule, whole
from netchu.tensor import Tensor


class ExponentialDecay(LearningRateSchedule):
    """Falls to `decay_rate` of itself every `decay_steps` steps.

        rate = initial_learning_rate * decay_rate ** (step / decay_steps)       staircase: the whole number below

    Args:
        initial_learning_rate: at step 0.
        decay_steps: how many steps one factor `decay_rate` takes.
        decay_rate: the factor.
        staircase: whether to fall at once at the end of each `decay_steps`.
        name: for configuration.

    Raises:
        UsageError: a learning rate that is no number, or `decay_steps` not positive.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "ExponentialDecay",
    ) -> None:
        check_numbers("ExponentialDecay", -math.inf, initial_learning_rate=initial_learning_rate)
        check_numbers("ExponentialDecay", above=True, decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        """See `LearningRateSchedule`."""
        step = ops.cast(step, "float32")
        p = whole(step, self.decay_steps) if self.staircase else step / self.decay_steps
        return self.initial_learning_rate * self.decay_rate**p


class InverseTimeDecay(LearningRateSchedule):
    """Falls as one over the time does.

        rate = initial_learning_rate / (1 + decay_rate * step / decay_steps)    staircase: the whole number below

    Args:
        initial_learning_rate: at step 0.
        decay_steps: the unit of time, in steps.
        decay_rate: how fast.
        staircase: whether to fall at once at the end of each `decay_steps`.
        name: for configuration.

    Raises:
        UsageError: a learning rate that is no number, or `decay_steps` not positive.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        decay_rate: float,
        staircase: bool = False,
        name: str = "InverseTimeDecay",
    ) -> None:
        check_numbers("InverseTimeDecay", -math.inf, initial_learning_rate=initial_learning_rate)
        check_numbers("InverseTimeDecay", above=True, decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.decay_rate = decay_rate
        self.staircase = staircase
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        """See `LearningRateSchedule`."""
        step = ops.cast(step, "float32")
        p = whole(step, self.decay_steps) if self.staircase else step / self.decay_steps
        return self.initial_learning_rate / (1 + self.decay_rate * p)


MOST_VALUES = 1000  # each is an operation in every traced step


class PiecewiseConstantDecay(LearningRateSchedule):
    """One constant after another: values[0] up to and including step boundaries[0], then values[1], and so on.

    Args:
        boundaries: the last step of each value but the last, ascending.
        values: one more than boundaries.
        name: for configuration.

    Raises:
        UsageError: the numbers of values and boundaries do not fit, or the boundaries do not ascend.
    """

    def __init__(self, boundaries: Sequence[float], values: Sequence[float], name: str = "PiecewiseConstant") -> None:
        boundaries = checked_list("PiecewiseConstantDecay", boundaries=boundaries)
        values = checked_list("PiecewiseConstantDecay", values=values)
        if not all(map(is_number, (*boundaries, *values))):
            raise UsageError("PiecewiseConstantDecay", expected="finite numbers", got=f"{boundaries=}, {values=}")
        ascending = boundaries and sorted(set(boundaries)) == list(boundaries)
        if not ascending or len(values) != len(boundaries) + 1 or len(values) > MOST_VALUES:
            raise UsageError(
                "PiecewiseConstantDecay",
                expected=f"ascending boundaries, and one value more than boundaries, {MOST_VALUES} at most",
                got=f"boundaries={boundaries!r:.60}, values={values!r:.60}",
            )
        self.boundaries = boundaries
        self.values = values
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        """See `LearningRateSchedule`."""
        step = ops.cast(step, "float32")
        rate = ops.full((), self.values[0])
        for boundary, value in zip(self.boundaries, self.values[1:]):
            rate = ops.where(step > boundary, value, rate)
        return rate


class PolynomialDecay(LearningRateSchedule):
    """Goes to `end_learning_rate` in `decay_steps` steps along a power, and stays there.

        rate = end_learning_rate + (initial_learning_rate - end_learning_rate) * (1 - step / decay_steps) ** power

    Args:
        initial_learning_rate: at step 0.
        decay_steps: how many steps it takes.
        end_learning_rate: at the end.
        power: 1 for a straight line.
        cycle: whether to jump up after the end and go down again, over twice, three times ... `decay_steps` from step
            0 on: the least multiple that is not below `step` takes the place of `decay_steps`.
        name: for configuration.

    Raises:
        UsageError: a learning rate that is no number, or `decay_steps` not positive.
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        end_learning_rate: float = 0.0001,
        power: float = 1.0,
        cycle: bool = False,
        name: str = "PolynomialDecay",
    ) -> None:
        check_numbers("PolynomialDecay", -math.inf, initial_learning_rate=initial_learning_rate)
        check_numbers("PolynomialDecay", above=True, decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.end_learning_rate = end_learning_rate
        self.power = power
        self.cycle = cycle
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        """See `LearningRateSchedule`."""
        step = ops.cast(step, "float32")
        length = ops.full((), self.decay_steps, "float32")
        if self.cycle:
            below = whole(step, self.decay_steps)
            length = length * ops.maximum(ops.where(below * length < step, below + 1, below), 1)
        left = ops.maximum(length - step, 0) / length  # 1 - step / length, and exactly 0 at the end
        return (self.initial_learning_rate - self.end_learning_rate) * left**self.power + self.end_learning_rate
