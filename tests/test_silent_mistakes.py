"""Programs that would give wrong numbers without a word if netchu let them: each gives the right ones or a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netchu import (
    GradientTape,
    Sequential,
    Tensor,
    Variable,
    activations,
    callbacks,
    engines,
    losses,
    metrics,
    ops,
    optimizers,
)
from netchu.errors import EngineError, TapeError, TrainingError, UsageError
from netchu.layers import Dense, Input, Layer
from netchu.models import load_model
from netchu.tape import operation
from small_nets import classifier, clusters

X, Y = clusters()
TARGETS = np.linspace(-1, 1, len(X)).astype("float32")


def network(outputs: int, activation: Any = None) -> Sequential:
    rng = np.random.default_rng(4)
    model = Sequential([Input((X.shape[1],)), Dense(5, "relu"), Dense(outputs, activation)])
    model.set_weights([rng.normal(0, 0.3, w.shape).astype("float32") for w in model.weights])
    return model


def squared(y_true: Any, y_pred: Any) -> Tensor:
    return ops.mean(ops.square(y_true - y_pred), axis=-1)


# --- losses ----------------------------------------------------------------------------------------------------------


def test_loss_function_sees_targets_of_the_rank_of_predictions(engine: str) -> None:
    named, own = network(1), network(1)
    named.compile("sgd", "mse")
    own.compile("sgd", squared)
    assert own.evaluate(X, TARGETS, verbose=0) == named.evaluate(X, TARGETS, verbose=0)


def test_loss_function_sees_bytes_as_numbers_that_do_not_wrap(engine: str) -> None:
    def hinge(y_true: Any, y_pred: Any) -> Tensor:
        return ops.mean(ops.maximum(1 - (2 * y_true - 1) * y_pred, 0.0), axis=-1)

    labels = (TARGETS > 0).astype("uint8").reshape(-1, 1)
    model = network(1)
    model.compile("sgd", hinge)
    scores = model.predict(X, verbose=0)
    expected = np.maximum(1 - (2 * labels.astype("float32") - 1) * scores, 0).mean()
    assert model.evaluate(X, labels, verbose=0) == pytest.approx(expected, rel=1e-5)


def test_logits_count_only_for_the_loss_that_they_belong_to(engine: str) -> None:
    target, z = np.array([[1.0, 0.0]], "float32"), Tensor([[2.0, -1.0]])
    for made, loss in ((ops.softmax(z), losses.binary_crossentropy), (ops.sigmoid(z), losses.categorical_crossentropy)):
        bare = Tensor(made.numpy())
        assert loss(target, made).numpy() == pytest.approx(loss(target, bare).numpy(), rel=1e-6)


def test_from_logits_after_a_softmax_warns_and_uses_its_logits() -> None:
    z = Tensor([[2.0, -1.0, 0.5]])
    with pytest.warns(UserWarning, match="from_logits=True, but the output was made by softmax"):
        loss = losses.sparse_categorical_crossentropy([1], ops.softmax(z), from_logits=True)
    assert loss.numpy() == losses.sparse_categorical_crossentropy([1], z, from_logits=True).numpy()


def test_from_logits_after_another_activation_takes_what_it_is_given() -> None:
    y = ops.sigmoid(Tensor([[2.0, -1.0, 0.5]]))
    loss = losses.sparse_categorical_crossentropy([1], y, from_logits=True)
    assert loss.numpy() == losses.sparse_categorical_crossentropy([1], Tensor(y.numpy()), from_logits=True).numpy()


def test_masked_logits_give_no_nan() -> None:
    loss = losses.sparse_categorical_crossentropy([0], Tensor([[1.0, -np.inf]]), from_logits=True)
    assert loss.numpy() == 0


# --- steps that were compiled for something else ---------------------------------------------------------------------


def test_predict_follows_pop_and_add(engine: str) -> None:
    model = network(3)
    assert model.predict(X, verbose=0).shape == (len(X), 3)
    model.pop()
    assert model.predict(X, verbose=0).shape == (len(X), 5)
    model.add(Dense(2))
    assert model.predict(X, verbose=0).shape == (len(X), 2)


def test_a_model_survives_a_visit_to_another_engine(traced_engine: engines.Engine) -> None:
    engines.set_engine("numpy")
    model = network(3)
    before = model.predict(X, verbose=0)
    engines.set_engine(traced_engine.name)
    with pytest.raises(EngineError, match="a program"):
        model.predict(X, verbose=0)
    engines.set_engine("numpy")
    assert (model.predict(X, verbose=0) == before).all()


def test_freezing_a_layer_after_fit_asks_for_compile(engine: str) -> None:
    model = network(3, "softmax")
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, verbose=0)
    model.layers[0].trainable = False
    with pytest.raises(UsageError, match=r"Call compile\(\) again after changing `trainable`"):
        model.fit(X, Y, verbose=0)
    kernel = model.layers[0].kernel.numpy().copy()
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(X, Y, verbose=0)
    assert (model.layers[0].kernel.numpy() == kernel).all()


def test_nothing_to_train_is_said() -> None:
    model = network(3, "softmax")
    model.trainable = False
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    with pytest.warns(UserWarning, match="`trainable` is False everywhere"):
        loss = model.fit(X, Y, batch_size=len(X), verbose=0).history["loss"]
    assert loss == [pytest.approx(model.evaluate(X, Y, verbose=0), rel=1e-5)]
    assert all((old == new).all() for old, new in zip(before, model.get_weights(), strict=True))


def test_a_generator_that_is_used_up_ends_the_training() -> None:
    model = network(3, "softmax")
    model.compile("sgd", "sparse_categorical_crossentropy")
    batches: Iterator[Any] = ((X, Y) for _ in range(5))
    with pytest.warns(UserWarning, match="gave 2 of 3 batches in epoch 1"):
        history = model.fit(batches, epochs=4, steps_per_epoch=3, verbose=0)
    assert history.epoch == [0, 1]


def test_weights_spoilt_by_the_very_last_step_are_noticed(engine: str) -> None:
    model = network(3, "softmax")
    model.compile(optimizers.SGD(1e38), "sparse_categorical_crossentropy")
    with pytest.raises(TrainingError, match="finite weights"):
        model.fit(X * 1000, Y, batch_size=len(X), verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())


# --- memory ----------------------------------------------------------------------------------------------------------


def test_tensors_do_not_share_the_callers_memory() -> None:
    values = np.zeros(3, "float32")
    tensor, variable = Tensor(values), Variable(values)
    assigned = Variable(np.ones(3, "float32")).assign(values)
    values += 1
    for made in (tensor, variable, assigned):
        assert made.numpy().tolist() == [0, 0, 0]


def test_what_numpy_gives_cannot_be_written_to(engine: str) -> None:
    with pytest.raises(ValueError, match="read-only"):
        Variable([1.0]).numpy()[:] = 9


# --- files -----------------------------------------------------------------------------------------------------------


def relu(x: Any) -> Tensor:
    return ops.maximum(x, 0.1 * x)


class SGD(optimizers.SGD):
    """A user's optimizer under a name of netchu's."""


def own_dense() -> Layer:
    return type("Dense", (Layer,), {"call": lambda self, x: ops.tanh(x)})()


@pytest.mark.parametrize("layer", [Dense(5, relu), own_dense()], ids=["function", "class"])
def test_a_users_code_is_not_saved_under_a_name_of_netchus(layer: Layer, tmp_path: Path) -> None:
    model = Sequential([Input((4,)), layer])
    with pytest.raises(UsageError, match="save: expected"):
        model.save(tmp_path / "own.safetensors")
    assert not list(tmp_path.iterdir())


class Through(Layer):
    """A user's layer that keeps a function, which is no part of its configuration."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.function = relu

    def call(self, x: Tensor) -> Tensor:
        return self.function(x)


def test_a_users_layer_may_keep_a_function(tmp_path: Path) -> None:
    model = Sequential([Input((X.shape[1],)), Through(), Dense(3)])
    model.save(tmp_path / "own.safetensors")
    again = load_model(tmp_path / "own.safetensors", custom_objects={"Through": Through})
    assert (again.predict(X, verbose=0) == model.predict(X, verbose=0)).all()


def test_a_users_optimizer_is_left_out_of_the_file(tmp_path: Path) -> None:
    model = network(3, "softmax")
    model.compile(SGD(), "sparse_categorical_crossentropy")
    model.save(tmp_path / "own.safetensors")
    assert load_model(tmp_path / "own.safetensors").optimizer is None


def test_weighted_metrics_come_back(tmp_path: Path) -> None:
    model = network(3, "softmax")
    model.compile("sgd", "sparse_categorical_crossentropy", metrics=["acc"], weighted_metrics=["accuracy"])
    model.save(tmp_path / "own.safetensors")
    again = load_model(tmp_path / "own.safetensors")
    again.evaluate(X[:, : X.shape[1]], Y, verbose=0)
    assert again.metrics_names == ["loss", "acc", "accuracy"]


# --- the tape and its operations -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "sources"), [(3.0, "w"), ("loss", [3.0]), ("loss", {"w": 1})])
def test_gradient_takes_tensors_only(target: Any, sources: Any) -> None:
    w = Variable([1.0])
    with GradientTape() as tape:
        loss = ops.sum(w * w)
    with pytest.raises(TapeError, match="expected a Tensor as"):
        tape.gradient(loss if target == "loss" else target, w if sources == "w" else sources)


def test_a_users_operation_cannot_take_the_name_of_netchus() -> None:
    from netchu.engines import Array
    from netchu.tape import Result

    def add(x1: Array, x2: Array) -> Result:
        return x1 * 0 + 42, (None, None)

    with pytest.raises(TapeError, match="operation add: expected a name that netchu does not use"):
        operation(add)
    assert (Tensor([1.0]) + Tensor([1.0])).item() == 2


def test_fractions_are_no_indices() -> None:
    with pytest.raises(TypeError):
        [10, 20, 30][Tensor(1.9)]
    assert [10, 20, 30][Tensor(1)] == 20


def test_a_power_of_0_is_flat_at_0() -> None:
    x = Variable([0.0, 2.0])
    with GradientTape() as tape:
        y = ops.sum(x**0)
    assert tape.gradient(y, x).numpy().tolist() == [0, 0]


@pytest.mark.parametrize("rate", [-1.0, float("nan"), "fast"])
def test_a_learning_rate_is_checked_when_it_is_assigned(rate: Any) -> None:
    optimizer = optimizers.SGD(0.1)
    with pytest.raises(UsageError, match="a learning rate >= 0"):
        optimizer.learning_rate = rate
    assert optimizer.learning_rate.item() == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("make", "hint"),
    [(lambda: Dense(3, kernal_initializer="zeros"), "kernel_initializer"), (lambda: optimizers.Adam(lr=0.1), "Adam")],
)
def test_an_unknown_argument_is_named(make: Any, hint: str) -> None:
    with pytest.raises(UsageError, match=hint):
        make()


@pytest.mark.parametrize("engine", ["numpy", "jax"], indirect=True)
def test_what_is_set_on_a_layer_between_steps_takes_effect(engine: str) -> None:
    x, y = clusters()
    model = classifier()
    model.fit(x, y, epochs=1, verbose=0)
    before = model.predict(x, verbose=0)
    model.layers[0].activation = activations.get("tanh")
    after = model.predict(x, verbose=0)
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, model(x).numpy(), rtol=1e-5, atol=1e-6)
    model.fit(x, y, epochs=1, verbose=0)
    model.layers[0].activation = activations.get("relu")
    assert model.train_on_batch(x, y)[0] == pytest.approx(model.evaluate(x, y, verbose=0)[0], rel=0.2)


def test_what_no_step_depends_on_traces_nothing_anew() -> None:
    x, y = clusters()
    model, other = classifier(), classifier()
    model.train_on_batch(x, y)
    steps = dict(model._traced.functions)
    other.train_on_batch(x, y)
    other.layers[0].activation = activations.get("tanh")
    other.optimizer.beta = 0.5
    model.stop_training = True
    for note in ("an attribute of the model", "the same, set anew"):
        model.note = note
    model.layers[0].trainable = True  # as it was
    model.train_on_batch(x, y)
    assert model._traced.functions == steps


@pytest.mark.parametrize("engine", ["numpy", "jax"], indirect=True)
def test_settings_of_an_optimizer_take_effect(engine: str) -> None:
    x, y = clusters()
    model = classifier(optimizer=optimizers.SGD(0.1))
    model.fit(x, y, epochs=1, verbose=0)
    before = model.get_weights()
    assert model.optimizer is not None
    model.optimizer.clipnorm = 1e-6
    model.fit(x, y, epochs=1, verbose=0)
    assert max(abs(a - b).max() for a, b in zip(before, model.get_weights())) < 1e-5


@pytest.mark.parametrize("engine", ["numpy", "jax"], indirect=True)
def test_freezing_a_layer_in_a_callback_is_an_error(engine: str) -> None:
    x, y = clusters()
    model = classifier()

    def freeze(epoch: int, logs: Any) -> None:
        if epoch == 1:
            model.layers[0].trainable = False

    with pytest.raises(UsageError, match=r"Call compile\(\) again after changing `trainable`"):
        model.fit(x, y, epochs=3, verbose=0, callbacks=[callbacks.LambdaCallback(on_epoch_begin=freeze)])


@pytest.mark.parametrize("engine", ["numpy", "jax"], indirect=True)
def test_data_changed_where_it_lies_is_seen_in_the_next_epoch(engine: str) -> None:
    x, y = np.zeros((64, 4), dtype="float32"), np.zeros((64, 1), dtype="float32")
    model = Sequential([Input((4,)), Dense(1, kernel_initializer="ones")])
    model.compile(optimizers.SGD(0.0), "mse")

    def change(epoch: int, logs: Any) -> None:
        x[...] = epoch

    changing = callbacks.LambdaCallback(on_epoch_begin=change)
    history = model.fit(x, y, epochs=4, verbose=0, callbacks=[changing]).history
    assert history["loss"] == [0, 16, 64, 144]


def test_a_metric_made_of_metrics_begins_anew() -> None:
    class Both(metrics.Metric):
        """One inside."""

        def __init__(self) -> None:
            super().__init__("both")
            self.inner = metrics.Mean()

        @property
        def variables(self) -> list[Variable]:
            return self.inner.variables

        def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
            self.inner.update_state(y_true)

        def result(self) -> Tensor:
            return self.inner.result()

    model = Sequential([Input((2,)), Dense(1)])
    model.compile("sgd", "mse", metrics=[Both()])
    x = np.ones((8, 2), dtype="float32")
    means = [model.evaluate(x, np.full((8, 1), v, "float32"), verbose=0, return_dict=True)["both"] for v in (1, 0)]
    assert means == [1, 0]
