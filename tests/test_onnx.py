"""ONNX files, judged by ONNX Runtime: for every layer and activation it must compute what `predict` does."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from helpers import ENGINE_RTOL, assert_close
from netchu import Sequential, activations, layers, ops
from netchu.errors import MissingExtraError, ModelFileError, UsageError
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
    Input,
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
from small_nets import run_python

onnx = pytest.importorskip("onnx", reason="ONNX files need onnx: pip install -e '.[dev]'")
pytest.importorskip("onnxruntime", reason="ONNX files are judged by onnxruntime: pip install -e '.[dev]'")

from netchu.interop import onnx as onnx_files  # noqa: E402 (after the libraries are known to be there)

Layers = list[Layer]
PICTURE = (7, 8, 3)  # height, width, channels: odd and even

# name of the layer, with a word on the settings -> the shape of a sample, and the layers.
CASES: dict[str, tuple[tuple[int, ...], Callable[[], Layers]]] = {
    "Activation": ((6,), lambda: [Activation("tanh")]),
    "Activation-softmax of channels": (PICTURE, lambda: [Conv2D(4, 3), Activation("softmax"), MaxPooling2D()]),
    "Activation-glu of channels": (PICTURE, lambda: [Conv2D(4, 3), Activation("glu"), MaxPooling2D()]),
    "Activation-sparsemax of channels": (PICTURE, lambda: [Conv2D(4, 3, activation="sparsemax"), MaxPooling2D()]),
    "ActivityRegularization": ((6,), lambda: [Dense(4), ActivityRegularization(l1=0.1), Dense(2)]),
    "AlphaDropout": ((6,), lambda: [Dense(4), AlphaDropout(0.5), Dense(2)]),
    "AveragePooling2D": (PICTURE, lambda: [AveragePooling2D(2)]),
    "AveragePooling2D-same": (PICTURE, lambda: [AveragePooling2D(2, padding="same")]),
    "AveragePooling2D-wide": (PICTURE, lambda: [AveragePooling2D((3, 2), strides=(2, 1), padding="same")]),
    "BatchNormalization": ((6,), lambda: [BatchNormalization(), Dense(2)]),
    "BatchNormalization-of channels": (PICTURE, lambda: [Conv2D(4, 3), BatchNormalization(), ReLU(), MaxPooling2D()]),
    "BatchNormalization-of a sequence": ((5, 6), lambda: [BatchNormalization(epsilon=0.1), Dense(2)]),
    "BatchNormalization-axis 1": (PICTURE, lambda: [BatchNormalization(axis=1, scale=False)]),
    "BatchNormalization-axis 2": (PICTURE, lambda: [Conv2D(4, 3), BatchNormalization(axis=2, center=False)]),
    "Conv2D": (PICTURE, lambda: [Conv2D(4, 3)]),
    "Conv2D-glu": (PICTURE, lambda: [Conv2D(4, 3, activation="glu"), MaxPooling2D()]),
    "Conv2D-same": (PICTURE, lambda: [Conv2D(4, 3, padding="same", activation="relu")]),
    "Conv2D-same, even window": (PICTURE, lambda: [Conv2D(4, (2, 4), padding="same", use_bias=False)]),
    "Conv2D-same, strides": (PICTURE, lambda: [Conv2D(4, 3, strides=2, padding="same")]),
    "Conv2D-strides": (PICTURE, lambda: [Conv2D(4, (3, 2), strides=(2, 3))]),
    "Conv2D-dilation": (PICTURE, lambda: [Conv2D(4, (3, 2), dilation_rate=(2, 3))]),
    "Conv2D-same, dilation": (PICTURE, lambda: [Conv2D(4, (3, 2), dilation_rate=(2, 3), padding="same")]),
    "Conv2D-own axis of ones": ((5, 5, 1), lambda: [Conv2D(1, 1)]),
    "Dense": ((6,), lambda: [Dense(4, activation="sigmoid")]),
    "Dense-no bias": ((6,), lambda: [Dense(4, use_bias=False)]),
    "Dense-of a sequence": ((5, 6), lambda: [Dense(4), Dense(3)]),
    "Dense-of channels": (PICTURE, lambda: [Conv2D(4, 3), Dense(2), MaxPooling2D()]),
    "Dense-sparsemax": ((6,), lambda: [Dense(4, activation="sparsemax")]),
    "DepthwiseConv2D": (PICTURE, lambda: [DepthwiseConv2D(3)]),
    "DepthwiseConv2D-multiplied": (PICTURE, lambda: [DepthwiseConv2D(3, depth_multiplier=2, padding="same")]),
    "DepthwiseConv2D-strides": (PICTURE, lambda: [DepthwiseConv2D(3, strides=2, activation="elu", use_bias=False)]),
    "DepthwiseConv2D-same, dilation": (PICTURE, lambda: [DepthwiseConv2D(3, dilation_rate=2, padding="same")]),
    "DepthwiseConv2D-same, dilation and strides": (
        PICTURE,
        lambda: [DepthwiseConv2D((3, 2), strides=2, dilation_rate=2, padding="same")],
    ),
    "Dropout": ((6,), lambda: [Dense(4), Dropout(0.5), Dense(2)]),
    "Dropout-alone": ((6,), lambda: [Dropout(0.5)]),
    "ELU": ((6,), lambda: [ELU(0.7)]),
    "Flatten": ((2, 3, 4), lambda: [Flatten()]),
    "Flatten-after a convolution": (PICTURE, lambda: [Conv2D(4, 3), Flatten(), Dense(2)]),
    "GaussianDropout": ((6,), lambda: [Dense(4), GaussianDropout(0.5), Dense(2)]),
    "GaussianNoise": ((6,), lambda: [Dense(4), GaussianNoise(0.5), Dense(2)]),
    "GlobalAveragePooling2D": (PICTURE, lambda: [GlobalAveragePooling2D()]),
    "GlobalAveragePooling2D-kept": (PICTURE, lambda: [Conv2D(4, 3), GlobalAveragePooling2D(keepdims=True)]),
    "GlobalMaxPooling2D": (PICTURE, lambda: [Conv2D(4, 3), GlobalMaxPooling2D(), Dense(2)]),
    "GlobalMaxPooling2D-kept": (PICTURE, lambda: [GlobalMaxPooling2D(keepdims=True)]),
    "InputLayer": ((6,), lambda: [Sequential([InputLayer((6,)), Dense(2)])]),
    "LayerNormalization": ((6,), lambda: [LayerNormalization()]),
    "LayerNormalization-bare": ((6,), lambda: [LayerNormalization(scale=False, center=False, epsilon=0.1)]),
    "LayerNormalization-of channels": (PICTURE, lambda: [Conv2D(4, 3), LayerNormalization(), MaxPooling2D()]),
    "LayerNormalization-all axes": (PICTURE, lambda: [LayerNormalization(axis=[1, 2, 3])]),
    "LayerNormalization-other axes": (PICTURE, lambda: [LayerNormalization(axis=[2, 1])]),
    "LayerNormalization-outer axes": (PICTURE, lambda: [Conv2D(4, 3), LayerNormalization(axis=[-1, 1]), ReLU()]),
    "LeakyReLU": ((6,), lambda: [LeakyReLU(0.1)]),
    "MaxPooling2D": (PICTURE, lambda: [MaxPooling2D()]),
    "MaxPooling2D-same": (PICTURE, lambda: [MaxPooling2D(3, strides=2, padding="same")]),
    "PReLU": ((6,), lambda: [PReLU()]),
    "PReLU-of channels": (PICTURE, lambda: [Conv2D(4, 3), PReLU(shared_axes=[1, 2]), MaxPooling2D()]),
    "PReLU-of rows": (PICTURE, lambda: [Conv2D(4, 3), PReLU(shared_axes=[2]), MaxPooling2D()]),
    "Permute": ((2, 3, 4), lambda: [Permute((3, 1, 2))]),
    "Permute-after a convolution": (PICTURE, lambda: [Conv2D(4, 3), Permute((2, 3, 1))]),
    "RandomRotation": (PICTURE, lambda: [RandomRotation(0.1), Conv2D(4, 3)]),
    "RandomTranslation": (PICTURE, lambda: [RandomTranslation(0.1, 0.1), Conv2D(4, 3)]),
    "RandomZoom": (PICTURE, lambda: [RandomZoom(0.1), Conv2D(4, 3)]),
    "ReLU": ((6,), lambda: [ReLU()]),
    "ReLU-ceiling": ((6,), lambda: [ReLU(max_value=1.5)]),
    "ReLU-slope": ((6,), lambda: [ReLU(max_value=1, negative_slope=2)]),
    "ReLU-threshold": ((6,), lambda: [ReLU(threshold=0.5)]),
    "ReLU-slope and threshold": ((6,), lambda: [ReLU(negative_slope=0.1, threshold=0.5)]),
    "Rescaling": ((6,), lambda: [Rescaling(1 / 255)]),
    "Rescaling-channels": (PICTURE, lambda: [Conv2D(2, 3), Rescaling([0.5, 2.0], offset=[1.0, -1.0])]),
    "Reshape": ((12,), lambda: [Reshape((3, -1))]),
    "Reshape-after a convolution": (PICTURE, lambda: [Conv2D(4, 3), Reshape((10, 12)), Dense(2)]),
    "Sequential": ((6,), lambda: [Sequential([Dense(4), Sequential([Dense(3), Dense(3)])]), Dense(2), Dense(2)]),
    "Softmax": ((6,), lambda: [Softmax()]),
    "Softmax-one axis": (PICTURE, lambda: [Conv2D(4, 3), Softmax(axis=[1])]),
    "Softmax-two axes": (PICTURE, lambda: [Conv2D(4, 3), Softmax(axis=[1, -1])]),
    "SpatialDropout2D": (PICTURE, lambda: [Conv2D(4, 3), SpatialDropout2D(0.5), MaxPooling2D()]),
    "ZeroPadding2D": (PICTURE, lambda: [ZeroPadding2D(((1, 2), (3, 0)))]),
    "ZeroPadding2D-before a convolution": (PICTURE, lambda: [Conv2D(4, 3), ZeroPadding2D((2, 1)), Conv2D(2, 3)]),
}


def built(sample: tuple[int, ...], made: Layers) -> Sequential:
    """A model with random weights, biases and statistics too; a variance is positive."""
    model = Sequential([Input(sample), *made])
    draw = np.random.default_rng(1)
    for name, weight in model.named_weights().items():
        value = draw.normal(0, 0.5, weight.shape)
        weight.assign((np.abs(value) + 0.1 if "variance" in name else value).astype("float32"))
    return model


def samples(sample: tuple[int, ...], n: int = 5) -> np.ndarray:
    return np.random.default_rng(2).normal(0, 2, (n, *sample)).astype("float32")


def convnet() -> Sequential:
    return built(
        (28, 28),
        [
            Reshape((28, 28, 1)),
            Conv2D(8, 3, activation="relu"),
            MaxPooling2D(),
            Conv2D(16, 3, padding="same", activation="relu"),
            AveragePooling2D(2),
            Dropout(0.5),
            Flatten(),
            Dense(10, activation="softmax"),
        ],
    )


def assert_runtime_agrees(model: Sequential, folder: Path, x: np.ndarray) -> None:
    """One file, all of `x`, and the first sample alone."""
    model.export(folder / "model.onnx")
    expected = model.predict(x, verbose=0)
    assert_close(onnx_files.run(folder / "model.onnx", x), expected, rtol=ENGINE_RTOL)
    atol = ENGINE_RTOL * float(np.abs(expected).max())  # that of all samples
    assert_close(onnx_files.run(folder / "model.onnx", x[:1]), expected[:1], atol=atol, what="alone")


@pytest.mark.parametrize("case", CASES)
def test_onnx_runtime_computes_the_same(case: str, tmp_path: Path) -> None:
    sample, make = CASES[case]
    assert_runtime_agrees(built(sample, make()), tmp_path, samples(sample))


def test_every_registered_layer_has_a_case() -> None:
    assert {name.partition("-")[0] for name in CASES} == {*layers.registry.table, "Sequential"}


BY_THEMSELVES = sorted({f.__name__ for f in activations.known} - {"threshold"})  # which needs two arguments more


@pytest.mark.parametrize("name", BY_THEMSELVES)
def test_every_activation(name: str, tmp_path: Path) -> None:
    x = np.linspace(-4, 4, 96, dtype="float32").reshape(-1, 6)[np.random.default_rng(0).permutation(16)]
    assert_runtime_agrees(built((6,), [Activation(name)]), tmp_path, x)


def test_activations_where_their_exponentials_overflow(tmp_path: Path) -> None:
    x = np.asarray([[-200.0, -100.0, -90.0, 90.0, 100.0, 200.0]], dtype="float32")
    for name in ("sigmoid", "softplus", "log_sigmoid", "mish", "silu", "softmax", "log_softmax", "elu"):
        assert_runtime_agrees(built((6,), [Activation(name)]), tmp_path, x)


def test_relu_at_its_threshold(tmp_path: Path) -> None:
    x = np.asarray([[0.25, 0.5, 0.75]], dtype="float32")
    assert_runtime_agrees(built((3,), [ReLU(threshold=0.5)]), tmp_path, x)


def test_a_whole_network(tmp_path: Path) -> None:
    assert_runtime_agrees(convnet(), tmp_path, samples((28, 28)))


def test_the_same_from_every_engine(engine: str, tmp_path: Path) -> None:
    assert_runtime_agrees(convnet(), tmp_path, samples((28, 28)))


# --- what is in the file ---------------------------------------------------------------------------------------------


def read(folder: Path, model: Sequential) -> Any:
    model.export(folder / "model.onnx")
    return onnx.load(folder / "model.onnx")


def shape_of(value: Any) -> list[Any]:
    return [d.dim_param or d.dim_value for d in value.type.tensor_type.shape.dim]


def test_old_runtimes_can_read_it(tmp_path: Path) -> None:
    file = read(tmp_path, convnet())
    assert (file.ir_version, [(o.domain, o.version) for o in file.opset_import]) == (8, [("", 17)])


def test_one_input_one_output_any_number_of_samples(tmp_path: Path) -> None:
    graph = read(tmp_path, convnet()).graph
    assert [(v.name, shape_of(v)) for v in graph.input] == [("input", ["batch", 28, 28])]
    assert [(v.name, shape_of(v)) for v in graph.output] == [("output", ["batch", 10])]


def test_weights_have_their_names_and_float32(tmp_path: Path) -> None:
    model = Sequential([Input((6,)), Dense(4, name="first"), Sequential([Dense(3)], name="inner")])
    stored = {w.name: onnx.numpy_helper.to_array(w) for w in read(tmp_path, model).graph.initializer}
    assert sorted(stored) == ["first/bias", "first/kernel", "inner/dense/bias", "inner/dense/kernel"]
    for name, weight in model.named_weights().items():
        assert stored[name].dtype == np.float32
        np.testing.assert_array_equal(stored[name], weight.numpy())


def test_the_file_says_what_it_is(tmp_path: Path) -> None:
    file = read(tmp_path, Sequential([Input((6,)), Dense(4)], name="small"))
    assert (file.graph.name, file.producer_name) == ("small", "netchu")
    assert file.doc_string == "Input: float32 (batch, 6). Output: float32 (batch, 4)."


def test_channels_are_turned_twice_in_a_convolutional_network(tmp_path: Path) -> None:
    operators = [node.op_type for node in read(tmp_path, convnet()).graph.node]
    assert operators == [
        "Reshape", "Transpose", "Conv", "Relu", "MaxPool", "Conv", "Relu", "AveragePool", "Transpose", "Flatten",
        "MatMul", "Add", "Softmax",
    ]  # fmt: skip


def test_lengths_that_are_not_known_have_names(tmp_path: Path) -> None:
    model = built((None, None, 3), [Conv2D(4, 3, strides=2, padding="same"), GlobalAveragePooling2D()])
    assert shape_of(read(tmp_path, model).graph.input[0]) == ["batch", "axis_1", "axis_2", 3]
    for picture in (PICTURE, (4, 5, 3)):
        assert_runtime_agrees(model, tmp_path, samples(picture))


def test_equal_models_give_equal_files(tmp_path: Path) -> None:
    for name in ("a.onnx", "b.onnx"):
        convnet().export(tmp_path / name)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()


# --- what cannot be written ------------------------------------------------------------------------------------------


class Double(Layer):
    def call(self, x: Any) -> Any:
        return x * 2


class OwnDense(Dense):
    def call(self, x: Any) -> Any:
        return super().call(x) * 2


class OwnModel(Sequential):
    def call(self, x: Any, training: bool = False) -> Any:
        return super().call(x, training) * 2


def nothing_but_finite() -> Sequential:
    model = Sequential([Input((6,)), Dense(4)])
    model.weights[0].assign(np.full((6, 4), np.nan, "float32"))
    return model


def of(layer: Layer) -> Callable[[], Sequential]:
    return lambda: Sequential([Input((6,)), layer])


REFUSED: dict[str, tuple[Callable[[], Sequential], type[Exception], str]] = {
    "own layer": (of(Double(name="twice")), UsageError, "layer 'twice'.*Got: Double, a class of your own"),
    "own Dense": (of(OwnDense(2)), UsageError, "layer 'own_dense'.*Got: OwnDense"),
    "own inner model": (of(OwnModel([Dense(2)])), UsageError, "layer 'own_model'.*Got: OwnModel"),
    "own model": (lambda: OwnModel([Input((6,)), Dense(2)]), UsageError, "Got: .*OwnModel"),
    "own activation": (of(Dense(2, activation=lambda x: x, name="odd")), UsageError, "layer 'odd'.*Got: activation="),
    "activation with settings": (of(Dense(2, activation=ops.square)), UsageError, "layer 'dense'.*square"),
    "float64": (of(Dense(2, dtype="float64")), UsageError, "layer 'dense'.*float32.*float64"),
    "not built": (lambda: Sequential([Dense(2)]), UsageError, "built"),
    "NaN": (nothing_but_finite, ModelFileError, "NaN or infinity in 'dense/kernel'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_onnx_cannot_say_is_refused(case: str, tmp_path: Path) -> None:
    make, error, message = REFUSED[case]
    (tmp_path / "model.onnx").write_bytes(b"old")
    with pytest.raises(error, match=message):
        make().export(tmp_path / "model.onnx")
    assert [(f.name, f.read_bytes()) for f in tmp_path.iterdir()] == [("model.onnx", b"old")]


def test_format_and_ending_must_be_known(tmp_path: Path) -> None:
    model = Sequential([Input((6,)), Dense(4)])
    with pytest.raises(UsageError, match=r"export format.*tf_saved_model.*Known: onnx"):
        model.export(tmp_path / "model", format="tf_saved_model")
    with pytest.raises(UsageError, match=r"ending in \.onnx"):
        model.export(tmp_path / "model.keras")


@pytest.mark.parametrize("library", ["onnx", "onnxruntime"])
def test_a_missing_library_is_named_with_its_pip_line(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    with pytest.raises(MissingExtraError, match=rf"needs {library},.*pip install 'netchu\[onnx\]'"):
        onnx_files.need("onnx", "onnxruntime")


def test_export_needs_onnx_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Sequential([Input((6,)), Dense(4)])
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    model.export(tmp_path / "model.onnx")
    with pytest.raises(MissingExtraError, match="onnxruntime"):
        onnx_files.run(tmp_path / "model.onnx", samples((6,)))
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(MissingExtraError, match="onnx"):
        model.export(tmp_path / "other.onnx")


def test_netchu_and_its_exporter_load_no_onnx() -> None:
    loaded = "import sys, netchu.interop.onnx; print([name for name in sys.modules if name.startswith('onnx')])"
    assert run_python(loaded) == "[]\n"


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"expected a folder that is there\. Got: folder=.*missing'"):
        Sequential([Input((6,)), Dense(4)]).export(tmp_path / "missing" / "model.onnx")
