"""Hostile `.keras` files: every one is refused with one class of error, at once, and nothing else happens."""

from __future__ import annotations

import copy
import io
import json
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

import netchu
from helpers import assert_same_bits
from netchu import Sequential, optimizers
from netchu.formats.read_hdf5 import find_arrays, read_array
from netchu.formats.write_hdf5 import write_hdf5
from netchu.formats.zip_archive import open_archive, write_archive
from netchu.interop import keras as keras_files
from netchu.layers import Dense, Dropout, Input
from netchu.models import load_model
from small_nets import python_environment
from test_hostile_files import READER, check_refusal, on_linux


class Everything:
    """Contains every path."""

    def __contains__(self, path: object) -> bool:
        return True


EVERYTHING = Everything()


def loaded(data: bytes, folder: Path, **settings: Any) -> Sequential:
    path = folder / "model.keras"
    path.write_bytes(data)
    return load_model(path, **settings)


def good_model() -> Sequential:
    """Three inputs, two outputs; compiled, and in the middle of its run."""
    netchu.random.set_seed(0)
    model = Sequential([Input((3,)), Dense(2, activation="softmax", name="dense"), Dropout(0.5)], name="m")
    model.compile(optimizers.RMSprop(), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(np.ones((4, 3)), np.zeros(4, "int64"), verbose=0)
    return model


def good_parts() -> dict[str, bytes]:
    with pytest.MonkeyPatch.context() as patch:
        written: dict[str, bytes] = {}
        patch.setattr(keras_files, "write_atomically", lambda path, data: written.update({"data": data}))
        good_model().save("good.keras")
    return {name: member.read() for name, member in open_archive(written["data"], keras_files.MEMBERS).items()}


PARTS_OF_GOOD = good_parts()
CONFIG: dict[str, Any] = json.loads(PARTS_OF_GOOD["config.json"])
METADATA: dict[str, Any] = json.loads(PARTS_OF_GOOD["metadata.json"])
WEIGHTS = PARTS_OF_GOOD["model.weights.h5"]


def forged(config: Any = CONFIG, weights: bytes = WEIGHTS, metadata: Any = METADATA) -> bytes:
    """A `.keras` file with some of its parts replaced; without any, one that loads."""
    members = {"metadata.json": metadata, "config.json": config, "model.weights.h5": weights}
    texts = {name: data if isinstance(data, bytes) else json.dumps(data).encode() for name, data in members.items()}
    return write_archive(texts)


def keras_layer(class_name: str, **config: Any) -> dict[str, Any]:
    return {"module": "keras.layers", "class_name": class_name, "config": config, "registered_name": None}


def with_layers(*entries: Any, shape: Any = (3,), **settings: Any) -> dict[str, Any]:
    """CONFIG with other layers behind its input, not compiled."""
    given = keras_layer("InputLayer", batch_shape=[None, *shape], name="input") if shape is not None else 3
    inner = {"name": "m", "layers": [given, *entries], **settings}
    return {"module": "keras", "class_name": "Sequential", "config": inner, "registered_name": None}


def dense(**changes: Any) -> bytes:
    config = copy.deepcopy(CONFIG)
    config["config"]["layers"][1]["config"] |= changes
    return forged(config)


def compiled(**changes: Any) -> bytes:
    return forged({**CONFIG, "compile_config": {**CONFIG["compile_config"], **changes}})


def h5(change: Callable[[h5py.File], Any], **settings: Any) -> bytes:
    """The good weights as h5py writes them, changed, in a `.keras` file."""
    data = io.BytesIO()
    with h5py.File(data, "w", **settings) as file:
        for path, place in find_arrays(WEIGHTS, EVERYTHING, EVERYTHING).items():
            file[path] = read_array(WEIGHTS, place)
        file.create_group("layers/dropout/vars")
        file.create_group("vars")
        change(file)
    return forged(weights=data.getvalue())


KERNEL, BIAS = "layers/dense/vars/0", "layers/dense/vars/1"


def instead(path: str = KERNEL, **settings: Any) -> bytes:
    """Another dataset in the kernel's place."""

    def change(file: h5py.File) -> None:
        del file[path]
        file.create_dataset(path, **settings)

    return h5(change)


def linked(link: Any) -> bytes:
    def change(file: h5py.File) -> None:
        del file[KERNEL]
        file[KERNEL] = link(file) if callable(link) else link

    return h5(change)


def virtual(file: h5py.File) -> None:
    del file[KERNEL]
    layout = h5py.VirtualLayout((3, 2), "float32")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", (3, 2))
    file.create_virtual_dataset(KERNEL, layout)


def committed(file: h5py.File) -> None:
    del file[KERNEL]
    file["layers/dense/kind"] = np.dtype("float32")
    file.create_dataset(KERNEL, (3, 2), file["layers/dense/kind"])


def compact(file: h5py.File) -> None:
    del file[KERNEL]
    properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    properties.set_layout(h5py.h5d.COMPACT)
    h5py.h5d.create(file["layers/dense/vars"].id, b"0", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((3, 2)), properties)


def deeply(file: h5py.File) -> None:
    file.create_group("layers/" + "/".join(["sequential", "layers"] * 200))


def value(path: str, new: Any) -> bytes:
    return h5(lambda file: file[path].write_direct(np.asarray(new, file[path].dtype)))


def bytes_at(change: Callable[[bytearray], Any], weights: bytes = WEIGHTS) -> bytes:
    """A file whose HDF5 bytes were changed."""
    data = bytearray(weights)
    change(data)
    return forged(weights=bytes(data))


def put(signature: bytes, offset: int, number: int, length: int = 8) -> bytes:
    """A file in whose HDF5 part a number behind the first `signature` is another one."""

    def change(data: bytearray) -> None:
        start = data.index(signature) + offset
        data[start : start + length] = number.to_bytes(length, "little")

    return bytes_at(change)


def zipped(change: Callable[[zipfile.ZipFile], Any], leave_out: str = "", method: int = zipfile.ZIP_STORED) -> bytes:
    """The good archive as Python's zipfile writes it, with something more or something less."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", method) as archive:
        for name, part in PARTS_OF_GOOD.items():
            if name != leave_out:
                archive.writestr(name, part)
        change(archive)
    return data.getvalue()


def bomb(name: str, size: int) -> bytes:
    """A member that unpacks to `size` zeros."""
    return zipped(lambda archive: archive.writestr(name, bytes(size)), leave_out=name, method=zipfile.ZIP_DEFLATED)


def in_directory(offset: int, number: int, length: int, data: bytes | None = None) -> bytes:
    """The good file with another number in the last entry of its zip directory."""
    new = bytearray(data or forged())
    entry = new.rindex(b"PK\x01\x02")
    new[entry + offset : entry + offset + length] = number.to_bytes(length, "little")
    return bytes(new)


def lying_bomb() -> bytes:
    """A deflated member that says it is as large as the true one, and unpacks to a hundred times that."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed = packer.compress(bytes(100 * len(WEIGHTS))) + packer.flush()
    good = forged(weights=packed)
    with_method = in_directory(10, 8, 2, good)
    new = bytearray(in_directory(24, len(WEIGHTS), 4, with_method))
    local = new.rindex(b"PK\x03\x04")
    new[local + 8 : local + 10] = b"\x08\0"
    return bytes(new)


def nested_keras_models(depth: int) -> bytes:
    inner = b'{"module":"keras","class_name":"Sequential","config":{"name":"m","layers":['
    return inner * depth + b"]}}" * depth


FLATTEN = keras_layer("Flatten")
FAR = 2**62

CORPUS: dict[str, Callable[[], bytes]] = {
    # the archive
    "empty": lambda: b"",
    "21 bytes": lambda: b"P" * 21,
    "no zip": lambda: b"# a model\n" * 20,
    "truncated": lambda: forged()[:-1],
    "half": lambda: forged()[: len(forged()) // 2],
    "something behind": lambda: forged() + b"\0",
    "a second archive behind": lambda: forged() + forged(),
    "something before": lambda: b"#!/bin/sh\n" + forged(),
    "comment": lambda: zipped(lambda archive: setattr(archive, "comment", b"hello")),
    "no members": lambda: b"PK\x05\x06" + bytes(18),
    "no weights": lambda: zipped(lambda archive: None, leave_out="model.weights.h5"),
    "no config": lambda: zipped(lambda archive: None, leave_out="config.json"),
    "no metadata": lambda: zipped(lambda archive: None, leave_out="metadata.json"),
    "member more": lambda: zipped(lambda archive: archive.writestr("assets/vocabulary.txt", b"x")),
    "member twice": lambda: duplicate_member(),
    "npz weights": lambda: zipped(
        lambda archive: archive.writestr("model.weights.npz", WEIGHTS), leave_out="model.weights.h5"),
    **{
        f"member {name!a:.30}": lambda name=name: zipped(  # type: ignore[misc]
            lambda archive: archive.writestr(name, PARTS_OF_GOOD["config.json"]), leave_out="config.json")
        for name in ("../config.json", "/config.json", "./config.json", "Config.json", "config.json\\", "C:config.json",
                     "\u202econfig.json", "x" * 60_000)
    },
    "bomb of weights": lambda: bomb("model.weights.h5", 64 << 20),
    "bomb of configuration": lambda: bomb("config.json", 4 << 20),
    "configuration of 5 MB": lambda: forged(config=b" " * (5 << 20)),
    "metadata of 2 MB": lambda: forged(metadata=b" " * (2 << 20)),
    "bomb that lies": lying_bomb,
    "10 MB of weights for 8 numbers": lambda: forged(weights=WEIGHTS + bytes(10 << 20)),
    "encrypted": lambda: in_directory(8, 1, 2),
    "compressed by LZMA": lambda: zipped(lambda archive: None, method=zipfile.ZIP_LZMA),
    "compressed by bzip2": lambda: zipped(lambda archive: None, method=zipfile.ZIP_BZIP2),
    "method of the directory differs": lambda: in_directory(10, 8, 2),
    "checksum": lambda: in_directory(16, 1, 4),
    "size": lambda: in_directory(24, len(WEIGHTS) - 1, 4),
    "size beyond the file": lambda: in_directory(20, 2**31, 4),
    "zip64": lambda: in_directory(24, 2**32 - 1, 4),
    "offset beyond the file": lambda: in_directory(42, 2**31, 4),
    "offset of another member": lambda: in_directory(42, 0, 4),
    "overlapping members": lambda: in_directory(20, len(WEIGHTS) + 1, 4),
    "long name in the directory": lambda: in_directory(28, 60_000, 2),
    "65535 members": lambda: forged()[:-14] + b"\xff\xff\xff\xff" + forged()[-10:],
    # JSON
    "configuration is no JSON": lambda: forged(b"not json"),
    "configuration is a list": lambda: forged(b"[]"),
    "150,000 brackets": lambda: forged(b'{"a":' + b"[" * 150_000 + b"]" * 150_000 + b"}"),
    "900,000 digits": lambda: forged(b'{"a":' + b"9" * 900_000 + b"}"),
    "NaN literal": lambda: forged(json.dumps(CONFIG).replace("0.5", "NaN").encode()),
    "number beyond all floats": lambda: forged(json.dumps(CONFIG).replace("0.5", "1e400").encode()),
    "invalid UTF-8": lambda: forged(b'{"\xff\xfe": 1}'),
    "duplicate key": lambda: forged(json.dumps(CONFIG)[:-1].encode() + b', "config": {}}'),
    "metadata is a number": lambda: forged(metadata=b"1"),
    "Keras 2": lambda: forged(metadata={"keras_version": "2.15.0"}),
    "no version": lambda: forged(metadata={}),
    # what is described
    "nothing described": lambda: forged({}),
    "a layer alone": lambda: forged(keras_layer("Dense", units=2)),
    "functional model": lambda: forged({**CONFIG, "class_name": "Functional"}),
    "subclassed model": lambda: forged({**CONFIG, "class_name": "MyModel", "module": "my_package"}),
    "Sequential of another module": lambda: forged({**CONFIG, "module": "os"}),
    "layers is a number": lambda: forged(with_layers() | {"config": {"layers": 3}}),
    "layers is a text": lambda: forged(with_layers() | {"config": {"layers": "Dense"}}),
    "no layers": lambda: forged(with_layers() | {"config": {"layers": []}}),
    "no input": lambda: forged(with_layers() | {"config": {"layers": [keras_layer("Dense", units=2)]}}),
    "layer is a number": lambda: forged(with_layers(3)),
    "layer is null": lambda: forged(with_layers(None)),
    **{
        f"layer {name!a:.30}": lambda name=name: forged(with_layers(keras_layer(name, units=2)))  # type: ignore[misc]
        for name in ("eval", "os.system", "Lambda", "TFSMLayer", "Layer", "Configurable", "__import__", "", "\ud800",
                     None, 3, ["Dense"], "x" * 100_000, "Wrapper", "TorchModuleWrapper", "JaxLayer")
    },
    **{
        f"module {module!a:.30}": lambda module=module: forged(  # type: ignore[misc]
            with_layers(keras_layer("Dense", units=2) | {"module": module}))
        for module in ("os", "subprocess", "builtins", "keras.utils", "keras.src.layers", "netchu.layers", "", 3, None)
    },
    "function of a file": lambda: dense(
        activation={"module": "os", "class_name": "function", "config": "system", "registered_name": "system"}),
    "lambda as activation": lambda: dense(
        activation={"class_name": "__lambda__", "config": {"value": ["4wAAAA", None, None]}}),
    "get_file as initializer": lambda: dense(
        kernel_initializer={"module": "keras.utils", "class_name": "get_file", "config": {"fname": "x"}}),
    "base class as initializer": lambda: dense(
        kernel_initializer={"module": "keras.initializers", "class_name": "Initializer", "config": {}}),
    "module of a room as class": lambda: dense(
        kernel_initializer={"module": "keras.initializers", "class_name": "Any", "config": {}}),
    **{
        f"units {units!r:.20}": lambda units=units: dense(units=units)  # type: ignore[misc]
        for units in (0, -1, 3, 2**40, 2**62, 10**300, "10", 2.0, True, None, {"a": 1}, [2], list(range(100_000)))
    },
    **{
        f"setting {key}": lambda key=key, new=new: dense(**{key: new})  # type: ignore[misc]
        for key, new in {
            "activation": "eval", "kernel_initializer": "os.system", "name": "a/b", "dtype": "object", "unknown": 1,
            "use_bias": False, "__class__": "x", "self": 1, "kernel_regularizer": "eval", "lora_rank": 4,
        }.items()
    },
    "dtype of a policy map": lambda: dense(dtype={"class_name": "DTypePolicyMap", "config": {}}),
    "float16": lambda: dense(dtype={"module": "keras", "class_name": "DTypePolicy", "config": {"name": "float16"}}),
    "float64 layer, float32 weights": lambda: dense(dtype="float64"),
    "input of a text": lambda: forged(with_layers(FLATTEN, shape="3")),
    "input of 10^12": lambda: forged(with_layers(keras_layer("Dense", units=10**6), shape=[10**12])),
    "input unknown": lambda: forged(with_layers(keras_layer("Dense", units=2), shape=[None])),
    "input of 70,000 axes": lambda: forged(with_layers(FLATTEN, shape=[2**40] * 70_000)),
    "input without a batch": lambda: forged(
        with_layers() | {"config": {"layers": [keras_layer("InputLayer", batch_shape=[])]}}),
    "build_input_shape is a text": lambda: forged(
        with_layers() | {"config": {"layers": [FLATTEN], "build_input_shape": "3"}}),
    "10^12 parameters": lambda: forged(with_layers(keras_layer("Dense", units=10**6), shape=[10**6])),
    "20,000 layers": lambda: forged(with_layers(*[FLATTEN] * 20_000)),
    "same name 1,000 times": lambda: forged(with_layers(*[keras_layer("Flatten", name="a")] * 1000)),
    "models in models": lambda: forged(nested_keras_models(200)),
    "models in models in models": lambda: forged(nested_keras_models(20_000)),
    # compile
    "compile is a text": lambda: forged({**CONFIG, "compile_config": "sgd"}),
    "compile is a list": lambda: forged({**CONFIG, "compile_config": [1]}),
    "optimizer unknown": lambda: compiled(optimizer="os.system"),
    "optimizer of another module": lambda: compiled(
        optimizer={"module": "os", "class_name": "system", "config": {"command": "x"}}),
    "optimizer with a bad setting": lambda: compiled(
        optimizer={"module": "keras.optimizers", "class_name": "SGD", "config": {"learning_rate": -1}}),
    "optimizer with a momentum that is none": lambda: compiled(
        optimizer={"module": "keras.optimizers", "class_name": "SGD", "config": {"use_ema": True, "ema_momentum": 2}}),
    "optimizer that overwrites at every half step": lambda: compiled(
        optimizer={"module": "keras.optimizers", "class_name": "SGD",
                   "config": {"use_ema": True, "ema_overwrite_frequency": 0.5}}),
    "optimizer with averages that are not in the file": lambda: compiled(
        optimizer={"module": "keras.optimizers", "class_name": "SGD",
                   "config": {"use_ema": True, "gradient_accumulation_steps": 2}}),
    "another optimizer": lambda: compiled(
        optimizer={"module": "keras.optimizers", "class_name": "Adam", "config": {"learning_rate": 0.1}}),
    "loss unknown": lambda: compiled(loss="builtins.eval"),
    "loss class that is none": lambda: compiled(
        loss={"module": "keras.losses", "class_name": "LossFunction", "config": {"function": "eval"}}),
    "two losses": lambda: compiled(loss=["mse", "mse"]),
    "loss weights": lambda: compiled(loss_weights=[0.5]),
    "metric unknown": lambda: compiled(metrics=["builtins.eval"]),
    "10,000 metrics": lambda: compiled(metrics=["accuracy"] * 10_000),
    "metric of 10^9 thresholds": lambda: compiled(metrics=[
        {"module": "keras.metrics", "class_name": "AUC", "config": {"num_thresholds": 10**9}}]),
    "metrics is a number": lambda: compiled(metrics=3),
    "metric of another module": lambda: compiled(metrics=[{"module": "os", "class_name": "system", "config": {}}]),
    # HDF5: what the format can do and Keras's files do not
    "no HDF5": lambda: forged(weights=b"# weights\n" * 100),
    "no bytes of HDF5": lambda: forged(weights=b""),
    "signature alone": lambda: forged(weights=WEIGHTS[:8]),
    "truncated HDF5": lambda: forged(weights=WEIGHTS[:-1]),
    "half of the HDF5": lambda: forged(weights=WEIGHTS[: len(WEIGHTS) // 2]),
    "newest form": lambda: h5(lambda file: None, libver="latest"),
    "user block": lambda: h5(lambda file: None, userblock_size=512),
    "soft link": lambda: linked(h5py.SoftLink("/layers/dense/vars/1")),
    "soft link to itself": lambda: linked(h5py.SoftLink("/" + KERNEL)),
    "external link": lambda: linked(h5py.ExternalLink("/etc/passwd", "/x")),
    "hard link to another array": lambda: linked(lambda file: file["optimizer/vars/2"]),
    "hard link to a group above": lambda: linked(lambda file: file["layers"]),
    "virtual dataset": lambda: h5(virtual),
    "external storage": lambda: instead(shape=(3, 2), dtype="float32", external=[("/etc/passwd", 0, 24)]),
    "chunked": lambda: instead(shape=(3, 2), dtype="float32", chunks=(3, 2)),
    "gzip": lambda: instead(data=np.ones((3, 2), "float32"), compression="gzip"),
    "lzf": lambda: instead(data=np.ones((3, 2), "float32"), compression="lzf"),
    "shuffle": lambda: instead(data=np.ones((3, 2), "float32"), shuffle=True),
    "checksums": lambda: instead(data=np.ones((3, 2), "float32"), fletcher32=True),
    "compact": lambda: h5(compact),
    "resizable": lambda: instead(shape=(3, 2), dtype="float32", maxshape=(None, 2)),
    "never written": lambda: instead(shape=(3, 2), dtype="float32"),
    "fill value of 40 GB": lambda: instead(shape=(10**10,), dtype="float32", fillvalue=1),
    "fill value of 2^62": lambda: instead(shape=(2**60,), dtype="float32", chunks=(1024,), fillvalue=1),
    "committed type": lambda: h5(committed),
    "text": lambda: instead(data="weights"),
    "texts": lambda: instead(data=[["a", "b"]] * 3, dtype=h5py.string_dtype()),
    "lists": lambda: instead(shape=(3, 2), dtype=h5py.vlen_dtype(np.float32)),
    "references": lambda: instead(shape=(3, 2), dtype=h5py.ref_dtype),
    "region references": lambda: instead(shape=(3, 2), dtype=h5py.regionref_dtype),
    "compound": lambda: instead(data=np.zeros((3, 2), [("a", "f4"), ("b", "O")] [:1])),
    "array type": lambda: instead(data=np.zeros(3, [("a", "f4", (2,))])),
    "complex": lambda: instead(data=np.zeros((3, 2), "complex64")),
    "opaque": lambda: instead(data=np.zeros((3, 2), "V4")),
    "enum": lambda: instead(data=np.zeros((3, 2), bool)),
    "no elements": lambda: instead(data=h5py.Empty("float32")),
    **{
        f"array of {dtype}": lambda dtype=dtype: instead(data=np.ones((3, 2), dtype))  # type: ignore[misc]
        for dtype in ("float16", ">f4", "float64", "int32", "uint8", "int8", "uint64", "longdouble")
    },
    **{
        f"shape {shape}": lambda shape=shape: instead(data=np.ones(shape, "float32"))  # type: ignore[misc]
        for shape in ((2, 3), (6,), (3, 2, 1), (3, 3), (), (0,), (3, 0), (1,) * 20)
    },
    "array missing": lambda: h5(lambda file: file.__delitem__(BIAS)),
    "array more": lambda: h5(lambda file: file.__setitem__("layers/dense/vars/2", [1.0])),
    "array in a layer without weights": lambda: h5(lambda file: file.__setitem__("layers/dropout/vars/0", [1.0])),
    "array at the top": lambda: h5(lambda file: file.__setitem__("0", [1.0])),
    "layer more": lambda: h5(lambda file: file.create_group("layers/dense_1/vars")),
    "group at the top": lambda: h5(lambda file: file.create_group("_layer_checkpoint_dependencies")),
    "group in an array's place": lambda: h5(lambda file: (file.__delitem__(KERNEL), file.create_group(KERNEL))),
    "array in a group's place": lambda: h5(
        lambda file: (file.__delitem__("layers/dropout"), file.__setitem__("layers/dropout", [1.0]))),
    "layers missing": lambda: h5(lambda file: file.__delitem__("layers")),
    "groups in groups": lambda: h5(deeply),
    "5,000 groups": lambda: forged(weights=many_groups()),
    "names that are none": lambda: h5(lambda file: file.create_group("layers/dense\u202e")),
    "name of 10 kB": lambda: h5(lambda file: file.create_group("layers/" + "d" * 10_000)),
    "optimizer's array missing": lambda: h5(lambda file: file.__delitem__("optimizer/vars/3")),
    "optimizer's array more": lambda: h5(lambda file: file.__setitem__("optimizer/vars/4", [1.0])),
    "optimizer's arrays missing": lambda: h5(lambda file: file.__delitem__("optimizer")),
    "10,000 arrays of the optimizer": lambda: h5(
        lambda file: [file.__setitem__(f"optimizer/vars/{i}", 1.0) for i in range(4, 3000)]),
    "iterations below 0": lambda: value("optimizer/vars/0", -1),
    "learning rate below 0": lambda: value("optimizer/vars/1", -1.0),
    "NaN weight": lambda: value(KERNEL, [[np.nan, 0]] * 3),
    "infinite weight": lambda: value(BIAS, [np.inf, 0]),
    "NaN slot": lambda: value("optimizer/vars/2", [[np.nan, 0]] * 3),
    # HDF5: structures that lead nowhere, far away, or in circles
    **{
        f"root group at {address}": lambda address=address: bytes_at(  # type: ignore[misc]
            lambda data: data.__setitem__(slice(64, 72), address.to_bytes(8, "little")))
        for address in (0, 1, len(WEIGHTS), FAR, 2**64 - 1)
    },
    "base address": lambda: bytes_at(lambda data: data.__setitem__(24, 8)),
    "sizes of 4 bytes": lambda: bytes_at(lambda data: data.__setitem__(13, 4)),
    "B-tree that is its own child": lambda: put(b"TREE", 32, WEIGHTS.index(b"TREE")),
    "B-tree of level 200 that is its own child": lambda: bytes_at(
        lambda data: (data.__setitem__(slice(WEIGHTS.index(b"TREE") + 5, WEIGHTS.index(b"TREE") + 6), b"\xc8"),
                      data.__setitem__(slice(WEIGHTS.index(b"TREE") + 32, WEIGHTS.index(b"TREE") + 40),
                                       WEIGHTS.index(b"TREE").to_bytes(8, "little")))),
    "B-tree of 65535 children": lambda: put(b"TREE", 6, 65535, 2),
    "heap far away": lambda: put(b"HEAP", 24, FAR),
    "heap of 2^62 bytes": lambda: put(b"HEAP", 8, FAR),
    "symbol node of 65535 symbols": lambda: put(b"SNOD", 6, 65535, 2),
    "symbol node without symbols": lambda: put(b"SNOD", 6, 0, 2),
    "symbol whose name lies far away": lambda: put(b"SNOD", 8, FAR),
    "symbol whose object lies far away": lambda: put(b"SNOD", 16, FAR),
    "symbol of an unknown kind": lambda: put(b"SNOD", 24, 2, 4),
    "65535 messages": lambda: put(header_of_kernel(), 2, 65535, 2),
    "no messages": lambda: put(header_of_kernel(), 2, 0, 2),
    "header that is continued in itself": lambda: continued(),
    "rank of 255": lambda: put(header_of_kernel(), 16 + 8 + 1, 255, 1),
    "side of 2^62": lambda: put(header_of_kernel(), 16 + 8 + 8, FAR),
    "sides whose product overflows to 6": lambda: put(header_of_kernel(), 16 + 8 + 8, 2**63 + 3),
    # other kinds of file under this name
    "safetensors": lambda: b'\x02\0\0\0\0\0\0\0{}',
    "HDF5 alone": lambda: WEIGHTS,
    "pickle": lambda: b"\x80\x04cos\nsystem\n(S'echo'\ntR.",
    "png": lambda: b"\x89PNG\r\n\x1a\n" + bytes(64),
    "word document": lambda: write_archive({"[Content_Types].xml": b"", "word/document.xml": b"", "a": b""}),
}  # fmt: skip


def duplicate_member() -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for name in ("metadata.json", "config.json"):
            archive.writestr(name, PARTS_OF_GOOD[name])
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("config.json", PARTS_OF_GOOD["config.json"])
    return data.getvalue()


def many_groups() -> bytes:
    return write_hdf5({"layers": {f"dense_{i}": {} for i in range(5_000)}})


def header_of_kernel() -> bytes:
    """The object header of the array of shape (3, 2) that is written first: the kernel's."""
    start = WEIGHTS.index(b"\x01\0\x04\0\x01\0\0\0")
    return WEIGHTS[start : start + 8]


def continued() -> bytes:
    """The kernel's fill value becomes a continuation block that is the header's own messages."""

    def change(data: bytearray) -> None:
        start = data.index(header_of_kernel())
        message = start + 16 + 8 + 24  # behind a dataspace of two sides
        data[message : message + 4] = b"\x10\0\x10\0"
        data[message + 8 : message + 24] = (start + 16).to_bytes(8, "little") + (64).to_bytes(8, "little")

    return bytes_at(change)


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What happened to every file of the corpus, by name."""
    folder, elsewhere = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("good")
    names = dict(zip(CORPUS, (f"{i:03}.keras" for i in range(len(CORPUS)))))
    for name, file in names.items():
        (folder / file).write_bytes(CORPUS[name]())
    (elsewhere / "good.keras").write_bytes(forged())
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", READER, str(elsewhere / "good.keras"), str(folder)],
        env=python_environment(OPENBLAS_NUM_THREADS="1"), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    for path in folder.iterdir():
        path.unlink()
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    return {name: found[file] for name, file in names.items()}


@on_linux
@pytest.mark.parametrize("name", CORPUS)
def test_hostile_file_is_refused(name: str, readings: dict[str, dict[str, Any]]) -> None:
    check_refusal(readings[name])


MESSAGES = {
    "empty": "no zip file, or one with something behind its end",
    "bomb of weights": "a zip member of",
    "bomb that lies": "a zip member of another size than it says",
    "Keras 2": "a file of Keras '2.15.0', not of Keras 3",
    "functional model": "build the model as a keras.Sequential",
    "layer 'Lambda'": "Got: 'keras.layers.Lambda'",
    "units 3": "'layers/dense/vars/0': float32 (3, 2) where the model has float32 (3, 3)",
    "two losses": "expected one loss, not weighted",
    "soft link": "a link to another place or file",
    "external link": "a message of type 0x2",
    "gzip": "a message of type 0xb",
    "chunked": "an array in pieces, compressed or elsewhere: 'layers/dense/vars/0'",
    "external storage": "a message of type 0x7",
    "NaN weight": "NaN, infinity or a negative count in 'layers/dense/vars/0'",
    "array of float16": "values in 'layers/dense/vars/0' that are no float32",
    "array missing": "'layers/dense/vars/1': nothing where the model has float32 (2,)",
    "array more": "something at 'layers/dense/vars/2'",
}


@on_linux
@pytest.mark.parametrize("name", MESSAGES)
def test_refusal_says_what_is_wrong(name: str, readings: dict[str, dict[str, Any]]) -> None:
    assert MESSAGES[name] in readings[name]["message"]


def test_unchanged_forgeries_load(tmp_path: Path) -> None:
    for data in (forged(), h5(lambda file: None), zipped(lambda archive: None, method=zipfile.ZIP_DEFLATED)):
        model = loaded(data, tmp_path)
        assert_same_bits(model.get_weights()[0], good_model().get_weights()[0])
        assert model.optimizer.iterations.item() == 1
