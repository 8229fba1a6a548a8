"""What it is to trace a step: it runs once with tracers in the place of arrays, as a pure function of its Variables.

    state, arguments  --- traced --->  what it changed of the state, results

While a step is traced, the thread that does so sees the tracers in the boxes (`carrying`).  Every other thread goes on
seeing the arrays: a tracer never stands where somebody else could take it for a value.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

from netchu.engines.contract import Array, Box, Engine
from netchu.errors import EngineError


class _Thread(threading.local):
    arrays: dict[int, Array] | None = None  # by the id of a box, what stands in it; None while nothing is traced
    carried: frozenset[int] = frozenset()  # ids of the boxes that the innermost step being traced carries
    strict = True  # whether it may write to no other box


here = _Thread()
"""What this thread sees in boxes."""


@contextmanager
def carrying(
    variables: Mapping[str, Box], arrays: Mapping[str, Array], *, strict: bool = True
) -> Iterator[dict[int, Array]]:
    """While it is open, this thread sees `arrays` in the boxes, and what it writes there stays here.

    Args:
        variables: the boxes by name.
        arrays: what is to be seen in each, by the same names.
        strict: whether to write to another box is an error, as it is while a step is traced.

    Yields:
        What stands in the boxes, by their ids.
    """
    outer = (here.arrays, here.carried, here.strict)
    mine = {id(variable): arrays[name] for name, variable in variables.items()}
    here.arrays = {**(here.arrays or {}), **mine}
    here.carried = frozenset(mine)
    here.strict = strict
    try:
        yield here.arrays
    finally:
        here.arrays, here.carried, here.strict = outer


def on_boxes(pure: Callable[..., Any], variables: Mapping[str, Box]) -> Callable[..., Any]:
    """A function `(state, *arguments) -> state, results` as one that takes the state from the boxes and puts it there.

    The old arrays are left to whoever holds them (a view that `v.numpy()` gave, a snapshot): none is donated.
    """

    def call(*arguments: Any) -> Any:
        state, results = pure({name: variable.array for name, variable in variables.items()}, *arguments)
        for name, array in state.items():
            variables[name].array = array
        return results

    return call


def no_value_yet(library: str, shape: tuple[int, ...]) -> EngineError:
    """The error for whoever asks for the numbers of a tensor that has none yet."""
    return EngineError(
        "A value was asked for",
        expected=f"only array operations while {library} traces the step",
        got=f"a request for the numbers of a tensor of shape={shape} (float(t), t.numpy() or `if t`)",
        do="Use netchu.ops.where instead of `if`, or compile(run_eagerly=True) to run line by line.",
    )


class TracingEngine(Engine):
    """An Engine with a compiler: it compiles what a step does to tracers; subclasses define `jit`.

    Attributes:
        library: the library's name as its authors write it, for messages.
    """

    library: str = ""

    def jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of dictionaries, tuples and lists of arrays, traced and compiled for each set of shapes."""
        raise NotImplementedError

    def as_pure(
        self, step: Callable[..., Any], variables: Mapping[str, Box], *, whole: bool = False
    ) -> Callable[..., Any]:
        """The step as a function `(state, *arguments) -> state, results` that can be traced.

        The state that it returns is what the step changed, so that a prediction writes nothing back beside a training;
        or with `whole` all of it.
        """

        def pure(state: dict[str, Array], *arguments: Any) -> tuple[dict[str, Array], Any]:
            with carrying(variables, state) as seen:
                result = step(*arguments)
                after = {name: seen[id(variable)] for name, variable in variables.items()}
            return {name: array for name, array in after.items() if whole or array is not state[name]}, result

        return pure

    def trace(self, step: Callable[..., Any], variables: Mapping[str, Box]) -> Callable[..., Any]:
        """See `Engine.trace`."""
        return on_boxes(self.jit(self.as_pure(step, variables)), variables)

    def to_numpy(self, array: Array) -> np.ndarray:
        """See `Engine.to_numpy`."""
        if self.is_traced(array):
            raise no_value_yet(self.library, tuple(array.shape))
        return np.asarray(array)  # a view that cannot be written to

    def threads(self) -> int:
        """XLA's pool of threads follows the processors that this process may use."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
