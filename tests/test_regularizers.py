"""Regularizers: the penalty by hand, its gradient, the loss it becomes part of, names, and errors.

Real Keras judges them in `test_judge_layers.py`.
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from helpers import STEP_ATOL, assert_close
from netchu import Sequential, Tensor, gradcheck, ops, regularizers
from netchu.errors import ShapeError, UsageError
from netchu.layers import ActivityRegularization, Dense, Input
from netchu.registry import to_json
from netchu.regularizers import L1, L1L2, L2, OrthogonalRegularizer
from small_nets import clusters

W = np.array([[1.0, -2.0], [0.0, 4.0], [-3.0, 0.5]], "float32")  # |w| sum to 10.5, squares to 30.25
BY_HAND: list[tuple[Any, float]] = [
    (L1(), 0.105),
    (L1(0.1), 1.05),
    (L2(), 0.3025),
    (L2(0.1), 3.025),
    (L1L2(), 0.0),
    (L1L2(0.1, 0.2), 1.05 + 6.05),
    (L1L2(l2=0.2), 6.05),
    (OrthogonalRegularizer(0.3, "columns"), 0.3 * 3.5 / np.sqrt(10 * 20.25)),  # |1 * -2 + -3 * 0.5| / norms
]


@pytest.mark.parametrize(("regularizer", "penalty"), BY_HAND, ids=[repr(r) for r, _ in BY_HAND])
def test_penalty_by_hand(regularizer: Any, penalty: float, engine: str) -> None:
    found = regularizer(Tensor(W))
    assert found.shape == ()
    assert float(found) == pytest.approx(penalty, rel=STEP_ATOL)


@pytest.mark.parametrize("regularizer", [L1(), L2(), L1L2(0.1, 0.2), OrthogonalRegularizer()], ids=repr)
def test_gradient_of_the_penalty(regularizer: Any) -> None:
    gradcheck(regularizer, np.where(W == 0, 0.25, W).astype("float64"))  # not at the kink of |w|


def test_a_row_of_zeros_has_no_direction() -> None:
    """Its cosines are 0, and its gradient is finite."""
    from netchu import GradientTape

    w = Tensor(np.array([[0.0, 0.0], [1.0, 2.0]], "float32"))
    with GradientTape() as tape:
        tape.watch(w)
        penalty = OrthogonalRegularizer()(w)
    assert float(penalty) == 0
    assert np.isfinite(tape.gradient(penalty, w).numpy()).all()


# --- in a model ------------------------------------------------------------------------------------------------------


def test_penalties_are_part_of_the_loss_in_training_and_in_evaluation(engine: str) -> None:
    x, y = clusters()
    losses = []
    for settings in ({}, {"kernel_regularizer": L2(0.1), "bias_regularizer": "l1"}):
        model = Sequential([Input((6,)), Dense(3, activation="softmax", **settings)])
        model.set_weights([0.1 * np.arange(18.0).reshape(6, 3), np.array([1.0, -1.0, 0.5])])
        model.compile("sgd", "sparse_categorical_crossentropy")
        losses.append([model.evaluate(x, y, verbose=0), model.train_on_batch(x, y)])
    penalty = 0.1 * 0.01 * sum(n * n for n in range(18)) + 0.01 * 2.5
    assert_close(np.subtract(losses[1], losses[0]), np.full(2, penalty), atol=2 * STEP_ATOL)


def test_weights_that_are_frozen_cost_nothing() -> None:
    layer = Dense(3, kernel_regularizer="l2", trainable=False)
    layer(np.ones((1, 2), "float32"))
    assert layer.losses == []
    layer.trainable = True
    assert len(layer.losses) == 1


def test_the_size_of_an_output_is_a_mean_over_samples(engine: str) -> None:
    for batch in (1, 5):
        layer = ActivityRegularization(0.1, 0.2)
        layer(np.tile(np.array([[1.0, -2.0]], "float32"), (batch, 1)))
        assert [float(loss) for loss in layer.losses] == [pytest.approx(0.1 * 3 + 0.2 * 5, rel=STEP_ATOL)]


# --- names -----------------------------------------------------------------------------------------------------------

NAMES = {"l1": L1, "L1": L1, "l2": L2, "L2": L2, "l1l2": L1L2, "l1_l2": L1L2, "L1L2": L1L2}
NAMES |= {"orthogonal_regularizer": OrthogonalRegularizer, "OrthogonalRegularizer": OrthogonalRegularizer}


def test_names_classes_objects_and_functions() -> None:
    for name, expected in NAMES.items():
        assert type(regularizers.get(name)) is expected
    assert regularizers.get(None) is None
    assert regularizers.get(L2).l2 == 0.01
    own = L2(0.3)
    assert regularizers.get(own) is own
    assert regularizers.l2(0.3).get_config() == {"l2": 0.3}


def test_a_users_function(engine: str) -> None:
    layer = Dense(2, kernel_initializer="ones", kernel_regularizer=lambda w: 0.5 * ops.sum(w))
    layer(np.ones((1, 3), "float32"))
    assert [float(loss) for loss in layer.losses] == [3.0]


@pytest.mark.parametrize(
    "regularizer", [L1(0.1), L2(0.2), L1L2(0.1, 0.2), OrthogonalRegularizer(0.1, "columns")], ids=repr
)
def test_configuration_makes_the_same_again(regularizer: Any) -> None:
    twin = regularizers.get(json.loads(json.dumps(to_json(regularizer))))
    assert type(twin) is type(regularizer)
    assert twin.get_config() == regularizer.get_config()


@pytest.mark.parametrize("factor", [-0.1, float("nan"), float("inf"), "0.1", None], ids=str)
def test_factors_are_numbers_from_0_on(factor: Any) -> None:
    makers = (L1, L2, L1L2, lambda f: L1L2(0.1, f), OrthogonalRegularizer)
    for make in makers:
        with pytest.raises(UsageError, match=r"(L1|L2|L1L2|OrthogonalRegularizer): expected \w+ >= 0. Got: "):
            make(factor)


def test_unknown_names_list_the_right_ones() -> None:
    with pytest.raises(UsageError, match=r"regularizer identifier: 'l3'\. Known: l1, l1l2, l2, orthogonal_regularizer"):
        Dense(2, kernel_regularizer="l3")
    with pytest.raises(UsageError, match=r"regularizer identifier: 3\. Known"):
        regularizers.get(3)


def test_orthogonality_is_of_a_matrix() -> None:
    with pytest.raises(UsageError, match=r"mode among 'rows', 'columns'\. Got: mode='both'"):
        OrthogonalRegularizer(mode="both")
    for shape in ((3,), (1, 3), (2, 3, 4)):
        with pytest.raises(ShapeError, match="a matrix of two or more rows"):
            OrthogonalRegularizer()(np.ones(shape, "float32"))
