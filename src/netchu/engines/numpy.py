"""The NumPy engine: small, every intermediate value at hand in a debugger.  The default."""

from __future__ import annotations

import math
import os
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from netchu.engines.base import DTYPES, STANDARD_FUNCTIONS, Array, Boxed, Shape, axis_by_axis
from netchu.engines.places import Home
from netchu.engines.program import Program, Renewal
from netchu.engines.recording import Recording, Traced, recorded
from netchu.engines.tracing import TracingEngine
from netchu.errors import UsageError

Pair = tuple[int, int]


def generator(seed: int, stream: int, step: int) -> np.random.Generator:
    """A fresh generator whose numbers depend on nothing but (seed, stream, step); takes about 15 us to make."""
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, int(step)]))


def random_uniform(seed: int, stream: int, step: int, shape: Shape, out: np.ndarray | None = None) -> np.ndarray:
    """float32 in [0, 1)."""
    return generator(seed, stream, step).random(shape, dtype=np.float32, out=out)


def random_normal(seed: int, stream: int, step: int, shape: Shape, out: np.ndarray | None = None) -> np.ndarray:
    """float32, mean 0, variance 1."""
    return generator(seed, stream, step).standard_normal(shape, dtype=np.float32, out=out)


def scatter_add(size: int, positions: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Zeros (size,) with each value added at its position."""
    result = np.zeros((size,), dtype=values.dtype)
    np.add.at(result, positions, values)
    return result


def patches(x: np.ndarray, window: Pair, strides: Pair, dilation: Pair, writeable: bool = False) -> np.ndarray:
    """The windows as a view of x: (batch, rows, columns, kh, kw, channels); nothing is copied yet."""
    reach = tuple((n - 1) * d + 1 for n, d in zip(window, dilation))
    views = np.lib.stride_tricks.sliding_window_view(x, reach, axis=(1, 2), writeable=writeable)
    chosen = views[:, :: strides[0], :: strides[1], :, :: dilation[0], :: dilation[1]]
    return np.moveaxis(chosen, 3, 5)


def add_patches(
    p: np.ndarray, height: int, width: int, strides: Pair, dilation: Pair, out: np.ndarray | None = None
) -> np.ndarray:
    """Zeros (batch, height, width, channels) with each window added where it came from."""
    batch, rows, columns, kh, kw, channels = p.shape
    x = np.empty((batch, height, width, channels), dtype=p.dtype) if out is None else out
    x[...] = 0
    if strides[0] >= kh * dilation[0] and strides[1] >= kw * dilation[1]:  # no two windows share an element
        patches(x, (kh, kw), strides, dilation, writeable=True)[...] = p
        return x
    if dilation[1] > 1:
        views = patches(x, (kh, kw), strides, dilation, writeable=True)
        for i, j in np.ndindex(kh, kw):
            views[:, :, :, i, j] += p[:, :, :, i, j]  # one place of all windows: here too no element comes twice
        return x
    lines = x.reshape(batch, height, width * channels)
    for i, column in np.ndindex(kh, columns):  # a row of all windows of a column: kw * channels numbers at once
        down = slice(i * dilation[0], i * dilation[0] + (rows - 1) * strides[0] + 1, strides[0])
        start = column * strides[1] * channels
        lines[:, down, start : start + kw * channels] += p[:, :, column, i].reshape(batch, rows, kw * channels)
    return x


def pad(x: np.ndarray, widths: tuple[Pair, ...], value: float = 0.0) -> np.ndarray:
    """x with `widths` elements of `value` before and after along each axis."""
    return np.pad(x, widths, constant_values=value)


def top_k(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest along the last axis, equal values in order of their index (as argmax and TensorFlow do)."""
    indices = np.argsort(-x, axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(x, indices, axis=-1), indices


def erf(x: np.ndarray) -> np.ndarray:
    """The standard library's erf, value by value: exact and slow (60 ns each), where SciPy would cost 110 MB."""
    return np.array([math.erf(v) for v in x.ravel().tolist()], dtype=x.dtype).reshape(x.shape)


def where(condition: Array, x: Array, y: Array) -> Array:
    """`numpy.where` without a branch for each element: y ^ ((x ^ y) & mask) on the bits, mask all ones where it holds.

    For 128 x 512 elements in no order NumPy's own takes 270 us, this 40, and 20 where x or y is 0.
    """
    given = [value for value in (x, y) if hasattr(value, "dtype")]
    if not given or getattr(condition, "dtype", None) != np.bool:
        return np.where(condition, x, y)
    dtype = np.result_type(*(getattr(value, "dtype", value) for value in (x, y)))
    integer = np.dtype(f"i{dtype.itemsize}")
    mask = np.negative(condition.view(np.int8), dtype=integer)  # -1, which is all ones, or 0

    def bits(value: Array) -> Array:
        if not hasattr(value, "dtype"):
            return np.asarray(value, dtype).view(integer)
        return (value if value.dtype == dtype else np.astype(value, dtype)).view(integer)

    if len(given) == 1 and repr(y if given[0] is x else x) in ("0", "0.0"):  # and not -0.0
        chosen = bits(x) & mask if given[0] is x else bits(y) & ~mask
    else:
        chosen = bits(y) ^ ((bits(x) ^ bits(y)) & mask)
    return chosen.view(dtype)


EXTRAS = (add_patches, erf, pad, patches, random_normal, random_uniform, scatter_add, top_k)


class NumpyEngine(TracingEngine):
    """Arrays are `numpy.ndarray`.  `compile` records the step at its first run, and makes a program of it.

    Operations compute at once, each line by itself; a step that `compile` was given runs as a program of the same NumPy
    calls with the same bits, in memory that is taken once (see `netchu.engines.program`).
    """

    name, library, runs_line_by_line = "numpy", "NumPy", True

    def __init__(self) -> None:
        super().__init__()
        self.functions = {name: getattr(np, name) for name in (*STANDARD_FUNCTIONS, *DTYPES)}
        self.functions |= {f.__name__: recorded(f) for f in EXTRAS}
        self.functions |= {"sum": axis_by_axis(np.sum, np.squeeze), "where": where}
        if count := os.environ.get("NETCHU_THREADS"):
            if not (count.isascii() and count.isdigit()):
                expected = "a whole number, 0 for as many as there are"
                raise UsageError("NETCHU_THREADS", expected=expected, got=f"NETCHU_THREADS={count!r:.60}")
            self.fix_threads(int(count) or None)
        self._lock = threading.RLock()  # programs share the homes of Variables
        self._homes: dict[int, Home] = {}  # by the id of a Variable, as long as that lives

    def asarray(self, value: object, dtype: str | None = None) -> Array:
        """See `Engine.asarray`."""
        if isinstance(value, Traced):
            return value if dtype in (None, value.dtype) else value.astype(dtype)
        return np.asarray(value, dtype=dtype)

    def to_numpy(self, array: Array) -> np.ndarray:
        """See `Engine.to_numpy`."""
        view: np.ndarray = super().to_numpy(array).view()
        view.flags.writeable = False  # a weight or a recorded value may lie under it
        return view

    def narrow(self, array: Array, values: tuple[Array, ...]) -> Array:
        """NumPy makes float64 of `integers * 0.5` or `exp(integers)`; Keras and the other engines make float32."""
        if array.dtype != np.float64 or any(getattr(value, "dtype", None) == np.float64 for value in values):
            return array
        return array.astype(np.float32)

    def is_traced(self, array: Array) -> bool:
        """True while a step is recorded."""
        return isinstance(array, Traced)

    def compile(self, step: Callable[..., Any], variables: Mapping[str, Boxed]) -> Callable[..., Any]:
        """See `Engine.compile`: each set of shapes is recorded at its first run, and run as a program from then on."""
        programs: dict[Any, Callable[..., Any]] = {}
        # Each Variable once: a layer that stands in two places gives it two names.
        variables = dict({id(variable): (name, variable) for name, variable in variables.items()}.values())

        def compiled(*arrays: Any) -> Any:
            form = tuple([None if array is None else (array.shape, array.dtype) for array in arrays])
            with self._lock:
                if form not in programs:
                    programs[form], result = self._record(step, variables, arrays)
                    return result
                return programs[form](arrays)

        return compiled

    def _record(
        self, step: Callable[..., Any], variables: Mapping[str, Boxed], arrays: tuple[Any, ...]
    ) -> tuple[Callable[..., Any], Any]:
        """Run a step once; what runs it again, and its result."""
        recording = Recording()
        with self._carrying(variables):
            before = {
                name: recording.take(np.asarray(variable.array, order="C")) for name, variable in variables.items()
            }
            for name, variable in variables.items():
                variable.array = before[name]
            given = [None if array is None else recording.take(array) for array in arrays]
            result = step(*given)
            after = {name: variable.array for name, variable in variables.items()}
        renewals = []
        for name, variable in variables.items():
            variable.array = _array_of(after[name])
            if id(variable) not in self._homes:
                self._homes[id(variable)] = Home(variable.array)
                weakref.finalize(variable, self._homes.pop, id(variable), None)
            home = self._homes[id(variable)]
            renewals.append(Renewal(variable, home, before[name].value, _value_of(after[name])))
        several = isinstance(result, tuple)
        results = result if several else (result,)
        there = [i for i, array in enumerate(arrays) if array is not None]
        program = Program(
            recording.calls,
            [one.value for one in given if one is not None],
            renewals,
            [_value_of(one) for one in results],
        )

        def run(arrays: tuple[Any, ...]) -> Any:
            outputs = program.run([arrays[i] for i in there])
            return outputs if several else outputs[0]

        computed = tuple(_array_of(one) for one in results)
        return run, computed if several else computed[0]

    def snapshot(self, array: Array, into: Array | None = None) -> Array:
        """A copy: a step writes into the arrays of its Variables, and makes new ones for those that somebody holds."""
        if into is None:
            return np.array(array)
        np.copyto(into, array)
        return into

    def threads(self) -> int:
        """BLAS threads, or 1 when NumPy's BLAS does not tell."""
        from threadpoolctl import threadpool_info

        return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)

    def fix_threads(self, count: int | None = None) -> None:
        """See `Engine.fix_threads`."""
        from threadpoolctl import threadpool_limits

        threadpool_limits(count or self.threads(), user_api="blas")

    def suited_threads(self) -> int:
        """All threads, or one on a busy machine.

        A product waits for the last of its threads.  Where another program holds a processor, that is 4 to 30 ms each
        time in place of 0.4: thirty products took 127 ms with two threads and 46 with one (2 processors, 2 programs
        that did nothing but count).  So a dozen are timed, which takes 15 ms.
        """
        from threadpoolctl import threadpool_limits

        x, w = np.ones((128, 784), dtype=np.float32), np.ones((784, 512), dtype=np.float32)
        seconds = {}
        for count in (self.threads(), 1):
            with threadpool_limits(count, user_api="blas"):
                began = time.perf_counter()
                for _ in range(12):
                    np.matmul(x, w)
                seconds[count] = time.perf_counter() - began
        return 1 if max(seconds.values()) > 2 * seconds[1] else max(seconds)

    def version(self) -> str:
        """NumPy's version."""
        return np.__version__


def _array_of(result: Any) -> Any:
    return result.array if isinstance(result, Traced) else result


def _value_of(result: Any) -> Any:
    return result.value if isinstance(result, Traced) else result
