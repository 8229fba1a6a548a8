"""TensorBoard's own readers find in netchu's event files what History holds: every tag, step and value."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from netchu.callbacks import LambdaCallback, ReduceLROnPlateau, TensorBoard, event_file
from netchu.errors import UsageError
from small_nets import classifier, clusters, python_environment

CHECKSUMS = [(b"", 0), (b"123456789", 0xE3069283), (bytes(32), 0x8A9136AA), (b"\xff" * 32, 0x62A8AB43)]
"""Of the iSCSI standard (RFC 3720, appendix B.4), and the usual check value."""


@pytest.fixture(scope="module")
def reader() -> ModuleType:
    """TensorBoard's module of readers."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own
        pytest.importorskip("tensorboard", reason="needs tensorboard: pip install tensorboard")
        from tensorboard.backend.event_processing import event_accumulator
    return event_accumulator


def accumulated(reader: ModuleType, folder: Path) -> Any:
    """All that TensorBoard reads in a folder."""
    everything = dict.fromkeys(("scalars", "tensors"), 0)
    accumulator = reader.EventAccumulator(str(folder), size_guidance=everything)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        accumulator.Reload()
    return accumulator


def scalars(reader: ModuleType, folder: Path) -> dict[str, list[tuple[int, float]]]:
    """tag -> (step, value) of each."""
    found = accumulated(reader, folder)
    return {tag: [(event.step, event.value) for event in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


def fitted(folder: Path, *others: Any, epochs: int = 3, **settings: Any) -> Any:
    x, y = clusters(30)
    model = classifier()
    return model.fit(
        x, y, batch_size=10, epochs=epochs, verbose=0, validation_data=(x[:6], y[:6]),
        callbacks=[*others, TensorBoard(folder, **settings)],
    )  # fmt: skip


# --- what is in the files --------------------------------------------------------------------------------------------


def test_every_figure_of_history_is_read_back(reader: ModuleType, tmp_path: Path, engine: str) -> None:
    history = fitted(tmp_path, ReduceLROnPlateau(patience=1)).history
    train, validation = scalars(reader, tmp_path / "train"), scalars(reader, tmp_path / "validation")
    rates = [value for _, value in train.pop("epoch_learning_rate")]
    assert rates == pytest.approx([*history["learning_rate"][1:], rates[-1]])  # as it is after the epoch, as in Keras
    assert train == {f"epoch_{name}": list(enumerate(history[name])) for name in ("accuracy", "loss")}
    expected = {}
    for name in ("accuracy", "loss"):
        expected[f"epoch_{name}"] = list(enumerate(history[f"val_{name}"]))
        expected[f"evaluation_{name}_vs_iterations"] = list(zip((3, 6, 9), history[f"val_{name}"]))
    assert validation == expected


def test_the_web_pages_data_provider_shows_them_as_scalars(reader: ModuleType, tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
        from tensorboard.context import RequestContext
    history = fitted(tmp_path, histogram_freq=1).history
    runs = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(str(tmp_path))
    runs.Reload()
    provider = data_provider.MultiplexerDataProvider(runs, str(tmp_path))
    asked = {"ctx": RequestContext(), "experiment_id": "", "plugin_name": "scalars"}
    listed = provider.list_scalars(**asked)
    assert {run: sorted(tags) for run, tags in listed.items()} == {
        "train": ["epoch_accuracy", "epoch_learning_rate", "epoch_loss"],
        "validation": [
            "epoch_accuracy",
            "epoch_loss",
            "evaluation_accuracy_vs_iterations",
            "evaluation_loss_vs_iterations",
        ],
    }
    loss = provider.read_scalars(**asked, downsample=99)["train"]["epoch_loss"]
    assert [(point.step, point.value) for point in loss] == list(enumerate(history["loss"]))
    histograms = provider.list_tensors(**asked | {"plugin_name": "histograms"})
    assert sorted(histograms["train"]) == [
        f"sequential/{name}/histogram" for name in ("dense/bias", "dense/kernel", "dense_1/bias", "dense_1/kernel")
    ]


@pytest.mark.parametrize(("update_freq", "steps"), [("epoch", []), ("batch", [1, 2, 3, 4, 5, 6]), (4, [4])])
def test_batches_are_written_every_so_often(
    update_freq: Any, steps: list[int], reader: ModuleType, tmp_path: Path
) -> None:
    seen: list[float] = []
    note = LambdaCallback(on_train_batch_end=lambda batch, logs: seen.append(logs["loss"]))
    fitted(tmp_path, note, epochs=2, update_freq=update_freq)
    found = scalars(reader, tmp_path / "train").get("batch_loss", [])
    assert found == [(step, seen[step - 1]) for step in steps]


def test_steps_per_second(reader: ModuleType, tmp_path: Path) -> None:
    fitted(tmp_path, write_steps_per_second=True, update_freq="batch")
    found = scalars(reader, tmp_path / "train")
    assert [step for step, _ in found["epoch_steps_per_second"]] == [0, 1, 2]
    assert [step for step, _ in found["batch_steps_per_second"]] == list(range(1, 10))
    assert all(0 < value < 1e9 for tag in found if "second" in tag for _, value in found[tag])


def test_evaluation_by_itself_goes_into_validation(reader: ModuleType, tmp_path: Path) -> None:
    model = classifier()
    expected = model.evaluate(*clusters(30), callbacks=[TensorBoard(tmp_path)], verbose=0)
    found = scalars(reader, tmp_path / "validation")
    assert found["evaluation_loss_vs_iterations"] == [(0, expected[0])]
    assert scalars(reader, tmp_path / "train") == {}


SPREADS = {
    "normal": np.random.default_rng(0).normal(size=(50, 7)).astype("float32"),
    "all equal": np.full(9, 2.5, "float32"),
    "one": np.array([-1.0], "float32"),
    "whole": np.arange(60.0),
    "nothing": np.zeros(0, "float32"),
}


@pytest.mark.parametrize("case", SPREADS)
def test_buckets_are_tensorboards_own(case: str, reader: ModuleType) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.plugins.histogram.summary_v2 import histogram_pb
        from tensorboard.util.tensor_util import make_ndarray
    theirs = make_ndarray(histogram_pb("x", SPREADS[case]).value[0].tensor)
    np.testing.assert_allclose(event_file.buckets(SPREADS[case]), theirs, rtol=1e-15)


def test_weights_are_spread_every_so_many_epochs(reader: ModuleType, tmp_path: Path) -> None:
    from tensorboard.util.tensor_util import make_ndarray

    fitted(tmp_path, histogram_freq=2)
    found = accumulated(reader, tmp_path / "train")
    events = found.Tensors("sequential/dense/kernel/histogram")
    assert [event.step for event in events] == [0, 2]
    assert make_ndarray(events[0].tensor_proto).shape == (30, 3)
    assert make_ndarray(events[0].tensor_proto)[:, 2].sum() == 6 * 5
    assert found.SummaryMetadata("sequential/dense/kernel/histogram").plugin_data.plugin_name == "histograms"


def test_figures_that_are_no_numbers_are_read_back(reader: ModuleType, tmp_path: Path) -> None:
    figures = {"nan": np.nan, "infinite": np.inf, "too large": 1e300, "int": 3, "numpy": np.float32(0.1)}
    (tmp_path / "a.tfevents").write_bytes(event_file.beginning() + event_file.scalars(2**40, figures))
    found = {tag: values[0] for tag, values in scalars(reader, tmp_path).items()}
    assert np.isnan(found.pop("nan")[1])
    step = 2**40
    assert found == {
        "infinite": (step, np.inf), "too large": (step, np.inf), "int": (step, 3.0), "numpy": (step, np.float32(0.1)),
    }  # fmt: skip


def test_buckets_leave_out_what_is_not_finite() -> None:
    assert event_file.buckets(np.array([np.nan, 1.0, np.inf, 2.0]))[:, 2].sum() == 2


# --- files that survive ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("data", "checksum"), CHECKSUMS, ids=["nothing", "digits", "zeros", "ones"])
def test_checksum(data: bytes, checksum: int) -> None:
    assert event_file.crc32c(data) == checksum


def test_a_file_torn_at_any_byte_keeps_all_records_before(reader: ModuleType, tmp_path: Path) -> None:
    records = [event_file.beginning(), *(event_file.scalars(step, {"loss": step / 8}) for step in range(3))]
    whole, two = b"".join(records), len(b"".join(records[:3]))
    for size in range(two, len(whole)):
        folder = tmp_path / str(size)
        folder.mkdir()
        (folder / "events.out.tfevents.1").write_bytes(whole[:size])
        assert scalars(reader, folder) == {"loss": [(0, 0.0), (1, 0.125)]}


def test_each_record_is_on_disk_when_its_hook_is_over(tmp_path: Path) -> None:
    sizes: list[int] = []
    callback = TensorBoard(tmp_path)
    look = LambdaCallback(on_epoch_end=lambda *_: sizes.append(next((tmp_path / "train").iterdir()).stat().st_size))
    classifier().fit(*clusters(6), epochs=3, callbacks=[callback, look], verbose=0)
    beginning, record = len(event_file.beginning()), sizes[1] - sizes[0]
    assert sizes == [beginning + record, beginning + 2 * record, beginning + 3 * record]


ENDLESS = """
import sys
from netchu.callbacks import CSVLogger, RunLog, TensorBoard
from small_nets import classifier, clusters, python_environment
folder, (x, y) = sys.argv[1], clusters(30)
listeners = [TensorBoard(folder, update_freq=1), RunLog(folder, batch_freq=1), CSVLogger(folder + "/log.csv")]
classifier().fit(x, y, batch_size=1, epochs=10**6, verbose=0, callbacks=listeners)
"""


@pytest.mark.parametrize("size", [1000, 5003, 11027])
def test_a_killed_process_leaves_whole_records(size: int, reader: ModuleType, tmp_path: Path) -> None:
    command = [sys.executable, "-W", "error", "-c", ENDLESS, str(tmp_path)]
    log, deadline = tmp_path / "metrics.jsonl", time.monotonic() + 60
    with subprocess.Popen(command, env=python_environment()) as process:
        while not (log.exists() and log.stat().st_size > size) and time.monotonic() < deadline:
            time.sleep(0.001)
        process.kill()
    steps = [step for step, _ in scalars(reader, tmp_path / "train")["batch_loss"]]
    assert steps == list(range(1, len(steps) + 1))
    complete = log.read_text("utf-8").split("\n")[:-1]
    batches = [line for line in map(json.loads, complete) if line["event"] == "batch"]
    assert [line["step"] for line in batches] == list(range(1, len(batches) + 1))
    assert abs(len(batches) - len(steps)) <= 1
    assert len(steps) > 5
    epochs = (tmp_path / "log.csv").read_text("utf-8").split("\n")[1:-1]
    assert [int(row.split(",")[0]) for row in epochs] == list(range(len(epochs)))


def records_of(path: Path) -> list[bytes]:
    """The data of each record but the time of day, which stands in its bytes 1 to 8."""
    content, found = path.read_bytes(), []
    while content:
        (length,) = struct.unpack("<Q", content[:8])
        data = content[12 : 12 + length]
        found.append(data[:1] + data[9:])
        content = content[16 + length :]
    return found


def test_a_resumed_run_goes_on_in_its_files(reader: ModuleType, tmp_path: Path) -> None:
    x, y = clusters(30)
    shared: dict[str, Any] = {"batch_size": 10, "shuffle": False, "validation_data": (x[:6], y[:6]), "verbose": 0}
    settings: dict[str, Any] = {"histogram_freq": 1, "update_freq": 2}
    classifier().fit(x, y, epochs=4, callbacks=[TensorBoard(tmp_path / "whole", **settings)], **shared)

    states: list[dict[str, Any]] = []
    first = TensorBoard(tmp_path / "cut", **settings)
    keep = LambdaCallback(on_epoch_end=lambda epoch, logs: states.append(first.get_state()))
    model = classifier()
    model.fit(x, y, epochs=2, callbacks=[first, keep], **shared)
    copy = {name: [slot.numpy() for slot in slots] for name, slots in enumerate([model.optimizer.variables])}
    weights = model.get_weights()
    model.fit(x, y, epochs=3, initial_epoch=2, callbacks=[later := TensorBoard(tmp_path / "cut", **settings)], **shared)
    for path in later._files.values():  # what was killed after the checkpoint had gone on in the same files
        with first._files[path.parent.name].open("ab") as file:
            file.write(path.read_bytes()[:-7])
        path.unlink()

    again = TensorBoard(tmp_path / "cut", **settings)
    model.set_weights(weights)
    for variable, array in zip(model.optimizer.variables, copy[0]):
        variable.assign(array)
    resume = LambdaCallback(on_train_begin=lambda logs: again.set_state(states[-1]))
    model.fit(x, y, epochs=4, initial_epoch=2, callbacks=[again, resume], **shared)
    for kind in ("train", "validation"):
        (whole,), (cut,) = (tmp_path / "whole" / kind).iterdir(), (tmp_path / "cut" / kind).iterdir()
        assert records_of(whole) == records_of(cut)
        assert scalars(reader, whole.parent) == scalars(reader, cut.parent)


def test_files_are_read_in_the_order_in_which_they_were_written(reader: ModuleType, tmp_path: Path) -> None:
    model = classifier()
    callback = TensorBoard(tmp_path)
    for first in (0, 2, 4):
        model.fit(*clusters(6), initial_epoch=first, epochs=first + 2, callbacks=[callback], verbose=0)
    assert len(list((tmp_path / "train").iterdir())) == 3
    assert [step for step, _ in scalars(reader, tmp_path / "train")["epoch_loss"]] == [0, 1, 2, 3, 4, 5]


def test_a_full_disk_or_a_folder_gone_does_not_end_the_training(tmp_path: Path) -> None:
    gone = LambdaCallback(on_epoch_begin=lambda epoch, logs: shutil.rmtree(tmp_path / "logs") if epoch == 1 else None)
    model = classifier()
    with pytest.warns(RuntimeWarning, match="a record is lost, training goes on: No such file or directory"):
        history = model.fit(*clusters(6), epochs=2, callbacks=[gone, TensorBoard(tmp_path / "logs")], verbose=0)
    assert history.epoch == [0, 1]


# --- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [("write_images", True), ("profile_batch", 2), ("embeddings_freq", 1), ("embeddings_metadata", {"a": "b"})],
)
def test_what_is_not_written_is_refused(name: str, value: Any) -> None:
    with pytest.raises(UsageError, match=f"TensorBoard: expected no {name}: netchu does not write it"):
        TensorBoard(**{name: value})


@pytest.mark.parametrize("update_freq", ["step", 0, -1, True, 1.5])
def test_update_freq_is_checked(update_freq: Any) -> None:
    with pytest.raises(UsageError, match='update_freq to be "epoch", "batch" or a number of batches'):
        TensorBoard(update_freq=update_freq)


def test_a_folder_that_cannot_be_made_is_found_before_training(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("")
    with pytest.raises(UsageError, match="TensorBoard: expected a folder that can be written"):
        classifier().fit(*clusters(6), callbacks=[TensorBoard(tmp_path / "logs")], verbose=0)
