"""`Source`: a galaxy's signed documents and archives, from the galaxy or from the store.

The rule:

- **offline** (no carrier): the store alone. An error names the file that is missing.
- **a local galaxy** (a folder, a USB stick): read at every build, so that each build notices a damaged or changed file,
  although the store has the right bytes. Reading is cheap there.
- **a remote galaxy**: the store first; a file that the store has is not fetched again, unless it is damaged there.
- **a vendored galaxy** (staging.vendored): read as a local one. It is a copy for
  one lock, so it never says what is newest.

Nothing here is trusted yet: `trust` judges the bytes, and verified documents are kept in the store (`keep`).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from cosmos.canon import digest_of
from cosmos.digest import Digest
from cosmos.errors import Refused, WorldFailed
from cosmos.limits import MAX_DOCUMENT_BYTES, MAX_INDEX_BYTES, MAX_INDEX_ENVELOPE_BYTES
from cosmos.model.galaxy import CataloguePin
from cosmos.model.lock import LockedGalaxy, LockedStar
from cosmos.model.names import GalaxyName
from cosmos.records import dataclass
from cosmos.store.interface import Damaged, Store
from cosmos.tables import Table
from cosmos.transport.carrier import Carrier, NotThere
from cosmos.trust.archives import VerifiedArchive, verify_archive
from cosmos.trust.dsse import Envelope

INDEX_FILE: Final = "meta.toml"
_KEPT: Final = re.compile(rb"(unsigned|signed) ([0-9]{1,18})\n")  # before a document and its envelope, in the store
_SEQ: Final = re.compile(rb"^seq = ([1-9][0-9]{0,17})$", re.MULTILINE)  # nothing is parsed before it is verified


@dataclass(frozen=True, kw_only=True, slots=True)
class SignedFile:
    """A document's exact bytes, and the envelope beside it if there was one."""

    path: str
    data: bytes
    envelope: bytes | None

    @property
    def digest(self) -> Digest:
        """The digest of the document's bytes."""
        return Digest.of(self.data)


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """One galaxy's bytes. `carrier` is None when offline.

    `is_vendored`: the carrier has a copy that holds the snapshot of one lock alone, so its index is nobody's newest.
    `is_unchanged` says whether the galaxy's file at a path is known to have a digest, although nobody reads it now.
    """

    galaxy: GalaxyName
    carrier: Carrier | None
    store: Store
    is_vendored: bool = False
    is_unchanged: Callable[[str, Digest], bool] = lambda _path, _digest: False

    def newest_index(self) -> SignedFile:
        """Return the galaxy's index of today; raises `WorldFailed` offline."""
        if self.carrier is None:
            raise WorldFailed(
                self.galaxy, "its index cannot be read offline", hint="run the same command without --offline"
            )
        return self._index_now(self.carrier)

    def snapshot(self, seq: int) -> SignedFile:
        """Return the galaxy's copy of the index with this seq; raises `WorldFailed`, also offline."""
        if self.carrier is None:
            raise not_stored(f"snapshot {seq} of galaxy {self.galaxy}")
        return self._fetched(self.carrier, f"snapshots/{seq}.toml", MAX_INDEX_BYTES)

    def kept_index(self, seq: int, digest: Digest) -> SignedFile:
        """Return the index with this digest from the store; raises `WorldFailed` if the store does not have it."""
        kept = self._kept(f"snapshots/{seq}.toml", digest)
        if kept is None:
            raise not_stored(f"the index of galaxy {self.galaxy}")
        return kept

    def index(self, locked: LockedGalaxy) -> SignedFile:
        """Return the snapshot that the lock names, from the store or from the galaxy.

        Raises `WorldFailed` if neither has it, `Refused` if the galaxy has another file under its name.
        """
        kept = None if self.is_vendored else self._kept(f"snapshots/{locked.seq}.toml", locked.index)
        if kept is not None:
            return kept
        if self.carrier is None:
            raise not_stored(f"the index of galaxy {self.galaxy}")
        now = self._index_now(self.carrier)
        if now.digest == locked.index or self.is_vendored:
            return self._pinned(now, locked.index, "the lock")
        older = self._fetched(self.carrier, f"snapshots/{locked.seq}.toml", MAX_INDEX_BYTES)
        return self._pinned(older, locked.index, "the lock")

    def statement(self, stem: str, pinned: Digest, by: str = "the index") -> SignedFile:
        """Return the statement of the star whose files are called `stem`, with the digest that `by` pins.

        Raises `Refused` for another statement, `WorldFailed` if it cannot be fetched.
        """
        path = statement_path(stem)
        if self.carrier is None or not self.carrier.is_local:
            kept = self._kept(path, pinned)
            if kept is not None:
                return kept
        if self.carrier is None:
            raise not_stored(stem)
        return self._pinned(self._fetched(self.carrier, path, MAX_DOCUMENT_BYTES), pinned, by)

    def kept_statement(self, star: LockedStar) -> bytes | None:
        """Return the statement that the lock pins for `star`, if the store has it; its digest was checked."""
        kept = self._kept(statement_path(star.id), star.statement)
        return None if kept is None else kept.data

    def catalogue(self, pin: CataloguePin, by: str = "the index") -> bytes:
        """Return the catalogue that `by` pins, from the store or the galaxy; nothing has parsed it yet.

        Raises `Refused` for another file, `WorldFailed` if it cannot be fetched.
        """
        stored = self.store.has(pin.digest, pin.size_bytes)
        if stored and (self.carrier is None or not self.carrier.is_local):
            return bytes(self.store.get(pin.digest, pin.size_bytes))
        if self.carrier is None:
            raise not_stored(f"the catalogue of galaxy {self.galaxy}")
        data = bytes(self.carrier.read_exactly(pin.path, size_bytes=pin.size_bytes, progress=lambda _done: None))
        return self._pinned(SignedFile(path=pin.path, data=data, envelope=None), pin.digest, by).data

    def keep_catalogue(self, pin: CataloguePin, data: bytes) -> None:
        """Keep a catalogue that `catalogue` returned, durably, for use offline. Raises `WorldFailed`."""
        if not self.store.has(pin.digest, pin.size_bytes):
            self.store.put_hashed(pin.digest, data)

    def signed_anew(self, file: SignedFile) -> SignedFile | None:
        """Return the same document with the remote galaxy's signatures of today, or None if they are the same.

        The store keeps the signatures of the day of the fetch. Keys may have been rotated since then.
        """
        if self.carrier is None or self.carrier.is_local:
            return None
        try:
            again = self._fetched(self.carrier, file.path, MAX_INDEX_BYTES)
        except WorldFailed:
            return None
        return again if again.digest == file.digest and again.envelope != file.envelope else None

    def has_unchanged(self, star: LockedStar) -> bool:
        """Return whether the store has the star's archive, and the galaxy's file is known to be the same.

        Whoever unpacks the archive gets it from the store, hashed (`stored_archive`).
        """
        return self.is_unchanged(star.file, star.archive) and self.store.has(star.archive, star.size_bytes)

    def archive(self, star: LockedStar, progress: Callable[[int], None]) -> VerifiedArchive:
        """Return the star's archive, verified. Raises `Refused`, and `WorldFailed` if it cannot be fetched."""
        stored = self.store.has(star.archive, star.size_bytes)
        if stored and (self.carrier is None or not self.carrier.is_local):
            try:
                return self.stored_archive(star)
            except Damaged:  # it was removed
                if self.carrier is None:
                    raise
        if self.carrier is None:
            raise not_stored(f"{star.name} {star.version}")
        data = self.carrier.read_exactly(star.file, size_bytes=star.size_bytes, progress=progress, digest=star.archive)
        return verify_archive(data, star)

    def stored_archive(self, star: LockedStar) -> VerifiedArchive:
        """Return the star's archive from the store, hashed once. Raises `NotStored`, and `Refused` if it is damaged."""
        data = self.store.unchecked(star.archive, star.size_bytes)
        try:
            return verify_archive(data, star)
        except Refused:
            return verify_archive(self.store.get(star.archive, star.size_bytes), star)  # removes a damaged one

    def has_kept(self, digest: Digest) -> bool:
        """Return whether the store has the document with this digest."""
        return self.kept_file(digest) is not None

    def kept_file(self, digest: Digest) -> SignedFile | None:
        """Return the document with this digest as the store has it, or None; nothing in it is verified."""
        return self._kept("", digest)

    def keep(self, file: SignedFile) -> None:
        """Keep a verified document and its envelope, so that an offline build finds them.

        They are durable after `Store.settle`.
        """
        signed = "unsigned" if file.envelope is None else "signed"
        head = f"{signed} {len(file.data)}\n".encode()
        self.store.put_result_soon(self._key(file.digest), head + file.data + (file.envelope or b""))

    def keep_unsigned(self, file: SignedFile) -> None:
        """Keep an index that nobody signed as the newest one of this galaxy: no memory says which one that is."""
        self.keep(file)
        self.store.put_result_soon(self._newest_key(), str(file.digest).encode())

    def newest_unsigned(self) -> SignedFile | None:
        """Return the index that `keep_unsigned` kept last, or None."""
        record = self.store.get_result(self._newest_key())
        try:
            return None if record is None else self._kept(INDEX_FILE, Digest.parse(record.decode("ascii")))
        except ValueError:
            return None

    def _newest_key(self) -> Digest:
        return digest_of({"kind": "newest-unsigned-index", "galaxy": str(self.galaxy)})

    def _kept(self, path: str, digest: Digest) -> SignedFile | None:
        record = self.store.get_result(self._key(digest))
        match = None if record is None else _KEPT.match(record)
        if record is None or match is None:
            return self._kept_before(path, digest)
        end = match.end() + int(match[2])
        envelope = record[end:] if match[1] == b"signed" else None
        file = SignedFile(path=path, data=record[match.end() : end], envelope=envelope)
        return file if file.digest == digest else None

    def _kept_before(self, path: str, digest: Digest) -> SignedFile | None:
        """Return a document that an older cosmos kept: a record that names its blob and its envelope's blob."""
        record = self.store.get_result(digest_of({**self._key_of(digest), "kind": "signed-file"}))
        if record is None:
            return None
        table = Table.from_json(record, f"the store's record of {path}")
        size_bytes, sealed = table.count("size-bytes"), table.take_read("envelope", Digest.parse)
        sealed_bytes = table.count("envelope-bytes") if sealed is not None else 0
        if not self.store.has(digest, size_bytes) or (sealed is not None and not self.store.has(sealed, sealed_bytes)):
            return None
        envelope = bytes(self.store.get(sealed, sealed_bytes)) if sealed is not None else None
        return SignedFile(path=path, data=bytes(self.store.get(digest, size_bytes)), envelope=envelope)

    def _index_now(self, carrier: Carrier) -> SignedFile:
        """Return the galaxy's index, with the envelope that signs these bytes, if it has one.

        During a publication, or after one that was cut off, the envelope beside the index may belong to another seq.
        The kept copy of the index has its own envelope, written before the publication (stellar.publishing). The caller
        judges that envelope as any other.
        """
        now = self._fetched(carrier, INDEX_FILE, MAX_INDEX_BYTES)
        seq = _seq(now.data)
        if now.envelope is None or seq in (None, _seq(_payload(now.envelope))):
            return now
        try:
            kept = carrier.read(f"snapshots/{seq}.toml.dsse", max_bytes=MAX_INDEX_ENVELOPE_BYTES)
        except NotThere:
            return now
        return SignedFile(path=now.path, data=now.data, envelope=kept) if _payload(kept) == now.data else now

    def _fetched(self, carrier: Carrier, path: str, max_bytes: int) -> SignedFile:
        data = carrier.read(path, max_bytes=max_bytes)
        try:
            envelope = carrier.read(f"{path}.dsse", max_bytes=MAX_INDEX_ENVELOPE_BYTES)
        except NotThere:
            envelope = None  # unsigned: `trust` decides whether that is allowed
        return SignedFile(path=path, data=data, envelope=envelope)

    def _pinned(self, file: SignedFile, pinned: Digest, by: str) -> SignedFile:
        if file.digest != pinned:
            raise Refused(
                f"{self.galaxy}: {file.path}",
                f"{by} names {pinned}, but the file is {file.digest}",
                hint="the galaxy was changed or damaged: get it again, or `cosmos freeze` to lock what it has now",
            )
        return file

    def _key(self, digest: Digest) -> Digest:
        return digest_of({**self._key_of(digest)})

    def _key_of(self, digest: Digest) -> dict[str, str]:
        return {"kind": "signed-document", "galaxy": str(self.galaxy), "document": str(digest)}


def _payload(envelope: bytes) -> bytes:
    """Return the envelope's payload, unverified, or no bytes if this is not an envelope."""
    try:
        return Envelope.parse(envelope, "", max_bytes=MAX_INDEX_ENVELOPE_BYTES).payload
    except Refused:
        return b""


def _seq(index: bytes) -> int | None:
    """Return the seq of the index in these bytes, or None if it has no seq; the index is not verified yet."""
    found = _SEQ.search(index)
    return None if found is None else int(found[1])


def statement_path(stem: str) -> str:
    """Return a galaxy's path for the statement of the star whose files are called `stem`."""
    return f"stars/{stem}.toml"


def not_stored(what: str) -> WorldFailed:
    """Return the error for a file that an offline command would have to fetch."""
    return WorldFailed(
        what, "is not in the store, and offline nothing is fetched", hint="run the same command without --offline once"
    )
