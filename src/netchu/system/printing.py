"""What netchu says on a terminal: one way for all of it, and nothing said can end what it speaks of.

    say("Epoch 1: early stopping")
    say("\\r\\033[K3/6 ━━━━━", stream=sys.stderr, end="")

A terminal whose encoding lacks a character gets a plainer one (`=` for `━`), or an escape such as `\\xe9`.  Where
nobody can read (a closed stream, a pipe without a reader, a full disk) the words are lost, and the training goes on.
"""

from __future__ import annotations

import contextlib
import sys
from typing import TextIO

PLAIN = str.maketrans(
    {
        **dict.fromkeys("━╌╍┄┅┈┉═", "="),
        **dict.fromkeys("│┃╎╏┆┇┊┋║", "|"),
        **dict.fromkeys("┌┍┎┏┐┑┒┓└┕┖┗┘┙┚┛├┝┞┟┠┡┢┣┤┥┦┧┨┩┪┫┬┭┮┯┰┱┲┳┴┵┶┷┸┹┺┻┼┽┾┿╀╁╂╃╄╅╆╇╈╉╊╋╔╗╚╝╠╣╦╩╬╭╮╯╰", "+"),
        "─": "-",
    }
)
"""The characters of bars and boxes, and what stands for them in ASCII."""


def say(text: str, *, stream: TextIO | None = None, end: str = "\n") -> None:
    """Write `text` and `end` at once, in the characters that the stream has; what cannot be written is lost.

    Args:
        text: what to say.
        stream: where to; standard output as it is now if None.
        end: what follows the text.
    """
    out = sys.stdout if stream is None else stream
    if out is None:  # as Python has it where standard output was closed, or where there is no console
        return
    with contextlib.suppress(OSError, ValueError):  # ValueError: a stream that the program closed
        out.write(in_its_characters(text + end, out))
        out.flush()


def in_its_characters(text: str, stream: TextIO) -> str:
    """`text` as the stream can show it: itself, or if its encoding lacks a character, plainer."""
    encoding = getattr(stream, "encoding", None)
    if not isinstance(encoding, str):  # io.StringIO, say, which holds any text
        return text
    try:
        text.encode(encoding)
    except LookupError:
        return text
    except UnicodeEncodeError:
        return text.translate(PLAIN).encode(encoding, "backslashreplace").decode(encoding)
    return text


def is_terminal(stream: TextIO | None) -> bool:
    """Whether what is written to the stream is seen on a terminal; False for one that is closed."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False
