"""The NumPy engine's programs: a step that runs in memory taken once gives the bits of the step run line by line."""

from __future__ import annotations

import copy
import gc
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import netchu
from netchu import Sequential, Variable, engines, layers, ops
from netchu.engines import xp
from netchu.engines.numpy.program import Program
from netchu.errors import EngineError, UsageError
from netchu.tensor import wrap
from netchu.training.step import Learner, is_netchus_own
from random_training import Training
from small_nets import classifier, clusters, sha256_of

pytestmark = pytest.mark.usefixtures("numpy_engine")


@pytest.fixture
def numpy_engine() -> None:
    """All of this is about one engine."""
    netchu.set_engine("numpy")


@pytest.fixture
def programs(monkeypatch: pytest.MonkeyPatch) -> list[Program]:
    """Every program that is made."""
    made: list[Program] = []
    make = Program.__init__

    def noted(self: Program, *arguments: Any) -> None:
        made.append(self)
        make(self, *arguments)

    monkeypatch.setattr(Program, "__init__", noted)
    return made


def compiled(step: Callable[..., Any], *variables: Variable) -> Callable[..., Any]:
    """A step of the engine's arrays on these Variables."""
    return engines.current().trace(step, {str(i): v for i, v in enumerate(variables)})


def both_ways(model: Callable[[bool], Sequential], *fit: Any, **settings: Any) -> list[str]:
    """The fingerprints of all state after training, run line by line and as a program."""
    found = []
    for eagerly in (True, False):
        netchu.utils.set_random_seed(5)
        made = model(eagerly)
        made.fit(*fit, verbose=0, **settings)
        found.append(sha256_of([v.numpy() for v in made.state().values()]))
    return found


# --- the same bits ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", netchu.optimizers.names)
def test_optimizers(name: str) -> None:
    x, y = clusters(n=44)
    by_line, by_program = both_ways(lambda e: classifier(optimizer=name, run_eagerly=e), x, y, epochs=3, batch_size=16)
    assert by_line == by_program


@pytest.mark.parametrize(
    "settings",
    [{"clipnorm": 0.1}, {"global_clipnorm": 0.1}, {"weight_decay": 0.1}, {"gradient_accumulation_steps": 3}],
    ids=str,
)
def test_features_of_optimizers(settings: dict[str, Any]) -> None:
    x, y = clusters(n=44)

    def model(eagerly: bool) -> Sequential:
        return classifier(optimizer=netchu.optimizers.Adam(**settings), run_eagerly=eagerly)

    by_line, by_program = both_ways(model, x, y, epochs=3, batch_size=16)
    assert by_line == by_program


@pytest.mark.parametrize("seed", range(40))
def test_random_networks(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    training = Training(seed)
    by_program = training.run(netchu)
    monkeypatch.setattr(Learner, "is_traced", False)
    by_line = training.run(netchu)
    assert by_program.history == by_line.history
    assert sha256_of(by_program.weights) == sha256_of(by_line.weights)
    assert by_program.predictions.tobytes() == by_line.predictions.tobytes()
    assert by_program.figures == by_line.figures


def test_large_weights() -> None:
    x = np.random.default_rng(0).random((40, 300), dtype=np.float32)
    y = np.arange(40) % 7

    def model(eagerly: bool) -> Sequential:
        made = Sequential([layers.Dense(700, activation="relu"), layers.Dense(7, activation="softmax")])
        made.compile("adamw", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=eagerly)
        return made

    by_line, by_program = both_ways(model, x, y, epochs=2, batch_size=20)
    assert by_line == by_program


def test_a_convolutional_network() -> None:
    x = np.random.default_rng(0).random((24, 12, 12, 3), dtype=np.float32)
    y = np.arange(24) % 4

    def model(eagerly: bool) -> Sequential:
        made = Sequential(
            [
                layers.Conv2D(40, 3, padding="same", activation="relu"),
                layers.MaxPooling2D(2),
                layers.BatchNormalization(),
                layers.Conv2D(8, 3, strides=2, activation="gelu"),
                layers.Flatten(),
                layers.Dropout(0.5),
                layers.Dense(4, activation="softmax"),
            ]
        )
        made.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"], run_eagerly=eagerly)
        return made

    by_line, by_program = both_ways(model, x, y, epochs=3, batch_size=24)
    assert by_line == by_program


@pytest.mark.parametrize(
    ("x", "y"),
    [(1.0, 0.0), (1, 0), (np.float32(3), -0.0), ("x", 0.0), (0.0, "x"), ("x", "y"), ("x", -0.0), ("i", 0), ("x", "i")],
)
def test_where_chooses_the_bits_that_numpy_chooses(x: Any, y: Any) -> None:
    odd = [np.nan, -np.nan, np.inf, -np.inf, -0.0, 0.0, 1e-45, 1.5]
    arrays = {
        "x": np.array(odd, dtype=np.float32),
        "y": np.arange(8, dtype=np.float32),
        "i": np.arange(8, dtype=np.int32) - 4,
    }
    condition = np.array([True, False, True, True, True, False, False, False])
    chosen = xp.where(condition, arrays.get(x, x), arrays.get(y, y))  # type: ignore[call-overload]
    expected = np.where(condition, arrays.get(x, x), arrays.get(y, y))  # type: ignore[call-overload]
    assert chosen.dtype == expected.dtype
    assert chosen.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "new",
    [
        pytest.param(lambda w: w + xp.matrix_transpose(w), id="itself turned round"),
        pytest.param(lambda w: xp.exp(w * 0.5) + w[0] - w[::-1], id="a row of itself, and its rows from behind"),
        pytest.param(lambda w: (w - w[::-1]) * w, id="its rows from behind, then itself"),
        pytest.param(lambda w: (w - xp.sum(w, axis=1, keepdims=True)) * w, id="its sums"),
        pytest.param(lambda w: xp.where(w > 0.5, w * 2, -w), id="where"),
        pytest.param(lambda w: xp.reshape(xp.reshape(w + 1, (-1,)) * 2, w.shape) - w, id="in another shape"),
    ],
)
@pytest.mark.parametrize("size", [3, 400])
def test_a_variable_made_of_itself(new: Callable[..., Any], size: int) -> None:
    start = np.random.default_rng(0).random((size, size), dtype=np.float32)
    w = Variable(start)

    def step() -> Any:
        w.replace(new(w.array))
        return xp.sum(w.array)

    run, expected = compiled(step, w), start
    for _ in range(3):
        run()
        expected = new(expected)
        assert w.numpy().tobytes() == np.ascontiguousarray(expected).tobytes()


# --- nobody else's memory is written to ------------------------------------------------------------------------------


@pytest.fixture(params=[-1, 0, 1], ids=["one too few", "as it is", "one too many"])
def _miscounted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """An interpreter that counts the references of an object otherwise."""
    count = sys.getrefcount
    monkeypatch.setattr(sys, "getrefcount", lambda thing: count(thing) + request.param)


@pytest.mark.usefixtures("_miscounted")
@pytest.mark.parametrize(
    "look",
    [
        lambda v: v.array,
        lambda v: v.numpy(),
        lambda v: v.array[...],
        lambda v: v.numpy().T,
        lambda v: memoryview(v.array),
    ],
    ids=["the array", "numpy()", "a view", "a view of numpy()", "a buffer"],
)
def test_what_somebody_holds_keeps_its_values(look: Callable[[Variable], Any]) -> None:
    x, y = clusters()
    model = classifier()
    model.fit(x, y, epochs=1, verbose=0)
    held = [look(v) for v in model.state().values()]
    values = [np.array(one) for one in held]
    model.fit(x, y, epochs=1, verbose=0)
    model.train_on_batch(x, y)
    for one, value in zip(held, values):
        assert one.tobytes() == value.tobytes()


@pytest.mark.usefixtures("_miscounted")
def test_what_a_tape_recorded_keeps_its_values() -> None:
    x, y = clusters()
    model = classifier()
    model.train_on_batch(x, y)
    with netchu.GradientTape() as tape:
        output = model(x)
    recorded = [(value, np.array(value)) for record in tape.records for value in record.values]
    shown = np.array(output.numpy())
    model.fit(x, y, epochs=2, verbose=0)
    assert all(value.tobytes() == before.tobytes() for value, before in recorded)
    assert output.numpy().tobytes() == shown.tobytes()


def test_results_are_the_callers_own() -> None:
    x, _ = clusters()
    model = classifier()
    first = model.predict_on_batch(x)
    before = first.copy()
    second = model.predict_on_batch(x + 1)
    assert first.tobytes() == before.tobytes() != second.tobytes()


def test_the_callers_arrays_are_not_written_to() -> None:
    x, y = clusters()
    model, copy = classifier(), x.copy()
    for _ in range(3):
        model.train_on_batch(x, y)
    assert x.tobytes() == copy.tobytes()


@pytest.mark.usefixtures("_miscounted")
def test_what_was_assigned_by_hand_keeps_its_values() -> None:
    """A Variable that is given another array than its home's leaves the one of before to whoever holds it."""
    x, y = clusters()
    model = classifier()
    model.train_on_batch(x, y)
    held, values, given = [], [], []
    for _ in range(3):
        for w in model.weights:
            held.append(w.array)
            values.append(np.array(held[-1]))
            given.append(np.array(held[-1]) * 0.5)
            w.replace(given[-1])
            held.append(given[-1])
            values.append(np.array(given[-1]))
        model.train_on_batch(x, y)
    assert all(one.tobytes() == value.tobytes() for one, value in zip(held, values))


@pytest.mark.usefixtures("_miscounted")
def test_nothing_moves_while_nobody_looks(programs: list[Program]) -> None:
    x, y = clusters()
    model = classifier()
    model.train_on_batch(x, y)
    model.train_on_batch(x, y)
    homes = [inside.ctypes.data for inside in programs[0].homes]
    for _ in range(20):
        model.train_on_batch(x, y)
    assert [inside.ctypes.data for inside in programs[0].homes] == homes


def test_a_held_array_moves_the_value_once(programs: list[Program]) -> None:
    x, y = clusters()
    model = classifier()
    model.train_on_batch(x, y)
    held = model.weights[0].numpy()
    for _ in range(3):
        model.train_on_batch(x, y)
        homes = [inside.ctypes.data for inside in programs[0].homes]
    model.train_on_batch(x, y)
    assert [inside.ctypes.data for inside in programs[0].homes] == homes
    assert not np.shares_memory(held, programs[0].homes[0])


# --- Variables -------------------------------------------------------------------------------------------------------


def test_assigned_values_take_effect() -> None:
    w = Variable([1.0, 2.0])

    def step(x: Any) -> Any:
        w.assign_add(wrap(x))
        return w.array

    run = compiled(step, w)
    one = np.ones(2, dtype="float32")
    assert [run(one).tolist() for _ in range(2)] == [[2, 3], [3, 4]]
    w.assign([10.0, 20.0])
    assert run(one).tolist() == [11, 21] == w.numpy().tolist()
    held = w.numpy()
    w.assign([0.0, 0.0])
    assert run(one).tolist() == [1, 1]
    assert held.tolist() == [11, 21]


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        pytest.param(lambda a, b: (b, a), ([3, 4], [1, 2]), id="change places"),
        pytest.param(lambda a, b: (a[::-1], b), ([2, 1], [3, 4]), id="a view of itself"),
        pytest.param(lambda a, b: (b, b), ([3, 4], [3, 4]), id="twice the same"),
        pytest.param(lambda a, b: (b + 1, a + 1), ([4, 5], [2, 3]), id="each of the other"),
        pytest.param(lambda a, b: (xp.zeros(2, dtype="float32"), b), ([0, 0], [3, 4]), id="a constant"),
        pytest.param(lambda a, b: (a * 2, a * 3), ([2, 4], [3, 6]), id="both of one"),
        pytest.param(lambda a, b: ((a + b) * a, b), ([4, 12], [3, 4]), id="used after its first use"),
    ],
)
def test_new_values_of_any_make(new: Callable[..., Any], expected: Any) -> None:
    a, b = Variable([1.0, 2.0]), Variable([3.0, 4.0])

    def step() -> Any:
        first, second = new(a.array, b.array)
        a.replace(first)
        b.replace(second)
        return a.array

    run = compiled(step, a, b)
    for _ in range(3):  # the first run is recorded, the others are run from the notes
        a.assign([1.0, 2.0])
        b.assign([3.0, 4.0])
        assert run().tolist() == expected[0]
        assert (a.numpy().tolist(), b.numpy().tolist()) == expected


def test_programs_of_one_model_see_each_others_weights() -> None:
    x, y = clusters()
    model, by_line = classifier(), classifier(run_eagerly=True)
    for _ in range(3):
        for one in (model, by_line):
            one.fit(x, y, batch_size=16, epochs=1, verbose=0, shuffle=False)  # 60 samples: a short last batch
        assert model.predict(x, verbose=0).tobytes() == by_line.predict(x, verbose=0).tobytes()
        assert model.evaluate(x, y, verbose=0) == by_line.evaluate(x, y, verbose=0)


def test_homes_go_with_their_variables() -> None:
    engine: Any = engines.current()
    gc.collect()
    before = len(engine._homes)
    model = classifier()
    model.fit(*clusters(), verbose=0)
    assert len(engine._homes) > before
    del model
    gc.collect()
    assert len(engine._homes) == before


def test_threads_may_predict_at_once() -> None:
    x, _ = clusters(n=64)
    model = classifier()
    expected = model.predict(x, verbose=0)
    wrong: list[int] = []

    def ask(i: int) -> None:
        for _ in range(50):
            if not np.allclose(model.predict_on_batch(x[i : i + 8]), expected[i : i + 8], rtol=0, atol=1e-6):
                wrong.append(i)

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(0, 64, 8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# --- memory ----------------------------------------------------------------------------------------------------------


def test_places_are_used_again(programs: list[Program]) -> None:
    """A chain of a hundred elementwise operations needs room for one result, or is written over the last."""

    def step(x: Any) -> Any:
        y = x + 1
        for _ in range(100):
            y = xp.exp(-(y * y))
        return y

    run = compiled(step)
    x = np.ones(1000, dtype="float32")
    assert run(x).tobytes() == run(x).tobytes()
    assert sum(len(place.bytes) for place in programs[0].memory) <= 2 * (x.nbytes + 64)


def test_optimizers_write_over_weights_and_slots(programs: list[Program]) -> None:
    x, y = np.ones((4, 300), dtype="float32"), np.zeros((4, 700), dtype="float32")
    model = Sequential([layers.Dense(700, use_bias=False)])
    model.compile("adam", "mse")
    model.train_on_batch(x, y)
    weight = 300 * 700 * 4
    places = [len(place.bytes) for place in programs[0].memory]
    assert sum(size >= weight for size in places) == 2  # the gradient, and what the rule computes besides
    assert sum(places) < 2.3 * weight


# --- what cannot be recorded -----------------------------------------------------------------------------------------


def test_a_value_asked_for_while_recording_is_an_error_with_advice() -> None:
    def step(x: Any) -> Any:
        return x if float(x[0]) > 0 else -x

    with pytest.raises(EngineError, match=r"netchu\.ops\.where instead of `if`.*run_eagerly=True"):
        compiled(step)(np.ones(3, dtype="float32"))


class Loud(layers.Layer):
    """A layer of one's own, that tells when its lines run."""

    calls = 0

    def call(self, x: Any) -> Any:
        """Double x."""
        Loud.calls += 1
        return x * 2.0


@pytest.mark.parametrize(("jit_compile", "calls"), [("auto", 6), (False, 6), (True, 1)])
def test_code_of_ones_own_runs_line_by_line_unless_asked(
    jit_compile: Any, calls: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, y = clusters(n=12)
    model = Sequential([layers.Input((6,)), Loud(), layers.Dense(3)])
    model.compile("sgd", "mse", jit_compile=jit_compile)
    monkeypatch.setattr(Loud, "compute_output_shape", lambda self, shape: shape)  # which would run it, too
    Loud.calls = 0
    for _ in range(6):
        model.train_on_batch(x, np.eye(3, dtype="float32")[y])
    assert Loud.calls == calls


def test_jit_compile_is_checked() -> None:
    with pytest.raises(UsageError, match="jit_compile='sometimes'"):
        classifier(jit_compile="sometimes")


def test_own_functions_anywhere_count_as_ones_own() -> None:
    def model(activation: Any = "relu", loss: Any = "mse", rate: Any = 0.1) -> Sequential:
        made = Sequential([layers.Dense(3, activation=activation)])
        made.compile(netchu.optimizers.SGD(rate), loss)
        return made

    assert is_netchus_own(model())
    assert not is_netchus_own(model(activation=lambda x: x))
    assert not is_netchus_own(model(loss=lambda y, p: ops.mean(y - p, axis=-1)))
    assert not is_netchus_own(model(rate=lambda: 0.1))


# --- layers in two places, kernels turned round, threads, copies ---------------------------------------------------


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_a_layer_that_stands_in_two_places(optimizer: str) -> None:
    x = np.random.default_rng(0).random((20, 5), dtype=np.float32)

    def model(eagerly: bool) -> Sequential:
        shared = layers.Dense(5, activation="tanh")
        inner = Sequential([layers.Input((5,)), shared])
        made = Sequential([layers.Input((5,)), inner, shared])
        made.compile(optimizer, "mse", run_eagerly=eagerly)
        return made

    by_line, by_program = both_ways(model, x, 1 - x, epochs=5, batch_size=8)
    assert by_line == by_program


def test_kernels_that_come_turned_round() -> None:
    rng = np.random.default_rng(0)
    x, y = rng.random((28, 6, 6, 2), dtype=np.float32), np.arange(28) % 4
    turned = rng.normal(size=(8, 2, 3, 3)).astype("float32").transpose(2, 3, 1, 0)

    def model(eagerly: bool) -> Sequential:
        made = Sequential([layers.Input((6, 6, 2)), layers.Conv2D(8, 3), layers.Flatten(), layers.Dense(4)])
        loss = netchu.losses.SparseCategoricalCrossentropy(from_logits=True)
        made.compile("sgd", loss, run_eagerly=eagerly)
        made.predict(x, verbose=0)
        made.layers[0].kernel.assign(turned)
        made.predict(x, verbose=0)
        return made

    by_line, by_program = both_ways(model, x, y, epochs=4, batch_size=16)
    assert by_line == by_program


def test_a_value_that_lies_in_another_order() -> None:
    w = Variable(np.zeros((2, 3), dtype="float32"))
    w.array = np.asfortranarray(np.arange(6, dtype="float32").reshape(2, 3))

    def step() -> Any:
        w.replace(w.array + 1)
        return xp.reshape(xp.matrix_transpose(w.array - 1), (-1,)) + xp.reshape(xp.matrix_transpose(w.array), (-1,))

    run, expected = compiled(step, w), np.arange(6, dtype="float32").reshape(2, 3)
    for _ in range(3):
        expected = expected + 1
        assert run().tolist() == (2 * expected.T - 1).ravel().tolist()


def test_another_thread_may_assign_while_a_step_is_recorded() -> None:
    recording, assigned = threading.Event(), threading.Event()

    def step(x: Any) -> Any:
        recording.set()
        assert assigned.wait(10)
        return x * 2

    run = compiled(step)
    other = threading.Thread(target=run, args=(np.ones(2, dtype="float32"),))
    other.start()
    assert recording.wait(10)
    try:
        Variable([1.0]).assign([2.0])
    finally:
        assigned.set()
        other.join()


def test_models_in_threads_of_their_own() -> None:
    x, y = clusters()
    alone = classifier()
    alone.fit(x, y, epochs=5, verbose=0, shuffle=False)
    expected, found = sha256_of(alone.get_weights()), []

    def train() -> None:
        model = classifier()
        model.fit(x, y, epochs=5, verbose=0, shuffle=False)
        found.append(sha256_of(model.get_weights()))

    threads = [threading.Thread(target=train) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4
    Variable([1.0]).assign([2.0])  # no thread has left the engine in the middle of a step


def test_a_copied_model_trains_itself() -> None:
    x, y = clusters()
    model = classifier()
    model.fit(x, y, verbose=0)
    before = model.get_weights()
    copied = copy.deepcopy(model)
    copied.fit(x, y, epochs=2, verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
    assert not np.array_equal(before[0], copied.get_weights()[0])


def test_a_model_around_one_that_was_changed_compiles_anew() -> None:
    inner = Sequential([layers.Input((3,)), layers.Dense(3), layers.Dense(3)])
    outer = Sequential([layers.Input((3,)), inner])
    x = np.ones((2, 3), dtype="float32")
    outer.predict(x, verbose=0)
    inner.pop()
    np.testing.assert_array_equal(outer.predict(x, verbose=0), outer(x).numpy())
