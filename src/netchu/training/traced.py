"""The steps of a model as its engine runs them: traced once, and traced anew when something they hold has changed.

On its way through a traced step a batch is

    NumPy arrays -> the engine's arrays -> Tensors -> train_step -> the engine's arrays -> floats
    `_on_host`      `engine.trace`         `_on_arrays`

What the layers, the optimizer and the others are when a step is traced is a constant of it.  So before a batch or a
chunk the model's own parts are asked whether somebody has set something of them since.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any, Protocol
from weakref import WeakSet

import numpy as np

from netchu import engines
from netchu.arguments import returned
from netchu.callbacks.base import Logs
from netchu.engines import Array
from netchu.engines.forks import after_fork
from netchu.listening import nobody_listening
from netchu.metrics import Metric
from netchu.operation import tapes_set_aside
from netchu.registry import Configurable, is_netchus, working
from netchu.tensor import Variable, unwrap, wrap
from netchu.training.arrays import Batch
from netchu.training.batches import Chunk, Rows


class HasSteps(Protocol):
    """What tracing needs to know of a model; `Learner` in `step.py` is one.

    Attributes:
        weights: all of them.
        is_traced: whether its steps are to be traced, or run line by line.
    """

    @property
    def weights(self) -> list[Variable]:
        """See above."""

    @property
    def metrics(self) -> list[Metric]:
        """Those that begin anew with each epoch."""

    @property
    def is_traced(self) -> bool:
        """See above."""

    def make_all(self, mode: str, batch: Batch) -> None:
        """Make everything that a step changes."""

    def _named_state(self) -> dict[str, Variable]:
        """Every Variable that a step reads or changes."""

    def step_of(self, mode: str) -> Callable[[Any], Any]:
        """What a step of the mode "train", "test" or "predict" does."""

    def forget_losses(self) -> None:
        """Drop what `add_loss` was given."""


_all: WeakSet[TracedSteps] = WeakSet()


def _unlock() -> None:
    """In a forked child, where whoever was making a step is not there to finish it."""
    for steps in _all:
        steps.lock = threading.RLock()


after_fork(_unlock)

PLAIN = (bool, int, float, str, bytes, np.ndarray, np.generic, np.dtype)


class TracedSteps:
    """The traced steps of one model, by engine and mode ("train", "test", "predict").

    Attributes:
        functions: a step on one batch.
        loops: by engine, training steps on many batches, where the engine traces a loop.
        variables: the Variables that the steps carry.
        lock: held while a step is made, so that two threads do not make one each.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.forget()
        _all.add(self)

    def forget(self) -> None:
        """Trace anew at the next batch."""
        self.functions: dict[tuple[str, str], Callable[[Batch], Any]] = {}
        self.loops: dict[str, Callable[[Rows], Logs]] = {}
        self.variables: list[Variable] = []
        self._metrics: list[Metric] = []
        self._parts: dict[tuple[str, str], list[Configurable | Variable]] = {}
        self._changes: dict[tuple[str, str], int] = {}

    def is_stale(self, mode: str) -> bool:
        """Whether something of the model's parts was set anew since the step of a mode was made."""
        key = (engines.current().name, mode)
        return key in self._parts and sum([part._changes for part in self._parts[key]]) != self._changes[key]

    def metrics_of(self, model: HasSteps) -> list[Metric]:
        """The model's metrics, kept with its steps: to look for them at each batch would take as long as a step."""
        fresh = bool(self._parts) and not any(map(self.is_stale, ("train", "test", "predict")))
        return self._metrics if fresh else model.metrics

    def on_batch(self, model: HasSteps, mode: str, batch: Batch) -> Callable[[Batch], Any]:
        """The traced step, made at the first batch: a function of a batch of NumPy arrays.

        It returns the figures as floats by name, or for "predict" the outputs as a NumPy array.
        """
        with self.lock:
            if not self._is_made(mode):
                self._make(model, mode, batch)
            return self.functions[engines.current().name, mode]

    def on_chunk(self, model: HasSteps, chunk: Chunk) -> Callable[[Any], Logs]:
        """The traced training steps on the batches of a chunk, a function that returns the figures after the last.

        It is the engine's loop, where there is one and the data lies on its device; else one step after the other.
        """
        with self.lock:
            if not self._is_made("train"):
                self._make(model, "train", next(iter(chunk)))
            step = self.functions[engines.current().name, "train"]
            loop = self.loops.get(engines.current().name)
        if loop is not None and isinstance(chunk, Rows) and chunk.data.resident:
            return loop

        def one_by_one(chunk: Chunk) -> Logs:
            logs: Logs = {}
            for batch in chunk:
                logs = step(batch)
            return logs

        return one_by_one

    def _is_made(self, mode: str) -> bool:
        return (engines.current().name, mode) in self.functions and not self.is_stale(mode)

    def _make(self, model: HasSteps, mode: str, batch: Batch) -> None:
        if self.is_stale(mode):
            self.forget()
        engine = engines.current()
        key = (engine.name, mode)
        model.make_all(mode, batch)
        self._parts[key] = parts_of(model)
        self._changes[key] = sum(part._changes for part in self._parts[key])
        variables = model._named_state()
        self.variables = list(variables.values())
        self._metrics = model.metrics
        function, names = _on_arrays(model, mode)
        if model.is_traced:
            loop = engine.trace_loop(function, variables) if mode == "train" else None
            if loop is not None:
                self.loops[engine.name] = _on_rows(loop, names)
            function = engine.trace(function, variables)
        self.functions[key] = _on_host(function, names)

    def __reduce__(self) -> tuple[type[TracedSteps], tuple[()]]:
        return TracedSteps, ()  # a model that was copied or kept in a file traces its own


def line_by_line(model: HasSteps, mode: str, batch: Batch) -> Callable[[Batch], Any]:
    """The same step run line by line, whatever the engine; the tapes and the listener of this thread see all of it."""
    model.make_all(mode, batch)
    function, names = _on_arrays(model, mode, watched=True)
    return _on_host(function, names)


def parts_of(model: HasSteps) -> list[Configurable | Variable]:
    """Everything of the model that a step may depend on and that counts what is set of it."""
    reached = [thing for thing in reached_from(model) if isinstance(thing, Configurable)]
    return [*reached, *model.weights]


def is_netchus_own(model: object) -> bool:
    """Whether `model`, and every object that it reaches through attributes, holds no code but netchu's."""
    return all(map(is_netchus, reached_from(model)))


def reached_from(model: object) -> list[object]:
    """`model`, and every object but numbers, texts and arrays that it holds: in attributes, lists, dictionaries ...

    Of a stranger's object, which may hold anything, only itself.
    """
    waiting: list[Any] = [model]
    found: dict[int, object] = {id(None): None}
    while waiting:
        thing = waiting.pop()
        if id(thing) in found or isinstance(thing, (*PLAIN, TracedSteps)):
            continue
        if isinstance(thing, Mapping):
            waiting += thing.values()
        elif isinstance(thing, (list, tuple, set, frozenset)):
            waiting += thing
        elif isinstance(thing, Variable):
            waiting += [thing.regularizer, thing.constraint]
        elif is_netchus(thing) or isinstance(thing, Configurable):
            waiting += getattr(thing, "__dict__", {}).values()
        found[id(thing)] = thing
    containers = (Mapping, list, tuple, set, frozenset, type(None))
    return [thing for thing in found.values() if not isinstance(thing, containers)]


def _on_arrays(model: HasSteps, mode: str, *, watched: bool = False) -> tuple[Callable[..., Any], list[str]]:
    """The step of a mode, one on Tensors, as a function of the engine's arrays, which is what an engine traces.

    The names of its figures are noted when it first runs or is traced: a compiler does not keep their order.  What
    `add_loss` was given while it was traced is forgotten afterwards: those Tensors never get a value.
    """
    names: list[str] = []
    step = model.step_of(mode)

    def function(*arrays: Array | None) -> Any:
        x, y, sample_weight = (None if a is None else wrap(a) for a in arrays)
        given = (x, y, sample_weight) if sample_weight is not None else (x, y) if y is not None else (x,)
        try:
            with working(), nullcontext() if watched else _unwatched():
                result = step(given)
        finally:
            if engines.current().is_traced(arrays[0]):
                model.forget_losses()
        result = returned(f"{type(model).__name__}.{mode}_step", "a dictionary of figures", result)
        if not isinstance(result, Mapping):
            return unwrap(result)
        names[:] = result
        return tuple(unwrap(value) for value in result.values())

    return function, names


@contextmanager
def _unwatched() -> Iterator[None]:
    """While it is open, neither a tape nor a listener from outside takes note: a traced step has no values yet."""
    with tapes_set_aside(), nobody_listening():
        yield


def _on_host(function: Callable[..., Any], names: list[str]) -> Callable[[Batch], Any]:
    """A function of the engine's arrays as one of NumPy arrays, its figures as floats by name."""

    def on_host(batch: Batch) -> Any:
        with np.errstate(all="ignore"):  # a loss that is not finite is an error of its own, in a sentence
            result = function(*(None if a is None else engines.current().asarray(a) for a in batch))
        return _figures(result, names)

    return on_host


def _on_rows(loop: engines.Loop, names: list[str]) -> Callable[[Rows], Logs]:
    """The engine's loop as a function of batches whose data lies on its device."""

    def on_rows(rows: Rows) -> Logs:
        result = loop(rows.data.placed, rows.order.placed, rows.begin, len(rows), rows.size)
        logs: Logs = _figures(result, names)
        return logs

    return on_rows


def _figures(result: Any, names: list[str]) -> Any:
    """The figures as floats by name; an output as a NumPy array."""
    if isinstance(result, tuple):
        return {name: float(value) for name, value in zip(names, result)}
    return engines.current().to_numpy(result)
