"""What a fork leaves behind: no thread of JAX or TensorFlow comes along, and who waits for one waits for ever.

`multiprocessing` forks by default under Linux before Python 3.14.  In the child, an engine whose library had begun to
compute answers whatever is asked of it with an error that says spawn.  The NumPy engine goes on: no thread of the
parent's is in the middle of a step while it forks (`engine.py` there).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import nullcontext
from functools import cached_property
from typing import Any, NoReturn, TypeVar

from netchu.engines.contract import Engine
from netchu.errors import EngineError

T = TypeVar("T")


class unlocked_property(cached_property[T]):  # as Python spells its own
    """`cached_property` without the lock that it has before Python 3.12, one for all objects.

    A thread that holds it while another one forks is not there in the child to give it back.
    """

    def __init__(self, function: Callable[[Any], T]) -> None:
        super().__init__(function)
        self.lock = nullcontext()


def has_threads(library: str) -> bool:
    """Whether a library that an engine stands on has threads of its own by now, which a child would lack."""
    if library == "jax":  # imports start no thread, and a program may fork before anything is computed
        bridge = sys.modules.get("jax._src.xla_bridge")
        return bridge is not None and bool(getattr(bridge, "backends_are_initialized", lambda: True)())
    return library != "numpy" and library in sys.modules


def left_behind(name: str) -> EngineError:
    """The error for whoever uses an engine whose threads stayed in the parent."""
    return EngineError(
        f"The engine {name!r}",
        expected="a process that was spawned: its threads do not survive a fork",
        got=f"engine={name!r} in a forked process",
        do='Start processes from multiprocessing.get_context("spawn"), or call netchu.set_engine("numpy") there.',
    )


class LeftBehind(Engine):
    """In a forked child, what stands in an engine's place: whatever is asked of it is that error.

    Args:
        name: of the engine.
    """

    def __init__(self, name: str) -> None:
        self.__dict__["__name__"] = name

    def __getattribute__(self, key: str) -> Any:
        if key.startswith("__"):
            return object.__getattribute__(self, key)
        raise left_behind(self.__dict__["__name__"])

    @classmethod
    def take_the_place_of(cls, engine: Engine, name: str) -> None:
        """Make an engine, which tensors still point at, one that is left behind."""
        engine.__class__ = cls
        engine.__dict__["__name__"] = name


def refusing(name: str) -> Callable[..., NoReturn]:
    """A function for the place of an array function of the engine `name`."""

    def refuse(*arguments: Any, **settings: Any) -> NoReturn:
        raise left_behind(name)

    return refuse


def after_fork(in_child: Callable[[], None]) -> None:
    """Call `in_child` in each process that is forked from this one; nothing to do where systems cannot fork."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=in_child)
