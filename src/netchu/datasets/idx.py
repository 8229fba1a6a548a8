"""IDX, the file format of MNIST: read with caps, written, and hashed.

    images = read_idx("train-images-idx3-ubyte.gz")       # uint8 (60000, 28, 28)
    Path("my-labels-idx1-ubyte").write_bytes(encode_idx(labels))

The whole format: two zero bytes, one byte for the type, one for the number of axes, each axis's length as a big-endian
32-bit integer, then the elements, last axis fastest, big-endian.  A file may be gzipped; the first two bytes decide,
not the name.

Limits: at most 4 axes, no empty axis, at most `MAX_BYTES` (1 GiB) unpacked.  What the header declares is compared with
what the file can hold before anything of that size is allocated, so a damaged or hostile file ends in an error and does
not take the machine's memory.  Reference: Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten
digits", 1998.
"""

from __future__ import annotations

import gzip
import hashlib
import math
import os
import struct
import zlib
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from netchu.errors import DataError, DataNotFoundError

MAX_BYTES = 1 << 30
MAX_AXES = 4
# DEFLATE cannot shrink anything below 1/1032 of its size: a file that declares more than that is lying.
DEFLATE_RATIO = 1032

_TYPES = {0x08: ">u1", 0x09: ">i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_CODES = {np.dtype(name).newbyteorder("="): code for code, name in _TYPES.items()}
_FRESH = "The file is damaged or of another kind: fetch it again."


def read_idx(path: str | os.PathLike[str]) -> NDArray[Any]:
    """Read one IDX file, raw or gzipped.

    Args:
        path: the file.

    Returns:
        A writable array in the machine's byte order, with the type and shape that the file declares
        (MNIST: uint8 `(images, height, width)` or uint8 `(labels,)`).

    Raises:
        DataNotFoundError: there is no such file.
        DataError: not IDX, truncated, longer than declared, damaged gzip, or beyond the limits above.
    """
    path = Path(path)
    where = str(path)
    if not path.is_file():
        raise DataNotFoundError("read_idx", expected="an IDX file", got=f"path={where!r}, which is no file")
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            if not packed:
                return _read_stream(file, where, at_most=size)
            with gzip.GzipFile(fileobj=file) as unpacked:
                return _read_stream(unpacked, where, at_most=size * DEFLATE_RATIO)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(where, expected="a readable IDX file", got=str(error), do=_FRESH) from error


def _read_stream(stream: IO[bytes] | gzip.GzipFile, where: str, at_most: int) -> NDArray[Any]:
    """Read header, then exactly the declared bytes; `at_most` is what the file could hold at the very best."""
    start = stream.read(4)
    axes = start[3] if len(start) == 4 else 0
    start += stream.read(4 * min(axes, MAX_AXES))
    dtype, shape = _header(start, where)
    total = len(start) + math.prod(shape) * dtype.itemsize
    if total > at_most:
        raise DataError(
            where, expected=f"{total} bytes for the declared shape {shape}", got=f"{at_most} at most", do=_FRESH
        )
    buffer = np.empty(total, dtype=np.uint8)
    buffer[: len(start)] = np.frombuffer(start, dtype=np.uint8)
    view = buffer.data
    filled = len(start)
    while filled < total:
        block = stream.read(min(total - filled, 1 << 20))
        if not block:
            raise DataError(where, expected=f"{total} bytes", got=f"only {filled}", do=_FRESH)
        view[filled : filled + len(block)] = block
        filled += len(block)
    if stream.read(1):
        raise DataError(where, expected=f"{total} bytes", got="more bytes behind the last element", do=_FRESH)
    return parse_idx(buffer, where)


def parse_idx(data: bytes | bytearray | NDArray[np.uint8], where: str = "parse_idx") -> NDArray[Any]:
    """Turn the unpacked bytes of an IDX file into an array, without copying single-byte elements.

    Args:
        data: the whole file.  The array shares its memory and is writable when `data` is.
        where: what to name in an error message, usually the path.

    Returns:
        The array, with the type and shape that the bytes declare.

    Raises:
        DataError: wrong magic or type code, impossible shape, too few or too many bytes.
    """
    head = bytes(data[: 4 + 4 * MAX_AXES])
    dtype, shape = _header(head, where)
    offset = 4 + 4 * len(shape)
    expected = offset + math.prod(shape) * dtype.itemsize
    if len(data) != expected:
        raise DataError(
            where, expected=f"{expected} bytes for the declared shape {shape}", got=str(len(data)), do=_FRESH
        )
    array = np.frombuffer(data, dtype=dtype, offset=offset).reshape(shape)
    return array if dtype.itemsize == 1 else array.astype(dtype.newbyteorder("="))


def _header(start: bytes, where: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    """Element type and shape from the first bytes (more bytes than the header has are ignored)."""
    if len(start) < 4 or start[:2] != b"\x00\x00" or start[2] not in _TYPES:
        kind = "a page of text or HTML" if start.lstrip()[:1] in (b"<", b"{") else f"first bytes {start[:4]!r}"
        raise DataError(where, expected="IDX, which begins 00 00 08 for bytes", got=kind, do=_FRESH)
    axes = start[3]
    if not 1 <= axes <= MAX_AXES:
        raise DataError(where, expected=f"1 to {MAX_AXES} axes", got=f"axes={axes}", do=_FRESH)
    if len(start) < 4 + 4 * axes:
        raise DataError(where, expected=f"a header of {4 + 4 * axes} bytes", got=f"only {len(start)}", do=_FRESH)
    shape = struct.unpack_from(f">{axes}I", start, 4)
    dtype = np.dtype(_TYPES[start[2]])
    if 0 in shape:
        raise DataError(where, expected="at least one element along each axis", got=f"shape={shape}")
    if math.prod(shape) * dtype.itemsize > MAX_BYTES:  # Python integers: no overflow to slip through
        raise DataError(where, expected=f"at most {MAX_BYTES} bytes", got=f"shape={shape} of {dtype.name}", do=_FRESH)
    return dtype, shape


def encode_idx(array: NDArray[Any]) -> bytes:
    """The bytes of the IDX file that holds `array`: the inverse of `parse_idx`.

    Args:
        array: uint8, int8, int16, int32, float32 or float64, 1 to 4 axes, none of them empty.

    Raises:
        DataError: the type or shape has no IDX form.

    Example:
        >>> encode_idx(np.array([7, 2], dtype=np.uint8))
        b'\\x00\\x00\\x08\\x01\\x00\\x00\\x00\\x02\\x07\\x02'
    """
    return _encode_header(array) + array.astype(array.dtype.newbyteorder(">"), copy=False).tobytes()


def idx_sha256(array: NDArray[Any]) -> str:
    """SHA-256, in hexadecimal, of `encode_idx(array)`; the header in it makes shape and type count too."""
    digest = hashlib.sha256(_encode_header(array))
    digest.update(np.ascontiguousarray(array.astype(array.dtype.newbyteorder(">"), copy=False)).data)
    return digest.hexdigest()


def _encode_header(array: NDArray[Any]) -> bytes:
    code = _CODES.get(array.dtype.newbyteorder("="))
    if code is None or not 1 <= array.ndim <= MAX_AXES or 0 in array.shape:
        raise DataError(
            "encode_idx",
            expected=f"one of {', '.join(dtype.name for dtype in _CODES)} with 1 to {MAX_AXES} axes, none empty",
            got=f"dtype={array.dtype}, shape={array.shape}",
        )
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, code, array.ndim, *array.shape)
