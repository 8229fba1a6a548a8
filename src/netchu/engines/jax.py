"""The JAX engine: the same Python lines, traced once and compiled by XLA.  `pip install 'netchu[jax]'`.

What was compiled is kept in the user's cache folder (`jax_cache.py`), unless the program has given JAX a
folder.

Limits: float64 stays float32 unless the program itself enables `jax_enable_x64`; no process-wide switch of JAX's is
touched here but those of that cache.
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from netchu.array_likes import check_whole_numbers
from netchu.engines.contract import DTYPES, STANDARD_FUNCTIONS, Array, Box, Loop, Shape
from netchu.engines.jax_cache import executables_folder
from netchu.engines.tracing import TracingEngine, on_boxes

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
    Windows that lie side by side are a reshape.
    """
    if window == strides and dilation == (1, 1):
        batch, height, width, channels = x.shape
        (kh, kw), rows, columns = window, height // window[0], width // window[1]
        x = jnp.reshape(x[:, : rows * kh, : columns * kw], (batch, rows, kh, columns, kw, channels))
        return jnp.permute_dims(x, (0, 1, 3, 2, 4, 5))  # (batch, rows, columns, kh, kw, channels)
    for axis in (1, 0):
        last = (x.shape[1 + axis] - (window[axis] - 1) * dilation[axis] - 1) // strides[axis] * strides[axis]
        starts = [i * dilation[axis] for i in range(window[axis])]
        slices = [jax.lax.slice_in_dim(x, i, i + last + 1, strides[axis], 1 + axis) for i in starts]
        x = jnp.stack(slices, axis=3)
    return x


def add_patches(p: Array, height: int, width: int, strides: Pair, dilation: Pair) -> Array:
    """Zeros (batch, height, width, channels) with each window added where it came from."""
    batch, rows, columns, kh, kw, channels = p.shape
    if (kh, kw) == strides and dilation == (1, 1):  # side by side: a reshape
        x = jnp.reshape(jnp.permute_dims(p, (0, 1, 3, 2, 4, 5)), (batch, rows * kh, columns * kw, channels))
        return pad(x, ((0, 0), (0, height - rows * kh), (0, width - columns * kw), (0, 0)))

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


def keep_executables() -> None:
    """Keep what was compiled for the next process, where nobody has chosen a place for them; trouble is no concern."""
    if jax.config.jax_compilation_cache_dir is not None:
        return
    folder = executables_folder(f"jax-{jax.__version__}")
    if folder is not None:
        jax.config.update("jax_compilation_cache_dir", str(folder))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", 0)
        warnings.filterwarnings("ignore", "Error (reading|writing) persistent compilation cache entry")


EXTRAS = (add_patches, pad, patches, random_normal, random_uniform, scatter_add, top_k)


class JaxEngine(TracingEngine):
    """Arrays are `jax.Array`; steps are compiled by `jax.jit`."""

    name, library = "jax", "JAX"
    refusals = (*TracingEngine.refusals, NameError, NotImplementedError)  # JAX takes a text for the name of an axis

    def __init__(self) -> None:
        super().__init__()
        keep_executables()
        self.functions = {name: getattr(jnp, name) for name in (*STANDARD_FUNCTIONS, *DTYPES)}
        self.functions |= {f.__name__: f for f in EXTRAS}
        self.functions["erf"] = jax.scipy.special.erf

    @property
    def whole_bytes(self) -> int:
        """See `Engine`; the program may have enabled 64 bits."""
        return 8 if jax.config.jax_enable_x64 else 4

    def owns(self, value: object) -> bool:
        """See `Engine.owns`."""
        return isinstance(value, jax.Array)

    def asarray(self, value: object, dtype: str | None = None) -> Array:
        """See `Engine.asarray`; 64-bit host values become 32-bit, as JAX's default has it, if they fit."""
        if isinstance(value, jax.Array):
            return jnp.asarray(value, dtype=None if dtype is None else jax.dtypes.canonicalize_dtype(dtype))
        host = np.array(value, dtype=dtype)  # a copy: `device_put` may keep the very memory that it is given
        if not host.dtype.isnative:
            host = host.astype(host.dtype.newbyteorder("="))
        check_whole_numbers("The engine 'jax'", host, self.whole_bytes)
        # jnp.asarray compiles a program for each shape, 7 ms; but for a single number it takes half the time.
        return jax.device_put(host) if host.ndim else jnp.asarray(host)

    def is_traced(self, array: Array) -> bool:
        """True for JAX's tracers."""
        return isinstance(array, jax.core.Tracer)

    def jit(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """See `TracingEngine.jit`."""
        return jax.jit(function)  # type: ignore[no-any-return]

    def trace_loop(self, step: Callable[..., Any], variables: Mapping[str, Box]) -> Loop | None:
        """See `Engine.trace_loop`: a `fori_loop` whose bounds are arguments, so that it is compiled once."""
        traced_once = jax.jit(self.as_pure(step, variables, whole=True), inline=True)

        @functools.partial(jax.jit, static_argnames="size")
        def loop(state: Any, data: Any, order: Array, begin: Array, count: Array, size: int) -> Any:
            def batch(i: Any) -> list[Array | None]:
                rows = jax.lax.dynamic_slice_in_dim(order, begin + i * size, size)
                return [None if a is None else a.at[rows].get(mode="promise_in_bounds") for a in data]

            results = jax.eval_shape(traced_once, state, *jax.eval_shape(batch, 0))[1]
            none_yet = jax.tree.map(lambda result: jnp.zeros(result.shape, result.dtype), results)
            return jax.lax.fori_loop(0, count, lambda i, so_far: traced_once(so_far[0], *batch(i)), (state, none_yet))

        return on_boxes(loop, variables)

    def version(self) -> str:
        """JAX's version."""
        return str(jax.__version__)
