"""Hostile model files: a corpus by name, each one change away from a file that loads, and junk in every setting.

    path.write_bytes(CORPUS["header length 0"]())            # load_model(path) must raise ModelFileError
    for name, data in junk_files(): ...                      # refused, or a model that works

`test_hostile_files.py` reads them; nothing here reads anything.
"""

from __future__ import annotations

import copy
import gzip
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from netchu import Sequential, layers, losses, metrics, optimizers
from netchu.formats.safetensors import pack
from netchu.layers import Dense, Input
from netchu.optimizers import schedules
from netchu.registry import to_json
from random_architectures import LAYERS, ONE_CYCLE, SCHEDULES, random_model

# --- a valid file, and how to forge one ------------------------------------------------------------------------------

CONFIG: dict[str, Any] = {
    "model": {
        "name": "sequential",
        "layers": [
            {"class_name": "InputLayer", "config": {"shape": [3]}},
            {"class_name": "Dense", "config": {"units": 2, "activation": "softmax", "name": "dense"}},
        ],
    },
    "compile": {"optimizer": "sgd", "loss": "sparse_categorical_crossentropy", "metrics": ["accuracy"]},
}
BIAS = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}
KERNEL = {"dtype": "F32", "shape": [3, 2], "data_offsets": [8, 32]}
TENSORS: dict[str, Any] = {"dense/bias": BIAS, "dense/kernel": KERNEL}
DATA = np.arange(8, dtype="<f4").tobytes()


def packed(header: str | bytes, data: bytes = DATA, length: int | None = None) -> bytes:
    """The bytes of a safetensors file with this header, whose length may be a lie."""
    text = header if isinstance(header, bytes) else header.encode("utf-8", "surrogatepass")
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def forged(
    tensors: Any = TENSORS, config: Any = CONFIG, data: bytes = DATA, about: Any = None, metadata: Any = None
) -> bytes:
    """A netchu model file with some of its parts replaced; without any, one that loads."""
    inner = about if isinstance(about, str) else json.dumps(about or {"format": 1, "config": config, "info": {}})
    return packed(json.dumps({"__metadata__": metadata or {"netchu": inner}, **tensors}), data)


def kernel(**changes: Any) -> bytes:
    return forged({**TENSORS, "dense/kernel": {**KERNEL, **changes}})


def model_of(*layers: dict[str, Any], shape: Any = (3,), tensors: Any = TENSORS) -> bytes:
    entries = [{"class_name": "InputLayer", "config": {"shape": shape}}, *layers]
    return forged(tensors, {"model": {"name": "m", "layers": entries}, "compile": None})


def layer(class_name: Any, **config: Any) -> dict[str, Any]:
    return {"class_name": class_name, "config": config}


def dense(**changes: Any) -> bytes:
    return model_of(layer("Dense", **{"units": 2, "activation": "softmax", "name": "dense", **changes}))


def compiled(**changes: Any) -> bytes:
    return forged(config={**CONFIG, "compile": {**CONFIG["compile"], **changes}})


def with_data(*values: float) -> bytes:
    return forged(data=np.array([*values, *range(8 - len(values))], "<f4").tobytes())


def nested_json(depth: int) -> bytes:
    return packed('{"__metadata__":' + "[" * depth + "]" * depth + "}")


def inside(text: str) -> bytes:
    """`text` as the JSON inside the header."""
    return forged(about=text)


def empty_tensors(count: int) -> bytes:
    """A header of tensors without elements, each at a place that exists."""
    entries = ",".join(f'"t{i:07}":{{"dtype":"F32","shape":[0],"data_offsets":[0,0]}}' for i in range(count))
    return packed('{"__metadata__":{"netchu":"{}"},' + entries + "}", b"")


def archive() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("config.json", json.dumps(CONFIG))
    return out.getvalue()


def numpy_file(array: Any, save: Any = np.save) -> bytes:
    out = io.BytesIO()
    save(out, array)
    return out.getvalue()


class Trap:
    """Unpickling it would run a command."""

    def __reduce__(self) -> Any:
        return os.system, ("echo executed",)


def images(*entries: dict[str, Any]) -> bytes:
    """A model over images of 8 x 8 pixels and 3 channels, without any tensor."""
    model = {"name": "m", "layers": [layer("InputLayer", shape=[8, 8, 3]), *entries]}
    return forged({}, {"model": model, "compile": None}, b"")


# The arguments that a layer cannot do without.
MINIMAL: dict[str, dict[str, Any]] = {name: {} for name in LAYERS} | {
    "Activation": {"activation": "relu"},
    "AlphaDropout": {"rate": 0.1},
    "AveragePooling2D": {"pool_size": 2},
    "Conv2D": {"filters": 2, "kernel_size": 3},
    "Dense": {"units": 2},
    "DepthwiseConv2D": {"kernel_size": 3},
    "Dropout": {"rate": 0.1},
    "GaussianDropout": {"rate": 0.1},
    "GaussianNoise": {"stddev": 0.1},
    "Permute": {"dims": [3, 2, 1]},
    "RandomRotation": {"factor": 0.1},
    "RandomTranslation": {"height_factor": 0.1, "width_factor": 0.1},
    "RandomZoom": {"height_factor": 0.1},
    "Rescaling": {"scale": 2},
    "Reshape": {"target_shape": [-1]},
    "SpatialDropout2D": {"rate": 0.1},
}

SIZE = len(forged())
BODY = {"format": 1, "config": CONFIG, "info": {}}
PLAIN_LAYER_TEXT = json.dumps({"format": 1, "config": CONFIG, "info": {}})
FAR = 2**62

CORPUS: dict[str, Callable[[], bytes]] = {
    # lengths
    "empty": lambda: b"",
    "7 bytes": lambda: b"\0" * 7,
    "8 bytes": lambda: b"\0" * 8,
    **{
        f"header length {n}": lambda n=n: n.to_bytes(8, "little") + forged()[8:]  # type: ignore[misc]
        for n in (0, 1, 2**63, 2**64 - 1, SIZE, SIZE - 7, 1 << 20, (1 << 20) + 1)
    },
    "truncated header": lambda: forged()[:60],
    "truncated data": lambda: forged()[:-1],
    "trailing byte": lambda: forged() + b"\0",
    "trailing archive": lambda: forged() + archive(),
    "67 MB of empty tensors": lambda: empty_tensors(1_000_000),
    "1 MB of empty tensors": lambda: empty_tensors(15_000),
    # JSON
    "header is no JSON": lambda: packed("not json"),
    "header is a list": lambda: packed("[]"),
    "header is a number": lambda: packed("1"),
    "150,000 brackets": lambda: nested_json(150_000),
    "150,000 brackets inside": lambda: inside("[" * 150_000 + "]" * 150_000),
    "900,000 digits": lambda: packed('{"a":' + "9" * 900_000 + "}"),
    "900,000 digits inside": lambda: inside('{"format":' + "9" * 900_000 + "}"),
    "NaN literal": lambda: inside(PLAIN_LAYER_TEXT.replace('"info": {}', '"info": {"a": NaN}')),
    "Infinity literal": lambda: inside(PLAIN_LAYER_TEXT.replace('"info": {}', '"info": {"a": -Infinity}')),
    "number beyond all floats": lambda: inside(PLAIN_LAYER_TEXT.replace('"info": {}', '"info": {"a": 1e400}')),
    "invalid UTF-8": lambda: packed(b'{"\xff\xfe": 1}'),
    "byte order mark": lambda: packed("\ufeff" + forged()[8:-32].decode()),
    "duplicate tensor": lambda: packed(forged()[8:-32].decode()[:-1] + ', "dense/bias": ' + json.dumps(BIAS) + "}"),
    "duplicate key inside": lambda: inside('{"format": 1, "format": 1, "config": {}, "info": {}}'),
    # netchu's part of the header
    "no metadata": lambda: packed(json.dumps(TENSORS)),
    "metadata of another program": lambda: forged(metadata={"format": "pt"}),
    "metadata with more": lambda: forged(metadata={"netchu": PLAIN_LAYER_TEXT, "other": "x"}),
    "metadata is no text": lambda: forged(metadata={"netchu": {"format": 1}}),
    "format 2": lambda: forged(about={"format": 2, "config": CONFIG, "info": {}}),
    "format true": lambda: forged(about={"format": True, "config": CONFIG, "info": {}}),
    "no format": lambda: forged(about={"config": CONFIG, "info": {}}),
    "no config": lambda: forged(about={"format": 1, "info": {}}),
    "config is a list": lambda: forged(about={"format": 1, "config": [], "info": {}}),
    "info is a text": lambda: forged(about={"format": 1, "config": CONFIG, "info": "x"}),
    "no model": lambda: forged(config={"compile": None}),
    "model is a text": lambda: forged(config={"model": "x", "compile": None}),
    "layers is a number": lambda: forged(config={"model": {"layers": 3}, "compile": None}),
    "layers is a name": lambda: forged(config={"model": {"layers": "Dense"}, "compile": None}),
    "no layers": lambda: forged({}, {"model": {"layers": []}, "compile": None}, b""),
    "no input": lambda: forged(config={"model": {"layers": [layer("Dense", units=2)]}, "compile": None}),
    # dtypes
    **{
        f"dtype {dtype!r}": lambda dtype=dtype: kernel(dtype=dtype)  # type: ignore[misc]
        for dtype in ("F4", "BF16", "F16", "f32", "", None, 32, ["F32"], {"a": 1})
    },
    "dtype of the right size": lambda: kernel(dtype="I32"),
    "dtype missing": lambda: forged({**TENSORS, "dense/kernel": {"shape": [3, 2], "data_offsets": [8, 32]}}),
    "entry with more": lambda: kernel(more=1),
    "entry is a list": lambda: forged({**TENSORS, "dense/kernel": [1, 2]}),
    # shapes
    **{
        f"shape {shape!r:.30}": lambda shape=shape: kernel(shape=shape)  # type: ignore[misc]
        for shape in (
            [-1, 6], [-3, -2], [3.0, 2], ["3", 2], [True, 6], [FAR, 4], [2**32, 2**32], [2**64, 2],
            [3, 2] + [1] * 100, [2, 3], [6], [], "32", None, {"0": 3}, [[3], 2], [10**400, 0], [3, 3],
        )
    },
    "product that overflows to 6": lambda: kernel(shape=[2**63 + 3, 2]),
    # offsets
    **{
        f"offsets {span}": lambda span=span: kernel(data_offsets=span)  # type: ignore[misc]
        for span in (
            [0, 24], [4, 28], [9, 33], [12, 36], [32, 8], [8.0, 32.0], [8], [8, 32, 40], [], None, "8,32", [-8, 16],
            [True, 25], [8, 8], [FAR, FAR + 24], [2**64 + 8, 2**64 + 32],
        )
    },
    "all overlap": lambda: forged({"dense/bias": {**BIAS, "data_offsets": [8, 16]}, "dense/kernel": KERNEL}),
    "hole": lambda: forged(
        {"dense/bias": BIAS, "dense/kernel": {**KERNEL, "data_offsets": [12, 36]}}, data=DATA + b"\0" * 4),
    "empty tensor in the middle": lambda: forged(
        {**TENSORS, "t": {"dtype": "F32", "shape": [0], "data_offsets": [4, 4]}}),
    "data without tensors": lambda: forged({}),
    # tensors against the architecture
    "tensor missing": lambda: forged({"dense/kernel": {**KERNEL, "data_offsets": [0, 24]}}, data=DATA[:24]),
    "tensor too many": lambda: forged({**TENSORS, "more": {**BIAS, "data_offsets": [32, 40]}}, data=DATA + b"\0" * 8),
    "empty tensor too many": lambda: forged(
        {**TENSORS, "more": {"dtype": "F32", "shape": [0], "data_offsets": [32, 32]}}),
    "swapped shapes": lambda: dense(units=3),
    "other dtype of a layer": lambda: dense(dtype="float64"),
    "other layer name": lambda: dense(name="hidden"),
    **{
        f"tensor name {name!a:.20}": lambda name=name: forged({"dense/bias": BIAS, name: KERNEL})  # type: ignore[misc]
        for name in (
            "Dense/Kernel", "../../etc/passwd", "dense/kernel\0", "k" * 10_000, "\u202edense/kernel", "\ud800", "",
            "dense//kernel", " dense/kernel", "\x1b[2Jkernel", "__class__", "dense/kernel/",
        )
    },
    # layers that are none
    **{
        f"layer {name!a:.30}": lambda name=name: model_of(layer(name, units=2))  # type: ignore[misc]
        for name in (
            "builtins.eval", "eval", "os.system", "subprocess.Popen", "keras.utils.get_file", "netchu.layers.Dense",
            "Lambda", "TFSMLayer", "Layer", "Configurable", "Trainer", "__import__", "", "\ud800", None, 3,
            ["Dense"], "x" * 100_000,
        )
    },
    "registered function as layer": lambda: model_of(layer("relu")),
    "layer of another module": lambda: model_of({"class_name": "Dense", "module": "os", "registered_name": "system"}),
    "layer without class": lambda: model_of({"config": {"units": 2}}),
    "layer is a number": lambda: model_of(3),  # type: ignore[arg-type]
    "layer is null": lambda: model_of(None),  # type: ignore[arg-type]
    "layer config is a list": lambda: model_of({"class_name": "Dense", "config": [1]}),
    # settings of layers
    **{
        f"units {units!r:.20}": lambda units=units: dense(units=units)  # type: ignore[misc]
        for units in (
            0, -1, 2**40, 2**62, 2**64, 10**300, "10", "2", 2.0, True, None, {"a": {"a": 1}}, [2], list(range(100_000)),
        )
    },
    **{
        f"setting {key}": lambda key=key, value=value: dense(**{key: value})  # type: ignore[misc]
        for key, value in {
            "activation": "eval", "kernel_initializer": "os.system", "name": "a/b", "dtype": "object", "unknown": 1,
            "use_bias": False, "self": 1, "__class__": "x", "bias_initializer": {"class_name": "eval", "config": {}},
        }.items()
    },
    "activation with a configuration": lambda: dense(activation={"class_name": "Lambda", "config": "import os"}),
    "name of 10 kB": lambda: dense(name="n" * 10_000),
    "name with an escape": lambda: dense(name="\x1b[2J"),
    "name reversed": lambda: dense(name="\u202edense"),
    "rescaling by a text": lambda: model_of(layer("Rescaling", scale="10"), layer("Dense", units=2, name="dense")),
    "dropout of a text": lambda: model_of(layer("Dropout", rate="10"), layer("Dense", units=2, name="dense")),
    "reshape of a text": lambda: model_of(layer("Reshape", target_shape="3"), layer("Dense", units=2, name="dense")),
    "input of a text": lambda: dense_with_input("3"),
    "input of 10^12": lambda: dense_with_input([10**12]),
    "input of 10^300": lambda: dense_with_input([10**300]),
    "input unknown": lambda: dense_with_input([None]),
    "input of 100,000 axes": lambda: model_of(layer("Flatten"), shape=[2**40] * 70_000),
    "10^12 parameters": lambda: model_of(layer("Dense", units=10**6, name="dense"), shape=[10**6]),
    "glu of 32 GB": lambda: model_of(layer("Activation", activation="glu"), shape=[2**33]),
    "own output shape of 32 GB": lambda: model_of(layer("Reshape", target_shape=[2**33]), shape=[2**33]),
    "20,000 layers": lambda: model_of(*[layer("Flatten")] * 20_000),
    "20,000 layers by name": lambda: forged(config={"model": {"layers": ["Flatten"] * 20_000}, "compile": None}),
    "20,000 layers in a model": lambda: model_of(layer("Sequential", name="m", layers=[layer("Flatten")] * 20_000)),
    "same name 1,000 times": lambda: model_of(*[layer("Flatten", name="a")] * 1000),
    **{f"{n} models in each other": lambda n=n: nested_models(n) for n in (60, 300, 2001, 10_000)},  # type: ignore[misc]
    # settings of compile
    "compile is a text": lambda: forged(config={**CONFIG, "compile": "sgd"}),
    "compile is a list": lambda: forged(config={**CONFIG, "compile": [1]}),
    "compile without a loss": lambda: forged(config={**CONFIG, "compile": {"optimizer": "sgd", "metrics": []}}),
    "optimizer unknown": lambda: compiled(optimizer="os.system"),
    "optimizer with a bad setting": lambda: compiled(optimizer=layer("SGD", learning_rate=-1)),
    "optimizer with a text": lambda: compiled(optimizer=layer("Adam", clipnorm="x")),
    "optimizer unknown setting": lambda: compiled(optimizer=layer("Adam", command="x")),
    "loss unknown": lambda: compiled(loss="builtins.eval"),
    "loss is null": lambda: compiled(loss=None, optimizer=None),
    "metric unknown": lambda: compiled(metrics=["builtins.eval"]),
    "metrics is a number": lambda: compiled(metrics=3),
    # weights
    "NaN weight": lambda: with_data(float("nan")),
    "infinite weight": lambda: with_data(0, float("-inf")),
    # other kinds of file under this name
    "pickle": lambda: pickle.dumps(Trap()),
    "pickle behind a length": lambda: packed(pickle.dumps(Trap())),
    "npy of objects": lambda: numpy_file(np.array([{"a": 1}], dtype=object)),
    "npy": lambda: numpy_file(np.zeros((3, 2))),
    "npz": lambda: numpy_file(np.zeros((3, 2)), np.savez),
    "zip": archive,
    "gzip": lambda: gzip.compress(forged()),
    "h5": lambda: b"\x89HDF\r\n\x1a\n" + b"\0" * 512,
    "png": lambda: b"\x89PNG\r\n\x1a\n" + b"\0" * 64,
    "tar": lambda: b"config.json".ljust(257, b"\0") + b"ustar\x0000" + b"\0" * 2000,
    "text": lambda: b"# a model\n" * 20,
    # settings of layers over images, and numbers that JSON has and float32 has not
    **{
        f"{name}, {key} {value!r:.25}": lambda name=name, key=key, value=value: images(  # type: ignore[misc]
            layer(name, **{**MINIMAL[name], key: value})
        )
        for name, key, values in (
            ("Conv2D", "filters", (0, -1, 2**40, 1.5, "2", [2], 10**300)),
            ("Conv2D", "kernel_size", ([3] * 100_000, 0, -3, [3, 2**40], [3, 3, 3], "3", [], 2**62, None, {"a": 1})),
            ("Conv2D", "strides", (0, -1, [1, 0], "1", 1.0, None)),
            ("Conv2D", "dilation_rate", (0, 2**40, [1, -1])),
            ("Conv2D", "groups", (2, 0, 2**40)),
            ("Conv2D", "padding", ("full", 1, ["same"])),
            ("Conv2D", "data_format", ("channels_first", 3)),
            ("DepthwiseConv2D", "depth_multiplier", (0, 2**40, True)),
            ("MaxPooling2D", "pool_size", (0, 2**40, [2] * 100_000, -1)),
            ("MaxPooling2D", "strides", (0, -2, [0, 1])),
            ("AveragePooling2D", "pool_size", (2**62, None)),
            ("ZeroPadding2D", "padding", (2**40, 10**4000, -1, [1, -1], [1, 2, 3], [[1, 2**40], [0, 0]], "1", [[1]])),
            ("Permute", "dims", ([1, 2], [1, 1, 2], [0, 1, 2], list(range(1, 100_000)), "123", 3)),
            ("Reshape", "target_shape", ([0], [-1, -1], [2**40], [10**4000], [8.0], list(range(1, 100_000)))),
            ("BatchNormalization", "axis", (0, 4, -5, 2**40, 1.5, "1", [1] * 100_000, None)),
            ("BatchNormalization", "momentum", (float("nan"), -0.1, 1.1, float("inf"), "0.9", None)),
            ("BatchNormalization", "epsilon", (-1, float("nan"), "x", 10**400)),
            ("BatchNormalization", "renorm", (True,)),
            ("LayerNormalization", "axis", ([], [0], [1, 1], [4], [3] * 100_000)),
            ("PReLU", "shared_axes", ([0], [9], [1] * 300_000 + [9], "1", 2**40)),
            ("Softmax", "axis", (4, -5, [1, 1], [], 2**40, "1", None, True, [1.5])),
            ("SpatialDropout2D", "rate", (1, -0.1, 2, float("nan"), "0.5", None, [0.5])),
            ("GaussianNoise", "stddev", (-1, 1.5, float("nan"), [1])),
            ("Dropout", "noise_shape", ([-1], [0], "1", [[1]], 3)),
            ("Dropout", "seed", (-1, 2**40, "1", 0.5, [1], 10**300)),
            ("RandomRotation", "factor", (2, [0.1], [0.1, 0.2, 0.3], "0.1", None, float("nan"))),
            ("RandomZoom", "height_factor", (-1, 10**300)),
            ("RandomTranslation", "fill_mode", ("eval", 3, None)),
            ("RandomTranslation", "interpolation", ("bicubic", [])),
            ("ReLU", "max_value", (-1, "6", 10**300, [1])),
            ("LeakyReLU", "negative_slope", (-0.1, None, 1e300)),
            ("ELU", "alpha", ("1", None, 1e300, [1])),
            ("Rescaling", "scale", ([1, 2], [[1], [2]], 1e300, 10**300, "1", None, {"a": 1}, [1] * 100_000)),
            ("ActivityRegularization", "l1", (-1, float("nan"), "1", 1e300)),
        )
        for value in values
    },
    **{
        f"{what} {i} {value!a:.30}": lambda what=what, value=value: dense(**{what: value})  # type: ignore[misc]
        for what, values in {
            "kernel_initializer": (
                layer("VarianceScaling", scale=float("nan")), layer("VarianceScaling", scale=0),
                layer("VarianceScaling", mode="eval"), layer("Constant", value=[[[[1]]]]), layer("Constant", value="1"),
                layer("RandomNormal", stddev="x"), layer("RandomUniform", seed="x"), layer("Zeros", shape=[2**40]),
                layer("builtins.eval"), ["zeros"], 3, {"class_name": "Zeros", "config": [["a", 1]]},
            ),
            "kernel_regularizer": (
                layer("L2", l2=float("nan")), layer("L2", l2=-1), layer("L1L2", l1="1"), layer("L1", l1=1e300), 3,
                layer("OrthogonalRegularizer", mode="eval"), "eval", [],
            ),
            "kernel_constraint": (
                layer("MaxNorm", max_value=0), layer("MaxNorm", axis="x"), layer("MaxNorm", axis=[]),
                layer("MinMaxNorm", min_value=2, max_value=1), layer("UnitNorm", axis=[0.5]), "eval", 3, {},
            ),
            "name": ("", " \n", "\ud800", "a\0", "n" * 101, 3, ["a"], "\u202e", "\x1b[31m"),
            "trainable": ("no", [1], None),
            "dtype": ("float16", "complex64", 3, ["float32"], {"a": 1}),
            "activity_regularizer": ("eval", 3, layer("L2", l2="x")),
        }.items()
        for i, value in enumerate(values)
    },
    "1e400 as a setting": lambda: inside(json.dumps(BODY).replace('"units": 2', '"units": 1e400')),
    "configuration as pairs": lambda: model_of({"class_name": "Dense", "config": [["units", 2], ["name", "dense"]]}),
    "20,000 layers in a model as pairs": lambda: model_of(
        {"class_name": "Sequential", "config": [["name", "m"], ["layers", [layer("Flatten")] * 20_000]]}),
    "20,000 layers as keys": lambda: forged(
        config={"model": {"layers": {f"fl{'_' * n}atten": 0 for n in range(1400)}}, "compile": None}),
    "name of 900 kB": lambda: model_of(layer("x" * 900_000)),
    "argument with an escape": lambda: compiled(loss=layer("MeanSquaredError", **{"redu\x1b[2Jction": 1})),
    "argument of 900 kB": lambda: dense(**{"x" * 900_000: 1}),
    "half a surrogate pair": lambda: forged(about={"format": 1, "config": CONFIG, "info": {"a": "\ud800"}}),
    "half a surrogate pair in the outer header": lambda: forged(metadata={"netchu": "\ud800"}),
    "spaces before the header": lambda: packed(b"  " + forged()[8:-32]),
    "seven shapes of 4,000 digits": lambda: kernel(shape=[10**4000] * 7),
    # settings of compile
    **{
        f"compile, {key} {i} {value!a:.30}": lambda key=key, value=value: compiled(**{key: value})  # type: ignore[misc]
        for key, values in {
            "optimizer": (
                None, 3, [], "", layer("SGD", learning_rate=1e300), layer("SGD", learning_rate=float("nan")),
                layer("SGD", momentum="0.9"), layer("SGD", momentum=2), layer("SGD", name="\x1b[2J"),
                layer("SGD", gradient_accumulation_steps=2**70), layer("Adam", beta_1=[0.9]),
                layer("SGD", learning_rate=layer("eval")), layer("SGD", learning_rate=[0.1]),
                layer("SGD", learning_rate=layer("ExponentialDecay", initial_learning_rate=0.1)),
                *(layer("SGD", learning_rate=layer(name, **settings)) for name, settings in (
                    ("PiecewiseConstantDecay", {"boundaries": list(range(120_000)), "values": [0.1] * 120_001}),
                    ("PiecewiseConstantDecay", {"boundaries": [1, "2"], "values": [1, 2, 3]}),
                    ("PiecewiseConstantDecay", {"boundaries": [1], "values": [1, [2]]}),
                    ("CosineDecay", {"initial_learning_rate": 0.1, "decay_steps": 0}),
                    ("CosineDecay", {"initial_learning_rate": "0.1", "decay_steps": 9}),
                    ("CosineDecay", {"initial_learning_rate": layer("CosineDecay"), "decay_steps": 9}),
                    ("CosineDecayRestarts", {"initial_learning_rate": 0.1, "first_decay_steps": 10, "t_mul": 0.5}),
                    ("ExponentialDecay", {"initial_learning_rate": 0.1, "decay_steps": -1, "decay_rate": 1}),
                    ("PolynomialDecay", {"initial_learning_rate": 0.1, "decay_steps": 1, "power": "x"}),
                )),
            ),
            "loss": (None, 3, [], layer("Huber", delta="x"), layer("MeanSquaredError", reduction="eval"),
                     layer("MeanSquaredError", name="\x1b[2J"), layer("CosineSimilarity", axis="x"), "relu"),
            "metrics": (
                "accuracy", {"accuracy": 1}, [3], [None], [["accuracy"]], [layer("AUC", num_thresholds=2**40)],
                [layer("AUC", num_thresholds=0)], [layer("AUC", curve="eval")], [layer("AUC", thresholds=[2])],
                [layer("ConfusionMatrix", num_classes=2**31)], [layer("Mean", name="\x1b[2J")],
                [layer("Mean", name="n" * 101)], [layer("TopKCategoricalAccuracy", k=0)], ["accuracy"] * 100_000,
                [layer("AUC", num_thresholds=9999)] * 10_000, [layer("Precision", thresholds=[0.5] * 9)],
                [layer("F1Score", average="eval")], [layer("Precision", class_id=-1)], ["relu"],
            ),
            "weighted_metrics": ("accuracy", 3, ["accuracy"] * 101),
        }.items()
        for i, value in enumerate(values)
    },
}  # fmt: skip


def dense_with_input(shape: Any) -> bytes:
    return model_of(layer("Dense", units=2, activation="softmax", name="dense"), shape=shape)


def nested_models(depth: int) -> bytes:
    """Sequentials in each other; written by hand, for json.dumps is recursive, too."""
    opened = '{"class_name": "Sequential", "config": {"name": "m", "layers": ['
    models = opened * depth + json.dumps(layer("Flatten")) + "]}}" * depth
    text = json.dumps({**BODY, "config": {"model": {"layers": [layer("InputLayer", shape=[3]), "@"]}, "compile": None}})
    return inside(text.replace('"@"', models))


# --- junk in every setting -------------------------------------------------------------------------------------------

JUNK: list[Any] = [
    0, -1, 3, 2**40, 10**300, 0.5, 1e300, float("nan"), "3", "", "\x1b[2J", None, True, [], {}, {"a": 1}, [[[1]]],
    [1, "2"], list(range(10_000)), {"class_name": "eval", "config": {}}, {"class_name": "Sequential", "config": {}},
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path to everything inside a JSON value."""
    inside_it = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside_it:
        yield (*path, key)
        yield from places(item, (*path, key))


def changed(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of a JSON value with another thing at `path`."""
    value = copy.deepcopy(value)
    at = value
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return value


def model_bytes(config: dict[str, Any], arrays: dict[str, np.ndarray]) -> bytes:
    """A model file, as `saving.write` makes it, of a configuration that nobody looked at."""
    return pack({"netchu": json.dumps({"format": 1, "config": config, "info": {}})}, arrays)


def models_of_every_layer() -> Iterator[Sequential]:
    """A small model for each layer of the registry."""
    assert {*LAYERS, "InputLayer"} == set(layers.registry.table), "a layer without a random architecture"
    for seed, name in enumerate(LAYERS):
        yield random_model(1000 + seed, kinds=[name])


def compile_settings() -> Iterator[dict[str, Any]]:
    """What `save` writes of compile, for each optimizer, schedule, loss and metric."""
    base = {"optimizer": "sgd", "loss": "mse", "metrics": [], "weighted_metrics": []}
    rates = [getattr(schedules, name)(**settings) for name, settings in SCHEDULES.items()]
    rates.append(schedules.OneCycle(**ONE_CYCLE.settings))
    for optimizer in [*(cls() for cls in optimizers.classes), *map(optimizers.SGD, rates)]:
        yield base | {"optimizer": to_json(optimizer)}
    for loss in losses.classes:
        yield base | {"loss": to_json(loss())}
    for cls in metrics.classes:
        yield base | {"metrics": [to_json(cls(average="macro") if issubclass(cls, metrics.FBetaScore) else cls())]}


def junk_files(every: int = 1, of: int = 0) -> Iterator[tuple[str, bytes]]:
    """Every setting of every layer, optimizer, schedule, loss and metric replaced by every kind of junk.

    Args:
        every: give only each `every`-th of them, beginning with number `of`.
    """
    number = 0
    dense_model = Sequential([Input((3,)), Dense(2, name="d")])
    bases = [
        ({"model": m.get_config(), "compile": None}, {n: v.numpy() for n, v in m.named_weights().items()})
        for m in models_of_every_layer()
    ]
    weights = {n: v.numpy() for n, v in dense_model.named_weights().items()}
    bases += [({"model": dense_model.get_config(), "compile": chosen}, weights) for chosen in compile_settings()]
    for config, arrays in bases:
        for path in places(config):
            if config["compile"] is not None and path[0] == "model":
                continue
            for junk in JUNK:
                number += 1
                if number % every == of:
                    yield f"{'/'.join(map(str, path))} = {junk!a:.40}", model_bytes(changed(config, path, junk), arrays)
