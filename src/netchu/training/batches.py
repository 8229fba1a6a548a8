"""Data on its way to the training loop: arrays and iterables as batches (x, y, sample_weight).

An iterable yields `(x, y)` or `(x, y, sample_weight)` batches; it must be iterable again for each epoch unless it is
endless and `steps_per_epoch` is given.  An object that gives them by number (`PyDataset`) is one, too.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Protocol, TypeAlias, overload

import numpy as np

from netchu import engines
from netchu.arguments import check_choice, check_whole
from netchu.engines import Array
from netchu.engines.forks import unlocked_property
from netchu.errors import UsageError
from netchu.random import next_stream, permutation
from netchu.tensor import to_array
from netchu.training.arrays import NAMES, Batch, as_array, check_lengths, unpack_x_y_sample_weight

RESIDENT_BYTES = 2 << 30  # larger arrays go to the device batch by batch
MOST_KEPT = 64  # batches of an iterable, which cannot be asked for them again


class Chunk(Protocol):
    """Consecutive batches of one size (the last of an iterable may have another), which can be gone through again."""

    def __iter__(self) -> Iterator[Batch]: ...

    def __len__(self) -> int: ...


Take: TypeAlias = Callable[[int], Chunk]
"""A function that gives the next batches, at most as many as asked for; none at the end."""


class Batches(Protocol):
    """What the loop needs of its data."""

    steps: int | None
    """Batches in an epoch; None while an iterable has not been counted."""

    def epoch(self, number: int, first: int = 0) -> Iterator[Batch]:
        """The batches of epoch `number`, from 0, without those before number `first`."""

    def chunks(self, number: int, first: int = 0) -> Take:
        """The same, several at a time."""

    def look_again(self) -> None:
        """Forget copies of the data: somebody may have changed it where it lies."""


class ArrayBatches:
    """Batches over arrays of one length, in order or newly shuffled each epoch.

    Args:
        x: (n, ...).
        y: (n, ...) or None.
        sample_weight: (n,) or None.
        batch_size: samples in a batch; the last one of an epoch may have fewer.
        shuffle: True for a new order each epoch, False for the given order, `"batch"` to shuffle within each batch.
        stream: (seed, stream) of the orders; epoch e's is a pure function of (seed, stream, e).
        where: who asks, for messages.

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
        where: str = "fit",
    ) -> None:
        check_whole(where, 1, batch_size=batch_size)
        check_choice(where, (True, False, "batch"), shuffle=shuffle)
        named = {"x": x, "y": y, "sample_weight": sample_weight}
        self.arrays = {name: as_array(a, name) for name, a in named.items() if a is not None}
        check_lengths(self.arrays)
        self.n = len(self.arrays["x"])
        self.batch_size = int(batch_size)
        self.shuffle = shuffle
        self.stream = stream
        self.steps: int | None = math.ceil(self.n / self.batch_size)

    def epoch(self, number: int, first: int = 0) -> Iterator[Batch]:
        """See `Batches`."""
        return iter(self.rows(number)[first:])

    def chunks(self, number: int, first: int = 0) -> Take:
        """See `Batches`; a last batch of fewer samples is a chunk of its own."""
        rows, full = self.rows(number), self.n // self.batch_size

        def take(most: int) -> Rows:
            nonlocal first
            begin, first = first, min(first + most, full if first < full else len(rows))
            return rows[begin:first]

        return take

    def rows(self, number: int) -> Rows:
        """All batches of epoch `number`."""
        return Rows(self, Order(self, number), range(self.steps or 0))

    @unlocked_property
    def resident(self) -> bool:
        """Whether the arrays may lie on the device as a whole: they are in memory, and not too large."""
        arrays = self.arrays.values()
        return not any(map(_is_mapped, arrays)) and sum(a.nbytes for a in arrays) <= RESIDENT_BYTES

    def look_again(self) -> None:
        """See `Batches`.  Data that did not change stay: to compare them takes a fifth of the time of a copy."""
        for name, placed in zip(NAMES, self.__dict__.get("placed", ())):
            if name in self.arrays and not _equal(self.arrays[name], engines.current().to_numpy(placed)):
                del self.placed
                return

    @unlocked_property
    def placed(self) -> tuple[Array | None, ...]:
        """x, y and sample_weight, each an array of the engine or None."""
        return tuple(to_array(self.arrays[name]) if name in self.arrays else None for name in NAMES)


def _equal(a: np.ndarray, b: np.ndarray, rows: int = 1024) -> bool:
    """Whether all numbers are the same; some rows at a time, for the cache."""
    return all(np.array_equal(a[i : i + rows], b[i : i + rows]) for i in range(0, len(a), rows))


class Order:
    """The order in which one epoch visits the samples of its data.

    Attributes:
        indices: (n,), or None for the order in which they stand.
        placed: the same as an int32 array of the engine.
    """

    def __init__(self, data: ArrayBatches, number: int) -> None:
        self._data, self._number = data, number

    @unlocked_property
    def indices(self) -> np.ndarray | None:
        """See above."""
        data, steps = self._data, self._data.steps or 0
        if data.shuffle == "batch":
            begins = range(0, data.n, data.batch_size)
            sizes = [min(data.batch_size, data.n - begin) for begin in begins]
            draws = (permutation(*data.stream, self._number * steps + i, size) for i, size in enumerate(sizes))
            return np.concatenate([begin + draw for begin, draw in zip(begins, draws)])
        return permutation(*data.stream, self._number, data.n) if data.shuffle else None

    @unlocked_property
    def placed(self) -> Array:
        """See above."""
        indices = np.arange(self._data.n) if self.indices is None else self.indices
        return to_array(indices.astype(np.int32))


class Rows(Sequence[Batch]):
    """Consecutive batches of one epoch over arrays; a slice of it is another one, and nothing is read before its turn.

    Args:
        data: what they are batches of.
        order: of the samples.
        numbers: of the batches within the epoch.
    """

    def __init__(self, data: ArrayBatches, order: Order, numbers: range) -> None:
        self.data, self.order, self.numbers = data, order, numbers

    def __len__(self) -> int:
        return len(self.numbers)

    @overload
    def __getitem__(self, i: int) -> Batch: ...

    @overload
    def __getitem__(self, i: slice) -> Rows: ...

    def __getitem__(self, i: int | slice) -> Batch | Rows:
        if isinstance(i, slice):
            return Rows(self.data, self.order, self.numbers[i])
        begin = self.numbers[i] * self.data.batch_size
        chosen: Any = slice(begin, begin + self.data.batch_size)
        if self.order.indices is not None:
            chosen = self.order.indices[chosen]
        arrays = self.data.arrays
        x, y, sample_weight = (arrays[name][chosen] if name in arrays else None for name in NAMES)
        return x, y, sample_weight

    @property
    def begin(self) -> int:
        """Where in the order the first sample stands."""
        return self.numbers.start * self.data.batch_size

    @property
    def size(self) -> int:
        """The samples of each batch."""
        return min(self.data.batch_size, self.data.n - self.begin)


class IterableBatches:
    """Batches from any iterable of `(x, y)` or `(x, y, sample_weight)`; see the module's text for what it must allow.

    Args:
        iterable: of batches.
        checked: what each batch goes through.
        where: who asks, for messages.
    """

    def __init__(
        self, iterable: Any, checked: Callable[[Batch], Batch] = lambda batch: batch, *, where: str = "fit"
    ) -> None:
        gives = hasattr(iterable, "__iter__") or hasattr(iterable, "__getitem__")
        if isinstance(iterable, type) or not gives:
            raise UsageError(where, expected="arrays, or an iterable of batches", got=f"x={iterable!r:.80}")
        self.iterable = iterable
        self.checked = checked
        self.steps: int | None = _length(iterable)

    def epoch(self, number: int, first: int = 0) -> Iterator[Batch]:
        """See `Batches`."""
        batches = (self.checked(unpack_x_y_sample_weight(item)) for item in self.items(number))
        return itertools.islice(batches, first, None)

    def items(self, number: int) -> Iterable[Any]:
        """The batches of epoch `number` as they come."""
        return self.iterable  # type: ignore[no-any-return]

    def chunks(self, number: int, first: int = 0) -> Take:
        """See `Batches`."""
        batches = self.epoch(number, first)
        return lambda most: Drawn(itertools.islice(batches, min(most, MOST_KEPT)))

    def look_again(self) -> None:
        """See `Batches`; nothing is kept of an iterable."""


class IndexedBatches(IterableBatches):
    """Batches from an object that gives batch number i as `data[i]`, as Keras's `PyDataset` does.

    It may have `__len__`, the batches of an epoch (without it, it ends with an IndexError, or never), and
    `on_epoch_begin` and `on_epoch_end`, which are called before the first and after the last batch of a pass.

    Args:
        data: the object.
        checked, where: see `IterableBatches`.
        shuffle: whether the batches come in a new order each epoch.
        stream: see `ArrayBatches`.
    """

    def __init__(
        self,
        data: Any,
        checked: Callable[[Batch], Batch] = lambda batch: batch,
        *,
        shuffle: bool = False,
        stream: tuple[int, int] = (0, 0),
        where: str = "fit",
    ) -> None:
        super().__init__(data, checked, where=where)
        self.shuffle, self.stream = shuffle, stream

    def items(self, number: int) -> Iterator[Any]:
        """See `IterableBatches`."""
        getattr(self.iterable, "on_epoch_begin", lambda: None)()
        if self.steps is None:
            yield from _until_its_end(self.iterable)
        else:
            order = permutation(*self.stream, number, self.steps).tolist() if self.shuffle else range(self.steps)
            yield from (self.iterable[i] for i in order)
        getattr(self.iterable, "on_epoch_end", lambda: None)()


def iterable_batches(
    data: Any, checked: Callable[[Batch], Batch], *, shuffle: bool = False, where: str = "fit"
) -> IterableBatches:
    """The batches of an iterable, or of an object that is asked for them by number.

    Raises:
        UsageError: it is neither.
    """
    if hasattr(data, "__getitem__") and (hasattr(data, "on_epoch_end") or not hasattr(data, "__iter__")):
        return IndexedBatches(data, checked, shuffle=shuffle, stream=next_stream() if shuffle else (0, 0), where=where)
    return IterableBatches(data, checked, where=where)


def _until_its_end(data: Any) -> Iterator[Any]:
    for i in itertools.count():
        try:
            item = data[i]
        except IndexError:
            return
        yield item


def _length(data: Any) -> int | None:
    """How many batches there are; None where the object cannot say, or says that there is no end."""
    try:
        return len(data)
    except Exception:  # each library has its own way to say so
        return None


class Drawn:
    """Batches of an iterator: the first is drawn at once, each other when it is come to; all are kept.

    Its length is that of what was drawn: 1 before it was gone through, or 0 if there was nothing left.
    """

    def __init__(self, batches: Iterator[Batch]) -> None:
        self._kept, self._coming = [_copied(batch) for batch in itertools.islice(batches, 1)], batches

    def __iter__(self) -> Iterator[Batch]:
        yield from self._kept
        for batch in self._coming:
            self._kept.append(_copied(batch))
            yield batch

    def __len__(self) -> int:
        return len(self._kept)


def _copied(batch: Batch) -> Batch:
    """The batch in memory of its own: who makes the next one may do so in the same arrays."""
    x, y, sample_weight = (None if a is None else np.array(a) for a in batch)
    return x, y, sample_weight


def again_and_again(data: Batches, first_pass: int, done: int = 0) -> Take:
    """The batches of one pass after the other, from pass number `first_pass`, until a pass has none.

    Args:
        data: what is passed through.
        first_pass: number of the first pass.
        done: batches of these passes that were gone through before; an iterable that is not counted allows 0 only.
    """
    passes, first = divmod(done, data.steps or 1)
    numbers = itertools.count(first_pass + passes)
    take = data.chunks(next(numbers), first)

    def take_on(most: int) -> Chunk:
        nonlocal take
        chunk = take(most)
        if len(chunk) == 0:  # the next pass; an iterator that is used up has none there, either
            take = data.chunks(next(numbers))
            chunk = take(most)
        return chunk

    return take_on


def _is_mapped(array: Any) -> bool:
    """Whether an array's values, or those it is a view of, lie in a file."""
    return array is not None and (isinstance(array, np.memmap) or _is_mapped(getattr(array, "base", None)))
