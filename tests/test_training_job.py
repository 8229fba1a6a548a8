"""The training job and the reader of digits, from Python: no terminal, no flag, no word but through what they get."""

from __future__ import annotations

import errno
import io
import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cli_tools import MODEL, process_settings, train_quickly
from netchu import datasets, digits, engines
from netchu.cli.options import as_flag
from netchu.digits import run_folder
from netchu.digits.job import Job, as_field, job_in
from netchu.digits.measuring import Figures, measure
from netchu.digits.reader import as_input, load_classifier, picture_size, probabilities, recognize
from netchu.digits.run_folder import RunFolder, new_run_folder
from netchu.digits.training import Outcome, prepared, run
from netchu.errors import CheckpointError, DataNotFoundError, NetchuError, TrainingError, UsageError
from netchu.layers import Dense, Input
from netchu.models import Sequential, load_model

JOB = Job(data="own.npz", layers=[16], epochs=2, batch_size=10, out="own.safetensors")


def done(job: Job, place: str = "run", progress: io.StringIO | None = None) -> tuple[Outcome, list[str]]:
    """What comes of a job, and what it says meanwhile."""
    said: list[str] = []
    job = prepared(job)
    lies_in = new_run_folder(place)
    lies_in.begin(job.settings())
    return run(job, lies_in, say=said.append, progress=progress), said


# --- the job ---------------------------------------------------------------------------------------------------------


class NoStream:
    """A stream that nobody may touch."""

    def __getattr__(self, name: str) -> object:
        raise AssertionError(f"the job asked for the terminal's {name}")


def test_it_speaks_only_through_what_it_was_handed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    progress = io.StringIO()
    for name in ("stdin", "stdout", "stderr"):
        monkeypatch.setattr(sys, name, NoStream())
    outcome, said = done(JOB, progress=progress)
    assert [line.partition(":")[0] for line in said] == ["Data", "Model"]
    assert "90 images to learn from and 30 to test with, 8 x 8 pixels" in said[0]
    assert "64-16-3, 1,091 parameters" in said[1]
    assert "Epoch 2/2" in progress.getvalue()
    assert "\x1b" not in progress.getvalue()
    assert outcome.figures is not None
    assert (outcome.epochs, outcome.begun, outcome.figures.n) == (2, 2, 30)
    assert set(outcome.seconds) == {"data", "train"}


def test_without_a_stream_there_is_no_progress(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    done(JOB)
    assert capfd.readouterr() == ("", "")


def test_the_command_writes_the_same_file(folder: Path) -> None:
    done(JOB)
    assert train_quickly("-q") == 0
    assert (folder / "own.safetensors").read_bytes() == (folder / MODEL).read_bytes()


def test_what_is_saved_is_what_came_of_it(folder: Path) -> None:
    outcome, _ = done(JOB)
    model = load_model("own.safetensors")
    assert outcome.figures is not None
    assert model.info["test_accuracy"] == outcome.figures.accuracy
    assert outcome.model.info.items() <= model.info.items()
    assert len(list((folder / "run" / "checkpoints").glob("*.safetensors"))) == 1


def test_it_runs_in_a_process_without_any_stream(folder: Path) -> None:
    program = """
import sys
sys.stdin = sys.stdout = sys.stderr = None
from netchu.digits.job import Job
from netchu.digits.run_folder import new_run_folder
from netchu.digits.training import prepared, run
job = prepared(Job(data="own.npz", layers=[16], epochs=1, batch_size=10))
run(job, new_run_folder("run"), say=lambda text: None)
assert not any(name.startswith("netchu.cli") for name in sys.modules)
"""
    process = subprocess.run([sys.executable, "-c", program], **process_settings(folder))
    assert (process.returncode, process.stdout, process.stderr) == (0, b"", b"")
    assert (folder / MODEL).exists()


def test_an_interrupted_test_saves_the_model_and_keeps_the_checkpoints(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> Figures:
        raise KeyboardInterrupt

    monkeypatch.setattr("netchu.digits.training.measure", interrupted)
    outcome, _ = done(JOB)
    assert outcome.figures is None
    assert load_model("own.safetensors").info["interrupted"] is True
    assert len(list((folder / "run" / "checkpoints").glob("*.safetensors"))) == 2


def test_what_the_recipe_adds_is_found_before_anything_is_written(folder: Path) -> None:
    job = prepared(Job(recipe="quick"))
    assert (job.engine, job.batch_size) == (engines.current().name, 256)
    assert prepared(replace(job, batch_size=9)).batch_size == 9
    for wrong, says in ((Job(recipe="quik"), "convnet"), (Job(optimizer="adm"), "Did you mean 'adam'")):
        with pytest.raises(UsageError, match=says):
            prepared(wrong)
    assert [path.name for path in folder.iterdir()] == ["own.npz"]


CANNOT_BE_MEANT = [
    (Job(epochs=0), "Job.epochs: expected a whole number from 1. Got: 0."),
    (Job(batch_size=-1), "Job.batch_size: expected a whole number from 1. Got: -1."),
    (Job(checkpoint_every=0), "Job.checkpoint_every: expected a whole number from 1. Got: 0."),
    (
        Job(learning_rate=float("inf")),
        "Job.learning_rate: expected a number above 0. Got: inf. Write learning_rate=0.001, for example.",
    ),
    (Job(seed=2**32), "Job.seed: expected a whole number from 0 to 4294967295. Got: 4294967296."),
    (Job(out="model.h5"), "Job.out: expected a name ending in .safetensors. Got: 'model.h5'."),
    (Job(layers=[16, 0]), "Job.layers: expected whole numbers from 1 to 9999999. Got: [16, 0]."),
    (Job(layers=[True]), "Job.layers: expected whole numbers from 1 to 9999999. Got: [True]."),
    (
        Job(recipe="quick", layers=[4]),
        "Job.layers: expected no Job.recipe beside it, which has its own. Got: recipe=quick.",
    ),
    (Job(recipe="quick", optimizer="sgd"), "Job.optimizer: expected no Job.recipe beside it"),
]


@pytest.mark.parametrize(("job", "says"), CANNOT_BE_MEANT)
def test_a_job_that_cannot_be_meant(job: Job, says: str, folder: Path) -> None:
    for attempt in (job.check, lambda: prepared(job), lambda: run(job, RunFolder(folder / "run"), say=print)):
        with pytest.raises(UsageError) as caught:
            attempt()
        assert str(caught.value).startswith(says)
    assert [path.name for path in folder.iterdir()] == ["own.npz"]


def in_brackets(field: str, value: str = "") -> str:
    """A naming that nobody else has."""
    return f"<{field}{value and ' '}{value}>"


@pytest.mark.parametrize(("job", "says"), CANNOT_BE_MEANT)
def test_messages_call_a_field_as_whoever_asks_does(job: Job, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        job.check(in_brackets)
    field = says.partition(":")[0].removeprefix("Job.")
    assert str(caught.value).startswith(f"<{field}>: expected ")
    assert "Job." not in str(caught.value)
    assert "--" not in str(caught.value)


def test_so_do_the_messages_of_a_job_that_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def attempt(job: Job, place: str) -> None:
        run(job, RunFolder(folder / place), say=lambda text: None, named=in_brackets)

    with pytest.raises(UsageError, match=r"^<recipe>: expected the name of a recipe. Got: 'quik'"):
        attempt(Job(recipe="quik"), "run")
    job = prepared(JOB)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("netchu.models.Sequential.save", full)
        with pytest.raises(NetchuError, match=r"or train again with another <out>.$"):
            attempt(job, "run")
    monkeypatch.setattr("netchu.models.Sequential.evaluate", lambda *_, **__: {"loss": float("nan")})
    with pytest.raises(TrainingError, match=r"Try a smaller <learning_rate>.$"):
        attempt(job, "other")


def test_how_fields_are_called() -> None:
    assert (as_field("batch_size"), as_field("batch_size", "5")) == ("Job.batch_size", "batch_size=5")
    assert (as_flag("batch_size"), as_flag("batch_size", "5")) == ("--batch-size", "--batch-size 5")


def test_a_job_is_checked_without_numpy(folder: Path) -> None:
    program = "import sys; from netchu.digits.job import Job; Job().check(); print('numpy' in sys.modules)"
    process = subprocess.run([sys.executable, "-c", program], **process_settings(folder), check=True)
    assert process.stdout.strip() == b"False"


# --- its folder ------------------------------------------------------------------------------------------------------


def test_a_job_comes_back_from_its_folder(folder: Path) -> None:
    job = prepared(JOB)
    lies_in = new_run_folder("run")
    lies_in.begin(job.settings())
    assert job_in(RunFolder(folder / "run")) == replace(
        job, data=str(folder / "own.npz"), out=str(folder / "own.safetensors")
    )
    document = json.loads(lies_in.settings.read_text())
    assert list(document) == ["schema", "netchu", "train"]
    assert list(document["train"]) == [
        "data", "layers", "epochs", "batch_size", "optimizer", "learning_rate", "seed", "out", "checkpoint_every",
        "engine", "recipe",
    ]  # fmt: skip
    with pytest.raises(
        UsageError, match=r"^run: expected a folder without .* go on with that run: netchu train --resume run"
    ):
        lies_in.begin(job.settings())
    with pytest.raises(UsageError, match=r"^the folder: expected a folder without a run in it. Got: 'run'"):
        new_run_folder("run", name="the folder").begin(job.settings())


def test_the_name_of_a_data_set_stays_a_name(folder: Path) -> None:
    assert Job(data="sample").settings()["data"] == "sample"
    assert Job().settings()["data"] is None


def test_no_run_and_a_broken_one(folder: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"^--resume: expected the folder of a run"):
        job_in(RunFolder(folder, name="--resume"))
    (folder / "settings.json").write_text("{")
    with pytest.raises(CheckpointError, match=r"settings\.json: expected JSON\. Got: "):
        job_in(RunFolder(folder))


def test_folders_of_the_same_second_are_two(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_folder.time, "strftime", lambda form: "now")
    assert [new_run_folder(None).path.name for _ in range(3)] == ["now", "now-2", "now-3"]


# --- the reader ------------------------------------------------------------------------------------------------------


@pytest.fixture
def classifier(folder: Path) -> Sequential:
    """One that knows the rows of `own.npz`, from its file."""
    done(replace(JOB, epochs=30))
    return load_classifier("own.safetensors")


def test_a_picture_becomes_a_label_and_a_probability(classifier: Sequential, folder: Path) -> None:
    data = datasets.load("own.npz")
    assert picture_size(classifier) == (8, 8)
    chances = probabilities(classifier, as_input(classifier, data.x_test))
    assert chances.sum(axis=1) == pytest.approx(1)
    for i in range(3):
        Image.fromarray(data.x_test[i]).save("row.png")
        assert np.array_equal(digits.load("row.png", size=(8, 8)), data.x_test[i])
        label, probability = recognize(classifier, "row.png")
        assert (label, probability) == (i, pytest.approx(chances[i].max()))
        assert recognize(classifier, (folder / "row.png").read_bytes()) == (label, probability)


def test_figures_count_each_label(classifier: Sequential) -> None:
    data = datasets.load("own.npz")
    figures = measure(classifier, data.x_test[:10], data.y_test[:10])
    assert figures.images == {0: 4, 1: 3, 2: 3}
    assert figures.n == 10
    assert figures.accuracy == sum(figures.right.values()) / 10


def test_models_for_other_things_are_refused(folder: Path) -> None:
    Sequential([Input((16,)), Dense(1)]).save("one.safetensors")
    with pytest.raises(UsageError, match=r"one\.safetensors: expected a classifier"):
        load_classifier("one.safetensors")
    with pytest.raises(UsageError, match=r"recognize: expected a model for grey pictures .* Got: a model for 7 values"):
        recognize(Sequential([Input((7,)), Dense(3)]), "no-such-picture.png")
