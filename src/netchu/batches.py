"""Data on its way to the training loop: arrays and iterables as batches (x, y, sample_weight).

Arrays may be NumPy arrays, memory-mapped `.npy` files (`np.load(path, mmap_mode="r")`: only the samples of a batch are
read), lists, or Tensors.  An iterable yields `(x, y)` or `(x, y, sample_weight)` batches; it must be iterable again for
each epoch unless it is endless and `steps_per_epoch` is given.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from typing import Any, Protocol, TypeAlias

import numpy as np

from netchu.errors import DataError, UsageError
from netchu.random import permutation
from netchu.tape import Tensor

Batch: TypeAlias = tuple[Any, Any, Any]  # x (batch, ...), y (batch, ...) or None, sample_weight (batch,) or None


class Batches(Protocol):
    """What the loop needs of its data."""

    steps: int | None
    """Batches in an epoch; None while an iterable has not been counted."""

    def epoch(self, number: int, first: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number`, from 0, without those before number `first`."""


def as_array(value: Any, name: str) -> np.ndarray:
    """Arrays, lists and Tensors as one NumPy array, memory maps untouched; DataError if rows differ in length."""
    try:
        array = value.numpy() if isinstance(value, Tensor) else np.asanyarray(value)
    except ValueError:
        raise DataError(name, expected="rows of one length", got=f"a {type(value).__name__} of uneven rows") from None
    if array.dtype.kind not in "biuf":
        raise DataError(name, expected="numbers", got=f"dtype={array.dtype} from {type(value).__name__}")
    return array.astype(np.float32) if array.dtype == np.float64 and not hasattr(value, "dtype") else array


class ArrayBatches:
    """Batches over arrays of one length, in order or newly shuffled each epoch.

    Args:
        x: (n, ...).
        y: (n, ...) or None.
        sample_weight: (n,) or None.
        batch_size: samples in a batch; the last one of an epoch may have fewer.
        shuffle: True for a new order each epoch, False for the given order, `"batch"` to shuffle within each batch.
        stream: (seed, stream) of the orders; epoch e's is a pure function of (seed, stream, e).

    Raises:
        DataError: no samples, or arrays of different lengths.
        UsageError: a batch size that is no positive whole number.
    """

    def __init__(
        self,
        x: Any,
        y: Any = None,
        sample_weight: Any = None,
        *,
        batch_size: int = 32,
        shuffle: bool | str = False,
        stream: tuple[int, int] = (0, 0),
    ) -> None:
        if isinstance(batch_size, bool) or not isinstance(batch_size, (int, np.integer)) or batch_size < 1:
            raise UsageError("batch_size", expected="a positive integer", got=f"batch_size={batch_size!r}")
        if not (isinstance(shuffle, bool) or shuffle == "batch"):
            raise UsageError("shuffle", expected='True, False or "batch"', got=f"shuffle={shuffle!r}")
        named = {"x": x, "y": y, "sample_weight": sample_weight}
        self.arrays = {name: as_array(a, name) for name, a in named.items() if a is not None}
        check_lengths(self.arrays)
        self.n = len(self.arrays["x"])
        self.batch_size, self.shuffle, self.stream = int(batch_size), shuffle, stream
        self.steps: int | None = math.ceil(self.n / self.batch_size)

    def epoch(self, number: int, first: int = 0) -> Iterator[Batch]:
        """See `Batches`."""
        order = permutation(*self.stream, number, self.n) if self.shuffle is True else None
        for start in range(first * self.batch_size, self.n, self.batch_size):
            stop = min(start + self.batch_size, self.n)
            chosen: Any = slice(start, stop) if order is None else order[start:stop]
            if self.shuffle == "batch":
                draw = number * (self.steps or 0) + start // self.batch_size
                chosen = start + permutation(*self.stream, draw, stop - start)
            yield tuple(  # type: ignore[misc]
                self.arrays[name][chosen] if name in self.arrays else None for name in ("x", "y", "sample_weight")
            )


class IterableBatches:
    """Batches from any iterable of `(x, y)` or `(x, y, sample_weight)`; see the module's text for what it must allow.

    Args:
        iterable: of batches.
        checked: what each batch goes through.
    """

    def __init__(self, iterable: Iterable[Any], checked: Callable[[Batch], Batch] = lambda batch: batch) -> None:
        if not isinstance(iterable, Iterable):
            raise UsageError("x", expected="arrays, or an iterable of batches", got=f"x={iterable!r:.80}")
        self.iterable, self.checked = iterable, checked
        self.steps: int | None = len(iterable) if isinstance(iterable, Sized) else None

    def epoch(self, number: int, first: int = 0) -> Iterator[Batch]:
        """See `Batches`."""
        batches = (self.checked(unpack_x_y_sample_weight(item)) for item in self.iterable)
        return itertools.islice(batches, first, None)


def again_and_again(data: Batches, first_pass: int, done: int = 0) -> Iterator[Batch]:
    """The batches of one pass after the other, from pass number `first_pass`, until a pass has none.

    Args:
        data: what is passed through.
        first_pass: number of the first pass.
        done: batches of these passes that were gone through before; an iterable that is not counted allows 0 only.
    """
    passes, first = divmod(done, data.steps or 1)
    for number in itertools.count(first_pass + passes):
        batch = None
        for batch in data.epoch(number, first):
            yield batch
        first = 0
        if batch is None:  # an iterator that is used up: asking on would never end
            return


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
        sizes = " ".join(f"'{name}' sizes: {len(a)}" for name, a in arrays.items())
        raise DataError(
            f"Data cardinality is ambiguous. Make sure all arrays contain the same number of samples. {sizes}"
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
            f"Training data contains {n} samples, which is not sufficient to split it into a validation and training "
            f"set as specified by validation_split={share}. Provide more data, or a different validation_split."
        )
    return {k: a[:at] for k, a in arrays.items()}, {k: a[at:] for k, a in arrays.items()}


def weights_for_classes(y: np.ndarray, class_weight: Mapping[int, float]) -> np.ndarray:
    """One weight a sample, (n,): that of its class, 1 for a class that is not named.  `y` integer or one-hot."""
    if not isinstance(class_weight, Mapping):
        raise UsageError("fit", expected="class_weight as a dictionary, label -> weight", got=f"{class_weight!r:.60}")
    for label in class_weight:
        if not isinstance(label, (int, np.integer)):
            raise UsageError("fit", expected="class numbers as keys of class_weight", got=f"{label!r:.60}")
    labels = y.argmax(axis=-1) if y.ndim > 1 and y.shape[-1] > 1 else y.reshape(len(y))
    weights = np.ones(len(labels), dtype=np.float32)
    for label, weight in class_weight.items():
        weights[labels == label] = weight
    return weights
