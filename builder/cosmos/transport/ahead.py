"""`Ahead`: downloads the files that a caller is going to ask for, several at the same time.

The caller names the files in the order in which it will ask for them, and then asks for one after the other. So it
works, reports and fails in that order, whichever download ends first:

    MAX_DOWNLOADS_AT_ONCE    files that are on their way
    MAX_DOWNLOADS_AHEAD      these, and the files that came and that the caller has not taken yet

If a download fails, the caller is told when it asks for that file. A caller that fails takes no more: the downloads
that go on are stopped, and what has come of each archive waits for the next command, also a whole one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Self, TypeAlias

from cosmos.content import Content
from cosmos.digest import Digest
from cosmos.limits import MAX_DOWNLOADS_AHEAD, MAX_DOWNLOADS_AT_ONCE
from cosmos.records import dataclass
from cosmos.transport.carrier import Expected, NotThere, Progress
from cosmos.transport.wire import Stopped


@dataclass(frozen=True, kw_only=True, slots=True)
class Arrived:
    """A file that has come. `read` gives it, and `part` is its file on the disk: closed, it is gone."""

    read: Callable[[], Content]
    part: ExitStack

    def taken(self) -> Content:
        """Return the file. Nothing of it stays among the downloads that wait."""
        with self.part:
            return self.read()

    def left(self) -> None:
        """Leave what came among the downloads that wait."""
        error = Stopped()
        try:
            self.part.__exit__(Stopped, error, None)
        except Stopped as same:
            assert same is error, "the part is closed as it was told"


Download: TypeAlias = Callable[[Expected, Progress, threading.Event], Arrived]


class Ahead:
    """The downloads of `files`, which `download` makes. A context: its end stops those that go on, and waits for it."""

    def __init__(self, files: Sequence[Expected], download: Download) -> None:
        self._files = tuple(dict.fromkeys(files))
        self._places = {file: place for place, file in enumerate(self._files)}
        self._download = download
        self._stop = threading.Event()
        self._changed = threading.Condition()
        self._begun = self._wanted = 0  # the next file to download, and the next one to give
        self._came: dict[int, Arrived | Exception] = {}
        self._have = 0  # bytes of the wanted file
        self._failed = -1  # the file that failed last: no other begins before the caller has decided to go on
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        for _ in range(min(MAX_DOWNLOADS_AT_ONCE, len(self._files))):
            thread = threading.Thread(target=self._work, daemon=True)
            try:
                thread.start()
            except RuntimeError:  # this machine has no room for one more
                break
            self._threads.append(thread)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._stop.set()
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._leave(len(self._files))

    def take(self, path: str, most: int, digest: Digest | None, progress: Progress) -> Content | None:
        """Return the file at `path`, or None if it is not on its way. Raises what its download raised."""
        place = self._places.get(Expected(path=path, most=most, digest=digest), -1)
        if place < self._wanted or not self._threads:
            return None
        with self._changed:
            self._leave(place)
            self._wanted, self._have = place, 0
            self._changed.notify_all()
        told = 0
        while (have := self._come(place, told)) is not None:
            progress(have)
            told = have
        with self._changed:
            came = self._came.pop(place)
            self._wanted = place + 1
            self._changed.notify_all()
        if isinstance(came, Exception):
            raise came
        data = came.taken()
        if told != len(data):
            progress(len(data))
        return data

    def _come(self, place: int, told: int) -> int | None:
        """Return None when the wanted file has come. Return before how many of its bytes there are, if not `told`."""
        with self._changed:
            while place not in self._came:
                if self._have != told:
                    return self._have
                self._changed.wait()
        return None

    def _work(self) -> None:
        """Download one file after the other, until there are no more or the caller stops."""
        while (place := self._next()) is not None:
            came: Arrived | Exception
            try:
                came = self._download(self._files[place], self._counting(place), self._stop)
            except Exception as error:
                came = error
            with self._changed:
                if isinstance(came, Exception) and not isinstance(came, NotThere):
                    self._failed = max(self._failed, place)
                if place >= self._wanted:
                    self._came[place] = came
                    self._changed.notify_all()
                elif isinstance(came, Arrived):
                    came.left()

    def _next(self) -> int | None:
        """Return the next file to download, when the caller has taken enough of those before it."""
        with self._changed:
            while not self._stop.is_set():
                self._begun = max(self._begun, self._wanted)
                if self._begun >= len(self._files):
                    return None
                if self._failed < self._wanted and self._begun < self._wanted + MAX_DOWNLOADS_AHEAD:
                    self._begun += 1
                    return self._begun - 1
                self._changed.wait()
        return None

    def _counting(self, place: int) -> Progress:
        def count(done: int) -> None:
            with self._changed:
                if place == self._wanted:
                    self._have = done
                    self._changed.notify_all()

        return count

    def _leave(self, end: int) -> None:
        """Leave the files before `end` that came and that nobody took."""
        for place in [place for place in self._came if place < end]:
            came = self._came.pop(place)
            if isinstance(came, Arrived):
                came.left()
