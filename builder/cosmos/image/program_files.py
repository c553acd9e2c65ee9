"""The digest of a source tree (in-toto attestation framework, DigestSet): see image.program."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Final

from cosmos.digest import Digest

_CACHE: Final = "__pycache__"


def dir_hash(folder: Path) -> str:
    """Return the `dirHash` of a folder's files in hexadecimal, without Python's caches."""
    names = (
        file.relative_to(folder).as_posix()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and _CACHE not in file.relative_to(folder).parts
    )
    hasher = hashlib.sha256()
    for name in sorted(names, key=str.encode):
        hasher.update(f"{Digest.of((folder / name).read_bytes()).hex}  {name}\n".encode())
    return hasher.hexdigest()
