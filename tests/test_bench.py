"""`netchu bench`: what it measures and says, and how it ends.  The figures themselves are nobody's to judge here."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli_tools import SOURCE, Run, no_traceback, process_settings
from netchu import engines
from netchu.cli import bench, main
from netchu.cli.bench import Speed

QUICKLY = ("bench", "--data", "own.npz", "--seconds", "0")
ABOUT_AN_ENGINE = {"epoch_seconds", "start_seconds", "images_per_second", "share_of_peak", "threads", "version"}
posix = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX; nothing to be done elsewhere")


@pytest.fixture(autouse=True)
def _quick_and_found_from_any_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench, "SIDE", 64)
    monkeypatch.setenv("PYTHONPATH", SOURCE)


def speed(name: str, epoch: float, start: float) -> Speed:
    """An engine whose two large products are a billion operations an epoch."""
    measured = {
        "seconds": [2 * epoch, epoch, epoch, epoch],
        "images": 1000,
        "products": 10**9,
        "threads": 2,
        "version": "",
    }
    return Speed(name, measured, wall=start + 4 * epoch, peak=1e10)


# --- what is measured ------------------------------------------------------------------------------------------------


def test_json(engine: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*QUICKLY, "--engine", engine, "--json"]) == 0
    out, err = capsys.readouterr()
    printed = json.loads(out)
    assert set(printed) == {"schema", "data", "peak_gflops", "engines", "failed", "missing", "fastest"}
    assert printed["data"] == {"name": "own", "source": "file own.npz", "train": 90}
    assert (printed["fastest"], printed["failed"]) == (engine, {})
    assert set(printed["engines"]) == {engine}
    figures = printed["engines"][engine]
    assert set(figures) == ABOUT_AN_ENGINE
    assert all(figures[name] > 0 for name in ABOUT_AN_ENGINE - {"version", "share_of_peak"})
    assert engine in err  # the progress


def test_all_installed_engines_without_a_flag() -> None:
    names = bench.chosen_engines(None)
    assert names[0] == "numpy"
    assert set(names) <= set(engines.engine_names())


def test_words(run: Run) -> None:
    done = run(*QUICKLY, "--engine", "numpy", env={"COLUMNS": "40"})
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 0
    assert lines[0].split() == ["engine", "epoch", "start", "images/s", "of", "peak"]
    assert lines[1].startswith("numpy ")
    assert max(map(len, lines[:2])) <= 50
    assert "Take numpy: NETCHU_ENGINE=numpy" in lines[2]


def test_quiet_and_the_sample(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--data", "sample", "--seconds", "0", "--engine", "numpy", "--json", "-q"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert json.loads(out)["data"] == {"name": "mnist-sample", "source": "package sample", "train": 8004}


# --- what is made of it ----------------------------------------------------------------------------------------------


def test_figures_by_hand() -> None:
    one = speed("numpy", epoch=0.5, start=1.0)
    assert one.epoch == 0.5
    assert one.start == pytest.approx(1.0)  # 3.0 in all, less three epochs and one for the first
    assert one.main_job == pytest.approx(3.5)
    assert one.share == pytest.approx(0.2)  # 0.1 s at the peak
    assert one.as_json()["images_per_second"] == 2000


@pytest.mark.parametrize(
    ("speeds", "missing", "says"),
    [
        ([("numpy", 1.0, 0.5)], ["jax"], "Take numpy: NETCHU_ENGINE=numpy, or --engine numpy. To try jax too: pip"),
        ([("numpy", 1.0, 0.5), ("jax", 0.5, 2.0)], [], "Take jax: NETCHU_ENGINE=jax, or --engine jax."),
        ([("numpy", 1.0, 0.5), ("jax", 0.5, 5.5)], [], "Take numpy up to 10 epochs, jax for more: --engine jax."),
        ([], [], "No engine could be measured."),
    ],
)  # fmt: skip
def test_advice(speeds: list[tuple[str, float, float]], missing: list[str], says: str) -> None:
    assert bench.advice([speed(*one) for one in speeds], missing).startswith(says)


# --- how it ends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "code", "says"),
    [
        ("--engine abacus", 2, "Known: jax, numpy, tensorflow"),
        ("--seconds -1", 2, "--seconds: expected a number from 0. Got: -1."),
        ("--data nowhere", 66, "Got: 'nowhere'"),
    ],
)
def test_mistakes(flags: str, code: int, says: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", *flags.split()]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert says in err.splitlines()[-1]


def test_an_engine_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench, "library_version", lambda name: None)
    assert main(["bench", "--engine", "jax"]) == 3
    assert "pip install 'netchu[jax]'" in capsys.readouterr().err


def test_an_engine_that_fails_is_reported_in_its_own_words(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench, "chosen_engines", lambda engine: ["numpy", "broken"])
    assert main([*QUICKLY]) == 1
    out = capsys.readouterr().out
    assert "broken: failed: Could not interpret engine identifier: 'broken'." in out
    assert "Take numpy" in out


@posix
@pytest.mark.parametrize(
    ("number", "code", "says"), [(signal.SIGINT, 130, "Interrupted"), (signal.SIGTERM, 1, "Stopped")]
)
def test_signals_end_it_and_the_engine_with_it(number: int, code: int, says: str, folder: Path) -> None:
    command = [sys.executable, "-m", "netchu", "bench", "--data", "own.npz", "--engine", "numpy", "--seconds", "50"]
    with subprocess.Popen(command, **process_settings(folder)) as process:
        assert process.stderr is not None
        assert any(b"numpy ..." in line for line in process.stderr)
        time.sleep(0.7)  # the engine's process is at work
        process.send_signal(number)
        rest = process.stderr.read().decode()  # ends when no process has it open
        assert process.wait(timeout=10) == code
    assert says in rest
    assert no_traceback(rest)
