"""Random networks trained beside real Keras on TensorFlow: the same History, weights, predictions and figures.

Layers, optimizers, schedules, clipping, accumulation, losses, metrics, weights of samples and classes, validation,
regularizers and constraints are drawn from a seed; see `random_training.py`.  All networks run on NumPy, every third
on JAX as well.  `long/compare_with_keras.py` does the same for hundreds and prints how far they are apart.

Keras itself is asked what can be judged: a weight that it trains to another value when the last bits of weights and
samples change is not.  `UNSTEADY` names those few; all else must be steady and equal.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest

import netchu
from random_architectures import ENDINGS, OPTIMIZERS
from random_training import KINDS, Differences, Outcome, Training, compare

HISTORY_RTOL = 1e-4  # figures of two float32 libraries after up to 8 updates
WEIGHTS_RTOL = 1e-3  # of the largest of an array: single weights near 0 may differ more
PREDICTIONS_RTOL = 1e-3  # as the weights that make them

SEEDS = (*range(35), 38)  # 38 stands for what cannot be judged
ON_JAX = SEEDS[::3]
UNSTEADY: dict[int, tuple[set[int], str]] = {
    38: ({0}, "gamma of a LayerNormalization over equal numbers, a mean of a softmax: its gradient is rounding, which "
              "Adam makes a step of"),
}  # fmt: skip
"""Seed -> (the numbers of the weights that are left out, why)."""


@pytest.fixture(scope="module")
def by_keras(keras: ModuleType) -> Callable[[int], tuple[Outcome, Outcome]]:
    """A function from a seed to Keras's outcome, and that from numbers that differ in the last bit; each run once."""
    found: dict[int, tuple[Outcome, Outcome]] = {}

    def outcomes(seed: int) -> tuple[Outcome, Outcome]:
        if seed not in found:
            found[seed] = Training(seed).run_and_nudged(keras)
        return found[seed]

    return outcomes


def assert_within(found: Differences, left_out: set[int]) -> None:
    """Every difference is at most its limit; the weights of these numbers are left out."""
    assert found.history <= HISTORY_RTOL
    assert {i: d for i, d in enumerate(found.weights) if d > WEIGHTS_RTOL and i not in left_out} == {}
    assert found.predictions <= PREDICTIONS_RTOL
    assert found.figures <= HISTORY_RTOL


CASES = [(seed, engine) for seed in SEEDS for engine in ("numpy", "jax") if engine == "numpy" or seed in ON_JAX]


@pytest.mark.judge
@pytest.mark.filterwarnings("ignore")  # the judges' own warnings are not ours
@pytest.mark.parametrize(("seed", "engine_name"), CASES)
def test_random_network_trains_as_in_keras(seed: int, engine_name: str, by_keras: Any) -> None:
    theirs, _ = by_keras(seed)
    netchu.set_engine(engine_name)
    left_out, _ = UNSTEADY.get(seed, (set(), ""))
    assert_within(compare(Training(seed).run(netchu), theirs), left_out)


@pytest.mark.judge
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("seed", SEEDS)
def test_keras_is_steady_where_it_judges(seed: int, by_keras: Any) -> None:
    theirs, nudged = by_keras(seed)
    left_out, _ = UNSTEADY.get(seed, (set(), ""))
    found = compare(nudged, theirs)
    assert_within(found, left_out)
    assert all(found.weights[i] > WEIGHTS_RTOL / 10 for i in left_out), "steady after all: judge it"


def test_nine_networks_in_ten_would_notice_a_learning_rate_a_tenth_too_large() -> None:
    noticed = []
    for training in map(Training, SEEDS):
        right = training.run(netchu)
        optimizer = training.described.compiled["optimizer"]
        if not isinstance(optimizer.settings["learning_rate"], float):
            continue  # a schedule
        settings = optimizer.settings | {"learning_rate": 1.1 * optimizer.settings["learning_rate"]}
        training.described.compiled["optimizer"] = dataclasses.replace(optimizer, settings=settings)
        found = compare(training.run(netchu), right)
        noticed.append(found.history > HISTORY_RTOL or found.largest_of_weights > WEIGHTS_RTOL)
    assert len(noticed) > len(SEEDS) // 2
    assert sum(noticed) >= 0.9 * len(noticed)


def names_of_layers(layers: list[tuple[str, Any]]) -> set[str]:
    """The class names, those inside of models included."""
    return {
        name
        for outer, settings in layers
        for name in (names_of_layers(settings["layers"]) if outer == "Sequential" else {outer})
    }


def test_the_networks_have_every_layer_optimizer_ending_and_weighting() -> None:
    trainings = [Training(seed) for seed in SEEDS]
    assert set().union(*(names_of_layers(t.described.layers) for t in trainings)) == set(KINDS)
    chosen = [t.described.compiled["optimizer"] for t in trainings]
    assert {optimizer.name for optimizer in chosen} == set(OPTIMIZERS)
    settings = set().union(*(optimizer.settings for optimizer in chosen))
    assert {"clipnorm", "clipvalue", "global_clipnorm", "gradient_accumulation_steps", "weight_decay"} <= settings
    assert len({getattr(optimizer.settings["learning_rate"], "name", None) for optimizer in chosen}) > 4
    assert {t.ending for t in trainings} == set(ENDINGS)
    assert {frozenset(t.settings) & {"class_weight", "sample_weight"} for t in trainings} == {
        frozenset(),
        frozenset({"class_weight"}),
        frozenset({"sample_weight"}),
    }
    assert {t.settings["validation_split"] for t in trainings} == {0.0, 0.25}
    assert len(UNSTEADY) <= len(SEEDS) // 10
