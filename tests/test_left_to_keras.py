"""What a Keras user types, and gives to `load_model`, that netchu leaves to others: each is one error that points."""

from __future__ import annotations

import gzip
import importlib
import io
import json
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import netchu
from netchu import losses, ops, optimizers
from netchu.errors import ModelFileError, NotInNetchuError, UsageError
from netchu.formats.write_hdf5 import write_hdf5
from netchu.layers import Dense, Flatten, Input
from netchu.left_to_keras import NOT_HERE
from netchu.models import load_model
from small_nets import classifier

# --- names -----------------------------------------------------------------------------------------------------------


def room(library: str, name: str) -> ModuleType:
    return importlib.import_module(f"{library}.{name}" if name else library)


def is_there(module: ModuleType, name: str) -> bool:
    return name in vars(module) or name in getattr(module, "_NAMES", ()) or name in getattr(module, "_MODULES", ())


@pytest.mark.parametrize("where", NOT_HERE)
def test_a_name_of_keras_points_at_the_page(where: str) -> None:
    module = room("netchu", where)
    absent = [name for name in NOT_HERE[where] if not is_there(module, name)]
    assert absent
    for name in absent:
        with pytest.raises(NotInNetchuError, match=rf"has no {name}: .*docs/left-to-keras\.md"):
            getattr(module, name)


def test_an_import_and_a_dot_both_say_it() -> None:
    assert not hasattr(netchu.layers, "LSTM")
    assert getattr(netchu.ops, "stft", None) is None
    with pytest.raises(AttributeError, match=r"netchu\.layers has no LSTM"):
        _ = netchu.layers.LSTM
    for line in ("from netchu.layers import LSTM", "from netchu.layers import Dense, LSTM as Other"):
        with pytest.raises(ImportError, match=r"netchu\.layers has no LSTM: it has no recurrent.*left-to-keras\.md"):
            exec(line, {})
    with pytest.raises(ImportError, match="netchu has no Model"):
        exec("from netchu import Model", {})


@pytest.mark.parametrize("where", [where for where in NOT_HERE if where])
def test_any_other_name_is_pythons_error(where: str) -> None:
    with pytest.raises(AttributeError):
        _ = room("netchu", where).no_such_name
    assert not hasattr(room("netchu", where), "no_such_name")


@pytest.mark.judge
@pytest.mark.parametrize("where", NOT_HERE)
def test_every_public_name_of_keras_is_here_or_points(where: str, keras: ModuleType) -> None:
    ours, theirs = room("netchu", where), room("keras", where)
    for name in dir(theirs):
        if name[0] != "_" and not is_there(ours, name) and name not in ("src", "version"):
            with pytest.raises(NotInNetchuError, match=f"has no {name}: "):
                getattr(ours, name)


GRAPHS: dict[str, Callable[[], Any]] = {
    "a layer on an Input": lambda: Dense(3)(Input((4,))),
    "a layer on a layer": lambda: Flatten()(Dense(3)),
    "a model on an Input": lambda: netchu.Sequential([Input((4,)), Dense(2)])(Input((4,))),
    "an operation on an Input": lambda: ops.relu(Input((4,))),
    "an operation on several": lambda: ops.concatenate([Input((4,)), Input((4,))]),
    "a sum": lambda: netchu.Tensor([1.0]) + Input((1,)),
    "a Tensor of a layer": lambda: netchu.Tensor(Dense(3)),
    "a loss of a loss": lambda: losses.mean_squared_error(losses.MeanSquaredError(), [1.0]),
    "a Variable of an optimizer": lambda: netchu.Variable(optimizers.SGD()),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_a_graph_of_layers_points_at_the_page(case: str, engine: str) -> None:
    with pytest.raises(NotInNetchuError, match=r"Write netchu\.Sequential\(.*docs/left-to-keras\.md"):
        GRAPHS[case]()


# --- files -----------------------------------------------------------------------------------------------------------


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, b"x" * 100)
    return file.getvalue()


def arrays(**named: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.savez(file, **named)
    return file.getvalue()


def array() -> bytes:
    file = io.BytesIO()
    np.save(file, np.ones(3))
    return file.getvalue()


def hdf5() -> bytes:
    return write_hdf5({"kernel": np.ones((2, 2), "float32")})


def torch_safetensors() -> bytes:
    header = json.dumps({"w": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    return struct.pack("<Q", len(header)) + header + b"\0\0\0\0"


FILES: dict[str, tuple[bytes, str, str]] = {
    "old.h5": (hdf5(), "an HDF5 file, as Keras 2 wrote models", "write it with Keras 3"),
    "old.keras": (hdf5(), "an HDF5 file, as Keras 2 wrote models", "write it with Keras 3"),
    "model.weights.h5": (hdf5(), "a file of weights alone", "model.load_weights(filepath)"),
    "model.onnx": (b"\x08\x08\x12\x06netchu:" + bytes(90), "an ONNX model", "onnxruntime.InferenceSession"),
    "model.tflite": (b"\x1c\0\0\0TFL3" + bytes(90), "a model of TensorFlow Lite", "Take the model that it was made"),
    "saved_model.pb": (b"\x08\x01\x12" + bytes(90), "a graph of TensorFlow", "write it with Keras 3"),
    "model.pt": (zipped("archive/data.pkl", "archive/data/0"), "a file of PyTorch", "Read it with PyTorch"),
    "older.pth": (pickle.dumps([1, 2]), "a file of PyTorch, or another pickle", "Read it with PyTorch"),
    "model.pkl": (pickle.dumps({}), "another pickle", "Read it with PyTorch"),
    "weights.npz": (arrays(a=np.ones(3)), "NumPy arrays", "model.set_weights(arrays)"),
    "weights.npy": (array(), "NumPy arrays", "model.set_weights(arrays)"),
    "model.zip": (zipped("metadata.json", "config.json", "model.weights.h5"), "a model of Keras 3", "Rename it"),
    "some.keras": (zipped("a.txt"), "a zip archive", "Unpack it"),
    "model.safetensors.gz": (gzip.compress(b"x" * 99), "a gzip archive", "Unpack it"),
    "model.json": (b'{"class_name": "Sequential"}', "a text, perhaps the architecture alone", "model.save wrote"),
    "page.keras": (b"<!doctype html><html>not found</html>", "a text", "model.save wrote"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_program_is_called_by_its_name(name: str, tmp_path: Path) -> None:
    data, what, do = FILES[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ModelFileError, match=r"expected a model of netchu or Keras 3\. Got: ") as caught:
        load_model(tmp_path / name)
    assert what in str(caught.value)
    assert do in str(caught.value)


def test_a_model_under_another_name_says_how_to_rename_it(tmp_path: Path) -> None:
    classifier().save(tmp_path / "model.safetensors")
    (tmp_path / "model.safetensors").rename(tmp_path / "model.keras")
    with pytest.raises(ModelFileError, match=r"netchu's own format.*end in '\.safetensors'"):
        load_model(tmp_path / "model.keras")
    (tmp_path / "model.keras").rename(tmp_path / "model.bin")
    assert load_model(tmp_path / "model.bin").built


def test_a_saved_model_of_tensorflow_is_called_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "saved_model.pb").write_bytes(b"x")
    with pytest.raises(ModelFileError, match="a folder of TensorFlow's SavedModel"):
        load_model(tmp_path)


def test_any_other_file_keeps_its_own_error(tmp_path: Path) -> None:
    (tmp_path / "torch.safetensors").write_bytes(torch_safetensors())
    with pytest.raises(ModelFileError, match="a safetensors file without netchu's header"):
        load_model(tmp_path / "torch.safetensors")


@pytest.mark.parametrize("path", [None, 5, b"model.keras", ["a.keras"], 1.5])
def test_what_is_no_name_of_a_file_is_refused(path: Any) -> None:
    model = classifier()
    for method in (load_model, model.save, model.save_weights, model.load_weights, model.export):
        with pytest.raises(UsageError, match=r"expected filepath as the name of a file.*Got: filepath="):
            method(path)


@pytest.mark.parametrize("name", ["m.keras", "m.safetensors", "m.weights.h5", "m.onnx"])
def test_a_folder_that_is_not_there_is_named(name: str, tmp_path: Path) -> None:
    model, path = classifier(), tmp_path / "no" / "such" / name
    write = model.export if name.endswith(".onnx") else model.save_weights if "weights" in name else model.save
    with pytest.raises(FileNotFoundError, match=r"expected a folder that is there\. Got: folder=") as caught:
        write(path)
    assert f"os.makedirs({str(path.parent)!r})" in str(caught.value)
    path.parent.mkdir(parents=True)
    write(path)
    assert path.exists()


def test_a_null_byte_in_a_name_is_an_error_of_ours(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="a name without null bytes"):
        classifier().save(str(tmp_path / "a\0b.keras"))
