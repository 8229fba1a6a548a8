"""The commands that are compared, in the order in which a round runs them: neighbours are compared with each other."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from typing import Any

from harness import HERE, SOURCE, Command

PEERS = HERE / "peers"
PROBES = HERE / "probes"
KERAS_TF = "Keras on TensorFlow"
KERAS_JAX = "Keras on JAX"
SHORT_CONVNET = ("--epochs", "3", "--images", "12800")  # a fifth of MNIST: the first epoch holds the compilation
CONVNET_TO_99 = ("--epochs", "8")  # after 5 epochs 98.82-98.85 % (n = 3), after 7 98.93, 99.01, 99.01 %


@functools.cache
def no_recipes() -> str:
    """A reason to skip the recipes; "" if this netchu has them."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE), "COLUMNS": "200"}
    command = [sys.executable, "-m", "netchu", "train", "--help"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    return "" if "--recipe" in done.stdout else "this netchu has no `train --recipe`"


def no_gpu() -> str:
    """A reason to skip what needs a GPU."""
    done = subprocess.run([sys.executable, "-c", "import jax; jax.devices('gpu')"], capture_output=True)
    return "JAX finds no GPU here" if done.returncode else ""


def _train(name: str, engine: str, *more: str, **settings: Any) -> Command:
    """`netchu train` as a user types it."""
    words = ("-m", "netchu", "train", "--data", "{data}", "--json", "--seed", "{seed}", "--engine", engine, *more)
    return Command(name, words, needs=(engine,), **settings)


def _job(name: str, program: str, library: str, backend: str, *more: str, **settings: Any) -> Command:
    """A program in Keras's words, for Keras or netchu."""
    variable = {"keras": "KERAS_BACKEND", "netchu": "NETCHU_ENGINE"}[library]
    words = (str(PEERS / program), "{data}", "--library", library, "--seed", "{seed}", *more)
    return Command(
        name, words, (backend,) if library == "netchu" else (library, backend), {variable: backend}, **settings
    )


def _by_hand(name: str, program: str, library: str, *more: str, **environment: str) -> Command:
    return Command(name, (str(PEERS / program), "{data}", "{seed}", *more), (library,), environment)


def _probe(name: str, program: str, *more: str, **settings: Any) -> Command:
    return Command(name, (str(PROBES / program), *more), **settings)


COMMANDS = [
    _probe("peak", "peak.py"),
    _train("netchu train, numpy", "numpy"),
    _train("netchu train, jax, warm", "jax", warm_up=True),
    _train("netchu train, jax, cold", "jax", cold=True),
    _job(KERAS_TF, "dense.py", "keras", "tensorflow"),
    _job(KERAS_JAX, "dense.py", "keras", "jax"),
    _job("netchu, numpy", "dense.py", "netchu", "numpy"),
    _by_hand("PyTorch's own loop", "torch_loop.py", "torch"),
    _job("netchu, jax", "dense.py", "netchu", "jax", warm_up=True),
    _by_hand("JAX by hand", "jax_by_hand.py", "jax"),
    _by_hand("NumPy by hand", "numpy_by_hand.py", "numpy", OPENBLAS_NUM_THREADS="2"),
    _by_hand("NumPy by hand, row blocks", "numpy_by_hand.py", "numpy", "49", OPENBLAS_NUM_THREADS="2"),
    _job("netchu, tensorflow", "dense.py", "netchu", "tensorflow"),
    _job("Keras on PyTorch", "dense.py", "keras", "torch"),
    _by_hand("scikit-learn", "sklearn_mlp.py", "sklearn"),
    _job("netchu, numpy, SGD", "dense.py", "netchu", "numpy", "--optimizer", "sgd"),
    _probe("small networks", "small.py"),
    _probe("100,000 predictions", "predict_memory.py"),
    _probe("60,000 images in memory", "mapped.py", "{data}", "--images", "60000", "--epochs", "3"),
    _probe("600,000 images mapped", "mapped.py", "{data}", "--images", "600000", warm_up=True),
    _job("convnet, netchu, numpy", "convnet.py", "netchu", "numpy", *SHORT_CONVNET),
    _job("convnet, netchu, jax", "convnet.py", "netchu", "jax", *SHORT_CONVNET),
    _job("convnet, Keras on TensorFlow", "convnet.py", "keras", "tensorflow", *SHORT_CONVNET),
    _job("convnet, netchu, tensorflow", "convnet.py", "netchu", "tensorflow", *SHORT_CONVNET),
    _job("convnet, Keras on JAX", "convnet.py", "keras", "jax", *SHORT_CONVNET),
    *(
        _train(f"recipe {name}, {engine}", engine, "--recipe", name, skip=no_recipes, warm_up=warm_up)
        for name, engine, warm_up in (
            ("quick", "numpy", False),
            ("quick", "jax", True),
            ("convnet", "jax", False),
            ("best", "jax", False),
        )
    ),
    _job("convnet to 99 %, Keras on TensorFlow", "convnet.py", "keras", "tensorflow", *CONVNET_TO_99),
    _job("netchu, GPU", "dense.py", "netchu", "jax", "--epochs", "6", skip=no_gpu),
    _job("convnet, netchu, GPU", "convnet.py", "netchu", "jax", skip=no_gpu),
]
