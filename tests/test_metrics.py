"""Metrics: numbers worked out by hand, weights, means over samples, and which accuracy "accuracy" means."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import ENGINE_RTOL, STEP_ATOL, assert_close
from netchu import engines, metrics, ops
from netchu.errors import DataError, ShapeError, UsageError
from netchu.layers import Dense, Input
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
from netchu.models import Sequential, load_model
from netchu.registry import to_json
from netchu.tensor import Variable

# Three classes; the most probable are 2, 1, 0, 0 (a tie: the first counts); the labels 2, 0, 0, 2.
PROBABILITIES = np.array([[0.1, 0.2, 0.7], [0.3, 0.6, 0.1], [0.5, 0.3, 0.2], [0.4, 0.2, 0.4]], dtype="float32")
LABELS = np.array([2, 0, 0, 2])
ONE_HOT = np.eye(3, dtype="float32")[LABELS]
WEIGHTS = np.array([1.0, 2.0, 0.0, 1.0], dtype="float32")
# the first and the third are right: 2 of 4; weighted: 1 of 4.  Among the first two of each row: all.
# Among the first one of each row, as Keras has it: the fourth too, since no class is more probable than its label.

BY_HAND: list[tuple[str, Any, Any, Any, Any, float]] = [
    ("sparse", SparseCategoricalAccuracy, LABELS, PROBABILITIES, None, 2 / 4),
    ("sparse, labels in a column", SparseCategoricalAccuracy, LABELS[:, None], PROBABILITIES, None, 2 / 4),
    ("sparse, labels as floats", SparseCategoricalAccuracy, LABELS.astype("float32"), PROBABILITIES, None, 2 / 4),
    ("sparse, weighted", SparseCategoricalAccuracy, LABELS, PROBABILITIES, WEIGHTS, 1 / 4),
    ("categorical", CategoricalAccuracy, ONE_HOT, PROBABILITIES, None, 2 / 4),
    ("categorical, weighted", CategoricalAccuracy, ONE_HOT, PROBABILITIES, WEIGHTS, 1 / 4),
    ("top 1", lambda: SparseTopKCategoricalAccuracy(k=1), LABELS, PROBABILITIES, None, 3 / 4),
    ("top 2", lambda: SparseTopKCategoricalAccuracy(k=2), LABELS, PROBABILITIES, None, 4 / 4),
    ("top 5 of three", SparseTopKCategoricalAccuracy, LABELS, PROBABILITIES, None, 4 / 4),
    ("top 1, one-hot", lambda: TopKCategoricalAccuracy(k=1), ONE_HOT, PROBABILITIES, None, 3 / 4),
    ("top 1, weighted", lambda: TopKCategoricalAccuracy(k=1), ONE_HOT, PROBABILITIES, WEIGHTS, 2 / 4),
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

    compiled = engines.current().trace(step, {v.name: v for v in metric.variables})
    here = engines.current()
    for _ in range(3):
        figure = compiled(here.asarray(LABELS), here.asarray(PROBABILITIES))
    assert float(figure) == 0.5
    assert [v.item() for v in metric.variables] == [6.0, 12.0]


def test_a_users_function() -> None:
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
        with pytest.raises(UsageError, match=r"invalid value for `k`, expected a positive integer\. Got: k="):
            make(k=k)


# --- yes or no -------------------------------------------------------------------------------------------------------

# Six answers: yes, no, yes, yes, no, no; the predictions say yes (above 1/2) to the first, the second and the fourth.
YES = np.float32([[1], [0], [1], [1], [0], [0]])
SAID = np.float32([[0.9], [0.8], [0.5], [0.6], [0.5], [0.1]])
ROW_WEIGHTS = np.float32([1, 2, 3, 1, 0, 5])
MANY_YES, MANY_SAID = np.float32([[1, 0, 1], [0, 1, 0]]), np.float32([[0.9, 0.7, 0.6], [0.1, 0.4, 0.8]])
COUNTED: list[tuple[Any, Any, Any, Any, Any]] = [
    (metrics.TruePositives(), YES, SAID, None, 2),
    (metrics.FalsePositives(), YES, SAID, None, 1),
    (metrics.TrueNegatives(), YES, SAID, None, 2),
    (metrics.FalseNegatives(), YES, SAID, None, 1),
    (metrics.FalseNegatives(), YES, SAID, ROW_WEIGHTS, 3),
    (metrics.TruePositives([0.0, 0.55, 0.85]), YES, SAID, None, [3, 2, 1]),
    (metrics.Precision(), YES, SAID, None, 2 / 3),
    (metrics.Precision(), YES, SAID, ROW_WEIGHTS, 2 / 4),
    (metrics.Precision(), YES, SAID, ROW_WEIGHTS[:, None], 2 / 4),
    (metrics.Precision(), YES[:, 0], SAID, None, 2 / 3),
    (metrics.Precision(0.85), YES, SAID, None, 1 / 1),
    (metrics.Precision(1.0), YES, SAID, None, 0.0),  # nothing said: 0, and no warning
    (metrics.Recall(), YES, SAID, None, 2 / 3),
    (metrics.Recall([0.0, 0.7]), YES, SAID, None, [3 / 3, 1 / 3]),
    (metrics.Precision(top_k=1), MANY_YES, MANY_SAID, None, 1 / 2),
    (metrics.Recall(top_k=2), MANY_YES, MANY_SAID, None, 2 / 3),
    (metrics.Recall(class_id=1), MANY_YES, MANY_SAID, None, 0 / 1),
    (metrics.AUC(num_thresholds=3), YES, np.float32([[1], [0], [1], [1], [0], [0]]), None, 1.0),
    (metrics.AUC(num_thresholds=3), YES, np.float32([[0], [1], [0], [0], [1], [1]]), None, 0.0),
    (metrics.AUC(), YES, np.full((6, 1), 0.3, "float32"), None, 0.5),
    # thresholds below 0, 0.5 and above 1: (rate of false positives, recall) (1, 1), (1/3, 2/3), (0, 0)
    (metrics.AUC(num_thresholds=3), YES, SAID, None, 2 / 3 * 5 / 6 + 1 / 3 * 1 / 3),
    (metrics.AUC(num_thresholds=3, summation_method="minoring"), YES, SAID, None, 2 / 3 * 2 / 3),
    (metrics.AUC(num_thresholds=3, summation_method="majoring"), YES, SAID, None, 2 / 3 + 1 / 3 * 2 / 3),
    # the same: (recall, precision) (1, 1/2), (2/3, 2/3), (0, 0)
    (metrics.AUC(3, "PR", "majoring"), YES, SAID, None, 1 / 3 * 2 / 3 + 2 / 3 * 2 / 3),
    (metrics.AUC(thresholds=[0.5]), YES, SAID, None, 2 / 3 * 5 / 6 + 1 / 3 * 1 / 3),
    (metrics.AUC(3, multi_label=True), np.c_[YES, 1 - YES], np.c_[YES, YES], None, 1 / 2),
    (metrics.AUC(3, multi_label=True, label_weights=[3, 1]), np.c_[YES, 1 - YES], np.c_[YES, YES], None, 3 / 4),
    # classes 2, 1, 0, 0 are predicted (the last a tie, so 2 as well) for labels 2, 0, 0, 2
    (metrics.F1Score(), ONE_HOT, PROBABILITIES, None, [1 / 2, 0, 1]),
    (metrics.F1Score("macro"), ONE_HOT, PROBABILITIES, None, 1 / 2),
    (metrics.F1Score("weighted"), ONE_HOT, PROBABILITIES, None, 3 / 4),
    (metrics.F1Score("micro"), ONE_HOT, PROBABILITIES, None, 2 * 3 / (5 + 4)),
    (metrics.F1Score("micro", threshold=0.55), ONE_HOT, PROBABILITIES, WEIGHTS, 2 * 1 / (3 + 4)),
    (metrics.FBetaScore("macro", beta=2.0), MANY_YES[:, :1], MANY_YES[:, :1], None, 1.0),
    (metrics.Sum(), np.float32([[1, 2], [3, 4]]), np.float32([1, 2]), None, 1 + 2 + 2 * 7),  # values, weights
    (metrics.RootMeanSquaredError(), YES, YES + np.float32([[1], [-1], [2], [0], [0], [0]]), None, 1.0),
    (metrics.CosineSimilarity(), ONE_HOT, 3 * ONE_HOT, None, 1.0),
]


@pytest.mark.parametrize(
    ("metric", "y_true", "y_pred", "weights", "expected"),
    COUNTED,
    ids=[f"{i} {row[0]!r}" for i, row in enumerate(COUNTED)],
)
def test_counted_by_hand(engine: str, metric: Any, y_true: Any, y_pred: Any, weights: Any, expected: Any) -> None:
    metric = type(metric).from_config(metric.get_config())  # one of this engine
    metric.update_state(y_true, y_pred, *([] if weights is None else [weights]))
    assert_close(metric.result().numpy(), np.float32(expected), atol=STEP_ATOL)


def test_the_confusion_matrix_has_a_row_for_each_label(engine: str) -> None:
    expected = [[1, 1, 0], [0, 0, 0], [1, 0, 1]]
    for y_true in (LABELS, LABELS[:, None], LABELS.astype("uint8"), ONE_HOT):
        assert metrics.confusion_matrix(y_true, PROBABILITIES, 3).numpy().tolist() == expected
    matrix = metrics.ConfusionMatrix(3)
    matrix.update_state(LABELS[:3], PROBABILITIES[:3], WEIGHTS[:3])
    matrix.update_state(LABELS[3:], [0])
    assert matrix.result().numpy().tolist() == [[0, 2, 0], [0, 0, 0], [1, 0, 1]]


def test_a_class_that_is_not_there_is_refused() -> None:
    with pytest.raises(DataError, match=r"confusion_matrix: expected labels from 0 to 2.*label 3 at index 1"):
        metrics.confusion_matrix([0, 3], [0, 1], 3)
    with pytest.raises(ShapeError, match="confusion_matrix"):
        metrics.confusion_matrix([0, 1], [0, 1, 2], 3)


BAD_USE: list[tuple[Any, type[Exception], str]] = [
    (lambda: metrics.Precision(1.5), UsageError, r"Precision: expected thresholds from 0 to 1\. Got: thresholds=1\.5"),
    (lambda: metrics.Recall([]), UsageError, r"Recall: expected thresholds"),
    (lambda: metrics.Recall(top_k=0), UsageError, r"expected top_k as a whole number >= 1 or None\. Got: top_k=0"),
    (lambda: metrics.AUC(1), UsageError, r"num_thresholds as a whole number from 2 to 10000\. Got: num_thresholds=1"),
    (lambda: metrics.AUC(10**9), UsageError, r"a whole number from 2 to 10000\. Got: num_thresholds=1000000000"),
    (lambda: metrics.AUC(curve="XY"), UsageError, r"AUC: expected curve among 'ROC', 'PR'\. Got: curve='XY'"),
    (lambda: metrics.AUC(summation_method="x"), UsageError, r"summation_method"),
    (lambda: metrics.AUC(num_labels=3), UsageError, r"num_labels with multi_label=True"),
    (lambda: metrics.F1Score("mean"), UsageError, r"F1Score: expected average among None, 'micro', .*average='mean'"),
    (lambda: metrics.F1Score(threshold=0.0), UsageError, r"expected 0 < threshold <= 1\. Got: threshold=0\.0"),
    (lambda: metrics.FBetaScore(beta=0), UsageError, r"FBetaScore: expected beta > 0"),
    (lambda: metrics.ConfusionMatrix(0), UsageError, r"num_classes as a whole number from 1 to 4096"),
    (lambda: metrics.Mean(name=3), UsageError, r"a printable name of 1 to 100 letters"),  # type: ignore[arg-type]
    (lambda: metrics.get(None), UsageError, r"Got: None"),
    (lambda: metrics.Precision()(LABELS, PROBABILITIES), ShapeError, r"\(4, 3\)\. Got: y_true.*to_categorical"),
    (lambda: metrics.Precision(class_id=3)(ONE_HOT, PROBABILITIES), ShapeError, r"a class 3"),
    (lambda: metrics.F1Score()(LABELS, PROBABILITIES), ShapeError, r"F1Score: .*\(batch, classes\).*to_categorical"),
    (lambda: metrics.AUC(multi_label=True, num_labels=2)(ONE_HOT, PROBABILITIES), ShapeError, r"\(batch, 2\)"),
    (lambda: Mean()([1.0, 2.0], [1.0, 1.0, 1.0]), ShapeError, r"sample_weight: .*\(2,\)\. Got: .*\(3,\)"),
]


@pytest.mark.parametrize(("call", "error", "message"), BAD_USE, ids=[m for _, _, m in BAD_USE])
def test_wrong_use_is_refused_in_a_sentence(call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call()


# --- what holds for every metric -------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
SHARES = RNG.dirichlet([1, 1, 1], 12).astype("float32")
ONE_HOT_12 = np.eye(3, dtype="float32")[RNG.integers(0, 3, 12)]
MORE_WEIGHTS = RNG.integers(0, 4, 12).astype("float32")
SETTINGS: dict[str, dict[str, Any]] = {
    "AUC": {"num_thresholds": 7, "curve": "PR", "summation_method": "minoring"},
    "F1Score": {"average": "macro"},
    "FBetaScore": {"average": "weighted", "beta": 2.0, "threshold": 0.4},
    "Precision": {"thresholds": [0.3]},
    "Recall": {"top_k": 2, "class_id": 1},
}
NAMES = [cls.__name__ for cls in metrics.classes if cls not in (metrics.Mean, metrics.Sum)]


def made(name: str) -> Any:
    return getattr(metrics, name)(**SETTINGS.get(name, {}))


def targets_for(name: str) -> np.ndarray:
    return ONE_HOT_12.argmax(axis=1) if "Sparse" in name else ONE_HOT_12


def predictions_for(name: str) -> np.ndarray:
    return np.round(SHARES) if name == "Accuracy" else SHARES


@pytest.mark.parametrize("name", NAMES)
def test_batches_are_as_good_as_the_whole_and_reset_begins_anew(engine: str, name: str) -> None:
    y_true, y_pred = targets_for(name), predictions_for(name)
    whole, metric = made(name), made(name)
    expected = whole(y_true, y_pred, MORE_WEIGHTS).numpy()
    for _ in range(2):
        metric.reset_state()
        for rows in (slice(0, 5), slice(5, 10), slice(10, 12)):
            metric.update_state(y_true[rows], y_pred[rows], MORE_WEIGHTS[rows])
        assert_close(metric.result().numpy(), expected, atol=STEP_ATOL, rtol=ENGINE_RTOL)


@pytest.mark.parametrize("name", NAMES)
def test_weights_are_repetitions(name: str) -> None:
    y_true, y_pred = targets_for(name), predictions_for(name)
    often = np.repeat(np.arange(12), MORE_WEIGHTS.astype(int))
    expected = made(name)(y_true[often], y_pred[often]).numpy()
    assert_close(made(name)(y_true, y_pred, MORE_WEIGHTS).numpy(), expected, atol=STEP_ATOL, rtol=ENGINE_RTOL)


@pytest.mark.parametrize("name", NAMES)
def test_a_metric_comes_back_from_its_configuration(name: str) -> None:
    metric = made(name)
    again = metrics.get(json.loads(json.dumps(to_json(metric))))
    assert type(again) is type(metric)
    assert again.get_config() == metric.get_config()
    y_true, y_pred = targets_for(name), predictions_for(name)
    assert again(y_true, y_pred).item() == metric(y_true, y_pred).item()


def small_model() -> Sequential:
    model = Sequential([Input((3,)), Dense(3, activation="softmax")])
    model.set_weights([RNG.normal(0, 1, (3, 3)).astype("float32"), np.zeros(3, "float32")])
    return model


@pytest.mark.parametrize("name", NAMES)
def test_a_compiled_step_computes_it(engine: str, name: str) -> None:
    model, metric = small_model(), made(name)
    loss = "sparse_categorical_crossentropy" if "Sparse" in name else "categorical_crossentropy"
    model.compile("sgd", loss, weighted_metrics=[metric])
    y_true = targets_for(name)
    figures = model.evaluate(SHARES, y_true, batch_size=5, verbose=0, sample_weight=MORE_WEIGHTS, return_dict=True)
    expected = made(name)(y_true, model.predict(SHARES, verbose=0), MORE_WEIGHTS).item()
    assert figures[metric.name] == pytest.approx(expected, abs=STEP_ATOL, rel=ENGINE_RTOL)


# --- compile ---------------------------------------------------------------------------------------------------------


def test_names_of_figures_are_kerass() -> None:
    def own(y_true: Any, y_pred: Any) -> Any:
        return ops.absolute(y_true - y_pred)

    model, x = small_model(), SHARES
    auc = metrics.AUC
    model.compile(
        "sgd", "categorical_crossentropy",
        metrics=["accuracy", auc(), auc(), "mse", own, "accuracy", auc(name="mine"), metrics.CategoricalAccuracy],
        weighted_metrics=["accuracy", "accuracy", "mae", auc(), "mse"],
    )  # fmt: skip
    expected = ["loss", "accuracy", "auc", "auc_1", "mse", "own", "accuracy_1", "mine", "categorical_accuracy"]
    expected += ["weighted_accuracy", "weighted_accuracy_1", "mae", "auc_2", "weighted_mse"]
    figures = model.evaluate(x, ONE_HOT_12, verbose=0)
    assert model.metrics_names == expected
    by_name = model.evaluate(x, ONE_HOT_12, verbose=0, return_dict=True)
    assert [by_name[name] for name in expected] == figures
    assert list(model.fit(x, ONE_HOT_12, verbose=0).history) == sorted(expected)


def test_weighted_metrics_alone_keep_their_names() -> None:
    model = small_model()
    model.compile("sgd", "categorical_crossentropy", weighted_metrics=["accuracy", metrics.Precision()])
    model.evaluate(SHARES, ONE_HOT_12, verbose=0)
    assert model.metrics_names == ["loss", "accuracy", "precision"]


VECTORS = [
    metrics.Precision([0.3, 0.6]), metrics.TruePositives([0.3, 0.6]), metrics.F1Score(), "f1_score",
    metrics.ConfusionMatrix(3),
]  # fmt: skip


@pytest.mark.parametrize("metric", VECTORS, ids=repr)
def test_a_metric_of_several_numbers_is_refused_before_training(metric: Any) -> None:
    with pytest.raises(UsageError, match=r"compile: expected metrics that give one number each.*average=\"macro\""):
        small_model().compile("sgd", "categorical_crossentropy", metrics=[metric])


def test_one_metric_in_two_places_is_refused() -> None:
    auc = metrics.AUC()
    for settings in ({"metrics": [auc, auc]}, {"metrics": [auc], "weighted_metrics": [auc]}):
        with pytest.raises(UsageError, match="each metric once"):
            small_model().compile("sgd", "categorical_crossentropy", **settings)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="under a name of its own"):
        small_model().compile("sgd", "categorical_crossentropy", metrics=[Mean("loss")])


def test_metrics_come_back_with_the_model(tmp_path: Path) -> None:
    model = small_model()
    model.compile(
        "sgd", "categorical_crossentropy",
        metrics=["accuracy", metrics.AUC(curve="PR"), metrics.AUC(), metrics.F1Score("macro"), lambda y, p: y * p],
        weighted_metrics=[metrics.Recall(class_id=1, name="found"), "accuracy"],
    )  # fmt: skip
    before = model.evaluate(SHARES, ONE_HOT_12, verbose=0, return_dict=True)
    model.save(tmp_path / "m.safetensors")
    again = load_model(tmp_path / "m.safetensors")
    after = again.evaluate(SHARES, ONE_HOT_12, verbose=0, return_dict=True)
    assert set(before) - set(after) == {"<lambda>"}  # a user's code is not in a file
    assert after == {name: before[name] for name in after}


def test_a_figure_of_an_epoch_is_that_of_its_batches(engine: str) -> None:
    model = small_model()
    model.compile(optimizer="sgd", loss="categorical_crossentropy", metrics=[metrics.AUC(), metrics.F1Score("macro")])
    model.optimizer.learning_rate = 0.0  # type: ignore[union-attr]
    history = model.fit(SHARES, ONE_HOT_12, batch_size=5, epochs=2, verbose=0).history
    for metric in (metrics.AUC(), metrics.F1Score("macro")):
        expected = metric(ONE_HOT_12, model.predict(SHARES, verbose=0)).item()
        assert history[metric.name] == pytest.approx([expected] * 2, abs=STEP_ATOL)


@pytest.mark.parametrize("name", metrics.names)
def test_every_name_gives_a_metric_that_says_what_is_better(name: str) -> None:
    metric = metrics.get(name)
    assert isinstance(metric, metrics.Metric)
    counts = {"mean", "sum", "true_positives", "true_negatives", "false_positives", "false_negatives"}
    up = ("acc", "accuracy", "auc", "precision", "recall", "score", "cosine_similarity")
    assert metric.direction == (None if name in counts else "up" if name.endswith(up) else "down")


def test_state_of_a_shape_given_as_a_list_begins_anew() -> None:
    class Counts(metrics.Mean):
        def __init__(self) -> None:
            super().__init__("counts")
            self.counts = self.add_variable([3], name="counts")  # type: ignore[arg-type]

    metric = Counts()
    metric.counts.assign([1.0, 2.0, 3.0])
    metric.reset_state()
    assert metric.counts.numpy().tolist() == [0.0, 0.0, 0.0]
