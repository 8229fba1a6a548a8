"""Callbacks that write files: models as training goes on, the CSV table, and what happens when the disk will not."""

from __future__ import annotations

import csv
import errno
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import golden
from netchu import Sequential
from netchu.callbacks import (
    Callback,
    CSVLogger,
    EarlyStopping,
    LambdaCallback,
    LearningRateScheduler,
    ModelCheckpoint,
    ReduceLROnPlateau,
    appending,
)
from netchu.errors import UsageError
from netchu.layers import Dense, Input
from netchu.models import load_model
from netchu.optimizers import SGD
from small_nets import classifier, clusters


class Script(Callback):
    """Puts the figures of given epochs in the place of those that training gave."""

    def __init__(self, epochs: list[dict[str, Any]]) -> None:
        self.epochs = epochs

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        assert logs is not None
        logs.clear()
        logs.update(self.epochs[epoch])


def scripted(epochs: list[dict[str, Any]], *callbacks: Callback) -> Any:
    """A model after a fit with these figures, three batches an epoch."""
    model = classifier(optimizer=SGD(0.01))
    model.fit(*clusters(30), batch_size=10, epochs=len(epochs), callbacks=[Script(epochs), *callbacks], verbose=0)
    return model


def losses(*values: float) -> list[dict[str, Any]]:
    return [{"loss": 1.0, "val_loss": value} for value in values]


def files_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- Keras's own texts -----------------------------------------------------------------------------------------------


def test_texts_and_files_are_keras_texts_and_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{name: float(v) for name, v in row.items()} for row in csv.DictReader(golden()["csv"].splitlines())]
    epochs = [{name: value for name, value in row.items() if name != "epoch"} for row in rows]
    name = str(tmp_path / "{epoch:02d}-{val_loss:.2f}.safetensors")
    halving = LearningRateScheduler(lambda epoch, rate: rate * 0.5, verbose=1)
    saving = ModelCheckpoint(name, save_best_only=True, verbose=1)
    scripted(epochs, CSVLogger(tmp_path / "l.csv"), saving, halving)
    said = capsys.readouterr().out.replace(str(tmp_path), "DIR").replace(".safetensors", ".keras")
    assert said == golden()["messages"]
    assert [name.replace(".safetensors", ".keras") for name in files_in(tmp_path)] == golden()["ckpt_files"]
    assert (tmp_path / "l.csv").read_bytes() == golden()["csv"].replace("\n", "\r\n").encode()


# --- ModelCheckpoint -------------------------------------------------------------------------------------------------

SAVED: dict[str, tuple[dict[str, Any], list[float], list[str]]] = {
    "each epoch": ({}, [1.0, 2.0], ["1-1.0", "2-2.0"]),
    "the best": ({"save_best_only": True}, [1.0, 2.0, 0.5], ["1-1.0", "3-0.5"]),
    "the greatest": ({"save_best_only": True, "mode": "max"}, [1.0, 2.0, 0.5], ["1-1.0", "2-2.0"]),
    "better than": ({"save_best_only": True, "initial_value_threshold": 0.7}, [1.0, 0.8, 0.5], ["3-0.5"]),
    "no NaN": ({"save_best_only": True, "initial_value_threshold": 9}, [np.nan, 2.0], ["2-2.0"]),
}


@pytest.mark.parametrize("case", SAVED)
def test_which_epochs_are_saved(case: str, tmp_path: Path) -> None:
    settings, values, saved = SAVED[case]
    scripted(losses(*values), ModelCheckpoint(tmp_path / "{epoch}-{val_loss:.1f}.safetensors", **settings))
    assert files_in(tmp_path) == [f"{name}.safetensors" for name in saved]


def test_every_so_many_batches_across_epochs(tmp_path: Path) -> None:
    scripted(losses(1.0, 1.0, 1.0), ModelCheckpoint(tmp_path / "{epoch}-{batch}.safetensors", save_freq=2))
    assert files_in(tmp_path) == ["1-2.safetensors", "2-1.safetensors", "2-3.safetensors", "3-2.safetensors"]


def test_the_file_holds_the_model_of_that_epoch(tmp_path: Path, engine: str) -> None:
    seen: list[Any] = []
    model = classifier()
    note = LambdaCallback(on_epoch_end=lambda epoch, logs: seen.append(model.get_weights()))
    x, y = clusters(30)
    model.fit(x, y, epochs=3, callbacks=[ModelCheckpoint(tmp_path / "{epoch}.safetensors"), note], verbose=0)
    for epoch, weights in enumerate(seen):
        loaded = load_model(tmp_path / f"{epoch + 1}.safetensors").get_weights()
        assert all(np.array_equal(a, b) for a, b in zip(loaded, weights))


def test_folders_are_made(tmp_path: Path) -> None:
    scripted(losses(1.0), ModelCheckpoint(tmp_path / "a" / "{epoch}" / "m.safetensors"))
    assert (tmp_path / "a" / "1" / "m.safetensors").exists()


@pytest.mark.parametrize(("ending", "alone"), [("keras", False), ("weights.h5", True)])
def test_keras_files(ending: str, alone: bool, tmp_path: Path) -> None:
    model = scripted(losses(1.0, 0.5), ModelCheckpoint(tmp_path / f"{{epoch}}.{ending}", save_weights_only=alone))
    assert files_in(tmp_path) == [f"1.{ending}", f"2.{ending}"]
    again = classifier()
    if alone:
        again.load_weights(tmp_path / f"2.{ending}")
    else:
        again = load_model(tmp_path / f"2.{ending}")
    assert all(np.array_equal(a, b) for a, b in zip(again.get_weights(), model.get_weights()))


def test_no_figure_to_decide_by_saves_every_model(tmp_path: Path) -> None:
    saving = ModelCheckpoint(tmp_path / "{epoch}.safetensors", save_best_only=True)
    with pytest.warns(UserWarning, match="Can save best model only with val_loss available"):
        scripted([{"loss": 1.0}, {"loss": 1.0}], saving)
    assert files_in(tmp_path) == ["1.safetensors", "2.safetensors"]


def test_a_figure_that_is_an_array_saves_every_model(tmp_path: Path) -> None:
    saving = ModelCheckpoint(tmp_path / "{epoch}.safetensors", save_best_only=True)
    with pytest.warns(UserWarning, match=r"only when `monitor` is a scalar value\. Received: \[1\. 2\.\]"):
        scripted([{"val_loss": np.array([1.0, 2.0])}] * 2, saving)
    assert files_in(tmp_path) == ["1.safetensors", "2.safetensors"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "ending": (
        {"filepath": "model.h5"},
        r"The filepath provided must end in `\.safetensors` or `\.keras`: .* filepath='model\.h5'",
    ),
    "ending of weights": (
        {"filepath": "model.keras", "save_weights_only": True},
        r"When using `save_weights_only=True` .* must end in `\.weights\.h5`: .* filepath='model\.keras'",
    ),
    "save_freq": (
        {"filepath": "m.keras", "save_freq": "batch"},
        "Unrecognized save_freq: expected 'epoch' or integer values >= 1. Got: save_freq='batch'",
    ),
    "save_freq 0": ({"filepath": "m.keras", "save_freq": 0}, "Unrecognized save_freq: .* Got: save_freq=0"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_saved_is_refused_at_once(case: str) -> None:
    settings, message = REFUSED[case]
    with pytest.raises(UsageError, match=message):
        ModelCheckpoint(**settings)


def test_a_figure_that_is_missing_after_an_epoch_does_not_end_the_training(tmp_path: Path) -> None:
    words = r"Epoch 1: the model was not saved .* expected names among loss, epoch, which are numbers\. Got: 'f1' in"
    with pytest.warns(RuntimeWarning, match=words):
        model = scripted([{"loss": 1.0}], ModelCheckpoint(tmp_path / "{f1}.safetensors"))
    assert model.history.epoch == [0]


NAMES_NEVER_THERE = {
    "{f1}.keras": "expected names among accuracy, learning_rate, loss, epoch",
    "{val_loss:.2f}.keras": "Got: 'val_loss' in",
    "{batch}.keras": "Got: 'batch' in",
    "{loss:d}.keras": "Unknown format code 'd'",
    "{loss.best}.keras": "has no attribute 'best'",
    "{epoch[0]}.keras": "is not subscriptable",
}


@pytest.mark.parametrize("name", NAMES_NEVER_THERE)
def test_a_name_that_no_figure_will_have_is_refused_before_training(name: str, tmp_path: Path) -> None:
    model = classifier()
    before = model.get_weights()
    with pytest.raises(UsageError, match=re.escape(NAMES_NEVER_THERE[name])):
        model.fit(*clusters(6), callbacks=[ModelCheckpoint(str(tmp_path / name))], verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


@pytest.mark.parametrize(
    "name", ["{epoch", "epoch}", "{}", "{0}", "{epoch!z}", "{{epoch}", "{:d}-{epoch}", "{epoch:02d-{val_loss:.2f}}"]
)
def test_a_form_that_nothing_fills_is_refused_at_once(name: str) -> None:
    with pytest.raises(UsageError, match=r"ModelCheckpoint: .* Got: filepath="):
        ModelCheckpoint(f"{name}.keras")


@pytest.mark.parametrize(
    "name", ["{epoch:02d}-{loss:.2f}-{accuracy:5.1%}.keras", "{val_loss:.2f}{{}}.keras", "{epoch!r}.keras", "a*b.keras"]
)
def test_a_form_that_can_be_filled_is(name: str, tmp_path: Path) -> None:
    saving = ModelCheckpoint(str(tmp_path / name))
    classifier().fit(*clusters(20), validation_split=0.2, callbacks=[saving], verbose=0)
    assert len(files_in(tmp_path)) == 1


@pytest.mark.parametrize("make", [EarlyStopping, ReduceLROnPlateau])
def test_a_figure_to_watch_that_will_not_be_there_is_refused_before_training(make: Any) -> None:
    untouched(make("val_f1"), UsageError, "expected monitor among loss, accuracy, or a mode")


def test_a_model_that_no_file_can_hold_is_refused_before_training(tmp_path: Path) -> None:
    model = Sequential([Input((6,)), Dense(3, activation=lambda x: x)])
    model.compile("sgd", "sparse_categorical_crossentropy")
    before = model.get_weights()
    for name in ("m.keras", "m.safetensors"):
        with pytest.raises(UsageError, match="a function or a class that netchu knows as activation"):
            model.fit(*clusters(6), callbacks=[ModelCheckpoint(tmp_path / name)], verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))
    model = classifier()
    model.info = {"when": object()}
    with pytest.raises(UsageError, match="JSON values"):
        model.fit(*clusters(6), callbacks=[ModelCheckpoint(tmp_path / "m.safetensors")], verbose=0)


@pytest.mark.parametrize("given", [EarlyStopping, "EarlyStopping", 5, {"a": EarlyStopping()}, object()])
def test_what_is_no_list_of_callbacks_is_refused(given: Any) -> None:
    model = classifier()
    for method in (model.fit, model.evaluate):
        with pytest.raises(UsageError, match=r"callbacks=\[EarlyStopping\(\)\]"):
            method(*clusters(6), callbacks=given, verbose=0)


def untouched(callback: Callback, error: type[Exception], message: str) -> None:
    """The callback is refused when training begins, before the first step."""
    model = classifier()
    before = model.get_weights()
    with pytest.raises(error, match=message):
        model.fit(*clusters(6), callbacks=[callback], verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights()))


def test_a_folder_in_the_way_is_found_before_training(tmp_path: Path) -> None:
    (tmp_path / "m.keras").mkdir()
    (tmp_path / "file").write_text("")
    untouched(ModelCheckpoint(tmp_path / "m.keras"), UsageError, "Please specify a non-directory filepath")
    untouched(ModelCheckpoint(tmp_path / "file" / "m.safetensors"), UsageError, "expected a folder that can be written")


def test_a_model_that_cannot_be_saved_does_not_end_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = classifier()
    saving = ModelCheckpoint(tmp_path / "{epoch}.safetensors", save_best_only=True, verbose=1)
    real = type(model).save

    def full_at_first(self: Any, path: str) -> None:
        if path.endswith("2.safetensors"):
            raise OSError(errno.ENOSPC, "No space left on device")
        real(self, path)

    monkeypatch.setattr(type(model), "save", full_at_first)
    with pytest.warns(RuntimeWarning, match=r"Epoch 2: the model was not saved to .*2\.safetensors, .*No space left"):
        model.fit(*clusters(6), epochs=3, callbacks=[Script(losses(1.0, 0.5, 0.7)), saving], verbose=0)
    assert files_in(tmp_path) == ["1.safetensors", "3.safetensors"]  # 0.7 is better than what was saved
    assert saving.best == 0.7
    assert "Epoch 2: finished" not in capsys.readouterr().out


# --- CSVLogger -------------------------------------------------------------------------------------------------------


def rows(path: Path) -> list[str]:
    return path.read_bytes().decode().split("\r\n")


def test_csv_without_validation_has_its_columns_all_the_same(tmp_path: Path) -> None:
    scripted([{"loss": 0.5}, {"loss": 0.25, "val_loss": 1.0}, {"new": 3}], CSVLogger(tmp_path / "l.csv", separator=";"))
    assert rows(tmp_path / "l.csv") == ["epoch;loss;val_loss", "0;0.5;NA", "1;0.25;1.0", "2;NA;NA", ""]


def test_csv_writes_arrays_and_words_as_keras_does(tmp_path: Path) -> None:
    figures = {"a": np.array([1.0, 2.0]), "b": "x,y", "c": np.float32(0.1), "d": np.array(3), "val_e": [1]}
    scripted([figures], CSVLogger(tmp_path / "l.csv"))
    assert rows(tmp_path / "l.csv")[1] == '0,"""[1.0, 2.0]""","x,y",0.1,3,"""[1]"""'


@pytest.mark.parametrize(("append", "expected"), [(False, 1), (True, 2)])
def test_csv_begins_anew_or_goes_on(append: bool, expected: int, tmp_path: Path) -> None:
    for _ in range(2):
        scripted([{"loss": 0.5}], CSVLogger(tmp_path / "l.csv", append=append))
    assert rows(tmp_path / "l.csv") == ["epoch,loss,val_loss", *["0,0.5,NA"] * expected, ""]


def test_csv_that_cannot_be_written_is_found_before_training(tmp_path: Path) -> None:
    untouched(CSVLogger(tmp_path / "missing" / "l.csv"), UsageError, "CSVLogger: expected a file that can be written")
    untouched(CSVLogger(tmp_path), UsageError, "Is a directory")
    with pytest.raises(UsageError, match="separator to be one character"):
        CSVLogger("l.csv", separator="::")


def test_csv_logger_survives_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    real = appending.append

    def full_once(path: Any, record: bytes) -> None:
        written.append(record)
        if len(written) == 2:
            appending.warn_lost(path, OSError(errno.ENOSPC, "No space left on device"))
        else:
            real(path, record)

    monkeypatch.setattr(appending, "append", full_once)
    with pytest.warns(RuntimeWarning, match=r"l\.csv: a record is lost, training goes on: No space left on device"):
        scripted([{"loss": 3.0}, {"loss": 2.0}, {"loss": 1.0}], CSVLogger(tmp_path / "l.csv"))
    assert rows(tmp_path / "l.csv") == ["epoch,loss,val_loss", "0,3.0,NA", "2,1.0,NA", ""]


# --- files that grow -------------------------------------------------------------------------------------------------


def test_a_record_that_does_not_fit_leaves_no_piece(tmp_path: Path) -> None:
    resource = pytest.importorskip("resource", reason="needs POSIX's limit of file sizes")
    signal = pytest.importorskip("signal")
    path = tmp_path / "log"
    appending.append(path, b"a" * 90)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with pytest.warns(RuntimeWarning, match="a record is lost, training goes on: File too large"):
            appending.append(path, b"b" * 20)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert path.read_bytes() == b"a" * 90
    appending.append(path, b"c")
    assert path.read_bytes() == b"a" * 90 + b"c"


def test_cutting_a_file_that_is_another_one_is_refused(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"short")
    with pytest.raises(UsageError, match=r"CSVLogger: expected the log that the checkpoint knows, of at least 9 bytes"):
        appending.cut("CSVLogger", tmp_path / "log", 9)
    assert (tmp_path / "log").read_bytes() == b"short"


def test_cutting_a_file_that_is_gone_is_said(tmp_path: Path) -> None:
    appending.cut("CSVLogger", tmp_path / "log", 0)
    with pytest.warns(RuntimeWarning, match="this log of the resumed run is gone; it begins anew"):
        appending.cut("CSVLogger", tmp_path / "log", 9)
    assert appending.size_on_disk(tmp_path / "log") == 0
