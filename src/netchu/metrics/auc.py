"""The area under the ROC or the precision-recall curve, from counts at many thresholds.

The curve is drawn through one point a threshold, so the area errs where many predictions crowd between two of them;
more thresholds cost time and memory in proportion to (thresholds x predictions of a batch).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from netchu import ops
from netchu.arguments import check_choice, check_numbers, check_whole, checked_list
from netchu.errors import ShapeError, UsageError
from netchu.metrics.base import Metric, ratio, weights_of
from netchu.metrics.confusion import count, paired
from netchu.registry import rewritten
from netchu.tensor import Tensor

KINDS = ("true_positives", "false_positives", "true_negatives", "false_negatives")
EPSILON = 1e-7  # the outermost thresholds lie this far outside [0, 1], so that all and none of the predictions pass
MOST_THRESHOLDS = 10_000


class AUC(Metric):
    """The area under a curve: 1 for a perfect ranking of yes before no, 1/2 (ROC) for guessing.

    ROC: recall `tp / (tp + fn)` over the false positive rate `fp / (fp + tn)`.  PR: precision `tp / (tp + fp)` over
    recall.  Between thresholds the height is `y`'s mean ("interpolation"), its smaller or its larger end ("minoring",
    "majoring"); on a PR curve "interpolation" draws straight lines for `tp` and `fp` instead of for the precision.

    Args:
        num_thresholds: how many, evenly from 0 to 1.
        curve: "ROC" or "PR".
        summation_method: "interpolation", "minoring" or "majoring".
        name: see `Metric`.
        thresholds: inner thresholds in [0, 1] instead of the even ones.
        multi_label: whether each column of (batch, labels) has a curve of its own, whose areas are averaged.
        num_labels: the number of columns, if it is to be checked.
        label_weights: (labels,), a weight for each column.
        from_logits: whether predictions are logits; else they are kept within [0, 1].

    Raises:
        UsageError: an argument outside what is said here.

    References:
        Davis and Goadrich, "The relationship between precision-recall and ROC curves" (2006), for the interpolation.
    """

    direction = "up"

    def __init__(
        self,
        num_thresholds: int = 200,
        curve: str = "ROC",
        summation_method: str = "interpolation",
        name: str | None = None,
        dtype: str | None = None,
        thresholds: Sequence[float] | None = None,
        multi_label: bool = False,
        num_labels: int | None = None,
        label_weights: Sequence[float] | None = None,
        from_logits: bool = False,
    ) -> None:
        super().__init__(name, dtype)
        self.curve = str(curve).upper()
        self.summation_method = str(summation_method).lower()
        self._inner = None if thresholds is None else _sorted_numbers(thresholds=thresholds)
        self.num_thresholds = num_thresholds if self._inner is None else len(self._inner) + 2
        self.multi_label = multi_label
        self.num_labels = num_labels
        self.label_weights = None if label_weights is None else _numbers(label_weights=label_weights)
        self.from_logits = from_logits
        self._check()
        inner = np.linspace(0, 1, self.num_thresholds)[1:-1] if self._inner is None else self._inner
        self._levels = np.array([-EPSILON, *inner, 1 + EPSILON])
        if not multi_label:
            for kind in KINDS:
                self.add_variable((self.num_thresholds,), name=kind)

    @property
    def thresholds(self) -> list[float]:
        """All of them, from just below 0 to just above 1."""
        return [float(level) for level in self._levels]

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments as JSON values."""
        return rewritten(super().get_config(), thresholds=self._inner)

    def _check(self) -> None:
        """Raise UsageError for an argument that makes no sense."""
        check_choice("AUC", ("ROC", "PR"), curve=self.curve)
        check_choice("AUC", ("interpolation", "minoring", "majoring"), summation_method=self.summation_method)
        check_whole("AUC", 2, MOST_THRESHOLDS, num_thresholds=self.num_thresholds)
        for threshold in self._inner or ():
            check_numbers("AUC", 0, 1, thresholds=threshold)
        if self.num_labels and not self.multi_label:
            got = f"num_labels={self.num_labels!r:.60}, multi_label=False"
            raise UsageError("AUC", expected="num_labels with multi_label=True only", got=got)

    def build(self, y_shape: tuple[int, ...], output_shape: tuple[int, ...]) -> None:
        """Make the state of a metric with `multi_label`: (thresholds, labels)."""
        if not self.multi_label:
            return
        labels = self.num_labels or (self.variables[0].shape[1] if self.variables else output_shape[-1])
        if len(output_shape) != 2 or output_shape[-1] != labels:
            raise ShapeError("AUC", expected=f"predictions (batch, {labels})", got=f"y_pred.shape={output_shape}")
        if not self.variables:
            for kind in KINDS:
                self.add_variable((self.num_thresholds, labels), name=kind)

    def update_state(self, y_true: Any, y_pred: Any, sample_weight: Any = None) -> None:
        """Take a batch into account; `sample_weight` (batch,) or of the predictions' shape."""
        y_true, y_pred = paired("AUC", y_true, y_pred)
        self.build(y_true.shape, y_pred.shape)
        y_pred = ops.sigmoid(y_pred) if self.from_logits else ops.clip(y_pred, 0.0, 1.0)
        weight = weights_of(y_pred, sample_weight)
        if not self.multi_label:
            if self.label_weights is not None:
                weight = weight * np.asarray(self.label_weights, dtype="float32")
            y_true, y_pred, weight = (ops.reshape(a, (-1, 1)) for a in (y_true, y_pred, weight))
        for kind, variable in self._named_state().items():
            counted = count(kind, y_true, y_pred, weight, self._levels)
            variable.assign_add(ops.reshape(counted, variable.shape))

    def result(self) -> Tensor:
        """The area so far; 0 while there are no predictions."""
        if not self.variables:
            return ops.zeros(())
        tp, fp, tn, fn = self.variables
        recall = ratio(tp, tp + fn)
        if self.curve == "ROC":
            areas = self._area(ratio(fp, fp + tn), recall)
        elif self.summation_method == "interpolation":
            areas = _area_between_counts(tp, fp, fn)
        else:
            areas = self._area(recall, ratio(tp, tp + fp))
        if not self.multi_label:
            return areas
        if self.label_weights is None:
            return ops.mean(areas)
        weights = ops.convert_to_tensor(np.asarray(self.label_weights, dtype="float32"))
        return ratio(ops.sum(areas * weights), ops.sum(weights))

    def _area(self, x: Tensor, y: Tensor) -> Tensor:
        """The area under `y` over `x`, which falls from threshold to threshold."""
        left, right = y[:-1], y[1:]
        height = {
            "interpolation": lambda: (left + right) / 2.0,
            "minoring": lambda: ops.minimum(left, right),
            "majoring": lambda: ops.maximum(left, right),
        }[self.summation_method]()
        return ops.sum((x[:-1] - x[1:]) * height, axis=0)


def _area_between_counts(tp: Tensor, fp: Tensor, fn: Tensor) -> Tensor:
    """The area under precision over recall where `tp` is linear in `p = tp + fp` between two thresholds.

    With `tp = slope * p + intercept` the precision is `slope + intercept / p`, and its integral over `d tp` between two
    thresholds `slope * (d tp + intercept * log(p1 / p0))`; the recall is `tp` over the number of targets that are yes.
    """
    p = tp + fp
    d_tp, d_p = tp[:-1] - tp[1:], p[:-1] - p[1:]
    slope = ratio(d_tp, ops.maximum(d_p, 0.0))
    intercept = tp[1:] - slope * p[1:]
    both = ops.logical_and(p[:-1] > 0.0, p[1:] > 0.0)
    growth = ops.where(both, ratio(p[:-1], p[1:]), 1.0)
    return ops.sum(ratio(slope * (d_tp + intercept * ops.log(growth)), tp[1:] + fn[1:]), axis=0)


def _numbers(**values: object) -> list[float]:
    """A list of numbers, given by the name of the argument; UsageError if it is something else."""
    numbers = checked_list("AUC", **values)
    for number in numbers:
        check_numbers("AUC", -math.inf, **dict.fromkeys(values, number))
    return [float(number) for number in numbers]


def _sorted_numbers(**values: object) -> list[float]:
    return sorted(_numbers(**values))
