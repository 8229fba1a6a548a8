"""Layers: one conformance test over all of them, then Dropout's randomness, layers of one's own, and weights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from netchu import GradientTape, Sequential, Tensor, Variable, engines, gradcheck, layers, ops
from netchu.errors import ShapeError, UsageError
from netchu.layers import Activation, Dense, Dropout, Flatten, Input, InputLayer, Layer, Rescaling, Reshape
from netchu.registry import to_json
from netchu.tape import unwrap, wrap
from small_nets import clusters


@dataclass(frozen=True)
class Case:
    """A layer as its constructor call, and the shapes it must make: of one sample in and out."""

    make: Callable[..., Layer]
    sample: tuple[int, ...]
    output: tuple[int, ...]
    parameters: int = 0


CASES = {
    "Activation": Case(lambda **k: Activation("tanh", **k), (4,), (4,)),
    "Activation-glu": Case(lambda **k: Activation("glu", **k), (3, 4), (3, 2)),
    "Activation-softmax": Case(lambda **k: Activation("softmax", **k), (5,), (5,)),
    "Dense": Case(lambda **k: Dense(4, activation="sigmoid", **k), (3,), (4,), 16),
    "Dense-glu": Case(lambda **k: Dense(4, activation="gelu", use_bias=False, **k), (3,), (4,), 12),
    "Dense-rank3": Case(lambda **k: Dense(2, kernel_initializer="he_normal", **k), (5, 3), (5, 2), 8),
    "Dropout": Case(lambda **k: Dropout(0.4, seed=1, **k), (6,), (6,)),
    "Dropout-shared": Case(lambda **k: Dropout(0.5, noise_shape=(None, 1, 3), seed=1, **k), (2, 3), (2, 3)),
    "Flatten": Case(lambda **k: Flatten(**k), (2, 3, 4), (24,)),
    "Flatten-flat": Case(lambda **k: Flatten(**k), (5,), (5,)),
    "InputLayer": Case(lambda **k: InputLayer((4,), **k), (4,), (4,)),
    "Rescaling": Case(lambda **k: Rescaling(1 / 255, offset=-0.5, **k), (3, 3), (3, 3)),
    "Reshape": Case(lambda **k: Reshape((3, -1), **k), (12,), (3, 4)),
    "Reshape-row": Case(lambda **k: Reshape((6,), **k), (2, 3), (6,)),
}


@pytest.fixture(params=CASES, ids=str)
def case(request: pytest.FixtureRequest) -> Case:
    return CASES[request.param]


def some_input(case: Case, dtype: str = "float32", batch: int = 5) -> np.ndarray:
    return np.random.default_rng(2).normal(0, 1, (batch, *case.sample)).astype(dtype)


def rewound(layer: Layer) -> Layer:
    """The layer with its random draws set back to the first one."""
    for name, variable in layer.state().items():
        if name.endswith("random_step"):
            variable.assign(0)
    return layer


@contextmanager
def standing_in(layer: Layer, tensors: list[Tensor]) -> Iterator[None]:
    """While it is open, `tensors` take the place of the layer's weights, wherever its attributes hold them."""
    before = dict(vars(layer))
    swap = {id(weight): tensor for weight, tensor in zip(layer.weights, tensors)}
    vars(layer).update({key: swap.get(id(value), value) for key, value in before.items()})
    try:
        yield
    finally:
        vars(layer).update(before)


def test_every_registered_layer_has_a_case() -> None:
    assert {name.partition("-")[0] for name in CASES} == set(layers.registry.table)


# --- conformance -----------------------------------------------------------------------------------------------------


def test_output_has_the_shape_that_was_computed(case: Case, engine: str) -> None:
    layer = case.make()
    for training, batch in ((False, 1), (True, 5)):
        assert layer(some_input(case, batch=batch), training=training).shape == (batch, *case.output)
    assert layer.compute_output_shape((None, *case.sample)) == (None, *case.output)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_output_and_weights_have_the_layers_dtype(case: Case, dtype: str) -> None:
    layer = case.make(dtype=dtype)
    for given in ("uint8", "float32", "float64", "int64"):
        assert layer(some_input(case, given), training=True).dtype == dtype
    assert {weight.dtype for weight in layer.weights} <= {dtype}


def test_weights_hold_as_many_numbers_as_expected(case: Case) -> None:
    layer = case.make()
    assert not layer.built
    layer(some_input(case))
    assert layer.built
    assert layer.count_params() == sum(w.numpy().size for w in layer.weights) == case.parameters


@pytest.mark.parametrize("training", [False, True])
def test_gradient_through_the_layer(case: Case, training: bool) -> None:
    layer = case.make(dtype="float64")
    layer.ensure_built((None, *case.sample))

    def function(x: Tensor, *weights: Tensor) -> Tensor:
        with standing_in(rewound(layer), list(weights)):
            return layer(x, training=training)

    rng = np.random.default_rng(4)
    gradcheck(function, some_input(case, "float64"), *(rng.normal(0, 1, w.shape) for w in layer.weights))


def test_configuration_makes_the_same_layer_again(case: Case) -> None:
    layer = case.make(name="mine")
    written = json.loads(json.dumps(to_json(layer)))
    twin = layers.registry.get(written)
    assert type(twin) is type(layer)
    assert twin.get_config() == layer.get_config() == written["config"]
    assert twin.name == "mine"
    x = some_input(case)
    layer(x), twin(x)
    twin.set_weights(layer.get_weights())
    for training in (False, True):
        assert np.array_equal(rewound(layer)(x, training=training), rewound(twin)(x, training=training))


def test_configuration_keeps_dtype_and_trainable(case: Case) -> None:
    twin = layers.registry.get(to_json(case.make(dtype="float64", trainable=False)))
    assert (twin.dtype, twin.trainable) == ("float64", False)


def test_repr_is_the_call_that_makes_it(case: Case) -> None:
    layer = case.make()
    shown = repr(layer)
    assert shown.startswith(f"{type(layer).__name__}(")
    if "(...)" not in shown:  # an initializer object is shown short
        twin = eval(shown, vars(layers))  # our own text, in a test
        assert {**twin.get_config(), "name": ""} == {**layer.get_config(), "name": ""}


def test_numpy_and_jax_agree(case: Case) -> None:
    pytest.importorskip("jax", reason="compares with the jax engine: pip install -e '.[dev]'")
    x, results, weights = some_input(case), {}, None
    for name in ("numpy", "jax"):
        engines.set_engine(name)
        layer = case.make()
        layer(x)
        layer.set_weights(weights := weights or layer.get_weights())
        results[name] = layer(x).numpy()
    np.testing.assert_allclose(results["jax"], results["numpy"], rtol=1e-6, atol=1e-6)


def test_training_step_runs(case: Case, engine: str) -> None:
    layer = case.make()
    first = [layer] if isinstance(layer, InputLayer) else [Input(case.sample), layer]
    model = Sequential([*first, Flatten(), Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    loss = model.train_on_batch(some_input(case), np.array([0, 1, 0, 1, 1]))
    assert np.isfinite(loss)
    assert all((old != new).any() for old, new in zip(before, model.get_weights()))


# --- Dropout ---------------------------------------------------------------------------------------------------------

RATES = [0.1, 0.3, 0.5, 0.9]


@pytest.mark.parametrize("rate", RATES)
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float, engine: str) -> None:
    n = 200_000
    y = Dropout(rate, seed=5)(np.ones((400, 500), "float32"), training=True).numpy()
    assert set(np.unique(y).tolist()) == {0.0, float(np.float32(1) / np.float32(1 - rate))}
    five_sigma = 5 * np.sqrt(rate * (1 - rate) / n)
    assert (y == 0).mean() == pytest.approx(rate, abs=five_sigma)
    assert y.mean() == pytest.approx(1, abs=five_sigma / (1 - rate))


def test_dropout_outside_training_is_the_identity(engine: str) -> None:
    x = np.random.default_rng(0).normal(size=(6, 7)).astype("float32")
    layer = Dropout(0.5)
    assert np.array_equal(layer(x), x)
    assert np.array_equal(layer(x, training=False), x)
    assert np.array_equal(Dropout(0.0)(x, training=True), x)


def masks(layer: Layer, steps: int = 3) -> list[np.ndarray]:
    return [layer(np.ones((8, 16), "float32"), training=True).numpy() for _ in range(steps)]


def test_dropout_repeats_for_the_same_seed_stream_and_step(engine: str) -> None:
    first, second = masks(Dropout(0.5, seed=3)), masks(Dropout(0.5, seed=3))
    assert all(np.array_equal(a, b) for a, b in zip(first, second))


def test_dropout_differs_from_step_to_step_seed_to_seed_and_layer_to_layer(engine: str) -> None:
    drawn = [*masks(Dropout(0.5, seed=3)), *masks(Dropout(0.5, seed=4)), *masks(Dropout(0.5)), *masks(Dropout(0.5))]
    assert len({mask.tobytes() for mask in drawn}) == len(drawn) == 12


def test_dropout_draws_the_same_masks_compiled_and_eager(engine: str) -> None:
    eager, layer = masks(Dropout(0.5, seed=3)), Dropout(0.5, seed=3)
    compiled = engines.current().compile(lambda x: unwrap(layer(wrap(x), training=True)), layer.state())
    ones = engines.current().asarray(np.ones((8, 16), "float32"))
    assert [np.asarray(compiled(ones)).tobytes() for _ in range(3)] == [mask.tobytes() for mask in eager]


def test_dropout_in_a_compiled_fit_takes_a_step_of_its_own_each_time(engine: str) -> None:
    x, y = clusters()
    model = Sequential([Input((6,)), Dropout(0.5, seed=3), Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=20, epochs=2, verbose=0)
    model.evaluate(x, y, verbose=0)
    assert model.layers[0].stream.step.item() == 6


def test_dropout_shares_draws_along_an_axis() -> None:
    y = Dropout(0.5, noise_shape=(None, 1, 3), seed=1)(np.ones((50, 4, 3), "float32"), training=True).numpy()
    assert np.array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert len(np.unique(y[:, 0], axis=0)) == 8


@pytest.mark.parametrize("rate", [1, 1.5, -0.1])
def test_dropout_refuses_a_rate_outside_its_range(rate: float) -> None:
    with pytest.raises(UsageError, match=rf"Dropout: expected 0 <= rate < 1.*Got: rate={rate}\."):
        Dropout(rate)


# --- a layer of one's own --------------------------------------------------------------------------------------------


class Linear(Layer):
    """As the Keras guide writes it."""

    def __init__(self, units: int = 3, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.units = units

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.w = self.add_weight(shape=(input_shape[-1], self.units), initializer="random_normal", trainable=True)
        self.b = self.add_weight(shape=(self.units,), initializer="zeros", trainable=True, name="b")
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False, name="calls")

    def call(self, inputs: Tensor) -> Tensor:
        self.calls.assign_add(1.0)
        return ops.matmul(inputs, self.w) + self.b


class Block(Layer):
    """Layers inside a layer: as attributes, in a list and in a dictionary; with a `training` argument."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.first = Linear(4)
        self.rest = [Dense(4, activation="relu"), Dropout(0.5, seed=0)]
        self.last = {"out": Dense(3, activation="softmax")}

    def call(self, inputs: Tensor, training: bool = False) -> Tensor:
        x = self.first(inputs)
        for layer in self.rest:
            x = layer(x, training=training)
        return self.last["out"](x)


def test_own_layer_is_built_by_its_first_call() -> None:
    layer = Linear(4)
    assert layer.weights == []
    y = layer(np.ones((2, 5), "float32"))
    assert y.shape == (2, 4)
    assert [w.name for w in layer.weights] == ["weight", "b", "calls"]
    np.testing.assert_allclose(y.numpy()[0], layer.w.numpy().sum(axis=0), rtol=1e-5)


def test_own_layer_needs_no_compute_output_shape() -> None:
    layer = Linear(4)
    layer.ensure_built((None, 5))
    assert layer.compute_output_shape((None, 5)) == (None, 4)


def test_own_layer_and_its_configuration() -> None:
    assert Linear.from_config(Linear(7, name="seven").get_config()).get_config() == {"units": 7, "name": "seven"}


def test_own_layers_train_inside_a_sequential(engine: str) -> None:
    x, y = clusters()
    model = Sequential([Input((6,)), Linear(8), Activation("tanh"), Block()])
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    before = model.get_weights()
    losses = model.fit(x, y, epochs=8, batch_size=20, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    assert all((old != new).any() for old, new in zip(before, model.get_weights()))
    assert model.evaluate(x, y, verbose=0)[1] > 0.4


class Gain(Layer):
    """Holds Variables as plain attributes, as Keras allows, one of them fixed."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = Variable(np.ones(4, "float32"), name="gain")
        self.fixed = Variable(np.zeros(4, "float32"), trainable=False, name="fixed")

    def call(self, x: Tensor) -> Tensor:
        return x * self.gain + self.fixed


def test_a_variable_that_is_simply_assigned_is_a_weight(engine: str) -> None:
    layer = Gain()
    model = Sequential([Input((4,)), layer, Dense(3, activation="softmax")])
    assert [w.name for w in model.trainable_weights] == ["gain", "kernel", "bias"]
    assert [w.name for w in model.non_trainable_weights] == ["fixed"]
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(np.eye(4, dtype="float32"), np.array([0, 1, 2, 0]), verbose=0)
    assert (layer.gain.numpy() != 1).any()
    assert (layer.fixed.numpy() == 0).all()


def test_nested_weights_are_found_once_and_in_order() -> None:
    block = Block()
    block(np.ones((2, 4), "float32"))
    assert [w.shape for w in block.weights] == [(4, 4), (4,), (), (4, 4), (4,), (4, 3), (3,)]
    assert [layer.name for layer in block.sublayers] == ["linear", "dense", "dropout", "dense"]
    assert sorted(block.state()) == [
        "dense/bias", "dense/kernel", "dense_1/bias", "dense_1/kernel", "dropout/random_step",
        "linear/b", "linear/calls", "linear/weight",
    ]  # fmt: skip


def test_variable_as_attribute_is_carried_by_a_compiled_step(engine: str) -> None:
    class Counting(Layer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.seen = Variable(np.zeros((), "float32"), trainable=False, name="seen")

        def call(self, x: Tensor) -> Tensor:
            self.seen.assign_add(1.0)
            return x

    model = Sequential([Input((6,)), counting := Counting(), Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(*clusters(), batch_size=20, epochs=2, verbose=0)
    assert counting.seen.item() == 6  # and asking for its output shape did not count


# --- weights ---------------------------------------------------------------------------------------------------------


def test_frozen_layer_keeps_its_weights_and_gets_no_gradient(engine: str) -> None:
    model = Sequential([Input((6,)), Dense(4, trainable=False), Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    model.fit(*clusters(), epochs=1, verbose=0)
    same = [np.array_equal(old, new) for old, new in zip(before, model.get_weights())]
    assert same == [True, True, False, False]
    assert [w.shape for w in model.trainable_weights] == [(4, 3), (3,)]
    assert [w.shape for w in model.non_trainable_weights] == [(6, 4), (4,)]


def test_frozen_outer_layer_freezes_what_it_holds() -> None:
    block = Block(trainable=False)
    block(np.ones((2, 4), "float32"))
    assert block.trainable_weights == []
    assert len(block.non_trainable_weights) == 7
    block.trainable = True
    assert len(block.trainable_weights) == 6
    assert [w.name for w in block.non_trainable_weights] == ["calls"]


def test_get_weights_gives_arrays_of_ones_own() -> None:
    layer = Dense(2)
    layer.ensure_built((None, 3))
    kernel, _ = layer.get_weights()
    kernel[:] = 9
    assert not (layer.kernel.numpy() == 9).any()


def test_set_weights_then_get_weights_is_the_identity(engine: str) -> None:
    layer = Dense(2)
    layer.ensure_built((None, 3))
    given = [np.arange(6, dtype="float32").reshape(3, 2), np.array([7, 8], "float32")]
    layer.set_weights(given)
    assert all(np.array_equal(a, b) for a, b in zip(layer.get_weights(), given))
    with GradientTape() as tape:
        y = ops.sum(layer(np.ones((1, 3), "float32")))
    assert y.item() == 30
    assert tape.gradient(y, layer.kernel).numpy().tolist() == [[1, 1]] * 3


def test_set_weights_lists_every_mismatch_and_changes_nothing() -> None:
    model = Sequential([Input((6,)), Dense(4), Dense(3)])
    before = model.get_weights()
    wrong = [np.zeros((6, 5)), np.zeros(4), np.zeros((3, 4)), np.zeros(3)]
    with pytest.raises(ShapeError) as caught:
        model.set_weights(wrong)
    message = str(caught.value)
    for part in ("set_weights of 'sequential'", "[0] kernel (6, 4) got (6, 5)", "[2] kernel (4, 3) got (3, 4)"):
        assert part in message
    assert "[1]" not in message
    assert all(np.array_equal(a, b) for a, b in zip(model.get_weights(), before))


@pytest.mark.parametrize("count", [0, 1, 3])
def test_set_weights_counts_the_arrays(count: int) -> None:
    layer = Dense(2)
    layer.ensure_built((None, 3))
    with pytest.raises(ShapeError, match=rf"expected 2 arrays of shapes .*Got: {count} arrays"):
        layer.set_weights([np.zeros((3, 2)), np.zeros(2), np.zeros(2)][:count])


# --- names and arguments ---------------------------------------------------------------------------------------------

BAD_NAMES = ["", "x" * 101, "line\nbreak", "bell\a", "slash/ed", 3, "\u202ereversed"]


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: ascii(name)[:12])
def test_name_that_cannot_be_printed_or_filed_is_refused(name: Any) -> None:
    with pytest.raises(UsageError, match="Layer: expected a printable name"):
        Dense(2, name=name)


@pytest.mark.parametrize("units", [0, -1, 2.5, "10", True, None])
def test_units_are_a_positive_integer_in_keras_words(units: Any) -> None:
    with pytest.raises(
        UsageError, match="Received an invalid value for `units`, expected a positive integer"
    ) as caught:
        Dense(units)
    assert f"Received: units={units!r}" in str(caught.value)


def test_dtype_that_is_none_lists_the_right_ones() -> None:
    with pytest.raises(UsageError, match=r"dtype.*float32.*flot32"):
        Dense(2, dtype="flot32")


def test_dense_refuses_an_input_without_features() -> None:
    with pytest.raises(ShapeError, match=r"layer 'dense' \(Dense\): expected an input \(batch, ..., features\)"):
        Dense(2)(np.zeros(4, "float32"))


def test_dense_names_itself_when_the_width_is_wrong() -> None:
    layer = Dense(2, name="head")
    layer(np.zeros((1, 4), "float32"))
    with pytest.raises(ShapeError, match=r"layer 'head'.*expected axis -1 .* value 4, .*\(None, 5\)"):
        layer(np.zeros((1, 5), "float32"))


@pytest.mark.parametrize("shape", [5, "784", (0,), (-1,), (2.5,), (1,) * 100], ids=lambda shape: str(shape)[:9])
def test_input_shape_is_a_short_tuple_of_lengths(shape: Any) -> None:
    with pytest.raises(UsageError, match="Input: "):
        Input(shape)


@pytest.mark.parametrize("target", [(0,), (-1, -1), (2.5,), (-2,), (1,) * 100], ids=lambda shape: str(shape)[:9])
def test_reshape_refuses_a_target_that_is_no_shape(target: Any) -> None:
    with pytest.raises(UsageError, match="Reshape: expected positive lengths"):
        Reshape(target)


def test_reshape_refuses_a_target_of_another_size() -> None:
    with pytest.raises(ShapeError, match=r"layer 'reshape' \(Reshape\): expected 12 numbers"):
        Reshape((5, 2))(np.zeros((1, 12), "float32"))


@pytest.mark.parametrize("settings", [{"scale": "10"}, {"scale": {"a": 1}}, {"scale": 1, "offset": None}], ids=str)
def test_rescaling_refuses_what_is_no_number(settings: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="Rescaling: expected numbers"):
        Rescaling(**settings)


def test_rescaling_takes_one_number_for_each_channel(engine: str) -> None:
    y = Rescaling([1.0, 2.0, 3.0], offset=[0.0, 0.0, 1.0])(np.ones((2, 4, 3), "float32"))
    assert y.numpy()[1, 2].tolist() == [1, 2, 4]


def test_unknown_layer_lists_those_there_are() -> None:
    with pytest.raises(AttributeError, match=r"'Dens'\. Known: Activation, Dense, .*Did you mean '[Dd]ense'\?"):
        _ = layers.Dens
