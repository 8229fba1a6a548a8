"""Constraints: the allowed weight by hand, what holds after each step of an optimizer, names, and errors.

Real Keras judges them in `test_judge_layers.py`.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from helpers import STEP_ATOL, assert_close
from netchu import Sequential, constraints, ops
from netchu.constraints import MaxNorm, MinMaxNorm, NonNeg, UnitNorm
from netchu.errors import UsageError
from netchu.layers import Dense, Input
from netchu.registry import to_json
from small_nets import clusters

W = np.array([[3.0, 0.6], [-4.0, 0.8]], "float32")  # columns of norm 5 and 1, rows of norm 3.06 and 4.08
BY_HAND: list[tuple[Any, Any]] = [
    (MaxNorm(), [[1.2, 0.6], [-1.6, 0.8]]),
    (MaxNorm(0.5), [[0.3, 0.3], [-0.4, 0.4]]),
    (MaxNorm(10), W),
    (NonNeg(), [[3.0, 0.6], [0.0, 0.8]]),
    (UnitNorm(), [[0.6, 0.6], [-0.8, 0.8]]),
    (UnitNorm(axis=[0, 1]), W / np.sqrt(26)),
    (UnitNorm(axis=1), W / np.sqrt([[9.36], [16.64]])),
    (MinMaxNorm(), [[0.6, 0.6], [-0.8, 0.8]]),
    (MinMaxNorm(2, 3), [[1.8, 1.2], [-2.4, 1.6]]),
    (MinMaxNorm(2, 3, rate=0.5), [[2.4, 0.9], [-3.2, 1.2]]),
]


@pytest.mark.parametrize(("constraint", "allowed"), BY_HAND, ids=[repr(c) for c, _ in BY_HAND])
def test_allowed_weight_by_hand(constraint: Any, allowed: Any, engine: str) -> None:
    assert_close(constraint(W), np.asarray(allowed, "float32"), atol=STEP_ATOL)


@pytest.mark.parametrize("constraint", [MaxNorm(), NonNeg(), UnitNorm(), MinMaxNorm(0.5, 1)], ids=repr)
def test_a_weight_of_zeros_stays_finite(constraint: Any) -> None:
    assert constraint(np.zeros((2, 2), "float32")).numpy().tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_constraints_hold_after_each_step(optimizer: str, engine: str) -> None:
    x, y = clusters()
    hidden = Dense(5, "tanh", kernel_constraint="non_neg", bias_constraint=MaxNorm(0.01))
    model = Sequential([Input((6,)), hidden, Dense(3, activation="softmax", kernel_constraint=UnitNorm())])
    model.compile(optimizer, "sparse_categorical_crossentropy")
    for _ in range(3):
        model.train_on_batch(x, y)
        kernel, bias, last, free = model.get_weights()
        assert kernel.min() == 0
        assert 0 < np.linalg.norm(bias) <= 0.01 + 1e-7
        assert_close(np.linalg.norm(last, axis=0), np.ones(3), atol=STEP_ATOL)
        assert (free != 0).all()


# --- names -----------------------------------------------------------------------------------------------------------

NAMES = {
    "max_norm": MaxNorm, "MaxNorm": MaxNorm, "non_neg": NonNeg, "nonneg": NonNeg, "NonNeg": NonNeg,
    "unit_norm": UnitNorm, "UnitNorm": UnitNorm, "min_max_norm": MinMaxNorm, "MinMaxNorm": MinMaxNorm,
}  # fmt: skip


def test_names_classes_objects_and_functions() -> None:
    for name, expected in NAMES.items():
        assert type(constraints.get(name)) is expected
    assert constraints.get(None) is None
    assert constraints.get(MaxNorm).max_value == 2
    own = MaxNorm(3)
    assert constraints.get(own) is own
    assert constraints.max_norm(3).get_config() == {"max_value": 3, "axis": 0}


def test_a_users_function(engine: str) -> None:
    x, y = clusters()
    model = Sequential([Input((6,)), Dense(3, kernel_constraint=lambda w: ops.clip(w, -0.1, 0.1))])
    model.compile("sgd", "mse")
    model.train_on_batch(x, np.eye(3, dtype="float32")[y])
    kernel = model.get_weights()[0]
    assert np.abs(kernel).max() == np.float32(0.1)


@pytest.mark.parametrize(
    "constraint", [MaxNorm(3, [0, 1]), NonNeg(), UnitNorm(1), MinMaxNorm(0.1, 2, 0.5, 1)], ids=repr
)
def test_configuration_makes_the_same_again(constraint: Any) -> None:
    twin = constraints.get(json.loads(json.dumps(to_json(constraint))))
    assert type(twin) is type(constraint)
    assert twin.get_config() == constraint.get_config()
    assert_close(twin(W), constraint(W))


WRONG: list[tuple[Any, tuple[Any, ...], str]] = [
    (MaxNorm, (0,), "MaxNorm: expected max_value > 0. Got: max_value=0"),
    (MinMaxNorm, (2, 1), "MinMaxNorm: expected 0 <= min_value <= max_value. Got: min_value=2, max_value=1"),
    (MinMaxNorm, (-1, 1), "MinMaxNorm: expected 0 <= min_value"),
    (MinMaxNorm, (0, 1, 1.5), "MinMaxNorm: expected rate from 0 to 1. Got: rate=1.5"),
]


@pytest.mark.parametrize(("make", "arguments", "message"), WRONG, ids=[message for *_, message in WRONG])
def test_wrong_settings_are_refused(make: Any, arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make(*arguments)


def test_unknown_names_list_the_right_ones() -> None:
    with pytest.raises(UsageError, match=r"constraint identifier: 'max'\. Known: max_norm, min_max_norm, non_neg"):
        Dense(2, kernel_constraint="max")
