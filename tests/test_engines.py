"""Engines: choosing one, the closed list, and the compiled step as a pure function of its Variables."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from conftest import chosen
from helpers import ENGINE_RTOL, assert_close, assert_same_bits
from netchu import engines, ops
from netchu.engines.contract import DTYPES, FUNCTIONS
from netchu.errors import EngineError, MissingExtraError, UsageError
from netchu.layers import Dense, Dropout, Input
from netchu.models import Sequential
from netchu.optimizers import SGD
from netchu.random import Stream
from netchu.tape import GradientTape
from netchu.tensor import Tensor, Variable, wrap
from small_nets import SOURCE

STEPS = 50


# --- choosing --------------------------------------------------------------------------------------------------------


def test_the_current_engine_is_the_one_that_was_set(engine: str) -> None:
    assert engines.current().name == engine


@pytest.mark.parametrize("name", [*FUNCTIONS, *DTYPES])
def test_the_engine_has_every_function_of_the_closed_list(engine: str, name: str) -> None:
    assert name in engines.current().functions
    assert getattr(engines.xp, name) is engines.current().functions[name]


def test_an_unknown_engine_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"engine identifier: 'nunpy'.*jax, numpy, tensorflow.*Did you mean 'numpy'"):
        engines.set_engine("nunpy")
    assert engines.current().name == "numpy"


def test_an_engine_without_all_functions_is_refused() -> None:
    class Half(engines.Engine):
        name = "half"
        functions = {name: None for name in FUNCTIONS if name != "exp"}

    with pytest.raises(EngineError, match=r"half.*missing=\['exp', 'bool'"):
        engines.register(Half())
    assert "half" not in engines.engine_names()


@pytest.mark.parametrize("name", ["jax", "tensorflow"])
def test_a_missing_library_gives_the_pip_line(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(engines, "_loaded", {"numpy": engines.current()})
    monkeypatch.delitem(sys.modules, f"netchu.engines.{name}", raising=False)
    monkeypatch.setitem(sys.modules, name, None)
    line = f"needs {name}, which is not installed: pip install 'netchu[{name}]'"
    with pytest.raises(MissingExtraError, match=re.escape(line)):
        engines.set_engine(name)
    assert engines.current().name == "numpy"


def test_an_engine_with_an_error_of_its_own_is_not_called_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(name: str) -> Any:
        raise ModuleNotFoundError("No module named 'another'", name="another")

    monkeypatch.setattr(engines, "_loaded", {"numpy": engines.current()})
    monkeypatch.setattr(importlib, "import_module", broken)
    with pytest.raises(ModuleNotFoundError, match="another"):
        engines.set_engine("jax")


@pytest.mark.parametrize(("value", "printed"), [("numpy", "numpy"), ("", "numpy")])
def test_the_environment_chooses_the_engine(monkeypatch: pytest.MonkeyPatch, value: str, printed: str) -> None:
    monkeypatch.setenv("NETCHU_ENGINE", value)
    program = "from netchu import engines; print(engines.current().name)"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == printed


def test_an_unknown_name_in_the_environment_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETCHU_ENGINE", "tensor")
    run = subprocess.run([sys.executable, "-c", "import netchu.engines"], capture_output=True, text=True, check=False)
    assert run.returncode == 1
    assert "Known: jax, numpy, tensorflow" in run.stderr


# --- arrays ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [2.5, [1, 2], np.ones((2, 3), dtype="float32"), np.array([True])])
def test_arrays_come_back_as_they_went(engine: str, value: Any) -> None:
    there = engines.current().asarray(value)
    assert_same_bits(engines.current().to_numpy(there).astype("float32"), np.asarray(value).astype("float32"))


def test_jax_takes_a_copy_of_what_may_change_later() -> None:
    """JAX keeps the very memory of an array that begins at a multiple of 64 bytes, if it is told that it may."""
    chosen("jax")
    memory = np.zeros(4096, dtype="uint8")
    begin = -memory.ctypes.data % 64
    values = memory[begin : begin + 2048].view("float32").reshape(16, 32)
    there = engines.current().asarray(values)
    values[...] = 1.0
    assert not engines.current().to_numpy(there).any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_element_type(engine: str, dtype: str) -> None:
    array = engines.current().asarray([0, 1], dtype)
    narrowed = {"int64": "int32", "uint64": "uint32", "float64": "float32"} if engine == "jax" else {}
    assert wrap(array).dtype == narrowed.get(dtype, dtype)


def test_scatter_add_adds_at_repeated_positions(engine: str) -> None:
    here = engines.current()
    added = engines.xp.scatter_add(4, here.asarray([0, 3, 3]), here.asarray(np.array([1.0, 2.0, 5.0], "float32")))
    assert here.to_numpy(added).tolist() == [1.0, 0.0, 0.0, 7.0]


def test_a_sum_over_many_images_keeps_its_digits(engine: str) -> None:
    x = np.random.default_rng(0).normal(1, 1, (128, 26, 26, 4)).astype("float32")
    expected = x.astype("float64").sum(axis=(0, 1, 2))  # 86,528 numbers each
    for axis, keepdims in (((0, 1, 2), False), ((-2, 0, 1), True)):
        found = engines.current().to_numpy(engines.xp.sum(engines.current().asarray(x), axis=axis, keepdims=keepdims))
        assert found.shape == ((1, 1, 1, 4) if keepdims else (4,))
        assert_close(found.reshape(4), expected.astype("float32"), rtol=ENGINE_RTOL)


def test_erf(engine: str) -> None:
    values = engines.xp.erf(engines.current().asarray(np.array([-1.0, 0.0, 0.5], dtype="float32")))
    assert engines.current().to_numpy(values) == pytest.approx([-0.84270079, 0.0, 0.52049988], abs=1e-6)


def test_an_engine_says_its_version_and_threads(engine: str) -> None:
    assert engines.current().version().count(".") >= 2
    assert engines.current().threads() >= 1


# --- the compiled step -----------------------------------------------------------------------------------------------


def counting(v: Variable) -> tuple[Callable[[Any], Any], list[str]]:
    """A step that adds its argument to `v`, and the list of its traces."""
    traces: list[str] = []

    def step(x: Any) -> Any:
        traces.append("traced")
        v.assign_add(wrap(x))
        return v.array * 2.0

    return step, traces


def test_a_compiled_step_changes_its_variables(engine: str) -> None:
    v = Variable([1.0])
    step = engines.current().trace(counting(v)[0], {"v": v})
    assert np.asarray(step(engines.current().asarray(np.float32(2.0)))).tolist() == [6.0]
    assert v.numpy().tolist() == [3.0]


def test_compiling_traces_once(traced_engine: engines.Engine) -> None:
    v = Variable([1.0])
    function, traces = counting(v)
    step = traced_engine.trace(function, {"v": v})
    for _ in range(5):
        step(traced_engine.asarray(np.float32(1.0)))
    assert len(traces) == 1
    assert v.numpy().tolist() == [6.0]


def test_a_new_shape_compiles_anew(traced_engine: engines.Engine) -> None:
    v = Variable([1.0, 2.0])
    function, traces = counting(v)
    step = traced_engine.trace(function, {"v": v})
    step(traced_engine.asarray(np.float32(1.0)))
    step(traced_engine.asarray(np.ones(2, dtype="float32")))
    assert len(traces) == 2


def test_an_exception_in_the_middle_leaves_no_tracer_behind(traced_engine: engines.Engine) -> None:
    v, counter = Variable([1.0]), Variable([0.0])

    def step(x: Any) -> Any:
        v.assign_add(wrap(x))
        counter.assign_add(1.0)
        raise RuntimeError("in the middle")

    compiled = traced_engine.trace(step, {"v": v, "counter": counter})
    with pytest.raises(RuntimeError, match="in the middle"):
        compiled(traced_engine.asarray(np.ones(1, dtype="float32")))
    assert not traced_engine.is_traced(v.array)
    assert (v.numpy().tolist(), counter.numpy().tolist()) == ([1.0], [0.0])
    v.assign([5.0])  # nothing is being traced any more: any Variable may be assigned
    assert v.numpy().tolist() == [5.0]


def test_after_tracing_no_variable_holds_a_tracer(traced_engine: engines.Engine) -> None:
    model = small_model()
    model.train_on_batch(*batches()[0])
    held = [variable for variable in model.state().values() if traced_engine.is_traced(variable.array)]
    assert held == []


def test_a_variable_that_is_not_carried_may_not_be_assigned(traced_engine: engines.Engine) -> None:
    carried, forgotten = Variable([1.0]), Variable([1.0], name="forgotten")

    def step(x: Any) -> Any:
        forgotten.assign_add(wrap(x))
        return x

    with pytest.raises(EngineError, match=r"'forgotten', which the model does not hold.*before compile"):
        traced_engine.trace(step, {"carried": carried})(traced_engine.asarray(np.ones(1, dtype="float32")))
    assert forgotten.numpy().tolist() == [1.0]


def test_a_new_learning_rate_takes_effect_without_compiling_again(engine: str) -> None:
    w, optimizer, calls = Variable([1.0]), SGD(learning_rate=0.5), []
    optimizer.build([w])

    def step(x: Any) -> Any:
        calls.append("traced")
        with GradientTape() as tape:
            loss = ops.sum(w * wrap(x))
        optimizer.apply_gradients([(tape.gradient(loss, w), w)])
        return loss.array

    state = {"w": w} | {variable.name: variable for variable in optimizer.variables}
    compiled = engines.current().trace(step, state)
    one = engines.current().asarray(np.ones(1, dtype="float32"))
    compiled(one)
    assert w.numpy().tolist() == [0.5]
    optimizer.learning_rate = 0.25
    compiled(one)
    assert w.numpy().tolist() == [0.25]
    assert len(calls) == 1
    assert int(optimizer.iterations) == 2


ASKING: list[tuple[str, Callable[[Tensor], Any]]] = [
    ("float", float),
    ("int", int),
    ("if", lambda t: 1 if t else 2),
    ("numpy", lambda t: t.numpy()),
    ("item", lambda t: t.item()),
    ("np.asarray", np.asarray),
    ("comparison", lambda t: 1 if t > 0 else 2),
    ("convert_to_numpy", ops.convert_to_numpy),
]


@pytest.mark.parametrize(("name", "ask"), ASKING, ids=[name for name, _ in ASKING])
def test_asking_for_numbers_while_tracing_is_an_error(
    traced_engine: engines.Engine, name: str, ask: Callable[[Tensor], Any]
) -> None:
    def step(x: Any) -> Any:
        ask(wrap(x) * 2.0)
        return x

    words = r"while (JAX|TensorFlow) traces.*netchu\.ops\.where instead of `if`.*run_eagerly=True"
    with pytest.raises(EngineError, match=words):
        traced_engine.trace(step, {})(traced_engine.asarray(np.float32(1.0)))


def test_a_traced_tensor_can_be_printed(traced_engine: engines.Engine) -> None:
    seen = []

    def step(x: Any) -> Any:
        seen.append(repr(wrap(x)))
        return x

    traced_engine.trace(step, {})(traced_engine.asarray(np.ones((2, 3), dtype="float32")))
    assert seen == ["Tensor(traced, shape=(2, 3), dtype=float32)"]


def test_random_numbers_go_on_from_step_to_step(engine: str) -> None:
    stream = Stream(seed=3)
    compiled = engines.current().trace(lambda: stream.uniform((4,)), {"step": stream.step})
    first, second = (np.asarray(compiled()).tolist() for _ in range(2))
    again = Stream(seed=3)
    assert [first, second] == [np.asarray(again.uniform((4,))).tolist() for _ in range(2)]
    assert first != second


# --- cut and continued -----------------------------------------------------------------------------------------------


def small_model() -> Sequential:
    """A net with everything that has state: weights, slots, a step counter, a random step, metrics."""
    layers = [Input((4,)), Dense(5, activation="relu"), Dropout(0.5, seed=7), Dense(3, activation="softmax")]
    model = Sequential(layers)
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def batches() -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(5)
    return [(rng.standard_normal((4, 4)).astype("float32"), rng.integers(0, 3, 4)) for _ in range(STEPS)]


def values_of(model: Sequential) -> dict[str, np.ndarray]:
    return {name: np.array(variable.numpy()) for name, variable in model.state().items()}


def put(state: dict[str, np.ndarray], model: Sequential) -> None:
    assert state.keys() == model.state().keys()
    for name, variable in model.state().items():
        variable.assign(state[name])


def fresh_model(first: tuple[np.ndarray, np.ndarray]) -> Sequential:
    """Another model, with other weights, that has made its slots and metrics."""
    model = small_model()
    model.train_on_batch(*first)
    return model


def test_a_run_cut_at_each_step_ends_with_the_same_bits(engine: str) -> None:
    data = batches()
    model = small_model()
    states = []
    for x, y in data:
        model.train_on_batch(x, y)
        states.append(values_of(model))
    other = fresh_model(data[0])
    for done in range(1, STEPS + 1):
        if done in (1, 25, 49):
            other = fresh_model(data[0])
        put(states[done - 1], other)
        for x, y in data[done:]:
            other.train_on_batch(x, y)
        for name, value in values_of(other).items():
            assert_same_bits(value, states[-1][name], f"cut after {done} steps: {name}")


def test_the_state_holds_everything_that_a_step_changes(engine: str) -> None:
    data = batches()
    model = fresh_model(data[0])
    before = values_of(model)
    model.train_on_batch(*data[1])
    unchanged = {name for name, value in values_of(model).items() if value.tobytes() == before[name].tobytes()}
    figures = {name for name in before if name.startswith("metrics/")}  # may come out alike for two batches
    assert unchanged - figures == {"optimizer/learning_rate"}
    assert figures == {f"metrics/{name}/{part}" for name in ("0_loss", "1_accuracy") for part in ("total", "count")}
    assert any(name.endswith("random_step") for name in before)
    assert "optimizer/iterations" in before


def test_suited_threads_are_all_or_one(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engines.set_engine("numpy")
    monkeypatch.setattr(type(engine), "threads", lambda self: 2)
    clock = iter([0.0, 1.0, 1.0, 1.4])  # two threads: 1 s; one: 0.4 s
    monkeypatch.setattr("netchu.engines.numpy.engine.time.perf_counter", lambda: next(clock))
    assert engine.suited_threads() == 1
    clock = iter([0.0, 0.6, 1.0, 1.4])
    assert engine.suited_threads() == 2


def test_threads_can_be_chosen_from_outside() -> None:
    program = "from netchu import engines; print(engines.current().threads())"
    for count in ("1", "2"):
        environment = {**os.environ, "NETCHU_THREADS": count, "PYTHONPATH": str(SOURCE)}
        done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
        assert done.stdout.strip() == count, done.stderr


@pytest.mark.parametrize("count", ["many", "-1", "1.5"])
def test_threads_that_are_no_number_are_an_error(count: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NETCHU_THREADS", count)
    with pytest.raises(UsageError, match=f"NETCHU_THREADS='{count}'"):
        type(engines.set_engine("numpy"))()


def test_training_says_when_one_thread_would_be_faster(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from netchu.cli.options import Common
    from netchu.cli.tools import say_if_busy

    engine = engines.set_engine("numpy")
    monkeypatch.setattr(type(engine), "threads", lambda self: 2)
    monkeypatch.setattr(type(engine), "suited_threads", lambda self: 1)
    say_if_busy(Common())  # NETCHU_THREADS is set
    assert capsys.readouterr().err == ""
    monkeypatch.delenv("NETCHU_THREADS")
    say_if_busy(Common())
    assert "NETCHU_THREADS=1 would be faster now" in capsys.readouterr().err
