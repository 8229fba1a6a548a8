"""What `fit`, `evaluate` and `predict` are given, as NumPy arrays: made, compared, split and weighted.

Arrays may be NumPy arrays, memory-mapped `.npy` files (`np.load(path, mmap_mode="r")`: only the samples of a batch are
read), lists, or Tensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np

from netchu.arguments import is_whole
from netchu.errors import DataError, UsageError
from netchu.tensor import Tensor

Batch: TypeAlias = tuple[Any, Any, Any]  # x (batch, ...), y (batch, ...) or None, sample_weight (batch,) or None

NAMES = ("x", "y", "sample_weight")


def as_array(value: Any, name: str) -> np.ndarray:
    """Arrays, lists and Tensors as one NumPy array, memory maps untouched; DataError if rows differ in length."""
    try:
        array = value.numpy() if isinstance(value, Tensor) else np.asanyarray(value)
    except ValueError:
        raise DataError(name, expected="rows of one length", got=f"a {type(value).__name__} of uneven rows") from None
    if array.dtype.kind not in "biuf":
        raise DataError(name, expected="numbers", got=f"dtype={array.dtype} from {type(value).__name__}")
    return array.astype(np.float32) if array.dtype == np.float64 and not hasattr(value, "dtype") else array


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
    """Whether `x` is one array's worth of samples and not an iterable of batches."""
    if isinstance(x, (np.ndarray, Tensor)) or hasattr(x, "__array__"):
        return True
    return isinstance(x, (list, tuple)) and not (len(x) > 0 and isinstance(x[0], tuple))


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
        UsageError: no dictionary, or a key that is no whole number.
    """
    if not isinstance(class_weight, Mapping):
        raise UsageError(where, expected="class_weight as a dictionary, label -> weight", got=f"{class_weight!r:.60}")
    for label in class_weight:
        if not is_whole(label):
            raise UsageError(where, expected="class numbers as keys of class_weight", got=f"{label!r:.60}")
    labels = y.argmax(axis=-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(len(y))
    weights = np.ones(len(labels), dtype=np.float32)
    for label, weight in class_weight.items():
        weights[labels == label] = weight
    return weights
