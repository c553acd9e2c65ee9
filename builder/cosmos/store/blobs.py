"""`StoreFolder`: bytes by their digest, on the builder's disk (the `Store` of store.interface).

    ROOT/blobs/9f/9f86d0…           a blob's bytes; its name is its SHA-256 in hex
    ROOT/results/2c/2c26b4…         a small document by the digest of its inputs: see below
    ROOT/batches/000000000007       many such documents in one file (store.batches)
    ROOT/partial/                   downloads that were cut off (transport.partial writes them)
    ROOT/temporary/                 what is being written right now
    ROOT/lock                       held together by writers, alone by `sweep`; its mode is 0600
    ROOT/users                      held together by those that use the store (`hold`), alone by `store.upkeep`

ROOT is a folder of the builder's machine or of a system (`folders`).

A blob is named by digest and size, the form of the Bazel Remote Execution API. A name appears when all of its bytes are
on the disk, so that a kill or a power cut leaves a blob whole or absent. `sweep` removes the files that a killed writer
left in `temporary/`. Every read hashes the blob again: a store is a cache, never a reason to trust. A file that is
longer than anything that a store keeps (`MAX_STORED_BYTES`, `MAX_RESULT_BYTES`) is damaged, and is not read.

A result is stored as one line `cosmos-result 1 KEY DIGEST` and its data. A result that does not match its line counts
as absent. The store cannot check a result against its inputs: a caller that relies on one for more than speed must
check it.

Many blobs in a row are kept with `put_hashed_soon`, and get their names together (`store.soon`).
Thousands of results in a row are kept with `put_result_soon`, wait in memory, and are written together by `settle`: a
file and an fsync each would cost more than all else that is done with them. A kill before `settle` loses the results of
the last seconds (`MAX_WAITING_RESULT_SECONDS`): what waits longer is written when the next result comes. A result
that has a file of its own, as all had in older stores, is looked for there first, and is replaced there.

A command that must find again what it has seen in the store calls `hold`. Nothing is collected meanwhile, and each file
that is read gets the time of its use, by which `store.upkeep` knows what was used least recently. A store on a medium
that is read-only is used without both: nobody can remove anything from it.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from cosmos.canon import canonical_json
from cosmos.content import Content, content_digest, unchanged_pieces
from cosmos.digest import Digest
from cosmos.durable import Draft, blaming, drafted_in
from cosmos.errors import WorldFailed
from cosmos.folders import Folder, folder_at
from cosmos.limits import MAX_RESULT_BYTES, MAX_STORED_BYTES, demand_within
from cosmos.reading import open_content, read_within
from cosmos.spool import Spool
from cosmos.store.batches import Batches, sealed, unsealed
from cosmos.store.interface import Damaged
from cosmos.store.soon import READ_ONLY, Soon
from cosmos.tables import Table

USERS: Final = "users"


def blob_path(digest: Digest) -> str:
    """Return the path of a blob in the folder of a store."""
    return f"blobs/{digest.hex[:2]}/{digest.hex}"


class NotStored(WorldFailed):
    """The store does not hold a blob that was asked for."""


class StoreFolder:
    """A folder of blobs and results, for any number of processes at once. Nothing is made before the first write."""

    __slots__ = ("_batches", "_folder", "_held", "_is_holding", "_shown", "_soon")

    def __init__(self, root: Path | Folder) -> None:
        self._folder = folder_at(root)
        self._shown = str(self._folder)  # for messages, of which a path takes longer than to read a small blob
        self._batches = Batches(self._folder.folder("batches"), self._draft, self._count_use)
        self._soon = Soon(self._room, self._blobs)
        self._is_holding = False
        self._held: contextlib.ExitStack | None = None

    @contextlib.contextmanager
    def hold(self) -> Iterator[None]:
        """Use the store for the block: nothing in it is collected meanwhile, and what is read counts as used."""
        self._is_holding = True
        try:
            if self._folder.is_there():
                self._hold_now()
            yield
        finally:
            self._is_holding = False
            if self._held is not None:
                self._held.close()
                self._held = None

    def _hold_now(self) -> None:
        if self._held is None:
            held = contextlib.ExitStack()
            with contextlib.suppress(OSError):
                held.enter_context(self._folder.locked(USERS, "shared"))
                self._held = held

    @property
    def root(self) -> Path:
        """The store's path, for messages alone."""
        return self._folder.path

    @property
    def folder(self) -> Folder:
        """The store's folder, for `store.upkeep`."""
        return self._folder

    @property
    def partial_dir(self) -> Folder:
        """The folder of downloads that were cut off and can be resumed."""
        return self._folder.folder("partial")

    def has(self, digest: Digest, size_bytes: int) -> bool:
        """Return whether the store has a blob of that name and size; its bytes are not read."""
        self._name(digest)
        return self._folder.size_bytes(blob_path(digest)) == size_bytes

    def get(self, digest: Digest, size_bytes: int) -> Content:
        """Return the blob, hashed again; a large one stays on the disk.

        Raises `NotStored` if it is missing; removes a damaged one: `Damaged`, or `WorldFailed` if it cannot.
        """
        data = self.unchecked(digest, size_bytes)
        if _is_blob(data, digest, size_bytes):
            return data
        problem = f"the store's copy is damaged: {_unlike(data, size_bytes)}"
        try:
            self.remove_if_damaged(digest, size_bytes)
        except WorldFailed as error:  # as on a medium that is read-only
            raise WorldFailed(error.where, f"{problem}; it {error.problem}", hint=error.hint) from error
        raise Damaged(digest, problem, hint="it was removed; run the same command once more to fetch it again")

    def unchecked(self, digest: Digest, size_bytes: int) -> Content:  # noqa: ARG002 a store elsewhere asks by both
        """Return the file under the blob's name, for a caller that hashes it. Raises `NotStored`."""
        self._name(digest)
        data = self._content(digest)
        if data is None:
            raise NotStored(digest, f"the store {self.root} does not hold it")
        return data

    def put(self, data: Content) -> Digest:
        """Keep `data` durably and return its digest. Raises `WorldFailed` when the disk is full."""
        digest = content_digest(data)
        self.put_hashed(digest, data)
        return digest

    def put_hashed(self, digest: Digest, data: Content) -> None:
        """Keep `data` durably under the `digest` that the caller has just found for it. Raises `WorldFailed`.

        A file that has changed since then is not kept: `Refused`.
        """
        demand_within(len(data), MAX_STORED_BYTES, str(digest))
        if self._content(digest) != data:
            folder = self._blobs(digest)
            with folder.blaming(digest.hex), self._draft() as draft:
                for piece in unchanged_pieces(data, str(digest)):
                    draft.stream.write(piece)
                folder.keep(draft, digest.hex)

    def put_hashed_soon(self, digest: Digest, data: Content) -> None:
        """Keep `data` as `put_hashed` does, but for others and durably once `settle` is called, or much waits."""
        demand_within(len(data), MAX_STORED_BYTES, str(digest))
        if digest not in self._soon and self._content(digest) != data:
            self._soon.add(digest, unchanged_pieces(data, str(digest)), len(data))

    def _name(self, digest: Digest) -> None:
        """Let a blob that waits have its name, for a reader."""
        if digest in self._soon:
            self._soon.write()

    def spool(self) -> Spool:
        """Return a spool in this folder, for what is made of its blobs."""
        return Spool(self._folder.folder("temporary"))

    def get_result(self, key: Digest) -> bytes | None:
        """Return what was kept under `key`, or None; a damaged result counts as none and is removed."""
        record = self._own_record(key) or self._batches.find(key)
        return None if record is None else record[record.index(b"\n") + 1 :]

    def put_result(self, key: Digest, data: bytes) -> None:
        """Keep the small document `data` under `key` durably; what was there is replaced."""
        record = _record(key, data)
        if self._read(key) != record:
            folder = self._results(key)
            with folder.blaming(key.hex), self._draft() as draft:
                draft.stream.write(record)
                folder.keep(draft, key.hex)

    def put_result_soon(self, key: Digest, data: bytes) -> None:
        """Keep `data` as `put_result` does, but in memory until `settle` is called or very much waits there."""
        if self._own_record(key) is not None:
            self.put_result(key, data)
        else:
            self._batches.add(key, _record(key, data))

    def settle(self) -> None:
        """Make durable what this object kept with `put_hashed_soon` and `put_result_soon`. Raises `WorldFailed`."""
        self._soon.write()  # first: a record may name a blob
        self._batches.write()

    def mend_batches(self) -> int:
        """Write the batches that have damaged records again without these; return how many records were lost.

        Raises `WorldFailed`.
        """
        return self._batches.mend()

    def get_made(self, key: Digest) -> Content | None:
        """Return the blob that `put_made` kept for `key`, checked, or None. Raises `Damaged`."""
        record = self.get_result(key)
        if record is None:
            return None
        table = Table.from_json(record, f"the store's record {key.short}")
        blob, size_bytes = table.read("blob", Digest.parse), table.count("size-bytes")
        return self.get(blob, size_bytes) if self.has(blob, size_bytes) else None

    def put_made(self, key: Digest, data: Content) -> None:
        """Keep a product under `key`, the digest of all its inputs; unlike a result it may be large."""
        self.put_result(key, canonical_json({"blob": str(self.put(data)), "size-bytes": len(data)}))

    def sweep(self) -> bool:
        """Remove the files that killed writers left; return False, and do nothing, if another process is writing."""
        with blaming(self.root):
            if not self._folder.folder("temporary").names():
                return True  # also of a store on a medium that is read-only
        with blaming(self.root), self._folder.locked_if_free("lock") as is_alone:
            if is_alone:
                self._folder.remove_folder("temporary")
            return is_alone

    def blobs(self) -> Iterator[tuple[Digest, int]]:
        """Yield the name and the size of every blob; its bytes are not read. Raises `WorldFailed`."""
        whole = self._folder.folder("blobs")
        with blaming(whole.path):
            for top in whole.names():
                folder = whole.folder(top)
                for name in folder.names():
                    size_bytes = folder.size_bytes(name)
                    with contextlib.suppress(ValueError):
                        digest = Digest.from_hex(name)
                        if size_bytes is not None and digest.hex[:2] == top:
                            yield digest, size_bytes

    def remove_blobs(self, digests: Iterable[Digest]) -> bool:
        """Remove these blobs; return False, and do nothing, if another process is writing. Raises `WorldFailed`."""
        with blaming(self.root), self._folder.locked_if_free("lock") as is_alone:
            if is_alone:
                for digest in digests:
                    folder = self._blobs(digest)
                    with folder.blaming(digest.hex):
                        folder.remove(digest.hex)
            return is_alone

    def _blobs(self, digest: Digest) -> Folder:
        return self._folder.folder(f"blobs/{digest.hex[:2]}")

    def _results(self, key: Digest) -> Folder:
        return self._folder.folder(f"results/{key.hex[:2]}")

    def has_whole_result(self, key: Digest) -> bool:
        """Return whether the result with a file of its own is whole; a damaged one is removed. Raises `WorldFailed`."""
        return self._read(key) is None or self._own_record(key) is not None

    def _own_record(self, key: Digest) -> bytes | None:
        """Return the record that has a file of its own, or None; a damaged one is removed."""
        record = self._read(key)
        if record is None or unsealed(key, record) is not None:
            return record
        folder = self._results(key)
        with folder.blaming(key.hex):
            folder.remove(key.hex)  # at worst a good one that was just written: it is made again
        return None

    @contextlib.contextmanager
    def _draft(self) -> Iterator[Draft]:
        with self._room() as folder, drafted_in(folder, READ_ONLY) as draft:
            yield draft

    @contextlib.contextmanager
    def _room(self) -> Iterator[int]:
        """Give the open folder of temporary files, which nobody sweeps meanwhile. Raises `WorldFailed`.

        The block says itself which file it could not write.
        """
        if self._is_holding:
            self._hold_now()
        with contextlib.ExitStack() as stack:
            with self._folder.blaming():
                stack.enter_context(self._folder.locked("lock", "shared"))
                number = stack.enter_context(self._folder.folder("temporary").made())
            yield number

    def _read(self, key: Digest) -> bytes | None:
        """Return the bytes of a result's file: None without a file, and none of one that is longer than any result."""
        place = f"results/{key.hex[:2]}/{key.hex}"
        try:
            number = self._folder.open(place)
            if number is None:
                return None
            with os.fdopen(number, "rb") as stream:
                self._count_use(number)
                is_long = os.fstat(number).st_size > MAX_RESULT_BYTES
                return b"" if is_long else read_within(stream, MAX_RESULT_BYTES)
        except OSError:
            with self._folder.reading(place):  # a path is only made for a message
                raise

    def _content(self, digest: Digest) -> Content | None:
        place = blob_path(digest)
        try:
            number = self._folder.open(place)
            if number is None:
                return None
            try:
                self._count_use(number)
                return open_content(number, f"{self._shown}/{place}")
            finally:
                os.close(number)
        except OSError:
            with self._folder.reading(place):
                raise

    def _count_use(self, number: int) -> None:
        """Give the open file the time of its use, if this command holds the store; a foreign file keeps its time."""
        if self._held is not None:
            with contextlib.suppress(OSError):
                os.utime(number)

    def remove_if_damaged(self, digest: Digest, size_bytes: int) -> None:
        """Move the blob away and remove it, unless another process has replaced it meanwhile."""
        folder, temporary = self._blobs(digest), self._folder.folder("temporary")
        name, aside = digest.hex, f"damaged-{digest.hex}"
        with (
            folder.blaming(name),
            contextlib.suppress(FileNotFoundError),
            folder.opened() as here,
            temporary.made() as there,
        ):
            os.rename(name, aside, src_dir_fd=here, dst_dir_fd=there)
            with os.fdopen(os.open(aside, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=there), "rb") as stream:
                data = open_content(stream.fileno(), aside)
            if _is_blob(data, digest, size_bytes):
                os.rename(aside, name, src_dir_fd=there, dst_dir_fd=here)
            else:
                os.unlink(aside, dir_fd=there)


def _record(key: Digest, data: bytes) -> bytes:
    """Return the record of a result. Raises `Refused` if no reader would take it."""
    record = sealed(key, data)
    demand_within(len(record), MAX_RESULT_BYTES, f"the store's record {key.short}")
    return record


def _is_blob(data: Content, digest: Digest, size_bytes: int) -> bool:
    """Return whether `data` is the blob. What has another size, or one that no blob has, is not read for it."""
    return len(data) == size_bytes <= MAX_STORED_BYTES and content_digest(data) == digest


def _unlike(data: Content, size_bytes: int) -> str:
    """Return in what `data` differs from the blob of that size."""
    if len(data) != size_bytes:
        return f"want {size_bytes} bytes, got {len(data)}"
    if size_bytes > MAX_STORED_BYTES:
        return f"has {size_bytes} bytes, the limit is {MAX_STORED_BYTES}"
    return f"want {size_bytes} bytes, got {size_bytes} of {content_digest(data)}"
