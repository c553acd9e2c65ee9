"""A short summary of a system. It checks no file and opens no socket: `verify` and `show` do that."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from cosmos.device.journal import Standing, changing_command, standing
from cosmos.device.leaving import new_beside
from cosmos.device.memory import system_trust
from cosmos.device.newer_trust import NewerTrust, newest_at_hand
from cosmos.device.root import LiveRoot, shown
from cosmos.device.settings import read_settings
from cosmos.device.system import TRUST_PATH, read_universe, trust_bytes
from cosmos.device.trusted import InstalledTrust, judge_installed
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Malformed, quoted
from cosmos.model.installed_entry import configuration, recorded_bytes
from cosmos.model.lock import LockedTrust
from cosmos.model.settings import Settings
from cosmos.model.universe import Universe
from cosmos.records import dataclass
from cosmos.treepath import TreePath
from cosmos.trust.roots import TrustRoots


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemStatus:
    """The summary of a system. `files` counts the recorded paths that are no folders, as `show` and `verify` do.

    `size_bytes` are the bytes of the regular files as they were installed. If a star's universe does not record them,
    the bytes of those that still exist count.

    `trust` is the accepted trust document's version and digest; None if none was accepted. `newer_trust`: a galaxy in
    a folder carries a later version. `unmet` says which keys the policy's demands would need, and are not pinned.
    `new_beside` is the new configuration that was laid beside changed files. `command` made the change that is running
    or was cut off.
    """

    root: str
    universe: Universe
    settings: Settings
    files: int
    size_bytes: int
    trust: LockedTrust | None
    newer_trust: NewerTrust | None
    installed_trust: InstalledTrust
    standing: Standing
    command: str = ""
    unmet: tuple[str, ...] = ()
    new_beside: tuple[TreePath, ...] = ()


def system_status(root: LiveRoot) -> SystemStatus:
    """Return the status of the system at `root`; raises `Malformed` if it is not a system."""
    universe, settings = read_universe(root), read_settings(root)
    files, size_bytes = _sizes(root, universe)
    trust, state = _accepted(root), standing(root)
    return SystemStatus(
        root=str(root.path),
        universe=universe,
        settings=settings,
        files=files,
        size_bytes=size_bytes,
        trust=trust,
        newer_trust=_newer(root, settings),
        installed_trust=judge_installed(root, universe),
        standing=state,
        command="" if state == "idle" else changing_command(root),
        unmet=_unmet(root, settings),
        new_beside=tuple(_new_beside(root, universe)),
    )


def trust_advice(status: SystemStatus) -> str:
    """Return the advice for a system that has accepted no trust document."""
    option = "" if status.root == "/" else f" --root {quoted(status.root)}"
    return f"{shown(TRUST_PATH)} is not there: cosmos trust init FILE --sha256 DIGEST{option}"


def _new_beside(root: LiveRoot, universe: Universe) -> Iterator[TreePath]:
    for _, star in sorted(universe.installed.items()):
        for entry in configuration(star.entries):
            beside = new_beside(entry.path)
            if beside is not None and root.stat(beside) is not None:
                yield beside


def _accepted(root: LiveRoot) -> LockedTrust | None:
    """Return the accepted document's version and digest. A damaged one has version 0: it says nothing that counts."""
    data = trust_bytes(root)
    if data is None:
        return None
    try:
        version = TrustRoots.parse(data, shown(TRUST_PATH)).version
    except Malformed:
        version = 0
    return LockedTrust(version=version, digest=Digest.of(data))


def _newer(root: LiveRoot, settings: Settings) -> NewerTrust | None:
    """Return the newest version of trust.toml at hand; None also if the accepted one cannot be judged."""
    try:
        return newest_at_hand(root, settings, system_trust(root))
    except CosmosError:
        return None


def _unmet(root: LiveRoot, settings: Settings) -> tuple[str, ...]:
    """Return which of the policy's demands no star can meet, because too few keys are pinned."""
    try:
        roots = system_trust(root).roots
    except CosmosError:
        return ()
    attesters = len(roots.keys("attester"))
    unmet = ["no key of the role log is pinned"] if settings.vouching.log and not roots.keys("log") else []
    if attesters < max(settings.vouching.badges.values(), default=0):
        unmet.append(f"only {attesters} attesters are pinned" if attesters else "no attester is pinned")
    return tuple(unmet)


def _sizes(root: LiveRoot, universe: Universe) -> tuple[int, int]:
    """Return the number of files and their bytes. The bytes of an inode count once: a hard link takes no space.

    The bytes are those that were recorded. Only the files of a star without recorded sizes are looked at.
    """
    files, size_bytes, seen = 0, 0, set[tuple[int, int]]()
    for star in universe.installed.values():
        files += len(star.files)
        recorded = recorded_bytes(star.entries) if len(star.entries) or not len(star.files) else None
        size_bytes += recorded or 0
        for path in star.files if recorded is None else ():
            found = root.stat(path)
            if found is not None and stat.S_ISREG(found.st_mode) and (found.st_dev, found.st_ino) not in seen:
                seen.add((found.st_dev, found.st_ino))
                size_bytes += found.st_size
    return files, size_bytes
