"""A listener hears a step part by part, what it hears is the step that is made, and nobody pays when nobody listens."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import netchu
from helpers import assert_same_bits
from netchu import engines, ops, optimizers
from netchu.errors import UsageError
from netchu.layers import Dense, Input
from netchu.listening import STAGES, Listener, Stage, listener, listening
from netchu.tape import Contribution, GradientTape
from netchu.tensor import Tensor, Variable

X = np.random.default_rng(0).normal(size=(8, 4)).astype("float32")
Y = np.arange(8) % 3


class Notes(Listener):
    """Everything that is heard, in its order."""

    def __init__(self) -> None:
        self.tapes: list[GradientTape] = []
        self.parts: list[Contribution] = []
        self.gradients: list[tuple[Any, Any]] = []
        self.stages: list[Stage] = []

    def on_tape(self, tape: GradientTape) -> None:
        self.tapes.append(tape)

    def on_contribution(self, contribution: Contribution) -> None:
        self.parts.append(contribution)

    def on_gradients(self, sources: Any, gradients: Any) -> None:
        self.gradients.append((list(sources), list(gradients)))

    def on_stage(self, stage: Stage) -> None:
        self.stages.append(stage)

    @property
    def heard(self) -> int:
        return len(self.tapes) + len(self.parts) + len(self.gradients) + len(self.stages)


def network(optimizer: Any = "sgd", **settings: Any) -> netchu.Sequential:
    netchu.utils.set_random_seed(0)
    model = netchu.Sequential([Input((4,)), Dense(5, activation="relu"), Dense(3, activation="softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy", **settings)
    return model


def host(array: Any) -> np.ndarray:
    return engines.current().to_numpy(array)


def test_one_step_is_heard_from_the_tape_to_the_weights(engine: str) -> None:
    model, notes = network(), Notes()
    before = [w.numpy().copy() for w in model.weights]
    with listening(notes):
        loss = model.train_on_batch(X, Y)
    (tape,) = notes.tapes
    assert tape.records[-1].output.item() == pytest.approx(loss, rel=1e-6)
    assert {record.layer for record in tape.records} == {*model.layers, None}
    ((sources, gradients),) = notes.gradients
    assert sources == model.trainable_variables
    for weight, gradient in zip(sources, gradients):  # what the parts add up to
        parts = [host(part.array) for part in notes.parts if part.input is weight]
        assert_same_bits(sum(parts[1:], parts[0]), gradient.numpy())
    assert [stage.name for stage in notes.stages] == ["rule"] * 4
    for stage, weight, old, gradient in zip(notes.stages, model.weights, before, gradients):
        assert stage.variable is weight
        assert_same_bits(host(stage.before["gradient"]), gradient.numpy())
        assert_same_bits(host(stage.before["weight"]), old)
        assert_same_bits(host(stage.after["weight"]), weight.numpy())


def test_who_listens_changes_nothing(engine: str) -> None:
    """A step that is heard and a step run line by line make the same weights, bit for bit."""
    heard, plain = network("adam"), network("adam", run_eagerly=True)
    for _ in range(3):
        with listening(Notes()):
            figures = heard.train_on_batch(X, Y)
        assert figures == plain.train_on_batch(X, Y)
    for name, variable in heard.state().items():
        assert_same_bits(variable.numpy(), plain.state()[name].numpy())


def test_every_stage_is_heard_in_its_order(engine: str) -> None:
    optimizer = optimizers.AdamW(
        0.1, clipnorm=0.5, weight_decay=0.01, use_ema=True, ema_overwrite_frequency=2, gradient_accumulation_steps=2
    )
    model, notes = network(optimizer), Notes()
    kernel = model.layers[0].kernel
    kernel.constraint = netchu.constraints.MaxNorm(0.5)
    for _ in range(2):
        with listening(notes):
            model.train_on_batch(X, Y)
    names = [stage.name for stage in notes.stages if stage.variable is kernel]
    assert names == [*STAGES, *STAGES]
    for stage in notes.stages:
        assert all(array.shape == stage.variable.shape for array in (*stage.before.values(), *stage.after.values()))
    second = {stage.name: stage for stage in notes.stages[len(notes.stages) // 2 :] if stage.variable is kernel}
    assert np.linalg.norm(host(second["clipping"].after["gradient"])) <= 0.5 * (1 + 1e-6)
    assert_same_bits(host(second["clipping"].before["gradient"]), host(second["accumulation"].after["gradient"]))
    decayed = host(second["decay"].before["weight"]) * np.float32(1 - 0.1 * 0.01)
    np.testing.assert_allclose(host(second["decay"].after["weight"]), decayed, rtol=1e-6)
    assert_same_bits(host(second["rule"].before["weight"]), host(second["decay"].after["weight"]))
    assert {"gradient", "weight", "momentum", "velocity"} <= set(second["rule"].before)
    assert_same_bits(host(second["averages"].before["weight"]), host(second["rule"].after["weight"]))
    assert_same_bits(host(second["constraints"].after["weight"]), kernel.numpy())
    assert np.linalg.norm(kernel.numpy(), axis=0).max() <= 0.5 * (1 + 1e-6)


def test_what_was_heard_keeps_its_values(engine: str) -> None:
    """Later steps, traced ones that write into their Variables' memory too, change no array that a listener holds."""
    model, notes = network("rmsprop"), Notes()
    with listening(notes):
        model.train_on_batch(X, Y)
    arrays = [a for stage in notes.stages for a in (*stage.before.values(), *stage.after.values())]
    arrays += [array for record in notes.tapes[0].records for array in (*record.values, record.output.array)]
    copies = [np.array(host(a)) if hasattr(a, "shape") else a for a in arrays]
    for _ in range(3):
        model.train_on_batch(X, Y)
    model.fit(X, Y, epochs=2, verbose=0)
    for array, copy in zip(arrays, copies):
        assert_same_bits(np.asarray(array), np.asarray(copy))


def test_the_steps_of_fit_are_not_heard(engine: str) -> None:
    model, notes = network(), Notes()
    with listening(notes):
        model.fit(X, Y, epochs=2, batch_size=4, verbose=0)
        model.evaluate(X, Y, verbose=0)
        model.predict(X, verbose=0)
    assert notes.heard == 0
    eager = network(run_eagerly=True)
    with listening(notes):
        eager.fit(X, Y, epochs=1, verbose=0)
    assert notes.heard == 0


def test_a_loop_of_your_own_is_heard() -> None:
    w, notes = Variable([3.0]), Notes()
    optimizer = optimizers.SGD(0.5)
    with listening(notes):
        with GradientTape() as tape:
            loss = w * w
        optimizer.apply_gradients([(tape.gradient(loss, w), w)])
    assert (len(notes.tapes), len(notes.parts), len(notes.gradients), len(notes.stages)) == (1, 2, 1, 1)
    assert w.numpy().tolist() == [0.0]


def test_another_thread_is_not_heard() -> None:
    notes, model = Notes(), network()
    with listening(notes):
        thread = threading.Thread(target=lambda: model.train_on_batch(X, Y))
        thread.start()
        thread.join()
    assert notes.heard == 0


def test_listening_ends_with_its_block() -> None:
    outer, inner = Notes(), Notes()
    with listening(outer):
        with listening(inner):
            assert listener() is inner
        assert listener() is outer
        with pytest.raises(RuntimeError, match="in the middle"), listening(inner):
            raise RuntimeError("in the middle")
        assert listener() is outer
    assert listener() is None


def test_only_a_listener_can_listen() -> None:
    with (
        pytest.raises(UsageError, match=r"listening: expected an object of a class derived from Listener\. Got: 3"),
        (
            listening(3)  # type: ignore[arg-type]
        ),
    ):
        pass


# --- a tape around a step --------------------------------------------------------------------------------------------


def test_a_tape_around_a_step_records_it(engine: str) -> None:
    model, plain = network(), network()
    with GradientTape() as tape:
        loss = model.train_on_batch(X, Y)
    assert loss == pytest.approx(plain.train_on_batch(X, Y), rel=1e-6)
    assert [record.operation for record in tape.records if record.layer is model.layers[0]] == ["matmul", "add", "relu"]
    losses = [record.output for record in tape.records if record.operation == "sparse_crossentropy"]
    gradient = tape.gradient(ops.mean(losses[0]), model.layers[1].bias)  # outside: the mean is not recorded
    assert gradient is None
    assert tape.gradient(losses[0], model.layers[1].bias).shape == (3,)


class Scaled(netchu.Layer):
    """A layer whose output shape netchu finds out by a call on zeros."""

    def build(self, input_shape: Any) -> None:
        self.factor = self.add_weight((input_shape[-1],), "ones", name="factor")

    def call(self, x: Any) -> Any:
        return x * self.factor


def test_looking_for_a_shape_leaves_nothing_on_a_tape() -> None:
    model = netchu.Sequential([Input((4,)), Scaled(), Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    notes = Notes()
    with listening(notes), GradientTape() as tape:
        model.train_on_batch(X, Y)
    assert [record.values[0].shape for record in tape.records if isinstance(record.layer, Scaled)] == [(8, 4)]
    assert len(notes.tapes) == 2  # the step's, and the one around it


def test_a_tape_around_fit_holds_nothing_of_its_steps(engine: str) -> None:
    model, w = network(), Variable([2.0])
    with GradientTape() as tape:
        y = w * w
        model.fit(X, Y, epochs=2, verbose=0)
        model.predict(X, verbose=0)
        z = y * 3.0
    assert [record.operation for record in tape.records] == ["multiply", "multiply"]
    assert tape.gradient(z, w).numpy().tolist() == [12.0]


def test_nothing_is_kept_when_nobody_listens() -> None:
    made = []

    class Counting(Stage):
        def __init__(self, *args: Any) -> None:
            made.append(args)

    model = network(run_eagerly=True)
    before = netchu.optimizers.base.Stage
    netchu.optimizers.base.Stage = Counting  # type: ignore[misc]
    try:
        model.train_on_batch(X, Y)
    finally:
        netchu.optimizers.base.Stage = before  # type: ignore[misc]
    assert made == []


def test_tensor_of_a_listener_is_a_tensor() -> None:
    notes, w = Notes(), Variable([1.0])
    with listening(notes), GradientTape() as tape:
        y = w * 2.0
    assert notes.tapes == [tape]
    assert isinstance(tape.gradient(y, w), Tensor)
