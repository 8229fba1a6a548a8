"""Callbacks that decide by one figure, on Keras's own traces: when to stop, how fast to learn, which way is better."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from helpers import golden
from netchu import metrics, optimizers
from netchu.callbacks import (
    Callback,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
)
from netchu.errors import UsageError
from small_nets import classifier, clusters


class Script(Callback):
    """Puts given values into `logs`, one an epoch; `None` leaves the figure out."""

    def __init__(self, values: list[Any], name: str = "val_loss") -> None:
        self.values, self.name = values, name

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        if self.values[epoch] is not None:
            logs[self.name] = self.values[epoch]


def scripted(values: list[Any], *callbacks: Callback, name: str = "val_loss", **compiled: Any) -> Any:
    """The History of a fit whose figure `name` takes these values."""
    model = classifier(**compiled)
    listeners = [Script(values, name), *callbacks]
    return model.fit(*clusters(6), epochs=len(values), callbacks=listeners, verbose=0)


def called(case: dict[str, Any]) -> str:
    return ",".join(f"{name}={value}" for name, value in case["kw"].items())


# --- EarlyStopping ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", golden()["early_stopping"], ids=called)
def test_early_stopping_stops_where_keras_does(case: dict[str, Any]) -> None:
    stopping = EarlyStopping(**case["kw"])
    history = scripted(case["vals"], stopping)
    assert len(history.epoch) == case["epochs_run"]
    assert stopping.stopped_epoch == case["stopped_epoch"]
    assert stopping.best == case["best"]
    assert stopping.best_epoch == case["best_epoch"]


def weights_of_each_epoch(values: list[float], **settings: Any) -> tuple[list[Any], Any]:
    """The first weight after each epoch, and at the end."""
    seen: list[Any] = []
    model = classifier()
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.get_weights()[0]))
    listeners = [Script(values), EarlyStopping(**settings), note]
    model.fit(*clusters(6), epochs=len(values), callbacks=listeners, verbose=0)
    return seen, model.get_weights()[0]


RESTORED = {
    "stopped": ([1.0, 0.5, 0.6, 0.7, 0.8], {"patience": 2}, 1),
    "ran to the end": ([1.0, 0.5, 0.6], {"patience": 9}, 1),
    "nothing beats the baseline": ([1.0, 0.9, 0.95], {"patience": 9, "baseline": 0.1}, 1),
    "before the start": ([0.1, 0.9, 0.8, 0.85], {"patience": 9, "start_from_epoch": 1}, 2),
}


@pytest.mark.parametrize("case", RESTORED)
def test_best_weights_come_back(case: str) -> None:
    values, settings, best = RESTORED[case]
    seen, final = weights_of_each_epoch(values, restore_best_weights=True, **settings)
    assert np.array_equal(final, seen[best])
    assert not np.array_equal(final, seen[-1])


def test_weights_stay_unless_asked() -> None:
    seen, final = weights_of_each_epoch([1.0, 0.5, 0.6, 0.7])
    assert np.array_equal(final, seen[-1])


def test_early_stopping_says_what_keras_says(capsys: pytest.CaptureFixture[str]) -> None:
    scripted([1.0, 0.5, 0.6, 0.7, 0.8], EarlyStopping(patience=2, verbose=1, restore_best_weights=True))
    assert capsys.readouterr().out == (
        "Epoch 4: early stopping\nRestoring model weights from the end of the best epoch: 2.\n"
    )


def test_early_stopping_begins_anew_with_each_fit() -> None:
    stopping = EarlyStopping()
    for _ in range(2):
        assert len(scripted([1.0, 2.0, 3.0], stopping).epoch) == 2


# --- which way is better ---------------------------------------------------------------------------------------------


def rises(y_true: Any, y_pred: Any) -> Any:
    return y_pred[:, 0]


DIRECTIONS: dict[str, tuple[dict[str, Any], str, list[float], int]] = {  # compile, monitor, values, epochs that run
    "loss": ({}, "loss", [2.0, 1.0, 0.5, 0.4], 4),
    "val_loss": ({}, "val_loss", [1.0, 2.0, 3.0, 4.0], 2),
    "accuracy": ({}, "val_accuracy", [0.1, 0.2, 0.3, 0.4], 4),
    "accuracy falls": ({}, "val_accuracy", [0.4, 0.3, 0.2, 0.1], 2),
    "acc": ({"metrics": ["acc"]}, "acc", [0.1, 0.2, 0.3, 0.4], 4),
    "weighted": ({"weighted_metrics": ["accuracy"]}, "weighted_accuracy", [0.1, 0.2, 0.3, 0.4], 4),
}


@pytest.mark.parametrize("case", DIRECTIONS)
def test_auto_mode_knows_which_way_is_better(case: str) -> None:
    compiled, monitor, values, epochs = DIRECTIONS[case]
    stopping = EarlyStopping(monitor=monitor, patience=1)
    assert len(scripted(values, stopping, name=monitor, **compiled).epoch) == epochs


def test_a_metric_may_say_it_itself() -> None:
    down = metrics.MeanMetricWrapper(rises, "mine")
    down.direction = "down"
    stopping = EarlyStopping(monitor="mine", patience=1)
    assert len(scripted([1.0, 2.0, 3.0], stopping, name="mine", metrics=[down]).epoch) == 2


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau])
@pytest.mark.parametrize(("monitor", "compiled"), [("mine", {}), ("val_rises", {"metrics": [rises]})])
def test_auto_mode_asks_for_mode_where_it_cannot_know(make: Any, monitor: str, compiled: Any) -> None:
    with pytest.raises(
        UsageError, match=f"{make.__name__} callback received monitor={monitor}, but .* Pass `mode='max'`"
    ):
        scripted([1.0], make(monitor=monitor), **compiled)


@pytest.mark.parametrize(("mode", "epochs"), [("min", 4), ("max", 2)])
def test_mode_decides_over_the_name(mode: str, epochs: int) -> None:
    assert len(scripted([4.0, 3.0, 2.0, 1.0], EarlyStopping(mode=mode, patience=1)).epoch) == epochs


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau, lambda mode: ModelCheckpoint("m.keras", mode=mode)])
def test_an_unknown_mode_is_a_warning_and_auto(make: Any) -> None:
    with pytest.warns(UserWarning, match="mode 'least' is unknown, fallback to auto mode") as caught:
        assert make(mode="least").mode == "auto"
    assert len(caught) == 1


def test_change_is_compared_in_float32() -> None:
    stopping = EarlyStopping(patience=1)
    assert len(scripted([1.0, 1.0 - 1e-9, 1.0 - 2e-9], stopping).epoch) == 2  # no change in float32: not better


MISSING = {
    EarlyStopping: (
        "Early stopping conditioned on metric `val_loss` which is not available. Available metrics are: accuracy,loss"
    ),
    ReduceLROnPlateau: (
        "Learning rate reduction is conditioned on metric `val_loss` which is not available. "
        "Available metrics are: accuracy,loss,learning_rate."
    ),
}


@pytest.mark.parametrize("make", MISSING)
def test_a_figure_that_is_missing_is_keras_warning(make: Any) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert len(scripted([None, None], make()).epoch) == 2
    assert [str(w.message) for w in caught] == [MISSING[make]] * 2


# --- the learning rate -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", golden()["reduce_lr"], ids=called)
def test_plateaus_lower_the_learning_rate_where_keras_does(case: dict[str, Any], engine: str) -> None:
    values, optimizer = golden()["early_stopping"][0]["vals"], optimizers.SGD(0.01)
    history = scripted(values, ReduceLROnPlateau(**case["kw"]), optimizer=optimizer)
    assert history.history["learning_rate"] == case["learning_rate_log"]
    assert float(optimizer.learning_rate) == case["final"]


def test_plateau_says_what_keras_says(capsys: pytest.CaptureFixture[str]) -> None:
    scripted([1.0, 1.0], ReduceLROnPlateau(patience=1, factor=0.5, verbose=1), optimizer=optimizers.SGD(0.01))
    assert capsys.readouterr().out == ("\nEpoch 2: ReduceLROnPlateau reducing learning rate to 0.004999999888241291.\n")


def test_a_factor_that_lowers_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match=r"ReduceLROnPlateau does not support a factor >= 1\.0: .* Got: factor=1\.0"):
        ReduceLROnPlateau(factor=1.0)


SCHEDULES = {
    "of two": lambda epoch, rate: rate * 0.5,
    "of one": lambda epoch: 0.01 * 0.5 ** (epoch + 1),
    "with a default": lambda epoch, rate, factor=0.5: np.float32(rate * factor),
}


@pytest.mark.parametrize("form", SCHEDULES)
def test_schedule_sets_each_epochs_rate(form: str, engine: str) -> None:
    scheduler = LearningRateScheduler(SCHEDULES[form])
    history = scripted([1.0, 1.0, 1.0], scheduler, optimizer=optimizers.SGD(0.01))
    assert history.history["learning_rate"] == pytest.approx([0.005, 0.0025, 0.00125], rel=1e-6)


def test_schedule_reaches_the_compiled_step(engine: str) -> None:
    seen: list[Any] = []
    model = classifier(optimizer=optimizers.SGD(0.1))
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.get_weights()[0]))
    stop_at_1 = LearningRateScheduler(lambda epoch: 0.1 if epoch == 0 else 0.0)
    model.fit(*clusters(6), epochs=3, callbacks=[stop_at_1, note], verbose=0)
    assert np.array_equal(seen[0], seen[1])
    assert np.array_equal(seen[1], seen[2])


def test_schedule_must_give_a_float() -> None:
    with pytest.raises(UsageError, match=r"output of the `schedule` function should be a float: .* Got: 1 for epoch 0"):
        scripted([1.0], LearningRateScheduler(lambda epoch: 1))


def test_schedule_must_be_a_function() -> None:
    with pytest.raises(UsageError, match=r"LearningRateScheduler: expected a function .* Got: schedule=0.1"):
        LearningRateScheduler(0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize("make", [lambda: LearningRateScheduler(lambda epoch: 0.1), lambda: ReduceLROnPlateau("loss")])
def test_optimizer_with_a_schedule_is_refused_before_the_first_epoch(make: Callable[[], Callback]) -> None:
    schedule = optimizers.schedules.CosineDecay(0.1, 10)
    with pytest.raises(UsageError, match=r"learning rate is a number. Got: learning_rate=CosineDecay\("):
        scripted([1.0], make(), optimizer=optimizers.SGD(schedule))
