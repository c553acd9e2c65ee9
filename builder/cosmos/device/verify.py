"""Compare a running system with its universe: is every path still what a star put there?

For each recorded entry, it checks that the entry is there, its kind, mode and owner, a file's bytes, a symlink's
target, the file that a hard link shares, a device's number, and a file's capabilities and other recorded attributes.
The entries of the image's own layers are checked in the same way, except those that belong to cosmos itself. Of a
shared folder, only the kind is checked. For the universe itself, it checks that no path has two owners, that all
dependencies are installed, and that upstream's `files` and our `entries` agree.

Every problem is reported: an entry that cannot be read (`unreadable`), a star that upstream recorded without digests
(`unjudged`), and an installation that was cut off. Contents are hashed in pieces, so little memory is needed.

It also judges the stars by the keys that are trusted now (device.trusted).

It does not check paths that no star owns, times, and owners under a `--root` that belongs to an ordinary user
(`owners_judged` says so).
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cosmos.device.journal import standing
from cosmos.device.live_entries import FORMATS
from cosmos.device.root import LiveRoot, shown
from cosmos.device.system import SETTINGS_FOLDER, STATE_FOLDER, read_universe
from cosmos.device.trusted import NOT_ASKED, InstalledTrust, judge_installed
from cosmos.digest import Digest
from cosmos.errors import CosmosError, Differs, Refused, WorldFailed
from cosmos.model.installed_entry import InstalledEntry
from cosmos.model.names import StarName
from cosmos.model.reporter import Reporter, Silent
from cosmos.model.universe import UNIVERSE_PATH, Universe
from cosmos.tree.entry import CAPABILITY
from cosmos.treepath import TreePath, escaped

_CONFIGURATION: Final = b"etc/"
_PROGRESS_EVERY: Final = 64  # entries; a terminal is not drawn at each
_KINDS: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}
_LAYERS: Final = {"template": "the image's template", "finish": "the image's finish script"}
_UNSETTLED: Final = {
    "idle": None,
    "running": "an installation is going on",
    "interrupted": "an installation was cut off; the next `cosmos install` puts back what was there before",
    "committed": "an installation was cut off; the next `cosmos install` finishes it",
    "unreadable": "an installation was cut off; its journal is damaged, or of another cosmos: finish it with that one",
    "unclear": "an installation is going on, or was cut off; only the system's owner can tell",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One difference from the installed state. `star` is empty if it concerns the universe itself.

    For an entry of a layer of the image, `star` names the layer.
    """

    path: TreePath
    star: str
    problem: str

    def __str__(self) -> str:
        return (
            f"{shown(self.path)} ({self.star}): {self.problem}" if self.star else f"{shown(self.path)}: {self.problem}"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class SystemVerdict:
    """The result of a comparison. `judged` counts the checked entries of stars, `bytes_read` the hashed bytes.

    A shared folder counts where its maker has it. `files` counts all entries of stars that are no folders, as `status`
    and `show` do. `of_image` counts the checked entries of the image's own layers.
    """

    root: str
    stars: int
    judged: int
    files: int
    bytes_read: int
    differences: tuple[Difference, ...]
    unreadable: tuple[Difference, ...]
    unjudged: tuple[StarName, ...]
    owners_judged: bool
    trust: InstalledTrust = NOT_ASKED
    of_image: int = 0

    @property
    def is_good(self) -> bool:
        """Whether every entry was checked and is as it was installed, and no star has lost its trust."""
        return not (self.differences or self.unreadable or self.unjudged or self.trust.untrusted)

    def error(self) -> CosmosError | None:
        """Return the error to raise; None if the system is good.

        It is `Differs` if something differs or cannot be judged, `Refused` if a star is not trusted now, and
        `WorldFailed` if the only problem is that some entries cannot be read.
        """
        lines = tuple(map(str, self.trust.untrusted))
        lines += tuple(str(difference) for difference in (*self.differences, *self.unreadable))
        lines += tuple(f"{name}: cannot be judged: it was recorded without digests" for name in self.unjudged)
        if self.differences or self.unjudged:
            problem = f"{_counted(len(self.differences), 'difference')} from its universe"
            if self.unjudged:
                problem += f", {_counted(len(self.unjudged), 'star')} cannot be judged"
            return Differs(self.root, problem, differences=lines)
        if self.trust.untrusted:
            problem = f"{_counted(len(self.trust.untrusted), 'star')} must not be used: {'; '.join(lines)}"
            return Refused(self.root, problem, hint="see the keys with: cosmos trust show --root DIR")
        if self.unreadable:
            problem = f"{_counted(len(self.unreadable), 'path')} cannot be read: {', '.join(lines[:3])}"
            return WorldFailed(self.root, problem, hint="run it as root")
        return None


def verify_system(root: Path, reporter: Reporter | None = None) -> SystemVerdict:
    """Return how the system at `root` compares with its universe. Raises only if the universe cannot be read."""
    with LiveRoot.open(root) as live:
        return verify_live(live, reporter or Silent())


def verify_live(root: LiveRoot, reporter: Reporter) -> SystemVerdict:
    """Return how `root` compares with its universe."""
    universe = read_universe(root)
    check = _Check(root)
    total = sum(len(entries) for _, entries in _owners(universe))
    done, judged, of_image = 0, 0, 0
    paths = _Paths(universe)
    for name, recorded in _owners(universe):
        entries = tuple(recorded)  # read once: a system has 50,000
        has_links = any(entry.kind == "hardlink" for entry in entries)
        places = {Digest.of(bytes(entry.path)): entry.path for entry in entries} if has_links else {}
        is_star = name not in _LAYERS.values()
        if is_star:
            paths.look(name, entries)
        for entry in entries:
            if is_star or not _is_own(entry.path):
                check.entry(name, entry, places)
                judged += is_star and not entry.is_shared
                of_image += not is_star
            done += 1
            if done % _PROGRESS_EVERY == 0 or done == total:
                reporter.progress("verify", done, total)
    differences = [*paths.inconsistencies, *check.differences]
    if (unsettled := _UNSETTLED[standing(root)]) is not None:
        differences.insert(0, _of_universe(unsettled))
    return SystemVerdict(
        root=str(root.path),
        stars=len(universe.installed),
        judged=judged,
        of_image=of_image,
        files=sum(len(star.files) for star in universe.installed.values()),
        bytes_read=check.bytes_read,
        differences=tuple(differences),
        unreadable=tuple(check.unreadable),
        unjudged=tuple(sorted(name for name, star in universe.installed.items() if star.files and not star.entries)),
        owners_judged=root.keeps_owners,
        trust=judge_installed(root, universe),
    )


class _Check:
    """A running comparison, with its results so far."""

    def __init__(self, root: LiveRoot) -> None:
        self._root = root
        self._owners = root.keeps_owners
        self.differences: list[Difference] = []
        self.unreadable: list[Difference] = []
        self.bytes_read = 0

    def entry(self, star: str, entry: InstalledEntry, places: Mapping[Digest, TreePath]) -> None:
        """Check one entry. `places` has the star's paths by the digest of their text, to find a hard link's target."""
        try:
            found = self._root.stat(entry.path)
            problems = ["is missing"] if found is None else list(self._problems(entry, found, places))
        except (OSError, WorldFailed) as error:
            reason = error.problem if isinstance(error, WorldFailed) else (error.strerror or "it failed").lower()
            self.unreadable.append(Difference(path=entry.path, star=star, problem=f"cannot be read: {reason}"))
            return
        self.differences += [Difference(path=entry.path, star=star, problem=problem) for problem in problems]

    def _problems(
        self, entry: InstalledEntry, found: os.stat_result, places: Mapping[Digest, TreePath]
    ) -> Iterator[str]:
        if stat.S_IFMT(found.st_mode) != FORMATS[entry.kind]:
            yield f"is a {_kind_of(found)}, but was installed as a {_KINDS[FORMATS[entry.kind]]}"
            return
        if entry.is_shared:  # another star, the image or the operator made the folder, with its own mode and owner
            return
        mode = stat.S_IMODE(found.st_mode)
        if entry.kind != "symlink" and mode != entry.mode:  # Linux gives every symlink 0777
            yield f"has the mode {mode:04o}, but was installed with {entry.mode:04o}"
        if self._owners and (found.st_uid, found.st_gid) != (entry.uid, entry.gid):
            yield f"belongs to {found.st_uid}:{found.st_gid}, but was installed for {entry.uid}:{entry.gid}"
        if entry.rdev is not None and (os.major(found.st_rdev), os.minor(found.st_rdev)) != entry.rdev:
            number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
            yield f"is device {number}, but was installed as {entry.rdev[0]}:{entry.rdev[1]}"
        if entry.kind == "file":
            yield from self._file_problems(entry)
        elif entry.kind == "symlink":
            target = self._root.link_target(entry.path)
            if Digest.of(target) != entry.digest:
                yield f"points to {TreePath(target).text}, but was installed with another target"
        elif entry.kind == "hardlink":
            yield from self._hard_link_problems(entry, found, places)

    def _file_problems(self, entry: InstalledEntry) -> Iterator[str]:
        with self._root.file(entry.path) as descriptor:
            with open(descriptor, "rb", closefd=False) as stream:
                digest = Digest.of_stream(stream)
                self.bytes_read += stream.tell()
            held = {name: _attribute(descriptor, name) for name in {CAPABILITY, *(name for name, _ in entry.xattrs)}}
        if digest != entry.digest:
            word = "was modified" if entry.path.startswith(_CONFIGURATION) else "has other bytes"
            yield f"{word}: it is {digest}, but was installed as {entry.digest or 'none'}"
        for name, value in sorted(held.items()):
            wanted = dict(entry.xattrs).get(name)
            if value != wanted:
                yield f"has the attribute {escaped(name)} {_hex(value)}, but was installed with {_hex(wanted)}"

    def _hard_link_problems(
        self, entry: InstalledEntry, found: os.stat_result, places: Mapping[Digest, TreePath]
    ) -> Iterator[str]:
        target = places.get(entry.digest) if entry.digest is not None else None
        if target is None:
            yield "was installed as a hard link to a path that its star does not have"
            return
        other = self._root.stat(target)
        if other is None or (other.st_dev, other.st_ino) != (found.st_dev, found.st_ino):
            yield f"is no longer one file with {shown(target)}"


def _owners(universe: Universe) -> Iterator[tuple[str, Sequence[InstalledEntry]]]:
    """Yield each star and each layer of the image, with its entries."""
    for name, star in sorted(universe.installed.items()):
        yield name, star.entries
    for layer, entries in sorted(universe.layers.items()):
        yield _LAYERS[layer], entries


def _is_own(path: TreePath) -> bool:
    """Return whether `path` belongs to cosmos itself, whose commands change what an image brought there."""
    return any(own == path or own in path.parents for own in (STATE_FOLDER, SETTINGS_FOLDER))


class _Paths:
    """Finds what contradicts itself in a universe, star by star."""

    def __init__(self, universe: Universe) -> None:
        self._universe = universe
        self._owners: dict[TreePath, str] = {
            entry.path: _LAYERS[layer]
            for layer, entries in universe.layers.items()
            for entry in entries
            if entry.kind != "dir"
        }
        self.inconsistencies: list[Difference] = []

    def look(self, owner: str, entries: Sequence[InstalledEntry]) -> None:
        """Look at the paths of a star, whose entries these are."""
        star = self._universe.installed[StarName(owner)]
        files = tuple(star.files)
        if entries and {entry.path for entry in entries if entry.kind != "dir"} != set(files):
            self._note(f"installed.{owner}: its files and its entries name different paths")
        if len(set(files)) != len(files):
            self._note(f"installed.{owner}: names one path twice")
        for needed in star.dependencies:
            if needed not in self._universe.installed:
                self._note(f"installed.{owner}: depends on {needed}, which is not installed")
        for path in files:
            if self._owners.setdefault(path, owner) != owner:
                self._note(f"{shown(path)} belongs to both {self._owners[path]} and {owner}")

    def _note(self, problem: str) -> None:
        self.inconsistencies.append(_of_universe(problem))


def _of_universe(problem: str) -> Difference:
    return Difference(path=UNIVERSE_PATH, star="", problem=problem)


def _attribute(descriptor: int, name: bytes) -> bytes | None:
    try:
        return os.getxattr(descriptor, name)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return None
        raise


def _hex(value: bytes | None) -> str:
    return "none" if value is None else value.hex()


def _kind_of(found: os.stat_result) -> str:
    return _KINDS.get(stat.S_IFMT(found.st_mode), "thing of another kind")


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"
