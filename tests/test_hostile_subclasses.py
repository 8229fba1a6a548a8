"""Classes of a user's own, derived from every public class, as guides and people in a hurry write them.

Each public layer, loss, metric, optimizer, schedule, initializer, regularizer, constraint and callback gets a subclass
whose `__init__` takes nothing and hands nothing on: it is shown, written down, made again and used like its base.  The
bases get classes that forget `super().__init__()`, a `return` or a method, and layers that hold others everywhere.
"""

from __future__ import annotations

import inspect
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netchu import (
    GradientTape,
    Sequential,
    Variable,
    callbacks,
    constraints,
    initializers,
    layers,
    losses,
    metrics,
    ops,
    optimizers,
    regularizers,
)  # fmt: skip
from netchu.errors import MissingAttributeError, MissingMethodError, NetchuError, UsageError
from netchu.layers import BatchNormalization, Dense, Dropout, Input, Layer
from netchu.models import load_model
from netchu.optimizers import schedules
from netchu.registry import Configurable
from netchu.tensor import Tensor

X = np.random.default_rng(0).random((8, 4)).astype("float32")
LABELS = np.arange(8) % 3

# --- every public class, with an `__init__` that takes nothing -------------------------------------------------------

ARGUMENTS: dict[str, dict[str, Any]] = {
    "Activation": {"activation": "tanh"},
    "AlphaDropout": {"rate": 0.5},
    "AveragePooling2D": {"pool_size": 2},
    "CSVLogger": {"filename": "log.csv"},
    "Constant": {"value": 2.0},
    "Conv2D": {"filters": 2, "kernel_size": 2},
    "ConfusionMatrix": {"num_classes": 3},
    "CosineDecay": {"initial_learning_rate": 0.1, "decay_steps": 10},
    "CosineDecayRestarts": {"initial_learning_rate": 0.1, "first_decay_steps": 10},
    "Dense": {"units": 3, "activation": "relu"},
    "DepthwiseConv2D": {"kernel_size": 2},
    "Dropout": {"rate": 0.5},
    "ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    "GaussianDropout": {"rate": 0.5},
    "GaussianNoise": {"stddev": 0.5},
    "InputLayer": {"shape": (4,)},
    "InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    "LearningRateScheduler": {"schedule": abs},
    "LossFunction": {"function": losses.mean_squared_error},
    "MeanMetricWrapper": {"fn": losses.mean_squared_error},
    "OneCycle": {"maximum_learning_rate": 0.1, "total_steps": 10},
    "Optimizer": {"learning_rate": 0.1},
    "Permute": {"dims": (3, 2, 1)},
    "PiecewiseConstantDecay": {"boundaries": [1], "values": [0.1, 0.2]},
    "PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10},
    "RandomRotation": {"factor": 0.1},
    "RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1},
    "RandomZoom": {"height_factor": 0.1},
    "Rescaling": {"scale": 0.5},
    "Reshape": {"target_shape": (-1,)},
    "SpatialDropout2D": {"rate": 0.5},
}
"""What the constructors need that need something."""

IMAGES = {
    "AveragePooling2D", "Conv2D", "DepthwiseConv2D", "GlobalAveragePooling2D", "GlobalMaxPooling2D", "MaxPooling2D",
    "Permute", "RandomRotation", "RandomTranslation", "RandomZoom", "SpatialDropout2D", "ZeroPadding2D",
}  # fmt: skip


def public(module: Any, base: type) -> Iterator[type]:
    """The public classes of a module that can be made and are derived from `base`, it included."""
    for name in module.__all__:
        thing = getattr(module, name)
        if inspect.isclass(thing) and issubclass(thing, base):
            yield thing


CLASSES: dict[str, type] = {
    f"{module.__name__.rpartition('.')[2]}.{cls.__name__}": cls
    for module, base in (
        (layers, Layer), (losses, losses.Loss), (metrics, metrics.Metric), (optimizers, optimizers.Optimizer),
        (schedules, schedules.LearningRateSchedule), (initializers, initializers.Initializer),
        (regularizers, regularizers.Regularizer), (constraints, constraints.Constraint),
    )
    for cls in public(module, base)
}  # fmt: skip


def subclass(cls: type, name: str = "Mine") -> type:
    """A class derived from `cls` as a user writes it who wants one setting only."""
    arguments = ARGUMENTS.get(cls.__name__, {})

    def __init__(self: Any) -> None:
        super(made, self).__init__(**arguments)

    made = type(name, (cls,), {"__init__": __init__, "__module__": __name__})
    return made


def test_all_kinds_of_classes_are_tried() -> None:
    assert len(CLASSES) > 100
    assert {key.partition(".")[0] for key in CLASSES} == {
        "layers", "losses", "metrics", "optimizers", "schedules", "initializers", "regularizers", "constraints",
    }  # fmt: skip


@pytest.mark.parametrize("key", CLASSES)
def test_a_class_whose_constructor_takes_nothing_is_shown_and_made_again(key: str) -> None:
    made: Configurable = subclass(CLASSES[key])()
    assert repr(made) == "Mine()"
    assert made.get_config() == {}
    assert type(type(made).from_config(made.get_config())) is type(made)


@pytest.mark.parametrize("key", [key for key in CLASSES if key.startswith("layers.") and key != "layers.InputLayer"])
def test_such_a_layer_trains_is_saved_and_loaded(key: str, tmp_path: Path) -> None:
    if CLASSES[key] is Layer or not layers.registry.table.get(CLASSES[key].__name__):
        pytest.skip("a base that computes nothing")
    kind: Any = subclass(CLASSES[key])
    shape = (4, 4, 2) if CLASSES[key].__name__ in IMAGES else (4,)
    x = np.random.default_rng(1).random((8, *shape)).astype("float32")
    model = Sequential([Input(shape), kind(), layers.Flatten(), Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    checkpoint = callbacks.ModelCheckpoint(tmp_path / "best.safetensors", monitor="loss")
    kept = [checkpoint, callbacks.BackupAndRestore(tmp_path / "backup"), callbacks.RunLog(tmp_path / "log.jsonl")]
    history = model.fit(x, LABELS, epochs=2, batch_size=4, verbose=0, callbacks=kept).history
    assert len(history["loss"]) == 2
    loaded = load_model(tmp_path / "best.safetensors", custom_objects={"Mine": kind})
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize("key", [key for key in CLASSES if key.startswith("losses.") and key != "losses.Loss"])
def test_such_a_loss_gives_its_bases_figures(key: str) -> None:
    y, p = np.eye(3, dtype="float32")[LABELS], np.full((8, 3), 1 / 3, "float32")
    targets = LABELS if "Sparse" in key else y
    base = CLASSES[key](**ARGUMENTS.get(CLASSES[key].__name__, {}))
    assert subclass(CLASSES[key])()(targets, p).item() == base(targets, p).item()


@pytest.mark.parametrize("key", [key for key in CLASSES if key.startswith("optimizers.") and "Optimizer" not in key])
def test_such_an_optimizer_makes_its_bases_step(key: str) -> None:
    ended = []
    for made in (CLASSES[key](), subclass(CLASSES[key])()):
        w = Variable([1.0, -2.0])
        made.apply_gradients([(Tensor([0.5, 0.25]), w)])
        ended.append(w.numpy().tolist())
    assert ended[0] == ended[1] != [1.0, -2.0]


# --- what people forget ----------------------------------------------------------------------------------------------

NEEDED: dict[type, Callable[[Any], Any]] = {
    Layer: lambda made: made(X),
    losses.Loss: lambda made: made(X, X),
    metrics.Metric: lambda made: made(X, X),
    optimizers.Optimizer: lambda made: made.apply_gradients([(Tensor([1.0]), Variable([1.0]))]),
    schedules.LearningRateSchedule: lambda made: made(0),
    initializers.Initializer: lambda made: made((2, 2)),
}
"""The bases, and a use of each that calls what a subclass must define."""


@pytest.mark.parametrize("base", NEEDED, ids=lambda base: base.__name__)
def test_a_missing_method_is_named(base: type) -> None:
    made = type("Mine", (base,), {})(**({"learning_rate": 0.1} if base is optimizers.Optimizer else {}))
    with pytest.raises(MissingMethodError, match=r"^Mine: expected a method \w+\(self, .*\. Got: none\. Write it\.$"):
        NEEDED[base](made)
    assert issubclass(MissingMethodError, NotImplementedError)  # what Keras raises


def forgetful(base: type, **methods: Any) -> Any:
    """A class derived from `base` whose `__init__` does not call its base's."""
    return type("Mine", (base,), {"__init__": lambda self: None, **methods})()


USES: dict[str, Callable[[], Any]] = {
    "layer called": lambda: forgetful(Layer, call=lambda self, x: x)(X),
    "layer with weights": lambda: forgetful(Layer).add_weight((2,)),
    "layer in a model": lambda: Sequential([Input((4,)), forgetful(Layer, call=lambda self, x: x)]),
    "model": lambda: forgetful(Sequential).add(Dense(2)),
    "model compiled": lambda: forgetful(Sequential).compile("sgd", "mse"),
    "model trained": lambda: forgetful(Sequential).fit(X, X),
    "loss": lambda: forgetful(losses.Loss, call=lambda self, y, p: y)(X, X),
    "metric": lambda: forgetful(metrics.Metric).add_weight(),
    "metric reset": lambda: forgetful(metrics.Metric).reset_state(),
    "optimizer": lambda: forgetful(optimizers.SGD).apply_gradients([(Tensor([1.0]), Variable([1.0]))]),
    "derived layer": lambda: forgetful(Dense)(X),
    "derived metric": lambda: forgetful(metrics.Mean).update_state([1.0]),
    "derived loss": lambda: forgetful(losses.MeanSquaredError)(X, X),
    "schedule": lambda: forgetful(schedules.CosineDecay)(0),
    "initializer": lambda: forgetful(initializers.GlorotUniform)((2, 2)),
    "regularizer": lambda: forgetful(regularizers.L2)(X),
    "constraint": lambda: forgetful(constraints.MaxNorm)(X),
}


@pytest.mark.parametrize("use", USES)
def test_a_forgotten_call_of_the_bases_constructor_is_said(use: str) -> None:
    with pytest.raises(MissingAttributeError, match=r"You forgot to call `super\(\).__init__\(\)` in Mine.__init__"):
        USES[use]()


def test_an_attribute_that_nobody_sets_is_pythons_error() -> None:
    with pytest.raises(AttributeError, match="'Dense' object has no attribute 'unit'") as raised:
        Dense(2).unit  # noqa: B018
    assert not isinstance(raised.value, NetchuError)
    assert not hasattr(Dense(2), "get")  # a name that constructors use, but of something else


def silent(base: type, **methods: str) -> Any:
    return type("Mine", (base,), {name: lambda self, *a, **k: None for name in methods})


class Nothing:
    """Returns nothing, and says so."""

    def __call__(self, *arguments: Any, **settings: Any) -> None:
        """See above."""

    def __repr__(self) -> str:
        return "Nothing()"


NO_RETURN: dict[str, Callable[[], Any]] = {
    r"Mine\.call: expected a tensor": lambda: fitted(parts=[silent(Layer, call="")()]),
    r"Mine\.call: expected a tensor\.": lambda: fitted(silent(Sequential, call="")),
    r"Mine\.call: expected the losses": lambda: silent(losses.Loss, call="")()(X, X),
    r"Mine\.result: expected a number": lambda: fitted(metrics=[silent(metrics.Metric, update_state="", result="")()]),
    r"Mine\.train_step: expected a dictionary": lambda: fitted(silent(Sequential, train_step="")),
    r"gradient: expected a Tensor as target": lambda: fitted(silent(Sequential, compute_loss="")),
    r"Nothing\(\): expected initial values": lambda: Dense(3, kernel_initializer=Nothing())(X),
    r"Nothing\(\): expected a penalty": lambda: fitted(parts=[Dense(3, kernel_regularizer=Nothing())]),
    r"Nothing\(\): expected a weight": lambda: fitted(parts=[Dense(3, kernel_constraint=Nothing())]),
    r"<lambda>: expected the losses": lambda: fitted(loss=lambda y, p: None),
    r"nothing: expected a value for each sample": lambda: fitted(metrics=[nothing]),
}


def nothing(y_true: Any, y_pred: Any) -> None:
    """A metric without a return."""


def fitted(kind: Any = Sequential, parts: Any = None, loss: Any = "mse", **settings: Any) -> dict[str, list[float]]:
    model = kind([Input((4,)), *(parts or [Dense(3)])])
    model.compile("sgd", loss, **settings)
    history: dict[str, list[float]] = model.fit(X, X[:, :3], batch_size=4, epochs=2, verbose=0).history
    return history


@pytest.mark.parametrize("message", NO_RETURN)
def test_a_forgotten_return_is_said(message: str) -> None:
    with pytest.raises(NetchuError, match=f"^{message}.*Got: .*None"):
        NO_RETURN[message]()


# --- layers that hold others -----------------------------------------------------------------------------------------


class InInit(Layer):
    """No `**kwargs`, and layers in a list, and in a dictionary in a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.first = [Dense(5), BatchNormalization()]
        self.last = {"a": {"b": Dropout(0.5, seed=1)}, "c": Dense(3)}

    def call(self, x: Tensor) -> Tensor:
        for layer in self.first:
            x = layer(x)
        return self.last["c"](self.last["a"]["b"](x))


class InBuild(Layer):
    """Layers that are made and built in `build`, which no argument `training` reaches by name."""

    def build(self, input_shape: Any) -> None:
        self.dense = Dense(5)
        self.dense.build(input_shape)
        self.normalization = BatchNormalization()
        self.normalization.build((None, 5))
        self.dropout, self.out = Dropout(0.5, seed=1), Dense(3)
        self.out.build((None, 5))

    def call(self, x: Tensor) -> Tensor:
        return self.out(self.dropout(self.normalization(self.dense(x))))


class OwnShape(InInit):
    """Says its output's shape, so that nobody calls it to find out, and its layers are built by nobody else."""

    def compute_output_shape(self, input_shape: Any) -> Any:
        return (*input_shape[:-1], 3)


class Named(InInit):
    """With a further argument in `call`, and one in another place than the second."""

    def call(self, inputs: Tensor, scale: float = 1.0, training: bool | None = None) -> Tensor:
        return super().call(inputs) * scale


HOLDERS = [InInit, InBuild, OwnShape, Named]


@pytest.mark.parametrize("jit", [True, False])
@pytest.mark.parametrize("holder", HOLDERS)
def test_layers_inside_are_built_once_and_told_whether_they_train(holder: type[Layer], jit: bool, engine: str) -> None:
    model = Sequential([Input((4,)), layer := holder()])
    assert model.count_params() == 4 * 5 + 5 + 4 * 5 + 5 * 3 + 3
    model.compile("sgd", "mse", jit_compile=jit)
    before, normal = model.get_weights(), next(part for part in layer.weights if part.name == "moving_mean")
    model.fit(X, X[:, :3], batch_size=4, epochs=1, verbose=0)
    assert len(model.weights) == len(before) == 8
    assert (normal.numpy() != 0).all(), "in training the mean moves"
    moved = normal.numpy()
    one, two = model.predict(X, verbose=0), model.predict(X, verbose=0)
    np.testing.assert_array_equal(one, two, "outside of training nothing is dropped")
    np.testing.assert_array_equal(normal.numpy(), moved)
    dropped = [model(X, training=True).numpy() for _ in range(2)]
    assert (dropped[0] != dropped[1]).any()


@pytest.mark.parametrize("holder", HOLDERS)
def test_such_a_layer_is_saved_and_loaded(holder: type[Layer], tmp_path: Path) -> None:
    model = Sequential([Input((4,)), holder()])
    model.save(tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors", custom_objects={holder.__name__: holder})
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert [w.shape for w in loaded.weights] == [w.shape for w in model.weights]


def test_further_arguments_reach_call() -> None:
    layer = Named()
    plain = layer(X).numpy()
    np.testing.assert_array_equal(layer(X, scale=2.0).numpy(), 2 * plain)
    np.testing.assert_array_equal(layer(X, 2.0, False).numpy(), 2 * plain)
    np.testing.assert_array_equal(layer(inputs=X).numpy(), plain)
    assert (layer(X, training=True).numpy() != plain).any()
    with pytest.raises(TypeError, match="too many positional arguments"):
        layer(X, 1.0, False, 3)


class Tells(Layer):
    """Says what it was told."""

    def __init__(self, inner: Layer | None = None, pass_on: Any = "nothing", default: Any = None) -> None:
        super().__init__()
        self.inner, self.pass_on, self.told = inner, pass_on, "not called"

    def call(self, x: Tensor, training: Any = None) -> Tensor:
        self.told = training
        if self.inner is None:
            return x
        return self.inner(x) if self.pass_on == "nothing" else self.inner(x, training=self.pass_on)


class Trains(Tells):
    """Trains unless it is told otherwise."""

    def call(self, x: Tensor, training: Any = True) -> Tensor:
        return super().call(x, training)


class Deaf(Tells):
    """Takes no `training`."""

    def call(self, x: Tensor) -> Tensor:  # type: ignore[override]
        return super().call(x)


@pytest.mark.parametrize(
    ("outer", "given", "pass_on", "inner", "expected"),
    [
        (Tells, True, "nothing", Tells, True),  # from the call around it
        (Deaf, True, "nothing", Tells, True),
        (Tells, True, False, Tells, False),  # its own argument goes before
        (Tells, False, True, Tells, True),
        (Tells, True, None, Tells, True),  # None is no argument
        (Tells, False, "nothing", Trains, False),  # the call around it goes before the default
        (Tells, None, "nothing", Trains, True),  # the default, where nobody says anything
        (Trains, None, "nothing", Tells, True),
        (Trains, False, "nothing", Trains, False),
        (Tells, None, "nothing", Tells, None),
    ],
)
def test_whether_it_trains_is_decided_as_in_keras(
    outer: Any, given: Any, pass_on: Any, inner: Any, expected: Any
) -> None:
    layer = outer(inner(), pass_on)
    layer(X) if given is None else layer(X, training=given)
    assert layer.inner.told is expected


def test_what_one_call_was_told_is_forgotten_after_it() -> None:
    class Fails(Layer):
        def call(self, x: Tensor) -> Tensor:
            raise RuntimeError("midway")

    with pytest.raises(RuntimeError, match="midway"):
        Tells(Fails())(X, training=True)
    (layer := Tells())(X)
    assert layer.told is None


# --- build -----------------------------------------------------------------------------------------------------------


def test_a_layer_that_was_built_directly_is_built() -> None:
    layer = Dense(2)
    layer.build((None, 3))
    assert layer.built
    layer.set_weights([np.ones((3, 2)), np.ones(2)])
    assert layer(np.ones((1, 3), "float32")).numpy().tolist() == [[4.0, 4.0]]
    layer.build((None, 3))  # once more: nothing happens
    assert len(layer.weights) == 2


def test_a_layer_in_two_others_that_build_it_has_one_set_of_weights() -> None:
    shared = Dense(4)

    class Builds(Layer):
        def __init__(self) -> None:
            super().__init__()
            self.part = shared

        def build(self, input_shape: Any) -> None:
            self.part.build(input_shape)

        def call(self, x: Tensor) -> Tensor:
            return self.part(x)

    model = Sequential([Input((4,)), Builds(), Builds()])
    assert model.count_params() == 20


def test_a_build_that_failed_leaves_no_weights() -> None:
    class Picky(Layer):
        def build(self, input_shape: Any) -> None:
            self.w = self.add_weight((input_shape[-1],), name="w")
            if input_shape[-1] != 4:
                raise ValueError("four are wanted")

        def call(self, x: Tensor) -> Tensor:
            return x * self.w

    layer = Picky()
    with pytest.raises(ValueError, match="four"):
        layer(X[:, :3])
    layer(X)
    assert [w.shape for w in layer.weights] == [(4,)]


def test_super_build_adds_to_what_the_base_builds() -> None:
    class More(Dense):
        def build(self, input_shape: Any) -> None:
            super().build(input_shape)
            self.scale = self.add_weight(initializer="ones", name="scale")

        def call(self, x: Tensor) -> Tensor:
            return super().call(x) * self.scale

    layer = More(3)
    layer.build((None, 4))
    assert [w.name for w in layer.weights] == ["kernel", "bias", "scale"]


# --- metrics that something holds ------------------------------------------------------------------------------------


class Counts(Layer):
    """Holds a metric."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = metrics.Sum(name="rows")

    def call(self, x: Tensor) -> Tensor:
        self.rows.update_state(ops.ones((x.shape[0],)))
        return x


class Holder(Layer):
    """Holds a layer that holds a metric, in a list."""

    def __init__(self) -> None:
        super().__init__()
        self.inside = [Counts()]

    def call(self, x: Tensor) -> Tensor:
        return self.inside[0](x)


class Model(Sequential):
    """Holds a metric itself."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.seen = metrics.Sum(name="seen")

    def train_step(self, data: Any) -> Any:
        self.seen.update_state(ops.ones((data[0].shape[0],)))
        return super().train_step(data)


@pytest.mark.parametrize("jit", [True, False])
def test_metrics_of_layers_and_models_begin_anew_with_each_epoch(jit: bool, engine: str) -> None:
    model = Model([Input((4,)), Counts(), Holder(), Dense(3)])
    model.compile("sgd", "mse", jit_compile=jit)
    history = model.fit(X, X[:, :3], batch_size=2, epochs=3, verbose=0, validation_data=(X[:4], X[:4, :3])).history
    assert history["seen"] == [8.0, 8.0, 8.0]
    assert history["rows"] == [8.0, 8.0, 8.0], "asking for shapes does not count"
    assert history["val_rows"] == [4.0, 4.0, 4.0]
    assert history["val_seen"] == [0.0, 0.0, 0.0]
    assert [metric.name for metric in model.metrics] == ["loss", "seen", "rows", "rows"]


class Spread(metrics.Metric):
    """Holds two metrics, a variable that was added, one that was assigned, and one that does not begin at 0."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(name="spread", **settings)
        self.largest = [metrics.Mean(name="a"), metrics.Mean(name="b")]
        self.calls = self.add_variable(shape=(), initializer="zeros", name="calls")
        self.more = self.add_weight(shape=(2,), initializer="ones", name="calls")
        self.own = Variable(0.0, trainable=False)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        self.largest[0].update_state(y_true)
        self.largest[1].update_state(y_pred)
        for variable in (self.calls, self.more, self.own):
            variable.assign_add(ops.ones(variable.shape))

    def result(self) -> Tensor:
        return self.calls + self.own + ops.sum(self.more) + 0.0 * self.largest[0].result()


@pytest.mark.parametrize("jit", [True, False])
def test_a_metric_that_holds_metrics_begins_anew_and_is_traced(jit: bool, engine: str) -> None:
    metric = Spread()
    assert [v.name for v in metric.variables] == ["calls", "calls", "variable", "total", "count", "total", "count"]
    metric(X, X)
    assert metric.largest[0].count.item() == 32
    metric.reset_state()
    assert [v.numpy().sum() for v in metric.variables] == [0.0] * 7
    history = fitted(metrics=[metric], jit_compile=jit)
    assert history["spread"] == [2 + 2 + 4] * 2


def test_a_metrics_state_has_its_dtype() -> None:
    assert {v.dtype for v in Spread(dtype="float64").variables[:2]} == {"float64"}
    assert metrics.Mean(dtype="float64").total.dtype == "float64"
    assert metrics.Mean().get_config() == {"name": "mean"}
    assert metrics.Mean(dtype="float64").get_config() == {"name": "mean", "dtype": "float64"}
    with pytest.raises(UsageError, match="Mean: expected dtype among"):
        metrics.Mean(dtype="float16")


# --- losses ----------------------------------------------------------------------------------------------------------


class Squares(losses.Loss):
    """As Keras's guide writes it."""

    def call(self, y_true: Any, y_pred: Any) -> Any:
        assert isinstance(y_true, Tensor)
        return ops.mean(ops.square(y_true - y_pred), axis=-1)


@pytest.mark.parametrize("values", [[[1, 2], [3, 5]], [[1.0, 2.0], [3.0, 5.0]]])
@pytest.mark.parametrize(
    "kind", [list, np.array, lambda v: np.array(v, "float64"), lambda v: np.array(v, "uint8"), Tensor]
)
def test_an_own_loss_gets_float32_tensors(kind: Any, values: Any) -> None:
    loss = Squares()(kind(values), kind([[0, 0], [0, 0]]))
    assert (loss.dtype, loss.item()) == ("float32", 9.75)
    each = Squares(reduction=None)(kind(values), kind([[0, 0], [0, 0]]), sample_weight=[1, 2])
    assert (each.dtype, each.numpy().tolist()) == ("float32", [2.5, 34.0])


def test_an_own_loss_may_return_an_array() -> None:
    class Arrays(losses.Loss):
        def call(self, y_true: Any, y_pred: Any) -> Any:
            return np.square(y_true.numpy() - y_pred.numpy()).mean(axis=-1)

    assert isinstance(Arrays(reduction=None)(X, X), Tensor)
    assert Arrays()(X, X).item() == 0.0


def test_the_dtype_of_a_loss() -> None:
    assert losses.MeanSquaredError(dtype="float64")([[1.0]], [[3.0]]).dtype == "float64"
    assert losses.MeanSquaredError()(np.array([[1.0]]), np.array([[3.0]])).dtype == "float32"
    assert losses.MeanSquaredError(dtype="float64").get_config()["dtype"] == "float64"


# --- weights and inputs ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "kind"), [("int32", "i"), ("int64", "i"), ("uint8", "u"), ("bool", "b")])
def test_a_weight_without_fractions_begins_at_zero(dtype: str, kind: str) -> None:
    weight = Dense(1).add_weight((3,), dtype=dtype).numpy()
    assert weight.dtype.kind == kind
    assert not weight.any()


def test_a_layer_that_only_moves_numbers_keeps_whole_ones() -> None:
    big = np.array([[16_777_217, 3]])
    for layer in (layers.Flatten(), layers.Reshape((2, 1)), layers.Permute((1,)), Dropout(0.5)):
        y = layer(big)
        assert (y.dtype, int(y.numpy().ravel()[0])) == ("int64", 16_777_217)
    assert layers.Rescaling(1.0)(big).dtype == "float32"
    assert Dense(2)(big).dtype == Dense(2, dtype="float64")(big).dtype.replace("64", "32") == "float32"
    assert Dropout(0.5)(big, training=True).dtype == "float32"


def test_no_activation_may_be_set_at_any_time() -> None:
    dense = Dense(2, activation="relu")
    dense(X)
    dense.activation = None
    np.testing.assert_array_equal(dense(X).numpy(), (ops.matmul(X, dense.kernel) + dense.bias).numpy())
    assert dense.get_config()["activation"] is None


def test_an_activation_set_anew_is_traced_anew() -> None:
    model = Sequential([Input((4,)), dense := Dense(2, activation="relu")])
    before = model.predict(X, verbose=0)
    dense.activation = None
    after = model.predict(X, verbose=0)
    np.testing.assert_array_equal(np.maximum(after, 0), before)
    assert (after != before).any()


def test_the_penalty_of_no_rows_is_zero() -> None:
    layer = layers.Activation("relu", activity_regularizer="l2")
    layer(np.zeros((0, 3), "float32"))
    assert [loss.item() for loss in layer.losses] == [0.0]


# --- what a model says of itself -------------------------------------------------------------------------------------


def test_nothing_is_raised_for_what_is_not_there_yet() -> None:
    model = Sequential([Dense(2)])
    assert not hasattr(model, "input_shape")
    assert not hasattr(model, "output_shape")
    with pytest.raises(AttributeError, match="expected a built model"):
        model.input_shape  # noqa: B018


def test_a_model_whose_first_layer_is_a_built_model_is_built() -> None:
    model = Sequential([Sequential([Input((4,)), Dense(3)]), Dense(2)])
    assert model.built
    assert len(model.weights) == 4
    assert model.input_shape == (None, 4)


def test_a_cut_gradient_is_said() -> None:
    class Cut(Layer):
        def call(self, x: Tensor) -> Tensor:
            return ops.stop_gradient(x)

    model = Sequential([Input((4,)), Dense(3, name="before"), Cut(), Dense(3)])
    model.compile("sgd", "mse")
    with pytest.warns(UserWarning, match=r"Gradients do not exist for variables kernel \(4, 3\), bias \(3,\)"):
        model.fit(X, X[:, :3], verbose=0)


def test_bases_that_ask_for_nothing() -> None:
    assert losses.get(None) is None
    np.testing.assert_array_equal(constraints.Constraint()(X).numpy(), X)
    assert regularizers.Regularizer()(X).item() == 0.0
    ends = metrics.AUC(num_thresholds=3).thresholds
    assert len(ends) == 3
    assert ends[0] < 0 < ends[1] < 1 < ends[2]
    assert metrics.AUC(thresholds=[0.5]).get_config()["thresholds"] == [0.5]


# --- what was given to the constructor -------------------------------------------------------------------------------


class Given(Layer):
    """Keeps its arguments nowhere, or changed."""

    def __init__(self, units: int, factor: float = 2.0, thing: Any = None) -> None:
        super().__init__()
        self.units = units * 2
        self.dense = Dense(self.units)

    def call(self, x: Tensor) -> Tensor:
        return self.dense(x)


def test_the_configuration_is_what_was_given_until_it_is_set_anew() -> None:
    layer = Given(3)
    assert layer.get_config() == {"units": 3, "factor": 2.0, "thing": None}
    assert Given.from_config(layer.get_config()).units == 6
    layer.units = 8
    assert layer.get_config()["units"] == 8


@pytest.mark.parametrize("thing", [lambda x: x, Dense(2), [Dense(2)], {"a": abs}, object()])
def test_what_a_file_cannot_hold_is_said_when_it_is_saved_and_no_sooner(thing: Any, tmp_path: Path) -> None:
    model = Sequential([Input((4,)), layer := Given(2, thing=thing)])
    model.compile("sgd", "mse")
    kept = [callbacks.BackupAndRestore(tmp_path / "backup"), callbacks.RunLog(tmp_path / "log.jsonl")]
    model.fit(X, X, verbose=0, callbacks=kept)
    assert repr(layer).startswith("Given(units=2")
    with pytest.raises(UsageError, match=r"^save: expected"):
        model.save(tmp_path / "m.safetensors")
    assert not (tmp_path / "m.safetensors").exists()


class Grand(Layer):
    """Takes `units`, keeps it nowhere, and hands the rest on."""

    def __init__(self, units: int, **settings: Any) -> None:
        super().__init__(**settings)
        self.dense = Dense(units)

    def call(self, x: Tensor) -> Tensor:
        return self.dense(x)


class Child(Grand):
    """Fixes one of its base's arguments."""

    def __init__(self, scale: float = 2.0, **settings: Any) -> None:
        super().__init__(3, **settings)
        self.scale = scale


class Passes(Grand):
    """Hands on whatever it is given by name."""

    def __init__(self, scale: float = 2.0, **settings: Any) -> None:
        super().__init__(**settings)


class FixedDense(Dense):
    """Fixes an argument of a class of netchu's."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(3, activation="relu", **settings)


class AnyDense(Dense):
    """Hands on whatever it is given, in whatever way."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)


class PlainDense(Dense):
    """Has no constructor of its own."""


@pytest.mark.parametrize(
    ("layer", "config"),
    [
        (Child(), {"scale": 2.0, "name": "child"}),
        (Child(5.0, name="me"), {"scale": 5.0, "name": "me"}),
        (Passes(units=4, trainable=False), {"units": 4, "scale": 2.0, "trainable": False, "name": "passes"}),
        (FixedDense(), {"name": "fixed_dense"}),
        (FixedDense(use_bias=False), {"use_bias": False, "name": "fixed_dense"}),
    ],
    ids=repr,
)
def test_what_a_class_hands_to_its_base_by_itself_is_not_written_down(layer: Layer, config: dict[str, Any]) -> None:
    assert layer.get_config() == config


@pytest.mark.parametrize(
    "make", [Child, lambda: Passes(units=4), FixedDense, lambda: AnyDense(4, "tanh"), lambda: PlainDense(4, "tanh")]
)
def test_however_arguments_are_handed_on_the_layer_comes_back(make: Callable[[], Layer], tmp_path: Path) -> None:
    model = Sequential([Input((4,)), layer := make()])
    model.save(tmp_path / "m.safetensors")
    loaded = load_model(tmp_path / "m.safetensors", custom_objects={type(layer).__name__: type(layer)})
    np.testing.assert_array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


OWN_WORDS = ["parts", "cast", "state", "streams", "changes", "fresh", "build_inside", "metrics_inside", "named_state"]
"""What a user may well call an attribute, and netchu called one of its own methods once."""


@pytest.mark.parametrize("word", OWN_WORDS)
def test_a_users_attributes_may_have_any_name(word: str, tmp_path: Path) -> None:
    class Mine(Layer):
        def build(self, input_shape: Any) -> None:
            setattr(self, word, [Dense(3)])

        def call(self, x: Tensor) -> Tensor:
            return getattr(self, word)[0](x)

    class Counted(metrics.Metric):
        def __init__(self) -> None:
            super().__init__()
            setattr(self, word, self.add_weight(name=word))

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            getattr(self, word).assign_add(1.0)

        def result(self) -> Tensor:
            return getattr(self, word) * 1.0

    class Model(Sequential):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments)
            setattr(self, word, 1)

    model = Model([Input((4,)), Mine(), Dropout(0.5)])
    model.compile("sgd", "mse", metrics=[Counted()])
    kept = callbacks.BackupAndRestore(tmp_path)
    history = model.fit(X, X[:, :3], batch_size=4, epochs=2, verbose=0, callbacks=[kept]).history
    assert history["counted"] == [2.0, 2.0]
    assert len(model.weights) == 2


def test_call_may_take_any_number_of_arguments() -> None:
    class Adds(Layer):
        def call(self, x: Tensor, *more: Tensor, scale: float = 1.0, **named: Tensor) -> Tensor:
            for y in (*more, *named.values()):
                x = x + y
            return x * scale

    np.testing.assert_array_equal(Adds()(X, X, X, y=X, scale=2.0).numpy(), 8 * X)
    np.testing.assert_array_equal(Adds()(X).numpy(), X)
    with pytest.raises(TypeError, match="missing its input"):
        Adds()(scale=1.0)


def test_two_threads_that_call_a_new_layer_make_one_set_of_weights() -> None:
    begun = threading.Barrier(4)

    class Slow(Layer):
        def build(self, input_shape: Any) -> None:
            time.sleep(0.02)
            self.w = self.add_weight((input_shape[-1],), name="w")

        def call(self, x: Tensor) -> Tensor:
            return x * self.w

    layer = Slow()

    def use() -> None:
        begun.wait()
        layer(X)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(layer.weights) == 1


def test_a_metric_put_in_the_place_of_another_begins_anew() -> None:
    model = Model([Input((4,)), Dense(3)])
    model.compile("sgd", "mse")
    model.fit(X, X[:, :3], verbose=0)
    model.seen = metrics.Sum(name="seen")
    model.seen.update_state([100.0])
    assert model.fit(X, X[:, :3], verbose=0).history["seen"] == [8.0]
    model.seen = metrics.Sum(name="seen")
    model.seen.update_state([100.0])
    assert model.train_on_batch(X, X[:, :3], return_dict=True)["seen"] == 8.0


def test_a_model_with_a_call_of_its_own_is_saved_by_its_weights(tmp_path: Path) -> None:
    class Twice(Sequential):
        def call(self, x: Tensor, training: bool | None = None) -> Tensor:
            return 2.0 * super().call(x, training)

    model = Twice([Input((4,)), Dense(3)])
    for ending in ("safetensors", "keras"):
        with pytest.raises(
            UsageError, match=r"save: expected a Sequential\. Got: .*Twice, with a call of its own\. .*save_weights"
        ):
            model.save(tmp_path / f"m.{ending}")
    model.save_weights(tmp_path / "m.weights.h5")
    (again := Twice([Input((4,)), Dense(3)])).load_weights(tmp_path / "m.weights.h5")
    np.testing.assert_array_equal(again.predict(X, verbose=0), model.predict(X, verbose=0))


def test_nothing_here_warns_of_the_tests_themselves() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with GradientTape() as tape:
            loss = ops.sum(Dense(2)(X))
        assert tape.gradient(loss, []) == []
