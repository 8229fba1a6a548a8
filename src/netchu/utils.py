"""Small helpers with Keras's names: the seed of a program, one-hot targets, the parts of a batch."""

from __future__ import annotations

import random as python_random
from typing import Any

import numpy as np

from netchu import engines, random
from netchu.arguments import check_whole
from netchu.array_likes import plain_array
from netchu.errors import DataError
from netchu.left_to_keras import missing_names
from netchu.training.arrays import unpack_x_y_sample_weight

__all__ = ["set_random_seed", "to_categorical", "unpack_x_y_sample_weight"]

__getattr__ = missing_names("utils")


def set_random_seed(seed: int) -> None:
    """Make what follows repeat bit for bit on one machine: Python's, NumPy's and netchu's random numbers.

    The number of threads that one product uses is fixed at what it is now, for it is part of the last bits; model files
    record it.  Another number of threads, another processor or another version of the libraries gives other last bits.

    Args:
        seed: 0 to 2**32 - 1.

    Raises:
        UsageError: anything else.
    """
    random.set_seed(seed)
    python_random.seed(int(seed))
    np.random.seed(int(seed))  # noqa: NPY002 (for programs that draw their data from NumPy's global generator)
    engines.current().fix_threads()


def to_categorical(x: Any, num_classes: int | None = None) -> np.ndarray:
    """Integer labels (n,) or (n, 1), which may be kept as floats, as one-hot rows (n, classes), float32.

    Raises:
        DataError: labels that are no whole numbers, or lie outside [0, num_classes).
        UsageError: `num_classes` is no whole number from 1.
    """
    check_whole("to_categorical", 1, 2**31, or_none=True, num_classes=num_classes)
    labels = plain_array("to_categorical", x)
    if labels.ndim > 1 and labels.shape[-1] == 1:
        labels = labels.reshape(labels.shape[:-1])
    if labels.dtype.kind == "f" and not (whole := np.isfinite(labels) & (labels == np.floor(labels))).all():
        raise DataError("to_categorical", expected="integer labels", got=f"label {labels[~whole][0]}")
    classes = num_classes or (int(labels.max()) + 1 if labels.size else 0)
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise DataError(
            "to_categorical",
            expected=f"labels from 0 to {classes - 1}",
            got=f"labels from {labels.min()} to {labels.max()}",
        )
    return np.asarray(labels[..., None] == np.arange(classes), dtype=np.float32)
