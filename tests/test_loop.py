"""The training loop goes through an epoch in chunks of steps: however it is cut, the bits are the same.

Also who is told of which batch, what a chunk that spoils the loss leaves, and what others may hold of the weights.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netchu
from cli_tools import process_settings
from conftest import chosen
from netchu import Sequential, engines, random
from netchu.callbacks import Callback, LambdaCallback, ModelCheckpoint, RunLog, TensorBoard
from netchu.callbacks.progress import ProgressLine
from netchu.errors import TrainingError
from netchu.layers import Dense, Dropout, Input
from netchu.optimizers import SGD, RMSprop
from netchu.training.loop import Pace
from small_nets import classifier, clusters, sha256_of

X, Y = clusters(100)  # with batches of 8: twelve, and one of 4
BATCHES = 13


def network(optimizer: Any = "rmsprop", **settings: Any) -> Sequential:
    random.set_seed(5)
    layers = [Input((6,)), Dense(8, activation="relu"), Dropout(0.3), Dense(3, activation="softmax")]
    model = Sequential(layers)
    model.compile(optimizer, "sparse_categorical_crossentropy", metrics=["accuracy"], **settings)
    return model


class ToldAt(Callback):
    """Wants to be told of every so many batches, and writes down of which it was."""

    def __init__(self, every: float) -> None:
        self.every, self.told = every, []
        self.first = 0

    def next_batch(self, batch: int) -> float:
        return math.inf if self.every == math.inf else batch + self.every - 1 - batch % self.every

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        self.first = batch

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.told.append((self.first, batch))


@pytest.fixture
def long_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks go as far as they may: time sets no bound."""
    monkeypatch.setattr(Pace, "took", lambda self, seconds, made: setattr(self, "steps", 10**6))


def outcome(*callbacks: Callback, model: Sequential | None = None, **settings: Any) -> tuple[str, dict[str, Any]]:
    model = model or network()
    history = model.fit(X, Y, callbacks=callbacks, **{"batch_size": 8, "epochs": 3, "verbose": 0, **settings})
    state = model.state()
    return sha256_of(state[name].numpy() for name in sorted(state)), history.history


# --- the same bits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"shuffle": "batch"},
        {"shuffle": False},
        {"steps_per_epoch": 9},
        {"sample_weight": np.linspace(0.5, 2, 100, dtype="float32"), "validation_split": 0.1},
    ],
    ids=str,
)
def test_however_an_epoch_is_cut_the_bits_are_the_same(engine: str, settings: Any, long_chunks: None) -> None:
    whole, *others = (outcome(ToldAt(every), **settings) for every in (math.inf, 1, 7))
    assert others == [whole, whole]
    assert outcome(LambdaCallback(on_batch_end=lambda batch, logs: None), **settings) == whole


def test_it_learns_what_steps_by_hand_learn(engine: str, long_chunks: None) -> None:
    fitted, by_hand = network(SGD(0.1)), network(SGD(0.1))
    fitted.fit(X, Y, batch_size=8, epochs=2, shuffle=False, verbose=0)
    for _, begin in itertools.product(range(2), range(0, 100, 8)):
        by_hand.train_on_batch(X[begin : begin + 8], Y[begin : begin + 8])
    for one, other in zip(fitted.get_weights(), by_hand.get_weights()):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)  # compiled apart: other last bits


def test_bytes_stay_bytes_on_the_device(traced_engine: engines.Engine) -> None:
    seen: list[str] = []

    class Looks(Sequential):
        def train_step(self, data: Any) -> Any:
            seen.append(data[0].dtype)
            return super().train_step(data)

    random.set_seed(5)
    model = Looks([Input((6,)), Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(np.abs(X).astype("uint8"), Y, batch_size=10, verbose=0)
    assert set(seen) == {"uint8"}


# --- who is told -----------------------------------------------------------------------------------------------------


def test_a_callback_says_how_far_it_need_not_be_called(long_chunks: None) -> None:
    told, each = ToldAt(5), ToldAt(math.inf)
    outcome(told, each, epochs=1)
    assert told.told == each.told == [(0, 0), (1, 4), (5, 9), (10, 11), (12, 12)]


def test_batch_hooks_without_a_word_are_called_for_each(long_chunks: None) -> None:
    class Derived(ToldAt):
        """Does not know of `next_batch`."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            super().on_train_batch_end(batch, logs)

    plain: list[int] = []
    older = LambdaCallback(on_batch_begin=lambda batch, logs: plain.append(batch))
    derived = Derived(math.inf)
    outcome(derived, epochs=1)
    outcome(older, epochs=1)
    assert derived.told == [(i, i) for i in range(BATCHES)]
    assert plain == list(range(BATCHES))


@pytest.mark.parametrize("every", [1, 4, 100])
def test_netchus_own_callbacks_are_told_in_time(every: int, tmp_path: Path, long_chunks: None) -> None:
    def written(*others: Callback) -> Any:
        folder = tmp_path / str(len(others))
        saver = ModelCheckpoint(folder / "{epoch}-{batch}.safetensors", save_freq=every)
        board = TensorBoard(folder / "board")
        outcome(RunLog(folder, batch_freq=every), saver, board, *others, epochs=2)
        lines = map(json.loads, (folder / "metrics.jsonl").read_text("utf-8").splitlines())
        told = [{key: value for key, value in line.items() if key != "time"} for line in lines]
        return told, sorted(path.name for path in folder.glob("*.safetensors")), board.get_state()["batch"]

    assert written() == written(ToldAt(1))


def test_the_progress_line_is_told_of_what_it_prints(capsys: pytest.CaptureFixture[str], long_chunks: None) -> None:
    outcome(epochs=1, verbose="steps:5")
    assert [line.partition(":")[0] for line in capsys.readouterr().out.splitlines()] == [
        "Epoch 0", "loss at batch 0", "loss at batch 5", "loss at batch 10",
    ]  # fmt: skip
    assert ProgressLine(1).next_batch(7) == math.inf


# --- how far at once -------------------------------------------------------------------------------------------------


def test_chunks_grow_to_a_quarter_of_a_second() -> None:
    pace, lengths = Pace(), []
    for seconds_a_step in (0.5, 0.002, 0.002, 0.002, 0.01, 3.0, 0.002):  # compiled in the first; a busy machine later
        lengths.append(pace.steps)
        pace.took(seconds_a_step * pace.steps, pace.steps)
    assert lengths == [1, 1, 8, 64, 125, 25, 1]


def test_an_iterable_is_asked_for_a_batch_when_its_turn_comes(engine: str, long_chunks: None) -> None:
    model = network()
    ahead: list[int] = []

    def batches() -> Iterator[Any]:
        for i, begin in enumerate(range(0, 100, 8)):
            ahead.append(i - int(model.optimizer.iterations))
            yield X[begin : begin + 8], Y[begin : begin + 8]

    model.fit(batches(), verbose=0)
    assert ahead == [0] * BATCHES


# --- a loss that is not finite ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["arrays", "iterable"])
@pytest.mark.parametrize("bad", [0, 4, 11, 12])
def test_the_step_that_spoilt_the_loss_is_found(engine: str, form: str, bad: int, long_chunks: None) -> None:
    targets = np.eye(3, dtype="float32")[Y]
    targets[8 * bad] = 1e30  # its square overflows

    def trained(batches: int) -> Sequential:
        random.set_seed(5)
        model = Sequential([Input((6,)), Dense(3)])
        model.compile(RMSprop(0.01), "mean_squared_error")
        pairs = [(X[i : i + 8], targets[i : i + 8]) for i in range(0, 100, 8)][:batches]
        data = (X[: 8 * batches], targets[: 8 * batches]) if form == "arrays" else (pairs,)
        spoils = pytest.raises(TrainingError, match=f"Epoch 1, step {bad}: .*loss=inf")
        with spoils if batches > bad else nullcontext():
            if batches:
                model.fit(*data, batch_size=8, shuffle=False, verbose=0)
        return model

    assert sha256_of(trained(BATCHES).get_weights()) == sha256_of(trained(bad).get_weights())


# --- what others hold of the weights ---------------------------------------------------------------------------------


def test_what_was_taken_from_a_model_keeps_its_values(engine: str, long_chunks: None) -> None:
    model = network()
    model.fit(X, Y, batch_size=8, verbose=0)
    held: list[tuple[Any, np.ndarray]] = []

    def hold(*_: Any) -> None:
        for variable in model.state().values():
            for view in (variable.numpy(), variable.array):
                held.append((view, np.array(view)))
        model.predict(X, verbose=0)

    hold()
    model.fit(X, Y, batch_size=8, verbose=0)
    for hook in ("on_epoch_end", "on_train_batch_end"):
        model.fit(X, Y, batch_size=8, epochs=2, verbose=0, callbacks=[LambdaCallback(**{hook: hold})])
    assert all(np.asarray(view).tobytes() == values.tobytes() for view, values in held)


# --- what is compiled ------------------------------------------------------------------------------------------------


class Rates(Callback):
    """A new learning rate before each epoch."""

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.model.optimizer.learning_rate = 0.01 / (epoch + 1)


def test_a_short_batch_compiles_once_more_and_nothing_else_does(long_chunks: None) -> None:
    chosen("jax")
    from jax import monitoring

    compiled: list[str] = []
    monitoring.register_event_duration_secs_listener(lambda event, seconds, **_: compiled.append(event))
    model = network()
    model.fit(X, Y, batch_size=8, epochs=1, verbose=0)
    assert "/jax/core/compile/backend_compile_duration" in compiled
    compiled.clear()
    model.fit(X, Y, batch_size=8, epochs=4, verbose=0, callbacks=[Rates(), ToldAt(7)])
    assert "/jax/core/compile/backend_compile_duration" not in compiled


LEARNS_WITH_JAX = """
import sys, numpy as np, netchu
netchu.set_engine("jax")
model = netchu.Sequential([netchu.layers.Input((300,)), netchu.layers.Dense(170)])
optimizers = netchu.optimizers
model.compile(eval(sys.argv[1]), "mse")
model.fit(np.ones((64, 300), "float32"), np.zeros((64, 170), "float32"), batch_size=8, verbose=0)
"""


@pytest.mark.parametrize("optimizer", ["SGD()", "RMSprop()", "Adam()", "Adam(use_ema=True)", "Adamax()", "Adagrad()"])
def test_jax_copies_neither_weights_nor_slots_in_a_step(optimizer: str, tmp_path: Path) -> None:
    """What XLA made of the loop: in its body nothing of the kernel's shape is copied."""
    chosen("jax")
    dump = {"XLA_FLAGS": f"--xla_dump_to={tmp_path} --xla_dump_hlo_as_text", "NETCHU_COMPILATION_CACHE": "0"}
    command = [sys.executable, "-c", LEARNS_WITH_JAX, f"optimizers.{optimizer}"]
    subprocess.run(command, **process_settings(tmp_path, dump), check=True, timeout=60)
    (program,) = (path.read_text() for path in tmp_path.glob("*jit_loop*after_optimizations.txt"))
    (body,) = {name for name in re.findall(r"body=%?([\w.\-]+)", program) if f"%{name} (" in program}
    lines = program[program.index(f"%{body} (") :].partition("\n}")[0].splitlines()
    of_the_kernel = [line for line in lines if "= f32[300,170]" in line]
    assert any("fusion(" in line for line in of_the_kernel)
    assert not [line for line in of_the_kernel if " copy(" in line]


def test_a_stop_asked_for_before_the_epoch_ends_it_after_one_batch() -> None:
    x, y = clusters(n=800)
    model = classifier()

    def stop(epoch: int, logs: Any) -> None:
        model.stop_training = epoch == 1  # by then the chunks are long

    model.fit(x, y, batch_size=1, epochs=3, verbose=0, callbacks=[LambdaCallback(on_epoch_begin=stop)])
    assert model.optimizer is not None
    assert int(model.optimizer.iterations) == 801


def test_a_step_is_taken_back_though_the_generator_writes_into_one_buffer() -> None:
    x, y = clusters(n=8)

    def batches() -> Iterator[Any]:
        buffer = np.empty_like(x)
        for number in range(60):
            buffer[...] = 3e38 if number == 50 else x
            yield buffer, y

    model = classifier()
    with pytest.raises(TrainingError, match="Epoch 1, step 50"):
        model.fit(batches(), verbose=0)
    assert model.optimizer is not None
    assert int(model.optimizer.iterations) == 50


def test_steps_that_cannot_be_made_again_are_taken_back_together() -> None:
    x, y = clusters(n=400)
    model, spoilt = classifier(loss="mean_squared_error", metrics=None, run_eagerly=True), []

    def loss(y_true: Any, y_pred: Any) -> Any:
        spoilt.append(len(spoilt))
        return netchu.ops.mean((y_true - y_pred) ** 2, axis=-1) * (np.inf if len(spoilt) == 20 else 1.0)

    model.compile("sgd", loss, run_eagerly=True)
    with pytest.raises(TrainingError, match="not when the steps were made again"):
        model.fit(x, np.eye(3, dtype="float32")[y], batch_size=4, verbose=0)
    assert model.optimizer is not None
    assert int(model.optimizer.iterations) == 19  # the step whose first making was spoilt does not count


def test_an_exception_leaves_no_nan_behind() -> None:
    def batches() -> Iterator[Any]:
        for number in range(60):
            if number == 25:
                raise OSError("the disk is gone")
            yield np.full((8, 2), 3e38 if number == 20 else 0.1, "float32"), np.zeros((8, 1), "float32")

    model = Sequential([Input((2,)), Dense(1, kernel_initializer="ones")])
    model.compile("sgd", "mse")
    with pytest.raises(OSError, match="the disk is gone"):
        model.fit(batches(), verbose=0)
    assert all(np.isfinite(w).all() for w in model.get_weights())


def test_a_hook_that_comes_from_a_second_base_is_called_for_each_batch() -> None:
    class Watch(netchu.callbacks.Callback):
        """Counts."""

        seen = 0

        def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
            self.seen += 1

    class Both(ProgressLine, Watch):
        """A line that counts."""

    both = Both(0)
    x, y = clusters(n=400)
    classifier().fit(x, y, batch_size=4, verbose=0, callbacks=[both])
    assert both.seen == 100
