"""How any ending of a command becomes a sentence on standard error and an exit code, and never a traceback.

    return guarded(lambda: run(arguments), debugging=False)

With `--debug` or `NETCHU_DEBUG=1` the traceback comes first.  Warnings are printed as plain sentences.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from typing import TextIO

from netchu.cli.output import ListenerGoneError, ReaderGoneError, prepare_streams, problem, silence_if_broken
from netchu.errors import (
    CheckpointError,
    DataError,
    DataNotFoundError,
    MissingExtraError,
    ModelFileError,
    NetchuError,
    UsageError,
)
from netchu.system import environment

# Exit codes: 65, 66 and 75 as sysexits.h has them; 130 is 128 + SIGINT, as shells have it.
OK = 0
FAILURE = 1
USAGE = 2
MISSING_EXTRA = 3
BAD_DATA = 65
NOT_FOUND = 66
RESUMABLE = 75
INTERRUPTED = 130

# The first class that fits decides.
_CODES: tuple[tuple[type[Exception], int], ...] = (
    (UsageError, USAGE),
    (MissingExtraError, MISSING_EXTRA),
    (DataError, BAD_DATA),
    (ModelFileError, BAD_DATA),
    (CheckpointError, BAD_DATA),
    (DataNotFoundError, NOT_FOUND),
    (FileNotFoundError, NOT_FOUND),
)


def guarded(command: Callable[[], int], *, debugging: bool) -> int:
    """The exit code of `command`, or that of the exception it ended with, which is printed as a sentence.

    Args:
        command: what to do.
        debugging: whether `--debug` was given.
    """
    prepare_streams()
    with warnings.catch_warnings():
        warnings.simplefilter("default", UserWarning)
        warnings.showwarning = _print_warning
        try:
            debugging = debugging or environment.switch("NETCHU_DEBUG")  # before the work: what it says may be nonsense
            return command()
        except ReaderGoneError:
            return OK
        except (BrokenPipeError, ListenerGoneError):  # of standard error, in the middle of the work
            return FAILURE
        except (Exception, KeyboardInterrupt) as error:
            return print_error(error, debugging=debugging)
        finally:
            silence_if_broken(sys.stdout)
            silence_if_broken(sys.stderr)


def print_error(error: BaseException, *, debugging: bool = False) -> int:
    """Print what `error` means for the user, after its traceback if `debugging`; the exit code."""
    if debugging:
        import traceback

        traceback.print_exception(error)
    problem(explanation(error))
    if isinstance(error, KeyboardInterrupt):
        return INTERRUPTED
    return next((code for kind, code in _CODES if isinstance(error, kind)), FAILURE)


def explanation(error: BaseException) -> str:
    """The sentence: what happened, why, and what to do."""
    if isinstance(error, NetchuError):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "Interrupted."
    if isinstance(error, MemoryError):
        return f"Out of memory: {error or 'no more to be had'}. Try narrower --layers or a smaller --batch-size."
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}." if error.filename is not None else f"{error.strerror}."
    hint = "Run again with --debug to see where."
    return f"An error that netchu did not expect: {type(error).__name__}: {error}. {hint}"


def _print_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    problem(f"warning: {message}")
