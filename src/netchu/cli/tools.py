"""A word of advice that commands give once they have read their flags."""

from __future__ import annotations

from netchu import engines
from netchu.cli.options import Common
from netchu.system import environment


def say_if_busy(common: Common) -> None:
    """A word of advice where other programs keep the processors busy and one thread would be faster now.

    It is not taken by itself: the number of threads is part of the last bits, and equal commands give equal files.
    """
    engine = engines.current()
    if environment.text("NETCHU_THREADS") is None and engine.suited_threads() < engine.threads():
        common.say("The processors are busy with something else: NETCHU_THREADS=1 would be faster now.")
