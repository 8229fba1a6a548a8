"""Layers, with Keras's names, defaults and shapes.

Reading order: `base.py` (Layer: build, call, weights), `core.py` (Input, Dense, Activation), `shaping.py`, `images.py`
(the checks of images), `convolution.py`, `pooling.py`, `normalization.py`, `activation.py`, `regularization.py`,
`augmentation.py`.  CONTRIBUTING.md says how to add one.
"""

from typing import Any

from netchu.errors import unknown_name
from netchu.layers.activation import ELU, LeakyReLU, PReLU, ReLU, Softmax
from netchu.layers.augmentation import RandomRotation, RandomTranslation, RandomZoom
from netchu.layers.base import Layer
from netchu.layers.convolution import Conv2D, DepthwiseConv2D
from netchu.layers.core import Activation, Dense, Input, InputLayer
from netchu.layers.normalization import BatchNormalization, LayerNormalization
from netchu.layers.pooling import AveragePooling2D, GlobalAveragePooling2D, GlobalMaxPooling2D, MaxPooling2D
from netchu.layers.regularization import (
    ActivityRegularization,
    AlphaDropout,
    Dropout,
    GaussianDropout,
    GaussianNoise,
    SpatialDropout2D,
)
from netchu.layers.shaping import Flatten, Permute, Rescaling, Reshape, ZeroPadding2D
from netchu.left_to_keras import refuse_keras_name
from netchu.registry import Registry

__all__ = [
    "Activation",
    "ActivityRegularization",
    "AlphaDropout",
    "AveragePooling2D",
    "AvgPool2D",
    "BatchNormalization",
    "Conv2D",
    "Dense",
    "DepthwiseConv2D",
    "Dropout",
    "ELU",
    "Flatten",
    "GaussianDropout",
    "GaussianNoise",
    "GlobalAveragePooling2D",
    "GlobalAvgPool2D",
    "GlobalMaxPool2D",
    "GlobalMaxPooling2D",
    "Input",
    "InputLayer",
    "Layer",
    "LayerNormalization",
    "LeakyReLU",
    "MaxPool2D",
    "MaxPooling2D",
    "PReLU",
    "Permute",
    "RandomRotation",
    "RandomTranslation",
    "RandomZoom",
    "ReLU",
    "Rescaling",
    "Reshape",
    "Softmax",
    "SpatialDropout2D",
    "ZeroPadding2D",
]

# Keras's short names.
AvgPool2D = AveragePooling2D
GlobalAvgPool2D = GlobalAveragePooling2D
GlobalMaxPool2D = GlobalMaxPooling2D
MaxPool2D = MaxPooling2D

# The only layer names that a model file may use.
registry: Registry[Layer] = Registry.of("layer", globals(), __all__, base=Layer, spelled=str)


def __getattr__(name: str) -> Any:
    refuse_keras_name("layers", name)
    raise AttributeError(str(unknown_name("layer", name, [*registry.names, "Input"])))
