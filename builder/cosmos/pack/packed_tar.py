"""Read a packed tar archive whose unpacked size nobody signed, in little memory: much of it lies on the disk."""

from __future__ import annotations

from typing import Final

from cosmos.content import Content, mapped
from cosmos.limits import Budget
from cosmos.pack.inflate import Streams, unpacked_pieces
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
