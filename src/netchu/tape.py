"""Reverse-mode differentiation: GradientTape.

    w = Variable([[2.0]])
    with GradientTape() as tape:
        loss = ops.mean((x @ w) ** 2)
    gradient = tape.gradient(loss, w)

While a tape is open, each operation (`netchu.ops`) leaves a record: its inputs, its output, and one function for each
input that turns the gradient at the output into the gradient at that input.  Back-propagation is the walk over the
records in reverse (`GradientTape.gradient`, twenty lines).  Nothing here knows an array library, or what an operation
computes.
"""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, ParamSpec, TypeAlias

from netchu import engines
from netchu.engines import Array, xp
from netchu.errors import TapeError
from netchu.tensor import Tensor, Variable, operations, to_array, unwrap, wrap

__all__ = [
    "Derivative", "GradientTape", "Record", "Result", "Tensor", "Variable", "operation", "operations", "stop_gradient",
    "to_array", "unwrap", "wrap",
]  # fmt: skip

P = ParamSpec("P")
Derivative: TypeAlias = Callable[[Array], Array]
Result: TypeAlias = tuple[Array, tuple[Derivative | None, ...]]


@dataclass(slots=True, eq=False, repr=False)
class Record:
    """One operation on a tape: what went in, what came out, and how a gradient goes back."""

    operation: str
    inputs: tuple[Any, ...]
    values: tuple[Array, ...]  # the inputs' arrays at that moment; a Variable may since have been assigned
    output: Tensor
    derivatives: tuple[Derivative | None, ...]

    def __repr__(self) -> str:
        shapes = ", ".join(str(tuple(getattr(value, "shape", ()))) for value in self.values)
        return f"{self.operation}({shapes}) -> {self.output.shape}"


class GradientTape:
    """Records operations on trainable Variables and watched Tensors, and walks them backwards.

        with GradientTape() as tape:
            loss = ...
        gradients = tape.gradient(loss, weights)

    The records stay as long as the tape does: `tape.records` lists them, and `gradient` may be called again.  One tape
    is current in a thread at a time.

    Args:
        watch_accessed_variables: whether trainable Variables are watched by themselves.
    """

    def __init__(self, *, watch_accessed_variables: bool = True) -> None:
        self.records: list[Record] = []
        self._watch_variables = watch_accessed_variables
        self._watched: dict[int, Tensor] = {}  # by id; the reference keeps the id from being given out again

    def __enter__(self) -> GradientTape:
        if _thread.tape is not None:
            raise TapeError("GradientTape: a tape is already open in this thread; expected one at a time. Close it.")
        _thread.tape = self
        return self

    def __exit__(self, *_: object) -> None:
        _thread.tape = None

    def watch(self, tensor: Tensor) -> None:
        """Follow `tensor` from here on, although it is no trainable Variable: the input pixels, for example."""
        if not isinstance(tensor, Tensor):
            raise TapeError(
                "GradientTape.watch",
                expected="a Tensor",
                got=f"tensor={tensor!r:.80}",
                do="Write x = netchu.Tensor(x) first, and compute with that x.",
            )
        self._watched[id(tensor)] = tensor

    def _follows(self, tensor: object) -> bool:
        return id(tensor) in self._watched or (
            self._watch_variables and isinstance(tensor, Variable) and tensor.trainable
        )

    def record(self, record: Record) -> None:
        """Keep `record` if one of its inputs is followed; its output is then followed, if a gradient can flow."""
        if any(map(self._follows, record.inputs)):
            self.records.append(record)
            if any(record.derivatives):
                self._watched[id(record.output)] = record.output

    def gradient(self, target: Tensor | Sequence[Tensor], sources: Any) -> Any:
        """d(sum of target) / d(source) for each source.

        Args:
            target: a Tensor of any shape, whose elements are summed, or a list of them.
            sources: a Variable or watched Tensor, or a list or tuple of them.

        Returns:
            In the structure of `sources`: a Tensor of each one's shape, or None for one that was not followed or that
            no path connects to the target.  A cross-entropy after a softmax is computed from the logits, so its
            gradient at the probabilities is None: ask at the logits.

        Raises:
            TapeError: a target or a source that is no Tensor.
        """
        targets: list[Tensor] = list(target) if isinstance(target, (list, tuple)) else [target]  # type: ignore[list-item]
        wanted = list(sources) if isinstance(sources, (list, tuple)) else [sources]
        for role, given in (("target", targets), ("source", wanted)):
            for tensor in given:
                if not isinstance(tensor, Tensor):
                    raise TapeError("gradient", expected=f"a Tensor as {role}", got=f"{role}={tensor!r:.60}")

        # Forwards: which tensors depend on a source?  Only derivatives towards those will be called.
        depends = {id(source) for source in wanted if self._follows(source)}
        for record in self.records:
            if any(derivative and id(x) in depends for x, derivative in zip(record.inputs, record.derivatives)):
                depends.add(id(record.output))

        # Backwards: each record hands the gradient at its output on to its inputs, where contributions add up.
        gradients = {id(t): xp.ones_like(t.array) for t in targets if id(t) in depends}
        for record in reversed(self.records):
            at_output = gradients.get(id(record.output))
            if at_output is None:
                continue
            for x, derivative in zip(record.inputs, record.derivatives):
                if derivative and id(x) in depends:
                    contribution = derivative(at_output)
                    so_far = gradients.get(id(x))
                    gradients[id(x)] = contribution if so_far is None else so_far + contribution

        found = [wrap(gradients[id(source)]) if id(source) in gradients else None for source in wanted]
        return type(sources)(found) if isinstance(sources, (list, tuple)) else found[0]


class _Thread(threading.local):
    tape: GradientTape | None = None


_thread = _Thread()


def operation(function: Callable[P, Result]) -> Callable[P, Tensor]:
    """Make a differentiable operation of `function(arrays..., settings...) -> value, derivatives`.

    The parameters annotated `Array` are its inputs (Tensors, arrays, lists and numbers alike are accepted; a Python
    number reaches `function` as it is); the others are settings.  `derivatives` holds, for each input, a function from
    the gradient at the output to the gradient at that input, or None; an empty tuple means that no gradient flows.
    Records call it by the function's name without a leading underscore.
    """
    parameters = inspect.signature(function).parameters.values()
    names = [p.name for p in parameters if p.annotation in ("Array", Array)]
    variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
    if not names:
        raise TapeError(f"operation {function.__name__}", expected="a parameter annotated Array", got="none")
    name = function.__name__.lstrip("_")
    own = function.__module__.startswith("netchu.")
    if not own and name in operations and operations[name].__module__.startswith("netchu."):
        raise TapeError(f"operation {name}", expected="a name that netchu does not use", got="one of netchu's own")

    @functools.wraps(function)
    def call(*arguments: Any, **settings: Any) -> Tensor:
        if settings and not variadic:  # inputs given by keyword take their place in the row
            arguments += tuple(settings.pop(key) for key in names[len(arguments) :] if key in settings)
        count = len(arguments) if variadic else len(names)
        inputs = arguments[:count]
        values = tuple(map(unwrap, inputs))
        if all(isinstance(value, (int, float)) for value in values):  # numbers alone: ops.add(1, 2)
            values = tuple(map(to_array, values))
        array, derivatives = function(*values, *arguments[count:], **settings)
        wanted = array if name == "cast" else engines.current().narrow(array, values)  # a cast says what it wants
        output = wrap(wanted)
        if _thread.tape is not None:
            _thread.tape.record(Record(name, inputs, values, output, derivatives))
        return output

    operations[name] = call
    return call


@operation
def stop_gradient(variable: Array) -> Result:
    """The value of `variable`, or of any Tensor, through which no gradient flows."""
    return variable, ()
