"""Operations that move elements about, and the product of matrices.

Indexing (`x[2:4]`, `take`) sends each gradient back to where its element came from; an element taken twice collects
both.  `get_item` understands whole numbers, slices, `...` and None.
"""

from __future__ import annotations

import builtins
import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from netchu.arguments import is_whole
from netchu.engines import Array, Shape, xp
from netchu.errors import ShapeError, UsageError
from netchu.ops.arithmetic import sum_to
from netchu.tape import Result, operation
from netchu.tensor import Tensor


@operation
def matmul(x1: Array, x2: Array) -> Result:
    """The product of matrices over the last two axes: (..., n, k) @ (..., k, m) -> (..., n, m).

    Raises:
        ShapeError: an argument with fewer than two axes, or inner lengths that differ.
    """
    if len(x1.shape) < 2 or len(x2.shape) < 2 or x1.shape[-1] != x2.shape[-2]:
        raise ShapeError(
            "matmul",
            expected="shapes (..., n, k) and (..., k, m)",
            got=f"{tuple(x1.shape)}, {tuple(x2.shape)}",
            do="Use reshape to make a vector a matrix of one row or column.",
        )
    return x1 @ x2, (
        lambda g: sum_to(g @ xp.matrix_transpose(x2), x1),
        lambda g: sum_to(xp.matrix_transpose(x1) @ g, x2),
    )


@operation
def reshape(x: Array, newshape: Shape) -> Result:
    """The same elements in the same order in another shape; one length may be -1."""
    return xp.reshape(x, tuple(newshape)), (lambda g: xp.reshape(g, tuple(x.shape)),)


@operation
def transpose(x: Array, axes: Sequence[int] | None = None) -> Result:
    """The axes in another order; None reverses them."""
    order = tuple(range(len(x.shape)))[::-1] if axes is None else tuple(a % len(x.shape) for a in axes)
    back = tuple(sorted(range(len(order)), key=order.__getitem__))
    return xp.permute_dims(x, order), (lambda g: xp.permute_dims(g, back),)


@operation
def expand_dims(x: Array, axis: int) -> Result:
    """A new axis of length 1 at position `axis`."""
    return xp.expand_dims(x, axis=axis), (lambda g: xp.reshape(g, tuple(x.shape)),)


@operation
def squeeze(x: Array, axis: int | tuple[int, ...] | None = None) -> Result:
    """Without the axes of length 1 (all of them for None)."""
    axes = tuple(i for i, n in enumerate(x.shape) if n == 1) if axis is None else axis
    return xp.squeeze(x, axis=axes), (lambda g: xp.reshape(g, tuple(x.shape)),)


@operation
def broadcast_to(x: Array, shape: Shape) -> Result:
    """`x` repeated along axes of length 1, and along new axes in front, to `shape`."""
    return xp.broadcast_to(x, tuple(shape)), (lambda g: sum_to(g, x),)


def swapaxes(x: Array, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    order = list(range(len(x.shape)))
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return transpose(x, order)


def ravel(x: Array) -> Tensor:
    """All elements in one axis."""
    return reshape(x, (-1,))


# --- several arrays to one -------------------------------------------------------------------------------------------


@operation
def _concatenate(*xs: Array, axis: int) -> Result:
    axis %= len(xs[0].shape)
    starts = [builtins.sum(x.shape[axis] for x in xs[:i]) for i in range(len(xs) + 1)]
    return xp.concat(list(xs), axis=axis), tuple(
        lambda g, a=a, b=b: g[(slice(None),) * axis + (slice(a, b), ...)] for a, b in pairwise(starts)
    )


def concatenate(xs: Sequence[Array], axis: int = 0) -> Tensor:
    """The arrays one after the other along `axis`; their other axes must agree."""
    return _concatenate(*xs, axis=axis)


@operation
def _stack(*xs: Array, axis: int) -> Result:
    axis %= len(xs[0].shape) + 1
    return xp.stack(list(xs), axis=axis), tuple(
        lambda g, i=i: g[(slice(None),) * axis + (i, ...)] for i in range(len(xs))
    )


def stack(x: Sequence[Array], axis: int = 0) -> Tensor:
    """Arrays of one shape, laid along a new axis."""
    return _stack(*x, axis=axis)


# --- choosing elements -----------------------------------------------------------------------------------------------


def _positions(x: Array) -> Array:
    """For each element of `x` its place in the flattened array: indexing this shows where elements come from."""
    return xp.reshape(xp.arange(math.prod(x.shape)), tuple(x.shape))


def _put_back(g: Array, positions: Array, x: Array) -> Array:
    """Zeros like `x`, each element of `g` added at its place."""
    flat = xp.scatter_add(math.prod(x.shape), xp.reshape(positions, (-1,)), xp.reshape(g, (-1,)))
    return xp.reshape(flat, tuple(x.shape))


@operation
def get_item(x: Array, key: Any) -> Result:
    """`x[key]` for whole numbers, slices, `...` and None.  Raises UsageError for anything else: see `take`."""
    parts = tuple(_checked_key(part) for part in (key if isinstance(key, tuple) else (key,)))
    whole = parts if Ellipsis in parts else (*parts, ...)  # the standard wants every axis named
    return x[whole], (lambda g: _put_back(g, _positions(x)[whole], x),)


def _checked_key(part: Any) -> Any:
    """A part of a key: a whole number as an int, a slice, `...` or None; UsageError for anything else."""
    if is_whole(part):
        return int(part)
    if part is None or part is Ellipsis or isinstance(part, slice):
        return part
    raise UsageError(
        "tensor[key]",
        expected="whole numbers, slices, `...` or None",
        got=f"key={part!r:.80}",
        do="Use netchu.ops.take(x, indices, axis) to choose by an array of indices.",
    )


@operation
def take(x: Array, indices: Array, axis: int | None = None) -> Result:
    """The elements at `indices` along `axis` (of the flattened array for None)."""
    flat = xp.reshape(x, (-1,)) if axis is None else x
    along = 0 if axis is None else axis

    def for_x(g: Array) -> Array:
        return _put_back(g, _take(xp.reshape(_positions(x), tuple(flat.shape)), indices, along), x)

    return _take(flat, indices, along), (for_x, None)


def _take(x: Array, indices: Array, axis: int) -> Array:
    """`take` for indices of any shape: that of the standard accepts a row of indices only."""
    axis %= len(x.shape)
    taken = xp.take(x, xp.reshape(indices, (-1,)), axis=axis)
    return xp.reshape(taken, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
