"""What a program or library asks of the loader, as the loader finds it: by segments, without the section table.

The library pyelftools reads the records (docs/decisions/0023); the single-file binary does not contain it. The loops
over records are ours, because they must end: an attacker may have written the file. The source of the fields: System V
ABI, chapter 5 "Dynamic Section", and the Linux Standard Base, "Symbol Versioning".
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final, Protocol

from cosmos.content import Content

MAGIC: Final = b"\x7fELF"
_MAX_SEGMENTS: Final = 512  # of one file; programs have about 13
_MAX_TAGS: Final = 1024  # of a dynamic section; a program with 300 libraries has 330
_MAX_FOLDERS: Final = 64  # that one file names; each is searched for each of its libraries
_MAX_VERSIONS: Final = 4096  # that one file needs or defines; libc.so.6 has 40
_MAX_RECORDS: Final = 16_384  # of all kinds that are read of one file: they may lie on one another
_MAX_NAME_BYTES: Final = 4096  # of a library's name or a list of folders; PATH_MAX
_WEAK: Final = 2  # VER_FLG_WEAK: the loader accepts it if the version is missing

_Fields = Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class NeededVersion:
    """A symbol version that must be defined by the library called `soname`."""

    soname: bytes
    version: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class ElfFacts:
    """What the loader reads of a file. `machine` is the name of its e_machine, `bits` 32 or 64.

    `defines` are the symbol versions that it defines; empty for a library without versions.
    """

    machine: str
    bits: int
    interpreter: bytes = b""
    needed: tuple[bytes, ...] = ()
    soname: bytes = b""
    folders: tuple[bytes, ...] = ()
    needs: tuple[NeededVersion, ...] = ()
    defines: frozenset[bytes] = frozenset()


class _Struct(Protocol):
    def sizeof(self) -> int: ...


class _Structs(Protocol):
    """The part of the library's object that we use."""

    @property
    def Elf_Phdr(self) -> _Struct: ...  # noqa: N802 - the library's name

    @property
    def Elf_Dyn(self) -> _Struct: ...  # noqa: N802 - the library's name

    @property
    def Elf_Verneed(self) -> _Struct: ...  # noqa: N802 - the library's name

    @property
    def Elf_Vernaux(self) -> _Struct: ...  # noqa: N802 - the library's name

    @property
    def Elf_Verdef(self) -> _Struct: ...  # noqa: N802 - the library's name

    @property
    def Elf_Verdaux(self) -> _Struct: ...  # noqa: N802 - the library's name


class _ElfFile(Protocol):
    @property
    def elfclass(self) -> int: ...

    @property
    def structs(self) -> _Structs: ...

    def __getitem__(self, field: str) -> object: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Library:
    read: Callable[..., _ElfFile]
    parse: Callable[..., _Fields]
    error: type[Exception]


def is_readable() -> bool:
    """Return whether ELF files can be read: the library is there."""
    return _library() is not None


def elf_facts(content: Content) -> ElfFacts | None:
    """Return what the loader reads of an ELF file; None without the library.

    Raises `ValueError` if the content is not read as an ELF file. A few KiB of the file are read.
    """
    library = _library()
    if library is None:
        return None
    try:
        return _Reader(library, content).facts()
    except (library.error, LookupError, OverflowError, AssertionError, TypeError, UnicodeError) as error:
        raise ValueError(f"is not read as ELF: {error}") from error


class _Reader:
    def __init__(self, library: _Library, content: Content) -> None:
        self._library = library
        self._content = content
        self._stream = _Stream(content)
        self._elf = library.read(self._stream)
        self._records_left = _MAX_RECORDS
        self._name_bytes_left = len(content)  # names that share bytes must not multiply the file
        count, size, start = (_number(self._elf[field]) for field in ("e_phnum", "e_phentsize", "e_phoff"))
        if count > _MAX_SEGMENTS:
            raise ValueError(f"has {count} segments, the limit is {_MAX_SEGMENTS}")
        rows = [self._record(self._elf.structs.Elf_Phdr, start + number * size) for number in range(count)]
        self._segments = [(str(row["p_type"]), row["p_offset"], row["p_vaddr"], row["p_filesz"]) for row in rows]

    def facts(self) -> ElfFacts:
        tags = self._tags()
        names = self._place(tags.get("DT_STRTAB", [0])[0]) if "DT_STRTAB" in tags else None
        named: dict[str, tuple[bytes, ...]] = {
            tag: () if names is None else tuple(self._name(names + offset) for offset in tags.get(tag, ()))
            for tag in ("DT_NEEDED", "DT_SONAME", "DT_RUNPATH", "DT_RPATH")
        }
        folders = named["DT_RUNPATH"] or named["DT_RPATH"]
        return ElfFacts(
            machine=str(self._elf["e_machine"]),
            bits=self._elf.elfclass,
            interpreter=self._interpreter(),
            needed=named["DT_NEEDED"],
            soname=named["DT_SONAME"][0] if named["DT_SONAME"] else b"",
            folders=tuple(folder for text in folders for folder in text.split(b":") if folder)[:_MAX_FOLDERS],
            needs=() if names is None else tuple(self._needs(tags, names)),
            defines=frozenset() if names is None else frozenset(self._defines(tags, names)),
        )

    def _interpreter(self) -> bytes:
        for kind, offset, _, _ in self._segments:
            if kind == "PT_INTERP":
                return self._name(offset)
        return b""

    def _tags(self) -> dict[str, list[int]]:
        """Return the values of each dynamic tag."""
        found: dict[str, list[int]] = {}
        record = self._elf.structs.Elf_Dyn
        for kind, offset, _, size in self._segments:
            if kind != "PT_DYNAMIC":
                continue
            for number in range(min(size // record.sizeof(), _MAX_TAGS)):
                one = self._record(record, offset + number * record.sizeof())
                tag = str(one["d_tag"])
                if tag == "DT_NULL":
                    break
                found.setdefault(tag, []).append(one["d_val"])
        return found

    def _needs(self, tags: Mapping[str, Sequence[int]], names: int) -> Iterator[NeededVersion]:
        structs = self._elf.structs
        for place, needed in self._chain(structs.Elf_Verneed, tags, "DT_VERNEED", "vn_next"):
            library = self._name(names + needed["vn_file"])
            for _, aux in self._linked(structs.Elf_Vernaux, place + needed["vn_aux"], needed["vn_cnt"], "vna_next"):
                if not aux["vna_flags"] & _WEAK:
                    yield NeededVersion(soname=library, version=self._name(names + aux["vna_name"]))

    def _defines(self, tags: Mapping[str, Sequence[int]], names: int) -> Iterator[bytes]:
        structs = self._elf.structs
        for place, defined in self._chain(structs.Elf_Verdef, tags, "DT_VERDEF", "vd_next"):
            aux = self._record(structs.Elf_Verdaux, place + defined["vd_aux"])
            yield self._name(names + aux["vda_name"])

    def _chain(
        self, record: _Struct, tags: Mapping[str, Sequence[int]], tag: str, following: str
    ) -> Iterator[tuple[int, _Fields]]:
        if tag in tags and f"{tag}NUM" in tags:
            yield from self._linked(record, self._place(tags[tag][0]), tags[f"{tag}NUM"][0], following)

    def _linked(self, record: _Struct, place: int, count: int, following: str) -> Iterator[tuple[int, _Fields]]:
        """Yield up to `count` records, each with its place; the field `following` is the distance to the next."""
        if count > _MAX_VERSIONS:
            raise ValueError(f"has {count} records of symbol versions, the limit is {_MAX_VERSIONS}")
        for _ in range(count):
            one = self._record(record, place)
            yield place, one
            if not one[following]:
                return
            place += one[following]

    def _record(self, record: _Struct, place: int) -> _Fields:
        self._records_left -= 1
        if self._records_left < 0:
            raise ValueError(f"has more than {_MAX_RECORDS} records")
        return self._library.parse(record, self._stream, place)

    def _place(self, address: int) -> int:
        """Return where in the file the byte lies that is loaded at `address`."""
        for kind, offset, start, size in self._segments:
            if kind == "PT_LOAD" and start <= address < start + size:
                return offset + address - start
        raise ValueError("has an address that no segment loads")

    def _name(self, place: int) -> bytes:
        text, end, _ = bytes(self._content[place : place + _MAX_NAME_BYTES]).partition(b"\0")
        if not end:
            raise ValueError("has a name without an end")
        self._name_bytes_left -= len(text)
        if self._name_bytes_left < 0:
            raise ValueError("its names are larger than it is")
        return text


class _Stream(io.RawIOBase):
    """A content as a file that can be read from any place."""

    def __init__(self, content: Content) -> None:
        super().__init__()
        self._content = content
        self._at = 0

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: len(self._content)}[whence]
        self._at = max(0, start + offset)
        return self._at

    def tell(self) -> int:
        return self._at

    def read(self, size: int = -1) -> bytes:
        end = len(self._content) if size < 0 else self._at + size
        data = bytes(self._content[self._at : end])
        self._at += len(data)
        return data


def needed_names(facts: ElfFacts) -> tuple[bytes, ...]:
    """Return the names of all libraries that the loader looks for, each once."""
    return tuple(dict.fromkeys(chain(facts.needed, (one.soname for one in facts.needs))))


def _number(value: object) -> int:
    if not isinstance(value, int):
        raise TypeError("has a header without a number")
    return value


@functools.cache
def _library() -> _Library | None:
    try:
        from elftools.common.exceptions import ELFError
        from elftools.common.utils import struct_parse
        from elftools.elf.elffile import ELFFile
    except ImportError:
        return None
    return _Library(read=ELFFile, parse=struct_parse, error=ELFError)
