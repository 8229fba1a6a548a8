"""`netchu export`: what it writes, what --verify finds, and how it ends."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

from cli_tools import MODEL, no_traceback, train_quickly, write_own_data
from netchu.cli import main
from netchu.models import Sequential, load_model

Output = pytest.CaptureFixture[str]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Output) -> Path:
    """A folder to work in, with `own.npz` and a model of it."""
    write_own_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    assert train_quickly("-q") == 0
    capsys.readouterr()
    return tmp_path


@pytest.fixture
def _onnx() -> None:
    for library in ("onnx", "onnxruntime"):
        pytest.importorskip(library, reason=f"needs {library}: pip install -e '.[dev]'")


@pytest.mark.usefixtures("_onnx")
def test_onnx_is_written_and_verified(folder: Path, capsys: Output) -> None:
    assert main(["export", MODEL, "own.onnx", "--verify", "--data", "own.npz"]) == 0
    written, verified = capsys.readouterr().out.splitlines()
    assert written == f"own.onnx: {(folder / 'own.onnx').stat().st_size:,} bytes."
    assert verified.startswith("Verified: 30 digits, greatest difference ")
    assert verified.endswith("classes agree.")


@pytest.mark.usefixtures("_onnx")
def test_the_packaged_sample_verifies_unless_data_is_named(folder: Path, capsys: Output) -> None:
    assert (
        main(["train", "--data", "sample", "--layers", "8", "--epochs", "1", "-q", "--out", "digits.safetensors"]) == 0
    )
    capsys.readouterr()
    assert main(["export", "digits.safetensors", "digits.onnx", "--verify", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["verified"]["n"] >= 1000
    assert printed["verified"]["max_difference"] <= 1e-5


@pytest.mark.usefixtures("_onnx")
def test_without_verify_nothing_is_compared(folder: Path, capsys: Output) -> None:
    assert main(["export", MODEL, "own.onnx", "--json"]) == 0
    size = (folder / "own.onnx").stat().st_size
    printed = {"schema": 1, "model": MODEL, "out": "own.onnx", "bytes": size, "verified": None}
    assert json.loads(capsys.readouterr().out) == printed


def test_safetensors_computes_the_same_bits(folder: Path, capsys: Output) -> None:
    assert main(["export", MODEL, "copy.safetensors", "--verify", "--data", "own.npz", "--json"]) == 0
    verified = json.loads(capsys.readouterr().out)["verified"]
    assert verified == {"n": 30, "max_difference": 0.0, "classes_agree": True, "passed": True}
    assert (folder / "copy.safetensors").read_bytes() == (folder / MODEL).read_bytes()


def test_keras_there_and_back(folder: Path, capsys: Output) -> None:
    assert main(["export", MODEL, "own.keras", "--verify", "--data", "own.npz"]) == 0
    assert main(["export", "own.keras", "back.safetensors"]) == 0
    x = np.random.default_rng(0).random((5, 64), dtype=np.float32)
    there, back = (load_model(name).predict(x, verbose=0) for name in (MODEL, "back.safetensors"))
    np.testing.assert_array_equal(back, there)


@pytest.mark.parametrize(("factor", "agree"), [(1 + 1e-3, "agree"), (-1.0, "do not agree")])
def test_a_file_that_computes_something_else_fails(
    factor: float, agree: str, folder: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    save = Sequential.save

    def wrong(self: Sequential, filepath: str) -> None:
        self.weights[0].assign(self.weights[0].numpy() * np.float32(factor))
        save(self, filepath)
        self.weights[0].assign(self.weights[0].numpy() / np.float32(factor))

    monkeypatch.setattr(Sequential, "save", wrong)
    assert main(["export", MODEL, "wrong.safetensors", "--verify", "--data", "own.npz"]) == 1
    printed = capsys.readouterr().out.splitlines()[-1]
    assert printed.startswith("NOT the same: 30 digits")
    assert printed.endswith(f"classes {agree}.")


MISTAKES = {
    f"{MODEL} own.pb": (2, ".onnx, .keras, .safetensors"),
    f"{MODEL} missing/own.onnx": (66, "Make the folder first"),
    f"{MODEL} folder.onnx": (2, "the name of a file"),
    "none.safetensors own.safetensors": (66, "no such model file"),
    "own.npz own.safetensors": (65, "expected a model of netchu or Keras 3. Got: NumPy arrays."),
    f"{MODEL} own.onnx --data own.npz": (2, "Add --verify"),
    f"{MODEL}": (2, "requires an argument"),
    f"{MODEL} own.safetensors --verify --data sample": (65, "8 x 8 pixels"),
    f"{MODEL} own.safetensors --verify --data none.npz": (66, "none.npz"),
}


@pytest.mark.parametrize("arguments", MISTAKES)
def test_mistakes_end_in_a_sentence_and_write_nothing(arguments: str, folder: Path, capsys: Output) -> None:
    (folder / "folder.onnx").mkdir()
    before = sorted(folder.iterdir())
    code, sentence = MISTAKES[arguments]
    assert main(["export", *arguments.split()]) == code
    printed = capsys.readouterr().err
    assert sentence in printed
    assert no_traceback(printed)
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize(("library", "more"), [("onnx", []), ("onnxruntime", ["--verify"])])
def test_a_missing_extra_is_named_before_the_work(
    library: str, more: list[str], folder: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    if library == "onnxruntime":
        pytest.importorskip("onnx", reason="needs onnx: pip install -e '.[dev]'")
    monkeypatch.setitem(sys.modules, library, None)  # as if it were not installed
    assert main(["export", "none.safetensors", "own.onnx", *more]) == 3
    assert "pip install 'netchu[onnx]'" in capsys.readouterr().err
    assert not (folder / "own.onnx").exists()


def test_a_full_disk_is_named_and_leaves_the_old_file(
    folder: Path, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "temporary")

    (folder / "own.safetensors").write_bytes(b"old")
    monkeypatch.setattr(Sequential, "save", full)
    assert main(["export", MODEL, "own.safetensors"]) == 1
    printed = capsys.readouterr().err
    assert printed == (
        "netchu: own.safetensors: the model could not be written, expected a disk that takes it. "
        "Got: No space left on device. An older file of that name is untouched.\n"
    )
    assert (folder / "own.safetensors").read_bytes() == b"old"
