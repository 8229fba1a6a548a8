"""How commands end: help, exit codes, full disks, and what may be imported."""

from __future__ import annotations

import errno
import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from cli_tools import MODEL, Run, no_traceback, process_settings, train_quickly
from netchu.cli import main

posix = pytest.mark.skipif(os.name != "posix", reason="a POSIX process; nothing to be done elsewhere")

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


def test_a_test_without_a_finite_loss_names_the_flag(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert train_quickly("-q") == 0
    monkeypatch.setattr("netchu.models.Sequential.evaluate", lambda *_, **__: {"loss": float("nan")})
    for code in (train_quickly("-q"), main(["evaluate", MODEL, "--data", "own.npz", "-q"])):
        assert code == 1
        says = "netchu: test: expected a finite loss. Got: loss=nan. Try a smaller --learning-rate."
    assert capsys.readouterr().err.splitlines() == [says] * 2


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
