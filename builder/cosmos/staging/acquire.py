"""Fetch a locked star and verify it, before any of it is unpacked or run.

In this order (TRUST.md sections 1 to 5):

  1. the galaxy's snapshot is the lock's, is signed, and lists the star
  2. the star's statement is the lock's, is signed by pinned keys, and is about this star in this galaxy
  3. the statement and the lock agree on every pin
  4. the archive has the lock's size and digest

The archive's bytes stay in the store. `staging.stage` reads them from there and checks them again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeVar

from cosmos.digest import Digest
from cosmos.errors import Refused
from cosmos.model.facts import Facts
from cosmos.model.file_names import file_stem
from cosmos.model.galaxy import Listed
from cosmos.model.lock import Lock, LockedGalaxy, LockedStar
from cosmos.model.names import StarName
from cosmos.model.statement import Statement
from cosmos.model.version import Version
from cosmos.records import dataclass
from cosmos.spool import Spool
from cosmos.staging.logs import Published
from cosmos.staging.source import SignedFile, Source, not_stored
from cosmos.staging.upstream import statement_for
from cosmos.store.interface import Damaged, Store
from cosmos.trust.archives import VerifiedArchive
from cosmos.trust.dsse import Envelope, NotSigned, signers_of
from cosmos.trust.galaxies import VerifiedIndex, verify_index
from cosmos.trust.memory import demand_not_older
from cosmos.trust.roots import TrustRoots
from cosmos.trust.stars import VerifiedStatement, verify_statement

T = TypeVar("T")
_EDITED: Final = "was the lock edited or merged by hand? cosmos freeze IMAGE pins the galaxy's stars again"


@dataclass(frozen=True, kw_only=True, slots=True)
class Acquired:
    """A locked star whose statement and archive were verified; the archive's bytes lie in the store.

    `stem` is the name of its files in its galaxy, without their endings. `envelope` is the digest of the statement's
    envelope, None if nobody signed the star.
    `is_upstream`: its galaxy has upstream's format.
    """

    star: LockedStar
    statement: VerifiedStatement
    source: Source
    stem: str
    envelope: Digest | None = None
    is_upstream: bool = False

    @property
    def published(self) -> Published:
        """The star and its galaxy, for the judge of log proofs and badges."""
        return Published(star=self.star, source=self.source, stem=self.stem)

    def archive(self) -> VerifiedArchive:
        """Return the archive's bytes from the store, verified again; a damaged copy is replaced from a local galaxy.

        Raises `Refused`.
        """
        try:
            return self.source.stored_archive(self.star)
        except Damaged:  # it was removed; a worker makes no connection to a server
            if self.source.carrier is None or not self.source.carrier.is_local:
                raise
            archive = self.source.archive(self.star, lambda _done: None)
            self.source.store.put_hashed(self.star.archive, archive.data)
            return archive

    def spool(self) -> Spool:
        """Return a spool beside the archive, for its contents."""
        return self.source.store.spool()


def acquire_index(locked: LockedGalaxy, source: Source, roots: TrustRoots) -> tuple[SignedFile, VerifiedIndex]:
    """Return the verified snapshot that the lock names; it may be older than the galaxy's index of today.

    The caller compares it with the memory, and then keeps the file.

    Raises `Refused` if the snapshot has another seq than the lock states.
    """
    file, verified = with_newest_signatures(
        source.index(locked),
        source,
        lambda file: verified_index(file, source, roots, allow_unsigned=locked.allow_unsigned),
    )
    if verified.index.seq != locked.seq:
        raise Refused(
            f"{locked.name}: {file.path}",
            f"the lock names seq {locked.seq}, but the index has {verified.index.seq}",
            hint=_EDITED,
        )
    if verified.index.version != locked.version:
        raise Refused(
            f"{locked.name}: {file.path}",
            f"the lock names version {locked.version}, but the index is {verified.index.version}",
            hint=_EDITED,
        )
    return file, verified


def newest_index(
    locked: LockedGalaxy, source: Source, roots: TrustRoots, snapshot: tuple[SignedFile, VerifiedIndex]
) -> VerifiedIndex | None:
    """Return the newest index of a local galaxy: the lock's snapshot or a later one with valid signatures.

    `snapshot` is what `acquire_index` returned for the same `roots`: the same bytes are not verified twice.
    Return None offline, for a remote galaxy, for a vendored one, and for the unsigned index that the lock names.
    Raises `Refused`.
    """
    if source.carrier is None or not source.carrier.is_local or source.is_vendored:
        return None
    file = source.newest_index()
    if file.digest == locked.index and file.envelope is None and locked.allow_unsigned:
        return None
    kept, verified = snapshot
    is_same = (file.data, file.envelope) == (kept.data, kept.envelope)
    newest = verified if is_same else verified_index(file, source, roots, allow_unsigned=locked.allow_unsigned)
    demand_not_before(newest, locked, file.path)
    return newest


def demand_not_before(newest: VerifiedIndex, seen: LockedGalaxy, path: str) -> None:
    """Raise `RolledBack` for an index that is older than the lock's snapshot, or another one with the same seq.

    An index without a seq (upstream's) is never older.
    """
    if newest.index.seq or seen.seq:
        source = f"{seen.name}: {path}"
        demand_not_older(seen.seq, seen.index, newest.index.seq, newest.digest, source, "seq", where=", in the lock")


def verified_index(file: SignedFile, source: Source, roots: TrustRoots, *, allow_unsigned: bool) -> VerifiedIndex:
    """Return the index in `file` if the galaxy's pinned keys signed it; raises `Refused` or `Malformed`."""
    return verify_index(
        file.data,
        file.envelope,
        galaxy=source.galaxy,
        roots=roots,
        allow_unsigned=allow_unsigned,
        source=f"{source.galaxy}: {file.path}",
    )


def verified_statement(
    file: SignedFile,
    row: Listed | None,
    source: Source,
    *,
    name: StarName,
    version: Version,
    roots: TrustRoots,
    allow_unsigned: bool,
) -> tuple[SignedFile, VerifiedStatement]:
    """Return a star's statement, signed by its author and as listed in the index's `row`, with its file.

    `row` is None for a galaxy in upstream's format. Raises `Refused`.
    """
    file, verified = with_newest_signatures(
        file,
        source,
        lambda file: verify_statement(
            file.data,
            file.envelope,
            galaxy=source.galaxy,
            name=name,
            version=version,
            roots=roots,
            allow_unsigned=allow_unsigned,
            source=f"{source.galaxy}: {file.path}",
        ),
    )
    if row is not None:
        _demand_as_listed(verified.statement, row, f"{source.galaxy}: {file.path}")
    return file, verified


def with_newest_signatures(file: SignedFile, source: Source, judge: Callable[[SignedFile], T]) -> tuple[SignedFile, T]:
    """Return `file` and the result of `judge`; if its kept signatures no longer count, with the newest signatures.

    The document stays the same, byte for byte. Only its signers may have changed since it was kept.
    """
    try:
        return file, judge(file)
    except NotSigned:
        again = source.signed_anew(file)
        if again is None:
            raise
        return again, judge(again)


def acquire_star(
    lock: Lock,
    star: LockedStar,
    index: VerifiedIndex,
    source: Source,
    roots: TrustRoots,
    progress: Callable[[int], None],
    then: TrustRoots | None = None,
) -> Acquired:
    """Return `star` fetched and verified, its archive in the store; raises `Refused` or `WorldFailed`.

    `then` are the trust anchors that were used to make the lock, if they are known.
    """
    galaxy = lock.galaxy(star.galaxy)
    row = _listed(star, index, galaxy)
    file, statement = verified_statement(
        statement_for(source, index.index, star, row),
        row,
        source,
        name=star.name,
        version=star.version,
        roots=roots,
        allow_unsigned=galaxy.allow_unsigned,
    )
    check_pins(star, statement.statement)
    _demand_signers(star, statement.signers, file, (roots,) if then is None else (roots, then))
    source.keep(file)
    if not source.has_unchanged(star):
        archive = source.archive(star, progress)
        if not source.store.has(star.archive, star.size_bytes):
            source.store.put_hashed_soon(star.archive, archive.data)
    stem = file_stem(star.name, str(star.version)) if row is None else row.stem
    envelope = None if file.envelope is None else Digest.of(file.envelope)
    return Acquired(
        star=star, statement=statement, source=source, stem=stem, envelope=envelope, is_upstream=row is None
    )


def _listed(star: LockedStar, index: VerifiedIndex, galaxy: LockedGalaxy) -> Listed | None:
    """Return the star's row in the snapshot, or None for a galaxy in upstream's format; raises `Refused`."""
    if not index.index.snapshot:
        return None
    row = index.rows.get(star.statement)
    if row is not None and (row.name, row.version, row.archive) == (star.name, star.version, star.archive):
        return row
    raise Refused(
        star.id,
        f"snapshot {galaxy.seq} of galaxy {galaxy.name} does not list it as the lock pins it",
        hint=_EDITED,
    )


def _demand_as_listed(statement: Statement, row: Listed, source: str) -> None:
    """Refuse a statement that differs from its row in the index: an index can hide or mislabel, never vouch."""
    if statement.archive != row.archive:
        raise Refused(source, f"the index lists the archive {row.archive}, but the statement says {statement.archive}")
    if row.arch not in (None, statement.star.arch):
        raise Refused(source, f"the index lists it for {row.arch}, but the statement says {statement.star.arch}")


def check_pins(star: LockedStar, statement: Statement) -> None:
    """Refuse a statement that disagrees with the lock's pins in any point."""
    pins = {
        "arch": (star.arch, statement.star.arch),
        "type": (star.type, statement.star.type),
        "file": (star.file, statement.file),
        "archive": (star.archive, statement.archive),
        "size-bytes": (star.size_bytes, statement.size_bytes),
        "unpacked-bytes": (star.unpacked_bytes, statement.unpacked_bytes),
        "script": (star.script or "none", statement.script or "none"),
    }
    for what, (locked, stated) in pins.items():
        if locked != stated:
            said = f"the lock pins {what} {locked}, but its signed statement says {stated}"
            raise Refused(star.id, said, hint=_EDITED)
    if star.facts is not None:
        _demand_same_facts(star.id, star.facts, Facts.of(statement.star))


def _demand_same_facts(star: str, locked: Facts, signed: Facts) -> None:
    said = signed.to_toml()
    for key, value in locked.to_toml().items():
        if value != said[key]:
            problem = f"the lock says that its {key} are {value}, but its signed statement says {said[key]}"
            raise Refused(star, problem, hint=_EDITED)


def _demand_signers(
    star: LockedStar, signers: tuple[str, ...], file: SignedFile, known: tuple[TrustRoots, ...]
) -> None:
    """Refuse a lock that names a signer who did not sign, or that names too few of the `signers` who count today.

    The lock may name a key that was revoked after the star was locked, if it did sign: its signature counts no more.
    The keys that can be known are those of today's trust anchors, the first of `known`, and of the lock's.
    """
    rest = set(star.signers) - set(signers)
    if rest and file.envelope is not None:
        listed = {key.raw: key for roots in known for key in roots.author_keys_ever(star.galaxy, star.name)}
        envelope = Envelope.parse(file.envelope, f"{star.galaxy}: {file.path}.dsse")
        rest -= set(signers_of(envelope, [key for key in listed.values() if key.id in rest]))
    counted, threshold = len(set(signers) & set(star.signers)), known[0].threshold("author")
    revoked = {row.key for row in known[0].revoked}
    if signers and counted < threshold and rest <= revoked:
        few = f"only {counted} of the {threshold} that must have signed" if counted else "none of them"
        raise Refused(
            star.id,
            f"was signed again, by {', '.join(signers)}, and the lock names {few}",
            hint="lock its signers of today with: cosmos freeze IMAGE",
        )
    if rest:
        raise Refused(
            star.id,
            f"the lock says that {', '.join(sorted(rest))} signed it, but it has no such signature",
            hint="lock its signers of today with: cosmos freeze IMAGE",
        )


def demand_stored(lock: Lock, store: Store) -> None:
    """Raise `WorldFailed` that names the first star, in lock order, whose archive is not in the store."""
    for star in lock.stars:
        if not store.has(star.archive, star.size_bytes):
            raise not_stored(f"{star.name} {star.version}")
