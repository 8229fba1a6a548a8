"""Read the four arrays of a data set from an `.npz` archive, without ever unpickling.

    arrays = read_npz("digits.npz")      # {"x_train": ..., "y_train": ..., "x_test": ..., "y_test": ...}

An `.npz` is a zip of `.npy` members.  A zip can claim anything, and a `.npy` may hold a pickle, which runs code when it
is read.  So each member's own header is read first (at most 10 kB of it), object arrays are refused, and the declared
shape must agree with the member's size, which must be possible for its packed size, before the elements are read.

Limits: 1 GiB an array, 64 members; no encryption; stored or deflated members only.
"""

from __future__ import annotations

import math
import re
import struct
import zipfile
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from netchu.datasets.dataset import KEYS
from netchu.datasets.idx import DEFLATE_RATIO, MAX_BYTES
from netchu.errors import DataError

MAX_MEMBERS = 64
_MAX_HEADER = 10_000
# The header is a Python dictionary in a fixed form: matched, not evaluated.  NumPy under Python 2 wrote 28 as 28L.
_HEADER = re.compile(
    r"\{'descr': '(?P<type>[<>|=]?(?:[iu][1248]|f[248]))', 'fortran_order': (?P<fortran>True|False), "
    r"'shape': \((?P<shape>(?:\d{1,12}L?, ?)*(?:\d{1,12}L?)?)\),? ?\}\s*"
)
_HOW = "Write one with numpy.savez('digits.npz', x_train=..., y_train=..., x_test=..., y_test=...)."


def read_npz(path: Path) -> dict[str, NDArray[Any]]:
    """Read `x_train`, `y_train`, `x_test` and `y_test`; other members are left alone.

    Args:
        path: an existing file, such as Keras's `mnist.npz`.

    Returns:
        The four arrays by key, as stored: shapes and ranges are checked by `Dataset`.

    Raises:
        DataError: not a zip, a key missing, an object array, or a member that is not what it says.
    """
    where = str(path)
    try:
        with zipfile.ZipFile(path) as archive:
            members = _members(archive, where)
            return {key: _read_member(archive, members[f"{key}.npy"], f"{where}[{key!r}]") for key in KEYS}
    # zipfile raises RuntimeError for encryption and NotImplementedError (a RuntimeError) for odd compressions.
    except (OSError, EOFError, RuntimeError, struct.error, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(where, expected="a readable .npz archive", got=str(error), do=_HOW) from error


def _members(archive: zipfile.ZipFile, where: str) -> dict[str, zipfile.ZipInfo]:
    """The table of contents, checked: not too long, no name twice, all four keys there."""
    entries = archive.infolist()
    names = [entry.filename for entry in entries]
    if len(names) > MAX_MEMBERS or len(set(names)) < len(names):
        got = f"{len(names)} members under {len(set(names))} names"
        raise DataError(where, expected=f"at most {MAX_MEMBERS} members, each name once", got=got)
    missing = [key for key in KEYS if f"{key}.npy" not in names]
    if missing:
        held = ", ".join(name.removesuffix(".npy")[:40] for name in names[:8]) or "none"
        raise DataError(
            where, expected=f"the keys {', '.join(KEYS)}", got=f"{held}; missing {', '.join(missing)}", do=_HOW
        )
    return {entry.filename: entry for entry in entries}


def _read_member(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, where: str) -> NDArray[Any]:
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        got = f"compression {entry.compress_type}"
        raise DataError(where, expected="a stored or deflated member", got=got, do=_HOW)
    with archive.open(entry) as member:
        dtype, shape, fortran, header_size = _npy_header(member, where)
        size = math.prod(shape) * dtype.itemsize
        if size > MAX_BYTES:
            raise DataError(where, expected=f"at most {MAX_BYTES} bytes", got=f"shape={shape} of {dtype}")
        if entry.file_size != header_size + size or entry.file_size > entry.compress_size * DEFLATE_RATIO:
            got = f"{entry.file_size} bytes, packed {entry.compress_size}, for shape={shape} of {dtype}"
            raise DataError(where, expected="a member as large as its array", got=got)
        data = member.read(size)
        if len(data) != size or member.read(1):  # the last read also makes zipfile compare the checksum
            raise DataError(where, expected=f"{size} bytes", got=f"{len(data)} or more")
    array = np.frombuffer(bytearray(data), dtype=dtype)  # a bytearray, so that the array is writable
    return np.ascontiguousarray(array.reshape(shape, order="F" if fortran else "C"))


def _npy_header(member: IO[bytes], where: str) -> tuple[np.dtype[Any], tuple[int, ...], bool, int]:
    """Type, shape, order and length of a `.npy` header; the header's own length is checked before it is read."""
    start = member.read(12)
    versions = {b"\x01\x00": (10, "<H"), b"\x02\x00": (12, "<I")}
    if len(start) < 12 or start[:6] != b"\x93NUMPY" or start[6:8] not in versions:
        raise DataError(where, expected="a .npy member, version 1 or 2", got=f"first bytes {start[:8]!r}")
    prefix, length_format = versions[start[6:8]]
    (length,) = struct.unpack_from(length_format, start, 8)
    if not 2 <= length <= _MAX_HEADER:
        raise DataError(where, expected=f"a header of at most {_MAX_HEADER} bytes", got=f"{length}")
    header = start + member.read(prefix + length - 12)
    text = header[prefix:].decode("latin-1")
    found = _HEADER.fullmatch(text)
    if found is None or len(header) != prefix + length:
        do = "Object arrays are pickles, which netchu never reads: store plain numbers."
        got = f"header {text.strip()[:100]!r}"
        raise DataError(where, expected="an array of numbers", got=got, do=do)
    shape = tuple(int(axis) for axis in re.findall(r"\d+", found["shape"]))
    return np.dtype(found["type"]), shape, found["fortran"] == "True", prefix + length
