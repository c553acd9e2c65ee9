"""What a system is, at a glance. Nothing is verified here and no galaxy is opened: `verify` and `show` do that."""

from __future__ import annotations

import stat
from dataclasses import dataclass

from cosmos.device.journal import Standing, standing
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import read_settings
from cosmos.device.system import TRUST_PATH, read_universe, trust_bytes
from cosmos.digest import Digest
from cosmos.model.settings import Settings
from cosmos.model.universe import Universe


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemStatus:
    """A system's own account of itself. `files` and `bytes` are of what stars own and is still there.

    `trust` is the digest of the accepted trust document, None where none was.
    """

    root: str
    universe: Universe
    settings: Settings
    files: int
    size_bytes: int
    trust: Digest | None
    standing: Standing


def system_status(root: LiveRoot) -> SystemStatus:
    """Return the status of the system at `root`; raises `Malformed` where it is none."""
    universe = read_universe(root)
    files, size_bytes = _sizes(root, universe)
    trust = trust_bytes(root)
    return SystemStatus(
        root=str(root.path),
        universe=universe,
        settings=read_settings(root),
        files=files,
        size_bytes=size_bytes,
        trust=None if trust is None else Digest.of(trust),
        standing=standing(root),
    )


def trust_advice(status: SystemStatus) -> str:
    """Return what to do where no trust was accepted."""
    return f"{shown(TRUST_PATH)} is not there: cosmos trust init FILE --sha256 DIGEST --root {status.root}"


def _sizes(root: LiveRoot, universe: Universe) -> tuple[int, int]:
    """Count each inode once: a hard link takes no room."""
    files, size_bytes, seen = 0, 0, set[tuple[int, int]]()
    for star in universe.installed.values():
        for path in star.files:
            found = root.stat(path)
            if found is None or not stat.S_ISREG(found.st_mode):
                continue
            files += 1
            if (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                size_bytes += found.st_size
    return files, size_bytes
