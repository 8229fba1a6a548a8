"""What the tests of the command line share: a tiny data set, and `netchu` as a process."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import netchu
from netchu import datasets
from netchu.cli import main

SOURCE = str(Path(netchu.__file__).parents[1])
MODEL = "netchu-model.safetensors"

Run = Callable[..., subprocess.CompletedProcess[bytes]]


def write_own_data(folder: Path) -> None:
    """`own.npz`: 8 x 8 pictures in three classes, 90 to learn from and 30 to test with."""
    draw = np.random.default_rng(0)
    arrays = {}
    for half, n in (("train", 90), ("test", 30)):
        y = np.arange(n) % 3
        x = draw.integers(0, 60, (n, 8, 8))
        x[np.arange(n), 1 + 2 * y, :] = 250  # the class is the row that is lit
        arrays |= {f"x_{half}": x.astype(np.uint8), f"y_{half}": y.astype(np.uint8)}
    np.savez(folder / "own.npz", **arrays)


def process_settings(folder: Path, env: dict[str, str] | None = None, **settings: Any) -> dict[str, Any]:
    """What `subprocess` needs to run in `folder` as on a user's machine: pipes, and none of our own variables."""
    ours = ("NETCHU_", "COLUMNS", "NO_COLOR", "FORCE_COLOR")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    variables = {**clean, "PYTHONPATH": SOURCE, "NETCHU_OFFLINE": "1", "OPENBLAS_NUM_THREADS": "1", **(env or {})}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return {"cwd": folder, "env": variables, **pipes, **settings}


def process(folder: Path, *arguments: str | bytes, code: str = "", **more: Any) -> subprocess.CompletedProcess[bytes]:
    """Run `netchu` in `folder`, after the Python line `code`; no `preexec_fn`, for JAX warns of forks."""
    program = ["-m", "netchu"]
    if code:
        program = ["-c", f"import sys; {code}; from netchu.cli import main; sys.exit(main())"]
    return subprocess.run([sys.executable, *program, *arguments], **process_settings(folder, **more), timeout=60)


def train_quickly(*more: str) -> int:
    """18 updates of a network of 16 units on `own.npz`, in this process."""
    return main(["train", "--data", "own.npz", "--layers", "16", "--epochs", "2", "--batch-size", "10", *more])


def trained_pictures() -> list[str]:
    """Train a model on `own.npz`, in its default place; the names of three pictures, of a 0, a 1 and a 2 to it."""
    assert main(["train", "--data", "own.npz", "--layers", "16", "--epochs", "30", "--batch-size", "10", "-q"]) == 0
    names = ["zero.png", "one.png", "two.png"]
    for name, picture in zip(names, datasets.load("own.npz").x_test):
        Image.fromarray(picture).save(name)
    return names


def no_traceback(text: str | bytes) -> bool:
    """Whether no traceback stands in what was printed."""
    return "Traceback" not in (text if isinstance(text, str) else text.decode())
