"""Which array library computes, and the one place that knows it.

    netchu.set_engine("jax")      or   NETCHU_ENGINE=jax   or   netchu train --engine jax

`xp` holds the current engine's functions, the closed list in `base.py`; every operation above this floor is written
with `xp.exp(x)`, `x @ w` and the like.  Reading order: `base.py` (the contract), `numpy.py`, then
`tracing.py`, `jax.py`, `tensorflow.py`.

A heavy library is imported only when its engine is asked for.  The engine belongs to the process, like Keras's
backend: set it before building a model.
"""

from __future__ import annotations

import importlib
import os
from types import SimpleNamespace
from typing import Any

from netchu.engines.contract import DTYPES, FUNCTIONS, Array, Engine, Loop, Shape
from netchu.errors import EngineError, MissingExtraError, UsageError, choices

__all__ = ["Array", "Engine", "Loop", "Shape", "current", "engine_names", "register", "set_engine", "xp"]

xp: Any = SimpleNamespace()
"""The current engine's functions: `xp.exp`, `xp.matmul`, ...; filled by `set_engine`."""

# name -> (module, class, the library it needs)
_KNOWN = {
    "jax": ("netchu.engines.jax", "JaxEngine", "jax"),
    "numpy": ("netchu.engines.numpy", "NumpyEngine", "numpy"),
    "tensorflow": ("netchu.engines.tensorflow", "TensorFlowEngine", "tensorflow"),
}
_loaded: dict[str, Engine] = {}
_current: Engine


def engine_names() -> list[str]:
    """The names that `set_engine` takes."""
    return sorted({*_KNOWN, *_loaded})


def register(engine: Engine) -> None:
    """Make an engine of your own known under `engine.name`; every function of the closed list must be there."""
    missing = [name for name in (*FUNCTIONS, *DTYPES) if name not in engine.functions]
    if missing:
        raise EngineError(f"Engine {engine.name!r}: expected every function of the closed list, missing={missing}.")
    _loaded[engine.name] = engine


def set_engine(name: str) -> Engine:
    """Let the engine `name` compute everything from now on, and return it.

    Args:
        name: `"numpy"` (eager, always there), `"jax"` or `"tensorflow"` (compiled, `pip install 'netchu[jax]'`).

    Raises:
        UsageError: no engine of that name.
        MissingExtraError: its library is not installed; the message is the pip line.
    """
    global _current
    if name not in _loaded:
        if name not in _KNOWN:
            raise UsageError(choices("engine", name, engine_names()))
        module, class_name, library = _KNOWN[name]
        try:
            engine_class = getattr(importlib.import_module(module), class_name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != library:
                raise
            raise MissingExtraError(
                f"The engine {name!r} needs {library}, which is not installed: pip install 'netchu[{name}]'"
            ) from None
        register(engine_class())
    _current = _loaded[name]
    xp.__dict__.clear()
    xp.__dict__.update(_current.functions)
    return _current


def current() -> Engine:
    """The engine that computes now."""
    return _current


set_engine(os.environ.get("NETCHU_ENGINE") or "numpy")
