"""Everything that a user holds can be pickled and copied, and goes on as if nothing had happened.

That is what `multiprocessing` with spawn, joblib and every scheduler of jobs do to what they are given.
"""

from __future__ import annotations

import copy
import inspect
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netchu
from helpers import assert_same_bits
from netchu import (
    Tensor,
    Variable,
    callbacks,
    constraints,
    errors,
    initializers,
    losses,
    metrics,
    ops,
    optimizers,
    random,
    regularizers,
)
from netchu.errors import EngineError, NetchuError, UsageError
from netchu.layers import BatchNormalization, Dense, Dropout, Input
from netchu.registry import Configurable, to_json
from netchu.system.signals import Terminated
from random_architectures import LAYERS, OPTIMIZERS, random_model, random_samples
from small_nets import classifier, clusters, run_python

X, Y = clusters()


def unpickled(thing: Any) -> Any:
    return pickle.loads(pickle.dumps(thing))


WAYS = {"pickle": unpickled, "deepcopy": copy.deepcopy}


@pytest.fixture(params=WAYS)
def again(request: pytest.FixtureRequest) -> Callable[[Any], Any]:
    """Each way to a second one."""
    return WAYS[request.param]


def assert_same_training(model: Any, other: Any, x: np.ndarray, y: np.ndarray) -> None:
    """Both predict the same bits, and after the same further training still do."""
    assert other is not model
    assert_same_bits(other.predict(x, verbose=0), model.predict(x, verbose=0))
    start = random.state()
    figures = []
    for one in (model, other):
        random.restore(*start)
        figures.append(one.fit(x, y, epochs=2, batch_size=8, verbose=0).history)
    assert figures[0] == figures[1]
    for name, variable in model.state().items():
        assert_same_bits(other.state()[name].numpy(), variable.numpy(), name)


@pytest.mark.parametrize("kind", LAYERS)
def test_a_trained_model_of_each_layer_goes_on(kind: str) -> None:
    model = random_model(1, [kind])
    x, y = random_samples(model.input_shape[1:], 20, 0), random_samples(model.output_shape[1:], 20, 1)
    model.compile("adam", "mse", metrics=["mae"])
    model.fit(x, y, batch_size=8, verbose=0)
    assert_same_training(model, unpickled(model), x, y)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_each_optimizer_goes_on(name: str) -> None:
    rate = optimizers.schedules.CosineDecay(0.01, 30)
    made = getattr(optimizers, name)(rate, use_ema=True, gradient_accumulation_steps=2)
    model = classifier(optimizer=made)
    model.fit(X, Y, verbose=0)
    assert_same_training(model, unpickled(model), X, Y)


def test_a_model_with_draws_goes_on(engine: str, again: Callable[[Any], Any]) -> None:
    first, last = Dense(5, "relu", kernel_constraint="max_norm"), Dense(3, "softmax", kernel_regularizer="l2")
    model = netchu.Sequential([Input((6,)), first, Dropout(0.5), BatchNormalization(), last])
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(X, Y, verbose=0)
    assert_same_training(model, again(model), X, Y)


def test_one_weight_that_two_hold_stays_one(again: Callable[[Any], Any]) -> None:
    model = classifier()
    model.fit(X, Y, verbose=0)
    model, optimizer = again((model, model.optimizer))
    assert model.optimizer is optimizer
    assert list(map(id, optimizer.weights)) == list(map(id, model.trainable_weights))


def test_history_and_its_model(engine: str, again: Callable[[Any], Any]) -> None:
    model = classifier()
    history = model.fit(X, Y, epochs=2, verbose=0)
    other = again(history)
    assert (other.history, other.epoch, other.params) == (history.history, history.epoch, history.params)
    assert other.model.history is other
    assert_same_bits(other.model.predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize("values", [1.5, [[1, 2], [3, 4]], np.array([True, False]), np.zeros((0, 3), "float32")])
def test_tensors_and_variables(values: Any, engine: str, again: Callable[[Any], Any]) -> None:
    for made in (Tensor(values), Variable(values, trainable=False, name="counter")):
        other = again(made)
        assert type(other) is type(made)
        assert_same_bits(other.numpy(), made.numpy())
    other.assign(np.ones(other.shape))
    assert (other.name, other.trainable, other._changes) == ("counter", False, 0)
    assert_same_bits(made.numpy(), Variable(values).numpy())  # the first keeps its own memory


def test_a_variable_keeps_what_was_set_of_it(again: Callable[[Any], Any]) -> None:
    weight = Variable([3.0])
    weight.constraint, weight.regularizer = constraints.MaxNorm(1), regularizers.L2(0.5)
    other = again(weight)
    assert (repr(other.constraint), repr(other.regularizer)) == (repr(weight.constraint), repr(weight.regularizer))


def test_a_softmax_keeps_its_logits(again: Callable[[Any], Any]) -> None:
    y = ops.softmax([[100.0, -100.0]])
    assert losses.sparse_categorical_crossentropy([1], again(y)).numpy() == 200.0  # from the probabilities: 16


def test_a_users_own_variable_keeps_its_attributes() -> None:
    weight = Noted([1.0])
    weight.note = "mine"
    assert unpickled(weight).note == "mine"


class Noted(Variable):
    note = ""


def public_objects(room: Any, base: type) -> list[Any]:
    """An object of each class of a room that can be made without arguments, or with a number or two."""
    made = []
    for name in room.__all__:
        cls = getattr(room, name)
        if isinstance(cls, type) and issubclass(cls, base) and cls not in (base, callbacks.CallbackList):
            needed = [p for p in inspect.signature(cls).parameters.values() if p.default is p.empty and p.kind < 2]
            made.append(cls(*[NEEDED.get(p.name, 0.1) for p in needed]))
    return made


NEEDED: dict[str, Any] = {
    "filepath": "a.keras", "filename": "a.csv", "folder": "run", "backup_dir": "backup",
    "fn": losses.mean_squared_error,
    "schedule": optimizers.schedules.ExponentialDecay(0.1, 10, 0.5), "num_classes": 3, "decay_steps": 10,
    "boundaries": [10], "values": [0.1, 0.2], "total_steps": 100,
}  # fmt: skip

OBJECTS = [
    *public_objects(losses, losses.Loss),
    *public_objects(metrics, metrics.Metric),
    *public_objects(initializers, initializers.Initializer),
    *public_objects(regularizers, regularizers.Regularizer),
    *public_objects(constraints, constraints.Constraint),
    *public_objects(optimizers.schedules, optimizers.schedules.LearningRateSchedule),
    *public_objects(callbacks, callbacks.Callback),
]


@pytest.mark.parametrize("made", OBJECTS, ids=lambda made: type(made).__name__)
def test_each_public_object(made: Any, again: Callable[[Any], Any]) -> None:
    other = again(made)
    assert type(other) is type(made)
    assert other.__dict__.keys() == made.__dict__.keys()
    if isinstance(made, Configurable):
        assert to_json(other) == to_json(made)


def test_the_objects_are_many() -> None:
    rooms = {type(made).__module__.split(".")[1] for made in OBJECTS}
    assert rooms == {"losses", "metrics", "initializers", "regularizers", "constraints", "optimizers", "callbacks"}
    assert len(OBJECTS) > 90


def test_a_trained_callback_goes_on(again: Callable[[Any], Any], tmp_path: Path) -> None:
    given = [
        callbacks.EarlyStopping("loss", patience=3, restore_best_weights=True),
        callbacks.ReduceLROnPlateau("loss"), callbacks.ModelCheckpoint(tmp_path / "{epoch}.keras"),
        callbacks.CSVLogger(tmp_path / "log.csv"), callbacks.RunLog(tmp_path / "run"),
        callbacks.TensorBoard(tmp_path / "board"), callbacks.BackupAndRestore(tmp_path / "backup"),
        callbacks.TerminateOnNaN(),
    ]  # fmt: skip
    classifier().fit(X, Y, callbacks=given, verbose=0)
    others = again(given)
    assert [other.get_state().keys() for other in others] == [one.get_state().keys() for one in given]
    classifier().fit(X, Y, epochs=2, callbacks=others, verbose=0)


@pytest.mark.parametrize("cls", [c for c in vars(errors).values() if isinstance(c, type)])
def test_an_error_reaches_another_process_whole(cls: type[NetchuError]) -> None:
    error = cls("Dense", expected="units", got="units=0", do="Write Dense(10).")
    assert (type(unpickled(error)), str(unpickled(error))) == (cls, str(error))


def test_a_termination_keeps_its_code() -> None:
    assert unpickled(Terminated()).code == 75


def test_values_come_to_the_engine_that_is_set() -> None:
    pytest.importorskip("jax")
    kept = pickle.dumps(classifier())
    expected = classifier().predict(X, verbose=0)
    netchu.set_engine("jax")
    assert pickle.loads(kept).predict(X, verbose=0) == pytest.approx(expected, abs=1e-6)


def test_a_traced_value_is_not_kept(traced_engine: Any) -> None:
    def loss(y_true: Tensor, y_pred: Tensor) -> Tensor:
        pickle.dumps(y_pred)
        return y_pred

    with pytest.raises(EngineError, match="only array operations while"):
        classifier(loss=loss, metrics=None).train_on_batch(X, Y)


CHILD = """
import multiprocessing
import small_nets

if __name__ == "__main__":
    x, y = small_nets.clusters()
    model = small_nets.classifier()
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        other = pool.apply(small_nets.trained, (model,))
    model.fit(x, y, shuffle=False, verbose=0)
    assert (other.predict(x, verbose=0) == model.predict(x, verbose=0)).all()
    print("equal")
"""


def test_a_spawned_process_trains_it_alike() -> None:
    assert run_python(CHILD).strip() == "equal"


def test_what_python_cannot_pickle_is_pythons_error() -> None:
    model = netchu.Sequential([Dense(3, activation=lambda x: x)])
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        pickle.dumps(model)
    with pytest.raises(UsageError, match="Sequential"):
        unpickled(netchu.Sequential()).build((None, 3))
