"""Threads: a traced step is nobody else's business, an engine stays while a run needs it, and a run can be ended."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import netchu
from helpers import assert_same_bits
from netchu import engines, ops
from netchu.callbacks import Callback, LambdaCallback
from netchu.errors import EngineError
from netchu.layers import Dense, Input
from netchu.tensor import Variable, wrap

X = np.random.default_rng(0).normal(size=(96, 4)).astype("float32")
Y = np.arange(96) % 3


def network() -> netchu.Sequential:
    netchu.utils.set_random_seed(0)
    model = netchu.Sequential([Input((4,)), Dense(5, activation="relu"), Dense(3, activation="softmax")])
    model.compile("rmsprop", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def in_threads(*actions: Callable[[], Any]) -> list[BaseException]:
    """Run the actions at once, each in a thread of its own; what they raised."""
    errors: list[BaseException] = []

    def guarded(action: Callable[[], Any]) -> None:
        try:
            action()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(action,)) for action in actions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors


# --- tracing ---------------------------------------------------------------------------------------------------------


def test_while_a_step_is_traced_others_see_the_values(engine: str) -> None:
    v = Variable([1.0])
    inside, looked = threading.Event(), threading.Event()
    seen: list[Any] = []

    def step(x: Any) -> Any:
        v.assign_add(wrap(x))
        inside.set()
        looked.wait(10)
        return v.array * 2.0

    def look() -> None:
        inside.wait(10)
        seen.append(v.numpy().tolist())
        v.assign_add([0.0])  # an other thread may even assign: it is not the one that traces
        looked.set()

    traced = engines.current().trace(step, {"v": v})
    one = engines.current().asarray(np.ones(1, dtype="float32"))
    assert in_threads(lambda: traced(one), look) == []
    assert seen == [[1.0]]
    assert v.numpy().tolist() == [2.0]


def test_what_another_thread_assigns_while_a_step_is_traced_stays(engine: str) -> None:
    v, other = Variable([1.0]), Variable([1.0])
    inside, assigned = threading.Event(), threading.Event()

    def step(x: Any) -> Any:
        inside.set()
        assigned.wait(10)
        v.assign_add(wrap(x))
        return v.array + other.array

    def assign() -> None:
        inside.wait(10)
        other.assign([7.0])
        assigned.set()

    traced = engines.current().trace(step, {"v": v, "other": other})
    one = engines.current().asarray(np.ones(1, dtype="float32"))
    assert in_threads(lambda: traced(one), assign) == []
    assert (v.numpy().tolist(), other.numpy().tolist()) == ([2.0], [7.0])


def test_four_threads_predict_with_four_batch_sizes(engine: str) -> None:
    for _ in range(4):
        model = network()
        before = [w.numpy().copy() for w in model.weights]
        expected = model(X).numpy()
        outputs: dict[int, np.ndarray] = {}

        def predict(n: int, model: Any = model, outputs: Any = outputs) -> None:
            outputs[n] = model.predict(X, batch_size=n, verbose=0)

        assert in_threads(*(lambda n=n: predict(n) for n in (7, 16, 31, 48))) == []  # type: ignore[misc]
        for output in outputs.values():
            np.testing.assert_allclose(output, expected, rtol=1e-5, atol=1e-6)
        for weight, value in zip(model.weights, before):
            assert_same_bits(weight.numpy(), value)


def test_a_fit_is_not_disturbed_by_who_predicts_and_looks(engine: str) -> None:
    alone, model = network(), network()
    alone.fit(X, Y, epochs=6, batch_size=8, shuffle=False, verbose=0)
    over = threading.Event()

    def fit() -> None:
        try:
            model.fit(X, Y, epochs=6, batch_size=8, shuffle=False, verbose=0)
        finally:
            over.set()

    def look() -> None:
        n = 1
        while not over.is_set():
            assert np.isfinite(model.predict(X[: n % 9 + 1], verbose=0)).all()
            assert all(np.isfinite(w).all() for w in model.get_weights())
            model(X[:2])
            n += 1

    assert in_threads(fit, look, look) == []
    for name, variable in alone.state().items():
        assert_same_bits(variable.numpy(), model.state()[name].numpy())


def test_two_models_train_in_two_threads(engine: str) -> None:
    alone = network()
    alone.fit(X, Y, epochs=3, batch_size=8, verbose=0, shuffle=False)
    models = [network(), network()]
    fits = [lambda m=m: m.fit(X, Y, epochs=3, batch_size=8, verbose=0, shuffle=False) for m in models]
    assert in_threads(*fits) == []
    for model in models:
        for one, other in zip(alone.weights, model.weights):
            assert_same_bits(one.numpy(), other.numpy())


class Slow(netchu.Layer):
    """A layer during whose call others have time to call the model."""

    def call(self, x: Any) -> Any:
        time.sleep(0.1)
        return x


@pytest.mark.parametrize("engine", ["numpy", "jax"], indirect=True)
def test_the_losses_that_layers_add_are_those_of_the_thread(engine: str) -> None:
    def make() -> netchu.Sequential:
        model = netchu.Sequential([Input((4,)), Dense(4, activity_regularizer="l2"), Slow(), Dense(1)])
        model.compile(netchu.optimizers.SGD(0.0), "mse", jit_compile=True)
        model.set_weights([np.ones(w.shape) for w in model.weights])
        return model

    x, y = np.ones((4, 4), "float32"), np.ones((4, 1), "float32")
    expected = make().train_on_batch(x, y)
    model, losses = make(), []

    def predict() -> None:
        time.sleep(0.15)  # while the step is traced
        model.predict(x, verbose=0)

    assert in_threads(lambda: losses.extend(model.train_on_batch(x, y) for _ in range(2)), predict) == []
    assert losses == pytest.approx([expected] * 2)


@pytest.mark.parametrize("engine", ["numpy", "jax"], indirect=True)
def test_what_a_step_itself_sets_of_a_weight_traces_nothing_anew(engine: str) -> None:
    traces = []

    class Toggling(netchu.Sequential):
        def train_step(self, data: Any) -> Any:
            traces.append(1)
            self.layers[0].kernel.trainable = False
            self.layers[0].kernel.trainable = True
            return super().train_step(data)

    model = Toggling([Input((4,)), Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    for _ in range(4):
        model.train_on_batch(X, Y)
    assert len(traces) == 1


# --- what a traced step knows ----------------------------------------------------------------------------------------


def test_setting_an_attribute_of_another_model_traces_nothing_anew() -> None:
    model, other = network(), network()
    other.fit(X, Y, epochs=1, verbose=0)
    traced: list[int] = []

    class Setting(Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            other.layers[0].units_shown = batch
            other.layers[0].units_shown = batch + 1
            traced.append(id(model._traced.functions[engines.current().name, "train"]))

    model.fit(X, Y, epochs=2, batch_size=8, verbose=0, callbacks=[Setting()])
    assert len(set(traced)) == 1


@pytest.mark.parametrize("engine", ["numpy", "jax"], indirect=True)
def test_what_is_set_of_a_weight_takes_effect(engine: str) -> None:
    model = network()
    model.fit(X, Y, epochs=1, verbose=0)
    kernel = model.layers[0].kernel
    kernel.constraint = netchu.constraints.MaxNorm(0.1)
    model.fit(X, Y, epochs=1, verbose=0)
    assert np.linalg.norm(kernel.numpy(), axis=0).max() <= 0.1 * (1 + 1e-6)
    before = model.evaluate(X, Y, verbose=0)[0]
    kernel.regularizer = lambda w: ops.sum(w * 0.0) + 100.0
    assert model.evaluate(X, Y, verbose=0)[0] == pytest.approx(before + 100.0, rel=1e-5)


class Weighted(netchu.Sequential):
    """A model with a `train_step` that reads an attribute of the model's."""

    factor = 1.0

    def compute_loss(self, *args: Any, **settings: Any) -> Any:
        return super().compute_loss(*args, **settings) * self.factor


@pytest.mark.parametrize("engine", ["numpy", "jax"], indirect=True)
def test_what_is_set_of_the_model_takes_effect(engine: str) -> None:
    model = Weighted([Input((4,)), Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    before = model.evaluate(X, Y, verbose=0)
    model.factor = 3.0
    assert model.evaluate(X, Y, verbose=0) == pytest.approx(3 * before, rel=1e-5)


class Counting(netchu.Layer):
    """A layer that sets an attribute of its own whenever it computes."""

    calls = 0
    traces = 0

    def call(self, x: Any) -> Any:
        self.calls += 1
        self.traces += engines.current().is_traced(x.array)
        return x


@pytest.mark.parametrize("engine", ["numpy", "jax"], indirect=True)
def test_a_layer_that_sets_attributes_as_it_works_is_traced_once(engine: str) -> None:
    counting = Counting()
    model = netchu.Sequential([Input((4,)), counting, Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy", jit_compile=True)
    for _ in range(5):
        model.train_on_batch(X, Y)
    assert counting.traces == 1
    counting.traces = 0  # set from outside: the next step is another one
    model.train_on_batch(X, Y)
    assert counting.traces == 1


# --- the engine, and the end -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_the_engine_cannot_change_during_a_run(method: str) -> None:
    pytest.importorskip("jax")
    engines.set_engine("jax")
    engines.set_engine("numpy")
    model = network()
    hooks = {"fit": "on_epoch_begin", "evaluate": "on_test_begin", "predict": "on_predict_begin"}
    change = LambdaCallback(**{hooks[method]: lambda *_: engines.set_engine("jax")})
    arguments = {"x": X, "callbacks": [change], "verbose": 0} | ({} if method == "predict" else {"y": Y})
    with pytest.raises(EngineError, match=r"set_engine: expected the engine 'numpy' until.*name='jax'"):
        getattr(model, method)(**arguments)
    assert engines.current().name == "numpy"
    engines.set_engine("jax")  # the run is over
    assert engines.current().name == "jax"


def test_the_engine_that_is_set_may_be_set_again_during_a_run() -> None:
    model = network()
    change = LambdaCallback(on_epoch_begin=lambda *_: engines.set_engine("numpy"))
    assert len(model.fit(X, Y, callbacks=[change], verbose=0).epoch) == 1


def wait_for(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, "it did not happen in 30 s"
        time.sleep(0.002)


def test_a_fit_can_be_interrupted_by_another_thread(engine: str) -> None:
    model = network()
    assert not model.interrupt()
    histories: list[Any] = []

    def stop() -> None:
        wait_for(lambda: model.optimizer.weights != [] and int(model.optimizer.iterations) > 20)
        assert model.interrupt()

    fit = lambda: histories.append(model.fit(X, Y, epochs=10**6, batch_size=8, verbose=0))  # noqa: E731
    assert in_threads(fit, stop) == []
    assert histories[0].interrupted
    assert not model.interrupt()
    assert not model.fit(X, Y, verbose=0).interrupted


def test_stop_training_may_be_set_by_another_thread(engine: str) -> None:
    model = network()
    histories: list[Any] = []

    def stop() -> None:
        wait_for(lambda: model.optimizer.weights != [] and int(model.optimizer.iterations) > 20)
        model.stop_training = True

    fit = lambda: histories.append(model.fit(X, Y, epochs=10**6, batch_size=8, verbose=0))  # noqa: E731
    assert in_threads(fit, stop) == []
    assert not histories[0].interrupted
