"""The checks of arguments that many public functions share: each is written once, and the caller says whose they are.

    check_whole("fit", 1, epochs=epochs)        # fit: expected epochs as a whole number >= 1. Got: epochs=0.
    check_numbers("Dropout", 0, 1, rate=rate)   # Dropout: expected rate from 0 to 1. Got: rate=2.
    check_choice("fit", (True, False, "batch"), shuffle=shuffle)
    axes = whole_numbers("Softmax", "axis", axis)       # -1 -> [-1], (1, 2) -> [1, 2]

The first argument, `where`, is the function or the class that the user called.  Each raises `UsageError`.  A whole
number is Python's or NumPy's; True and False are no numbers here, and 1.0 is not whole.
"""

from __future__ import annotations

import math
import numbers
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeGuard, TypeVar

from netchu.errors import UsageError

T = TypeVar("T")


def is_whole(value: object) -> TypeGuard[int]:
    """Whether `value` is a whole number: Python's or NumPy's, but neither a truth value nor 1.0."""
    return type(value) is int or (isinstance(value, numbers.Integral) and not isinstance(value, bool))


def is_number(value: object) -> TypeGuard[float]:
    """Whether `value` is a finite real number: Python's or NumPy's, but no truth value."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and math.isfinite(value)


def check_whole(where: str, least: int = 0, most: float = math.inf, *, or_none: bool = False, **values: object) -> None:
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
        hardly_reached = most >= sys.maxsize and not (is_whole(value) and value > most)
        bounds = f">= {least}" if hardly_reached else f"from {least} to {most}"
        expected = f"{name} as a whole number {bounds}{' or None' if or_none else ''}"
        raise UsageError(where, expected=expected, got=f"{name}={value!r:.60}")


def positive_integer(where: str, name: str, value: object) -> int:
    """`value` as an int; UsageError in Keras's words if it is not a positive whole number."""
    if not is_whole(value) or value < 1:
        words = f"{where}: Received an invalid value for `{name}`,"
        raise UsageError(words, expected="a positive integer", got=f"{name}={value!r:.60}")
    return int(value)


def whole_numbers(where: str, name: str, value: object, least: float = -math.inf, *, fewest: int = 1) -> list[int]:
    """`value`, which is one whole number or a sequence of them, as a list of ints.

    Args:
        where: whose argument it is, for the message.
        name: that of the argument.
        value: what the user gave, an axis or a list of axes for example.
        least: the least that each may be.
        fewest: how many there must be at least.

    Raises:
        UsageError: something else, a number that is too small, or too few numbers.
    """
    several = value if isinstance(value, Sequence) else [value]
    found = [int(n) for n in several if is_whole(n) and n >= least]
    if len(found) < max(len(several), fewest):
        bound = "" if least == -math.inf else f" >= {least:.0f}"
        expected = f"{name} as a whole number{bound} or a list of them"
        raise UsageError(where, expected=expected, got=f"{name}={value!r:.60}")
    return found


def axis_among(where: str, axis: object, axes: int, *, name: str = "axis") -> int:
    """`axis` counted from the front, of `axes` axes; UsageError if there is none of that number."""
    if not is_whole(axis) or not -axes <= axis < axes:
        expected = f"{name} as a whole number from {-axes} to {axes - 1}"
        raise UsageError(where, expected=expected, got=f"{name}={axis!r:.60}")
    return int(axis) % axes


def check_numbers(
    where: str, low: float = 0.0, high: float = math.inf, *, above: bool = False, below: bool = False, **values: object
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
        inside = is_number(value) and low <= value <= high
        if inside and not (above and value == low) and not (below and value == high):
            continue
        if low == -math.inf:
            expected = f"{name} as a finite number"
        elif high == math.inf:
            expected = f"{name} {'>' if above else '>='} {low:g}"
        elif above or below:
            expected = f"{low:g} {'<' if above else '<='} {name} {'<' if below else '<='} {high:g}"
        else:
            expected = f"{name} from {low:g} to {high:g}"
        raise UsageError(where, expected=expected, got=f"{name}={value!r:.60}")


def check_choice(where: str, allowed: Sequence[object], **values: object) -> None:
    """Raise UsageError unless each value is one of those allowed; 1 does not stand for True here, nor True for 1.

    Args:
        where: whose arguments they are, for the message.
        allowed: strings, truth values, numbers, None.
        **values: by the names of the arguments.
    """
    for name, value in values.items():
        if not any(_is_the_choice(value, one) for one in allowed):
            expected = f"{name} among {', '.join(map(repr, allowed))}"
            raise UsageError(where, expected=expected, got=f"{name}={value!r:.60}")


def _is_the_choice(value: object, one: object) -> bool:
    return isinstance(value, type(one)) and isinstance(value, bool) is isinstance(one, bool) and value == one


def checked_shape(where: str, shape: object) -> tuple[int, ...]:
    """`shape`, a sequence of whole numbers >= 0, or None for (), as a tuple of ints; UsageError if it is another."""
    shape = () if shape is None else shape
    if (
        isinstance(shape, Sequence)
        and not isinstance(shape, str)
        and all(is_whole(n) and 0 <= n <= sys.maxsize for n in shape)
    ):
        return tuple(map(int, shape))
    do = f"A name is a keyword argument: name={shape!r:.60}." if isinstance(shape, str) else ""
    raise UsageError(where, expected="shape as a tuple of whole numbers >= 0", got=f"shape={shape!r:.60}", do=do)


def returned(where: str, what: str, value: T | None) -> T:
    """`value`, which a function of the user's returned; UsageError if that is None, as where a `return` is forgotten.

    Args:
        where: the function, for the message.
        what: it is to return, e.g. `"a tensor"`.
        value: it returned.
    """
    if value is None:
        raise UsageError(where, expected=what, got="None", do="Return it.")
    return value


def checked_name(where: str, name: object) -> str:
    """`name` itself, which messages and terminals will show; UsageError if it is not 1 to 100 printable letters."""
    if not (isinstance(name, str) and name.isprintable() and 0 < len(name) <= 100):
        raise UsageError(where, expected="a printable name of 1 to 100 letters", got=f"name={name!r:.60}")
    return name


def checked_path(where: str, **values: object) -> str:
    """The name of a file or folder as a text; UsageError if it is neither a text nor a `pathlib.Path`.

    Args:
        where: whose argument it is, for the message.
        **values: it, by the name of the argument.
    """
    ((name, value),) = values.items()
    path = os.fspath(value) if isinstance(value, os.PathLike) else value
    if not isinstance(path, str):
        expected = f"{name} as the name of a file, a str or pathlib.Path"
        raise UsageError(where, expected=expected, got=f"{name}={value!r:.60}")
    return path


def checked_list(where: str, **values: object) -> list[Any]:
    """The items of a list, a tuple or an array; UsageError for what has none, a text or a dictionary.

    Args:
        where: whose argument it is, for the message.
        **values: it, by the name of the argument.
    """
    ((name, value),) = values.items()
    no_list = isinstance(value, (str, bytes, Mapping, type)) or getattr(value, "shape", None) == ()
    if no_list or not isinstance(value, Iterable):
        raise UsageError(where, expected=f"{name} as a list", got=f"{name}={value!r:.60}")
    return list(value)
