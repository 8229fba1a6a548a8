"""Metrics: numbers worked out by hand, weights, means over samples, and which accuracy "accuracy" means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netchu import engines, metrics, ops
from netchu.errors import UsageError
from netchu.metrics import (
    Accuracy,
    BinaryAccuracy,
    CategoricalAccuracy,
    Mean,
    MeanMetricWrapper,
    SparseCategoricalAccuracy,
    SparseTopKCategoricalAccuracy,
    TopKCategoricalAccuracy,
    accuracy_for,
)
from netchu.tape import Variable

# Three classes; the most probable are 2, 1, 0, 0 (a tie: the first counts); the labels 2, 0, 0, 2.
PROBABILITIES = np.array([[0.1, 0.2, 0.7], [0.3, 0.6, 0.1], [0.5, 0.3, 0.2], [0.4, 0.2, 0.4]], dtype="float32")
LABELS = np.array([2, 0, 0, 2])
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
WEIGHTS = np.array([1.0, 2.0, 0.0, 1.0], dtype="float32")
# the first and the third are right: 2 of 4; weighted: 1 of 4.  Among the first two of each row: all but none.

BY_HAND: list[tuple[str, Any, Any, Any, Any, float]] = [
    ("sparse", SparseCategoricalAccuracy, LABELS, PROBABILITIES, None, 2 / 4),
    ("sparse, labels in a column", SparseCategoricalAccuracy, LABELS[:, None], PROBABILITIES, None, 2 / 4),
    ("sparse, labels as floats", SparseCategoricalAccuracy, LABELS.astype("float32"), PROBABILITIES, None, 2 / 4),
    ("sparse, weighted", SparseCategoricalAccuracy, LABELS, PROBABILITIES, WEIGHTS, 1 / 4),
    ("categorical", CategoricalAccuracy, ONE_HOT, PROBABILITIES, None, 2 / 4),
    ("categorical, weighted", CategoricalAccuracy, ONE_HOT, PROBABILITIES, WEIGHTS, 1 / 4),
    ("top 1", lambda: SparseTopKCategoricalAccuracy(k=1), LABELS, PROBABILITIES, None, 2 / 4),
    ("top 2", lambda: SparseTopKCategoricalAccuracy(k=2), LABELS, PROBABILITIES, None, 4 / 4),
    ("top 5 of three", SparseTopKCategoricalAccuracy, LABELS, PROBABILITIES, None, 4 / 4),
    ("top 1, one-hot", lambda: TopKCategoricalAccuracy(k=1), ONE_HOT, PROBABILITIES, None, 2 / 4),
    ("top 1, weighted", lambda: TopKCategoricalAccuracy(k=1), ONE_HOT, PROBABILITIES, WEIGHTS, 1 / 4),
    ("binary", BinaryAccuracy, [[1], [0], [1], [0]], [[0.9], [0.6], [0.4], [0.5]], None, 2 / 4),
    ("binary, targets in a row", BinaryAccuracy, [1, 0, 1, 0], [[0.9], [0.6], [0.4], [0.5]], None, 2 / 4),
    ("binary, two units", BinaryAccuracy, [[1, 0], [1, 1]], [[0.9, 0.6], [0.7, 0.8]], None, 3 / 4),
    ("binary, threshold", lambda: BinaryAccuracy(threshold=0.3), [[1], [0]], [[0.4], [0.4]], None, 1 / 2),
    ("equal", Accuracy, [1, 2, 3, 4], [1, 2, 0, 4], None, 3 / 4),
    ("equal, weighted", Accuracy, [1, 2, 3, 4], [1, 2, 0, 4], WEIGHTS, 4 / 4),
]


@pytest.mark.parametrize(
    ("what", "make", "y_true", "y_pred", "weights", "expected"), BY_HAND, ids=[r[0] for r in BY_HAND]
)
def test_numbers_by_hand(
    engine: str, what: str, make: Any, y_true: Any, y_pred: Any, weights: Any, expected: float
) -> None:
    metric = make()
    metric.update_state(np.asarray(y_true), np.asarray(y_pred, dtype="float32"), weights)
    assert metric.result().item() == pytest.approx(expected, abs=1e-7)


def test_the_mean_is_over_samples_not_over_batches(engine: str) -> None:
    metric = SparseCategoricalAccuracy()
    metric.update_state(LABELS[:3], PROBABILITIES[:3])  # 2 of 3
    metric.update_state(LABELS[3:], PROBABILITIES[3:])  # 0 of 1
    assert metric.result().item() == 0.5  # and not (2/3 + 0) / 2


def test_a_mean_of_numbers_weighted_by_numbers(engine: str) -> None:
    mean = Mean("loss")
    mean.update_state(2.0, 4)
    mean.update_state(5.0, 1)
    assert mean.result().item() == pytest.approx((2.0 * 4 + 5.0) / 5)


def test_weights_of_samples_broadcast_over_what_follows(engine: str) -> None:
    mean = Mean()
    mean.update_state(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1.0, 3.0]))
    assert mean.result().item() == pytest.approx((1 + 2 + 3 * 7) / 8)


def test_a_mean_of_nothing_is_0_without_warnings(engine: str) -> None:
    assert Mean().result().item() == 0.0
    mean = Mean()
    mean.update_state([1.0, 2.0], [0.0, 0.0])
    assert mean.result().item() == 0.0


def test_reset_begins_anew(engine: str) -> None:
    mean = Mean()
    mean.update_state([7.0])
    mean.reset_state()
    assert [v.item() for v in mean.variables] == [0.0, 0.0]
    mean.update_state([3.0])
    assert mean.result().item() == 3.0


def test_calling_updates_and_gives_the_figure_so_far() -> None:
    mean = Mean()
    assert mean([1.0]).item() == 1.0
    assert mean([3.0]).item() == 2.0


def test_the_state_lives_in_variables_that_no_tape_follows() -> None:
    mean = Mean()
    assert [v.name for v in mean.variables] == ["total", "count"]
    assert all(isinstance(v, Variable) and not v.trainable for v in mean.variables)


def test_a_compiled_step_carries_the_state(engine: str) -> None:
    metric = SparseCategoricalAccuracy()

    def step(y: Any, p: Any) -> Any:
        metric.update_state(y, p)
        return metric.result().array

    compiled = engines.current().compile(step, {v.name: v for v in metric.variables})
    here = engines.current()
    for _ in range(3):
        figure = compiled(here.asarray(LABELS), here.asarray(PROBABILITIES))
    assert float(figure) == 0.5
    assert [v.item() for v in metric.variables] == [6.0, 12.0]


def test_a_function_of_ones_own() -> None:
    metric = metrics.get(lambda y_true, y_pred: ops.absolute(y_true - y_pred))
    assert isinstance(metric, MeanMetricWrapper)
    metric.update_state(ops.ones((4,)), ops.zeros((4,)))
    assert metric.result().item() == 1.0


MEANINGS: list[tuple[tuple[int, ...], tuple[int, ...], type]] = [
    ((8,), (8, 1), BinaryAccuracy),
    ((8, 1), (8, 1), BinaryAccuracy),
    ((8,), (8, 10), SparseCategoricalAccuracy),
    ((8, 1), (8, 10), SparseCategoricalAccuracy),
    ((8, 10), (8, 10), CategoricalAccuracy),
    ((8, 5), (8, 5, 10), SparseCategoricalAccuracy),
    ((8, 5, 10), (8, 5, 10), CategoricalAccuracy),
]


@pytest.mark.parametrize(("target", "output", "expected"), MEANINGS)
def test_what_accuracy_means(target: tuple[int, ...], output: tuple[int, ...], expected: type) -> None:
    metric = accuracy_for(target, output, "acc")
    assert type(metric) is expected
    assert metric.name == "acc"


@pytest.mark.parametrize("k", [0, -1, 1.5, "5"])
def test_k_is_a_positive_whole_number(k: Any) -> None:
    for make in (TopKCategoricalAccuracy, SparseTopKCategoricalAccuracy):
        with pytest.raises(UsageError, match=r"k to be a positive integer\. Got: k="):
            make(k=k)


@pytest.mark.parametrize("name", metrics.names)
def test_every_name_gives_a_metric_of_that_name(name: str) -> None:
    assert metrics.get(name).name == name
