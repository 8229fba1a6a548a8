"""A model's computation as a list of ONNX operators, one after the other; no ONNX library is needed to make it.

    graph = Graph({id(layer.kernel): "dense/kernel"}, shape=(None, 784))
    with graph.inside(layer):
        graph.value = graph.add("MatMul", graph.value, layer.kernel)

Keras keeps the channels of pictures on the last axis, ONNX's convolutions want them on axis 1.  A graph therefore
knows on which of the two the channels of its current value are, and turns it only where an operator needs it
otherwise: a network of convolutions is turned once before the first and once after the last.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from netchu.layers.base import BatchShape, Layer
from netchu.tensor import Variable

Operand: TypeAlias = "str | float | np.ndarray | Variable"
"""What an operator takes: the name of a value, a number, an array, or a weight."""


@dataclass(frozen=True)
class Node:
    """One operator: `outputs = operator(*inputs, **attributes)`, all by name."""

    operator: str
    name: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, Any]


class Graph:
    """Operators in order, and the constants that they use.

    Args:
        weight_names: id of a weight -> its name in the file.
        shape: of the input, (None, ...), channels last.

    Attributes:
        nodes: the operators.
        constants: name -> array; weights by their names, `dense/kernel`.
        value: the name of what the last layer gave.
        shape: its shape as Keras tells it, channels last.
        channels_first: whether its channels are on axis 1 now.
    """

    def __init__(self, weight_names: dict[int, str], shape: BatchShape) -> None:
        self.weight_names = weight_names
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}
        self.value = "input"
        self.shape = shape
        self.channels_first = False
        self._scope: list[str] = []
        self._taken: dict[str, int] = {}

    @property
    def rank(self) -> int:
        """How many axes the current value has, with the batch."""
        return len(self.shape)

    @contextmanager
    def inside(self, layer: Layer) -> Iterator[None]:
        """While it is open, new names begin with the layer's, and those of the layers around it."""
        self._scope.append(layer.name)
        yield
        self._scope.pop()

    # --- operators ---------------------------------------------------------------------------------------------------

    def add(self, operator: str, *inputs: Operand, **attributes: Any) -> str:
        """Add an operator and return the name of its output."""
        return self.add_many(operator, 1, *inputs, **attributes)[0]

    def add_many(self, operator: str, count: int, *inputs: Operand, **attributes: Any) -> list[str]:
        """Add an operator with `count` outputs and return their names."""
        name = self._unused(operator)
        outputs = [name, *(f"{name}:{i}" for i in range(1, count))]
        names = [self._name_of(operand) for operand in inputs]
        self.nodes.append(Node(operator, name, names, outputs, attributes))
        return outputs

    def weight(self, variable: Variable, permutation: list[int] | None = None) -> str:
        """The name of a weight, kept with its axes permuted if that is asked for."""
        name = self.weight_names[id(variable)]
        array = variable.numpy()
        self.constants[name] = array if permutation is None else array.transpose(permutation)
        return name

    def _name_of(self, operand: Operand) -> str:
        if isinstance(operand, str):
            return operand
        if isinstance(operand, Variable):
            return self.weight(operand)
        if isinstance(operand, np.ndarray):
            name = self._unused("constant")
            self.constants[name] = operand
            return name
        number = np.float32(operand)
        self.constants[str(number)] = np.asarray(number)
        return str(number)

    def _unused(self, name: str) -> str:
        """`dense/MatMul`, or `dense/MatMul_1` if that is taken."""
        path = "/".join((*self._scope, name))
        count = self._taken[path] = self._taken.get(path, -1) + 1
        return f"{path}_{count}" if count else path

    # --- where the channels are --------------------------------------------------------------------------------------

    def channels(self, x: str, *, first: bool) -> str:
        """`x` with its channels on axis 1, or on the last; turned only if they are not there already."""
        if self.rank < 3 or self.channels_first == first:
            return x
        self.channels_first = first
        return self.add("Transpose", x, perm=self.turned(first=first))

    def turned(self, *, first: bool) -> list[int]:
        """The permutation of axes that brings the channels to axis 1, or back to the last."""
        last = self.rank - 1
        return [0, last, *range(1, last)] if first else [0, *range(2, last + 1), 1]

    def axis(self, axis: int) -> int:
        """Where an axis of the current value, counted as Keras does, is now."""
        axis %= self.rank
        return self.turned(first=True).index(axis) if self.channels_first else axis

    def leave(self, shape: BatchShape) -> None:
        """Note the shape of what a layer gave."""
        self.shape = shape
        self.channels_first = self.channels_first and len(shape) > 2
