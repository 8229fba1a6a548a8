"""First values of weights, with Keras's names and formulas.

    layers.Dense(512, kernel_initializer="he_normal")

The numbers are drawn by NumPy on every engine.  fan_in and fan_out are the inputs and outputs of one unit: for a kernel
(in, out) its two lengths; for one with more axes, times the product of the axes in front (the receptive field).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from netchu.arguments import check_choice, check_numbers
from netchu.engines import Shape
from netchu.errors import missing_method
from netchu.left_to_keras import missing_names
from netchu.random import numpy_generator
from netchu.registry import Configurable, Registry

__all__ = [
    "Constant", "GlorotNormal", "GlorotUniform", "HeNormal", "HeUniform", "Initializer", "LecunNormal", "LecunUniform",
    "Ones", "RandomNormal", "RandomUniform", "TruncatedNormal", "VarianceScaling", "Zeros", "get",
]  # fmt: skip

__getattr__ = missing_names("initializers")

# The standard deviation of a standard normal that is cut off at -2 and 2.
TRUNCATED_STDDEV = 0.87962566103423978
DISTRIBUTIONS = ("truncated_normal", "untruncated_normal", "uniform")


class Initializer(Configurable):
    """Base: a subclass defines `values(shape)`; `seed` None takes the program's seed, on a stream of its own."""

    seed: int | None = None

    def values(self, shape: Shape) -> np.ndarray:
        """The first values, shape `shape`."""
        raise missing_method(self, "__call__(self, shape, dtype=None)")

    def __call__(self, shape: Shape, dtype: str = "float32") -> np.ndarray:
        """The first values as a NumPy array of `dtype`."""
        return np.asarray(self.values(tuple(shape)), dtype=dtype)


class Zeros(Initializer):
    """All 0."""

    def values(self, shape: Shape) -> np.ndarray:
        """See `Initializer`."""
        return np.zeros(shape)


class Ones(Initializer):
    """All 1."""

    def values(self, shape: Shape) -> np.ndarray:
        """See `Initializer`."""
        return np.ones(shape)


class Constant(Initializer):
    """All `value`.

    Raises:
        UsageError: a value that is no finite number.
    """

    def __init__(self, value: float = 0.0) -> None:
        check_numbers("Constant", -math.inf, value=value)
        self.value = value

    def values(self, shape: Shape) -> np.ndarray:
        """See `Initializer`."""
        return np.full(shape, self.value)


class RandomUniform(Initializer):
    """Uniform in [minval, maxval)."""

    def __init__(self, minval: float = -0.05, maxval: float = 0.05, seed: int | None = None) -> None:
        self.minval = minval
        self.maxval = maxval
        self.seed = seed

    def values(self, shape: Shape) -> np.ndarray:
        """See `Initializer`."""
        return numpy_generator(self.seed).uniform(self.minval, self.maxval, shape)


class RandomNormal(Initializer):
    """Normal with `mean` and `stddev`."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean = mean
        self.stddev = stddev
        self.seed = seed

    def values(self, shape: Shape) -> np.ndarray:
        """See `Initializer`."""
        return numpy_generator(self.seed).normal(self.mean, self.stddev, shape)


class TruncatedNormal(Initializer):
    """Normal with `mean` and `stddev`, drawn again where it lies more than two `stddev` from `mean`."""

    def __init__(self, mean: float = 0.0, stddev: float = 0.05, seed: int | None = None) -> None:
        self.mean = mean
        self.stddev = stddev
        self.seed = seed

    def values(self, shape: Shape) -> np.ndarray:
        """See `Initializer`."""
        return self.mean + self.stddev * truncated_normal(numpy_generator(self.seed), shape)


def truncated_normal(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Standard normal numbers within [-2, 2], shape `shape`."""
    x = rng.standard_normal(shape)
    while np.any(outside := np.abs(x) > 2):
        x[outside] = rng.standard_normal(int(outside.sum()))
    return x


def fans(shape: Shape) -> tuple[int, int]:
    """(fan_in, fan_out) of a kernel: (in, out), or (height, width, in, out) with the receptive field multiplied in."""
    if len(shape) < 2:
        n = shape[0] if shape else 1
        return n, n
    field = math.prod(shape[:-2])
    return shape[-2] * field, shape[-1] * field


class VarianceScaling(Initializer):
    """Random numbers of variance `scale / n`, where n is a fan.

    Args:
        scale: positive factor.
        mode: n is `"fan_in"`, `"fan_out"`, or their mean, `"fan_avg"`.
        distribution: `"uniform"` in [-limit, limit) with limit = sqrt(3 scale / n), `"untruncated_normal"`, or
            `"truncated_normal"` whose stddev after truncation is sqrt(scale / n).
        seed: of its own; None takes the program's.

    Raises:
        UsageError: another mode or distribution, or a scale that is not positive.
    """

    def __init__(
        self,
        scale: float = 1.0,
        mode: str = "fan_in",
        distribution: str = "truncated_normal",
        seed: int | None = None,
    ) -> None:
        check_numbers("VarianceScaling", above=True, scale=scale)
        check_choice("VarianceScaling", ("fan_in", "fan_out", "fan_avg"), mode=mode)
        check_choice("VarianceScaling", DISTRIBUTIONS, distribution=distribution)
        self.scale = scale
        self.mode = mode
        self.distribution = distribution
        self.seed = seed

    def values(self, shape: Shape) -> np.ndarray:
        """See `Initializer`."""
        fan_in, fan_out = fans(shape)
        n = max(1.0, {"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2}[self.mode])
        rng = numpy_generator(self.seed)
        if self.distribution == "uniform":
            limit = math.sqrt(3 * self.scale / n)
            return rng.uniform(-limit, limit, shape)
        stddev = math.sqrt(self.scale / n)
        if self.distribution == "untruncated_normal":
            return rng.normal(0, stddev, shape)
        return truncated_normal(rng, shape) * (stddev / TRUNCATED_STDDEV)


class _Preset(VarianceScaling):
    preset: dict[str, Any]

    def __init__(self, seed: int | None = None) -> None:
        super().__init__(**self.preset, seed=seed)


class GlorotUniform(_Preset):
    """Uniform in [-limit, limit), limit = sqrt(6 / (fan_in + fan_out)); Keras's default for kernels.

    References:
        Glorot and Bengio, "Understanding the difficulty of training deep feedforward neural networks" (2010).
    """

    preset = {"scale": 1.0, "mode": "fan_avg", "distribution": "uniform"}


class GlorotNormal(_Preset):
    """Truncated normal, stddev = sqrt(2 / (fan_in + fan_out)); Glorot and Bengio (2010)."""

    preset = {"scale": 1.0, "mode": "fan_avg", "distribution": "truncated_normal"}


class HeUniform(_Preset):
    """Uniform, limit = sqrt(6 / fan_in), made for relu; He, Zhang, Ren, Sun, "Delving deep into rectifiers" (2015)."""

    preset = {"scale": 2.0, "mode": "fan_in", "distribution": "uniform"}


class HeNormal(_Preset):
    """Truncated normal, stddev = sqrt(2 / fan_in); He et al. (2015)."""

    preset = {"scale": 2.0, "mode": "fan_in", "distribution": "truncated_normal"}


class LecunUniform(_Preset):
    """Uniform, limit = sqrt(3 / fan_in); LeCun, Bottou, Orr, Mueller, "Efficient BackProp" (1998)."""

    preset = {"scale": 1.0, "mode": "fan_in", "distribution": "uniform"}


class LecunNormal(_Preset):
    """Truncated normal, stddev = sqrt(1 / fan_in); LeCun et al. (1998)."""

    preset = {"scale": 1.0, "mode": "fan_in", "distribution": "truncated_normal"}


_registry: Registry[Initializer] = Registry.of("initializer", globals(), __all__, base=Initializer)


def get(identifier: Any) -> Any:
    """The initializer for a name, a class, a configuration, a function of the shape, or the object; None stays None.

    Raises:
        UsageError: an unknown name; the message lists the known ones.
    """
    return _registry.get(identifier)
