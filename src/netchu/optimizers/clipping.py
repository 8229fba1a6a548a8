"""Clipping: gradients brought within a bound.  A gradient may be None; it stays None."""

from __future__ import annotations

from collections.abc import Sequence

from netchu.engines import Array, xp

Gradients = Sequence[Array | None]


def norm(*arrays: Array) -> Array:
    """The Euclidean norm of all elements together, shape ()."""
    return xp.sqrt(sum(xp.sum(a * a) for a in arrays))


def by_value(gradients: Gradients, bound: float) -> list[Array | None]:
    """Each element between -bound and bound."""
    return [None if g is None else xp.clip(g, -bound, bound) for g in gradients]


def by_norm(gradients: Gradients, bound: float) -> list[Array | None]:
    """Each gradient scaled down to the norm `bound` if its own is greater."""
    return [None if g is None else g * (bound / xp.maximum(norm(g), bound)) for g in gradients]


def by_global_norm(gradients: Gradients, bound: float) -> list[Array | None]:
    """All gradients scaled down alike to the norm `bound` if theirs together is greater."""
    factor = bound / xp.maximum(norm(*(g for g in gradients if g is not None)), bound)
    return [None if g is None else g * factor for g in gradients]
