"""Digits as other hands would have written them: turned, slanted, stretched, moved and bent, anew in each step.

    distort = RandomDistortion(rotation=0.035, shear=0.15, zoom=0.12, translation=0.05, bend=0.6)
    distorted = distort(images, training=True)                         # (batch, height, width, channels)

All of it is one map of the plane and each image is read once: layer after layer, such as RandomRotation and RandomZoom,
each take a mean of neighbouring pixels, and a stroke comes out blurred as no test image is.

Limits: what lies outside an image repeats its edge; outside training images stay as they are.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from netchu.arguments import check_numbers
from netchu.engines import Array, xp
from netchu.layers.base import BatchShape, ShapeKeepingLayer
from netchu.layers.images import check_images
from netchu.ops.image import sample
from netchu.random import Stream
from netchu.tensor import Tensor

KNOTS = 6  # along each side: where the field of the bend is drawn


class RandomDistortion(ShapeKeepingLayer):
    """Distorts each image by a map of its own.

        output(y, x) = image(cy + zy * v + by - dy, cx + zx * u + bx - dx)
        (v, u) = (cos t * q + sin t * p, cos t * p - sin t * q),  p = x - cx + k * q,  q = y - cy
        cy = (height - 1) / 2,  cx = (width - 1) / 2

    t, k, zy - 1, zx - 1, dy and dx are uniform from minus their bound to plus; by and bx are two smooth random fields.
    Shapes: input and output (batch, height, width, channels).

    Args:
        rotation: the largest angle t, as a share of a full turn.
        shear: the largest slant k: pixels sideways for each pixel up.
        zoom: how much smaller or larger each axis becomes at most, as a share.
        translation: how far dy, dx at most, as a share of height and width.
        bend: standard deviation of the field, in pixels.  It is drawn at 6 x 6 knots, uniformly, and interpolated
            between them with normal weights 0.7 knots wide.
        seed: a seed of your own; None takes the program's.
        name: see `Layer`.

    Raises:
        UsageError: a bound below 0; zoom, translation or rotation above 1.
        ShapeError: an input that is no batch of images.

    References:
        Simard, Steinkraus, Platt, "Best Practices for Convolutional Neural Networks Applied to Visual Document
        Analysis" (2003), who blur a field drawn for each pixel.
    """

    def __init__(
        self,
        rotation: float = 0.0,
        shear: float = 0.0,
        zoom: float = 0.0,
        translation: float = 0.0,
        bend: float = 0.0,
        seed: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(**settings)
        check_numbers("RandomDistortion", 0, 1, rotation=rotation, zoom=zoom, translation=translation)
        check_numbers("RandomDistortion", 0, shear=shear, bend=bend)
        self.rotation = float(rotation)
        self.shear = float(shear)
        self.zoom = float(zoom)
        self.translation = float(translation)
        self.bend = float(bend)
        self.seed = seed
        self.stream = Stream(seed)

    def build(self, input_shape: BatchShape) -> None:
        """Check that the input is images."""
        check_images(self, input_shape)

    def call(self, x: Tensor, training: bool = False) -> Tensor:
        """Distorted in training, else x itself."""
        return sample(x, *self.draw_places(*x.shape[:3]), fill_mode="nearest") if training else x

    def draw_places(self, batch: int, height: int, width: int) -> tuple[Array, Array]:
        """Where each pixel of the output looks: y and x, each (batch, height, width)."""
        u = 2 * self.stream.uniform((batch, 6, 1, 1)) - 1
        t = 2 * math.pi * self.rotation * u[:, 0]
        k = self.shear * u[:, 1]
        zy = 1 + self.zoom * u[:, 2]
        zx = 1 + self.zoom * u[:, 3]
        dy = self.translation * height * u[:, 4]
        dx = self.translation * width * u[:, 5]
        cy = (height - 1) / 2
        cx = (width - 1) / 2
        q = xp.astype(xp.arange(height), xp.float32)[None, :, None] - cy
        p = xp.astype(xp.arange(width), xp.float32)[None, None, :] - cx + k * q
        sin = xp.sin(t)
        cos = xp.cos(t)
        y = cy + zy * (cos * q + sin * p) - dy
        x = cx + zx * (cos * p - sin * q) - dx
        if not self.bend:
            return y, x
        field = (2 * self.stream.uniform((batch, 2, KNOTS, KNOTS)) - 1) * (self.bend * math.sqrt(3))
        field = xp.matmul(xp.matmul(_weights(height), field), _weights(width).T)
        return y + field[:, 0], x + field[:, 1]


def _weights(length: int) -> np.ndarray:
    """How much each pixel takes from each knot, (length, KNOTS); the squares of a row add up to 1.

    So the field's variance is everywhere that of the knots.
    """
    apart = length / (KNOTS - 1)
    knots = apart * np.arange(KNOTS) - 0.5
    weights = np.exp(-0.5 * ((np.arange(length)[:, None] - knots) / (0.7 * apart)) ** 2)
    weights /= np.sqrt((weights**2).sum(axis=1, keepdims=True))
    return weights.astype(np.float32)
