"""What an optimizer refuses; each message says what would be right."""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from netchu.arguments import check_numbers, check_whole, is_number
from netchu.engines.types import is_float
from netchu.errors import UsageError
from netchu.optimizers import schedules
from netchu.optimizers.schedules import LearningRateSchedule
from netchu.tensor import Tensor, Variable

GREATEST_RATE = float(np.finfo("float32").max)


def learning_rate_of(where: str, given: Any) -> Variable | LearningRateSchedule | Callable[[], Any]:
    """What was given as learning rate: a number as a Variable, a configuration as its schedule, functions as they are.

    Raises:
        UsageError: something else, or a number that is negative or not finite.
    """
    if isinstance(given, Mapping):
        return schedules.deserialize(given)
    if isinstance(given, LearningRateSchedule):
        return given
    if callable(given) and not isinstance(given, type):
        try:
            inspect.signature(given).bind()
        except TypeError:
            raise UsageError(
                where,
                expected="a learning rate, or a function of no arguments that gives it",
                got=f"learning_rate={given!r}",
                do="To compute it from the step, derive from optimizers.schedules.LearningRateSchedule.",
            ) from None
        function: Callable[[], Any] = given
        return function
    number = float(given) if is_number(given) or isinstance(given, Tensor) else math.nan
    if not 0 <= number <= GREATEST_RATE:
        raise UsageError(
            where,
            expected="a learning rate >= 0",
            got=f"learning_rate={given!r}",
            do=f"Write {where}(learning_rate=1e-3), for example.",
        )
    return Variable(np.float32(number), trainable=False, name="learning_rate")


def check_bounds(where: str, weight_decay: float | None, **clipping_bounds: float | None) -> None:
    """Raise UsageError for a negative weight decay, a bound that is not positive, or more than one bound."""
    if sum(bound is not None for bound in clipping_bounds.values()) > 1:
        raise UsageError(
            where,
            expected=f"at most one of {', '.join(clipping_bounds)}",
            got=", ".join(f"{name}={bound}" for name, bound in clipping_bounds.items()),
        )
    if weight_decay is not None:
        check_numbers(where, weight_decay=weight_decay)
    given: dict[str, Any] = {name: bound for name, bound in clipping_bounds.items() if bound is not None}
    check_numbers(where, 1e-30, above=True, **given)  # still less would be 0 in float32, and divide 0 by 0


def check_averaging(where: str, momentum: float, overwrite_frequency: int | None) -> None:
    """Raise UsageError for a momentum outside 0 to 1, or a frequency that is no positive whole number or None."""
    check_numbers(where, 0, 1, ema_momentum=momentum)
    check_whole(where, 1, 2**31 - 1, or_none=True, ema_overwrite_frequency=overwrite_frequency)


def check_gradients(pairs: list[tuple[Tensor | None, Variable]]) -> None:
    """Look at what is to be learnt from: warn of weights without a gradient, or if there is nothing to train.

    Raises:
        UsageError: no weight has a gradient, or one of whole numbers has.
    """
    if not pairs:
        warnings.warn(
            "There are no trainable weights, so nothing is learnt: `trainable` is False everywhere.", stacklevel=3
        )
        return
    for g, w in pairs:
        if g is not None and not is_float(w.dtype):  # what is left of an update of 0.1 would be 0
            raise UsageError(
                "apply_gradients",
                expected="weights of floating-point numbers",
                got=f"the variable {w.name!r} of dtype={w.dtype}",
                do='Write dtype="float32", or trainable=False for what is not to be trained.',
            )
    if all(g is None for g, _ in pairs):
        raise UsageError(
            "apply_gradients",
            expected="at least one gradient",
            got="None for every weight",
            do="Compute the loss from the weights inside the `with GradientTape()` block.",
        )
    without = [f"{w.name} {w.shape}" for g, w in pairs if g is None]
    if without:
        warnings.warn(
            f"Gradients do not exist for variables {', '.join(without)} when minimizing the loss, so they stay as they "
            "are.  Is the gradient cut between them and the loss, or did you forget to give compile() a loss?",
            stacklevel=3,
        )
