"""Learning rates along half a cosine: once, with warm restarts, and in one cycle up and down."""

from __future__ import annotations

import math
from typing import Any

from netchu import ops
from netchu.arguments import check_numbers
from netchu.optimizers.schedules.base import LearningRateSchedule
from netchu.tensor import Tensor


def cosine_fall(p: Tensor) -> Tensor:
    """From 1 at p = 0 to 0 at p = 1 along half a cosine."""
    return 0.5 * (1 + ops.cos(math.pi * p))


class CosineDecay(LearningRateSchedule):
    """Falls along half a cosine to `alpha` of its peak, and stays there; before it, on request, a linear warm-up.

        peak = warmup_target, or initial_learning_rate without warm-up
        p = (step - warmup_steps) / decay_steps
        rate = peak * ((1 - alpha) * 0.5 * (1 + cos(pi * p)) + alpha)
        before step warmup_steps:  rate = initial_learning_rate + (peak - initial_learning_rate) * step / warmup_steps

    Args:
        initial_learning_rate: at step 0.
        decay_steps: how many steps the fall takes, warm-up not counted.
        alpha: the lowest rate, as a share of the peak.
        name: for configuration.
        warmup_target: the rate after the warm-up; None for no warm-up.
        warmup_steps: how many steps the warm-up takes.

    Raises:
        UsageError: a learning rate that is no number, or `decay_steps` not positive.

    References:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017).
    """

    def __init__(
        self,
        initial_learning_rate: float,
        decay_steps: float,
        alpha: float = 0.0,
        name: str = "CosineDecay",
        warmup_target: float | None = None,
        warmup_steps: float = 0,
    ) -> None:
        check_numbers("CosineDecay", -math.inf, initial_learning_rate=initial_learning_rate)
        check_numbers("CosineDecay", above=True, decay_steps=decay_steps)
        self.initial_learning_rate = initial_learning_rate
        self.decay_steps = decay_steps
        self.alpha = alpha
        self.name = name
        self.warmup_target = warmup_target
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Tensor:
        """See `LearningRateSchedule`."""
        step = ops.cast(step, "float32")
        first = self.initial_learning_rate
        peak, warmup = (first, 0) if self.warmup_target is None else (self.warmup_target, self.warmup_steps)
        p = ops.clip((step - warmup) / self.decay_steps, 0, 1)
        falling = peak * ((1 - self.alpha) * cosine_fall(p) + self.alpha)
        return ops.where(step < warmup, first + (peak - first) * step / warmup, falling) if warmup else falling


class CosineDecayRestarts(LearningRateSchedule):
    """Falls along half a cosine, jumps up again, falls more slowly, and so on.

    Period i = 0, 1, ... takes first_decay_steps * t_mul ** i steps; at the share p of it, from 0 to 1:

        rate = initial_learning_rate * ((1 - alpha) * m_mul ** i * 0.5 * (1 + cos(pi * p)) + alpha)

    Args:
        initial_learning_rate: at step 0.
        first_decay_steps: length of the first period.
        t_mul: how much longer each period is than the one before; >= 1 (below it Keras's rate becomes NaN after
            first_decay_steps / (1 - t_mul) steps).
        m_mul: how much higher each period begins.
        alpha: the lowest rate, as a share of the initial one.
        name: for configuration.

    Raises:
        UsageError: a learning rate that is no number, `first_decay_steps` not positive, or `t_mul` below 1.

    References:
        Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts" (2017).
    """

    def __init__(
        self,
        initial_learning_rate: float,
        first_decay_steps: float,
        t_mul: float = 2.0,
        m_mul: float = 1.0,
        alpha: float = 0.0,
        name: str = "SGDRDecay",
    ) -> None:
        check_numbers("CosineDecayRestarts", -math.inf, initial_learning_rate=initial_learning_rate)
        check_numbers("CosineDecayRestarts", above=True, first_decay_steps=first_decay_steps)
        check_numbers("CosineDecayRestarts", 1, t_mul=t_mul)
        self.initial_learning_rate = initial_learning_rate
        self.first_decay_steps = first_decay_steps
        self.t_mul = t_mul
        self.m_mul = m_mul
        self.alpha = alpha
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        """See `LearningRateSchedule`."""
        step = ops.cast(step, "float32")
        n = self.first_decay_steps
        t = self.t_mul

        def start(i: Tensor) -> Tensor:
            """The first step of period i: n + n * t + ... with i terms."""
            return n * i if t == 1 else n * (t**i - 1) / (t - 1)

        i = ops.floor(step / n if t == 1 else ops.log(1 + (t - 1) * step / n) / math.log(t))
        i = ops.where(start(i + 1) <= step, i + 1, i)  # where rounding made i too small
        p = (step - start(i)) / (n * t**i)
        return self.initial_learning_rate * ((1 - self.alpha) * self.m_mul**i * cosine_fall(p) + self.alpha)


class OneCycle(LearningRateSchedule):
    """Up to the maximum and down far below the beginning, both along half a cosine: training in one cycle.

        first, last = maximum_learning_rate / initial_divisor, maximum_learning_rate / final_divisor
        top = warmup_share * total_steps
        up to step top:  rate = first + (maximum - first) * 0.5 * (1 - cos(pi * step / top))
        from there on:   rate = last + (maximum - last) * 0.5 * (1 + cos(pi * (step - top) / (total_steps - top)))

    Keras has no such schedule.  The paper goes in straight lines, and lets the momentum go the other way; here the
    momentum stays, and the cosine is that of the later implementations.

    Args:
        maximum_learning_rate: at the top.
        total_steps: of the training: epochs * steps per epoch.  After them the rate stays.
        warmup_share: of the steps that go up, between 0 and 1.
        initial_divisor: how many times smaller than the maximum the first rate is.
        final_divisor: how many times smaller than the maximum the last rate is.
        name: for configuration.

    Raises:
        UsageError: a number that is not positive, or a `warmup_share` that is not below 1.

    References:
        Smith and Topin, "Super-Convergence: Very Fast Training of Neural Networks Using Large Learning Rates" (2018).
    """

    def __init__(
        self,
        maximum_learning_rate: float,
        total_steps: float,
        *,
        warmup_share: float = 0.3,
        initial_divisor: float = 25.0,
        final_divisor: float = 1e5,
        name: str = "OneCycle",
    ) -> None:
        check_numbers("OneCycle", above=True, maximum_learning_rate=maximum_learning_rate, total_steps=total_steps)
        check_numbers("OneCycle", above=True, initial_divisor=initial_divisor, final_divisor=final_divisor)
        check_numbers("OneCycle", 0, 1, above=True, below=True, warmup_share=warmup_share)
        self.maximum_learning_rate = maximum_learning_rate
        self.total_steps = total_steps
        self.warmup_share = warmup_share
        self.initial_divisor = initial_divisor
        self.final_divisor = final_divisor
        self.name = name

    def __call__(self, step: Any) -> Tensor:
        """See `LearningRateSchedule`."""
        step = ops.cast(step, "float32")
        highest = self.maximum_learning_rate
        first, last = highest / self.initial_divisor, highest / self.final_divisor
        top = self.warmup_share * self.total_steps
        up = step / top
        down = ops.clip((step - top) / (self.total_steps - top), 0, 1)
        rising = highest + (first - highest) * cosine_fall(up)
        return ops.where(step < top, rising, last + (highest - last) * cosine_fall(down))
