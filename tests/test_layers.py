"""Layers: what holds for every one of them, and what their constructors refuse.

A layer in the registry without a case here fails.  What the layers draw stands in `test_layers_that_draw.py`, layers of
the user's own and weights in `test_own_layers.py`, real Keras in `test_judge_layers.py`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import ENGINE_RTOL, assert_close, assert_same_bits
from netchu import GradientTape, Sequential, Tensor, engines, gradcheck, layers, ops
from netchu.errors import ShapeError, UsageError
from netchu.layers import (
    ELU,
    Activation,
    ActivityRegularization,
    AlphaDropout,
    AveragePooling2D,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    Input,
    InputLayer,
    Layer,
    LayerNormalization,
    LeakyReLU,
    MaxPooling2D,
    Permute,
    PReLU,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
    ReLU,
    Rescaling,
    Reshape,
    Softmax,
    SpatialDropout2D,
    ZeroPadding2D,
)
from netchu.models import load_model
from netchu.random import Stream
from netchu.registry import to_json

SUM_ATOL = 5e-6
"""Two engines, a gradient at a weight in float32: the sum of up to 200 numbers of about 1 (6e-8 each) that nearly
cancel, added in another order."""


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
    "ActivityRegularization": Case(lambda **k: ActivityRegularization(0.1, 0.2, **k), (4,), (4,)),
    "AlphaDropout": Case(lambda **k: AlphaDropout(0.4, seed=1, **k), (6,), (6,)),
    "AlphaDropout-shared": Case(lambda **k: AlphaDropout(0.5, (None, 1, 3), 1, **k), (2, 3), (2, 3)),
    "AveragePooling2D": Case(lambda **k: AveragePooling2D((2, 3), **k), (4, 6, 2), (2, 2, 2)),
    "AveragePooling2D-same": Case(
        lambda **k: AveragePooling2D(3, strides=2, padding="same", **k), (5, 4, 2), (3, 2, 2)
    ),
    "BatchNormalization": Case(lambda **k: BatchNormalization(**k), (3, 4, 2), (3, 4, 2), 8),
    "BatchNormalization-axis": Case(lambda **k: BatchNormalization(1, momentum=0.5, **k), (3, 2), (3, 2), 12),
    "BatchNormalization-bare": Case(
        lambda **k: BatchNormalization(epsilon=0.1, center=False, scale=False, **k), (3,), (3,), 6
    ),
    "Conv2D": Case(lambda **k: Conv2D(4, 3, activation="tanh", **k), (5, 6, 2), (3, 4, 4), 76),
    "Conv2D-dilated": Case(
        lambda **k: Conv2D(2, 2, dilation_rate=(2, 1), use_bias=False, **k), (5, 4, 3), (3, 3, 2), 24
    ),
    "Conv2D-glu": Case(lambda **k: Conv2D(4, 2, activation="glu", **k), (3, 4, 2), (2, 3, 2), 36),
    "Conv2D-same": Case(lambda **k: Conv2D(3, (2, 3), strides=2, padding="same", **k), (5, 4, 1), (3, 2, 3), 21),
    "Dense": Case(lambda **k: Dense(4, activation="sigmoid", **k), (3,), (4,), 16),
    "Dense-gelu": Case(lambda **k: Dense(4, activation="gelu", use_bias=False, **k), (3,), (4,), 12),
    "Dense-glu": Case(lambda **k: Dense(4, activation="glu", **k), (3,), (2,), 16),
    "Dense-rank3": Case(lambda **k: Dense(2, kernel_initializer="he_normal", **k), (5, 3), (5, 2), 8),
    "DepthwiseConv2D": Case(lambda **k: DepthwiseConv2D(2, activation="sigmoid", **k), (4, 5, 3), (3, 4, 3), 15),
    "DepthwiseConv2D-glu": Case(lambda **k: DepthwiseConv2D(2, activation="glu", **k), (3, 4, 2), (2, 3, 1), 10),
    "DepthwiseConv2D-same": Case(
        lambda **k: DepthwiseConv2D(
            (3, 2), strides=2, padding="same", depth_multiplier=2, depthwise_initializer="he_normal", **k
        ),
        (5, 4, 2),
        (3, 2, 4),
        28,
    ),
    "Dropout": Case(lambda **k: Dropout(0.4, seed=1, **k), (6,), (6,)),
    "Dropout-shared": Case(lambda **k: Dropout(0.5, noise_shape=(None, 1, 3), seed=1, **k), (2, 3), (2, 3)),
    "ELU": Case(lambda **k: ELU(0.5, **k), (4,), (4,)),
    "Flatten": Case(lambda **k: Flatten(**k), (2, 3, 4), (24,)),
    "Flatten-flat": Case(lambda **k: Flatten(**k), (5,), (5,)),
    "GaussianDropout": Case(lambda **k: GaussianDropout(0.4, seed=1, **k), (6,), (6,)),
    "GaussianNoise": Case(lambda **k: GaussianNoise(0.4, seed=1, **k), (6,), (6,)),
    "GlobalAveragePooling2D": Case(lambda **k: GlobalAveragePooling2D(**k), (3, 4, 2), (2,)),
    "GlobalAveragePooling2D-kept": Case(lambda **k: GlobalAveragePooling2D(keepdims=True, **k), (3, 4, 2), (1, 1, 2)),
    "GlobalMaxPooling2D": Case(lambda **k: GlobalMaxPooling2D(**k), (3, 4, 2), (2,)),
    "GlobalMaxPooling2D-kept": Case(lambda **k: GlobalMaxPooling2D(keepdims=True, **k), (3, 4, 2), (1, 1, 2)),
    "InputLayer": Case(lambda **k: InputLayer((4,), **k), (4,), (4,)),
    "LayerNormalization": Case(lambda **k: LayerNormalization(**k), (3, 4), (3, 4), 8),
    "LayerNormalization-axes": Case(lambda **k: LayerNormalization([1, 3], **k), (3, 2, 4), (3, 2, 4), 24),
    "LayerNormalization-bare": Case(lambda **k: LayerNormalization(1, 0.1, False, False, **k), (3, 2), (3, 2)),
    "LeakyReLU": Case(lambda **k: LeakyReLU(0.1, **k), (4,), (4,)),
    "MaxPooling2D": Case(lambda **k: MaxPooling2D(**k), (4, 5, 2), (2, 2, 2)),
    "MaxPooling2D-same": Case(
        lambda **k: MaxPooling2D((3, 2), strides=(2, 1), padding="same", **k), (5, 4, 3), (3, 4, 3)
    ),
    "Permute": Case(lambda **k: Permute((3, 1, 2), **k), (2, 3, 4), (4, 2, 3)),
    "PReLU": Case(lambda **k: PReLU("ones", **k), (3, 2), (3, 2), 6),
    "PReLU-shared": Case(lambda **k: PReLU(shared_axes=[1, 2], **k), (3, 4, 2), (3, 4, 2), 2),
    "RandomRotation": Case(lambda **k: RandomRotation(0.2, seed=1, **k), (5, 6, 2), (5, 6, 2)),
    "RandomTranslation": Case(
        lambda **k: RandomTranslation(0.3, (-0.2, 0.4), fill_mode="constant", seed=1, **k), (5, 4, 1), (5, 4, 1)
    ),
    "RandomTranslation-nearest": Case(
        lambda **k: RandomTranslation(0.3, 0.3, "wrap", "nearest", seed=1, **k), (5, 4, 1), (5, 4, 1)
    ),
    "RandomZoom": Case(lambda **k: RandomZoom(0.3, fill_mode="nearest", seed=1, **k), (4, 5, 1), (4, 5, 1)),
    "ReLU": Case(lambda **k: ReLU(**k), (4,), (4,)),
    "ReLU-bounded": Case(lambda **k: ReLU(1.0, 0.1, 0.5, **k), (4,), (4,)),
    "Rescaling": Case(lambda **k: Rescaling(1 / 255, offset=-0.5, **k), (3, 3), (3, 3)),
    "Reshape": Case(lambda **k: Reshape((3, -1), **k), (12,), (3, 4)),
    "Reshape-row": Case(lambda **k: Reshape((6,), **k), (2, 3), (6,)),
    "Softmax": Case(lambda **k: Softmax(**k), (5,), (5,)),
    "Softmax-axes": Case(lambda **k: Softmax([1, 2], **k), (3, 4), (3, 4)),
    "SpatialDropout2D": Case(lambda **k: SpatialDropout2D(0.4, seed=1, **k), (3, 2, 4), (3, 2, 4)),
    "ZeroPadding2D": Case(lambda **k: ZeroPadding2D(((1, 0), (2, 3)), **k), (2, 3, 2), (3, 8, 2)),
    "ZeroPadding2D-even": Case(lambda **k: ZeroPadding2D(**k), (2, 3, 1), (4, 5, 1)),
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
    """While it is open, `tensors` take the place of the layer's trainable weights in its attributes."""
    before = dict(vars(layer))
    swap = {id(weight): tensor for weight, tensor in zip(layer.trainable_weights, tensors)}
    vars(layer).update({key: swap.get(id(value), value) for key, value in before.items()})
    try:
        yield
    finally:
        vars(layer).update(before)


def test_every_registered_layer_has_a_case() -> None:
    assert {name.partition("-")[0] for name in CASES} == set(layers.registry.table)


# --- conformance -----------------------------------------------------------------------------------------------------


def test_output_has_the_shape_that_was_computed(case: Case) -> None:
    layer = case.make()
    for training, batch in ((False, 1), (True, 5)):
        assert layer(some_input(case, batch=batch), training=training).shape == (batch, *case.output)
    assert layer.compute_output_shape((None, *case.sample)) == (None, *case.output)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_output_and_weights_have_the_layers_dtype(case: Case, dtype: str) -> None:
    layer = case.make(dtype=dtype)
    for given in ("float32", "float64"):
        assert layer(some_input(case, given), training=True).dtype == dtype
    for given in ("uint8", "int64"):  # a layer that only moves numbers leaves whole ones whole, as Keras's do
        y = layer(some_input(case, given), training=True)
        assert y.dtype == dtype or (y.dtype == given and not layer.casts_integers and not layer.weights)
    assert {weight.dtype for weight in layer.weights} <= {dtype}


def test_weights_hold_as_many_numbers_as_expected(case: Case) -> None:
    layer = case.make()
    assert layer.built is isinstance(layer, InputLayer)
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
    gradcheck(function, some_input(case, "float64"), *(rng.normal(0, 1, w.shape) for w in layer.trainable_weights))


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


@pytest.fixture
def same_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Layers that draw get the same numbers on every engine."""

    def drawing(kind: str) -> Callable[[Stream, tuple[int, ...]], Any]:
        def draw(stream: Stream, shape: tuple[int, ...]) -> Any:
            drawn = getattr(np.random.default_rng(6), kind)(size=shape).astype("float32")
            return engines.current().asarray(drawn)

        return draw

    monkeypatch.setattr(Stream, "uniform", drawing("uniform"))
    monkeypatch.setattr(Stream, "normal", drawing("normal"))


@pytest.mark.parametrize("training", [False, True])
def test_engines_agree(case: Case, training: bool, traced_engine: engines.Engine, same_draws: None) -> None:
    """Outputs, gradients at the input and at the weights, and what the layer keeps of the step."""
    x, results, weights = some_input(case), {}, None
    for name in ("numpy", traced_engine.name):
        engines.set_engine(name)
        layer = case.make()
        layer(x, training=False)
        layer.set_weights(weights := weights or layer.get_weights())
        source = Tensor(x)
        with GradientTape() as tape:
            tape.watch(source)
            y = layer(source, training=training)
            total = ops.sum(y * np.linspace(0.5, 1.5, math.prod(y.shape), dtype="float32").reshape(y.shape))
        gradients = tape.gradient(total, [source, *layer.trainable_weights])
        results[name] = [y.numpy(), *(g.numpy() for g in gradients if g is not None), *layer.get_weights()]
    assert len(results["numpy"]) == len(results[traced_engine.name])
    for ours, expected in zip(results[traced_engine.name], results["numpy"]):
        assert_close(ours, expected, atol=SUM_ATOL, rtol=ENGINE_RTOL)


def a_net(layer: Layer, case: Case) -> Sequential:
    first = [layer] if isinstance(layer, InputLayer) else [Input(case.sample), layer]
    model = Sequential([*first, Flatten(), Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    return model


LABELS = np.array([0, 1, 0, 1, 1])


def test_saved_and_loaded_it_computes_the_same(case: Case, tmp_path: Path) -> None:
    model = a_net(case.make(), case)
    model.train_on_batch(some_input(case), LABELS)
    model.save(tmp_path / "net.safetensors")
    twin = load_model(tmp_path / "net.safetensors")
    for ours, expected in zip(twin.get_weights(), model.get_weights()):
        assert_same_bits(ours, expected)
    assert_same_bits(twin.predict(some_input(case), verbose=0), model.predict(some_input(case), verbose=0))


def test_frozen_layer_is_not_changed_by_a_step(case: Case) -> None:
    layer = case.make(trainable=False)
    model = a_net(layer, case)
    before = layer.get_weights()
    model.train_on_batch(some_input(case), LABELS)
    assert layer.trainable_weights == []
    assert all(np.array_equal(old, new) for old, new in zip(before, layer.get_weights()))


def test_training_step_runs(case: Case, engine: str) -> None:
    model = a_net(case.make(), case)
    before = model.get_weights()
    loss = model.train_on_batch(some_input(case), LABELS)
    assert np.isfinite(loss)
    assert all((old != new).any() for old, new in zip(before, model.get_weights()))


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
    assert f"Got: units={units!r}." in str(caught.value)


def test_dtype_that_is_none_lists_the_right_ones() -> None:
    with pytest.raises(UsageError, match=r"dtype.*float32.*flot32"):
        Dense(2, dtype="flot32")


def test_float64_under_an_engine_without_it_is_refused() -> None:
    pytest.importorskip("jax")
    engines.set_engine("jax")
    with pytest.raises(UsageError, match=r"layer 'dense' \(Dense\): .* the engine 'jax' has. Got: dtype='float64'"):
        Dense(2, dtype="float64").build((None, 3))


def test_input_shape_is_said_by_an_input() -> None:
    with pytest.raises(UsageError, match=r"Got: input_shape=\(784,\). Put Input\(\(784,\)\) first"):
        Dense(2, input_shape=(784,))


def test_dense_refuses_an_input_without_features() -> None:
    with pytest.raises(ShapeError, match=r"layer 'dense' \(Dense\): expected an input \(batch, ..., features\)"):
        Dense(2)(np.zeros(4, "float32"))


def test_dense_names_itself_when_the_width_is_wrong() -> None:
    layer = Dense(2, name="head")
    layer(np.zeros((1, 4), "float32"))
    with pytest.raises(ShapeError, match=r"layer 'head'.*expected axis -1 .* value 4. .*\(None, 5\)"):
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
    with pytest.raises(AttributeError, match=r"'Dens'\. Known: Activation, .*Dense, .*Did you mean '[Dd]ense'\?"):
        _ = layers.Dens
