"""What is looked at before a long run starts: data of the wrong shape, data that would train nothing, or NaN.

Targets are checked on the host: a traced step would silently take the last class for a label that is too large.  Which
targets are right, the loss says (`target_range`); here is the one place where they are compared with it.
"""

from __future__ import annotations

import math
import warnings
from weakref import WeakSet

import numpy as np

from netchu import engines
from netchu.array_likes import check_whole_numbers
from netchu.errors import DataError, ShapeError
from netchu.layers import Dense, Rescaling
from netchu.losses import CategoricalCrossentropy, Loss, SparseCategoricalCrossentropy
from netchu.ops.crossentropy import check_labels
from netchu.training.arrays import check_lengths
from netchu.training.step import Learner

FLOAT32_MAX, FLOAT64_MAX = (np.float64(np.finfo(dtype).max) for dtype in ("float32", "float64"))
ROUNDING = 1e-6  # by which a target may miss the range of its loss

_hinted: WeakSet[Learner] = WeakSet()
"""Models of whose pixels something was said."""


def check_training_data(where: str, model: Learner, arrays: dict[str, np.ndarray], *, finite: bool = True) -> None:
    """Raise, before anything is computed, for arrays that cannot be right.

    Args:
        where: who asks, for messages.
        model: which is built for `x` if it was not yet.
        arrays: `x` (n, ...), and perhaps `y` and `sample_weight`, of length n.
        finite: whether NaN and infinity are refused; not where a `TerminateOnNaN` waits for them.

    Raises:
        DataError: different lengths, no samples, numbers that are not finite or too large for the weights' type,
            targets outside of what the loss is made for (labels beyond the classes, say), labels that are no whole
            numbers, one-hot targets where labels were expected or the reverse.
        ShapeError: an input that does not fit the first layer.
    """
    check_lengths(arrays)
    x = check_input(model, arrays["x"])
    if finite:
        for name, a in arrays.items():
            check_finite(where, name, a, model)
    if "y" in arrays:
        check_whole_numbers("y", arrays["y"], engines.current().whole_bytes)
        _check_targets(model, arrays["y"], model.compute_output_shape((None, *x.shape[1:])))
    _hint_at_pixels(model, x)


def check_input(model: Learner, x: np.ndarray) -> np.ndarray:
    """`x` itself, after the model was built for it and its shape compared with the model's input shape."""
    check_lengths({"x": x})
    check_whole_numbers("x", x, engines.current().whole_bytes)
    if not model.built:
        model.ensure_built((None, *x.shape[1:]))
    expected = model.input_shape
    fits = len(expected) == x.ndim and all(n in (None, m) for n, m in zip(expected[1:], x.shape[1:]))
    if not fits:
        first = next((layer for layer in model.layers if layer.weights), model)
        hint = "Put Flatten() first, or write x.reshape(len(x), -1)." if x.ndim > len(expected) else ""
        raise ShapeError(
            f"Input 0 of layer '{first.name}' is incompatible with the layer",
            expected=f"shape {expected}",
            got=f"input with shape {(None, *x.shape[1:])}",
            do=hint,
        )
    return x


def check_finite(where: str, name: str, a: np.ndarray, model: Learner) -> None:
    """Raise DataError if an array holds NaN, infinity, or more than the model's floats can hold; tells the place."""
    if a.dtype.kind != "f" or isinstance(a, np.memmap):  # a file may be larger than the memory: its batches will tell
        return
    if a.size == 0 or _is_within(a, FLOAT32_MAX):
        return
    double = any(w.dtype == "float64" for w in model.weights) if name != "x" else model.dtype == "float64"
    largest = FLOAT64_MAX if double else FLOAT32_MAX  # a model casts x to its own type
    if _is_within(a, largest):
        return
    fits = np.abs(a) <= largest
    finite = np.isfinite(a).all()
    raise DataError(
        where,
        expected=f"{'numbers that float32 can hold' if finite else 'finite numbers'} in {name}",
        got=_first(name, a, ~fits),
        do=f"The largest is {largest:.2g}: scale {name}, or remove those samples."
        if finite
        else f"Remove those samples, or write {name} = numpy.nan_to_num({name}).",
    )


def _is_within(a: np.ndarray, largest: np.float64) -> bool:
    """Whether no number is larger, to either side, and none is NaN; neither pass over the array makes a copy."""
    return bool(np.minimum.reduce(a, axis=None) >= -largest and np.maximum.reduce(a, axis=None) <= largest)


def _first(name: str, a: np.ndarray, wrong: np.ndarray) -> str:
    """The first of the wrong numbers with its place, and how many there are."""
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    return f"{name}[{', '.join(map(str, at))}]={a[at]} ({wrong.sum()} such values)"


def _check_targets(model: Learner, y: np.ndarray, output_shape: tuple[int | None, ...]) -> None:
    """Compare targets with what the loss expects of the model's output."""
    loss = model.loss if model.measures is None else model.measures.loss_for(y.shape, output_shape)
    classes = output_shape[-1]
    one_hot = y.ndim == len(output_shape) and y.shape[-1] == classes and classes != 1
    if isinstance(loss, SparseCategoricalCrossentropy):
        if one_hot:
            raise DataError(
                "sparse_categorical_crossentropy",
                expected="integer labels of shape (n,)",
                got=f"y.shape={y.shape}, which looks one-hot",
                do='Use loss="categorical_crossentropy", or y.argmax(axis=-1).',
            )
        if classes is not None:
            check_labels(y, classes)
    if isinstance(loss, CategoricalCrossentropy) and not one_hot:
        raise DataError(
            "categorical_crossentropy",
            expected=f"one-hot targets of shape (n, {classes})",
            got=f"y.shape={y.shape}, dtype={y.dtype}",
            do='Use loss="sparse_categorical_crossentropy" for integer labels, or '
            f"netchu.utils.to_categorical(y, {classes}).",
        )
    if loss is not None:
        _check_range(loss, y)


def _check_range(loss: Loss, y: np.ndarray) -> None:
    """Raise DataError for a target that the loss is not made for: it would fall without end, or say nothing."""
    low, high = loss.target_range
    if (low, high) == (-math.inf, math.inf) or y.size == 0:
        return
    if y.min() >= low - ROUNDING and y.max() <= high + ROUNDING:
        return
    wrong = np.isfinite(y) & ((y < low - ROUNDING) | (y > high + ROUNDING))
    if wrong.any():
        bounds = f"from {low} to {high}" if high < math.inf else f">= {low}"
        do = "Scale the targets (pixels: y / 255), or choose another loss."
        raise DataError(loss.name, expected=f"targets {bounds}", got=_first("y", y, wrong), do=do)


def _hint_at_pixels(model: Learner, x: np.ndarray) -> None:
    """Say once for a model that pixels from 0 to 255 train badly, unless a Rescaling comes first."""
    first = next((layer for layer in model.layers if isinstance(layer, (Dense, Rescaling))), None)
    scaled = isinstance(first, Rescaling) or (x.dtype == np.uint8 and getattr(model, "scales_pixels", False))
    if scaled or first is None or model in _hinted:
        return
    sample = x[:256]
    if 100 < sample.max() <= 255 and sample.min() >= 0:
        _hinted.add(model)
        warnings.warn(
            f"x holds values from {sample.min()} to {sample.max()}: these look like pixels that were not scaled. "
            'Networks learn better from 0 to 1: write x = x.astype("float32") / 255, or put '
            "layers.Rescaling(1 / 255) first.",
            stacklevel=6,
        )


def warn_missing_classes(y_train: np.ndarray, y_validation: np.ndarray) -> None:
    """Warn if a validation split holds classes that are not trained on, or lacks some: sorted data does that."""
    if y_train.dtype.kind not in "iu" or y_train.ndim > 1:
        return
    train, validation = set(np.unique(y_train).tolist()), set(np.unique(y_validation).tolist())
    if len(train | validation) <= 100 and validation - train:
        warnings.warn(
            f"validation_split: the classes {sorted(validation - train)} are in the validation part and not in the "
            "training part. The split takes the last samples as they stand: shuffle x and y first.",
            stacklevel=4,
        )
