"""Small ELF files: what the loader reads of a program or a library, and nothing else."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

X86_64, AARCH64 = 62, 183  # e_machine
_HEADER, _SEGMENT = 64, 56  # bytes of the two headers, ELF64
_DT = {"NEEDED": 1, "STRTAB": 5, "SONAME": 14, "RPATH": 15, "RUNPATH": 29, "VERDEF": 0x6FFFFFFC, "VERNEED": 0x6FFFFFFE}


def elf_file(
    *,
    machine: int = X86_64,
    interpreter: str = "",
    needed: Sequence[str] = (),
    soname: str = "",
    runpath: str = "",
    needs: Mapping[str, Sequence[str]] | None = None,
    defines: Sequence[str] = (),
    weak: bool = False,
    more: bytes = b"",
) -> bytes:
    """Return a shared object of 64 bits: one loaded segment, a loader, a dynamic section, symbol versions, `more`."""
    names = _Names()
    tags = [(_DT["NEEDED"], names.place(one)) for one in needed]
    tags += [(_DT["SONAME"], names.place(soname))] if soname else []
    tags += [(_DT["RUNPATH"], names.place(runpath))] if runpath else []
    verneed = _verneed(needs or {}, names, 2 if weak else 0)
    verdef = _verdef(defines, names)
    start = _HEADER + 3 * _SEGMENT
    loader = interpreter.encode() + b"\0"
    places = [start]
    for part in (loader, verneed, verdef, names.data):
        places.append(places[-1] + len(part))
    tags += [(_DT["VERNEED"], places[1]), (_DT["VERNEED"] + 1, len(needs))] if needs else []
    tags += [(_DT["VERDEF"], places[2]), (_DT["VERDEF"] + 1, len(defines))] if defines else []
    tags += [(_DT["STRTAB"], places[3]), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *tag) for tag in tags)
    body = loader + verneed + verdef + names.data + dynamic + more
    segments = [
        _segment(1, 0, start + len(body)),
        _segment(3 if interpreter else 0, places[0], len(loader)),
        _segment(2, places[4], len(dynamic)),
    ]
    header = struct.pack(
        "<16sHHIQQQIHHHHHH",
        *(b"\x7fELF\x02\x01\x01", 3, machine, 1, 0, _HEADER, 0, 0, _HEADER, _SEGMENT, len(segments), 0, 0, 0),
    )
    return header + b"".join(segments) + body


class _Names:
    """A table of strings."""

    def __init__(self) -> None:
        self.data = b"\0"

    def place(self, text: str) -> int:
        """Add a name and return its offset."""
        self.data += text.encode() + b"\0"
        return len(self.data) - len(text.encode()) - 1


def _segment(kind: int, place: int, size: int) -> bytes:
    return struct.pack("<IIQQQQQQ", kind, 4, place, place, place, size, size, 1)


def _verneed(needs: Mapping[str, Sequence[str]], names: _Names, flags: int) -> bytes:
    rows = []
    for number, (library, versions) in enumerate(needs.items()):
        size = 16 + 16 * len(versions)
        last = number == len(needs) - 1
        row = struct.pack("<HHIII", 1, len(versions), names.place(library), 16, 0 if last else size)
        for place, version in enumerate(versions):
            following = 16 if place < len(versions) - 1 else 0
            row += struct.pack("<IHHII", 0, flags, 2, names.place(version), following)
        rows.append(row)
    return b"".join(rows)


def _verdef(versions: Sequence[str], names: _Names) -> bytes:
    rows = []
    for number, version in enumerate(versions):
        following = 28 if number < len(versions) - 1 else 0
        rows.append(struct.pack("<HHHHIII", 1, 0, number + 1, 1, 0, 20, following))
        rows.append(struct.pack("<II", names.place(version), 0))
    return b"".join(rows)
