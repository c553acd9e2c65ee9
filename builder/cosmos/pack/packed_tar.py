"""Read a packed tar archive whose unpacked size nobody signed, in little memory: much of it lies on the disk."""

from __future__ import annotations

from typing import Final

from cosmos.content import Content, mapped
from cosmos.limits import Budget
from cosmos.pack.inflate import Streams, unpacked_pieces
from cosmos.pack.tar import BLOCK
from cosmos.pack.treenames import Rules
from cosmos.pack.untar import Devices, read_tar
from cosmos.spool import Spool
from cosmos.tree.entry import Entry

# How the name of a packed tar archive ends, and the suffix that cosmos.pack.inflate has for it.
PACKED_TAR_SUFFIXES: Final = {
    ".tar": "",
    ".tar.gz": ".gz",
    ".tgz": ".gz",
    ".tar.xz": ".xz",
    ".tar.bz2": ".bz2",
    ".tar.zst": ".zst",
}


_MAGIC: Final = {
    ".gz": (b"\x1f\x8b",),  # RFC 1952, 2.3.1
    ".xz": (b"\xfd7zXZ\x00",),  # The .xz File Format, 2.1.1.1
    ".bz2": (b"BZh",),
    ".zst": (b"\x28\xb5\x2f\xfd", *(bytes((0x50 + nibble, 0x2A, 0x4D, 0x18)) for nibble in range(16))),  # RFC 8878
}


def begins_as_packed(head: bytes, suffix: str) -> bool:
    """Return whether `head`, the first block of a file, begins as an archive that is packed in the way `suffix`."""
    if not suffix:
        return head[257:262] == b"ustar" or head == bytes(BLOCK)
    return head.startswith(_MAGIC[suffix])


def read_packed_tar(
    body: Content,
    suffix: str,
    source: str,
    budget: Budget,
    *,
    devices: Devices = "refuse",
    rules: Rules = "strict",
) -> list[Entry]:
    """Return the entries of the tar archive that is packed in `body`; `suffix` is as cosmos.pack.inflate has it.

    What it unpacks to is drawn from `budget`. Raises `Refused`.
    """
    streams: Streams = "one" if rules == "dpkg" else "several"
    with mapped(body) as buffer:
        tar = Spool().add(unpacked_pieces(buffer, suffix, budget, source, streams))
    return read_tar(tar, source, devices=devices, rules=rules)
