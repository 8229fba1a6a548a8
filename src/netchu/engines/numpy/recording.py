"""What a function of NumPy arrays does, written down while it does it.

    calls, results = record(function, arrays)

The arrays are handed to the function as `Traced`, which NumPy asks before it computes (`__array_ufunc__`,
`__array_function__`): each call is computed as ever, and noted as a `Call` between `Value`s, which know the form of an
array but hold none.  `program.py` makes of the notes what can be run again and again.

Limits: the function must be pure, as any step is that an engine traces.  What it computes without a traced array is a
constant.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from netchu.engines.tracing import no_value_yet
from netchu.errors import EngineError

FORM_ONLY = (np.ones_like, np.zeros_like)
"""Functions whose result depends on the form of their argument alone: a constant of the step."""


@dataclass(eq=False, slots=True)
class Value:
    """The form of an array that a step takes or computes.

    Attributes:
        shape, strides, dtype: as NumPy's.
        call: what computes it; None for what the step is given.
        viewed: the Value whose memory it shows; None if its memory is its own.
    """

    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: np.dtype
    call: Call | None = None
    viewed: Value | None = None

    @property
    def root(self) -> Value:
        """The Value whose memory it shows in the end: itself, unless it is a view."""
        value = self
        while value.viewed is not None:
            value = value.viewed
        return value

    @property
    def same_elements(self) -> Value:
        """The Value that has the same elements at the same places, read as another type: itself, unless so viewed."""
        value = self
        while value.viewed is not None and value.call is not None and value.call.function is view:
            value = value.viewed
        return value

    @property
    def nbytes(self) -> int:
        """How much memory its elements take."""
        return int(np.prod(self.shape, dtype=np.int64)) * self.dtype.itemsize


@dataclass(eq=False, slots=True)
class Call:
    """One call of a NumPy function, or of one of the engine's own.

    Attributes:
        function: called as `function(*arguments, **settings)`.
        arguments, settings: with Values in the place of arrays, also inside lists and tuples.
        results: one Value, or several for a function that returns a tuple.
    """

    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    settings: dict[str, Any]
    results: tuple[Value, ...] = ()

    @property
    def is_elementwise(self) -> bool:
        """Whether each element of the result depends on one element of each argument."""
        ufunc = isinstance(self.function, np.ufunc) and self.function.signature is None
        return ufunc or self.function in (np.astype, np.clip)

    @property
    def is_view(self) -> bool:
        """Whether it computes nothing, but shows memory in another form."""
        return all(result.viewed is not None for result in self.results)

    @property
    def values(self) -> list[Value]:
        """The Values among the arguments."""
        return [value for value in _leaves((self.arguments, *self.settings.values())) if isinstance(value, Value)]


@dataclass
class Recording:
    """The calls so far.  An equal call is computed again, but noted once; no array is kept longer than by its user."""

    calls: list[Call] = field(default_factory=list)
    known: dict[Any, Call] = field(default_factory=dict)

    def take(self, array: np.ndarray) -> Traced:
        """`array` as something that the function is given."""
        return Traced(array, Value(array.shape, array.strides, array.dtype), self)

    def call(self, function: Callable[..., Any], arguments: tuple[Any, ...], settings: dict[str, Any]) -> Any:
        """The result of a call, computed now and noted."""
        arrays, by_name = replaced((arguments, settings), Traced, lambda traced: traced.array)
        computed = function(*arrays, **by_name)
        if function in FORM_ONLY:
            return computed
        results = computed if isinstance(computed, tuple) else (computed,)
        key = (function, _key(arguments), _key(tuple(settings.items())))
        call = self.known.get(key)
        if call is None:
            call = Call(function, *replaced((arguments, settings), Traced, lambda traced: traced.value))
            given = [leaf for leaf in _leaves((arguments, *settings.values())) if isinstance(leaf, Traced)]
            call.results = tuple(_noted(result, call, given) for result in results)
            self.calls.append(call)
            self.known[key] = call
        traced = tuple(Traced(array, value, self) for array, value in zip(results, call.results))
        return traced if isinstance(computed, tuple) else traced[0]


def _noted(result: Any, call: Call, given: list[Traced]) -> Value:
    """The form of a result, and whose memory it shows."""
    array = np.asanyarray(result)
    owner = _owner(result) if isinstance(result, np.ndarray) else None
    shares = (t.value for t in given if call.function is view or (owner is not None and _owner(t.array) is owner))
    viewed = next(shares, None)
    strides = array.strides if viewed is not None else np.empty_like(array).strides  # without gaps
    return Value(array.shape, strides, array.dtype, call, viewed)


class Traced(np.lib.mixins.NDArrayOperatorsMixin):
    """An array in a function that is recorded; operators and NumPy functions on it are noted.

    Attributes:
        array: the array itself.
        value: what it is called in the notes.
    """

    __slots__ = ("array", "recording", "value")

    def __init__(self, array: Any, value: Value, recording: Recording) -> None:
        self.array, self.value, self.recording = array, value, recording

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs: Any, **settings: Any) -> Any:
        if "out" in settings:
            raise EngineError(
                f"{ufunc.__name__} in a recorded step",
                expected="operations that return their results",
                got=f"{ufunc.__name__}(out=...)",
            )
        return self.recording.call(ufunc if method == "__call__" else getattr(ufunc, method), inputs, settings)

    def __array_function__(self, function: Callable[..., Any], types: Any, arguments: Any, settings: Any) -> Any:
        return self.recording.call(function, tuple(arguments), dict(settings))

    def __getitem__(self, key: Any) -> Traced:
        return self.recording.call(operator.getitem, (self, key), {})  # type: ignore[no-any-return]

    def __pow__(self, exponent: Any) -> Traced:
        return self.recording.call(operator.pow, (self, exponent), {})  # type: ignore[no-any-return]

    def __rpow__(self, base: Any) -> Traced:
        return self.recording.call(operator.pow, (base, self), {})  # type: ignore[no-any-return]

    def view(self, dtype: Any) -> Traced:
        """The same bits read as another type of the same size."""
        return self.recording.call(view, (self, np.dtype(dtype)), {})  # type: ignore[no-any-return]

    def astype(self, dtype: Any) -> Traced:
        """See `numpy.ndarray.astype`."""
        return self.recording.call(np.astype, (self, np.dtype(dtype)), {})  # type: ignore[no-any-return]

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each axis."""
        return self.value.shape

    @property
    def dtype(self) -> np.dtype:
        """The type of the elements."""
        return self.value.dtype

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.value.shape)

    def __len__(self) -> int:
        return self.value.shape[0]

    def __bool__(self) -> bool:
        raise no_value_yet("NumPy", self.shape)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise no_value_yet("NumPy", self.shape)

    __float__ = __int__ = __index__ = __bool__


def view(array: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """The same bits as numbers of another type."""
    return array.view(dtype)


def recorded(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` noted as one call, where NumPy would not ask: for a function of the engine's own."""

    def call(*arguments: Any, **settings: Any) -> Any:
        for leaf in _leaves((arguments, *settings.values())):
            if isinstance(leaf, Traced):
                return leaf.recording.call(function, arguments, settings)
        return function(*arguments, **settings)

    call.__name__, call.__doc__ = function.__name__, function.__doc__
    return call


def _owner(array: Any) -> Any:
    """What holds the memory in the end; the arrays of `as_strided` rest on an object with a base of its own."""
    while getattr(array, "base", None) is not None:
        array = array.base
    return array


def _leaves(tree: Any) -> Iterator[Any]:
    if isinstance(tree, (list, tuple)):
        for branch in tree:
            yield from _leaves(branch)
    else:
        yield tree


def replaced(tree: Any, kind: type | tuple[type, ...], by: Callable[[Any], Any]) -> Any:
    """`tree`, of tuples, lists and dictionaries, with `by(leaf)` in the place of each leaf of a kind."""
    if isinstance(tree, kind):
        return by(tree)
    if isinstance(tree, (list, tuple)):
        return type(tree)(replaced(branch, kind, by) for branch in tree)
    return {key: replaced(leaf, kind, by) for key, leaf in tree.items()} if isinstance(tree, dict) else tree


def _key(tree: Any) -> Any:
    """What two equal calls have in common."""
    if isinstance(tree, (list, tuple)):
        return tuple(map(_key, tree))
    if isinstance(tree, slice):
        return ("slice", tree.start, tree.stop, tree.step)
    if isinstance(tree, (int, float, str, type(None), np.dtype)):
        return (type(tree), repr(tree))  # 1, 1.0 and True differ, and so do 0.0 and -0.0
    return id(tree.value if isinstance(tree, Traced) else tree)  # what a noted call holds stays alive
