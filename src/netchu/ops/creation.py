"""Making tensors, and operations that give several results or none: no gradient flows through any of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from netchu import engines
from netchu.arguments import check_whole
from netchu.engines import Array, Shape, xp
from netchu.ops.crossentropy import one_hot_rows
from netchu.tape import Result, operation
from netchu.tensor import Tensor, to_array, unwrap, wrap


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
    return tuple(x.shape)


def zeros(shape: Shape, dtype: str | None = None) -> Tensor:
    """A Tensor full of 0; float32 unless `dtype` is given."""
    return Tensor(np.zeros(shape, dtype=dtype or "float32"))


def ones(shape: Shape, dtype: str | None = None) -> Tensor:
    """A Tensor full of 1; float32 unless `dtype` is given."""
    return Tensor(np.ones(shape, dtype=dtype or "float32"))


def full(shape: Shape, fill_value: float, dtype: str | None = None) -> Tensor:
    """A Tensor full of `fill_value`; float32 unless `dtype` is given."""
    return Tensor(np.full(shape, fill_value, dtype=dtype or "float32"))


def arange(start: int, stop: int | None = None, step: int = 1, dtype: str | None = None) -> Tensor:
    """start, start + step, ... below stop (0, 1, ... below start when there is no stop); int32 unless given."""
    first, last = (0, start) if stop is None else (start, stop)
    return Tensor(np.arange(first, last, step, dtype=dtype or "int32"))


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
    return one_hot_rows(x, num_classes, xp.float32), ()


def top_k(x: Any, k: int) -> tuple[Tensor, Tensor]:
    """The `k` largest values along the last axis, largest first, and their indices."""
    array = unwrap(x)
    check_whole("top_k", 1, array.shape[-1], k=k)
    values, indices = xp.top_k(array, k)
    return wrap(values), wrap(indices)


@operation
def in_top_k(targets: Array, predictions: Array, k: int) -> Result:
    """Whether each label (batch,) is among the `k` most probable classes of its row (batch, classes)."""
    _, best = xp.top_k(predictions, min(k, predictions.shape[-1]))
    return xp.any(xp.expand_dims(targets, axis=-1) == xp.astype(best, targets.dtype), axis=-1), ()
