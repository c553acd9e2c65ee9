"""Bounded reads of files that a person or another program wrote."""

from __future__ import annotations

from pathlib import Path

from cosmos.errors import Malformed
from cosmos.limits import MAX_DOCUMENT_BYTES, read_within


def read_bounded(file: Path, limit: int = MAX_DOCUMENT_BYTES) -> bytes:
    """Return the bytes of one of the operator's own documents; raises `Malformed` where it is too large to be one."""
    with file.open("rb") as stream:
        data = read_within(stream, limit)
    if len(data) > limit:
        raise Malformed(str(file), f"has more bytes than the limit, {limit}")
    return data
