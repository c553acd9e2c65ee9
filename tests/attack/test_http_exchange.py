"""Web servers that hold a client: each part of an exchange drips or never ends, and each wait has an end."""

from __future__ import annotations

import itertools
import random
import socket
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path

import pytest

from cosmos.errors import CosmosError, Refused, WorldFailed
from cosmos.limits import (
    HTTP_LEAST_BYTES,
    MAX_HTTP_EXTENSION_BYTES,
    MAX_HTTP_HEAD_BYTES,
    MAX_HTTP_INTERIM_ANSWERS,
    MAX_HTTP_TRAILER_BYTES,
)
from cosmos.transport.carrier import NotThere
from cosmos.transport.http import HttpCarrier
from cosmos.transport.wire import Patience
from fakes.drips import DRIPPED_SECONDS, drip_clock
from fakes.http_servers import Answer, RawServer, raw_server, said
from fakes.waiting import LONG_SECONDS

SHORT_SECONDS = 0.1  # a deadline that a test waits for, three times
CHUNKED = said("200 OK", "Transfer-Encoding: chunked")
PAGE = b"<!DOCTYPE html>\n<html><head><title>Welcome to Hotel Wi-Fi</title></head>"


def carrier_of(server: RawServer, tmp_path: Path, timeout_seconds: float = LONG_SECONDS) -> HttpCarrier:
    return HttpCarrier(
        server.address, tmp_path / "partial", timeout_seconds=timeout_seconds, pause=lambda seconds: None
    )


def flowing(before: bytes, drops: Iterable[bytes]) -> Answer:
    return lambda head: itertools.chain([before], drops)


def for_ever(piece: bytes) -> Iterable[bytes]:
    return itertools.repeat(piece)


DRIPS: dict[str, tuple[bytes, Iterable[bytes]]] = {
    "status line": (b"HTTP/1.1 200 ", for_ever(b"O")),
    "header": (b"HTTP/1.1 200 OK\r\nX: ", for_ever(b"x")),
    "headers": (b"HTTP/1.1 200 OK\r\n", for_ever(b"X: y\r\n")),
    "interim answer": (b"HTTP/1.1 100 Continue\r\n", for_ever(b"X: y\r\n")),
    "length body": (said("200 OK", "Content-Length: 1000000"), for_ever(b"x")),
    "chunk size": (CHUNKED, for_ever(b"0")),
    "chunk extension": (CHUNKED + b"5", for_ever(b";x")),
    "chunks": (CHUNKED, for_ever(b"1\r\nx\r\n")),
    "end of a chunk": (CHUNKED + b"1\r\nx\r", for_ever(b"")),
    "trailer": (CHUNKED + b"1\r\nx\r\n0\r\nX: ", for_ever(b"x")),
    "trailers": (CHUNKED + b"1\r\nx\r\n0\r\n", for_ever(b"A: b\r\n")),
}


@pytest.mark.objective("SO-19")
@pytest.mark.parametrize("part", DRIPS)
def test_no_part_of_an_answer_drips_for_ever(tmp_path: Path, part: str) -> None:
    with drip_clock() as drips, raw_server(drips.dripping(*DRIPS[part])) as server:
        with pytest.raises(WorldFailed, match=f"brings less than {HTTP_LEAST_BYTES} bytes|not HTTP"):
            carrier_of(server, tmp_path, DRIPPED_SECONDS).read("meta.toml", max_bytes=1 << 20)
        assert len(server.heads) == 3
        with pytest.raises(WorldFailed):
            carrier_of(server, tmp_path, DRIPPED_SECONDS).read_exactly(
                "a.tar.zst", size_bytes=1_000_000, progress=lambda done: None
            )


BEYOND: dict[str, tuple[Answer, str]] = {
    "status line": (flowing(b"HTTP/1.1 200 ", for_ever(b"O" * 999)), f"more than {MAX_HTTP_HEAD_BYTES}"),
    "header": (flowing(b"HTTP/1.1 200 OK\r\nX: ", for_ever(b"x" * 999)), f"more than {MAX_HTTP_HEAD_BYTES}"),
    "headers": (flowing(b"HTTP/1.1 200 OK\r\n", for_ever(b"X: y\r\n" * 99)), f"more than {MAX_HTTP_HEAD_BYTES}"),
    "interim answers": (
        flowing(b"", for_ever(b"HTTP/1.1 103 Early Hints\r\n\r\n")),
        f"more than {MAX_HTTP_INTERIM_ANSWERS} interim answers",
    ),
    "headers of interim answers": (
        flowing(b"", for_ever(b"HTTP/1.1 102 Processing\r\n" + b"X: y\r\n" * 2000 + b"\r\n")),
        f"status line and headers have more than {MAX_HTTP_HEAD_BYTES}",
    ),
    "chunk size": (flowing(CHUNKED, for_ever(b"0" * 999)), "the size of a chunk and its extensions have more than"),
    "chunk extension": (flowing(CHUNKED + b"5;", for_ever(b"x" * 999)), "extensions have more than"),
    "chunk extensions": (
        flowing(CHUNKED, for_ever(b"1;" + b"x" * 900 + b"\r\nx\r\n")),
        f"chunk extensions have more than {MAX_HTTP_EXTENSION_BYTES}",
    ),
    "end of a chunk": (flowing(CHUNKED + b"1\r\nx", for_ever(b"y" * 99)), "the ends of chunks have more than"),
    "trailers": (
        flowing(CHUNKED + b"1\r\nx\r\n0\r\n", for_ever(b"A: b\r\n" * 999)),
        f"trailers have more than {MAX_HTTP_TRAILER_BYTES}",
    ),
    "trailer": (flowing(CHUNKED + b"0\r\nA: ", for_ever(b"b" * 999)), f"more than {MAX_HTTP_TRAILER_BYTES}"),
}


@pytest.mark.objective("SO-19")
@pytest.mark.parametrize("part", BEYOND)
def test_every_part_of_an_answer_that_is_no_file_has_a_bound(tmp_path: Path, part: str) -> None:
    answer, problem = BEYOND[part]
    with raw_server(answer) as server, pytest.raises(WorldFailed, match=problem):
        carrier_of(server, tmp_path).read("meta.toml", max_bytes=1 << 20)


@pytest.mark.objective("SO-19")
def test_redirects_share_one_deadline(tmp_path: Path) -> None:
    """Each answer takes three quarters of the seconds: within them one by one, and not together."""
    redirect = said("302 Found", "Location: /again", "Content-Length: 0")

    def slow(head: bytes) -> Iterator[bytes]:
        drips.now += DRIPPED_SECONDS * 3 / 4
        yield redirect

    with drip_clock() as drips, raw_server(slow) as server:
        with pytest.raises(WorldFailed, match=r"does not answer|brings less than"):
            carrier_of(server, tmp_path, DRIPPED_SECONDS).read("meta.toml", max_bytes=100)
        assert len(server.heads) <= 9  # three tries; with five redirects each, 18


@pytest.mark.objective("SO-19")
def test_a_connection_that_is_never_taken_has_an_end(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0), backlog=0)
    address = listener.getsockname()
    waiting = [socket.socket() for _ in range(8)]
    try:
        for one in waiting:  # fill the queue, so that the next connect waits
            one.setblocking(False)
            one.connect_ex(address)
        carrier = HttpCarrier(
            f"http://127.0.0.1:{address[1]}", tmp_path, timeout_seconds=SHORT_SECONDS, pause=lambda seconds: None
        )
        with pytest.raises(WorldFailed, match="does not answer"):
            carrier.read("meta.toml", max_bytes=100)
    finally:
        for one in (*waiting, listener):
            one.close()


@pytest.mark.objective("SO-19")
def test_half_a_tls_handshake_has_an_end(tmp_path: Path) -> None:
    """The server speaks no TLS: it drips the beginning of a record that would be the longest possible."""
    with drip_clock() as drips, raw_server(drips.dripping(b"\x16\x03\x03\x40\x00", for_ever(b"x"))) as server:
        address = server.address.replace("http:", "https:")
        carrier = HttpCarrier(address, tmp_path, timeout_seconds=DRIPPED_SECONDS, pause=lambda seconds: None)
        with pytest.raises(WorldFailed):
            carrier.read("meta.toml", max_bytes=100)


def test_a_body_that_comes_slowly_but_steadily_is_taken() -> None:
    """Each least portion in less than the seconds: together they take much longer than the seconds."""
    now = itertools.count(0, 10)
    patience = Patience(60, clock=lambda: next(now))
    for _ in range(200):
        patience.left()
        patience.renew(HTTP_LEAST_BYTES // 2)
    with pytest.raises(TimeoutError):
        for _ in range(20):
            patience.left()
            patience.renew(1)


def test_what_is_no_progress_does_not_renew_the_patience() -> None:
    now = itertools.count(0, 1)
    patience = Patience(60, clock=lambda: next(now))
    lefts: list[float] = []
    with pytest.raises(TimeoutError):
        for _ in range(1000):
            lefts.append(patience.left())
    assert len(lefts) == 59


# A page in place of a file.


def pages(server: RawServer, tmp_path: Path) -> Iterator[Callable[[], object]]:
    carrier = carrier_of(server, tmp_path)
    yield lambda: carrier.read("meta.toml", max_bytes=1 << 20)
    yield lambda: carrier.read("meta.toml", max_bytes=3)
    yield lambda: carrier.read_exactly("a.tar.zst", size_bytes=5000, progress=lambda done: None)
    yield lambda: carrier.read_exactly("a.tar.zst", size_bytes=len(PAGE), progress=lambda done: None)


@pytest.mark.parametrize(
    "page",
    [
        said("200 OK", "Content-Type: text/html", f"Content-Length: {len(PAGE)}", body=PAGE),
        said("200 OK", "Content-Type: text/html; charset=utf-8", body=PAGE),
        said("200 OK", "Content-Type: TEXT/HTML", "Transfer-Encoding: chunked", body=b"3\r\n<!D\r\n6\r\nOCTYPE\r\n")
        + b"6\r\n html>\r\n0\r\n\r\n",
        said("511 Network Authentication Required", "Content-Length: 0"),
    ],
)
def test_a_login_page_of_the_network_is_told_as_one(tmp_path: Path, page: bytes) -> None:
    with raw_server(page) as server:
        for asked in pages(server, tmp_path):
            with pytest.raises(WorldFailed, match=r"looks like a web page.*login page of the network") as caught:
                asked()
            assert "browser" in str(caught.value.hint)
            assert not isinstance(caught.value, NotThere)
        assert len(server.heads) == 4  # it is not asked again


@pytest.mark.parametrize(
    "body", [b"\xef\xbb\xbf  <HTML>", b"<?xml version='1.0'?>\n<!doctype HTML>", b"<!-- x -->\n<head>", PAGE]
)
def test_a_page_is_known_by_its_first_bytes_too(tmp_path: Path, body: bytes) -> None:
    answer = said("200 OK", f"Content-Length: {len(body)}", body=body)
    with raw_server(answer) as server, pytest.raises(WorldFailed, match="looks like a web page"):
        carrier_of(server, tmp_path).read("meta.toml", max_bytes=1000)


def test_a_login_page_behind_a_redirect_is_told_with_its_address(tmp_path: Path) -> None:
    with raw_server(said("200 OK", "Content-Type: text/html", body=PAGE)) as portal:
        sent = said("302 Found", f"Location: {portal.address}/login", "Content-Length: 0")
        with raw_server(sent) as server:
            for asked in pages(server, tmp_path):
                with pytest.raises(WorldFailed, match=f"web page, from {portal.address}/login"):
                    asked()


def test_a_login_page_does_not_cost_the_bytes_that_wait_to_be_resumed(tmp_path: Path) -> None:
    data = bytes(range(256)) * 40
    cut = said("200 OK", f"Content-Length: {len(data)}", 'ETag: "v1"', body=data[:5000])
    rest = said(
        "206 Partial Content",
        f"Content-Range: bytes 5000-{len(data) - 1}/{len(data)}",
        f"Content-Length: {len(data) - 5000}",
        'ETag: "v1"',
        body=data[5000:],
    )
    page = said("200 OK", "Content-Type: text/html", body=PAGE)
    with raw_server(cut, page, rest) as server:
        carrier = carrier_of(server, tmp_path)
        with pytest.raises(WorldFailed, match="web page"):
            carrier.read_exactly("a.tar.zst", size_bytes=len(data), progress=lambda done: None)
        assert carrier.read_exactly("a.tar.zst", size_bytes=len(data), progress=lambda done: None) == data
        assert server.asked("Range")[-1] == "bytes=5000-"


@pytest.mark.parametrize("more", [b"", b"<p>log in"], ids=["the page", "another page"])
def test_the_page_of_a_release_is_taken_by_its_size_and_no_other_page_in_its_place(tmp_path: Path, more: bytes) -> None:
    body = PAGE + more
    answer = said("200 OK", "Content-Type: text/html", f"Content-Length: {len(body)}", body=body)
    with raw_server(answer) as server:
        asked = partial(carrier_of(server, tmp_path).read_exactly, "report.html", size_bytes=len(PAGE))
        if more:
            with pytest.raises(Refused, match=rf"report\.html: .*{len(body)}"):
                asked(progress=lambda done: None)
        else:
            assert asked(progress=lambda done: None) == PAGE


@pytest.mark.parametrize("body", [b"name = '<html>'\n", b"<hello", b"<", b""])
def test_what_only_says_that_it_is_a_page_is_the_file(tmp_path: Path, body: bytes) -> None:
    answer = said("200 OK", "Content-Type: text/html", f"Content-Length: {len(body)}", body=body)
    with raw_server(answer) as server:
        assert carrier_of(server, tmp_path).read("meta.toml", max_bytes=1000) == body


# What is not HTTP.


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 20 OK\r\n\r\n",
        b"HTTP/1.1 999999 OK\r\n\r\n",
        b"HTTP/1.1 -20 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX y\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\r\n folded: z\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n12345",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        said("200 OK", "Transfer-Encoding: gzip, chunked", body=b"0\r\n\r\n"),
        said("200 OK", "Transfer-Encoding: gzip", body=b"abc"),
        CHUNKED + b"-5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"0x5\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"5_0\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"f" * 16 + b"\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"4\r\nhello\r\n0\r\n\r\n",
        CHUNKED + b"4\r\nhello\n0\r\n\r\n",
        CHUNKED + b"\r\n\r\n",
    ],
)
def test_an_answer_that_breaks_the_rules_is_not_taken(tmp_path: Path, answer: bytes) -> None:
    with raw_server(answer) as server, pytest.raises(WorldFailed, match="not HTTP"):
        carrier_of(server, tmp_path).read("meta.toml", max_bytes=100)


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1", b"HTTP/1.1 200 OK\r\nX: y\r\n", CHUNKED + b"5\r\nhello\r\n0\r\n"])
def test_an_answer_that_ends_early_is_an_outage(tmp_path: Path, answer: bytes) -> None:
    with raw_server(answer) as server, pytest.raises(WorldFailed, match="ended before the answer did"):
        carrier_of(server, tmp_path).read("meta.toml", max_bytes=100)


def test_an_answer_of_many_polite_parts_is_taken(tmp_path: Path) -> None:
    answer = (
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
        b"HTTP/1.1 200\r\ntransfer-encoding:CHUNKED\r\nContent-Length: 99\r\n\r\n"
        b'5;name="value"\r\nhello\r\n00003 \r\n me\r\n0;last\r\nExpires: never\r\n\r\n'
    )
    with raw_server(answer) as server:
        assert carrier_of(server, tmp_path).read("meta.toml", max_bytes=8) == b"hello me"


# Answers that were changed by chance.

WHOLE = tuple(range(256)) * 2
SEEDS = (
    said("200 OK", "Content-Length: 512", "Content-Type: text/plain", 'ETag: "v1"', body=bytes(WHOLE)),
    said("200 OK", "Transfer-Encoding: chunked", body=b"100;a=b\r\n%b\r\n" % bytes(range(256)) * 2)
    + b"0\r\nX: y\r\n\r\n",
    said("206 Partial Content", "Content-Range: bytes 0-511/512", "Content-Length: 512", body=bytes(WHOLE)),
    b"HTTP/1.1 100 Continue\r\n\r\n" + said("200 OK", "Content-Length: 512", body=bytes(WHOLE)),
    said("302 Found", "Location: /elsewhere?x=y", "Content-Length: 0"),
    said("200 OK", "Content-Type: text/html", f"Content-Length: {len(PAGE)}", body=PAGE),
    said("404 Not Found", "Content-Length: 0"),
)
WORDS = (
    b"\r\n", b"\n", b"\0", b":", b" ", b"\t", b";", b"9" * 5000, b"-1", b"0", b"ffffffffffffffff", b"0x", b"_",
    b"\xff",     b"Content-Length: 5\r\n", b"Content-Length: -5\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Content-Encoding: gzip\r\n",
    b"Location: http://[::1\r\n", b"Location: http://a..b/\r\n", b"HTTP/1.1 100 x\r\n\r\n", b"HTTP/1.1 304 x\r\n\r\n",
    b"Content-Range: bytes 0-1/99999999999999999999\r\n", b'ETag: "\xe9"\r\n', b"<html>", b"0\r\n\r\n",
)  # fmt: skip


def changed(random_numbers: random.Random) -> bytes:
    """Return one of the seeds with some of its bytes changed, doubled, taken out, or with words put in."""
    data = bytearray(random_numbers.choice(SEEDS))
    for _ in range(random_numbers.randint(1, 4)):
        place = random_numbers.randint(0, min(len(data), random_numbers.choice((40, 160, len(data)))))
        match random_numbers.randint(0, 4):
            case 0:
                data[place : place + 1] = bytes([random_numbers.randint(0, 255)])
            case 1:
                data[place:place] = random_numbers.choice(WORDS)
            case 2:
                del data[place : place + random_numbers.randint(1, 40)]
            case 3:
                data[place:place] = data[place : place + random_numbers.randint(1, 80)]
            case _:
                del data[place:]
    return bytes(data)


def endings(count: int, tmp_path: Path) -> Counter[str]:
    """Ask for a document and an archive of `count` changed answers; return how often each outcome was seen.

    An answer without the file is the last that a server gives, so a redirect goes to the server itself.
    """
    seen: Counter[str] = Counter()
    random_numbers = random.Random(count)

    def next_answer(head: bytes) -> Iterable[bytes]:
        return [changed(random_numbers)]

    with raw_server(next_answer) as server:
        for number in range(count):
            carrier = carrier_of(server, tmp_path)
            try:
                if number % 2:
                    got = carrier.read_exactly("a.tar.zst", size_bytes=512, progress=lambda done: None)
                    assert len(got) == 512
                else:
                    assert len(carrier.read("meta.toml", max_bytes=600)) <= 600
                seen["taken"] += 1
            except (WorldFailed, Refused) as error:
                seen[type(error).__name__] += 1
            except CosmosError as error:
                pytest.fail(f"answer {number}: {error}")
    return seen


@pytest.mark.objective("SO-19")
def test_a_changed_answer_gives_the_file_or_an_error_of_ours(tmp_path: Path) -> None:
    seen = endings(400, tmp_path)
    assert set(seen) <= {"taken", "Interrupted", "WorldFailed", "Refused", "NotThere"}
    assert min(seen["taken"], seen["Interrupted"], seen["Refused"]) > 10


@pytest.mark.exhaustive
def test_twenty_thousand_changed_answers_give_the_file_or_an_error_of_ours(tmp_path: Path) -> None:
    seen = endings(20_000, tmp_path)
    assert set(seen) <= {"taken", "Interrupted", "WorldFailed", "Refused", "NotThere"}
    assert sum(seen.values()) == 20_000
