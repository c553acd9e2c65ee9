"""Verify a star's statement: the author's signature, then the name and version asked for (TRUST.md section 4).

In this order. The statement is not parsed before the first two hold:
  1. the envelope is of the payload type `star`, and its payload is the file's exact bytes
  2. a threshold of distinct author keys, pinned for that galaxy and that name and not revoked, has signed
  3. the galaxy, name, version and architecture inside are those that the caller asked for
  4. a threshold of those keys was not retired before the statement's seq
  5. the version is not below the operator's floor

A signature over the archive alone would not stop an attacker from renaming a star, moving it to another galaxy, or
serving an older version.
"""

from __future__ import annotations

from dataclasses import field

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.model.names import Arch, GalaxyName, StarName
from cosmos.model.statement import Statement
from cosmos.model.version import Version
from cosmos.records import dataclass
from cosmos.trust.payloads import Demand, demand_still_good, verify_beside
from cosmos.trust.roles import STAR_TYPE
from cosmos.trust.roots import TrustRoots


class _Seal:
    """The seal that only this module can make: a sealed value can come only from a function that verified it."""


_SEAL = _Seal()


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedStatement:
    """A statement that passed; only this module makes one. `signers` is empty only if the operator allows it."""

    statement: Statement
    digest: Digest
    signers: tuple[str, ...]
    seal: _Seal = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse to be made elsewhere."""
        if self.seal is not _SEAL:
            raise TypeError("a VerifiedStatement comes from verify_statement alone")


def verify_statement(
    payload_file: bytes,
    envelope: bytes | None,
    *,
    galaxy: GalaxyName,
    name: StarName,
    version: Version,
    roots: TrustRoots,
    allow_unsigned: bool,
    source: str,
    machine: Arch | None = None,
) -> VerifiedStatement:
    """Return the statement in `payload_file`, signed for `name` `version` in `galaxy`, or raise.

    `envelope` is the file beside it, or None if there is no such file. `machine` is the architecture that the star must
    run on, or None for any. Raises `Refused`, or `Malformed` for signed bytes that are not a statement.
    """
    demand = Demand(
        payload_type=STAR_TYPE,
        keys=roots.author_keys_or_retired(galaxy, name),
        threshold=roots.threshold("author"),
        hint="see which keys are pinned, and for what, with: cosmos trust show",
        unsigned_hint="nobody signed it; its maintainer signs it with: stellar index-galaxy GALAXY --key AUTHOR.key",
        allow_unsigned=allow_unsigned,
        revoked=roots.revoked_keys("author"),
    )
    signers = verify_beside(payload_file, envelope, demand, source)
    statement = Statement.parse(payload_file, source)
    _demand_same(statement, galaxy, name, version, source)
    if machine is not None and not statement.star.arch.runs_on(machine):
        raise Refused(source, f"is for {statement.star.arch}, and {machine} was asked for")
    signers = demand_still_good(signers, statement.seq, demand, roots, source)
    floor = roots.floors.stars.get(name)
    if floor is not None and version.is_below(floor):
        raise Refused(source, f"version {version} lies below the floor of {floor} that trust.toml sets")
    return VerifiedStatement(statement=statement, digest=Digest.of(payload_file), signers=signers, seal=_SEAL)


def _demand_same(statement: Statement, galaxy: GalaxyName, name: StarName, version: Version, source: str) -> None:
    if statement.galaxy != galaxy:
        raise Refused(source, f"is signed for galaxy {statement.galaxy}, but stands in {galaxy}")
    if statement.star.name != name:
        raise Refused(source, f"is signed for star {statement.star.name}, but {name} was asked for")
    if statement.star.version != version:
        raise Refused(source, f"is signed for version {statement.star.version}, but {version} was asked for")
