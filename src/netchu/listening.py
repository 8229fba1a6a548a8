"""Listening to a step: whoever wants to see a step as it is made, number by number, is handed it part by part.

    class Printer(Listener):
        def on_stage(self, stage):
            print(stage.name, stage.variable.name)

    with listening(Printer()):
        model.train_on_batch(x, y)               # runs line by line, under every engine

A listener hears what happens in its own thread while it listens: each tape when it is closed, the walk backwards,
the gradients, and each stage of the optimizer's update.  It must change nothing.  The steps of `fit` know nothing of
it; where nobody listens, nothing is computed or kept for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Protocol

from netchu.engines import Array
from netchu.errors import UsageError
from netchu.operation import Contribution, Record
from netchu.tensor import Tensor, Variable

STAGES = ("accumulation", "clipping", "decay", "rule", "averages", "constraints")
"""What happens to a weight and its gradient in one update, in this order; the stages that an optimizer does not use are
not heard."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One stage of an update, for one weight.

    Attributes:
        name: one of `STAGES`.
        variable: the weight.
        before, after: by name, `"gradient"`, `"weight"` or that of a slot: the arrays that the stage reads, and what it
            makes of them.  Each has the weight's shape, but for slots that all weights share, which have shape ().
    """

    name: str
    variable: Variable
    before: Mapping[str, Array]
    after: Mapping[str, Array]


class ClosedTape(Protocol):
    """A `GradientTape` whose block is over.

    Attributes:
        records: of the operations in its block.
    """

    records: list[Record]


class Listener:
    """Base of listeners: every method does nothing.  Define those that you want to hear."""

    def on_tape(self, tape: ClosedTape) -> None:
        """A tape was closed: `tape.records` holds the operations of its block."""

    def on_contribution(self, contribution: Contribution) -> None:
        """On the walk backwards, a record hands a part of the gradient on to one of its inputs."""

    def on_gradients(self, sources: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> None:
        """The walk is over: the gradient of each source, or None where no path leads to it."""

    def on_stage(self, stage: Stage) -> None:
        """One stage of the optimizer's update of one weight."""


class _Thread(threading.local):
    listener: Listener | None = None


_thread = _Thread()


def listener() -> Listener | None:
    """Who listens in this thread, if anybody does."""
    return _thread.listener


@contextmanager
def listening(who: Listener) -> Iterator[Listener]:
    """While it is open, `who` hears the steps that this thread makes line by line.

    Raises:
        UsageError: it is no Listener.
    """
    if not isinstance(who, Listener):
        raise UsageError(
            "listening",
            expected="an object of a class derived from Listener",
            got=f"{who!r:.60}",
            do="Write class Mine(netchu.listening.Listener): ...",
        )
    with _heard_by(who):
        yield who


def nobody_listening() -> AbstractContextManager[None]:
    """While it is open, nobody hears what this thread does: what a traced step computes has no values to be heard."""
    return _heard_by(None)


@contextmanager
def _heard_by(who: Listener | None) -> Iterator[None]:
    before = _thread.listener
    _thread.listener = who
    try:
        yield
    finally:
        _thread.listener = before
