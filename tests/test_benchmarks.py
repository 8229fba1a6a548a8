"""The benchmarks' harness: what a round is, what is made of its figures, and that the programs are all there."""

from __future__ import annotations

import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
MODULES = ("harness", "commands", "bars", "tables")


@pytest.fixture
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The modules by their names."""
    if not BENCHMARKS.exists():
        pytest.skip("needs benchmarks beside the tests")
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    for name in MODULES:
        sys.modules.pop(name)


def printing(text: str) -> tuple[str, ...]:
    """Arguments for a process that prints `text`; braces doubled, for the harness fills in `{data}` and `{seed}`."""
    return ("-c", f"print('started'); print('{text}')")


def test_rounds_hold_what_the_commands_printed(benchmarks: Any, tmp_path: Path) -> None:
    command, setup = benchmarks.harness.Command, benchmarks.harness.Setup("data", tmp_path)
    good = command("good", printing('{{"seed": {seed}, "data": "{data}"}}'), warm_up=True)
    bad = command("bad", ("-c", "raise SystemExit(3)"))
    seen: list[int] = []
    rounds = benchmarks.harness.side_by_side([good, bad], setup, 2, lambda done: seen.append(len(done)))
    assert [set(r) for r in rounds] == [{"good"}] * 2
    assert [r["good"].told for r in rounds] == [{"seed": 0, "data": "data"}, {"seed": 1, "data": "data"}]
    assert all(0 < r["good"].wall < 60 for r in rounds)
    assert seen == [1, 2]


@pytest.mark.skipif(sys.platform == "win32", reason="peak memory of a child process is not told there")
def test_peak_memory_is_the_childs(benchmarks: Any, tmp_path: Path) -> None:
    """Asked in a process of its own: Linux counts what the asking one had as its child's."""
    program = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import harness
command = harness.Command("big", ("-c", "x = bytes([1]) * 300_000_000; print('{{}}')"))
print(harness.Setup("data", Path(sys.argv[2])).run(command, 0).peak_mb)
"""
    done = subprocess.run([sys.executable, "-c", program, BENCHMARKS, tmp_path], capture_output=True, text=True)
    assert 300 < float(done.stdout) < 400, done.stderr


def test_variables_that_change_what_is_measured_are_cleared(
    benchmarks: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "1")
    monkeypatch.setenv("NETCHU_ENGINE", "jax")
    setup, command = benchmarks.harness.Setup("data", tmp_path), benchmarks.harness.Command
    warm, cold = command("a", ()), command("a", (), cold=True)
    assert not {"OPENBLAS_NUM_THREADS", "NETCHU_ENGINE"} & set(setup.environment(warm, 0))
    folders = [setup.environment(c, seed)["XDG_CACHE_HOME"] for c in (warm, cold) for seed in (0, 1)]
    assert folders[0] == folders[1]
    assert len(set(folders)) == 3


def test_every_bar_has_its_commands_and_every_command_its_program(benchmarks: Any) -> None:
    names = [command.name for command in benchmarks.commands.COMMANDS]
    assert len(names) == len(set(names))
    for bar in benchmarks.bars.BARS:
        assert {*bar.needs, *bar.either} <= set(names), bar.what
    for command in benchmarks.commands.COMMANDS:
        assert command.arguments[0] == "-m" or Path(command.arguments[0]).exists(), command.name


def test_figures_of_two_rounds_and_their_line(benchmarks: Any) -> None:
    def sample(wall: float) -> Any:
        return benchmarks.harness.Sample(wall, 100.0, {"seconds": [9.0, wall, wall], "test_accuracy": 0.98})

    rounds = [{"a": sample(1.0), "b": sample(2.0)}, {"a": sample(3.0), "b": sample(4.0)}, {"a": sample(1.0)}]
    bar = benchmarks.bars.Bar("row", "this", "that", benchmarks.bars.steady("a", "b"), 0.7, 0.6, ("a", "b"))
    assert bar.figures(rounds) == [0.5, 0.75]
    line = benchmarks.tables.table_of_bars([bar], rounds, {})[-1]
    assert line == "| this | that | 0.62 x | 0.50-0.75 | 2 | 0.7 x | yes | 0.6 x | no |"
    assert "skipped (b: not installed)" in benchmarks.tables.table_of_bars([bar], [], {"b": "not installed"})[-1]


def test_more_is_better_where_a_bar_says_so(benchmarks: Any) -> None:
    bar = next(bar for bar in benchmarks.bars.BARS if bar.at_least)
    assert (bar.holds(50.0, 40), bar.holds(39.0, 40), bar.holds(1.0, None)) == ("yes", "no", "")
