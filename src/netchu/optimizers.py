"""Optimizers: how gradients change weights, with Keras's names, defaults and formulas.

    optimizer = optimizers.RMSprop(learning_rate=1e-3)
    optimizer.apply_gradients(zip(gradients, weights))       # by hand; `fit` does the same

Each rule is one pure function, `update`: it takes the weight, its gradient and its slots (arrays of the weight's shape
that the optimizer keeps from step to step) and returns the new weight and the new slots.  Before it, in this order:
clipping, and weight decay `w -= learning_rate * weight_decay * w`.

In float32 a slot whose gradient stays 0 decays into denormal numbers, on which arithmetic is many times slower (MNIST's
border pixels never get a gradient).  `away_from_denormals` ends each step.  It changes no bit of a weight on MNIST (a
test); it could only where gradients stay below about 1e-12 for thousands of steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np

from netchu import engines
from netchu.engines import Array, xp
from netchu.errors import UsageError
from netchu.registry import Configurable, Registry
from netchu.tape import Tensor, Variable, unwrap

Slots: TypeAlias = dict[str, Array]


def away_from_denormals(slot: Array, *, signed: bool) -> Array:
    """The slot with no element in 0 < |x| < 1.2e-38.

    A second moment (never negative) is lifted by 1e-30, so that its root stays far below any epsilon beside it.  A
    signed slot has what is smaller than 1e-30 set to 0.  (Adding and subtracting 1e-28 would be a pass cheaper, but XLA
    knows that this is nothing and leaves it out.)
    """
    return xp.where(xp.abs(slot) < 1e-30, 0.0, slot) if signed else slot + 1e-30


class Optimizer(Configurable):
    """Base: a subclass names its slots and defines `update`.

    Args:
        learning_rate: >= 0; held in float32 in the Variable `learning_rate`, which may be assigned between steps.
        weight_decay: share of each weight, times the learning rate, taken away before the step; None for none.
        clipnorm: greatest Euclidean norm of each gradient.
        clipvalue: greatest absolute value of each element.
        global_clipnorm: greatest norm of all gradients together.  At most one of the three.
        name: for configuration and messages.

    Attributes:
        iterations: Variable, how many steps were made.
        learning_rate: Variable, float32.
        weights: what it was built for.
        slots: one dictionary, name -> Variable, for each weight.

    Raises:
        UsageError: a negative learning rate or weight decay, a clipping bound that is not positive, more than one kind
            of clipping, or an unknown argument.
    """

    signed_slots: tuple[str, ...] = ()
    positive_slots: tuple[str, ...] = ()

    def __init__(
        self,
        learning_rate: float,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        self.refuse_unknown(unknown)
        where = type(self).__name__
        _check_rate(where, learning_rate)
        if sum(c is not None for c in (clipnorm, clipvalue, global_clipnorm)) > 1:
            raise UsageError(
                where,
                expected="at most one of clipnorm, clipvalue, global_clipnorm",
                got=f"{clipnorm=}, {clipvalue=}, {global_clipnorm=}",
            )
        for key, value in {
            "weight_decay": weight_decay,
            "clipnorm": clipnorm,
            "clipvalue": clipvalue,
            "global_clipnorm": global_clipnorm,
        }.items():
            least = 0 if key == "weight_decay" else 1e-30  # a gradient clipped to nothing is no gradient
            if value is not None and not value >= least:
                raise UsageError(where, expected=f"{key} {'>=' if not least else '>'} 0", got=f"{key}={value}")
        self.weight_decay, self.name = weight_decay, name or where.lower()
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.iterations = Variable(np.zeros((), dtype="int64"), trainable=False, name="iterations")
        self._learning_rate = Variable(np.float32(learning_rate), trainable=False, name="learning_rate")
        self.weights: list[Variable] = []
        self.slots: list[dict[str, Variable]] = []

    @property
    def learning_rate(self) -> Variable:
        """The learning rate, a float32 Variable; assigning a number sets its value."""
        return self._learning_rate

    @learning_rate.setter
    def learning_rate(self, value: float) -> None:
        _check_rate(type(self).__name__, value)
        self._learning_rate.assign(np.float32(value))

    @property
    def variables(self) -> list[Variable]:
        """Iterations, learning rate, then each weight's slots."""
        return [self.iterations, self._learning_rate, *(v for slots in self.slots for v in slots.values())]

    @property
    def slot_names(self) -> tuple[str, ...]:
        """The slots that each weight gets with these settings; all, unless a subclass says otherwise."""
        return self.signed_slots + self.positive_slots

    def build(self, weights: Sequence[Variable]) -> None:
        """Make the slots, all zeros, for these weights; a second call with the same weights does nothing.

        Raises:
            UsageError: the optimizer was built for other weights.
        """
        if not self.weights:
            self.weights = list(weights)
            self.slots = [
                {name: Variable(np.zeros(w.shape, w.dtype), trainable=False, name=name) for name in self.slot_names}
                for w in weights
            ]
        elif list(map(id, self.weights)) != list(map(id, weights)):
            raise UsageError(
                type(self).__name__,
                expected="the weights it was built for",
                got=f"{len(weights)} weights {[w.name for w in weights][:6]} after {len(self.weights)} others",
                do="Make a new optimizer for each model.",
            )

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Tensor | None, Variable]]) -> None:
        """Make one step.

        Args:
            grads_and_vars: pairs (gradient, weight), the weights the same ones and in the same order at each call.
                A weight whose gradient is None stays as it is.

        Raises:
            UsageError: no gradient at all, or other weights than at the first call.
        """
        pairs = list(grads_and_vars)
        self.build([w for _, w in pairs])
        gradients = [None if g is None else unwrap(g) for g, _ in pairs]
        if not pairs:
            raise UsageError(
                "apply_gradients", expected="weights to train", got="none", do="Is `trainable` False everywhere?"
            )
        if all(g is None for g in gradients):
            raise UsageError(
                "apply_gradients",
                expected="at least one gradient",
                got="None for every weight",
                do="Compute the loss from the weights inside the `with GradientTape()` block.",
            )
        step = xp.astype(self.iterations.array, xp.float32) + 1
        rate = self._learning_rate.array
        for g, w, slots in zip(self._clipped(gradients), self.weights, self.slots):
            if g is None:
                continue
            weight = w.array if self.weight_decay is None else w.array - w.array * (rate * self.weight_decay)
            updated, new = self.update(weight, g, {name: v.array for name, v in slots.items()}, rate, step)
            w.replace(updated)
            for name, value in new.items():
                slots[name].replace(away_from_denormals(value, signed=name in self.signed_slots))
        self.iterations.replace(self.iterations.array + engines.current().asarray(1, self.iterations.dtype))

    def _clipped(self, gradients: list[Array | None]) -> list[Array | None]:
        """The gradients within the bounds that were asked for."""

        def norm(*arrays: Array) -> Array:
            return xp.sqrt(sum(xp.sum(g * g) for g in arrays))

        if self.clipvalue is not None:
            return [None if g is None else xp.clip(g, -self.clipvalue, self.clipvalue) for g in gradients]
        if self.clipnorm is not None:
            return [None if g is None else g * (self.clipnorm / xp.maximum(norm(g), self.clipnorm)) for g in gradients]
        if self.global_clipnorm is not None:
            total = norm(*(g for g in gradients if g is not None))
            factor = self.global_clipnorm / xp.maximum(total, self.global_clipnorm)
            return [None if g is None else g * factor for g in gradients]
        return gradients

    def update(self, w: Array, g: Array, slots: Slots, learning_rate: Array, t: Array) -> tuple[Array, Slots]:
        """The new weight and the new slots.

        Args:
            w: weight; `g` and each slot have its shape.
            g: gradient.
            slots: by name.
            learning_rate: float32, shape ().
            t: float32, shape (), the number of this step, from 1.
        """
        raise NotImplementedError

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, the learning rate as it is now."""
        rate = float(str(np.float32(self._learning_rate.item())))  # 0.001, not 0.0010000000474974513
        return super().get_config() | {"learning_rate": rate}


def _check_rate(where: str, learning_rate: Any) -> None:
    known = isinstance(learning_rate, (int, float, np.number, Tensor))
    if not known or not 0 <= float(learning_rate) < float("inf"):
        raise UsageError(
            where,
            expected="a learning rate >= 0",
            got=f"learning_rate={learning_rate!r}",
            do=f"Write {where}(learning_rate=1e-3), for example.",
        )


def _within(where: str, low: float, high: float, **values: float) -> None:
    for name, value in values.items():
        if not isinstance(value, (int, float, np.number)) or not low <= value <= high:
            raise UsageError(where, expected=f"{name} from {low} to {high}", got=f"{name}={value}")


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

    signed_slots = ("momentum",)

    def __init__(
        self, learning_rate: float = 0.01, momentum: float = 0.0, nesterov: bool = False, **settings: Any
    ) -> None:
        super().__init__(learning_rate, **settings)
        _within("SGD", 0, 1, momentum=momentum)
        self.momentum, self.nesterov = momentum, nesterov

    @property
    def slot_names(self) -> tuple[str, ...]:
        """`momentum` if it is used."""
        return ("momentum",) if self.momentum else ()

    def update(self, w: Array, g: Array, slots: Slots, learning_rate: Array, t: Array) -> tuple[Array, Slots]:
        """See `Optimizer.update`."""
        if not self.momentum:
            return w - learning_rate * g, {}
        m = self.momentum * slots["momentum"] - learning_rate * g
        return w + (self.momentum * m - learning_rate * g if self.nesterov else m), {"momentum": m}


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

    signed_slots = ("average", "momentum")
    positive_slots = ("velocity",)

    def __init__(
        self,
        learning_rate: float = 0.001,
        rho: float = 0.9,
        momentum: float = 0.0,
        epsilon: float = 1e-7,
        centered: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        _within("RMSprop", 0, 1, rho=rho, momentum=momentum)
        _within("RMSprop", 0, 1, epsilon=epsilon)
        self.rho, self.momentum, self.epsilon, self.centered = rho, momentum, epsilon, centered

    @property
    def slot_names(self) -> tuple[str, ...]:
        """`velocity`, and `average` and `momentum` if they are used."""
        return ("velocity",) + ("average",) * self.centered + ("momentum",) * bool(self.momentum)

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
        **settings: weight_decay, clipnorm, clipvalue, global_clipnorm, name; see `Optimizer`.

    Raises:
        UsageError: a number outside its range, or an unknown argument.

    Example:
        >>> w = Variable([1.0, -2.0])
        >>> Adam(learning_rate=0.1).apply_gradients([(Tensor([0.3, -0.5]), w)])
        >>> [round(x, 3) for x in w.numpy().tolist()]
        [0.9, -1.9]

    References:
        Kingma and Ba, "Adam: A Method for Stochastic Optimization" (2015); Reddi, Kale, Kumar, "On the Convergence of
        Adam and Beyond" (2018) for amsgrad.
    """

    signed_slots = ("momentum",)
    positive_slots = ("velocity", "velocity_hat")

    def __init__(
        self,
        learning_rate: float = 0.001,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-7,
        amsgrad: bool = False,
        **settings: Any,
    ) -> None:
        super().__init__(learning_rate, **settings)
        _within(type(self).__name__, 0, 1, beta_1=beta_1, beta_2=beta_2)
        _within(type(self).__name__, 0, 1, epsilon=epsilon)
        self.beta_1, self.beta_2, self.epsilon, self.amsgrad = beta_1, beta_2, epsilon, amsgrad

    @property
    def slot_names(self) -> tuple[str, ...]:
        """`momentum`, `velocity`, and `velocity_hat` for amsgrad."""
        return ("momentum", "velocity") + ("velocity_hat",) * self.amsgrad

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

    References:
        Loshchilov and Hutter, "Decoupled Weight Decay Regularization" (2019).
    """

    def __init__(self, learning_rate: float = 0.001, weight_decay: float = 0.004, **settings: Any) -> None:
        super().__init__(learning_rate, weight_decay=weight_decay, **settings)


_registry: Registry[Optimizer] = Registry("optimizer", {"sgd": SGD, "rmsprop": RMSprop, "adam": Adam, "adamw": AdamW})
names = list(_registry.table)
classes = tuple(_registry.table.values())


def get(identifier: Any) -> Optimizer:
    """The optimizer for a name (upper or lower case), a class, a configuration, or the optimizer itself."""
    found = _registry.get(identifier)
    if not isinstance(found, Optimizer):
        raise UsageError("optimizer", expected=f"one of {names} or an Optimizer", got=f"{identifier!r}")
    return found
