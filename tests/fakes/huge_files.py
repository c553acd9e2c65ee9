"""Files of 1 TiB that take no room on the disk: what reads one to its end is busy for a quarter of an hour.

So a test that makes one also lets whoever hashes it fail at once.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import BinaryIO

import pytest

from cosmos.content import HeldFile
from cosmos.digest import Digest

HUGE_BYTES = 1 << 40
_MOST_BYTES = 1 << 30  # no file of a test is larger


def grow(file: Path) -> None:
    """Make a file huge."""
    os.truncate(file, HUGE_BYTES)


def hash_no_huge_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let everybody fail who begins to hash a huge file."""
    of_stream, sha256 = Digest.of_stream.__func__, HeldFile.sha256

    def hashed_stream(cls: type[Digest], stream: BinaryIO) -> Digest:
        assert os.fstat(stream.fileno()).st_size < _MOST_BYTES, "a huge file is hashed"
        found = of_stream(cls, stream)
        assert isinstance(found, Digest)
        return found

    def hashed_part(file: HeldFile, start: int, size_bytes: int) -> str:
        assert size_bytes < _MOST_BYTES, "a huge file is hashed"
        return sha256(file, start, size_bytes)

    def read(number: int, size: int) -> bytes:
        assert os.fstat(number).st_size < _MOST_BYTES, "a huge file is hashed"
        return os.read(number, size)

    monkeypatch.setattr("cosmos.stamps.os", SimpleNamespace(**{**vars(os), "read": read}))
    monkeypatch.setattr(Digest, "of_stream", classmethod(hashed_stream))
    monkeypatch.setattr(HeldFile, "sha256", hashed_part)
