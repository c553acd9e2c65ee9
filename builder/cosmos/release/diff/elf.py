"""The sections of a program or library, for a comparison. The library pyelftools reads them (docs/decisions/0023).

The single-file binary does not contain it: there, two programs are compared as bytes.
"""

from __future__ import annotations

import functools
import io
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Protocol

from cosmos.records import dataclass

MAGIC: Final = b"\x7fELF"
_MOST_SECTIONS: Final = 4096  # each is read apart; the most so far, of a library with debug data, has 60


class _Section(Protocol):
    """The part of the library's object that we use. The library has no type hints."""

    name: str

    def __getitem__(self, field: str) -> object: ...


class _ElfFile(Protocol):
    def num_sections(self) -> int: ...

    def iter_sections(self) -> Iterator[_Section]: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Library:
    read: Callable[[io.BytesIO], _ElfFile]
    error: type[Exception]


def sections(data: bytes) -> Mapping[str, bytes]:
    """Return the bytes of each section that has a name and bytes in the file; nothing without the library.

    Raises `ValueError` if `data` is not read as an ELF file.
    """
    library = _library()
    if library is None:
        return {}
    try:
        return dict(_named(library.read(io.BytesIO(data)), data))
    except (library.error, KeyError, IndexError, OverflowError, AssertionError, TypeError, UnicodeError) as error:
        raise ValueError(f"is not read as ELF: {error}") from error


def _named(elf: _ElfFile, data: bytes) -> Iterator[tuple[str, bytes]]:
    if elf.num_sections() > _MOST_SECTIONS:
        raise ValueError(f"has more than {_MOST_SECTIONS} sections")
    left = 2 * len(data)  # sections that lie on one another must not multiply the file
    for section in elf.iter_sections():
        offset, size = section["sh_offset"], section["sh_size"]
        if not section.name or section["sh_type"] == "SHT_NOBITS":
            continue
        if not isinstance(offset, int) or not isinstance(size, int):
            raise ValueError("has a section without a place")
        left -= size
        if left < 0:
            raise ValueError("its sections are larger than it is")
        yield section.name, data[offset : offset + size]


@functools.cache
def _library() -> _Library | None:
    try:
        from elftools.common.exceptions import ELFError
        from elftools.elf.elffile import ELFFile
    except ImportError:
        return None
    return _Library(read=ELFFile, error=ELFError)
