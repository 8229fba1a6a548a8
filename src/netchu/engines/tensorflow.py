"""The TensorFlow engine: the same Python lines, traced once by `tf.function` and compiled by XLA.

`pip install 'netchu[tensorflow]'`.  Most of the file gives TensorFlow's functions the standard's names.

Why XLA (`jit_compile=True`): one run each, two cores, batches of 128, after the first step; TensorFlow 2.21.

    net                                          graph          XLA            first step
    784-512-10, one epoch of MNIST, RMSprop      1.8 s          1.25 s         0.15 s against 0.5 s
    conv 32, pool, conv 64, pool, dense; a step  186 ms         58 ms          0.5 s against 2.2 s

Each further shape, such as that of a smaller last batch, costs a first step again.

Limits: `+ - * / @ **` on TensorFlow's own arrays, in an operation that you write yourself, want operands of one element
type (`@operation(types=...)` makes them so); TensorFlow's own switches are left as they are.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from netchu.engines.contract import DTYPES, Array, Shape, axis_by_axis
from netchu.engines.tracing import TracingEngine


@contextmanager
def _no_greeting() -> Iterator[None]:
    """TensorFlow greets from C++ on the standard error, which is the progress line's and the error messages' place.

    Its log level is only a default here; four lines about oneDNN come while it is imported whatever that level is, so
    they go to nowhere.  What fails to import raises as ever.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        standard_error = os.dup(2)
    except OSError:  # closed already: a daemon's
        yield
        return
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(standard_error, 2)
        os.close(standard_error)


with _no_greeting():
    import tensorflow as tf

Pair = tuple[int, int]

# --- the standard's functions ----------------------------------------------------------------------------------------

SAME = {
    "all": tf.math.reduce_all,
    "any": tf.math.reduce_any,
    "astype": tf.cast,
    "broadcast_to": tf.broadcast_to,
    "concat": tf.concat,
    "cumulative_prod": tf.math.cumprod,
    "expand_dims": tf.expand_dims,
    "floor": tf.math.floor,
    "logical_and": tf.math.logical_and,
    "logical_not": tf.math.logical_not,
    "logical_or": tf.math.logical_or,
    "matrix_transpose": tf.linalg.matrix_transpose,
    "ones_like": tf.ones_like,
    "permute_dims": tf.transpose,
    "prod": tf.math.reduce_prod,
    "reshape": tf.reshape,
    "round": tf.math.round,
    "square": tf.math.square,
    "squeeze": tf.squeeze,
    "stack": tf.stack,
    "sum": axis_by_axis(tf.math.reduce_sum, tf.squeeze),
    "zeros_like": tf.zeros_like,
}
"""TensorFlow's function takes the same arguments and gives the same."""

OF_FLOATS = {
    "cos": tf.math.cos,
    "erf": tf.math.erf,
    "exp": tf.math.exp,
    "expm1": tf.math.expm1,
    "log": tf.math.log,
    "isfinite": tf.math.is_finite,
    "isnan": tf.math.is_nan,
    "log1p": tf.math.log1p,
    "mean": tf.math.reduce_mean,
    "sin": tf.math.sin,
    "sqrt": tf.math.sqrt,
    "tanh": tf.math.tanh,
}
"""TensorFlow's function refuses whole numbers, or rounds."""

OF_WIDER = {
    "abs": tf.math.abs,
    "matmul": tf.linalg.matmul,
    "max": tf.math.reduce_max,
    "min": tf.math.reduce_min,
    "sign": tf.math.sign,
}
"""TensorFlow's function refuses truth values, or small whole numbers: they are computed as int32, and cast back."""

SMALL = {tf.bool, tf.uint8, tf.int8, tf.uint16, tf.int16}

OF_TWO = {
    "equal": tf.math.equal,
    "greater": tf.math.greater,
    "greater_equal": tf.math.greater_equal,
    "less": tf.math.less,
    "less_equal": tf.math.less_equal,
    "maximum": tf.math.maximum,
    "minimum": tf.math.minimum,
    "not_equal": tf.math.not_equal,
    "pow": tf.math.pow,
}
"""TensorFlow's function wants two tensors of one type."""


def _of_floats(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda x, **settings: function(x if x.dtype.is_floating else tf.cast(x, tf.float32), **settings)


def _of_wider(function: Callable[..., Array]) -> Callable[..., Array]:
    def call(*xs: Any, **settings: Any) -> Array:
        types = {x.dtype for x in xs if isinstance(x, tf.Tensor)}
        if not types <= SMALL:
            return function(*xs, **settings)
        small = types.pop()
        return tf.cast(function(*[tf.cast(x, tf.int32) for x in xs], **settings), small)

    return call


def _of_two(function: Callable[..., Array]) -> Callable[..., Array]:
    return lambda x1, x2: function(*_alike(x1, x2))


def _alike(x1: Array, x2: Array) -> tuple[Array, Array]:
    """Two tensors, or a tensor and a Python number, as tensors of one type: float64 only if one of them was."""
    given = [x.dtype.as_numpy_dtype if isinstance(x, tf.Tensor) else x for x in (x1, x2)]
    wanted = np.result_type(*given)
    if wanted == np.float64 and np.float64 not in given:
        wanted = np.dtype(np.float32)
    return tf.cast(x1, wanted), tf.cast(x2, wanted)


def arange(start: int, stop: int | None = None, step: int = 1, *, dtype: Any = tf.int32) -> Array:
    """start, start + step, ... below stop; TensorFlow's own knows no 8-bit numbers."""
    return tf.constant(np.arange(start) if stop is None else np.arange(start, stop, step), dtype=dtype)


def argmax(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the largest along `axis`, or in the flattened array."""
    return _position(tf.math.argmax, x, axis, keepdims)


def argmin(x: Array, axis: int | None = None, keepdims: bool = False) -> Array:
    """The index of the smallest along `axis`, or in the flattened array."""
    return _position(tf.math.argmin, x, axis, keepdims)


def _position(function: Callable[..., Array], x: Array, axis: int | None, keepdims: bool) -> Array:
    if axis is None:
        found = function(tf.reshape(x, (-1,)), axis=0)
        return tf.reshape(found, (1,) * len(x.shape)) if keepdims else found
    found = function(x, axis=axis)
    return tf.expand_dims(found, axis) if keepdims else found


def clip(x: Array, min: float, max: float) -> Array:
    """x within [min, max]; a NaN stays one."""
    return tf.math.minimum(*_alike(tf.math.maximum(*_alike(x, min)), max))


def full(shape: Shape, fill_value: float, *, dtype: Any = tf.float32) -> Array:
    """An array of one value."""
    return tf.fill(shape, tf.cast(fill_value, dtype))


def ones(shape: Shape, *, dtype: Any = tf.float32) -> Array:
    """An array of ones."""
    return tf.ones(shape, dtype)


def take(x: Array, indices: Array, axis: int) -> Array:
    """The elements at `indices` along `axis`, which TensorFlow calls to gather."""
    return tf.gather(x, indices, axis=axis)


def where(condition: Array, x1: Array, x2: Array) -> Array:
    """x1 where the condition holds, else x2."""
    return tf.where(condition, *_alike(x1, x2))


def zeros(shape: Shape, *, dtype: Any = tf.float32) -> Array:
    """An array of zeros."""
    return tf.zeros(shape, dtype)


# --- what learning needs beside the standard -------------------------------------------------------------------------

PHILOX = 1  # Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011)


def _jit(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` traced and compiled by XLA, once for each shape.

    TensorFlow adds up the tracings of all functions with one body and warns at five; a partial is counted by itself.
    """
    return tf.function(functools.partial(function), autograph=False, jit_compile=True)  # type: ignore[no-any-return]


@functools.cache
def _jitted_draw(kernel: Callable[..., Array], shape: Shape) -> Callable[[Array, Array], Array]:
    """Compiled also where the rest runs line by line: XLA's Philox gives other numbers than TensorFlow's kernels."""

    def draw(key: Array, step: Array) -> Array:
        counter = tf.stack([tf.zeros_like(step), step])  # 2**64 blocks of numbers for each step
        return kernel(shape=tf.constant(shape, tf.int32), key=key, counter=counter, alg=PHILOX, dtype=tf.float32)

    return _jit(draw)


def _draw(kernel: Callable[..., Array], seed: int, stream: int, step: Array, shape: Shape) -> Array:
    key = tf.constant([seed & 0xFFFFFFFF | stream << 32], dtype=tf.uint64)
    return _jitted_draw(kernel, tuple(shape))(key, tf.cast(step, tf.uint64))


def random_uniform(seed: int, stream: int, step: Array, shape: Shape) -> Array:
    """float32 in [0, 1)."""
    return _draw(tf.raw_ops.StatelessRandomUniformV2, seed, stream, step, shape)


def random_normal(seed: int, stream: int, step: Array, shape: Shape) -> Array:
    """float32, mean 0, variance 1."""
    return _draw(tf.raw_ops.StatelessRandomNormalV2, seed, stream, step, shape)


def scatter_add(size: int, positions: Array, values: Array) -> Array:
    """Zeros (size,) with each value added at its position."""
    return tf.math.unsorted_segment_sum(values, positions, size)


def patches(x: Array, window: Pair, strides: Pair, dilation: Pair) -> Array:
    """The windows as slices of x, stacked: (batch, rows, columns, kh, kw, channels)."""
    rows, columns = ((n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(x.shape[1:3], window, strides, dilation))
    slices = [
        x[:, i * dilation[0] :: strides[0], j * dilation[1] :: strides[1]][:, :rows, :columns]
        for i in range(window[0])
        for j in range(window[1])
    ]
    return tf.reshape(tf.stack(slices, axis=3), (x.shape[0], rows, columns, *window, x.shape[3]))


def add_patches(p: Array, height: int, width: int, strides: Pair, dilation: Pair) -> Array:
    """Zeros (batch, height, width, channels) with each window added where it came from.

    `StridedSliceGrad` lays `dy` into zeros at a slice; for XLA that is a padding, which melts into the sum.
    """
    batch, rows, columns, kh, kw, channels = p.shape
    placed = [
        tf.raw_ops.StridedSliceGrad(
            shape=(batch, height, width, channels),
            begin=(0, top, left, 0),
            end=(batch, top + (rows - 1) * strides[0] + 1, left + (columns - 1) * strides[1] + 1, channels),
            strides=(1, *strides, 1),
            dy=p[:, :, :, i, j],
        )
        for i, top in enumerate(range(0, kh * dilation[0], dilation[0]))
        for j, left in enumerate(range(0, kw * dilation[1], dilation[1]))
    ]
    return tf.math.add_n(placed)


def pad(x: Array, widths: tuple[Pair, ...], value: float = 0.0) -> Array:
    """x with `widths` elements of `value` before and after along each axis."""
    return tf.pad(x, widths, constant_values=tf.cast(value, x.dtype))


def top_k(x: Array, k: int) -> tuple[Array, Array]:
    """The k largest along the last axis, largest first."""
    values, indices = tf.math.top_k(x, k)
    return values, indices


OWN = (arange, argmax, argmin, clip, full, ones, take, where, zeros)
EXTRAS = (add_patches, pad, patches, random_normal, random_uniform, scatter_add, top_k)


# --- the engine ------------------------------------------------------------------------------------------------------


class TensorFlowEngine(TracingEngine):
    """Arrays are `tf.Tensor`; steps are traced by `tf.function` and compiled by XLA."""

    name, library = "tensorflow", "TensorFlow"
    refusals = (*TracingEngine.refusals, tf.errors.InvalidArgumentError, tf.errors.NotFoundError)

    def __init__(self) -> None:
        super().__init__()
        self.functions = SAME | {f.__name__: f for f in (*OWN, *EXTRAS)}
        self.functions |= {name: _of_floats(function) for name, function in OF_FLOATS.items()}
        self.functions |= {name: _of_two(function) for name, function in OF_TWO.items()}
        self.functions |= {name: _of_wider(function) for name, function in OF_WIDER.items()}
        self.functions |= {name: getattr(tf, name) for name in DTYPES}

    def owns(self, value: object) -> bool:
        """See `Engine.owns`."""
        return isinstance(value, tf.Tensor)

    def asarray(self, value: object, dtype: str | None = None) -> Array:
        """See `Engine.asarray`; the values are copied."""
        if isinstance(value, tf.Tensor):
            return value if dtype is None else tf.cast(value, dtype)
        host = np.asarray(value, dtype=dtype)
        if not host.dtype.isnative:
            host = host.astype(host.dtype.newbyteorder("="))
        if not tf.inside_function():
            return tf.convert_to_tensor(host)
        with tf.init_scope():  # outside the graph: its numbers are known, and it may outlive the tracing
            return tf.convert_to_tensor(host)

    def narrow(self, array: Array, values: tuple[Array, ...]) -> Array:
        """TensorFlow makes float64 of whole numbers divided; Keras and the other engines make float32."""
        if array.dtype != tf.float64 or any(getattr(value, "dtype", None) == tf.float64 for value in values):
            return array
        return tf.cast(array, tf.float32)

    def is_traced(self, array: Array) -> bool:
        """True for the tensors of a graph, which have no values."""
        return bool(tf.is_symbolic_tensor(array))

    def jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """See `TracingEngine.jit`."""
        return _jit(function)

    def threads(self) -> int:
        """What the program chose by TensorFlow's own switch, else the processors that this process may use."""
        return int(tf.config.threading.get_intra_op_parallelism_threads()) or super().threads()

    def version(self) -> str:
        """TensorFlow's version."""
        return str(tf.__version__)
