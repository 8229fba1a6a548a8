"""How commands end: help, exit codes, full disks, Ctrl-C, closed pipes, and what may be imported."""

from __future__ import annotations

import contextlib
import errno
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from cli_tools import MODEL, Run, no_traceback, process_settings, train_quickly
from netchu import datasets
from netchu.cli import main
from netchu.models import load_model

posix = pytest.mark.skipif(os.name != "posix", reason="a POSIX process; nothing to be done elsewhere")


@pytest.fixture
def pictures(folder: Path) -> list[str]:
    """A model in its default place, and three pictures that it takes as they are."""
    assert main(["train", "--data", "own.npz", "--layers", "16", "--epochs", "30", "--batch-size", "10", "-q"]) == 0
    data = datasets.load("own.npz")
    names = ["zero.png", "one.png", "two.png"]
    for name, picture in zip(names, data.x_test):
        Image.fromarray(picture).save(name)
    return names


# --- help, version ---------------------------------------------------------------------------------------------------


def test_alone_shows_three_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    out = capsys.readouterr().out
    assert sum(line.startswith("  netchu ") for line in out.splitlines()) == 3


@pytest.mark.parametrize("command", ["", "train", "evaluate", "predict", "export", "bench", "info"])
def test_help_ends_with_an_example(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command.split(), "--help"]) == 0
    out = capsys.readouterr().out
    assert out.rstrip().splitlines()[-1].startswith(f"Example: netchu {command}")


@pytest.mark.parametrize("columns", ["1", "20", "200"])
def test_help_fits_any_terminal(columns: str, run: Run) -> None:
    done = run("train", "--help", env={"COLUMNS": columns})
    assert done.returncode == 0
    assert max(map(len, done.stdout.decode().splitlines())) <= max(int(columns), 2)


def test_help_in_ascii(run: Run) -> None:
    done = run("--help", env={"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"})
    assert done.returncode == 0
    assert b"Example: netchu train" in done.stdout


IMPORTED = """
import sys
from netchu.cli import main
code = main(sys.argv[1:])
wanted = ("numpy", "cyclopts", "rich", "PIL", "jax", "netchu.cli.train", "netchu.cli.info", "netchu.engines")
print("imported", *[name for name in wanted if name in sys.modules], file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("arguments", "may"),
    [
        ("--version", set()),
        ("-V", set()),
        ("", set()),
        ("--help", {"cyclopts", "rich"}),
        ("train --help", {"cyclopts", "rich", "netchu.cli.train"}),
        ("train --epochs 0", {"cyclopts", "rich", "netchu.cli.train"}),
    ],
)
def test_what_is_imported(arguments: str, may: set[str], folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED, *arguments.split()], **process_settings(folder))
    assert set(done.stderr.decode().splitlines()[-1].split()[1:]) <= may


COLLECTS = """
import atexit, gc, sys
at_exit = lambda: print(gc.get_freeze_count() > 5_000, gc.isenabled(), file=sys.stderr)
atexit.register(at_exit)
from netchu.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize(("command", "collects"), [("info", True), ("--version", False)])
def test_garbage_is_collected_once_an_engine_is_imported(command: str, collects: bool, folder: Path) -> None:
    """What was imported is frozen: Python looks through it no more, in the command and on its way out."""
    done = subprocess.run([sys.executable, "-c", COLLECTS, command], **process_settings(folder), check=True)
    assert done.stderr.decode().splitlines()[-1] == f"True {collects}"


@pytest.mark.parametrize("switch", [gc.enable, gc.disable])
def test_a_command_called_from_a_program_leaves_its_garbage_collector_alone(switch: Callable[[], None]) -> None:
    switch()
    try:
        before = gc.get_freeze_count(), gc.isenabled()
        assert main(["--version"]) == 0
        assert main(["info", "--json"]) == 0
        assert (gc.get_freeze_count(), gc.isenabled()) == before
    finally:
        gc.enable()


def test_version(run: Run) -> None:
    done = run("--version")
    assert done.stdout.startswith(b"netchu ")
    assert (done.returncode, done.stderr) == (0, b"")


# --- exit codes ------------------------------------------------------------------------------------------------------

MISTAKES = {
    "tran": (2, 'Did you mean "train"?'),
    "train --epoks 3": (2, "Did you mean --epochs?"),
    "train extra": (2, "extra"),
    "train --epochs": (2, "--epochs requires an argument"),
    "train --epochs many": (2, "into int"),
    "train --epochs 0": (2, "--epochs: expected a whole number from 1. Got: 0."),
    "train --batch-size 0": (2, "--batch-size: expected a whole number from 1"),
    "train --layers 12,x": (2, "--layers: expected whole numbers from 1, separated by commas. Got: 12,x."),
    "train --layers 0": (2, "--layers: expected"),
    "train --learning-rate -1": (2, "--learning-rate: expected a number above 0. Got: -1."),
    "train --learning-rate nan": (2, "--learning-rate: expected a number above 0"),
    "train --seed -1": (2, "--seed: expected a whole number from 0 to 4294967295. Got: -1."),
    "train --optimizer adm": (2, "Known: adadelta, adagrad, adam, adamax, adamw, lion, nadam, rmsprop, sgd. Did you"),
    "train --engine abacus": (2, "Known: jax, numpy, tensorflow"),
    "train --out model.h5": (2, "--out: expected a name ending in .safetensors"),
    "train --out folder.safetensors": (2, "--out: expected the name of a file"),
    "train --out nowhere/model.safetensors": (66, "Make the folder first: 'nowhere'."),
    "train --data nowhere": (66, "Got: 'nowhere'"),
    "train --data noise.npz": (65, "noise.npz: expected a readable .npz archive"),
    "evaluate": (2, "requires an argument"),
    "evaluate nothing.safetensors": (66, "no such model file"),
    "evaluate noise.npz": (65, "noise.npz: expected"),
    "evaluate folder.safetensors": (65, "folder.safetensors: expected a file. Got: a folder"),
    "info noise.npz": (65, "noise.npz: expected"),
    "predict": (2, "requires an argument"),
    "predict x.png --model noise.npz": (65, "noise.npz: expected"),
    "train --data own.npz --layers 4 --epochs 1 --learning-rate 1e30 --optimizer sgd": (1, "expected a finite loss"),
}  # fmt: skip


@pytest.mark.parametrize("line", MISTAKES)
def test_mistake_gets_a_sentence_and_its_code(line: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "noise.npz").write_bytes(b"\x07" * 500)
    (folder / "folder.safetensors").mkdir()
    code, says = MISTAKES[line]
    with np.errstate(all="ignore"):
        assert main(line.split()) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("netchu: ")
    assert no_traceback(err)
    assert not (folder / MODEL).exists()


def test_data_of_another_size_than_the_model(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train_quickly("-q") == 0
    assert main(["evaluate", MODEL, "--data", "sample"]) == 65
    assert "expected images of 8 x 8 pixels, as the model takes them. Got: 28 x 28." in capsys.readouterr().err
    arrays = dict(np.load("own.npz"))
    np.savez("more.npz", **{**arrays, "y_test": arrays["y_test"] + 5})
    assert main(["evaluate", MODEL, "--data", "more.npz"]) == 65


@pytest.mark.parametrize("name", ["jax", "tensorflow"])
def test_missing_extra(run: Run, name: str) -> None:
    for arguments, variables in ((["--engine", name], {}), ([], {"NETCHU_ENGINE": name})):
        done = run("train", *arguments, code=f"sys.modules[{name!r}] = None", env=variables)
        assert done.returncode == 3
        assert done.stderr.decode() == (
            f"netchu: The engine '{name}' needs {name}, which is not installed: pip install 'netchu[{name}]'\n"
        )


def test_engine_named_by_the_environment(run: Run) -> None:
    done = run("info", env={"NETCHU_ENGINE": "abacus"})
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr.startswith(b"netchu: Could not interpret engine identifier: 'abacus'. Known: jax, numpy")
    assert run("info", "--engine", "numpy", env={"NETCHU_ENGINE": "abacus"}).returncode == 0


@pytest.mark.parametrize(
    ("variable", "command"),
    [
        ("NETCHU_OFFLINE", ["info"]),
        ("NETCHU_OFFLINE", ["train", "--epochs", "1"]),
        ("NETCHU_DEBUG", ["info"]),
        ("NETCHU_DEBUG", ["train", "--epochs", "0"]),
    ],
)
def test_a_switch_that_is_neither_on_nor_off(
    variable: str,
    command: list[str],
    folder: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(variable, "perhaps")
    assert main(command) == 2
    err = capsys.readouterr().err
    assert err.splitlines()[-1].startswith(f"netchu: {variable}: expected 1 or 0 (or true, yes, on")
    assert err.endswith(f"Got: {variable}='perhaps'.\n")
    assert no_traceback(err)
    assert not (folder / "runs").exists() or not list((folder / "runs").iterdir())


def test_what_nobody_expected(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise KeyError("left over")

    monkeypatch.setattr("netchu.datasets.load", broken)
    assert main(["train"]) == 1
    err = capsys.readouterr().err
    assert (
        err
        == "netchu: An error that netchu did not expect: KeyError: 'left over'. Run again with --debug to see where.\n"
    )
    assert main(["train", "--debug"]) == 1
    assert "Traceback (most recent call last)" in capsys.readouterr().err
    monkeypatch.setenv("NETCHU_DEBUG", "1")
    assert main(["train"]) == 1
    assert not no_traceback(capsys.readouterr().err)
    monkeypatch.setenv("NETCHU_DEBUG", "off")
    assert main(["train"]) == 1
    assert no_traceback(capsys.readouterr().err)


def test_out_of_memory(folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(*_: Any) -> None:
        raise MemoryError("Unable to allocate 3 TiB")

    monkeypatch.setattr("netchu.datasets.load", greedy)
    assert main(["train"]) == 1
    assert "Out of memory: Unable to allocate 3 TiB. Try narrower --layers" in capsys.readouterr().err


# --- saving ----------------------------------------------------------------------------------------------------------


def test_full_disk_leaves_the_old_file(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train_quickly("-q") == 0
    before = Path(MODEL).read_bytes()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("netchu.formats.safetensors.write_atomically", full)
    assert train_quickly("-q", "--seed", "1") == 1
    err = capsys.readouterr().err
    assert f"{MODEL}: the model could not be saved, expected a disk that takes it. Got: No space left on device" in err
    assert "An older file of that name is untouched" in err
    assert Path(MODEL).read_bytes() == before
    assert sorted(os.listdir()) == [MODEL, "own.npz", "runs"]


@posix
def test_limit_on_file_size(run: Run, folder: Path) -> None:
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))"
    done = run("train", "--data", "own.npz", "--epochs", "1", "-q", code=limit)
    assert done.returncode == 1
    assert b"the checkpoint could not be saved" in done.stderr
    assert b"File too large (EFBIG)" in done.stderr
    assert no_traceback(done.stderr)
    assert sorted(os.listdir(folder)) == ["own.npz", "runs"]


def test_folder_that_cannot_be_written_to(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(**_: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("tempfile.TemporaryFile", refused)
    assert train_quickly() == 1
    err = capsys.readouterr().err
    assert err == "netchu: --out: expected a folder that can be written to. Got: '.': Permission denied.\n"


# --- signals, streams ------------------------------------------------------------------------------------------------


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
    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("netchu.digits.training.measure", interrupted)
    monkeypatch.setattr("netchu.digits.measuring.measure", interrupted)
    assert train_quickly() == 130
    assert load_model(MODEL).info["updates"] == 18
    capsys.readouterr()
    assert main(["evaluate", MODEL, "--data", "own.npz", "-q"]) == 130
    assert capsys.readouterr().err == "netchu: Interrupted.\n"


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
