"""Kernel modules made by hand: ELF64 with three sections, one of which is .modinfo."""

from __future__ import annotations

import struct


def make_module(*, section: str = ".modinfo", **fields: str) -> bytes:
    """Return a module with `fields` in its .modinfo; digits at the end of a name allow a field more than once."""
    info = b"".join(f"{name.rstrip('0123456789')}={text}\0".encode() for name, text in fields.items())
    names = b"\0.shstrtab\0" + section.encode() + b"\0"
    info_at, names_at = 64, 64 + len(info)
    table_at = names_at + len(names)
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack("<16sHHIQQQIHHHHHH", ident, 1, 62, 1, 0, 0, table_at, 0, 64, 0, 0, 64, 3, 1)
    rows = [
        (0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
        (1, 3, 0, 0, names_at, len(names), 0, 0, 1, 0),
        (11, 1, 2, 0, info_at, len(info), 0, 0, 1, 0),
    ]
    return header + info + names + b"".join(struct.pack("<IIQQQQIIQQ", *row) for row in rows)
