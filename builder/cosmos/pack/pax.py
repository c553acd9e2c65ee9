"""The records of a pax extended header, read strictly (POSIX.1-2017, pax, "pax Extended Header").

A record is `LENGTH KEYWORD=VALUE` and a newline; LENGTH is decimal and counts the whole record. Known keywords:

    path linkpath size uid gid mtime     stand for the header's fields
    hdrcharset                           BINARY or UTF-8: names are bytes here, so it changes nothing (GNU tar
                                         writes names that are not UTF-8 without it)
    SCHILY.xattr.NAME                    an extended attribute, its value unchanged
    LIBARCHIVE.xattr.NAME                the same again in base64 (bsdtar writes both): its equal twin must be there
    atime ctime comment uname gname      not read; nor are SCHILY.dev, .ino, .nlink, .fflags

Any other keyword is an error: it could change what an entry means (sparse maps), or be lost (ACLs, SELinux labels).
"""

from __future__ import annotations

import re
from base64 import b64encode
from typing import Final
from urllib.parse import unquote_to_bytes

from cosmos.limits import MAX_XATTR_BYTES
from cosmos.treepath import escaped

XATTR: Final = b"SCHILY.xattr."
_XATTR_AGAIN = b"LIBARCHIVE.xattr."
_FIELDS = frozenset({b"path", b"linkpath", b"size", b"uid", b"gid", b"mtime"})
_CHARSETS = frozenset({b"BINARY", b"ISO-IR 10646 2000 UTF-8"})
_NOT_READ = frozenset(
    {
        *(b"atime", b"ctime", b"comment", b"uname", b"gname"),
        *(b"SCHILY.dev", b"SCHILY.ino", b"SCHILY.nlink", b"SCHILY.fflags"),
        *(b"LIBARCHIVE.creationtime", b"LIBARCHIVE.symlinktype"),
    }
)
_LENGTH = re.compile(rb"([1-9][0-9]{0,6}) ")
_WHOLE = re.compile(rb"0|[1-9][0-9]{0,18}")
_TIME = re.compile(rb"(-?)(0|[1-9][0-9]{0,11})(?:\.([0-9]*))?")


def parse_pax(body: bytes) -> dict[bytes, bytes]:
    """Return the records of the extended header of one member, or raise `ValueError`.

    >>> parse_pax(b"11 path=ab\\n")
    {b'path': b'ab'}
    """
    records = pax_records(body)
    for keyword, value in records.items():
        if keyword.startswith(XATTR):
            if keyword == XATTR or b"\0" in keyword or len(value) > MAX_XATTR_BYTES:
                raise ValueError(f"a malformed extended attribute: {_shown(keyword)} of {len(value)} bytes")
        elif keyword.startswith(_XATTR_AGAIN):
            twin = records.get(XATTR + unquote_to_bytes(keyword.removeprefix(_XATTR_AGAIN)))
            if twin is None:
                raise ValueError(f"{_shown(keyword)} without its SCHILY.xattr twin")
            if value.rstrip(b"=") != b64encode(twin).rstrip(b"="):
                raise ValueError(f"{_shown(keyword)} differs from its SCHILY.xattr twin")
        elif keyword == b"hdrcharset":
            if value not in _CHARSETS:
                raise ValueError(f"unknown hdrcharset {_shown(value)}")
        elif keyword in _FIELDS:
            if not value:
                raise ValueError(f"an empty {_shown(keyword)}")
        elif keyword not in _NOT_READ:
            what = "a sparse member" if keyword.startswith(b"GNU.sparse.") else "an unknown pax keyword"
            raise ValueError(f"{what}: {_shown(keyword)}")
    return records


def pax_records(body: bytes) -> dict[bytes, bytes]:
    """Return the records with any keywords, unjudged, or raise `ValueError`."""
    records: dict[bytes, bytes] = {}
    start = 0
    while start < len(body):
        length = _LENGTH.match(body, start)
        end = start + int(length[1]) if length is not None else len(body) + 1
        record = body[length.end() : end] if length is not None and end <= len(body) else b""
        keyword, equals, value = record[:-1].partition(b"=")
        if not record.endswith(b"\n") or not equals or not keyword:
            raise ValueError(f"a pax record at byte {start} that does not add up")
        if keyword in records:
            raise ValueError(f"a doubled pax keyword: {_shown(keyword)}")
        records[keyword] = value
        start = end
    return records


def read_whole(value: bytes, *, most: int) -> int:
    """Return a decimal number without a sign, of at most `most`, or raise `ValueError`."""
    if not _WHOLE.fullmatch(value) or int(value) > most:
        raise ValueError(f"want a whole number of at most {most}, got {_shown(value)}")
    return int(value)


def read_time(value: bytes) -> int:
    """Return the whole seconds of a time, rounded down as POSIX asks, or raise `ValueError`.

    >>> read_time(b"1453146164.953123768"), read_time(b"-1.5")
    (1453146164, -2)
    """
    match = _TIME.fullmatch(value)
    if match is None:
        raise ValueError(f"want seconds, got {_shown(value)}")
    seconds = int(match[2])
    return -seconds - bool((match[3] or b"").strip(b"0")) if match[1] else seconds


def _shown(raw: bytes) -> str:
    return escaped(raw[:60])
