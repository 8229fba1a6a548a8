"""The progress line: Keras's form, plain where nothing can be redrawn, a bar on a terminal, never wider than it."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from netchu.callbacks import LambdaCallback
from netchu.callbacks.progress import ProgressLine, checked_verbose, clock, figures, step_time
from small_nets import classifier, clusters, python_environment

STEP = r"\d+(s|ms|us)/step"
FIGURE = r"\d\.\d{4}(e-\d\d)?"
FIT_LINE = rf"6/6 - \d+s - {STEP} - accuracy: {FIGURE} - loss: {FIGURE}"
VALIDATED_LINE = rf"{FIT_LINE} - val_accuracy: {FIGURE} - val_loss: {FIGURE}"
BAR_LINE = rf"6/6 ━{{20}} \d+s {STEP} - accuracy: {FIGURE} - loss: {FIGURE}"

PROGRAM = """
from small_nets import classifier, clusters
classifier().fit(*clusters(), batch_size=10, epochs=2, verbose=1)
"""
ANSI = re.compile(r"\x1b\[[0-9;]*[mK]")

posix_only = pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def printed(capsys: pytest.CaptureFixture[str], verbose: Any, epochs: int = 1, **settings: Any) -> list[str]:
    classifier().fit(*clusters(), batch_size=10, epochs=epochs, verbose=verbose, **settings)
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out.splitlines()


def on_a_terminal(monkeypatch: pytest.MonkeyPatch, columns: int = 80, **settings: Any) -> list[str]:
    """What a terminal shows: the last state of every line, with colours."""
    monkeypatch.setenv("COLUMNS", str(columns))
    stream = Terminal()
    line = ProgressLine(1, stream=stream)
    each = LambdaCallback(on_train_batch_end=lambda batch, logs: None)  # with it the line, too, is called for each step
    classifier().fit(*clusters(), batch_size=10, callbacks=[line, each], **settings)
    return stream.getvalue().split("\n")


# --- plain lines -----------------------------------------------------------------------------------------------------


def test_one_line_an_epoch_in_keras_form(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, 2, epochs=2)
    assert [lines[0], lines[2]] == ["Epoch 1/2", "Epoch 2/2"]
    assert re.fullmatch(FIT_LINE, lines[1])
    assert re.fullmatch(FIT_LINE, lines[3])
    assert len(lines) == 4


def test_heading_only_if_there_are_several_epochs(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = printed(capsys, 2, epochs=1)
    assert re.fullmatch(FIT_LINE, line)


def test_validation_inside_fit_prints_no_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = printed(capsys, 2, validation_data=clusters(9))
    assert re.fullmatch(VALIDATED_LINE, line)


def test_evaluate_and_predict_print_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    x, y = clusters()
    model = classifier()
    model.evaluate(x, y, batch_size=10, verbose=2)
    model.predict(x, batch_size=10, verbose=2)
    evaluated, predicted = capsys.readouterr().out.splitlines()
    assert re.fullmatch(FIT_LINE, evaluated)
    assert re.fullmatch(rf"6/6 - \d+s - {STEP}", predicted)


def test_evaluate_after_fit_prints_again(capsys: pytest.CaptureFixture[str]) -> None:
    model = classifier()
    line = ProgressLine(2)
    model.fit(*clusters(), batch_size=10, callbacks=[line])
    model.evaluate(*clusters(), batch_size=10, callbacks=[line])
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize("verbose", [1, "auto", True])
def test_bar_becomes_plain_lines_where_nothing_can_be_redrawn(verbose: Any, capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = printed(capsys, verbose)
    assert re.fullmatch(FIT_LINE, line)


def test_verbose_0_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, 0, epochs=3) == []


def test_tutorials_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "steps:4", epochs=2)
    assert [re.sub(r"\d\.\d\d$", "d.dd", line) for line in lines] == [
        "Epoch 0", "loss at batch 0: d.dd", "loss at batch 4: d.dd",
        "Epoch 1", "loss at batch 0: d.dd", "loss at batch 4: d.dd",
    ]  # fmt: skip


def test_tutorials_lines_are_the_naive_modules(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "steps:100")
    assert lines[0] == "Epoch 0"
    assert re.fullmatch(r"loss at batch 0: \d\.\d\d", lines[1])


def test_pipe_gets_no_control_characters() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], env=python_environment(), capture_output=True, timeout=120, check=True
    )
    text = done.stdout.decode()
    assert not set(text) - {"\n"} & {chr(code) for code in range(32)}
    first, second = text.splitlines()
    assert re.fullmatch(f"Epoch 1/2 - {FIT_LINE}", first)
    assert re.fullmatch(f"Epoch 2/2 - {FIT_LINE}", second)


# --- the bar ---------------------------------------------------------------------------------------------------------


def read_pseudo_terminal(**environment: str) -> str:
    """What PROGRAM writes to a terminal."""
    import pty

    ours, theirs = pty.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            env=python_environment(TERM="xterm", **environment),
            stdout=theirs,
            stdin=theirs,
            stderr=subprocess.PIPE,
            close_fds=True,
        )
        os.close(theirs)
        parts = []
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux: the other side is closed
                break
            if not part:
                break
            parts.append(part)
        assert process.wait(timeout=60) == 0, process.stderr and process.stderr.read().decode()
    finally:
        os.close(ours)
        if process.stderr:
            process.stderr.close()
    return b"".join(parts).decode()


@posix_only
def test_pseudo_terminal_gets_the_bar() -> None:
    text = read_pseudo_terminal(COLUMNS="100", NO_COLOR="1")
    finished = [line.rsplit("\r\x1b[K", 1)[-1] for line in text.split("\r\n") if line]
    assert finished[0] == "Epoch 1/2"
    assert re.fullmatch(BAR_LINE, finished[1])
    assert re.fullmatch(BAR_LINE, finished[3])
    assert "\b" not in text


@posix_only
def test_narrow_pseudo_terminal_is_not_overrun() -> None:
    text = read_pseudo_terminal(COLUMNS="20")
    states = [ANSI.sub("", state) for line in text.split("\r\n") for state in line.split("\r")]
    assert max(map(len, states)) < 20
    assert any(state.startswith("6/6 ") for state in states)


def test_bar_is_coloured_unless_no_color(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.delenv("TERM", raising=False)
    assert "\x1b[32m" in on_a_terminal(monkeypatch)[0]
    monkeypatch.setenv("NO_COLOR", "1")
    line = on_a_terminal(monkeypatch)[0]
    assert "\x1b[32m" not in line
    assert re.fullmatch(BAR_LINE, ANSI.sub("", line).rsplit("\r", 1)[-1])


@pytest.mark.parametrize("columns", [1, 10, 20, 40, 60, 80, 200])
def test_line_fits_every_terminal(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netchu.callbacks.progress.REDRAW_SECONDS", 0.0)
    lines = on_a_terminal(monkeypatch, columns, verbose=1)
    states = [ANSI.sub("", state) for line in lines for state in line.split("\r")]
    assert len(states) > 6
    assert max(map(len, states)) <= max(columns - 1, 1)


def test_bar_fills_as_steps_are_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netchu.callbacks.progress.REDRAW_SECONDS", 0.0)
    monkeypatch.setenv("NO_COLOR", "1")
    states = [ANSI.sub("", s) for s in on_a_terminal(monkeypatch, 100)[0].split("\r") if s]
    assert [state.split()[0] for state in states] == ["1/6", "2/6", "3/6", "4/6", "5/6", "6/6", "6/6"]
    assert [state.count("━") for state in states] == [3, 6, 10, 13, 16, 20, 20]


def test_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    assert re.fullmatch(FIT_LINE, on_a_terminal(monkeypatch)[0])


def test_steps_that_are_not_known_beforehand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netchu.callbacks.progress.REDRAW_SECONDS", 0.0)
    monkeypatch.setenv("NO_COLOR", "1")
    x, y = clusters(20)
    stream = Terminal()
    classifier().fit(((x[i : i + 5], y[i : i + 5]) for i in range(0, 20, 5)), callbacks=[ProgressLine(1, stream)])
    assert "1/Unknown " in stream.getvalue()


# --- the parts -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(3.2, "3s/step"), (0.004, "4ms/step"), (0.0094, "9ms/step"), (0.00002, "20us/step"), (0, "0s/step")],
)
def test_time_of_a_step(seconds: float, text: str) -> None:
    assert step_time(seconds) == text


@pytest.mark.parametrize(("seconds", "text"), [(7, "7s"), (75, "1:15"), (3723, "1:02:03"), (0.2, "0s")])
def test_time_of_an_epoch(seconds: float, text: str) -> None:
    assert clock(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.9236, "0.9236"), (0.0011, "0.0011"), (0.001, "1.0000e-03"), (2.5e-7, "2.5000e-07"), (-0.5, "-0.5000"),
     (0, "0.0000e+00")],
)  # fmt: skip
def test_figures_have_four_decimals_or_an_exponent(value: float, text: str) -> None:
    assert figures({"loss": value}) == f" - loss: {text}"


@pytest.mark.parametrize(
    ("given", "taken"), [("auto", 1), (True, 1), (False, 0), (0, 0), (1, 1), (2, 2), ("steps:100", "steps:100")]
)
def test_verbose_settings(given: Any, taken: Any) -> None:
    assert checked_verbose(given) == taken
