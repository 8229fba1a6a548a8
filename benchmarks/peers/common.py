"""What every program here shares: MNIST out of its four IDX files, and the one line that a program prints.

x_train, y_train, x_test, y_test = mnist(folder)
report(seconds_of_each_epoch, test_accuracy)
"""

from __future__ import annotations

import gzip
import json
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

DISTRIBUTIONS = ("numpy", "netchu", "jax", "keras", "tensorflow", "tensorflow-cpu", "torch", "scikit-learn")


def read(folder: str, name: str, offset: int) -> np.ndarray:
    """The bytes of an IDX file, plain or .gz, after its header."""
    plain = Path(folder) / name
    data = plain.read_bytes() if plain.exists() else gzip.decompress(plain.with_name(name + ".gz").read_bytes())
    return np.frombuffer(data, np.uint8, offset=offset)


def mnist(folder: str) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """x_train (60000, 784), y_train (60000,), x_test (10000, 784), y_test (10000,), all uint8."""
    x_train = read(folder, "train-images-idx3-ubyte", 16).reshape(-1, 784)
    x_test = read(folder, "t10k-images-idx3-ubyte", 16).reshape(-1, 784)
    return x_train, read(folder, "train-labels-idx1-ubyte", 8), x_test, read(folder, "t10k-labels-idx1-ubyte", 8)


def peak_megabytes() -> float | None:
    """The most memory that this process has had at a time, in MB of 10^6 bytes; None where the system does not say."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / 1e6 if sys.platform == "darwin" else most * 1024 / 1e6


def versions() -> dict[str, str]:
    """The version of each library that this process has loaded."""
    found = {}
    for name in DISTRIBUTIONS:
        module = {"scikit-learn": "sklearn", "tensorflow-cpu": "tensorflow"}.get(name, name)
        if module in sys.modules:
            try:
                found[name] = metadata.version(name)
            except metadata.PackageNotFoundError:
                continue
    return found


def report(seconds: Sequence[float], test_accuracy: float, **more: Any) -> None:
    """Print the result: seconds of each epoch, accuracy on the test images, peak memory in MB, versions."""
    figures = {"seconds": list(seconds), "test_accuracy": float(test_accuracy), "peak_mb": peak_megabytes()}
    print(json.dumps({**figures, "versions": versions(), **more}))
