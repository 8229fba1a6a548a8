"""What a schedule is, and a whole number that no compiler gets wrong.

A compiler may turn `step / n` into `step * (1 / n)`, and 41 * (1 / 41) is below 1 in float32: where a whole number
decides, `whole` is right all the same.  Steps are float32 here, as in Keras: exact up to 16 million.
"""

from __future__ import annotations

from typing import Any

from netchu import ops
from netchu.errors import missing_method
from netchu.registry import Configurable
from netchu.tensor import Tensor


class LearningRateSchedule(Configurable):
    """Base: a subclass keeps its arguments in attributes of their names and defines `__call__`."""

    def __call__(self, step: Any) -> Tensor:
        """The learning rate, a scalar, after `step` steps: a number, or a Tensor of shape () and an integer type."""
        raise missing_method(self, "__call__(self, step)")


def whole(step: Tensor, length: float) -> Tensor:
    """floor(step / length), at the multiples of `length` too (see above)."""
    count = ops.floor(step / length)
    return ops.where((count + 1) * length <= step, count + 1, count)
