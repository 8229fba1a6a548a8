"""A recorded step as a program of NumPy calls that allocates nothing.

    program = Program(recording.calls, ...)
    program.run(arrays)

What `recording.py` notes is made fast in three steps, none of which changes a bit of the results:

1. `needed`: calls whose results nobody needs are left out.
2. `Places` (`memory.py`): each array gets its place in memory once.  A place is used again when nobody needs what is in
   it any more, elementwise calls write over their own argument where they can, and the new value of a Variable is
   computed where the old one lay.
3. `Program.bind`: each call is bound to its arrays, `functools.partial(np.multiply, g, mask, g)`.  To run a step is to
   call these one after the other.

Limits: the shapes are fixed; a view stays a view of one place.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from netchu.engines.contract import Box
from netchu.engines.numpy.memory import BOXED, Home, Memory, Places
from netchu.engines.numpy.recording import Call, Value, replaced
from netchu.errors import EngineError

REDUCTIONS = {np.sum: np.add, np.prod: np.multiply, np.max: np.maximum, np.min: np.minimum, np.any: np.logical_or,
              np.all: np.logical_and}  # fmt: skip
TAKE_OUT = {np.clip, np.mean, np.argmax, np.argmin, np.stack, np.concat}
"""Functions that write into `out`.  NumPy does not tell; ufuncs do, and so does who has a parameter of the name."""


@dataclass(frozen=True)
class Renewal:
    """A Variable and what a step makes of it.

    Attributes:
        box, home: what holds its value between steps, and where that lies.
        old: its Value before the step.
        new: its Value after it; an array or a number if it is a constant from then on.
    """

    box: Box
    home: Home
    old: Value
    new: Any


class Program:
    """A recorded step, ready to run.

    Args:
        calls: of the recording.
        arguments: the Values of the step's arguments, in order.
        variables: every Variable that it reads or changes.
        results: what the step returns, Values and constants.
    """

    def __init__(
        self, calls: Sequence[Call], arguments: Sequence[Value], variables: Sequence[Renewal], results: Sequence[Any]
    ) -> None:
        self.results = results
        renewed = [(v.old, v.new) for v in variables if isinstance(v.new, Value) and v.new is not v.old]
        wanted = [value for value in (*(new for _, new in renewed), *results) if isinstance(value, Value)]
        self.steps = [call for call in needed(calls, wanted) if not call.is_view]
        self.places = Places(self.steps, renewed, wanted)
        self.variables = [v for v in variables if v.new is not v.old or id(v.old) in self.places.last]
        self.boxes = [(variable.box, variable.home) for variable in self.variables]
        self.memory = [Memory(size) for size in self.places.sizes]
        self.inputs = [(value, np.empty(value.shape, value.dtype)) for value in arguments]
        self.bind()

    def bind(self) -> None:
        """Give every call its arrays."""
        self.homes = [home.inside for _, home in self.boxes]
        self.arrays = {id(v.old): v.home.inside for v in self.variables}
        self.arrays |= {id(value): array for value, array in self.inputs}
        self.calls: list[Callable[[], Any]] = [bound(call, self._array) for call in self.steps]
        elsewhere = [
            (np.asarray(self._array(v.new)), v.home.inside)
            for v in self.variables
            if v.new is not v.old and not self._is_home(v)
        ]
        between = [np.empty_like(new) for new, _ in elsewhere]  # two Variables may have changed places
        self.calls += [functools.partial(np.copyto, copy, new) for copy, (new, _) in zip(between, elsewhere)]
        self.at_last = [functools.partial(np.copyto, home, copy) for copy, (_, home) in zip(between, elsewhere)]
        self.outputs = [np.asarray(self._array(result)) for result in self.results]

    def run(self, arrays: Sequence[np.ndarray]) -> tuple[Any, ...]:
        """One step: the results, as arrays that are the caller's own."""
        by_home_and_box = sys.getrefcount(BOXED.array)
        for box, home in self.boxes:
            if box.kept is not home.array or sys.getrefcount(home.array) != by_home_and_box:
                home.settle(box)
        if any([home.inside is not inside for (_, home), inside in zip(self.boxes, self.homes)]):
            self.bind()  # a value has moved, for this program or for another one
        for (_, own), array in zip(self.inputs, arrays):
            own[...] = array
        for call in self.calls:
            call()
        results = tuple([output.copy() for output in self.outputs])  # now: one may lie where `at_last` writes
        for call in self.at_last:
            call()
        return results

    def _is_home(self, variable: Renewal) -> bool:
        """Whether the new value was computed where the old one lay."""
        new = variable.new
        return isinstance(new, Value) and self.places.over.get(id(new.same_elements)) is variable.old

    def _array(self, value: Any) -> Any:
        """The array that a Value stands for; anything else is itself."""
        if not isinstance(value, Value):
            return value
        if id(value) in self.arrays:
            return self.arrays[id(value)]
        if value.viewed is not None and value.call is not None:
            array = replaced(value.call.arguments, Value, self._array)
            shown = value.call.function(*array, **value.call.settings)
            array = shown[value.call.results.index(value)] if isinstance(shown, tuple) else shown
            if array.size and not np.may_share_memory(array, self._array(value.viewed)):
                raise EngineError(
                    value.call.function.__name__,
                    expected="a view, as when the step was recorded",
                    got=f"a copy of shape={array.shape}",
                    do="Write compile(run_eagerly=True), and please tell us of it.",
                )
        elif id(value) in self.places.over:
            array = self.arrays[id(self.places.over[id(value)])].view(value.dtype)
        else:
            array = self.memory[self.places.of[id(value)]].array(value.shape, value.dtype, value.strides)
        self.arrays[id(value)] = array
        return array


def needed(calls: Iterable[Call], results: Iterable[Value]) -> list[Call]:
    """The calls that the results rest on, in their order."""
    wanted = set(map(id, results))
    kept = []
    for call in reversed(list(calls)):
        if any(id(result) in wanted for result in call.results):
            kept.append(call)
            wanted |= set(map(id, call.values))
    return kept[::-1]


def bound(call: Call, array_of: Callable[[Any], Any]) -> Callable[[], Any]:
    """The call with its arrays, writing its results where they belong."""
    function, settings = call.function, call.settings
    arguments = replaced(call.arguments, (Value, np.ndarray), array_of)
    out = [array_of(result) for result in call.results]
    if isinstance(function, np.ufunc):
        arrays = numbers_as_arrays(function, arguments) if not settings else arguments
        if function in (np.maximum, np.minimum):  # which do not take it by its place
            return functools.partial(function, *arrays, out=out[0], **settings)
        return functools.partial(function, *arrays, *out, **settings)
    if function in REDUCTIONS and {*settings} <= {"axis", "keepdims"} and len(arguments) == 1:
        axis, keepdims = settings.get("axis"), bool(settings.get("keepdims", False))
        return functools.partial(REDUCTIONS[function].reduce, arguments[0], axis, None, out[0], keepdims)
    if function is np.reshape and isinstance(arguments[0], np.ndarray):
        return functools.partial(np.copyto, out[0].reshape(arguments[0].shape), arguments[0])
    if function is np.astype:
        return functools.partial(np.copyto, out[0], arguments[0], "unsafe")
    settings = replaced(settings, (Value, np.ndarray), array_of)
    if function in TAKE_OUT or has_out(function):
        return functools.partial(function, *arguments, **settings, out=out[0])
    return functools.partial(put, out, function, arguments, settings)


def put(out: Sequence[np.ndarray], function: Callable[..., Any], arguments: Any, settings: Any) -> None:
    """Call a function that makes new arrays, and put its results where they belong.

    An array of no axes is handed over as a scalar, which is what NumPy gives for one: `scalar ** scalar` is computed by
    another routine than a power of arrays, to other last bits.
    """
    result = function(*(a[()] if isinstance(a, np.ndarray) and a.ndim == 0 else a for a in arguments), **settings)
    for place, array in zip(out, result if isinstance(result, tuple) else (result,)):
        place[...] = array


@functools.cache
def has_out(function: Callable[..., Any]) -> bool:
    """Whether one of the engine's own functions writes into an array `out`."""
    return inspect.isfunction(function) and "out" in inspect.signature(function).parameters


def numbers_as_arrays(function: np.ufunc, arguments: Sequence[Any]) -> list[Any]:
    """Python numbers as arrays of the type that NumPy would take them for, which it then need not find out each time.

    Not for powers, where NumPy takes another way for a number such as 2.
    """
    others = [value.dtype for value in arguments if isinstance(value, (np.ndarray, np.generic))]
    if function is np.power or not others:
        return list(arguments)

    def as_array(number: float) -> Any:
        with contextlib.suppress(OverflowError):  # 300 beside bytes: NumPy compares it all the same
            return np.asarray(number, np.result_type(*others, number))
        return number

    return [as_array(value) if type(value) in (int, float) else value for value in arguments]
