"""Losses: real Keras's numbers, the two forms of cross-entropy, reductions and weights, and the labels refused."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from helpers import ENGINE_RTOL, STEP_ATOL, assert_close, golden
from netchu import engines, losses, ops
from netchu.errors import DataError, ShapeError, UsageError
from netchu.gradient_check import gradcheck
from netchu.layers import Dense, Input
from netchu.losses import (
    BinaryCrossentropy,
    CategoricalCrossentropy,
    Huber,
    KLDivergence,
    MeanAbsoluteError,
    MeanSquaredError,
    SparseCategoricalCrossentropy,
)
from netchu.models import Sequential
from netchu.registry import to_json
from netchu.tape import GradientTape
from netchu.tensor import Tensor, Variable

# name in the golden file -> the same loss, and whether its targets are one-hot
GOLDEN: dict[str, tuple[Any, bool]] = {
    "scce": (SparseCategoricalCrossentropy(), False),
    "scce_logits": (SparseCategoricalCrossentropy(from_logits=True), False),
    "cce": (CategoricalCrossentropy(), True),
    "cce_ls01": (CategoricalCrossentropy(label_smoothing=0.1), True),
    "mse": (MeanSquaredError(), True),
    "mae": (MeanAbsoluteError(), True),
    "bce": (BinaryCrossentropy(), True),
    "huber": (Huber(), True),
    "kld": (KLDivergence(), True),
}


def test_every_golden_loss_is_compared() -> None:
    assert set(golden()["losses"]) - {"y_true", "y_pred", "sw"} == set(GOLDEN)


@pytest.mark.parametrize("name", GOLDEN)
def test_each_loss_is_kerass(engine: str, name: str) -> None:
    data = golden()["losses"]
    loss, one_hot = GOLDEN[name]
    y_pred, weights = np.array(data["y_pred"], dtype="float32"), np.array(data["sw"], dtype="float32")
    y_true = np.eye(y_pred.shape[-1], dtype="float32")[data["y_true"]] if one_hot else np.array(data["y_true"])
    expected = data[name]
    assert_close(loss.call(y_true, y_pred).numpy(), np.float32(expected["per_sample"]), atol=STEP_ATOL)
    assert_close(loss(y_true, y_pred).numpy(), np.float32(expected["mean"]), atol=STEP_ATOL)
    assert_close(loss(y_true, y_pred, weights).numpy(), np.float32(expected["weighted"]), atol=STEP_ATOL)


# --- the two forms of cross-entropy ----------------------------------------------------------------------------------


def confident_and_wrong() -> tuple[Variable, Tensor]:
    """Logits +50 and -50 from a kernel; the true class will be 1, the loser."""
    kernel = Variable([[50.0, -50.0]], name="kernel")
    return kernel, Tensor([[1.0]])


def test_a_softmax_learns_however_wrong_it_is(engine: str) -> None:
    kernel, x = confident_and_wrong()
    with GradientTape() as tape:
        loss = SparseCategoricalCrossentropy()(np.array([1]), ops.softmax(x @ kernel))
    assert loss.item() == 100.0
    assert tape.gradient(loss, kernel).numpy().tolist() == [[1.0, -1.0]]


def test_a_categorical_loss_on_a_softmax_learns_too(engine: str) -> None:
    kernel, x = confident_and_wrong()
    with GradientTape() as tape:
        loss = CategoricalCrossentropy()(np.array([[0.0, 1.0]]), ops.softmax(x @ kernel))
    assert loss.item() == 100.0
    assert tape.gradient(loss, kernel).numpy().tolist() == [[1.0, -1.0]]


def test_a_binary_loss_on_a_sigmoid_learns_too(engine: str) -> None:
    kernel = Variable([[50.0]])
    with GradientTape() as tape:
        loss = BinaryCrossentropy()(np.array([[0.0]]), ops.sigmoid(Tensor([[1.0]]) @ kernel))
    assert loss.item() == 50.0
    assert tape.gradient(loss, kernel).numpy().tolist() == [[1.0]]


def test_bare_probabilities_are_clipped_and_learn_nothing(engine: str) -> None:
    probabilities = Tensor(np.array([[1.0, 0.0]], dtype="float32"))
    with GradientTape() as tape:
        tape.watch(probabilities)
        loss = SparseCategoricalCrossentropy()(np.array([1]), probabilities)
    assert_close(loss.numpy(), np.float32(16.118095), atol=2e-6)  # two roundings of a number of 16
    assert tape.gradient(loss, probabilities).numpy()[0, 1] == 0.0


def test_a_bare_probability_of_one_costs_almost_nothing(engine: str) -> None:
    loss = SparseCategoricalCrossentropy()(np.array([0]), np.array([[1.0, 0.0]], dtype="float32"))
    assert loss.item() == pytest.approx(1.19e-7, abs=1e-8)


def test_probabilities_that_do_not_sum_to_one_are_taken_as_shares(engine: str) -> None:
    loss = SparseCategoricalCrossentropy()(np.array([0]), np.array([[0.3, 0.3]], dtype="float32"))
    assert loss.item() == pytest.approx(0.6931472, abs=1e-6)


def test_a_fit_from_a_wrong_start_learns(engine: str) -> None:
    model = Sequential([Input((1,)), Dense(2, activation="softmax", use_bias=False)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.set_weights([np.array([[50.0, -50.0]], dtype="float32")])
    history = model.fit(np.ones((1, 1), dtype="float32"), np.array([1]), verbose=0)
    assert history.history["loss"] == [100.0]
    assert_close(model.get_weights()[0], np.array([[49.99, -49.99]], dtype="float32"), atol=4e-6)  # one ulp of 50


@pytest.mark.parametrize("labels", [[1, 0, 2], [[1], [0], [2]]])
def test_labels_in_a_row_or_in_a_column(engine: str, labels: list[Any]) -> None:
    logits = np.array([[1.0, 2.0, 0.5], [0.0, 1.0, 2.0], [2.0, 0.0, 1.0]], dtype="float32")
    per_sample = SparseCategoricalCrossentropy(from_logits=True).call(np.array(labels), logits)
    expected = np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(3), [1, 0, 2]]
    assert_close(per_sample.numpy(), expected, atol=STEP_ATOL)


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_labels_of_every_integer_type(engine: str, dtype: str) -> None:
    logits = np.zeros((2, 300 if dtype != "uint8" else 256), dtype="float32")
    loss = losses.sparse_categorical_crossentropy(np.array([255, 0], dtype=dtype), logits, from_logits=True)
    assert_close(loss.numpy(), np.full(2, np.log(logits.shape[1]), dtype="float32"), atol=STEP_ATOL)


def test_logits_of_any_size_are_finite(engine: str) -> None:
    logits = np.array([[1e30, -1e30], [-1e30, 1e30]], dtype="float32")
    loss = SparseCategoricalCrossentropy(from_logits=True).call(np.array([0, 0]), logits)
    assert loss.numpy().tolist() == [0.0, np.float32(2e30)]


def test_label_smoothing_by_hand() -> None:
    # y = [1, 0] * 0.8 + 0.2 / 2 = [0.9, 0.1]; p = [0.75, 0.25]
    loss = losses.categorical_crossentropy([[1.0, 0.0]], [[0.75, 0.25]], label_smoothing=0.2)
    assert loss.item() == pytest.approx(-0.9 * np.log(0.75) - 0.1 * np.log(0.25), abs=1e-6)
    binary = losses.binary_crossentropy([[1.0]], [[0.75]], label_smoothing=0.2)
    assert binary.item() == pytest.approx(-0.9 * np.log(0.75) - 0.1 * np.log(0.25), abs=1e-6)


# --- labels that are refused -----------------------------------------------------------------------------------------

P = np.full((3, 4), 0.25, dtype="float32")
BAD_LABELS: list[tuple[Any, type[Exception], str]] = [
    ([0, 4, 1], DataError, r"labels from 0 to 3 \(4 classes in the output\)\. Got: label 4 at index 1\."),
    ([0, 1, -1], DataError, r"label -1 at index 2"),
    ([0.0, 1.0, 2.5], DataError, r"integer labels\. Got: label 2\.5 at index 2, dtype=float(32|64)"),
    ([0.0, np.nan, 2.0], DataError, r"integer labels\. Got: label nan at index 1"),
    ([0.0, np.inf, 2.0], DataError, r"labels from 0 to 3 \(4 classes in the output\)\. Got: label inf at index 1"),
    ([0, 1], ShapeError, r"integer labels of shape \(3,\)\. Got: target\.shape=\(2,\)"),
    (np.eye(4)[:3], ShapeError, r"look one-hot: use categorical_crossentropy"),
]


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize(("labels", "error", "message"), BAD_LABELS, ids=[m for _, _, m in BAD_LABELS])
def test_bad_labels_are_refused(
    engine: str, labels: Any, error: type[Exception], message: str, from_logits: bool
) -> None:
    with pytest.raises(error, match=message):
        SparseCategoricalCrossentropy(from_logits=from_logits)(np.array(labels), P)


def test_integer_labels_for_a_categorical_loss_are_refused() -> None:
    with pytest.raises(ShapeError, match=r"categorical_crossentropy.*\(3, 4\).*\(3,\).*sparse_categorical"):
        CategoricalCrossentropy()(np.array([0, 1, 2]), P)


# --- reductions and weights ------------------------------------------------------------------------------------------

Y_TRUE = np.array([[0.0], [0.0], [0.0]], dtype="float32")
Y_PRED = np.array([[1.0], [2.0], [3.0]], dtype="float32")  # squares 1, 4, 9
WEIGHTS = np.array([1.0, 2.0, 0.0], dtype="float32")
REDUCED: list[tuple[str | None, Any, Any]] = [
    ("sum_over_batch_size", None, 14 / 3),
    ("sum_over_batch_size", WEIGHTS, 9 / 3),  # by the number of samples, not by the sum of weights
    ("mean", WEIGHTS, 9 / 3),
    ("sum", None, 14.0),
    ("sum", WEIGHTS, 9.0),
    ("mean_with_sample_weight", None, 14 / 3),
    ("mean_with_sample_weight", WEIGHTS, 9 / 3),
    ("mean_with_sample_weight", np.array([1.0, 1.0, 0.0]), 5 / 2),
    ("none", None, [1.0, 4.0, 9.0]),
    ("none", WEIGHTS, [1.0, 8.0, 0.0]),
    (None, WEIGHTS[:, None], [1.0, 8.0, 0.0]),
]


@pytest.mark.parametrize(("reduction", "weights", "expected"), REDUCED)
def test_reductions(engine: str, reduction: str | None, weights: Any, expected: Any) -> None:
    loss = MeanSquaredError(reduction=reduction)(Y_TRUE, Y_PRED, weights)
    assert_close(loss.numpy(), np.float32(expected), atol=STEP_ATOL)


def test_another_reduction_is_refused() -> None:
    with pytest.raises(UsageError, match=r"MeanSquaredError: expected reduction among .*None\. Got: .*='average'"):
        MeanSquaredError(reduction="average")


def test_targets_beside_a_single_output_are_not_broadcast(engine: str) -> None:
    row = MeanSquaredError()(np.zeros(3, dtype="float32"), Y_PRED)
    assert row.item() == pytest.approx(14 / 3)


def test_huber_is_square_near_and_linear_far() -> None:
    assert losses.huber([[0.0]], [[0.5]]).item() == 0.125
    assert losses.huber([[0.0]], [[3.0]]).item() == 2.5
    assert losses.huber([[0.0]], [[3.0]], delta=2.0).item() == 4.0


# --- worked out by hand ----------------------------------------------------------------------------------------------

LOG2 = math.log(2)
BY_HAND: list[tuple[str, dict[str, Any], Any, Any, Any]] = [
    ("hinge", {}, [[1, -1]], [[0.5, 2.0]], [(0.5 + 3.0) / 2]),
    ("hinge", {}, [[1, 0]], [[0.5, 2.0]], [(0.5 + 3.0) / 2]),  # 0 and 1 become -1 and 1 ...
    ("hinge", {}, [[1, 0], [1, -1]], [[0.5, 2.0], [3.0, 3.0]], [(0.5 + 1.0) / 2, (0 + 4.0) / 2]),  # ... if all are
    ("squared_hinge", {}, [[1, -1]], [[0.5, 2.0]], [(0.25 + 9.0) / 2]),
    ("categorical_hinge", {}, [[0, 1, 0]], [[0.5, 1.0, -2.0]], [0.5]),
    ("categorical_hinge", {}, [[0, 1, 0]], [[0.5, 4.0, -2.0]], [0.0]),
    ("kl_divergence", {}, [[0.5, 0.5]], [[0.25, 0.75]], [0.5 * math.log(2) + 0.5 * math.log(2 / 3)]),
    ("kl_divergence", {}, [[0.3, 0.7]], [[0.3, 0.7]], [0.0]),
    ("poisson", {}, [[2.0, 0.0]], [[1.0, 3.0]], [(1.0 + 3.0) / 2]),
    ("mean_absolute_percentage_error", {}, [[2.0, -4.0]], [[1.0, -5.0]], [(50.0 + 25.0) / 2]),
    ("mean_squared_logarithmic_error", {}, [[1.0]], [[3.0]], [LOG2 * LOG2]),
    ("log_cosh", {}, [[0.0, 0.0]], [[100.0, -100.0]], [100 - LOG2]),
    ("cosine_similarity", {}, [[1.0, 0.0], [3.0, 4.0], [0.0, 0.0]], [[2.0, 0.0], [4.0, -3.0], [1.0, 1.0]], [-1, 0, 0]),
    ("categorical_focal_crossentropy", {}, [[0.0, 1.0]], [[0.25, 0.75]], [-0.25 * 0.25**2 * math.log(0.75)]),
    ("categorical_focal_crossentropy", {"alpha": 1.0, "gamma": 0.0}, [[0.0, 1.0]], [[0.25, 0.75]], [-math.log(0.75)]),
    ("binary_focal_crossentropy", {}, [[1.0]], [[0.75]], [-(0.25**2) * math.log(0.75)]),
    (
        "binary_focal_crossentropy",
        {"apply_class_balancing": True, "gamma": 0.0},
        [[1.0, 0.0]],
        [[0.75, 0.75]],
        [(-0.25 * math.log(0.75) - 0.75 * math.log(0.25)) / 2],
    ),
]


@pytest.mark.parametrize(("name", "settings", "y_true", "y_pred", "expected"), BY_HAND)
def test_numbers_by_hand(
    engine: str, name: str, settings: dict[str, Any], y_true: Any, y_pred: Any, expected: Any
) -> None:
    loss = getattr(losses, name)(np.float32(y_true), np.float32(y_pred), **settings)
    assert_close(loss.numpy(), np.float32(expected), atol=STEP_ATOL, rtol=ENGINE_RTOL)


# --- what holds for every loss ---------------------------------------------------------------------------------------

RNG = np.random.default_rng(0)
SHARES = RNG.uniform(0.1, 0.9, (5, 4))
ONE_HOT = np.eye(4)[[0, 3, 1, 2, 1]]
REAL, TRUE = RNG.normal(0, 2, (5, 4)), RNG.uniform(0.5, 3, (5, 4))
# class -> targets and predictions at which it has a slope
SAMPLES: dict[str, tuple[Any, Any]] = {
    "SparseCategoricalCrossentropy": (ONE_HOT.argmax(axis=1), SHARES),
    **dict.fromkeys(("CategoricalCrossentropy", "CategoricalFocalCrossentropy", "KLDivergence"), (ONE_HOT, SHARES)),
    **dict.fromkeys(("BinaryCrossentropy", "BinaryFocalCrossentropy"), (ONE_HOT, SHARES)),
    **dict.fromkeys(("Hinge", "SquaredHinge", "CategoricalHinge", "CosineSimilarity"), (ONE_HOT, REAL)),
    **dict.fromkeys(("MeanSquaredError", "MeanAbsoluteError", "Huber", "LogCosh"), (TRUE, REAL)),
    **dict.fromkeys(("MeanAbsolutePercentageError",), (TRUE, REAL)),
    **dict.fromkeys(("MeanSquaredLogarithmicError", "Poisson"), (TRUE, SHARES)),
}
NAMES = sorted(cls.__name__ for cls in losses.classes)


def test_every_loss_has_samples() -> None:
    assert sorted(SAMPLES) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_the_central_difference(name: str) -> None:
    y_true, y_pred = SAMPLES[name]
    gradcheck(lambda p: getattr(losses, name)(reduction="none")(y_true, p), y_pred)


@pytest.mark.parametrize("name", NAMES)
def test_engines_agree_and_reductions_follow_from_the_losses_of_the_samples(engine: str, name: str) -> None:
    y_true, y_pred = SAMPLES[name][0], SAMPLES[name][1].astype("float32")
    y_true = y_true.astype("float32") if y_true.dtype == np.float64 else y_true
    weights = np.float32([1.0, 0.0, 2.0, 0.5, 3.0])
    here = getattr(losses, name)(reduction="none")(y_true, y_pred).numpy()
    engines.set_engine("numpy")
    per_sample = getattr(losses, name)(reduction="none")(y_true, y_pred).numpy()
    assert_close(here, per_sample, rtol=ENGINE_RTOL)
    engines.set_engine(engine)
    for reduction, expected in (
        ("sum", np.sum(weights * per_sample)),
        ("sum_over_batch_size", np.sum(weights * per_sample) / 5),
        ("mean_with_sample_weight", np.sum(weights * per_sample) / np.sum(weights)),
    ):
        loss = getattr(losses, name)(reduction=reduction)(y_true, y_pred, weights)
        assert_close(loss.numpy(), expected, rtol=ENGINE_RTOL, what=reduction)


@pytest.mark.parametrize("name", NAMES)
def test_a_loss_comes_back_from_its_configuration(name: str) -> None:
    loss = getattr(losses, name)(reduction="sum", name="own")
    again = losses.get(json.loads(json.dumps(to_json(loss))))
    assert type(again) is type(loss)
    assert again.get_config() == loss.get_config()
    assert (again.reduction, again.name) == ("sum", "own")


@pytest.mark.parametrize("name", NAMES)
def test_a_model_learns_by_it_in_a_compiled_step(engine: str, name: str) -> None:
    labels = np.arange(12) % 3
    activation = "softmax" if "Categorical" in name or name == "KLDivergence" else "sigmoid"
    model = Sequential([Input((3,)), Dense(3, activation=activation)])
    model.compile("adam", getattr(losses, name)())
    y = labels if name.startswith("Sparse") else np.eye(3, dtype="float32")[labels]
    first, *_, last = model.fit(np.eye(3)[labels], y, epochs=8, verbose=0).history["loss"]
    assert last < first


# --- names -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", losses.names)
def test_every_name_gives_a_loss_and_a_function(name: str) -> None:
    assert isinstance(losses.get(name), losses.Loss)
    assert callable(losses.get_function(name))


def test_a_users_function_becomes_a_loss(engine: str) -> None:
    def cubic(y_true: Any, y_pred: Any) -> Tensor:
        return ops.mean(ops.absolute(y_true - y_pred) ** 3, axis=-1)

    loss = losses.get(cubic)
    assert loss.name == "cubic"
    assert loss(Tensor(Y_TRUE), Tensor(Y_PRED)).item() == pytest.approx((1 + 8 + 27) / 3)


def test_a_compiled_step_cannot_look_at_labels_so_fit_does_before(engine: str) -> None:
    model = Sequential([Input((2,)), Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    with pytest.raises(DataError, match="label 3 at index 1"):
        model.fit(np.zeros((2, 2), dtype="float32"), np.array([0, 3]), verbose=0)
    assert engines.current().name == engine
