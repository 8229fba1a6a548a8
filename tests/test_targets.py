"""Targets: each loss says which it is made for, and everything that learns or measures refuses others beforehand."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import netchu
from netchu import losses, ops
from netchu.callbacks import TerminateOnNaN
from netchu.errors import DataError
from netchu.layers import Dense, Input
from netchu.losses import LossFunction, SparseCategoricalCrossentropy
from small_nets import classifier

X = np.random.default_rng(0).normal(size=(12, 6)).astype("float32")
LABELS = np.arange(12) % 3
SINGLE = [c for c in losses.classes if c not in (SparseCategoricalCrossentropy, LossFunction)]
BOUNDED = [c for c in SINGLE if c.target_range != (-math.inf, math.inf)]
OUTSIDE = [
    (c, end, by) for c in BOUNDED for end in (0, 1) for by in (0.001, 0.5, 254) if math.isfinite(c.target_range[end])
]


def model_for(loss: Any, **settings: Any) -> netchu.Sequential:
    model = netchu.Sequential([Input((6,)), Dense(3, "sigmoid")])
    model.compile("sgd", loss, **settings)
    return model


def targets_within(loss: type[losses.Loss], seed: int = 0) -> np.ndarray:
    low, high = (max(-2.0, loss.target_range[0]), min(2.0, loss.target_range[1]))
    return np.random.default_rng(seed).uniform(low, high, (12, 3)).astype("float32")


USES: dict[str, Callable[[netchu.Sequential, np.ndarray, np.ndarray], Any]] = {
    "fit": lambda m, good, bad: m.fit(X, bad, verbose=0),
    "fit, in a list": lambda m, good, bad: m.fit(X.tolist(), bad.tolist(), verbose=0),
    "validation data": lambda m, good, bad: m.fit(X, good, validation_data=(X, bad), verbose=0),
    "the first batch": lambda m, good, bad: m.fit([(X, bad)], verbose=0),
    "the second batch": lambda m, good, bad: m.fit([(X, good), (X, bad)], verbose=0),
    "evaluate": lambda m, good, bad: m.evaluate(X, bad, verbose=0),
    "evaluate, a batch": lambda m, good, bad: m.evaluate([(X, good), (X, bad)], verbose=0),
    "train_on_batch": lambda m, good, bad: m.train_on_batch(X, bad),
    "test_on_batch": lambda m, good, bad: m.test_on_batch(X, bad),
}


def test_the_losses_that_could_fall_without_end_are_bounded() -> None:
    names = {c.__name__ for c in BOUNDED}
    assert {"BinaryCrossentropy", "BinaryFocalCrossentropy", "CategoricalCrossentropy", "Poisson"} <= names
    assert not names & {"MeanSquaredError", "MeanAbsoluteError", "Huber", "CosineSimilarity"}


@pytest.mark.parametrize("loss", BOUNDED, ids=lambda c: c.__name__)
@pytest.mark.parametrize("use", USES)
def test_targets_out_of_range_are_refused_everywhere(loss: type[losses.Loss], use: str) -> None:
    good = targets_within(loss)
    bad = good.copy()
    bad[4, 1] = -9.5
    model = model_for(loss())
    with pytest.raises(DataError, match=rf"^{model.loss.name}: expected targets .*y\[4, 1\]=-9\.5 \(1 such"):
        USES[use](model, good, bad)


@pytest.mark.parametrize(("loss", "end", "by"), OUTSIDE, ids=lambda v: getattr(v, "__name__", str(v)))
def test_each_end_of_the_range_is_kept(loss: type[losses.Loss], end: int, by: float) -> None:
    y = targets_within(loss)
    y[0] = loss.target_range[end]
    model = model_for(loss())
    model.fit(X, y, verbose=0)
    y[0, 0] += by if end else -by
    with pytest.raises(DataError, match="expected targets"):
        model.fit(X, y, verbose=0)


@pytest.mark.parametrize("loss", SINGLE, ids=lambda c: c.__name__)
def test_what_is_in_the_range_gives_a_loss_that_does_not_fall_without_end(loss: type[losses.Loss]) -> None:
    """Predictions as extreme as one likes: the range is right if the loss has a floor in it, and a wrong if not."""
    for seed in range(20):
        y, extreme = targets_within(loss, seed), np.random.default_rng(seed).uniform(1e-6, 1 - 1e-6, (12, 3))
        assert losses.get(loss)(y, extreme.astype("float32")).item() > -20


@pytest.mark.parametrize("given", [losses.binary_crossentropy, "bce", "binary_crossentropy", losses.BinaryCrossentropy])
def test_the_range_holds_however_the_loss_is_named(given: Any) -> None:
    with pytest.raises(DataError, match=r"^binary_crossentropy: expected targets from 0 to 1\. Got: y\[0, 0\]=255"):
        model_for(given).fit(X, np.full((12, 3), 255), verbose=0)


def test_the_range_and_the_labels_hold_where_shapes_choose_the_loss() -> None:
    with pytest.raises(DataError, match="labels from 0 to 2"):
        model_for("crossentropy").fit(X, LABELS + 1, verbose=0)
    with pytest.raises(DataError, match="targets from 0 to 1"):
        model_for("crossentropy").fit(X, np.full((12, 3), 2.0), verbose=0)


def test_labels_hold_where_the_loss_is_a_function() -> None:
    model = model_for(losses.sparse_categorical_crossentropy)
    with pytest.raises(DataError, match="labels from 0 to 2"):
        model.fit(X, LABELS + 1, verbose=0)


def test_a_function_of_ones_own_takes_what_it_likes() -> None:
    model = model_for(lambda y, p: ops.mean(ops.square(y - p), axis=-1))
    model.fit(X, np.full((12, 3), 255.0), verbose=0)


# --- labels of other types -------------------------------------------------------------------------------------------

WHOLE = ["int8", "uint8", "int16", "int32", "int64", "uint64", "float16", "float32", "float64", ">f8", ">i2"]


def figures(y: Any, **settings: Any) -> Any:
    """A short training, and an evaluation, of one classifier on these labels."""
    model = classifier(metrics=["accuracy", "sparse_top_k_categorical_accuracy"], **settings)
    history = model.fit(X, y, epochs=2, batch_size=5, verbose=0).history
    return history, model.evaluate(X, y, verbose=0), model.get_weights()


@pytest.mark.parametrize("dtype", WHOLE)
def test_whole_numbers_are_labels_whatever_they_are_kept_in(dtype: str, engine: str) -> None:
    netchu.utils.set_random_seed(1)
    expected = figures(LABELS.astype("int32"))
    netchu.utils.set_random_seed(1)
    found = figures(LABELS.astype(dtype), class_weight=None) if False else figures(LABELS.astype(dtype))
    assert found[:2] == expected[:2]
    for a, b in zip(found[2], expected[2]):
        np.testing.assert_array_equal(a, b)


def test_truth_values_are_labels(engine: str) -> None:
    y = LABELS > 0
    p = np.random.default_rng(1).dirichlet(np.ones(3), 12).astype("float32")
    loss = SparseCategoricalCrossentropy()
    assert loss(y, p).item() == loss(y.astype("int32"), p).item()
    model = model_for(loss)
    assert model.evaluate(X, y, verbose=0) == model.evaluate(X, y.astype("int32"), verbose=0)


@pytest.mark.judge
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("dtype", ["float32", "float64", "bool", "int64"])
def test_labels_of_other_types_are_kerass_figures(dtype: str, keras: ModuleType) -> None:
    y = LABELS.astype(dtype)
    ours = netchu.Sequential([Input((6,)), Dense(3, "softmax")])
    theirs = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3, "softmax")])
    theirs.set_weights(ours.get_weights())
    for model in (ours, theirs):
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    a, b = (m.fit(X, y, epochs=2, shuffle=False, verbose=0).history for m in (ours, theirs))
    assert a["loss"] == pytest.approx(b["loss"], rel=1e-5)
    assert a["accuracy"] == pytest.approx(b["accuracy"])
    np.testing.assert_array_equal(netchu.utils.to_categorical(y), keras.utils.to_categorical(y))


# --- numbers that are not finite -------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("part", ["x", "y", "sample_weight"])
def test_terminate_on_nan_is_given_its_nan(value: float, part: str, capsys: pytest.CaptureFixture[str]) -> None:
    data = {"x": X.copy(), "y": X[:, :3].copy(), "sample_weight": np.ones(12, "float32")}
    data[part].flat[-1] = value
    model = netchu.Sequential([Input((6,)), Dense(3)])
    model.compile("sgd", "mse")
    with pytest.raises(DataError, match=f"fit: expected finite numbers in {part}"):
        model.fit(**data, verbose=0)
    history = model.fit(**data, epochs=3, verbose=0, callbacks=TerminateOnNaN(), validation_data=tuple(data.values()))
    assert len(history.history["loss"]) == 1
    assert not math.isfinite(history.history["loss"][0])
    assert "Invalid loss, terminating training" in capsys.readouterr().out
