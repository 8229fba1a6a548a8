"""Activation functions by name, with Keras's names and defaults: `layers.Dense(512, activation="relu")`.

The functions are operations (`netchu.ops`), where each stands with its derivative; this module gives them the defaults
that Keras's layers use, and looks names up.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from netchu import ops
from netchu.errors import ShapeError
from netchu.left_to_keras import missing_names
from netchu.ops import (
    celu,
    elu,
    glu,
    hard_shrink,
    hard_sigmoid,
    hard_silu,
    hard_swish,
    hard_tanh,
    leaky_relu,
    log_sigmoid,
    log_softmax,
    mish,
    relu6,
    selu,
    sigmoid,
    silu,
    soft_shrink,
    softmax,
    softplus,
    softsign,
    sparse_plus,
    sparse_sigmoid,
    sparsemax,
    squareplus,
    swish,
    tanh,
    tanh_shrink,
    threshold,
)
from netchu.registry import Registry
from netchu.tensor import Tensor

__all__ = [
    "celu", "elu", "exponential", "gelu", "get", "glu", "hard_shrink", "hard_sigmoid", "hard_silu", "hard_swish",
    "hard_tanh", "leaky_relu", "linear", "log_sigmoid", "log_softmax", "mish", "relu", "relu6", "selu", "sigmoid",
    "silu", "soft_shrink", "softmax", "softplus", "softsign", "sparse_plus", "sparse_sigmoid", "sparsemax",
    "squareplus", "swish", "tanh", "tanh_shrink", "threshold",
]  # fmt: skip

__getattr__ = missing_names("activations")


def linear(x: Any) -> Tensor:
    """`x` itself."""
    return ops.convert_to_tensor(x)


def exponential(x: Any) -> Tensor:
    """`e ** x`."""
    return ops.exp(x)


def gelu(x: Any, approximate: bool = False) -> Tensor:
    """`x * P(X <= x)` for a standard normal X, exact by default (as in Keras's layers; `ops.gelu` approximates)."""
    return ops.gelu(x, approximate=approximate)


def relu(x: Any, negative_slope: float = 0.0, max_value: float | None = None, threshold: float = 0.0) -> Tensor:
    """`max(x, 0)`, or with settings: `negative_slope * (x - threshold)` below the threshold, at most `max_value`."""
    if negative_slope == 0.0 and max_value is None and threshold == 0.0:
        return ops.relu(x)
    x = ops.convert_to_tensor(x)
    y = ops.where(x > threshold, x, negative_slope * (x - threshold))
    return y if max_value is None else ops.minimum(y, max_value)


_registry: Registry[Callable[..., Tensor]] = Registry.of("activation", globals(), __all__, without={"get"})
known = frozenset(_registry.entries)


def get(identifier: Any) -> Callable[..., Tensor]:
    """The function for a name; None gives `linear`.  Raises UsageError that lists the names if there is none."""
    found: Callable[..., Tensor] = _registry.get("linear" if identifier is None else identifier)
    return found


def output_shape(activation: Callable[..., Tensor], input_shape: tuple[int | None, ...]) -> tuple[int | None, ...]:
    """The shape of `activation(x)` for x of `input_shape`: the same, but for `glu`, which halves the last axis.

    Raises:
        ShapeError: `glu` of an odd length.
    """
    width = input_shape[-1]
    if activation is not glu or width is None:
        return input_shape
    if width % 2:
        raise ShapeError("glu", expected="an even length along the last axis", got=f"shape={input_shape}")
    return (*input_shape[:-1], width // 2)
