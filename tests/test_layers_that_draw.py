"""Layers that draw: what they draw, when they draw anew, and that a run that is cut goes on with the same draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from helpers import assert_close
from netchu import Sequential, engines
from netchu.errors import ShapeError, UsageError
from netchu.layers import (
    AlphaDropout,
    Dense,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    Input,
    Layer,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
    SpatialDropout2D,
)
from netchu.layers.regularization import SELU_FLOOR
from netchu.tensor import unwrap, wrap
from small_nets import clusters

LAYERS: dict[str, Callable[..., Layer]] = {
    "AlphaDropout": lambda **k: AlphaDropout(0.5, **k),
    "Dropout": lambda **k: Dropout(0.5, **k),
    "Dropout-shared": lambda **k: Dropout(0.5, noise_shape=(None, 1, None, None), **k),
    "GaussianDropout": lambda **k: GaussianDropout(0.5, **k),
    "GaussianNoise": lambda **k: GaussianNoise(0.5, **k),
    "RandomRotation": lambda **k: RandomRotation(0.3, **k),
    "RandomTranslation": lambda **k: RandomTranslation(0.3, 0.2, **k),
    "RandomZoom": lambda **k: RandomZoom(0.3, **k),
    "SpatialDropout2D": lambda **k: SpatialDropout2D(0.5, **k),
}
FUSED_ATOL = 1e-5
"""Compiled and eager, absolutely: a compiler joins products and sums, which rounds less, so that the place of a pixel
may differ by 1e-6; between neighbours the images here change by up to 6.  Another draw would change them by 0.1."""

IMAGES = np.random.default_rng(0).normal(size=(12, 6, 5, 4)).astype("float32")


@pytest.fixture(params=LAYERS)
def make(request: pytest.FixtureRequest) -> Callable[..., Layer]:
    return LAYERS[request.param]


def drawn(layer: Layer, steps: int = 3) -> list[np.ndarray]:
    return [layer(IMAGES, training=True).numpy() for _ in range(steps)]


# --- all of them -----------------------------------------------------------------------------------------------------


def test_every_layer_that_draws_is_here() -> None:
    from netchu import layers
    from netchu.layers.augmentation import _RandomTransform
    from netchu.layers.regularization import _Random

    drawing = {name for name, cls in layers.registry.table.items() if issubclass(cls, (_Random, _RandomTransform))}
    assert {name.partition("-")[0] for name in LAYERS} == drawing


def test_outside_training_it_is_the_identity(make: Callable[..., Layer], engine: str) -> None:
    layer = make()
    assert np.array_equal(layer(IMAGES, training=False), IMAGES)
    assert layer.stream.step.item() == 0
    assert not np.array_equal(layer(IMAGES, training=True), IMAGES)


def test_draws_repeat_for_the_same_seed_stream_and_step(make: Callable[..., Layer], engine: str) -> None:
    for first, second in zip(drawn(make(seed=3)), drawn(make(seed=3))):
        assert np.array_equal(first, second)


def test_draws_differ_from_step_to_step_seed_to_seed_and_layer_to_layer(
    make: Callable[..., Layer], engine: str
) -> None:
    outputs = [*drawn(make(seed=3)), *drawn(make(seed=4)), *drawn(make()), *drawn(make())]
    assert len({output.tobytes() for output in outputs}) == len(outputs) == 12


def test_draws_differ_from_sample_to_sample(make: Callable[..., Layer], engine: str) -> None:
    same = np.repeat(IMAGES[:1], 12, axis=0)
    assert len(np.unique(make(seed=3)(same, training=True).numpy(), axis=0)) > 6


def test_a_run_that_is_cut_goes_on_with_the_same_draws(make: Callable[..., Layer], engine: str) -> None:
    whole, first, second = drawn(make(seed=3), 5), make(seed=3), make(seed=3)
    drawn(first, 2)
    for name, variable in second.state().items():
        variable.assign(first.state()[name].numpy())
    for after, expected in zip(drawn(second), whole[2:]):
        assert np.array_equal(after, expected)


def test_draws_are_the_same_compiled_and_eager(make: Callable[..., Layer], engine: str) -> None:
    eager, layer = drawn(make(seed=3)), make(seed=3)
    layer.ensure_built(IMAGES.shape)
    compiled = engines.current().trace(lambda x: unwrap(layer(wrap(x), training=True)), layer.state())
    images = engines.current().asarray(IMAGES)
    for output in eager:
        assert_close(np.asarray(compiled(images)), output, atol=FUSED_ATOL)


# --- Dropout ---------------------------------------------------------------------------------------------------------

RATES = [0.1, 0.3, 0.5, 0.9]


@pytest.mark.parametrize("rate", RATES)
def test_dropout_drops_its_share_and_keeps_the_mean(rate: float, engine: str) -> None:
    n = 200_000
    y = Dropout(rate, seed=5)(np.ones((400, 500), "float32"), training=True).numpy()
    assert set(np.unique(y).tolist()) == {0.0, float(np.float32(1) / np.float32(1 - rate))}
    five_sigma = 5 * np.sqrt(rate * (1 - rate) / n)
    assert (y == 0).mean() == pytest.approx(rate, abs=five_sigma)
    assert y.mean() == pytest.approx(1, abs=five_sigma / (1 - rate))


def test_dropout_of_nothing_is_the_identity(engine: str) -> None:
    for layer in (Dropout(0.0), AlphaDropout(0.0), SpatialDropout2D(0.0), GaussianDropout(0.0), GaussianNoise(0.0)):
        assert np.array_equal(layer(IMAGES, training=True), IMAGES)


def test_dropout_in_a_compiled_fit_takes_a_step_of_its_own_each_time(engine: str) -> None:
    x, y = clusters()
    model = Sequential([Input((6,)), Dropout(0.5, seed=3), Dense(3, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    model.fit(x, y, batch_size=20, epochs=2, verbose=0)
    model.evaluate(x, y, verbose=0)
    assert model.layers[0].stream.step.item() == 6


def test_dropout_shares_draws_along_an_axis() -> None:
    y = Dropout(0.5, noise_shape=(None, 1, 3), seed=1)(np.ones((50, 4, 3), "float32"), training=True).numpy()
    assert np.array_equal(y, np.broadcast_to(y[:, :1], y.shape))
    assert len(np.unique(y[:, 0], axis=0)) == 8


@pytest.mark.parametrize("noise_shape", [(50, 1), (50, 1, 2), (1, 1, 1, 1)])
def test_dropout_refuses_a_noise_shape_that_does_not_fit(noise_shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"layer 'dropout' \(Dropout\): expected noise_shape .*\(None, 4, 3\). Got: "):
        Dropout(0.5, noise_shape)(np.ones((50, 4, 3), "float32"))


def test_spatial_dropout_drops_whole_channels(engine: str) -> None:
    y = SpatialDropout2D(0.3, seed=1)(np.ones((500, 3, 2, 8), "float32"), training=True).numpy()
    assert np.array_equal(y, np.broadcast_to(y[:, :1, :1], y.shape))
    assert (y[:, 0, 0] == 0).mean() == pytest.approx(0.3, abs=5 * math.sqrt(0.3 * 0.7 / 4000))


def test_alpha_dropout_keeps_mean_and_variance(engine: str) -> None:
    n, rate = 400_000, 0.2
    x = np.random.default_rng(1).normal(size=n).astype("float32")
    y = AlphaDropout(rate, seed=1)(x[:, None], training=True).numpy()
    value, count = np.unique(y, return_counts=True)
    floor = value[count.argmax()]  # what is dropped has one value, all others differ
    assert count.max() / n == pytest.approx(rate, abs=5 * math.sqrt(rate * (1 - rate) / n))
    assert floor < SELU_FLOOR / 2
    assert y.mean() == pytest.approx(0, abs=5 / math.sqrt(n))
    assert y.var() == pytest.approx(1, abs=5 * math.sqrt(2 / n))


# --- noise -----------------------------------------------------------------------------------------------------------


def test_gaussian_noise_has_its_mean_and_deviation(engine: str) -> None:
    n = 200_000
    noise = GaussianNoise(0.3, seed=1)(np.full((400, 500), 7, "float32"), training=True).numpy() - 7
    assert noise.mean() == pytest.approx(0, abs=5 * 0.3 / math.sqrt(n))
    assert noise.std() == pytest.approx(0.3, abs=5 * 0.3 / math.sqrt(2 * n))


@pytest.mark.parametrize("rate", RATES)
def test_gaussian_dropout_has_the_mean_and_variance_of_dropout(rate: float, engine: str) -> None:
    n, stddev = 200_000, math.sqrt(rate / (1 - rate))
    y = GaussianDropout(rate, seed=1)(np.ones((400, 500), "float32"), training=True).numpy()
    assert y.mean() == pytest.approx(1, abs=5 * stddev / math.sqrt(n))
    assert y.std() == pytest.approx(stddev, abs=5 * stddev / math.sqrt(2 * n))


# --- arguments -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [1, 1.5, -0.1, True, "half"])
@pytest.mark.parametrize("layer", [Dropout, AlphaDropout, GaussianDropout, SpatialDropout2D])
def test_dropout_refuses_a_rate_outside_its_range(layer: type[Layer], rate: Any) -> None:
    with pytest.raises(UsageError, match=rf"{layer.__name__}: expected 0 <= rate < 1.*Got: rate={rate!r}\."):
        layer(rate)


@pytest.mark.parametrize("stddev", [-0.1, 1.5])
def test_gaussian_noise_refuses_a_deviation_outside_its_range(stddev: float) -> None:
    with pytest.raises(UsageError, match=rf"GaussianNoise: expected stddev from 0 to 1. Got: stddev={stddev}"):
        GaussianNoise(stddev)


def test_spatial_dropout_refuses_what_is_no_image() -> None:
    with pytest.raises(ShapeError, match=r"SpatialDropout2D.*images \(batch, height, width, channels\)"):
        SpatialDropout2D(0.5)(np.ones((2, 3), "float32"))
    with pytest.raises(UsageError, match=r"SpatialDropout2D.*channels_last"):
        SpatialDropout2D(0.5, "channels_first")
