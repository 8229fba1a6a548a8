"""Operations that reduce axes: sums, means, largest values and where they are.

`axis` is None (all axes), a number, or a tuple of numbers; `keepdims` leaves each reduced axis in place with length 1.
Where several elements are the largest, `max` shares the gradient among them equally and `argmax` names the first.
"""

from __future__ import annotations

import builtins
import math
from typing import TypeAlias

from netchu.engines import Array, Shape, xp
from netchu.engines.types import OF_TOTALS as WIDER
from netchu.engines.types import Kind, floats, truths
from netchu.errors import ShapeError
from netchu.ops.arithmetic import largest, sqrt
from netchu.tape import Result, operation
from netchu.tensor import Tensor

Axis: TypeAlias = int | tuple[int, ...] | None


def kept_shape(shape: Shape, axis: Axis) -> Shape:
    """`shape` with length 1 along the reduced axes, e.g. (3, 4), axis=1 -> (3, 1)."""
    reduced = _axes(shape, axis)
    return tuple(1 if i in reduced else n for i, n in enumerate(shape))


def _axes(shape: Shape, axis: Axis) -> list[int]:
    """The numbers of the reduced axes, in order."""
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    return sorted({a % len(shape) for a in axes})


def _keep(y: Array, x: Array, axis: Axis) -> Array:
    """The result `y` of reducing `x`, with the reduced axes back in place."""
    return xp.reshape(y, kept_shape(tuple(x.shape), axis))


def _spread(g: Array, x: Array, axis: Axis) -> Array:
    """Repeat the gradient `g` of a reduced result along the reduced axes, to the shape of `x`."""
    return xp.broadcast_to(_keep(g, x, axis), tuple(x.shape))


def _count(x: Array, axis: Axis) -> int:
    """How many elements of `x` go into each element of the result."""
    return math.prod(x.shape[i] for i in _axes(tuple(x.shape), axis))


def totals(x: Kind) -> tuple[Kind, ...]:
    """Truth values and small whole numbers are added up as 32-bit ones."""
    return (WIDER.get(str(x), x),)


def _of_its_type(y: Array, x: Array) -> Array:
    """The total `y` in the type of `x`: the standard, and NumPy, count whole numbers in 64 bits."""
    return y if y.dtype == x.dtype else xp.astype(y, x.dtype)


@operation(types=totals)
def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """The sum along `axis`; truth values and small whole numbers are added up as 32-bit ones."""
    return _of_its_type(xp.sum(x, axis=axis, keepdims=keepdims), x), (lambda g: _spread(g, x, axis),)


@operation(types=floats)
def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """The mean along `axis`."""
    return xp.sum(x, axis=axis, keepdims=keepdims) / _count(x, axis), (lambda g: _spread(g / _count(x, axis), x, axis),)


@operation(types=totals)
def prod(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """The product along `axis`; the derivative is the product of the other elements.  For whole numbers see `sum`."""
    y = _of_its_type(xp.prod(x, axis=axis, keepdims=keepdims), x)
    return y, (lambda g: _spread(g, x, axis) * _products_of_others(x, axis),)


def _products_of_others(x: Array, axis: Axis) -> Array:
    """For each element the product of all others along `axis`: of those before it, times those behind it.

    To divide the whole product by the element would be shorter, and wrong where that is 0 or the product overflows.
    """
    shape = tuple(x.shape)
    reduced = _axes(shape, axis)
    order = (*(i for i in range(len(shape)) if i not in reduced), *reduced)  # the reduced axes last, as one
    count = math.prod(shape[i] for i in reduced)
    rows = xp.reshape(xp.permute_dims(x, order), (math.prod(shape) // builtins.max(count, 1), count))

    one = xp.ones_like(rows[:, :1])
    before = xp.cumulative_prod(xp.concat([one, rows[:, :-1]], axis=1), axis=1)
    behind = xp.cumulative_prod(xp.concat([one, rows[:, :0:-1]], axis=1), axis=1)[:, ::-1]
    back = tuple(sorted(range(len(order)), key=order.__getitem__))
    return xp.permute_dims(xp.reshape(before * behind, tuple(shape[i] for i in order)), back)


@operation
def max(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """The largest value along `axis`."""
    _check_some("max", x, axis)
    y = xp.max(x, axis=axis, keepdims=keepdims)
    return y, (lambda g: _share(g, x == _keep(y, x, axis), x, axis),)


@operation
def min(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """The smallest value along `axis`."""
    _check_some("min", x, axis)
    y = xp.min(x, axis=axis, keepdims=keepdims)
    return y, (lambda g: _share(g, x == _keep(y, x, axis), x, axis),)


def _check_some(where: str, x: Array, axis: Axis) -> None:
    """Raise ShapeError where an element of the result would stand for no element at all."""
    if not _count(x, axis):
        raise ShapeError(where, expected="at least one element along the axis", got=f"shape={tuple(x.shape)}, {axis=}")


def _share(g: Array, chosen: Array, x: Array, axis: Axis) -> Array:
    """Give `g` to the elements that are `chosen`, in equal parts where there are several."""
    share = xp.astype(chosen, x.dtype)
    return _spread(g, x, axis) * share / xp.sum(share, axis=axis, keepdims=True)


@operation(types=floats)
def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """`log(sum(exp(x)))` along `axis`; the largest value is taken out first, so that nothing overflows."""
    shape = xp.sum(x, axis=axis, keepdims=keepdims).shape
    top = largest(x, axis)
    top = xp.where(xp.isfinite(top), top, 0.0)  # inf - inf would be NaN
    e = xp.exp(x - top)
    total = xp.sum(e, axis=axis, keepdims=True)
    return xp.reshape(xp.log(total) + top, tuple(shape)), (lambda g: _spread(g, x, axis) * e / total,)


@operation(types=floats)
def var(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """The variance along `axis`: the mean square distance from the mean (divided by n, not n - 1)."""
    n = _count(x, axis)
    distance = x - xp.sum(x, axis=axis, keepdims=True) / n
    return xp.sum(distance * distance, axis=axis, keepdims=keepdims) / n, (
        lambda g: _spread(g, x, axis) * 2 * distance / n,
    )


def std(x: Array, axis: Axis = None, keepdims: bool = False) -> Tensor:
    """The standard deviation along `axis`: the square root of `var`."""
    return sqrt(var(x, axis=axis, keepdims=keepdims))


# --- no gradient flows -----------------------------------------------------------------------------------------------


@operation
def argmax(x: Array, axis: int | None = None, keepdims: bool = False) -> Result:
    """The index of the largest value along `axis` (of the flattened array for None); the first of equals."""
    _check_some("argmax", x, axis)
    return xp.astype(xp.argmax(x, axis=axis, keepdims=keepdims), xp.int32), ()


@operation
def argmin(x: Array, axis: int | None = None, keepdims: bool = False) -> Result:
    """The index of the smallest value along `axis` (of the flattened array for None); the first of equals."""
    _check_some("argmin", x, axis)
    return xp.astype(xp.argmin(x, axis=axis, keepdims=keepdims), xp.int32), ()


@operation(types=truths)
def any(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """Whether at least one is true along `axis`."""
    return xp.any(x, axis=axis, keepdims=keepdims), ()


@operation(types=truths)
def all(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """Whether every one is true along `axis`."""
    return xp.all(x, axis=axis, keepdims=keepdims), ()
