"""The part of HDF5 that Keras reads, written: groups, and arrays that lie in the file in one piece.

    data = write_hdf5({"layers": {"dense": {"vars": {"0": kernel, "1": bias}}}})

The layout is the one that `read_hdf5.py` describes, the oldest form of the format, which every HDF5 library reads.
Equal arrays give equal bytes: no times, no padding that depends on what was in memory.

Reference:
    The HDF Group, "HDF5 File Format Specification Version 3.0", sections II.A, III.A, III.B, III.D, IV.A (2019),
    https://docs.hdfgroup.org/hdf5/develop/_f_m_t3.html
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias, Union

import numpy as np

from netchu.errors import UsageError
from netchu.formats.read_hdf5 import DATASPACE, DATATYPE, DATATYPES, LAYOUT, NOWHERE, SIGNATURE, SYMBOL_TABLE

__all__ = ["Tree", "write_hdf5"]

Tree: TypeAlias = Mapping[str, Union[np.ndarray, "Tree"]]
"""Names, and what is under them: an array or a group."""

SYMBOLS = 8  # in a symbol node, as the superblock says: twice its "leaf K" 4
CHILDREN = 32  # in a node of a B-tree: twice its "internal K" 16
FILL_VALUE = 0x05


def write_hdf5(tree: Tree) -> bytes:
    """The bytes of an HDF5 file.

    Raises:
        UsageError: an array of another dtype than float32, float64, int32, int64 and uint8.
    """
    file = bytearray(96)
    root = _group(file, tree)
    versions = bytes([0, 0, 0, 0, 0, 8, 8, 0])  # all zero, and 8 bytes for an address and for a length
    sizes = _numbers(2, SYMBOLS // 2, CHILDREN // 2) + bytes(4)
    addresses = _numbers(8, 0, NOWHERE, len(file), NOWHERE)
    file[:96] = SIGNATURE + versions + sizes + addresses + _symbol(0, root)
    return bytes(file)


def _numbers(length: int, *values: int) -> bytes:
    return b"".join(value.to_bytes(length, "little") for value in values)


def _append(file: bytearray, data: bytes | bytearray) -> int:
    """Put bytes at the end of the file, at an address that 8 divides, and return that address."""
    file += bytes(-len(file) % 8)
    address = len(file)
    file += data
    return address


def _symbol(name: int, header: int) -> bytes:
    """An entry of a group: where its name stands in the heap, and the address of its object header."""
    return _numbers(8, name, header) + bytes(24)


def _header(file: bytearray, messages: Mapping[int, bytes]) -> int:
    """Write an object header with these messages, each padded to a multiple of 8 bytes."""
    padded = {kind: body + bytes(-len(body) % 8) for kind, body in messages.items()}
    body = b"".join(_numbers(2, kind, len(body), 0, 0) + body for kind, body in padded.items())
    return _append(file, b"\x01\0" + _numbers(2, len(padded)) + _numbers(4, 1, len(body), 0) + body)


def _array(file: bytearray, array: np.ndarray) -> int:
    """Write an array and return the address of its object header."""
    codes = {name: code for code, name in DATATYPES.items()}
    if array.dtype.name not in codes:
        raise UsageError("write_hdf5", expected=f"an array of {', '.join(codes)}", got=f"dtype={array.dtype}")
    little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
    start = _append(file, little.tobytes()) if array.size else NOWHERE
    messages = {
        DATASPACE: bytes([1, array.ndim, 0, 0, 0, 0, 0, 0]) + _numbers(8, *array.shape),
        DATATYPE: codes[array.dtype.name],
        FILL_VALUE: bytes([2, 2, 2, 1, 0, 0, 0, 0]),  # the default one, written when nothing else was
        LAYOUT: b"\x03\x01" + _numbers(8, start, array.nbytes),
    }
    return _header(file, messages)


def _group(file: bytearray, tree: Tree) -> int:
    """Write a group with all that is in it and return the address of its object header."""
    heap = bytearray(8)  # it begins with the empty name
    symbols: list[tuple[int, int]] = []
    for name in sorted(tree):
        inside = tree[name]
        header = _group(file, inside) if isinstance(inside, Mapping) else _array(file, inside)
        symbols.append((_append(heap, name.encode() + b"\0"), header))
    heap += bytes(-len(heap) % 8)
    segment = _append(file, heap)
    names = _append(file, b"HEAP" + bytes(4) + _numbers(8, len(heap), 1, segment))  # 1: nothing is free in it
    nodes = []  # (the last name in it, its address)
    for i in range(0, len(symbols), SYMBOLS):
        some = symbols[i : i + SYMBOLS]
        node = b"SNOD\x01\0" + _numbers(2, len(some)) + b"".join(_symbol(*symbol) for symbol in some)
        nodes.append((some[-1][0], _append(file, node.ljust(8 + 40 * SYMBOLS, b"\0"))))
    return _header(file, {SYMBOL_TABLE: _numbers(8, _tree(file, nodes), names)})


def _tree(file: bytearray, nodes: list[tuple[int, int]], level: int = 0) -> int:
    """Write the B-tree over nodes (the last name in each, its address) and return the address of its root.

    Between two children stands the last name of the first one; before all of them the empty name.
    """
    parents = []
    for i in range(0, max(len(nodes), 1), CHILDREN):
        some = nodes[i : i + CHILDREN]
        before = nodes[i - 1][0] if i else 0
        left = right = NOWHERE
        start = b"TREE" + bytes([0, level]) + _numbers(2, len(some)) + _numbers(8, left, right, before)
        body = b"".join(_numbers(8, address, last) for last, address in some)
        parents.append((some[-1][0] if some else 0, _append(file, (start + body).ljust(24 + 16 * CHILDREN + 8, b"\0"))))
    return parents[0][1] if len(parents) == 1 else _tree(file, parents, level + 1)
