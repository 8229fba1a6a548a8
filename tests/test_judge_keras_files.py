"""Keras's files judged by real Keras: what one of the two writes, the other reads, predicts with and trains on."""

from __future__ import annotations

import importlib
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import netchu
from helpers import ENGINE_RTOL, RUN_ATOL, STEP_ATOL, assert_close, assert_same_bits
from netchu import Sequential, layers, losses, metrics, optimizers
from netchu.interop.keras_config import MODULES, NOT_IN_KERAS
from netchu.layers import BatchNormalization, Dense, Dropout, Input
from netchu.models import load_model
from netchu.registry import Configurable, snake_case
from test_keras_files import OPTIMIZERS, PARTS
from test_layers import CASES as LAYERS

pytestmark = pytest.mark.judge

THEIRS = "ignore:(?!Skipping variable loading)"  # Keras's own warnings are not ours, but for one about our files


@pytest.fixture(autouse=True)
def _fresh_names(keras: ModuleType) -> None:
    """Keras numbers layers through the whole program: begin anew."""
    keras.backend.clear_session()


def by_keras(keras: ModuleType, model: Sequential, folder: Path) -> Any:
    """netchu's model, as real Keras loads it."""
    model.save(folder / "ours.keras")
    return keras.saving.load_model(folder / "ours.keras")


def back(model: Any, folder: Path) -> Sequential:
    """Keras's model, as netchu loads it."""
    model.save(folder / "theirs.keras")
    return load_model(folder / "theirs.keras")


def assert_same_weights(ours: Any, theirs: Any) -> None:
    assert len(ours.get_weights()) == len(theirs.get_weights())
    for one, other in zip(ours.get_weights(), theirs.get_weights()):
        assert_same_bits(one, other)


def in_float32(config: Any) -> Any:
    """Settings with their numbers in float32, in which Keras keeps some of them."""
    if isinstance(config, dict):
        return {key: in_float32(value) for key, value in config.items()}
    if isinstance(config, list):
        return [in_float32(value) for value in config]
    return float(np.float32(config)) if isinstance(config, float) else config


# --- layers ----------------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings(THEIRS)
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "InputLayer"])
def test_every_layer_there_and_back(name: str, keras: ModuleType, tmp_path: Path) -> None:
    case = LAYERS[name]
    model = Sequential([Input(case.sample), case.make(name="it")])
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0.5, 1.5, w.shape).astype("float32") for w in model.weights])
    x = rng.normal(0, 1, (3, *case.sample)).astype("float32")
    theirs = by_keras(keras, model, tmp_path)
    assert_same_weights(theirs, model)
    assert_close(np.asarray(theirs(x, training=False)), model(x, training=False).numpy(), rtol=ENGINE_RTOL)
    again = back(theirs, tmp_path)
    assert_same_weights(again, model)
    assert_same_bits(again(x, training=False).numpy(), model(x, training=False).numpy())


@pytest.mark.filterwarnings(THEIRS)
@pytest.mark.parametrize("name", PARTS)
def test_every_setting_there_and_back(name: str, keras: ModuleType, tmp_path: Path) -> None:
    model = Sequential([Input((3,)), Dense(4, **PARTS[name])])
    again = back(by_keras(keras, model, tmp_path), tmp_path)
    assert in_float32(again.get_config()) == in_float32(model.get_config())
    assert_same_weights(again, model)


@pytest.mark.filterwarnings(THEIRS)
def test_models_in_models_there_and_back(keras: ModuleType, tmp_path: Path) -> None:
    inner = Sequential([Dense(4, "relu"), BatchNormalization(), Sequential([Dense(5), Dense(2)])], name="inner")
    model = Sequential([Input((3,)), Dense(4), inner, Dropout(0.5), Dense(1), Sequential([Dense(2)])])
    theirs = by_keras(keras, model, tmp_path)
    assert [layer.name for layer in theirs.layers] == [layer.name for layer in model.layers]
    assert_same_weights(theirs, model)
    assert_same_weights(back(theirs, tmp_path), model)


def test_keras_has_every_class_that_netchu_writes(keras: ModuleType) -> None:
    pairs = [(layers.registry.table.values(), keras.layers)]
    pairs += [(vars(room).values(), importlib.import_module(name)) for name, room in MODULES.items()]
    for things, theirs in pairs:
        classes = [thing for thing in things if isinstance(thing, type) and issubclass(thing, Configurable)]
        public = [c for c in classes if c.__name__[0] != "_" and c.__name__ not in NOT_NAMED_BY_FILES]
        assert not [c.__name__ for c in public if not hasattr(theirs, c.__name__)]


NOT_NAMED_BY_FILES = {"Configurable", "LossFunction", "ConfusionMatrix"} | NOT_IN_KERAS


def test_groups_have_keras_names(keras: ModuleType) -> None:
    naming = importlib.import_module("keras.src.utils.naming")
    names = [name for name in dir(keras.layers) if name[0].isupper()]
    assert len(names) > 100
    assert [snake_case(name) for name in names] == [naming.to_snake_case(name) for name in names]


@pytest.mark.filterwarnings(THEIRS)
def test_keras_model_built_by_its_data(keras: ModuleType, tmp_path: Path) -> None:
    x = np.ones((3, 4), "float32")
    theirs = keras.Sequential([keras.layers.Dense(2, name="first"), keras.layers.Dense(3)])
    expected = np.asarray(theirs(x))
    assert_close(back(theirs, tmp_path)(x).numpy(), expected, rtol=ENGINE_RTOL)


@pytest.mark.filterwarnings(THEIRS)
def test_functional_model_is_refused_by_name(keras: ModuleType, tmp_path: Path) -> None:
    x = keras.Input((3,))
    with pytest.raises(netchu.errors.ModelFileError, match=r"build the model as a keras\.Sequential"):
        back(keras.Model(x, keras.layers.Dense(2)(x)), tmp_path)


# --- training --------------------------------------------------------------------------------------------------------


def data() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(size=(12, 3)).astype("float32"), rng.normal(size=(12, 2)).astype("float32")


def train(model: Any) -> None:
    x, y = data()
    model.fit(x, y, batch_size=4, epochs=1, shuffle=False, verbose=0)


def assert_same_state(ours: netchu.optimizers.Optimizer, theirs: Any) -> None:
    """Every number of Keras's optimizer, in its order, against the Variable that means the same in netchu's."""
    paths = netchu.interop.keras.optimizer_paths(ours)
    assert len(paths) == len(theirs.variables)
    for variable, other in zip(paths.values(), theirs.variables):
        assert_same_bits(variable.numpy(), other.numpy(), f"{variable.name} {other.name}")


@pytest.mark.filterwarnings(THEIRS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_keras_trains_on_from_where_netchu_stopped(name: str, keras: ModuleType, tmp_path: Path) -> None:
    model = Sequential([Input((3,)), Dense(4, activation="tanh"), Dense(2)])
    model.compile(OPTIMIZERS[name](), "mse")
    train(model)
    theirs = by_keras(keras, model, tmp_path)
    assert_same_weights(theirs, model)
    assert_same_state(model.optimizer, theirs.optimizer)
    train(model)
    train(theirs)
    for one, other in zip(theirs.get_weights(), model.get_weights()):
        assert_close(one, other, atol=RUN_ATOL)


@pytest.mark.filterwarnings(THEIRS)
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_netchu_trains_on_from_where_keras_stopped(name: str, keras: ModuleType, tmp_path: Path) -> None:
    model = Sequential([Input((3,)), Dense(4, activation="tanh"), Dense(2)])
    model.compile(OPTIMIZERS[name](), "mse")
    theirs = by_keras(keras, model, tmp_path)
    train(theirs)
    again = back(theirs, tmp_path)
    assert_same_weights(again, theirs)
    assert_same_state(again.optimizer, theirs.optimizer)
    train(again)
    train(theirs)
    for one, other in zip(again.get_weights(), theirs.get_weights()):
        assert_close(one, other, atol=RUN_ATOL)


@pytest.mark.filterwarnings(THEIRS)
@pytest.mark.parametrize("loss", losses.classes, ids=lambda cls: cls.__name__)
def test_every_loss_there_and_back(loss: type, keras: ModuleType, tmp_path: Path) -> None:
    model = Sequential([Input((3,)), Dense(2, activation="softmax")])
    model.compile("sgd", loss())
    again = back(by_keras(keras, model, tmp_path), tmp_path)
    given = {key: value for key, value in loss().get_config().items() if key in again.loss.get_config()}
    assert {key: again.loss.get_config()[key] for key in given} == given


@pytest.mark.filterwarnings(THEIRS)
def test_metrics_there_and_back(keras: ModuleType, tmp_path: Path) -> None:
    model = Sequential([Input((3,)), Dense(2, activation="softmax")])
    chosen = ["accuracy", metrics.SparseTopKCategoricalAccuracy(k=1, name="top")]
    model.compile("adam", "sparse_categorical_crossentropy", metrics=chosen, weighted_metrics=["accuracy"])
    x, y = data()[0], np.arange(12) % 2
    theirs = by_keras(keras, model, tmp_path)
    expected = theirs.evaluate(x, y, verbose=0, return_dict=True)
    found = back(theirs, tmp_path).evaluate(x, y, verbose=0, return_dict=True)
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        assert_close(found[key], value, atol=STEP_ATOL)


# --- weights alone ---------------------------------------------------------------------------------------------------


@pytest.mark.filterwarnings(THEIRS)
def test_weights_go_both_ways(keras: ModuleType, tmp_path: Path) -> None:
    model = Sequential([Input((3,)), Dense(4), BatchNormalization(), Dense(2)])
    theirs = by_keras(keras, model, tmp_path)
    theirs.set_weights([w + 1 for w in theirs.get_weights()])
    theirs.save_weights(tmp_path / "theirs.weights.h5")
    model.load_weights(tmp_path / "theirs.weights.h5")
    assert_same_weights(model, theirs)
    model.set_weights([w + 1 for w in model.get_weights()])
    model.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    assert_same_weights(model, theirs)


@pytest.mark.filterwarnings(THEIRS)
def test_weights_of_a_compiled_model_go_both_ways(keras: ModuleType, tmp_path: Path) -> None:
    model = Sequential([Input((3,)), Dense(4), Dense(2)])
    model.compile(optimizers.Adam(), "mse")
    train(model)
    theirs = by_keras(keras, model, tmp_path)
    train(theirs)
    model.save_weights(tmp_path / "ours.weights.h5")
    theirs.load_weights(tmp_path / "ours.weights.h5")
    assert_same_weights(theirs, model)
    assert_same_state(model.optimizer, theirs.optimizer)
