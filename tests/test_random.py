"""Random numbers: pure functions of (seed, stream, step), with the moments they should have, on each engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from helpers import assert_same_bits
from netchu import engines, random
from netchu.errors import UsageError
from netchu.layers import Dropout

N = 20_000
WITHIN = 5 / np.sqrt(N)  # five standard errors of a mean of N numbers of variance 1: once in two million


def draw(name: str, seed: int, stream: int, step: int, shape: tuple[int, ...] = (N,)) -> np.ndarray:
    return engines.current().to_numpy(getattr(engines.xp, f"random_{name}")(seed, stream, step, shape))


@pytest.mark.parametrize("name", ["uniform", "normal"])
def test_the_same_seed_stream_and_step_give_the_same_numbers(engine: str, name: str) -> None:
    first = draw(name, 3, 5, 7)
    draw(name, 3, 5, 8)  # nothing is remembered between the two
    assert first.dtype == np.float32
    assert_same_bits(draw(name, 3, 5, 7), first)


@pytest.mark.parametrize("other", [(4, 5, 7), (3, 6, 7), (3, 5, 8), (2**32 - 1, 5, 7), (7, 5, 3)])
@pytest.mark.parametrize("name", ["uniform", "normal"])
def test_another_seed_stream_or_step_gives_other_numbers(engine: str, name: str, other: tuple[int, int, int]) -> None:
    a, b = draw(name, 3, 5, 7), draw(name, *other)
    assert abs(np.corrcoef(a, b)[0, 1]) < WITHIN


def test_uniform_moments(engine: str) -> None:
    x = draw("uniform", 0, 1, 0).astype("float64")
    assert 0 <= x.min() < x.max() < 1
    assert abs(x.mean() - 0.5) < WITHIN * np.sqrt(1 / 12)
    assert abs(x.var() - 1 / 12) < WITHIN * 1 / np.sqrt(180)  # the variance of (x - 1/2) ** 2 is 1/180
    assert abs(np.corrcoef(x[1:], x[:-1])[0, 1]) < WITHIN


def test_normal_moments(engine: str) -> None:
    x = draw("normal", 0, 1, 0).astype("float64")
    assert abs(x.mean()) < WITHIN
    assert abs(x.var() - 1) < WITHIN * np.sqrt(2)
    assert abs((x**4).mean() - 3) < WITHIN * np.sqrt(96)


def test_a_shape_without_axes(engine: str) -> None:
    assert draw("uniform", 1, 2, 3, ()).shape == ()
    assert draw("normal", 1, 2, 3, (2, 0, 3)).shape == (2, 0, 3)


def test_streams_are_numbered_in_the_order_of_asking() -> None:
    random.set_seed(5)
    assert [random.next_stream() for _ in range(3)] == [(5, 1), (5, 2), (5, 3)]
    random.set_seed(5)
    assert random.next_stream() == (5, 1)
    assert random.seed() == 5


def test_a_given_seed_takes_no_number() -> None:
    random.set_seed(5)
    assert random.next_stream(9) == (9, 0)
    assert random.next_stream() == (5, 1)


@pytest.mark.parametrize("seed", [-1, 2**32, 1.5, "0", None])
def test_a_seed_outside_its_range_is_refused(seed: Any) -> None:
    with pytest.raises(UsageError, match=r"whole number from 0 to 4294967295\. Got: seed="):
        random.set_seed(seed)


def test_permutations_visit_everything_once_and_depend_on_the_epoch() -> None:
    first, second = random.permutation(1, 2, 0, 1000), random.permutation(1, 2, 1, 1000)
    assert sorted(first) == sorted(second) == list(range(1000))
    assert first.tolist() != second.tolist()
    assert_same_bits(random.permutation(1, 2, 0, 1000), first)


def test_permutations_and_first_weights_are_numpys_on_every_engine(engine: str) -> None:
    expected = np.random.Generator(np.random.Philox(key=[1, 2], counter=[0, 0, 0, 3])).permutation(10)
    assert random.permutation(1, 2, 3, 10).tolist() == expected.tolist()
    random.set_seed(4)
    expected = np.random.Generator(np.random.Philox(key=[4, 1], counter=[0, 0, 0, 0])).random(3)
    assert random.numpy_generator().random(3).tolist() == expected.tolist()


def test_a_stream_steps_on_with_each_draw(engine: str) -> None:
    stream = random.Stream(seed=2)
    first = engines.current().to_numpy(stream.uniform((5,)))
    second = engines.current().to_numpy(stream.uniform((5,)))
    assert_same_bits(first, draw("uniform", 2, 0, 0, (5,)))
    assert_same_bits(second, draw("uniform", 2, 0, 1, (5,)))
    assert int(stream.step) == 2


def test_two_layers_draw_from_two_streams(engine: str) -> None:
    x = np.ones((1, 200), dtype="float32")
    first, second = Dropout(0.5)(x, training=True).numpy(), Dropout(0.5)(x, training=True).numpy()
    assert first.tolist() != second.tolist()
