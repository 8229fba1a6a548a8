"""The model file: one safetensors file, its architecture as JSON in the header, read without trust.

The header's `__metadata__` has the single key `netchu`, a JSON object: `{"format": 1, "config": {...}, "info": {...}}`.
The tensors are the weights by name, `dense/kernel`.  Nothing in a file is executed or imported, no path in it is
followed, and it is refused, as ModelFileError, before anything is allocated, if its header is too long, is no strict
JSON, or describes other bytes than the file has.  This room knows configurations and named arrays, not layers.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Any

import numpy as np

from netchu.errors import ModelFileError, UsageError
from netchu.formats.document import MAX_FILE_BYTES, ArraySpec, misfits, read_bytes, strict_json
from netchu.system.disk import write_atomically

FORMAT = 1
MAX_HEADER_BYTES = 1 << 20
DTYPES = {"F32": "float32", "F64": "float64", "I32": "int32", "I64": "int64", "U8": "uint8", "BOOL": "bool"}


@dataclass(frozen=True)
class ModelFile:
    """A file whose header was checked; no tensor has been read yet.

    Attributes:
        path: of the file, for messages.
        config: `"model"`, the architecture, and `"compile"`, what `compile` was given.
        info: how the model was trained.
        specs: name -> dtype and shape of each tensor.
        start: the checked bytes, header included, as they must still be when the tensors are read.
        size: of the file in bytes.
    """

    path: str
    config: dict[str, Any]
    info: dict[str, Any]
    specs: dict[str, ArraySpec]
    start: bytes
    size: int

    def arrays(self, expected: Mapping[str, ArraySpec]) -> dict[str, np.ndarray]:
        """The tensors by name.

        Args:
            expected: what the architecture needs, by name; the file must hold this and nothing else.

        Raises:
            ModelFileError: the tensors are others, found out before any of them is read; one of them holds NaN or
                infinity; or the file has changed since its header was checked.
        """
        if wrong := misfits(self.specs, expected):
            raise ModelFileError(self.path, expected="tensors that fit the architecture", got=wrong)
        data, _ = read_bytes(self.path, self.size + 1)
        if len(data) != self.size or not data.startswith(self.start):
            raise ModelFileError(self.path, expected="a file that stays as it is while it is read", got="another one")
        arrays = unpack(self.path, data)
        for name, array in arrays.items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise ModelFileError(self.path, expected="finite weights", got=f"NaN or infinity in {name!r}")
        return arrays


def write(
    path: str | PathLike[str], config: dict[str, Any], info: dict[str, Any], arrays: dict[str, np.ndarray]
) -> None:
    """Write a model file atomically; equal contents give equal bytes.

    Raises:
        ModelFileError: an array with NaN or infinity, or more, or of another kind, than `read` would take; the file on
            disk is untouched.
        UsageError: an `info` that is no JSON.
        OSError: the folder is missing, the disk is full ...; the old file stays.
    """
    for name, array in arrays.items():
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise ModelFileError(str(path), expected="finite weights to save", got=f"NaN or infinity in {name!r}")
    data = pack({"netchu": header(config, info)}, arrays)
    check(str(path), data[: 8 + header_length(str(path), data, len(data))], len(data))
    write_atomically(path, data)


def header(config: dict[str, Any], info: dict[str, Any]) -> str:
    """The document in a model file's header; UsageError for what is no JSON."""
    try:
        return json.dumps({"format": FORMAT, "config": config, "info": info}, sort_keys=True, allow_nan=False)
    except (RecursionError, TypeError, ValueError) as error:
        raise UsageError("save", expected="JSON values in the configuration and in info", got=f"{error}") from None


def pack(metadata: dict[str, str], arrays: dict[str, np.ndarray]) -> bytes:
    """The bytes of a safetensors file."""
    from safetensors.numpy import save

    data: bytes = save({name: np.asarray(array, order="C") for name, array in arrays.items()}, metadata)
    return data


def unpack(path: str, data: bytes) -> dict[str, np.ndarray]:
    """The tensors in the bytes of a safetensors file."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: dict[str, np.ndarray] = load(data)
    except SafetensorError as error:  # it is stricter in places: no space before the header, say
        got = f"one of which it says: {str(error)[:80]}"
        raise ModelFileError(path, expected="a safetensors file", got=got) from None
    return arrays


def read(path: str | PathLike[str]) -> ModelFile:
    """Read and check a model file.

    Raises:
        DataNotFoundError: there is no such file.
        ModelFileError: it is not a netchu model, is damaged, or was written by a newer netchu.
    """
    shown = os.fspath(path)
    start, size = read_bytes(shown, 8)
    start, _ = read_bytes(shown, 8 + header_length(shown, start, size))
    return check(shown, start, size)


def check(path: str, start: bytes, size: int) -> ModelFile:
    """The model file that begins with `start`, the whole header included, and has `size` bytes.

    Raises:
        ModelFileError: it cannot be read.
    """
    if size > MAX_FILE_BYTES:
        raise ModelFileError(path, expected=f"at most {MAX_FILE_BYTES} bytes", got=f"{size}")
    metadata, specs = read_header(path, start, size)
    if list(metadata) != ["netchu"] or not isinstance(metadata["netchu"], str):
        raise ModelFileError(path, expected="a netchu model", got="a safetensors file without netchu's header")
    about = strict_json(path, metadata["netchu"].encode("utf-8", "surrogatepass"))
    if type(about.get("format")) is not int or about["format"] != FORMAT:
        raise ModelFileError(
            path, expected=f"format {FORMAT}", got=f"format={about.get('format')!r:.60}: a newer netchu may read it"
        )
    for key in ("config", "info"):
        if not isinstance(about.get(key), dict):
            raise ModelFileError(path, expected=f"an object {key!r} in the header", got=f"{about.get(key)!r:.60}")
    return ModelFile(path, about["config"], about["info"], specs, start, size)


def header_length(path: str, start: bytes, size: int, limit: int = MAX_HEADER_BYTES) -> int:
    """How many bytes of header follow the first 8 of a file of `size` bytes; ModelFileError if it cannot be."""
    if len(start) < 8:
        raise ModelFileError(path, expected="a netchu model", got=f"a file of {len(start)} bytes")
    length = int.from_bytes(start[:8], "little")
    most = max(min(limit, size - 8), 0)
    if length > most:
        raise ModelFileError(
            path, expected=f"a header of at most {most} bytes", got=f"{length}: truncated or not a netchu model"
        )
    return length


def read_header(path: str, start: bytes, size: int) -> tuple[dict[str, Any], dict[str, ArraySpec]]:
    """The metadata and the checked tensors of a safetensors file.

    Args:
        path: for messages.
        start: the first bytes, the whole header included.
        size: of the file in bytes.

    Raises:
        ModelFileError: the header is no strict JSON, has no metadata, or describes other bytes than the file has.
    """
    length = int.from_bytes(start[:8], "little")
    if start[8:9] != b"{":
        raise ModelFileError(path, expected="a header that begins with '{'", got=f"{start[8:9]!r}")
    header = strict_json(path, start[8 : 8 + length])
    metadata = header.pop("__metadata__", None)
    if not isinstance(metadata, dict):
        raise ModelFileError(path, expected="a netchu model", got="a safetensors file without netchu's header")
    return metadata, _check_tensors(path, header, size - 8 - length)


def _check_tensors(path: str, header: dict[str, Any], data_bytes: int) -> dict[str, ArraySpec]:
    """Each tensor's dtype and shape; together they must cover the data exactly, without holes or overlaps."""
    specs: dict[str, ArraySpec] = {}
    spans: list[tuple[int, int]] = []
    for name, entry in header.items():
        if not isinstance(entry, dict) or sorted(entry) != ["data_offsets", "dtype", "shape"]:
            raise ModelFileError(path, expected=f"dtype, shape and data_offsets of {name[:60]!r}", got=f"{entry!r:.60}")
        dtype = entry["dtype"]
        shape = entry["shape"]
        span = entry["data_offsets"]
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise ModelFileError(
                path, expected=f"a dtype among {sorted(DTYPES)} for {name[:60]!r}", got=f"{dtype!r:.60}"
            )
        whole = all(isinstance(v, list) and all(type(n) is int and n >= 0 for n in v) for v in (shape, span))
        if not whole or len(shape) > 8 or len(span) != 2:
            raise ModelFileError(
                path, expected=f"whole numbers as shape and offsets of {name[:60]!r}", got=f"{entry!r:.60}"
            )
        if math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize != span[1] - span[0]:
            raise ModelFileError(
                path, expected=f"as many bytes as the shape of {name[:60]!r} needs", got=f"{entry!r:.120}"
            )
        specs[name] = ArraySpec(DTYPES[dtype], tuple(shape))
        spans.append((span[0], span[1]))
    spans.sort()
    ends = [0, *(end for _, end in spans)]  # each must be where the next tensor begins
    if [start for start, _ in spans] != ends[:-1] or ends[-1] != data_bytes:
        raise ModelFileError(
            path, expected=f"tensors that cover the {data_bytes} bytes of data exactly", got=f"spans {str(spans)[:80]}"
        )
    return specs
