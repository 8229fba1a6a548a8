"""What is looked at before a long run starts: data that would train nothing, or NaN, and where a NaN came from.

Labels are checked on the host: a compiled step would silently take the last class for a label that is too large.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeAlias

import numpy as np

from netchu import engines
from netchu.engines import Array
from netchu.errors import DataError, ShapeError, TrainingError, UsageError
from netchu.layers import Dense, Layer, Rescaling
from netchu.losses import CategoricalCrossentropy, SparseCategoricalCrossentropy
from netchu.ops.crossentropy import check_labels
from netchu.tensor import Tensor, Variable
from netchu.training.batches import Batch, Chunk, Rows, check_lengths


def check_training_data(model: Any, arrays: dict[str, np.ndarray]) -> None:
    """Raise, before anything is computed, for arrays that cannot be right.

    Args:
        model: a Sequential, which is built for `x` if it was not yet.
        arrays: `x` (n, ...), and perhaps `y` and `sample_weight`, of length n.

    Raises:
        DataError: different lengths, no samples, NaN, labels out of range, floating-point labels, one-hot targets
            where labels were expected or the reverse.
        ShapeError: an input that does not fit the first layer.
    """
    check_lengths(arrays)
    x = check_input(model, arrays["x"])
    for name, a in arrays.items():
        check_finite(name, a)
    if "y" in arrays:
        _check_targets(model, arrays["y"], model.compute_output_shape((None, *x.shape[1:])))
    _hint_at_pixels(model, x)


def check_input(model: Any, x: np.ndarray) -> np.ndarray:
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
            f"Input 0 of layer '{first.name}' is incompatible with the layer: expected shape {expected}, but received "
            f"input with shape {(None, *x.shape[1:])}. {hint}".rstrip()
        )
    return x


def check_finite(name: str, a: np.ndarray) -> None:
    """Raise DataError if an array holds NaN or infinity, telling the first place."""
    if a.dtype.kind != "f" or isinstance(a, np.memmap):  # a file may be larger than the memory: its batches will tell
        return
    if math.isfinite(np.add.reduce(a, axis=None, dtype=np.float64)):  # one pass without a temporary
        return
    finite = np.isfinite(a)
    if not finite.all():
        at = tuple(int(i) for i in np.argwhere(~finite)[0])
        raise DataError(
            "fit",
            expected=f"finite numbers in {name}",
            got=f"{name}[{', '.join(map(str, at))}]={a[at]} ({(~finite).sum()} such values)",
            do=f"Remove those samples, or write {name} = numpy.nan_to_num({name}).",
        )


def _check_targets(model: Any, y: np.ndarray, output_shape: tuple[int | None, ...]) -> None:
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


_hinted = False


def _hint_at_pixels(model: Any, x: np.ndarray) -> None:
    """Say once that pixels from 0 to 255 train badly, unless a Rescaling comes first."""
    global _hinted
    first = next((layer for layer in model.layers if isinstance(layer, (Dense, Rescaling))), None)
    scaled = isinstance(first, Rescaling) or (x.dtype == np.uint8 and getattr(model, "scales_pixels", False))
    if _hinted or scaled or first is None:
        return
    sample = x[:256]
    if 100 < sample.max() <= 255 and sample.min() >= 0:
        _hinted = True
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


Snapshot: TypeAlias = list[tuple[Variable, Array]]


def snapshot(variables: Iterable[Variable], into: Snapshot | None = None) -> Snapshot:
    """The values that Variables have now, to be put back; `into` is an older one that is not needed any more."""
    engine, older = engines.current(), {id(variable): array for variable, array in into or ()}
    return [(variable, engine.snapshot(variable.array, older.get(id(variable)))) for variable in variables]


def put_back(before: Snapshot) -> None:
    """Give Variables the values of a snapshot, which is used up by it: a step may write into its arrays."""
    for variable, array in before:
        variable.array = array


def is_spoilt(model: Any, logs: Mapping[str, float]) -> bool:
    """Whether the loss, or a weight, is NaN or infinite."""
    return not math.isfinite(logs.get("loss", 0.0)) or not all_finite(model)


def take_back(model: Any, before: Snapshot, chunk: Chunk, epoch: int, first: int) -> TrainingError:
    """Undo the step that spoilt the model, and give the error that says which layer was the first to be spoilt.

    To find it, the chunk is gone through again step by step: equal steps give equal bits.

    Args:
        model: in training.
        before: its state at the beginning of the chunk.
        chunk: the batches that were learnt from since.
        epoch: its number.
        first: the number of the chunk's first batch.
    """
    put_back(before)
    beginning = snapshot(model.compiled_variables)
    batches = [chunk[i : i + 1] for i in range(len(chunk))] if isinstance(chunk, Rows) else [[b] for b in chunk]
    for step, one in enumerate(batches, first):  # noqa: B007 (the last one is the one)
        before = snapshot(model.compiled_variables)
        logs = model.chunk_function(one)(one)
        if is_spoilt(model, logs):
            break
    else:
        put_back(beginning)
        return TrainingError(
            f"Epoch {epoch + 1}, steps {first} to {step}: expected a finite loss and finite weights, got others, and "
            "not when the steps were made again: the batches or the layers give something else each time. The model "
            "has the weights of before these steps."
        )
    batch = next(iter(one))
    where = "" if all_finite(model) else _first_not_finite(model, batch)
    put_back(before)
    where = where or _first_not_finite(model, batch)
    rate = float(model.optimizer.learning_rate)
    return TrainingError(
        f"Epoch {epoch + 1}, step {step}: expected a finite loss and finite weights, got loss={logs.get('loss')}; "
        f"first not finite: {where}. The model has the weights of before this happened. Try a smaller learning rate "
        f"than {rate:g}, clipnorm=1.0, or look at the targets of this batch."
    )


@contextmanager
def without_nan(model: Any, before: Snapshot) -> Iterator[None]:
    """Should steps end in an exception, the model has no NaN of them: it is then as it was before."""
    try:
        yield
    except BaseException:
        if before and not all_finite(model):
            put_back(before)
        raise


def all_finite(model: Any) -> bool:
    """Whether no weight is NaN or infinite."""
    return all(np.isfinite(w.numpy()).all() for w in model.weights)


def _first_not_finite(model: Any, batch: Batch) -> str:
    """The first layer, on the way of the batch through the model, whose weights or output hold NaN or infinity."""
    with np.errstate(all="ignore"):
        x = Tensor(batch[0])
        for layer in model.layers:
            if any(not np.isfinite(w.numpy()).all() for w in layer.weights):
                return f"the weights of layer '{layer.name}'"
            x = layer(x)
            if not np.isfinite(x.numpy()).all():
                return f"the output of layer '{layer.name}'"
    return "the loss itself"


def check_layer(layer: Any) -> Layer:
    """The layer itself; UsageError, in Keras's words, for what is no layer."""
    if isinstance(layer, type) and issubclass(layer, Layer):
        raise UsageError(f"Sequential: expected a layer, got the class {layer.__name__}. Write {layer.__name__}(...).")
    if not isinstance(layer, Layer):
        raise UsageError(
            "Only instances of `netchu.layers.Layer` can be added to a Sequential model. "
            f"Received: {layer!r:.80} (of type {type(layer)})"
        )
    return layer
