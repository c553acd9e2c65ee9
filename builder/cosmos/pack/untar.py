"""Read tar strictly: POSIX ustar, pax and GNU long names, and nothing else (TRUST.md section 7).

An archive that two readers could understand differently is refused. The error names the archive and the entry:

    names       absolute, empty, with `..`, `.`, `//` or a NUL, over 1,024 bytes or 64 components, given twice, that
                differ from another only by Unicode form (NFC), with bidirectional controls
    structure   an entry below a path that is not a folder; a file at a path that has entries below it
    links       hard links to anything but a file that came earlier; symlinks that climb above the root
    devices     device nodes and FIFOs, unless the caller keeps them
    headers     a wrong checksum, another magic (v7, star), other types (sparse, contiguous, multi-volume), numbers that
                are not octal (base-256), also in fields that mean nothing there (Python's reader stops at them in
                silence), bytes after a name's end, content of a folder or a link, doubled long names, a link whose own
                header names no target (bsdtar makes a file of it)
    pax         records that do not add up, doubled or unknown keywords, numbers that are not plain decimal, a size that
                differs from the header's (some readers take the one, some the other), an attribute with two values;
                global headers with more than a comment
    the end     a missing end (two blocks of zeros), anything after it, padding that is not zeros, too many entries

Many programs make Debian's packages. They are read by the rules of dpkg (`rules="dpkg"`), which also accept:

    names       slashes and `./` before a name, doubled slashes: they are ignored
    folders     given twice: the last one's mode, owner and time count
    links       hard links to a symlink that came earlier: they become symlinks with the same target
    numbers     base-256 (GNU tar): a first byte of 0x80, or of 0xFF below zero, then a whole number
    headers     v7, without a magic: a name that ends in a slash is a folder's
    the end     one block of zeros is enough

Archives that authors publish are made by old programs, too: GNU's `make dist` writes v7. They are read by
`rules="published"`, which adds only dpkg's rules for numbers and headers.

A leading `./` and a folder's trailing slash are ignored, and the entry of the root itself is dropped. User and group
names, access and change times are not read. A hard link gets its file's mode, owner and time, because they share one
inode.

Header layout: see cosmos.pack.tar. GNU long names: a member of type `L` (name) or `K` (link name) whose content, ended
by a NUL, belongs to the next member.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Final, Literal, TypeAlias
from zlib import adler32

from cosmos.content import Content, FileRange, mapped, pieces
from cosmos.errors import Refused
from cosmos.limits import (
    MAX_LINK_TARGET_BYTES,
    MAX_PAX_BYTES,
    MAX_STAR_ENTRIES,
    MAX_STAR_UNPACKED_BYTES,
)
from cosmos.pack.pax import XATTR, parse_pax, pax_records, read_time, read_whole
from cosmos.pack.tar import BLOCK, TAR_END, TYPE_FLAGS
from cosmos.pack.treenames import Rules, TreeNames, demand_target, shown
from cosmos.tree.entry import Entry, Kind

Devices: TypeAlias = Literal["refuse", "keep"]

_KINDS: Final[dict[int, Kind]] = {flag[0]: kind for kind, flag in TYPE_FLAGS.items()} | {0: "file"}
_EXTENSIONS = frozenset(b"xgLK")
_SPECIAL: frozenset[Kind] = frozenset({"char", "block", "fifo"})
_TYPE_NAMES = {"7": "a contiguous file", "S": "a sparse member", "M": "a part of a multi-volume archive"}
_MAX_ID = (1 << 32) - 2  # 2^32 - 1 means "leave it" to chown(2)
_MAX_SECONDS = 10**12 - 1  # before or after 1970, of a base-256 time: as many digits as a pax header's may have
_NUMBERS = ((100, 108), (108, 116), (116, 124), (124, 136), (136, 148))  # mode, user, group, size, time
_SUM = 0xFFFF
_NO_TARGET = bytes(100)
_NUMBER_LIMITS = (
    (0, 0o7777777),
    (0, _MAX_ID),
    (0, _MAX_ID),
    (0, MAX_STAR_UNPACKED_BYTES),
    (-_MAX_SECONDS, _MAX_SECONDS),
)
_BASE_256 = (0x80, 0xFF)
_POSIX = b"ustar\x0000"
_GNU = b"ustar  \0"
_OLD = bytes(8)
_ZEROS = bytes(BLOCK)
_PLAIN_OCTAL = re.compile(rb" *[0-7]+[ \0]*|\0+")
_LONG_NAMES = {ord("L"): b"path", ord("K"): b"linkpath"}


def read_tar(data: Content, source: str, *, devices: Devices = "refuse", rules: Rules = "strict") -> list[Entry]:
    """Return the entries of the tar archive `data`, in its order; files are slices of `data`.

    `source` is the archive's name, for errors. Raises `Refused` as the module's docstring says.
    """
    entries, end = TarReader(source, devices=devices, rules=rules, outlives=False).read(data)
    rest = data[end:]
    if len(rest) < (BLOCK if rules == "dpkg" else len(TAR_END)):
        raise Refused(source, "does not end with two blocks of zeros: it is cut off")
    if len(rest) % BLOCK or any(bytes(piece).strip(b"\0") for piece in pieces(rest)):
        raise Refused(source, f"has something after its end, at byte {end}")
    return list({entry.path: entry for entry in entries}.values()) if rules == "dpkg" else entries


class TarReader:
    """Reads the members of one archive that may come in several pieces, each of whole members."""

    def __init__(self, source: str, *, devices: Devices, rules: Rules = "strict", outlives: bool = True) -> None:
        """Make a reader. `outlives`: it may be kept longer than the contents of the files, so it must hold none."""
        self.names = TreeNames(source, rules)
        self._devices = devices
        self._rules = rules
        self._outlives = outlives
        self._members = 0

    def read(self, data: Content) -> tuple[list[Entry], int]:
        """Return the entries of `data`, and where the first block of zeros or the end of `data` is.

        Raises `Refused` as the module's docstring says.
        """
        with mapped(data) as buffer:
            return self._read(data if isinstance(data, FileRange) else memoryview(data), memoryview(buffer))

    def _read(self, view: memoryview | FileRange, seen: memoryview) -> tuple[list[Entry], int]:
        """Do the work of `read`: `view` gives the contents of files, `seen` has the same bytes to look at."""
        entries: list[Entry] = []
        records: dict[bytes, bytes] = {}
        forms = b""  # the types of extension seen before the member to come
        offset = 0
        while (block := bytes(seen[offset : offset + BLOCK])) and block != _ZEROS:
            where = b"header at byte %d" % offset
            self._check(block, where)
            offset += BLOCK
            flag = block[156]
            if flag in _EXTENSIONS:
                size = _octal(block[124:136])
                if not 0 <= size <= MAX_PAX_BYTES:
                    self.names.refuse(where, f"is an extended header of {size} bytes, the limit is {MAX_PAX_BYTES}")
                body, offset = self._content(seen, seen, offset, size, where)
                if flag in forms:
                    self.names.refuse(where, "has two extended headers of one type")
                forms += block[156:157] if flag != ord("g") else b""
                self._extend(records, flag, bytes(body), where)
                continue
            entry, offset = self._member(view, seen, block, offset, records)
            if entry.path:
                entries.append(entry)
            if forms:
                records, forms = {}, b""
        if forms:
            raise Refused(self.names.source, "ends after an extended header")
        return entries, offset

    def accept(self, entries: Iterable[Entry]) -> None:
        """Judge entries of the archive that were read otherwise (pack.stated), as `read` does: by names.

        Raises `Refused`.
        """
        names = self.names
        for entry in entries:
            path = entry.path
            names.place(path, entry.kind)
            if entry.kind == "symlink":
                demand_target(names, bytes(path), path, entry.target)
            self._count()
            names.entries[path] = entry.without_content() if entry.content else entry

    def _count(self) -> None:
        self._members += 1
        if self._members > MAX_STAR_ENTRIES:
            raise Refused(self.names.source, f"has more than {MAX_STAR_ENTRIES} entries")

    def _check(self, block: bytes, where: bytes) -> None:
        """Refuse a header with a wrong checksum, of another format, or with bytes in unused fields."""
        if len(block) != BLOCK:
            self.names.refuse(where, "is cut off")
        counted = (adler32(block[:148]) & _SUM) + (adler32(block[156:256]) & _SUM) + (adler32(block[256:]) & _SUM)
        counted += 8 * ord(" ") - 3  # as pack.tar.byte_sum
        if _octal(block[148:156]) != counted:
            self.names.refuse(where, f"its checksum is {counted:o}, it says {block[148:156]!r}")
        magic = block[257:265]
        is_old = self._rules != "strict" and magic == _OLD
        if magic not in (_POSIX, _GNU) and not is_old:
            self.names.refuse(where, "is not a ustar header")
        if block[156] not in _KINDS and block[156] not in _EXTENSIONS:
            flag = ascii(chr(block[156]))
            self.names.refuse(where, f"is {_TYPE_NAMES.get(flag[1:-1], 'of unknown type')} ({flag}), which is not read")
        end = 500 if magic == _POSIX else 345
        if block[end:] != _ZEROS[end:]:
            self.names.refuse(where, "has bytes that mean nothing in a ustar header")
        if self._rules == "strict" and (
            min(_octals(block[329:345])) < 0 or (block[156] in _EXTENSIONS and min(_all_numbers(block)) < 0)
        ):
            self.names.refuse(where, "has a number that is not octal digits in a field that means nothing there")

    def _extend(self, records: dict[bytes, bytes], flag: int, body: bytes, where: bytes) -> None:
        """Add an extension's fields to those of the next member."""
        try:
            if flag == ord("g"):
                if set(pax_records(body)) - {b"comment"}:
                    raise ValueError("a global pax header with more than a comment")
                return
            found = parse_pax(body) if flag == ord("x") else {_LONG_NAMES[flag]: _long_name(body)}
            if found.keys() & records.keys():
                raise ValueError("two long names for one entry")
        except ValueError as error:
            self.names.refuse(where, str(error))
        records.update(found)

    def _member(
        self,
        view: memoryview | FileRange,
        seen: memoryview,
        block: bytes,
        offset: int,
        records: dict[bytes, bytes],
    ) -> tuple[Entry, int]:
        """Return the entry of a header, with its extensions' fields, and where the next header is."""
        names = self.names
        kind = _KINDS[block[156]]
        raw = records.get(b"path") or self._name(block)
        if kind == "file" and block[257:265] == _OLD and raw.endswith(b"/"):
            kind = "dir"
        path = names.placed(raw, kind)
        size, mode, uid, gid, mtime = self._numbers(block, records, raw)
        content: Content = b""
        if kind == "file":
            content, offset = self._content(view, seen, offset, size, raw)
        elif size:
            names.refuse(raw, f"is a {kind} with {size} bytes of content")
        xattrs = _xattrs(records) if records else ()
        entry = Entry(
            path=path,
            kind=kind,
            mode=mode,
            uid=uid,
            gid=gid,
            mtime=mtime,
            content=content,
            target=self._target(block, kind, records, raw),
            rdev=self._device(block, raw) if kind in _SPECIAL else None,
            xattrs=xattrs,
        )
        if kind == "hardlink":
            entry = self._linked(entry)
        if entry.kind == "symlink":
            demand_target(names, raw, path, entry.target)
        self._count()
        names.entries[path] = entry.without_content() if entry.content and self._outlives else entry
        return entry, offset

    def _name(self, block: bytes) -> bytes:
        name = block[:100].rstrip(b"\0")
        if block[345] and block[257:265] == _POSIX:
            name = block[345:500].rstrip(b"\0") + b"/" + name
        if b"\0" in name:
            self.names.refuse(name, "has bytes after its name's end")
        return name

    def _numbers(self, block: bytes, records: dict[bytes, bytes], raw: bytes) -> tuple[int, int, int, int, int]:
        """Return size, mode, user, group and time."""
        numbers = _all_numbers(block)
        mode, uid, gid, size, mtime = numbers if min(numbers) >= 0 else self._binary_numbers(block, raw)
        if records:
            try:
                stated = read_whole(records.get(b"size", b"%d" % size), most=MAX_STAR_UNPACKED_BYTES)
                uid = read_whole(records.get(b"uid", b"%d" % uid), most=_MAX_ID)
                gid = read_whole(records.get(b"gid", b"%d" % gid), most=_MAX_ID)
                mtime = read_time(records.get(b"mtime", b"%d" % mtime))
            except ValueError as error:
                self.names.refuse(raw, str(error))
            if size != stated:
                self.names.refuse(raw, f"has two sizes: {size} and {stated}")
            size = stated
        return size, mode & 0o7777, uid, gid, mtime

    def _binary_numbers(self, block: bytes, raw: bytes) -> Sequence[int]:
        """Return the same numbers if at least one is not octal: by dpkg's rules each may be base-256."""
        numbers: list[int] = []
        for (start, end), (least, most) in zip(_NUMBERS, _NUMBER_LIMITS, strict=True):
            field = block[start:end]
            number = _octal(field)
            if number < 0:
                if self._rules == "strict" or field[0] not in _BASE_256:
                    self.names.refuse(raw, "has a number that is not octal digits in its header")
                rest = int.from_bytes(field[1:], "big")
                number = rest if field[0] == _BASE_256[0] else rest - (1 << 8 * len(field[1:]))
                if not least <= number <= most:
                    self.names.refuse(raw, f"has the number {number} in its header, want {least} to {most}")
            numbers.append(number)
        return numbers

    def _content(
        self, view: memoryview | FileRange, seen: memoryview, offset: int, size: int, raw: bytes
    ) -> tuple[memoryview | FileRange, int]:
        """Return `size` bytes at `offset`, and where the next header is."""
        end = offset + size
        following = end + -size % BLOCK
        padding = seen[end:following]
        if following > len(seen):
            self.names.refuse(raw, "is cut off")
        if padding and padding != _ZEROS[: len(padding)]:
            self.names.refuse(raw, "its padding is not zeros")
        return view[offset:end], following

    def _target(self, block: bytes, kind: Kind, records: dict[bytes, bytes], raw: bytes) -> bytes:
        if kind not in ("symlink", "hardlink"):
            if block[157:257] != _NO_TARGET or (records and records.get(b"linkpath")):
                self.names.refuse(raw, f"is a {kind} with a link name")
            return b""
        short = block[157:257].rstrip(b"\0")
        target = records.get(b"linkpath") or short
        if not target or b"\0" in target or len(target) > MAX_LINK_TARGET_BYTES:
            self.names.refuse(raw, f"its target is not a name: {shown(target)}")
        if not short and self._rules == "strict":
            self.names.refuse(raw, "is a link whose own header names no target")
        return target

    def _linked(self, link: Entry) -> Entry:
        """Return a hard link with the fields of its earlier file; a hard link to a symlink becomes a symlink."""
        file = self.names.entries.get(self.names.relative(link.target))
        if file is not None and file.kind == "hardlink":
            file = self.names.entries[file.target]
        if file is not None and file.kind == "symlink" and self._rules == "dpkg":
            return replace(file, path=link.path)
        if file is None or file.kind != "file":
            self.names.refuse(link.path, f"is a hard link to {shown(link.target)}, which is not an earlier file")
        if link.xattrs not in ((), file.xattrs):
            self.names.refuse(link.path, f"has other extended attributes than its file {shown(file.path)}")
        return replace(
            link, target=bytes(file.path), mode=file.mode, uid=file.uid, gid=file.gid, mtime=file.mtime, xattrs=()
        )

    def _device(self, block: bytes, raw: bytes) -> tuple[int, int] | None:
        if self._devices == "refuse":
            self.names.refuse(raw, "is a device node or FIFO: an archive must not hold one, a Nova script makes it")
        if block[156:157] == TYPE_FLAGS["fifo"]:
            return None
        major, minor = _octal(block[329:337]), _octal(block[337:345])
        if min(major, minor) < 0:
            self.names.refuse(raw, "has a device number that is not octal")
        return major, minor


def _all_numbers(block: bytes) -> tuple[int, int, int, int, int]:
    """Return a header's mode, user, group, size and time; -1 for one that is not octal."""
    mode, uid, gid = _octals(block[100:124])
    return mode, uid, gid, _octal(block[124:136]), _octal(block[136:148])


@lru_cache(maxsize=1 << 10)
def _octals(fields: bytes) -> tuple[int, ...]:
    """Return the numbers of fields of eight bytes each, as `_octal` does. Most members of an archive share them."""
    return tuple(_octal(fields[place : place + 8]) for place in range(0, len(fields), 8))


@lru_cache(maxsize=1 << 14)
def _octal(field: bytes) -> int:
    """Return a header's number, or -1 if it is not spaces, octal digits, then spaces and NULs. All NULs are 0."""
    if _PLAIN_OCTAL.fullmatch(field):
        return int(field.rstrip(b" \0") or b"0", 8)
    return -1


def _long_name(body: bytes) -> bytes:
    name = body.removesuffix(b"\0")
    if not name or b"\0" in name:
        raise ValueError("a malformed long name")
    return name


def _xattrs(records: dict[bytes, bytes]) -> tuple[tuple[bytes, bytes], ...]:
    found = (item for item in records.items() if item[0].startswith(XATTR))
    return tuple(sorted((name.removeprefix(XATTR), value) for name, value in found))
