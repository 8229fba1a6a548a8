"""Real Keras on TensorFlow as the judge of the layers over images: outputs, gradients, configurations, training.

Run with `pytest -m judge` where Keras and TensorFlow are installed; without them every test here is an error.
"""

from __future__ import annotations

import importlib
import inspect
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import netchu
from helpers import EXACT, RUN_ATOL, STEP_ATOL, assert_close
from netchu import GradientTape, Tensor, Variable, layers, ops
from netchu.ops.windows import windows_along

pytestmark = pytest.mark.judge

GRADIENT_RTOL = 2e-6
"""A gradient for a kernel sums up to 250 float32 products in another order than oneDNN does: relative to the largest
element, as `helpers.ENGINE_RTOL` between two engines."""


@pytest.fixture(autouse=True)
def _quiet_keras() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"(keras|tensorflow|google)\b.*")
        yield


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


# A layer's name, its arguments, and the shape of one image.
CASES: list[tuple[str, dict[str, Any], tuple[int, ...]]] = [
    ("Conv2D", {"filters": 4, "kernel_size": 3}, (8, 7, 3)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "same", "activation": "relu"}, (8, 7, 3)),
    ("Conv2D", {"filters": 5, "kernel_size": (2, 4), "padding": "same", "use_bias": False}, (7, 8, 1)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "strides": 2}, (9, 8, 2)),
    ("Conv2D", {"filters": 4, "kernel_size": (3, 2), "strides": (2, 3), "padding": "same"}, (8, 7, 2)),
    ("Conv2D", {"filters": 4, "kernel_size": 1, "strides": 2, "padding": "same"}, (7, 6, 3)),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "dilation_rate": 2}, (8, 9, 2)),
    ("Conv2D", {"filters": 3, "kernel_size": (2, 3), "dilation_rate": (3, 2), "padding": "same"}, (7, 6, 2)),
    ("Conv2D", {"filters": 3, "kernel_size": 5, "padding": "same"}, (3, 2, 2)),
    ("DepthwiseConv2D", {"kernel_size": 3}, (7, 8, 3)),
    ("DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "padding": "same", "depth_multiplier": 2}, (8, 7, 3)),
    ("DepthwiseConv2D", {"kernel_size": (2, 3), "dilation_rate": 2, "activation": "tanh"}, (7, 8, 2)),
    ("DepthwiseConv2D", {"kernel_size": 3, "strides": 2, "dilation_rate": 2, "padding": "same"}, (9, 9, 2)),
    ("MaxPooling2D", {}, (6, 6, 3)),
    ("MaxPooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, (8, 7, 2)),
    ("MaxPooling2D", {"pool_size": (2, 3), "strides": (1, 2)}, (7, 8, 2)),
    ("MaxPooling2D", {"pool_size": 2, "strides": 3, "padding": "same"}, (8, 7, 2)),
    ("AveragePooling2D", {"pool_size": 2}, (7, 6, 3)),
    ("AveragePooling2D", {"pool_size": 3, "strides": 2, "padding": "same"}, (8, 7, 2)),
    ("AveragePooling2D", {"pool_size": (3, 2), "strides": 1, "padding": "same"}, (5, 4, 2)),
    ("GlobalAveragePooling2D", {}, (5, 6, 3)),
    ("GlobalAveragePooling2D", {"keepdims": True}, (5, 6, 3)),
    ("GlobalMaxPooling2D", {}, (5, 6, 3)),
    ("GlobalMaxPooling2D", {"keepdims": True}, (5, 6, 3)),
    ("ZeroPadding2D", {}, (3, 4, 2)),
    ("ZeroPadding2D", {"padding": (2, 1)}, (3, 4, 2)),
    ("ZeroPadding2D", {"padding": ((1, 0), (2, 3))}, (3, 4, 2)),
    ("Permute", {"dims": (3, 1, 2)}, (3, 4, 2)),
]
IDS = [f"{name}-{settings}".replace("'", "") for name, settings, _ in CASES]


def gradients_of_keras(keras: ModuleType, layer: Any, x: np.ndarray, v: np.ndarray) -> list[np.ndarray]:
    """The gradients of sum(layer(x) * v) for x and each weight."""
    tensorflow = importlib.import_module("tensorflow")
    x = tensorflow.Variable(x)
    with tensorflow.GradientTape() as tape:
        total = tensorflow.reduce_sum(layer(x) * v)
    return [np.asarray(g) for g in tape.gradient(total, [x, *(w.value for w in layer.trainable_weights)])]


def own_gradients(layer: layers.Layer, x: np.ndarray, v: np.ndarray) -> list[np.ndarray]:
    """The same of netchu's layer."""
    variable = Variable(x)
    with GradientTape() as tape:
        total = ops.sum(layer(variable) * v)
    return [g.numpy() for g in tape.gradient(total, [variable, *layer.trainable_weights])]


@pytest.mark.parametrize(("name", "settings", "image"), CASES, ids=IDS)
def test_outputs_and_gradients_are_kerass(
    keras: ModuleType, name: str, settings: dict[str, Any], image: tuple[int, ...]
) -> None:
    own, theirs = getattr(layers, name)(**settings), getattr(keras.layers, name)(**settings)
    x = normal(4, *image)
    expected = np.asarray(theirs(x))
    own(x)
    assert [w.shape for w in own.weights] == [tuple(w.shape) for w in theirs.weights]
    weights = [normal(*w.shape, seed=1) for w in own.weights]
    own.set_weights(weights), theirs.set_weights(weights)
    expected = np.asarray(theirs(x))
    assert_close(own(x).numpy(), expected, rtol=GRADIENT_RTOL)
    assert own.compute_output_shape((None, *image)) == theirs.compute_output_shape((None, *image))
    v = normal(*expected.shape, seed=2)
    for a, b in zip(own_gradients(own, x, v), gradients_of_keras(keras, theirs, x, v), strict=True):
        assert_close(a, b, rtol=GRADIENT_RTOL)


@pytest.mark.parametrize("settings", [(2,), (2, 1), (3, 1, "same"), (3, 2, "same")], ids=str)
def test_max_pool_settles_ties_as_tensorflow_does(keras: ModuleType, settings: Any) -> None:
    x = np.random.default_rng(0).integers(0, 2, (2, 7, 6, 3)).astype("float32")  # nearly every window has a tie
    v = normal(*ops.max_pool(x, *settings).shape)
    pool = dict(zip(("pool_size", "strides", "padding"), settings))
    own = own_gradients(layers.MaxPooling2D(**pool), x, v)[0]
    assert_close(own, gradients_of_keras(keras, keras.layers.MaxPooling2D(**pool), x, v)[0], atol=STEP_ATOL)


@pytest.mark.parametrize("window", [1, 2, 3, 5])
def test_windows_lie_where_tensorflow_puts_them(keras: ModuleType, window: int) -> None:
    ramp = np.arange(1, 10, dtype="float32")
    kernel = np.zeros((1, window, 1, 1), "float32")
    kernel[0, 0] = 1  # the output is the first element of each window, 0 in the border
    for length in range(1, 10):
        for stride, dilation in ((1, 1), (2, 1), (3, 1), (1, 2)):
            x = ramp[:length].reshape(1, 1, length, 1)
            theirs = keras.ops.conv(x, kernel, (1, stride), "same", dilation_rate=(1, dilation))
            count, (before, _) = windows_along(length, window, stride, dilation, "same")
            starts = [i * stride - before for i in range(count)]
            assert np.asarray(theirs).ravel().tolist() == [ramp[at] if 0 <= at < length else 0 for at in starts]


@pytest.mark.parametrize("name", sorted({name for name, _, _ in CASES}))
def test_arguments_are_kerass_in_its_order_with_its_defaults(keras: ModuleType, name: str) -> None:
    own = inspect.signature(getattr(layers, name)).parameters.values()
    theirs = list(inspect.signature(getattr(keras.layers, name)).parameters.values())
    positional = [(p.name, p.default) for p in own if p.kind is not p.VAR_KEYWORD]
    known = {p.name: p.default for p in theirs}
    assert positional == [(name, known[name]) for name, _ in positional]
    order = [p.name for p in theirs]
    assert [order.index(name) for name, _ in positional] == sorted(order.index(name) for name, _ in positional)


@pytest.mark.parametrize(("name", "settings", "image"), CASES, ids=IDS)
def test_keras_makes_the_same_layer_from_our_configuration(
    keras: ModuleType, name: str, settings: dict[str, Any], image: tuple[int, ...]
) -> None:
    own = getattr(layers, name)(**settings, name="same")
    theirs = getattr(keras.layers, name).from_config(own.get_config())
    x = normal(2, *image)
    own(x), theirs(x)
    theirs.set_weights(own.get_weights())
    assert_close(own(x).numpy(), np.asarray(theirs(x)), rtol=GRADIENT_RTOL)
    again = getattr(layers, name)(**settings).get_config()
    assert again == {**own.get_config(), "name": again["name"]}


def convolutional(module: Any) -> Any:
    """Two convolutions and poolings, as the tutorials write them."""
    return module.Sequential(
        [
            module.layers.Input((10, 10, 1)),
            module.layers.Conv2D(4, 3, activation="relu"),
            module.layers.MaxPooling2D(),
            module.layers.DepthwiseConv2D(3, padding="same", activation="relu"),
            module.layers.Conv2D(6, (2, 2), padding="same", strides=2, activation="relu"),
            module.layers.GlobalAveragePooling2D(),
            module.layers.Dense(3, activation="softmax"),
        ]
    )


def test_training_is_kerass(keras: ModuleType, engine: str) -> None:
    own, theirs = convolutional(netchu), convolutional(keras)
    theirs.set_weights(own.get_weights())
    x, y = normal(24, 10, 10, 1), np.arange(24) % 3
    losses = []
    for model in (own, theirs):
        model.compile("adam", "sparse_categorical_crossentropy")
        losses.append(model.fit(x, y, batch_size=8, epochs=3, shuffle=False, verbose=0).history["loss"])
    assert_close(losses[0], losses[1], atol=RUN_ATOL)
    for a, b in zip(own.get_weights(), theirs.get_weights(), strict=True):
        assert_close(a, b, atol=RUN_ATOL)


# A layer's name, its arguments, and the one that both complain of.
REFUSED: list[tuple[str, dict[str, Any], str]] = [
    ("Conv2D", {"filters": 0, "kernel_size": 3}, "filters"),
    ("Conv2D", {"filters": 4, "kernel_size": 0}, "kernel_size"),
    ("Conv2D", {"filters": 4, "kernel_size": (3, 3, 3)}, "kernel_size"),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "strides": 2, "dilation_rate": 2}, "strides"),
    ("Conv2D", {"filters": 4, "kernel_size": 3, "padding": "full"}, "padding"),
    ("DepthwiseConv2D", {"kernel_size": 3, "depth_multiplier": 0}, "depth_multiplier"),
    ("MaxPooling2D", {"pool_size": (2, 2, 2)}, "pool_size"),
    ("ZeroPadding2D", {"padding": (1, 2, 3)}, "padding"),
    ("Permute", {"dims": (0, 1)}, "dims"),
]


@pytest.mark.parametrize(("name", "settings", "argument"), REFUSED, ids=str)
def test_what_keras_refuses_is_refused(keras: ModuleType, name: str, settings: dict[str, Any], argument: str) -> None:
    for made_in in (keras.layers, layers):
        with pytest.raises(ValueError, match=argument):
            getattr(made_in, name)(**settings)


def test_pad_is_kerass(keras: ModuleType) -> None:
    x, width = normal(2, 3), ((1, 0), (0, 2))
    for value in (None, 2.5):
        theirs = np.asarray(keras.ops.pad(x, width, constant_values=value))
        assert_close(ops.pad(Tensor(x), width, constant_values=value).numpy(), theirs, atol=EXACT)
