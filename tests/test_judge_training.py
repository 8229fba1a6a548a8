"""Training judged by real Keras on TensorFlow: whole runs from the same weights, and the same words on the screen.

Every case is run twice, once with `netchu` and once with `keras`, from the same weights on the same samples in the same
order.  A program that only changes its imports must print and return the same.
"""

from __future__ import annotations

import importlib
import re
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import netchu
from netchu.errors import NetchuError
from small_nets import clusters

pytestmark = [pytest.mark.judge, pytest.mark.filterwarnings("ignore")]  # the judges' own warnings are not ours

HISTORY_RTOL = 1e-4  # figures of two float32 libraries after up to 10 updates
WEIGHTS_ATOL = 1e-3  # relative to the largest weight of an array: single weights near 0 may differ more
GOLDEN_ATOL = 1e-5
PREDICT_ATOL = 1e-4


@pytest.fixture(autouse=True)
def _fresh_names(keras: ModuleType) -> None:
    """Keras numbers layers through the whole program: begin anew."""
    keras.backend.clear_session()


# --- the golden runs, live ----------------------------------------------------------------------------------------

GOLDEN = ["sgd", "rmsprop", "adam"]


def golden_data() -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """11 samples of 4 numbers in 3 classes, and weights of 4-5-3."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 1, (11, 4)).astype("float32"), rng.integers(0, 3, 11)
    shapes = [(4, 5), (5,), (5, 3), (3,)]
    return x, y, [rng.normal(0, 0.8, shape).astype("float32") for shape in shapes]


def golden_run(library: Any, optimizer: str) -> dict[str, Any]:
    x, y, weights = golden_data()
    dense = library.layers.Dense
    model = library.Sequential([library.Input((4,)), dense(5, "relu"), dense(3, "softmax")])
    model.set_weights(weights)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=3, batch_size=4, shuffle=False, validation_split=0.2, verbose=0)
    return {
        "history": history.history,
        "epoch": history.epoch,
        "weights": model.get_weights(),
        "evaluate": model.evaluate(x, y, batch_size=4, verbose=0),
        "predict": model.predict(x[:2], verbose=0),
    }


@pytest.mark.parametrize("optimizer", GOLDEN)
def test_golden_runs_are_keras_runs(optimizer: str, keras: ModuleType) -> None:
    ours, theirs = golden_run(netchu, optimizer), golden_run(keras, optimizer)
    assert list(ours["history"]) == list(theirs["history"]) == ["accuracy", "loss", "val_accuracy", "val_loss"]
    assert ours["epoch"] == theirs["epoch"]
    for name, values in theirs["history"].items():
        assert ours["history"][name] == pytest.approx(values, abs=GOLDEN_ATOL)
    for a, b in zip(ours["weights"], theirs["weights"]):
        np.testing.assert_allclose(a, b, atol=GOLDEN_ATOL, rtol=0)
    assert ours["evaluate"] == pytest.approx(theirs["evaluate"], abs=GOLDEN_ATOL)
    np.testing.assert_allclose(ours["predict"], theirs["predict"], atol=GOLDEN_ATOL)


# --- random networks -------------------------------------------------------------------------------------------------

OPTIMIZERS: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.9}),
    ("SGD", {"learning_rate": 0.05, "momentum": 0.9, "nesterov": True}),
    ("SGD", {"learning_rate": 0.1, "clipnorm": 0.1}),
    ("SGD", {"weight_decay": 0.1}),
    ("RMSprop", {}),
    ("RMSprop", {"learning_rate": 0.01, "momentum": 0.5}),
    ("RMSprop", {"centered": True}),
    ("RMSprop", {"rho": 0.5, "clipvalue": 0.01}),
    ("Adam", {}),
    ("Adam", {"learning_rate": 0.01, "amsgrad": True}),
    ("Adam", {"global_clipnorm": 0.05}),
    ("AdamW", {}),
    ("AdamW", {"learning_rate": 0.01, "weight_decay": 0.1, "beta_1": 0.8}),
]
TASKS: dict[str, tuple[str | None, Any, list[Any]]] = {  # last activation, loss, metrics
    "sparse": ("softmax", "sparse_categorical_crossentropy", ["accuracy"]),
    "sparse logits": (None, ("SparseCategoricalCrossentropy", {"from_logits": True}), ["accuracy"]),
    "one-hot": ("softmax", "categorical_crossentropy", ["accuracy", "mse"]),
    "smoothed": ("softmax", ("CategoricalCrossentropy", {"label_smoothing": 0.1}), ["categorical_accuracy"]),
    "by shape": ("softmax", "crossentropy", ["acc"]),
    "binary": ("sigmoid", "binary_crossentropy", ["accuracy"]),
    "binary logits": (None, ("BinaryCrossentropy", {"from_logits": True}), []),
    "regression": (None, "mse", ["mae"]),
    "absolute": ("tanh", "mae", ["mean_squared_error"]),
    "huber": (None, ("Huber", {"delta": 0.5}), []),
}
ACTIVATIONS = ["relu", "tanh", "sigmoid", "elu", "gelu", "silu", "softplus", "selu", "leaky_relu", None]
WEIGHTINGS = ["none", "sample", "class", "weighted metrics"]
SEEDS = range(24)


class Case:
    """A network, its data and how it is trained, all drawn from a seed."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(1000 + seed)
        self.task = list(TASKS)[seed % len(TASKS)]
        self.optimizer = OPTIMIZERS[seed % len(OPTIMIZERS)]
        self.widths = [int(w) for w in rng.integers(2, 9, rng.integers(0, 4))]
        self.activations = [ACTIVATIONS[i] for i in rng.integers(0, len(ACTIVATIONS), len(self.widths))]
        self.weighting = WEIGHTINGS[seed % len(WEIGHTINGS)]
        if self.weighting == "class" and self.task in ("regression", "absolute", "huber"):
            self.weighting = "sample"
        self.split = [0.0, 0.25][int(rng.integers(2))]
        self.x = rng.normal(0, 1, (30, 5)).astype("float32")
        classes = rng.integers(0, 3, 30)
        self.units = 3 if TASKS[self.task][0] == "softmax" or self.task == "sparse logits" else 1
        self.y: np.ndarray = {"sparse": classes, "sparse logits": classes, "by shape": classes}.get(
            self.task, np.eye(3, dtype="float32")[classes]
        )
        if self.task.startswith("binary"):
            self.y = (classes > 0).astype("float32")
        elif self.units == 1:
            self.y = rng.normal(0, 1, (30, 1)).astype("float32")
        self.sample_weight = rng.uniform(0, 2, 30).astype("float32")
        shapes = zip([5, *self.widths], [*self.widths, self.units])
        self.weights = [
            w for a, b in shapes for w in (rng.normal(0, 0.5, (a, b)).astype("float32"), np.full(b, 0.1, "float32"))
        ]

    def run(self, library: Any) -> dict[str, Any]:
        layers = library.layers
        last, loss, metrics = TASKS[self.task]
        hidden = [layers.Dense(w, activation=a) for w, a in zip(self.widths, self.activations)]
        model = library.Sequential([library.Input((5,)), *hidden, layers.Dense(self.units, activation=last)])
        model.set_weights(self.weights)
        name, settings = self.optimizer
        model.compile(
            optimizer=getattr(library.optimizers, name)(**settings),
            loss=loss if isinstance(loss, str) else getattr(library.losses, loss[0])(**loss[1]),
            metrics=metrics,
            weighted_metrics=metrics if self.weighting == "weighted metrics" else None,
        )
        given: dict[str, Any] = {}
        if self.weighting in ("sample", "weighted metrics"):
            given["sample_weight"] = self.sample_weight
        elif self.weighting == "class":
            given["class_weight"] = {0: 2.0, 1: 0.5}
        history = model.fit(
            self.x, self.y, batch_size=7, epochs=2, shuffle=False, validation_split=self.split, verbose=0, **given
        )
        return {
            "history": history.history,
            "weights": model.get_weights(),
            "predict": model.predict(self.x, batch_size=8, verbose=0),
            "evaluate": model.evaluate(self.x, self.y, batch_size=8, verbose=0),
            "named": model.evaluate(self.x, self.y, batch_size=8, verbose=0, return_dict=True),
        }


@pytest.mark.parametrize("seed", SEEDS)
def test_random_network_trains_as_in_keras(seed: int, keras: ModuleType) -> None:
    case = Case(seed)
    ours, theirs = case.run(netchu), case.run(keras)
    assert list(ours["history"]) == list(theirs["history"])
    for name, values in theirs["history"].items():
        assert ours["history"][name] == pytest.approx(values, rel=HISTORY_RTOL, abs=1e-6), name
    for a, b in zip(ours["weights"], theirs["weights"]):
        assert np.abs(a - b).max() <= WEIGHTS_ATOL * np.abs(b).max()
    assert (ours["predict"].shape, ours["predict"].dtype) == (theirs["predict"].shape, theirs["predict"].dtype)
    np.testing.assert_allclose(ours["predict"], theirs["predict"], atol=PREDICT_ATOL)
    if case.weighting != "weighted metrics":  # Keras 3.15 lists a metric twice that is also weighted
        assert ours["evaluate"] == pytest.approx(theirs["evaluate"], rel=HISTORY_RTOL, abs=1e-6)
    assert list(ours["named"]) == list(theirs["named"])
    assert ours["named"] == pytest.approx(theirs["named"], rel=HISTORY_RTOL, abs=1e-6)


def test_random_networks_cover_every_optimizer_task_and_weighting() -> None:
    cases = [Case(seed) for seed in SEEDS]
    assert {str(case.optimizer) for case in cases} == {str(optimizer) for optimizer in OPTIMIZERS}
    assert {case.task for case in cases} == set(TASKS)
    assert {case.weighting for case in cases} == set(WEIGHTINGS)
    assert {case.split for case in cases} == {0.0, 0.25}


def test_one_changed_weight_would_be_noticed(keras: ModuleType) -> None:
    case = Case(0)
    theirs = case.run(keras)
    case.weights[0] = case.weights[0] * 1.01
    ours = case.run(netchu)
    assert ours["history"]["loss"] != pytest.approx(theirs["history"]["loss"], rel=HISTORY_RTOL)


# --- what is returned ------------------------------------------------------------------------------------------------


def classifier_of(library: Any, **settings: Any) -> Any:
    rng = np.random.default_rng(3)
    layers = library.layers
    model = library.Sequential([library.Input((6,)), layers.Dense(5, "relu"), layers.Dense(3, "softmax")])
    model.set_weights([rng.normal(0, 0.4, w.shape).astype("float32") for w in model.get_weights()])
    model.compile(**({"optimizer": "sgd", "loss": "sparse_categorical_crossentropy"} | settings))
    return model


def both(keras: ModuleType, program: Any) -> tuple[Any, Any]:
    return program(netchu), program(keras)


def forms(library: Any) -> list[Any]:
    """What the one-batch forms and evaluate return, in a fixed order of calls."""
    x, y = clusters(12)
    found: list[Any] = []
    for metrics in (None, ["accuracy"], ["sparse_top_k_categorical_accuracy", "accuracy"]):
        model = classifier_of(library, metrics=metrics)
        found += [model.evaluate(x, y, verbose=0), model.evaluate(x, y, verbose=0, return_dict=True)]
        model.reset_metrics()
        found += [model.train_on_batch(x[:5], y[:5]), model.train_on_batch(x[5:], y[5:], return_dict=True)]
        found += [model.test_on_batch(x[:3], y[:3])]
        model.reset_metrics()
        found += [model.test_on_batch(x[3:], y[3:], sample_weight=np.arange(9.0), return_dict=True)]
        found += [model.train_on_batch(x, y, class_weight={0: 3.0})]
    return found


def test_evaluate_and_one_batch_forms_return_what_keras_returns(keras: ModuleType) -> None:
    ours, theirs = both(keras, forms)
    assert len(ours) == len(theirs) == 21
    for i, (a, b) in enumerate(zip(ours, theirs)):
        if isinstance(b, dict):
            assert list(a) == list(b)
            a, b = list(a.values()), list(b.values())
        assert np.shape(a) == np.shape(b), i
        np.testing.assert_allclose(a, b, rtol=HISTORY_RTOL, err_msg=str(i))


def history_of(library: Any, **settings: Any) -> tuple[Any, ...]:
    x, y = clusters(25)
    model = classifier_of(library, metrics=["accuracy"])
    history = model.fit(x, y, verbose=0, shuffle=False, **({"batch_size": 4, "epochs": 3} | settings))
    return list(history.history), history.epoch, history.params, history.history, model.get_weights()


FITS: dict[str, dict[str, Any]] = {
    "plain": {},
    "initial epoch": {"initial_epoch": 1},
    "no epochs": {"epochs": 0},
    "split": {"validation_split": 0.3},
    "every second": {"validation_split": 0.3, "validation_freq": 2},
    "listed": {"validation_split": 0.3, "validation_freq": [1, 3]},
    "steps": {"steps_per_epoch": 3, "epochs": 2},
    "batch size": {"batch_size": None},
    "whole": {"batch_size": 100},
}


@pytest.mark.parametrize("name", FITS)
def test_history_is_keras_history(name: str, keras: ModuleType) -> None:
    ours, theirs = both(keras, lambda library: history_of(library, **FITS[name]))
    assert ours[0] == theirs[0]
    assert ours[1] == theirs[1]
    assert ours[2] == theirs[2]
    for key, values in theirs[3].items():
        assert ours[3][key] == pytest.approx(values, rel=HISTORY_RTOL), key
    for a, b in zip(ours[4], theirs[4]):
        np.testing.assert_allclose(a, b, atol=1e-5)


def trace_of(library: Any) -> list[str]:
    """Every hook with its arguments' names, in a fit with validation, an evaluate and a predict."""
    words: list[str] = []

    class Trace(library.callbacks.Callback):  # type: ignore[misc,name-defined]
        pass

    def noted(name: str) -> Any:
        def hook(self: Any, *arguments: Any, **named: Any) -> None:
            logs = named.get("logs", arguments[-1] if arguments and isinstance(arguments[-1], dict) else None)
            numbers = [a for a in (*arguments, *named.values()) if isinstance(a, int)]
            words.append(f"{name} {numbers} {list(logs or {})}")

        return hook

    for kind in ("train", "test", "predict"):
        for name in (f"{kind}_begin", f"{kind}_end", f"{kind}_batch_begin", f"{kind}_batch_end"):
            setattr(Trace, f"on_{name}", noted(name))
    Trace.on_epoch_begin, Trace.on_epoch_end = noted("epoch_begin"), noted("epoch_end")
    x, y = clusters(20)
    model = classifier_of(library, metrics=["accuracy"])
    model.fit(x, y, batch_size=10, epochs=2, validation_data=(x[:6], y[:6]), callbacks=[Trace()], verbose=0)
    model.evaluate(x, y, callbacks=[Trace()], verbose=0)
    model.predict(x, callbacks=[Trace()], verbose=0)
    return words


def test_hooks_come_in_keras_order_with_keras_figures(keras: ModuleType) -> None:
    ours, theirs = both(keras, trace_of)
    assert ours == theirs
    assert len(ours) == 30


# --- what is printed -------------------------------------------------------------------------------------------------

TIMES = re.compile(r"\d+(s|ms|us)(/step)?")


def prints(library: Any) -> None:
    x, y = clusters(25)
    model = classifier_of(library, metrics=["accuracy"])
    model.fit(x, y, batch_size=4, epochs=2, shuffle=False, validation_split=0.2, verbose=2)
    model.fit(x, y, batch_size=4, shuffle=False, verbose=2)
    model.fit(x, y, batch_size=4, shuffle=False, verbose=0)
    model.evaluate(x, y, batch_size=4, verbose=2)
    model.predict(x, batch_size=4, verbose=2)


def test_verbose_2_prints_keras_text(keras: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    texts = []
    for library in (netchu, keras):
        prints(library)
        texts.append(TIMES.sub("TIME", capsys.readouterr().out))
    assert texts[0] == texts[1]
    assert len(texts[0].splitlines()) == 7


def model_to_sum_up(library: Any, kind: str) -> Any:
    """Models whose summaries differ, their layers named: Keras numbers names through a whole process."""
    layers, inner = library.layers, library.Sequential([library.layers.Input((4,)), library.layers.Dense(3, name="a")])
    inner.name = "inner"
    if kind == "unbuilt":
        return library.Sequential([layers.Dense(3, name="a"), layers.Dense(2, name="b")], name="model")
    if kind == "nested":
        return library.Sequential([layers.Input((4,)), inner, layers.Dense(2, name="b")], name="model")
    long = layers.Dense(2, name="a_name_that_goes_on_and_on_and_on_and_on", trainable=kind != "frozen")
    model = library.Sequential([layers.Input((6,)), layers.Dense(3, name="a"), long], name="model")
    if kind == "trained":
        model.compile("adam", "sparse_categorical_crossentropy")
        model.fit(*clusters(8, classes=2), verbose=0)
    return model


@pytest.mark.parametrize("columns", ["60", "80", "200"])
@pytest.mark.parametrize("kind", ["new", "frozen", "trained", "nested", "unbuilt"])
def test_summary_is_keras_text(kind: str, columns: str, keras: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)

    def summary(library: Any, **settings: bool) -> list[str]:
        texts: list[str] = []
        model_to_sum_up(library, kind).summary(print_fn=lambda text, **_: texts.append(text), **settings)
        return [line.rstrip() for line in "\n".join(texts).splitlines()]

    for settings in ({}, {"expand_nested": True}, {"show_trainable": True}):
        assert summary(netchu, **settings) == summary(keras, **settings)


# --- a program that only changes its imports ----------------------------------------------------------------------

PROGRAM = """
class CustomModel(Sequential):
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.loss_tracker = metrics.Mean(name="loss")
        self.mae_metric = metrics.SparseCategoricalAccuracy(name="right")

    def train_step(self, data):
        x, y = data
        with GradientTape() as tape:
            y_pred = self(x, training=True)
            loss = ops.mean(losses.sparse_categorical_crossentropy(y, y_pred))
        trainable_vars = self.trainable_variables
        gradients = tape.gradient(loss, trainable_vars)
        self.optimizer.apply_gradients(zip(gradients, trainable_vars))
        self.loss_tracker.update_state(loss)
        self.mae_metric.update_state(y, y_pred)
        return {"loss": self.loss_tracker.result(), "right": self.mae_metric.result()}

    @property
    def metrics(self):
        return [self.loss_tracker, self.mae_metric]

model = CustomModel([Input((6,)), layers.Dense(5, activation="relu"), layers.Dense(3, activation="softmax")])
model.set_weights(weights)
model.compile(optimizer=optimizers.Adam(learning_rate=0.01))
history = model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0)
found = history.history, model.get_weights()
"""

BY_HAND = """
model = Sequential([Input((6,)), layers.Dense(5, activation="relu"), layers.Dense(3, activation="softmax")])
model.set_weights(weights)
optimizer = optimizers.RMSprop(learning_rate=1e-3)
loss_fn = losses.SparseCategoricalCrossentropy()
accuracy = metrics.SparseCategoricalAccuracy()
figures = {"loss": [], "accuracy": []}
for epoch in range(2):
    for step in range(0, len(x), 8):
        with GradientTape() as tape:
            predictions = model(x[step:step + 8], training=True)
            loss = loss_fn(y[step:step + 8], predictions)
        gradients = tape.gradient(loss, model.trainable_weights)
        optimizer.apply_gradients(zip(gradients, model.trainable_weights))
        accuracy.update_state(y[step:step + 8], predictions)
        figures["loss"].append(float(loss))
    figures["accuracy"].append(float(accuracy.result()))
    accuracy.reset_state()
found = figures, model.get_weights()
"""
NAMES = ["Input", "Sequential", "layers", "losses", "metrics", "ops", "optimizers"]


@pytest.mark.parametrize("program", [PROGRAM, BY_HAND], ids=["own train_step", "own loop"])
def test_program_needs_only_other_imports(program: str, keras: ModuleType) -> None:
    x, y = clusters(30)
    rng = np.random.default_rng(5)
    weights = [rng.normal(0, 0.4, shape).astype("float32") for shape in ((6, 5), (5,), (5, 3), (3,))]
    results = []
    for library, tape in ((netchu, netchu), (keras, importlib.import_module("tensorflow"))):
        names: dict[str, Any] = {name: getattr(library, name) for name in NAMES}
        names |= {"GradientTape": tape.GradientTape, "x": x, "y": y, "weights": weights}
        exec(program, names)  # our own text, in a test
        results.append(names["found"])
    (ours, our_weights), (theirs, their_weights) = results
    assert list(ours) == list(theirs)
    for name, values in theirs.items():
        assert ours[name] == pytest.approx(values, rel=HISTORY_RTOL), name
    for a, b in zip(our_weights, their_weights):
        np.testing.assert_allclose(a, b, atol=1e-5)


# --- the same mistakes -----------------------------------------------------------------------------------------------

MISTAKES: dict[str, Any] = {
    "no compile": lambda k: k.Sequential([k.Input((6,)), k.layers.Dense(3)]).fit(*clusters(4), verbose=0),
    "lengths differ": lambda k: classifier_of(k).fit(clusters(5)[0], clusters(4)[1], verbose=0),
    "units=0": lambda k: k.layers.Dense(0),
    "no layer": lambda k: k.Sequential([3]),
    "split of one": lambda k: classifier_of(k).fit(*clusters(1), validation_split=0.5, verbose=0),
    "both weights": lambda k: classifier_of(k).fit(
        *clusters(4), class_weight={0: 1.0}, sample_weight=np.ones(4), verbose=0
    ),
    "unknown optimizer": lambda k: k.optimizers.get("sgdx"),
    "name with a slash": lambda k: k.layers.Dense(2, name="a/b"),
    "same name twice": lambda k: k.Sequential([k.layers.Dense(2, name="a"), k.layers.Dense(2, name="a")]),
    "wrong width": lambda k: classifier_of(k).fit(clusters(4, 5)[0], clusters(4)[1], verbose=0),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistake_is_a_value_error_in_both(name: str, keras: ModuleType) -> None:
    with pytest.raises(ValueError, match=r"."):
        MISTAKES[name](keras)
    with pytest.raises(ValueError, match=r".") as caught:
        MISTAKES[name](netchu)
    assert isinstance(caught.value, NetchuError)
