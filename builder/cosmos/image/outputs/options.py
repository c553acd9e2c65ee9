"""Options that several output formats share."""

from __future__ import annotations

from cosmos.model.image import DEFAULT_LEVEL
from cosmos.tables import Table


def read_level(table: Table) -> int:
    """Return the zstd level of an `[[output]]` table. Raises `Malformed`."""
    return table.count("level", least=1, most=22) if "level" in table else DEFAULT_LEVEL
