"""Model files: what is saved comes back bit for bit, and no file, however hostile, does more than be refused.

The corpus below is a table of files, each one change away from a file that loads.  It is read in a process of its own,
where an audit hook notes every import, execution, opened file, socket and command, and where time and memory are taken.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netchu import Sequential, engines, losses, optimizers
from netchu.errors import DataNotFoundError, ModelFileError, UsageError
from netchu.layers import Activation, Dense, Dropout, Flatten, Input, Layer, Rescaling, Reshape
from netchu.models import load_model
from small_nets import classifier, clusters, fixed_weights, python_environment, run_python, sha256_of

MAX_CPU_SECONDS = 1.0  # on a busy machine; usually a hundredth of it
MAX_GROWTH_MB = 48  # a header of 1 MB may become Python objects; nothing of a file's claimed size may appear
MUTATIONS = 3000

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


SIZE = len(forged())
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
    "models in models": lambda: model_of(nested_models(200)),
    "models in models in models": lambda: model_of(nested_models(5000)),
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
}  # fmt: skip


def dense_with_input(shape: Any) -> bytes:
    return model_of(layer("Dense", units=2, activation="softmax", name="dense"), shape=shape)


def nested_models(depth: int) -> dict[str, Any]:
    """Sequentials in each other; written by hand, for json.dumps is recursive."""
    innermost: dict[str, Any] = layer("Flatten")
    for _ in range(min(depth, 150)):
        innermost = layer("Sequential", name="m", layers=[innermost])
    return innermost


READER = """
import difflib, json, os, sys, time
from pathlib import Path
from netchu import errors
from netchu.models import load_model

FORBIDDEN = ("import", "exec", "compile", "open", "socket.", "subprocess.", "pickle.", "marshal.", "os.", "shutil.",
             "ctypes.", "tempfile.", "urllib.", "http.", "builtins.input", "builtins.breakpoint", "glob.")
state = {"path": None, "events": []}

def hook(event, arguments):
    if state["path"] and event.startswith(FORBIDDEN) and not (event == "open" and arguments[0] == state["path"]):
        state["events"].append(event + " " + repr(arguments)[:100])

def peak():
    return next(int(l.split()[1]) for l in open("/proc/self/status") if l.startswith("VmHWM")) / 1024

def forget_peak():
    Path("/proc/self/clear_refs").write_text("5")
    return peak()

def read(path):
    try:
        load_model(path)
        return "loaded", ""
    except Exception as error:
        return type(error).__name__, str(error)

good, folder = sys.argv[1], Path(sys.argv[2])
assert read(good) == ("loaded", ""), read(good)
for first in sorted(folder.iterdir())[:40]:  # what is imported at the first error of a kind is not the file's doing
    read(str(first))
sys.addaudithook(hook)
before = os.environ.copy(), dict(sys.modules)
results = {}
for path in [*sys.argv[3:], *map(str, sorted(folder.iterdir()))]:
    resident, began = forget_peak(), time.process_time()
    state.update(path=path, events=[])
    error, message = read(path)
    state["path"] = None
    results[Path(path).name if path.startswith(str(folder)) else path] = {
        "error": error, "message": message, "events": state["events"],
        "seconds": time.process_time() - began, "growth": peak() - resident,
    }
assert before == (os.environ.copy(), dict(sys.modules))
json.dump(results, sys.stdout)
"""

on_linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures memory by Linux's /proc")


def special_paths(folder: Path) -> dict[str, str]:
    """Paths that are no plain files, or very large ones, by what they are."""
    (folder / "folder.safetensors").mkdir()
    os.mkfifo(folder / "fifo.safetensors")
    (folder / "loop.safetensors").symlink_to(folder / "loop.safetensors")
    for name, size in (("sparse5", 5 << 30), ("sparse1", 1000 << 20)):
        with (folder / f"{name}.safetensors").open("wb") as file:
            file.truncate(size)
    with (folder / "sparse_tail.safetensors").open("wb") as file:
        file.write(forged())
        file.truncate(900 << 20)
    with (folder / "sparse_tensor.safetensors").open("wb") as file:
        big = {"dtype": "F32", "shape": [225 << 20], "data_offsets": [32, 32 + (900 << 20)]}
        file.write(forged({**TENSORS, "big": big}))
        file.truncate(file.tell() + (900 << 20))
    here = {path.stem: str(path) for path in folder.iterdir()}
    return here | {"zero": "/dev/zero", "memory": "/proc/self/mem", "null": "/dev/null"}


SPECIAL = ["folder", "fifo", "loop", "sparse5", "sparse1", "sparse_tail", "sparse_tensor", "zero", "memory", "null"]


@pytest.fixture(scope="module")
def readings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """What happened to every file of the corpus, by name."""
    folder, elsewhere = tmp_path_factory.mktemp("corpus"), tmp_path_factory.mktemp("special")
    names = dict(zip(CORPUS, (f"{i:03}.safetensors" for i in range(len(CORPUS)))))
    for name, file in names.items():
        (folder / file).write_bytes(CORPUS[name]())
    good = elsewhere.parent / "good.safetensors"
    good.write_bytes(forged())
    special = special_paths(elsewhere)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", READER, str(good), str(folder), *special.values()],
        env=python_environment(OPENBLAS_NUM_THREADS="1"), capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    for path in folder.iterdir():
        path.unlink()
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout)
    return {name: found[file] for name, file in names.items()} | {name: found[path] for name, path in special.items()}


def check_refusal(reading: dict[str, Any]) -> None:
    """One class of error, a sentence fit to print, quickly, with no event and no memory."""
    assert reading["error"] == "ModelFileError", reading
    assert "expected" in reading["message"]
    assert reading["message"].encode("utf-8")
    assert reading["message"].isprintable(), ascii(reading["message"])
    assert len(reading["message"]) < 1500
    assert reading["events"] == []
    assert reading["seconds"] < MAX_CPU_SECONDS
    assert reading["growth"] < MAX_GROWTH_MB


@on_linux
@pytest.mark.parametrize("name", CORPUS)
def test_hostile_file_is_refused(name: str, readings: dict[str, dict[str, Any]]) -> None:
    check_refusal(readings[name])


@on_linux
@pytest.mark.parametrize("name", SPECIAL)
def test_path_that_is_no_plain_file_of_bounded_size_is_refused(name: str, readings: dict[str, dict[str, Any]]) -> None:
    check_refusal(readings[name])


MESSAGES = {
    "empty": "expected a netchu model, got a file of 0 bytes",
    "truncated data": "expected tensors that cover the 31 bytes of data exactly",
    "trailing archive": "expected tensors that cover",
    "67 MB of empty tensors": "expected a header of at most 1048576 bytes",
    "150,000 brackets": "expected a JSON header, got",
    "NaN literal": "NaN is no JSON",
    "duplicate tensor": "a key occurs twice",
    "format 2": "expected format 1, got format=2: a newer netchu may read it",
    "metadata of another program": "got a safetensors file without netchu's header",
    "dtype 'F4'": "expected a dtype among",
    "swapped shapes": "expected tensors that fit the architecture",
    "10^12 parameters": "'dense/kernel': expected TensorSpec(dtype='float32', shape=(1000000, 1000000))",
    "layer 'builtins.eval'": "Could not interpret layer identifier: 'builtins.eval'. Known: Activation, Dense",
    "units 0": "Received an invalid value for `units`, expected a positive integer",
    "optimizer unknown": "expected compile settings with known names",
    "NaN weight": "expected finite weights, got NaN or infinity in 'dense/bias'",
    "pickle": "expected a header of at most",
    "folder": "expected a file, got a folder or a device",
    "fifo": "expected a file, got a folder or a device",
    "zero": "expected a file, got a folder or a device",
    "sparse5": "expected at most 1073741824 bytes, got 5368709120",
}


@on_linux
@pytest.mark.parametrize("name", MESSAGES)
def test_refusal_says_what_was_expected_and_what_came(name: str, readings: dict[str, dict[str, Any]]) -> None:
    assert MESSAGES[name] in readings[name]["message"]


def test_unchanged_forgery_loads(tmp_path: Path) -> None:
    path = tmp_path / "good.safetensors"
    path.write_bytes(forged())
    model = load_model(path)
    assert model.get_weights()[0].tolist() == [[2, 3], [4, 5], [6, 7]]
    assert model.get_weights()[1].tolist() == [0, 1]
    assert model.optimizer is not None


def test_denormal_weights_are_weights(tmp_path: Path) -> None:
    path = tmp_path / "tiny.safetensors"
    path.write_bytes(with_data(1e-40))
    assert load_model(path).get_weights()[1][0] == np.float32(1e-40)


def test_missing_file_is_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(DataNotFoundError, match=r"absent\.safetensors: no such model file\. `netchu train` makes one"):
        load_model(tmp_path / "absent.safetensors")
    assert issubclass(DataNotFoundError, FileNotFoundError)


@pytest.mark.skipif(os.name == "nt" or not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read all")
def test_file_without_permission_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "secret.safetensors"
    path.write_bytes(forged())
    path.chmod(0)
    with pytest.raises(ModelFileError, match="expected a readable file"):
        load_model(path)


@pytest.mark.parametrize("path", ["", "a\0b", "x" * 5000], ids=["empty", "null", "long"])
def test_path_that_cannot_be_is_an_error_of_ours(path: str) -> None:
    with pytest.raises((ModelFileError, DataNotFoundError)):
        load_model(path)


def test_file_that_changes_while_it_is_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from netchu import saving

    path = tmp_path / "model.safetensors"
    path.write_bytes(forged())
    found = saving.read(path)
    for changed in (forged()[:-4], b"\0" * SIZE, forged() + b"\0"):
        path.write_bytes(changed)
        with pytest.raises(ModelFileError, match="stays as it is"):
            found.arrays()


# --- mutations -------------------------------------------------------------------------------------------------------


def mutated(rng: np.random.Generator, seed: bytes) -> bytes:
    """`seed` with one to four bytes changed, or a piece cut out, doubled or moved to another place."""
    data = bytearray(seed)
    kind = rng.integers(6)
    start, stop = sorted(int(i) for i in rng.integers(0, len(data), 2))
    if kind < 3:
        for _ in range(int(rng.integers(1, 5))):
            data[int(rng.integers(len(data)))] = int(rng.choice([rng.integers(256), *b'{}[]",:0199-.eNt\\']))
    elif kind == 3:
        del data[start : min(stop, start + 40)]
    elif kind == 4:
        data[start:start] = data[start : min(stop, start + 40)]
    else:
        data[start : start + 8], data[stop : stop + 8] = data[stop : stop + 8], data[start : start + 8]
    return bytes(data)


def test_mutated_files_are_refused_or_have_finite_weights(tmp_path: Path) -> None:
    rng = np.random.default_rng(20)
    path = tmp_path / "mutated.safetensors"
    classifier().save(path)
    seeds = [forged(), path.read_bytes()]
    outcomes = {"refused": 0, "loaded": 0}
    for i in range(MUTATIONS):
        path.write_bytes(mutated(rng, seeds[i % 2]))
        try:
            model = load_model(path)
        except ModelFileError as error:
            outcomes["refused"] += str(error).isprintable()
        else:
            outcomes["loaded"] += all(np.isfinite(w).all() for w in model.get_weights())
    assert outcomes["refused"] + outcomes["loaded"] == MUTATIONS
    assert outcomes["refused"] > MUTATIONS // 2
    assert outcomes["loaded"] > MUTATIONS // 100  # changed weights are still weights


# --- round trips -----------------------------------------------------------------------------------------------------


def test_everything_comes_back(tmp_path: Path, engine: str) -> None:
    path = tmp_path / "model.safetensors"
    x, y = clusters()
    model = classifier(optimizer=optimizers.RMSprop(3e-3, momentum=0.5), loss=losses.SparseCategoricalCrossentropy())
    model.fit(x, y, verbose=0)
    model.info = {"data": "clusters", "epochs": 1}
    model.save(path)
    loaded = load_model(path)
    assert sha256_of(loaded.get_weights()) == sha256_of(model.get_weights())
    assert loaded.get_config() == model.get_config()
    assert loaded.optimizer.get_config() == model.optimizer.get_config()
    assert loaded.loss.get_config() == model.loss.get_config()
    assert loaded.info.items() >= {"data": "clusters", "epochs": 1, "engine": engine, "seed": 0}.items()
    assert loaded.evaluate(x, y, verbose=0) == model.evaluate(x, y, verbose=0)
    assert np.array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    loaded.fit(x, y, verbose=0)


def test_save_load_save_gives_the_same_bytes(tmp_path: Path) -> None:
    first, second = tmp_path / "a.safetensors", tmp_path / "b.safetensors"
    model = classifier()
    model.fit(*clusters(), verbose=0)
    model.save(first)
    load_model(first).save(second)
    assert first.read_bytes() == second.read_bytes()


RUN = """
import sys
from small_nets import clusters
from netchu import Sequential, utils
from netchu.layers import Dense, Dropout, Input
utils.set_random_seed(9)
model = Sequential([Input((6,)), Dense(8, activation="relu"), Dropout(0.2), Dense(3, activation="softmax")])
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
model.fit(*clusters(), epochs=2, verbose=0)
model.save(sys.argv[1])
"""


def test_equal_runs_in_two_processes_give_equal_files(tmp_path: Path) -> None:
    paths = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
    for path, salt in zip(paths, ("1", "2")):
        run_python(RUN, str(path), PYTHONHASHSEED=salt)
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_model_saved_on_one_engine_loads_on_the_other(tmp_path: Path, compiled_engine: engines.Engine) -> None:
    engines.set_engine("numpy")
    path = tmp_path / "model.safetensors"
    x, _ = clusters()
    model = classifier()
    model.save(path)
    expected = model.predict(x, verbose=0)
    engines.set_engine(compiled_engine.name)
    np.testing.assert_allclose(load_model(path).predict(x, verbose=0), expected, rtol=1e-5)


def test_any_program_can_read_the_tensors(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    path = tmp_path / "model.safetensors"
    model = classifier()
    model.save(path)
    found = load_file(path)
    assert list(found) == sorted(model.named_weights())
    assert all(np.array_equal(found[name], w) for name, w in model.named_weights().items())


def test_load_without_compiling(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    classifier().save(path)
    assert load_model(path, compile=False).optimizer is None


@pytest.mark.parametrize("loss", [lambda t, p: (t - p) ** 2], ids=["function"])
def test_settings_that_have_no_name_are_left_out(loss: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    classifier(loss=loss, metrics=None).save(path)
    assert load_model(path).optimizer is None


class Scaled(Layer):
    """A layer that netchu does not know."""

    def __init__(self, factor: float = 2.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.factor = factor

    def build(self, input_shape: tuple[int | None, ...]) -> None:
        self.shift = self.add_weight((input_shape[-1],), "ones", name="shift")

    def call(self, x: Any) -> Any:
        return x * self.factor + self.shift


def test_own_layers_come_back_through_custom_objects(tmp_path: Path) -> None:
    path = tmp_path / "own.safetensors"
    model = fixed_weights(Sequential([Input((3,)), Scaled(3.0), Sequential([Scaled(), Dense(2)], name="inner")]))
    model.save(path)
    with pytest.raises(
        ModelFileError, match=r"Could not interpret layer identifier: 'Scaled'. Known: Activation, Dense"
    ):
        load_model(path)
    loaded = load_model(path, custom_objects={"Scaled": Scaled})
    x = np.ones((2, 3), "float32")
    assert loaded.layers[0].factor == 3.0
    assert np.array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_weights_that_are_not_finite_are_not_saved(value: float, tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    model = classifier()
    model.save(path)
    before = path.read_bytes()
    model.weights[2].assign(np.full((5, 3), value, "float32"))
    with pytest.raises(
        ModelFileError, match="expected finite weights to save, got NaN or infinity in 'dense_1/kernel'"
    ):
        model.save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["model.keras", "model.h5", "model", "model.safetensors.bak"])
def test_another_ending_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"save: expected a name ending in \.safetensors\. Got: filepath="):
        classifier().save(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_model_that_is_not_built_cannot_be_saved(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="save: expected a built model"):
        Sequential([Dense(2)]).save(tmp_path / "model.safetensors")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_saved_file_has_plain_permissions(tmp_path: Path) -> None:
    plain, saved = tmp_path / "plain", tmp_path / "model.safetensors"
    plain.write_bytes(b"")
    classifier().save(saved)
    assert stat.S_IMODE(saved.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


ACTIVATIONS = st.sampled_from([None, "relu", "sigmoid", "tanh", "gelu", "softmax", "elu", "silu"])
INITIALIZERS = st.sampled_from(["glorot_uniform", "he_normal", "lecun_uniform", "random_normal"])
NAMES = st.one_of(st.none(), st.from_regex(r"[a-zà-ỹ][a-z0-9_ .\-]{0,20}", fullmatch=True))
LAYERS = st.one_of(
    st.builds(
        Dense, st.integers(1, 6), activation=ACTIVATIONS, use_bias=st.booleans(), kernel_initializer=INITIALIZERS
    ),
    st.builds(Activation, ACTIVATIONS.filter(bool)),
    st.builds(Dropout, st.floats(0, 0.9), seed=st.one_of(st.none(), st.integers(0, 99))),
    st.builds(Flatten),
    st.builds(Reshape, st.just((-1,))),
    st.builds(Rescaling, st.floats(-2, 2), st.floats(-1, 1)),
)
SHAPES = st.lists(st.integers(1, 4), min_size=1, max_size=3).map(tuple)


@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(shape=SHAPES, chosen=st.lists(LAYERS, min_size=1, max_size=6), name=NAMES)
def test_random_architectures_come_back(
    tmp_path_factory: pytest.TempPathFactory, shape: tuple[int, ...], chosen: list[Layer], name: str | None
) -> None:
    folder = tmp_path_factory.mktemp("round")
    first, second = folder / "a.safetensors", folder / "b.safetensors"
    model = fixed_weights(Sequential([Input(shape), *chosen], name=name))
    model.save(first)
    loaded = load_model(first)
    loaded.save(second)
    assert first.read_bytes() == second.read_bytes()
    assert loaded.get_config() == model.get_config()
    x = np.random.default_rng(0).normal(size=(3, *shape)).astype("float32")
    assert model.predict(x, verbose=0).tobytes() == loaded.predict(x, verbose=0).tobytes()
