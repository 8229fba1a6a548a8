"""Batches: every sample once in an epoch, in the promised order, from arrays, memory maps, lists and iterables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netchu import Tensor
from netchu.errors import DataError, UsageError
from netchu.training.arrays import as_array, is_arrays, split_validation, unpack_x_y_sample_weight, weights_for_classes
from netchu.training.batches import ArrayBatches, IterableBatches

SPLITS = [  # n, share, samples that stay: floor(n * (1 - share)), floating error included
    (5, 0.3, 3), (7, 0.5, 3), (10, 0.1, 9), (10, 0.9, 0), (11, 0.2, 8), (60000, 0.2, 48000), (3, 0.34, 1), (10, 0.7, 3),
]  # fmt: skip
SIZES = [(10, 3), (10, 10), (10, 99), (1, 1), (128, 128), (129, 128)]


def epoch_of(batches: Any, number: int = 0) -> list[Any]:
    return list(batches.epoch(number))


def visited(n: int, batch_size: int, number: int = 0, **settings: Any) -> list[int]:
    """The samples of an epoch in the order in which they come."""
    batches = ArrayBatches(np.arange(n), batch_size=batch_size, **settings)
    return [int(i) for x, _, _ in epoch_of(batches, number) for i in x]


@pytest.mark.parametrize(("n", "size"), SIZES)
def test_unshuffled_batches_go_through_the_samples_in_order(n: int, size: int) -> None:
    batches = ArrayBatches(np.arange(n), batch_size=size)
    lengths = [len(x) for x, _, _ in epoch_of(batches)]
    assert visited(n, size) == list(range(n))
    assert len(lengths) == batches.steps == -(-n // size)
    assert all(length == size for length in lengths[:-1])


@pytest.mark.parametrize(("n", "size"), SIZES)
def test_shuffled_epoch_visits_every_sample_once(n: int, size: int) -> None:
    assert sorted(visited(n, size, shuffle=True)) == list(range(n))


def test_shuffled_order_is_new_each_epoch_and_depends_on_seed_and_stream() -> None:
    orders = [visited(50, 7, e, shuffle=True, stream=s) for e in (0, 1) for s in ((0, 0), (0, 1), (1, 0))]
    assert len({tuple(order) for order in orders}) == 6
    assert visited(50, 7, 3, shuffle=True, stream=(5, 2)) == visited(50, 7, 3, shuffle=True, stream=(5, 2))


def test_shuffled_order_does_not_depend_on_the_batch_size() -> None:
    assert visited(50, 7, shuffle=True) == visited(50, 50, shuffle=True)


def test_shuffle_batch_stays_within_consecutive_batches() -> None:
    order = visited(40, 10, shuffle="batch")
    assert [sorted(order[i : i + 10]) for i in range(0, 40, 10)] == [list(range(i, i + 10)) for i in range(0, 40, 10)]
    inside = [tuple(np.array(order[i : i + 10]) - i) for i in range(0, 40, 10)]
    assert len(set(inside)) == 4
    assert visited(40, 10, 1, shuffle="batch") != order


def test_shuffle_batch_never_repeats_a_draw_in_later_epochs() -> None:
    draws = [tuple(visited(40, 10, e, shuffle="batch")[i : i + 10]) for e in range(6) for i in range(0, 40, 10)]
    inside = {tuple(np.array(draw) % 10) for draw in draws}
    assert len(inside) == len(draws)


def test_x_y_and_weight_stay_together() -> None:
    n = np.arange(30)
    for x, y, w in epoch_of(ArrayBatches(n, n * 2, n * 3.0, batch_size=8, shuffle=True)):
        assert np.array_equal(y, x * 2)
        assert np.array_equal(w, x * 3.0)


def test_missing_parts_are_none() -> None:
    assert epoch_of(ArrayBatches([1.0, 2.0]))[0][1:] == (None, None)


def test_memory_map_is_read_batch_by_batch(tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(40, dtype="float32").reshape(20, 2))
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    batches = ArrayBatches(mapped, batch_size=8, shuffle=True)
    assert batches.arrays["x"] is mapped
    assert np.array_equal(np.sort(np.concatenate([x for x, _, _ in epoch_of(batches)]), axis=0), mapped)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [([[1, 2], [3, 4]], "int64"), ([[1.0], [2.5]], "float32"), (np.array([1.5, 2.5]), "float64"),
     (Tensor([1.0, 2.0]), "float32"), ((1, 2, 3), "int64")],
)  # fmt: skip
def test_lists_tensors_and_arrays_become_arrays(value: Any, dtype: str) -> None:
    array = as_array(value, "x")
    assert isinstance(array, np.ndarray)
    assert array.dtype == dtype
    assert len(array) == len(value)


@pytest.mark.parametrize("value", [[[1, 2], [3]], [None, 1], [{"a": 1}]], ids=str)
def test_what_is_no_array_of_numbers_is_refused_by_name(value: Any) -> None:
    with pytest.raises(DataError, match=r"^x: expected (rows of one length|numbers)\. Got: "):
        as_array(value, "x")


@pytest.mark.parametrize("size", [0, -1, 2.5, "32", True])
def test_batch_size_is_a_positive_integer(size: Any) -> None:
    with pytest.raises(UsageError, match=rf"fit: expected batch_size as a whole number >= 1. Got: batch_size={size!r}"):
        ArrayBatches([1.0], batch_size=size)


@pytest.mark.parametrize("shuffle", ["yes", 1, None])
def test_shuffle_is_true_false_or_batch(shuffle: Any) -> None:
    with pytest.raises(UsageError, match="fit: expected shuffle among True"):
        ArrayBatches([1.0], shuffle=shuffle)


def test_lengths_that_differ_in_keras_words() -> None:
    with pytest.raises(DataError) as caught:
        ArrayBatches(np.zeros(5), np.zeros(4))
    assert str(caught.value) == (
        "Data cardinality is ambiguous. Make sure all arrays contain the same number of samples: "
        "expected arrays of one length. Got: 'x' sizes: 5, 'y' sizes: 4."
    )


@pytest.mark.parametrize("x", [np.zeros((0, 3)), []], ids=["array", "list"])
def test_no_samples(x: Any) -> None:
    with pytest.raises(DataError, match=r"x: expected at least one sample. Got: x.shape=\(0"):
        ArrayBatches(x)


def test_single_number_is_no_array_of_samples() -> None:
    with pytest.raises(DataError, match=r"x: expected an array of samples \(n, \.\.\.\)"):
        ArrayBatches(np.float32(3))


# --- iterables -------------------------------------------------------------------------------------------------------


def test_list_of_batches_is_an_iterable_that_knows_its_length() -> None:
    batches = IterableBatches([([1], [2]), ([3], [4], [5])])
    assert batches.steps == 2
    assert epoch_of(batches) == epoch_of(batches, 1) == [([1], [2], None), ([3], [4], [5])]


def test_generator_is_asked_for_no_more_than_it_is_asked() -> None:
    asked = []
    batches = IterableBatches(asked.append(i) or ([i], [i]) for i in range(10))
    assert batches.steps is None
    first = next(iter(batches.epoch(0)))
    assert first == ([0], [0], None)
    assert asked == [0]


@pytest.mark.parametrize("batch", [(), (1, 2, 3, 4)], ids=["none", "four"])
def test_batch_has_one_to_three_parts(batch: Any) -> None:
    with pytest.raises(DataError, match=rf"a batch: expected \(x, y\) or .* Got: {len(batch)} entries"):
        unpack_x_y_sample_weight(batch)


@pytest.mark.parametrize(
    ("data", "parts"),
    [("x", ("x", None, None)), (("x",), ("x", None, None)), (["x", "y"], ("x", "y", None)),
     (("x", "y", "w"), ("x", "y", "w"))],
)  # fmt: skip
def test_parts_of_a_batch(data: Any, parts: tuple[Any, ...]) -> None:
    assert unpack_x_y_sample_weight(data) == parts


def test_what_cannot_be_gone_through_is_refused() -> None:
    with pytest.raises(UsageError, match=r"fit: expected arrays, or an iterable of batches. Got: x=3"):
        IterableBatches(3)


@pytest.mark.parametrize(
    ("x", "expected"),
    [(np.zeros(3), True), (Tensor([1.0]), True), ([[1, 2]], True), ([1, 2], True), ([([1], [2])], False),
     ((i for i in range(3)), False), (range(3), True), ([(0, 0), (0, 1)], True), ([(np.zeros(3), 1)], False)],
    ids=lambda v: type(v).__name__,
)  # fmt: skip
def test_arrays_are_told_from_iterables_of_batches(x: Any, expected: bool) -> None:
    assert is_arrays(x) is expected


# --- the validation split and class weights --------------------------------------------------------------------------


@pytest.mark.parametrize(("n", "share", "stay"), SPLITS)
def test_split_takes_the_last_samples_with_keras_rounding(n: int, share: float, stay: int) -> None:
    arrays = {"x": np.arange(n), "y": np.arange(n) * 2}
    if stay == 0:
        with pytest.raises(UsageError, match=f"Training data contains {n} samples, which is not sufficient to split"):
            split_validation(arrays, share)
        return
    train, held_back = split_validation(arrays, share)
    assert np.array_equal(train["x"], np.arange(stay))
    assert np.array_equal(held_back["x"], np.arange(stay, n))
    assert np.array_equal(held_back["y"], held_back["x"] * 2)


@pytest.mark.parametrize("share", [1.0, 1.5, -0.1])
def test_split_outside_its_range(share: float) -> None:
    with pytest.raises(UsageError, match=f"expected 0 <= validation_split < 1. Got: validation_split={share}"):
        split_validation({"x": np.arange(9)}, share)


@pytest.mark.parametrize(
    "y", [np.array([0, 1, 2, 1]), np.array([[0], [1], [2], [1]]), np.eye(3)[[0, 1, 2, 1]]], ids=["n", "n1", "one-hot"]
)
def test_class_weights_become_one_weight_a_sample(y: np.ndarray) -> None:
    weights = weights_for_classes("fit", y, {1: 2.5, 2: 0.0})
    assert weights.tolist() == [1.0, 2.5, 0.0, 2.5]
    assert weights.dtype == np.float32
