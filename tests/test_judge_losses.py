"""Every loss beside real Keras: values, gradients, reductions, weights, names and defaults.

Run with `pytest -m judge` where Keras and TensorFlow are installed.
"""

from __future__ import annotations

import inspect
from typing import Any

import numpy as np
import pytest

from helpers import STEP_ATOL, assert_close
from netchu import losses
from netchu.losses import LossFunction
from netchu.tape import GradientTape
from netchu.tensor import Tensor

pytestmark = [pytest.mark.judge, pytest.mark.filterwarnings("ignore")]  # the judges' own warnings are not ours

LOSS_RTOL = 2e-6
"""Relative to the largest loss of the batch, which for percentages and counts is far from 1: some float32 roundings."""


# what the predictions and the targets are -> (y_true, y_pred)
SHAPES = [(50, 7), (6, 5, 4), (9, 1)]


def data(kind: str, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Targets and predictions; predictions "probable" hold exact 0 and 1, "real" ones hold ties and exact hits."""
    rng = np.random.default_rng(5)
    real = np.round(rng.standard_normal(shape) * 2, 1).astype("float32")
    units = rng.integers(0, 2, shape).astype("float32")
    one_hot = np.eye(shape[-1], dtype="float32")[rng.integers(0, shape[-1], shape[:-1])]
    p = rng.random(shape).astype("float32")
    p.flat[::9], p.flat[4::9] = 0.0, 1.0
    p += 1e-3 * (p.sum(axis=-1, keepdims=True) == 0)
    targets = np.round(rng.standard_normal(shape) * 2, 1).astype("float32")
    return {
        "real": (targets, real),
        "counts": (rng.integers(0, 4, shape).astype("float32"), np.exp(real)),
        "signs": (2 * units - 1, real),
        "units, logits": (units, real),
        "units": (units, p),
        "one-hot": (one_hot, p),
        "one-hot, logits": (one_hot, real),
        "shares": (p / p.sum(axis=-1, keepdims=True), np.roll(p, 1, axis=0)),
        "labels": (one_hot.argmax(axis=-1), p),
    }[kind]


CASES: list[tuple[str, dict[str, Any], str]] = [
    ("SparseCategoricalCrossentropy", {}, "labels"),
    ("CategoricalCrossentropy", {"label_smoothing": 0.1}, "one-hot"),
    ("BinaryCrossentropy", {"label_smoothing": 0.1}, "units"),
    ("CategoricalFocalCrossentropy", {}, "one-hot"),
    ("CategoricalFocalCrossentropy", {"alpha": 0.7, "gamma": 1.5, "label_smoothing": 0.2}, "one-hot"),
    ("CategoricalFocalCrossentropy", {"gamma": 0.0}, "one-hot"),
    ("CategoricalFocalCrossentropy", {"from_logits": True}, "one-hot, logits"),
    ("BinaryFocalCrossentropy", {}, "units"),
    ("BinaryFocalCrossentropy", {"apply_class_balancing": True, "alpha": 0.7, "gamma": 3.0}, "units"),
    ("BinaryFocalCrossentropy", {"label_smoothing": 0.2}, "units"),
    ("BinaryFocalCrossentropy", {"from_logits": True, "gamma": 1.5}, "units, logits"),
    ("KLDivergence", {}, "shares"),
    ("Poisson", {}, "counts"),
    ("MeanSquaredError", {}, "real"),
    ("MeanAbsoluteError", {}, "real"),
    ("MeanAbsolutePercentageError", {}, "counts"),
    ("MeanSquaredLogarithmicError", {}, "counts"),
    ("Huber", {"delta": 0.5}, "real"),
    ("LogCosh", {}, "real"),
    ("CosineSimilarity", {}, "real"),
    ("CosineSimilarity", {"axis": 0}, "real"),
    ("Hinge", {}, "signs"),
    ("Hinge", {}, "units, logits"),
    ("SquaredHinge", {}, "signs"),
    ("SquaredHinge", {}, "units, logits"),
    ("CategoricalHinge", {}, "one-hot, logits"),
]


def test_every_loss_has_a_case() -> None:
    assert {name for name, _, _ in CASES} == {cls.__name__ for cls in losses.classes}


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "sum", "mean_with_sample_weight", "none"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "settings", "kind"), CASES, ids=[f"{n}{s}" for n, s, _ in CASES])
def test_values(
    keras: Any, name: str, settings: dict[str, Any], kind: str, shape: tuple[int, ...], reduction: str, weighted: bool
) -> None:
    y_true, y_pred = data(kind, shape)
    own_loss = getattr(losses, name)(reduction=reduction, **settings)
    their_loss = getattr(keras.losses, name)(reduction=reduction, **settings)
    weights = None
    if weighted:
        per_sample = np.asarray(getattr(keras.losses, name)(reduction="none", **settings)(y_true, y_pred))
        weights = np.random.default_rng(6).integers(0, 4, per_sample.shape).astype("float32") / 2
    own, theirs = own_loss(y_true, y_pred, weights), their_loss(y_true, y_pred, weights)
    assert_close(own.numpy(), np.asarray(theirs), atol=STEP_ATOL, rtol=LOSS_RTOL)


@pytest.mark.parametrize(("name", "settings", "kind"), CASES, ids=[f"{n}{s}" for n, s, _ in CASES])
def test_gradients(keras: Any, engine: str, name: str, settings: dict[str, Any], kind: str) -> None:
    import tensorflow as tf

    y_true, y_pred = data(kind, (50, 7))
    own_p, their_p = Tensor(y_pred), tf.constant(y_pred)
    with GradientTape() as tape:
        tape.watch(own_p)
        own = getattr(losses, name)(reduction="sum", **settings)(y_true, own_p)
    with tf.GradientTape() as their_tape:
        their_tape.watch(their_p)
        theirs = getattr(keras.losses, name)(reduction="sum", **settings)(y_true, their_p)
    expected = their_tape.gradient(theirs, their_p).numpy()
    assert_close(tape.gradient(own, own_p).numpy(), expected, atol=STEP_ATOL, rtol=LOSS_RTOL)


@pytest.mark.parametrize("name", ["BinaryFocalCrossentropy", "CategoricalFocalCrossentropy"])
def test_focal_losses_after_an_activation_as_a_model_has_it(keras: Any, name: str) -> None:
    import tensorflow as tf

    from netchu import ops

    z = (np.random.default_rng(1).standard_normal((20, 5)) * 30).astype("float32")  # far beyond what clipping lets by
    y_true = np.eye(5, dtype="float32")[np.arange(20) % 5]
    activation = "sigmoid" if name.startswith("Binary") else "softmax"
    own_z, their_z = Tensor(z), tf.constant(z)
    with GradientTape() as tape:
        tape.watch(own_z)
        own = getattr(losses, name)()(y_true, getattr(ops, activation)(own_z))
    with tf.GradientTape() as their_tape:
        their_tape.watch(their_z)
        theirs = getattr(keras.losses, name)()(y_true, getattr(keras.activations, activation)(their_z))
    assert_close(own.numpy(), theirs.numpy(), atol=STEP_ATOL, rtol=LOSS_RTOL)
    assert_close(tape.gradient(own, own_z).numpy(), their_tape.gradient(theirs, their_z).numpy(), atol=STEP_ATOL)


@pytest.mark.parametrize("name", sorted(cls.__name__ for cls in losses.classes))
def test_parameters_and_defaults_are_kerass(keras: Any, name: str) -> None:
    own = inspect.signature(getattr(losses, name).__init__).parameters
    theirs = inspect.signature(getattr(keras.losses, name).__init__).parameters
    assert [(p.name, p.default) for p in own.values()] == [
        (p.name, p.default) for p in theirs.values() if p.name != "ignore_class"
    ]


FUNCTIONS = sorted(function.__name__ for function in losses.functions)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_have_kerass_parameters(keras: Any, name: str) -> None:
    own = inspect.signature(getattr(losses, name)).parameters
    theirs = inspect.signature(getattr(keras.losses, name)).parameters
    assert [(p.name, p.default) for p in own.values()] == [
        (p.name, p.default) for p in theirs.values() if p.name != "ignore_class"
    ]


@pytest.mark.parametrize("name", [*losses.names, "KLD", "MSE", "KLDivergence", "LogCosh", "CategoricalHinge"])
def test_a_name_means_what_it_means_in_keras(keras: Any, name: str) -> None:
    if name == "huber_loss":  # an older name of Keras's, which it gave up
        return
    theirs = keras.losses.get(name)
    own = losses.get(name)
    assert not isinstance(own, LossFunction)
    expected = theirs.__name__ if inspect.isfunction(theirs) else theirs.name
    assert losses.get_function(name).__name__ == expected
