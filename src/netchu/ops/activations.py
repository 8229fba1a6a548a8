"""The elementwise functions between layers, and softmax, with the names and defaults of `keras.ops`.

Shapes: any; a result has the shape of `x`.  At a kink the slope is TensorFlow's: mostly that of the flat side
(`relu`: 0 at 0).
Softmax and sigmoid remember what they were made from (`Tensor.origin`), so that a cross-entropy on their output can
take its exact form.
"""

from __future__ import annotations

import math

from netchu.arguments import axis_among
from netchu.engines import Array, xp
from netchu.engines.types import counts, floats
from netchu.errors import ShapeError
from netchu.ops.arithmetic import largest, multiply
from netchu.ops.shapes import get_item, swapaxes
from netchu.tape import Result, operation
from netchu.tensor import Tensor, as_tensor

# Klambauer, Unterthiner, Mayr, Hochreiter, "Self-Normalizing Neural Networks" (2017): the fixed point of mean 0, var 1.
SELU_ALPHA = 1.6732632423543772
SELU_SCALE = 1.0507009873554805
GELU_SLOPE = math.sqrt(2 / math.pi)
GELU_CUBIC = 0.044715  # Hendrycks and Gimpel, "Gaussian Error Linear Units" (2016)


def _sigmoid_of(x: Array) -> Array:
    """1 / (1 + exp(-x)) from exp(-|x|), which cannot overflow."""
    e = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1 / (1 + e), e / (1 + e))


def _softplus_of(x: Array) -> Array:
    """log(1 + exp(x)) = max(x, 0) + log(1 + exp(-|x|)), which cannot overflow."""
    return xp.maximum(x, 0.0) + xp.log1p(xp.exp(-xp.abs(x)))


def _remember(y: Tensor, x: Array, made_by: str) -> Tensor:
    y.origin = (made_by, as_tensor(x))
    return y


def log_softmax_of(z: Array, axis: int = -1) -> Array:
    """log(softmax(z)) = z - c - log(sum(exp(z - c))), which cannot overflow for c = max(z)."""
    s = z - largest(z, axis)
    return s - xp.log(xp.sum(xp.exp(s), axis=axis, keepdims=True))


@operation(types=counts)
def relu(x: Array) -> Result:
    """`max(x, 0)`."""
    y = xp.maximum(x, 0)
    return y, (lambda g: xp.where(y > 0, g, 0.0),)


@operation(types=counts)
def relu6(x: Array) -> Result:
    """`min(max(x, 0), 6)`."""
    y = xp.clip(x, 0, 6)
    return y, (lambda g: xp.where(xp.logical_and(y > 0, y < 6), g, 0.0),)


@operation(types=floats)
def leaky_relu(x: Array, negative_slope: float = 0.2) -> Result:
    """`x` where positive, else `negative_slope * x`."""
    return xp.where(x > 0, x, negative_slope * x), (lambda g: xp.where(x > 0, g, negative_slope * g),)


@operation(types=floats)
def elu(x: Array, alpha: float = 1.0) -> Result:
    """`x` where positive, else `alpha * (exp(x) - 1)`."""
    below = alpha * xp.expm1(xp.minimum(x, 0.0))
    return xp.where(x > 0, x, below), (lambda g: xp.where(x > 0, g, g * (below + alpha)),)


@operation(types=floats)
def selu(x: Array) -> Result:
    """`scale * elu(x, alpha)` with the constants of Klambauer et al. (2017)."""
    below = SELU_ALPHA * xp.expm1(xp.minimum(x, 0.0))
    return SELU_SCALE * xp.where(x > 0, x, below), (
        lambda g: g * SELU_SCALE * xp.where(x >= 0, xp.ones_like(x), below + SELU_ALPHA),
    )


@operation(types=floats)
def celu(x: Array, alpha: float = 1.0) -> Result:
    """`x` where positive, else `alpha * (exp(x / alpha) - 1)`: an ELU whose slope has no jump."""
    e = xp.exp(xp.minimum(x, 0.0) / alpha)
    return xp.where(x > 0, x, alpha * (e - 1)), (lambda g: g * e,)


@operation(types=floats)
def _sigmoid(x: Array) -> Result:
    y = _sigmoid_of(x)
    return y, (lambda g: g * y * (1 - y),)


def sigmoid(x: Array) -> Tensor:
    """`1 / (1 + exp(-x))`; the result remembers `x` as its logits."""
    return _remember(_sigmoid(x), x, "sigmoid")


@operation(types=floats)
def log_sigmoid(x: Array) -> Result:
    """`log(sigmoid(x))`, exact for large negative `x` too."""
    return -_softplus_of(-x), (lambda g: g * _sigmoid_of(-x),)


@operation(types=floats)
def softplus(x: Array) -> Result:
    """`log(1 + exp(x))`."""
    return _softplus_of(x), (lambda g: g * _sigmoid_of(x),)


@operation(types=floats)
def softsign(x: Array) -> Result:
    """`x / (1 + |x|)`."""
    d = 1 + xp.abs(x)
    return x / d, (lambda g: g / d / d,)


@operation(types=floats)
def silu(x: Array) -> Result:
    """`x * sigmoid(x)`, also called swish."""
    s = _sigmoid_of(x)
    return x * s, (lambda g: g * s * (1 + x * (1 - s)),)


@operation(types=floats)
def mish(x: Array) -> Result:
    """`x * tanh(softplus(x))`."""
    t = xp.tanh(_softplus_of(x))
    return x * t, (lambda g: g * (t + x * (1 - t * t) * _sigmoid_of(x)),)


@operation(types=floats)
def gelu(x: Array, approximate: bool = True) -> Result:
    """`x * P(X <= x)` for a standard normal X; `approximate` takes a tanh in place of the error function."""
    if approximate:
        t = xp.tanh(GELU_SLOPE * (x + GELU_CUBIC * x * x * x))
        return 0.5 * x * (1 + t), (
            lambda g: g * 0.5 * (1 + t + x * (1 - t * t) * GELU_SLOPE * (1 + 3 * GELU_CUBIC * x * x)),
        )
    p = 0.5 * (1 + xp.erf(x / math.sqrt(2)))
    return x * p, (lambda g: g * (p + x * xp.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)),)


@operation(types=floats)
def hard_sigmoid(x: Array) -> Result:
    """`relu6(x + 3) / 6`."""
    y = xp.clip(x / 6 + 0.5, 0.0, 1.0)
    return y, (lambda g: xp.where(xp.logical_and(y > 0, y < 1), g / 6, 0.0),)


@operation(types=floats)
def hard_silu(x: Array) -> Result:
    """`x * hard_sigmoid(x)`, also called hard swish."""
    y = xp.clip(x / 6 + 0.5, 0.0, 1.0)
    return x * y, (lambda g: g * xp.where(xp.logical_and(y > 0, y < 1), x / 3 + 0.5, y),)


@operation(types=floats)
def hard_tanh(x: Array) -> Result:
    """`x` kept within [-1, 1]."""
    return xp.clip(x, -1.0, 1.0), (lambda g: xp.where(xp.abs(x) <= 1, g, 0.0),)


@operation(types=floats)
def hard_shrink(x: Array, threshold: float = 0.5) -> Result:
    """`x` where `|x| > threshold`, else 0."""
    far = xp.abs(x) > threshold
    return xp.where(far, x, 0.0), (lambda g: xp.where(far, g, 0.0),)


@operation(types=floats)
def soft_shrink(x: Array, threshold: float = 0.5) -> Result:
    """`x` moved towards 0 by `threshold`, and 0 within it."""
    far = xp.abs(x) > threshold
    return xp.where(far, x - threshold * xp.sign(x), 0.0), (lambda g: xp.where(far, g, 0.0),)


@operation(types=floats)
def tanh_shrink(x: Array) -> Result:
    """`x - tanh(x)`."""
    t = xp.tanh(x)
    return x - t, (lambda g: g * t * t,)


@operation(types=floats)
def squareplus(x: Array, b: float = 4) -> Result:
    """`(x + sqrt(x * x + b)) / 2`: a softplus without exponentials."""
    root = xp.sqrt(x * x + b)
    return (x + root) / 2, (lambda g: g * (1 + x / root) / 2,)


@operation(types=floats)
def sparse_plus(x: Array) -> Result:
    """0 below -1, `(x + 1) ** 2 / 4` up to 1, and `x` above."""
    t = xp.clip((x + 1) / 2, 0.0, 1.0)
    return xp.where(x < 1, t * t, x), (lambda g: g * t,)


@operation(types=floats)
def sparse_sigmoid(x: Array) -> Result:
    """0 below -1, `(x + 1) / 2` up to 1, and 1 above."""
    return xp.clip((x + 1) / 2, 0.0, 1.0), (lambda g: xp.where(xp.abs(x) < 1, g / 2, 0.0),)


@operation(types=counts)
def threshold(x: Array, threshold: float, default_value: float) -> Result:
    """`x` where `x > threshold`, else `default_value`."""
    return xp.where(x > threshold, x, default_value), (lambda g: xp.where(x > threshold, g, 0.0),)


def glu(x: Array, axis: int = -1) -> Tensor:
    """The gated linear unit: the first half of `axis` times the sigmoid of the second half.

    Raises:
        ShapeError: the axis has an odd length.
    """
    x = as_tensor(x)
    axis = axis_among("glu", axis, x.ndim)
    n = x.shape[axis]
    if n % 2:
        raise ShapeError("glu", expected=f"an even length along axis {axis}", got=f"shape={tuple(x.shape)}")
    before = (slice(None),) * axis
    return multiply(get_item(x, (*before, slice(None, n // 2))), sigmoid(get_item(x, (*before, slice(n // 2, None)))))


# --- over an axis ----------------------------------------------------------------------------------------------------


@operation(types=floats)
def _softmax(x: Array, axis: int = -1) -> Result:
    e = xp.exp(x - largest(x, axis))  # softmax(x) = softmax(x - c); without overflow for c = max(x)
    y = e / xp.sum(e, axis=axis, keepdims=True)
    return y, (lambda g: y * (g - xp.sum(g * y, axis=axis, keepdims=True)),)


def softmax(x: Array, axis: int = -1) -> Tensor:
    """`exp(x) / sum(exp(x))` along `axis`; over the last axis the result remembers `x` as its logits."""
    y = _softmax(x, axis=axis)
    return _remember(y, x, "softmax") if axis in (-1, y.ndim - 1) else y


@operation(types=floats)
def log_softmax(x: Array, axis: int = -1) -> Result:
    """`log(softmax(x))` along `axis`, exact where the softmax itself would be 0."""
    y = log_softmax_of(x, axis)
    return y, (lambda g: g - xp.exp(y) * xp.sum(g, axis=axis, keepdims=True),)


@operation(types=floats)
def _sparsemax(x: Array) -> Result:
    n = x.shape[-1]
    sorted_x, _ = xp.top_k(x, n)
    count = xp.astype(xp.arange(1, n + 1), x.dtype)
    # The support is the longest head of the sorted row whose elements lie above the head's own threshold.
    below_one = xp.astype(xp.arange(n)[:, None] <= xp.arange(n)[None, :], x.dtype)  # (n, n), sums every head
    heads = xp.squeeze(xp.expand_dims(sorted_x, axis=-2) @ below_one, axis=-2)  # (..., n)
    inside = xp.astype(1 + count * sorted_x > heads, x.dtype)
    support = xp.sum(inside, axis=-1, keepdims=True)
    tau = (xp.sum(sorted_x * inside, axis=-1, keepdims=True) - 1) / support
    y = xp.maximum(x - tau, 0.0)
    chosen = xp.astype(y > 0, x.dtype)
    return y, (lambda g: chosen * (g - xp.sum(g * chosen, axis=-1, keepdims=True) / support),)


def sparsemax(x: Array, axis: int = -1) -> Tensor:
    """The nearest point to `x` among probabilities along `axis`: like softmax, but with exact zeros.

    References:
        Martins and Astudillo, "From Softmax to Sparsemax" (2016).
    """
    x = as_tensor(x)
    axis = axis_among("sparsemax", axis, x.ndim)
    return _sparsemax(x) if axis == x.ndim - 1 else swapaxes(_sparsemax(swapaxes(x, axis, -1)), axis, -1)
