"""`HOME/config.toml`: the settings of a builder's home. The file may be missing.

    [store]
    limit = "20 GiB"        # what `cosmos store gc` leaves; with it, `cosmos build` collects at its end, too
    signed-from-memory = true   # a signed release need not be made again if nothing changed (docs/decisions/0041)

It is the operator's own file, so unknown keys are errors. A size is a whole number of bytes, or of KiB, MiB, GiB or
TiB.
"""

from __future__ import annotations

import re
from typing import Final, Self

from cosmos.limits import GIB, KIB, MIB
from cosmos.records import dataclass
from cosmos.tables import Table, read_whole

HOME_SETTINGS_FILE: Final = "config.toml"
_UNITS: Final = {"": 1, "B": 1, "KiB": KIB, "MiB": MIB, "GiB": GIB, "TiB": KIB * GIB}
_SIZE: Final = re.compile(r"([0-9]{1,18}) ?(|B|KiB|MiB|GiB|TiB)")


@dataclass(frozen=True, kw_only=True, slots=True)
class HomeSettings:
    """The settings of a home. `store_limit_bytes` is None if the operator sets none.

    `signed_from_memory`: a signed release of which nothing changed is not made again."""

    store_limit_bytes: int | None = None
    signed_from_memory: bool = False

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the settings in `data`; raises `Malformed`."""
        return read_whole(data, source, cls.read, {})

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the settings in `table`; raises `Malformed` for the first fault."""
        store = table.take_table("store")
        limit, signed = None, False
        if store is not None:
            limit = store.take_read("limit", parse_size)
            signed = store.take("signed-from-memory", bool, False)
            store.end()
        table.end()
        return cls(store_limit_bytes=limit, signed_from_memory=signed)


def parse_size(text: str) -> int:
    """Return how many bytes `text` means; raises `ValueError`.

    >>> parse_size("20 GiB"), parse_size("512"), parse_size("3MiB")
    (21474836480, 512, 3145728)
    """
    found = _SIZE.fullmatch(text)
    if found is None:
        raise ValueError(f"want a size such as 20 GiB, got {text[:40]!r}")
    return int(found[1]) * _UNITS[found[2]]


def shown_size(size_bytes: int) -> str:
    """Return a size as people read it.

    >>> shown_size(512), shown_size(3 << 20), shown_size(1_500_000_000)
    ('512 B', '3.0 MiB', '1.4 GiB')
    """
    size, unit = float(size_bytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if size < KIB or unit == "TiB":
            break
        size /= KIB
    return f"{size_bytes} B" if unit == "B" else f"{size:.1f} {unit}"
