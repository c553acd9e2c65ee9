"""Read and judge the badges that a galaxy has of a star's archive, or of several stars' archives."""

from __future__ import annotations

from collections.abc import Iterable

from cosmos.digest import Digest
from cosmos.errors import CosmosError
from cosmos.model.names import StarName
from cosmos.staging.acquire import Acquired
from cosmos.staging.ahead import fetching_ahead, files_beside
from cosmos.staging.beside import keep_beside, read_beside
from cosmos.staging.source import Source
from cosmos.trust.badges import BADGES_SUFFIX, MAX_BADGES_BYTES, Badge, judge_badges
from cosmos.trust.roots import TrustRoots


def badges_of(stars: Iterable[Acquired], roots: TrustRoots) -> dict[StarName, tuple[Badge, ...] | None]:
    """Return the badges of each star's archive; None if they cannot be had. They are no condition of an installation.

    A galaxy in upstream's format has none, and is not asked.
    """
    asked = [item for item in stars if not item.is_upstream]
    found = dict[StarName, tuple[Badge, ...] | None]()
    with fetching_ahead(
        (item.source, files_beside(item.source, item.stem, BADGES_SUFFIX, MAX_BADGES_BYTES)) for item in asked
    ):
        for item in asked:
            try:
                found[item.star.name] = star_badges(item.source, item.stem, item.star.archive, roots)
            except CosmosError:
                found[item.star.name] = None
    return found


def star_badges(source: Source, stem: str, archive: Digest, roots: TrustRoots) -> tuple[Badge, ...]:
    """Return the judged badges of `archive`; `stem` is the name of its star's files.

    Nobody asks a galaxy of upstream's format: it has no badges.
    """
    data = read_beside(source, stem, BADGES_SUFFIX, MAX_BADGES_BYTES)
    if data is None:
        return ()
    judged = judge_badges(data, digest=archive, roots=roots, source=f"{source.galaxy}: {stem}{BADGES_SUFFIX}")
    if any(badge.standing == "verified" for badge in judged):
        keep_beside(source, stem, BADGES_SUFFIX, data)
    return judged
