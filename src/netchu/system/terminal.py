"""What is said to whoever looks on, in a way that never ends the work it tells of.

    say("Epoch 3: early stopping")

Training goes on when its words cannot be shown: on a terminal that lacks a character they are written in plainer ones,
and on a stream that is closed, or a disk that is full, they are lost.  Only a reader who left (`| head`) is an error.
"""

from __future__ import annotations

import sys
from typing import TextIO

# What a bar and a table are drawn with, and what every terminal has.
PLAINER = str.maketrans(
    {"━": "=", "─": "-", "│": "|", "┃": "|", "└": "+", "…": "..."} | dict.fromkeys("┏┳┓┡╇┩├┼┤┴┘", "+")
)


def say(text: str, end: str = "\n", stream: TextIO | None = None) -> None:
    """Write a text to a stream, at once.

    Args:
        text: any letters.
        end: what follows it.
        stream: standard output, as it is now, if None.

    Raises:
        BrokenPipeError: nobody reads the stream any more.
    """
    stream = stream or sys.stdout
    if stream is None:  # a program without a console, or `>&-`
        return
    try:
        try:
            stream.write(text + end)
        except UnicodeEncodeError:
            plain = (text + end).translate(PLAINER)
            encoding = stream.encoding or "ascii"
            stream.write(plain.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except BrokenPipeError:
        raise
    except (OSError, ValueError):  # a full disk; "I/O operation on closed file"
        return


def is_terminal(stream: TextIO | None) -> bool:
    """Whether what is written to a stream may be written over; False for one that is closed, or is none."""
    try:
        return stream is not None and stream.isatty()
    except ValueError:
        return False
