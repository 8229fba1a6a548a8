"""What `fit`, `evaluate` and `predict` are given, as NumPy arrays: made, compared, split and weighted.

Arrays may be whatever `netchu.array_likes` takes: lists, NumPy arrays, Tensors, data frames; of memory-mapped `.npy`
files (`np.load(path, mmap_mode="r")`) only the samples of a batch are read.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping
from numbers import Number
from typing import Any, TypeAlias

import numpy as np

from netchu.arguments import is_number, is_whole
from netchu.array_likes import plain_array
from netchu.errors import DataError, UsageError

Batch: TypeAlias = tuple[Any, Any, Any]  # x (batch, ...), y (batch, ...) or None, sample_weight (batch,) or None

NAMES = ("x", "y", "sample_weight")
KINDS_OF_ARRAYS = (list, tuple, range, array, memoryview, bytearray, bytes, str, Mapping)
"""What NumPy makes an array of, or what is certainly no iterable of batches."""


def as_array(value: Any, name: str) -> np.ndarray:
    """Whatever holds numbers as one NumPy array, memory maps untouched, Python's floats as float32.

    Raises:
        DataError: see `netchu.array_likes.plain_array`.
    """
    numbers = plain_array(name, value)
    if numbers.dtype != np.float64 or hasattr(value, "dtype"):
        return numbers
    with np.errstate(over="ignore"):
        narrow = numbers.astype(np.float32)
    return narrow if np.isfinite(narrow).all() else numbers  # a check will tell the number that was too large


def unpack_x_y_sample_weight(data: Any) -> Batch:
    """What a batch `x`, `(x,)`, `(x, y)` or `(x, y, sample_weight)` holds, None for what is missing."""
    parts = tuple(data) if isinstance(data, (tuple, list)) else (data,)
    if not 1 <= len(parts) <= 3:
        raise DataError("a batch", expected="(x, y) or (x, y, sample_weight)", got=f"{len(parts)} entries")
    x, y, sample_weight = (*parts, None, None)[:3]
    return x, y, sample_weight


def check_lengths(arrays: Mapping[str, np.ndarray]) -> None:
    """Raise DataError, in Keras's words, if arrays differ in length or are empty."""
    for name, a in arrays.items():
        if a.ndim == 0:
            raise DataError(name, expected="an array of samples (n, ...)", got=f"{name}.shape=()")
    if len({len(a) for a in arrays.values()}) > 1:
        sizes = ", ".join(f"'{name}' sizes: {len(a)}" for name, a in arrays.items())
        raise DataError(
            "Data cardinality is ambiguous. Make sure all arrays contain the same number of samples",
            expected="arrays of one length",
            got=sizes,
        )
    if len(arrays["x"]) == 0:
        raise DataError("x", expected="at least one sample", got=f"x.shape={arrays['x'].shape}")


def is_arrays(x: Any) -> bool:
    """Whether `x` is one array's worth of samples and not an iterable of batches.

    A list of tuples is samples where the first tuple holds numbers only, and else batches.
    """
    if hasattr(x, "__array__") or hasattr(x, "to_numpy"):
        return True
    return isinstance(x, KINDS_OF_ARRAYS) and not is_list_of_batches(x)


def is_list_of_batches(x: Any) -> bool:
    """Whether `x` is a list, or a tuple, of tuples that hold more than single numbers."""
    if not isinstance(x, (list, tuple)) or len(x) == 0 or not isinstance(x[0], tuple):
        return False
    return not all(isinstance(part, (Number, str, type(None))) or getattr(part, "shape", None) == () for part in x[0])


def split_validation(
    arrays: dict[str, np.ndarray], share: float
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The last `share` of the samples, as they stand, for validation; Keras's rounding.

    Raises:
        UsageError: a share outside (0, 1), or one that leaves a side empty.
    """
    n = len(arrays["x"])
    if not isinstance(share, (int, float, np.number)) or not 0 < share < 1:
        raise UsageError("fit", expected="0 <= validation_split < 1", got=f"validation_split={share!r}")
    at = math.floor(n * (1 - share))
    if at in (0, n):
        raise UsageError(
            f"Training data contains {n} samples, which is not sufficient to split it",
            expected="at least one sample in the validation and one in the training set",
            got=f"validation_split={share}",
            do="Provide more data, or a different validation_split.",
        )
    return {k: a[:at] for k, a in arrays.items()}, {k: a[at:] for k, a in arrays.items()}


def weights_for_classes(where: str, y: np.ndarray, class_weight: Mapping[int, float]) -> np.ndarray:
    """One weight a sample, (n,): that of its class, 1 for a class that is not named.

    Args:
        where: who asks, for messages.
        y: whole numbers (n,) or (n, 1), or one-hot rows (n, classes).
        class_weight: label -> weight.

    Raises:
        UsageError: no dictionary, a key that is no whole number, or a weight that is no number.
    """
    if not isinstance(class_weight, Mapping):
        raise UsageError(where, expected="class_weight as a dictionary, label -> weight", got=f"{class_weight!r:.60}")
    for label in class_weight:
        if not is_whole(label):
            raise UsageError(where, expected="class numbers as keys of class_weight", got=f"{label!r:.60}")
        if not is_number(class_weight[label]):
            got = f"class_weight[{label}]={class_weight[label]!r:.60}"
            raise UsageError(where, expected="finite numbers as weights in class_weight", got=got)
    labels = y.argmax(axis=-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(len(y))
    weights = np.ones(len(labels), dtype=np.float32)
    for label, weight in class_weight.items():
        weights[labels == label] = weight
    return weights
