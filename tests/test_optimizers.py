"""Optimizers: real Keras's numbers step by step and over whole runs, clipping, by hand, and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from helpers import EXACT, RUN_ATOL, STEP_ATOL, assert_close, assert_no_denormals, golden
from netchu import engines, ops, optimizers
from netchu.errors import UsageError
from netchu.layers import Dense, Input
from netchu.models import Sequential
from netchu.optimizers import SGD, Adadelta, Adagrad, Adam, Adamax, AdamW, Lion, Nadam, Optimizer, RMSprop
from netchu.optimizers.schedules import CosineDecay, ExponentialDecay
from netchu.tape import GradientTape
from netchu.tensor import Tensor, Variable

# name in the golden file -> the same optimizer here
GOLDEN: dict[str, Any] = {
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
    "Adagrad": lambda: Adagrad(),
    "Adamax": lambda: Adamax(),
    "Nadam": lambda: Nadam(),
    "Lion": lambda: Lion(),
}
# the same, and what the file does not hold, for the tests that need no numbers of Keras's
SETTINGS: dict[str, Any] = GOLDEN | {
    "Adadelta": lambda: Adadelta(),
    "Adagrad_zero": lambda: Adagrad(initial_accumulator_value=0.0),
    "RMSprop_all": lambda: RMSprop(momentum=0.5, centered=True, weight_decay=0.1, clipvalue=0.5),
    "Adam_accumulation": lambda: Adam(gradient_accumulation_steps=2, weight_decay=0.1, global_clipnorm=0.5),
    "Nadam_accumulation": lambda: Nadam(gradient_accumulation_steps=3),
    "Lion_schedule": lambda: Lion(CosineDecay(0.1, 4)),
    "SGD_ema": lambda: SGD(0.1, use_ema=True, ema_momentum=0.9),
    "RMSprop_ema": lambda: RMSprop(
        centered=True, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3, gradient_accumulation_steps=2
    ),
}
RUNS = ["sgd", "rmsprop", "adam"]


def test_every_golden_optimizer_is_compared() -> None:
    assert set(golden()["optimizers"]) == set(GOLDEN)


def test_every_optimizer_has_a_case() -> None:
    assert {type(make()) for make in SETTINGS.values()} == set(optimizers.classes)


@pytest.mark.parametrize("name", GOLDEN)
def test_each_step_is_kerass(engine: str, name: str) -> None:
    expected = golden()["optimizers"][name]
    optimizer = GOLDEN[name]()
    v, w = Variable([1.0, 1.0, 1.0]), Variable([[0.5, -0.5]])
    for gradient, (after_v, after_w) in zip(expected["grads_v"], expected["after"]):
        g = Tensor(gradient)
        optimizer.apply_gradients([(g, v), (Tensor([[gradient[0], gradient[2]]]), w)])
        assert_close(v.numpy(), np.float32(after_v), atol=STEP_ATOL)
        assert_close(w.numpy(), np.float32(after_w), atol=STEP_ATOL)
    assert int(optimizer.iterations) == len(expected["grads_v"])


@pytest.mark.parametrize("name", GOLDEN)
def test_settings_and_defaults_are_kerass(name: str) -> None:
    keras, own = golden()["optimizers"][name]["config"], GOLDEN[name]().get_config()
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


# The rates are those that suit each optimizer: Adadelta begins with steps of 0.001 times its rate, Lion's never shrink.
PARABOLA: list[Optimizer] = [
    SGD(0.01), RMSprop(0.01), Adam(0.01), AdamW(0.01), Adagrad(0.3), Adadelta(10.0), Adamax(0.01), Nadam(0.01),
    Lion(ExponentialDecay(0.01, 100, 0.7)),
    SGD(0.02, gradient_accumulation_steps=2), Adam(CosineDecay(0.05, 600)), SGD(0.1, clipnorm=0.1),
]  # fmt: skip
VALLEY: list[Optimizer] = [
    SGD(1e-3, momentum=0.9), RMSprop(1e-2), Adam(0.02), AdamW(0.02, weight_decay=1e-4), Adagrad(0.5),
    Adadelta(1.0, rho=0.9), Adamax(0.05), Nadam(0.02), Lion(ExponentialDecay(0.02, 300, 0.5)),
]  # fmt: skip


@pytest.mark.parametrize("optimizer", PARABOLA, ids=repr)
def test_every_optimizer_finds_the_bottom_of_a_parabola(optimizer: Optimizer) -> None:
    assert descend(optimizer, lambda p: ops.sum(ops.square(p)), [1.0, -2.0], 600) < 1e-3


@pytest.mark.parametrize("optimizer", VALLEY, ids=repr)
def test_every_optimizer_goes_down_the_valley_of_rosenbrock(optimizer: Optimizer) -> None:
    assert descend(optimizer, rosenbrock, [-1.0, 1.0], 1500) < 0.05


def test_every_optimizer_goes_down_both() -> None:
    assert {type(o) for o in PARABOLA} == {type(o) for o in VALLEY} == set(optimizers.classes)


def walk(optimizer: Optimizer, *, compiled: bool) -> list[np.ndarray]:
    """Two weights, one of them constrained, after each of seven steps; the engine knows of `state()` alone."""
    rng, here = np.random.default_rng(1), engines.current()
    weights = [Variable(np.linspace(-1, 1, 12, dtype="float32").reshape(3, 4)), Variable(np.float32([0.5, -0.5]))]
    weights[0].constraint = lambda w: ops.minimum(w, 0.9)
    optimizer.build(weights)

    def step(*gradients: Any) -> Any:
        optimizer.apply_gradients(zip(map(Tensor, gradients), weights))
        return weights[0].array

    state = {f"weights/{i}": w for i, w in enumerate(weights)} | optimizer.state()
    function = here.trace(step, state) if compiled else step
    found = []
    for _ in range(7):
        function(*(here.asarray(rng.standard_normal(w.shape).astype("float32")) for w in weights))
        found += [np.array(w.numpy()) for w in weights]
    return found


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", SETTINGS)
def test_every_engine_makes_the_same_steps(name: str, compiled: bool, traced_engine: engines.Engine) -> None:
    found = walk(SETTINGS[name](), compiled=compiled)
    engines.set_engine("numpy")
    for a, b in zip(found, walk(SETTINGS[name](), compiled=False), strict=True):
        assert_close(a, b, atol=STEP_ATOL)
    assert found[0].max() == np.float32(0.9)  # the constraint came last


@pytest.mark.parametrize("name", SETTINGS)
def test_the_state_is_all_that_a_step_depends_on(name: str) -> None:
    first, second = SETTINGS[name](), SETTINGS[name]()
    a, b = Variable([1.0, -1.0]), Variable([1.0, -1.0])
    for number in range(4):
        first.apply_gradients([(Tensor([0.3, 0.1 * number]), a)])
    second.build([b])
    assert list(first.state()) == list(second.state())
    for kept, variable in zip(first.state().values(), second.state().values()):
        variable.assign(kept.numpy())
    b.assign(a.numpy())
    for _ in range(3):
        first.apply_gradients([(Tensor([-0.2, 0.4]), a)])
        second.apply_gradients([(Tensor([-0.2, 0.4]), b)])
    assert_close(b.numpy(), a.numpy(), atol=EXACT)


def test_the_state_names_what_it_holds() -> None:
    kernel = Variable([[1.0]], name="kernel")
    optimizer = Nadam(gradient_accumulation_steps=2)
    optimizer.build([kernel])
    assert list(optimizer.state({id(kernel): "dense/kernel"})) == [
        "iterations", "learning_rate", "dense/kernel/gradient_accumulator", "dense/kernel/momentum",
        "dense/kernel/velocity", "u_product",
    ]  # fmt: skip
    assert optimizer.variables == list(optimizer.state().values())
    assert optimizer.shared_slots["u_product"].item() == 1.0


# --- by hand ---------------------------------------------------------------------------------------------------------


def test_a_weight_without_gradient_stays(engine: str) -> None:
    a, b = Variable([1.0]), Variable([2.0], name="b")
    with pytest.warns(UserWarning, match=r"Gradients do not exist for variables b \(1,\)"):
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


# --- accumulation, sparing, constraints ------------------------------------------------------------------------------


def test_three_accumulated_calls_are_one_step_with_the_mean_gradient(engine: str) -> None:
    settings = {"clipnorm": 0.5, "weight_decay": 0.1}
    every, third = Adam(0.1, **settings), Adam(0.1, **settings, gradient_accumulation_steps=3)
    a, b = Variable([1.0, 2.0]), Variable([1.0, 2.0])
    for gradient in ([1.0, 0.0], [0.5, -1.0]):
        every.apply_gradients([(Tensor(gradient), a)])
        before = b.numpy().tolist()
        for share in (0.0, 1.0, 2.0):  # their mean is 1
            assert b.numpy().tolist() == before
            third.apply_gradients([(Tensor(gradient) * share, b)])
        assert_close(b.numpy(), a.numpy(), atol=STEP_ATOL)
        assert not third.slots[0]["gradient_accumulator"].numpy().any()
    assert int(third.iterations) == int(every.iterations) == 2


def test_weights_are_spared_weight_decay_by_name_or_by_themselves() -> None:
    weights = [Variable([1.0], name=name) for name in ("kernel", "bias", "gamma")]
    optimizer = SGD(0.5, weight_decay=0.5)
    optimizer.exclude_from_weight_decay(var_list=weights[2:], var_names=["bias"])
    optimizer.apply_gradients([(Tensor([0.0]), w) for w in weights])
    assert [w.item() for w in weights] == [0.75, 1.0, 1.0]
    with pytest.raises(UsageError, match="exclude_from_weight_decay: expected a call before the first step"):
        optimizer.exclude_from_weight_decay(var_names=["kernel"])


def test_a_constraint_holds_after_each_step_with_a_gradient(engine: str) -> None:
    a, b = Variable([1.0, -1.0]), Variable([-1.0])
    a.constraint = b.constraint = lambda w: ops.maximum(w, 0.0)
    with pytest.warns(UserWarning, match="Gradients do not exist"):
        SGD(0.5).apply_gradients([(Tensor([1.0, 0.0]), a), (None, b)])
    assert (a.numpy().tolist(), b.numpy().tolist()) == ([0.5, 0.0], [-1.0])


def test_adagrads_accumulator_begins_where_it_is_asked_to() -> None:
    w = Variable([1.0])
    Adagrad(1.0, initial_accumulator_value=3.0, epsilon=0.0).apply_gradients([(Tensor([1.0]), w)])
    assert w.item() == 0.5  # 1 - 1 / sqrt(3 + 1)


def test_lion_moves_by_the_learning_rate() -> None:
    w = Variable([1.0, 1.0, 1.0])
    Lion(0.25).apply_gradients([(Tensor([1e-6, -100.0, 0.0]), w)])
    assert w.numpy().tolist() == [0.75, 1.25, 1.0]


# --- moving averages -------------------------------------------------------------------------------------------------


def test_the_average_begins_with_the_first_weight_and_follows(engine: str) -> None:
    w = Variable([4.0])
    optimizer = SGD(1.0, use_ema=True, ema_momentum=0.75)
    averages = []
    for _ in range(3):
        optimizer.apply_gradients([(Tensor([1.0]), w)])
        averages.append(optimizer.slots[0]["moving_average"].item())
    assert averages == [3.0, 0.75 * 3.0 + 0.25 * 2.0, 0.75 * 2.75 + 0.25 * 1.0]
    assert w.item() == 1.0


def test_every_second_update_puts_the_averages_into_the_weights(engine: str) -> None:
    w = Variable([4.0])
    optimizer = SGD(1.0, use_ema=True, ema_momentum=0.75, ema_overwrite_frequency=2)
    after = []
    for _ in range(4):
        optimizer.apply_gradients([(Tensor([1.0]), w)])
        after.append(w.item())
    assert after == [3.0, 2.75, 1.75, 0.75 * (0.75 * 2.75 + 0.25 * 1.75) + 0.25 * 0.75]


def test_the_end_gives_the_weights_their_averages(engine: str) -> None:
    w = Variable([4.0])
    optimizer = SGD(1.0, use_ema=True, ema_momentum=0.75)
    optimizer.build([w])
    optimizer.finalize_variable_values([w])
    assert w.item() == 4.0  # no step, no average
    for _ in range(2):
        optimizer.apply_gradients([(Tensor([1.0]), w)])
    optimizer.finalize_variable_values([w])
    assert w.item() == optimizer.slots[0]["moving_average"].item() == 2.75
    with pytest.raises(UsageError, match="Make a new optimizer for each model"):
        optimizer.finalize_variable_values([Variable([4.0])])


def test_the_average_of_a_weight_that_stays_0_is_no_denormal(engine: str) -> None:
    w = Variable([1.0])
    optimizer = SGD(1.0, use_ema=True, ema_momentum=0.5)
    for _ in range(140):  # 0.5 ** 140 = 7e-43
        optimizer.apply_gradients([(Tensor([0.0]), w)])
        w.assign([0.0])
        assert_no_denormals(optimizer.slots[0]["moving_average"].numpy())


def test_what_is_not_used_may_be_anything() -> None:
    assert SGD(ema_momentum=2.0, ema_overwrite_frequency=-1).get_config()["ema_momentum"] == 2.0


def test_two_optimizers_in_one_model_keep_their_states_apart() -> None:
    model = Sequential([Input((2,)), Dense(1)])
    model.compile(SGD(0.1, momentum=0.9), "mse")
    model.second = Adam()
    assert {"optimizer/iterations", "optimizer_1/iterations", "optimizer_1/learning_rate"} <= set(model.state())


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
    (lambda: SGD(clipnorm=-1.0), "clipnorm > 1e-30"),
    (lambda: SGD(weight_decay=-0.1), "weight_decay >= 0"),
    (lambda: AdamW(weight_decay=None), "AdamW: expected weight_decay >= 0.*Adam"),
    (lambda: Adagrad(initial_accumulator_value=-1.0), "initial_accumulator_value=-1.0"),
    (lambda: Adadelta(rho=1.5), "Adadelta.*rho=1.5"),
    (lambda: Adamax(beta_1=-1), "Adamax.*beta_1=-1"),
    (lambda: Nadam(epsilon=2.0), "Nadam.*epsilon=2.0"),
    (lambda: Lion(beta_1=0.0), "Lion: expected beta_1 > 0"),
    (lambda: SGD(gradient_accumulation_steps=1), "gradient_accumulation_steps >= 2 or None. Got: gradient_acc.*=1"),
    (lambda: SGD(gradient_accumulation_steps=2.5), "gradient_accumulation_steps=2.5"),
    (lambda: SGD(use_ema=True, ema_momentum=1.1), r"SGD: expected ema_momentum from 0 to 1\. Got: ema_momentum=1\.1"),
    (lambda: Adam(use_ema=True, ema_momentum=-0.1), "ema_momentum=-0.1"),
    (lambda: Adam(use_ema=True, ema_overwrite_frequency=2.5), "ema_overwrite_frequency as a whole number .*=2.5"),
    (lambda: Adam(use_ema=True, ema_overwrite_frequency=0), "ema_overwrite_frequency=0"),
    (lambda: Adam(loss_scale_factor=2.0), "Adam: Could not interpret argument identifier: 'loss_scale_factor'"),
    (lambda: optimizers.get("sgdx"), r"optimizer identifier: 'sgdx'\. Known: adadelta, .*, sgd\. Did you mean"),
    (lambda: optimizers.get(3), "3"),
    (lambda: optimizers.get(None), "None"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_wrong_settings_are_refused(make: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize("name", [*optimizers.names, *(c.__name__ for c in optimizers.classes), "ADAM"])
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
