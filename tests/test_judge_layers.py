"""Layers judged by real Keras on TensorFlow: arguments, outputs, gradients, training, and where each pixel comes from.

Convolution and pooling have their own judges.  Where a layer draws, both libraries are given the same numbers.
"""

from __future__ import annotations

import importlib
import inspect
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import netchu
from helpers import RUN_ATOL, assert_close
from netchu import GradientTape, Tensor, activations, constraints, layers, ops, random, regularizers
from netchu.registry import to_json

pytestmark = [pytest.mark.judge, pytest.mark.filterwarnings("ignore")]  # the judges' own warnings are not ours

VALUE_RTOL = 2e-6
"""One layer in float32, relative to the largest element: sums of up to 100 numbers in another order, and two
libraries' exp, sqrt and rsqrt, err by a few units in the last place (1.2e-7)."""

SLOPE_RTOL = 1e-5
"""Its gradient: the variance of three numbers may be a hundredth, and 1 / sqrt(variance) makes errors ten times as
large."""

PIXEL_RTOL = 1e-5
"""A pixel between pixels, relative to the brightest: its place errs by two or three units in the last place of a
coordinate of up to 20 (2e-6 each), and the brightness changes by up to the whole range from pixel to pixel."""


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def settled(weights: list[Any]) -> list[np.ndarray]:
    """Weights of the given shapes that are neither 0 nor 1, all above 0, as a variance must be."""
    rng = np.random.default_rng(9)
    return [rng.uniform(0.3, 1.5, tuple(w.shape)).astype("float32") for w in weights]


# --- arguments -------------------------------------------------------------------------------------------------------

POSITIONAL: list[tuple[str, tuple[Any, ...]]] = [
    ("ActivityRegularization", (0.1, 0.2)),
    ("AlphaDropout", (0.3, (None, 2), 5)),
    ("BatchNormalization", (1, 0.9, 0.01, False, True, "ones", "zeros", "ones", "zeros")),
    ("ELU", (0.7,)),
    ("GaussianDropout", (0.3, 5)),
    ("GaussianNoise", (0.3, 5)),
    ("LayerNormalization", ([1, 2], 0.01, False, True, "ones", "zeros")),
    ("LeakyReLU", (0.7,)),
    ("PReLU", ("ones", None, None, [1])),
    ("RandomRotation", ((-0.1, 0.2), "wrap", "nearest", 5, 0.5, "channels_last")),
    ("RandomTranslation", (0.1, (0.2, 0.3), "wrap", "nearest", 5, 0.5, "channels_last")),
    ("RandomZoom", (0.1, (0.2, 0.3), "wrap", "nearest", 5, 0.5, "channels_last")),
    ("ReLU", (3.0, 0.1, 0.5)),
    ("Softmax", (1,)),
    ("SpatialDropout2D", (0.3, "channels_last", 5)),
]
OF_EVERY_LAYER = {"name", "trainable", "dtype", "activity_regularizer"}


@pytest.mark.parametrize(("name", "arguments"), POSITIONAL, ids=[name for name, _ in POSITIONAL])
def test_arguments_are_kerass_in_its_order(keras: ModuleType, name: str, arguments: tuple[Any, ...]) -> None:
    own, theirs = (getattr(library.layers, name)(*arguments).get_config() for library in (netchu, keras))
    assert set(own) - OF_EVERY_LAYER == set(theirs) - OF_EVERY_LAYER
    for key in set(own) - OF_EVERY_LAYER:
        expected = theirs[key]
        if isinstance(expected, dict):  # an initializer
            assert own[key]["class_name"].lower() == expected["class_name"].lower()
        else:
            assert own[key] == to_json(expected), key


@pytest.mark.parametrize("name", [name for name, _ in POSITIONAL])
def test_defaults_and_names_are_kerass(keras: ModuleType, name: str) -> None:
    required = [0.1 for p in inspect.signature(getattr(layers, name)).parameters.values() if p.default is p.empty]
    required = required[: {"RandomTranslation": 2, "RandomZoom": 1}.get(name, 1)] if name not in OPTIONAL else []
    own, theirs = (getattr(library.layers, name)(*required).get_config() for library in (netchu, keras))
    assert own["name"].rstrip("_0123456789") == theirs["name"].rstrip("_0123456789")
    same = {"data_format": None, "factor": 0.1}  # None is channels last; a number f is written (-f, f)
    for key in set(own) - OF_EVERY_LAYER:
        expected = same.get(key, theirs[key])
        if isinstance(expected, dict):
            assert own[key]["class_name"].lower() == expected["class_name"].lower()
        else:
            assert own[key] == to_json(expected), key


OPTIONAL = {
    "ActivityRegularization", "BatchNormalization", "ELU", "LayerNormalization", "LeakyReLU", "PReLU", "ReLU", "Softmax"
}  # fmt: skip


# --- outputs and gradients -------------------------------------------------------------------------------------------

IMAGES, ROWS, CUBES = (6, 5, 4, 3), (7, 4), (6, 3, 4)
LAYERS: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("BatchNormalization", {}, ROWS),
    ("BatchNormalization", {}, CUBES),
    ("BatchNormalization", {}, IMAGES),
    ("BatchNormalization", {"axis": 1}, IMAGES),
    ("BatchNormalization", {"axis": 2, "momentum": 0.5, "epsilon": 0.1}, CUBES),
    ("BatchNormalization", {"axis": -2, "center": False}, CUBES),
    ("BatchNormalization", {"scale": False}, IMAGES),
    ("BatchNormalization", {"center": False, "scale": False}, ROWS),
    ("BatchNormalization", {"trainable": False}, IMAGES),
    ("LayerNormalization", {}, ROWS),
    ("LayerNormalization", {}, IMAGES),
    ("LayerNormalization", {"axis": 1, "epsilon": 0.1}, CUBES),
    ("LayerNormalization", {"axis": [1, 2, 3]}, IMAGES),
    ("LayerNormalization", {"axis": [3, 1], "scale": False}, IMAGES),
    ("LayerNormalization", {"axis": [-1, -2], "center": False}, IMAGES),
    ("LeakyReLU", {}, ROWS),
    ("LeakyReLU", {"negative_slope": 0.1}, IMAGES),
    ("ReLU", {}, ROWS),
    ("ReLU", {"max_value": 1.0}, ROWS),
    ("ReLU", {"max_value": 6.0}, ROWS),
    ("ReLU", {"negative_slope": 0.2}, ROWS),
    ("ReLU", {"threshold": 0.5}, ROWS),
    ("ReLU", {"max_value": 1.0, "negative_slope": 0.2, "threshold": 0.5}, IMAGES),
    ("PReLU", {}, ROWS),
    ("PReLU", {"shared_axes": [1, 2]}, IMAGES),
    ("PReLU", {"shared_axes": 1}, CUBES),
    ("ELU", {}, ROWS),
    ("ELU", {"alpha": 0.3}, IMAGES),
    ("Softmax", {}, ROWS),
    ("Softmax", {"axis": 1}, IMAGES),
    ("Softmax", {"axis": [1, 2]}, IMAGES),
    ("Softmax", {"axis": [2]}, CUBES),
    ("ActivityRegularization", {"l1": 0.1, "l2": 0.2}, IMAGES),
]
LAYER_IDS = [f"{name}-{len(shape)}-{'-'.join(map(str, kwargs.values()))}" for name, kwargs, shape in LAYERS]


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize(("name", "kwargs", "shape"), LAYERS, ids=LAYER_IDS)
def test_outputs_gradients_and_weights_are_kerass(
    keras: ModuleType, name: str, kwargs: dict[str, Any], shape: tuple[int, ...], training: bool
) -> None:
    import tensorflow as tf

    x = 2 * normal(*shape) + 0.5
    w = normal(*shape, seed=1)
    theirs = getattr(keras.layers, name)(**kwargs)
    theirs.build(shape)
    theirs.set_weights(settled(theirs.weights))
    variable = tf.Variable(x)
    with tf.GradientTape() as their_tape:
        y = theirs(tf.identity(variable), training=training)
        total = tf.reduce_sum(y * w) + sum(theirs.losses)
    expected = their_tape.gradient(total, [variable, *[v.value for v in theirs.trainable_weights]])

    own = getattr(layers, name)(**kwargs)
    own.ensure_built((None, *shape[1:]))
    assert [v.name for v in own.weights] == [v.name for v in theirs.weights]
    own.set_weights(settled(own.weights))
    source = Tensor(x)
    with GradientTape() as tape:
        tape.watch(source)
        output = own(source, training=training)
        loss = ops.sum(output * w)
        for extra in own.losses:
            loss = loss + extra
    assert_close(output, y, rtol=VALUE_RTOL)
    assert len(own.trainable_weights) == len(theirs.trainable_weights)
    for ours, gradient in zip(tape.gradient(loss, [source, *own.trainable_weights]), expected):
        assert_close(ours, gradient, rtol=SLOPE_RTOL)
    for ours, weight in zip(own.get_weights(), theirs.get_weights()):
        assert_close(ours, weight, rtol=VALUE_RTOL)


KINKS = np.array([[-1.0, -0.5, 0.0, 0.5, 1.0, 2.0, 3.0, 6.0]], "float32")


@pytest.mark.parametrize("kwargs", [{}, {"negative_slope": 0.5}, {"threshold": 1.0}, {"max_value": 2.0}], ids=str)
def test_relu_at_its_kinks_is_kerass(keras: ModuleType, kwargs: dict[str, float]) -> None:
    import tensorflow as tf

    source, variable = Tensor(KINKS), tf.Variable(KINKS)
    with tf.GradientTape() as their_tape:
        expected = keras.activations.relu(variable, **kwargs)
    with GradientTape() as tape:
        tape.watch(source)
        y = activations.relu(source, **kwargs)
    assert_close(y, expected)
    assert_close(tape.gradient(y, source), their_tape.gradient(expected, variable))


# --- layers that draw, given the same draws --------------------------------------------------------------------------

DRAWING: list[tuple[str, dict[str, Any]]] = [
    ("GaussianNoise", {"stddev": 0.3}),
    ("GaussianDropout", {"rate": 0.3}),
    ("AlphaDropout", {"rate": 0.3}),
    ("AlphaDropout", {"rate": 0.5, "noise_shape": (None, 1, 1, 3)}),
    ("SpatialDropout2D", {"rate": 0.4}),
]


@pytest.mark.parametrize(("name", "kwargs"), DRAWING, ids=lambda value: str(value))
def test_layers_that_draw_do_the_same_with_the_same_draws(
    keras: ModuleType, name: str, kwargs: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    x, seen = normal(*IMAGES), []

    def their_normal(shape: Any, mean: float = 0.0, stddev: float = 1.0, dtype: Any = None, seed: Any = None) -> Any:
        return mean + stddev * normal(*map(int, shape), seed=3)

    def their_uniform(shape: Any, *_: Any, **__: Any) -> Any:
        seen.append(tuple(map(int, shape)))
        return np.random.default_rng(3).random(seen[-1], dtype="float32")

    monkeypatch.setattr(importlib.import_module("keras.src.backend").random, "normal", their_normal)
    monkeypatch.setattr(importlib.import_module("keras.src.ops").random, "uniform", their_uniform)
    expected = np.asarray(getattr(keras.layers, name)(**kwargs)(x, training=True))

    monkeypatch.setattr(random.Stream, "normal", lambda self, shape: normal(*shape, seed=3))
    kept = expected[:, :1, :1] != 0  # of SpatialDropout2D, which draws inside TensorFlow
    monkeypatch.setattr(
        random.Stream,
        "uniform",
        lambda self, shape: kept * 1.0 if name == "SpatialDropout2D" else their_uniform(shape),
    )
    assert_close(getattr(layers, name)(**kwargs)(x, training=True), expected, rtol=VALUE_RTOL)
    assert len(set(seen)) <= 1  # both asked for draws of the same shape


@pytest.mark.parametrize("name", ["GaussianNoise", "GaussianDropout", "AlphaDropout", "SpatialDropout2D"])
def test_layers_that_draw_are_the_identity_in_use(keras: ModuleType, name: str) -> None:
    x = normal(*IMAGES)
    for library in (netchu, keras):
        layer = getattr(library.layers, name)(0.5)
        assert np.array_equal(layer(x), x)


# --- where each pixel comes from -------------------------------------------------------------------------------------

FILL_MODES, INTERPOLATIONS = ["constant", "nearest", "reflect", "wrap"], ["bilinear", "nearest"]
SIZES = [(8, 8, 1), (5, 9, 3), (1, 6, 2), (7, 1, 1)]


def maps(batch: int, seed: int = 0) -> np.ndarray:
    """Maps of every kind, (batch, 8): turned, sheared, moved far beyond the edges, mirrored."""
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(-1.5, 1.5, (2, batch, 2))
    far = rng.uniform(-20, 20, (2, batch, 1))
    return np.concatenate([a, far[0], b, far[1], np.zeros((batch, 2))], axis=1).astype("float32")


@pytest.mark.parametrize("size", SIZES, ids=str)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_affine_transform_is_kerass(
    keras: ModuleType, fill_mode: str, interpolation: str, size: tuple[int, ...]
) -> None:
    images, transform = np.random.default_rng(1).random((40, *size), dtype="float32"), maps(40)
    settings = {"interpolation": interpolation, "fill_mode": fill_mode, "fill_value": 0.25}
    expected = keras.ops.image.affine_transform(images, transform, **settings)
    assert_close(ops.image.affine_transform(images, transform, **settings), expected, rtol=PIXEL_RTOL)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("fill_mode", FILL_MODES)
def test_affine_transform_by_halves_and_beyond_is_kerass(keras: ModuleType, fill_mode: str, interpolation: str) -> None:
    """Whole and half pixels, where rounding and the edges decide, up to three widths away."""
    shifts = np.arange(-15, 15.5, 0.5, dtype="float32")
    one, zero = np.ones_like(shifts), np.zeros_like(shifts)
    transform = np.stack([one, zero, shifts, zero, one, shifts[::-1], zero, zero], axis=1)
    images = np.random.default_rng(1).random((len(shifts), 4, 5, 1), dtype="float32")
    settings = {"interpolation": interpolation, "fill_mode": fill_mode}
    expected = keras.ops.image.affine_transform(images, transform, **settings)
    assert_close(ops.image.affine_transform(images, transform, **settings), expected, rtol=VALUE_RTOL)


AUGMENTATION: list[tuple[str, tuple[Any, ...]]] = [
    ("RandomTranslation", (0.3, 0.2)),
    ("RandomTranslation", ((-0.5, 0.1), (0.25, 0.25))),
    ("RandomTranslation", (1.0, -0.7)),
    ("RandomRotation", (0.1,)),
    ("RandomRotation", ((-0.5, 0.25),)),
    ("RandomRotation", (1.0,)),
    ("RandomZoom", (0.3,)),
    ("RandomZoom", (0.3, 0.5)),
    ("RandomZoom", ((-0.9, 1.0), (0.2, 0.1))),
]


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("fill_mode", FILL_MODES)
@pytest.mark.parametrize(("name", "factors"), AUGMENTATION, ids=str)
def test_augmentation_does_the_same_with_the_same_draws(
    keras: ModuleType,
    name: str,
    factors: tuple[Any, ...],
    fill_mode: str,
    interpolation: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = np.random.default_rng(4).random((12, 2), dtype="float32")
    columns = iter(range(2))

    def their_uniform(shape: Any, minval: float, maxval: float, seed: Any = None) -> Any:
        u = drawn[:, next(columns)].reshape(tuple(map(int, shape)))
        return keras.ops.convert_to_tensor(np.float32(minval) + np.float32(maxval - minval) * u)

    settings = {"fill_mode": fill_mode, "interpolation": interpolation, "fill_value": 0.25}
    images = np.random.default_rng(1).random((12, 10, 7, 2), dtype="float32")
    monkeypatch.setattr(importlib.import_module("keras.src.backend").random, "uniform", their_uniform)
    expected = getattr(keras.layers, name)(*factors, **settings)(images, training=True)
    monkeypatch.setattr(random.Stream, "uniform", lambda self, shape: drawn[:, : shape[1]])
    assert_close(getattr(layers, name)(*factors, **settings)(images, training=True), expected, rtol=PIXEL_RTOL)


CERTAIN: list[tuple[str, tuple[Any, ...]]] = [
    ("RandomTranslation", ((0.1, 0.1), (-0.2, -0.2))),
    ("RandomRotation", ((0.1, 0.1),)),
    ("RandomZoom", ((0.3, 0.3), (-0.3, -0.3))),
]


@pytest.mark.parametrize(("name", "factors"), CERTAIN, ids=str)
@pytest.mark.parametrize("top", [1, 255])
def test_augmentation_without_a_choice_is_kerass(
    keras: ModuleType, name: str, factors: tuple[Any, ...], top: int
) -> None:
    images = top * np.random.default_rng(1).random((3, 28, 28, 1), dtype="float32")
    for call in ({}, {"training": True}, {"training": False}):
        own, theirs = (getattr(library.layers, name)(*factors)(images, **call) for library in (netchu, keras))
        assert_close(own, theirs, rtol=PIXEL_RTOL)


# --- training --------------------------------------------------------------------------------------------------------


def dense_net(library: Any, *middle: Any) -> Any:
    return library.Sequential(
        [library.Input((6,)), library.layers.Dense(5), *middle, library.layers.Dense(3, activation="softmax")]
    )


def with_frozen_part(library: Any) -> Any:
    part = library.Sequential([library.Input((6,)), library.layers.Dense(4), library.layers.BatchNormalization()])
    part.trainable = False
    return dense_net(library, library.layers.Dense(6), part)


NETS: dict[str, Any] = {
    "batch normalization in a frozen part": with_frozen_part,
    "batch normalization": lambda k: dense_net(k, k.layers.BatchNormalization(), k.layers.ReLU()),
    "batch normalization, fast": lambda k: dense_net(k, k.layers.BatchNormalization(momentum=0.5, scale=False)),
    "batch normalization, frozen": lambda k: dense_net(k, k.layers.BatchNormalization(trainable=False)),
    "batch normalization, bound": lambda k: dense_net(
        k,
        k.layers.BatchNormalization(
            beta_regularizer="l1", gamma_regularizer=k.regularizers.L2(0.1), gamma_constraint="non_neg"
        ),
    ),
    "layer normalization": lambda k: dense_net(k, k.layers.LayerNormalization(gamma_regularizer="l2")),
    "PReLU": lambda k: dense_net(k, k.layers.PReLU(alpha_constraint=k.constraints.MaxNorm(0.01))),
    "LeakyReLU": lambda k: dense_net(k, k.layers.LeakyReLU()),
    "ELU": lambda k: dense_net(k, k.layers.ELU(0.5)),
    "activity": lambda k: dense_net(k, k.layers.ActivityRegularization(0.01, 0.02)),
    "activity of a layer": lambda k: dense_net(k, k.layers.Dense(4, "tanh", activity_regularizer="l2")),
    "softmax as a layer": lambda k: k.Sequential([k.Input((6,)), k.layers.Dense(3), k.layers.Softmax()]),
    "images": lambda k: k.Sequential(
        [
            k.Input((6,)),
            k.layers.Reshape((3, 2, 1)),
            k.layers.RandomTranslation((0.1, 0.1), (0.2, 0.2), fill_mode="constant"),
            k.layers.BatchNormalization(),
            k.layers.PReLU(shared_axes=[1, 2]),
            k.layers.Flatten(),
            k.layers.Dense(3, activation="softmax"),
        ]
    ),
    "weights": lambda k: dense_net(
        k,
        k.layers.Dense(
            4,
            kernel_regularizer=k.regularizers.L1L2(0.01, 0.02),
            bias_regularizer="l2",
            kernel_constraint=k.constraints.UnitNorm(),
            bias_constraint=k.constraints.MinMaxNorm(0.2, 0.4, rate=0.5),
        ),
    ),
}


@pytest.mark.parametrize("net", NETS)
def test_three_training_steps_are_kerass(keras: ModuleType, net: str) -> None:
    x, y = normal(24, 6), np.random.default_rng(3).integers(0, 3, 24)
    own, theirs = NETS[net](netchu), NETS[net](keras)
    rng = np.random.default_rng(5)
    start = [rng.normal(0, 0.5, w.shape).astype("float32") ** 2 + 0.05 for w in theirs.get_weights()]
    results = []
    for model in (own, theirs):
        model.set_weights(start)
        model.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
        history = model.fit(x, y, batch_size=8, epochs=1, shuffle=False, verbose=0).history
        results.append((history["loss"], model.evaluate(x, y, batch_size=8, verbose=0), model.predict(x, verbose=0)))
    for ours, expected in zip(own.get_weights(), theirs.get_weights()):
        assert_close(ours, expected, atol=RUN_ATOL)
    for ours, expected in zip(*results):
        assert_close(np.asarray(ours), np.asarray(expected), atol=RUN_ATOL)
    assert any((a != b).any() for a, b in zip(start, own.get_weights()))


# --- regularizers and constraints ------------------------------------------------------------------------------------

REGULARIZERS: list[tuple[str, dict[str, Any]]] = [
    ("L1", {}),
    ("L1", {"l1": 0.3}),
    ("L2", {}),
    ("L2", {"l2": 0.3}),
    ("L1L2", {}),
    ("L1L2", {"l1": 0.1, "l2": 0.3}),
    ("OrthogonalRegularizer", {}),
    ("OrthogonalRegularizer", {"factor": 0.5, "mode": "columns"}),
]
CONSTRAINTS: list[tuple[str, dict[str, Any]]] = [
    ("MaxNorm", {}),
    ("MaxNorm", {"max_value": 0.5, "axis": 1}),
    ("MaxNorm", {"max_value": 0.5, "axis": [0, 1]}),
    ("NonNeg", {}),
    ("UnitNorm", {}),
    ("UnitNorm", {"axis": 1}),
    ("MinMaxNorm", {}),
    ("MinMaxNorm", {"min_value": 0.5, "max_value": 0.7, "rate": 0.3, "axis": 1}),
]


@pytest.mark.parametrize(("name", "kwargs"), REGULARIZERS, ids=str)
def test_regularizers_are_kerass(keras: ModuleType, name: str, kwargs: dict[str, Any]) -> None:
    import tensorflow as tf

    w = normal(5, 4)
    own, theirs = (getattr(module.regularizers, name)(**kwargs) for module in (netchu, keras))
    source, variable = Tensor(w), tf.Variable(w)
    with GradientTape() as tape, tf.GradientTape() as their_tape:
        tape.watch(source)
        penalty, expected = own(source), theirs(variable)
    assert_close(penalty, expected, rtol=VALUE_RTOL)
    slope = their_tape.gradient(expected, variable, unconnected_gradients="zero")
    assert_close(tape.gradient(penalty, source), slope, rtol=VALUE_RTOL)
    in_float32 = {"l1", "factor"}  # how Keras keeps them, and writes them down
    for key, value in theirs.get_config().items():
        given = own.get_config()[key]
        assert (np.float32(given) if key in in_float32 else given) == (
            np.float32(value) if key in in_float32 else value
        )


@pytest.mark.parametrize(("name", "kwargs"), CONSTRAINTS, ids=str)
def test_constraints_are_kerass(keras: ModuleType, name: str, kwargs: dict[str, Any]) -> None:
    w = normal(5, 4)
    own, theirs = (getattr(module.constraints, name)(**kwargs) for module in (netchu, keras))
    assert_close(own(w), theirs(w), rtol=VALUE_RTOL)
    assert own.get_config() == theirs.get_config()


@pytest.mark.parametrize("kind", ["regularizers", "constraints"])
def test_every_name_of_keras_is_known(keras: ModuleType, kind: str) -> None:
    module, theirs = {"regularizers": regularizers, "constraints": constraints}[kind], getattr(keras, kind)
    named = importlib.import_module(f"keras.src.{kind}").ALL_OBJECTS_DICT
    for name in set(named) - {"Regularizer", "regularizer", "Constraint", "constraint"}:
        assert type(module.get(name)).__name__ == type(theirs.get(name)).__name__
    for name in dir(theirs):
        if not name.startswith("_") and name not in ("get", "serialize", "deserialize"):
            assert hasattr(module, name), name
