"""What a program or library asks of the loader, as the loader finds it: by segments, without the section table.

The library pyelftools knows the machines by their names (docs/decisions/0023); the single-file binary does not contain
it. The records are read here: a program has some fifty, and the library needs ten milliseconds for them. The loops end,
whoever wrote the file. The source of the fields: System V ABI, chapter 4 and chapter 5 "Dynamic Section", and the Linux
Standard Base, "Symbol Versioning".
"""

from __future__ import annotations

import functools
import struct
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from itertools import chain
from typing import Final

from cosmos.content import Content, mapped
from cosmos.records import dataclass

MAGIC: Final = b"\x7fELF"
_MAX_SEGMENTS: Final = 512  # of one file; programs have about 13
_MAX_TAGS: Final = 1024  # of a dynamic section; a program with 300 libraries has 330
_MAX_FOLDERS: Final = 64  # that one file names; each is searched for each of its libraries
_MAX_VERSIONS: Final = 4096  # that one file needs or defines; libc.so.6 has 40
_MAX_RECORDS: Final = 16_384  # of all kinds that are read of one file: they may lie on one another
_MAX_NAME_BYTES: Final = 4096  # of a library's name or a list of folders; PATH_MAX
_WEAK: Final = 2  # VER_FLG_WEAK: the loader accepts it if the version is missing

_PT_LOAD: Final = 1
_PT_DYNAMIC: Final = 2
_PT_INTERP: Final = 3
_DT_NULL: Final = 0
_TAGS: Final = {
    1: "DT_NEEDED",
    5: "DT_STRTAB",
    14: "DT_SONAME",
    15: "DT_RPATH",
    29: "DT_RUNPATH",
    0x6FFFFFFC: "DT_VERDEF",
    0x6FFFFFFD: "DT_VERDEFNUM",
    0x6FFFFFFE: "DT_VERNEED",
    0x6FFFFFFF: "DT_VERNEEDNUM",
}
_VERNEED: Final = ("HHIII", ("version", "vn_cnt", "vn_file", "vn_aux", "next"))
_VERNAUX: Final = ("IHHII", ("hash", "vna_flags", "other", "vna_name", "next"))
_VERDEF: Final = ("HHHHIII", ("version", "flags", "index", "count", "hash", "vd_aux", "next"))
_VERDAUX: Final = ("II", ("vda_name", "next"))
_HEADER: Final = ("type", "machine", "version", "entry", "phoff", "shoff", "flags", "size", "phentsize", "phnum")
_HEADERS: Final = {  # by e_ident[EI_CLASS]: bits, the header behind e_ident, a segment, a dynamic tag
    1: (
        32,
        (
            "HHIIIIIHHH",
            _HEADER,
        ),
        ("IIIII", ("p_type", "p_offset", "p_vaddr", "p_paddr", "p_filesz")),
        ("iI", ("d_tag", "d_val")),
    ),
    2: (
        64,
        (
            "HHIQQQIHHH",
            _HEADER,
        ),
        ("IIQQQQ", ("p_type", "p_flags", "p_offset", "p_vaddr", "p_paddr", "p_filesz")),
        ("qQ", ("d_tag", "d_val")),
    ),
}
_MACHINES: Final = {  # of nearly every file of an image; the library, with the rest of them, takes 20 ms to load
    0: "EM_NONE",
    3: "EM_386",
    21: "EM_PPC64",
    22: "EM_S390",
    40: "EM_ARM",
    62: "EM_X86_64",
    183: "EM_AARCH64",
    243: "EM_RISCV",
    247: "EM_BPF",
}
_ORDERS: Final = {1: "<", 2: ">"}  # by e_ident[EI_DATA]
_IDENT_BYTES: Final = 16

_Fields = Mapping[str, int]
_Form = tuple[str, tuple[str, ...]]  # of a record: its fields' widths, as `struct` writes them, and names


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


def is_readable() -> bool:
    """Return whether ELF files can be read: the library is there."""
    return _has_library()


@functools.cache
def _has_library() -> bool:
    try:
        return find_spec("elftools.elf.enums") is not None
    except ModuleNotFoundError:
        return False


def elf_facts(content: Content) -> ElfFacts | None:
    """Return what the loader reads of an ELF file; None without the library.

    Raises `ValueError` if the content is not read as an ELF file. Of a file on the disk, a few KiB are read.
    """
    if not is_readable():
        return None
    try:
        with mapped(content) as view:
            return _Reader(view).facts()
    except struct.error as error:
        raise ValueError("is not read as ELF: it ends before its records do") from error


class _Reader:
    def __init__(self, content: bytes | memoryview) -> None:
        self._content = content
        self._records_left = _MAX_RECORDS
        self._name_bytes_left = len(content)  # names that share bytes must not multiply the file
        ident = bytes(content[:_IDENT_BYTES]).ljust(_IDENT_BYTES, b"\0")
        if not ident.startswith(MAGIC) or ident[4] not in _HEADERS or ident[5] not in _ORDERS:
            raise ValueError("is not read as ELF: its first bytes name no class or byte order")
        self._order = _ORDERS[ident[5]]
        self._bits, header, segment, self._dynamic = _HEADERS[ident[4]]
        head = self._record(header, _IDENT_BYTES)
        self._machine = _machine(head["machine"])
        count, size, start = head["phnum"], head["phentsize"], head["phoff"]
        if count > _MAX_SEGMENTS:
            raise ValueError(f"has {count} segments, the limit is {_MAX_SEGMENTS}")
        rows = [self._record(segment, start + number * size) for number in range(count)]
        self._segments = [(row["p_type"], row["p_offset"], row["p_vaddr"], row["p_filesz"]) for row in rows]

    def facts(self) -> ElfFacts:
        tags = self._tags()
        names = self._place(tags.get("DT_STRTAB", [0])[0]) if "DT_STRTAB" in tags else None
        named: dict[str, tuple[bytes, ...]] = {
            tag: () if names is None else tuple(self._name(names + offset) for offset in tags.get(tag, ()))
            for tag in ("DT_NEEDED", "DT_SONAME", "DT_RUNPATH", "DT_RPATH")
        }
        folders = named["DT_RUNPATH"] or named["DT_RPATH"]
        return ElfFacts(
            machine=self._machine,
            bits=self._bits,
            interpreter=self._interpreter(),
            needed=named["DT_NEEDED"],
            soname=named["DT_SONAME"][0] if named["DT_SONAME"] else b"",
            folders=tuple(folder for text in folders for folder in text.split(b":") if folder)[:_MAX_FOLDERS],
            needs=() if names is None else tuple(self._needs(tags, names)),
            defines=frozenset() if names is None else frozenset(self._defines(tags, names)),
        )

    def _interpreter(self) -> bytes:
        for kind, offset, _, _ in self._segments:
            if kind == _PT_INTERP:
                return self._name(offset)
        return b""

    def _tags(self) -> dict[str, list[int]]:
        """Return the values of each dynamic tag."""
        found: dict[str, list[int]] = {}
        record_bytes = struct.calcsize(self._order + self._dynamic[0])
        for kind, offset, _, size in self._segments:
            if kind != _PT_DYNAMIC:
                continue
            for number in range(min(size // record_bytes, _MAX_TAGS)):
                one = self._record(self._dynamic, offset + number * record_bytes)
                if one["d_tag"] == _DT_NULL:
                    break
                tag = _TAGS.get(one["d_tag"])
                if tag is not None:
                    found.setdefault(tag, []).append(one["d_val"])
        return found

    def _needs(self, tags: Mapping[str, Sequence[int]], names: int) -> Iterator[NeededVersion]:
        for place, needed in self._chain(_VERNEED, tags, "DT_VERNEED"):
            library = self._name(names + needed["vn_file"])
            for _, aux in self._linked(_VERNAUX, place + needed["vn_aux"], needed["vn_cnt"]):
                if not aux["vna_flags"] & _WEAK:
                    yield NeededVersion(soname=library, version=self._name(names + aux["vna_name"]))

    def _defines(self, tags: Mapping[str, Sequence[int]], names: int) -> Iterator[bytes]:
        for place, defined in self._chain(_VERDEF, tags, "DT_VERDEF"):
            aux = self._record(_VERDAUX, place + defined["vd_aux"])
            yield self._name(names + aux["vda_name"])

    def _chain(self, record: _Form, tags: Mapping[str, Sequence[int]], tag: str) -> Iterator[tuple[int, _Fields]]:
        if tag in tags and f"{tag}NUM" in tags:
            yield from self._linked(record, self._place(tags[tag][0]), tags[f"{tag}NUM"][0])

    def _linked(self, record: _Form, place: int, count: int) -> Iterator[tuple[int, _Fields]]:
        """Yield up to `count` records, each with its place; the field `next` is the distance to the next."""
        if count > _MAX_VERSIONS:
            raise ValueError(f"has {count} records of symbol versions, the limit is {_MAX_VERSIONS}")
        for _ in range(count):
            one = self._record(record, place)
            yield place, one
            if not one["next"]:
                return
            place += one["next"]

    def _record(self, record: _Form, place: int) -> _Fields:
        self._records_left -= 1
        if self._records_left < 0:
            raise ValueError(f"has more than {_MAX_RECORDS} records")
        if place > len(self._content):
            raise ValueError("is not read as ELF: it names a place beyond its end")
        return dict(zip(record[1], struct.unpack_from(self._order + record[0], self._content, place), strict=True))

    def _place(self, address: int) -> int:
        """Return where in the file the byte lies that is loaded at `address`."""
        for kind, offset, start, size in self._segments:
            if kind == _PT_LOAD and start <= address < start + size:
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


def needed_names(facts: ElfFacts) -> tuple[bytes, ...]:
    """Return the names of all libraries that the loader looks for, each once."""
    return tuple(dict.fromkeys(chain(facts.needed, (one.soname for one in facts.needs))))


def _machine(number: int) -> str:
    """Return the name of a machine, or its number if it has no name."""
    return _MACHINES.get(number) or _machines().get(number, str(number))


@functools.cache
def _machines() -> Mapping[int, str]:
    """Return the library's names of machines by their numbers; none without it, where no file is read."""
    try:
        from elftools.elf.enums import ENUM_E_MACHINE
    except ImportError:
        return {}
    return {number: name for name, number in ENUM_E_MACHINE.items() if isinstance(number, int)}
