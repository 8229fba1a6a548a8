"""Layers, with Keras's names, defaults and shapes.

Reading order: `base.py` (Layer: build, call, weights), `core.py` (Input, Dense, Activation), `shaping.py`,
`regularization.py`.  CONTRIBUTING.md says how to add one.
"""

from typing import Any

from netchu.errors import choices
from netchu.layers.base import Layer
from netchu.layers.core import Activation, Dense, Input, InputLayer
from netchu.layers.regularization import Dropout
from netchu.layers.shaping import Flatten, Rescaling, Reshape
from netchu.limits import refuse_keras_name
from netchu.registry import Registry

__all__ = ["Activation", "Dense", "Dropout", "Flatten", "Input", "InputLayer", "Layer", "Rescaling", "Reshape"]

# The only layer names that a model file may use.
registry: Registry[Layer] = Registry(
    "layer",
    {cls.__name__: cls for cls in (Activation, Dense, Dropout, Flatten, InputLayer, Rescaling, Reshape)},
)


def __getattr__(name: str) -> Any:
    refuse_keras_name("netchu.layers", name)
    raise AttributeError(choices("layer", name, [*registry.table, "Input"]))
