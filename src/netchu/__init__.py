"""netchu: neural networks in the words of Keras, readable from `fit()` down to each derivative.

    import netchu
    from netchu.layers import Dense, Input

    (x, y), (x_test, y_test) = netchu.datasets.mnist.load_data()

Reading order for the whole: `naive.py` (the tutorial's system), `tensor.py`, `operation.py`, `tape.py`, `ops/`,
`layers/`, `optimizers/`, `training/`, `models/`; docs/how-it-works.md walks through it.

Modules are loaded when they are asked for: `import netchu` by itself costs little.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from netchu.registry import late

if TYPE_CHECKING:
    from netchu.engines import current as current_engine
    from netchu.engines import set_engine
    from netchu.gradient_check import gradcheck
    from netchu.initializers import Initializer
    from netchu.layers import Input, Layer
    from netchu.losses import Loss
    from netchu.metrics import Metric
    from netchu.models import Sequential
    from netchu.optimizers import Optimizer
    from netchu.regularizers import Regularizer
    from netchu.tape import GradientTape
    from netchu.tensor import Tensor, Variable

# public name -> the module that holds it
_NAMES = {
    "GradientTape": "netchu.tape", "Initializer": "netchu.initializers", "Input": "netchu.layers",
    "Layer": "netchu.layers", "Loss": "netchu.losses", "Metric": "netchu.metrics", "Optimizer": "netchu.optimizers",
    "Regularizer": "netchu.regularizers", "Sequential": "netchu.models", "Tensor": "netchu.tensor",
    "Variable": "netchu.tensor", "gradcheck": "netchu.gradient_check", "set_engine": "netchu.engines",
}  # fmt: skip
_MODULES = (
    "activations",
    "callbacks",
    "constraints",
    "datasets",
    "digits",
    "engines",
    "errors",
    "initializers",
    "layers",
    "losses",
    "metrics",
    "models",
    "naive",
    "ops",
    "optimizers",
    "random",
    "regularizers",
    "utils",
)

__all__ = [
    "GradientTape", "Initializer", "Input", "Layer", "Loss", "Metric", "Optimizer", "Regularizer", "Sequential",
    "Tensor", "Variable", "activations", "callbacks", "constraints",
    "current_engine", "datasets", "digits", "engines", "errors", "gradcheck", "initializers", "layers", "losses",
    "metrics", "models", "naive", "ops", "optimizers", "random", "regularizers", "set_engine", "utils",
]  # fmt: skip


late["operations"] = lambda: importlib.import_module("netchu.ops")  # behind the first `a + b` of a Tensor


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        value = getattr(importlib.import_module(_NAMES[name]), name)
        globals()[name] = value
        return value
    if name in _MODULES:
        return importlib.import_module(f"netchu.{name}")
    if name == "current_engine":
        return importlib.import_module("netchu.engines").current
    if name == "__version__":
        return importlib.import_module("netchu.system.environment").version()
    importlib.import_module("netchu.left_to_keras").refuse_keras_name("", name)
    raise AttributeError(f"module 'netchu' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
