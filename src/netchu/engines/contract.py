"""The engine's contract: what an array library must offer so that netchu can learn on it.

An engine is a set of array functions (the closed list below) and some methods.  Everything above this floor is
written once, against `xp` (see `netchu.engines`), and runs on every engine.  To add one, see CONTRIBUTING.md.

Limits: arrays live on one device; the functions of `FUNCTIONS` must not mutate their arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol, TypeAlias

import numpy as np

from netchu.errors import UsageError

Array: TypeAlias = Annotated[Any, "array"]
"""An array of the current engine: `numpy.ndarray`, `jax.Array`, a tracer ...  An operation may meet a Python number in
its place, which has no shape and takes the other operand's type."""

Shape: TypeAlias = tuple[int, ...]

Loop: TypeAlias = Callable[[tuple[Array | None, ...], Array, int, int, int], Any]
"""Many steps in one call; see `Engine.trace_loop`."""

# Names and meanings are those of the Python Array API standard 2024.12, so that a conforming library fits as it is.
STANDARD_FUNCTIONS = """
    abs all any arange argmax argmin astype broadcast_to clip concat cos cumulative_prod equal exp expand_dims expm1
    floor full greater greater_equal isfinite isnan less less_equal log log1p logical_and logical_not logical_or matmul
    matrix_transpose max maximum mean min minimum not_equal ones ones_like permute_dims pow prod reshape round sign sin
    sqrt square squeeze stack sum take tanh where zeros zeros_like
""".split()  # noqa: SIM905 (a list of names reads better without quotes)

# What learning needs beside the standard; every engine writes these itself.
EXTRA_FUNCTIONS = {
    "add_patches": "add_patches(p, height, width, strides, dilation): the transpose of `patches`: zeros (batch, "
    "height, width, channels), each window of p added where it came from",
    "erf": "erf(x): the error function, elementwise",
    "pad": "pad(x, widths, value=0.0): with ((before, after), ...) elements of `value` added along each axis",
    "patches": "patches(x, window, strides, dilation): the windows (kh, kw) that lie wholly inside x (batch, height, "
    "width, channels), as (batch, rows, columns, kh, kw, channels)",
    "random_normal": "random_normal(seed, stream, step, shape): float32 standard normal, a pure function of all four",
    "random_uniform": "random_uniform(seed, stream, step, shape): float32 in [0, 1), a pure function of all four",
    "scatter_add": "scatter_add(size, positions, values): zeros (size,), each value added at its position; "
    "positions and values have shape (n,), positions may repeat",
    "top_k": "top_k(x, k): the k largest values along the last axis and their indices, largest first",
}

FUNCTIONS = (*STANDARD_FUNCTIONS, *EXTRA_FUNCTIONS)

# Element types, by their names in the standard.
DTYPES = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"]


def checked_dtype(where: str, dtype: str | None) -> str:
    """`dtype` itself, float32 for None; UsageError if no engine has it."""
    if dtype is not None and dtype not in DTYPES:
        raise UsageError(where, expected=f"dtype among {DTYPES}", got=f"dtype={dtype!r:.60}")
    return dtype or "float32"


def axis_by_axis(total: Callable[..., Array], squeeze: Callable[..., Array]) -> Callable[..., Array]:
    """`sum(x, axis, keepdims)` that goes along several axes one after the other, the last one first.

    A library may add a channel's pixels over batch, height and width to one float32, one by one: 10,000 of them lose
    two digits.  In steps the partial sums stay small; it takes no longer.

    Args:
        total: the library's sum along one axis, or along all.
        squeeze: `squeeze(x, axis=axes)`, without axes of length 1.
    """

    def sum_along(x: Array, axis: int | Shape | None = None, keepdims: bool = False) -> Array:
        if not isinstance(axis, tuple) or len(axis) < 2:
            return total(x, axis=axis, keepdims=keepdims)
        y = x
        for a in sorted((a % len(x.shape) for a in axis), reverse=True):
            y = total(y, axis=a, keepdims=True)
        return y if keepdims else squeeze(y, axis=axis)

    return sum_along


class Box(Protocol):
    """What holds one array: a `netchu.Variable` seen from this floor.

    Attributes:
        kept: the array itself, which every thread sees.
        array: what this thread sees: the same, but while it traces a step, what stands for it there.
    """

    kept: Array

    @property
    def array(self) -> Array:
        """See above."""

    @array.setter
    def array(self, array: Array) -> None: ...


class Engine:
    """One array library behind netchu.  Subclasses set `name` and fill `functions`.

    Attributes:
        name: what `netchu.set_engine` and `NETCHU_ENGINE` call it.
        functions: the closed list `FUNCTIONS` and the element types `DTYPES` by name; loaded into `xp` when the engine
            is set.
        runs_line_by_line: whether a step that is not traced runs nearly as fast, so that it may be left so.
        refusals: what the library raises for arrays and settings that do not fit.
    """

    name: str = ""
    runs_line_by_line = False
    refusals: tuple[type[Exception], ...] = (IndexError, OverflowError, TypeError, ValueError)
    functions: dict[str, Any]

    def __deepcopy__(self, memo: Any) -> Engine:
        return self  # there is one of each

    @property
    def whole_bytes(self) -> int:
        """How many bytes it has for a whole number."""
        return 8

    def owns(self, value: object) -> bool:
        """Whether `value` is an array of this engine, or a tracer, and none of the host's."""
        return hasattr(value, "dtype") and not isinstance(value, (np.ndarray, np.generic))

    def asarray(self, value: object, dtype: str | None = None) -> Array:
        """`value` (NumPy array, list, number, or array of this engine) as an array of this engine."""
        raise NotImplementedError

    def to_numpy(self, array: Array) -> np.ndarray:
        """The values on the host, read-only.  Raises EngineError while a step is traced: there are none yet."""
        raise NotImplementedError

    def narrow(self, array: Array, values: tuple[Array, ...]) -> Array:
        """The result `array` of an operation on `values`, in float64 only if one of them was."""
        return array

    def is_traced(self, array: Array) -> bool:
        """True while a step is traced and `array` stands for a value that does not exist yet."""
        raise NotImplementedError

    def trace(self, step: Callable[..., Any], variables: Mapping[str, Box]) -> Callable[..., Any]:
        """Make `step(*arrays) -> arrays` fast: trace it once, as a pure function of `variables` and its arguments.

        Every Variable's array becomes an argument and a result.  While the step is traced, the thread that traces sees
        tracers in the boxes; other threads see the arrays, and so does everybody afterwards, also after an exception.
        Each call of the traced step writes the arrays that it made into the boxes.  New values in a box, a learning
        rate for example, take effect without tracing again; a new shape is traced anew.
        """
        raise NotImplementedError

    def trace_loop(self, step: Callable[..., Any], variables: Mapping[str, Box]) -> Loop | None:
        """Trace many steps over data that lies on the device as one call; None where an engine does not.

        `step(x, y, sample_weight)` is as in `trace`.  The function that is returned goes through

            loop(data, order, begin, count, size)

        with `data` the arrays (n, ...) of all samples, or None; `order` (n,) int32, which of them come one after the
        other; `begin` where in it the first batch begins; `count` >= 1 batches of `size` samples each.  It returns the
        results of the last step.  Only a new `size` is traced anew, and however an epoch is cut into calls, the
        Variables get the same bits.
        """
        return None

    def snapshot(self, array: Array, into: Array | None = None) -> Array:
        """An array that keeps these values: the array itself where arrays never change, else a copy.

        A copy may be made in `into`, an older snapshot of the same Variable that nobody needs any more.
        """
        return array

    def threads(self) -> int:
        """How many threads one large product uses: two counts give different last bits, so runs record it."""
        raise NotImplementedError

    def suited_threads(self) -> int:
        """How many threads one large product had best use now; tried out where it can make a difference."""
        return self.threads()

    def fix_threads(self, count: int | None = None) -> None:
        """Use `count` threads, or as many as now, for the rest of the process, whatever else changes it.

        An engine whose count cannot be changed keeps its own.
        """

    def version(self) -> str:
        """The library's version, for the record."""
        raise NotImplementedError
