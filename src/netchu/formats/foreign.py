"""Files of other programs that people hand to `load_model`: what each is, and what to do with it.

A file that netchu cannot read is looked at once more, by its first bytes; nothing of it is unpacked or believed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from netchu.errors import ModelFileError


@dataclass(frozen=True)
class Foreign:
    """A kind of file.

    Attributes:
        what: it is, for a message.
        do: what to do with it.
    """

    what: str
    do: str


_ANEW = "Open it where it was made, and write it with Keras 3: model.save('model.keras')."
KERAS_2 = Foreign("an HDF5 file, as Keras 2 wrote models", _ANEW)
WEIGHTS = Foreign("a file of weights alone", "Build the model, then call model.load_weights(filepath).")
SAVED_MODEL = Foreign("a folder of TensorFlow's SavedModel", _ANEW)
GRAPH = Foreign("a graph of TensorFlow", _ANEW)
LITE = Foreign("a model of TensorFlow Lite", "Take the model that it was made from; nothing is read back from it.")
ONNX = Foreign("an ONNX model", "Run it with onnxruntime.InferenceSession(filepath); netchu writes ONNX only.")
TORCH = Foreign("a file of PyTorch, or another pickle", "Read it with PyTorch, and give the arrays to set_weights.")
NPZ = Foreign(
    "NumPy arrays", "Build the model, then call model.set_weights(arrays) with those of numpy.load(filepath)."
)
KERAS_3 = Foreign("a model of Keras 3 under another name", "Rename it: its name is to end in '.keras'.")
ZIP = Foreign("a zip archive", "Unpack it, and give the name of the model in it.")
GZIP = Foreign("a gzip archive", "Unpack it, and give the name of the model in it.")
TEXT = Foreign("a text, perhaps the architecture alone", "Give the file that model.save wrote.")
OWN = Foreign("a model in netchu's own format under another name", "Rename it: its name is to end in '.safetensors'.")

ZIP_DIRECTORY = 1 << 16  # bytes at the end of a zip file that are searched for names
# The first bytes of a file -> its kind.
STARTS = {
    b"\x89HDF\r\n\x1a\n": KERAS_2,
    b"\x93NUMPY": NPZ,
    b"\x1f\x8b": GZIP,
    b"\x80\x02": TORCH, b"\x80\x03": TORCH, b"\x80\x04": TORCH, b"\x80\x05": TORCH,
    b"{": TEXT, b"[": TEXT, b"<": TEXT,
}  # fmt: skip
ENDINGS = {".onnx": ONNX, ".tflite": LITE, ".pb": GRAPH, ".pt": TORCH, ".pth": TORCH, ".pkl": TORCH, ".json": TEXT}


def kind_of(path: str) -> Foreign | None:
    """What a file or folder is, if it is one of another program's; None if nobody knows."""
    if os.path.isdir(path):
        return SAVED_MODEL if os.path.exists(os.path.join(path, "saved_model.pb")) else None
    try:
        if not os.path.isfile(path):
            return None
        with open(path, "rb") as file:
            start = file.read(16)
        end = _end_of(path) if start.startswith(b"PK\x03\x04") else b""
    except (OSError, ValueError):
        return None
    if end:
        kind = _kind_of_zip(end)
        return None if kind is KERAS_3 and path.endswith(".keras") else kind
    if start[4:8] == b"TFL3":
        return LITE
    if start[8:10] == b'{"' and not path.endswith(".safetensors"):
        return OWN
    known = (kind for beginning, kind in STARTS.items() if start.startswith(beginning))
    found = next(known, ENDINGS.get(os.path.splitext(path)[1]))
    return WEIGHTS if found is KERAS_2 and path.endswith(".weights.h5") else found


def _end_of(path: str) -> bytes:
    """The last bytes of a zip file, where the names of its members stand."""
    with open(path, "rb") as file:
        file.seek(max(os.path.getsize(path) - ZIP_DIRECTORY, 0))
        return file.read(ZIP_DIRECTORY)


def _kind_of_zip(end: bytes) -> Foreign:
    if b"config.json" in end and b"metadata.json" in end:
        return KERAS_3
    return TORCH if b"data.pkl" in end else NPZ if b".npy" in end else ZIP


@contextmanager
def naming_foreign_files(path: str | os.PathLike[str]) -> Iterator[None]:
    """While it is open, an error about a file that belongs to another program says which, and what to do."""
    try:
        yield
    except ModelFileError:
        kind = kind_of(os.fspath(path))
        if kind is None:
            raise
        raise ModelFileError(
            os.fspath(path), expected="a model of netchu or Keras 3", got=kind.what, do=kind.do
        ) from None
