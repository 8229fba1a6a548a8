"""The JAX engine: the same Python lines, traced once and compiled by XLA.  `pip install 'netchu[jax]'`.

Limits: float64 stays float32 unless the program itself enables `jax_enable_x64`; no process-wide switch of JAX's is
touched here.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from netchu.engines.base import DTYPES, STANDARD_FUNCTIONS, Array, Boxed, Engine, Shape
from netchu.errors import EngineError

Pair = tuple[int, int]


def _key(seed: int, stream: int, step: Array) -> Array:
    """The random key of (seed, stream, step); the step may be a tracer."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed & 0xFFFFFFFF), stream), step)


def random_uniform(seed: int, stream: int, step: Array, shape: Shape) -> Array:
    """float32 in [0, 1)."""
    return jax.random.uniform(_key(seed, stream, step), shape, dtype=jnp.float32)


def random_normal(seed: int, stream: int, step: Array, shape: Shape) -> Array:
    """float32, mean 0, variance 1."""
    return jax.random.normal(_key(seed, stream, step), shape, dtype=jnp.float32)


def scatter_add(size: int, positions: Array, values: Array) -> Array:
    """Zeros (size,) with each value added at its position."""
    return jnp.zeros((size,), dtype=values.dtype).at[positions].add(values)


def patches(x: Array, window: Pair, strides: Pair, dilation: Pair) -> Array:
    """The windows, (batch, rows, columns, kh, kw, channels): slices stacked along the width, then along the height.

    XLA's CPU compiler makes a product of these with a kernel in 40 % of the time that all kh * kw slices at once take.
    """
    for axis in (1, 0):
        last = (x.shape[1 + axis] - (window[axis] - 1) * dilation[axis] - 1) // strides[axis] * strides[axis]
        starts = [i * dilation[axis] for i in range(window[axis])]
        slices = [jax.lax.slice_in_dim(x, i, i + last + 1, strides[axis], 1 + axis) for i in starts]
        x = jnp.stack(slices, axis=3)
    return x


def add_patches(p: Array, height: int, width: int, strides: Pair, dilation: Pair) -> Array:
    """Zeros (batch, height, width, channels) with each window added where it came from."""
    _, rows, columns, kh, kw, _ = p.shape

    def around(length: int, count: int, place: int, axis: int) -> tuple[int, int, int]:
        """The zeros before, after and between the elements that all windows have at one place."""
        before = place * dilation[axis]
        return before, length - before - (count - 1) * strides[axis] - 1, strides[axis] - 1

    nothing = (0, 0, 0)
    zero = jnp.zeros((), dtype=p.dtype)
    images = [
        jax.lax.pad(
            p[:, :, :, i, j], zero, (nothing, around(height, rows, i, 0), around(width, columns, j, 1), nothing)
        )
        for i in range(kh)
        for j in range(kw)
    ]
    return functools.reduce(jnp.add, images)


def pad(x: Array, widths: tuple[Pair, ...], value: float = 0.0) -> Array:
    """x with `widths` elements of `value` before and after along each axis."""
    return jnp.pad(x, widths, constant_values=value)


def top_k(x: Array, k: int) -> tuple[Array, Array]:
    """The k largest along the last axis, largest first."""
    values, indices = jax.lax.top_k(x, k)
    return values, indices


EXTRAS = (add_patches, pad, patches, random_normal, random_uniform, scatter_add, top_k)


class JaxEngine(Engine):
    """Arrays are `jax.Array`; `compile` is `jax.jit` over the boxes' arrays."""

    name = "jax"

    def __init__(self) -> None:
        self.functions = {name: getattr(jnp, name) for name in (*STANDARD_FUNCTIONS, *DTYPES)}
        self.functions |= {f.__name__: f for f in EXTRAS}
        self.functions["erf"] = jax.scipy.special.erf
        self._lifted: frozenset[int] | None = None  # ids of the boxes that the step being traced carries

    def asarray(self, value: object, dtype: str | None = None) -> Array:
        """See `Engine.asarray`; 64-bit host values become 32-bit, as JAX's default has it."""
        host = value if isinstance(value, jax.Array) else np.asarray(value, dtype=dtype)
        return jnp.asarray(host) if dtype is None else jnp.asarray(host, dtype=jax.dtypes.canonicalize_dtype(dtype))

    def to_numpy(self, array: Array) -> np.ndarray:
        """See `Engine.to_numpy`."""
        if self.is_traced(array):
            raise EngineError(
                f"A value was asked for while JAX traces the step: expected only array operations, "
                f"got a request for the numbers of a tensor of shape={tuple(array.shape)} (float(t), t.numpy() or "
                "`if t`). Use netchu.ops.where instead of `if`, or compile(run_eagerly=True) to run without tracing."
            )
        return np.asarray(array)

    def is_traced(self, array: Array) -> bool:
        """True for JAX's tracers."""
        return isinstance(array, jax.core.Tracer)

    def compile(self, step: Callable[..., Any], variables: Mapping[str, Boxed]) -> Callable[..., Any]:
        """See `Engine.compile`."""

        @jax.jit  # type: ignore[untyped-decorator]
        def pure(state: dict[str, Array], *arguments: Any) -> tuple[dict[str, Array], Any]:
            with self._carrying(variables):
                for name, variable in variables.items():
                    variable.array = state[name]
                result = step(*arguments)
                return {name: variable.array for name, variable in variables.items()}, result

        def compiled(*arguments: Any) -> Any:
            state, result = pure({name: variable.array for name, variable in variables.items()}, *arguments)
            for name, variable in variables.items():
                variable.array = state[name]
            return result

        return compiled

    @contextmanager
    def _carrying(self, variables: Mapping[str, Boxed]) -> Iterator[None]:
        """While tracing, remember which boxes are carried; afterwards no box is left with a tracer in it."""
        before, arrays = self._lifted, {name: variable.array for name, variable in variables.items()}
        self._lifted = frozenset(map(id, variables.values()))
        try:
            yield
        finally:
            self._lifted = before
            for name, variable in variables.items():
                variable.array = arrays[name]

    def holds(self, variable: Boxed) -> bool:
        """See `Engine.holds`."""
        return self._lifted is None or id(variable) in self._lifted

    def threads(self) -> int:
        """XLA's CPU thread pool follows the processors this process may use."""
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1

    def version(self) -> str:
        """JAX's version."""
        return str(jax.__version__)
