"""Images that are moved, turned and zoomed: by whole pixels worked out by hand, the ranges drawn from, and errors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from helpers import assert_close
from netchu import Sequential, ops
from netchu.errors import ShapeError, UsageError
from netchu.layers import Dense, Flatten, Input, Layer, RandomRotation, RandomTranslation, RandomZoom

A, B, C, D = 1.0, 2.0, 3.0, 4.0
K = -7.0  # the fill value


def moved(layer: Layer, image: Any) -> list[Any]:
    """What the layer makes of one image (height, width)."""
    images = np.asarray(image, "float32")[None, :, :, None]
    return layer(images, training=True).numpy()[0, :, :, 0].tolist()


# --- by hand ---------------------------------------------------------------------------------------------------------

TO_THE_RIGHT = {  # the row A B C D, moved by 2 pixels
    "constant": [K, K, A, B],
    "nearest": [A, A, A, B],
    "reflect": [B, A, A, B],
    "wrap": [C, D, A, B],
}
TO_THE_LEFT = {
    "constant": [C, D, K, K],
    "nearest": [C, D, D, D],
    "reflect": [C, D, D, C],
    "wrap": [C, D, A, B],
}


@pytest.mark.parametrize("interpolation", ["bilinear", "nearest"])
@pytest.mark.parametrize("fill_mode", TO_THE_RIGHT)
def test_translation_by_whole_pixels(fill_mode: str, interpolation: str, engine: str) -> None:
    settings = {"fill_mode": fill_mode, "interpolation": interpolation, "fill_value": K}
    for share, expected in ((0.5, TO_THE_RIGHT), (-0.5, TO_THE_LEFT)):
        across = RandomTranslation(0.0, (share, share), **settings)
        down = RandomTranslation((share, share), 0.0, **settings)
        assert moved(across, [[A, B, C, D]]) == [expected[fill_mode]]
        assert moved(down, [[A], [B], [C], [D]]) == [[value] for value in expected[fill_mode]]


def test_translation_by_half_a_pixel_takes_the_mean(engine: str) -> None:
    layer = RandomTranslation(0.0, (0.125, 0.125), fill_mode="constant")
    assert moved(layer, [[A, B, C, D]]) == [[A / 2, (A + B) / 2, (B + C) / 2, (C + D) / 2]]
    nearest = RandomTranslation(0.0, (0.1, 0.1), interpolation="nearest", fill_mode="constant")
    assert moved(nearest, [[A, B, C, D]]) == [[A, B, C, D]]


@pytest.mark.parametrize("fill_mode", ["constant", "nearest", "reflect"])  # wrap jumps where an edge is an edge by 1e-7
def test_rotation_by_quarter_turns(fill_mode: str, engine: str) -> None:
    image = np.arange(9.0).reshape(3, 3)
    for quarters in range(-3, 4):
        layer = RandomRotation((quarters / 4, quarters / 4), fill_mode=fill_mode, fill_value=K)
        # cos(pi / 2) is 1e-7 in float32: a pixel of the edge lies as far outside, and takes as much of the fill value
        assert_close(moved(layer, image), np.rot90(image, quarters), atol=1e-5)


def test_zoom_by_two_keeps_the_centre(engine: str) -> None:
    image = np.arange(25.0).reshape(5, 5)
    out = moved(RandomZoom((1.0, 1.0), fill_mode="constant", fill_value=K), image)
    expected = np.full((5, 5), K)
    expected[1:4, 1:4] = image[::2, ::2]
    assert out == expected.tolist()
    tall = moved(RandomZoom((0.0, 0.0), (-0.5, -0.5)), image)
    assert tall[0] == [1.0, 1.5, 2.0, 2.5, 3.0]
    assert [row[2] for row in tall] == image[:, 2].tolist()


def test_zoom_without_a_second_factor_keeps_proportions(engine: str) -> None:
    transforms = np.asarray(ops.convert_to_tensor(RandomZoom(0.5, seed=1).draw_transforms(50, 9, 7)))
    assert np.array_equal(transforms[:, 0], transforms[:, 4])
    apart = np.asarray(ops.convert_to_tensor(RandomZoom(0.5, 0.5, seed=1).draw_transforms(50, 9, 7)))
    assert not np.array_equal(apart[:, 0], apart[:, 4])


# --- what is drawn ---------------------------------------------------------------------------------------------------

RANGES: list[tuple[Any, tuple[float, float]]] = [
    (0.2, (-0.2, 0.2)),
    (-0.2, (-0.2, 0.2)),
    ((-0.1, 0.4), (-0.1, 0.4)),
    ((0.4, -0.1), (-0.1, 0.4)),
    ([0.3, 0.3], (0.3, 0.3)),
    (1, (-1, 1)),
    (0, (0, 0)),
]


@pytest.mark.parametrize(("factor", "ends"), RANGES, ids=str)
def test_draws_fill_their_range_evenly(factor: Any, ends: tuple[float, float], engine: str) -> None:
    n, (lower, upper) = 4000, ends
    transforms = np.asarray(ops.convert_to_tensor(RandomTranslation(factor, 0.0, seed=1).draw_transforms(n, 10, 10)))
    shares = -transforms[:, 5] / 10
    assert lower - 1e-6 <= shares.min() <= lower + 0.01 * (upper - lower) + 1e-6
    assert upper + 1e-6 >= shares.max() >= upper - 0.01 * (upper - lower) - 1e-6
    assert shares.mean() == pytest.approx((lower + upper) / 2, abs=5 * (upper - lower) / math.sqrt(12 * n) + 1e-6)


def test_a_positive_angle_is_counter_clockwise_and_a_share_of_a_turn(engine: str) -> None:
    transforms = np.asarray(ops.convert_to_tensor(RandomRotation(0.25, seed=1).draw_transforms(4000, 9, 9)))
    angles = np.degrees(np.arctan2(transforms[:, 3], transforms[:, 0]))
    assert -90 - 1e-3 <= angles.min() < -89
    assert 89 < angles.max() <= 90 + 1e-3


def test_calling_it_draws_unless_training_is_false(engine: str) -> None:
    """Keras's default, which differs from that of all other layers."""
    layer, images = RandomTranslation(0.5, 0.5, seed=1), np.random.default_rng(0).random((4, 8, 8, 1), "float32")
    assert not np.array_equal(layer(images), images)
    assert np.array_equal(layer(images, training=False), images)


def test_in_a_model_it_draws_in_fit_only(engine: str) -> None:
    layer = RandomTranslation(0.5, 0.5, seed=1)
    model = Sequential([Input((8, 8, 1)), layer, Flatten(), Dense(2, activation="softmax")])
    model.compile("sgd", "sparse_categorical_crossentropy")
    x, y = np.random.default_rng(0).random((10, 8, 8, 1), "float32"), np.arange(10) % 2
    model.fit(x, y, batch_size=5, epochs=2, verbose=0)
    assert layer.stream.step.item() == 4
    assert np.array_equal(model.predict(x, verbose=0), model.predict(x, verbose=0))
    model.evaluate(x, y, verbose=0)
    assert layer.stream.step.item() == 4


@pytest.mark.parametrize("top", [1, 255])
def test_any_range_of_brightness_is_kept(top: int, engine: str) -> None:
    images = top * np.random.default_rng(0).random((6, 9, 9, 3), "float32")
    out = RandomRotation(0.3, seed=1)(images).numpy()
    assert out.dtype == np.float32
    assert images.min() - 1e-5 * top <= out.min() < out.max() <= images.max() + 1e-5 * top


# --- errors ----------------------------------------------------------------------------------------------------------

WRONG: list[tuple[type[Layer], tuple[Any, ...], str]] = [
    (
        RandomTranslation,
        (1.5, 0.1),
        r"RandomTranslation: expected height_factor as .*\[-1, 1\]. Got: height_factor=1.5",
    ),
    (RandomTranslation, (0.1, "0.1"), "RandomTranslation: expected width_factor .*Got: width_factor='0.1'"),
    (RandomTranslation, ((0.1, 0.2, 0.3), 0.1), "RandomTranslation: expected height_factor"),
    (RandomTranslation, (float("nan"), 0.1), "RandomTranslation: expected height_factor"),
    (RandomRotation, (-2,), "RandomRotation: expected factor"),
    (RandomRotation, (None,), "RandomRotation: expected factor"),
    (RandomZoom, (-1.0,), r"RandomZoom: expected height_factor as .*\(-1, 1\]"),
    (RandomZoom, (0.1, (-1, 1)), "RandomZoom: expected width_factor"),
    (RandomZoom, (0.1, None, "mirror"), "RandomZoom: .*fill_mode .*'mirror'. Known: constant, nearest, reflect, wrap"),
    (RandomZoom, (0.1, None, "wrap", "cubic"), "RandomZoom: .*interpolation .*'cubic'. Known: bilinear, nearest"),
    (RandomZoom, (0.1, None, "wrap", "nearest", None, 0, "channels_first"), "RandomZoom: .*channels_last"),
]


@pytest.mark.parametrize(("layer", "arguments", "message"), WRONG, ids=[f"{n}" for n in range(len(WRONG))])
def test_wrong_settings_are_refused(layer: type[Layer], arguments: tuple[Any, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        layer(*arguments)


@pytest.mark.parametrize("shape", [(8, 8, 1), (2, 64), (1, 2, 8, 8, 1)], ids=str)
def test_what_is_no_batch_of_images_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ShapeError, match=r"RandomRotation.*images \(batch, height, width, channels\)"):
        RandomRotation(0.1)(np.zeros(shape, "float32"))


def test_affine_transform_checks_its_arguments() -> None:
    images, transform = np.zeros((2, 4, 4, 1), "float32"), np.zeros((2, 8), "float32")
    with pytest.raises(UsageError, match=r"affine_transform: .*interpolation .*'cubic'"):
        ops.image.affine_transform(images, transform, "cubic")
    for x, t in ((images[0], transform), (images, transform[:1]), (images, transform[:, :6])):
        with pytest.raises(ShapeError, match=r"affine_transform: expected images .*Got: images.shape="):
            ops.image.affine_transform(x, t)


def test_whole_numbers_become_float32() -> None:
    images = np.arange(16, dtype="uint8").reshape(1, 4, 4, 1)
    half = np.array([[1, 0, 0.5, 0, 1, 0, 0, 0]], "float32")
    y = ops.image.affine_transform(images, half)
    assert (y.dtype, y.numpy()[0, 0, 0, 0]) == ("float32", 0.5)
