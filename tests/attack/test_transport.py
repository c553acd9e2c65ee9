"""Hostile galaxies: links that lead out, servers that lie, drip, redirect and never end."""

from __future__ import annotations

import itertools
import os
import socket
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from cosmos.errors import Refused, WorldFailed
from cosmos.transport.carrier import NotThere
from cosmos.transport.http import HttpCarrier
from cosmos.transport.local import LocalCarrier
from cosmos.transport.partial import part_name
from fakes.drips import DRIPPED_SECONDS, drip_clock
from fakes.http_servers import RawServer, ranged, raw_server, said
from fakes.open_files import open_below
from fakes.waiting import LONG_SECONDS

DATA = bytes(range(256)) * 4096  # 1 MiB


def carrier_of(server: RawServer, tmp_path: Path, timeout_seconds: float = LONG_SECONDS) -> HttpCarrier:
    return HttpCarrier(
        server.address, tmp_path / "partial", timeout_seconds=timeout_seconds, pause=lambda seconds: None
    )


def archive(carrier: HttpCarrier, size_bytes: int = len(DATA)) -> bytes:
    return carrier.read_exactly("a.tar.zst", size_bytes=size_bytes, progress=lambda done: None)


def without_tls(connection: socket.socket, host: str, context: object) -> socket.socket:
    return connection


def waiting(tmp_path: Path) -> list[Path]:
    return list((tmp_path / "partial").glob("*")) if (tmp_path / "partial").exists() else []


# A folder that someone else made.


@pytest.mark.parametrize("path", ["out.toml", "folder/secret", "in.toml", "chain/out.toml"])
def test_a_link_in_a_galaxy_is_never_followed(tmp_path: Path, path: str) -> None:
    root = tmp_path / "galaxy"
    (root / "real").mkdir(parents=True)
    (root / "real" / "meta.toml").write_bytes(b"inside")
    (tmp_path / "secret").write_bytes(b"secret")
    (root / "out.toml").symlink_to(tmp_path / "secret")
    (root / "folder").symlink_to(tmp_path)
    (root / "in.toml").symlink_to("real/meta.toml")
    (root / "chain").symlink_to(".")
    with pytest.raises(Refused, match="link"):
        LocalCarrier(root).read(path, max_bytes=100)
    with pytest.raises(Refused, match="link"):
        LocalCarrier(root).read_exactly(path, size_bytes=6, progress=lambda done: None)


def test_a_pipe_or_a_folder_in_place_of_a_file_does_not_hang_the_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "meta.toml")
    (tmp_path / "folder").mkdir()
    for name in ("meta.toml", "folder"):
        with pytest.raises(Refused, match="is not a plain file"):
            LocalCarrier(tmp_path).read(name, max_bytes=100)


def test_no_file_is_left_open_whatever_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder")
    (tmp_path / "plain").write_bytes(b"x")
    for path in ("folder", "link", "plain", "link/x", "folder/x", "nothing"):
        with pytest.raises((Refused, WorldFailed)):
            LocalCarrier(tmp_path).read(path, max_bytes=0)
    assert open_below(tmp_path) == []


# Servers that lie about size.


def test_a_body_that_ends_early_is_a_failure_and_never_a_shorter_file(tmp_path: Path) -> None:
    with raw_server(said("200 OK", "Content-Length: 100", body=b"x" * 99)) as server:
        with pytest.raises(WorldFailed, match="ended after 99 of 100 bytes"):
            carrier_of(server, tmp_path).read("meta.toml", max_bytes=1000)
        assert len(server.heads) == 3
        with pytest.raises(WorldFailed, match="ended after 99 of 100 bytes"):
            archive(carrier_of(server, tmp_path), 100)


def test_a_chunked_body_that_ends_early_is_a_failure(tmp_path: Path) -> None:
    cut = said("200 OK", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n5\r\nhe")
    with raw_server(cut) as server, pytest.raises(WorldFailed):
        carrier_of(server, tmp_path).read("meta.toml", max_bytes=1000)


def test_a_whole_chunked_body_is_taken(tmp_path: Path) -> None:
    whole = said("200 OK", "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n3\r\n me\r\n0\r\n\r\n")
    with raw_server(whole) as server:
        assert carrier_of(server, tmp_path).read("meta.toml", max_bytes=8) == b"hello me"
        assert archive(carrier_of(server, tmp_path), 8) == b"hello me"
        with pytest.raises(Refused, match="more than 7"):
            carrier_of(server, tmp_path).read("meta.toml", max_bytes=7)


def test_a_document_with_no_stated_end_is_not_taken(tmp_path: Path) -> None:
    with (
        raw_server(said("200 OK", body=b"[stars]\n")) as server,
        pytest.raises(WorldFailed, match="where the file ends"),
    ):
        carrier_of(server, tmp_path).read("meta.toml", max_bytes=1000)


def test_an_archive_with_no_stated_end_is_counted(tmp_path: Path) -> None:
    with raw_server(said("200 OK", body=b"12345")) as server:
        assert archive(carrier_of(server, tmp_path), 5) == b"12345"
        with pytest.raises(Refused, match="want 4 bytes, got more"):
            archive(carrier_of(server, tmp_path), 4)
        with pytest.raises(WorldFailed, match="ended after 5 of 6"):
            archive(carrier_of(server, tmp_path), 6)


@pytest.mark.objective("SO-06")
@pytest.mark.parametrize("length", ["Content-Length: 99", "Content-Length: 101"])
def test_a_stated_length_that_is_not_the_pinned_one_is_refused_before_the_body(tmp_path: Path, length: str) -> None:
    with raw_server(said("200 OK", length, body=b"x" * 101)) as server:
        with pytest.raises(Refused, match="want 100 bytes, got"):
            archive(carrier_of(server, tmp_path), 100)
        assert len(server.heads) == 1


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 5x",),
        ("Content-Length: -5",),
        ("Content-Length: 5", "Content-Length: 6"),
        (f"Content-Length: {'9' * 5000}",),
    ],
)
def test_a_length_that_is_no_number_is_not_believed(tmp_path: Path, headers: tuple[str, ...]) -> None:
    with raw_server(said("200 OK", *headers, body=b"12345")) as server, pytest.raises(WorldFailed, match="one number"):
        carrier_of(server, tmp_path).read("meta.toml", max_bytes=100)


def endless(head: bytes) -> Iterable[bytes]:
    yield said("200 OK", "Transfer-Encoding: chunked")
    while True:
        yield b"10000\r\n" + b"x" * 0x10000 + b"\r\n"


def endless_without_length(head: bytes) -> Iterable[bytes]:
    yield said("200 OK")
    while True:
        yield b"x" * 65536


@pytest.mark.objective("SO-19")
@pytest.mark.parametrize("answer", [endless, endless_without_length])
def test_endless_data_stops_at_the_bound(tmp_path: Path, answer: object) -> None:
    with raw_server(answer) as server:
        with pytest.raises(Refused, match="want 100000 bytes, got more"):
            archive(carrier_of(server, tmp_path), 100_000)
        with pytest.raises((Refused, WorldFailed)):
            carrier_of(server, tmp_path).read("meta.toml", max_bytes=100_000)
    assert waiting(tmp_path) == []


@pytest.mark.objective("SO-19")
def test_endless_headers_and_endless_interim_answers_stop(tmp_path: Path) -> None:
    def interim(head: bytes) -> Iterable[bytes]:
        return itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n")

    def headers(head: bytes) -> Iterable[bytes]:
        return itertools.chain([b"HTTP/1.1 200 OK\r\n"], itertools.repeat(b"X-More: yes\r\n"))

    def one_header(head: bytes) -> Iterable[bytes]:
        return itertools.chain([b"HTTP/1.1 200 OK\r\nX: "], itertools.repeat(b"x" * 1000))

    for answer in (interim, headers, one_header):
        with raw_server(answer) as server, pytest.raises(WorldFailed, match="not HTTP"):
            carrier_of(server, tmp_path).read("meta.toml", max_bytes=100)


def test_a_server_that_says_nothing_is_left_after_the_timeout(tmp_path: Path) -> None:
    left = threading.Event()

    def silent(head: bytes) -> Iterable[bytes]:
        left.wait(LONG_SECONDS)
        return
        yield

    with raw_server(silent) as server, pytest.raises(WorldFailed, match="does not answer"):
        carrier_of(server, tmp_path, timeout_seconds=0.1).read("meta.toml", max_bytes=100)
    left.set()


def test_a_server_that_drips_is_left(tmp_path: Path) -> None:
    head = said("200 OK", "Content-Length: 1000000")
    with (
        drip_clock() as drips,
        raw_server(drips.dripping(head, itertools.repeat(b"x"))) as server,
        pytest.raises(WorldFailed, match="brings less than 1024 bytes"),
    ):
        carrier_of(server, tmp_path, timeout_seconds=DRIPPED_SECONDS).read("meta.toml", max_bytes=1_000_000)


def test_what_is_not_http_is_an_outage(tmp_path: Path) -> None:
    with raw_server(b"SSH-2.0-OpenSSH\r\n") as server, pytest.raises(WorldFailed, match="not HTTP"):
        carrier_of(server, tmp_path).read("meta.toml", max_bytes=100)


def test_the_words_of_a_server_do_not_reach_the_terminal(tmp_path: Path) -> None:
    with raw_server(said("403 \x1b[2Jgone", "Content-Length: 0")) as server:
        with pytest.raises(WorldFailed, match="answers 403 Forbidden") as caught:
            carrier_of(server, tmp_path).read("meta.toml", max_bytes=100)
        assert len(server.heads) == 1
    assert "\x1b" not in str(caught.value)


def test_a_body_that_the_server_packed_itself_is_not_taken(tmp_path: Path) -> None:
    packed = said("200 OK", "Content-Encoding: gzip", "Content-Length: 3", body=b"abc")
    with raw_server(packed) as server, pytest.raises(WorldFailed, match="compresses the file"):
        carrier_of(server, tmp_path).read("meta.toml", max_bytes=100)


# Redirects.


def sent_to(location: str) -> bytes:
    return said("302 Found", f"Location: {location}", "Content-Length: 0")


def test_a_redirect_is_followed_to_another_server(tmp_path: Path) -> None:
    with (
        raw_server(said("200 OK", "Content-Length: 2", body=b"ok")) as there,
        raw_server(sent_to(f"{there.address}/moved+here")) as here,
    ):
        assert carrier_of(here, tmp_path).read("meta.toml", max_bytes=100) == b"ok"
        assert there.heads[0].startswith(b"GET /moved+here HTTP/1.1\r\n")


def test_a_relative_redirect_is_followed(tmp_path: Path) -> None:
    with raw_server(sent_to("/x?y"), said("200 OK", "Content-Length: 2", body=b"ok")) as server:
        assert carrier_of(server, tmp_path).read("meta.toml", max_bytes=100) == b"ok"
        assert server.heads[1].startswith(b"GET /x?y HTTP/1.1\r\n")


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://example.org/", "gopher://x", "//", "http://", "http://u:p@127.0.0.1/", "", "data:,x"],
)
def test_a_redirect_to_anything_but_a_web_server_is_refused(tmp_path: Path, location: str) -> None:
    with raw_server(sent_to(location)) as server, pytest.raises(Refused, match="is redirected"):
        carrier_of(server, tmp_path).read("meta.toml", max_bytes=100)
    with raw_server(sent_to(location)) as server, pytest.raises(Refused, match="is redirected"):
        archive(carrier_of(server, tmp_path))


def test_a_redirect_from_https_to_http_is_refused_before_it_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cosmos.transport.wire.secured", without_tls)  # the refusal is not about TLS
    answer = said("200 OK", "Content-Length: 2", body=b"ok")
    with raw_server(answer) as there, raw_server(sent_to(there.address)) as here:
        carrier = HttpCarrier(here.address.replace("http:", "https:"), tmp_path / "partial")
        with pytest.raises(Refused, match="is redirected from https:// to http://"):
            carrier.read("meta.toml", max_bytes=100)
        with pytest.raises(Refused, match="is redirected from https:// to http://"):
            archive(carrier)
        assert there.heads == []


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_redirect_to_https_is_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scheme: str) -> None:
    monkeypatch.setattr("cosmos.transport.wire.secured", without_tls)
    answer = said("200 OK", "Content-Length: 2", body=b"ok")
    with raw_server(answer) as there, raw_server(sent_to(there.address.replace("http:", "https:"))) as here:
        carrier = HttpCarrier(here.address.replace("http:", f"{scheme}:"), tmp_path / "partial")
        assert carrier.read("meta.toml", max_bytes=100) == b"ok"


def test_a_redirect_that_goes_round_is_left_after_five(tmp_path: Path) -> None:
    with raw_server(sent_to("/again")) as server:
        with pytest.raises(Refused, match="more than 5 times"):
            carrier_of(server, tmp_path).read("meta.toml", max_bytes=100)
        assert len(server.heads) == 6


# Resuming.


def test_a_cut_off_download_goes_on_where_it_stopped_within_one_call(tmp_path: Path) -> None:
    with raw_server(ranged(DATA, '"v1"', most=300_000)) as server:
        assert archive(carrier_of(server, tmp_path)) == DATA
        assert server.asked("Range") == ["", "bytes=300000-", "bytes=600000-", "bytes=900000-"]
        assert server.asked("If-Range") == ["", '"v1"', '"v1"', '"v1"']
    assert waiting(tmp_path) == []


def test_a_cut_off_download_goes_on_in_the_next_process(tmp_path: Path) -> None:
    broken = said("200 OK", f"Content-Length: {len(DATA)}", 'ETag: "v1"', body=DATA[:300_000])
    missing = said("503 Unavailable", "Content-Length: 0")
    with raw_server(broken, missing, missing, missing, ranged(DATA, '"v1"')) as server:
        with pytest.raises(WorldFailed, match="503"):
            archive(carrier_of(server, tmp_path))
        assert len(waiting(tmp_path)) == 1
        assert archive(carrier_of(server, tmp_path)) == DATA
        assert server.asked("Range")[-1] == "bytes=300000-"
    assert waiting(tmp_path) == []


def test_a_file_that_changed_meanwhile_is_fetched_from_its_beginning(tmp_path: Path) -> None:
    old = bytes(len(DATA))
    with raw_server(ranged(old, '"v1"', most=300_000), ranged(DATA, '"v2"')) as server:
        assert archive(carrier_of(server, tmp_path)) == DATA
        assert server.asked("If-Range") == ["", '"v1"']


def test_a_server_that_ignores_ranges_is_asked_for_the_whole(tmp_path: Path) -> None:
    whole = said("200 OK", f"Content-Length: {len(DATA)}", 'ETag: "v1"', body=DATA)
    with raw_server(ranged(DATA, '"v1"', most=300_000), whole) as server:
        assert archive(carrier_of(server, tmp_path)) == DATA


def test_a_server_that_names_no_version_is_never_resumed(tmp_path: Path) -> None:
    cut = said("200 OK", f"Content-Length: {len(DATA)}", 'ETag: W/"weak"', body=DATA[:300_000])
    with raw_server(cut) as server:
        with pytest.raises(WorldFailed, match="ended after 300000"):
            archive(carrier_of(server, tmp_path))
        assert server.asked("Range") == [""] * 4  # one that brought something, and three that brought no more


@pytest.mark.parametrize(
    "lie",
    [
        said(
            "206 Partial Content",
            f"Content-Range: bytes 0-{len(DATA) - 1}/{len(DATA)}",
            "Content-Length: 5",
            body=b"xxxxx",
        ),
        said("206 Partial Content", "Content-Length: 5", body=b"xxxxx"),
        said("206 Partial Content", f"Content-Range: bytes 300000-{len(DATA)}/*", "Content-Length: 5", body=b"xxxxx"),
        said("206 Partial Content", "Content-Range: bytes 300000-300004/*", "Content-Length: 5", body=b"xxxxx"),
        said(
            "206 Partial Content",
            f"Content-Range: bytes 300000-{len(DATA) - 1}/*",
            'ETag: "v9"',
            "Content-Length: 5",
            body=b"xxxxx",
        ),
        said(
            "206 Partial Content",
            f"Content-Range: bytes 300000-{len(DATA) - 1}/{len(DATA)}",
            'ETag: "v9"',
            "Content-Length: 5",
            body=b"xxxxx",
        ),
        said("416 Range Not Satisfiable", f"Content-Range: bytes */{len(DATA)}", "Content-Length: 0"),
    ],
)
def test_a_part_that_was_not_asked_for_is_dropped_and_all_is_fetched_again(tmp_path: Path, lie: bytes) -> None:
    with raw_server(ranged(DATA, '"v1"', most=300_000), lie, ranged(DATA, '"v1"')) as server:
        assert archive(carrier_of(server, tmp_path)) == DATA
        assert server.asked("Range") == ["", "bytes=300000-", ""]


def test_the_rest_of_a_file_whose_size_the_server_does_not_say_is_taken(tmp_path: Path) -> None:
    """RFC 9110 section 14.4 lets a server say `*` for the size. The bytes are judged by their digest."""
    rest = said(
        "206 Partial Content",
        f"Content-Range: bytes 300000-{len(DATA) - 1}/*",
        f"Content-Length: {len(DATA) - 300_000}",
        body=DATA[300_000:],
    )
    with raw_server(ranged(DATA, '"v1"', most=300_000), rest) as server:
        assert archive(carrier_of(server, tmp_path)) == DATA
        assert server.asked("Range") == ["", "bytes=300000-"]


def test_a_part_of_a_file_of_another_size_is_refused(tmp_path: Path) -> None:
    other = said("206 Partial Content", "Content-Range: bytes 300000-4999999/5000000", "Content-Length: 0")
    with raw_server(ranged(DATA, '"v1"', most=300_000), other) as server, pytest.raises(Refused, match="got 5000000"):
        archive(carrier_of(server, tmp_path))
    assert waiting(tmp_path) == []


def test_a_part_that_nobody_asked_for_is_not_taken(tmp_path: Path) -> None:
    part = said("206 Partial Content", "Content-Range: bytes 0-4/5", "Content-Length: 5", body=b"12345")
    with raw_server(part) as server, pytest.raises(WorldFailed, match="206"):
        archive(carrier_of(server, tmp_path), 5)


@pytest.mark.parametrize("left", [b"", b"garbage", b"cosmos-partial 1 \n" + bytes(1000), b"cosmos-partial 1 x"])
def test_a_damaged_remainder_is_started_over(tmp_path: Path, left: bytes) -> None:
    with raw_server(ranged(DATA, '"v1"')) as server:
        path = tmp_path / "partial" / part_name(f"{server.address}/a.tar.zst", len(DATA))
        path.parent.mkdir()
        path.write_bytes(left)
        assert archive(carrier_of(server, tmp_path)) == DATA
        assert server.asked("Range") == [""]


def test_a_remainder_that_is_longer_than_the_file_is_started_over(tmp_path: Path) -> None:
    with raw_server(ranged(DATA, '"v1"')) as server:
        path = tmp_path / "partial" / part_name(f"{server.address}/a.tar.zst", len(DATA))
        path.parent.mkdir()
        path.write_bytes(b'cosmos-partial 1 "v1"\n'.ljust(512, b"\0") + bytes(len(DATA) + 1))
        assert archive(carrier_of(server, tmp_path)) == DATA


def test_a_link_where_the_remainder_should_be_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "precious").write_bytes(b"keep")
    with raw_server(ranged(DATA, '"v1"')) as server:
        path = tmp_path / "partial" / part_name(f"{server.address}/a.tar.zst", len(DATA))
        path.parent.mkdir()
        path.symlink_to(tmp_path / "precious")
        with pytest.raises(WorldFailed):
            archive(carrier_of(server, tmp_path))
    assert (tmp_path / "precious").read_bytes() == b"keep"


def test_a_line_that_breaks_for_ever_ends(tmp_path: Path) -> None:
    def one_more_byte(head: bytes) -> Iterable[bytes]:
        return ranged(DATA, '"v1"', most=1)(head)

    with raw_server(one_more_byte) as server:
        with pytest.raises(WorldFailed, match="was cut off 100 times"):
            archive(carrier_of(server, tmp_path))
        assert len(server.heads) == 100


def test_two_that_fetch_the_same_file_at_once_both_get_it(tmp_path: Path) -> None:
    others: list[bytes] = []

    def while_another_comes(head: bytes) -> Iterable[bytes]:
        yield from ranged(DATA[:500_000].ljust(len(DATA), b"?"), '"v1"', most=500_000)(head)
        others.append(archive(carrier_of(server, tmp_path)))  # the first still holds the remainder
        yield DATA[500_000:]

    with raw_server(while_another_comes, ranged(DATA, '"v1"')) as server:
        assert archive(carrier_of(server, tmp_path)) == DATA
        assert others == [DATA]
        assert server.asked("Range") == ["", ""]
    assert waiting(tmp_path) == []


def test_a_missing_archive_leaves_nothing_behind_to_resume(tmp_path: Path) -> None:
    with raw_server(said("404 Not Found", "Content-Length: 0")) as server, pytest.raises(NotThere):
        archive(carrier_of(server, tmp_path))
