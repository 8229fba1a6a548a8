"""The bars: figures of a round, mostly the ratio of two commands, and what their medians must be.

Floors must hold with the base or the `[jax]` install, so the engine `tensorflow` counts for no bar.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from commands import KERAS_JAX, KERAS_TF
from harness import Round

Figure = Callable[[Round], float]

GFLOP_OF_PRODUCTS = 2 * 2 * 60_000 * 784 * 512 / 1e9  # an epoch's x @ w1 and x.T @ dh
NONE = (None, None)
ENGINES = ("netchu, numpy", "netchu, jax")


@dataclass(frozen=True)
class Bar:
    """A figure and what it must be.

    Attributes:
        row: the name for `--rows`.
        what, beside: for the table.
        figure: from a round to the number.
        floor, aim: the bounds; None where there is none.
        needs: the commands that the figure is made of.
        either: others, of which one is enough.
        unit: "x", "%", "MB" or "s".
        at_least: whether more is better.
    """

    row: str
    what: str
    beside: str
    figure: Figure
    floor: float | None
    aim: float | None
    needs: tuple[str, ...]
    either: tuple[str, ...] = ()
    unit: str = "x"
    at_least: bool = False

    def figures(self, rounds: list[Round]) -> list[float]:
        """The figure of each round in which its commands ran."""
        return [self.figure(r) for r in rounds if self.is_measured_by(set(r))]

    def is_measured_by(self, names: set[str]) -> bool:
        """Whether the commands of these names are enough."""
        return names.issuperset(self.needs) and (not self.either or not names.isdisjoint(self.either))

    def holds(self, value: float, bound: float | None) -> str:
        """Whether a median keeps a bound, as the table says it: "yes", "no", or "" without a bound."""
        if bound is None:
            return ""
        return "yes" if (value >= bound if self.at_least else value <= bound) else "no"


# --- figures ---------------------------------------------------------------------------------------------------------


def whole(ours: str, theirs: str) -> Figure:
    """Whole processes, theirs = 1."""
    return lambda r: r[ours].wall / r[theirs].wall


def seconds(name: str) -> Figure:
    """Seconds of an epoch in steady state: the median of all but the first."""
    return lambda r: float(statistics.median(r[name].told["seconds"][1:]))


def steady(ours: str, theirs: str) -> Figure:
    """Epochs in steady state, theirs = 1."""
    return lambda r: seconds(ours)(r) / seconds(theirs)(r)


def best(names: tuple[str, ...], figure: Callable[[str], Figure]) -> Figure:
    """The least of a figure over those commands that ran."""
    return lambda r: min(figure(name)(r) for name in names if name in r)


def share_of_peak(r: Round) -> float:
    """Seconds of the two large products at the measured peak, by those of the best engine's epoch; per cent."""
    return 100 * GFLOP_OF_PRODUCTS / float(r["peak"].told["gflops"]) / best(ENGINES, seconds)(r)


# --- bars ------------------------------------------------------------------------------------------------------------


def against(
    row: str,
    what: str,
    measure: Callable[[str, str], Figure],
    ours: str,
    bounds: dict[str, tuple[float | None, float | None]],
) -> list[Bar]:
    """A bar for each of `their name -> (floor, aim)`, or `NONE` for a figure that need not be anything."""
    return [
        Bar(row, what, theirs, measure(ours, theirs), floor, aim, needs=(ours, theirs))
        for theirs, (floor, aim) in bounds.items()
    ]


def best_against(
    row: str,
    what: str,
    measure: Callable[[str, str], Figure],
    ours: tuple[str, ...],
    theirs: str,
    floor: float,
    aim: float,
) -> Bar:
    """A bar for the best of our commands."""
    return Bar(row, what, theirs, best(ours, lambda name: measure(name, theirs)), floor, aim, (theirs,), ours)


def printed(
    row: str, what: str, beside: str, command: str, figure: Callable[[dict[str, Any]], float],
    floor: float, aim: float, unit: str = "x",
) -> Bar:  # fmt: skip
    """A bar for what one command prints."""
    return Bar(row, what, beside, lambda r: figure(r[command].told), floor, aim, (command,), unit=unit)


MAIN = "main job, whole process"
EPOCH = "an epoch in steady state"
NUMPY = "netchu, numpy"
JAX = "netchu, jax"
WARM = "netchu train, jax, warm"
COLD = "netchu train, jax, cold"
IN_MEMORY = "60,000 images in memory"
MAPPED = "600,000 images mapped"
SAME_PROCESS = "NumPy by hand, same process"

BARS = [
    *against("main_job", f"{MAIN}, numpy engine", whole, "netchu train, numpy",
             {KERAS_TF: (0.55, 0.30), KERAS_JAX: (0.70, 0.50)}),
    *against("main_job", f"{MAIN}, jax engine, warm cache", whole, WARM,
             {KERAS_TF: (0.40, 0.28), KERAS_JAX: (0.55, 0.45)}),
    *against("main_job", f"{MAIN}, jax engine, cold cache", whole, COLD, {KERAS_TF: NONE, KERAS_JAX: NONE}),
    *against("steady", f"{EPOCH}, numpy engine", steady, NUMPY,
             {KERAS_TF: (0.70, 0.35), "PyTorch's own loop": (1.10, 0.60), "NumPy by hand": NONE,
              "NumPy by hand, row blocks": NONE}),
    *against("steady", f"{EPOCH}, jax engine", steady, JAX,
             {KERAS_JAX: (0.90, 0.75), "JAX by hand": (1.05, 0.95)}),
    Bar("peak", "the two products at the measured peak, by an epoch of the best engine", "measured in the run",
        share_of_peak, 40, 65, ("peak",), ENGINES, unit="%", at_least=True),
    printed("small", "train_on_batch, 4-8-3, 8 samples, accuracy, numpy engine", SAME_PROCESS, "small networks",
            lambda output: output["step"]["ratio"], 3, 2),
    printed("predict", "one-sample predict, 4-8-3", SAME_PROCESS, "small networks",
            lambda output: output["predict_4_8_3"]["ratio"], 5, 3),
    printed("predict", "one-sample predict, 784-512-10", SAME_PROCESS, "small networks",
            lambda output: output["predict_784_512_10"]["ratio"], 5, 3),
    printed("predict", "memory grown over 100,000 calls of predict", "itself", "100,000 predictions",
            lambda output: output["grown_mb"], 1, 1, "MB"),
    best_against("conv", "convolutional epoch, best engine", steady,
                 ("convnet, netchu, numpy", "convnet, netchu, jax"), f"convnet, {KERAS_TF}", 1.8, 0.8),
    best_against("quick", "recipe quick to 98 %, whole process", whole,
                 ("recipe quick, numpy", "recipe quick, jax"), KERAS_TF, 0.30, 0.15),
    best_against("convnet", "recipe convnet to 99 %, whole process", whole,
                 ("recipe convnet, jax",), f"convnet to 99 %, {KERAS_TF}", 0.60, 0.30),
    printed("best", "recipe best, error on MNIST's test digits", "", "recipe best, jax",
            lambda output: 100 * (1 - output["test_accuracy"]), 0.35, 0.25, "%"),
    printed("itself", "epoch 5 against epoch 1, numpy engine", "itself", NUMPY,
            lambda output: output["seconds"][4] / output["seconds"][0], 1.15, 1.05),
    *against("itself", "RMSprop epoch against SGD epoch, numpy engine", steady, NUMPY,
             {"netchu, numpy, SGD": (1.6, 1.3)}),
    *against("mapped", "time per image, 600,000 mapped (uint8)",
             lambda ours, theirs: lambda r: r[ours].told["us_per_image"] / r[theirs].told["us_per_image"], MAPPED,
             {IN_MEMORY: (1.10, 1.02)}),
    printed("mapped", "anonymous memory that training from 600,000 mapped adds", "before it", MAPPED,
            lambda output: output["anonymous_grown_mb"], 100, 100, "MB"),
    Bar("memory", "peak memory, main job, numpy engine", "", lambda r: r["netchu train, numpy"].peak_mb, 350, 200,
        ("netchu train, numpy",), unit="MB"),
    printed("gpu", "five epochs of the main job on a GPU, after compilation", "", "netchu, GPU",
            lambda output: sum(output["seconds"][1:]), 0.5, 0.1, "s"),
    printed("gpu", "one convolutional epoch on a GPU", "", "convnet, netchu, GPU",
            lambda output: statistics.median(output["seconds"][1:]), 1.0, 0.3, "s"),
]  # fmt: skip
LONG = {"best"}
"""Rows that run only when they are asked for."""

BESIDE_THEM = {
    "steady": ("netchu, tensorflow", "Keras on PyTorch", "scikit-learn"),
    "conv": ("convnet, netchu, tensorflow", "convnet, Keras on JAX"),
}
"""Commands that no bar needs, for the table of all times."""
