"""Rows and words in the answers of several commands on a system."""

from __future__ import annotations

from cosmos.canon import Json
from cosmos.device.trusted import InstalledTrust
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
    """Return a number with commas between thousands, and its noun."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def trust_rows(trust: InstalledTrust) -> dict[str, Json]:
    """Return how the installed stars stand under the keys that are trusted now."""
    return {
        "not-trusted": [{"name": str(one.name), "version": one.version, "problem": one.why} for one in trust.untrusted],
        "signatures-not-judged": [str(name) for name in trust.unjudged],
    }


def unjudged_words(trust: InstalledTrust) -> str:
    """Return the end of a sentence: how many stars' signatures were not judged, and why; empty if all were."""
    if trust.problem:
        return f"; signatures were not judged: {trust.problem}"
    if not trust.unjudged:
        return ""
    stars = counted(len(trust.unjudged), "star")
    return f"; the signatures of {stars} were not judged: their statements are in no galaxy here"
