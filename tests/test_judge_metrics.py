"""Every metric beside real Keras: values over batches, weights, extreme predictions, names; and a whole fit.

Run with `pytest -m judge` where Keras and TensorFlow are installed.
"""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

import netchu
from helpers import RUN_ATOL, STEP_ATOL, assert_close
from netchu import metrics
from netchu.utils import to_categorical

pytestmark = [pytest.mark.judge, pytest.mark.filterwarnings("ignore")]  # the judges' own warnings are not ours

METRIC_RTOL = 3e-6
"""Relative to the figure: sums of up to 600 float32 weights, added in another order."""


@pytest.fixture(autouse=True)
def _fresh_names(keras: Any) -> None:
    """Keras numbers metrics through the whole program: begin anew."""
    keras.backend.clear_session()


N, CLASSES = 60, 6


def data(kind: str) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions, of which some are exactly 0 or 1 and many are equal or lie on a threshold."""
    rng = np.random.default_rng(7)
    p = np.round(rng.random((N, CLASSES)), 1).astype("float32")  # ties, and 0.5 and 1.0 and 0.0 themselves
    p[0], p[1], p[2] = 0.0, 1.0, 0.3
    fine = rng.random((N, CLASSES)).astype("float32")
    labels = rng.integers(0, CLASSES, N)
    several = rng.integers(0, 2, (N, CLASSES)).astype("float32")
    real = (rng.standard_normal((N, CLASSES)) * 3).astype("float32")
    return {
        "one unit": (several[:, :1], fine[:, :1]),
        "one unit, ties": (several[:, :1], p[:, :1]),
        "a row": (several[:, 0], p[:, 0]),
        "all yes": (np.ones((N, 1), "float32"), p[:, :1]),
        "all no": (np.zeros((N, 1), "float32"), p[:, :1]),
        "several": (several, fine),
        "several, ties": (several, p),
        "one-hot": (to_categorical(labels, CLASSES).astype("float32"), fine),
        "one-hot, ties": (to_categorical(labels, CLASSES).astype("float32"), p),
        "labels": (labels, fine / fine.sum(axis=1, keepdims=True)),
        "logits": (several, real),
        "real": (np.round(real[::-1], 1), real),
        "counts": (rng.integers(0, 5, (N, CLASSES)).astype("float32"), np.exp(real)),
        "class numbers": (labels, (labels + rng.integers(0, 2, N)) % CLASSES),
    }[kind]


YES_OR_NO = ["one unit", "one unit, ties", "a row", "all yes", "all no", "several, ties"]
FEW = [0.2, 0.55, 0.9]
CASES: list[tuple[str, dict[str, Any], list[str]]] = [
    *[(name, {}, YES_OR_NO) for name in ("TruePositives", "FalsePositives", "TrueNegatives", "FalseNegatives")],
    *[(name, {"thresholds": FEW}, YES_OR_NO) for name in ("TruePositives", "FalseNegatives")],
    *[(name, {}, YES_OR_NO) for name in ("Precision", "Recall", "AUC")],
    *[(name, {"thresholds": 0.3}, YES_OR_NO) for name in ("Precision", "Recall")],
    *[(name, {"thresholds": [0.0, 0.25, 0.5, 0.75, 1.0]}, YES_OR_NO) for name in ("Precision", "Recall")],
    *[(name, {"thresholds": FEW}, YES_OR_NO) for name in ("Precision", "Recall")],
    *[(name, {"top_k": 2}, ["one-hot", "several", "several, ties"]) for name in ("Precision", "Recall")],
    *[(name, {"class_id": 3}, ["one-hot", "several, ties"]) for name in ("Precision", "Recall")],
    *[(name, {"top_k": 3, "class_id": 0}, ["one-hot"]) for name in ("Precision", "Recall")],
    *[(name, {"top_k": 3, "thresholds": 0.6}, ["one-hot"]) for name in ("Precision", "Recall")],
    *[
        ("AUC", {"curve": curve, "summation_method": method, "num_thresholds": n}, YES_OR_NO)
        for curve in ("ROC", "PR")
        for method in ("interpolation", "minoring", "majoring")
        for n in (11, 200)
    ],
    ("AUC", {"num_thresholds": 2}, YES_OR_NO),
    ("AUC", {"thresholds": [0.7, 0.1, 0.35]}, YES_OR_NO),
    ("AUC", {"thresholds": [0.7, 0.1, 0.35], "curve": "PR"}, YES_OR_NO),
    ("AUC", {"from_logits": True}, ["logits"]),
    *[("AUC", {"multi_label": True, "curve": c}, ["several", "several, ties", "one-hot"]) for c in ("ROC", "PR")],
    ("AUC", {"multi_label": True, "num_labels": CLASSES, "thresholds": FEW}, ["several, ties"]),
    ("AUC", {"multi_label": True, "label_weights": [1.0, 2.0, 0.0, 1.0, 3.0, 0.5]}, ["several"]),
    ("AUC", {"label_weights": [1.0, 2.0, 0.0, 1.0, 3.0, 0.5]}, ["several"]),
    *[
        ("F1Score", {"average": average, "threshold": threshold}, ["one-hot", "one-hot, ties", "several, ties"])
        for average in (None, "micro", "macro", "weighted")
        for threshold in (None, 0.5, 0.8)
    ],
    ("FBetaScore", {"beta": 2.0, "average": "macro"}, ["one-hot"]),
    ("FBetaScore", {"beta": 0.5, "threshold": 0.4}, ["several, ties"]),
    *[
        (name, {}, ["real", "one unit"])
        for name in (
            "MeanSquaredError",
            "RootMeanSquaredError",
            "MeanAbsoluteError",
            "LogCoshError",
            "CosineSimilarity",
        )
    ],
    *[(name, {}, ["counts"]) for name in ("MeanAbsolutePercentageError", "MeanSquaredLogarithmicError", "Poisson")],
    *[(name, {}, ["logits", "real"]) for name in ("Hinge", "SquaredHinge", "CategoricalHinge")],
    ("KLDivergence", {}, ["one-hot", "several, ties"]),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, ["several, ties", "one unit"]),
    ("BinaryCrossentropy", {"from_logits": True}, ["logits"]),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, ["one-hot"]),
    ("SparseCategoricalCrossentropy", {}, ["labels"]),
    ("Accuracy", {}, ["class numbers"]),
    ("BinaryAccuracy", {"threshold": 0.3}, YES_OR_NO),
    ("CategoricalAccuracy", {}, ["one-hot, ties"]),
    ("SparseCategoricalAccuracy", {}, ["labels"]),
    ("TopKCategoricalAccuracy", {"k": 2}, ["one-hot"]),
    ("SparseTopKCategoricalAccuracy", {"k": 2}, ["labels"]),
]
FLAT = [(name, settings, kind) for name, settings, kinds in CASES for kind in kinds]
ELSEWHERE = {"Mean", "Sum"}


def test_every_metric_has_a_case() -> None:
    assert {name for name, _, _ in CASES} | ELSEWHERE == {cls.__name__ for cls in metrics.classes}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("name", "settings", "kind"), FLAT, ids=[f"{n}-{s}-{k}" for n, s, k in FLAT])
def test_values_over_batches(keras: Any, name: str, settings: dict[str, Any], kind: str, weighted: bool) -> None:
    y_true, y_pred = data(kind)
    weights = np.random.default_rng(8).integers(0, 5, N).astype("float32") / 3
    own, theirs = getattr(metrics, name)(**settings), getattr(keras.metrics, name)(**settings)
    assert own.name == theirs.name
    for rows in (slice(0, 25), slice(25, 50), slice(50, None)):
        batch_weights = weights[rows] if weighted else None
        own.update_state(y_true[rows], y_pred[rows], batch_weights)
        theirs.update_state(y_true[rows], y_pred[rows], batch_weights)
        assert_close(own.result().numpy(), np.asarray(theirs.result()), atol=STEP_ATOL, rtol=METRIC_RTOL)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", ["AUC", "Precision", "Recall"])
def test_random_predictions_on_each_engine(keras: Any, engine: str, name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    own, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
    y_true = rng.integers(0, 2, (500, 1))
    y_pred = np.clip(0.5 * y_true + rng.normal(0.25, 0.4, (500, 1)), 0, 1).astype("float32")  # many exactly 0 and 1
    assert_close(own(y_true, y_pred).numpy(), theirs(y_true, y_pred).numpy(), atol=STEP_ATOL)


@pytest.mark.parametrize("weights", [None, 2.0, [1.0, 0.0, 3.0]])
@pytest.mark.parametrize("name", sorted(ELSEWHERE))
def test_sums_and_means(keras: Any, name: str, weights: Any) -> None:
    own, theirs = getattr(metrics, name)(), getattr(keras.metrics, name)()
    for values in ([[1.0, 2.0], [3.0, 4.0], [5.0, 7.0]], [[0.0, 1.0], [0.0, 0.0], [2.0, -1.0]]):
        own.update_state(np.float32(values), weights)
        theirs.update_state(np.float32(values), weights)
        assert_close(own.result().numpy(), theirs.result().numpy(), atol=STEP_ATOL)


def test_the_confusion_matrix(keras: Any) -> None:
    y_true, y_pred = data("class numbers")
    theirs = importlib.import_module("keras.src.metrics.metrics_utils").confusion_matrix(y_true, y_pred, CLASSES)
    assert metrics.confusion_matrix(y_true, y_pred, CLASSES).numpy().tolist() == theirs.numpy().tolist()


# Names that netchu takes beyond Keras's: losses that Keras has no metric of.
MORE_NAMES = {
    "acc", "binary_focal_crossentropy", "categorical_focal_crossentropy", "huber", "huber_loss", "kld", "log_cosh",
}  # fmt: skip


@pytest.mark.parametrize("name", [*metrics.names, "AUC", "F1Score", "KLDivergence", "MSE", "RootMeanSquaredError"])
def test_a_name_means_what_it_means_in_keras(keras: Any, name: str) -> None:
    if name in MORE_NAMES:
        with pytest.raises(ValueError, match="Could not interpret metric identifier"):
            keras.metrics.get(name)
    else:
        assert type(metrics.get(name)).__name__ == type(keras.metrics.get(name)).__name__


# --- a whole fit -----------------------------------------------------------------------------------------------------


def many_metrics(library: Any) -> dict[str, Any]:
    """Arguments of compile: metrics as names, objects and a function, some of them twice."""

    def distance(y_true: Any, y_pred: Any) -> Any:
        return library.ops.abs(y_true - y_pred)

    m = library.metrics
    return {
        "metrics": ["accuracy", m.AUC(), m.AUC(curve="PR", num_thresholds=50), m.Precision(), "mse", distance]
        + [m.Precision(0.3), "accuracy", "KLDivergence", m.F1Score(average="micro", threshold=0.5, name="f")],
        "weighted_metrics": ["accuracy", "accuracy", "mae", m.AUC(), m.Recall(), "hinge", m.TruePositives()],
    }


def few_metrics(library: Any) -> dict[str, Any]:
    """Each name once: where a name is taken, Keras's `evaluate` lists some figures several times."""
    return {"metrics": ["accuracy", library.metrics.AUC(), "mse"], "weighted_metrics": ["mae", "hinge"]}


def run(library: Any, compiled: dict[str, Any], **arguments: Any) -> tuple[Any, Any, dict[str, float]]:
    """History, what evaluate returns and its dictionary, of one small network on the same data and weights."""
    rng = np.random.default_rng(2)
    x = rng.standard_normal((70, 5)).astype("float32")
    y = (x[:, :1] + 0.5 * rng.standard_normal((70, 1)) > 0).astype("float32")
    kernel = rng.normal(0, 0.5, (5, 1)).astype("float32")
    model = library.Sequential([library.layers.Input((5,)), library.layers.Dense(1, activation="sigmoid")])
    model.set_weights([kernel, np.zeros(1, "float32")])
    model.compile(library.optimizers.SGD(0.1), "binary_crossentropy", **compiled)
    history = model.fit(
        x[:50], y[:50], batch_size=16, epochs=3, shuffle=False, verbose=0, validation_data=(x[50:], y[50:]), **arguments
    )
    weights = np.linspace(1, 2, 70).astype("float32")
    figures = model.evaluate(x, y, verbose=0, sample_weight=weights)
    return history, figures, model.evaluate(x, y, verbose=0, sample_weight=weights, return_dict=True)


WEIGHTS: dict[str, dict[str, Any]] = {
    "class_weight": {"class_weight": {0: 1.0, 1: 3.0}},
    "sample_weight": {"sample_weight": np.linspace(0, 2, 50).astype("float32")},
    "none": {},
}


@pytest.mark.parametrize("weights", WEIGHTS)
def test_a_fit_has_kerass_history(keras: Any, engine: str, weights: str) -> None:
    own, _, own_dict = run(netchu, many_metrics(netchu), **WEIGHTS[weights])
    theirs, _, their_dict = run(keras, many_metrics(keras), **WEIGHTS[weights])
    assert list(own.history) == list(theirs.history)
    for key, values in theirs.history.items():
        assert_close(np.array(own.history[key]), np.array(values), atol=RUN_ATOL, what=key)
    assert list(own_dict) == list(their_dict)
    assert own_dict == pytest.approx(their_dict, abs=RUN_ATOL)


def test_evaluate_gives_its_figures_in_kerass_order(keras: Any) -> None:
    _, own, _ = run(netchu, few_metrics(netchu))
    _, theirs, _ = run(keras, few_metrics(keras))
    assert own == pytest.approx(theirs, abs=RUN_ATOL)
