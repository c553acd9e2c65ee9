"""A log as static files (c2sp.org/tlog-tiles), below the galaxy's folder `log/`.

    checkpoint                  the head, a signed note (trust.notes)
    tile/0/000                  256 leaf hashes; tile/0/x001/x234/067 is tile number 1,234,067
    tile/0/001.p/12             the last tile, which is not full: 12 hashes
    tile/1/000.p/1              one level up: one hash for each full tile of the level below
    tile/entries/000            the entries of tile/0/000: for each its length, 16 bits big-endian, and its bytes

The tiles are not trusted: their reader compares the root over the leaves with a verified head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from cosmos.errors import Refused
from cosmos.limits import Limit
from cosmos.trust.merkle import HASH_BYTES, leaf_hash, root_of

LOG_FOLDER: Final = "log"
CHECKPOINT: Final = "checkpoint"
TILE_WIDTH: Final = 256
MAX_LOG_ENTRIES: Final = Limit(
    "MAX_LOG_ENTRIES", 1 << 22
)  # four million published stars: 128 MiB of leaf hashes, held in memory
MAX_ENTRY_BYTES: Final = (1 << 16) - 1  # what 16 bits can say
LEAVES_BYTES: Final = TILE_WIDTH * HASH_BYTES  # of a full tile of leaf hashes
MAX_TILE_BYTES: Final = TILE_WIDTH * (2 + MAX_ENTRY_BYTES)

Read = Callable[[str, int], bytes]  # (path below log/, most bytes) -> content


def log_files(entries: Sequence[bytes]) -> Mapping[str, bytes]:
    """Return every tile and every bundle of a log with these entries, by path below `log/`."""
    level_hashes = [leaf_hash(entry) for entry in entries]
    files: dict[str, bytes] = {}
    for path, start, width in _rows("entries", len(entries)):
        files[path] = b"".join(len(one).to_bytes(2, "big") + one for one in entries[start : start + width])
    level = 0
    while level_hashes:
        for path, start, width in _rows(str(level), len(level_hashes)):
            files[path] = b"".join(level_hashes[start : start + width])
        full = len(level_hashes) // TILE_WIDTH
        level_hashes = [root_of(level_hashes[at * TILE_WIDTH : (at + 1) * TILE_WIDTH]) for at in range(full)]
        level += 1
    return files


def leaf_tiles(size: int, source: str) -> tuple[str, ...]:
    """Return the path of each tile that `read_leaves` reads for a log of `size` entries, in its order."""
    return tuple(path for path, _, _ in _rows("0", _bounded(size, source)))


def read_leaves(size: int, read: Read, source: str) -> tuple[bytes, ...]:
    """Return the leaf hashes of a log of `size` entries, from its tiles; raises `Refused` for other tiles."""
    found: list[bytes] = []
    for path, _, width in _rows("0", _bounded(size, source)):
        tile = read(path, LEAVES_BYTES)
        if len(tile) != width * HASH_BYTES:
            raise Refused(f"{source}: {path}", f"want {width} hashes, got {len(tile)} bytes")
        found += [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]
    return tuple(found)


def read_entries(size: int, read: Read, source: str) -> tuple[bytes, ...]:
    """Return the entries of a log of `size` entries, from its bundles; raises `Refused` for bundles of another form."""
    found: list[bytes] = []
    for path, _, width in _rows("entries", _bounded(size, source)):
        found += _unbundled(read(path, MAX_TILE_BYTES), width, f"{source}: {path}")
    return tuple(found)


def _unbundled(bundle: bytes, width: int, source: str) -> list[bytes]:
    entries: list[bytes] = []
    place = 0
    while place < len(bundle):
        end = place + 2 + int.from_bytes(bundle[place : place + 2], "big")
        entries.append(bundle[place + 2 : end])
        place = end
    if place != len(bundle) or len(entries) != width:
        raise Refused(source, f"want {width} entries, got {len(entries)}, or the last is cut off")
    return entries


def _rows(level: str, count: int) -> list[tuple[str, int, int]]:
    """Return path, first place and width of each tile of a level with `count` hashes."""
    rows = []
    for number in range(-(-count // TILE_WIDTH)):
        start = number * TILE_WIDTH
        width = min(TILE_WIDTH, count - start)
        partial = f".p/{width}" if width < TILE_WIDTH else ""
        rows.append((f"tile/{level}/{_numbered(number)}{partial}", start, width))
    return rows


def _numbered(number: int) -> str:
    """Return a tile's number as a path.

    >>> _numbered(1234067)
    'x001/x234/067'
    """
    parts = [f"{number % 1000:03}"]
    while number >= 1000:
        number //= 1000
        parts.insert(0, f"x{number % 1000:03}")
    return "/".join(parts)


def _bounded(size: int, source: str) -> int:
    if size > MAX_LOG_ENTRIES:
        raise Refused(source, f"has {size} entries, the limit is {MAX_LOG_ENTRIES}")
    return size
