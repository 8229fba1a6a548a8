"""What netchu says on a terminal: in the characters that it has, and without ever ending a training."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

import netchu
from netchu import callbacks
from netchu.layers import Dense, Input
from netchu.system.printing import in_its_characters, say
from small_nets import classifier, clusters

ENCODINGS = ["ascii", "cp1252", "latin-1", "cp437", "gbk", "koi8-r", "utf-8"]


class Terminal(io.TextIOWrapper):
    """A terminal of some encoding, as strict as Python makes it."""

    def __init__(self, encoding: str, errors: str = "strict") -> None:
        super().__init__(io.BytesIO(), encoding=encoding, errors=errors)

    def isatty(self) -> bool:
        return True

    @property
    def shown(self) -> str:
        assert isinstance(self.buffer, io.BytesIO)
        return self.buffer.getvalue().decode(self.encoding)


class Refusing(io.StringIO):
    """A stream that cannot be written to."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def write(self, text: str) -> int:
        raise self.error


def closed() -> io.StringIO:
    stream = io.StringIO()
    stream.close()
    return stream


NOWHERE: dict[str, Any] = {
    "none": lambda: None,
    "closed": closed,
    "no reader": lambda: Refusing(BrokenPipeError(32, "Broken pipe")),
    "full": lambda: Refusing(OSError(28, "No space left on device")),
    "terminal gone": lambda: Refusing(OSError(5, "Input/output error")),
}


def everything_that_prints(tmp_path: Path) -> None:
    """One of each: bars, summaries, the remarks of callbacks."""
    x, y = clusters()
    told: list[callbacks.Callback] = [
        callbacks.EarlyStopping("loss", patience=0, min_delta=100, restore_best_weights=True, verbose=1),
        callbacks.ReduceLROnPlateau("loss", patience=0, min_delta=100, verbose=1),
        callbacks.LearningRateScheduler(lambda epoch, rate: rate, verbose=1),
        callbacks.ModelCheckpoint(str(tmp_path / "chữ.safetensors"), verbose=1),
    ]
    model = classifier()
    history = model.fit(x, y, epochs=4, callbacks=told)
    assert len(history.history["loss"]) == 2
    model.fit(x, y, verbose=2)
    model.fit(x, y, verbose="steps:2")
    model.evaluate(x, y)
    model.predict(x)
    netchu.Sequential([model, Dense(2)], name="chữ").summary(expand_nested=True)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_everything_can_be_shown_in_every_encoding(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = Terminal(encoding)
    monkeypatch.setattr(sys, "stdout", terminal)
    everything_that_prints(tmp_path)
    monkeypatch.undo()
    shown = terminal.shown
    assert "early stopping" in shown
    assert "\\u25" not in shown
    assert "\\u2" not in shown
    assert ("━━━" in shown) == (encoding in ("utf-8", "gbk"))
    assert ("chữ" if encoding == "utf-8" else "ch\\u1eef") in shown


@pytest.mark.parametrize("where", NOWHERE)
def test_nothing_that_is_said_ends_a_training(where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", NOWHERE[where]())
    everything_that_prints(tmp_path)


def test_a_stream_that_breaks_in_the_middle_loses_no_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    stream = open(writing, "w")  # noqa: SIM115 (its reader leaves in the middle)
    monkeypatch.setattr(sys, "stdout", stream)
    leave = callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: os.close(reading) if epoch == 0 else None)
    history = classifier().fit(*clusters(), epochs=3, callbacks=[leave])
    assert len(history.history["loss"]) == 3
    with pytest.raises(BrokenPipeError):
        stream.close()


def test_a_stream_that_writes_escapes_by_itself_still_gets_a_plain_bar() -> None:
    assert in_its_characters("━━─ é", Terminal("ascii", "backslashreplace")) == "==- \\xe9"


def test_a_box_stays_a_box() -> None:
    model = netchu.Sequential([Input((4,)), Dense(2)])
    fancy, plain = Terminal("utf-8"), Terminal("ascii")
    model.summary(print_fn=lambda text: say(text, stream=fancy))
    model.summary(print_fn=lambda text: say(text, stream=plain))
    assert len(fancy.shown) == len(plain.shown)
    assert plain.shown.isascii()
    assert "+=====" in plain.shown
    assert "| dense" in plain.shown


def test_text_without_an_encoding_is_left_as_it_is() -> None:
    stream = io.StringIO()
    say("━ chữ", stream=stream, end="")
    assert stream.getvalue() == "━ chữ"
