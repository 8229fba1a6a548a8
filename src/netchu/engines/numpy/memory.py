"""Where the arrays of a program lie: memory that is taken once, used again within a step, and shared between steps.

`Places` gives the results of calls their places, `Home` is where the value of a Variable lies between steps.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np

from netchu.engines.contract import Boxed
from netchu.engines.numpy.recording import Call, Value
from netchu.engines.numpy.schedule import Block, is_elementwise


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

    Attributes:
        moves: how often any value moved; a program is bound anew when one of its own did.
    """

    moves = 0

    def __init__(self, value: Any) -> None:
        self.move(value)

    def move(self, value: Any) -> None:
        """Take new memory for `value`."""
        Home.moves += 1
        array = np.asarray(value)
        memory = Memory(array.nbytes)
        self.inside = memory.array(array.shape, array.dtype)
        self.array = memory.array(array.shape, array.dtype)
        self.inside[...] = array

    def settle(self, box: Boxed) -> None:
        """Bring home what the box holds, without writing to what anybody else holds."""
        if box.array is self.array or sys.getrefcount(self.array) >= HELD_BY_BOX:
            self.move(box.array)
        else:
            self.inside[...] = box.array
        box.array = self.array


_home = Home(0.0)
_box_array = _home.array
HELD_BY_BOX = sys.getrefcount(_home.array)  # by its home and one box: 3 in CPython up to 3.13


class Places:
    """Memory for every root Value that a program computes.  Places have numbers, and sizes in bytes.

    Args:
        steps: what `scheduled` gave.
        renewed: pairs (old value, new value) of the Variables that the step changes.
        kept: Values that are needed after the last step.

    Attributes:
        of: id of a root Value that the steps compute -> number of its place.
        scratch: the same for what only lives within a block, which needs memory for one block of rows.
        over: id of a root Value -> the old value of the Variable in whose memory it is computed.
    """

    def __init__(
        self, steps: Sequence[Call | Block], renewed: Sequence[tuple[Value, Value]], kept: Sequence[Value]
    ) -> None:
        self.sizes: list[int] = []
        self.of: dict[int, int] = {}
        self.over: dict[int, Value] = {}
        self.scratch: dict[int, int] = {}
        self._free: dict[tuple[bool, int], list[int]] = defaultdict(list)  # scratch or not, bytes -> places
        self._last_use(steps, kept)
        self._wish(renewed)
        self._assign({id(old): old for old, _ in renewed})

    def _last_use(self, steps: Sequence[Call | Block], kept: Sequence[Value]) -> None:
        """When each root is needed for the last time, as the number of a call."""
        self.last: dict[int, int] = {}
        self.lives_in: dict[int, set[int]] = defaultdict(set)  # the steps that a root is used in
        self.numbered: list[tuple[int, int, Call, Block | None]] = []
        number = 0
        for i, step in enumerate(steps):
            block = step if isinstance(step, Block) else None
            calls = step.calls if isinstance(step, Block) else [step]
            end = number + len(calls) - 1
            for call in calls:
                self.numbered.append((number, i, call, block))
                for value in call.values:
                    by_rows = block is not None and block.goes_over(value)
                    used = number if block is None or by_rows else end + 1  # the others, whole with all rows
                    self.last[id(value.root)] = max(used, self.last.get(id(value.root), 0))
                    self.lives_in[id(value.root)].add(i)
                for result in call.results:
                    self.lives_in[id(result)].add(i)
                number += 1
        for value in kept:
            self.last[id(value.root)] = number
            self.lives_in[id(value.root)].add(len(steps))

    def _wish(self, renewed: Sequence[tuple[Value, Value]]) -> None:
        """Which results would best be computed in the memory of a Variable: its new value, and what that is made of."""
        news = [(old, new.same_elements) for old, new in renewed]
        self.wish = {id(new): old for old, new in news if new.viewed is None and new.call is not None}
        for old, value in news:
            while value.viewed is None and value.call is not None and is_elementwise(value.call):
                first = [v.same_elements for v in value.call.values if v.shape == value.shape]
                value = next((v for v in first if v is not old and v.viewed is None and v.call is not None), old)
                if id(value) in self.wish or value is old:
                    break
                self.wish[id(value)] = old

    def _assign(self, olds: dict[int, Value]) -> None:
        """Walk through the calls with the places that are free."""
        occupied: dict[int, tuple[Value, int]] = {key: (old, self.last.get(key, -1)) for key, old in olds.items()}
        ends: dict[int, list[tuple[tuple[bool, int], int]]] = defaultdict(list)  # call -> places free after it
        for number, step, call, block in self.numbered:
            for result in call.results:
                if result.viewed is not None:
                    continue
                last, nbytes = self.last.get(id(result), number), result.nbytes
                reuse = self._own_arguments(call, result, number)
                old = self.wish.get(id(result))
                if old is not None and _same_form(result, old):
                    holder, until = occupied[id(old)]
                    if until < number or (until == number and any(v is holder for v in reuse)):
                        self.over[id(result)] = old
                        occupied[id(old)] = (result, last)
                        continue
                within = block is not None and self.lives_in[id(result)] == {step}
                table = self.scratch if within else self.of
                size = nbytes // block.shape[0] * block.rows if within and block else nbytes
                mine = next((v for v in reuse if id(v) in table), None)
                if mine is not None and self._taken_over(table[id(mine)], number, ends):
                    place = table[id(mine)]
                elif self._free[(within, size)]:
                    place = self._free[(within, size)].pop()
                else:
                    place = len(self.sizes)
                    self.sizes.append(size)
                table[id(result)] = place
                ends[last].append(((within, size), place))
            for key, place in ends.pop(number, ()):
                self._free[key].append(place)

    @staticmethod
    def _taken_over(place: int, number: int, ends: dict[int, Any]) -> bool:
        """Take a place away from an argument that this call is the last to need."""
        before = len(ends[number])
        ends[number] = [entry for entry in ends[number] if entry[1] != place]
        return len(ends[number]) < before

    def _own_arguments(self, call: Call, result: Value, number: int) -> list[Value]:
        """The arguments over which the result may be written: last needed here, and read element by element."""
        if not is_elementwise(call) or call.function is np.astype:
            return []
        seen = [value.same_elements for value in call.values]
        twice = {id(value.root) for value in seen if value.viewed is not None}  # also read in another form
        free = [v for v in seen if v.viewed is None and id(v) not in twice and self.last[id(v)] == number]
        return [v for v in free if _same_form(v, result)]


def _same_form(a: Value, b: Value) -> bool:
    return a.shape == b.shape and a.strides == b.strides and a.dtype.itemsize == b.dtype.itemsize
