"""Utilities: one-hot targets, and a seed that makes a program repeat bit for bit."""

from __future__ import annotations

import random as python_random
from typing import Any

import numpy as np
import pytest

from netchu import Sequential, utils
from netchu.errors import DataError, UsageError
from netchu.layers import Dense, Dropout, Input
from small_nets import clusters, run_python, sha256_of

PROGRAM = """
from small_nets import clusters, sha256_of
from netchu import Sequential, engines, utils
from netchu.layers import Dense, Dropout, Input
import sys
engines.set_engine(sys.argv[1])
utils.set_random_seed(5)
model = Sequential([Input((6,)), Dense(16, activation="relu"), Dropout(0.3), Dense(3, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy")
model.fit(*clusters(), epochs=3, batch_size=16, verbose=0)
print(sha256_of(model.get_weights()))
"""


def fitted(seed: int) -> str:
    utils.set_random_seed(seed)
    model = Sequential([Input((6,)), Dense(16, activation="relu"), Dropout(0.3), Dense(3, activation="softmax")])
    model.compile("adam", "sparse_categorical_crossentropy")
    model.fit(*clusters(), epochs=3, batch_size=16, verbose=0)
    return sha256_of(model.get_weights())


def test_seed_repeats_a_fit_bit_for_bit(engine: str) -> None:
    assert fitted(5) == fitted(5)


def test_another_seed_gives_another_fit() -> None:
    assert fitted(5) != fitted(6)


def test_seed_repeats_a_fit_in_another_process(engine: str) -> None:
    printed = [run_python(PROGRAM, engine, PYTHONHASHSEED=salt).strip() for salt in ("1", "2")]
    assert printed[0] == printed[1]
    assert len(printed[0]) == 64


def test_seed_repeats_pythons_and_numpys_numbers() -> None:
    def drawn() -> tuple[float, float]:
        utils.set_random_seed(1)
        return python_random.random(), float(np.random.rand())  # noqa: NPY002 (the global generator is what is seeded)

    assert drawn() == drawn()


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "7", None])
def test_seed_outside_its_range(seed: Any) -> None:
    message = rf"set_random_seed: expected seed as a whole number from 0 .* Got: seed={seed!r}"
    with pytest.raises(UsageError, match=message):
        utils.set_random_seed(seed)


ONE_HOT = [
    ([0, 2, 1], None, [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
    ([[0], [1]], None, [[1, 0], [0, 1]]),
    ([1], 3, [[0, 1, 0]]),
    ([0.0, 2.0, 1.0], None, [[1, 0, 0], [0, 0, 1], [0, 1, 0]]),
    ([True, False], None, [[0, 1], [1, 0]]),
    ([[0, 1], [1, 1]], 2, [[[1, 0], [0, 1]], [[0, 1], [0, 1]]]),
    (np.array([0, 255], "uint8"), 256, np.eye(256)[[0, 255]].tolist()),
]


@pytest.mark.parametrize(("labels", "classes", "expected"), ONE_HOT, ids=range(len(ONE_HOT)))
def test_one_hot_targets(labels: Any, classes: int | None, expected: Any) -> None:
    found = utils.to_categorical(labels, classes)
    assert found.dtype == np.float32
    assert found.tolist() == expected


def test_one_hot_of_narrow_labels_with_many_classes_has_a_single_one() -> None:
    found = utils.to_categorical(np.array([3], "uint8"), 300)
    assert np.flatnonzero(found).tolist() == [3]


@pytest.mark.parametrize(
    ("labels", "classes", "words"),
    [([0.0, 1.5], None, "expected integer labels. Got: label 1.5"),
     ([0.0, np.nan], None, "expected integer labels. Got: label nan"),
     (["a"], None, "expected numbers. Got: dtype=<U1 from list"),
     ([0, 3], 3, "expected labels from 0 to 2. Got: labels from 0 to 3"),
     ([-1, 1], None, "expected labels from 0 to 1. Got: labels from -1 to 1")],
)  # fmt: skip
def test_labels_that_are_no_classes(labels: Any, classes: int | None, words: str) -> None:
    with pytest.raises(DataError, match=f"to_categorical: {words}"):
        utils.to_categorical(labels, classes)
