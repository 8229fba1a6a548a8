"""Operations that move elements about, and the product of matrices.

Indexing (`x[2:4]`, `take`) sends each gradient back to where its element came from; an element taken twice collects
both.  `get_item` understands whole numbers, slices, `...` and None.
"""

from __future__ import annotations

import builtins
import math
import operator
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from netchu import engines
from netchu.arguments import axis_among, checked_list, is_whole, whole_numbers
from netchu.engines import Array, Shape, xp
from netchu.engines.types import Kind, alike
from netchu.errors import ShapeError, UsageError
from netchu.ops.arithmetic import sum_to
from netchu.tape import Result, operation
from netchu.tensor import Tensor, as_tensor, unwrap


def _products(x1: Kind, x2: Kind) -> tuple[Kind, ...]:
    """The common type; products of bytes are added up as 32-bit numbers."""
    return ("int32", "int32") if x1 == x2 == "int8" else alike(x1, x2)


@operation(types=_products, numbers=False)
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
    return xp.matmul(x1, x2), (
        lambda g: sum_to(g @ xp.matrix_transpose(x2), x1),
        lambda g: sum_to(xp.matrix_transpose(x1) @ g, x2),
    )


@operation
def reshape(x: Array, newshape: int | Shape) -> Result:
    """The same elements in the same order in another shape; one length may be -1."""
    return xp.reshape(x, _shape("reshape", "newshape", newshape)), (lambda g: xp.reshape(g, tuple(x.shape)),)


def _shape(where: str, name: str, value: int | Shape) -> Shape:
    """A shape, or one length for it, as a tuple of ints."""
    return tuple(whole_numbers(where, name, value, -1, fewest=0))


@operation
def transpose(x: Array, axes: Sequence[int] | None = None) -> Result:
    """The axes in another order; None reverses them."""
    n = len(x.shape)
    order = tuple(range(n))[::-1] if axes is None else tuple(axis_among("transpose", a, n) for a in axes)
    back = tuple(sorted(range(len(order)), key=order.__getitem__))
    return xp.permute_dims(x, order), (lambda g: xp.permute_dims(g, back),)


@operation
def expand_dims(x: Array, axis: int | Sequence[int]) -> Result:
    """A new axis of length 1 at position `axis` of the result, or several."""
    axes = whole_numbers("expand_dims", "axis", axis)
    y = x
    for a in sorted(axis_among("expand_dims", a, len(x.shape) + len(axes)) for a in axes):
        y = xp.expand_dims(y, axis=a)
    return y, (lambda g: xp.reshape(g, tuple(x.shape)),)


@operation
def squeeze(x: Array, axis: int | tuple[int, ...] | None = None) -> Result:
    """Without the axes of length 1 (all of them for None)."""
    axes = tuple(i for i, n in enumerate(x.shape) if n == 1) if axis is None else axis
    return xp.squeeze(x, axis=axes), (lambda g: xp.reshape(g, tuple(x.shape)),)


@operation
def broadcast_to(x: Array, shape: int | Shape) -> Result:
    """`x` repeated along axes of length 1, and along new axes in front, to `shape`."""
    return xp.broadcast_to(x, _shape("broadcast_to", "shape", shape)), (lambda g: sum_to(g, x),)


def swapaxes(x: Array, axis1: int, axis2: int) -> Tensor:
    """Two axes exchanged."""
    x = as_tensor(x)
    order = list(range(x.ndim))
    axis1, axis2 = axis_among("swapaxes", axis1, x.ndim), axis_among("swapaxes", axis2, x.ndim)
    order[axis1], order[axis2] = order[axis2], order[axis1]
    return transpose(x, order)


def ravel(x: Array) -> Tensor:
    """All elements in one axis."""
    return reshape(x, (-1,))


# --- several arrays to one -------------------------------------------------------------------------------------------


@operation(types=alike, numbers=False)
def _concatenate(*xs: Array, axis: int) -> Result:
    axis = axis_among("concatenate", axis, len(xs[0].shape))
    starts = [builtins.sum(x.shape[axis] for x in xs[:i]) for i in range(len(xs) + 1)]
    return xp.concat(list(xs), axis=axis), tuple(
        lambda g, a=a, b=b: g[(slice(None),) * axis + (slice(a, b), ...)] for a, b in pairwise(starts)
    )


def concatenate(xs: Sequence[Array], axis: int = 0) -> Tensor:
    """The arrays one after the other along `axis`; their other axes must agree."""
    return _concatenate(*checked_list("concatenate", xs=xs), axis=axis)


@operation(types=alike, numbers=False)
def _stack(*xs: Array, axis: int) -> Result:
    axis = axis_among("stack", axis, len(xs[0].shape) + 1)
    return xp.stack(list(xs), axis=axis), tuple(
        lambda g, i=i: g[(slice(None),) * axis + (i, ...)] for i in range(len(xs))
    )


def stack(x: Sequence[Array], axis: int = 0) -> Tensor:
    """Arrays of one shape, laid along a new axis."""
    return _stack(*checked_list("stack", x=x), axis=axis)


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
    """`x[key]` for whole numbers, slices, `...` and None; a number may be NumPy's, or a Tensor of no axes.

    Raises:
        UsageError: any other key, or a number outside its axis: see `take` for an array of indices.
    """
    parts = [_checked_key(part) for part in (key if isinstance(key, tuple) else (key,))]
    if not builtins.any(part is Ellipsis for part in parts):
        parts.append(Ellipsis)  # the standard wants every axis named
    _check_within(tuple(x.shape), parts)
    computed = _computed(len(x.shape), parts)
    whole = tuple(0 if engines.current().is_traced(part) else part for part in parts)

    def chosen(y: Array) -> Array:
        for axis, index in computed:
            index = xp.where(index < 0, index + x.shape[axis], index)
            y = xp.take(y, xp.reshape(index, (1,)), axis=axis)
        return y[whole]

    return chosen(x), (lambda g: _put_back(g, chosen(_positions(x)), x),)


def _computed(axes: int, key: list[Any]) -> list[tuple[int, Array]]:
    """Each number in a key that the step being traced computes, with its axis."""
    places = [part for part in key if part is not None]
    middle = next(i for i, part in enumerate(places) if part is Ellipsis)
    numbered = [(i if i < middle else axes - len(places) + i, part) for i, part in enumerate(places)]
    return [(axis, part) for axis, part in numbered if engines.current().is_traced(part)]


def _checked_key(part: Any) -> Any:
    """A part of a key: a number as an int, or as an array if it is not known yet, a slice, `...` or None."""
    array = unwrap(part) if isinstance(part, Tensor) else part
    if getattr(array, "shape", None) == () and "int" in str(array.dtype):
        engine = engines.current()
        return array if engine.is_traced(array) else int(array)
    if is_whole(part):
        return int(part)
    if isinstance(part, slice):
        ends = (part.start, part.stop, part.step)
        return slice(*(end if end is None else operator.index(end) for end in ends))
    if part is None or part is Ellipsis:
        return part
    raise UsageError(
        "tensor[key]",
        expected="whole numbers, slices, `...` or None",
        got=f"key={part!r:.80}",
        do="Use netchu.ops.take(x, indices, axis) to choose by an array of indices.",
    )


def _check_within(shape: Shape, key: list[Any]) -> None:
    """Raise UsageError for a number outside its axis: JAX would silently take the last element."""
    places = [part for part in key if part is not None]
    middle = next(i for i, part in enumerate(places) if part is Ellipsis)
    behind = len(places) - 1 - middle
    lengths = shape[:middle] + (0,) + shape[len(shape) - behind :]
    if middle + behind > len(shape):
        raise UsageError(
            "tensor[key]", expected=f"at most {len(shape)} indices", got=f"{middle + behind}, shape={shape}"
        )
    for part, length in zip(places, lengths):
        if isinstance(part, int) and not -length <= part < length:
            expected = f"a whole number from {-length} to {length - 1}"
            raise UsageError("tensor[key]", expected=expected, got=f"key={part}, shape={shape}")


@operation(numbers=False)
def take(x: Array, indices: Array, axis: int | None = None) -> Result:
    """The elements at `indices` along `axis` (of the flattened array for None); -1 is the last.

    Raises:
        UsageError: indices that are no whole numbers, or lie outside the axis (while a step is traced nobody can tell).
    """
    flat = xp.reshape(x, (-1,)) if axis is None else x
    along = 0 if axis is None else axis_among("take", axis, len(x.shape))
    length = flat.shape[along]
    _check_indices(indices, length)
    indices = indices if indices.dtype == xp.int64 else xp.astype(indices, xp.int32)
    indices = xp.where(indices < 0, indices + length, indices)

    def for_x(g: Array) -> Array:
        return _put_back(g, _take(xp.reshape(_positions(x), tuple(flat.shape)), indices, along), x)

    return _take(flat, indices, along), (for_x, None)


def _check_indices(indices: Array, length: int) -> None:
    if "int" not in str(indices.dtype):
        raise UsageError("take", expected="whole numbers as indices", got=f"indices.dtype={indices.dtype}")
    if engines.current().is_traced(indices):
        return
    host = engines.current().to_numpy(indices)
    if host.size and not -length <= host.min() <= host.max() < length:
        expected = f"indices from {-length} to {length - 1}"
        raise UsageError("take", expected=expected, got=f"indices from {host.min()} to {host.max()}")


def _take(x: Array, indices: Array, axis: int) -> Array:
    """`take` for indices of any shape: that of the standard accepts a row of indices only."""
    taken = xp.take(x, xp.reshape(indices, (-1,)), axis=axis)
    return xp.reshape(taken, (*x.shape[:axis], *indices.shape, *x.shape[axis + 1 :]))
