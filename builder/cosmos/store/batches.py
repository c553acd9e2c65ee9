"""`Batches`: thousands of small results in one file, so that they cost one fsync (`store.blobs` keeps them here).

    ROOT/batches/000000000007    a batch; the numbers grow, and of two records of one key the later batch's counts
    ROOT/batches/lock            held by the process that writes a batch, so that each batch has its own number

A batch, format 1:

    cosmos-batch 1\\n
    RECORD…                      `cosmos-result 1 KEY DIGEST\\n` and the data that DIGEST is of, as in ROOT/results
    KEY PLACE SIZE\\n…            a line a record, sorted: 64 hex digits, then its first byte and length, 15 digits each
    cosmos-batch 1 COUNT\\n       how many records, 10 digits

Nothing in a batch is believed. A record that does not have its key and its digest is missing, and so is every record of
a file that does not end as a batch does, or is longer than any batch (`MAX_STORED_BYTES`): the same result is then
looked for in earlier batches. A batch gets its name when all of its bytes are on the disk, so that a killed writer
leaves no part of one.

How many there are: whoever writes a batch takes into it every later batch that is less than twice as large as all that
it has taken so far, from the newest back to the first that is larger, or would make it too long. So each batch is at
least twice as large as the next one, unless both would be too long together: a store of 100 GiB has some 80 at most. A
batch that was taken is removed after the new one is on the disk. A kill between the two leaves both; the later one
counts, and the next writer goes on. A reader that finds a batch removed looks again at which ones there are.
"""

from __future__ import annotations

import os
import re
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from dataclasses import field
from typing import Final, Self

from cosmos.content import HeldFile
from cosmos.digest import Digest
from cosmos.durable import Draft
from cosmos.folders import Folder
from cosmos.limits import MAX_RESULT_BYTES, MAX_STORED_BYTES, MAX_WAITING_RESULT_BYTES, MAX_WAITING_RESULT_SECONDS
from cosmos.records import dataclass

_HEAD: Final = b"cosmos-batch 1\n"
_FOOT: Final = re.compile(rb"cosmos-batch 1 ([0-9]{10})\n")
_FOOT_BYTES: Final = 26
_LINE: Final = re.compile(rb"([0-9a-f]{64}) ([0-9]{15}) ([0-9]{15})\n")
_LINE_BYTES: Final = 97
_KEY_BYTES: Final = 64
_LEAST_RECORD_BYTES: Final = 160  # of one without data
_KEYS_FOR_A_LOOK: Final = 32  # are cut out in the time of one look
BATCH_NAME: Final = re.compile(r"[0-9]{12}")


def sealed(key: Digest, data: bytes) -> bytes:
    """Return the record of `data` under `key`."""
    return _head(key, data) + data


def unsealed(key: Digest, record: bytes) -> bytes | None:
    """Return the data of a record that is whole and of this `key`, else None."""
    end = record.find(b"\n") + 1
    data = record[end:]
    return data if record[:end] == _head(key, data) else None


def _head(key: Digest, data: bytes) -> bytes:
    return f"cosmos-result 1 {key} {Digest.of(data)}\n".encode()


@dataclass(kw_only=True, slots=True)
class _Batch:
    """One open file: its lines, and where they begin. A damaged file has no lines.

    After some `looks`, the `keys` are cut out of the lines: to look among them takes a third of the time.
    """

    file: HeldFile
    folder: Folder
    name: str
    size_bytes: int
    lines: bytes
    lines_at: int
    looks: int = 0
    keys: list[bytes] = field(default_factory=list)

    @classmethod
    def opened(cls, folder: Folder, name: str) -> Self | None:
        """Return the batch `name`, or None where another process has just removed it. Raises `WorldFailed`."""
        with folder.reading(name):
            return cls._opened(folder, name)

    @classmethod
    def _opened(cls, folder: Folder, name: str) -> Self | None:
        number = folder.open(name)
        if number is None:
            return None
        file = HeldFile(number, name)
        size = os.fstat(number).st_size
        foot = _FOOT.fullmatch(os.pread(number, _FOOT_BYTES, max(0, size - _FOOT_BYTES)))
        count = int(foot[1]) if foot else 0
        length = count * _LINE_BYTES
        at = size - _FOOT_BYTES - length
        is_whole = foot is not None and at >= len(_HEAD) + count * _LEAST_RECORD_BYTES and size <= MAX_STORED_BYTES
        lines = os.pread(number, length, at) if is_whole else b""
        lines_at = at if is_whole else 0
        return cls(file=file, folder=folder, name=name, size_bytes=size, lines=lines, lines_at=lines_at)

    def find(self, key: Digest) -> bytes | None:
        """Return the record of `key`, or None if no batch has a whole one. Raises `WorldFailed`."""
        wanted = key.hex.encode()
        at = self._place(wanted)
        if not self.lines.startswith(wanted, at):
            return None
        line = _LINE.fullmatch(self.lines, at, at + _LINE_BYTES)
        return None if line is None else self._record(line, key)

    def _place(self, wanted: bytes) -> int:
        """Return where the line of the first key begins that is not below `wanted`."""
        if self.keys:
            return bisect_left(self.keys, wanted) * _LINE_BYTES
        self.looks += 1
        if self.looks * _KEYS_FOR_A_LOOK > self.count:
            self.keys.extend(map(self._key, range(self.count)))
        return bisect_left(range(self.count), wanted, key=self._key) * _LINE_BYTES

    def _key(self, row: int) -> bytes:
        return self.lines[row * _LINE_BYTES : row * _LINE_BYTES + _KEY_BYTES]

    @property
    def count(self) -> int:
        """How many records its lines name."""
        return len(self.lines) // _LINE_BYTES

    def records(self) -> Iterator[tuple[Digest, bytes]]:
        """Yield every record that is whole, by key. Raises `WorldFailed`."""
        for line in _LINE.finditer(self.lines):
            key = Digest.from_hex(line[1].decode())
            record = self._record(line, key)
            if record is not None:
                yield key, record

    def _record(self, line: re.Match[bytes], key: Digest) -> bytes | None:
        place, size = int(line[2]), int(line[3])
        if place + size > self.lines_at or size > MAX_RESULT_BYTES:  # damaged: so much must not be read
            return None
        with self.folder.reading(self.name):
            record = os.pread(self.file.number, size, place)
        return None if unsealed(key, record) is None else record


class Batches:
    """The batches of one store, and the records that wait to be written as the next one."""

    __slots__ = (
        "_count_use",
        "_draft",
        "_folder",
        "_has_listed",
        "_known",
        "_numbers",
        "_used",
        "_waiting",
        "_waiting_bytes",
        "_waits_since",
    )

    def __init__(
        self,
        folder: Folder,
        draft: Callable[[], AbstractContextManager[Draft]],
        count_use: Callable[[int], None] = lambda _number: None,
    ) -> None:
        self._folder = folder
        self._draft = draft
        self._count_use = count_use  # gets the open file of a batch that has what was asked for
        self._used: set[str] = set()
        self._known: list[_Batch] = []  # the newest first
        self._has_listed = False
        self._numbers: list[int] = []  # of all names that are taken, by whatever stands there
        self._waiting: dict[Digest, bytes] = {}
        self._waiting_bytes = 0
        self._waits_since = 0.0  # of the monotonic clock

    def find(self, key: Digest) -> bytes | None:
        """Return the newest whole record of `key`, or None. Raises `WorldFailed`."""
        waiting = self._waiting.get(key)
        if waiting is not None:
            return waiting
        with self._folder.reading():
            found = self._looked_up(key)
            while found is None and self._list():
                found = self._looked_up(key)
        return found

    def add(self, key: Digest, record: bytes) -> None:
        """Keep the record for the next batch, unless it is there; what is much or has waited long is written now.

        Raises `WorldFailed`.
        """
        if (self._waiting.get(key) or self._listed(key)) == record:
            return
        self._waiting[key] = record
        self._waiting_bytes += len(record) + _LINE_BYTES
        now = time.monotonic()
        if len(self._waiting) == 1:
            self._waits_since = now
        if self._waiting_bytes > MAX_WAITING_RESULT_BYTES or now - self._waits_since > MAX_WAITING_RESULT_SECONDS:
            self.write()

    def write(self) -> None:
        """Write all that waits as one batch, durably. Raises `WorldFailed`."""
        if not self._waiting:
            return
        with self._folder.blaming(), self._folder.locked("lock", "alone"):
            self._list()
            taken = self._to_take()
            name = f"{1 + max(self._numbers, default=0):012}"
            with self._folder.blaming(name), self._draft() as draft:
                _write(draft, self._newest(taken))
                self._folder.keep(draft, name)
            self._remove(taken)
            self._list()
        self._waiting, self._waiting_bytes = {}, 0

    def mend(self) -> int:
        """Write the whole records of each damaged batch again, and remove it; return how many records were lost.

        Raises `WorldFailed`.
        """
        with self._folder.blaming():
            self._list()
            broken = [(batch, lost) for batch in self._known if (lost := _lost(batch))]
            for batch, _ in broken:
                for key, record in batch.records():
                    if key not in self._waiting and self._looked_up(key) == record:
                        self._waiting[key] = record
                        self._waiting_bytes += len(record) + _LINE_BYTES
            self.write()
            self._remove(batch for batch, _ in broken)
            self._list()
        return sum(lost for _, lost in broken)

    def _remove(self, batches: Iterable[_Batch]) -> None:
        for batch in batches:
            with self._folder.blaming(batch.name):
                self._folder.remove(batch.name)

    def _listed(self, key: Digest) -> bytes | None:
        """Return the newest whole record in the batches that are known of; what others wrote since is written again."""
        with self._folder.reading():
            if not self._has_listed:
                self._list()
            return self._looked_up(key)

    def _looked_up(self, key: Digest) -> bytes | None:
        for batch in self._known:
            found = batch.find(key)
            if found is not None:
                self._use(batch.name)
                return found
        return None

    def _use(self, name: str) -> None:
        """Count a batch as used, once in a command."""
        if name not in self._used:
            self._used.add(name)
            with self._folder.reading(name):
                number = self._folder.open(name)
            if number is not None:
                self._count_use(number)
                os.close(number)

    def _list(self) -> bool:
        """Look which batches there are, and return whether that has changed."""
        self._has_listed = True
        taken = [name for name in self._folder.names() if BATCH_NAME.fullmatch(name)]
        self._numbers = [int(name) for name in taken]
        names = [name for name in reversed(taken) if self._is_file(name)]
        known = {batch.name: batch for batch in self._known}
        if names == list(known):
            return False
        found = (known.get(name) or _Batch.opened(self._folder, name) for name in names)
        self._known = [batch for batch in found if batch is not None]
        return True

    def _is_file(self, name: str) -> bool:
        """Whether a batch can be there: a folder or a fifo of that name is passed over."""
        return self._folder.size_bytes(name) is not None

    def _to_take(self) -> list[_Batch]:
        taken: list[_Batch] = []
        total = len(_HEAD) + self._waiting_bytes + _FOOT_BYTES
        for batch in self._known:
            if batch.size_bytes >= 2 * total or batch.size_bytes + total > MAX_STORED_BYTES:
                break
            taken.append(batch)
            total += batch.size_bytes
        return taken

    def _newest(self, taken: Iterable[_Batch]) -> Iterator[tuple[Digest, bytes]]:
        """Yield what waits, then what the `taken` batches have besides: of each key the newest record that is whole."""
        seen = set(self._waiting)
        yield from self._waiting.items()
        for batch in taken:
            for key, record in batch.records():
                if key not in seen:
                    seen.add(key)
                    yield key, record


def _lost(batch: _Batch) -> int:
    return batch.count - sum(1 for _ in batch.records()) if batch.lines else 1


def _write(draft: Draft, records: Iterable[tuple[Digest, bytes]]) -> None:
    lines: list[bytes] = []
    place = draft.stream.write(_HEAD)
    for key, record in records:
        lines.append(b"%b %015d %015d\n" % (key.hex.encode(), place, len(record)))
        place += draft.stream.write(record)
    draft.stream.writelines(sorted(lines))
    draft.stream.write(b"cosmos-batch 1 %010d\n" % len(lines))
