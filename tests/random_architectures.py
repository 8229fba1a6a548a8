"""Random networks that netchu and real Keras can both build: every layer, every optimizer, settings that fit.

    described = description(seed=7)                  # the layers, with arguments, and what compile is given
    model = build(described, netchu)                 # or build(described, keras)
    model = random_model(seed=7)                     # netchu's, with weights from the seed as well

A description is made of class names and arguments alone, so that the same network is made in both libraries.  What only
netchu has (`OneCycle`, `ConfusionMatrix`) is drawn with `netchu_only=True`.  Networks are small: a few hundred weights.
"""

from __future__ import annotations

import importlib
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

import netchu
from netchu.layers.base import shapes_only

Shape: TypeAlias = tuple[int, ...]  # of one sample
Settings: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Made:
    """An object of a library: `Made("regularizers", "L2", {"l2": 0.1})` is `regularizers.L2(l2=0.1)`."""

    room: str
    name: str
    settings: Settings = field(default_factory=dict)


@dataclass(frozen=True)
class Description:
    """A network in words.

    Attributes:
        input_shape: of one sample.
        layers: class names and arguments in order; of a "Sequential", `layers` are the same again.
        compiled: the arguments of `compile`.
        classes: how many outputs there are.
    """

    input_shape: Shape
    layers: list[tuple[str, Settings]]
    compiled: Settings
    classes: int


# --- settings that several kinds share -------------------------------------------------------------------------------

ACTIVATIONS = (
    None, "relu", "sigmoid", "tanh", "gelu", "elu", "silu", "selu", "softplus", "softsign", "leaky_relu", "relu6",
    "hard_sigmoid", "hard_silu", "mish", "log_sigmoid", "softmax", "linear",
)  # fmt: skip
INITIALIZERS = (
    "glorot_uniform", "glorot_normal", "he_normal", "he_uniform", "lecun_uniform", "lecun_normal", "zeros", "ones",
    "random_normal", "random_uniform", "truncated_normal",
    Made("initializers", "Constant", {"value": 0.25}),
    Made("initializers", "RandomNormal", {"mean": 0.1, "stddev": 0.2, "seed": 3}),
    Made("initializers", "VarianceScaling", {"scale": 0.5, "mode": "fan_avg", "distribution": "uniform"}),
)  # fmt: skip
REGULARIZERS = (
    None, None, None, "l1", "l2", Made("regularizers", "L1", {"l1": 0.002}), Made("regularizers", "L2", {"l2": 0.003}),
    Made("regularizers", "L1L2", {"l1": 0.001, "l2": 0.002}),
)  # fmt: skip
CONSTRAINTS = (
    None, None, None, None, "non_neg", Made("constraints", "MaxNorm", {"max_value": 1.5, "axis": 0}),
    Made("constraints", "UnitNorm", {"axis": 0}),
    Made("constraints", "MinMaxNorm", {"min_value": 0.1, "max_value": 1.0, "rate": 0.5}),
)  # fmt: skip


def weight_settings(draw: random.Random, *names: str) -> Settings:
    """Initializer, regularizer and constraint of each weight, each given only sometimes."""
    settings: Settings = {}
    for name in names:
        for kind, among in (("initializer", INITIALIZERS), ("regularizer", REGULARIZERS), ("constraint", CONSTRAINTS)):
            if draw.random() < 0.3:
                settings[f"{name}_{kind}"] = draw.choice(among)
    return settings


def windows(draw: random.Random, shape: Shape, key: str) -> Settings:
    """A window that fits into images of `shape`, with its strides and padding."""
    padding = draw.choice(("valid", "same"))
    size = [draw.randint(1, min(3, n)) for n in shape[:2]]
    return {key: draw.choice((size, min(size))), "padding": padding}


def convolution(draw: random.Random, shape: Shape) -> Settings:
    """What both convolutions take; strides and dilation are not both above 1."""
    settings = windows(draw, shape, "kernel_size") | {"activation": draw.choice(ACTIVATIONS)}
    settings["use_bias"] = draw.random() < 0.7
    changed = draw.choice(("strides", "dilation_rate", None))
    if changed == "strides":
        settings["strides"] = draw.choice((2, 1))
    if changed == "dilation_rate" and settings["padding"] == "same":
        settings["dilation_rate"] = 2
    return settings


def conv2d(draw: random.Random, shape: Shape) -> Settings:
    """Arguments of Conv2D."""
    return convolution(draw, shape) | {"filters": draw.randint(1, 4)} | weight_settings(draw, "kernel", "bias")


def depthwise(draw: random.Random, shape: Shape) -> Settings:
    """Arguments of DepthwiseConv2D."""
    settings = convolution(draw, shape) | weight_settings(draw, "depthwise", "bias")
    return settings | {"depth_multiplier": draw.randint(1, 2)}


def pooling(draw: random.Random, shape: Shape) -> Settings:
    """Arguments of the pooling layers."""
    return windows(draw, shape, "pool_size") | {"strides": draw.choice((None, 1, 2))}


def dense(draw: random.Random, shape: Shape) -> Settings:
    """Arguments of Dense."""
    settings = {"units": draw.randint(1, 8), "activation": draw.choice(ACTIVATIONS), "use_bias": draw.random() < 0.8}
    if draw.random() < 0.2:
        settings["activity_regularizer"] = draw.choice(REGULARIZERS)
    return settings | weight_settings(draw, "kernel", "bias")


def normalization(draw: random.Random, shape: Shape) -> Settings:
    """Arguments that both normalizations take."""
    settings = {"axis": -1, "epsilon": draw.choice((1e-3, 1e-5, 0.1))}
    settings |= {"center": draw.random() < 0.8, "scale": draw.random() < 0.8}
    return settings | weight_settings(draw, "beta", "gamma")


def batch_normalization(draw: random.Random, shape: Shape) -> Settings:
    """Arguments of BatchNormalization."""
    return normalization(draw, shape) | {"momentum": draw.choice((0.99, 0.9, 0.5))}


def prelu(draw: random.Random, shape: Shape) -> Settings:
    """Arguments of PReLU."""
    shared = draw.choice((None, list(range(1, len(shape)))))
    return {"shared_axes": shared or None} | weight_settings(draw, "alpha")


def reshape(draw: random.Random, shape: Shape) -> Settings:
    """A target of the same size, of one to three axes."""
    size = math.prod(shape)
    divisors = [n for n in range(1, 9) if size % n == 0]
    first = draw.choice(divisors)
    second = draw.choice([n for n in divisors if (size // first) % n == 0])
    return {
        "target_shape": draw.choice(((-1,), (first, -1), (first, second, -1), (first, second, size // first // second)))
    }


def permute(draw: random.Random, shape: Shape) -> Settings:
    """The axes of a sample in any order."""
    return {"dims": draw.sample(range(1, len(shape) + 1), len(shape))}


def zero_padding(draw: random.Random, shape: Shape) -> Settings:
    """One number, two, or two pairs."""
    return {"padding": draw.choice((1, (1, 2), ((1, 0), (2, 1))))}


def augmentation(*factors: str) -> Callable[[random.Random, Shape], Settings]:
    """Arguments of a layer that moves images in training."""

    def make(draw: random.Random, shape: Shape) -> Settings:
        settings: Settings = {name: draw.choice((0.1, (-0.2, 0.1))) for name in factors}
        settings |= {"fill_mode": draw.choice(("reflect", "constant", "nearest", "wrap"))}
        return settings | {"interpolation": draw.choice(("bilinear", "nearest")), "seed": draw.randint(0, 99)}

    return make


def choosing(**choices: Sequence[Any]) -> Callable[[random.Random, Shape], Settings]:
    """Each argument among its values."""
    return lambda draw, shape: {name: draw.choice(values) for name, values in choices.items()}


RATE = (0.0, 0.1, 0.5)
SEED = (None, 0, 7)
# Class name -> (how many axes a sample may have, its arguments).
LAYERS: dict[str, tuple[Sequence[int], Callable[[random.Random, Shape], Settings]]] = {
    "Conv2D": ([3], conv2d),
    "DepthwiseConv2D": ([3], depthwise),
    "MaxPooling2D": ([3], pooling),
    "AveragePooling2D": ([3], pooling),
    "GlobalAveragePooling2D": ([3], choosing(keepdims=(False, True))),
    "GlobalMaxPooling2D": ([3], choosing(keepdims=(False, True))),
    "ZeroPadding2D": ([3], zero_padding),
    "SpatialDropout2D": ([3], choosing(rate=RATE, seed=SEED)),
    "RandomTranslation": ([3], augmentation("height_factor", "width_factor")),
    "RandomRotation": ([3], augmentation("factor")),
    "RandomZoom": ([3], augmentation("height_factor")),
    "Dense": ([1, 2, 3], dense),
    "BatchNormalization": ([1, 2, 3], batch_normalization),
    "LayerNormalization": ([1, 2, 3], normalization),
    "Activation": ([1, 2, 3], choosing(activation=ACTIVATIONS[1:])),
    "ReLU": ([1, 2, 3], choosing(max_value=(None, 1.5), negative_slope=(0.0, 0.2), threshold=(0.0, 0.5))),
    "LeakyReLU": ([1, 2, 3], choosing(negative_slope=(0.3, 0.01))),
    "PReLU": ([1, 2, 3], prelu),
    "ELU": ([1, 2, 3], choosing(alpha=(1.0, 0.5))),
    "Softmax": ([1, 2, 3], choosing(axis=(-1, 1))),
    "Dropout": ([1, 2, 3], choosing(rate=RATE, seed=SEED)),
    "AlphaDropout": ([1, 2, 3], choosing(rate=RATE, seed=SEED)),
    "GaussianDropout": ([1, 2, 3], choosing(rate=RATE, seed=SEED)),
    "GaussianNoise": ([1, 2, 3], choosing(stddev=RATE, seed=SEED)),
    "ActivityRegularization": ([1, 2, 3], choosing(l1=(0.0, 0.01), l2=(0.0, 0.02))),
    "Rescaling": ([1, 2, 3], choosing(scale=(0.5, 1 / 255, -2.0), offset=(0.0, 0.25))),
    "Flatten": ([1, 2, 3], choosing()),
    "Reshape": ([1, 2, 3], reshape),
    "Permute": ([1, 2, 3], permute),
}

# --- compile ---------------------------------------------------------------------------------------------------------

SCHEDULES: dict[str, Settings] = {
    "CosineDecay": {"initial_learning_rate": 0.0, "decay_steps": 90, "warmup_target": 0.1, "warmup_steps": 10},
    "CosineDecayRestarts": {"initial_learning_rate": 0.05, "first_decay_steps": 20, "t_mul": 1.5, "m_mul": 0.9},
    "ExponentialDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.9, "staircase": True},
    "InverseTimeDecay": {"initial_learning_rate": 0.1, "decay_steps": 10, "decay_rate": 0.5},
    "PiecewiseConstantDecay": {"boundaries": [10, 20], "values": [0.1, 0.01, 0.001]},
    "PolynomialDecay": {"initial_learning_rate": 0.1, "decay_steps": 50, "power": 2.0, "cycle": True},
}
ONE_CYCLE = Made("optimizers.schedules", "OneCycle", {"maximum_learning_rate": 0.1, "total_steps": 100})
OPTIMIZERS: dict[str, Settings] = {
    "SGD": {"momentum": (0.0, 0.9), "nesterov": (False, True)},
    "RMSprop": {"rho": (0.9, 0.8), "momentum": (0.0, 0.5), "centered": (False, True)},
    "Adam": {"beta_1": (0.9, 0.8), "amsgrad": (False, True)},
    "AdamW": {"weight_decay": (0.004, 0.01)},
    "Adadelta": {"rho": (0.95, 0.9)},
    "Adagrad": {"initial_accumulator_value": (0.1, 0.5)},
    "Adamax": {"beta_2": (0.999, 0.99)},
    "Lion": {"beta_1": (0.9, 0.8)},
    "Nadam": {"epsilon": (1e-7, 1e-5)},
}
# What the network ends in -> (activation, losses, metrics).
ENDINGS: dict[str, tuple[str | None, Sequence[Any], Sequence[Any]]] = {
    "labels": (
        "softmax",
        ("sparse_categorical_crossentropy", Made("losses", "SparseCategoricalCrossentropy")),
        ("accuracy", "sparse_categorical_crossentropy", Made("metrics", "SparseTopKCategoricalAccuracy", {"k": 2})),
    ),
    "one-hot": (
        "softmax",
        (
            "categorical_crossentropy", "kl_divergence",
            Made("losses", "CategoricalCrossentropy", {"label_smoothing": 0.1}),
        ),
        (
            "accuracy", "mse", Made("metrics", "F1Score", {"average": "macro"}),
            Made("metrics", "Precision", {"top_k": 1}),
        ),
    ),
    "yes or no": (
        "sigmoid",
        ("binary_crossentropy", "hinge", Made("losses", "BinaryFocalCrossentropy", {"gamma": 1.5})),
        ("accuracy", Made("metrics", "AUC", {"num_thresholds": 20, "curve": "PR"}), Made("metrics", "Recall")),
    ),
    "numbers": (
        None,
        ("mse", "mae", "log_cosh", Made("losses", "Huber", {"delta": 0.5}), "cosine_similarity"),
        ("mae", "root_mean_squared_error", Made("metrics", "CosineSimilarity", {"axis": -1})),
    ),
}  # fmt: skip


def compiled_settings(draw: random.Random, ending: str, netchu_only: bool) -> Settings:
    """Arguments of `compile` that fit what the network ends in."""
    name = draw.choice(sorted(OPTIMIZERS))
    chosen = {key: draw.choice(values) for key, values in OPTIMIZERS[name].items() if draw.random() < 0.6}
    rates = [Made("optimizers.schedules", key, settings) for key, settings in SCHEDULES.items()]
    chosen["learning_rate"] = draw.choice((0.01, 0.002, draw.choice(rates), ONE_CYCLE if netchu_only else 0.003))
    chosen |= draw.choice(({}, {"clipnorm": 1.0}, {"clipvalue": 0.5}, {"global_clipnorm": 2.0}))
    chosen |= draw.choice(({}, {}, {"gradient_accumulation_steps": 2}))
    _, losses, metrics = ENDINGS[ending]
    return {
        "optimizer": Made("optimizers", name, chosen),
        "loss": draw.choice(losses),
        "metrics": draw.sample(metrics, draw.randint(0, len(metrics))),
        "weighted_metrics": draw.sample(metrics, draw.randint(0, 1)),
    }


# --- the whole -------------------------------------------------------------------------------------------------------


def description(seed: int, kinds: Sequence[str] | None = None, netchu_only: bool = False) -> Description:
    """A network that depends on nothing but its arguments.

    Args:
        seed: any whole number.
        kinds: the layers to draw from; None for all.  Flatten and Dense come at the end in any case.
        netchu_only: whether to use what Keras does not have, too.
    """
    draw = random.Random(seed)
    images = (draw.randint(5, 9), draw.randint(5, 9), draw.randint(1, 3))
    kinds = kinds or list(LAYERS)
    shapes = (images, images, (draw.randint(2, 6), 4), (7,))
    shape = draw.choice([shape for shape in shapes if any(len(shape) in LAYERS[kind][0] for kind in kinds)])
    ending = draw.choice(sorted(ENDINGS))
    classes = 1 if ending == "yes or no" else draw.randint(2, 5)
    drawn, after = drawn_layers(draw, shape, draw.randint(1, 6), kinds)
    if len(after) > 1:
        drawn.append(("Flatten", {}))
    drawn.append(("Dense", {"units": classes, "activation": ENDINGS[ending][0]}))
    return Description(shape, drawn, compiled_settings(draw, ending, netchu_only), classes)


def drawn_layers(
    draw: random.Random, shape: Shape, count: int, kinds: Sequence[str], inside: bool = False
) -> tuple[list[tuple[str, Settings]], Shape]:
    """`count` layers that fit samples of `shape`, and the shape after them; some in a model of their own."""
    drawn: list[tuple[str, Settings]] = []
    for _ in range(count):
        if not inside and draw.random() < 0.15:
            inner, shape = drawn_layers(draw, shape, draw.randint(1, 3), kinds, inside=True)
            drawn += [("Sequential", {"layers": inner})] if inner else []
            continue
        fitting = [name for name in kinds if len(shape) in LAYERS[name][0]]
        if not fitting:
            break
        for_images = [name for name in fitting if LAYERS[name][0] == [3]]
        name = draw.choice(for_images if for_images and draw.random() < 0.6 else fitting)
        settings = LAYERS[name][1](draw, shape)
        drawn.append((name, settings))
        shape = shape_after(name, settings, shape)
    return drawn, shape


def shape_after(name: str, settings: Settings, shape: Shape) -> Shape:
    """The shape of a sample after the layer."""
    with shapes_only():
        made = build_layer(name, settings, netchu)
        made.ensure_built((None, *shape))
        return tuple(made.compute_output_shape((None, *shape))[1:])


def made_by(library: Any, value: Any) -> Any:
    """`value`, or the library's object that a `Made` in it describes."""
    if isinstance(value, list):
        return [made_by(library, item) for item in value]
    if not isinstance(value, Made):
        return value
    room = importlib.import_module(f"{library.__name__}.{value.room}")
    return getattr(room, value.name)(**{key: made_by(library, item) for key, item in value.settings.items()})


def build_layer(name: str, settings: Settings, library: Any) -> Any:
    """One layer, or a model of layers, of `library`."""
    if name == "Sequential":
        return library.Sequential([build_layer(*inner, library) for inner in settings["layers"]])
    return getattr(library.layers, name)(**{key: made_by(library, value) for key, value in settings.items()})


def build(described: Description, library: Any) -> Any:
    """The network, compiled, in `library`, netchu or keras."""
    first = library.layers.Input(described.input_shape) if library is netchu else library.Input(described.input_shape)
    model = library.Sequential([first, *(build_layer(*entry, library) for entry in described.layers)])
    model.compile(**{key: made_by(library, value) for key, value in described.compiled.items()})
    return model


def random_weights(weights: Sequence[Any], seed: int) -> list[np.ndarray]:
    """Values for weights (anything with `name` and `shape`), normal(0, 0.4); variances are positive."""
    rng = np.random.default_rng(seed)
    drawn = [rng.normal(0, 0.4, tuple(w.shape)).astype("float32") for w in weights]
    return [np.abs(a) + np.float32(0.5) if "variance" in w.name else a for w, a in zip(weights, drawn)]


def random_model(seed: int, kinds: Sequence[str] | None = None, netchu_only: bool = True) -> Any:
    """netchu's model of the description, with weights that depend on the seed alone."""
    model = build(description(seed, kinds, netchu_only), netchu)
    model.set_weights(random_weights(model.weights, seed))
    return model


def random_samples(shape: Shape, count: int, seed: int) -> np.ndarray:
    """Samples (count, *shape), normal(0, 1)."""
    return np.random.default_rng(seed).normal(0, 1, (count, *shape)).astype("float32")
