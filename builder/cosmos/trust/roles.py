"""Roles: which kind of key signs which kind of document. Keys belong to one role, and roles do not share them.

| role     | signs                                             |
|----------|---------------------------------------------------|
| root     | trust.toml, revocations                           |
| author   | a star's statement                                |
| galaxy   | a galaxy's index                                  |
| release  | locks, deltas, releases (RELEASE.json is in-toto) |
| attester | badges: in-toto statements about a star's archive |
| log      | a transparency log's heads                        |
| witness  | cosignatures of heads                             |

The code that verifies a document demands its payload type, so that a signature of one role cannot serve another.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, TypeAlias, get_args

from cosmos.limits import MAX_DELTA_ENVELOPE_BYTES, MAX_INDEX_ENVELOPE_BYTES, MAX_SIGNED_BYTES, Limit

Role: TypeAlias = Literal["root", "author", "galaxy", "release", "attester", "log", "witness"]
ROLES: Final[tuple[Role, ...]] = get_args(Role)

STAR_TYPE: Final = "application/vnd.cosmos.star.v1+toml"
GALAXY_TYPE: Final = "application/vnd.cosmos.galaxy.v1+toml"
LOCK_TYPE: Final = "application/vnd.cosmos.lock.v1+toml"
TRUST_TYPE: Final = "application/vnd.cosmos.trust.v1+toml"
REVOCATION_TYPE: Final = "application/vnd.cosmos.revocation.v1+toml"
RELEASE_TYPE: Final = "application/vnd.cosmos.release.v1+toml"
DELTA_TYPE: Final = "application/vnd.cosmos.delta.v1+json"
IN_TOTO_TYPE: Final = "application/vnd.in-toto+json"

ENVELOPE_LIMITS: Final[Mapping[str, Limit]] = MappingProxyType(  # of the others: MAX_ENVELOPE_BYTES
    {
        GALAXY_TYPE: MAX_INDEX_ENVELOPE_BYTES,
        LOCK_TYPE: MAX_SIGNED_BYTES,
        DELTA_TYPE: MAX_DELTA_ENVELOPE_BYTES,
        IN_TOTO_TYPE: MAX_SIGNED_BYTES,
    }
)

SIGNED_BY: Final[Mapping[Role, frozenset[str]]] = MappingProxyType(
    {
        "root": frozenset({TRUST_TYPE, REVOCATION_TYPE}),
        "author": frozenset({STAR_TYPE}),
        "galaxy": frozenset({GALAXY_TYPE}),
        "release": frozenset({LOCK_TYPE, RELEASE_TYPE, DELTA_TYPE, IN_TOTO_TYPE}),
        "attester": frozenset({IN_TOTO_TYPE}),
        "log": frozenset(),
        "witness": frozenset(),
    }
)


def role(text: str) -> Role:
    """Return `text` as a role, or raise `ValueError`.

    >>> role("author")
    'author'
    """
    for known in ROLES:
        if text == known:
            return known
    raise ValueError(f"want one of {', '.join(ROLES)}, got {text[:80]!r}")
