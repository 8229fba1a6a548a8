"""Watching one figure: which way is better, and whether it got better.

`EarlyStopping`, `ReduceLROnPlateau` and `ModelCheckpoint` are Monitors.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from netchu.arguments import check_numbers
from netchu.callbacks.base import Callback, Logs
from netchu.errors import UsageError


class Monitor(Callback):
    """Base of the callbacks that decide by one figure of `logs`.

    Args:
        monitor: its name, e.g. "val_loss".
        mode: "min" if less is better, "max" if more is; "auto" asks the metric of that name.
        best: the value to beat at first; None lets any value be the first best.
        min_delta: the least change that counts as better.

    Attributes:
        best: the best value so far.
    """

    def __init__(self, monitor: str, mode: str, best: float | None = None, min_delta: float = 0) -> None:
        if mode not in ("auto", "min", "max"):
            name = type(self).__name__
            warnings.warn(f"{name} mode '{mode}' is unknown, fallback to auto mode.", stacklevel=3)
            mode = "auto"
        check_numbers(type(self).__name__, -math.inf, min_delta=min_delta)
        self.monitor = monitor
        self.mode = mode
        self.best = best
        self.min_delta = abs(min_delta)

    def foresee(self, figures: frozenset[str]) -> None:
        """Raise UsageError for a name that no figure will have, if it is not said which way is better."""
        names = {name.removeprefix("val_") for name in figures}
        if self.mode == "auto" and self.monitor.removeprefix("val_") not in names:
            raise self._unknown_direction(["loss", *sorted(names - {"loss"})])

    def watched(self, logs: Logs | None, missing: str) -> Any:
        """The figure in `logs`; if it is not there, None, with the warning `missing`."""
        self._less_is_better()  # a name that no metric has is an error, not a figure that is missing
        value = (logs or {}).get(self.monitor)
        if value is None:
            warnings.warn(missing, stacklevel=3)
        return value

    def improves(self, current: float, reference: float | None) -> bool:
        """Whether `current` is better than `reference` by more than `min_delta`; compared in float32, as Keras does."""
        if reference is None:
            return True
        with np.errstate(over="ignore"):
            if self._less_is_better():
                return bool(np.float32(current + self.min_delta) < np.float32(reference))
            return bool(np.float32(current - self.min_delta) > np.float32(reference))

    def _less_is_better(self) -> bool:
        if self.mode != "auto":
            return self.mode == "min"
        name = self.monitor.removeprefix("val_")
        if name == "loss":
            return True
        for metric in self.model.metrics:
            direction = _direction(metric) if metric.name == name else None
            if direction is not None:
                return direction == "down"
        raise self._unknown_direction(["loss", *(metric.name for metric in self.model.metrics)])

    def _unknown_direction(self, known: list[str]) -> UsageError:
        """The error, in Keras's words, for a figure of which nobody says which way is better."""
        return UsageError(
            f"{type(self).__name__} callback received monitor={self.monitor}, but netchu isn't able to automatically "
            "determine whether that metric should be maximized or minimized",
            expected=f"monitor among {', '.join(dict.fromkeys(known))}, or a mode",
            got=f"mode={self.mode!r}",
            do="Pass `mode='max'` in order to monitor based on the highest metric value, or pass `mode='min'` in order "
            "to use the lowest value.",
        )


def _direction(metric: Any) -> str | None:
    """Which way is better, "up" or "down", if the metric says it; "up" also for a name that ends as accuracies do."""
    said: str | None = getattr(metric, "direction", None)
    return said or ("up" if metric.name.endswith(("acc", "accuracy", "auc")) else None)
