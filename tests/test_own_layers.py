"""Layers of one's own, inside each other and inside models, and the weights of any layer: found, frozen, set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from netchu import GradientTape, Sequential, Tensor, Variable, ops, optimizers
from netchu.errors import ShapeError
from netchu.layers import Activation, Dense, Dropout, Input, Layer
from small_nets import clusters

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


def test_what_a_layer_adds_while_its_shape_is_found_out_is_no_loss() -> None:
    class Costly(Layer):
        def call(self, x: Tensor) -> Tensor:
            self.add_loss(ops.sum(x))
            return x * 2.0

    model = Sequential([Input((3,)), Costly()])
    assert model.losses == []
    model(np.ones((2, 3), dtype="float32"))
    assert [loss.item() for loss in model.losses] == [6.0]


def test_own_layer_and_its_configuration() -> None:
    assert Linear.from_config(Linear(7, name="seven").get_config()).get_config() == {"units": 7, "name": "seven"}


def test_own_layers_train_inside_a_sequential(engine: str) -> None:
    x, y = clusters()
    model = Sequential([Input((6,)), Linear(8), Activation("tanh"), Block()])
    model.compile(optimizers.Adam(0.02), "sparse_categorical_crossentropy", metrics=["accuracy"])
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


def test_losses_after_a_compiled_step_are_numbers(traced_engine: str) -> None:
    x, y = clusters()
    dense = Dense(3, activation="softmax", activity_regularizer="l2", kernel_regularizer="l2")
    model = Sequential([Input((x.shape[1],)), dense])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, verbose=0)
    assert len(model.losses) == 1  # of the kernel; what the traced call added never had a value
    model(x)
    assert all(float(loss) > 0 for loss in model.losses)
    assert len(model.losses) == 2
