"""What several test files share: every tolerance with its reason, comparing, and an engine that is strict.

A test that compares numbers takes its tolerance from here by name, so that nobody has to guess why it is what it is.
Every helper that compares asserts: it passes or raises AssertionError.  `test_mutations.py` shows that the checks fail
when something is wrong.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from netchu.engines.contract import DTYPES, STANDARD_FUNCTIONS, Array, Box, Engine
from netchu.engines.numpy.functions import add_patches, pad, patches, random_normal, random_uniform, scatter_add

SOURCE = Path(__file__).parents[1] / "src" / "netchu"

# --- tolerances ------------------------------------------------------------------------------------------------------

GRADIENT_RTOL = 1e-6
"""Derivative against central difference in float64 with h = 1e-5: the difference itself errs by about h * h = 1e-10
relatively and 1e-16 / h = 1e-11 by rounding, so 1e-6 leaves room and still sees an error of 0.1 % a thousand times."""

ENGINE_RTOL = 2e-6
"""Two engines, the same operation in float32, relative to the largest element: each rounding errs by 6e-8 at most, the
libraries' exp and tanh by one or two more, and the longest sum in the cases adds about 60 numbers in another order."""

STEP_ATOL = 1e-6
"""One optimizer step, or one loss, beside real Keras, absolutely: both hold numbers of about 1 in float32 (6e-8)."""

RUN_ATOL = 1e-5
"""A run of several epochs beside real Keras: the roundings of its steps (1e-6 each at worst) add up."""

EXACT = 0.0
"""Numbers that must be the same bits: the same formula on the same library, or only moved, never computed."""

SMALLEST_NORMAL = float(np.finfo(np.float32).tiny)  # 1.1754944e-38; below it lie the slow denormals


def assert_close(actual: Any, expected: Any, *, atol: float = 0.0, rtol: float = 0.0, what: str = "") -> None:
    """Same shape, and each element within `atol` or within `rtol` of the largest element of `expected`."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape} instead of {expected.shape}"
    scale = float(np.max(np.abs(expected[np.isfinite(expected)]), initial=0.0)) if expected.dtype.kind == "f" else 0.0
    np.testing.assert_allclose(actual, expected, rtol=0, atol=atol + rtol * max(scale, 1e-30), err_msg=what)


def assert_same_bits(actual: Any, expected: Any, what: str = "") -> None:
    """Same shape, same type, same bytes."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.dtype == expected.dtype, f"{what}: {actual.dtype} instead of {expected.dtype}"
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape} instead of {expected.shape}"
    assert actual.tobytes() == expected.tobytes(), f"{what}: not the same bits"


def assert_no_denormals(array: Any, what: str = "") -> None:
    """No element with 0 < |x| < 1.18e-38."""
    size = np.abs(np.asarray(array))
    count = int(np.sum((size > 0) & (size < SMALLEST_NORMAL)))
    assert count == 0, f"{what}: {count} denormals of {size.size}"


@cache
def golden() -> dict[str, Any]:
    """Numbers from real Keras; the file's "about" says how they were made."""
    text = (Path(__file__).parent / "data" / "keras_golden.json").read_text(encoding="utf-8")
    return dict(json.loads(text))


# --- an engine that allows only what the standard says ---------------------------------------------------------------


class StrictEngine(Engine):
    """`array-api-strict` behind netchu: an operation that leans on NumPy's leniency raises here.

    Arrays are converted at the door; the extras, which no standard names, are borrowed from NumPy.
    """

    name = "strict"

    def __init__(self) -> None:
        import array_api_strict

        self.library = array_api_strict
        self.functions = {name: getattr(array_api_strict, name) for name in (*STANDARD_FUNCTIONS, *DTYPES)}
        self.functions |= {
            "add_patches": self._borrowed(add_patches),
            "erf": lambda x: self.asarray(np.vectorize(math.erf, otypes=[self.to_numpy(x).dtype])(self.to_numpy(x))),
            "pad": self._borrowed(pad),
            "patches": self._borrowed(patches),
            "random_normal": self._borrowed(random_normal),
            "random_uniform": self._borrowed(random_uniform),
            "scatter_add": self._borrowed(scatter_add),
            "top_k": self._top_k,
        }

    def _borrowed(self, function: Callable[..., np.ndarray]) -> Callable[..., Array]:
        def converted(*arguments: Any) -> Array:
            host = [self.to_numpy(a) if isinstance(a, self.library._array_object.Array) else a for a in arguments]
            return self.asarray(function(*host))

        return converted

    def _top_k(self, x: Array, k: int) -> tuple[Array, Array]:
        host = self.to_numpy(x)
        indices = np.argsort(-host, axis=-1, kind="stable")[..., :k]
        return self.asarray(np.take_along_axis(host, indices, axis=-1)), self.asarray(indices)

    def asarray(self, value: object, dtype: str | None = None) -> Array:
        """See `Engine.asarray`."""
        if isinstance(value, self.library._array_object.Array):
            return value if dtype is None else self.library.astype(value, getattr(self.library, dtype))
        return self.library.asarray(np.asarray(value, dtype=dtype))

    def to_numpy(self, array: Array) -> np.ndarray:
        """See `Engine.to_numpy`."""
        return np.array(array._array)

    def is_traced(self, array: Array) -> bool:
        """Never."""
        return False

    def trace(self, step: Callable[..., Any], variables: Mapping[str, Box]) -> Callable[..., Any]:
        """The step itself."""
        return step

    def threads(self) -> int:
        """One."""
        return 1

    def version(self) -> str:
        """The library's version."""
        return str(self.library.__version__)


def host(value: Any) -> Any:
    """The NumPy array in a Tensor; anything else as it is; a tuple element by element."""
    if isinstance(value, (tuple, list)):
        return type(value)(host(item) for item in value)
    return value.numpy() if hasattr(value, "numpy") else value
