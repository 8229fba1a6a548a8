"""The NumPy engine: eager, small, every intermediate value at hand in a debugger.  The default."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from netchu.engines.base import DTYPES, STANDARD_FUNCTIONS, Array, Boxed, Engine, Shape, axis_by_axis

Pair = tuple[int, int]


def generator(seed: int, stream: int, step: int) -> np.random.Generator:
    """A fresh generator whose numbers depend on nothing but (seed, stream, step); takes about 15 us to make."""
    return np.random.Generator(np.random.Philox(key=[seed, stream], counter=[0, 0, 0, int(step)]))


def random_uniform(seed: int, stream: int, step: int, shape: Shape) -> np.ndarray:
    """float32 in [0, 1)."""
    return generator(seed, stream, step).random(shape, dtype=np.float32)


def random_normal(seed: int, stream: int, step: int, shape: Shape) -> np.ndarray:
    """float32, mean 0, variance 1."""
    return generator(seed, stream, step).standard_normal(shape, dtype=np.float32)


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


def add_patches(p: np.ndarray, height: int, width: int, strides: Pair, dilation: Pair) -> np.ndarray:
    """Zeros (batch, height, width, channels) with each window added where it came from."""
    batch, _, _, kh, kw, channels = p.shape
    x = np.zeros((batch, height, width, channels), dtype=p.dtype)
    views = patches(x, (kh, kw), strides, dilation, writeable=True)
    if strides[0] >= kh * dilation[0] and strides[1] >= kw * dilation[1]:  # no two windows share an element
        views[...] = p
        return x
    for i in range(kh):
        for j in range(kw):
            views[:, :, :, i, j] += p[:, :, :, i, j]  # one place of all windows: here too no element comes twice
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


EXTRAS = (add_patches, erf, pad, patches, random_normal, random_uniform, scatter_add, top_k)


class NumpyEngine(Engine):
    """Arrays are `numpy.ndarray`; `compile` returns the step as it is."""

    name = "numpy"

    def __init__(self) -> None:
        self.functions = {name: getattr(np, name) for name in (*STANDARD_FUNCTIONS, *DTYPES)}
        self.functions |= {f.__name__: f for f in EXTRAS} | {"sum": axis_by_axis(np.sum, np.squeeze)}

    def asarray(self, value: object, dtype: str | None = None) -> Array:
        """See `Engine.asarray`."""
        return np.asarray(value, dtype=dtype)

    def to_numpy(self, array: Array) -> np.ndarray:
        """See `Engine.to_numpy`."""
        view: np.ndarray = np.asarray(array).view()
        view.flags.writeable = False  # a weight or a recorded value may lie under it
        return view

    def narrow(self, array: Array, values: tuple[Array, ...]) -> Array:
        """NumPy makes float64 of `integers * 0.5` or `exp(integers)`; Keras and the other engines make float32."""
        if array.dtype != np.float64 or any(getattr(value, "dtype", None) == np.float64 for value in values):
            return array
        return array.astype(np.float32)

    def is_traced(self, array: Array) -> bool:
        """Never: NumPy computes at once."""
        return False

    def compile(self, step: Callable[..., Any], variables: Mapping[str, Boxed]) -> Callable[..., Any]:
        """The step itself: it already works on the boxes."""
        return step

    def threads(self) -> int:
        """BLAS threads, or 1 when NumPy's BLAS does not tell."""
        from threadpoolctl import threadpool_info

        return max((pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"), default=1)

    def fix_threads(self, count: int | None = None) -> None:
        """See `Engine.fix_threads`."""
        from threadpoolctl import threadpool_limits

        threadpool_limits(count or self.threads(), user_api="blas")

    def version(self) -> str:
        """NumPy's version."""
        return np.__version__
