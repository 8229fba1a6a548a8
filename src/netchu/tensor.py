"""Tensor and Variable: arrays of the current engine that a tape can follow.

    w = Variable([[2.0]], name="kernel")
    y = ops.matmul(x, w)                     # a Tensor; y.numpy() has the values

`a + b` looks up `operations["add"]`: a Tensor knows the names of the operations behind Python's signs, and nothing else
of them.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from netchu import engines
from netchu.engines import Array, Shape
from netchu.errors import EngineError, UsageError

operations: dict[str, Callable[..., Tensor]] = {}
"""Every operation by name, filled by `@operation`: what `a + b` looks up, and what the tests go through."""


class Tensor:
    """An immutable array of the current engine, of any shape, that a tape can follow.

    Args:
        value: number, nested list, NumPy array, or array of the engine.  Python floats become float32.
        dtype: e.g. `"float32"`; None keeps the value's own.

    Attributes:
        array: the engine's own array.
        logits: for the output of softmax or sigmoid, the Tensor it was made from; else None.  The fitting cross-entropy
            is computed from it, so the record of the softmax itself lies on no path and its derivative is not called.
        made_by: `"softmax"` or `"sigmoid"` where there are logits, else `""`.
    """

    __slots__ = ("__weakref__", "array", "engine", "logits", "made_by")
    __array_ufunc__ = None  # so that `numpy_array * tensor` asks the Tensor

    def __init__(self, value: object, dtype: str | None = None) -> None:
        self.engine = engines.current()
        self.array: Array = own_array(value, dtype)
        self.logits: Tensor | None = None
        self.made_by = ""

    @property
    def shape(self) -> Shape:
        """The length of each axis."""
        return tuple(self.array.shape)

    @property
    def ndim(self) -> int:
        """The number of axes."""
        return len(self.array.shape)

    @property
    def dtype(self) -> str:
        """The name of the element type: `"float32"`, `"int64"`, `"bool"` ..."""
        return _name_of(self.array.dtype)

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array that cannot be written to; `.copy()` it to change it.

        Raises:
            EngineError: a compiler traces the step; there are no values yet.
        """
        return self.engine.to_numpy(self.array)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.array(self.numpy(), dtype=dtype, copy=copy)

    def item(self) -> float:
        """The only element, as a Python number."""
        return self.numpy().item()  # type: ignore[no-any-return]

    def __float__(self) -> float:
        return float(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return operator.index(self.item())  # type: ignore[arg-type]  # refuses fractions

    def __bool__(self) -> bool:
        return bool(self.numpy())

    def __len__(self) -> int:
        if not self.shape:
            raise UsageError("len(tensor)", expected="at least one axis", got="shape=()")
        return self.shape[0]

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __repr__(self) -> str:
        values = "traced" if self.engine.is_traced(self.array) else np.array2string(self.numpy(), threshold=8)
        return f"{type(self).__name__}({values}, shape={self.shape}, dtype={self.dtype})"

    __hash__ = object.__hash__  # == is elementwise; a Tensor as a key means this very one

    # fmt: off
    def __add__(self, other: Any) -> Tensor: return operations["add"](self, other)
    def __radd__(self, other: Any) -> Tensor: return operations["add"](other, self)
    def __sub__(self, other: Any) -> Tensor: return operations["subtract"](self, other)
    def __rsub__(self, other: Any) -> Tensor: return operations["subtract"](other, self)
    def __mul__(self, other: Any) -> Tensor: return operations["multiply"](self, other)
    def __rmul__(self, other: Any) -> Tensor: return operations["multiply"](other, self)
    def __truediv__(self, other: Any) -> Tensor: return operations["divide"](self, other)
    def __rtruediv__(self, other: Any) -> Tensor: return operations["divide"](other, self)
    def __pow__(self, other: Any) -> Tensor: return operations["power"](self, other)
    def __rpow__(self, other: Any) -> Tensor: return operations["power"](other, self)
    def __matmul__(self, other: Any) -> Tensor: return operations["matmul"](self, other)
    def __rmatmul__(self, other: Any) -> Tensor: return operations["matmul"](other, self)
    def __neg__(self) -> Tensor: return operations["negative"](self)
    def __abs__(self) -> Tensor: return operations["absolute"](self)
    def __getitem__(self, key: Any) -> Tensor: return operations["get_item"](self, key)
    def __eq__(self, other: Any) -> Tensor: return operations["equal"](self, other)  # type: ignore[override]
    def __ne__(self, other: Any) -> Tensor: return operations["not_equal"](self, other)  # type: ignore[override]
    def __lt__(self, other: Any) -> Tensor: return operations["less"](self, other)
    def __le__(self, other: Any) -> Tensor: return operations["less_equal"](self, other)
    def __gt__(self, other: Any) -> Tensor: return operations["greater"](self, other)
    def __ge__(self, other: Any) -> Tensor: return operations["greater_equal"](self, other)
    # fmt: on


@functools.cache
def _name_of(dtype: object) -> str:
    """`"float32"` for `dtype('float32')`, `tf.float32` and their like; NumPy takes 5 us to spell one."""
    return str(getattr(dtype, "name", dtype)).rpartition(".")[2]


class Variable(Tensor):
    """A Tensor whose value can be assigned: a weight, an optimizer's slot, a counter.

    Args:
        value: the first value; its shape and dtype stay.
        dtype: e.g. `"float32"`; None keeps the value's own.
        trainable: whether an open tape watches it by itself.
        name: for messages, files and summaries.

    Attributes:
        regularizer: what a layer adds to the loss for it, a function of the Variable; or None.
        constraint: what an optimizer puts it through after each step, a function of the Tensor; or None.
    """

    __slots__ = ("constraint", "name", "regularizer", "trainable")

    def __init__(
        self, value: object, dtype: str | None = None, *, trainable: bool = True, name: str = "variable"
    ) -> None:
        super().__init__(value, dtype)
        self.trainable = trainable
        self.name = name
        self.regularizer: Callable[[Tensor], Tensor] | None = None
        self.constraint: Callable[[Tensor], Tensor] | None = None

    def assign(self, value: object) -> Variable:
        """Replace the value; the shape must be the same.  Raises UsageError if it is not."""
        return self.replace(own_array(value))

    def replace(self, array: Array) -> Variable:
        """`assign` without a copy, for an array of the engine that nobody else will write to."""
        if array.dtype != self.array.dtype:
            array = to_array(array, self.dtype)
        if tuple(array.shape) != self.shape:
            raise UsageError(f"{self.name}.assign", expected=f"shape {self.shape}", got=f"shape={tuple(array.shape)}")
        if not self.engine.holds(self):
            raise EngineError(
                f"The compiled step assigns to the variable {self.name!r}, which the model does not hold: expected "
                "an attribute of the model, a layer, a metric or the optimizer. Store it as one before compile()."
            )
        self.array = array
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add to the value."""
        return self.replace(self.array + unwrap(value))

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from the value."""
        return self.replace(self.array - unwrap(value))


def to_array(value: Any, dtype: str | None = None) -> Array:
    """`value` as an array of the current engine; Python floats become float32, other arrays keep their type."""
    if isinstance(value, Tensor):
        value = unwrap(value)
    elif dtype is None and not hasattr(value, "dtype"):
        value = np.asarray(value)
        if value.dtype == np.float64:
            dtype = "float32"
    return engines.current().asarray(value, dtype)


def own_array(value: Any, dtype: str | None = None) -> Array:
    """`to_array`, but never the caller's own memory: what is written there later must not change a Tensor."""
    if value is None or isinstance(value, (str, bytes)):
        raise UsageError("Tensor", expected="numbers", got=f"value={value!r:.60}")
    return to_array(np.array(value, order="C") if isinstance(value, np.ndarray) else value, dtype)


def unwrap(value: Any) -> Array:
    """The array in a Tensor; Python numbers stay numbers, so that they take the other operand's type."""
    if isinstance(value, Tensor):
        if value.engine is not engines.current():
            raise EngineError(
                f"A tensor of the engine {value.engine.name!r} met the engine {engines.current().name!r}: expected one "
                f"engine in a program, got shape={value.shape}. Call netchu.set_engine before building the model."
            )
        return value.array
    return value if isinstance(value, (int, float)) else to_array(value)


def wrap(array: Array) -> Tensor:
    """A Tensor around an array of the current engine, without copy or conversion."""
    tensor = Tensor.__new__(Tensor)
    tensor.engine, tensor.array, tensor.logits, tensor.made_by = engines.current(), array, None, ""
    return tensor
