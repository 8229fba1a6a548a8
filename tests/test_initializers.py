"""First values of weights: limits and moments by the formulas, repeatable, and the same on every engine."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from helpers import assert_same_bits
from netchu import engines, initializers, random
from netchu.errors import UsageError
from netchu.initializers import fans
from netchu.layers import Dense

SHAPE = (784, 512)
N = 784 * 512

# name -> (limit, standard deviation) for a kernel of SHAPE: uniform ones reach their limit, stddev = limit / sqrt(3);
# truncated normal ones stop at two standard deviations of the normal that was cut, 0.8796 of which remain.
UNIFORM = {
    "glorot_uniform": math.sqrt(6 / (784 + 512)),
    "he_uniform": math.sqrt(6 / 784),
    "lecun_uniform": math.sqrt(3 / 784),
    "random_uniform": 0.05,
}
NORMAL = {
    "glorot_normal": math.sqrt(2 / (784 + 512)),
    "he_normal": math.sqrt(2 / 784),
    "lecun_normal": math.sqrt(1 / 784),
}
RANDOM = [*UNIFORM, *NORMAL, "random_normal", "truncated_normal", "variance_scaling"]


def test_the_limit_of_the_tutorials_first_kernel() -> None:
    values = initializers.get("glorot_uniform")(SHAPE)
    assert np.abs(values).max() == pytest.approx(0.0680414, abs=1e-6)


@pytest.mark.parametrize("name", UNIFORM)
def test_uniform_within_the_limit_with_the_right_spread(name: str) -> None:
    values, limit = initializers.get(name)(SHAPE), UNIFORM[name]
    assert 0.9999 * limit < values.max() <= limit * (1 + 1e-6)
    assert -limit * (1 + 1e-6) <= values.min() < -0.9999 * limit
    assert values.std(dtype="float64") == pytest.approx(limit / math.sqrt(3), rel=5e-3)
    assert abs(values.mean(dtype="float64")) < 5 * limit / math.sqrt(3 * N)


@pytest.mark.parametrize("name", NORMAL)
def test_truncated_normal_with_the_right_spread_after_truncation(name: str) -> None:
    values, stddev = initializers.get(name)(SHAPE), NORMAL[name]
    assert values.std(dtype="float64") == pytest.approx(stddev, rel=5e-3)
    assert np.abs(values).max() <= 2 * stddev / 0.87962566 * (1 + 1e-6)
    assert np.abs(values).max() > 1.99 * stddev / 0.87962566
    assert abs(values.mean(dtype="float64")) < 5 * stddev / math.sqrt(N)


def test_random_normal_is_not_cut_and_truncated_normal_is() -> None:
    values = initializers.RandomNormal(mean=1.0, stddev=0.5)(SHAPE)
    assert (values.mean(dtype="float64"), values.std(dtype="float64")) == pytest.approx((1.0, 0.5), abs=5e-3)
    assert np.abs(values - 1).max() > 3 * 0.5
    cut = initializers.TruncatedNormal(mean=1.0, stddev=0.5)(SHAPE)
    assert np.abs(cut - 1).max() <= 1.0 + 1e-6
    assert cut.std(dtype="float64") == pytest.approx(0.5 * 0.87962566, rel=5e-3)


def test_untruncated_normal() -> None:
    values = initializers.VarianceScaling(2.0, "fan_out", "untruncated_normal")(SHAPE)
    assert values.std(dtype="float64") == pytest.approx(math.sqrt(2 / 512), rel=5e-3)
    assert np.abs(values).max() > 3 * math.sqrt(2 / 512)


@pytest.mark.parametrize(("name", "value"), [("zeros", 0.0), ("ones", 1.0), ("constant", 0.0)])
def test_constants(name: str, value: float) -> None:
    assert initializers.get(name)((2, 3)).tolist() == [[value] * 3] * 2
    assert initializers.Constant(2.5)((2,), dtype="float64").dtype == np.float64


FANS: list[tuple[tuple[int, ...], tuple[int, int]]] = [
    ((784, 512), (784, 512)),
    ((3, 3, 16, 32), (144, 288)),
    ((5, 4, 8), (20, 40)),
    ((7,), (7, 7)),
    ((), (1, 1)),
]


@pytest.mark.parametrize(("shape", "expected"), FANS)
def test_fans(shape: tuple[int, ...], expected: tuple[int, int]) -> None:
    assert fans(shape) == expected


@pytest.mark.parametrize("name", RANDOM)
def test_a_given_seed_gives_the_same_values_each_time(name: str) -> None:
    make = type(initializers.get(name))
    first, second, other = make(seed=3)((20, 30)), make(seed=3)((20, 30)), make(seed=4)((20, 30))
    assert_same_bits(first, second)
    assert first.tolist() != other.tolist()


@pytest.mark.parametrize("name", RANDOM)
def test_the_programs_seed_repeats_and_two_layers_differ(name: str) -> None:
    random.set_seed(11)
    first = [initializers.get(name)((20, 30)) for _ in range(2)]
    random.set_seed(11)
    again = [initializers.get(name)((20, 30)) for _ in range(2)]
    assert_same_bits(first, again)
    assert first[0].tolist() != first[1].tolist()


def test_two_layers_start_differently() -> None:
    a, b = Dense(5), Dense(5)
    x = np.zeros((1, 4), dtype="float32")
    a(x), b(x)
    assert a.kernel.numpy().tolist() != b.kernel.numpy().tolist()
    assert a.bias.numpy().tolist() == [0.0] * 5


def test_first_values_are_the_same_on_every_engine(traced_engine: engines.Engine) -> None:
    kernels = []
    for engine in ("numpy", traced_engine.name):
        engines.set_engine(engine)
        random.set_seed(2)
        layer = Dense(5, kernel_initializer="he_normal")
        layer(np.zeros((1, 4), dtype="float32"))
        kernels.append(layer.kernel.numpy())
    assert_same_bits(*kernels)


@pytest.mark.parametrize("name", [*UNIFORM, *NORMAL, "zeros", "ones", "random_normal"])
def test_values_are_float32_of_the_shape(name: str) -> None:
    values = initializers.get(name)((3, 4))
    assert (values.dtype, values.shape) == (np.float32, (3, 4))


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"mode": "fan"}, r"VarianceScaling: expected mode among 'fan_in', .*mode='fan'"),
    ({"distribution": "normal"}, "distribution='normal'"),
    ({"scale": 0.0}, r"VarianceScaling: expected scale > 0\. Got: scale=0\.0"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED)
def test_wrong_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        initializers.VarianceScaling(**settings)
