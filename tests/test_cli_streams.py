"""Ctrl-C in a command, closed pipes, full and closed streams, terminals, and what the clock of a command counts."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cli_tools import MODEL, Run, no_traceback, process_settings, train_quickly, trained_pictures
from netchu.cli import main
from netchu.models import load_model

posix = pytest.mark.skipif(os.name != "posix", reason="a POSIX process; nothing to be done elsewhere")


@pytest.fixture
def pictures(folder: Path) -> list[str]:
    """A model in its default place, and three pictures that it takes as they are."""
    return trained_pictures()


# --- signals ---------------------------------------------------------------------------------------------------------


@posix
def test_interrupted_training_is_saved(folder: Path) -> None:
    command = [sys.executable, "-m", "netchu", "train", "--data", "own.npz", "--epochs", "100000", "--json"]
    with subprocess.Popen(command, **process_settings(folder)) as process:
        assert process.stderr is not None
        seen = b""
        while b"Epoch 3/" not in seen:
            seen = process.stderr.readline()
            assert seen, "the training ended early"
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130
    assert out == b""
    assert b"The model as it was then is saved: ./netchu-model.safetensors" in err
    assert no_traceback(err)
    model = load_model(folder / MODEL)
    assert model.info["interrupted"] is True
    assert model.info["updates"] >= 2


def test_interrupted_test_is_saved(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("netchu.digits.training.measure", interrupted)
    monkeypatch.setattr("netchu.digits.measuring.measure", interrupted)
    assert train_quickly() == 130
    assert load_model(MODEL).info["updates"] == 18
    capsys.readouterr()
    assert main(["evaluate", MODEL, "--data", "own.npz", "-q"]) == 130
    assert capsys.readouterr().err == "netchu: Interrupted.\n"


# --- streams ---------------------------------------------------------------------------------------------------------


@posix
@pytest.mark.parametrize(
    "command", ["predict zero.png one.png two.png", "info", "--version", "train --data own.npz -q"]
)
def test_reader_that_leaves_early(command: str, pictures: list[str], folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    settings = process_settings(folder, stdout=writing)
    done = subprocess.run([sys.executable, "-m", "netchu", *command.split()], **settings, timeout=60)
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@posix
def test_head_gets_its_line(pictures: list[str], folder: Path) -> None:
    command = f"'{sys.executable}' -m netchu predict {' '.join(pictures * 30)} | head -1"
    done = subprocess.run(command, shell=True, **process_settings(folder), timeout=60)
    assert done.stdout.startswith(b"zero.png: 0 (")
    assert done.stdout.count(b"\n") == 1
    assert done.stderr == b""


@posix
def test_closed_standard_error_does_not_reach_the_result(run: Run) -> None:
    done = run(
        "train", "--data", "own.npz", "--epochs", "1", "--json", code="import os; os.close(2); sys.stderr = None"
    )
    assert done.returncode == 0
    assert json.loads(done.stdout)["epochs"] == 1


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full, a Linux device; nothing to be done")
def test_standard_output_that_is_full(run: Run) -> None:
    with open("/dev/full", "w") as full:
        done = run("info", stdout=full)
    assert done.returncode == 1
    assert done.stderr == (
        b"netchu: standard output: expected a place that takes the result. Got: No space left on device.\n"
    )


@posix
@pytest.mark.parametrize("variables", [{}, {"NO_COLOR": "1"}, {"COLUMNS": "20", "NO_COLOR": "1"}, {"TERM": "dumb"}])
def test_progress_on_a_terminal(variables: dict[str, str], folder: Path) -> None:
    import pty

    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "netchu", "train", "--data", "own.npz", "--epochs", "2"]
    settings = process_settings(folder, env={"TERM": "xterm", **variables}, stderr=theirs)
    done = subprocess.run(command, **settings, timeout=60)
    os.close(theirs)
    seen = b""
    with contextlib.suppress(OSError):  # the end of a terminal whose other side was closed
        while data := os.read(ours, 65536):
            seen += data
    os.close(ours)
    assert done.returncode == 0
    assert b"\x1b" not in done.stdout
    assert (b"\x1b[1m" in seen) == (not variables)  # colour on a terminal only, and only if it is wanted
    assert (b"\r\x1b[K" in seen) == (variables.get("TERM") != "dumb")  # a bar that is drawn anew


def test_no_escapes_without_a_terminal(run: Run) -> None:
    done = run("train", "--data", "own.npz", "--epochs", "1")
    assert b"\x1b" not in done.stdout + done.stderr
    assert b"\r" not in done.stderr.replace(b"\r\n", b"\n")


# --- the clock -------------------------------------------------------------------------------------------------------

BUSY = "import collections, time; collections.deque(iter(lambda: time.process_time() < 0.7, False), maxlen=0)"


def test_total_counts_from_the_start_of_python(run: Run) -> None:
    done = run("train", "--data", "own.npz", "--epochs", "1", "--json", code=BUSY)
    seconds = json.loads(done.stdout)["seconds"]
    assert seconds["total"] >= seconds["data"] + seconds["train"] + 0.5
    assert seconds["total"] < 60


@posix
def test_total_leaves_out_the_shell_that_became_the_process(folder: Path) -> None:
    command = f"sleep 2; exec {sys.executable} -m netchu train --data own.npz --epochs 1 --json"
    done = subprocess.run(["sh", "-c", command], **process_settings(folder), check=True)
    assert json.loads(done.stdout)["seconds"]["total"] < 2


# --- closed and narrow streams ---------------------------------------------------------------------------------------


def shell(command: str, folder: Path, **variables: str) -> subprocess.CompletedProcess[bytes]:
    """Run a line of the shell in which `netchu` is the command."""
    line = command.replace("netchu", f"'{sys.executable}' -m netchu", 1)
    return subprocess.run(["sh", "-c", line], **process_settings(folder, env=variables), timeout=60)


@posix
def test_closed_standard_input_is_no_such_file(pictures: list[str], folder: Path) -> None:
    done = shell("netchu predict - <&-", folder)
    assert done.returncode == 66
    assert done.stderr == b"netchu: standard input: expected the bytes of a picture. Got: it is closed.\n"


@posix
@pytest.mark.parametrize("command", ["--help", "train --help", "info --help", "--version", ""])
def test_a_reader_of_help_may_leave(command: str, folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [sys.executable, "-m", "netchu", *command.split()], **process_settings(folder, stdout=writing), timeout=60
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@posix
@pytest.mark.parametrize("command", ["info", "info --json", "train --data own.npz --epochs 1 -q --json"])
def test_a_result_that_nobody_can_get_is_a_failure(command: str, folder: Path) -> None:
    done = shell(f"netchu {command} >&-", folder)
    assert done.returncode == 1
    assert done.stderr == b"netchu: standard output: expected a place that takes the result. Got: it is closed.\n"


@posix
@pytest.mark.parametrize("streams", ["<&-", "2>&-", "<&- 2>&-"])
@pytest.mark.parametrize("command", ["info", "train --data own.npz --epochs 1", "--help"])
def test_commands_work_without_the_other_streams(command: str, streams: str, folder: Path) -> None:
    done = shell(f"netchu {command} {streams}", folder)
    assert done.returncode == 0
    assert done.stdout
    assert no_traceback(done.stderr)


@posix
@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "utf-8"])
def test_bars_and_boxes_on_terminals_of_other_encodings(encoding: str, pictures: list[str], folder: Path) -> None:
    import pty

    for command in ("train --data own.npz --epochs 1", f"info {MODEL}", "--help"):
        ours, theirs = pty.openpty()
        settings = process_settings(
            folder, env={"TERM": "xterm", "PYTHONIOENCODING": encoding}, stderr=theirs, stdout=theirs
        )
        done = subprocess.run([sys.executable, "-m", "netchu", *command.split()], **settings, timeout=60)
        os.close(theirs)
        seen = b""
        with contextlib.suppress(OSError):
            while data := os.read(ours, 65536):
                seen += data
        os.close(ours)
        assert done.returncode == 0
        assert b"\\u25" not in seen
        assert b"\\u2" not in seen
        assert seen.isascii() or encoding != "ascii"
