"""The seek table at the end of an image: where each zstd frame lies (zstd's contrib/seekable_format, version 0.1.0).

    skippable frame header   4 bytes magic 0x184D2A5E, 4 bytes length of the rest
    one entry a frame        4 bytes compressed size, 4 bytes decompressed size (0 for a skippable frame)
    footer                   4 bytes number of frames, 1 byte descriptor (0: no checksums), 4 bytes magic 0x8F92EAB1

All numbers are little-endian. The frames follow one another from the start of the file; the table does not list itself.
Any reader of that format can use it. A reader finds it by the file's last nine bytes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import BinaryIO

from cosmos.limits import MAX_FRAME_BYTES, MAX_IMAGE_LAYERS, demand_within
from cosmos.pack.zst import skippable_frame
from cosmos.records import dataclass

_NIBBLE = 0xE
_HEADER = struct.Struct("<II")
_ENTRY = struct.Struct("<II")
_FOOTER = struct.Struct("<IBI")
_SKIPPABLE_MAGIC = 0x184D2A50 + _NIBBLE
_SEEKABLE_MAGIC = 0x8F92EAB1


@dataclass(frozen=True, kw_only=True, slots=True)
class Seek:
    """One frame: where it begins in the file, its size there, and its content's."""

    offset: int
    packed_bytes: int
    unpacked_bytes: int


def seek_table(sizes: Sequence[tuple[int, int]]) -> bytes:
    """Return the table's frame for frames of these packed and unpacked sizes; raises `Refused` for one too large."""
    for packed, unpacked in sizes:
        demand_within(max(packed, unpacked), MAX_FRAME_BYTES, "a layer of the image", hint="make two stars of it")
    entries = b"".join(_ENTRY.pack(packed, unpacked) for packed, unpacked in sizes)
    return skippable_frame(entries + _FOOTER.pack(len(sizes), 0, _SEEKABLE_MAGIC), _NIBBLE)


def ends_with_seek_table(stream: BinaryIO) -> bool:
    """Return whether the file ends as a seek table does. A plain zstd file does not."""
    end = struct.pack("<I", _SEEKABLE_MAGIC)
    stream.seek(max(0, stream.seek(0, 2) - len(end)))
    return stream.read() == end


def read_seek_table(stream: BinaryIO) -> tuple[Seek, ...]:
    """Return the place of each frame of the file; reads the table alone. Raises a `ValueError` that names the fault.

    The frames and the table must fill the file exactly.
    """
    file_bytes = stream.seek(0, 2)
    if file_bytes < _HEADER.size + _FOOTER.size:
        raise ValueError("is too short to have a seek table")
    stream.seek(file_bytes - _FOOTER.size)
    count, descriptor, magic = _FOOTER.unpack(stream.read(_FOOTER.size))
    if magic != _SEEKABLE_MAGIC or descriptor != 0:
        raise ValueError("does not end with a seek table")
    table_bytes = _HEADER.size + count * _ENTRY.size + _FOOTER.size
    if count > MAX_IMAGE_LAYERS + 2 or table_bytes > file_bytes:
        raise ValueError(f"its seek table has {count} frames, the limit is {MAX_IMAGE_LAYERS + 2}")
    stream.seek(file_bytes - table_bytes)
    table = stream.read(table_bytes)
    if table[: _HEADER.size] != _HEADER.pack(_SKIPPABLE_MAGIC, table_bytes - _HEADER.size):
        raise ValueError("its seek table does not begin where it must")
    seeks: list[Seek] = []
    offset = 0
    for packed, unpacked in _ENTRY.iter_unpack(table[_HEADER.size : -_FOOTER.size]):
        seeks.append(Seek(offset=offset, packed_bytes=packed, unpacked_bytes=unpacked))
        offset += packed
    if offset != file_bytes - table_bytes:
        raise ValueError(
            f"its seek table says that the frames have {offset} bytes, they have {file_bytes - table_bytes}"
        )
    return tuple(seeks)
