"""Badges: attesters' claims about bytes. In-toto Statements v1 in DSSE, one envelope a line, in `*.intoto.jsonl`.

    stars/NAME-VERSION.intoto.jsonl     beside a star's statement; the subject is its archive
    OUT.intoto.jsonl                    beside the folder of a release; the subject is its content root

| kind    | predicateType                                     | says                                               |
|---------|---------------------------------------------------|----------------------------------------------------|
| test    | https://in-toto.io/attestation/test-result/v0.1   | `predicate.result`: PASSED or FAILED               |
| scan    | urn:cosmos:badge:scan:v1                          | the same, of a scan for what should not be inside  |
| rebuild | urn:cosmos:badge:rebuild:v1                       | PASSED: "I rebuilt this content root from the lock |
|         |                                                   | whose SHA-256 is `predicate.lock`"                 |
| rebuild | urn:cosmos:badge:rebuild:v2                       | FAILED: "that lock gave me another content root,   |
|         |                                                   | `predicate.found`"; older readers count it as      |
|         |                                                   | unverifiable, and a FAILED badge counts nowhere    |
| rebuild | urn:cosmos:badge:rebuild:v3                       | the same, and in which paths: `differing` is how   |
|         |                                                   | many, `waived` how many of these are of stars that |
|         |                                                   | `[policy] unsteady` names, and `paths` the first   |

A badge has one of three states, and only the first counts:

- **verified**: a pinned key of the role `attester` has signed it, and its subject is the bytes in question
- **unpinned**: it is well formed and about these bytes, but no pinned attester has signed it; the key of an author or
  of a release is not an attester's
- **unverifiable**: it is malformed, or about other bytes, or a signature in a pinned key's name does not verify

Cosmos counts distinct keys. A badge never replaces an author's signature.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, Self, TypeAlias, cast, get_args

from cosmos.canon import Json, canonical_json
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Malformed, Refused
from cosmos.limits import MAX_ENVELOPE_BYTES, Limit, demand_within
from cosmos.model.release import STATEMENT_TYPE
from cosmos.records import dataclass
from cosmos.tables import Table
from cosmos.trust.dsse import Envelope, signers_of
from cosmos.trust.keys import PublicKey
from cosmos.trust.roles import IN_TOTO_TYPE
from cosmos.trust.roots import TrustRoots

Kind: TypeAlias = Literal["test", "scan", "rebuild"]
Result: TypeAlias = Literal["PASSED", "FAILED"]
Standing: TypeAlias = Literal["verified", "unpinned", "unverifiable"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
RESULTS: Final[tuple[Result, ...]] = get_args(Result)
BADGES_SUFFIX: Final = ".intoto.jsonl"
MAX_BADGES: Final = Limit("MAX_BADGES", 256)  # of one file: each costs a verification
MAX_BADGES_BYTES: Final = Limit("MAX_BADGES_BYTES", 4 * MAX_ENVELOPE_BYTES)
_TYPES: Final[dict[Kind, str]] = {
    "test": "https://in-toto.io/attestation/test-result/v0.1",
    "scan": "urn:cosmos:badge:scan:v1",
    "rebuild": "urn:cosmos:badge:rebuild:v1",
}
_UNLIKE_TYPE: Final = "urn:cosmos:badge:rebuild:v2"
_MISMATCH_TYPE: Final = "urn:cosmos:badge:rebuild:v3"
MAX_BADGE_PATHS: Final = 32  # a badge is carried by everybody who has the release; `differing` has the sum


@dataclass(frozen=True, kw_only=True, slots=True)
class Mismatch:
    """The paths in which a rebuild differs: the first of them, how many there are, and how many are waived."""

    paths: tuple[str, ...]
    differing: int
    waived: int

    @classmethod
    def of(cls, paths: Iterable[str], waived: int) -> Self:
        """Return what a badge says of `paths`, of which `waived` are of stars that may differ."""
        every = tuple(paths)
        return cls(paths=every[:MAX_BADGE_PATHS], differing=len(every), waived=waived)

    @classmethod
    def read(cls, predicate: Table) -> Self:
        """Return what a predicate says. Raises `Malformed`."""
        paths, differing = predicate.strings("paths"), predicate.count("differing")
        if len(paths) != min(differing, MAX_BADGE_PATHS):
            predicate.fail("paths", f"want the first {MAX_BADGE_PATHS} of {differing}, got {len(paths)}")
        return cls(paths=paths, differing=differing, waived=predicate.count("waived", most=differing))


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The claim of a badge: its kind, its result, the bytes it is about, and for a rebuild the lock.

    `found` is the other content root of a rebuild that failed, `mismatch` what it differs in, if the badge says so.
    """

    kind: Kind
    name: str
    digest: Digest
    result: Result
    lock: Digest | None = None
    found: Digest | None = None
    mismatch: Mismatch | None = None

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the claim in an in-toto Statement; raises `Malformed`."""
        table = Table.from_json(data, source, max_bytes=MAX_ENVELOPE_BYTES)
        table.choice("_type", (STATEMENT_TYPE,))
        subjects = table.tables("subject")
        if len(subjects) != 1:
            table.fail("subject", f"want one, got {len(subjects)}")
        said = table.choice("predicateType", (*_TYPES.values(), _UNLIKE_TYPE, _MISMATCH_TYPE))
        kind: Kind = next((kind for kind, uri in _TYPES.items() if uri == said), "rebuild")
        is_unlike = said in (_UNLIKE_TYPE, _MISMATCH_TYPE)
        predicate = table.table("predicate")
        if not is_unlike and "found" in predicate.keys():  # it would say both, that it is the same and that it is not
            predicate.fail("found", f"only {_UNLIKE_TYPE} and its successors have it")
        claim = cls(
            kind=kind,
            name=subjects[0].need("name", str),
            digest=subjects[0].table("digest").read("sha256", Digest.from_hex),
            result=cast(Result, predicate.choice("result", ("FAILED",) if is_unlike else RESULTS)),
            lock=predicate.read("lock", Digest.parse) if kind == "rebuild" else None,
            found=predicate.read("found", Digest.parse) if is_unlike else None,
            mismatch=Mismatch.read(predicate) if said == _MISMATCH_TYPE else None,
        )
        table.end()
        return claim

    @property
    def _type(self) -> str:
        if self.found is None:
            return _TYPES[self.kind]
        return _UNLIKE_TYPE if self.mismatch is None else _MISMATCH_TYPE

    def to_bytes(self) -> bytes:
        """Return the in-toto Statement."""
        predicate: dict[str, Json] = {"result": self.result}
        if self.kind == "test":
            predicate["configuration"] = []
        if self.lock is not None:
            predicate["lock"] = str(self.lock)
        if self.found is not None:
            predicate["found"] = str(self.found)
        if self.mismatch is not None:
            predicate["paths"] = [*self.mismatch.paths]
            predicate |= {"differing": self.mismatch.differing, "waived": self.mismatch.waived}
        return canonical_json(
            {
                "_type": STATEMENT_TYPE,
                "subject": [{"name": self.name, "digest": {"sha256": self.digest.hex}}],
                "predicateType": self._type,
                "predicate": predicate,
            }
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Badge:
    """A badge with its state. `signers` are the pinned attesters who signed it, empty unless it is verified."""

    standing: Standing
    claim: Claim | None
    signers: tuple[str, ...]
    why: str


def judge_badges(data: bytes, *, digest: Digest, roots: TrustRoots, source: str) -> tuple[Badge, ...]:
    """Return every badge in a file, judged for the bytes with this `digest`.

    A bad badge is returned as unverifiable, and the others still count. Raises `Refused` only for a file too large.
    """
    lines = [line for line in data.split(b"\n") if line]
    if len(data) > MAX_BADGES_BYTES or len(lines) > MAX_BADGES:
        raise Refused(source, f"has {len(lines)} badges in {len(data)} bytes, the limit is {MAX_BADGES}")
    return tuple(_judged(line, digest, roots, f"{source}: badge {place}") for place, line in enumerate(lines, 1))


def counted(badges: Iterable[Badge], kind: Kind, lock: Digest | None = None) -> tuple[str, ...]:
    """Return the distinct keys whose verified badges say that `kind` passed; a rebuild counts only for this `lock`."""
    good = {
        signer
        for badge in badges
        if badge.standing == "verified"
        and badge.claim is not None
        and badge.claim.kind == kind
        and badge.claim.result == "PASSED"
        and badge.claim.lock == lock
        for signer in badge.signers
    }
    return tuple(sorted(good))


def unlike(badges: Iterable[Badge], lock: Digest) -> tuple[tuple[str, Digest], ...]:
    """Return the pinned attesters who got another content root from this `lock`, each with what they found."""
    return tuple(
        (signer, badge.claim.found)
        for badge in badges
        if badge.standing == "verified" and badge.claim is not None and badge.claim.lock == lock
        if badge.claim.found is not None
        for signer in badge.signers
    )


def add_badge(data: bytes, envelope: bytes, source: str) -> bytes:
    """Return a file's bytes with one more badge, as one line; the same badge is not added twice.

    Raises `Refused` if the file is full.
    """
    row = _one_line(envelope)
    lines = [line for line in data.split(b"\n") if line]
    if row in lines:
        return data
    if len(lines) >= MAX_BADGES:
        raise Refused(source, f"has {len(lines)} badges, the limit is {MAX_BADGES}")
    added = b"".join(line + b"\n" for line in (*lines, row))
    demand_within(len(added), MAX_BADGES_BYTES, source)
    return added


def _judged(line: bytes, digest: Digest, roots: TrustRoots, source: str) -> Badge:
    try:
        envelope = Envelope.parse(line, source)
        if envelope.payload_type != IN_TOTO_TYPE:
            raise Malformed(source, f"is signed as {envelope.payload_type[:120]!r}, not as an in-toto Statement")
        claim = Claim.parse(envelope.payload, source)
    except CosmosError as error:
        return Badge(standing="unverifiable", claim=None, signers=(), why=error.problem)
    if claim.digest != digest:
        return Badge(standing="unverifiable", claim=claim, signers=(), why=f"speaks of {claim.digest}")
    pinned = roots.keys("attester")
    signers = signers_of(envelope, pinned)
    forged = _forged(envelope, signers, pinned)
    if forged is not None:
        return Badge(
            standing="unverifiable", claim=claim, signers=(), why=f"is not signed by {forged.name}, as it says"
        )
    if not signers:
        return Badge(standing="unpinned", claim=claim, signers=(), why=f"signed by {_hints(envelope)}")
    return Badge(standing="verified", claim=claim, signers=signers, why="")


def _forged(envelope: Envelope, signers: tuple[str, ...], pinned: Iterable[PublicKey]) -> PublicKey | None:
    """Return the pinned key whose id stands beside a signature that the key did not make."""
    named = {signature.keyid for signature in envelope.signatures}
    return next((key for key in pinned if key.id in named and key.id not in signers), None)


def _hints(envelope: Envelope) -> str:
    return ", ".join(signature.keyid[:20] or "nobody named" for signature in envelope.signatures)


def _one_line(envelope: bytes) -> bytes:
    parsed = Envelope.parse(envelope, "a badge")
    text = b" ".join(part.strip() for part in parsed.to_bytes().split(b"\n"))
    return text.strip()
