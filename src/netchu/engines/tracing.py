"""What the engines that compile have in common: a step is traced once, as a pure function of its Variables' arrays.

    state, arguments  --- compiled --->  state, results

While the step is traced, the boxes hold the compiler's tracers, which stand for arrays; afterwards the old arrays are
put back, and each call writes the new ones.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from netchu.engines.contract import Array, Boxed, Engine
from netchu.errors import EngineError


def on_boxes(pure: Callable[..., Any], variables: Mapping[str, Boxed]) -> Callable[..., Any]:
    """A function `(state, *arguments) -> state, results` as one that takes the state from the boxes and puts it there.

    The old arrays are left to whoever holds them (a view that `v.numpy()` gave, a snapshot): none is donated.
    """

    def call(*arguments: Any) -> Any:
        state, results = pure({name: variable.array for name, variable in variables.items()}, *arguments)
        for name, variable in variables.items():
            variable.array = state[name]
        return results

    return call


class _Thread(threading.local):
    carried: frozenset[int] | None = None  # ids of the boxes that the step being traced carries


class TracingEngine(Engine):
    """An Engine whose `compile` traces; subclasses say with `compile_pure` what compiles.

    Attributes:
        library: the library's name as its authors write it, for messages.
    """

    library: str = ""

    def __init__(self) -> None:
        self._thread = _Thread()

    def compile_pure(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of dictionaries, tuples and lists of arrays, traced and compiled for each set of shapes."""
        raise NotImplementedError

    def as_pure(self, step: Callable[..., Any], variables: Mapping[str, Boxed]) -> Callable[..., Any]:
        """The step as a function `(state, *arguments) -> state, results` that can be traced."""

        def pure(state: dict[str, Array], *arguments: Any) -> tuple[dict[str, Array], Any]:
            with self._carrying(variables):
                for name, variable in variables.items():
                    variable.array = state[name]
                result = step(*arguments)
                return {name: variable.array for name, variable in variables.items()}, result

        return pure

    def compile(self, step: Callable[..., Any], variables: Mapping[str, Boxed]) -> Callable[..., Any]:
        """See `Engine.compile`."""
        return on_boxes(self.compile_pure(self.as_pure(step, variables)), variables)

    @contextmanager
    def _carrying(self, variables: Mapping[str, Boxed]) -> Iterator[None]:
        """While tracing, remember which boxes are carried; afterwards no box is left with a tracer in it."""
        before, arrays = self._thread.carried, {name: variable.array for name, variable in variables.items()}
        self._thread.carried = frozenset(map(id, variables.values()))
        try:
            yield
        finally:
            self._thread.carried = before
            for name, variable in variables.items():
                variable.array = arrays[name]

    def holds(self, variable: Boxed) -> bool:
        """See `Engine.holds`."""
        return self._thread.carried is None or id(variable) in self._thread.carried

    def to_numpy(self, array: Array) -> np.ndarray:
        """See `Engine.to_numpy`."""
        if self.is_traced(array):
            raise EngineError(
                f"A value was asked for while {self.library} traces the step: expected only array operations, "
                f"got a request for the numbers of a tensor of shape={tuple(array.shape)} (float(t), t.numpy() or "
                "`if t`). Use netchu.ops.where instead of `if`, or compile(run_eagerly=True) to run without tracing."
            )
        return np.asarray(array)  # a view that cannot be written to

    def threads(self) -> int:
        """XLA's pool of threads follows the processors that this process may use."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
