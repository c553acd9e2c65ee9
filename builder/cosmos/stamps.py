"""How a file is known again without reading it (`--trust-stat`): by what stat(2) said of it when it was hashed.

A stamp is the device, inode, size, mtime, ctime and mode of a file. Only root, or a person who writes to the disk
itself, can set the ctime of a file. So a file that was exchanged or changed has another stamp, whatever its mtime says.

A stamp is kept only of a file that had not changed for two seconds when it was hashed. A clock that counts in jiffies
could hide a later change otherwise.
"""

from __future__ import annotations

import hashlib
import os
import stat
from typing import Final

from cosmos.limits import READ_CHUNK_BYTES
from cosmos.records import dataclass

SETTLED_NANOSECONDS: Final = 2_000_000_000  # ext4's clock counts in 4 ms, vfat's in 2 s


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What was seen of a file: what it is, and the stamp by which it is known again; "" if it was too new."""

    what: str
    stat: str


def stamp(about: os.stat_result) -> str:
    """Return what stat(2) says of a file, as far as a change would show in it."""
    fields = (about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns, about.st_ctime_ns, about.st_mode)
    return " ".join(map(str, fields))


def stamped_bytes(seen: Seen | None) -> int | None:
    """Return the size of the file that the stamp of `seen` describes; None without a stamp.

    >>> stamped_bytes(Seen(what="", stat="8 9 1000 5 5 33188")), stamped_bytes(Seen(what="", stat=""))
    (1000, None)
    """
    return int(seen.stat.split(" ")[2]) if seen is not None and seen.stat else None


def seen_now(number: int, settled: int, believed: Seen | None, most_bytes: int | None = None) -> Seen:
    """Return the SHA-256 and mode of the plain file that is open as `number`; for anything else, the mode alone.

    A file whose stamp is that of `believed` is not read, nor one that is longer than `most_bytes`: its size says that
    it is not the one that was seen. `settled` is a time before which a change is old enough.
    """
    before = os.fstat(number)
    if not stat.S_ISREG(before.st_mode):
        return Seen(what=f"mode {before.st_mode:o}", stat="")
    if most_bytes is not None and before.st_size > most_bytes:
        return Seen(what=f"{before.st_size} bytes", stat="")
    if believed is not None and believed.stat == stamp(before):
        return believed
    hasher = hashlib.sha256()
    while piece := os.read(number, READ_CHUNK_BYTES):
        hasher.update(piece)
    after = os.fstat(number)
    is_settled = stamp(after) == stamp(before) and max(after.st_ctime_ns, after.st_mtime_ns) < settled
    return Seen(what=f"{hasher.hexdigest()} {before.st_mode:o}", stat=stamp(before) if is_settled else "")
