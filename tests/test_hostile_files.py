"""Hostile model files: no file does more than be refused, quickly, in one sentence, whatever stands in it.

The corpus of `hostile_files.py` is read in a process of its own, `read_hostile_files.py`, where an audit hook notes
every import, execution, opened file, socket and command, and where time and memory are taken.
"""

from __future__ import annotations

import collections
import json
import os
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from hostile_files import CORPUS, MINIMAL, SIZE, TENSORS, forged, images, layer, with_data
from mutated_files import OUTCOMES, mutated, outcome_of_bytes, seed_files
from netchu import layers
from netchu.errors import DataNotFoundError, ModelFileError
from netchu.models import load_model
from small_nets import run_python

MAX_CPU_SECONDS = 0.1
MAX_GROWTH_MB = 48  # a header of 1 MB may become Python objects; nothing of a file's claimed size may appear
MUTATIONS = 2000
READER = (Path(__file__).parent / "read_hostile_files.py").read_text(encoding="utf-8")

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
    found = read_elsewhere(str(good), str(folder), *special.values())
    for path in folder.iterdir():
        path.unlink()
    return {name: found[file] for name, file in names.items()} | {name: found[path] for name, path in special.items()}


def read_elsewhere(*arguments: str) -> dict[str, Any]:
    """What `read_hostile_files.py` prints."""
    return dict(json.loads(run_python(READER, *arguments, timeout=600, OPENBLAS_NUM_THREADS="1")))


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
    "empty": "expected a netchu model. Got: a file of 0 bytes",
    "truncated data": "expected tensors that cover the 31 bytes of data exactly",
    "trailing archive": "expected tensors that cover",
    "67 MB of empty tensors": "expected a header of at most 1048576 bytes",
    "150,000 brackets": "expected a JSON header. Got: ",
    "NaN literal": "NaN is no JSON",
    "duplicate tensor": "a key occurs twice",
    "format 2": "expected format 1. Got: format=2: a newer netchu may read it",
    "metadata of another program": "Got: a safetensors file without netchu's header",
    "dtype 'F4'": "expected a dtype among",
    "swapped shapes": "expected tensors that fit the architecture",
    "10^12 parameters": "where the model has float32 (1000000, 1000000)",
    "layer 'builtins.eval'": "Could not interpret layer identifier: 'builtins.eval'. Known: Activation, Activ",
    "units 0": "Received an invalid value for `units`, expected a positive integer",
    "optimizer unknown": "expected compile settings with known names",
    "NaN weight": "expected finite weights. Got: NaN or infinity in 'dense/bias'",
    "pickle": "Got: a file of PyTorch, or another pickle",
    "folder": "expected a file. Got: a folder or a device",
    "fifo": "expected a file. Got: a folder or a device",
    "zero": "expected a file. Got: a folder or a device",
    "20,000 layers in a model": "expected at most 2000 layers. Got: 2000",
    "20,000 layers in a model as pairs": "expected its configuration as an object",
    "20,000 layers as keys": "expected layers as a list",
    "ZeroPadding2D, padding 1099511627776": "expected layers of at most 268435456 outputs",
    "MaxPooling2D, pool_size 1099511627776": "expected images of at least one window",
    "Rescaling, scale [1, 2]": "expected scale as one number, or one for each channel",
    "Softmax, axis 4": "expected different axes from -4 to 3",
    "compile, weighted_metrics 2 ['accuracy', 'accuracy', 'accu": "at most 100 weighted_metrics",
    "spaces before the header": "a header that begins with '{'",
    "half a surrogate pair": "surrogates not",
    "sparse5": "expected at most 1073741824 bytes. Got: 5368709120",
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
    message = r"absent\.safetensors: .* Got: no such model file\. `netchu train` makes one"
    with pytest.raises(DataNotFoundError, match=message):
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
    from netchu.formats import safetensors

    path = tmp_path / "model.safetensors"
    path.write_bytes(forged())
    found = safetensors.read(path)
    for changed in (forged()[:-4], b"\0" * SIZE, forged() + b"\0"):
        path.write_bytes(changed)
        with pytest.raises(ModelFileError, match="stays as it is"):
            found.arrays(found.specs)


# --- junk in every setting, and bytes changed by chance --------------------------------------------------------------


@on_linux
@pytest.mark.parametrize(("every", "of"), [(60, 7), *(pytest.param(4, of, marks=pytest.mark.slow) for of in range(4))])
def test_junk_in_any_setting_is_refused_or_works(every: int, of: int, tmp_path: Path) -> None:
    found = read_elsewhere("--junk", str(every), str(of), str(tmp_path))
    assert found["wrong"] == []
    assert set(found["counts"]) == {"works", "ModelFileError"}
    assert found["counts"]["ModelFileError"] > 5 * found["counts"]["works"]


@pytest.mark.parametrize("name", sorted(layers.registry.table))
def test_every_layer_knows_its_output_shape_without_computing(name: str) -> None:
    assert layers.registry.table[name].compute_output_shape is not layers.Layer.compute_output_shape


WIDE = {"Conv2D": {"filters": 2**38}, "DepthwiseConv2D": {"depth_multiplier": 2**38}, "Dense": {"units": 2**38}}


@pytest.mark.parametrize("name", sorted(MINIMAL))
def test_layers_of_any_claimed_size_take_no_memory(name: str, tmp_path: Path) -> None:
    path = tmp_path / "wide.safetensors"
    entries = [layer("Dense", units=2**38, name="wide"), layer(name, **{**MINIMAL[name], **WIDE.get(name, {})})]
    path.write_bytes(images(*entries))
    with pytest.raises(ModelFileError):  # imports
        load_model(path)
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError):
            load_model(path)
        assert tracemalloc.get_traced_memory()[1] < 2_000_000
    finally:
        tracemalloc.stop()


def test_mutated_files_are_refused_or_predict_finite_numbers(tmp_path: Path) -> None:
    rng = np.random.default_rng(20)
    seeds = seed_files(tmp_path)
    path = tmp_path / "mutated.safetensors"
    outcomes: collections.Counter[str] = collections.Counter()
    for i in range(MUTATIONS):
        name, data = mutated(rng, *seeds[i % len(seeds)])
        outcome = outcome_of_bytes(path, data)
        assert outcome in OUTCOMES, f"mutation {i}, {name}: {outcome}"
        outcomes[outcome] += 1
    assert outcomes["refused"] > MUTATIONS // 2
    assert outcomes["finite"] > MUTATIONS // 50  # changed weights are still weights
