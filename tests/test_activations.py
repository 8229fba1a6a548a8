"""Activations: known values, no overflow, Keras's defaults, and the logits that softmax and sigmoid remember."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from helpers import assert_close
from netchu import activations, ops
from netchu.errors import UsageError
from netchu.tape import GradientTape
from netchu.tensor import Tensor

X = [-3.0, -1.0, 0.0, 0.25, 2.0]
E = math.e


def sig(x: float) -> float:
    return 1 / (1 + math.exp(-x))


# name -> values at X, from the formula of each, in Python's own arithmetic
VALUES: dict[str, list[float]] = {
    "linear": X,
    "exponential": [math.exp(x) for x in X],
    "relu": [0, 0, 0, 0.25, 2],
    "relu6": [0, 0, 0, 0.25, 2],
    "leaky_relu": [-0.6, -0.2, 0, 0.25, 2],
    "elu": [math.exp(-3) - 1, 1 / E - 1, 0, 0.25, 2],
    "celu": [math.exp(-3) - 1, 1 / E - 1, 0, 0.25, 2],
    "selu": [1.05070098 * v for v in (1.67326324 * (math.exp(-3) - 1), 1.67326324 * (1 / E - 1), 0, 0.25, 2)],
    "sigmoid": [sig(x) for x in X],
    "log_sigmoid": [math.log(sig(x)) for x in X],
    "softplus": [math.log(1 + math.exp(x)) for x in X],
    "softsign": [-0.75, -0.5, 0, 0.2, 2 / 3],
    "silu": [x * sig(x) for x in X],
    "swish": [x * sig(x) for x in X],
    "mish": [x * math.tanh(math.log(1 + math.exp(x))) for x in X],
    "gelu": [x * 0.5 * (1 + math.erf(x / math.sqrt(2))) for x in X],
    "tanh": [math.tanh(x) for x in X],
    "tanh_shrink": [x - math.tanh(x) for x in X],
    "hard_sigmoid": [0, 1 / 3, 0.5, 0.25 / 6 + 0.5, 5 / 6],
    "hard_silu": [0, -1 / 3, 0, 0.25 * (0.25 / 6 + 0.5), 5 / 3],
    "hard_swish": [0, -1 / 3, 0, 0.25 * (0.25 / 6 + 0.5), 5 / 3],
    "hard_tanh": [-1, -1, 0, 0.25, 1],
    "hard_shrink": [-3, -1, 0, 0, 2],
    "soft_shrink": [-2.5, -0.5, 0, 0, 1.5],
    "squareplus": [(x + math.sqrt(x * x + 4)) / 2 for x in X],
    "sparse_plus": [0, 0, 0.25, 1.25**2 / 4, 2],
    "sparse_sigmoid": [0, 0, 0.5, 0.625, 1],
    "softmax": [math.exp(x) / sum(map(math.exp, X)) for x in X],
    "log_softmax": [x - math.log(sum(map(math.exp, X))) for x in X],
    "sparsemax": [0, 0, 0, 0, 1],
}


@pytest.mark.parametrize("name", VALUES)
def test_known_values(engine: str, name: str) -> None:
    y = activations.get(name)(np.array(X, dtype="float32"))
    assert_close(y.numpy(), np.array(VALUES[name], dtype="float32"), atol=5e-7)  # float32 numbers up to 10


def test_every_activation_has_known_values() -> None:
    assert set(activations.__all__) - {"get", "glu", "threshold"} <= set(VALUES)


def test_glu_gates_one_half_with_the_other() -> None:
    y = activations.glu(np.array([[1.0, 2.0, 0.0, -1.0]], dtype="float32")).numpy()
    assert_close(y, np.array([[0.5, 2 * sig(-1)]], dtype="float32"), atol=1e-7)


def test_threshold() -> None:
    assert activations.threshold(np.array([0.5, 2.0]), 1.0, -7.0).numpy().tolist() == [-7.0, 2.0]


def test_relus_settings() -> None:
    x = np.array([-2.0, 0.5, 3.0, 9.0], dtype="float32")
    assert activations.relu(x, negative_slope=0.5).numpy().tolist() == [-1.0, 0.5, 3.0, 9.0]
    assert activations.relu(x, max_value=4.0).numpy().tolist() == [0.0, 0.5, 3.0, 4.0]
    assert activations.relu(x, negative_slope=0.5, threshold=1.0).numpy().tolist() == [-1.5, -0.25, 3.0, 9.0]


def test_gelu_is_exact_in_layers_and_approximate_in_ops() -> None:
    x = np.array([1.0], dtype="float32")
    assert activations.gelu(x).item() == pytest.approx(0.8413447, abs=1e-6)
    assert ops.gelu(x).item() == pytest.approx(0.8411920, abs=1e-6)


def test_sparsemax_is_a_distribution_with_exact_zeros() -> None:
    y = ops.sparsemax(np.array([[1.0, 0.8, -2.0], [0.0, 0.0, 0.0]])).numpy()
    assert_close(y, np.array([[0.6, 0.4, 0.0], [1 / 3, 1 / 3, 1 / 3]]), atol=1e-15)


# --- far out ---------------------------------------------------------------------------------------------------------

FAR = np.array([-1e30, -1000.0, -100.0, 0.0, 100.0, 1000.0, 1e30], dtype="float32")


def test_sigmoid_far_out_is_0_and_1_without_warnings(engine: str) -> None:
    y = ops.sigmoid(np.array([-1000.0, 1000.0], dtype="float32"))
    assert y.numpy().tolist() == [0.0, 1.0]


def test_softmax_far_out_is_finite(engine: str) -> None:
    y = ops.softmax(np.array([[1e30, -1e30, 0.0], [-1e30, -1e30, -1e30]], dtype="float32")).numpy()
    assert y[0].tolist() == [1.0, 0.0, 0.0]
    assert_close(y[1], np.full(3, 1 / 3, dtype="float32"), atol=1e-7)


@pytest.mark.parametrize(
    "name", ["sigmoid", "log_sigmoid", "softplus", "softsign", "silu", "tanh", "elu", "selu", "celu", "mish", "relu6",
             "hard_silu", "softmax", "log_softmax"]
)  # fmt: skip
def test_values_and_slopes_far_out_are_finite(engine: str, name: str) -> None:
    x = Tensor(FAR)
    with GradientTape() as tape:
        tape.watch(x)
        y = activations.get(name)(x)
    assert np.isfinite(y.numpy()).all()
    assert np.isfinite(tape.gradient(y, x).numpy()).all()


SLOPES_AT_KINKS = [("relu", 0.0, 0.0), ("relu6", 6.0, 0.0), ("absolute", 0.0, 0.0), ("leaky_relu", 0.0, 0.2)]


@pytest.mark.parametrize(("name", "at", "slope"), SLOPES_AT_KINKS)
def test_slopes_at_kinks_are_those_of_the_docstring(engine: str, name: str, at: float, slope: float) -> None:
    x = Tensor([at])
    with GradientTape() as tape:
        tape.watch(x)
        y = getattr(ops, name)(x)
    assert_close(tape.gradient(y, x).numpy(), np.float32([slope]))


# --- names and logits ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("identifier", "expected"), [(None, "linear"), ("relu", "relu"), ("ReLU", "relu")])
def test_names(identifier: Any, expected: str) -> None:
    assert activations.get(identifier) is getattr(activations, expected)


def test_a_users_function_is_taken_as_it_is() -> None:
    assert activations.get(abs) is abs


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"'reluu'.*celu, elu, exponential.*Did you mean 'relu'"):
        activations.get("reluu")


@pytest.mark.parametrize("name", ["softmax", "sigmoid"])
def test_the_output_remembers_its_logits(engine: str, name: str) -> None:
    x = Tensor([[1.0, 2.0]])
    made_by, logits = getattr(ops, name)(x).origin
    assert made_by == name
    assert logits is x
    assert getattr(ops, name)(np.array([[1.0, 2.0]])).origin[1].numpy().tolist() == [[1.0, 2.0]]


def test_a_softmax_over_another_axis_remembers_nothing() -> None:
    assert ops.softmax(Tensor([[1.0, 2.0]]), axis=0).origin is None


def test_what_is_computed_from_a_softmax_has_no_logits() -> None:
    y = ops.softmax(Tensor([[1.0, 2.0]]))
    assert (y * 1.0).origin is None
    assert ops.reshape(y, (2, 1)).origin is None
