"""Learning-rate schedules: the learning rate as a function of the number of steps made, with Keras's names and values.

    rate = schedules.CosineDecay(0.0, decay_steps=900, warmup_target=0.1, warmup_steps=100)
    optimizer = SGD(rate)
    rate(50)                                                   # Tensor(0.05, shape=(), dtype=float32)

A schedule is called inside each step, traced or not, so it is written in `netchu.ops`.  For one of your own, derive
from `LearningRateSchedule` and define `__call__(self, step)`.
"""

from collections.abc import Mapping
from typing import Any

from netchu.errors import UsageError
from netchu.optimizers.schedules.base import LearningRateSchedule
from netchu.optimizers.schedules.cosine import CosineDecay, CosineDecayRestarts, OneCycle
from netchu.optimizers.schedules.decay import (
    ExponentialDecay,
    InverseTimeDecay,
    PiecewiseConstantDecay,
    PolynomialDecay,
)
from netchu.registry import Registry

__all__ = [
    "CosineDecay",
    "CosineDecayRestarts",
    "ExponentialDecay",
    "InverseTimeDecay",
    "LearningRateSchedule",
    "OneCycle",
    "PiecewiseConstantDecay",
    "PolynomialDecay",
    "classes",
    "deserialize",
    "serialize",
]

_registry: Registry[LearningRateSchedule] = Registry.of(
    "schedule", globals(), __all__, base=LearningRateSchedule, spelled=str
)
classes = _registry.entries


def serialize(learning_rate_schedule: LearningRateSchedule) -> dict[str, Any]:
    """The schedule as {"class_name", "config"}."""
    return {"class_name": type(learning_rate_schedule).__name__, "config": learning_rate_schedule.get_config()}


def deserialize(config: Mapping[str, Any], custom_objects: Mapping[str, Any] | None = None) -> LearningRateSchedule:
    """The schedule that `serialize` wrote down, of a class in this file or in `custom_objects`.

    Raises:
        UsageError: another class, or no such configuration.
    """
    if not isinstance(config, Mapping) or not isinstance(config.get("class_name"), str):
        raise UsageError(
            "schedules.deserialize", expected='{"class_name": ..., "config": {...}}', got=f"{config!r:.80}"
        )
    made = _registry.get(config, custom_objects)
    assert isinstance(made, LearningRateSchedule)
    return made
