"""Several downloads at the same time: what a caller sees is that of one after the other, whichever ends first."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.errors import Refused, WorldFailed
from cosmos.limits import MAX_DOWNLOADS_AHEAD, MAX_DOWNLOADS_AT_ONCE
from cosmos.transport.carrier import Expected, NotThere
from cosmos.transport.http import HttpCarrier
from cosmos.transport.mirrors import Mirrors
from cosmos.transport.partial import part_name
from fakes.http_servers import RawServer, raw_server, said
from fakes.waiting import LONG_SECONDS, soon

Served = Callable[[int], Iterable[bytes]]
"""From the number of a file to the pieces of the answer."""


def body(number: int) -> bytes:
    return b"%02d" % number * 50_000


def document(number: int) -> Expected:
    return Expected(path=f"{number}.toml", most=1 << 20)


def archive(number: int) -> Expected:
    return Expected(path=f"{number}.tar.zst", most=len(body(number)), digest=Digest.of(body(number)))


def good(number: int) -> list[bytes]:
    return [said("200 OK", f"Content-Length: {len(body(number))}", 'ETag: "v1"', body=body(number))]


def numbered(serve: Served) -> Callable[[bytes], Iterable[bytes]]:
    def answer(head: bytes) -> Iterable[bytes]:
        asked = re.match(rb"GET /([0-9]+)\.", head)
        return serve(int(asked[1])) if asked is not None else []  # it was stopped before it asked

    return answer


def carrier(server: RawServer, tmp_path: Path) -> HttpCarrier:
    return HttpCarrier(server.address, tmp_path / "partial", timeout_seconds=LONG_SECONDS, pause=lambda seconds: None)


def taken(stars: HttpCarrier | Mirrors, files: Sequence[Expected]) -> Iterator[bytes]:
    """Ask for one file after the other, as a command does."""
    with stars.expecting(files):
        for file in files:
            if file.digest is None:
                yield stars.read(file.path, max_bytes=file.most)
            else:
                yield bytes(
                    stars.read_exactly(file.path, size_bytes=file.most, progress=lambda done: None, digest=file.digest)
                )


class Together:
    """Answers when as many requests are there as can be, and counts the most that were there at once."""

    def __init__(self, wanted: int) -> None:
        self.barrier = threading.Barrier(wanted)
        self.lock, self.now, self.most = threading.Lock(), 0, 0

    def __call__(self, number: int) -> Iterator[bytes]:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.barrier.wait(LONG_SECONDS)
        with self.lock:
            self.now -= 1
        yield from good(number)


@pytest.mark.parametrize("kind", [document, archive])
def test_four_files_are_on_their_way_at_once_and_never_more(tmp_path: Path, kind: Callable[[int], Expected]) -> None:
    together = Together(MAX_DOWNLOADS_AT_ONCE)
    with raw_server(numbered(together)) as server:
        files = [kind(number) for number in range(20)]
        assert list(taken(carrier(server, tmp_path), files)) == [body(number) for number in range(20)]
    assert together.most == MAX_DOWNLOADS_AT_ONCE


def test_the_first_file_that_fails_is_named_even_if_a_later_one_failed_before(tmp_path: Path) -> None:
    later_failed = threading.Event()

    def serve(number: int) -> Iterator[bytes]:
        if number == 1:
            later_failed.wait(LONG_SECONDS)
            yield said("410 Gone", "Content-Length: 0")
        elif number == 3:
            yield said("404 Not Found", "Content-Length: 0")
            later_failed.set()
        else:
            yield from good(number)

    for _ in range(5):
        later_failed.clear()
        with raw_server(numbered(serve)) as server:
            took = taken(carrier(server, tmp_path), [document(number) for number in range(6)])
            assert next(took) == body(0)
            with pytest.raises(NotThere, match=r"/1\.toml: there is no such file"):
                next(took)


def test_a_caller_that_goes_on_after_a_missing_file_gets_the_rest(tmp_path: Path) -> None:
    def serve(number: int) -> Iterable[bytes]:
        return [said("404 Not Found", "Content-Length: 0")] if number % 2 else good(number)

    with raw_server(numbered(serve)) as server:
        stars, files = carrier(server, tmp_path), [document(number) for number in range(12)]
        with stars.expecting(files):
            for number, file in enumerate(files):
                if number % 2:
                    with pytest.raises(NotThere):
                        stars.read(file.path, max_bytes=file.most)
                else:
                    assert stars.read(file.path, max_bytes=file.most) == body(number)
        assert len(server.heads) == len(files), "each file was asked for once"


def test_downloads_that_stand_still_are_stopped_when_one_before_them_fails(tmp_path: Path) -> None:
    waits, ended = threading.Semaphore(0), threading.Event()

    def serve(number: int) -> Iterator[bytes]:
        if number == 0:
            for _ in range(3):
                waits.acquire(timeout=LONG_SECONDS)
            yield said("403 Forbidden", "Content-Length: 0")
            return
        if number == 2:
            yield said("200 OK", f"Content-Length: {len(body(2))}", 'ETag: "v1"', body=body(2)[:60_000])
        waits.release()
        ended.wait(LONG_SECONDS)

    with raw_server(numbered(serve)) as server:
        with pytest.raises(WorldFailed, match=r"/0\.tar\.zst: the server answers 403"):
            list(taken(carrier(server, tmp_path), [archive(number) for number in range(9)]))
        assert not ended.is_set(), "the servers still wait"
        ended.set()
        assert len(server.heads) == 4, "no other file was begun"


def test_what_came_of_the_others_waits_for_the_next_command_also_a_whole_file(tmp_path: Path) -> None:
    """The first file is away; the second is whole, and nobody took it; the third came in part."""
    came, ended = threading.Event(), threading.Event()

    def serve(number: int) -> Iterator[bytes]:
        if number == 0:
            came.wait(LONG_SECONDS)
            yield said("403 Forbidden", "Content-Length: 0")
        elif number == 1:
            yield from good(1)
        elif number == 2:
            yield said("200 OK", f"Content-Length: {len(body(2))}", 'ETag: "v1"', body=body(2)[:60_000])
            ended.wait(LONG_SECONDS)

    partial = tmp_path / "partial"
    with raw_server(numbered(serve)) as server:
        names = {number: part_name(f"{server.address}/{number}.tar.zst", len(body(number))) for number in (1, 2)}

        def watch() -> None:
            wanted = {names[1]: 512 + len(body(1)), names[2]: 512 + 50_000}  # all but what a stream may hold back
            while any(not (partial / name).exists() or (partial / name).stat().st_size < size
                      for name, size in wanted.items()):  # fmt: skip
                threading.Event().wait(0.01)
            came.set()

        threading.Thread(target=watch, daemon=True).start()
        with pytest.raises(WorldFailed, match="403"):
            list(taken(carrier(server, tmp_path), [archive(number) for number in range(3)]))
        assert [(partial / names[number]).exists() for number in (1, 2)] == [True, True]
        ended.set()

        def rest(head: bytes) -> Iterable[bytes]:
            asked = re.search(rb"Range: bytes=([0-9]+)-", head)
            if asked is None:
                return good(0)
            start, size = int(asked[1]), len(body(2))
            assert start >= 50_000
            return [
                said("206 Partial Content", f"Content-Range: bytes {start}-{size - 1}/{size}",
                     f"Content-Length: {size - start}", 'ETag: "v1"', body=body(2)[start:])
            ]  # fmt: skip

        server._answers[:] = [rest]
        before = len(server.heads)
        files = [archive(number) for number in range(3)]
        assert list(taken(carrier(server, tmp_path), files)) == [body(number) for number in range(3)]
        assert len(server.heads) - before == 2, "the whole one is not asked for again"
        assert not list(partial.glob("*.part"))


def test_no_more_than_eight_files_are_ahead_of_a_slow_caller(tmp_path: Path) -> None:
    with raw_server(numbered(good)) as server:
        stars, files = carrier(server, tmp_path), [archive(number) for number in range(40)]
        with stars.expecting(files):
            stars.read_exactly(
                files[0].path, size_bytes=files[0].most, progress=lambda done: None, digest=files[0].digest
            )
            assert soon(lambda: len(server.heads) == 1 + MAX_DOWNLOADS_AHEAD)
            threading.Event().wait(0.1)
        assert len(server.heads) <= 1 + MAX_DOWNLOADS_AHEAD


def test_a_file_that_nobody_announced_comes_as_before(tmp_path: Path) -> None:
    with raw_server(numbered(good)) as server:
        stars = carrier(server, tmp_path)
        with stars.expecting([document(0), document(1)]):
            assert stars.read("7.toml", max_bytes=1 << 19) == body(7)
            assert stars.read("1.toml", max_bytes=1 << 20) == body(1)
            assert stars.read("0.toml", max_bytes=1 << 20) == body(0), "left out, and then asked for all the same"


def test_a_document_that_is_too_long_is_refused_in_its_turn(tmp_path: Path) -> None:
    with raw_server(numbered(good)) as server:
        files = [document(0), Expected(path="1.toml", most=100), document(2)]
        took = taken(carrier(server, tmp_path), files)
        assert next(took) == body(0)
        with pytest.raises(Refused, match="has more than 100 bytes"):
            next(took)


def test_a_mirror_that_fails_is_left_out_once_and_the_next_one_sends_the_rest(tmp_path: Path) -> None:
    def first(number: int) -> Iterable[bytes]:
        return good(number) if number < 3 else [said("403 Forbidden", "Content-Length: 0")]

    for _ in range(5):
        told: list[str] = []
        with raw_server(numbered(first)) as one, raw_server(numbered(good)) as other:
            stars = Mirrors((carrier(one, tmp_path), carrier(other, tmp_path)), told.append)
            files = [document(number) for number in range(20)]
            assert list(taken(stars, files)) == [body(number) for number in range(20)]
            assert [line.replace(one.address, "") for line in told] == [
                "/3.toml: the server answers 403 Forbidden; it is left out, and the next address is asked"
            ]
            assert len(other.heads) == 17
            assert stars.read("7.toml", max_bytes=1 << 19) == body(7)


def test_a_machine_without_room_for_a_thread_downloads_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with raw_server(numbered(good)) as server:
        monkeypatch.setattr("cosmos.transport.ahead.threading.Thread.start", no_room)
        stars, files = carrier(server, tmp_path), [document(number) for number in range(3)]
        with stars.expecting(files):
            monkeypatch.undo()
            assert stars.read("0.toml", max_bytes=1 << 20) == body(0)
