"""Operations that reduce axes: sums, means, largest values and where they are.

`axis` is None (all axes), a number, or a tuple of numbers; `keepdims` leaves each reduced axis in place with length 1.
Where several elements are the largest, `max` shares the gradient among them equally and `argmax` names the first.
"""

from __future__ import annotations

import math
from typing import TypeAlias

from netchu.engines import Array, Shape, xp
from netchu.ops.arithmetic import sqrt
from netchu.tape import Result, operation
from netchu.tensor import Tensor

Axis: TypeAlias = int | tuple[int, ...] | None


def kept_shape(shape: Shape, axis: Axis) -> Shape:
    """`shape` with length 1 along the reduced axes, e.g. (3, 4), axis=1 -> (3, 1)."""
    axes = range(len(shape)) if axis is None else (axis,) if isinstance(axis, int) else axis
    reduced = {a % len(shape) for a in axes}
    return tuple(1 if i in reduced else n for i, n in enumerate(shape))


def _keep(y: Array, x: Array, axis: Axis) -> Array:
    """The result `y` of reducing `x`, with the reduced axes back in place."""
    return xp.reshape(y, kept_shape(tuple(x.shape), axis))


def _spread(g: Array, x: Array, axis: Axis) -> Array:
    """Repeat the gradient `g` of a reduced result along the reduced axes, to the shape of `x`."""
    return xp.broadcast_to(_keep(g, x, axis), tuple(x.shape))


def _count(x: Array, axis: Axis) -> int:
    """How many elements of `x` go into each element of the result."""
    return math.prod(n for n, kept in zip(x.shape, kept_shape(tuple(x.shape), axis)) if kept == 1)


@operation
def sum(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """The sum along `axis`."""
    return xp.sum(x, axis=axis, keepdims=keepdims), (lambda g: _spread(g, x, axis),)


@operation
def mean(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """The mean along `axis`."""
    return xp.sum(x, axis=axis, keepdims=keepdims) / _count(x, axis), (lambda g: _spread(g / _count(x, axis), x, axis),)


@operation
def prod(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """The product along `axis`.  The derivative divides by `x`, so it is not defined where an element is 0."""
    y = xp.prod(x, axis=axis, keepdims=keepdims)
    return y, (lambda g: _spread(g * y, x, axis) / x,)


@operation
def max(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """The largest value along `axis`."""
    y = xp.max(x, axis=axis, keepdims=keepdims)
    return y, (lambda g: _share(g, x == _keep(y, x, axis), x, axis),)


@operation
def min(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """The smallest value along `axis`."""
    y = xp.min(x, axis=axis, keepdims=keepdims)
    return y, (lambda g: _share(g, x == _keep(y, x, axis), x, axis),)


def _share(g: Array, chosen: Array, x: Array, axis: Axis) -> Array:
    """Give `g` to the elements that are `chosen`, in equal parts where there are several."""
    share = xp.astype(chosen, x.dtype)
    return _spread(g, x, axis) * share / xp.sum(share, axis=axis, keepdims=True)


@operation
def logsumexp(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """`log(sum(exp(x)))` along `axis`; the largest value is taken out first, so that nothing overflows."""
    top = xp.max(x, axis=axis, keepdims=True)
    y = xp.log(xp.sum(xp.exp(x - top), axis=axis, keepdims=True)) + top
    shape = xp.sum(x, axis=axis, keepdims=keepdims).shape
    return xp.reshape(y, tuple(shape)), (lambda g: _spread(g, x, axis) * xp.exp(x - y),)


@operation
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
    return xp.argmax(x, axis=axis, keepdims=keepdims), ()


@operation
def argmin(x: Array, axis: int | None = None, keepdims: bool = False) -> Result:
    """The index of the smallest value along `axis` (of the flattened array for None); the first of equals."""
    return xp.argmin(x, axis=axis, keepdims=keepdims), ()


@operation
def any(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """Whether at least one is true along `axis`."""
    return xp.any(x, axis=axis, keepdims=keepdims), ()


@operation
def all(x: Array, axis: Axis = None, keepdims: bool = False) -> Result:
    """Whether every one is true along `axis`."""
    return xp.all(x, axis=axis, keepdims=keepdims), ()
