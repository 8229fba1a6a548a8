"""The run log: what a run is and how it goes, as docs/run-log.md says it, for programs that show runs."""

from __future__ import annotations

import errno
import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netchu import Sequential, engines
from netchu.callbacks import Callback, LambdaCallback, RunLog, appending, logs
from netchu.errors import UsageError
from netchu.layers import Dense
from small_nets import classifier, clusters

DOCUMENT = Path(__file__).parents[1] / "docs" / "run-log.md"


def no_constant(name: str) -> Any:
    raise AssertionError(f"{name} is no JSON")


def lines(folder: Path) -> list[dict[str, Any]]:
    text = (folder / "metrics.jsonl").read_text("utf-8")
    assert text.endswith("\n")
    return [json.loads(line, parse_constant=no_constant) for line in text.splitlines()]


def run(folder: Path) -> dict[str, Any]:
    return dict(json.loads((folder / "run.json").read_text("utf-8"), parse_constant=no_constant))


def fitted(folder: Path, *others: Callback, epochs: int = 2, **settings: Any) -> Any:
    x, y = clusters(30)
    model = classifier()
    model.fit(
        x, y, batch_size=10, epochs=epochs, validation_data=(x[:6], y[:6]), verbose=0,
        callbacks=[*others, RunLog(folder, **settings)],
    )  # fmt: skip
    return model


def test_lines_of_a_run(tmp_path: Path, engine: str) -> None:
    history = fitted(tmp_path, batch_freq=2).history.history
    found = lines(tmp_path)
    assert [(line["event"], line.get("epoch"), line.get("step")) for line in found] == [
        ("begin", None, None), ("batch", 0, 2), ("epoch", 0, 3), ("batch", 1, 5), ("epoch", 1, 6), ("end", None, 6),
    ]  # fmt: skip
    assert found[0] == {"event": "begin", "time": found[0]["time"], "schema": 1, "epochs": 2, "steps": 3}
    assert found[1]["batch"] == 1
    for epoch, line in enumerate(line for line in found if line["event"] == "epoch"):
        assert line["logs"] == {name: values[epoch] for name, values in history.items()}
    assert found[-1]["status"] == "finished"
    times = [line["time"] for line in found]
    assert times == sorted(times)
    assert times[0] >= 0
    assert times[-1] < 60


def test_without_batch_freq_there_are_no_batches(tmp_path: Path) -> None:
    fitted(tmp_path)
    assert [line["event"] for line in lines(tmp_path)] == ["begin", "epoch", "epoch", "end"]


def test_each_line_is_on_disk_when_its_hook_is_over(tmp_path: Path) -> None:
    seen: list[int] = []
    log = RunLog(tmp_path)
    look = LambdaCallback(on_epoch_end=lambda *_: seen.append(len(lines(tmp_path))))
    classifier().fit(*clusters(6), epochs=3, callbacks=[log, look], verbose=0)
    assert seen == [2, 3, 4]


def test_run_json_says_what_is_trained(tmp_path: Path, engine: str) -> None:
    about = {"data": {"name": "mnist", "sha256": "ab"}}
    seen: list[dict[str, Any]] = []
    model = classifier()
    look = LambdaCallback(on_train_batch_end=lambda *_: seen.append(run(tmp_path)))
    model.fit(*clusters(6), callbacks=[RunLog(tmp_path, about=about), look], verbose=0)
    running, ended = seen[0], run(tmp_path)
    assert (running["status"], running["ended"]) == ("running", None)
    assert ended["status"] == "finished"
    assert running["started"] == ended["started"] <= ended["ended"]
    assert ended["schema"] == 1
    assert ended["process"] == os.getpid()
    current = engines.current()
    assert ended["engine"] == {"name": engine, "version": current.version(), "threads": current.threads()}
    assert (ended["seed"], ended["epochs"], ended["steps"]) == (0, 1, 1)
    assert ended["model"]["parameters"] == 6 * 5 + 5 + 5 * 3 + 3
    assert Sequential.from_config(ended["model"]["config"]).get_config() == model.get_config()
    assert ended["optimizer"]["class_name"] == "RMSprop"
    assert ended["loss"]["class_name"] == "SparseCategoricalCrossentropy"
    assert ended["about"] == about


def test_a_model_that_is_built_by_its_first_batch(tmp_path: Path) -> None:
    model = Sequential([Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(*clusters(6), callbacks=[RunLog(tmp_path)], verbose=0)
    assert run(tmp_path)["model"]["parameters"] == 6 * 3 + 3


def test_an_interrupted_run_is_called_so(tmp_path: Path) -> None:
    def interrupt(*_: Any) -> None:
        model.history.interrupted = True
        model.stop_training = True

    model = classifier()
    log = RunLog(tmp_path)
    log.set_model(model)
    model.fit(*clusters(6), callbacks=[LambdaCallback(on_train_end=interrupt), log], verbose=0)
    assert run(tmp_path)["status"] == lines(tmp_path)[-1]["status"] == "interrupted"


def test_a_run_that_raises_stays_running(tmp_path: Path) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        fitted(tmp_path, LambdaCallback(on_epoch_end=fail))
    assert run(tmp_path)["status"] == "running"


def test_a_new_run_begins_the_files_anew(tmp_path: Path) -> None:
    for _ in range(2):
        fitted(tmp_path, epochs=1)
    assert [line["event"] for line in lines(tmp_path)] == ["begin", "epoch", "end"]


def test_an_old_log_is_left_until_the_first_batch(tmp_path: Path) -> None:
    fitted(tmp_path, epochs=1)
    before = (tmp_path / "metrics.jsonl").read_bytes()
    look = LambdaCallback(on_epoch_begin=lambda *_: seen.append((tmp_path / "metrics.jsonl").read_bytes()))
    seen: list[bytes] = []
    classifier().fit(*clusters(6), callbacks=[RunLog(tmp_path), look], verbose=0)
    assert seen == [before]


def test_resuming_keeps_the_clock_and_the_day(tmp_path: Path) -> None:
    states: list[dict[str, Any]] = []
    log, again = RunLog(tmp_path), RunLog(tmp_path)
    keep = LambdaCallback(on_epoch_end=lambda *_: states.append(log.get_state()))
    model = classifier()
    model.fit(*clusters(6), epochs=2, callbacks=[log, keep], verbose=0)
    state = json.loads(json.dumps(states[0])) | {"time": 1000.0, "started": "2000-01-01T00:00:00Z"}
    resume = LambdaCallback(on_train_begin=lambda logs: again.set_state(state))
    model.fit(*clusters(6), initial_epoch=1, epochs=2, callbacks=[again, resume], verbose=0)
    assert [line["event"] for line in lines(tmp_path)] == ["begin", "epoch", "epoch", "end"]
    assert lines(tmp_path)[2]["time"] >= 1000
    assert run(tmp_path)["started"] == "2000-01-01T00:00:00Z"
    assert len(run(tmp_path)["resumed"]) == 1


FIGURES = {
    1.5: 1.5,
    math.nan: "NaN",
    math.inf: "Infinity",
    -math.inf: "-Infinity",
    np.float32(0.5): 0.5,
    3: 3.0,
    "words": "words",
}


@pytest.mark.parametrize(("value", "written"), FIGURES.items(), ids=str)
def test_figures_are_valid_json_that_float_reads_back(value: Any, written: Any, tmp_path: Path) -> None:
    mine = LambdaCallback(on_epoch_end=lambda epoch, logs: logs.update(mine=value))
    fitted(tmp_path, mine, epochs=1)
    found = lines(tmp_path)[1]["logs"]["mine"]
    assert found == written
    if value != "words":
        np.testing.assert_equal(float(found), float(value))


def test_what_json_lacks_in_a_configuration_is_said_in_words() -> None:
    assert logs._plain({"a": (1, math.inf, None), 2: {True}}) == {"a": [1, "Infinity", None], "2": "{True}"}


def test_a_full_disk_does_not_end_the_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Any, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(logs, "write_atomically", full)
    with pytest.warns(RuntimeWarning, match=r"run\.json: a record is lost, training goes on: No space left"):
        fitted(tmp_path)
    assert [line["event"] for line in lines(tmp_path)] == ["begin", "epoch", "epoch", "end"]


REFUSED = {
    "batch_freq": ({"batch_freq": -1}, "RunLog: expected batch_freq as a whole number >= 0"),
    "about": ({"about": {"a": {1}}}, "RunLog: expected about as JSON values"),
    "about NaN": ({"about": {"a": math.nan}}, "RunLog: expected about as JSON values"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_wrong_arguments_are_refused_at_once(case: str) -> None:
    settings, message = REFUSED[case]
    with pytest.raises(UsageError, match=message):
        RunLog("run", **settings)


def test_a_folder_that_cannot_be_written_is_found_before_training(tmp_path: Path) -> None:
    (tmp_path / "run").write_text("")
    with pytest.raises(UsageError, match="RunLog: expected a file that can be written"):
        fitted(tmp_path / "run")


def test_the_document_names_every_key(tmp_path: Path) -> None:
    fitted(tmp_path, batch_freq=1)
    text = DOCUMENT.read_text("utf-8")
    keys = {
        *run(tmp_path),
        *run(tmp_path)["engine"],
        *run(tmp_path)["model"],
        *(k for line in lines(tmp_path) for k in line),
    }
    missing = sorted(key for key in keys if f"`{key}`" not in text)
    assert not missing
    assert f"schema {RunLog.SCHEMA}" in text


def test_size_of_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert appending.size_on_disk(tmp_path / "nothing") == 0
