"""Learning-rate schedules: by hand, at the ends and the jumps, compiled and not, inside optimizers, and in files.

`test_judge_optimizers.py` compares them with real Keras.
"""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest

from helpers import ENGINE_RTOL, EXACT, assert_close
from netchu import engines, ops, optimizers
from netchu.errors import UsageError
from netchu.optimizers import SGD, schedules
from netchu.optimizers.schedules import (
    CosineDecay,
    CosineDecayRestarts,
    ExponentialDecay,
    InverseTimeDecay,
    LearningRateSchedule,
    OneCycle,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from netchu.tensor import Tensor, Variable

# schedule, and its rate after so many steps, worked out from the formula
BY_HAND: list[tuple[LearningRateSchedule, dict[int, float]]] = [
    (ExponentialDecay(0.8, 10, 0.25), {0: 0.8, 5: 0.4, 10: 0.2, 20: 0.05}),
    (ExponentialDecay(0.8, 10, 0.5, staircase=True), {0: 0.8, 9: 0.8, 10: 0.4, 19: 0.4, 20: 0.2}),
    (InverseTimeDecay(0.8, 10, 1.0), {0: 0.8, 10: 0.4, 30: 0.2}),
    (InverseTimeDecay(0.8, 10, 1.0, staircase=True), {9: 0.8, 10: 0.4, 29: 0.8 / 3, 30: 0.2}),
    (PiecewiseConstantDecay([10, 20], [0.4, 0.2, 0.1]), {0: 0.4, 10: 0.4, 11: 0.2, 20: 0.2, 21: 0.1, 999: 0.1}),
    (PolynomialDecay(1.0, 10, 0.1), {0: 1.0, 5: 0.55, 10: 0.1, 11: 0.1}),
    (PolynomialDecay(1.0, 10, 0.0, power=2.0), {0: 1.0, 5: 0.25, 10: 0.0}),
    (PolynomialDecay(1.0, 10, 0.0, cycle=True), {0: 1.0, 10: 0.0, 11: 0.45, 20: 0.0, 21: 0.3, 30: 0.0}),
    (CosineDecay(0.8, 12), {0: 0.8, 4: 0.6, 6: 0.4, 12: 0.0, 13: 0.0}),
    (CosineDecay(0.8, 12, alpha=0.5), {0: 0.8, 6: 0.6, 12: 0.4, 99: 0.4}),
    (CosineDecay(0.2, 12, warmup_target=0.8, warmup_steps=3), {0: 0.2, 1: 0.4, 3: 0.8, 9: 0.4, 15: 0.0}),
    (CosineDecay(0.2, 12, warmup_target=0.8), {0: 0.8, 6: 0.4, 12: 0.0}),
    (CosineDecayRestarts(0.8, 4), {0: 0.8, 2: 0.4, 4: 0.8, 8: 0.4, 12: 0.8, 20: 0.4, 28: 0.8}),
    (CosineDecayRestarts(0.8, 4, t_mul=1.0, m_mul=0.5), {0: 0.8, 2: 0.4, 4: 0.4, 6: 0.2, 8: 0.2}),
    (CosineDecayRestarts(0.8, 4, alpha=0.5), {0: 0.8, 2: 0.6, 4: 0.8}),
    (OneCycle(1.0, 100), {0: 0.04, 15: 0.52, 30: 1.0, 65: 0.500005, 100: 1e-5, 200: 1e-5}),
    (
        OneCycle(1.0, 10, warmup_share=0.5, initial_divisor=2.0, final_divisor=4.0),
        {0: 0.5, 5: 1.0, 10: 0.25, 6: 0.25 + 0.75 * 0.5 * (1 + math.cos(math.pi / 5))},
    ),
]
IDS = [repr(schedule) for schedule, _ in BY_HAND]


@pytest.mark.parametrize(("schedule", "rates"), BY_HAND, ids=IDS)
def test_rates_by_hand(engine: str, schedule: LearningRateSchedule, rates: dict[int, float]) -> None:
    for step, rate in rates.items():
        found = schedule(step)
        assert (found.shape, found.dtype) == ((), "float32")
        assert_close(found.numpy(), np.float32(rate), atol=ENGINE_RTOL, what=f"step {step}")


@pytest.mark.parametrize(("schedule", "rates"), BY_HAND, ids=IDS)
def test_a_compiled_rate_is_the_rate(engine: str, schedule: LearningRateSchedule, rates: dict[int, float]) -> None:
    here = engines.current()
    compiled = here.trace(lambda step: schedule(Tensor(step)).array, {})
    for step, rate in rates.items():
        assert_close(here.to_numpy(compiled(here.asarray(step))), np.float32(rate), atol=ENGINE_RTOL, what=f"{step}")


JUMPS: list[tuple[Any, Any]] = [
    (lambda n: ExponentialDecay(1.0, n, 0.5, staircase=True), lambda k: 0.5**k),
    (lambda n: InverseTimeDecay(1.0, n, 1.0, staircase=True), lambda k: 1 / (1 + k)),
    (lambda n: PolynomialDecay(1.0, n, 0.25, cycle=True), lambda k: 0.25 if k else 1.0),
    (lambda n: PolynomialDecay(1.0, n, 0.25, power=0.5), lambda k: 0.25 if k else 1.0),
    (lambda n: CosineDecayRestarts(1.0, n, t_mul=1.0), lambda k: 1.0),
]


@pytest.mark.parametrize(("make", "right"), JUMPS, ids=[repr(make(41)) for make, _ in JUMPS])
def test_whole_numbers_are_whole_under_a_compiler_too(traced_engine: engines.Engine, make: Any, right: Any) -> None:
    for n in (41, 47, 55, 97):  # n * (1 / n), as XLA computes n / n, is below 1 in float32
        schedule = make(n)
        compiled = traced_engine.trace(lambda step, s=schedule: s(Tensor(step)).array, {})
        for k in (0, 1, 2, 3, 5):
            rate = traced_engine.to_numpy(compiled(traced_engine.asarray(k * n)))
            assert_close(rate, np.float32(right(k)), atol=ENGINE_RTOL, what=f"{n=}, {k=}")


def test_one_cycle_rises_and_falls_without_a_jump() -> None:
    rates = np.array([OneCycle(0.5, 200)(step).item() for step in range(220)])
    assert np.argmax(rates) == 60
    assert (np.diff(rates[:61]) > 0).all()
    assert (np.diff(rates[60:201]) < 0).all()
    assert (rates[200:] == rates[200]).all()
    assert np.abs(np.diff(rates)).max() < 0.5 * math.pi / 2 / 60 * 1.01  # the steepest of half a cosine


# --- in an optimizer -------------------------------------------------------------------------------------------------


class Halving(LearningRateSchedule):
    """One's own: 1, 1/2, 1/3 ..."""

    def __init__(self, start: float) -> None:
        self.start = start

    def __call__(self, step: Any) -> Tensor:
        return self.start / ops.cast(step + 1, "float32")


def test_each_step_takes_its_rate(engine: str) -> None:
    optimizer, w = SGD(Halving(0.5)), Variable([1.0])
    here = engines.current()

    def step(g: Any) -> Any:
        optimizer.apply_gradients([(Tensor(g), w)])
        return w.array

    optimizer.build([w])
    compiled = here.trace(step, {"w": w} | optimizer.state())
    found = []
    for _ in range(4):
        compiled(here.asarray(np.float32([1.0])))
        found.append(w.item())
    assert found == pytest.approx([0.5, 0.25, 0.25 - 0.5 / 3, 0.25 - 0.5 / 3 - 0.125])
    assert float(optimizer.learning_rate) == pytest.approx(0.1)  # of the step to come


def test_a_schedule_counts_calls_where_gradients_are_accumulated(engine: str) -> None:
    optimizer, w = SGD(PiecewiseConstantDecay([1], [1.0, 0.5]), gradient_accumulation_steps=2), Variable([0.0])
    found = []
    for _ in range(4):
        optimizer.apply_gradients([(Tensor([1.0]), w)])
        found.append(w.item())
    assert found == [0.0, -1.0, -1.0, -1.5]  # after 1 and 3 calls so far
    assert int(optimizer.iterations) == 2


def test_a_schedule_may_be_set_before_the_first_step() -> None:
    optimizer = SGD(0.1)
    optimizer.learning_rate = CosineDecay(0.5, 10)
    assert float(optimizer.learning_rate) == 0.5
    assert "learning_rate" not in optimizer.state()


def test_a_function_without_arguments_is_called_in_each_step() -> None:
    rates = iter([0.5, 0.25])
    optimizer, w = SGD(lambda: next(rates)), Variable([1.0])
    for _ in range(2):
        optimizer.apply_gradients([(Tensor([1.0]), w)])
    assert w.item() == 0.25


# --- configuration ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("schedule", "rates"), BY_HAND, ids=IDS)
def test_a_schedule_is_made_again_from_its_configuration(
    schedule: LearningRateSchedule, rates: dict[int, float]
) -> None:
    config = json.loads(json.dumps(schedules.serialize(schedule)))
    again = schedules.deserialize(config)
    assert type(again) is type(schedule)
    assert again.get_config() == schedule.get_config()
    assert eval(repr(schedule), vars(schedules)).get_config() == schedule.get_config()


@pytest.mark.parametrize("name", optimizers.names)
@pytest.mark.parametrize("schedule", [CosineDecay(0.5, 10, warmup_target=1.0, warmup_steps=3), OneCycle(0.5, 10)])
def test_an_optimizer_carries_its_schedule_in_its_configuration(name: str, schedule: LearningRateSchedule) -> None:
    optimizer = optimizers.get({"class_name": name, "config": {"learning_rate": schedules.serialize(schedule)}})
    config = json.loads(json.dumps({"class_name": type(optimizer).__name__, "config": optimizer.get_config()}))
    again = optimizers.get(config)
    assert again.get_config() == optimizer.get_config()
    assert float(again.learning_rate) == schedule(0).item()
    assert repr(again) == f"{type(optimizer).__name__}(learning_rate={type(schedule).__name__}(...))"
    assert optimizers.is_known(again)


def test_what_a_file_cannot_hold_is_not_known() -> None:
    assert not optimizers.is_known(SGD(Halving(0.5)))
    assert not optimizers.is_known(SGD(lambda: 0.5))
    assert not optimizers.is_known(type("Own", (SGD,), {})())
    assert optimizers.is_known(SGD(0.5))


def test_a_users_schedule_comes_back_with_its_class() -> None:
    config = schedules.serialize(Halving(0.5))
    assert float(schedules.deserialize(config, {"Halving": Halving})(1)) == 0.25


# --- what is refused -------------------------------------------------------------------------------------------------


def built() -> SGD:
    optimizer = SGD(0.1)
    optimizer.build([Variable([1.0])])
    return optimizer


REFUSED: list[tuple[Any, str]] = [
    (lambda: ExponentialDecay(0.1, 0, 0.5), "ExponentialDecay: expected decay_steps > 0. Got: decay_steps=0"),
    (lambda: InverseTimeDecay(0.1, -1, 0.5), "decay_steps=-1"),
    (lambda: PolynomialDecay(0.1, 0), "decay_steps=0"),
    (lambda: CosineDecay(0.1, 0), "decay_steps=0"),
    (lambda: CosineDecay(0.1, "ten"), "decay_steps='ten'"),
    (lambda: CosineDecay("high", 10), "initial_learning_rate as a finite number. Got: initial_learning_rate='high'"),
    (lambda: CosineDecayRestarts(0.1, 0), "first_decay_steps=0"),
    (lambda: CosineDecayRestarts(0.1, 10, t_mul=0.5), "t_mul >= 1"),
    (lambda: PiecewiseConstantDecay([1, 2], [0.1, 0.2]), "one value more than boundaries"),
    (lambda: PiecewiseConstantDecay([2, 1], [0.1, 0.2, 0.3]), "ascending boundaries"),
    (lambda: PiecewiseConstantDecay([], [0.1]), "boundaries"),
    (lambda: OneCycle(0.1, 0), "total_steps > 0"),
    (lambda: OneCycle(-0.1, 10), "maximum_learning_rate > 0"),
    (lambda: OneCycle(0.1, 10, warmup_share=1.0), "0 < warmup_share < 1"),
    (
        lambda: schedules.deserialize({"class_name": "Cosine", "config": {}}),
        "schedule identifier: 'Cosine'.*CosineDecay",
    ),
    (lambda: schedules.deserialize("CosineDecay"), "schedules.deserialize: expected .*class_name"),
    (lambda: schedules.deserialize({"class_name": "SGD", "config": {}}), "schedule identifier: 'SGD'"),
    (
        lambda: setattr(SGD(CosineDecay(0.1, 10)), "learning_rate", 0.5),
        r"SGD: expected no number .*CosineDecay\(.*0\.5",
    ),
    (lambda: setattr(SGD(lambda: 0.1), "learning_rate", 0.5), "SGD: expected no number"),
    (
        lambda: setattr(built(), "learning_rate", CosineDecay(0.1, 10)),
        "a schedule before the first step.*Compile again",
    ),
    (lambda: SGD(lambda step: 0.1 / step), "a function of no arguments.*LearningRateSchedule"),
    (lambda: SGD(CosineDecay), "SGD: expected a learning rate >= 0"),
]


@pytest.mark.parametrize(("act", "message"), REFUSED, ids=[message for _, message in REFUSED])
def test_what_makes_no_schedule_is_refused(act: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        act()


def test_the_base_class_says_what_to_define() -> None:
    with pytest.raises(NotImplementedError, match=r"LearningRateSchedule: expected a method __call__\(self, step\)"):
        LearningRateSchedule()(0)


def test_a_saved_rate_is_exactly_the_same() -> None:
    schedule = CosineDecay(0.1, 1000, warmup_target=0.3, warmup_steps=41)
    again = schedules.deserialize(json.loads(json.dumps(schedules.serialize(schedule))))
    for step in range(0, 1100, 37):
        assert_close(again(step).numpy(), schedule(step).numpy(), atol=EXACT)
