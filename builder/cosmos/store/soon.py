"""`Soon`: blobs that come one after another, and get their names together.

A blob gets its name after its bytes are on the disk. To wait for the disk twice for each of a thousand small blobs
takes longer than all else that is done with them. So they are written to files that nobody else reads, and wait. Then
all are on their way to the disk before the first is waited for, all get their names, and then each folder is synced
once: a journal takes them in few steps. A kill or a power cut leaves each blob whole or absent, as ever. It may cost
those that waited, the last few of them.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack
from typing import Final

from cosmos.digest import Digest
from cosmos.durable import Draft, begun_in, world_failed
from cosmos.folders import Folder
from cosmos.limits import MAX_WAITING_BLOB_BYTES, MAX_WAITING_BLOBS, MAX_WAITING_RESULT_SECONDS

READ_ONLY: Final = 0o444  # a slip of a person's editor must not change a blob


class Soon:
    """The blobs of one store that wait.

    `room` opens the folder of temporary files, and keeps others from sweeping it. `folder` gives that of a blob's name.
    """

    __slots__ = ("_folder", "_number", "_room", "_since", "_size_bytes", "_stack", "_waiting")

    def __init__(self, room: Callable[[], AbstractContextManager[int]], folder: Callable[[Digest], Folder]) -> None:
        self._room, self._folder = room, folder
        self._waiting: dict[Digest, Draft] = {}
        self._stack = ExitStack()
        self._number = -1  # of the open room, while something waits
        self._size_bytes = 0
        self._since = 0.0  # of the monotonic clock

    def __contains__(self, digest: Digest) -> bool:
        return digest in self._waiting

    def add(self, digest: Digest, pieces: Iterable[bytes | memoryview], size_bytes: int) -> None:
        """Write a blob, which waits from then on. What is much or has waited long gets its name now.

        Raises `WorldFailed`, and what `pieces` raises; such a blob does not wait.
        """
        now = time.monotonic()
        with self._folder(digest).blaming(digest.hex):
            if not self._waiting:
                self._number = self._stack.enter_context(self._room())
                self._since = now
            self._waiting[digest] = draft = begun_in(self._number, READ_ONLY)
            try:
                for piece in pieces:
                    draft.stream.write(piece)
                draft.stream.flush()  # a full disk is said here, where the blob is known
            except BaseException:
                self._drop(digest)
                raise
        self._size_bytes += size_bytes
        is_much = len(self._waiting) >= MAX_WAITING_BLOBS or self._size_bytes >= MAX_WAITING_BLOB_BYTES
        if is_much or now - self._since > MAX_WAITING_RESULT_SECONDS:
            self.write()

    def write(self) -> None:
        """Give all that waits its name, durably. Raises `WorldFailed`; nothing waits any more then either."""
        waiting, self._waiting, self._size_bytes = self._waiting, {}, 0
        with self._stack:
            try:
                self._finish(waiting)
                self._name(waiting)
            except BaseException:
                for draft in waiting.values():
                    _dropped(draft)
                raise

    def _finish(self, waiting: Mapping[Digest, Draft]) -> None:
        for step in (Draft.start, Draft.finish):
            for digest, draft in waiting.items():
                try:
                    step(draft)
                except OSError as error:
                    raise world_failed(self._folder(digest).shown(digest.hex), error) from error

    def _name(self, finished: Mapping[Digest, Draft]) -> None:
        with ExitStack() as opened:
            numbers: dict[Folder, int] = {}
            for digest, draft in finished.items():
                folder = self._folder(digest)
                with folder.blaming(digest.hex):  # a folder may be in its way
                    if folder not in numbers:
                        numbers[folder] = opened.enter_context(folder.made())
                    draft.name_in(numbers[folder], digest.hex)
            for folder, number in numbers.items():
                with folder.blaming():
                    os.fsync(number)

    def _drop(self, digest: Digest) -> None:
        _dropped(self._waiting.pop(digest))
        if not self._waiting:
            self._stack.close()


def _dropped(draft: Draft) -> None:
    with contextlib.suppress(OSError):  # the one that stopped the work is told
        draft.drop()
