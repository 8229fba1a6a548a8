"""The part of HDF5 that Keras writes, read without trust: groups, and arrays that lie in the file in one piece.

    places = find_arrays(data, groups={"layers", "layers/dense", ...}, arrays={"layers/dense/vars/0", ...})
    kernel = read_array(data, places["layers/dense/vars/0"])

HDF5 can do far more: links to other files, arrays put together from other files, compression by plug-ins that the
library loads, strings and objects.  None of that is in a Keras weights file, none of it is read here, and a file that
uses it is refused.  So is a file with anything at a path that the caller did not name, which bounds the work by what
the caller expects.  Attributes are passed over.

The layout, all numbers little-endian (h5py chooses this oldest form of the format whatever its version):

    superblock      says where the root group's header lies
    object header   a list of messages: an array has a datatype, a dataspace (its shape) and a layout (where its bytes
                    lie); a group has a symbol table: a B-tree and a heap of names
    B-tree          leads to symbol nodes ("SNOD"): pairs (place of a name in the heap, address of an object header)

Reference:
    The HDF Group, "HDF5 File Format Specification Version 3.0", sections II.A, III.A, III.B, III.D, IV.A (2019),
    https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterator
from dataclasses import dataclass

import numpy as np

from netchu.formats.document import UnreadableError

__all__ = ["DATATYPES", "SIGNATURE", "ArrayPlace", "UnreadableError", "find_arrays", "read_array"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"
NOWHERE = 2**64 - 1  # the address of what is not stored
MAX_MESSAGES = 64  # in one object header; Keras's have up to 8
MAX_NAME = 200

# The datatype messages of the numbers that netchu's weights can be: class and version, flags, size, then where sign,
# exponent and mantissa lie (floats) or which bits are used (integers).
DATATYPES = {
    bytes.fromhex("11 201f00 04000000 0000 2000 17 08 00 17 7f000000"): "float32",
    bytes.fromhex("11 203f00 08000000 0000 4000 34 0b 00 34 ff030000"): "float64",
    bytes.fromhex("10 080000 04000000 0000 2000"): "int32",
    bytes.fromhex("10 080000 08000000 0000 4000"): "int64",
    bytes.fromhex("10 000000 01000000 0000 0800"): "uint8",
}

DATASPACE, DATATYPE, LAYOUT, CONTINUATION, SYMBOL_TABLE = 0x01, 0x03, 0x08, 0x10, 0x11
HARMLESS = {0x00, 0x04, 0x05, 0x0C, 0x0E, 0x12, 0x16}  # padding, fill values, attributes, times, a reference count


@dataclass(frozen=True)
class ArrayPlace:
    """An array in a file: its dtype and shape, and where its bytes begin."""

    dtype: str
    shape: tuple[int, ...]
    start: int

    @property
    def size(self) -> int:
        """In bytes."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


def read_array(data: bytes, place: ArrayPlace) -> np.ndarray:
    """The array at a place that `find_arrays` gave, as a view of the bytes."""
    flat = np.frombuffer(data, np.dtype(place.dtype).newbyteorder("<"), math.prod(place.shape), place.start)
    return flat.reshape(place.shape)


def find_arrays(
    data: bytes, groups: Container[str], arrays: Container[str], left_out: Container[str] = ()
) -> dict[str, ArrayPlace]:
    """Where the arrays of a file lie, by path; none of their bytes is read.

    Args:
        data: the file.
        groups: the paths at which there may be a group.
        arrays: the paths at which there may be an array.
        left_out: paths that are not followed.

    Raises:
        UnreadableError: the file is damaged, uses what Keras does not use, or has something at another path.
    """
    file = _File(data)
    if file.take(0, 8) != SIGNATURE or file.take(8, 8) != bytes([0, 0, 0, 0, 0, 8, 8, 0]):
        raise UnreadableError("no HDF5 file in the form that Keras writes")
    if file.number(24, 8) != 0:
        raise UnreadableError("an HDF5 file that begins in the middle")
    found: dict[str, ArrayPlace] = {}
    waiting = [("", file.number(64, 8))]
    while waiting:
        path, address = waiting.pop()
        messages = file.messages(address)
        if SYMBOL_TABLE not in messages:
            if path not in arrays:
                raise UnreadableError(f"an array at {path[:100]!r}")
            found[path] = file.array(messages, path)
            continue
        if path and path not in groups:
            raise UnreadableError(f"a group at {path[:100]!r}")
        for name, child in file.entries(messages[SYMBOL_TABLE]):
            inner = f"{path}/{name}" if path else name
            if inner in left_out:
                continue
            if inner not in groups and inner not in arrays:
                raise UnreadableError(f"something at {inner[:100]!r}")
            waiting.append((inner, child))
    ends = 0
    for path, place in sorted(found.items(), key=lambda item: (item[1].start, item[1].size)):
        if place.size and place.start < ends:
            raise UnreadableError(f"the same bytes in {path[:100]!r} and in another array")
        ends = max(ends, place.start + place.size)
    return found


class _File:
    """The bytes, each structure of which is read at most once: a file that leads back into itself ends here."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read: set[int] = set()

    def take(self, start: int, length: int) -> bytes:
        """The bytes there, all of which must exist."""
        if not 0 <= start <= len(self.data) - length:
            raise UnreadableError("an address outside the file")
        return self.data[start : start + length]

    def number(self, start: int, length: int) -> int:
        """An unsigned number of that many bytes."""
        return int.from_bytes(self.take(start, length), "little")

    def structure(self, start: int, signature: bytes) -> None:
        """Check that a structure begins there, and that it was not read before."""
        if start in self.read or self.take(start, len(signature)) != signature:
            raise UnreadableError("a structure that is none, or that is used twice")
        self.read.add(start)

    def messages(self, address: int) -> dict[int, bytes]:
        """The messages of an object header by type, without the harmless ones."""
        self.structure(address, b"\x01\0")
        count = self.number(address + 2, 2)
        if count > MAX_MESSAGES:
            raise UnreadableError(f"an object header of {count} messages")
        found: dict[int, bytes] = {}
        blocks = [(address + 16, self.number(address + 8, 4))]
        while count and blocks:
            start, length = blocks.pop(0)
            end = start + length
            while count and start + 8 <= end:
                kind = self.number(start, 2)
                size = self.number(start + 2, 2)
                flags = self.number(start + 4, 1)
                body = self.take(start + 8, size)
                start += 8 + size
                count -= 1
                if kind in HARMLESS:
                    continue
                if kind == CONTINUATION and size >= 16:
                    blocks.append((int.from_bytes(body[:8], "little"), int.from_bytes(body[8:16], "little")))
                    continue
                if kind in found or kind not in (DATASPACE, DATATYPE, LAYOUT, SYMBOL_TABLE) or flags & 2:
                    raise UnreadableError(f"what Keras does not use: a message of type {kind:#x}, flags {flags}")
                found[kind] = body
        return found

    def array(self, messages: dict[int, bytes], path: str) -> ArrayPlace:
        """The array that an object header describes."""
        if messages.keys() != {DATASPACE, DATATYPE, LAYOUT}:
            raise UnreadableError(f"neither an array nor a group at {path[:100]!r}")
        space = messages[DATASPACE]
        layout = messages[LAYOUT]
        dtype = next((name for code, name in DATATYPES.items() if messages[DATATYPE].startswith(code)), None)
        if dtype is None:
            raise UnreadableError(f"values in {path[:100]!r} that are no {', '.join(DATATYPES.values())}")
        rank = space[1] if len(space) >= 8 else 0
        if space[:1] != b"\x01" or len(space) < 8 + 8 * rank or rank > 8:
            raise UnreadableError(f"an unknown dataspace in {path[:100]!r}")
        shape = tuple(int.from_bytes(space[8 + 8 * i : 16 + 8 * i], "little") for i in range(rank))
        if layout[:2] != b"\x03\x01" or len(layout) < 18:
            raise UnreadableError(f"an array in pieces, compressed or elsewhere: {path[:100]!r}")
        start = int.from_bytes(layout[2:10], "little")
        size = int.from_bytes(layout[10:18], "little")
        place = ArrayPlace(dtype, shape, 0 if start == NOWHERE and size == 0 else start)
        if place.size != size or place.start + size > len(self.data):
            raise UnreadableError(f"shape {shape} of {path[:100]!r}, which needs other bytes than there are")
        return place

    def entries(self, symbol_table: bytes) -> Iterator[tuple[str, int]]:
        """(name, address of its object header) of each object in a group."""
        if len(symbol_table) < 16:
            raise UnreadableError("a group without entries or names")
        heap = int.from_bytes(symbol_table[8:16], "little")
        self.structure(heap, b"HEAP\0")
        first = self.number(heap + 24, 8)
        length = self.number(heap + 8, 8)
        self.take(first, length)
        for node in self.symbol_nodes(int.from_bytes(symbol_table[:8], "little")):
            self.structure(node, b"SNOD\x01")
            count = self.number(node + 6, 2)
            if not count:
                raise UnreadableError("a symbol node without symbols")
            for entry in range(node + 8, node + 8 + 40 * count, 40):
                if self.number(entry + 16, 4) not in (0, 1):
                    raise UnreadableError("a link to another place or file")
                name = first + self.number(entry, 8)
                end = self.data.find(b"\0", name, min(name + MAX_NAME, first + length))
                text = self.data[name : max(end, name)]
                if not text.isascii() or not (text.isdigit() or text.decode("ascii").isidentifier()):
                    raise UnreadableError(f"the name {text[:60]!r}")
                yield text.decode("ascii"), self.number(entry + 8, 8)

    def symbol_nodes(self, root: int) -> Iterator[int]:
        """The addresses of the symbol nodes under a B-tree."""
        self.structure(root, b"TREE\0")
        waiting = [(root, self.number(root + 5, 1))]
        while waiting:
            node, level = waiting.pop()
            count = self.number(node + 6, 2)
            children = [self.number(node + 32 + 16 * i, 8) for i in range(count)]
            if level == 0:
                yield from children
                continue
            for child in children:
                self.structure(child, b"TREE\0")
                if self.number(child + 5, 1) != level - 1 or not self.number(child + 6, 2):
                    raise UnreadableError("a B-tree whose levels do not follow each other")
                waiting.append((child, level - 1))
