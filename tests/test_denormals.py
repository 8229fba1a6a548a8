"""Slots hold no denormals, on which arithmetic is many times slower; keeping them out changes no weight.

Each step begins with `optimizers.away_from_denormals`.  XLA, on a CPU, takes a denormal for 0 in all it
computes, so under JAX the guard has less to do; the tests hold on both engines.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import SMALLEST_NORMAL, assert_no_denormals
from netchu import datasets, engines, optimizers, random
from netchu.datasets import scale_pixels
from netchu.layers import Dense, Input
from netchu.models import Sequential
from netchu.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, Optimizer, RMSprop
from netchu.tensor import Tensor, Variable

GUARDED: dict[str, Any] = {
    "RMSprop": RMSprop,
    "Adam": Adam,
    "SGD momentum": lambda: SGD(momentum=0.9),
}
WITH_SLOTS: dict[str, Any] = GUARDED | {
    "SGD nesterov": lambda: SGD(momentum=0.9, nesterov=True),
    "RMSprop centered": lambda: RMSprop(centered=True),
    "RMSprop momentum": lambda: RMSprop(momentum=0.9),
    "Adam amsgrad": lambda: Adam(amsgrad=True),
    "AdamW": AdamW,
    "Adagrad": Adagrad,
    "Adagrad from 0": lambda: Adagrad(initial_accumulator_value=0.0),
    "Adadelta": Adadelta,
    "Adamax": Adamax,
    "Nadam": Nadam,
    "Lion": Lion,
}
IDLE_STEPS = 5_000  # 0.9 ** 5000 = 1e-229 and 0.999 ** 5000 * 1e-36 is denormal: every slot has passed through


def fingerprint(model: Sequential) -> str:
    return hashlib.sha256(b"".join(w.tobytes() for w in model.get_weights())).hexdigest()


def trained(optimizer: Optimizer, x: np.ndarray, y: np.ndarray, units: int, batch_size: int) -> Sequential:
    random.set_seed(1)
    model = Sequential([Input((784,)), Dense(units, activation="relu"), Dense(10, activation="softmax")])
    model.compile(optimizer, "sparse_categorical_crossentropy")
    model.fit(x, y, epochs=1, batch_size=batch_size, verbose=0)
    return model


def slots_of(optimizer: Optimizer) -> list[np.ndarray]:
    return [v.numpy() for slots in optimizer.slots for v in slots.values()]


@pytest.mark.parametrize("name", GUARDED)
def test_an_epoch_of_the_sample_gives_the_same_weights_without_the_guard(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (x, y), _ = datasets.mnist.load_data(source="sample")
    data = {"x": scale_pixels(x).reshape(len(x), -1), "y": y, "units": 16, "batch_size": 8}  # 1001 steps: 0.9 ** 1000
    guarded, plain = GUARDED[name](), GUARDED[name]()
    with_guard = trained(guarded, **data)
    monkeypatch.setattr("netchu.optimizers.slots.away_from_denormals", lambda slot, **_: slot)
    without = trained(plain, **data)
    assert fingerprint(with_guard) == fingerprint(without)
    assert any(a.tobytes() != b.tobytes() for a, b in zip(slots_of(guarded), slots_of(plain))), "the guard did nothing"
    for slot in slots_of(guarded):
        assert_no_denormals(slot)


@pytest.mark.slow
@pytest.mark.parametrize("name", GUARDED)
def test_an_epoch_of_mnist_gives_the_same_weights_without_the_guard(
    name: str, mnist_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NETCHU_DATA_DIR", str(mnist_folder))
    (x, y), _ = datasets.mnist.load_data()
    assert len(x) == 60_000
    data = {"x": scale_pixels(x).reshape(len(x), -1), "y": y, "units": 512, "batch_size": 128}
    with_guard = trained(GUARDED[name](), **data)
    monkeypatch.setattr("netchu.optimizers.slots.away_from_denormals", lambda slot, **_: slot)
    assert fingerprint(with_guard) == fingerprint(trained(GUARDED[name](), **data))


def signed(slot: str) -> bool:
    return slot in ("momentum", "average", "moving_average")


def starting_slots(optimizer: Optimizer, w: Variable) -> None:
    """Slots as they look in training: from 1 down to 1e-36, either sign where that may be."""
    optimizer.build([w])
    sizes = np.logspace(0, -36, w.shape[0], dtype="float32")
    for name, slot in optimizer.slots[0].items():
        signs = np.where(np.arange(w.shape[0]) % 2, -1, 1) if signed(name) else 1
        slot.assign((sizes * signs).astype("float32"))


@pytest.mark.parametrize("name", WITH_SLOTS)
def test_after_5000_steps_without_gradient_no_slot_holds_denormals(engine: str, name: str) -> None:
    optimizer, w = WITH_SLOTS[name](), Variable(np.ones(64, dtype="float32"))
    starting_slots(optimizer, w)

    def step(g: Any) -> Any:
        optimizer.apply_gradients([(Tensor(g), w)])
        return w.array

    state = {"w": w} | {f"{i}": variable for i, variable in enumerate(optimizer.variables)}
    compiled = engines.current().trace(step, state)
    nothing = engines.current().asarray(np.zeros(64, dtype="float32"))
    for done in range(IDLE_STEPS):
        compiled(nothing)
        if done % 500 == 499:
            for slot_name, slot in optimizer.slots[0].items():
                assert_no_denormals(slot.numpy(), f"{slot_name} after {done + 1} steps")
    assert np.isfinite(w.numpy()).all()


def test_without_the_guard_there_would_be_denormals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netchu.optimizers.slots.away_from_denormals", lambda slot, **_: slot)
    optimizer, w = RMSprop(), Variable(np.ones(64, dtype="float32"))
    starting_slots(optimizer, w)
    for _ in range(200):
        optimizer.apply_gradients([(Tensor(np.zeros(64, dtype="float32")), w)])
    with pytest.raises(AssertionError, match="denormals of 64"):
        assert_no_denormals(optimizer.slots[0]["velocity"].numpy())


@pytest.mark.parametrize("name", WITH_SLOTS)
def test_slots_with_a_fifth_of_denormals_are_healed_in_one_step(engine: str, name: str) -> None:
    optimizer, w = WITH_SLOTS[name](), Variable(np.ones(100, dtype="float32"))
    optimizer.build([w])
    for slot_name, slot in optimizer.slots[0].items():
        values = np.full(100, 1e-3, dtype="float32")
        values[::5] = 1e-40
        if signed(slot_name):
            values[::10] = -1e-40
        assert np.sum((np.abs(values) > 0) & (np.abs(values) < SMALLEST_NORMAL)) == 20
        slot.assign(values)
        assert slot.numpy().tobytes() == values.tobytes()  # they are there before the step
    optimizer.apply_gradients([(Tensor(np.zeros(100, dtype="float32")), w)])
    for slot_name, slot in optimizer.slots[0].items():
        assert_no_denormals(slot.numpy(), slot_name)


def test_the_average_of_a_weight_that_became_0_is_0_and_not_denormal(engine: str) -> None:
    optimizer, w = SGD(learning_rate=1.0, use_ema=True, ema_momentum=0.5), Variable(np.ones(8, dtype="float32"))
    optimizer.apply_gradients([(Tensor(np.zeros(8, dtype="float32")), w)])
    optimizer.apply_gradients([(Tensor(np.ones(8, dtype="float32")), w)])
    average = optimizer.slots[0]["moving_average"]
    assert average.numpy().tolist() == [0.5] * 8
    for _ in range(150):
        optimizer.apply_gradients([(Tensor(np.zeros(8, dtype="float32")), w)])
        assert_no_denormals(average.numpy())
    assert not average.numpy().any()


@pytest.mark.parametrize("signed", [True, False])
def test_the_guard_leaves_numbers_that_matter_alone(engine: str, signed: bool) -> None:
    values = np.array([1.0, 1e-3, 1e-12, 1e-20], dtype="float32")
    here = engines.current()
    guarded = here.to_numpy(optimizers.away_from_denormals(here.asarray(values), signed=signed))
    assert guarded.tobytes() == values.tobytes()


def test_the_guard_keeps_a_nan_visible(engine: str) -> None:
    here = engines.current()
    for signed in (True, False):
        guarded = optimizers.away_from_denormals(here.asarray(np.float32([np.nan, np.inf])), signed=signed)
        assert np.isnan(here.to_numpy(guarded)[0])
        assert np.isinf(here.to_numpy(guarded)[1])
