"""Zip archives of stored, not compressed, records, as PyTorch writes them: read, and patched in place.

Every number of the directory is checked before it is used. Nothing is decompressed, so no record is larger
than the file.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import IO, NamedTuple

__all__ = ["Archive", "BrokenArchive"]

_MOST_DIRECTORY = 1 << 24  # bytes: about 200,000 records
_END, _END64, _LOCATOR64, _ENTRY, _LOCAL = (
    struct.Struct(f"<4s{fields}") for fields in ("4H2LH", "Q2H2L4Q", "LQL", "6H3L5H2L", "5H3L2H")
)
_FULL16, _FULL32 = 0xFFFF, 0xFFFFFFFF
_ENCRYPTED, _DESCRIPTOR = 1, 8


class BrokenArchive(ValueError):
    """What is wrong with an archive, without its name."""


class _Record(NamedTuple):
    """One file of an archive."""

    header: int  #: offset of its first byte
    start: int  #: offset of its data
    size: int
    crc: int
    checksums: tuple[int, ...]  #: offsets of the copies of `crc`


class Archive:
    """The records of a file by name, without the folder in which PyTorch puts all of them.

    Raises:
        BrokenArchive: no such archive, or a record that is compressed, encrypted, truncated, duplicate or
            overlaps another.
        OSError: the file cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        with open(path, "rb") as file:
            self._records = _records(file)

    def __contains__(self, name: str) -> bool:
        """Whether there is a record of this name."""
        return name in self._records

    def read(self, name: str, most: int | None = None) -> bytes:
        """The bytes of a record.

        Raises:
            BrokenArchive: there is no record of that name, it is larger than `most`, or its bytes differ
                from its checksum.
            OSError: the file cannot be read.
        """
        record = self._records.get(name)
        if record is None:
            raise BrokenArchive(f"it has no record {name}")
        if most is not None and record.size > most:
            raise BrokenArchive(f"{name} has {record.size} bytes; up to {most} would fit")
        with open(self._path, "rb") as file:
            data = _at(file, record.start, record.size)
        if zlib.crc32(data) != record.crc:
            raise BrokenArchive(f"{name} differs from its checksum")
        return data

    def write(self, file: IO[bytes], changed: Mapping[str, bytes]) -> None:
        """Write a copy of the file with other bytes of the same length in these records.

        Raises:
            BrokenArchive: the file has changed since it was opened.
            OSError: it cannot be read or written.
        """
        whole = bytearray(self._path.read_bytes())
        for name, data in changed.items():
            record = self._records[name]
            if (
                len(data) != record.size
                or len(whole) < max(record.start + record.size, *record.checksums) + 4
            ):
                raise BrokenArchive("it has changed since it was read")
            whole[record.start : record.start + record.size] = data
            for place in record.checksums:
                struct.pack_into("<L", whole, place, zlib.crc32(data))
        file.write(whole)


def _at(file: IO[bytes], start: int, size: int) -> bytes:
    if start < 0 or start + size > file.seek(0, 2):
        raise BrokenArchive("it is truncated")
    file.seek(start)
    return file.read(size)


def _records(file: IO[bytes]) -> dict[str, _Record]:
    directory, first, count = _directory(file)
    found: dict[str, _Record] = {}
    at = 0
    for _ in range(count):
        if at + _ENTRY.size > len(directory):
            raise BrokenArchive("its directory is truncated")
        mark, _, _, flags, method, _, _, crc, packed, size, *lengths, _, _, _, header = _ENTRY.unpack_from(
            directory, at
        )
        name_at = at + _ENTRY.size
        extra_at, note_at, end = (name_at + sum(lengths[:k]) for k in (1, 2, 3))
        if mark != b"PK\x01\x02" or end > len(directory):
            raise BrokenArchive("its directory is truncated")
        name = directory[name_at:extra_at].decode("utf-8", "replace")
        size, packed, header = _wide(directory[extra_at:note_at], size, packed, header)
        if method or flags & _ENCRYPTED or size != packed:
            raise BrokenArchive(
                f"the record {name!r:.80} is compressed or encrypted, which PyTorch never does"
            )
        inside = name.partition("/")[2]
        if not inside or inside in found:
            raise BrokenArchive(f"the record {name!r:.80} is duplicate or lies outside the archive's folder")
        start, copies = _local(file, header, size, flags, crc)
        found[inside] = _Record(header, start, size, crc, (first + at + 16, *copies))
        at = end
    in_order = sorted(found.values())
    if any(record.start + record.size > after.header for record, after in pairwise(in_order)):
        raise BrokenArchive("its records overlap")
    return found


def _directory(file: IO[bytes]) -> tuple[bytes, int, int]:
    """The directory's bytes, its offset, and how many records it has."""
    length = file.seek(0, 2)
    before_tail = max(0, length - _END.size - _FULL16)
    tail = _at(file, before_tail, length - before_tail)
    place = tail.rfind(b"PK\x05\x06")
    if place < 0 or place + _END.size > len(tail):
        raise BrokenArchive("it has no directory, as in a truncated file")
    *_, count, size, start, _ = _END.unpack_from(tail, place)
    locator_at = before_tail + place - _LOCATOR64.size
    if locator_at >= 0:
        mark, _, wide_at, _ = _LOCATOR64.unpack(_at(file, locator_at, _LOCATOR64.size))
        if mark == b"PK\x06\x07":
            mark, *_, count, size, start = _END64.unpack(_at(file, wide_at, _END64.size))
            if mark != b"PK\x06\x06":
                raise BrokenArchive("it has no directory")
    if size > _MOST_DIRECTORY or count * _ENTRY.size > size:
        raise BrokenArchive(f"its directory claims {count} records in {size} bytes")
    return _at(file, start, size), start, count


def _wide(extra: bytes, *narrow: int) -> tuple[int, ...]:
    """Numbers of a directory's entry; those that do not fit into 32 bits are in its extra field."""
    wanted = sum(number == _FULL32 for number in narrow)
    at = 0
    while wanted and at + 4 <= len(extra):
        kind, size = struct.unpack_from("<2H", extra, at)
        if kind == 1 and 8 * wanted <= min(size, len(extra) - at - 4):
            wide = iter(struct.unpack_from(f"<{wanted}Q", extra, at + 4))
            return tuple(next(wide) if number == _FULL32 else number for number in narrow)
        at += 4 + size
    return narrow


def _local(file: IO[bytes], header: int, size: int, flags: int, crc: int) -> tuple[int, list[int]]:
    """The offset of a record's data, and the offsets of its checksums."""
    mark, *_, name_size, extra_size = _LOCAL.unpack(_at(file, header, _LOCAL.size))
    if mark != b"PK\x03\x04":
        raise BrokenArchive("its directory does not point to its records")
    start = header + _LOCAL.size + name_size + extra_size
    _at(file, start + size, 0)
    if not flags & _DESCRIPTOR:
        return start, [header + 14]
    if _at(file, start + size, 8) != struct.pack("<4sL", b"PK\x07\x08", crc):
        raise BrokenArchive("the checksum after a record differs from that in the directory")
    return start, [start + size + 4]
