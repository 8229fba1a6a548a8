"""Making tensors, and operations that give several results or none: no gradient flows through any of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from netchu import engines
from netchu.arguments import axis_among, check_whole, checked_shape, is_whole
from netchu.array_likes import check_element_type, plain_array
from netchu.engines import Array, Shape, xp
from netchu.engines.types import Kind, common_type
from netchu.errors import ShapeError, UsageError
from netchu.ops.crossentropy import one_hot_rows
from netchu.tape import Result, operation
from netchu.tensor import Tensor, as_tensor, to_array, unwrap, wrap

MOST_NUMBERS = 2**40
"""Of an `arange`: more than any memory holds."""


def convert_to_tensor(x: Any, dtype: str | None = None) -> Tensor:
    """A Tensor of the current engine from a number, list, array or Tensor."""
    return x if isinstance(x, Tensor) and dtype in (None, x.dtype) else Tensor(x, dtype=dtype)


def convert_to_numpy(x: Any) -> np.ndarray:
    """The values as a NumPy array."""
    return engines.current().to_numpy(to_array(x))


def is_tensor(x: Any) -> bool:
    """Whether `x` is a netchu Tensor."""
    return isinstance(x, Tensor)


def shape(x: Any) -> Shape:
    """The length of each axis."""
    return as_tensor(x).shape


def zeros(shape: Shape, dtype: str | None = None) -> Tensor:
    """A Tensor full of 0; float32 unless `dtype` is given."""
    return _filled("zeros", shape, 0, dtype)


def ones(shape: Shape, dtype: str | None = None) -> Tensor:
    """A Tensor full of 1; float32 unless `dtype` is given."""
    return _filled("ones", shape, 1, dtype)


def full(shape: Shape, fill_value: float, dtype: str | None = None) -> Tensor:
    """A Tensor full of `fill_value`; float32 unless `dtype` is given."""
    return _filled("full", shape, fill_value, dtype)


def _filled(where: str, shape: Shape | int, fill_value: Any, dtype: str | None) -> Tensor:
    shape = checked_shape(where, (shape,) if is_whole(shape) else shape)
    check_element_type(where, dtype or "float32")
    value = plain_array(f"{where}: fill_value", fill_value)
    if value.ndim > len(shape) or any(n not in (1, m) for n, m in zip(value.shape[::-1], shape[::-1])):
        raise ShapeError(where, expected=f"a fill_value that fits shape={shape}", got=f"fill_value.shape={value.shape}")
    return Tensor(np.full(shape, value, dtype=dtype or "float32"))


def arange(start: float, stop: float | None = None, step: float | None = 1, dtype: str | None = None) -> Tensor:
    """start, start + step, ... below stop (0, 1, ... below start when there is no stop); a step of None is 1.

    Unless `dtype` is given, float32 if one of the three is a fraction, else int32; arrays and Tensors keep their type.
    """
    step = 1 if step is None else step
    given = {"start": start, "stop": stop, "step": step}
    for name, number in given.items():
        value = plain_array(f"arange: {name}", 0 if number is None and name == "stop" else number)
        if value.ndim or not np.isfinite(value) or (name == "step" and value == 0):
            expected = f"{name} as a finite number{' other than 0' if name == 'step' else ''}"
            raise UsageError("arange", expected=expected, got=f"{name}={number!r:.60}")
    numbers = (0, start, step) if stop is None else (start, stop, step)
    bounds = [number.numpy() if isinstance(number, Tensor) else number for number in numbers]
    if (float(bounds[1]) - float(bounds[0])) / float(bounds[2]) > MOST_NUMBERS:
        got = ", ".join(f"{name}={number!r:.60}" for name, number in given.items())
        raise UsageError("arange", expected=f"at most {MOST_NUMBERS} numbers", got=got)
    kinds: list[Kind] = [str(n.dtype) if hasattr(n, "dtype") else type(n) for n in bounds]
    common = common_type(*kinds)
    return Tensor(np.arange(*bounds), dtype=dtype or ("int32" if common == "bool" else common))


@operation
def zeros_like(x: Array) -> Result:
    """Zeros of the shape and type of `x`."""
    return xp.zeros_like(x), ()


@operation
def ones_like(x: Array) -> Result:
    """Ones of the shape and type of `x`."""
    return xp.ones_like(x), ()


@operation
def one_hot(x: Array, num_classes: int) -> Result:
    """Integer labels (...) -> float32 (..., num_classes), 1 at the label; a label outside the range gives zeros."""
    check_whole("one_hot", num_classes=num_classes)
    return one_hot_rows(x, num_classes, xp.float32), ()


def top_k(x: Any, k: int) -> tuple[Tensor, Tensor]:
    """The `k` largest values along the last axis, largest first, and their indices."""
    array = unwrap(as_tensor(x))
    if array.dtype == xp.bool:
        array = xp.astype(array, xp.int32)
    axis_among("top_k", -1, len(array.shape))
    check_whole("top_k", 1, array.shape[-1], k=k)
    values, indices = xp.top_k(array, k)
    return wrap(values), wrap(xp.astype(indices, xp.int32))


@operation(numbers=False)
def in_top_k(targets: Array, predictions: Array, k: int) -> Result:
    """Whether each label (batch,) is among the `k` most probable classes of its row (batch, classes).

    So it is where fewer than `k` are more probable: with ties there may be more than `k` such classes.  A label outside
    the classes is not among them, nor is any in a row with NaN or infinity.
    """
    of_label = one_hot_rows(targets, predictions.shape[-1], xp.bool)
    own = xp.sum(xp.where(of_label, predictions, 0.0), axis=-1, keepdims=True)
    more = xp.sum(xp.astype(predictions > own, xp.int32), axis=-1)
    known = xp.logical_and(xp.any(of_label, axis=-1), xp.all(xp.isfinite(predictions), axis=-1))
    return xp.logical_and(known, more < k), ()
