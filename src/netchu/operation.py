"""What an operation is: a function that gives its value and, under it, its derivatives; and the record that it leaves.

@operation
def square(x: Array) -> Result:
    return x * x, (lambda g: 2 * x * g,)

square(3.0)                                       # a Tensor; each open tape gets a Record
"""

from __future__ import annotations

import functools
import inspect
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import CodeType, FrameType
from typing import Any, ParamSpec, Protocol, TypeAlias, overload

from netchu import engines, tensor
from netchu.array_likes import plain_array
from netchu.engines import Array
from netchu.engines.types import Kind, fits, is_float
from netchu.errors import DataError, NetchuError, ShapeError, TapeError, UsageError
from netchu.registry import is_netchus
from netchu.tensor import Tensor, name_of, operations, to_array, unwrap, wrap

P = ParamSpec("P")
Derivative: TypeAlias = Callable[[Array], Array]
Result: TypeAlias = tuple[Array, tuple[Derivative | None, ...]]
Types: TypeAlias = Callable[..., tuple[Kind, ...]]
"""What each operand shall be, given the kinds of all of them; see `netchu.engines.types`."""


@dataclass(slots=True, eq=False, repr=False)
class Record:
    """One operation on a tape: what went in, what came out, and how a gradient goes back.

    Attributes:
        operation: its name.
        compute: `compute(values, settings)` gives the output's array and the derivatives, again.
        inputs: Tensors, arrays and numbers.
        values: their arrays at that moment; a Variable may since have been assigned.
        settings: by name.
        output: the Tensor.
        derivatives: one for each input, or None where no gradient flows.
        layer: the layer whose call made it; None outside of all layers.
        place: the code that called the operation, and where in it (an index of its instructions).
    """

    operation: str
    compute: Callable[[tuple[Array, ...], dict[str, Any]], Result]
    inputs: tuple[Any, ...]
    values: tuple[Array, ...]
    settings: dict[str, Any]
    output: Tensor
    derivatives: tuple[Derivative | None, ...]
    layer: object
    place: tuple[CodeType, int]

    def __repr__(self) -> str:
        shapes = ", ".join(str(tuple(getattr(value, "shape", ()))) for value in self.values)
        return f"{self.operation}({shapes}) -> {self.output.shape}"

    @property
    def source(self) -> tuple[str, int]:
        """The file and the line that called the operation."""
        code, instruction = self.place
        lines = (line for start, end, line in code.co_lines() if line and start <= instruction < end)
        return code.co_filename, next(lines, code.co_firstlineno)

    def replay(self) -> Array:
        """The output's array, computed again from the values."""
        return self.compute(self.values, self.settings)[0]


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one record hands back to one of its inputs on the walk backwards.

    Attributes:
        record: whose derivative it is.
        at_output: the gradient at its output.
        input: one of its inputs.
        array: the part of the gradient at that input that comes from here; of the input's shape.
    """

    record: Record
    at_output: Array
    input: Tensor
    array: Array


class Tape(Protocol):
    """What an operation needs to know of a tape."""

    def follows(self, tensor: object) -> bool:
        """Whether operations on `tensor` are recorded."""

    def record(self, record: Record) -> None:
        """Keep a record."""

    def note_gradient(self, gradient: Tensor) -> None:
        """Know that `gradient` is what a tape computed."""


class _Thread(threading.local):
    tapes: tuple[Tape, ...] = ()  # that are open, the innermost last
    layer: object = None  # the innermost whose call is open


here = _Thread()
"""What is open in this thread."""


@contextmanager
def tapes_set_aside() -> Iterator[None]:
    """While it is open, no tape from outside records: what a traced step computes has no values to be kept."""
    outside = here.tapes
    here.tapes = ()
    try:
        yield
    finally:
        here.tapes = outside


@overload
def operation(function: Callable[P, Result]) -> Callable[P, Tensor]: ...


@overload
def operation(
    *, types: Types | None = None, numbers: bool = True, narrow: bool = True
) -> Callable[[Callable[P, Result]], Callable[P, Tensor]]: ...


def operation(
    function: Callable[..., Result] | None = None,
    *,
    types: Types | None = None,
    numbers: bool = True,
    narrow: bool = True,
) -> Callable[..., Any]:
    """Make a differentiable operation of `function(arrays..., settings...) -> value, derivatives`.

    The parameters annotated `Array` are its inputs (Tensors, arrays, lists and numbers alike are accepted; a Python
    number reaches `function` as it is); the others are settings.  `derivatives` holds, for each input, a function from
    the gradient at the output to the gradient at that input, or None; an empty tuple means that no gradient flows.
    Records call it by the function's name without a leading underscore.

    Args:
        function: see above.
        types: how the inputs are brought to one element type first, e.g. `netchu.engines.types.floats`; None leaves
            them as they are.
        numbers: whether a Python number reaches `function` as it is, or as an array.
        narrow: whether a float64 result of other inputs becomes float32; `@operation(narrow=False)` keeps its type.
    """
    if function is None:
        return functools.partial(operation, types=types, numbers=numbers, narrow=narrow)
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.annotation in ("Array", Array)]
    others = [p.name for p in parameters if p.name not in names]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    name = _checked_operation(function, names)

    def compute(values: tuple[Array, ...], settings: dict[str, Any]) -> Result:
        array, derivatives = _result(function, name, values, settings)
        return (engines.current().narrow(array, values) if narrow else array), derivatives

    @functools.wraps(function)
    def call(*arguments: Any, **settings: Any) -> Tensor:
        if settings and not variadic:  # inputs given by keyword take their place in the row
            arguments += tuple(settings.pop(key) for key in names[len(arguments) :] if key in settings)
        count = len(arguments) if variadic else len(names)
        inputs = arguments[:count]
        settings |= _by_name(name, others, arguments[count:])
        given = _arrays(name, names, inputs, numbers)
        values = _of_types(given, types) if types else given
        array, derivatives = compute(values, settings)
        output = wrap(array)
        if values is not given:
            derivatives = tuple(map(_towards, given, values, derivatives))
        following = [tape for tape in here.tapes if any(map(tape.follows, inputs))]
        if following:
            place = _place(sys._getframe(1))
            record = Record(name, compute, inputs, values, settings, output, derivatives, here.layer, place)
            for tape in following:
                tape.record(record)
        return output

    operations[name] = call
    return call


def _arrays(operation: str, names: list[str], inputs: tuple[Any, ...], numbers: bool) -> tuple[Array, ...]:
    """The inputs as arrays; with `numbers`, a Python number beside one stays what it is."""
    try:
        values = tuple(map(unwrap, inputs))
    except DataError:
        for i, value in enumerate(inputs):
            if not isinstance(value, Tensor):
                plain_array(f"{operation}: {names[min(i, len(names) - 1)]}", value)  # the same, with its name
        raise
    if not numbers or all(isinstance(value, (int, float)) for value in values):  # numbers alone: ops.add(1, 2)
        return tuple([value if hasattr(value, "dtype") else to_array(value) for value in values])
    return values


def _of_types(values: tuple[Array, ...], types: Types) -> tuple[Array, ...]:
    """The inputs, each of the type that `types` wants; the very same tuple if all are so already."""
    given = tuple([name_of(value.dtype) if hasattr(value, "dtype") else type(value) for value in values])
    wanted = types(*given)
    if int in given and _is_too_large(values, wanted):  # 300 beside bytes
        return _of_types(tuple([to_array(value) if type(value) is int else value for value in values]), types)
    if wanted == given:
        return values
    asarray = engines.current().asarray
    return tuple([v if a == b else asarray(v, str(b)) for v, a, b in zip(values, given, wanted)])


def _is_too_large(values: tuple[Array, ...], wanted: tuple[Kind, ...]) -> bool:
    """Whether a Python number is none that the whole numbers beside it, of the type that is wanted, can be."""
    whole = next((kind for kind in wanted if isinstance(kind, str) and "int" in kind), None)
    return whole is not None and any(type(value) is int and not fits(value, whole) for value in values)


def _towards(given: Array, value: Array, derivative: Derivative | None) -> Derivative | None:
    """The derivative towards an input that was brought to another type, which its gradient shall not have."""
    if derivative is None or value is given or not hasattr(given, "dtype") or not is_float(name_of(given.dtype)):
        return derivative
    return lambda g: engines.current().asarray(derivative(g), name_of(given.dtype))


def _result(function: Callable[..., Result], name: str, values: tuple[Array, ...], settings: dict[str, Any]) -> Result:
    """What an operation computes; where the library refuses, a sentence with its words, for netchu's own operations."""
    try:
        return function(*values, **settings)
    except engines.current().refusals as error:
        if isinstance(error, NetchuError) or not is_netchus(function):
            raise
        shapes = ", ".join(str(tuple(getattr(value, "shape", ()))) for value in values)
        given = "".join(f", {key}={value!r:.60}" for key, value in settings.items())
        said = str(error).strip().partition("\n")[0]
        raise ShapeError(
            name,
            expected="shapes and settings that fit each other",
            got=f"shapes {shapes}{given}",
            do=f"The engine {engines.current().name!r} says: {said:.200}",
        ) from error


def _checked_operation(function: Callable[..., Result], inputs: list[str]) -> str:
    """The name of a new operation; TapeError if it has no input, or a name that netchu's own have."""
    name = function.__name__.lstrip("_")
    if not inputs:
        raise TapeError(f"operation {name}", expected="a parameter annotated Array", got="none")
    if not is_netchus(function) and name in operations and is_netchus(operations[name]):
        raise TapeError(f"operation {name}", expected="a name that netchu does not use", got="one of netchu's own")
    return name


def _by_name(operation: str, names: list[str], values: tuple[Any, ...]) -> dict[str, Any]:
    """Settings that were given by their place."""
    if len(values) > len(names):
        settings = ", ".join(names) or "no settings"
        raise UsageError(operation, expected=f"{settings} after its inputs", got=f"{len(values)} arguments more")
    return dict(zip(names, values))


def _place(frame: FrameType) -> tuple[CodeType, int]:
    """Where the operation was called; behind `a + b` stands a line of tensor.py, which says nothing."""
    if frame.f_code.co_filename == tensor.__file__:
        frame = frame.f_back or frame
    return frame.f_code, frame.f_lasti


@operation
def stop_gradient(variable: Array) -> Result:
    """The value of `variable`, or of any Tensor, through which no gradient flows."""
    return variable, ()
