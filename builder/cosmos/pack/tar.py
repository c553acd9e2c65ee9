"""Write tar: entries become POSIX ustar members, with a pax extended header only if ustar cannot hold a value.

The form (POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block"). A member is a header of 512 bytes, then
its content padded with zeros to whole blocks; an archive ends with two blocks of zeros (`TAR_END`).

    offset size field           offset size field             offset size field
         0  100 name               124   12 size                 257    8 "ustar", NUL, "00"
       100    8 mode               136   12 mtime                265   64 user and group name: empty
       108    8 uid                148    8 checksum             329   16 device major, minor
       116    8 gid                156    1 type                 345  155 prefix
                                   157  100 link name            500   12 zeros

Numbers are octal digits that fill their field and a NUL. A name of more than 100 bytes is split at a slash into prefix
and name if that fits. All other values go into a pax header (type `x`) before the member, its records in this order:
`hdrcharset=BINARY` if a name is not UTF-8, `path`, `linkpath`, `size`, `uid`, `gid`, `mtime`, `SCHILY.xattr.NAME`.
GNU tar, bsdtar and Python read all of it; GNU tar warns that it does not know `hdrcharset`, and keeps the bytes.

The same entries give the same bytes: the writer adds nothing to an entry. It does not sort the entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final
from zlib import adler32

from cosmos.content import Content
from cosmos.errors import Malformed
from cosmos.tree.entry import Entry, Kind

BLOCK: Final = 512
TAR_END: Final = bytes(2 * BLOCK)
TYPE_FLAGS: Final[dict[Kind, bytes]] = {
    "file": b"0",
    "hardlink": b"1",
    "symlink": b"2",
    "char": b"3",
    "block": b"4",
    "dir": b"5",
    "fifo": b"6",
}

_NAME_BYTES = 100
_PREFIX_BYTES = 155
_MAX_OCTAL_7 = 0o7777777
_MAX_OCTAL_11 = 0o77777777777
_PADDING = [bytes(-size % BLOCK) for size in range(BLOCK)]
_NO_DEVICE = b"0000000\x000000000\0"
_MAGIC_AND_OWNERS = b"ustar\x0000" + bytes(64)
_CHECKSUM_AS_SPACES = 8 * ord(" ")
_PAX_HEADER_NAME = b"././@PaxHeader"


def tar_members(entries: Iterable[Entry]) -> Iterator[Content]:
    """Yield the pieces of the members of `entries`, in their order, without the archive's end.

    Raises `Malformed` if tar cannot hold an entry, and `ValueError` if it is not a valid entry.
    """
    for entry in entries:
        yield member_header(entry)
        if entry.kind == "file" and entry.content:
            yield entry.content
            if len(entry.content) % BLOCK:
                yield _PADDING[len(entry.content) % BLOCK]


def member_header(entry: Entry, size_bytes: int | None = None) -> bytes:
    """Return the headers before the entry's content: the pax header if it needs one, and its ustar header.

    `size_bytes` is the size of a file whose content is not at hand.
    """
    name = entry.path + b"/" if entry.kind == "dir" else bytes(entry.path)
    size = (len(entry.content) if size_bytes is None else size_bytes) if entry.kind == "file" else 0
    is_plain = (
        len(name) <= _NAME_BYTES
        and len(entry.target) <= _NAME_BYTES
        and name.isascii()
        and entry.target.isascii()
        and size <= _MAX_OCTAL_11
        and 0 <= entry.mtime <= _MAX_OCTAL_11
        and entry.uid <= _MAX_OCTAL_7
        and entry.gid <= _MAX_OCTAL_7
        and not entry.xattrs
    )
    if is_plain:
        return _header(entry, name, b"", entry.target, size, entry.uid, entry.gid, entry.mtime)
    return _extended_header(entry, name, size)


def _extended_header(entry: Entry, name: bytes, size: int) -> bytes:
    prefix, short = _split(name)
    records: list[tuple[bytes, bytes]] = []
    target = entry.target
    for key, raw, fits in ((b"path", name, bool(short)), (b"linkpath", target, len(target) <= _NAME_BYTES)):
        if not fits or not _is_utf8(raw):
            records.append((key, raw))
    if any(not _is_utf8(raw) for _, raw in records):
        records.insert(0, (b"hdrcharset", b"BINARY"))
    numbers = {
        b"size": (size, _MAX_OCTAL_11),
        b"uid": (entry.uid, _MAX_OCTAL_7),
        b"gid": (entry.gid, _MAX_OCTAL_7),
        b"mtime": (entry.mtime, _MAX_OCTAL_11),
    }
    records += [(key, b"%d" % number) for key, (number, most) in numbers.items() if not 0 <= number <= most]
    for attribute, value in entry.xattrs:
        if b"=" in attribute:
            problem = "tar cannot keep an extended attribute with an equals sign in its name"
            raise Malformed(entry.path.text, problem)
        records.append((b"SCHILY.xattr." + attribute, value))
    fields = [number if 0 <= number <= most else 0 for number, most in numbers.values()]
    header = _header(entry, short or name[:_NAME_BYTES], prefix, target[:_NAME_BYTES], *fields)
    return _pax_member(records) + header if records else header


def _pax_member(records: Iterable[tuple[bytes, bytes]]) -> bytes:
    """Return a type `x` member with these records: `LENGTH KEY=VALUE` and a newline, where LENGTH counts itself."""
    body = bytearray()
    for key, value in records:
        rest = b" %b=%b\n" % (key, value)
        length = len(rest) + 1
        while length != len(rest) + len(str(length)):
            length = len(rest) + len(str(length))
        body += b"%d%b" % (length, rest)
    fields = b"0000644\x000000000\x000000000\x00%011o\x0000000000000\0" % len(body)
    return _summed(_PAX_HEADER_NAME, fields, b"x", b"", _NO_DEVICE, b"") + body + _PADDING[len(body) % BLOCK]


def _header(
    entry: Entry, name: bytes, prefix: bytes, target: bytes, size: int, uid: int, gid: int, mtime: int
) -> bytes:
    if not 0 <= entry.mode <= 0o7777 or uid < 0 or gid < 0:
        raise ValueError(f"{entry.path.text}: no mode or owner: {entry.mode:o} {uid} {gid}")
    device = _NO_DEVICE
    if entry.rdev is not None:
        major, minor = entry.rdev
        if not (0 <= major <= _MAX_OCTAL_7 and 0 <= minor <= _MAX_OCTAL_7):
            raise Malformed(entry.path.text, f"tar cannot keep device {major}:{minor}")
        device = b"%07o\0%07o\0" % entry.rdev
    fields = b"%07o\0%07o\0%07o\0%011o\0%011o\0" % (entry.mode, uid, gid, size, mtime)
    return _summed(name, fields, TYPE_FLAGS[entry.kind], target, device, prefix)


def _summed(name: bytes, fields: bytes, type_flag: bytes, target: bytes, device: bytes, prefix: bytes) -> bytes:
    front = name.ljust(_NAME_BYTES, b"\0") + fields
    middle = type_flag + target.ljust(_NAME_BYTES, b"\0") + _MAGIC_AND_OWNERS
    back = device + prefix.ljust(_PREFIX_BYTES + 12, b"\0")
    checksum = byte_sum(front) + byte_sum(middle) + byte_sum(back) + _CHECKSUM_AS_SPACES
    return b"%b%06o\0 %b%b" % (front, checksum, middle, back)


def byte_sum(data: bytes) -> int:
    """Return the sum of at most 256 bytes: Adler-32's low half is 1 and their sum, modulo 65,521 (RFC 1950 section 9).

    >>> byte_sum(bytes([255] * 256)) == 255 * 256
    True
    """
    return (adler32(data) & 0xFFFF) - 1


def _split(name: bytes) -> tuple[bytes, bytes]:
    """Return prefix and name of a path, both empty if the path does not fit.

    >>> _split(b"a" * 60 + b"/" + b"b" * 60) == (b"a" * 60, b"b" * 60)
    True
    """
    if len(name) <= _NAME_BYTES:
        return b"", name
    place = name.find(b"/", len(name) - _NAME_BYTES - 1, len(name) - 1)
    return (name[:place], name[place + 1 :]) if 0 < place <= _PREFIX_BYTES else (b"", b"")


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
