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
from netchu.array_likes import check_element_type, plain_array
from netchu.engines import Array, Shape, tracing
from netchu.engines.types import fits, is_float
from netchu.errors import EngineError, UsageError
from netchu.registry import late, thread


class _Operations(dict[str, Callable[..., "Tensor"]]):
    """A dictionary that has netchu's own operations loaded when the first of them is missing."""

    def __missing__(self, name: str) -> Callable[..., Tensor]:
        late["operations"]()
        if name not in self:
            raise KeyError(name)
        return self[name]


operations = _Operations()
"""Every operation by name, filled by `@operation`: what `a + b` looks up, and what the tests go through."""


class Tensor:
    """An immutable array of the current engine, of any shape, that a tape can follow.

    Args:
        value: number, nested list, NumPy array, or array of the engine.  Python numbers become float32 or int32.
        dtype: e.g. `"float32"`; None keeps the value's own.

    Attributes:
        array: the engine's own array.
        origin: for the output of softmax or sigmoid, `("softmax", logits)`: the Tensor that it was made from; else
            None.  The fitting cross-entropy is computed from the logits, so the record of the softmax itself lies on no
            path, and its derivative is not called.
    """

    __slots__ = ("__weakref__", "array", "engine", "origin")
    __array_priority__ = 100  # so that `numpy_array * tensor` asks the Tensor; np.exp(tensor) goes by `__array__`

    def __init__(self, value: object, dtype: str | None = None) -> None:
        self.engine = engines.current()
        self.array: Array = own_array(value, dtype)
        self.origin: tuple[str, Tensor] | None = None

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
        return name_of(self.array.dtype)

    def numpy(self) -> np.ndarray:
        """The values as a NumPy array that cannot be written to; `.copy()` it to change it.

        Raises:
            EngineError: the step is traced; there are no values yet.
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

    def __format__(self, spec: str) -> str:
        if self.shape and spec:
            expected = "a tensor of one number, shape ()"
            raise UsageError(f'f"{{tensor:{spec}}}"', expected=expected, got=f"shape={self.shape}")
        if self.shape or self.engine.is_traced(self.array):
            return repr(self)
        return format(self.item(), spec) if spec else str(self.numpy()[()])

    def __repr__(self) -> str:
        values = "traced" if self.engine.is_traced(self.array) else np.array2string(self.numpy(), threshold=8)
        return f"{type(self).__name__}({values}, shape={self.shape}, dtype={self.dtype})"

    def __getstate__(self) -> dict[str, Any]:
        """For pickle and copy: the values without their engine.  Raises EngineError while a step is traced."""
        return {**getattr(self, "__dict__", {}), "array": self.numpy(), "origin": self.origin}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Values that were kept become an array of the engine that is set now."""
        self.engine = engines.current()
        for name, value in state.items():
            setattr(self, name, own_array(value) if name in ("array", "kept") else value)

    __hash__ = object.__hash__  # == is elementwise; a Tensor as a key means this very one

    # fmt: off
    def __add__(self, other: Any) -> Tensor: return operations["add"](self, _beside(self, other))
    def __radd__(self, other: Any) -> Tensor: return operations["add"](_beside(self, other), self)
    def __sub__(self, other: Any) -> Tensor: return operations["subtract"](self, _beside(self, other))
    def __rsub__(self, other: Any) -> Tensor: return operations["subtract"](_beside(self, other), self)
    def __mul__(self, other: Any) -> Tensor: return operations["multiply"](self, _beside(self, other))
    def __rmul__(self, other: Any) -> Tensor: return operations["multiply"](_beside(self, other), self)
    def __truediv__(self, other: Any) -> Tensor: return operations["divide"](self, _beside(self, other))
    def __rtruediv__(self, other: Any) -> Tensor: return operations["divide"](_beside(self, other), self)
    def __pow__(self, other: Any) -> Tensor: return operations["power"](self, _beside(self, other))
    def __rpow__(self, other: Any) -> Tensor: return operations["power"](_beside(self, other), self)
    def __matmul__(self, other: Any) -> Tensor: return operations["matmul"](self, _beside(self, other))
    def __rmatmul__(self, other: Any) -> Tensor: return operations["matmul"](_beside(self, other), self)
    def __neg__(self) -> Tensor: return operations["negative"](self)
    def __abs__(self) -> Tensor: return operations["absolute"](self)
    def __getitem__(self, key: Any) -> Tensor: return operations["get_item"](self, key)
    def __eq__(self, other: Any) -> Tensor: return operations["equal"](self, _beside(self, other))  # type: ignore[override]
    def __ne__(self, other: Any) -> Tensor: return operations["not_equal"](self, _beside(self, other))  # type: ignore[override]
    def __lt__(self, other: Any) -> Tensor: return operations["less"](self, _beside(self, other))
    def __le__(self, other: Any) -> Tensor: return operations["less_equal"](self, _beside(self, other))
    def __gt__(self, other: Any) -> Tensor: return operations["greater"](self, _beside(self, other))
    def __ge__(self, other: Any) -> Tensor: return operations["greater_equal"](self, _beside(self, other))
    # fmt: on


def _beside(tensor: Tensor, other: Any) -> Any:
    """What stands beside a tensor: fractions of NumPy's, which are float64 unless one says so, take the tensor's type.

    Else `x * np.sqrt(2)` would turn a whole network to float64 without a word.
    """
    if isinstance(other, (np.ndarray, np.generic)) and other.dtype.kind == "f" and is_float(tensor.dtype):
        return to_array(other, tensor.dtype)
    return other


@functools.cache
def name_of(dtype: object) -> str:
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
        kept: the array that it holds, whatever this thread is tracing.
    """

    __slots__ = ("_changes", "_constraint", "_regularizer", "_trainable", "kept", "name")

    def __init__(
        self, value: object, dtype: str | None = None, *, trainable: bool = True, name: str = "variable"
    ) -> None:
        self.engine = engines.current()
        self.origin = None
        self.kept: Array = own_array(value, dtype)
        self.name = name
        self._changes = 0  # of all but its value: a step traced before knows the old trainable, regularizer, constraint
        self._trainable = trainable
        self._regularizer: Callable[[Tensor], Tensor] | None = None
        self._constraint: Callable[[Tensor], Tensor] | None = None

    def __getstate__(self) -> dict[str, Any]:
        """See `Tensor`."""
        state = {name: getattr(self, name) for name in Variable.__slots__ if name != "kept"}
        return {**getattr(self, "__dict__", {}), **state, "kept": self.numpy(), "origin": self.origin}

    @property
    def array(self) -> Array:
        """The engine's own array: the one that is kept, but in a thread that traces a step, the tracer in its place."""
        arrays = tracing.here.arrays
        return self.kept if arrays is None else arrays.get(id(self), self.kept)

    @array.setter
    def array(self, array: Array) -> None:
        arrays = tracing.here.arrays
        if arrays is None:
            self.kept = array
        elif id(self) in tracing.here.carried:
            arrays[id(self)] = array
        elif not tracing.here.strict and id(self) not in arrays:
            self.kept = array
        else:
            raise EngineError(
                f"The traced step assigns to the variable {self.name!r}, which the model does not hold",
                expected="an attribute of the model, a layer, a metric or the optimizer",
                got="none",
                do="Store it as one before compile().",
            )

    @property
    def trainable(self) -> bool:
        """Whether an open tape watches it by itself."""
        return self._trainable

    @trainable.setter
    def trainable(self, value: bool) -> None:
        self._count(bool(value) is not self._trainable)
        self._trainable = bool(value)

    @property
    def regularizer(self) -> Callable[[Tensor], Tensor] | None:
        """What a layer adds to the loss for it, a function of the Variable; or None."""
        return self._regularizer

    @regularizer.setter
    def regularizer(self, function: Callable[[Tensor], Tensor] | None) -> None:
        self._count(function is not self._regularizer)
        self._regularizer = function

    @property
    def constraint(self) -> Callable[[Tensor], Tensor] | None:
        """What an optimizer puts it through after each step, a function of the Tensor; or None."""
        return self._constraint

    @constraint.setter
    def constraint(self, function: Callable[[Tensor], Tensor] | None) -> None:
        self._count(function is not self._constraint)
        self._constraint = function

    def _count(self, anew: bool) -> None:
        """Count a change, unless a step makes it as it works."""
        self._changes += anew and not thread.works

    def assign(self, value: object) -> Variable:
        """Replace the value; the shape must be the same.  Raises UsageError if it is not."""
        return self.replace(own_array(value))

    def replace(self, array: Array) -> Variable:
        """`assign` without a copy, for an array of the engine that nobody else will write to."""
        if array.dtype != self.array.dtype:
            array = to_array(array, self.dtype)
        if tuple(array.shape) != self.shape:
            raise UsageError(f"{self.name}.assign", expected=f"shape {self.shape}", got=f"shape={tuple(array.shape)}")
        self.array = array
        return self

    def assign_add(self, value: Any) -> Variable:
        """Add to the value."""
        return self.replace(self.array + self._alike(value))

    def assign_sub(self, value: Any) -> Variable:
        """Subtract from the value."""
        return self.replace(self.array - self._alike(value))

    def _alike(self, value: Any) -> Array:
        """`value` as a number, or an array of the Variable's own type."""
        array = unwrap(value)
        return array if getattr(array, "dtype", None) in (None, self.array.dtype) else to_array(array, self.dtype)


def to_array(value: Any, dtype: str | None = None) -> Array:
    """`value` as an array of the current engine; Python numbers become float32 or int32, arrays keep their type.

    Whole numbers that int32 cannot hold become int64.
    """
    if dtype is not None:
        check_element_type("Tensor", dtype)
    if isinstance(value, Tensor):
        value = unwrap(value)
    elif not engines.current().owns(value):
        given, value = value, plain_array("Tensor", value)
        if dtype is None and not hasattr(given, "dtype"):
            dtype = _of_python_numbers(value)
    return engines.current().asarray(value, dtype)


def _of_python_numbers(value: np.ndarray) -> str | None:
    if value.dtype == np.float64:
        return "float32"
    return "int32" if value.dtype == np.int64 and fits(value, "int32") else None


def own_array(value: Any, dtype: str | None = None) -> Array:
    """`to_array`, but never the caller's own memory: what is written there later must not change a Tensor."""
    array = to_array(value, dtype)
    return np.array(array, order="C") if isinstance(array, np.ndarray) and not isinstance(value, Tensor) else array


def unwrap(value: Any) -> Array:
    """The array in a Tensor; Python numbers stay numbers, so that they take the other operand's type."""
    if isinstance(value, Tensor):
        if value.engine is not engines.current():
            raise EngineError(
                f"A tensor of the engine {value.engine.name!r} met the engine {engines.current().name!r}",
                expected="one engine in a program",
                got=f"shape={value.shape}",
                do="Call netchu.set_engine before building the model.",
            )
        return value.array
    return value if isinstance(value, (int, float)) else to_array(value)


def as_tensor(value: Any) -> Tensor:
    """`value` itself if it is a Tensor, else one made of it."""
    return value if isinstance(value, Tensor) else Tensor(value)


def wrap(array: Array) -> Tensor:
    """A Tensor around an array of the current engine, without copy or conversion."""
    tensor = Tensor.__new__(Tensor)
    tensor.engine = engines.current()
    tensor.array = array
    tensor.origin = None
    return tensor
