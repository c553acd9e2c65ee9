"""Files that a command knows again: changes that do not show in a size or a time, and what a folder holds."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from fakes.images import ImageFixture
from fakes.programs import Cosmos, Outcome


def build(image: ImageFixture, cosmos: Cosmos, *words: object) -> Outcome:
    """Build the image by its home."""
    return cosmos("build", image.folder, "--home", image.home, *words)


def files(folder: Path) -> dict[str, tuple[bytes, int, int]]:
    """Return the bytes, the time and the inode of each file."""
    return {
        path.name: (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in sorted(folder.iterdir())
    }


def flipped(data: bytes) -> bytes:
    """Return as many bytes, of which the last is another."""
    return data[:-1] + bytes([data[-1] ^ 1])


def in_place(file: Path, change: Callable[[bytes], bytes]) -> None:
    """Change a file's bytes, and give it the mode and mtime that it had; a clock that ticks gives it another ctime."""
    before = file.stat()
    data = change(file.read_bytes())
    file.chmod(0o644)
    with file.open("r+b") as stream:
        stream.write(data)
        stream.truncate()
    file.chmod(before.st_mode & 0o7777)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    while file.stat().st_ctime_ns == before.st_ctime_ns:
        file.chmod(before.st_mode & 0o7777)
