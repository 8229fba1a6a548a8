"""Small data, small networks and fingerprints that several test files start from; all fixed by their arguments."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from netchu import Sequential
from netchu.layers import Dense, Input

SOURCE = Path(__file__).parents[1] / "src"


def clusters(n: int = 60, width: int = 6, classes: int = 3, seed: int = 7) -> tuple[np.ndarray, np.ndarray]:
    """x float32 (n, width), each class around a centre of its own; y int64 (n,), the classes in turn."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.normal(0, 1, (classes, width))[y] + rng.normal(0, 0.5, (n, width))
    return x.astype("float32"), y


def fixed_weights(model: Any, seed: int = 3) -> Any:
    """The model itself, its weights normal(0, 0.4) from `seed`: the same for every engine and every library."""
    rng = np.random.default_rng(seed)
    model.set_weights([rng.normal(0, 0.4, w.shape).astype("float32") for w in model.get_weights()])
    return model


def classifier(width: int = 6, classes: int = 3, **compile_settings: Any) -> Sequential:
    """width-5-classes with fixed weights, compiled with rmsprop and accuracy unless `compile_settings` differ."""
    model = Sequential([Input((width,)), Dense(5, activation="relu"), Dense(classes, activation="softmax")])
    defaults = {"optimizer": "rmsprop", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]}
    model.compile(**(defaults | compile_settings))
    return fixed_weights(model)


def trained(model: Any) -> Any:
    """The model itself after an epoch on `clusters`: what another process is given to do."""
    model.fit(*clusters(), shuffle=False, verbose=0)
    return model


def sha256_of(weights: Iterable[Any]) -> str:
    """One fingerprint of arrays or Variables: their values, dtypes and shapes."""
    digest = hashlib.sha256()
    for weight in weights:
        array = np.ascontiguousarray(weight)
        digest.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return digest.hexdigest()


def python_environment(**changes: str) -> dict[str, str]:
    """This process's environment for another Python that is to import the same netchu."""
    entries = [str(SOURCE), str(Path(__file__).parent), *filter(None, sys.path)]
    return os.environ | {"PYTHONPATH": os.pathsep.join(entries), "NETCHU_OFFLINE": "1"} | changes


def run_python(code: str, *arguments: str, timeout: float = 120, **changes: str) -> str:
    """What `code` prints in a Python of its own, which must end with exit code 0."""
    command = [sys.executable, "-W", "error", "-c", code, *arguments]
    done = subprocess.run(
        command, env=python_environment(**changes), capture_output=True, text=True, timeout=timeout, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout
