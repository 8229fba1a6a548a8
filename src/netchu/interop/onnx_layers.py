"""Each layer of netchu as ONNX operators of opset 17, as it computes outside training.

`CONVERTERS` is the table: class -> function (graph, layer, name of the input) -> name of the output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from netchu.errors import UsageError
from netchu.interop.model import Model, is_model
from netchu.interop.onnx_activations import activate, relu
from netchu.interop.onnx_graph import Graph
from netchu.layers import (
    ELU,
    Activation,
    ActivityRegularization,
    AlphaDropout,
    AveragePooling2D,
    BatchNormalization,
    Conv2D,
    Dense,
    DepthwiseConv2D,
    Dropout,
    Flatten,
    GaussianDropout,
    GaussianNoise,
    GlobalAveragePooling2D,
    GlobalMaxPooling2D,
    InputLayer,
    Layer,
    LayerNormalization,
    LeakyReLU,
    MaxPooling2D,
    Permute,
    PReLU,
    RandomRotation,
    RandomTranslation,
    RandomZoom,
    ReLU,
    Rescaling,
    Reshape,
    Softmax,
    SpatialDropout2D,
    ZeroPadding2D,
)
from netchu.ops.windows import Pair, windows_along

Converter: TypeAlias = Callable[[Graph, Any, str], str]


def add_model(g: Graph, model: Model) -> None:
    """Add the layers of a model; `g.value` is its input before, its output after.

    Args:
        g: the graph.
        model: built.

    Raises:
        UsageError: a layer that is not netchu's own, one whose numbers are not float32, or an unknown activation.
    """
    for layer in model.layers:
        if layer.dtype != "float32":
            raise UsageError(f"layer {layer.name!r}", expected="float32 numbers", got=f"dtype={layer.dtype!r}")
        shape = layer.compute_output_shape(g.shape)
        with g.inside(layer):
            if is_model(layer) and layer.calls_layers_in_order:
                add_model(g, layer)
            else:
                g.value = converter_of(layer)(g, layer, g.value)
        g.leave(shape)


def converter_of(layer: Layer) -> Converter:
    """The function that says `layer` in ONNX operators; UsageError if it is not one of netchu's own layers."""
    converter = CONVERTERS.get(type(layer))  # a subclass may compute anything
    if converter is None:
        got = f"{type(layer).__name__}, a class of your own"
        raise UsageError(f"layer {layer.name!r}", expected="a layer of netchu.layers, known in ONNX operators", got=got)
    return converter


# --- with weights ----------------------------------------------------------------------------------------------------


def _dense(g: Graph, layer: Dense, x: str) -> str:
    y = g.add("MatMul", g.channels(x, first=False), layer.kernel)
    if layer.bias is not None:
        y = g.add("Add", y, layer.bias)
    return _activated(g, layer, y)


def _activated(g: Graph, layer: Dense | Conv2D | DepthwiseConv2D, y: str) -> str:
    g.shape = layer.compute_output_shape(g.shape)
    return activate(g, y, layer.activation, f"layer {layer.name!r}")


def _conv_2d(g: Graph, layer: Conv2D, x: str) -> str:
    kernel = g.weight(layer.kernel, [3, 2, 0, 1])  # (kh, kw, in / groups, out) -> (out, in / groups, kh, kw)
    return _convolved(g, layer, x, kernel, groups=layer.groups)


def _depthwise_conv_2d(g: Graph, layer: DepthwiseConv2D, x: str) -> str:
    """Every channel is a group of its own, with `depth_multiplier` filters of depth 1."""
    name = g.weight(layer.kernel)
    kh, kw, channels, multiplier = layer.kernel.shape
    g.constants[name] = g.constants[name].transpose(2, 3, 0, 1).reshape(channels * multiplier, 1, kh, kw)
    return _convolved(g, layer, x, name, groups=channels)


def _convolved(g: Graph, layer: Conv2D | DepthwiseConv2D, x: str, kernel: str, groups: int) -> str:
    x = g.channels(x, first=True)
    settings = _padded(g, layer, layer.kernel_size, layer.dilation_rate)
    bias = [] if layer.bias is None else [layer.bias]
    y = g.add("Conv", x, kernel, *bias, group=groups, dilations=list(layer.dilation_rate), **settings)
    return _activated(g, layer, y)


def _batch_normalization(g: Graph, layer: BatchNormalization, x: str) -> str:
    """ONNX normalizes axis 1: the channels are brought there, and so is any other axis, but only for a moment."""
    axis = layer.axis % g.rank
    at_channels = axis == g.rank - 1
    x = g.channels(x, first=at_channels)
    swap = list(range(g.rank))
    swap[1], swap[axis] = swap[axis], swap[1]
    elsewhere = not at_channels and axis != 1
    if elsewhere:
        x = g.add("Transpose", x, perm=swap)
    statistics = (layer.moving_mean, layer.moving_variance)
    n = layer.moving_mean.shape
    y = g.add("BatchNormalization", x, _gamma(layer, n), _beta(layer, n), *statistics, epsilon=layer.epsilon)
    return g.add("Transpose", y, perm=swap) if elsewhere else y


def _gamma(layer: Any, shape: tuple[int, ...]) -> Any:
    return np.ones(shape, np.float32) if layer.gamma is None else layer.gamma


def _beta(layer: Any, shape: tuple[int, ...]) -> Any:
    return np.zeros(shape, np.float32) if layer.beta is None else layer.beta


def _layer_normalization(g: Graph, layer: LayerNormalization, x: str) -> str:
    """ONNX normalizes the last axes: any others are brought there, but only for a moment."""
    x = g.channels(x, first=False)
    axes = sorted(axis % g.rank for axis in ([layer.axis] if isinstance(layer.axis, int) else layer.axis))
    shape = tuple(g.shape[axis] or 1 for axis in axes)
    order = [axis for axis in range(g.rank) if axis not in axes] + axes
    elsewhere = order != sorted(order)
    if elsewhere:
        x = g.add("Transpose", x, perm=order)
    gamma, beta = _gamma(layer, shape), _beta(layer, shape)
    y = g.add("LayerNormalization", x, gamma, beta, axis=-len(axes), epsilon=layer.epsilon)
    return g.add("Transpose", y, perm=np.argsort(order).tolist()) if elsewhere else y


def _prelu(g: Graph, layer: PReLU, x: str) -> str:
    permutation = [axis - 1 for axis in g.turned(first=True)[1:]] if g.channels_first else None
    return g.add("PRelu", x, g.weight(layer.alpha, permutation))


# --- pictures --------------------------------------------------------------------------------------------------------


def _padded(g: Graph, layer: Any, window: Pair, dilation: Pair = (1, 1)) -> dict[str, Any]:
    """Strides and padding as attributes.  Where "same" adds an odd row or column, it does so at the end."""
    strides = {"strides": list(layer.strides)}
    if layer.padding == "valid":
        return strides
    if max(dilation) == 1:
        return strides | {"auto_pad": "SAME_UPPER"}
    # ONNX Runtime 1.31 refuses SAME_UPPER beside a dilation.  With strides of 1 the length does not matter.
    lengths = [n or 1 for n in g.shape[1:3]]
    if None in g.shape[1:3] and max(layer.strides) > 1:
        got = f"input_shape={g.shape}, strides={layer.strides}, dilation_rate={dilation}"
        raise UsageError(f"layer {layer.name!r}", expected="images of known height and width", got=got)
    borders = [windows_along(*sizes, "same")[1] for sizes in zip(lengths, window, layer.strides, dilation)]
    return strides | {"pads": [border[end] for end in (0, 1) for border in borders]}


def _pooling(operator: str, **settings: Any) -> Converter:
    def convert(g: Graph, layer: Any, x: str) -> str:
        x = g.channels(x, first=True)
        placed = _padded(g, layer, layer.pool_size)
        return g.add(operator, x, kernel_shape=list(layer.pool_size), **placed, **settings)

    return convert


def _global_pooling(operator: str) -> Converter:
    return lambda g, layer, x: g.add(operator, x, axes=[g.axis(1), g.axis(2)], keepdims=int(layer.keepdims))


def _zero_padding_2d(g: Graph, layer: ZeroPadding2D, x: str) -> str:
    before, after = [0] * 4, [0] * 4
    for axis, (head, tail) in zip((g.axis(1), g.axis(2)), layer.padding):
        before[axis], after[axis] = head, tail
    return g.add("Pad", x, np.asarray(before + after))


# --- shapes, scales, activations -------------------------------------------------------------------------------------


def _flatten(g: Graph, layer: Flatten, x: str) -> str:
    return g.add("Flatten", g.channels(x, first=False), axis=1)


def _reshape(g: Graph, layer: Reshape, x: str) -> str:
    return g.add("Reshape", g.channels(x, first=False), np.asarray([0, *layer.target_shape]))  # 0: as it is


def _permute(g: Graph, layer: Permute, x: str) -> str:
    return g.add("Transpose", g.channels(x, first=False), perm=[0, *layer.dims])


def _rescaling(g: Graph, layer: Rescaling, x: str) -> str:
    scale, offset = (np.asarray(value, np.float32) for value in (layer.scale, layer.offset))
    if scale.ndim or offset.ndim:
        x = g.channels(x, first=False)
    y = g.add("Mul", x, scale)
    return g.add("Add", y, offset) if offset.any() else y


def _softmax(g: Graph, layer: Softmax, x: str) -> str:
    axes = [g.axis(axis) for axis in ([layer.axis] if isinstance(layer.axis, int) else layer.axis)]
    if len(axes) == 1:
        return g.add("Softmax", x, axis=axes[0])
    e = g.add("Exp", g.add("Sub", x, g.add("ReduceMax", x, axes=axes)))
    return g.add("Div", e, g.add("ReduceSum", e, np.asarray(axes)))


def _activation(g: Graph, layer: Activation, x: str) -> str:
    return activate(g, x, layer.activation, f"layer {layer.name!r}")


def _identity(g: Graph, layer: Layer, x: str) -> str:
    return x


CONVERTERS: dict[type[Layer], Converter] = {
    Activation: _activation,
    AveragePooling2D: _pooling("AveragePool", count_include_pad=0),
    BatchNormalization: _batch_normalization,
    Conv2D: _conv_2d,
    Dense: _dense,
    DepthwiseConv2D: _depthwise_conv_2d,
    ELU: lambda g, layer, x: g.add("Elu", x, alpha=float(layer.alpha)),
    Flatten: _flatten,
    GlobalAveragePooling2D: _global_pooling("ReduceMean"),
    GlobalMaxPooling2D: _global_pooling("ReduceMax"),
    InputLayer: _identity,
    LayerNormalization: _layer_normalization,
    LeakyReLU: lambda g, layer, x: g.add("LeakyRelu", x, alpha=float(layer.negative_slope)),
    MaxPooling2D: _pooling("MaxPool"),
    PReLU: _prelu,
    Permute: _permute,
    ReLU: lambda g, layer, x: relu(g, x, layer.negative_slope, layer.max_value, layer.threshold),
    Rescaling: _rescaling,
    Reshape: _reshape,
    Softmax: _softmax,
    ZeroPadding2D: _zero_padding_2d,
    # What does something in training only.
    ActivityRegularization: _identity,
    AlphaDropout: _identity,
    Dropout: _identity,
    GaussianDropout: _identity,
    GaussianNoise: _identity,
    RandomRotation: _identity,
    RandomTranslation: _identity,
    RandomZoom: _identity,
    SpatialDropout2D: _identity,
}
