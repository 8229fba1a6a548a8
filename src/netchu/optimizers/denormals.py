"""Why an optimizer's slots never hold denormal numbers, and how.

In float32 a slot whose gradient stays 0 decays into denormal numbers, on which arithmetic is many times slower (MNIST's
border pixels never get a gradient).  Each step begins with `away_from_denormals` of every slot.  It changes no bit of a
weight on MNIST (a test); it could only where gradients stay below about 1e-12 for thousands of steps.  (At the end of a
step it would be a second use of each new slot beside the weight's: XLA then computes the slot twice, after a copy of
the old one, which took 10 % of an epoch.)
"""

from __future__ import annotations

from netchu.engines import Array, xp

NEGLIGIBLE = 1e-30
"""So small that its root stays far below any epsilon beside it."""


def away_from_denormals(slot: Array, *, signed: bool, negligible: float = NEGLIGIBLE) -> Array:
    """The slot with no element in 0 < |x| < 1.2e-38.

    A second moment (never negative) is lifted by 1e-30, so that its root stays far below any epsilon beside it.  A
    signed slot, and one that may not be lifted, has what is smaller than `negligible` set to 0.  (Adding and
    subtracting 1e-28 would be a pass cheaper, but XLA knows that this is nothing and leaves it out.)
    """
    return xp.where(xp.abs(slot) < negligible, 0.0, slot) if signed else slot + NEGLIGIBLE
