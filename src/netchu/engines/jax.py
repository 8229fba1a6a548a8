"""The JAX engine: the same Python lines, traced once and compiled by XLA.  `pip install 'netchu[jax]'`.

Limits: float64 stays float32 unless the program itself enables `jax_enable_x64`; no process-wide switch of JAX's is
touched here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from netchu.engines.base import DTYPES, STANDARD_FUNCTIONS, Array, Shape
from netchu.engines.tracing import TracingEngine

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


class JaxEngine(TracingEngine):
    """Arrays are `jax.Array`; steps are compiled by `jax.jit`."""

    name, library = "jax", "JAX"

    def __init__(self) -> None:
        super().__init__()
        self.functions = {name: getattr(jnp, name) for name in (*STANDARD_FUNCTIONS, *DTYPES)}
        self.functions |= {f.__name__: f for f in EXTRAS}
        self.functions["erf"] = jax.scipy.special.erf

    def asarray(self, value: object, dtype: str | None = None) -> Array:
        """See `Engine.asarray`; 64-bit host values become 32-bit, as JAX's default has it."""
        host = value if isinstance(value, jax.Array) else np.asarray(value, dtype=dtype)
        return jnp.asarray(host) if dtype is None else jnp.asarray(host, dtype=jax.dtypes.canonicalize_dtype(dtype))

    def is_traced(self, array: Array) -> bool:
        """True for JAX's tracers."""
        return isinstance(array, jax.core.Tracer)

    def compile_pure(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """See `TracingEngine.compile_pure`."""
        return jax.jit(function)  # type: ignore[no-any-return]

    def version(self) -> str:
        """JAX's version."""
        return str(jax.__version__)
