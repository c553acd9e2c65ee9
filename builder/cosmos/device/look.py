"""What a person can look at before stars are installed: who signed them, what they bring, and what their scripts did.

Everything follows from what was verified and staged anyway: the signed statement, the entries at their real paths, and
the receipt of the script. So what is shown is what would be placed. Nothing is staged twice for that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from cosmos.canon import Json
from cosmos.model.installed_entry import DEVICES, InstalledEntry, recorded_bytes
from cosmos.model.lock import LockedStar
from cosmos.model.names import StarName
from cosmos.model.star import Star
from cosmos.records import dataclass
from cosmos.staging.acquire import Acquired
from cosmos.staging.powers import Consent, Wanted, wanted_powers
from cosmos.tree.entry import CAPABILITY
from cosmos.treepath import TreePath
from cosmos.trust.badges import Badge
from cosmos.trust.roots import TrustRoots

_MADE_BY_SCRIPT: Final = ("copy", "write", "render", "mkdir", "symlink", "mknod", "chmod", "chown", "setcap", "run")


@dataclass(frozen=True, kw_only=True, slots=True)
class Signer:
    """Who signed a star: the key, its name, and the globs of what that key may sign."""

    key: str
    name: str
    galaxies: tuple[str, ...]
    stars: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unusual:
    """A path that a reader should see: `what` names each unusual thing about it."""

    path: TreePath
    mode: int
    what: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Deeds:
    """What a script did: the programs that it ran, and how often it used each verb."""

    programs: tuple[tuple[str, ...], ...]
    counts: Mapping[str, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class StarLook:
    """One star to be installed.

    `entries` are the paths that it brings. `files` counts those besides folders, `installed_bytes` the bytes of its
    files, `outside` its paths outside /usr and /etc. `deeds` is None if it has no script. `badges` is None if the
    galaxy could not be asked for them.
    """

    star: LockedStar
    about: Star
    signers: tuple[Signer, ...]
    badges: tuple[Badge, ...] | None
    entries: tuple[InstalledEntry, ...]
    files: int
    installed_bytes: int
    outside: int
    unusual: tuple[Unusual, ...]
    powers: tuple[Wanted, ...]
    deeds: Deeds | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """All stars to be installed, in dependency order. `kept`: wished stars that are installed already."""

    stars: tuple[StarLook, ...]
    kept: tuple[StarName, ...] = ()

    @property
    def refused(self) -> tuple[Wanted, ...]:
        """The powers of all stars that the operator's policy does not allow."""
        return tuple(row for one in self.stars for row in one.powers if not row.is_given)

    @property
    def fetched_bytes(self) -> int:
        """The bytes of all archives."""
        return sum(one.star.size_bytes for one in self.stars)

    @property
    def installed_bytes(self) -> int:
        """The bytes of all files."""
        return sum(one.installed_bytes for one in self.stars)


def look_at(
    item: Acquired,
    brought: Sequence[InstalledEntry],
    files: int,
    receipt: Json,
    consent: Consent,
    roots: TrustRoots,
    badges: tuple[Badge, ...] | None,
) -> StarLook:
    """Return what a person can look at of one star, after it was staged and planned to bring these entries."""
    return StarLook(
        star=item.star,
        about=item.statement.statement.star,
        signers=tuple(_signer(key, roots) for key in item.statement.signers),
        badges=badges,
        entries=tuple(brought),
        files=files,
        installed_bytes=recorded_bytes(brought) or 0,
        outside=sum(not consent.folders.hold(entry) for entry in brought if entry.kind != "dir"),
        unusual=tuple(_unusual(brought)),
        powers=wanted_powers(consent, item.star.name, brought, receipt),
        deeds=deeds_of(receipt),
    )


def _signer(key: str, roots: TrustRoots) -> Signer:
    scopes = [author for author in roots.authors if author.key.id == key]
    return Signer(
        key=key,
        name=roots.name_of(key),
        galaxies=tuple(dict.fromkeys(glob for author in scopes for glob in author.galaxies)),
        stars=tuple(dict.fromkeys(glob for author in scopes for glob in author.stars)),
    )


def _unusual(entries: Iterable[InstalledEntry]) -> Iterable[Unusual]:
    for entry in entries:
        what = list[str]()
        if entry.kind not in ("symlink", "hardlink"):
            what += [name for bit, name in ((0o4000, "setuid"), (0o2000, "setgid")) if entry.mode & bit]
            if entry.mode & 0o002 and entry.kind not in DEVICES:
                what.append("world-writable")
        if any(name == CAPABILITY for name, _ in entry.xattrs):
            what.append("capabilities")
        if entry.kind in DEVICES:
            what.append("device")
        if what:
            yield Unusual(path=entry.path, mode=entry.mode, what=tuple(what))


def deeds_of(receipt: Json) -> Deeds | None:
    """Return what the script of this receipt did; None without a script.

    >>> deeds_of({"events": [{"do": "run", "words": ["fc-cache", "-s"]}, {"do": "mkdir"}, {"do": "read"}]})
    Deeds(programs=(('fc-cache', '-s'),), counts={'mkdir': 1, 'run': 1})
    """
    events = receipt.get("events") if isinstance(receipt, dict) else None
    if not isinstance(events, list):
        return None
    rows = [event for event in events if isinstance(event, dict)]
    done = [row["do"] for row in rows]
    programs = []
    for row in rows:
        words = row.get("words")
        if row["do"] == "run" and isinstance(words, list):
            programs.append(tuple(map(str, words)))
    counts = {verb: done.count(verb) for verb in _MADE_BY_SCRIPT if verb in done}
    return Deeds(programs=tuple(programs), counts=dict(sorted(counts.items())))
