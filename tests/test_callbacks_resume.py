"""A callback that is given back its state decides and writes as if the run had never been cut."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import assert_same_bits
from netchu import random
from netchu.callbacks import (
    BackupAndRestore,
    Callback,
    CSVLogger,
    EarlyStopping,
    History,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    RunLog,
    TensorBoard,
)
from netchu.optimizers import SGD
from small_nets import classifier, clusters

VALUES = [1.0, 0.8, 0.9, 0.95, 0.85, 0.99, 0.7, 0.75]


class Killed(Exception):
    """Stands for a power failure."""


class Script(Callback):
    """Gives `val_loss` the values of VALUES."""

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        logs["val_loss"] = VALUES[epoch]


def makers(folder: Path) -> dict[str, Any]:
    """Each callback with a state, new, writing into a folder."""
    return {
        "early stopping": lambda: EarlyStopping(patience=4, restore_best_weights=True),
        "plateau": lambda: ReduceLROnPlateau(patience=2, factor=0.5, cooldown=1, verbose=1),
        "checkpoint": lambda: ModelCheckpoint(folder / "{epoch}.safetensors", save_best_only=True, verbose=1),
        "checkpoint by batches": lambda: ModelCheckpoint(folder / "{epoch}-{batch}.safetensors", save_freq=2),
        "csv": lambda: CSVLogger(folder / "log.csv"),
        "run log": lambda: RunLog(folder / "run", batch_freq=2),
    }


STATEFUL = list(makers(Path()))


def after_json(state: Any) -> Any:
    """What a file of JSON and arrays gives back."""
    if isinstance(state, np.ndarray):
        return state.copy()
    if isinstance(state, dict):
        return {name: after_json(value) for name, value in state.items()}
    if isinstance(state, list):
        return [after_json(value) for value in state]
    return json.loads(json.dumps(state, allow_nan=False))


def fit(model: Any, callback: Callback, first: int, last: int, *others: Callback) -> None:
    listeners = [Script(), callback, *others]
    x, y = clusters(30)
    model.fit(x, y, batch_size=10, initial_epoch=first, epochs=last, shuffle=False, callbacks=listeners, verbose=0)


def outcome(folder: Path) -> dict[str, Any]:
    """Every file in a folder, times and process numbers left out."""
    texts = {}
    for path in sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "run.json"):
        texts[str(path.relative_to(folder))] = re.sub(rb'"time": [0-9.e-]+', b"", path.read_bytes())
    return texts


@pytest.mark.parametrize("cut", [1, 3, 5])
@pytest.mark.parametrize("name", STATEFUL)
def test_cut_and_resumed_is_as_undisturbed(
    name: str, cut: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "cut").mkdir()
    model, epochs = classifier(optimizer=SGD(0.01)), 8
    fit(model, makers(tmp_path / "whole")[name](), 0, epochs)
    weights, said = model.get_weights(), capsys.readouterr().out.replace("whole", "cut")

    make, states = makers(tmp_path / "cut")[name], []
    model, first = classifier(optimizer=SGD(0.01)), make()
    at_the_cut = LambdaCallback(on_epoch_end=lambda epoch, logs: states.append(after_json(first.get_state())))

    def kill(epoch: int, logs: Any) -> None:
        if epoch == cut:  # an epoch after the checkpoint; its records are on disk, and are to be made again
            raise Killed

    variables: list[list[np.ndarray]] = []

    def copy(epoch: int, logs: Any) -> None:
        variables.append([v.numpy().copy() for v in (*model.weights, *model.optimizer.variables)])

    with pytest.raises(Killed):
        fit(model, first, 0, epochs, at_the_cut, LambdaCallback(on_epoch_end=copy), LambdaCallback(on_epoch_end=kill))
    said_before = capsys.readouterr().out
    for variable, array in zip((*model.weights, *model.optimizer.variables), variables[cut - 1]):
        variable.assign(array)
    again = make()
    fit(model, again, cut, epochs, LambdaCallback(on_train_begin=lambda logs: again.set_state(states[cut - 1])))

    assert outcome(tmp_path / "cut") == outcome(tmp_path / "whole")
    for a, b in zip(model.get_weights(), weights):
        assert_same_bits(a, b)
    again_said = capsys.readouterr().out
    kept = said_before.split(f"\nEpoch {cut + 1}:")[0]  # what the lost epoch said is said again
    assert kept + again_said == said


def test_history_goes_on() -> None:
    history, again = History(), History()
    for epoch, loss in enumerate([3.0, 2.0, 1.0]):
        history.on_epoch_end(epoch, {"loss": loss})
    again.set_state(after_json(history.get_state()))
    for one in (history, again):
        one.on_epoch_end(3, {"loss": 0.5, "val_loss": 1.0})
    assert again.history == history.history == {"loss": [3.0, 2.0, 1.0, 0.5], "val_loss": [1.0]}
    assert again.epoch == [0, 1, 2, 3]


@pytest.mark.parametrize("name", STATEFUL)
def test_a_state_does_not_change_afterwards(name: str, tmp_path: Path) -> None:
    callback = makers(tmp_path)[name]()
    states: list[Any] = []
    copies: list[Any] = []

    def keep(epoch: int, logs: Any) -> None:
        states.append(callback.get_state())
        copies.append(after_json(states[-1]))

    fit(classifier(optimizer=SGD(0.01)), callback, 0, 3, LambdaCallback(on_epoch_end=keep))
    for state, copy in zip(states, copies):
        np.testing.assert_equal(state, copy)


# --- with BackupAndRestore -------------------------------------------------------------------------------------------


def listeners(folder: Path) -> list[Callback]:
    return [
        Script(),
        LearningRateScheduler(lambda epoch, rate: rate * 0.9),
        *(make() for make in makers(folder).values()),
        TensorBoard(folder / "logs", update_freq=1),
        BackupAndRestore(folder / "backup", save_freq=2),
    ]


@pytest.mark.parametrize("kill_at", [1, 4, 5, 10, 14])
def test_killed_at_any_batch_and_started_again(kill_at: int, tmp_path: Path) -> None:
    x, y = clusters(30)
    shared: dict[str, Any] = {"batch_size": 10, "epochs": 6, "verbose": 0}

    def start(folder: Path, *others: Callback) -> Any:
        folder.mkdir(exist_ok=True)
        random.set_seed(0)
        model = classifier(optimizer=SGD(0.01))
        history = model.fit(x, y, callbacks=[*listeners(folder), *others], **shared)
        return history.history, history.epoch, model.get_weights()

    batches: list[int] = []

    def kill(batch: int, logs: Any) -> None:
        batches.append(batch)
        if len(batches) == kill_at:
            raise Killed

    whole = start(tmp_path / "whole")
    with pytest.raises(Killed):
        start(tmp_path / "cut", LambdaCallback(on_train_batch_end=kill))
    resumed = start(tmp_path / "cut")
    assert resumed[:2] == whole[:2]
    for a, b in zip(resumed[2], whole[2]):
        assert_same_bits(a, b)
    files = {name: text for name, text in outcome(tmp_path / "cut").items() if "tfevents" not in name}
    assert files == {name: text for name, text in outcome(tmp_path / "whole").items() if "tfevents" not in name}
