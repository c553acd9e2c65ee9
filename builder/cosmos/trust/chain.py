"""From one `trust.toml` to the next (TRUST.md section 5; after The Update Framework 1.0.34, section 5.3).

Version N + 1 follows version N if, in this order:

  1. its envelope is of the payload type `trust` and holds the document's exact bytes
  2. a threshold of the root keys of version **N** has signed it: the old holders agree
  3. it is exactly version N + 1: no version is skipped, so that no revocation is missed
  4. a threshold of its **own** root keys has signed it: the new holders have their keys
  5. it holds every revocation of version N, and none of them covers less than before
  6. no floor and no recovery of version N is lower or gone, except by a recovery that version N + 1 itself begins

A key that version N + 1 revokes may still count for point 2, as in TUF. The holders of a threshold of root keys could
rotate to any keys anyway, and an operator with one root key must be able to revoke it. It never counts for point 4.

Every version is kept as `N.toml` with `N.toml.dsse` in one folder, so that a machine that was offline for years catches
up step by step. A galaxy carries that folder as `trust/`; so can a USB stick.
"""

from __future__ import annotations

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.model.version import Version
from cosmos.trust.dsse import BadEnvelope, Envelope, NotSigned, demand_threshold, signers_of
from cosmos.trust.roles import TRUST_TYPE
from cosmos.trust.roots import TrustRoots

CHAIN_FOLDER = "trust"


class BrokenChain(Refused):
    """A document does not follow the trusted version. Nothing was taken from it."""


def step_file(version: int) -> str:
    """Return the file name of version `version` in a folder that holds the chain."""
    return f"{version}.toml"


def verify_step(trusted: TrustRoots, data: bytes, envelope: bytes | None, source: str) -> TrustRoots:
    """Return the document in `data` as the version after `trusted`, or raise `Refused` or `Malformed`."""
    beside = f"{source}.dsse"
    if envelope is None:
        raise NotSigned(source, "is not signed: there is no .dsse file beside it", hint="stellar trust sign FILE")
    parsed = Envelope.parse(envelope, beside)
    if parsed.payload_type != TRUST_TYPE:
        raise BadEnvelope(beside, f"want a signature for {TRUST_TYPE}, got one for {parsed.payload_type[:120]!r}")
    if parsed.payload != data:
        raise BadEnvelope(beside, f"signs {Digest.of(parsed.payload)}, but {source} is {Digest.of(data)}")
    _demand(parsed, trusted, f"{beside}: by the root keys of version {trusted.version}, which is trusted")
    found = TrustRoots.parse(data, source)
    _demand_next(trusted, found, source)
    _demand(parsed, found, f"{beside}: by its own root keys, those of version {found.version}")
    demand_follows(trusted, found, source)
    return found


def demand_follows(trusted: TrustRoots, found: TrustRoots, source: str) -> None:
    """Raise `BrokenChain` unless the content of `found` can follow `trusted` (points 3, 5 and 6)."""
    _demand_next(trusted, found, source)
    _demand_revocations(trusted, found, source)
    _demand_floors(trusted, found, source)


def _demand(envelope: Envelope, roots: TrustRoots, source: str) -> None:
    demand_threshold(
        signers_of(envelope, roots.keys("root")),
        roots.threshold("root"),
        source,
        hint="every holder adds their signature with: stellar trust sign FILE --key KEY",
    )


def _demand_next(trusted: TrustRoots, found: TrustRoots, source: str) -> None:
    if found.version <= trusted.version:
        raise BrokenChain(source, f"is version {found.version}, but version {trusted.version} is trusted already")
    if found.version != trusted.version + 1:
        raise BrokenChain(
            source,
            f"is version {found.version}, but version {trusted.version} is trusted: "
            f"version {trusted.version + 1} comes first",
            hint="take the whole folder of versions; a step that is left out may hold a revocation",
        )


def _demand_revocations(trusted: TrustRoots, found: TrustRoots, source: str) -> None:
    rows = {row.key: row for row in found.revoked}
    for row in trusted.revoked:
        kept = rows.get(row.key)
        if kept is None:
            raise BrokenChain(source, f"drops the revocation of {row.key}, and revocations are only added")
        if kept.effective_seq > row.effective_seq:
            raise BrokenChain(
                source,
                f"takes back a part of the revocation of {row.key}: effective-seq was {row.effective_seq}, "
                f"and is {kept.effective_seq}",
            )


def _demand_floors(trusted: TrustRoots, found: TrustRoots, source: str) -> None:
    before, after = trusted.recovered.rows(), found.recovered.rows()
    for (kind, name), version in after.items():
        if version not in (before.get((kind, name)), found.version):
            raise BrokenChain(
                source, f"recovered.{kind}.{name}: a recovery begins with the version that states it, {found.version}"
            )
    for kind, name in before:
        if (kind, name) not in after:
            raise BrokenChain(source, f"drops recovered.{kind}.{name}, which version {trusted.version} has")
    floors = found.floors.rows()
    for (kind, name), floor in trusted.floors.rows().items():
        lower = floors.get((kind, name))
        if after.get((kind, name)) == found.version or (lower is not None and _is_at_least(lower, floor)):
            continue
        line = f"{name} = {found.version}"
        raise BrokenChain(
            source,
            f"floor.{kind}.{name} was {floor}, and is {'gone' if lower is None else lower}: floors only rise",
            hint=f"to recover from a fast-forward, add to trust.toml under [recovered.{kind}]: {line}",
        )


def _is_at_least(floor: object, least: object) -> bool:
    """Return whether a floor is not below another of the same kind: two integers or two versions."""
    if isinstance(floor, Version) and isinstance(least, Version):
        return not floor < least
    return isinstance(floor, int) and isinstance(least, int) and floor >= least
