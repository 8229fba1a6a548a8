"""What all optimizers share: the learning rate, weight decay, accumulation, the slots, and the order of a step.

A step does, in this order: the mean of the accumulated gradients, clipping, weight decay
`w -= learning_rate * weight_decay * w`, the rule (`update`), the weights' moving averages, the weights' constraints.
Slots are kept away from denormal numbers: `denormals.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from netchu import engines
from netchu.arguments import checked_name, returned
from netchu.engines import Array, xp
from netchu.errors import UsageError, missing_method
from netchu.listening import Stage, listener
from netchu.optimizers import clipping
from netchu.optimizers.checks import check_averaging, check_bounds, check_gradients, learning_rate_of
from netchu.optimizers.schedules import LearningRateSchedule
from netchu.optimizers.slots import Slot
from netchu.registry import Configurable, rewritten, to_json
from netchu.tensor import Tensor, Variable, to_array, unwrap, wrap

Slots: TypeAlias = dict[str, Array]
LearningRate: TypeAlias = float | LearningRateSchedule | Callable[[], Any]

ACCUMULATOR = "gradient_accumulator"
AVERAGE = "moving_average"  # RMSprop has an "average" of its own, of the gradient
MEAN_GRADIENT = Slot(ACCUMULATOR)  # of `gradient_accumulation_steps`
MOVING_AVERAGE = Slot(AVERAGE)  # of `use_ema`


def _made(slot: Slot, shape: tuple[int, ...], dtype: str) -> Variable:
    return Variable(np.full(shape, slot.initial, dtype), trainable=False, name=slot.name)


def _keep(variable: Variable, value: Array, due: Array | None) -> None:
    """Give a Variable its new value, if this call is to make an update."""
    variable.replace(value if due is None else xp.where(due, value, variable.array))


class Optimizer(Configurable):
    """Base: a subclass names its slots and defines `update`.

    Args:
        learning_rate: >= 0, held in float32 in the Variable `learning_rate`, which may be assigned between steps; or a
            `LearningRateSchedule`; or a function without arguments that is called in each step (under an engine that
            traces: once).
        weight_decay: share of each weight, times the learning rate, taken away before the step; None for none.
        clipnorm: greatest Euclidean norm of each gradient.
        clipvalue: greatest absolute value of each element.
        global_clipnorm: greatest norm of all gradients together.  At most one of the three.
        use_ema: keep an exponential moving average of each weight, the slot `moving_average`: at first `a = w`, then
            `a = ema_momentum * a + (1 - ema_momentum) * w`.  `fit` ends with the averages as weights; with the callback
            `SwapEMAWeights` validation has them, too.
        ema_momentum: how much of the average stays, 0 to 1.
        ema_overwrite_frequency: put the averages into the weights at every so-many-th update; None for never.
        gradient_accumulation_steps: make one update for so many calls, 2 or more, with the mean of their gradients.
            Schedules count calls, `iterations` counts updates; averages take in the weights at each call, as in Keras.
        name: for configuration and messages.

    Attributes:
        learning_rate_source: what gives the learning rate: a Variable, a schedule, or a function.
        weights: what it was built for.
        slots: one dictionary, name -> Variable, for each weight.
        shared_slots: the slots of no single weight, name -> Variable.

    Raises:
        UsageError: a negative learning rate or weight decay, a clipping bound that is not positive (above 1e-30), more
            than one kind of clipping, with `use_ema` an average that cannot be, or an unknown argument.

    References:
        Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging" (1992), for the averages.
    """

    def __init__(
        self,
        learning_rate: LearningRate,
        *,
        weight_decay: float | None = None,
        clipnorm: float | None = None,
        clipvalue: float | None = None,
        global_clipnorm: float | None = None,
        use_ema: bool = False,
        ema_momentum: float = 0.99,
        ema_overwrite_frequency: int | None = None,
        gradient_accumulation_steps: int | None = None,
        name: str | None = None,
        **unknown: Any,
    ) -> None:
        self.refuse_unknown(unknown)
        where = type(self).__name__
        check_bounds(where, weight_decay, clipnorm=clipnorm, clipvalue=clipvalue, global_clipnorm=global_clipnorm)
        if use_ema:  # as in Keras, what is not used may be anything
            check_averaging(where, ema_momentum, ema_overwrite_frequency)
        n = gradient_accumulation_steps
        if n is not None and not (isinstance(n, (int, np.integer)) and 2 <= n < 2**31):
            raise UsageError(
                where, expected="gradient_accumulation_steps >= 2 or None", got=f"gradient_accumulation_steps={n!r:.60}"
            )
        self.weight_decay, self.name = weight_decay, where.lower() if name is None else checked_name(where, name)
        self.clipnorm, self.clipvalue, self.global_clipnorm = clipnorm, clipvalue, global_clipnorm
        self.use_ema, self.ema_momentum = bool(use_ema), ema_momentum
        self.ema_overwrite_frequency = ema_overwrite_frequency
        self.gradient_accumulation_steps = n
        self._calls = Variable(np.zeros((), dtype="int64"), trainable=False, name="iterations")
        self.learning_rate_source = learning_rate_of(where, learning_rate)
        self.weights: list[Variable] = []
        self.slots: list[dict[str, Variable]] = []
        self.shared_slots: dict[str, Variable] = {}
        self._without_decay: tuple[list[Variable], list[str]] = ([], [])

    @property
    def learning_rate(self) -> Tensor:
        """The learning rate now, float32: the Variable that may be assigned, or a Tensor if it is a function."""
        rate = self.learning_rate_source
        if isinstance(rate, Variable):
            return rate
        return wrap(to_array(rate(self._calls) if isinstance(rate, LearningRateSchedule) else rate(), "float32"))

    @learning_rate.setter
    def learning_rate(self, value: LearningRate) -> None:
        where, new = type(self).__name__, learning_rate_of(type(self).__name__, value)
        if isinstance(new, Variable) and isinstance(self.learning_rate_source, Variable):
            self.learning_rate_source.replace(new.array)
        elif isinstance(new, Variable):
            raise UsageError(
                where,
                expected=f"no number for a learning rate that {self.learning_rate_source!r} computes",
                got=f"learning_rate={value!r}",
                do=f"Make it {where}(learning_rate={value!r}) to assign numbers later.",
            )
        elif self.weights:  # a traced step would go on with the old one
            raise UsageError(
                where,
                expected="a schedule before the first step",
                got=f"learning_rate={value!r}",
                do=f"Compile again with {where}(learning_rate=...).",
            )
        else:
            self.learning_rate_source = new

    @property
    def iterations(self) -> Tensor:
        """How many updates were made: the Variable that counts calls, or with accumulation a Tensor."""
        n = self.gradient_accumulation_steps
        return self._calls if n is None else wrap(engines.current().asarray(self._calls.array // n))

    def state(self, names: Mapping[int, str] | None = None) -> dict[str, Variable]:
        """Every Variable that a step reads or changes, by name: "iterations", "dense/kernel/momentum" ...

        Args:
            names: id of a weight -> its name; its number by default.
        """
        named = {"iterations": self._calls}
        if isinstance(self.learning_rate_source, Variable):
            named["learning_rate"] = self.learning_rate_source
        for i, (w, slots) in enumerate(zip(self.weights, self.slots)):
            named |= {f"{(names or {}).get(id(w), i)}/{name}": slot for name, slot in slots.items()}
        return named | self.shared_slots

    @property
    def variables(self) -> list[Variable]:
        """Iterations, learning rate if it is a number, each weight's slots, shared slots."""
        return list(self.state().values())

    @property
    def slot_kinds(self) -> tuple[Slot, ...]:
        """The slots that each weight gets with these settings."""
        return ()

    @property
    def shared_slot_kinds(self) -> tuple[Slot, ...]:
        """The slots of shape (), one for all weights."""
        return ()

    def exclude_from_weight_decay(
        self, var_list: Sequence[Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """Spare weights from weight decay; a later call replaces an earlier one.

        Args:
            var_list: these weights.
            var_names: and those in whose name one of these is found, as a regular expression: `["bias"]`.

        Raises:
            UsageError: the optimizer is built.
        """
        if self.weights:
            raise UsageError("exclude_from_weight_decay", expected="a call before the first step", got="one after it")
        self._without_decay = (list(var_list or ()), list(var_names or ()))

    def build(self, weights: Sequence[Variable]) -> None:
        """Make the slots for these weights; a second call with the same weights does nothing.

        Raises:
            UsageError: the optimizer was built for other weights.
        """
        if not self.weights:
            common = (*([MOVING_AVERAGE] if self.use_ema else []),
                      *([MEAN_GRADIENT] if self.gradient_accumulation_steps else []))  # fmt: skip
            self.weights = list(weights)
            self.slots = [
                {slot.name: _made(slot, w.shape, w.dtype) for slot in (*common, *self.slot_kinds)} for w in weights
            ]
            self.shared_slots = {slot.name: _made(slot, (), "float32") for slot in self.shared_slot_kinds}
        elif list(map(id, self.weights)) != list(map(id, weights)):
            raise UsageError(
                type(self).__name__,
                expected="the weights it was built for",
                got=f"{len(weights)} weights {[w.name for w in weights][:6]} after {len(self.weights)} others",
                do="Make a new optimizer for each model.",
            )

    # --- a step ------------------------------------------------------------------------------------------------------

    def apply(self, grads: Iterable[Tensor | None], trainable_variables: Iterable[Variable] | None = None) -> None:
        """`apply_gradients` with gradients and weights apart; None for the weights it was built for."""
        weights = self.weights if trainable_variables is None else trainable_variables
        self.apply_gradients(zip(grads, weights, strict=True))

    def apply_gradients(self, grads_and_vars: Iterable[tuple[Tensor | None, Variable]]) -> None:
        """Make one step.

        Args:
            grads_and_vars: pairs (gradient, weight), the weights the same ones and in the same order at each call.
                A weight whose gradient is None stays as it is, with a warning; without pairs nothing happens.

        Raises:
            UsageError: no gradient at all, or other weights than at the first call.
        """
        pairs = list(grads_and_vars)
        check_gradients(pairs)
        if not pairs:
            return
        self.build([w for _, w in pairs])
        gradients, due = self._accumulate([None if g is None else unwrap(g) for g, _ in pairs])
        rate = self.learning_rate.array
        t = xp.astype(self.iterations.array, xp.float32) + 1
        shared = self.update_shared({name: v.array for name, v in self.shared_slots.items()}, t)
        for i, g in enumerate(self._clip(gradients)):
            if g is not None:
                self._follow_rule(i, self._decay(self.weights[i], rate), g, shared, rate, t, due)
        for name, value in shared.items():
            _keep(self.shared_slots[name], value, due)
        self._average()
        self._constrain(gradients)
        self._calls.replace(self._calls.array + engines.current().asarray(1, self._calls.dtype))

    # The stages of `netchu.listening.STAGES`, in the order in which they happen.

    def _accumulate(self, gradients: list[Array | None]) -> tuple[list[Array | None], Array | None]:
        """The mean gradients since the last update, and whether this call is to make one; None for always."""
        n = self.gradient_accumulation_steps
        if n is None:
            return gradients, None
        due = xp.equal((self._calls.array + 1) % n, 0)
        means: list[Array | None] = []
        for g, w, slots in zip(gradients, self.weights, self.slots):
            before = slots[ACCUMULATOR].array
            total = before if g is None else before + g
            means.append(None if g is None else total / n)
            slots[ACCUMULATOR].replace(xp.where(due, 0.0, total))
            if (hears := listener()) and g is not None:
                after = {"gradient": means[-1], ACCUMULATOR: slots[ACCUMULATOR].array}
                hears.on_stage(Stage("accumulation", w, {"gradient": g, ACCUMULATOR: before}, after))
        return means, due

    def _clip(self, gradients: list[Array | None]) -> list[Array | None]:
        """The gradients within the bounds that were asked for."""
        if self.clipvalue is not None:
            clipped = clipping.by_value(gradients, self.clipvalue)
        elif self.clipnorm is not None:
            clipped = clipping.by_norm(gradients, self.clipnorm)
        elif self.global_clipnorm is not None:
            clipped = clipping.by_global_norm(gradients, self.global_clipnorm)
        else:
            return gradients
        if hears := listener():
            for w, g, c in zip(self.weights, gradients, clipped):
                if g is not None:
                    hears.on_stage(Stage("clipping", w, {"gradient": g}, {"gradient": c}))
        return clipped

    def _decay(self, w: Variable, rate: Array) -> Array:
        """The weight without the share that decays."""
        if not self._decays(w):
            return w.array
        decayed = w.array - w.array * (rate * self.weight_decay)
        if hears := listener():
            hears.on_stage(Stage("decay", w, {"weight": w.array}, {"weight": decayed}))
        return decayed

    def _follow_rule(
        self, i: int, weight: Array, g: Array, shared: Slots, rate: Array, t: Array, due: Array | None
    ) -> None:
        """Give weight number `i`, of which `weight` is left after its decay, and its slots their new values."""
        w = self.weights[i]
        slots = self.slots[i]
        own = {slot.name: slot.at_the_beginning(slots[slot.name].array) for slot in self.slot_kinds}
        updated, new = self.update(weight, g, own | shared, rate, t)
        _keep(w, updated, due)
        for name, value in new.items():
            _keep(slots[name], value, due)
        if hears := listener():
            before = {"gradient": g, "weight": weight, **own, **shared}
            after = {"weight": w.array, **{name: slots[name].array for name in new}}
            hears.on_stage(Stage("rule", w, before, after))

    def _average(self) -> None:
        """Take the weights into their averages; at each `ema_overwrite_frequency`-th update, these into the weights."""
        if not self.use_ema:
            return
        updates = self.iterations.array
        every = self.ema_overwrite_frequency
        for w, slots in zip(self.weights, self.slots):
            weight, average_before = w.array, slots[AVERAGE].array
            stays = xp.astype(xp.not_equal(updates, 0), w.array.dtype) * self.ema_momentum
            average = MOVING_AVERAGE.at_the_beginning(stays * slots[AVERAGE].array + (1 - stays) * w.array)
            slots[AVERAGE].replace(average)
            if every is not None:
                w.replace(xp.where(xp.equal((updates + 1) % every, 0), average, w.array))
            if hears := listener():
                before = {"weight": weight, AVERAGE: average_before}
                hears.on_stage(Stage("averages", w, before, {"weight": w.array, AVERAGE: slots[AVERAGE].array}))

    def _constrain(self, gradients: list[Array | None]) -> None:
        """Put the weights that were updated through their constraints."""
        for g, w in zip(gradients, self.weights):
            if g is not None and w.constraint is not None:
                before = w.array
                w.replace(unwrap(returned(f"{w.constraint!r:.60}", "a weight", w.constraint(w))))
                if hears := listener():
                    hears.on_stage(Stage("constraints", w, {"weight": before}, {"weight": w.array}))

    def finalize_variable_values(self, var_list: Sequence[Variable]) -> None:
        """With `use_ema`, give the weights the values of their averages, as `fit` does at its end.

        Before the first step there are no averages, and nothing happens.

        Args:
            var_list: the weights it was built for.

        Raises:
            UsageError: other weights.
        """
        if self.use_ema and int(self._calls) > 0:
            self.build(var_list)
            for w, slots in zip(self.weights, self.slots):
                w.assign(slots[AVERAGE].numpy())

    def _decays(self, w: Variable) -> bool:
        spared, patterns = self._without_decay
        if self.weight_decay is None or any(w is other for other in spared):
            return False
        return not any(re.search(pattern, w.name) for pattern in patterns)

    def update(self, w: Array, g: Array, slots: Slots, learning_rate: Array, t: Array) -> tuple[Array, Slots]:
        """The new weight and the new slots: a pure function.

        Args:
            w: weight; `g` and each slot have its shape.
            g: gradient.
            slots: by name; the shared ones, of shape (), are among them.
            learning_rate: float32, shape ().
            t: float32, shape (), the number of this update, from 1.
        """
        raise missing_method(self, "update(self, w, g, slots, learning_rate, t)")

    def update_shared(self, shared: Slots, t: Array) -> Slots:
        """The new shared slots, before the weights are updated; a pure function."""
        return shared

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments, a learning rate that is a number as it is now."""
        rate = self.learning_rate_source
        if not isinstance(rate, Variable):
            return rewritten(super().get_config(), learning_rate=to_json(rate))
        shortest = float(str(np.float32(rate.item())))  # 0.001, not 0.0010000000474974513
        return rewritten(super().get_config(), learning_rate=shortest)
