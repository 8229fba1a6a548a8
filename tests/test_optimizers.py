"""Optimizers: real Keras's numbers step by step and over whole runs, clipping, by hand, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from helpers import EXACT, RUN_ATOL, STEP_ATOL, assert_close, golden
from netchu import engines, ops, optimizers
from netchu.errors import UsageError
from netchu.layers import Dense, Input
from netchu.models import Sequential
from netchu.optimizers import SGD, Adam, AdamW, Optimizer, RMSprop
from netchu.tape import GradientTape, Tensor, Variable

# name in the golden file -> the same optimizer here; the file's others (Adagrad, Adamax, Nadam, Lion) are not in netchu
SETTINGS: dict[str, Any] = {
    "SGD": lambda: SGD(),
    "SGD_m09": lambda: SGD(momentum=0.9),
    "SGD_nesterov": lambda: SGD(momentum=0.9, nesterov=True),
    "SGD_wd": lambda: SGD(weight_decay=0.01),
    "SGD_clipnorm": lambda: SGD(clipnorm=0.5),
    "SGD_gclip": lambda: SGD(global_clipnorm=0.5),
    "SGD_clipvalue": lambda: SGD(clipvalue=0.3),
    "RMSprop": lambda: RMSprop(),
    "RMSprop_mom05": lambda: RMSprop(momentum=0.5),
    "RMSprop_centered": lambda: RMSprop(centered=True),
    "Adam": lambda: Adam(),
    "Adam_amsgrad": lambda: Adam(amsgrad=True),
    "AdamW": lambda: AdamW(),
}
ELSEWHERE = {"Adagrad", "Adamax", "Nadam", "Lion"}
RUNS = ["sgd", "rmsprop", "adam"]


def test_every_golden_optimizer_is_compared_or_named_as_absent() -> None:
    assert set(golden()["optimizers"]) == set(SETTINGS) | ELSEWHERE
    assert not {name.lower() for name in ELSEWHERE} & set(optimizers.names)


@pytest.mark.parametrize("name", SETTINGS)
def test_each_step_is_kerass(engine: str, name: str) -> None:
    expected = golden()["optimizers"][name]
    optimizer = SETTINGS[name]()
    v, w = Variable([1.0, 1.0, 1.0]), Variable([[0.5, -0.5]])
    for gradient, (after_v, after_w) in zip(expected["grads_v"], expected["after"]):
        g = Tensor(gradient)
        optimizer.apply_gradients([(g, v), (Tensor([[gradient[0], gradient[2]]]), w)])
        assert_close(v.numpy(), np.float32(after_v), atol=STEP_ATOL)
        assert_close(w.numpy(), np.float32(after_w), atol=STEP_ATOL)
    assert int(optimizer.iterations) == len(expected["grads_v"])


@pytest.mark.parametrize("name", SETTINGS)
def test_settings_and_defaults_are_kerass(name: str) -> None:
    keras, own = golden()["optimizers"][name]["config"], SETTINGS[name]().get_config()
    for key in own.keys() - {"name"}:
        assert own[key] == (pytest.approx(keras[key], rel=1e-6) if isinstance(keras[key], float) else keras[key]), key


def test_the_root_of_rmsprop_holds_epsilon() -> None:
    w = Variable([1.0])
    RMSprop().apply_gradients([(Tensor([1e-4]), w)])
    # v = 0.1 * 1e-8; inside: 0.001 * 1e-4 / sqrt(1e-9 + 1e-7) = 3.1466e-4; outside it would be 3.1523e-3
    assert_close(w.numpy(), np.float32([1 - 3.14658e-4]), atol=1e-7)


def test_adams_epsilon_stands_outside() -> None:
    w = Variable([1.0])
    Adam().apply_gradients([(Tensor([1e-4]), w)])
    # m = 1e-5, v = 1e-11, alpha = 0.001 * sqrt(0.001) / 0.1 = 3.16228e-4
    # outside: 1e-5 * 3.16228e-4 / (3.16228e-6 + 1e-7) = 9.6935e-4
    # inside:  1e-5 * 3.16228e-4 / sqrt(1e-11 + 1e-7) = 1e-5
    assert_close(w.numpy(), np.float32([1 - 9.6935e-4]), atol=1e-7)


# --- whole runs beside Keras -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RUNS)
def test_a_run_is_kerass(engine: str, name: str) -> None:
    runs = golden()["runs"]
    expected = runs[name]
    x, y = np.array(runs["X"], dtype="float32"), np.array(runs["Y"])
    model = Sequential([Input((4,)), Dense(5, "relu"), Dense(3, "softmax")])
    model.set_weights([np.array(w, dtype="float32") for w in runs["W"]])
    model.compile(name, "sparse_categorical_crossentropy", metrics=["accuracy"])
    history = model.fit(x, y, epochs=3, batch_size=4, shuffle=False, validation_split=0.2, verbose=0)

    assert list(history.history) == list(expected["history"]) == sorted(expected["history"])
    for key, values in expected["history"].items():
        assert_close(history.history[key], values, atol=RUN_ATOL, what=key)
    for own, keras in zip(model.get_weights(), expected["weights"]):
        assert_close(own, np.array(keras, dtype="float32"), atol=RUN_ATOL)
    assert_close(model.evaluate(x, y, batch_size=4, verbose=0), expected["evaluate"], atol=RUN_ATOL)
    assert_close(model.predict(x[:2], verbose=0), np.array(expected["predict0"], dtype="float32"), atol=RUN_ATOL)


# --- conformance -----------------------------------------------------------------------------------------------------


def rosenbrock(p: Tensor) -> Tensor:
    """(1 - x)^2 + 100 (y - x^2)^2: a bent valley whose lowest point is 0 at (1, 1)."""
    x, y = p[0], p[1]
    return ops.square(1.0 - x) + 100.0 * ops.square(y - ops.square(x))


def descend(optimizer: Optimizer, function: Any, start: list[float], steps: int) -> float:
    p = Variable(np.array(start, dtype="float32"))
    for _ in range(steps):
        with GradientTape() as tape:
            value = function(p)
        optimizer.apply_gradients([(tape.gradient(value, p), p)])
    return float(function(p))


@pytest.mark.parametrize("make", [SGD, RMSprop, Adam, AdamW])
def test_every_optimizer_finds_the_bottom_of_a_parabola(make: type[Optimizer]) -> None:
    assert descend(make(0.01), lambda p: ops.sum(ops.square(p)), [1.0, -2.0], 600) < 1e-3


@pytest.mark.parametrize(
    "optimizer", [SGD(1e-3, momentum=0.9), RMSprop(1e-2), Adam(0.02), AdamW(0.02, weight_decay=1e-4)], ids=repr
)
def test_every_optimizer_goes_down_the_valley_of_rosenbrock(optimizer: Optimizer) -> None:
    assert descend(optimizer, rosenbrock, [-1.0, 1.0], 1500) < 0.05


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_a_weight_without_gradient_stays(engine: str) -> None:
    a, b = Variable([1.0]), Variable([2.0])
    SGD(0.5).apply_gradients([(Tensor([1.0]), a), (None, b)])
    assert (a.numpy().tolist(), b.numpy().tolist()) == ([0.5], [2.0])


def test_no_gradient_at_all_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(UsageError, match=r"apply_gradients.*None for every weight.*with GradientTape"):
        SGD().apply_gradients([(None, Variable([1.0]))])


def test_other_weights_than_at_first_are_an_error() -> None:
    optimizer = Adam()
    optimizer.apply_gradients([(Tensor([1.0]), Variable([1.0]))])
    with pytest.raises(UsageError, match="Make a new optimizer for each model"):
        optimizer.apply_gradients([(Tensor([1.0]), Variable([1.0]))])


def test_the_learning_rate_may_be_assigned() -> None:
    optimizer, w = SGD(0.5), Variable([1.0])
    optimizer.learning_rate = 0.25
    optimizer.apply_gradients([(Tensor([1.0]), w)])
    assert w.numpy().tolist() == [0.75]
    optimizer.learning_rate.assign(0.5)
    assert float(optimizer.learning_rate) == 0.5


def test_weight_decay_comes_before_the_step() -> None:
    w = Variable([2.0])
    SGD(0.5, weight_decay=0.5).apply_gradients([(Tensor([1.0]), w)])
    assert w.numpy().tolist() == [2.0 - 2.0 * 0.5 * 0.5 - 0.5]


def test_clipping_a_small_gradient_changes_nothing(engine: str) -> None:
    for settings in ({"clipnorm": 10.0}, {"clipvalue": 10.0}, {"global_clipnorm": 10.0}):
        w = Variable([1.0])
        SGD(0.5, **settings).apply_gradients([(Tensor([1.0]), w)])
        assert w.numpy().tolist() == [0.5], settings


def test_clipnorm_takes_each_gradient_alone_and_global_clipnorm_all_together() -> None:
    def after(**settings: float) -> list[float]:
        a, b = Variable([0.0]), Variable([0.0])
        SGD(1.0, **settings).apply_gradients([(Tensor([3.0]), a), (Tensor([4.0]), b)])
        return [a.item(), b.item()]

    assert after(clipnorm=1.0) == [-1.0, -1.0]
    assert after(global_clipnorm=1.0) == pytest.approx([-0.6, -0.8])


def test_zero_gradients_give_finite_steps_when_clipped() -> None:
    for settings in ({"clipnorm": 1.0}, {"global_clipnorm": 1.0}):
        w = Variable([1.0])
        SGD(0.5, **settings).apply_gradients([(Tensor([0.0]), w)])
        assert w.numpy().tolist() == [1.0], settings


@pytest.mark.parametrize("name", SETTINGS)
def test_numpy_is_jax(name: str) -> None:
    pytest.importorskip("jax", reason="the jax engine needs jax: pip install -e '.[dev]'")
    found = {}
    for engine in ("numpy", "jax"):
        engines.set_engine(engine)
        w, optimizer = Variable(np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4)), SETTINGS[name]()
        rng = np.random.default_rng(1)
        for _ in range(5):
            optimizer.apply_gradients([(Tensor(rng.standard_normal((3, 4)).astype("float32")), w)])
        found[engine] = w.numpy()
    assert_close(found["jax"], found["numpy"], atol=STEP_ATOL)


# --- what is refused, names and configuration ------------------------------------------------------------------------

REFUSED: list[tuple[Any, str]] = [
    (lambda: SGD(-0.1), r"SGD: expected a learning rate >= 0.*learning_rate=-0\.1.*SGD\(learning_rate=1e-3\)"),
    (lambda: Adam("fast"), "learning_rate='fast'"),
    (lambda: Adam(float("nan")), "learning_rate=nan"),
    (lambda: Adam(float("inf")), "learning_rate=inf"),
    (lambda: SGD(momentum=1.5), r"momentum from 0 to 1\. Got: momentum=1\.5"),
    (lambda: RMSprop(rho=-1), "rho=-1"),
    (lambda: AdamW(beta_1=2), "AdamW.*beta_1=2"),
    (lambda: SGD(clipnorm=1.0, clipvalue=1.0), "at most one of clipnorm, clipvalue, global_clipnorm"),
    (lambda: SGD(clipnorm=-1.0), "clipnorm > 0"),
    (lambda: SGD(weight_decay=-0.1), "weight_decay >= 0"),
    (lambda: optimizers.get("sgdx"), r"optimizer identifier: 'sgdx'\. Known: adam, adamw, rmsprop, sgd\. Did you mean"),
    (lambda: optimizers.get(3), "3"),
    (lambda: optimizers.get(None), "None"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_wrong_settings_are_refused(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize("name", ["sgd", "SGD", "rmsprop", "RMSprop", "adam", "ADAM", "adamw", "AdamW"])
def test_names_in_upper_and_lower_case(name: str) -> None:
    assert type(optimizers.get(name)).__name__.lower() == name.lower()


@pytest.mark.parametrize("name", SETTINGS)
def test_an_optimizer_is_made_again_from_its_configuration(name: str) -> None:
    optimizer = SETTINGS[name]()
    again = type(optimizer).from_config(optimizer.get_config())
    assert again.get_config() == optimizer.get_config()
    assert repr(again) == repr(optimizer)


def test_repr_is_the_call_that_makes_it() -> None:
    assert repr(SGD(0.5, momentum=0.9)) == "SGD(learning_rate=0.5, momentum=0.9)"
    assert repr(Adam()) == "Adam()"
    assert repr(eval(repr(RMSprop(0.01, rho=0.5)))) == "RMSprop(learning_rate=0.01, rho=0.5)"


def test_the_configuration_tells_the_rate_as_it_was_written() -> None:
    optimizer = Adam(0.003)
    assert optimizer.get_config()["learning_rate"] == 0.003
    assert_close(optimizer.learning_rate.numpy(), np.float32(0.003), atol=EXACT)
