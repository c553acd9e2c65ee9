"""The archives that an earlier `stellar index-galaxy --trust-stat` hashed: each is known again by its stamp (`stamps`).

The record lies in the store of a builder's home, sealed (`store.sealed`), under the path of the galaxy:

    {"format": 1, "archives": [[NAME, WHAT, STAT], …]}      as the rows of image.kept_release

It says what a file is, and nothing of who signed it. An archive that is not known by it is hashed, and each archive is
compared with its statement all the same.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from cosmos.canon import Json, canonical_json, digest_of
from cosmos.digest import Digest
from cosmos.errors import WorldFailed
from cosmos.keyring.store_key import store_key
from cosmos.reading import open_plain
from cosmos.stamps import Seen, seen_now
from cosmos.store.blobs import StoreFolder
from cosmos.store.interface import Store
from cosmos.store.sealed import NotSealed, Seal, SealedStore

_FORMAT: Final = 1


class KnownArchives:
    """The archives in one folder by name, as an earlier run saw them and as this one sees them."""

    def __init__(self, known: Mapping[str, Seen], settled: int) -> None:
        """`settled` is a time before which a change is old enough to be noticed by the stamp."""
        self._known = known
        self._settled = settled
        self.seen: dict[str, Seen] = {}

    def digest(self, file: Path) -> Digest:
        """Return the digest of the archive `file`: hashed now, or when it had this stamp before."""
        known = self._known.get(file.name)
        with open_plain(file) as stream:
            seen = seen_now(stream.fileno(), self._settled, known)
        self.seen[file.name] = seen
        return Digest.parse(f"sha256:{seen.what.split(' ')[0]}")

    @property
    def hashed(self) -> int:
        """How many archives were hashed now."""
        return sum(self._known.get(name) is not seen for name, seen in self.seen.items())


@contextmanager
def known_archives(home: Path, packages: Path, settled: int, warn: Callable[[str], None]) -> Iterator[KnownArchives]:
    """Give the archives in the folder `packages` that the store in `home` knows; keep what was seen in the block.

    Raises `WorldFailed`. After an error in the block, nothing is kept.
    """
    folder = StoreFolder(home / "store")
    with folder.hold():
        store = SealedStore(folder, Seal(store_key(home)))
        key = digest_of({"what": "known-archives", "packages": os.fsencode(packages.resolve()).hex()})
        known = _read(store, key, warn)
        archives = KnownArchives(known, settled)
        yield archives
        if archives.seen != known:
            rows: list[Json] = [[name, seen.what, seen.stat] for name, seen in archives.seen.items()]
            with suppress(WorldFailed):  # the index is published, and complete without it
                store.put_result(key, canonical_json({"format": _FORMAT, "archives": rows}))


def _read(store: Store, key: Digest, warn: Callable[[str], None]) -> Mapping[str, Seen]:
    try:
        data = store.get_result(key)
    except NotSealed as forged:
        warn(f"{forged}; it is not believed, and every archive is hashed")
        return {}
    if data is None:
        return {}
    found = json.loads(data)  # this home wrote it, or the seal would be broken
    if found["format"] != _FORMAT:
        return {}
    return {name: Seen(what=what, stat=seen) for name, what, seen in found["archives"]}
