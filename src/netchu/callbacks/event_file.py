"""TensorBoard's event files, written with the standard library: no TensorFlow, no protobuf.

A file is a row of records (TensorFlow's TFRecord):

    length of data (8 bytes) | checksum of the length (4) | data | checksum of data (4)      all little-endian

A reader that comes to a torn last record waits there and keeps all before it.  The data of a record is one Event, in
Protocol Buffers' wire format: a field is its number and wire type, then its value (an integer of 7-bit groups, 4 or 8
bytes, or a length and so many bytes).  Written here are

    Event    1 wall_time (double)  2 step (int)  3 file_version (bytes)  5 summary {1 value ...}
    Value    1 tag  2 simple_value (float)  8 tensor  9 metadata {1 plugin {1 name}}
    Tensor   1 dtype  2 shape {2 dimension {1 size} ...}  4 content

A scalar is a `simple_value`, which every reader, `EventAccumulator.Scalars` and the web page alike, shows as one; the
tensors that TensorFlow 2 writes in its place are the same to the page.

Sources: TensorFlow's `event.proto`, `summary.proto`, `tensor.proto` and `record_writer.h`; the checksum is CRC-32C
(G. Castagnoli, S. Braeuer, M. Herrmann, Optimization of cyclic redundancy-check codes, 1993), rotated and shifted so
that the checksum of data that holds checksums stays a good one.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Mapping

import numpy as np

BUCKETS = 30
DOUBLE = 2  # in TensorFlow's list of element types


def _table() -> list[int]:
    """The checksum of each single byte."""
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


TABLE = _table()


def crc32c(data: bytes) -> int:
    """The CRC-32C checksum."""
    checksum = 0xFFFFFFFF
    for byte in data:
        checksum = TABLE[(checksum ^ byte) & 0xFF] ^ checksum >> 8
    return checksum ^ 0xFFFFFFFF


def masked(checksum: int) -> int:
    """A checksum as records hold it: turned right by 15 bits, plus a constant."""
    return ((checksum >> 15 | checksum << 17) + 0xA282EAD8) & 0xFFFFFFFF


def record(data: bytes) -> bytes:
    """The data between its length and checksums."""
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", masked(crc32c(length))) + data + struct.pack("<I", masked(crc32c(data)))


# --- Protocol Buffers' wire format -----------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    """A whole number >= 0 in groups of 7 bits, the lowest first, each but the last with its high bit set."""
    groups = bytearray()
    while number > 0x7F:
        groups.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*groups, number])


def whole(field: int, number: int) -> bytes:
    """A field that holds a whole number."""
    return varint(field << 3) + varint(number)


def text(field: int, content: bytes | str) -> bytes:
    """A field that holds bytes, a string, or a message."""
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


# --- events ----------------------------------------------------------------------------------------------------------


def beginning() -> bytes:
    """The record that every file begins with."""
    return record(_event(0, text(3, "brain.Event:2")))


def scalars(step: int, values: Mapping[str, float]) -> bytes:
    """One record: the value of each tag at a step, in float32."""
    with np.errstate(over="ignore"):
        singles = {tag: np.float32(value).astype("<f4").tobytes() for tag, value in values.items()}
    summary = b"".join(text(1, text(1, tag) + varint(2 << 3 | 5) + single) for tag, single in singles.items())
    return record(_event(step, text(5, summary)))


def histogram(step: int, tag: str, values: np.ndarray) -> bytes:
    """One record: how the values of an array of any shape are spread, as TensorFlow 2's `summary.histogram` has it."""
    content = buckets(values)
    shape = b"".join(text(2, whole(1, size)) for size in content.shape)
    tensor = whole(1, DOUBLE) + text(2, shape) + text(4, content.astype("<f8").tobytes())
    metadata = text(1, text(1, "histograms"))
    return record(_event(step, text(5, text(1, text(1, tag) + text(8, tensor) + text(9, metadata)))))


def buckets(values: np.ndarray) -> np.ndarray:
    """(30, 3): left edge, right edge and number of values of 30 equal parts from the least to the greatest value.

    Values that are not finite are left out.  Where all are equal, all are in the last part, which has no width.
    """
    values = np.asarray(values, dtype="float64").ravel()
    values = values[np.isfinite(values)]
    if not values.size:
        return np.zeros((BUCKETS, 3))
    least, greatest = values.min(), values.max()
    edges = np.linspace(least, greatest, BUCKETS + 1)
    places = np.full(values.size, BUCKETS - 1)
    if greatest > least:
        width = (greatest - least) / BUCKETS
        places = np.minimum(np.floor((values - least) / width).astype(int), BUCKETS - 1)
    return np.stack([edges[:-1], edges[1:], np.bincount(places, minlength=BUCKETS)], axis=1)


def _event(step: int, what: bytes) -> bytes:
    return varint(1 << 3 | 1) + struct.pack("<d", time.time()) + whole(2, step) + what
