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
from functools import lru_cache
from struct import Struct
from typing import Final, Protocol
from zlib import adler32

from cosmos.content import Content
from cosmos.errors import Malformed
from cosmos.tree.entry import Entry, Kind
from cosmos.treepath import TreePath

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
_KEPT: Final = 256  # fields of the last headers: most entries of a tree share mode, owner and time
_FIELDS: Final = Struct(f"{_NAME_BYTES}s24s12s12s8s1s{_NAME_BYTES}s72s16s{_PREFIX_BYTES + 12}s")  # zeros fill each


class Described(Protocol):
    """What a header says of an entry besides size and time: an `Entry` has it, and a line of a manifest."""

    @property
    def path(self) -> TreePath: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def mode(self) -> int: ...
    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...
    @property
    def target(self) -> bytes: ...
    @property
    def rdev(self) -> tuple[int, int] | None: ...
    @property
    def xattrs(self) -> tuple[tuple[bytes, bytes], ...]: ...


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


def member_header(entry: Entry) -> bytes:
    """Return the headers before the entry's content: the pax header if it needs one, and its ustar header."""
    return described_header(entry, len(entry.content), entry.mtime)


def described_header(entry: Described, size_bytes: int, mtime: int) -> bytes:
    """Return what `member_header` does, of an entry without a content: a file has `size_bytes`."""
    name, target = entry.path + b"/" if entry.kind == "dir" else bytes(entry.path), entry.target
    size = size_bytes if entry.kind == "file" else 0
    is_plain = (
        len(name) <= _NAME_BYTES
        and len(target) <= _NAME_BYTES
        and name.isascii()
        and target.isascii()
        and size <= _MAX_OCTAL_11
        and 0 <= mtime <= _MAX_OCTAL_11
        and entry.uid <= _MAX_OCTAL_7
        and entry.gid <= _MAX_OCTAL_7
        and not entry.xattrs
    )
    if is_plain:
        return _header(entry, name, b"", target, size, entry.uid, entry.gid, mtime)
    return _extended_header(entry, name, size, mtime)


def _extended_header(entry: Described, name: bytes, size: int, mtime: int) -> bytes:
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
        b"mtime": (mtime, _MAX_OCTAL_11),
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
    return _summed(_PAX_HEADER_NAME, (0o644, 0, 0), len(body), 0, b"x", b"", _NO_DEVICE, b"") + _padded(body)


def _padded(body: bytearray) -> bytes:
    return bytes(body + _PADDING[len(body) % BLOCK])


def _header(
    entry: Described, name: bytes, prefix: bytes, target: bytes, size: int, uid: int, gid: int, mtime: int
) -> bytes:
    if not 0 <= entry.mode <= 0o7777 or uid < 0 or gid < 0:
        raise ValueError(f"{entry.path.text}: no mode or owner: {entry.mode:o} {uid} {gid}")
    device = _NO_DEVICE
    if entry.rdev is not None:
        major, minor = entry.rdev
        if not (0 <= major <= _MAX_OCTAL_7 and 0 <= minor <= _MAX_OCTAL_7):
            raise Malformed(entry.path.text, f"tar cannot keep device {major}:{minor}")
        device = b"%07o\0%07o\0" % entry.rdev
    return _summed(name, (entry.mode, uid, gid), size, mtime, TYPE_FLAGS[entry.kind], target, device, prefix)


def _summed(
    name: bytes,
    rights: tuple[int, int, int],
    size: int,
    mtime: int,
    type_flag: bytes,
    target: bytes,
    device: bytes,
    prefix: bytes,
) -> bytes:
    """Return the header of these fields. The parts that many entries share are written and summed once."""
    owner, owner_sum = _written(b"%07o\0%07o\0%07o\0", *rights)
    time, time_sum = _written(b"%011o\0", mtime)
    length = b"%011o\0" % size
    checksum = owner_sum + time_sum + byte_sum(name) + byte_sum(length) + type_flag[0] + _shared_sum(device)
    checksum += (byte_sum(target) if target else 0) + (byte_sum(prefix) if prefix else 0)
    summed = b"%06o\0 " % checksum
    return _FIELDS.pack(name, owner, length, time, summed, type_flag, target, _MAGIC_AND_OWNERS, device, prefix)


@lru_cache(maxsize=_KEPT)
def _written(form: bytes, *numbers: int) -> tuple[bytes, int]:
    field = form % numbers
    return field, byte_sum(field)


@lru_cache(maxsize=_KEPT)
def _shared_sum(device: bytes) -> int:
    return byte_sum(device) + byte_sum(_MAGIC_AND_OWNERS) + _CHECKSUM_AS_SPACES


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
