"""Which array library computes, and the one place that knows it.

    netchu.set_engine("jax")      or   NETCHU_ENGINE=jax   or   netchu train --engine jax

`xp` holds the current engine's functions, the closed list in `contract.py`; every operation above this floor is written
with `xp.exp(x)`, `x @ w` and the like.  Reading order: `contract.py`, `numpy/`, then
`tracing.py`, `jax.py`, `tensorflow.py`, `forks.py`.

A heavy library is imported only when its engine is asked for.  The engine belongs to the process, like Keras's
backend: set it before building a model.
"""

from __future__ import annotations

import importlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

from netchu.engines.contract import DTYPES, FUNCTIONS, Array, Engine, Loop, Shape
from netchu.engines.forks import LeftBehind, after_fork, has_threads, left_behind, refusing
from netchu.errors import EngineError, missing_extra, unknown_name
from netchu.system import environment

__all__ = ["Array", "Engine", "Loop", "Shape", "current", "engine_names", "held", "register", "set_engine", "xp"]

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
_runs: list[int] = []  # the threads that compute now, once for each run, which must end on the engine it began on
_left_behind: set[str] = set()  # engines whose threads stayed with the process that this one was forked from
_lock = threading.Lock()


def engine_names() -> list[str]:
    """The names that `set_engine` takes."""
    return sorted({*_KNOWN, *_loaded})


def register(engine: Engine) -> None:
    """Make an engine of your own known under `engine.name`; every function of the closed list must be there."""
    missing = [name for name in (*FUNCTIONS, *DTYPES) if name not in engine.functions]
    if missing:
        raise EngineError(f"Engine {engine.name!r}", expected="every function of the closed list", got=f"{missing=}")
    _loaded[engine.name] = engine


def set_engine(name: str) -> Engine:
    """Let the engine `name` compute everything from now on, and return it.

    Args:
        name: `"numpy"` (eager, always there), `"jax"` or `"tensorflow"` (traced, `pip install 'netchu[jax]'`).

    Raises:
        UsageError: no engine of that name.
        MissingExtraError: its library is not installed; the message is the pip line.
        EngineError: a `fit`, `evaluate` or `predict` is running, in any thread, on another one; or this process was
            forked from one in which the engine's library had begun to compute.
    """
    global _current
    if not isinstance(name, str):
        raise unknown_name("engine", name, engine_names(), where="set_engine: name")
    if name in _left_behind:
        raise left_behind(name)
    if name not in _loaded:
        if name not in _KNOWN:
            raise unknown_name("engine", name, engine_names())
        module, class_name, library = _KNOWN[name]
        try:
            engine_class = getattr(importlib.import_module(module), class_name)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.partition(".")[0] != library:
                raise
            raise missing_extra(f"The engine {name!r}", library, name) from None
        register(engine_class())
    with _lock:
        if _runs and _loaded[name] is not _current:
            raise EngineError(
                "set_engine",
                expected=f"the engine {_current.name!r} until the run on it is over",
                got=f"name={name!r}",
                do="Set the engine before fit, evaluate or predict.",
            )
        _current = _loaded[name]
        xp.__dict__.clear()
        xp.__dict__.update(_current.functions)
    return _current


@contextmanager
def held() -> Iterator[Engine]:
    """While it is open no other engine can be set: what runs on this one must end on it."""
    thread = threading.get_ident()
    with _lock:
        _runs.append(thread)
    try:
        yield _current
    finally:
        with _lock:
            _runs.remove(thread)


def current() -> Engine:
    """The engine that computes now."""
    return _current


def _leave_behind() -> None:
    """In a forked child: no thread but this one is there, neither the program's nor a library's."""
    global _current, _lock
    _lock = threading.Lock()
    _runs[:] = [thread for thread in _runs if thread == threading.get_ident()]
    for name in [name for name, (_, _, library) in _KNOWN.items() if has_threads(library)]:
        _left_behind.add(name)
        if name in _loaded:
            LeftBehind.take_the_place_of(engine := _loaded.pop(name), name)
            if engine is _current:
                _current = LeftBehind(name)  # another one: so no tensor of the parent's is taken for one of its own
                xp.__dict__.update(dict.fromkeys(xp.__dict__, refusing(name)))


after_fork(_leave_behind)
set_engine(environment.text("NETCHU_ENGINE") or "numpy")
