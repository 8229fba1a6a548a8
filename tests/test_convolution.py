"""Convolution and pooling: values against the definition written as loops, ties and borders, layers, and errors.

Derivatives are proved in `test_gradient_check.py`, shapes and configurations in `test_layers.py`, numbers beside real
Keras in `test_judge_convolution.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from helpers import ENGINE_RTOL, assert_close
from netchu import GradientTape, Sequential, Tensor, layers, ops, random
from netchu.engines import xp
from netchu.errors import NotInNetchuError, ShapeError, UsageError
from netchu.layers import Conv2D, Dense, DepthwiseConv2D, Flatten, Input, MaxPooling2D, Permute, ZeroPadding2D
from netchu.ops.windows import windows_along


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


# --- cutting windows out, and putting them back ----------------------------------------------------------------------

# height, width, window, strides, dilation
WINDOWS = [
    (5, 6, (3, 2), (1, 1), (1, 1)),
    (9, 8, (3, 2), (2, 1), (1, 2)),
    (7, 7, (2, 2), (2, 2), (1, 1)),
    (8, 7, (1, 1), (3, 2), (1, 1)),
    (9, 9, (3, 3), (3, 2), (2, 1)),
    (9, 9, (2, 2), (4, 4), (3, 3)),
    (2, 3, (2, 3), (1, 1), (1, 1)),
]


@pytest.mark.parametrize(("height", "width", "window", "strides", "dilation"), WINDOWS)
def test_patches_are_the_windows(
    height: int, width: int, window: Any, strides: Any, dilation: Any, engine: str
) -> None:
    x = normal(2, height, width, 3)
    p = np.asarray(xp.patches(Tensor(x).array, window, strides, dilation))
    for at in np.ndindex(p.shape[1:5]):
        r, c, i, j = at
        assert np.array_equal(
            p[:, r, c, i, j], x[:, r * strides[0] + i * dilation[0], c * strides[1] + j * dilation[1]]
        )


@pytest.mark.parametrize(("height", "width", "window", "strides", "dilation"), WINDOWS)
def test_add_patches_is_the_transpose(
    height: int, width: int, window: Any, strides: Any, dilation: Any, engine: str
) -> None:
    x = normal(2, height, width, 3)
    cut = np.asarray(xp.patches(Tensor(x).array, window, strides, dilation))
    p = normal(*cut.shape, seed=1)
    back = np.asarray(xp.add_patches(Tensor(p).array, height, width, strides, dilation))
    assert back.shape == x.shape
    there, home = float(np.sum(cut.astype("float64") * p)), float(np.sum(x.astype("float64") * back))
    assert there == pytest.approx(home, abs=ENGINE_RTOL * float(np.abs(cut * p).sum()))


# length, window, stride, dilation -> count, (before, after) under "same"; TensorFlow's formula, worked out by hand
SAME = [
    (5, 3, 1, 1, 5, (1, 1)),
    (5, 2, 1, 1, 5, (0, 1)),
    (6, 3, 2, 1, 3, (0, 1)),
    (7, 3, 2, 1, 4, (1, 1)),
    (5, 3, 1, 2, 5, (2, 2)),
    (5, 1, 3, 1, 2, (0, 0)),
    (6, 1, 4, 1, 2, (0, 0)),
    (2, 5, 1, 1, 2, (2, 2)),
]


@pytest.mark.parametrize(("length", "window", "stride", "dilation", "count", "border"), SAME)
def test_same_adds_the_odd_one_after(
    length: int, window: int, stride: int, dilation: int, count: int, border: tuple[int, int]
) -> None:
    assert windows_along(length, window, stride, dilation, "same") == (count, border)


# --- values ----------------------------------------------------------------------------------------------------------


def conv_by_loops(x: np.ndarray, w: np.ndarray, strides: int, dilation: int) -> np.ndarray:
    """The definition of a "valid" convolution, one output number at a time, in float64."""
    reach = [(k - 1) * dilation + 1 for k in w.shape[:2]]
    rows, columns = ((n - k) // strides + 1 for n, k in zip(x.shape[1:3], reach))
    y = np.zeros((len(x), rows, columns, w.shape[3]))
    for n, r, c, f in np.ndindex(y.shape):
        for i, j, k in np.ndindex(w.shape[:3]):
            pixel = x[n, r * strides + i * dilation, c * strides + j * dilation, k]
            y[n, r, c, f] += float(pixel) * float(w[i, j, k, f])
    return y.astype("float32")


@pytest.mark.parametrize(("strides", "dilation"), [(1, 1), (2, 1), (3, 1), (1, 2)])
def test_conv_is_its_definition(strides: int, dilation: int, engine: str) -> None:
    x, w = normal(2, 6, 7, 3), normal(2, 3, 3, 4, seed=1)
    y = ops.conv(x, w, strides, dilation_rate=dilation)
    assert_close(y.numpy(), conv_by_loops(x, w, strides, dilation), rtol=ENGINE_RTOL)


def test_conv_with_a_window_of_one_pixel_is_a_matrix_product() -> None:
    x, w = normal(2, 3, 4, 5), normal(1, 1, 5, 6, seed=1)
    assert_close(ops.conv(x, w).numpy(), x @ w[0, 0], rtol=ENGINE_RTOL)


@pytest.mark.parametrize("padding", ["valid", "same"])
def test_depthwise_conv_is_conv_with_a_kernel_that_mixes_no_channels(padding: str, engine: str) -> None:
    x, w = normal(2, 5, 6, 3), normal(3, 2, 3, 2, seed=1)
    apart = np.zeros((3, 2, 3, 3, 2), "float32")
    for k in range(3):
        apart[:, :, k, k] = w[:, :, k]
    expected = ops.conv(x, apart.reshape(3, 2, 3, 6), padding=padding)
    assert_close(ops.depthwise_conv(x, w, padding=padding).numpy(), expected.numpy(), rtol=ENGINE_RTOL)


def test_max_pool_and_average_pool_of_four_numbers(engine: str) -> None:
    x = np.array([[1, 2, 5], [4, 3, 0]], "float32").reshape(1, 2, 3, 1)
    assert ops.max_pool(x, 2, 1).numpy().ravel().tolist() == [4, 5]
    assert ops.average_pool(x, 2, 1).numpy().ravel().tolist() == [2.5, 2.5]
    assert ops.max_pool(x, 2, padding="same").numpy().ravel().tolist() == [4, 5]
    assert ops.average_pool(x, 2, padding="SAME").numpy().ravel().tolist() == [2.5, 2.5]  # (5 + 0) / 2: real pixels


def test_what_same_adds_is_never_the_largest(engine: str) -> None:
    x = -1 - np.abs(normal(1, 3, 3, 2))
    assert (ops.max_pool(x, 3, 1, "same").numpy() <= -1).all()


def gradient_of_max_pool(x: np.ndarray, *settings: Any) -> np.ndarray:
    tensor = Tensor(x.reshape(1, *x.shape, 1))
    with GradientTape() as tape:
        tape.watch(tensor)
        y = ops.sum(ops.max_pool(tensor, *settings))
    return np.asarray(tape.gradient(y, tensor).numpy()[0, :, :, 0])


def test_equal_values_give_the_gradient_to_the_first(engine: str) -> None:
    assert gradient_of_max_pool(np.ones((2, 4), "float32"), 2).tolist() == [[1, 0, 1, 0], [0, 0, 0, 0]]
    assert gradient_of_max_pool(np.ones((1, 3), "float32"), (1, 3), 1, "same").tolist() == [[2, 1, 0]]


def test_max_pool_lets_nan_through(engine: str) -> None:
    x = np.array([[1, np.nan], [3, 0]], "float32").reshape(1, 2, 2, 1)
    assert np.isnan(ops.max_pool(x, 2).numpy()).all()


def test_pad_puts_the_value_where_it_was_asked_for(engine: str) -> None:
    y = ops.pad(np.ones((1, 2), "float32"), ((1, 0), (0, 2)), constant_values=7)
    assert y.numpy().tolist() == [[7, 7, 7, 7], [1, 1, 7, 7]]


# --- layers ----------------------------------------------------------------------------------------------------------


def test_keras_short_names() -> None:
    for short, full in {
        "MaxPool2D": "MaxPooling2D",
        "AvgPool2D": "AveragePooling2D",
        "GlobalAvgPool2D": "GlobalAveragePooling2D",
        "GlobalMaxPool2D": "GlobalMaxPooling2D",
    }.items():
        assert getattr(layers, short).__name__ == full
        assert layers.registry.find(full) is getattr(layers, short)


def test_kernel_starts_within_the_limit_of_its_fans() -> None:
    layer = Conv2D(16, 5)
    layer.ensure_built((None, 8, 8, 12))
    limit = np.sqrt(6 / (5 * 5 * (12 + 16)))
    assert 0.99 * limit < np.abs(layer.kernel.numpy()).max() <= limit


def test_regularizers_and_constraints_reach_the_weights() -> None:
    conv = Conv2D(2, 3, kernel_regularizer="l2", bias_constraint="non_neg", activity_regularizer="l1")
    depthwise = DepthwiseConv2D(3, depthwise_constraint="non_neg", bias_regularizer="l2")
    for layer in (conv, depthwise):
        layer(normal(1, 4, 4, 1))
    held = [conv.kernel.regularizer, conv.bias.constraint, depthwise.kernel.constraint, depthwise.bias.regularizer]
    assert [type(one).__name__ for one in held] == ["L2", "NonNeg", "NonNeg", "L2"]
    assert conv.kernel.constraint is conv.bias.regularizer is depthwise.kernel.regularizer is None
    assert len(conv.losses) == 2  # of the kernel, and of the output


def test_size_of_the_images_may_be_left_open(engine: str) -> None:
    model = Sequential([Input((None, None, 1)), Conv2D(2, 3), MaxPooling2D(), layers.GlobalAveragePooling2D()])
    assert [layer.compute_output_shape((None, None, None, 1))[1:3] for layer in model.layers[:2]] == [(None, None)] * 2
    assert model.predict(normal(2, 8, 9, 1), verbose=0).shape == model.predict(normal(2, 5, 4, 1), verbose=0).shape


def bars() -> tuple[np.ndarray, np.ndarray]:
    """80 noisy images (8, 8, 1) of one bar somewhere: lying (label 0) or standing (1)."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(0, 0.1, (80, 8, 8, 1)), np.arange(80) % 2
    for image, label, place in zip(x, y, rng.integers(0, 8, 80)):
        image[(slice(None), place) if label else (place,)] += 1
    return x.astype("float32"), y


def test_a_convolutional_net_learns(engine: str) -> None:
    random.set_seed(1)
    model = Sequential(
        [Input((8, 8, 1)), Conv2D(4, 3, activation="relu"), MaxPooling2D(), Flatten(), Dense(2, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.optimizer.learning_rate = 0.02
    x, y = bars()
    model.fit(x, y, batch_size=20, epochs=6, verbose=0)
    assert model.evaluate(x, y, verbose=0)[1] == 1.0


# --- errors ----------------------------------------------------------------------------------------------------------

IMAGE, KERNEL = np.ones((1, 5, 5, 2), "float32"), np.ones((3, 3, 2, 4), "float32")
BAD_CALLS: list[tuple[Any, str]] = [
    (lambda: ops.conv(IMAGE[0], KERNEL), r"conv: expected floating-point images \(batch, .*inputs\.shape=\(5, 5, 2\)"),
    (lambda: ops.conv(IMAGE, KERNEL[0]), r"conv: expected shapes .*kernel\.shape=\(3, 2, 4\)"),
    (lambda: ops.conv(IMAGE[..., :1], KERNEL), r"conv: expected shapes .*inputs\.shape=\(1, 5, 5, 1\), kernel"),
    (lambda: ops.conv(IMAGE[:, :2], KERNEL), r"at least one window of \(3, 3\).*\(1, 2, 5, 2\).*padding=\"same\""),
    (lambda: ops.conv(IMAGE, KERNEL, dilation_rate=3), r"at least one window of \(3, 3\) with dilation_rate=\(3, 3\)"),
    (lambda: ops.conv(IMAGE, KERNEL, 2, dilation_rate=2), r"strides or dilation_rate above 1, not both"),
    (lambda: ops.conv(IMAGE, KERNEL, 0), r"conv: expected strides to be one or two whole .* Got: strides=0"),
    (lambda: ops.conv(IMAGE, KERNEL, (1, 2, 3)), r"strides=\(1, 2, 3\)"),
    (lambda: ops.conv(IMAGE, KERNEL, padding="full"), r"padding to be \"valid\" or \"same\".*'full'"),
    (lambda: ops.conv(IMAGE, KERNEL, data_format="channels_first"), r"\"channels_last\".*transpose\(x, \(0, 2, 3, 1\)"),
    (lambda: ops.depthwise_conv(IMAGE, KERNEL[:, :, :1]), r"depthwise_conv: expected shapes .*multiplier\)"),
    (lambda: ops.max_pool(IMAGE, 6), r"max_pool: expected images of at least one window of \(6, 6\)"),
    (lambda: ops.max_pool(IMAGE, 2.5), r"max_pool: expected pool_size .*2\.5"),
    (lambda: ops.max_pool(IMAGE.astype("uint8"), 2), r"max_pool: expected floating-point images .*dtype=uint8"),
    (lambda: ops.max_pool(3.0, 2), r"max_pool: expected floating-point images .*inputs\.shape=\(\)"),
    (lambda: ops.average_pool(IMAGE, 2, True), r"average_pool: expected strides .*True"),
    (lambda: ops.pad(IMAGE, ((1, 1),)), r"pad: expected a pair for each of 4 axes"),
    (lambda: ops.pad(IMAGE, ((0, 0), (-1, 0), (0, 0), (0, 0))), r"pad: expected each entry of pad_width .*\(-1, 0\)"),
    (lambda: ops.pad(IMAGE, ((0, 0),) * 4, mode="reflect"), r"mode to be \"constant\".*'reflect'"),
]


@pytest.mark.parametrize("index", range(len(BAD_CALLS)))
def test_operations_say_what_is_wrong(index: int) -> None:
    call, message = BAD_CALLS[index]
    with pytest.raises(UsageError, match=message):
        call()


BAD_LAYERS: list[tuple[Any, str]] = [
    (lambda: Conv2D(0, 3), r"Conv2D: Received an invalid value for `filters`"),
    (lambda: Conv2D(4, 0), r"Conv2D: expected kernel_size to be one or two whole numbers of at least 1"),
    (lambda: Conv2D(4, 3, strides=(2, 1), dilation_rate=2), r"Conv2D: expected strides or dilation_rate above 1, not"),
    (lambda: Conv2D(4, 3, groups=2), r"Conv2D: expected groups=1\. Got: groups=2\. See DepthwiseConv2D"),
    (lambda: Conv2D(4, 3, padding="causal"), r"Conv2D: expected padding .*'causal'"),
    (lambda: Conv2D(4, 3, data_format="channels_first"), r"Conv2D: expected data_format to be \"channels_last\""),
    (lambda: DepthwiseConv2D(3, depth_multiplier=0), r"DepthwiseConv2D: .*`depth_multiplier`"),
    (lambda: DepthwiseConv2D(3, kernel_initializer="he_normal"), r"Write depthwise_initializer\."),
    (lambda: MaxPooling2D(strides=0), r"MaxPooling2D: expected strides"),
    (lambda: layers.AveragePooling2D("2"), r"AveragePooling2D: expected pool_size"),
    (lambda: layers.GlobalMaxPooling2D(data_format="NHWC"), r"GlobalMaxPooling2D: expected data_format"),
    (lambda: ZeroPadding2D((1, 2, 3)), r"ZeroPadding2D: expected a number or two entries"),
    (lambda: ZeroPadding2D(-1), r"ZeroPadding2D: expected padding .*at least 0"),
    (lambda: Permute((0, 1)), r"Permute: expected each axis once, counted from 1\. Got: dims=\(0, 1\)"),
]


@pytest.mark.parametrize("index", range(len(BAD_LAYERS)))
def test_layers_say_what_is_wrong_when_they_are_made(index: int) -> None:
    make, message = BAD_LAYERS[index]
    with pytest.raises(UsageError, match=message):
        make()


@pytest.mark.parametrize("layer", [Conv2D(2, 3), MaxPooling2D(), layers.GlobalMaxPooling2D(), ZeroPadding2D()])
def test_the_error_for_grey_images_without_channels_says_how_to_get_one(layer: layers.Layer) -> None:
    message = rf"layer '{layer.name}' \({type(layer).__name__}\): expected images .*Reshape\(\(28, 28, 1\)\)"
    with pytest.raises(ShapeError, match=message):
        layer.compute_output_shape((None, 28, 28))


def test_a_net_with_too_many_poolings_fails_when_it_is_built() -> None:
    with pytest.raises(ShapeError, match=r"layer 'second' \(Conv2D\): .*window of \(5, 5\).*\(None, 4, 4, 8\)"):
        Sequential([Input((8, 8, 1)), Conv2D(8, 3, padding="same"), MaxPooling2D(), Conv2D(8, 5, name="second")])


def test_other_channels_than_the_layer_was_built_for() -> None:
    layer = Conv2D(2, 3, name="first")
    layer(normal(1, 5, 5, 3))
    with pytest.raises(ShapeError, match=r"layer 'first'.*expected axis -1 .* value 3\. .*\(None, 5, 5, 1\)"):
        layer(normal(1, 5, 5, 1))


def test_permute_counts_the_axes() -> None:
    with pytest.raises(ShapeError, match=r"\(Permute\): expected 2 axes in a sample.*\(None, 2, 3, 4\)"):
        Permute((2, 1))(normal(1, 2, 3, 4))


@pytest.mark.parametrize("name", ["MaxPooling1D", "GlobalAveragePooling3D", "UpSampling2D"])
def test_layers_for_other_shapes_are_kerass(name: str) -> None:
    with pytest.raises(NotInNetchuError, match=rf"no {name}: .*docs/left-to-keras\.md"):
        getattr(layers, name)
