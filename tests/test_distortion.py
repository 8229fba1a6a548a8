"""RandomDistortion: the map that its draws make, beside matrices and SciPy, and what it refuses."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from netchu import engines, ops
from netchu.digits.distortion import RandomDistortion
from netchu.errors import ShapeError, UsageError
from netchu.tensor import Tensor

HEIGHT = 9
WIDTH = 12
ALL = {"rotation": 0.1, "shear": 0.3, "zoom": 0.2, "translation": 0.15, "bend": 0.8}


def drawn(n: int = 5, **bounds: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The six numbers (n, 6) that a distortion's first call draws from -1 to 1, and that call's places."""
    to_numpy = engines.current().to_numpy
    twin = RandomDistortion(**bounds, seed=3)
    u = 2 * to_numpy(twin.stream.uniform((n, 6, 1, 1)))[:, :, 0, 0] - 1
    y, x = map(to_numpy, RandomDistortion(**bounds, seed=3).draw_places(n, HEIGHT, WIDTH))
    return u, np.broadcast_to(y, (n, HEIGHT, WIDTH)), np.broadcast_to(x, (n, HEIGHT, WIDTH))


def test_each_place_is_the_product_of_the_four_maps(engine: str) -> None:
    """Slanted, turned, stretched and moved, as 3 x 3 matrices one after the other, pixel by pixel."""
    bounds = {name: bound for name, bound in ALL.items() if name != "bend"}
    u, y, x = drawn(**bounds)
    middle = np.array([[1, 0, (HEIGHT - 1) / 2], [0, 1, (WIDTH - 1) / 2], [0, 0, 1]])  # of (y, x, 1)
    for i in range(len(u)):
        t = 2 * math.pi * ALL["rotation"] * u[i, 0]
        slant = np.array([[1, 0, 0], [ALL["shear"] * u[i, 1], 1, 0], [0, 0, 1]])
        turn = np.array([[math.cos(t), math.sin(t), 0], [-math.sin(t), math.cos(t), 0], [0, 0, 1]])
        stretch = np.diag([1 + ALL["zoom"] * u[i, 2], 1 + ALL["zoom"] * u[i, 3], 1])
        move = np.array([[1, 0, -0.15 * HEIGHT * u[i, 4]], [0, 1, -0.15 * WIDTH * u[i, 5]], [0, 0, 1]])
        whole = move @ middle @ stretch @ turn @ slant @ np.linalg.inv(middle)
        for row in range(HEIGHT):
            for column in range(WIDTH):
                expected = whole @ [row, column, 1]
                assert (y[i, row, column], x[i, row, column]) == pytest.approx(expected[:2], abs=1e-4)


def test_the_image_moves_where_the_numbers_say(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three rows down, two columns to the left."""
    image = np.zeros((1, 9, 9, 1), "float32")
    image[0, 4, 4] = 1
    distortion = RandomDistortion(translation=0.5)
    u = np.array([0, 0, 0, 0, 3, -2], "float32") / (0.5 * 9)
    monkeypatch.setattr(distortion.stream, "uniform", lambda shape: ((u + 1) / 2).reshape(shape))
    moved = distortion(image, training=True).numpy()[0, :, :, 0]
    assert np.argwhere(moved > 0.99).tolist() == [[7, 2]]


def test_the_bend_is_a_weighted_sum_of_its_knots(engine: str) -> None:
    """At each pixel all 6 x 6 knots, weighted along each axis, squares adding up to 1."""
    twin = RandomDistortion(bend=0.8, seed=3)
    to_numpy = engines.current().to_numpy
    twin.stream.uniform((2, 6, 1, 1))
    knots = (2 * to_numpy(twin.stream.uniform((2, 2, 6, 6))) - 1) * 0.8 * math.sqrt(3)
    y, x = map(to_numpy, RandomDistortion(bend=0.8, seed=3).draw_places(2, HEIGHT, WIDTH))

    def weights(pixel: int, length: int) -> np.ndarray:
        apart = np.array([(pixel + 0.5) / (length / 5) - knot for knot in range(6)])
        normal = np.exp(-0.5 * (apart / 0.7) ** 2)
        return normal / np.sqrt(np.sum(normal**2))

    for row, column in ((0, 0), (4, 7), (HEIGHT - 1, 2)):
        weight = np.outer(weights(row, HEIGHT), weights(column, WIDTH))
        for i in range(2):
            assert y[i, row, column] == pytest.approx(row + np.sum(weight * knots[i, 0]), abs=1e-5)
            assert x[i, row, column] == pytest.approx(column + np.sum(weight * knots[i, 1]), abs=1e-5)


def test_the_bend_has_its_standard_deviation_at_every_pixel_and_is_smooth() -> None:
    _, y, x = drawn(4000, bend=0.8)
    rows = np.arange(HEIGHT)[:, None]
    columns = np.arange(WIDTH)
    for field in (y - rows, x - columns):
        assert field.std(axis=0) == pytest.approx(np.full((HEIGHT, WIDTH), 0.8), rel=0.06)
        assert abs(field.mean(axis=0)).max() < 0.06
    correlation = np.corrcoef((y - rows)[:, 4, 5], (y - rows)[:, 4, 6])[0, 1]
    assert correlation > 0.8
    assert abs(np.corrcoef((y - rows)[:, 4, 5], (x - columns)[:, 4, 5])[0, 1]) < 0.06


def test_without_bounds_nothing_changes() -> None:
    image = np.random.default_rng(0).random((2, 7, 6, 3), dtype=np.float32)
    assert np.array_equal(RandomDistortion()(image, training=True).numpy(), image)


def test_what_lies_outside_repeats_the_edge() -> None:
    """An image of one shade stays one, however it is moved."""
    image = np.full((20, 7, 6, 1), 0.75, "float32")
    assert RandomDistortion(**ALL)(image, training=True).numpy() == pytest.approx(image, abs=1e-6)


def test_outside_training_images_stay_as_they_are() -> None:
    image = Tensor(np.random.default_rng(0).random((2, 7, 6, 1), dtype=np.float32))
    assert RandomDistortion(**ALL)(image) is image


def test_each_call_draws_anew_and_a_seed_repeats() -> None:
    image = np.random.default_rng(0).random((2, 12, 12, 1), dtype=np.float32)

    def both(seed: int) -> list[np.ndarray]:
        distortion = RandomDistortion(**ALL, seed=seed)
        return [distortion(image, training=True).numpy() for _ in range(2)]

    first, second = both(1)
    assert not np.array_equal(first, second)
    assert not np.array_equal(first[0], first[1])
    assert np.array_equal(both(1), [first, second])
    assert not np.array_equal(both(2)[0], first)


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"rotation": -0.1}, "rotation from 0 to 1"),
        ({"zoom": 1.5}, "zoom from 0 to 1"),
        ({"translation": math.nan}, "translation from 0 to 1"),
        ({"shear": -1}, "shear >= 0"),
        ({"bend": "much"}, "bend >= 0"),
    ],
)
def test_a_bound_that_cannot_be_meant_is_an_error(bounds: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=f"RandomDistortion: expected {said}"):
        RandomDistortion(**bounds)


def test_anything_but_images_is_an_error() -> None:
    with pytest.raises(ShapeError, match="height, width, channels"):
        RandomDistortion(**ALL)(np.zeros((3, 784), "float32"), training=True)


def test_sample_reads_between_pixels() -> None:
    images = np.arange(2 * 3 * 4, dtype="float32").reshape(2, 3, 4, 1)
    y = np.array([[[0.5, 1.25]], [[2.0, -1.0]]], "float32")
    x = np.array([[[1.0, 0.5]], [[3.0, 0.0]]], "float32")
    read = ops.image.sample(images, y, x, fill_value=-7.0).numpy()
    assert read.shape == (2, 1, 2, 1)
    assert read.ravel() == pytest.approx([3.0, 5.5, 23.0, -7.0])
    assert ops.image.sample(images, y, x, fill_mode="nearest").numpy().ravel()[3] == 12.0


def test_sample_is_scipys(engine: str) -> None:
    """Places inside and outside, where the edge repeats."""
    ndimage = pytest.importorskip("scipy.ndimage")
    draw = np.random.default_rng(1)
    images = draw.random((3, 6, 5, 2), dtype=np.float32)
    y, x = draw.uniform(-4, 9, (2, 3, 7, 8)).astype(np.float32)
    ours = ops.image.sample(images, y, x, fill_mode="nearest").numpy()
    for i in range(3):
        for channel in range(2):
            theirs = ndimage.map_coordinates(images[i, :, :, channel], [y[i], x[i]], order=1, mode="nearest")
            assert ours[i, :, :, channel] == pytest.approx(theirs, abs=1e-5)


def test_sample_checks_its_arguments() -> None:
    images = np.zeros((2, 4, 4, 1), "float32")
    places = np.zeros((2, 3, 3), "float32")
    for wrong in ((images[0], places, places), (images, places[:1], places[:1]), (images, places, places[:, :2])):
        with pytest.raises(ShapeError, match=r"sample: expected images .*Got: images.shape="):
            ops.image.sample(*wrong)
    with pytest.raises(UsageError, match="interpolation"):
        ops.image.sample(images, places, places, "cubic")
