"""What is looked at before a long run starts: data of the wrong shape, data that would train nothing, or NaN.

Labels are checked on the host: a traced step would silently take the last class for a label that is too large.
"""

from __future__ import annotations

import math
import warnings
from weakref import WeakSet

import numpy as np

from netchu.errors import DataError, ShapeError
from netchu.layers import Dense, Rescaling
from netchu.losses import CategoricalCrossentropy, SparseCategoricalCrossentropy
from netchu.ops.crossentropy import check_labels
from netchu.training.arrays import check_lengths
from netchu.training.step import Learner

_hinted: WeakSet[Learner] = WeakSet()
"""Models of whose pixels something was said."""


def check_training_data(where: str, model: Learner, arrays: dict[str, np.ndarray]) -> None:
    """Raise, before anything is computed, for arrays that cannot be right.

    Args:
        where: who asks, for messages.
        model: which is built for `x` if it was not yet.
        arrays: `x` (n, ...), and perhaps `y` and `sample_weight`, of length n.

    Raises:
        DataError: different lengths, no samples, NaN, labels out of range, floating-point labels, one-hot targets
            where labels were expected or the reverse.
        ShapeError: an input that does not fit the first layer.
    """
    check_lengths(arrays)
    x = check_input(model, arrays["x"])
    for name, a in arrays.items():
        check_finite(where, name, a)
    if "y" in arrays:
        _check_targets(model, arrays["y"], model.compute_output_shape((None, *x.shape[1:])))
    _hint_at_pixels(model, x)


def check_input(model: Learner, x: np.ndarray) -> np.ndarray:
    """`x` itself, after the model was built for it and its shape compared with the model's input shape."""
    check_lengths({"x": x})
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


def check_finite(where: str, name: str, a: np.ndarray) -> None:
    """Raise DataError if an array holds NaN or infinity, telling the first place."""
    if a.dtype.kind != "f" or isinstance(a, np.memmap):  # a file may be larger than the memory: its batches will tell
        return
    if math.isfinite(np.add.reduce(a, axis=None, dtype=np.float64)):  # one pass without a temporary
        return
    finite = np.isfinite(a)
    if not finite.all():
        at = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise DataError(
            where,
            expected=f"finite numbers in {name}",
            got=f"{name}[{', '.join(map(str, at))}]={a[at]} ({(~finite).sum()} such values)",
            do=f"Remove those samples, or write {name} = numpy.nan_to_num({name}).",
        )


def _check_targets(model: Learner, y: np.ndarray, output_shape: tuple[int | None, ...]) -> None:
    """Compare targets with what the loss expects of the model's output."""
    classes = output_shape[-1]
    one_hot = y.ndim == len(output_shape) and y.shape[-1] == classes and classes != 1
    if isinstance(model.loss, SparseCategoricalCrossentropy):
        if one_hot:
            raise DataError(
                "sparse_categorical_crossentropy",
                expected="integer labels of shape (n,)",
                got=f"y.shape={y.shape}, which looks one-hot",
                do='Use loss="categorical_crossentropy", or y.argmax(axis=-1).',
            )
        if classes is not None:
            check_labels(y, classes)
    if isinstance(model.loss, CategoricalCrossentropy) and not one_hot:
        raise DataError(
            "categorical_crossentropy",
            expected=f"one-hot targets of shape (n, {classes})",
            got=f"y.shape={y.shape}, dtype={y.dtype}",
            do='Use loss="sparse_categorical_crossentropy" for integer labels, or '
            f"netchu.utils.to_categorical(y, {classes}).",
        )


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
