"""BatchNormalization and LayerNormalization: worked by hand, the averages and when they move, and errors."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from helpers import STEP_ATOL, assert_close
from netchu import GradientTape, Sequential, Tensor, ops
from netchu.errors import ShapeError, UsageError
from netchu.layers import BatchNormalization, Dense, Input, Layer, LayerNormalization
from small_nets import clusters

X = np.array([[1.0, 10.0], [3.0, 30.0], [5.0, 50.0], [7.0, 70.0]], "float32")
MEAN, VARIANCE = np.array([4.0, 40.0]), np.array([5.0, 500.0])  # 9 + 1 + 1 + 9, divided by 4


def test_batch_normalization_by_hand(engine: str) -> None:
    layer = BatchNormalization(momentum=0.9, epsilon=0.0)
    layer.ensure_built((None, 2))
    layer.set_weights([np.array([1.0, 2.0]), np.array([0.0, -1.0]), np.array([0.5, 0.5]), np.array([4.0, 100.0])])
    y = layer(X, training=True)
    assert_close(y, [1, 2] * (X - MEAN) / np.sqrt(VARIANCE) + [0, -1], atol=STEP_ATOL)
    _, _, mean, variance = layer.get_weights()
    assert_close(mean, [0.45 + 0.4, 0.45 + 4.0], atol=STEP_ATOL)
    assert_close(variance, [3.6 + 0.5, 90.0 + 50.0], rtol=STEP_ATOL)
    in_use = layer(X)
    assert_close(in_use, [1, 2] * (X - mean) / np.sqrt(variance) + [0, -1], rtol=STEP_ATOL)


def test_layer_normalization_by_hand(engine: str) -> None:
    layer = LayerNormalization(epsilon=0.0)
    for training in (False, True):
        assert_close(layer(X.T, training=training), ((X - MEAN) / np.sqrt(VARIANCE)).T, atol=STEP_ATOL)


def test_averages_come_to_the_mean_and_variance_of_the_data(engine: str) -> None:
    x = np.random.default_rng(0).normal(3, 2, (64, 5)).astype("float32")
    layer = BatchNormalization(momentum=0.5)
    for _ in range(40):
        layer(x, training=True)
    assert_close(layer.moving_mean, x.mean(axis=0), rtol=STEP_ATOL)
    assert_close(layer.moving_variance, x.var(axis=0), rtol=STEP_ATOL)
    assert_close(layer(x), layer(x, training=True), atol=5 * STEP_ATOL)  # x / stddev is about 5


def test_only_training_moves_the_averages(engine: str) -> None:
    layer = BatchNormalization()
    layer(X)
    assert [w.numpy().tolist() for w in layer.non_trainable_weights] == [[0, 0], [1, 1]]
    assert layer.compute_output_shape((None, 2)) == (None, 2)
    layer.trainable = False
    assert_close(layer(X, training=True), layer(X))
    assert [w.numpy().tolist() for w in layer.weights[2:]] == [[0, 0], [1, 1]]
    layer.trainable = True
    layer(X, training=True)
    assert_close(layer.moving_mean, 0.01 * MEAN, rtol=STEP_ATOL)


def test_averages_stay_in_a_model_that_is_frozen(engine: str) -> None:
    norm = BatchNormalization()
    inner = Sequential([Input((6,)), Dense(4), norm])
    model = Sequential([Input((6,)), inner, Dense(3, activation="softmax")])
    for trainable in (False, True):
        inner.trainable = trainable
        model.compile("sgd", "sparse_categorical_crossentropy")
        model.train_on_batch(*clusters())
        assert (norm.moving_mean.numpy() != 0).any() == trainable


def test_gradient_flows_through_mean_and_variance_and_not_to_the_averages() -> None:
    """A sum of outputs does not change when all x move together, or away from their mean by a common factor."""
    layer, x = BatchNormalization(epsilon=0.0, dtype="float64"), Tensor(X.astype("float64"))
    weights = Tensor(np.array([[1.0, 2.0], [0.0, 1.0], [3.0, -1.0], [1.0, 1.0]]))
    with GradientTape() as tape:
        tape.watch(x)
        loss = ops.sum(layer(x, training=True) * weights)
    slope, *others = tape.gradient(loss, [x, *layer.weights])
    assert_close(np.sum(slope.numpy(), axis=0), np.zeros(2), atol=1e-12)
    assert_close(np.sum(slope.numpy() * (X - MEAN), axis=0), np.zeros(2), atol=1e-12)
    assert [other is None for other in others] == [False, False, True, True]


def test_averages_are_carried_by_a_compiled_fit(engine: str) -> None:
    x, y = clusters()
    layer = BatchNormalization(momentum=0.9)
    model = Sequential([Input((6,)), layer, Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=20, epochs=2, shuffle=False, verbose=0)
    model.evaluate(x, y, verbose=0)
    mean, variance = np.zeros(6), np.ones(6)
    for batch in 2 * [x[:20], x[20:40], x[40:]]:
        mean = 0.9 * mean + 0.1 * batch.mean(axis=0)
        variance = 0.9 * variance + 0.1 * batch.var(axis=0)
    assert_close(layer.moving_mean, mean, atol=STEP_ATOL)
    assert_close(layer.moving_variance, variance, atol=STEP_ATOL)


def test_weights_are_in_kerass_order() -> None:
    model = Sequential([Input((4,)), BatchNormalization()])
    assert [w.name for w in model.weights] == ["gamma", "beta", "moving_mean", "moving_variance"]
    assert [w.name for w in model.trainable_weights] == ["gamma", "beta"]


REFUSED: list[tuple[type[Layer], dict[str, Any], str]] = [
    (BatchNormalization, {"renorm": True}, "BatchNormalization: expected renorm=False"),
    (BatchNormalization, {"synchronized": True}, "BatchNormalization: expected synchronized=False"),
    (BatchNormalization, {"momentum": 1.5}, "BatchNormalization: expected momentum from 0 to 1. Got: momentum=1.5"),
    (BatchNormalization, {"epsilon": -1}, "BatchNormalization: expected epsilon >= 0. Got: epsilon=-1"),
    (BatchNormalization, {"gamma_constraint": "nonsense"}, "constraint identifier: 'nonsense'. Known: max_norm"),
    (LayerNormalization, {"rms_scaling": True}, "LayerNormalization: expected rms_scaling=False"),
]


@pytest.mark.parametrize(("layer", "settings", "message"), REFUSED, ids=[str(list(s)) for _, s, _ in REFUSED])
def test_settings_that_are_refused(layer: type[Layer], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        layer(**settings)


@pytest.mark.parametrize("axis", [0, 2, -2, -3])
def test_axis_must_be_one_of_a_sample(axis: int) -> None:
    for layer in (BatchNormalization(axis), LayerNormalization(axis)):
        with pytest.raises(ShapeError, match=rf"an axis of the input other than the batch.*axis=\[{axis}\]"):
            layer(X)


def test_an_input_of_another_width_is_refused() -> None:
    for layer in (BatchNormalization(name="norm"), LayerNormalization(name="norm")):
        layer(X)
        with pytest.raises(ShapeError, match=r"layer 'norm'.*lengths \(2,\) along the axes \[1\].*\(None, 3\)"):
            layer(np.ones((4, 3), "float32"))
