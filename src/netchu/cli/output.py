"""Where words go: results to standard output, all else to standard error, one line a line whatever is in it.

    result("Test accuracy 0.9789");  result_json({"schema": 1});  message("Data: ...");  problem("no such file")

File names and model files are strangers' text: what cannot be printed in it (control characters, which a terminal
would obey, and bytes that are no UTF-8) is written as an escape such as `\\x1b`.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
from collections.abc import Callable
from typing import Any, TextIO

from netchu.errors import NetchuError, printable
from netchu.system.printing import in_its_characters, is_terminal


class ReaderGoneError(Exception):
    """Nobody reads standard output any more, as in `netchu predict *.png | head -1`: no failure, but no use either."""


class ListenerGoneError(Exception):
    """Nobody reads standard error any more, as in `netchu train 2>&1 | head -1`: that ends the command."""


def result(text: str) -> None:
    """Print a line or lines of the result, at once."""
    _write_result("\n".join(map(printable, text.split("\n"))))


def result_json(value: dict[str, Any]) -> None:
    """Print a JSON object on one line of its own, in ASCII, at once."""
    _write_result(json.dumps(value, allow_nan=False))


def _write_result(text: str) -> None:
    if sys.stdout is None:  # closed by `>&-`; print would say nothing, and the result be lost
        raise NetchuError("standard output", expected="a place that takes the result", got="it is closed")
    try:
        print(in_its_characters(text, sys.stdout), file=sys.stdout, flush=True)
    except BrokenPipeError:
        raise ReaderGoneError from None
    except OSError as error:
        raise NetchuError(
            "standard output", expected="a place that takes the result", got=f"{error.strerror}"
        ) from None


def message(text: str) -> None:
    """Print a line or lines beside the result."""
    print(in_its_characters("\n".join(map(printable, text.split("\n"))), sys.stderr), file=sys.stderr, flush=True)


def problem(text: str) -> None:
    """Print what went wrong."""
    message(f"netchu: {text}")


def prepare_streams() -> None:
    """Let both streams write an escape for a character that the terminal's encoding lacks."""
    if sys.stderr is None:  # closed by `2>&-`; print would take standard output instead
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 (for as long as the process lives)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def silence_if_broken(stream: TextIO | None) -> None:
    """Send what is left in a broken stream to nowhere, so that Python does not complain of it when it ends."""
    if stream is None:
        return
    try:
        stream.flush()
    except OSError:
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)


class LastingStream:
    """A stream for the words of a training: when its terminal is closed they go nowhere, and the run can be saved.

    Args:
        stream: standard error.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.encoding = stream.encoding

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return is_terminal(self.stream)

    def write(self, text: str) -> None:
        """Write, or lose it."""
        self._try(lambda: self.stream.write(text))

    def flush(self) -> None:
        """Have it shown, or lose it."""
        self._try(self.stream.flush)

    def _try(self, action: Callable[[], object]) -> None:
        try:
            action()
        except BrokenPipeError:
            raise ListenerGoneError from None
        except OSError:
            silence_if_broken(self.stream)
