"""The digest of a source tree (in-toto attestation framework, DigestSet): see image.program."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Final

from cosmos.digest import Digest

_CACHE: Final = "__pycache__"


def dir_hash(folder: Path) -> str:
    """Return the `dirHash` of a folder's files in hexadecimal, without Python's caches."""
    names: list[str] = []
    for at, _, files in sorted(os.walk(folder)):  # as texts: a path takes longer than to hash a module
        inside = os.path.relpath(at, folder)
        if _CACHE not in inside.split("/"):
            names += [name if inside == "." else f"{inside}/{name}" for name in files if name != _CACHE]
    hasher = hashlib.sha256()
    for name in sorted(names, key=str.encode):
        file = f"{folder}/{name}"
        if os.path.isfile(file):  # noqa: PTH113 - a text, as above
            with open(file, "rb") as stream:  # noqa: PTH123 - a text, as above
                hasher.update(f"{Digest.of(stream.read()).hex}  {name}\n".encode())
    return hasher.hexdigest()
