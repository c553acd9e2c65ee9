"""A galaxy's transparency log: verify its signed head, and the proof that a star is in it.

Each star that a galaxy publishes is one entry, a line of text that anyone can read:

    cosmos-log-v1 star core zlib 1.3.1 sha256:… sha256:…          galaxy, name, version, statement, archive

The entries are the leaves of a Merkle tree (`trust.merkle`). Its head is a signed note (`trust.notes`) whose origin is
`GALAXY/log`. It counts when a threshold of keys of the role `log` has signed it and, where trust.toml names witnesses,
a threshold of those.

`NAME-VERSION.tlog-proof` (c2sp.org/tlog-proof@v1) beside a star's statement needs no server:

    c2sp.org/tlog-proof@v1
    index 4
    <base64 of a hash>              the inclusion proof, one hash a line, from the leaf upward
                                    an empty line, and then the head
    core/log
    …

A log detects a star that was never published in it. For a machine that **remembers a head or trusts a witness**, it
also detects a log that was cut, forked or rewritten. Without memory and witness it detects none of these: the holder of
the log's key can show each reader another log.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import field
from typing import Final, Self

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.version import Version
from cosmos.records import dataclass
from cosmos.trust import canonical_base64
from cosmos.trust.merkle import (
    HASH_BYTES,
    MAX_PROOF_HASHES,
    BadProof,
    Tree,
    leaf_hash,
    root_of,
    verify_consistency,
    verify_inclusion,
)
from cosmos.trust.notes import MAX_NOTE_BYTES, Head, Note
from cosmos.trust.roots import TrustRoots

_EVIDENCE: Final = "keep both heads as evidence, and ask the galaxy's owner"
PROOF_SUFFIX: Final = ".tlog-proof"
MAX_PROOF_BYTES: Final = MAX_NOTE_BYTES + 16384  # the hashes of the largest log, and its head
_FIRST_LINE: Final = "c2sp.org/tlog-proof@v1"
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,18})")


class BadLog(Refused):
    """A log's head lacks the signatures that it must have, or does not continue the head seen before."""


class _Seal:
    """The seal that only this module can make (see `trust.stars`)."""


_SEAL = _Seal()


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifiedHead:
    """A head that enough log keys have signed, and enough of the pinned witnesses; only this module makes one."""

    head: Head
    signers: tuple[str, ...]
    witnesses: tuple[str, ...]
    seal: _Seal = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse to be made elsewhere."""
        if self.seal is not _SEAL:
            raise TypeError("a VerifiedHead comes from verify_head alone")


@dataclass(frozen=True, kw_only=True, slots=True)
class LogProof:
    """A parsed `.tlog-proof`; nothing in it is verified."""

    index: int
    hashes: tuple[bytes, ...]
    note: bytes

    @classmethod
    def parse(cls, data: bytes, source: str) -> Self:
        """Return the proof in `data`; raises `BadProof`. Extra data is refused, because nobody signed it."""
        if len(data) > MAX_PROOF_BYTES:
            raise BadProof(source, f"has {len(data)} bytes, the limit of a proof is {MAX_PROOF_BYTES}")
        top, separator, note = data.partition(b"\n\n")
        lines = top.decode("utf-8", "replace").split("\n")
        index = _INDEX.fullmatch(lines[1]) if len(lines) > 1 else None
        if not separator or lines[0] != _FIRST_LINE or index is None:
            raise BadProof(source, f"want the lines {_FIRST_LINE!r} and 'index NUMBER', hashes, and a head")
        if len(lines) - 2 > MAX_PROOF_HASHES:
            raise BadProof(source, f"has {len(lines) - 2} hashes, no log is that large")
        return cls(index=int(index[1]), hashes=tuple(_hash(line, source) for line in lines[2:]), note=note)

    def to_bytes(self) -> bytes:
        """Return the file."""
        lines = [_FIRST_LINE, f"index {self.index}", *(canonical_base64.encoded(one) for one in self.hashes)]
        return "".join(f"{line}\n" for line in lines).encode() + b"\n" + self.note


def log_origin(galaxy: GalaxyName) -> str:
    """Return the origin of a galaxy's log."""
    return f"{galaxy}/log"


def star_entry(galaxy: GalaxyName, name: StarName, version: Version, statement: Digest, archive: Digest) -> bytes:
    """Return the entry that publishes one version of a star."""
    return f"cosmos-log-v1 star {galaxy} {name} {version} {statement} {archive}".encode()


def verify_head(note: bytes, *, galaxy: GalaxyName, roots: TrustRoots, source: str) -> VerifiedHead:
    """Return the head in `note` if it is of the galaxy's log and has the signatures it must have; raises `Refused`."""
    parsed, origin = Note.parse(note, source), log_origin(galaxy)
    signers = parsed.log_signers(origin, roots.keys("log"), source)
    _demand(len(signers), roots.threshold("log"), "log", source)
    watching = roots.keys("witness")
    witnesses = parsed.witnesses(watching, source)
    if watching or "witness" in roots.roles:
        _demand(len(witnesses), roots.threshold("witness"), "witness", source)
    head = Head.parse(parsed.text, source)
    if head.origin != origin:
        raise BadLog(source, f"is the head of {head.origin}, but {origin} was asked for")
    return VerifiedHead(head=head, signers=signers, witnesses=witnesses, seal=_SEAL)


def verify_logged(entry: bytes, proof: bytes, *, galaxy: GalaxyName, roots: TrustRoots, source: str) -> VerifiedHead:
    """Return the head in `proof` if the proof shows that `entry` is in the galaxy's log; raises `Refused`."""
    parsed = LogProof.parse(proof, source)
    head = verify_head(parsed.note, galaxy=galaxy, roots=roots, source=source)
    verify_inclusion(leaf_hash(entry), parsed.index, head.head.size, parsed.hashes, head.head.root, source)
    return head


def demand_continued(seen: Head, now: VerifiedHead, leaves: Sequence[bytes], source: str) -> None:
    """Refuse a log whose leaf hashes do not begin with all the entries of the earlier head `seen`.

    Raises `BadLog` for a log that shrank, for another log, and if `leaves` are not those of its own head.
    """
    head = now.head
    if head.size < seen.size:
        said = f"has {head.size} entries, but {seen.size} were seen before: it was cut"
        raise BadLog(source, said, hint=_EVIDENCE)
    if len(leaves) != head.size or root_of(leaves) != head.root:
        raise BadLog(source, f"its {len(leaves)} entries are not those of its signed head")
    try:
        proof = Tree(leaves).consistency(seen.size) if seen.size else ()
        verify_consistency(seen.size, head.size, proof, seen.root, head.root, source)
    except BadProof as error:
        raise BadLog(
            source,
            f"does not begin with the {seen.size} entries that were seen before: it was forked or rewritten",
            hint=_EVIDENCE,
        ) from error


def _demand(got: int, threshold: int, role: str, source: str) -> None:
    if got < threshold:
        raise BadLog(
            source,
            f"want the head signed by {threshold} pinned keys of the role {role}, got {got or 'none'}",
            hint="see which keys are pinned with: cosmos trust show",
        )


def _hash(line: str, source: str) -> bytes:
    try:
        found = canonical_base64.decoded(line)
    except ValueError as error:
        raise BadProof(source, f"a hash: {error}") from error
    if len(found) != HASH_BYTES:
        raise BadProof(source, f"want hashes of {HASH_BYTES} bytes, got one of {len(found)}")
    return found
