"""Read and judge the badges that a galaxy has of a star's archive."""

from __future__ import annotations

from cosmos.digest import Digest
from cosmos.staging.beside import keep_beside, read_beside
from cosmos.staging.source import Source
from cosmos.trust.badges import BADGES_SUFFIX, MAX_BADGES_BYTES, Badge, judge_badges
from cosmos.trust.roots import TrustRoots


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
