"""A server of a folder that knows ranges, counts what it sends, and can be told to cut off, to lie or to refuse."""

from __future__ import annotations

import http.server
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from fakes.http_servers import QuietServer

Bend = Callable[[str, int, bytes], bytes]
"""From the file's name, the place of the first byte and the bytes to what is sent in their place."""


@dataclass
class RangedServer:
    """`sent` are the bytes of body by file name. `bend` changes what is sent; `cut` ends each answer after so many.

    `cut_of` is the name of the only file that is cut; "" for all. `extent` is the header Content-Range, in which
    {first}, {last} and {size} are those of the part; "" for the right one."""

    folder: Path
    address: str = ""
    sent: dict[str, int] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    bend: Bend = lambda name, start, data: data
    cut: int = 1 << 40
    cut_of: str = ""
    ranges: bool = True
    extent: str = ""


@contextmanager
def ranged_server(folder: Path) -> Iterator[RangedServer]:
    """Serve `folder`."""
    told = RangedServer(folder)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.lstrip("/")
            file = told.folder / name
            told.asked.append((name, self.headers.get("Range", "")))
            if not file.is_file():
                self.send_error(404)
                return
            data = file.read_bytes()
            wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            if wanted and told.ranges:
                start, end = int(wanted[1]), int(wanted[2] or len(data) - 1) + 1
                body = told.bend(name, start, data[start:end])
                self.send_response(206)
                self.send_header("Content-Range", self.extent(start, end - 1, len(data)))
            else:
                body = told.bend(name, 0, data)
                self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            body = body[: told.cut] if told.cut_of in ("", name) else body
            told.sent[name] = told.sent.get(name, 0) + len(body)
            with suppress(OSError):
                self.wfile.write(body)

        def extent(self, first: int, last: int, size: int) -> str:
            return (told.extent or "bytes {first}-{last}/{size}").format(first=first, last=last, size=size)

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    server = QuietServer(("127.0.0.1", 0), Handler)
    told.address = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()
