"""Optimizers: how gradients change weights, with Keras's names, defaults and formulas.

    optimizer = optimizers.RMSprop(learning_rate=1e-3)
    optimizer.apply_gradients(zip(gradients, weights))       # by hand; `fit` does the same

Each rule is one pure function, `update`: it takes the weight, its gradient and its slots (arrays of the weight's shape
that the optimizer keeps from step to step) and returns the new weight and the new slots.  What stands before and after
it is the same for all, in `base.py`; learning rates that change by themselves are in `schedules/`.

Reading order: `sgd.py`, `rmsprop.py`, `adam.py`, `adagrad.py`, `lion.py`, `schedules/`, then what stands
behind them all: `slots.py`, `denormals.py`, `clipping.py`, `checks.py`, `base.py`.
"""

from typing import Any

from netchu.errors import UsageError
from netchu.left_to_keras import missing_names
from netchu.optimizers import schedules
from netchu.optimizers.adagrad import Adadelta, Adagrad
from netchu.optimizers.adam import Adam, Adamax, AdamW, Nadam
from netchu.optimizers.base import Optimizer
from netchu.optimizers.denormals import away_from_denormals
from netchu.optimizers.lion import Lion
from netchu.optimizers.rmsprop import RMSprop
from netchu.optimizers.sgd import SGD
from netchu.optimizers.slots import Slot
from netchu.registry import Registry
from netchu.tensor import Variable

__all__ = [
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Lion",
    "Nadam",
    "Optimizer",
    "RMSprop",
    "Slot",
    "away_from_denormals",
    "classes",
    "get",
    "is_known",
    "names",
    "schedules",
]

__getattr__ = missing_names("optimizers")

_registry: Registry[Optimizer] = Registry.of("optimizer", globals(), __all__, base=Optimizer, spelled=str.lower)
names = _registry.names
classes = _registry.entries


def get(identifier: Any) -> Optimizer:
    """The optimizer for a name (upper or lower case), a class, a configuration, or the optimizer itself."""
    found = _registry.get(identifier)
    if not isinstance(found, Optimizer):
        raise UsageError("optimizer", expected=f"one of {names} or an Optimizer", got=f"{identifier!r}")
    return found


def is_known(optimizer: object) -> bool:
    """Whether `get` makes it again from its configuration: neither its class nor its learning rate is a user's code."""
    if not isinstance(optimizer, Optimizer) or type(optimizer) not in classes:
        return False
    return type(optimizer.learning_rate_source) in (Variable, *schedules.classes)
