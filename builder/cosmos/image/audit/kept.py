"""Which files of a store an audit changes: one of each kind. The kinds are found in the files themselves.

A kind is the store's room, and what the file holds: the keys of its document, or an archive, or a packed layer. So a
new kind of record is changed without anybody adding it to a list.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from cosmos.errors import Malformed
from cosmos.limits import MAX_LAYER_RECORD_BYTES
from cosmos.reading import read_bounded
from cosmos.tables import Table

_BATCHES, _BLOBS, _RESULTS = "batches", "blobs", "results"
_FRAME: Final = re.compile(rb'"digest":"sha256:([0-9a-f]{64})"')  # in a layer's record (pack.layer), in a batch
_BLOB: Final = "blob"  # the key of a record that names a packed layer (store.blobs)


def one_of_each_kind(store: Path) -> Mapping[str, Path]:
    """Return one file of each kind that the store in the folder `store` has, by the name of its kind."""
    kinds: dict[str, Path] = {}
    for kind, file in _kinds(store):
        kinds.setdefault(kind, file)
    return kinds


def number_of_files(store: Path) -> int:
    """Return how many files the store's rooms have."""
    return sum(1 for _ in _kinds(store))


def _kinds(store: Path) -> Iterator[tuple[str, Path]]:
    layers = set()
    for file in _files(store / _RESULTS):
        record = _record(file)
        yield f"{_RESULTS}: {', '.join(record)}", file
        layers.add(str(record.get(_BLOB)).removeprefix("sha256:"))
    for file in _files(store / _BATCHES):
        layers.update(digest.decode() for digest in _FRAME.findall(file.read_bytes()))
    for file in _files(store / _BLOBS):
        yield f"{_BLOBS}: {'a packed layer' if file.name in layers else 'what was fetched'}", file
    for file in _files(store / _BATCHES):
        yield f"{_BATCHES}: indexes and statements", file


def _files(room: Path) -> list[Path]:
    """Return the files of a room in the order of their names; locks are empty."""
    return sorted(file for file in room.rglob("*") if file.is_file() and file.stat().st_size)


def _record(file: Path) -> Mapping[str, object]:
    """Return the document of a result, or nothing where it has none."""
    _, start, rest = read_bounded(file, MAX_LAYER_RECORD_BYTES).partition(b"{")  # after the lines that vouch for it
    data = start + rest
    try:
        table = Table.from_json(data, str(file), max_bytes=MAX_LAYER_RECORD_BYTES)
    except Malformed:
        return {}
    return {key: table.value(key) for key in table.keys()}
