"""Verify a galaxy's index. An index can hide a star or mislabel it; it can never vouch for one (SO-05).

In this order: the envelope's type and bytes; a threshold of galaxy keys; then the document. The document names the
galaxy that the caller asked for. No key was retired before its seq. The seq is not below the operator's floor. Its
three lists agree with each other. `trust.memory` then compares it with earlier indexes.

An index may name a catalogue. Its digest was compared before; then it must describe the index's own stars.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from functools import cached_property

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.limits import MAX_INDEX_ENVELOPE_BYTES
from cosmos.model.catalogue import Catalogue
from cosmos.model.galaxy import GalaxyIndex, Listed
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.version import Version
from cosmos.records import dataclass
from cosmos.trust.payloads import Demand, demand_still_good, verify_beside
from cosmos.trust.roles import GALAXY_TYPE
from cosmos.trust.roots import TrustRoots


class _Seal:
    """The seal that only this module can make (see `trust.stars`)."""


_SEAL = _Seal()


@dataclass(frozen=True, kw_only=True)
class VerifiedIndex:
    """An index that passed; only this module makes one. `signers` is empty only if the operator allows it."""

    index: GalaxyIndex
    digest: Digest
    signers: tuple[str, ...]
    seal: _Seal = field(repr=False)

    @cached_property
    def rows(self) -> Mapping[Digest, Listed]:
        """The rows of the index by the digest of their statement, which belongs to one star alone."""
        return {row.statement: row for row in self.index.snapshot}

    def __post_init__(self) -> None:
        """Refuse to be made elsewhere."""
        if self.seal is not _SEAL:
            raise TypeError("a VerifiedIndex comes from verify_index alone")


def verify_index(
    payload_file: bytes,
    envelope: bytes | None,
    *,
    galaxy: GalaxyName,
    roots: TrustRoots,
    allow_unsigned: bool,
    source: str,
) -> VerifiedIndex:
    """Return the index in `payload_file`, signed for `galaxy`, or raise `Refused` or `Malformed`."""
    demand = Demand(
        payload_type=GALAXY_TYPE,
        keys=roots.keys_or_retired("galaxy"),
        threshold=roots.threshold("galaxy"),
        hint="see which keys are pinned, and for what, with: cosmos trust show",
        unsigned_hint="nobody signed it; its maintainer signs it with: stellar index-galaxy GALAXY --key GALAXY.key",
        allow_unsigned=allow_unsigned,
        max_bytes=MAX_INDEX_ENVELOPE_BYTES,
        revoked=roots.revoked_keys("galaxy"),
    )
    signers = verify_beside(payload_file, envelope, demand, source)
    index = GalaxyIndex.parse(payload_file, source)
    if index.name != galaxy:
        raise Refused(source, f"is the index of galaxy {index.name}, but {galaxy} was asked for")
    signers = demand_still_good(signers, index.seq, demand, roots, source)
    floor = roots.floors.galaxies.get(galaxy, 0)
    if index.seq < floor:
        raise Refused(source, f"seq {index.seq} lies below the floor of {floor} that trust.toml sets")
    if signers or index.snapshot:
        _demand_consistent(index, source)
    return VerifiedIndex(index=index, digest=Digest.of(payload_file), signers=signers, seal=_SEAL)


def read_catalogue(data: bytes, verified: VerifiedIndex, source: str) -> Catalogue:
    """Return the catalogue in `data`, whose digest the index names, if it describes every star of the index, and no
    other.

    Raises `Refused`, or `Malformed` (of a newer format: `NewerCatalogue`).
    """
    catalogue = Catalogue.parse(data, source)
    index = verified.index
    if catalogue.galaxy != index.name:
        raise Refused(source, f"is the catalogue of galaxy {catalogue.galaxy}, but {index.name} was asked for")
    listed = {(row.name, row.version, row.arch) for row in index.snapshot}
    for row in catalogue.stars:
        if not {(row.name, row.version, row.arch), (row.name, row.version, None)} & listed:
            raise Refused(source, f"describes {row.name} {row.version} for {row.arch}, which the index does not list")
    for name in sorted(index.newest.keys() - {row.name for row in catalogue.stars}):
        raise Refused(source, f"does not describe {name}, which the index lists")
    return catalogue


def _demand_consistent(index: GalaxyIndex, source: str) -> None:
    """Raise `Refused` unless `[stars]`, `[checksums]` and `[[snapshot]]` say the same."""
    if index.seq < 1:
        raise Refused(source, "has no seq, so a rollback to an older index could not be detected")
    archives: dict[tuple[StarName, Version], set[Digest]] = {}  # one of each architecture
    for row in index.snapshot:
        archives.setdefault((row.name, row.version), set()).add(row.archive)
    names = {row.name for row in index.snapshot}
    for name, version in index.newest.items():
        listed = None if version is None else archives.get((name, version))
        if listed is None:
            raise Refused(source, f"[stars] names {name} {version or ''}, which [[snapshot]] does not list")
        if index.checksums.get(name) not in listed:
            raise Refused(source, f"[checksums] and [[snapshot]] disagree about {name}")
    for name in sorted(names - index.newest.keys()):
        raise Refused(source, f"[[snapshot]] lists {name}, which [stars] does not name")
    for name in sorted(index.checksums.keys() - names):
        raise Refused(source, f"[checksums] names {name}, which [[snapshot]] does not list")
