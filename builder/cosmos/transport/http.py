"""A galaxy behind plain HTTP (RFC 9110, 9112): any static file server works, also `python3 -m http.server`.

The server and the network may be hostile. So the answer is limited (size, redirects, tries, each part of it that is no
file, and the time without progress over the whole exchange: `transport.wire`), and its bytes are counted: a body that
ends early is a failure, never a shorter file. Plain HTTP is enough, because the documents are signed and the answer is
not trusted. Networks with a login page answer every request with it; such a page is told as one, and nothing is judged.

Files that are expected are downloaded ahead, several at the same time (`transport.ahead`).

A cut-off archive is resumed with `Range` and `If-Range` (RFC 9110 section 13.1.5) if the server sent a strong ETag or a
Last-Modified. If the server ignores these, the download starts again. If the bytes of a resumed archive are not those
that were pinned, all of it is downloaded again, once. `https://` needs a Python with ssl; the single-file binary has
it.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from http import HTTPStatus
from pathlib import Path
from urllib.parse import quote, urljoin, urlsplit

from cosmos.content import Content, content_digest
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Malformed, Refused, WorldFailed
from cosmos.folders import Folder
from cosmos.limits import (
    HTTP_TIMEOUT_SECONDS,
    MAX_DOWNLOAD_MISSES,
    MAX_DOWNLOAD_REDIRECTS,
    MAX_DOWNLOAD_TRIES,
    READ_CHUNK_BYTES,
)
from cosmos.model.addresses import LOGIN_HINT, LOGIN_PROBLEM, has_login, without_login
from cosmos.transport.ahead import Ahead, Arrived
from cosmos.transport.answer import Answer
from cosmos.transport.carrier import Expected, NotThere, Progress, parts_of, too_long, wrong_size
from cosmos.transport.exchange import Client, Interrupted, interrupting
from cosmos.transport.network import DIRECT, Network
from cosmos.transport.partial import Partial, partial_download
from cosmos.transport.wire import Patience

_REDIRECTS = (301, 302, 303, 307, 308)
_MISSING = (404, 410)
_RANGED = (206, 416)  # what answers a request for a range, besides 200
_TRY_AGAIN = (408, 425, 429, 500, 502, 503, 504)
_PAUSE_SECONDS = 0.3  # before the next try; doubled for each miss
_PAGE_TYPES = ("text/html", "application/xhtml+xml")
_OPENING_BYTES = 512  # of a body, read to see whether it is a web page
_PAGE_SUFFIX = ".html"  # of the page of a release, which is known by its size and digest
_PAGE = re.compile(  # nothing else of a galaxy or a release begins so
    rb"(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*|<!--.*?-->\s*)*<(?:!doctype\s+html|html|head|body|script|meta)\b",
    re.IGNORECASE | re.DOTALL,
)

_NUMBER = re.compile(r"[0-9]{1,18}")  # of bytes: no file has more digits


class HttpCarrier:
    """The files below the address `url`; cut-off downloads wait in `partial_dir`. It reaches servers by `network`."""

    __slots__ = ("_ahead", "_base", "_client", "_partial_dir", "_pause", "_timeout_seconds")

    def __init__(
        self,
        url: str,
        partial_dir: Path | Folder,
        network: Network = DIRECT,
        *,
        timeout_seconds: float = HTTP_TIMEOUT_SECONDS,
        pause: Callable[[float], object] | None = None,
    ) -> None:
        """`pause` waits so many seconds before the next try."""
        self._ahead: Ahead | None = None
        self._base = _base_of(url)
        self._client = Client(self._base, network)
        self._partial_dir = partial_dir
        self._timeout_seconds = timeout_seconds
        self._pause = pause

    @property
    def is_local(self) -> bool:
        """False: it opens sockets."""
        return False

    @property
    def address(self) -> str:
        """The galaxy's address."""
        return self._base.removesuffix("/")

    def read(self, path: str, *, max_bytes: int) -> bytes:
        """Return the file at `path` of up to `max_bytes`; raises as `Carrier` says."""
        data = None if self._ahead is None else self._ahead.take(path, max_bytes, None, _untold)
        return self._read(self._url(path), max_bytes, threading.Event()) if data is None else bytes(data)

    def read_exactly(self, path: str, *, size_bytes: int, progress: Progress, digest: Digest | None = None) -> Content:
        """Return the file at `path` of exactly `size_bytes`, resumed if it was cut off; raises as `Carrier` says.

        If it was resumed and does not have the `digest`, all of it is downloaded again.
        """
        data = None if self._ahead is None or digest is None else self._ahead.take(path, size_bytes, digest, progress)
        if data is not None:
            return data
        return self._archive(self._url(path), size_bytes, digest, progress, threading.Event()).taken()

    @contextmanager
    def expecting(self, files: Sequence[Expected]) -> Iterator[None]:
        """Give a block in which `files` are downloaded, several at the same time, before they are asked for."""
        with Ahead(files, self._expected) as self._ahead:
            try:
                yield
            finally:
                self._ahead = None

    def _expected(self, file: Expected, progress: Progress, stop: threading.Event) -> Arrived:
        url = self._url(file.path)
        if file.digest is not None:
            return self._archive(url, file.most, file.digest, progress, stop)
        data = self._read(url, file.most, stop)
        return Arrived(read=lambda: data, part=ExitStack())

    def _read(self, url: str, max_bytes: int, stop: threading.Event) -> bytes:
        """Return the file of up to `max_bytes`. Raises as `Carrier` says, and `Stopped`."""
        for miss in range(1, MAX_DOWNLOAD_MISSES + 1):
            try:
                return self._read_once(url, max_bytes, stop)
            except Interrupted:
                if miss == MAX_DOWNLOAD_MISSES:
                    raise
                self._wait(miss, stop)
        raise AssertionError("the last miss raises")

    def _archive(
        self, url: str, size_bytes: int, digest: Digest | None, progress: Progress, stop: threading.Event
    ) -> Arrived:
        """Return the file of exactly `size_bytes`. Raises as `Carrier` says, and `Stopped`."""
        came, was_resumed = self._resumed(url, size_bytes, progress, stop)
        if was_resumed and digest is not None and content_digest(came.read()) != digest:
            came.taken()
            came, _ = self._resumed(url, size_bytes, progress, stop)
        return came

    @contextmanager
    def part(self, path: str, start: int, end: int, size_bytes: int) -> Iterator[Iterator[bytes] | None]:
        """Give the bytes from `start` to `end` of the file of `size_bytes` at `path`; None if there are no ranges.

        The pieces may end early. Raises `NotThere`, `Interrupted`, and `Refused` if the file has another size.
        """
        url = self._url(path)
        with self._answer(url, {"Range": f"bytes={start}-{end - 1}"}, threading.Event()) as file:
            if file.answer.status == HTTPStatus.OK:
                yield None
                return
            if not file.answer.names_part(start, end, size_bytes):
                total = file.answer.value("content-range").rpartition("/")[2]
                if _NUMBER.fullmatch(total) and int(total) != size_bytes:
                    raise wrong_size(url, size_bytes, total)
                raise Refused(url, "the server sends another part of the file than it was asked for")
            yield file.pieces(end - start)

    def _resumed(self, url: str, size_bytes: int, progress: Progress, stop: threading.Event) -> tuple[Arrived, bool]:
        """Return the file, and whether its beginning came in another exchange than its end."""
        with ExitStack() as stack:
            partial = stack.enter_context(partial_download(self._partial_dir, url, size_bytes))
            misses, most = 0, 0
            for _ in range(MAX_DOWNLOAD_TRIES):
                before = partial.have
                try:
                    is_rest = self._fetch_rest(url, partial, size_bytes, progress, stop)
                except Interrupted:
                    misses = misses + 1 if partial.have <= most else 0
                    most = max(most, partial.have)
                    if misses == MAX_DOWNLOAD_MISSES:
                        raise
                    self._wait(misses, stop)
                else:
                    partial.flush()
                    return Arrived(read=partial.whole, part=stack.pop_all()), is_rest and before > 0
            raise WorldFailed(url, f"was cut off {MAX_DOWNLOAD_TRIES} times", hint="try again, or use another mirror")

    def _wait(self, misses: int, stop: threading.Event) -> None:
        """Wait before the next try: longer after each one that brought nothing."""
        (self._pause or stop.wait)(_PAUSE_SECONDS * 2**misses)

    def _url(self, path: str) -> str:
        return self._base + "/".join(quote(part, safe="") for part in parts_of(path, self.address))

    def _read_once(self, url: str, max_bytes: int, stop: threading.Event) -> bytes:
        with self._answer(url, {}, stop) as file:
            length = file.length
            if length is None and not file.answer.chunked:
                raise WorldFailed(url, "the server does not say where the file ends, so it may be cut short")
            if length is not None and length > max_bytes:
                raise too_long(url, max_bytes)
            pieces, left = [], max_bytes + 1 if length is None else length
            for piece in file.pieces(left):
                pieces.append(piece)
            data = b"".join(pieces)
        if len(data) > max_bytes:
            raise too_long(url, max_bytes)
        if length is not None and len(data) < length:
            raise Interrupted(url, f"the connection ended after {len(data)} of {length} bytes")
        return data

    def _fetch_rest(
        self, url: str, partial: Partial, size_bytes: int, progress: Progress, stop: threading.Event
    ) -> bool:
        """Append the rest of the file to `partial`, and return True.

        If the server no longer has the same file, start again, and return False.
        """
        if 0 < partial.have == size_bytes:
            return True
        headers: dict[str, str] = {}
        if 0 < partial.have < size_bytes and partial.validator:
            headers = {"Range": f"bytes={partial.have}-", "If-Range": partial.validator}
        with self._answer(url, headers, stop) as file:
            is_rest = file.answer.status in _RANGED
            if is_rest:
                _check_rest(file.answer, url, partial, size_bytes)
            else:
                if file.length not in (None, size_bytes):
                    raise wrong_size(url, size_bytes, str(file.length))
                partial.restart(_validator(file.answer))
            for piece in file.pieces(size_bytes - partial.have + 1):
                if partial.have + len(piece) > size_bytes:
                    raise wrong_size(url, size_bytes, "more")
                partial.append(piece)
                progress(partial.have)
        if partial.have < size_bytes:
            raise Interrupted(url, f"the connection ended after {partial.have} of {size_bytes} bytes")
        return is_rest

    @contextmanager
    def _answer(self, url: str, headers: dict[str, str], stop: threading.Event) -> Iterator[_File]:
        """Give the answer to a GET of `url`, after redirects: 200, or 206 if `headers` ask for a range."""
        asked, patience = url, Patience(self._timeout_seconds, stop=stop)
        for _ in range(MAX_DOWNLOAD_REDIRECTS + 1):
            line, answer = self._client.asked(asked, patience, headers)
            if answer.status in _REDIRECTS:
                self._client.done_with(line, answer)
                asked = _redirected(asked, answer)
                continue
            try:
                _check_status(answer, url, ranged="Range" in headers)
            except CosmosError:
                self._client.done_with(line, answer)
                raise
            try:
                yield _File(answer, url, asked, patience)
            except BaseException:
                line.wire.close()
                raise
            self._client.done_with(line, answer)
            return
        raise Refused(url, f"is redirected more than {MAX_DOWNLOAD_REDIRECTS} times")


class _File:
    """The file in an answer; `length` is its Content-Length or None. A web page is refused, but for a `.html` file."""

    def __init__(self, answer: Answer, url: str, asked: str, patience: Patience) -> None:
        self.answer = answer
        self._url = url
        self._asked = asked
        self._patience = patience
        self._opening = b""
        if answer.value("content-type").lower().startswith(_PAGE_TYPES):
            self._open(_OPENING_BYTES)  # before its length is judged: a login page is no damaged file
        self.length = _length(answer, url)

    def pieces(self, most: int) -> Iterator[bytes]:
        """Yield the body as it comes, up to `most` bytes; it may end early.

        Raises `Interrupted`, and `WorldFailed` for a web page.
        """
        left = most if self.length is None else min(most, self.length)
        self._open(min(left, _OPENING_BYTES))
        piece = self._opening[:left]
        while piece:
            left -= len(piece)
            yield piece
            piece = self._piece(left)

    def _piece(self, most: int) -> bytes:
        with interrupting(self._asked, self._patience):
            return self.answer.piece(min(most, READ_CHUNK_BYTES)) if most > 0 else b""

    def _open(self, most: int) -> None:
        """Read the body's first bytes; raises `WorldFailed` if they begin a web page."""
        while len(self._opening) < most and (piece := self._piece(most - len(self._opening))):
            self._opening += piece
        if not self._url.endswith(_PAGE_SUFFIX) and _PAGE.match(self._opening):
            raise web_page(self._url, self._asked)


def _untold(_done: int) -> None:
    """Tell nobody."""


def web_page(url: str, asked: str) -> WorldFailed:
    """Return the error for an HTML page in place of a file."""
    where = "" if asked == url else f", from {asked}"
    return WorldFailed(
        url,
        f"is not the file, but looks like a web page{where}: a login page of the network?",
        hint="open any http:// page in a browser and log in to the network; if that is not it, check the address",
    )


def _check_status(answer: Answer, url: str, *, ranged: bool) -> None:
    status = answer.status
    if status == HTTPStatus.NETWORK_AUTHENTICATION_REQUIRED:
        raise web_page(url, url)
    if status in _MISSING:
        raise NotThere(url, "there is no such file in the galaxy")
    if status in _TRY_AGAIN:
        raise Interrupted(url, f"the server answers {_named(status)}")
    if status != HTTPStatus.OK and not (ranged and status in _RANGED):
        raise WorldFailed(url, f"the server answers {_named(status)}")
    if answer.value("content-encoding", "identity").lower() != "identity":
        raise WorldFailed(url, "the server compresses the file, although cosmos asked it not to")


def _named(status: int) -> str:
    """Return a status with its standard name: the server's own words are not shown on a terminal."""
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)


def _check_rest(answer: Answer, url: str, partial: Partial, size_bytes: int) -> None:
    """Refuse an answer that is not the rest of the file in `partial`, and delete its bytes so far."""
    is_rest = answer.status == HTTPStatus.PARTIAL_CONTENT and answer.names_part(partial.have, size_bytes, size_bytes)
    tag = answer.value("etag")
    is_other_file = bool(tag) and partial.validator.startswith('"') and tag != partial.validator
    if is_rest and not is_other_file:
        return
    partial.restart("")
    total = answer.value("content-range").rpartition("/")[2]
    if _NUMBER.fullmatch(total) and int(total) != size_bytes:
        raise wrong_size(url, size_bytes, total)
    raise Interrupted(url, "the server sends another part of the file than it was asked for")


def _validator(answer: Answer) -> str:
    """Return the value for `If-Range`: a strong ETag, else Last-Modified, else ""."""
    tag = answer.value("etag")
    if tag.startswith('"'):
        return tag if tag.isascii() and tag.isprintable() else ""
    modified = answer.value("last-modified")
    return modified if modified.isascii() and modified.isprintable() else ""


def _length(answer: Answer, url: str) -> int | None:
    """Return `Content-Length`, or None if the header is absent; refuses a doubled one and one that is not a number."""
    if answer.length is None and not answer.chunked and answer.values("content-length"):
        raise WorldFailed(url, "the server does not say in one number how long the file is")
    return answer.length


def _redirected(url: str, answer: Answer) -> str:
    """Return the address that `answer` redirects to, if it is allowed."""
    text = answer.value("location")
    try:
        target = urljoin(url, text)
        parts = urlsplit(target)
        reachable = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        reachable = False
    if not (text and reachable and target.isascii() and target.isprintable() and " " not in target):
        raise Refused(url, f"is redirected to {without_login(text)[:200]!r}, which is no http:// address")
    if "@" in parts.netloc:
        raise Refused(url, "is redirected to an address with a password")
    if urlsplit(url).scheme == "https" and parts.scheme == "http":
        raise Refused(url, "is redirected from https:// to http://")
    return target


def _base_of(url: str) -> str:
    """Return a galaxy's address as the prefix of every file's address, or raise `Malformed`."""
    if has_login(url):
        raise Malformed(without_login(url)[:200], LOGIN_PROBLEM, hint=LOGIN_HINT)
    try:
        parts = urlsplit(url)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_address = False
    if not is_address or "@" in parts.netloc or not url.isascii() or not url.isprintable() or " " in url:
        raise Malformed(without_login(url)[:200], "want an address such as http://10.0.0.1:8000/galaxy")
    if parts.query or parts.fragment:
        raise Malformed(without_login(url)[:200], "an address of a galaxy has no ? and no #")
    return f"{parts.scheme}://{parts.netloc}{quote(parts.path.rstrip('/'), safe='/%:@!$&()*+,;=~')}/"
