"""Where the arrays of a program lie: memory that is taken once, used again within a step, and shared between steps.

`Places` gives the results of calls their places, `Home` is where the value of a Variable lies between steps.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from netchu.engines.contract import Box
from netchu.engines.numpy.recording import Call, Value


class Memory:
    """Bytes that begin where a cache line does, for arrays of which NumPy makes none the base of another."""

    def __init__(self, nbytes: int) -> None:
        self.bytes = bytearray(nbytes + 64)
        self.offset = -np.frombuffer(self.bytes, dtype=np.uint8).ctypes.data % 64

    def array(self, shape: Sequence[int], dtype: np.dtype, strides: Sequence[int] | None = None) -> np.ndarray:
        """All of it as an array."""
        return np.ndarray(shape, dtype, self.bytes, self.offset, strides)


class Home:
    """Where the value of a Variable lies while programs change it: one memory, seen through two arrays.

    `inside` is what programs read and write, `array` what the Variable holds.  NumPy makes neither the base of the
    other, so whoever else holds the Variable's array, or a view of it, shows in the count of its references: what
    somebody looks at is left to him as it is, and the value moves to new memory.

    What the count is when nobody else looks is not known beforehand: it depends on the interpreter.  So it is counted
    each time, in the same way, of a home that is as it should be (`BOXED`, `FREE`).
    """

    def __init__(self, value: Any) -> None:
        self.move(value)

    def move(self, value: Any) -> None:
        """Take new memory for `value`."""
        array = np.asarray(value)
        memory = Memory(array.nbytes)
        self.inside = memory.array(array.shape, array.dtype)
        self.array = memory.array(array.shape, array.dtype)
        self.inside[...] = array

    def settle(self, box: Box) -> None:
        """Bring home what the box holds, without writing to what anybody else holds."""
        if box.kept is self.array or sys.getrefcount(self.array) != sys.getrefcount(FREE.array):
            self.move(box.kept)
        else:
            self.inside[...] = box.kept
        box.kept = self.array


FREE = Home(0.0)
"""A home whose array nobody holds but itself."""
BOXED = Home(0.0)
"""A home whose array it and one box hold, and nobody else."""
_box = BOXED.array


class Places:
    """Plans the memory of a program: a place for every array that its calls compute.

    Most arrays of a step are needed for a short while only.  A place is taken again as soon as nobody needs what lies
    in it, and three wishes come first, because each saves a pass over memory:

    1. The new value of a Variable is computed where the old one lies (`over`); so is what it is made of, if that is of
       the same form: `w - rate * g` needs no memory of its own.
    2. An elementwise call writes over an argument that it is the last to need.
    3. Otherwise a place of the same size that is free, or a new one.

    Places have numbers, and sizes in bytes.  Views have no place: they show that of their root.

    Args:
        calls: in the order in which they will be made; none of them is a view.
        renewed: pairs (old value, new value) of the Variables that the step changes.
        kept: Values that are needed after the last call.

    Attributes:
        sizes: of the places, in bytes.
        of: id of a Value that the calls compute -> number of its place.
        over: id of a Value -> the old value of the Variable in whose memory it is computed.
        last: id of a root Value -> the number of the call that is the last to need it.
    """

    def __init__(self, calls: Sequence[Call], renewed: Sequence[tuple[Value, Value]], kept: Sequence[Value]) -> None:
        self.sizes: list[int] = []
        self.of: dict[int, int] = {}
        self.over: dict[int, Value] = {}
        self.last = {id(value.root): number for number, call in enumerate(calls) for value in call.values}
        self.last |= {id(value.root): len(calls) for value in kept}  # after all calls
        wishes = wishes_of(renewed)
        free: dict[int, list[int]] = defaultdict(list)  # bytes -> places
        ending: dict[int, set[int]] = defaultdict(set)  # call -> places that are free after it
        # Who lies in a Variable's memory, and until which call: at first its old value.
        occupied = {id(old): (old, self.last.get(id(old), -1)) for old, _ in renewed}
        for number, call in enumerate(calls):
            for result in call.results:
                if result.viewed is not None:
                    continue
                last = self.last.get(id(result), number)
                arguments = self._free_arguments(call, result, number)
                old = wishes.get(id(result))
                if old is not None and same_form(result, old):
                    holder, until = occupied[id(old)]
                    # Its memory is free now, or this very call may write over what lies there.
                    if until < number or (until == number and any(v is holder for v in arguments)):
                        self.over[id(result)] = old
                        occupied[id(old)] = (result, last)
                        continue
                place = self._place_for(result, arguments, ending[number], free)
                self.of[id(result)] = place
                ending[last].add(place)
            for place in ending.pop(number, ()):
                free[self.sizes[place]].append(place)

    def _place_for(
        self, result: Value, arguments: Sequence[Value], ending: set[int], free: dict[int, list[int]]
    ) -> int:
        """An argument's place that would be free after this call, a free one, or a new one."""
        mine = next((self.of[id(v)] for v in arguments if self.of.get(id(v)) in ending), None)
        if mine is not None:
            ending.remove(mine)  # it goes on as the result's
            return mine
        if free[result.nbytes]:
            return free[result.nbytes].pop()
        self.sizes.append(result.nbytes)
        return len(self.sizes) - 1

    def _free_arguments(self, call: Call, result: Value, number: int) -> list[Value]:
        """The arguments over which the result may be written: last needed here, and read element by element."""
        if not call.is_elementwise or call.function is np.astype:  # which reads another size than it writes
            return []
        seen = [value.same_elements for value in call.values]
        twice = {id(value.root) for value in seen if value.viewed is not None}  # also read in another form
        free = [v for v in seen if v.viewed is None and id(v) not in twice and self.last[id(v)] == number]
        return [v for v in free if same_form(v, result)]


def wishes_of(renewed: Sequence[tuple[Value, Value]]) -> dict[int, Value]:
    """Which results would best be computed in the memory of a Variable: id of a Value -> the Variable's old value.

    Its new value, and then backwards what that is made of element by element, as long as it is of the same form.  Of
    two arguments only one can lie there, so the first is followed; at the old value the way ends, for it lies there.
    """
    news = [(old, new.same_elements) for old, new in renewed]
    wishes = {id(new): old for old, new in news if new.viewed is None and new.call is not None}
    for old, value in news:
        while value.viewed is None and value.call is not None and value.call.is_elementwise:
            first = [v.same_elements for v in value.call.values if v.shape == value.shape]
            value = next((v for v in first if v is not old and v.viewed is None and v.call is not None), old)
            if id(value) in wishes or value is old:
                break
            wishes[id(value)] = old
    return wishes


def same_form(a: Value, b: Value) -> bool:
    """Whether the elements of both lie in the same way in memory of the same size."""
    return a.shape == b.shape and a.strides == b.strides and a.dtype.itemsize == b.dtype.itemsize
