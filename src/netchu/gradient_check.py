"""Proof that derivatives are derivatives: compares each one with a central difference in float64.

    netchu.gradcheck(ops.matmul, x, w)                     # raises GradientError if a derivative is wrong
    netchu.gradcheck(lambda x: ops.sum(x, axis=1), x)

The gradient for each argument is checked alone, along three fixed directions: a single direction at a loose tolerance
misses two thirds of the errors of 0.1 %.  Limits: NumPy engine (float64); keep inputs off kinks such as relu's 0.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from netchu import engines, ops
from netchu.errors import EngineError, NetchuError
from netchu.tape import GradientTape
from netchu.tensor import Tensor

STEP = 1e-5
DIRECTIONS = 3


class GradientError(NetchuError, AssertionError):
    """A derivative disagrees with the finite difference."""


def gradcheck(function: Callable[..., Tensor], *inputs: Any, rtol: float = 1e-6, name: str | None = None) -> None:
    """Check the gradient of `function(*inputs)` for each floating-point input.

    With v a fixed random weighting of the outputs and d a fixed random direction, compares

        sum(gradient of sum(v * f(x)) * d)    with    sum(v * (f(x + h d) - f(x - h d))) / 2h,   h = 1e-5.

    Args:
        function: takes as many Tensors as there are inputs and returns one Tensor.
        inputs: arrays of any shape; floating-point ones are taken as float64, others are passed through unchecked.
        rtol: greatest relative difference.
        name: what to call the function in the message; its own name by default.

    Raises:
        GradientError: naming the function, the argument and both numbers.
        EngineError: the current engine is not numpy.
    """
    if engines.current().name != "numpy":
        raise EngineError(
            "gradcheck",
            expected="the numpy engine (float64)",
            got=f"engine={engines.current().name}",
            do='Call set_engine("numpy").',
        )
    name = name or str(getattr(function, "__name__", "function"))
    arrays = [np.asarray(x, dtype=np.float64) if np.asarray(x).dtype.kind == "f" else np.asarray(x) for x in inputs]
    for position, array in enumerate(arrays):
        if array.dtype == np.float64:
            _check_argument(function, arrays, position, rtol, name)


def _check_argument(
    function: Callable[..., Tensor], arrays: list[np.ndarray], position: int, rtol: float, name: str
) -> None:
    rng = np.random.default_rng(position)
    tensors = [Tensor(array) for array in arrays]
    with GradientTape() as tape:
        tape.watch(tensors[position])
        output = function(*tensors)
        v = rng.standard_normal(output.shape)
        weighted = ops.sum(output * v)
    gradient = tape.gradient(weighted, tensors[position])
    if gradient is None:
        raise GradientError(f"gradcheck({name})", expected=f"a derivative for argument {position}", got="None")
    if gradient.shape != arrays[position].shape:
        raise GradientError(
            f"gradcheck({name})",
            expected=f"shape {arrays[position].shape}",
            got=f"gradient.shape={gradient.shape} for argument {position}",
        )

    def value_at(shifted: np.ndarray) -> float:
        moved = [Tensor(shifted if i == position else array) for i, array in enumerate(arrays)]
        return float(np.sum(v * function(*moved).numpy()))

    for _ in range(DIRECTIONS):
        d = rng.standard_normal(arrays[position].shape)
        numeric = (value_at(arrays[position] + STEP * d) - value_at(arrays[position] - STEP * d)) / (2 * STEP)
        analytic = float(np.sum(gradient.numpy() * d))
        if not abs(analytic - numeric) <= rtol * max(abs(analytic), abs(numeric)) + 1e-9:
            ratio = analytic / numeric if numeric else float("nan")
            raise GradientError(
                f"gradcheck({name}): the derivative for argument {position} is wrong",
                expected=f"{numeric:.9g}, the central difference",
                got=f"{analytic:.9g}, ratio={ratio:.6f}",
            )
