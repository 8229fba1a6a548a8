"""What an optimizer keeps beside each weight: momentum, a moving average of squares, and so on."""

from __future__ import annotations

from dataclasses import dataclass

from netchu.engines import Array
from netchu.optimizers.denormals import NEGLIGIBLE, away_from_denormals


@dataclass(frozen=True)
class Slot:
    """An array of the weight's shape that an optimizer keeps beside it, or one of shape () beside all weights.

    Attributes:
        name: in the optimizer's state, and in `update`.
        initial: what fills it at first.
        lifted: whether 1e-30 may be added in each step, which is cheaper than to look for denormals: for what is never
            negative, and as good as before when lifted, such as a sum of squares.
        negligible: what is smaller in a slot that is not lifted is 0.
    """

    name: str
    initial: float = 0.0
    lifted: bool = False
    negligible: float = NEGLIGIBLE

    def at_the_beginning(self, value: Array) -> Array:
        """Its value at the beginning of a step, without denormal numbers.

        A slot may become denormal within a step (Lion's, whose every sign counts, or one that decays to almost
        nothing), but only until the next one.
        """
        return away_from_denormals(value, signed=not self.lifted, negligible=self.negligible)
