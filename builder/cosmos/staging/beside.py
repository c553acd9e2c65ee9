"""Read the files that a galaxy keeps beside a star's statement: log proofs and badges.

The lock does not pin them: new ones come without a new lock, and `trust` judges them whenever they are read. If the
galaxy can be read, they are read again. Once they were judged good, the caller keeps them, so that an offline build
finds the newest good ones.
"""

from __future__ import annotations

from cosmos.canon import digest_of
from cosmos.digest import Digest
from cosmos.staging.source import Source
from cosmos.transport.carrier import NotThere


def read_beside(source: Source, stem: str, suffix: str, max_bytes: int) -> bytes | None:
    """Return the file `stars/STEM` + `suffix`, or None if the galaxy (offline: the store) has no such file."""
    path = beside_path(stem, suffix)
    if source.carrier is None:
        return source.store.get_result(_key(source, path))
    try:
        return source.carrier.read(path, max_bytes=max_bytes)
    except NotThere:
        return None


def keep_beside(source: Source, stem: str, suffix: str, data: bytes) -> None:
    """Keep the file `stars/STEM` + `suffix` with the bytes `data`, which were judged good, for use offline."""
    if source.carrier is not None:
        source.store.put_result(_key(source, beside_path(stem, suffix)), data)


def beside_path(stem: str, suffix: str) -> str:
    """Return a galaxy's path for a file beside the statement of the star whose files are called `stem`."""
    return f"stars/{stem}{suffix}"


def _key(source: Source, path: str) -> Digest:
    return digest_of({"kind": "judged-beside", "galaxy": str(source.galaxy), "path": path})
