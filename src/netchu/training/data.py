"""What `fit` and `evaluate` make of x, y, weights and splits: batches of data that were looked at before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from netchu.errors import DataError, UsageError
from netchu.random import next_stream
from netchu.training import checks
from netchu.training.arrays import (
    Batch,
    as_array,
    check_lengths,
    is_arrays,
    split_validation,
    unpack_x_y_sample_weight,
    weights_for_classes,
)
from netchu.training.batches import ArrayBatches, Batches, iterable_batches
from netchu.training.step import Learner


def checked_arrays(
    where: str, model: Learner, x: Any, y: Any, sample_weight: Any, *, finite: bool = True
) -> dict[str, np.ndarray]:
    """Those of the three that are not None, by name, as arrays that the model can learn from.

    Args:
        where: who asks, for messages.
        model: which is built for `x` if it was not yet.
        x, y, sample_weight: arrays, lists or Tensors.
        finite: whether NaN and infinity are refused.

    Raises:
        DataError, ShapeError: see `checks.check_training_data`.
    """
    named = {"x": x, "y": y, "sample_weight": sample_weight}
    arrays = {name: as_array(a, name) for name, a in named.items() if a is not None or name == "x"}
    checks.check_training_data(where, model, arrays, finite=finite)
    return arrays


def training_data(
    model: Learner,
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: Mapping[int, float] | None,
    *,
    batch_size: int,
    shuffle: bool | str,
    validation_split: float,
    finite: bool = True,
) -> tuple[Batches, tuple[np.ndarray, ...] | None]:
    """The batches to train on, and the arrays held back for validation (or None); the arguments are those of `fit`.

    `finite`: whether NaN and infinity are refused.

    Raises:
        UsageError: arguments that do not go together.
        DataError, ShapeError: see `checked_arrays`.
    """
    refuse_both_weights("fit", class_weight, sample_weight)
    if not (is_arrays(x) or (y is not None and isinstance(x, (list, tuple)))):
        iterable = checked_iterable("fit", model, x, class_weight, shuffle=bool(shuffle), finite=finite)
        _refuse_beside_iterable("fit", x, y, sample_weight, validation_split)
        return iterable, None
    if y is None:
        raise UsageError("fit", expected="targets", got="y=None", do="Write fit(x, y).")
    arrays = checked_arrays("fit", model, x, y, sample_weight, finite=finite)
    held_back = None
    if validation_split:
        arrays, last = split_validation(arrays, validation_split)
        checks.warn_missing_classes(arrays["y"], last["y"])
        held_back = tuple(last.values())
    if class_weight is not None:
        arrays["sample_weight"] = weights_for_classes("fit", arrays["y"], class_weight)
    batches = ArrayBatches(
        arrays["x"],
        arrays["y"],
        arrays.get("sample_weight"),
        batch_size=batch_size,
        shuffle=shuffle,
        stream=next_stream(),
    )
    return batches, held_back


def evaluation_data(where: str, model: Learner, data: Any, batch_size: int, *, finite: bool = True) -> Batches:
    """The batches of `(x, y)`, `(x, y, sample_weight)`, or of an iterable of batches, in their order.

    Raises:
        UsageError: no targets, or a batch size that is no whole number.
        DataError, ShapeError: see `checked_arrays`.
    """
    rows = isinstance(data, list) and len(data) > 0 and isinstance(data[0], tuple)
    if isinstance(data, (tuple, list)) and not rows and len(data) in (2, 3):
        x, y, sample_weight = unpack_x_y_sample_weight(data)
        if not is_arrays(x) and not isinstance(x, (list, tuple)):
            _refuse_beside_iterable(where, x, y, sample_weight)
        arrays = checked_arrays(where, model, x, y, sample_weight, finite=finite)
        x, y, sample_weight = arrays["x"], arrays.get("y"), arrays.get("sample_weight")
        return ArrayBatches(x, y, sample_weight, batch_size=batch_size, where=where)
    if data is None or is_arrays(data):
        raise UsageError(where, expected="targets", got="y=None", do=f"Write {where}(x, y).")
    return checked_iterable(where, model, data, None, finite=finite)


def prediction_data(model: Learner, x: Any, batch_size: int) -> Batches:
    """The batches of samples (n, ...), or of an iterable of batches, of which only the inputs are taken.

    Raises:
        DataError, ShapeError: see `checks.check_input`.
    """
    if is_arrays(x):
        return ArrayBatches(checks.check_input(model, as_array(x, "x")), batch_size=batch_size, where="predict")

    def checked(batch: Batch) -> Batch:
        x = as_array(batch[0], "x")
        check_lengths({"x": x})  # the layers look at its shape: batches may differ in it
        return x, None, None

    return iterable_batches(x, checked, where="predict")


def checked_iterable(
    where: str,
    model: Learner,
    iterable: Any,
    class_weight: Mapping[int, float] | None,
    *,
    shuffle: bool = False,
    finite: bool = True,
) -> Batches:
    """The batches of an iterable; each is looked at when its turn comes.

    Raises:
        UsageError: it is no iterable.
    """

    def checked(batch: Batch) -> Batch:
        if batch[1] is None and model.loss is not None:
            raise DataError(where, expected="batches (x, y) or (x, y, sample_weight)", got="a batch without y")
        arrays = checked_arrays(where, model, *batch, finite=finite)
        if class_weight is not None:
            arrays["sample_weight"] = weights_for_classes(where, arrays["y"], class_weight)
        return arrays["x"], arrays.get("y"), arrays.get("sample_weight")

    return iterable_batches(iterable, checked, shuffle=shuffle, where=where)


def refuse_both_weights(where: str, class_weight: object, sample_weight: object) -> None:
    """Raise UsageError if both kinds of weights were given."""
    if class_weight is not None and sample_weight is not None:
        raise UsageError(
            where, expected="class_weight or sample_weight", got="both", do="Multiply them into sample_weight."
        )


def _refuse_beside_iterable(where: str, x: Any, y: Any, sample_weight: Any, validation_split: float = 0) -> None:
    """Raise UsageError for what goes with arrays only."""
    if y is not None or sample_weight is not None:
        raise UsageError(
            where,
            expected="x alone when it is an iterable of batches",
            got=f"x={type(x).__name__} with y or sample_weight",
            do="Let it yield (x, y) or (x, y, sample_weight).",
        )
    if validation_split:
        raise UsageError(
            "fit",
            expected="arrays for a validation split",
            got=f"x={type(x).__name__}",
            do="Pass validation_data instead.",
        )
