"""The checks of arguments that many public functions share: each is written once and told who asks.

    check_whole("fit", 1, epochs=epochs)        # fit: expected epochs as a whole number >= 1. Got: epochs=0.
    check_numbers("Dropout", 0, 1, rate=rate)   # Dropout: expected rate from 0 to 1. Got: rate=2.
    check_choice("fit", (True, False, "batch"), shuffle=shuffle)

`where`, the first argument, is the function or class that the user called.  Each raises `UsageError`.
"""

from __future__ import annotations

import math
import numbers
from collections.abc import Sequence
from typing import Any

from netchu.errors import UsageError


def is_whole(value: object) -> bool:
    """Whether `value` is a whole number: Python's or NumPy's, but neither a truth value nor 1.0."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def check_whole(where: str, least: int = 0, most: float = math.inf, *, or_none: bool = False, **values: Any) -> None:
    """Raise UsageError unless each value is a whole number from `least` to `most`.

    Args:
        where: whose arguments they are, for the message.
        least: the least that is allowed.
        most: the greatest that is allowed.
        or_none: whether None is allowed, too.
        **values: by the names of the arguments.
    """
    for name, value in values.items():
        if (or_none and value is None) or (is_whole(value) and least <= value <= most):
            continue
        bounds = f">= {least}" if most == math.inf else f"from {least} to {most:.0f}"
        expected = f"{name} as a whole number {bounds}{' or None' if or_none else ''}"
        raise UsageError(where, expected=expected, got=f"{name}={value!r:.60}")


def positive_integer(where: str, name: str, value: Any) -> int:
    """`value` as an int; UsageError in Keras's words if it is not a positive whole number."""
    if not is_whole(value) or value < 1:
        raise UsageError(
            f"{where}: Received an invalid value for `{name}`, expected a positive integer. Received: {name}={value!r}"
        )
    return int(value)


def check_numbers(
    where: str, low: float = 0.0, high: float = math.inf, *, above: bool = False, below: bool = False, **values: Any
) -> None:
    """Raise UsageError unless each value is a finite number from `low` to `high`.

    Args:
        where: whose arguments they are, for the message.
        low: the least that is allowed; with `above` the greatest that is not.
        high: the greatest that is allowed; with `below` the least that is not.
        above: whether `low` itself is refused.
        below: whether `high` itself is refused.
        **values: by the names of the arguments.
    """
    for name, value in values.items():
        number = isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)
        if number and low <= value <= high and not (above and value == low) and not (below and value == high):
            continue
        if low == -math.inf:
            expected = f"{name} as a finite number"
        elif high == math.inf:
            expected = f"{name} {'>' if above else '>='} {low:g}"
        elif below:
            expected = f"{low:g} {'<' if above else '<='} {name} < {high:g}"
        else:
            expected = f"{name} from {low:g} to {high:g}"
        raise UsageError(where, expected=expected, got=f"{name}={value!r:.60}")


def check_choice(where: str, allowed: Sequence[object], **values: Any) -> None:
    """Raise UsageError unless each value is one of those allowed, of the same type: 1 is not True here.

    Args:
        where: whose arguments they are, for the message.
        allowed: strings, truth values, None.
        **values: by the names of the arguments.
    """
    for name, value in values.items():
        if not any(type(value) is type(one) and value == one for one in allowed):
            expected = f"{name} among {', '.join(map(repr, allowed))}"
            raise UsageError(where, expected=expected, got=f"{name}={value!r:.60}")


def checked_name(where: str, name: Any) -> str:
    """`name` itself, which messages and terminals will show; UsageError if it is not 1 to 100 printable letters."""
    if not (isinstance(name, str) and name.isprintable() and 0 < len(name) <= 100):
        raise UsageError(where, expected="a printable name of 1 to 100 letters", got=f"name={name!r:.60}")
    return name
