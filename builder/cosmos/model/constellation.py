"""`NAME.toml` of a constellation: a named list of stars to install together; not tracked afterwards.

    name = "rescue-tools"
    description = "what one wants on a broken machine"
    members = ["busybox", "nano@^6.0"]     # a star's name, and after an @ a constraint

An unknown key is a warning, as in upstream's files. So `members` has to be written, also if it is empty: otherwise a
misspelt `members` would install nothing, in silence.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from cosmos.model.constraint import ANY_VERSION, Constraint
from cosmos.model.names import StarName
from cosmos.records import dataclass
from cosmos.tables import Table, read_whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Constellation:
    """A named list of wishes. `warnings` are its unknown keys."""

    name: str
    description: str
    members: Mapping[StarName, Constraint]
    warnings: tuple[str, ...] = ()

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the constellation in `data`; raises `Malformed`."""
        return read_whole(data, source, cls.read, {})

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the constellation in `table`; raises `Malformed` for the first fault."""
        table.need("members", list)
        wishes = table.parsed_strings("members", wish)
        constellation = cls(
            name=table.need("name", str),
            description=table.take("description", str, ""),
            members=dict(wishes),
            warnings=table.unknown(),
        )
        if len(constellation.members) != len(wishes):
            table.fail("members", "names a star twice")
        return constellation


def wish(text: str) -> tuple[StarName, Constraint]:
    """Return `NAME` or `NAME@CONSTRAINT` as its parts, or raise `ValueError`.

    >>> wish("nano@^6.0")
    ('nano', Constraint(text='^6.0'))
    """
    name, at, limit = text.partition("@")
    return StarName.parse(name.strip()), Constraint.parse(limit.strip()) if at else ANY_VERSION
