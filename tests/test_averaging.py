"""Averaged weights in `fit`: what training ends with, what is evaluated, and what is saved.

Real Keras judges the numbers in test_judge_optimizers.py; runs that are cut go on in test_resume.py.
"""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import assert_same_bits
from netchu import Sequential
from netchu.callbacks import BackupAndRestore, Callback, EarlyStopping, LambdaCallback, ModelCheckpoint, SwapEMAWeights
from netchu.errors import UsageError
from netchu.models import load_model
from netchu.optimizers import Adam
from small_nets import classifier, clusters

X, Y = clusters(40)


def averaging(**settings: Any) -> Sequential:
    return classifier(optimizer=Adam(0.02, use_ema=True, ema_momentum=0.9, **settings))


def fit(model: Sequential, *callbacks: Callback, **settings: Any) -> Any:
    shared = {"batch_size": 10, "epochs": 3, "verbose": 0, "shuffle": False, "validation_data": (X[:9], Y[:9])}
    return model.fit(X, Y, callbacks=list(callbacks), **(shared | settings))


def averages(model: Sequential) -> list[np.ndarray]:
    assert model.optimizer is not None
    return [slots["moving_average"].numpy().copy() for slots in model.optimizer.slots]


def assert_same(some: list[np.ndarray], others: list[np.ndarray]) -> None:
    for one, other in zip(some, others, strict=True):
        assert_same_bits(one, other)


class Notes(Callback):
    """The weights that stand in the model at each of some hooks."""

    def __init__(self, *hooks: str) -> None:
        self.weights: dict[str, list[list[np.ndarray]]] = {hook: [] for hook in hooks}
        for hook in hooks:
            setattr(self, hook, lambda *_, hook=hook: self.weights[hook].append(self.model.get_weights()))


def in_training() -> list[list[np.ndarray]]:
    """The weights after each epoch of the same training without averages."""
    notes = Notes("on_epoch_end")
    fit(classifier(optimizer=Adam(0.02)), notes)
    return notes.weights["on_epoch_end"]


def test_training_ends_with_the_averages_and_every_callback_sees_it(engine: str) -> None:
    model, notes = averaging(), Notes("on_epoch_end", "on_train_end")
    fit(model, notes)
    assert_same(model.get_weights(), averages(model))
    assert_same(notes.weights["on_train_end"][0], averages(model))
    for own, right in zip(notes.weights["on_epoch_end"], in_training(), strict=True):
        assert_same(own, right)  # averaging does not change the training


def test_best_weights_that_are_brought_back_have_the_last_word() -> None:
    model, notes = averaging(), Notes("on_epoch_end")
    fit(model, notes, EarlyStopping("loss", mode="max", restore_best_weights=True))
    assert_same(model.get_weights(), notes.weights["on_epoch_end"][0])


def test_no_epoch_and_no_step_change_nothing() -> None:
    model = averaging()
    before = model.get_weights()
    fit(model, epochs=3, initial_epoch=3)
    assert_same(model.get_weights(), before)
    model.train_on_batch(X, Y)
    before = model.get_weights()
    fit(model, epochs=0)
    assert_same(model.get_weights(), before)


def test_the_settings_are_in_both_kinds_of_file(tmp_path: Path) -> None:
    model = averaging(ema_overwrite_frequency=3)
    for name in ("model.keras", "model.safetensors"):
        model.save(tmp_path / name)
        assert load_model(tmp_path / name).optimizer.get_config() == model.optimizer.get_config()
    assert repr(model.optimizer).endswith("use_ema=True, ema_momentum=0.9, ema_overwrite_frequency=3)")


@pytest.mark.parametrize("swap_on_epoch", [False, True])
def test_validation_is_of_the_averages_and_training_of_the_weights(engine: str, swap_on_epoch: bool) -> None:
    model, notes = averaging(), Notes("on_epoch_begin", "on_test_batch_end", "on_epoch_end", "on_train_end")
    seen: list[list[np.ndarray]] = []
    fit(
        model,
        SwapEMAWeights(swap_on_epoch),
        LambdaCallback(on_test_begin=lambda _: seen.append(averages(model))),
        notes,
    )
    right = in_training()
    for begun, trained in zip(notes.weights["on_epoch_begin"][1:], right):
        assert_same(begun, trained)
    for validated, average in zip(notes.weights["on_test_batch_end"], seen, strict=True):
        assert_same(validated, average)
    for ended, expected in zip(notes.weights["on_epoch_end"], seen if swap_on_epoch else right, strict=True):
        assert_same(ended, expected)
    assert_same(notes.weights["on_train_end"][0], averages(model))
    assert_same(averages(model), seen[-1])


def test_evaluate_and_predict_borrow_the_averages() -> None:
    model = averaging()
    for _ in range(3):
        model.train_on_batch(X, Y)
    before = model.get_weights()
    with_averages = model.evaluate(X, Y, verbose=0, callbacks=[SwapEMAWeights()])
    predicted = model.predict(X, verbose=0, callbacks=SwapEMAWeights())
    assert_same(model.get_weights(), before)
    assert with_averages != model.evaluate(X, Y, verbose=0)
    model.set_weights(averages(model))
    assert with_averages == model.evaluate(X, Y, verbose=0)
    assert_same_bits(predicted, model.predict(X, verbose=0))


def test_a_training_that_stops_early_ends_with_the_averages() -> None:
    model, stop = averaging(), EarlyStopping("loss", mode="max")
    fit(model, SwapEMAWeights(swap_on_epoch=True), stop)
    assert stop.stopped_epoch == 1
    assert_same(model.get_weights(), averages(model))


def test_a_training_that_failed_goes_on_with_its_weights() -> None:
    model, swap = averaging(), SwapEMAWeights(swap_on_epoch=True)
    notes = Notes("on_epoch_begin")

    def fail(epoch: int, logs: Any) -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        fit(model, swap, LambdaCallback(on_epoch_end=fail))
    assert_same(model.get_weights(), averages(model))
    fit(model, swap, notes)
    assert_same(notes.weights["on_epoch_begin"][0], in_training()[0])


def test_a_checkpoint_behind_it_saves_the_averages(tmp_path: Path) -> None:
    model = averaging()
    path = tmp_path / "{epoch}.keras"
    fit(model, SwapEMAWeights(swap_on_epoch=True), ModelCheckpoint(path), epochs=1)
    saved = load_model(tmp_path / "1.keras")
    assert_same(saved.get_weights(), averages(model))
    assert_same(averages(saved), averages(model))


def test_a_model_that_is_read_goes_on_averaging(tmp_path: Path) -> None:
    model = averaging(ema_overwrite_frequency=3)
    for _ in range(2):
        model.train_on_batch(X, Y)
    model.save(tmp_path / "model.keras")
    again = load_model(tmp_path / "model.keras")
    for each in (model, again):
        fit(each)
    assert_same([*again.get_weights(), *averages(again)], [*model.get_weights(), *averages(model)])


def test_validation_cut_by_a_signal_leaves_averages_in_the_model_and_the_run_as_it_was(tmp_path: Path) -> None:
    whole = averaging()
    fit(whole, SwapEMAWeights())

    def interrupt(batch: int, logs: Any) -> None:
        signal.raise_signal(signal.SIGINT)

    cut = averaging()
    history = fit(cut, SwapEMAWeights(), LambdaCallback(on_test_batch_begin=interrupt), BackupAndRestore(tmp_path),
                  validation_batch_size=3)  # fmt: skip
    assert history.interrupted
    assert_same(cut.get_weights(), averages(cut))
    again = averaging()
    fit(again, SwapEMAWeights(), LambdaCallback(), BackupAndRestore(tmp_path), validation_batch_size=3)
    assert_same([*again.get_weights(), *averages(again)], [*whole.get_weights(), *averages(whole)])


def test_an_optimizer_without_averages_is_refused_before_training() -> None:
    model = classifier(optimizer=Adam())
    before = model.get_weights()
    with pytest.raises(UsageError, match=r"SwapEMAWeights.*optimizer=Adam\(\).*Adam\(use_ema=True\)"):
        fit(model, SwapEMAWeights())
    with pytest.raises(UsageError, match="SwapEMAWeights"):
        model.evaluate(X, Y, verbose=0, callbacks=[SwapEMAWeights()])
    assert_same(model.get_weights(), before)
