"""The NumPy engine: eager, small, every intermediate value at hand in a debugger.  The default."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from netchu.engines.base import DTYPES, STANDARD_FUNCTIONS, Array, Boxed, Engine, Shape


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


def top_k(x: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The k largest along the last axis, equal values in order of their index (as argmax and TensorFlow do)."""
    indices = np.argsort(-x, axis=-1, kind="stable")[..., :k]
    return np.take_along_axis(x, indices, axis=-1), indices


def erf(x: np.ndarray) -> np.ndarray:
    """The standard library's erf, value by value: exact and slow (60 ns each), where SciPy would cost 110 MB."""
    return np.array([math.erf(v) for v in x.ravel().tolist()], dtype=x.dtype).reshape(x.shape)


class NumpyEngine(Engine):
    """Arrays are `numpy.ndarray`; `compile` returns the step as it is."""

    name = "numpy"

    def __init__(self) -> None:
        self.functions = {name: getattr(np, name) for name in (*STANDARD_FUNCTIONS, *DTYPES)}
        self.functions |= {f.__name__: f for f in (random_uniform, random_normal, scatter_add, top_k, erf)}

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

    def fix_threads(self) -> None:
        """See `Engine.fix_threads`."""
        from threadpoolctl import threadpool_limits

        threadpool_limits(self.threads(), user_api="blas")

    def version(self) -> str:
        """NumPy's version."""
        return np.__version__
