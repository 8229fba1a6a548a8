"""The cross-entropies, with the names and signatures of `keras.ops`, in the forms that stay exact.

On a Tensor that softmax or sigmoid made, or with `from_logits=True`, the loss is computed from the logits: fused with
the softmax, without clipping, with the gradient `softmax(z) - target` however wrong the network is (as Keras does it on
TensorFlow).  A bare array of probabilities is clipped to [1e-7, 1 - 1e-7] first, so a loss is at most 16.1, and nothing
is learned where it would be larger.

Shapes: logits or probabilities (..., classes), integer labels (...) or (..., 1).
"""

from __future__ import annotations

import warnings

import numpy as np

from netchu import engines
from netchu.engines import Array, xp
from netchu.engines.types import Kind, floats
from netchu.errors import DataError, ShapeError
from netchu.ops.activations import _sigmoid_of, _softplus_of, log_softmax_of
from netchu.ops.arithmetic import add, cast, clip, divide, log, multiply, negative
from netchu.ops.reductions import sum
from netchu.ops.shapes import swapaxes
from netchu.tape import Result, operation
from netchu.tensor import Tensor, as_tensor, to_array, unwrap, wrap

EPSILON = 1e-7


def one_hot_rows(labels: Array, classes: int, dtype: object) -> Array:
    """Integer labels (...) -> (..., classes) of `dtype`: 1 at the label, 0 elsewhere."""
    if classes > 127 or labels.dtype == xp.bool:  # more than labels of 8 bits can count
        labels = xp.astype(labels, xp.int32)
    return xp.astype(xp.expand_dims(labels, axis=-1) == xp.arange(classes, dtype=labels.dtype), dtype)


def _label_and_floats(label: Kind, output: Kind) -> tuple[Kind, ...]:
    return label, *floats(output)


@operation(types=_label_and_floats)
def _sparse_crossentropy(labels: Array, z: Array) -> Result:
    hot = one_hot_rows(labels, z.shape[-1], z.dtype)
    log_p = log_softmax_of(z)
    return -xp.sum(xp.where(hot > 0, log_p, 0.0), axis=-1), (
        None,
        lambda g: (xp.exp(log_p) - hot) * xp.expand_dims(g, axis=-1),
    )


@operation(types=floats)
def _crossentropy(target: Array, z: Array) -> Result:
    log_p = log_softmax_of(z)
    total = xp.sum(target, axis=-1, keepdims=True)  # 1 for probabilities
    return -xp.sum(target * log_p, axis=-1), (
        lambda g: -log_p * xp.expand_dims(g, axis=-1),
        lambda g: (xp.exp(log_p) * total - target) * xp.expand_dims(g, axis=-1),
    )


@operation(types=floats)
def _binary_crossentropy(target: Array, z: Array) -> Result:
    # -t log(sigmoid(z)) - (1 - t) log(1 - sigmoid(z)) = softplus(z) - t z
    return _softplus_of(z) - target * z, (lambda g: -z * g, lambda g: (_sigmoid_of(z) - target) * g)


def sparse_categorical_crossentropy(target: Array, output: Array, from_logits: bool = False, axis: int = -1) -> Tensor:
    """`-log(p[label])` of each sample, for integer labels; its gradient at the logits is `softmax(z) - one_hot(label)`.

    After a softmax, or with `from_logits`, computed from the logits `z`; else from the probabilities `p`, clipped to
    [1e-7, 1 - 1e-7] and then made to sum to 1.

    Args:
        target: whole numbers in [0, classes), kept as integers or floats, shape (...) or (..., 1).
        output: probabilities, or logits if `from_logits`, shape (..., classes).
        from_logits: whether `output` are logits.
        axis: where the classes lie.

    Returns:
        One loss a sample, shape (...).

    Raises:
        DataError: a label that is no whole number or lies outside [0, classes).
        ShapeError: shapes that do not fit.

    Example:
        >>> round(float(sparse_categorical_crossentropy([1], [[0.05, 0.95, 0.0]])), 4)
        0.0513

    References:
        Bridle, "Probabilistic interpretation of feedforward classification network outputs" (1990), for the softmax
        with this loss.
    """
    output = as_tensor(output)
    if axis not in (-1, output.ndim - 1):
        output = swapaxes(output, axis, -1)
    labels = _labels_for(target, output)
    logits = _logits_of(output, "softmax", from_logits)
    return _sparse_crossentropy(labels, log(clip(output, EPSILON, 1 - EPSILON)) if logits is None else logits)


def categorical_crossentropy(target: Array, output: Array, from_logits: bool = False, axis: int = -1) -> Tensor:
    """`-sum(target * log(p))` of each sample, for one-hot or other probabilities as targets.

    After a softmax, or with `from_logits`, computed from the logits; else `p` is made to sum to 1, then clipped to
    [1e-7, 1 - 1e-7].

    Args:
        target: probabilities of the classes, shape of `output`.
        output: probabilities, or logits if `from_logits`, shape (..., classes).
        from_logits: whether `output` are logits.
        axis: where the classes lie.

    Returns:
        One loss a sample, shape (...).

    Raises:
        ShapeError: a target of another shape than the output.
    """
    output = as_tensor(output)
    target = _same_shape(
        "categorical_crossentropy",
        target,
        output,
        "One-hot targets come from utils.to_categorical; for integer labels use sparse_categorical_crossentropy.",
    )
    if axis not in (-1, output.ndim - 1):
        target = swapaxes(target, axis, -1)
        output = swapaxes(output, axis, -1)
    logits = _logits_of(output, "softmax", from_logits)
    if logits is not None:
        return _crossentropy(target, logits)
    p = clip(divide(output, sum(output, axis=-1, keepdims=True)), EPSILON, 1 - EPSILON)
    return negative(sum(multiply(target, log(p)), axis=-1))


def binary_crossentropy(target: Array, output: Array, from_logits: bool = False) -> Tensor:
    """`-target * log(p) - (1 - target) * log(1 - p)`, elementwise.

    After a sigmoid, or with `from_logits`, computed from the logits; else `p` is clipped to [1e-7, 1 - 1e-7].

    Args:
        target: 0 to 1, any shape.
        output: probabilities, or logits if `from_logits`, of the target's shape.
        from_logits: whether `output` are logits.

    Returns:
        One loss an element.

    Raises:
        ShapeError: a target of another shape than the output.
    """
    output = as_tensor(output)
    target = _same_shape("binary_crossentropy", target, output, "Reshape the target to the shape of the output.")
    logits = _logits_of(output, "sigmoid", from_logits)
    if logits is not None:
        return _binary_crossentropy(target, logits)
    p = clip(output, EPSILON, 1 - EPSILON)
    return negative(add(multiply(target, log(p)), multiply(1 - target, log(1 - p))))


def _logits_of(output: Tensor, made_by: str, from_logits: bool) -> Tensor | None:
    """The logits behind `output`: itself, or what the fitting function made it from; None for bare probabilities.

    A binary cross-entropy after a softmax, say, is computed from the probabilities: the softmax's logits are not its
    own.  (Keras on TensorFlow takes whatever logits there are.)
    """
    origin, logits = output.origin or ("", None)
    if origin != made_by:
        return output if from_logits else None
    if from_logits:
        warnings.warn(
            f"from_logits=True, but the output was made by {made_by}: its own logits are used. Write "
            "from_logits=False, or take the activation away.",
            stacklevel=4,
        )
    return logits


def _same_shape(where: str, target: Array, output: Tensor, do: str) -> Tensor:
    target = target if isinstance(target, Tensor) else Tensor(target, dtype=output.dtype)
    if target.shape != output.shape:
        raise ShapeError(
            where,
            expected=f"targets of the output's shape {output.shape}",
            got=f"target.shape={target.shape}",
            do=do,
        )
    return target if target.dtype == output.dtype else cast(target, output.dtype)


def _labels_for(target: Array, output: Tensor) -> Array:
    """Labels in the shape of the output without its last axis, checked while their values can be seen.

    Whole numbers that are kept as floats, and truth values, become integers.
    """
    labels = unwrap(target) if isinstance(target, Tensor) else to_array(target)
    if tuple(labels.shape) == (*output.shape[:-1], 1):
        labels = xp.reshape(labels, output.shape[:-1])
    if tuple(labels.shape) != output.shape[:-1]:
        hint = "These look one-hot: use categorical_crossentropy." if tuple(labels.shape) == output.shape else ""
        raise ShapeError(
            "sparse_categorical_crossentropy",
            expected=f"integer labels of shape {output.shape[:-1]}",
            got=f"target.shape={tuple(labels.shape)}",
            do=hint,
        )
    if not engines.current().is_traced(labels):
        check_labels(engines.current().to_numpy(labels), output.shape[-1])
    return xp.astype(labels, xp.int32) if wrap(labels).dtype.startswith(("float", "bool")) else labels


def check_labels(labels: np.ndarray, classes: int, where: str = "sparse_categorical_crossentropy") -> None:
    """Raise DataError unless every label is a whole number in [0, classes), of whatever type.

    Looked at on the host: a traced step would silently take the last class for a label that is too large.
    """
    if labels.dtype.kind == "f" and not (whole := labels == np.floor(labels)).all():
        wrong = int(np.flatnonzero(~whole)[0])
        raise DataError(
            where,
            expected="integer labels",
            got=f"label {labels.reshape(-1)[wrong]} at index {wrong}, dtype={labels.dtype}",
            do="Class numbers are whole; for numbers to be approximated take another loss, mean_squared_error say.",
        )
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        wrong = int(np.flatnonzero((labels < 0) | (labels >= classes))[0])
        raise DataError(
            where,
            expected=f"labels from 0 to {classes - 1} ({classes} classes in the output)",
            got=f"label {labels.reshape(-1)[wrong]:.0f} at index {wrong}",
            do="Give the last layer more units, or mend the labels.",
        )
