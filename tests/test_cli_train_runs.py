"""`netchu train --run` and `--resume`: a training that is asked to end, or killed, goes on and gives the same file.

The processes are real, and so are the signals.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cli_tools import MODEL, Run, no_traceback, process, process_settings, train_quickly, write_own_data
from netchu.cli import main
from netchu.formats.checkpoint import read
from netchu.models import load_model

posix = pytest.mark.skipif(os.name == "nt", reason="sends POSIX signals")

# 12 epochs of 9 steps on own.npz, with a checkpoint every 5 steps.
LONG = ["train", "--data", "own.npz", "--layers", "16", "--epochs", "12", "--batch-size", "10"]
LONG += ["--checkpoint-every", "5", "--run", "run"]

# `netchu` that sends itself a signal when a function is called for the so-many-th time.
SIGNALLED = """
import importlib, itertools, json, signal, sys

module, owner, name, call, number, times = json.loads(sys.argv.pop(1))
place = importlib.import_module(module)
place = getattr(place, owner) if owner else place
function, calls = getattr(place, name), itertools.count(1)

def signalled(*given, **more):
    if next(calls) == call:
        for _ in range(times):
            signal.raise_signal(number)
    return function(*given, **more)

setattr(place, name, signalled)
importlib.import_module("netchu.training.loop").CHUNK_SECONDS = 0.0  # one step a chunk, so that calls can be counted
from netchu.cli import main
sys.exit(main())
"""

# Where it happens: module, class, function, which call.
PLACES = {
    "in a step": ("netchu.callbacks", "RunLog", "on_train_batch_begin", 30),
    "after the last step of an epoch": ("netchu.callbacks", "RunLog", "on_train_batch_end", 27),
    "between the last step and the end of an epoch": ("netchu.training.recovery", "", "all_finite", 3),
    "at the end of an epoch": ("netchu.callbacks", "RunLog", "on_epoch_end", 3),
    "at the end of the last epoch": ("netchu.callbacks", "RunLog", "on_epoch_end", 12),
    "in a save": ("netchu.system.disk", "", "_sync_folder", 9),
    "at the beginning": ("netchu.training.trainer", "", "fingerprint", 1),
    "while data is loaded": ("netchu.datasets", "", "load", 1),
    "at the end": ("netchu.callbacks", "RunLog", "on_train_end", 1),
    "in the test": ("netchu.digits.training", "", "measure", 1),
}


ALSO = ("after the last step of an epoch", "at the end of the last epoch", "in the test", "at the beginning")


def signalled(folder: Path, place: str, number: int = signal.SIGTERM, times: int = 1) -> Any:
    """LONG, as a process that gets signals at a place."""
    arguments = json.dumps([*PLACES[place], number, times])
    command = [sys.executable, "-c", SIGNALLED, arguments, *LONG]
    return subprocess.run(command, **process_settings(folder), timeout=60)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The hash of the model file that LONG gives when nothing happens."""
    folder = tmp_path_factory.mktemp("undisturbed")
    write_own_data(folder)
    done = process(folder, *LONG, "-q")
    assert done.returncode == 0, done.stderr
    return hash_of(folder)


def hash_of(folder: Path) -> str:
    return hashlib.sha256((folder / MODEL).read_bytes()).hexdigest()


def log_of(folder: Path) -> list[dict[str, Any]]:
    """The run log without its times."""
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    return [{key: value for key, value in json.loads(line).items() if key != "time"} for line in lines]


# --- signals at known places -----------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize("place", [pytest.param(p, marks=[pytest.mark.slow] if p in ALSO else []) for p in PLACES])
def test_sigterm_ends_it_with_75_and_it_goes_on(place: str, run: Run, folder: Path, undisturbed: str) -> None:
    done = signalled(folder, place)
    assert done.returncode == 75, done.stderr
    assert done.stderr.decode().splitlines()[-1] == "Stopped by a signal. To go on: netchu train --resume run"
    assert no_traceback(done.stderr)
    assert not (folder / MODEL).exists()
    resumed = run("train", "--resume", "run")
    assert resumed.returncode == 0, resumed.stderr
    assert hash_of(folder) == undisturbed
    log = log_of(folder)
    assert [line["event"] for line in log] == ["begin", *["epoch"] * 12, "end"]
    assert [line["epoch"] for line in log[1:-1]] == list(range(12))
    assert not list(folder.rglob("*.tmp"))


@posix
def test_closing_the_terminal_is_as_sigterm(run: Run, folder: Path, undisturbed: str) -> None:
    done = signalled(folder, "in a step", signal.SIGHUP)
    assert done.returncode == 75, done.stderr
    assert run("train", "--resume", "run").returncode == 0
    assert hash_of(folder) == undisturbed


@posix
def test_a_terminal_that_is_gone(folder: Path, run: Run, undisturbed: str) -> None:
    import pty

    ours, theirs = pty.openpty()
    settings = process_settings(folder, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True)
    command = [sys.executable, "-c", GETS_A_TERMINAL, *LONG]
    with subprocess.Popen(command, **settings) as training:
        os.close(theirs)
        seen = b""
        while b"Epoch 5/" not in seen:
            seen += os.read(ours, 4096)
        os.close(ours)  # the kernel sends SIGHUP, and every writing fails
        assert training.wait(30) == 75
    assert run("train", "--resume", "run").returncode == 0
    assert hash_of(folder) == undisturbed


GETS_A_TERMINAL = """
import fcntl, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
from netchu.cli import main
sys.exit(main())
"""


@posix
def test_ctrl_c_once_saves_and_can_be_resumed(run: Run, folder: Path, undisturbed: str) -> None:
    done = signalled(folder, "in a step", signal.SIGINT)
    assert done.returncode == 130, done.stderr
    assert b"To go on: netchu train --resume run" in done.stderr
    assert load_model(folder / MODEL).info["updates"] == 30
    assert run("train", "--resume", "run").returncode == 0
    assert hash_of(folder) == undisturbed


@posix
def test_ctrl_c_twice_ends_it_at_once_and_the_last_checkpoint_loads(run: Run, folder: Path, undisturbed: str) -> None:
    done = signalled(folder, "in a step", signal.SIGINT, times=2)
    assert done.returncode == 130, done.stderr
    assert done.stderr.decode().splitlines()[-1] == "netchu: Interrupted."
    assert not (folder / MODEL).exists()
    assert run("train", "--resume", "run").returncode == 0
    assert hash_of(folder) == undisturbed


@posix
def test_a_reader_of_the_words_that_leaves_does_no_harm(run: Run, folder: Path, undisturbed: str) -> None:
    command = f"'{sys.executable}' -m netchu {' '.join(LONG)} 2>&1 | head -1"
    done = subprocess.run(command, shell=True, **process_settings(folder), timeout=60)
    assert done.stdout.startswith(b"Data: own")
    assert no_traceback(done.stdout + done.stderr)
    assert run("train", "--resume", "run").returncode == 0
    assert hash_of(folder) == undisturbed


def test_a_mistake_before_training_leaves_no_run_folder(run: Run, folder: Path) -> None:
    assert run("train", "--data", "nowhere", "--run", "mistaken").returncode == 66
    assert not (folder / "mistaken").exists()


@posix
@pytest.mark.slow
def test_sigterm_at_any_time_ends_it_within_a_second(run: Run, folder: Path, undisturbed: str) -> None:
    took = []
    for number in range(20):
        (folder / MODEL).unlink(missing_ok=True)
        command = [sys.executable, "-m", "netchu", *LONG[:-1], f"run{number}"]
        with subprocess.Popen(command, **process_settings(folder)) as training:
            while not (folder / f"run{number}" / "settings.json").exists():
                time.sleep(0.005)
            time.sleep(0.03 * number)
            began = time.monotonic()
            training.terminate()
            code = training.wait(30)
            took.append(time.monotonic() - began)
        # Between the end of the work and that of the process nothing is left to save, and the signal ends it.
        done = code == -signal.SIGTERM and (folder / MODEL).exists() and hash_of(folder) == undisturbed
        assert code in (0, 75) or done
        resumed = run("train", "--resume", f"run{number}")
        assert resumed.returncode == 0, resumed.stderr
        assert hash_of(folder) == undisturbed, f"run {number}, exit code {code}"
    print(f"seconds from SIGTERM to the end: {sorted(round(t, 3) for t in took)}")
    assert max(took) < 2.0  # a second and a step, on a machine that does other things


# --- the folder of a run ---------------------------------------------------------------------------------------------


def test_resumed_from_another_folder(run: Run, folder: Path, undisturbed: str) -> None:
    assert signalled(folder, "in a step").returncode == 75
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    done = process(elsewhere, "train", "--resume", "../run")
    assert done.returncode == 0, done.stderr
    assert hash_of(folder) == undisturbed
    assert not list(elsewhere.iterdir())


def test_a_finished_run_reports_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_quickly("--run", "run", "--json", "-q") == 0
    first = hash_of(folder)
    printed = json.loads(capsys.readouterr().out)
    assert main(["train", "--resume", "run", "--json"]) == 0
    out, err = capsys.readouterr()
    again = json.loads(out)
    assert {**again, "seconds": 0, "model": 0, "data": 0} == {**printed, "seconds": 0, "model": 0, "data": 0}
    assert "Epoch" not in err
    assert hash_of(folder) == first
    assert len(list((folder / "run" / "checkpoints").glob("*.safetensors"))) == 1


def test_without_a_name_each_run_has_a_folder_of_its_own(folder: Path) -> None:
    for _ in range(3):
        assert train_quickly("-q") == 0
    assert len(list((folder / "runs").glob("*/settings.json"))) == 3


def test_half_written_models_of_killed_processes_are_removed(folder: Path) -> None:
    old = folder / f".{MODEL}.abc.tmp"
    new = folder / f".{MODEL}.def.tmp"
    for path in (old, new):
        path.write_text("half")
    os.utime(new, (time.time() + 60, time.time() + 60))  # another process is writing it
    assert train_quickly("-q") == 0
    assert not old.exists()
    assert new.exists()


def test_every_so_many_steps(folder: Path) -> None:
    assert train_quickly("--run", "run", "--checkpoint-every", "7", "-q") == 0
    (last,) = (folder / "run" / "checkpoints").glob("*.safetensors")
    assert last.name == "checkpoint-000000018.safetensors"
    assert read(last).about["position"]["epoch"] == 2


MISTAKES: dict[str, tuple[str, int, str]] = {
    "a run lies there": ("train --data own.npz --run run", 2, "To go on with that run: netchu train --resume run"),
    "another epoch count": (
        "train --resume run --epochs 9",
        2,
        "no other flag that says what to train. Got: --epochs.",
    ),
    "two flags": ("train --resume run --seed 3 --out a.safetensors", 2, "Got: --seed, --out."),
    "another run": ("train --resume run --run other", 2, "Got: --run."),
    "another engine": ("train --resume run --engine jax", 2, "--engine: expected numpy, the run's own. Got: jax."),
    "no run": ("train --resume nowhere", 66, "expected the folder of a run, with settings.json in it. Got: 'nowhere'"),
    "no steps": ("train --checkpoint-every 0", 2, "--checkpoint-every: expected a whole number from 1"),
    "a file": ("train --data own.npz --run own.npz", 1, "--run: expected a folder that can be written to"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistake_gets_a_sentence(mistake: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_quickly("--run", "run", "-q") == 0
    before = hash_of(folder)
    line, code, says = MISTAKES[mistake]
    assert main(line.split()) == code
    assert says in capsys.readouterr().err.splitlines()[-1]
    assert hash_of(folder) == before


def broken(**changes: Any) -> Callable[[str], str]:
    """A function that changes what settings.json says of the training."""

    def change(text: str) -> str:
        document = json.loads(text)
        document["train"] |= changes
        return json.dumps(document)

    return change


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (lambda text: "", "expected JSON"),
        (lambda text: text[:-9], "expected JSON"),
        (lambda text: "[]", '"schema": 1'),
        (lambda text: text.replace('"schema": 1', '"schema": 2'), '"schema": 1'),
        (lambda text: '{"schema": 1}', 'an object "train"'),
        (broken(more=1), "expected the settings"),
        (broken(epochs="five"), "epochs of type int | None. Got: epochs='five'"),
        (broken(layers="512"), "layers of type list[int]"),
        (broken(seed=None), "seed of type int"),
    ],
)
def test_broken_settings(
    break_it: Callable[[str], str], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_quickly("--run", "run", "-q") == 0
    settings = folder / "run" / "settings.json"
    settings.write_text(break_it(settings.read_text()))
    assert main(["train", "--resume", "run"]) == 65
    assert says in capsys.readouterr().err


@pytest.mark.parametrize(
    ("break_it", "says"),
    [
        (broken(layers=[16, 0]), "--layers: expected whole numbers from 1, separated by commas. Got: 16,0."),
        (broken(layers=["16"]), "--layers: expected whole numbers from 1 to 9999999. Got: ['16']."),
        (broken(epochs=0), "--epochs: expected a whole number from 1. Got: 0."),
        (broken(learning_rate=-1.0), "--learning-rate: expected a number above 0. Got: -1."),
        (broken(out="model.h5"), "--out: expected a name ending in .safetensors. Got: 'model.h5'."),
        (broken(layers=None, recipe="quik"), "--recipe: expected the name of a recipe. Got: 'quik'."),
        (broken(optimizer="adm"), "Could not interpret optimizer identifier: 'adm'."),
    ],
)
def test_settings_that_cannot_be_meant(
    break_it: Callable[[str], str], says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train_quickly("--run", "run", "-q") == 0
    settings = folder / "run" / "settings.json"
    settings.write_text(break_it(settings.read_text()))
    assert main(["train", "--resume", "run", "-q"]) == 2
    assert capsys.readouterr().err.startswith(f"netchu: {says}")


def test_other_data_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np

    assert train_quickly("--run", "run", "-q") == 0
    arrays = dict(np.load("own.npz"))
    np.savez("own.npz", **{**arrays, "x_train": arrays["x_train"] // 2})
    assert main(["train", "--resume", "run"]) == 65
    assert "began with, data.x=" in capsys.readouterr().err


def test_all_checkpoints_damaged(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_quickly("--run", "run", "-q") == 0
    before = hash_of(folder)
    for path in (folder / "run" / "checkpoints").glob("*.safetensors"):
        path.write_bytes(path.read_bytes()[:-1])
    assert main(["train", "--resume", "run"]) == 65
    assert "Train anew with another run folder" in capsys.readouterr().err
    assert hash_of(folder) == before


@posix
def test_two_at_once(folder: Path, run: Run) -> None:
    long = [*LONG]
    long[long.index("--epochs") + 1] = "100000"
    with subprocess.Popen([sys.executable, "-m", "netchu", *long], **process_settings(folder)) as first:
        while not list((folder / "run").glob("checkpoints/*.safetensors")):
            time.sleep(0.01)
        second = run("train", "--resume", "run")
        assert second.returncode == 65
        assert f"Got: locked by pid {first.pid} on".encode() in second.stderr
        assert first.poll() is None
        first.kill()


@posix
@pytest.mark.slow
def test_killed_ten_times() -> None:
    script = Path(__file__).parent / "long" / "kill_runs.py"
    done = subprocess.run([sys.executable, script, "--kills", "10"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
