"""A zip file with a few known members, read without trust and written so that equal contents give equal bytes.

    members = open_archive(data, {"config.json": 4 << 20, "model.weights.h5": 1 << 30})
    text = members["config.json"].read()

Python's `zipfile` is made for archives of any kind.  This reader is made for one kind: every member is known by name,
has a greatest size, is stored or deflated, and lies in the file apart from the others.  Nothing is unpacked to disk.

Reference:
    PKWARE, ".ZIP File Format Specification" 6.3.10, sections 4.3 and 4.4 (2022).
"""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass

from netchu.formats.document import UnreadableError

__all__ = ["Member", "open_archive", "write_archive"]

STORED, DEFLATED = 0, 8
HARMLESS_FLAGS = 0x080E  # how hard it was compressed, sizes after the data, names in UTF-8
MAX_EXPANSION = 100  # of a deflated member: weights shrink little, a bomb a thousandfold
SMALL = 1 << 20  # what a member may always expand to


@dataclass(frozen=True)
class Member:
    """A member of an archive, not yet unpacked.

    Attributes:
        size: of what `read` gives, in bytes, as the archive says.
    """

    data: bytes
    start: int
    packed_size: int
    size: int
    method: int
    checksum: int

    def read(self) -> bytes:
        """The member's bytes; UnreadableError if they are not what the archive says."""
        packed = self.data[self.start : self.start + self.packed_size]
        unpacked = packed
        if self.method == DEFLATED:
            unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
            try:
                unpacked = unpacker.decompress(packed, self.size + 1)
            except zlib.error:
                raise UnreadableError("a zip member that is damaged") from None
            if not unpacker.eof or unpacker.unused_data:
                raise UnreadableError("a zip member of another size than it says")
        if len(unpacked) != self.size or zlib.crc32(unpacked) != self.checksum:
            raise UnreadableError("a zip member whose size or checksum is wrong")
        return unpacked


def open_archive(data: bytes, limits: Mapping[str, int]) -> dict[str, Member]:
    """The members of a zip file, by name; nothing is unpacked yet.

    Args:
        data: the file.
        limits: the names that must be in it, each once, with the greatest size in bytes; no other may be.

    Raises:
        UnreadableError: it is no such archive.
    """
    end = len(data) - 22
    if end < 0 or data[end : end + 4] != b"PK\x05\x06":
        raise UnreadableError("no zip file, or one with something behind its end")
    disks, count, size, start = (_number(data, end + at, 4) for at in (4, 8, 12, 16))
    if disks or count != len(limits) * 0x10001 or data[end + 20 : end + 22] != b"\0\0" or start + size != end:
        raise UnreadableError(f"a zip file that does not hold {', '.join(limits)} and nothing else")
    members: dict[str, Member] = {}
    position = start
    for _ in limits:
        name, member, position = _member(data, position, start)
        if name not in limits or name in members:
            raise UnreadableError(f"a zip member {name[:60]!r}, unknown or there twice")
        if member.size > limits[name]:
            raise UnreadableError(f"{name} of {member.size} bytes, at most {limits[name]} are read")
        members[name] = member
    if position != end:
        raise UnreadableError("a zip directory that is longer than its entries")
    ends = 0
    for member in sorted(members.values(), key=lambda member: member.start):
        if member.start < ends:
            raise UnreadableError("zip members that overlap")
        ends = member.start + member.packed_size
    return members


def _number(data: bytes, start: int, length: int) -> int:
    return int.from_bytes(data[start : start + length], "little")


def _member(data: bytes, entry: int, limit: int) -> tuple[str, Member, int]:
    """The member that a directory entry describes, its name, and where the next entry begins.

    Args:
        data: the file.
        entry: where the directory entry begins.
        limit: where the members end.
    """
    if data[entry : entry + 4] != b"PK\x01\x02":
        raise UnreadableError("a damaged zip directory")
    flags = _number(data, entry + 8, 2)
    method = _number(data, entry + 10, 2)
    checksum, packed, size = (_number(data, entry + at, 4) for at in (16, 20, 24))
    lengths = [_number(data, entry + at, 2) for at in (28, 30, 32)]  # of the name, more about the member, a comment
    local = _number(data, entry + 42, 4)
    name = data[entry + 46 : entry + 46 + lengths[0]]
    if flags & ~HARMLESS_FLAGS or method not in (STORED, DEFLATED):
        raise UnreadableError("a zip member that is encrypted or packed in an unusual way")
    if size > packed and (method == STORED or size > max(SMALL, MAX_EXPANSION * packed)):
        raise UnreadableError(f"a zip member of {packed} bytes that says it unpacks to {size}")
    same = data[local : local + 4] == b"PK\x03\x04" and data[local + 30 : local + 30 + lengths[0]] == name
    if not same or _number(data, local + 8, 2) != method or _number(data, local + 26, 2) != lengths[0]:
        raise UnreadableError("a zip member that differs from its directory entry")
    start = local + 30 + lengths[0] + _number(data, local + 28, 2)
    if start + packed > limit:
        raise UnreadableError("a zip member that reaches outside the file")
    member = Member(data, start, packed, size, method, checksum)
    return name.decode("ascii", "replace"), member, entry + 46 + sum(lengths)


def write_archive(members: Mapping[str, bytes]) -> bytes:
    """The bytes of a zip file with these members, stored; its times are the first that a zip file can hold."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in members.items():
            about = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            about.create_system = 3  # the same on Windows
            archive.writestr(about, data)
    return file.getvalue()
