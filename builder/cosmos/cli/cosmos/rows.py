"""Rows and words that several commands on a system answer with."""

from __future__ import annotations

from cosmos.canon import Json
from cosmos.model.image import GalaxySource
from cosmos.transport.opening import is_network


def galaxy_row(galaxy: GalaxySource) -> dict[str, Json]:
    """Return one galaxy of the settings."""
    return {
        "name": str(galaxy.name),
        "url": galaxy.url,
        "allow-unsigned": galaxy.allow_unsigned,
        "local": not is_network(galaxy.url),
    }


def counted(number: int, what: str) -> str:
    """Return a number, its thousands parted, and its noun."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
