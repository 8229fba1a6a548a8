"""Adam and its kin: AdamW, Adamax, Nadam."""

from __future__ import annotations

from typing import Any

import numpy as np

from netchu.arguments import check_numbers
from netchu.engines import Array, xp
from netchu.errors import UsageError
from netchu.optimizers.base import LearningRate, Optimizer, Slots
from netchu.optimizers.slots import Slot


class Adam(Optimizer):
    """Adaptive moments: a running mean of the gradient divided by the root of one of its square.

    For a weight w with gradient g, in step t = 1, 2, ...; the slots m (`momentum`) and v (`velocity`) have w's shape:

        m = m + (g - m) * (1 - beta_1)
        v = v + (g * g - v) * (1 - beta_2)
        alpha = learning_rate * sqrt(1 - beta_2 ** t) / (1 - beta_1 ** t)
        w = w - m * alpha / (sqrt(v) + epsilon)                   amsgrad: the largest v so far in place of v

    Epsilon stands outside the root of the uncorrected v: the paper's "epsilon hat", as in Keras.  The largest v of
    amsgrad is the slot `velocity_hat`.

    Args:
        learning_rate: default 0.001.
        beta_1: how much of the mean gradient stays, 0 to 1.
        beta_2: how much of the mean square stays, 0 to 1.
        epsilon: keeps the quotient finite.
        amsgrad: whether steps may only shrink.
        **settings: weight_decay, clipnorm ...; see `Optimizer`.

    Raises:
        UsageError: a number outside its range, or an unknown argument.

    Example:
        >>> from netchu import Tensor, Variable
        >>> w = Variable([1.0, -2.0])
        >>> Adam(learning_rate=0.1).apply_gradients([(Tensor([0.3, -0.5]), w)])
        >>> [round(x, 3) for x in w.numpy().tolist()]
        [0.9, -1.9]

    References:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015); Reddi, Kale, Kumar, "On the Convergence of
        Adam and Beyond" (2018) for amsgrad.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        check_numbers(type(self).__name__, 0, 1, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.amsgrad = amsgrad

    @property
    def slot_kinds(self) -> tuple[Slot, ...]:
        """`momentum`, `velocity`, and `velocity_hat` for amsgrad."""
        greatest = (Slot("velocity_hat", lifted=True),) if self.amsgrad else ()
        return (Slot("momentum"), Slot("velocity", lifted=True), *greatest)

    def update(self, w: Array, g: Array, slots: Slots, learning_rate: Array, t: Array) -> tuple[Array, Slots]:
        """See `Optimizer.update`."""
        alpha = learning_rate * xp.sqrt(1 - self.beta_2**t) / (1 - self.beta_1**t)
        m = slots["momentum"] + (g - slots["momentum"]) * (1 - self.beta_1)
        v = slots["velocity"] + (g * g - slots["velocity"]) * (1 - self.beta_2)
        new = {"momentum": m, "velocity": v}
        if self.amsgrad:
            new["velocity_hat"] = v = xp.maximum(slots["velocity_hat"], v)
        return w - m * alpha / (xp.sqrt(v) + self.epsilon), new


class AdamW(Adam):
    """Adam with decoupled weight decay: `w -= learning_rate * weight_decay * w` before each of Adam's steps.

    Args:
        learning_rate: default 0.001.
        weight_decay: default 0.004.
        **settings: as for Adam.

    Raises:
        UsageError: no weight decay, a number outside its range, or an unknown argument.

    References:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019).
    """

    def __init__(self, learning_rate: LearningRate = 0.001, weight_decay: float = 0.004, **settings: Any) -> None:
        if weight_decay is None:
            raise UsageError("AdamW", expected="weight_decay >= 0", got="weight_decay=None", do="Without it, use Adam.")
        super().__init__(learning_rate, weight_decay=weight_decay, **settings)


class Adamax(Optimizer):
    """Adam with the largest recent gradient in place of the root mean square.

        m = m + (g - m) * (1 - beta_1)
        u = max(beta_2 * u, |g|)
        w = w - learning_rate / (1 - beta_1 ** t) * m / (u + epsilon)

    The slots m and u are called `momentum` and `norm`: u is an infinity norm whose past fades.

    Args:
        learning_rate: default 0.001.
        beta_1: how much of the mean gradient stays, 0 to 1.
        beta_2: how much of the largest gradient stays, 0 to 1.
        epsilon: keeps the quotient finite.
        **settings: weight_decay, clipnorm ...; see `Optimizer`.

    Raises:
        UsageError: a number outside its range, or an unknown argument.

    References:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015), section 7.1.
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        check_numbers("Adamax", 0, 1, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    @property
    def slot_kinds(self) -> tuple[Slot, ...]:
        """`momentum` and `norm`, which is a maximum and no sum, and so not lifted."""
        return Slot("momentum"), Slot("norm")

    def update(self, w: Array, g: Array, slots: Slots, learning_rate: Array, t: Array) -> tuple[Array, Slots]:
        """See `Optimizer.update`."""
        m = slots["momentum"] + (g - slots["momentum"]) * (1 - self.beta_1)
        u = xp.maximum(self.beta_2 * slots["norm"], xp.abs(g))
        return w - learning_rate * m / ((1 - self.beta_1**t) * (u + self.epsilon)), {"momentum": m, "norm": u}


class Nadam(Optimizer):
    """Adam that looks ahead along its momentum, as Nesterov's does; beta_1 is warmed up over the first 100 steps or so.

        b(t) = beta_1 * (1 - 0.5 * 0.96 ** t)
        p = p * b(t)                                              one number for all weights, at first 1
        m = m + (g - m) * (1 - beta_1)
        v = v + (g * g - v) * (1 - beta_2)
        m_hat = b(t + 1) * m / (1 - p * b(t + 1)) + (1 - b(t)) * g / (1 - p)
        v_hat = v / (1 - beta_2 ** t)
        w = w - learning_rate * m_hat / (sqrt(v_hat) + epsilon)

    The slots m, v and the shared slot p are called `momentum`, `velocity` and `u_product`.  In the paper m, too, is
    averaged with b(t); here with beta_1, as in Keras.

    Args:
        learning_rate: default 0.001.
        beta_1: how much of the mean gradient stays, 0 to 1.
        beta_2: how much of the mean square stays, 0 to 1.
        epsilon: keeps the quotient finite.
        **settings: weight_decay, clipnorm ...; see `Optimizer`.

    Raises:
        UsageError: a number outside its range, or an unknown argument.

    References:
        Dozat, "Incorporating Nesterov Momentum into Adam" (2016).
    """

    def __init__(
        self,
        learning_rate: LearningRate = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        check_numbers("Nadam", 0, 1, beta_1=beta_1, beta_2=beta_2, epsilon=epsilon)
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon

    @property
    def slot_kinds(self) -> tuple[Slot, ...]:
        """`momentum` and `velocity`."""
        return Slot("momentum"), Slot("velocity", lifted=True)

    @property
    def shared_slot_kinds(self) -> tuple[Slot, ...]:
        """`u_product`, of all beta_1 so far."""
        return (Slot("u_product", initial=1.0),)

    def warmed_up(self, t: Array) -> Array:
        """beta_1 in step t: half of it at first."""
        return self.beta_1 * (1 - 0.5 * 0.96**t)

    def update_shared(self, shared: Slots, t: Array) -> Slots:
        """See `Optimizer.update_shared`."""
        return {"u_product": shared["u_product"] * self.warmed_up(t)}

    def update(self, w: Array, g: Array, slots: Slots, learning_rate: Array, t: Array) -> tuple[Array, Slots]:
        """See `Optimizer.update`."""
        b = self.warmed_up(t)
        b_next = self.warmed_up(t + 1)
        p = slots["u_product"]
        # In float32 1 - beta_2 is 5e-5 too large, and so is 1 - beta_2 ** t: in v_hat they cancel, as in Keras.
        beta_1 = float(np.float32(self.beta_1))
        beta_2 = float(np.float32(self.beta_2))
        m = slots["momentum"] + (g - slots["momentum"]) * (1 - beta_1)
        v = slots["velocity"] + (g * g - slots["velocity"]) * (1 - beta_2)
        m_hat = b_next * m / (1 - p * b_next) + (1 - b) * g / (1 - p)
        v_hat = v / (1 - self.beta_2**t)
        return w - learning_rate * m_hat / (xp.sqrt(v_hat) + self.epsilon), {"momentum": m, "velocity": v}
