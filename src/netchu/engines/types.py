"""The element type that the operands of an operation have in common: one rule for every engine.

    common_type("int32", "float32")     # "float32": whole numbers follow the fraction, however wide they are
    common_type("uint8", "int8")        # "int16": the smallest that holds both
    common_type("int32", float)         # "float32": a Python number has no width of its own

Left to themselves the libraries disagree: NumPy computes `exp` of bytes in float16 and adds int32 up in int64,
TensorFlow refuses two types.  So operands are brought to one type before an engine sees them.  The rule is Keras's.

A *kind* is the name of an element type, or Python's own `bool`, `int` or `float` for a number.  The functions below
take the kinds of all operands and give what each shall be; a Python number that may stay one keeps its kind.
"""

from __future__ import annotations

import functools
from typing import Any, TypeAlias

import numpy as np

Kind: TypeAlias = str | type

OF_TOTALS = {"bool": "int32", "int8": "int32", "int16": "int32", "uint8": "uint32", "uint16": "uint32"}
"""In what type many small whole numbers are added or multiplied; all others in their own."""


def is_float(kind: Kind) -> bool:
    """Whether a gradient can flow through numbers of this kind."""
    return kind is float or "float" in str(kind)


def fits(numbers: Any, dtype: str) -> bool:
    """Whether an element type of whole numbers holds each of `numbers`."""
    numbers, bounds = np.asarray(numbers), np.iinfo(dtype)
    return not numbers.size or bool(bounds.min <= numbers.min() and numbers.max() <= bounds.max)


@functools.cache
def common_type(*kinds: Kind) -> str:
    """The element type for all of `kinds`."""
    floats = [kind for kind in kinds if isinstance(kind, str) and is_float(kind)]
    if floats:
        return max(floats, key=lambda name: int(name[-2:]))
    if float in kinds:
        return "float32"
    whole = [kind for kind in kinds if isinstance(kind, str) and kind != "bool"]
    if not whole:
        return "int32" if int in kinds else "bool"
    widest = np.result_type(*whole).name
    return "float32" if widest == "float64" else widest  # no whole numbers hold those of int64 and uint64


@functools.cache
def alike(*kinds: Kind) -> tuple[Kind, ...]:
    """Each in their common type."""
    return _each(common_type(*kinds), kinds)


@functools.cache
def counts(*kinds: Kind) -> tuple[Kind, ...]:
    """Each in their common type, in which truth values count as 0 and 1."""
    common = common_type(*kinds)
    return _each("int32" if common == "bool" else common, kinds)


@functools.cache
def floats(*kinds: Kind) -> tuple[Kind, ...]:
    """Each in their common type, with a fraction: for functions whose results are no whole numbers."""
    return _each(common_type(*kinds, float), kinds)


@functools.cache
def truths(*kinds: Kind) -> tuple[Kind, ...]:
    """Each as truth values: whether it is not 0."""
    return ("bool",) * len(kinds)


@functools.cache
def chosen(condition: Kind, *kinds: Kind) -> tuple[Kind, ...]:
    """A condition, and what is chosen by it in their common type."""
    return ("bool", *alike(*kinds))


def _each(common: str, kinds: tuple[Kind, ...]) -> tuple[Kind, ...]:
    return tuple(kind if kind in (int, float) else common for kind in kinds)
