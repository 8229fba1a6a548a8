"""Reverse-mode differentiation: GradientTape.

    w = Variable([[2.0]])
    with GradientTape() as tape:
        loss = ops.mean((x @ w) ** 2)
    gradient = tape.gradient(loss, w)

While a tape is open, each operation (`netchu.ops`) leaves a record: its inputs, its output, and one function for each
input that turns the gradient at the output into the gradient at that input (`operation.py`).  Back-propagation is the
walk over the records in reverse.  Nothing here knows an array library, or what an operation computes.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from netchu.engines import Array, xp
from netchu.engines.types import is_float
from netchu.errors import TapeError
from netchu.listening import listener
from netchu.operation import Contribution, Derivative, Record, Result, here, operation, stop_gradient
from netchu.tensor import Tensor, Variable, operations, to_array, unwrap, wrap

__all__ = [
    "Contribution", "Derivative", "GradientTape", "Record", "Result", "Tensor", "Variable", "operation", "operations",
    "stop_gradient", "to_array", "unwrap", "wrap",
]  # fmt: skip


class GradientTape:
    """Records operations on trainable Variables and watched Tensors, and walks them backwards.

        with GradientTape() as tape:
            loss = ...
        gradients = tape.gradient(loss, weights)

    The records stay as long as the tape does: `tape.records` lists them, and `gradient` may be called again.  Tapes may
    be opened one inside the other: an operation is recorded by each of them.  What `gradient` computes is not recorded,
    so there are no second derivatives: to ask for one is an error.

    Args:
        watch_accessed_variables: whether trainable Variables are watched by themselves.
    """

    def __init__(self, *, watch_accessed_variables: bool = True) -> None:
        self.records: list[Record] = []
        self._watch_variables = watch_accessed_variables
        self._watched: dict[int, Tensor] = {}  # by id; the reference keeps the id from being given out again
        self._gradients: list[Tensor] = []  # that some tape computed while this one was open

    def __enter__(self) -> GradientTape:
        if self in here.tapes:
            raise TapeError("GradientTape", expected="a tape that is not open", got="one that is", do="Make another.")
        here.tapes += (self,)
        return self

    def __exit__(self, *_: object) -> None:
        here.tapes = tuple(tape for tape in here.tapes if tape is not self)
        if hears := listener():
            hears.on_tape(self)

    def watch(self, tensor: Tensor) -> None:
        """Follow `tensor` from here on, although it is no trainable Variable: the input pixels, for example."""
        if not isinstance(tensor, Tensor):
            raise TapeError(
                "GradientTape.watch",
                expected="a Tensor",
                got=f"tensor={tensor!r:.80}",
                do="Write x = netchu.Tensor(x) first, and compute with that x.",
            )
        if is_float(tensor.dtype):
            self._watched[id(tensor)] = tensor

    def follows(self, tensor: object) -> bool:
        """Whether operations on `tensor` are recorded."""
        return id(tensor) in self._watched or (
            self._watch_variables and isinstance(tensor, Variable) and tensor.trainable and is_float(tensor.dtype)
        )

    def record(self, record: Record) -> None:
        """Keep `record`; its output is then followed, if a gradient can flow: through whole numbers none does."""
        self.records.append(record)
        if any(record.derivatives) and is_float(record.output.dtype):
            self._watched[id(record.output)] = record.output

    def note_gradient(self, gradient: Tensor) -> None:
        """Follow a gradient that a tape computed while this one is open: no derivative leads through it."""
        self.watch(gradient)
        self._gradients.append(gradient)

    def gradient(self, target: Tensor | Sequence[Tensor], sources: Any) -> Any:
        """d(sum of target) / d(source) for each source.

        Args:
            target: a Tensor of any shape, whose elements are summed, or a list of them.
            sources: a Variable or watched Tensor, or a list or tuple of them.

        Returns:
            In the structure of `sources`: a Tensor of each one's shape, or None for one that was not followed or that
            no path connects to the target.  Whole numbers have no gradient: None, with a warning.  A cross-entropy
            after a softmax is computed from the logits, so its gradient at the probabilities is None: ask at the
            logits.

        Raises:
            TapeError: a target or a source that is no Tensor, or a target that depends on another gradient.
        """
        wanted, hears = _tensors("source", sources), listener()
        for source in wanted:
            if not is_float(source.dtype):
                _warn_of_whole_numbers(source)
        gradients: dict[int, Array] = {}
        for part in self.contributions(target, wanted, gradients):
            if hears:
                hears.on_contribution(part)

        found = [wrap(gradients[id(source)]) if id(source) in gradients else None for source in wanted]
        for tape in here.tapes:
            for gradient in found:
                if gradient is not None:
                    tape.note_gradient(gradient)
        if hears:
            hears.on_gradients(wanted, found)
        return type(sources)(found) if isinstance(sources, (list, tuple)) else found[0]

    def contributions(
        self, target: Tensor | Sequence[Tensor], sources: Any, gradients: dict[int, Array] | None = None
    ) -> Iterator[Contribution]:
        """The walk backwards: each record hands the gradient at its output on to its inputs, one after the other.

        Args:
            target, sources: see `gradient`.
            gradients: an empty dictionary, in which the contributions add up: the id of a Tensor -> the gradient there,
                as far as the walk has come.
        """
        gradients = {} if gradients is None else gradients
        targets, wanted = _tensors("target", target), _tensors("source", sources)
        self._refuse_second_derivatives(targets)
        depends = self._depending_on(filter(self.follows, wanted))  # only derivatives towards those are called
        gradients.update({id(t): xp.ones_like(t.array) for t in targets if id(t) in depends})
        for record in reversed(self.records):
            at_output = gradients.get(id(record.output))
            if at_output is None:
                continue
            for x, derivative in zip(record.inputs, record.derivatives):
                if derivative and id(x) in depends:
                    part = derivative(at_output)
                    so_far = gradients.get(id(x))
                    gradients[id(x)] = part if so_far is None else so_far + part
                    yield Contribution(record, at_output, x, part)

    def _depending_on(self, sources: Iterable[Tensor]) -> set[int]:
        """The ids of all Tensors to which a path leads from a source, which is one of them."""
        depends = set(map(id, sources))
        for record in self.records:
            if any(derivative and id(x) in depends for x, derivative in zip(record.inputs, record.derivatives)):
                depends.add(id(record.output))
        return depends

    def _refuse_second_derivatives(self, targets: Sequence[Tensor]) -> None:
        depends = self._depending_on(self._gradients) if self._gradients else ()
        if any(id(target) in depends for target in targets):
            raise TapeError(
                "gradient",
                expected="a target that no other gradient went into",
                got="one that was computed from what gradient() returned",
                do="netchu computes no second derivatives: write ops.stop_gradient(g) to take that g as a constant.",
            )


def _warn_of_whole_numbers(tensor: Tensor) -> None:
    name = f"the variable {tensor.name!r}" if isinstance(tensor, Variable) else "a tensor"
    warnings.warn(
        f"gradient: {name} has dtype={tensor.dtype}, and only floating-point numbers have a gradient: "
        'it will be None. Write dtype="float32", or trainable=False for what is not to be trained.',
        stacklevel=3,
    )


def _tensors(role: str, given: Any) -> list[Tensor]:
    """One Tensor, or a list or tuple of them, as a list; TapeError for anything else."""
    tensors = list(given) if isinstance(given, (list, tuple)) else [given]
    for one in tensors:
        if not isinstance(one, Tensor):
            raise TapeError("gradient", expected=f"a Tensor as {role}", got=f"{role}={one!r:.60}")
    return tensors
