"""Elementwise operations: a column of formulas with their derivatives.

Two-argument operations broadcast as NumPy does; `sum_to` brings a gradient back to its argument's shape.  Slopes at a
kink: `absolute` 0 at 0; `maximum` and `minimum` give ties to the first argument; `clip` 1 on the bounds, as TensorFlow
has them.  Shapes: any; a result has the broadcast shape of its arguments.
"""

from __future__ import annotations

import math

from netchu import engines
from netchu.arguments import check_choice
from netchu.engines import Array, xp
from netchu.engines.contract import DTYPES
from netchu.engines.types import alike, chosen, counts, floats, truths
from netchu.tape import Result, operation

CASTABLE = ("float16", *DTYPES)


def sum_to(g: Array, x: Array) -> Array:
    """Undo broadcasting: sum the gradient `g` over the axes along which `x` was repeated, to the shape of `x`."""
    shape = tuple(getattr(x, "shape", ()))
    if tuple(g.shape) == shape:
        return g
    lead = len(g.shape) - len(shape)
    repeated = [lead + i for i, n in enumerate(shape) if n == 1 and g.shape[lead + i] != 1]
    return xp.reshape(xp.sum(g, axis=(*range(lead), *repeated)), shape)


# --- two arguments ---------------------------------------------------------------------------------------------------


@operation(types=counts)
def add(x1: Array, x2: Array) -> Result:
    """`x1 + x2`."""
    return x1 + x2, (lambda g: sum_to(g, x1), lambda g: sum_to(g, x2))


@operation(types=counts)
def subtract(x1: Array, x2: Array) -> Result:
    """`x1 - x2`."""
    return x1 - x2, (lambda g: sum_to(g, x1), lambda g: sum_to(-g, x2))


@operation(types=counts)
def multiply(x1: Array, x2: Array) -> Result:
    """`x1 * x2`."""
    return x1 * x2, (lambda g: sum_to(g * x2, x1), lambda g: sum_to(g * x1, x2))


@operation(types=floats)
def divide(x1: Array, x2: Array) -> Result:
    """`x1 / x2`."""
    y = x1 / x2
    return y, (lambda g: sum_to(g / x2, x1), lambda g: sum_to(-g * y / x2, x2))


@operation(types=counts)
def power(x1: Array, x2: Array) -> Result:
    """`x1 ** x2`.  The derivative for the exponent takes log(x1) as 0 where x1 <= 0, as TensorFlow does."""
    y = x1**x2

    def for_base(g: Array) -> Array:
        if isinstance(x2, (int, float)):
            return sum_to(g * x2 * x1 ** (x2 - 1) if x2 else xp.zeros_like(g), x1)  # x ** 0 is flat, at x = 0 too
        return sum_to(xp.where(x2 == 0, 0.0, g * x2 * x1 ** xp.where(x2 == 0, 1.0, x2 - 1)), x1)

    def for_exponent(g: Array) -> Array:
        if isinstance(x1, (int, float)):
            return sum_to(g * y * (math.log(x1) if x1 > 0 else 0.0), x2)
        return sum_to(g * y * xp.log(xp.where(x1 > 0, x1, 1.0)), x2)

    return y, (for_base, for_exponent)


@operation(types=counts)
def maximum(x1: Array, x2: Array) -> Result:
    """The larger of `x1` and `x2`."""
    first = x1 >= x2
    return xp.maximum(x1, x2), (
        lambda g: sum_to(xp.where(first, g, 0.0), x1),
        lambda g: sum_to(xp.where(first, 0.0, g), x2),
    )


@operation(types=counts)
def minimum(x1: Array, x2: Array) -> Result:
    """The smaller of `x1` and `x2`."""
    first = x1 <= x2
    return xp.minimum(x1, x2), (
        lambda g: sum_to(xp.where(first, g, 0.0), x1),
        lambda g: sum_to(xp.where(first, 0.0, g), x2),
    )


# --- one argument ----------------------------------------------------------------------------------------------------


def _where_wanted(g: Array, slope: Array) -> Array:
    """`slope`, which may be infinite, but 1 where the gradient is 0: what `where` cut off behind it shall stay 0."""
    return xp.where(g == 0, 1.0, slope)


def largest(x: Array, axis: int | tuple[int, ...] | None) -> Array:
    """The largest along `axis`, which stays with length 1; zeros where there is none."""
    return xp.max(x, axis=axis, keepdims=True) if math.prod(x.shape) else xp.sum(x, axis=axis, keepdims=True)


@operation(types=counts)
def negative(x: Array) -> Result:
    """`-x`."""
    return -x, (lambda g: -g,)


@operation
def absolute(x: Array) -> Result:
    """`|x|`."""
    return xp.abs(x), (lambda g: g * xp.sign(x),)


@operation(types=counts)
def square(x: Array) -> Result:
    """`x * x`."""
    return x * x, (lambda g: g * 2 * x,)


@operation(types=floats)
def sqrt(x: Array) -> Result:
    """The square root."""
    y = xp.sqrt(x)
    return y, (lambda g: g / (2 * _where_wanted(g, y)),)


@operation(types=floats)
def rsqrt(x: Array) -> Result:
    """`1 / sqrt(x)`."""
    y = 1 / xp.sqrt(x)
    return y, (lambda g: -g * _where_wanted(g, y) ** 3 / 2,)


@operation(types=floats)
def reciprocal(x: Array) -> Result:
    """`1 / x`."""
    y = 1 / x
    return y, (lambda g: -g * _where_wanted(g, y) ** 2,)


@operation(types=floats)
def exp(x: Array) -> Result:
    """`e ** x`."""
    y = xp.exp(x)
    return y, (lambda g: g * y,)


@operation(types=floats)
def expm1(x: Array) -> Result:
    """`e ** x - 1`, accurate near 0."""
    return xp.expm1(x), (lambda g: g * xp.exp(x),)


@operation(types=floats)
def log(x: Array) -> Result:
    """The natural logarithm."""
    return xp.log(x), (lambda g: g / x,)


@operation(types=floats)
def log1p(x: Array) -> Result:
    """`log(1 + x)`, accurate near 0."""
    return xp.log1p(x), (lambda g: g / (1 + x),)


@operation(types=floats)
def sin(x: Array) -> Result:
    """The sine; `x` in radians."""
    return xp.sin(x), (lambda g: g * xp.cos(x),)


@operation(types=floats)
def cos(x: Array) -> Result:
    """The cosine; `x` in radians."""
    return xp.cos(x), (lambda g: -g * xp.sin(x),)


@operation(types=floats)
def tanh(x: Array) -> Result:
    """The hyperbolic tangent."""
    y = xp.tanh(x)
    return y, (lambda g: g * (1 - y * y),)


@operation(types=floats)
def erf(x: Array) -> Result:
    """The error function, `2 / sqrt(pi) * integral of exp(-t * t) from 0 to x`."""
    return xp.erf(x), (lambda g: g * (2 / math.sqrt(math.pi)) * xp.exp(-x * x),)


@operation(types=counts)
def clip(x: Array, x_min: float, x_max: float) -> Result:
    """`x` kept within [x_min, x_max]."""
    inside = xp.logical_and(x >= x_min, x <= x_max)
    return xp.clip(x, x_min, x_max), (lambda g: xp.where(inside, g, 0.0),)


@operation(types=chosen)
def where(condition: Array, x1: Array, x2: Array) -> Result:
    """`x1` where the boolean `condition` holds, else `x2`."""
    return xp.where(condition, x1, x2), (
        None,
        lambda g: sum_to(xp.where(condition, g, 0.0), x1),
        lambda g: sum_to(xp.where(condition, 0.0, g), x2),
    )


@operation(narrow=False)
def cast(x: Array, dtype: str) -> Result:
    """`x` with another element type, e.g. `"float32"`.

    Raises:
        UsageError: no such type.
    """
    check_choice("cast", CASTABLE, dtype=dtype)
    dtype_of_x = x.dtype
    return engines.current().asarray(x, dtype), (lambda g: xp.astype(g, dtype_of_x),)


# --- no gradient flows -----------------------------------------------------------------------------------------------


@operation(types=counts)
def sign(x: Array) -> Result:
    """-1, 0 or 1."""
    return xp.sign(x), ()


@operation(types=floats)
def floor(x: Array) -> Result:
    """The largest whole number that is not larger."""
    return xp.floor(x), ()


@operation(types=counts)
def round(x: Array) -> Result:
    """The nearest whole number; halves go to the even one."""
    return xp.round(x), ()


@operation(types=alike)
def equal(x1: Array, x2: Array) -> Result:
    """`x1 == x2`, elementwise."""
    return xp.equal(x1, x2), ()


@operation(types=alike)
def not_equal(x1: Array, x2: Array) -> Result:
    """`x1 != x2`, elementwise."""
    return xp.not_equal(x1, x2), ()


@operation(types=counts)
def less(x1: Array, x2: Array) -> Result:
    """`x1 < x2`, elementwise."""
    return xp.less(x1, x2), ()


@operation(types=counts)
def less_equal(x1: Array, x2: Array) -> Result:
    """`x1 <= x2`, elementwise."""
    return xp.less_equal(x1, x2), ()


@operation(types=counts)
def greater(x1: Array, x2: Array) -> Result:
    """`x1 > x2`, elementwise."""
    return xp.greater(x1, x2), ()


@operation(types=counts)
def greater_equal(x1: Array, x2: Array) -> Result:
    """`x1 >= x2`, elementwise."""
    return xp.greater_equal(x1, x2), ()


@operation(types=truths)
def logical_and(x1: Array, x2: Array) -> Result:
    """Both, elementwise on booleans."""
    return xp.logical_and(x1, x2), ()


@operation(types=truths)
def logical_or(x1: Array, x2: Array) -> Result:
    """At least one, elementwise on booleans."""
    return xp.logical_or(x1, x2), ()


@operation(types=truths)
def logical_not(x: Array) -> Result:
    """The opposite, elementwise on booleans."""
    return xp.logical_not(x), ()


@operation
def isfinite(x: Array) -> Result:
    """Neither NaN nor infinite, elementwise."""
    return xp.isfinite(x), ()


@operation
def isnan(x: Array) -> Result:
    """Not a number, elementwise."""
    return xp.isnan(x), ()
