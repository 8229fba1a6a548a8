"""What the environment says: one rule for every switch and number, and versions that never raise."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

import netchu
from helpers import SOURCE
from netchu.errors import UsageError
from netchu.system import environment
from small_nets import python_environment

NAME = "NETCHU_OFFLINE"


@pytest.mark.parametrize(("value", "says"), [("a folder", "a folder"), ("  jax ", "jax"), ("", None), ("  ", None)])
def test_text(value: str, says: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, value)
    assert environment.text(NAME) == says


@pytest.mark.parametrize("on", ["1", "true", "yes", "on", "ON", " Yes "])
@pytest.mark.parametrize("default", [True, False])
def test_a_switch_that_is_on(on: str, default: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, on)
    assert environment.switch(NAME, default)


@pytest.mark.parametrize("off", ["0", "false", "no", "off", "OFF", " No "])
@pytest.mark.parametrize("default", [True, False])
def test_a_switch_that_is_off(off: str, default: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, off)
    assert not environment.switch(NAME, default)


@pytest.mark.parametrize("value", [None, "", " "])
def test_what_says_nothing_is_as_usual(value: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if value is None:
        monkeypatch.delenv(NAME, raising=False)
    else:
        monkeypatch.setenv(NAME, value)
    assert environment.text(NAME) is None
    assert (environment.switch(NAME), environment.switch(NAME, default=True)) == (False, True)
    assert (environment.whole_number(NAME), environment.whole_number(NAME, 3)) == (None, 3)


@pytest.mark.parametrize("value", ["perhaps", "2", "-1", "y", "offf", "1 0"])
def test_a_switch_that_is_neither_is_an_error(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, value)
    with pytest.raises(UsageError, match=f"^{NAME}: expected 1 or 0 .* Got: {NAME}='{value}'"):
        environment.switch(NAME)


@pytest.mark.parametrize(("value", "number"), [("0", 0), ("007", 7), (" 12 ", 12)])
def test_a_whole_number(value: str, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, value)
    assert environment.whole_number(NAME) == number


@pytest.mark.parametrize("value", ["many", "-1", "1.5", "1e3", "\u0661"])  # the last is a digit, but not in ASCII
def test_what_is_no_whole_number_is_an_error(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, value)
    with pytest.raises(UsageError, match=f"^{NAME}: expected a whole number from 0. Got: {NAME}='{value}'"):
        environment.whole_number(NAME)


def test_versions(monkeypatch: pytest.MonkeyPatch) -> None:
    from importlib import metadata

    assert environment.version() == netchu.__version__ == metadata.version("netchu")
    assert environment.version("no-such-distribution") == "unknown"

    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    assert environment.version() == netchu.__version__ == "unknown"


def test_it_needs_no_numpy() -> None:
    program = "import sys; from netchu.system import environment; environment.version(); print('numpy' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], env=python_environment(), capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_variables_of_netchu_are_read_in_one_place() -> None:
    for path in SOURCE.rglob("*.py"):
        if path == SOURCE / "system" / "environment.py":
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in ("os.environ.get", "os.getenv"):
                assert "NETCHU_" not in ast.unparse(node), f"{path}:{node.lineno}"
            if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Load):
                assert not ast.unparse(node).startswith("os.environ['NETCHU_"), f"{path}:{node.lineno}"
