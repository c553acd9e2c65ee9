"""Compare one entry of a system with what was installed: kind, mode, owner, bytes, target, number and attributes.

Contents are hashed in pieces, so little memory is needed. Links in the folders above are followed inside the root.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from typing import Final, Literal, TypeAlias

from cosmos.device.live_entries import FORMATS
from cosmos.device.root import LiveRoot, shown
from cosmos.digest import Digest
from cosmos.errors import WorldFailed
from cosmos.limits import MIB
from cosmos.model.installed_entry import InstalledEntry, is_configuration
from cosmos.records import dataclass
from cosmos.tree.entry import CAPABILITY
from cosmos.treepath import TreePath, escaped

Harm: TypeAlias = Literal["missing", "kind", "content", "attributes", "unreadable"]
"""What is wrong with an entry. `kind`: something else is in its place. `content`: its bytes, target, number or file."""

_KINDS: Final = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "folder",
    stat.S_IFLNK: "symlink",
    stat.S_IFCHR: "character device",
    stat.S_IFBLK: "block device",
    stat.S_IFIFO: "fifo",
    stat.S_IFSOCK: "socket",
}

_MORE_BYTES: Final = 64 * MIB  # what a file may have too much before its size says enough: a sparse one has no end


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


@dataclass(frozen=True, slots=True)
class Problem:
    """A difference of one entry, in words, and its kind."""

    harm: Harm
    text: str


class EntryCheck:
    """Compares entries of one system. `bytes_read` counts the hashed bytes."""

    def __init__(self, root: LiveRoot) -> None:
        self._root = root
        self._owners = root.keeps_owners
        self.bytes_read = 0

    def problems(self, entry: InstalledEntry, places: Mapping[Digest, TreePath]) -> list[Problem]:
        """Return what is wrong with `entry`. `places` has its star's paths by the digest of their text, for links."""
        try:
            found = self._root.stat(entry.path)
            return [Problem("missing", "is missing")] if found is None else list(self._compared(entry, found, places))
        except (OSError, WorldFailed) as error:
            reason = error.problem if isinstance(error, WorldFailed) else (error.strerror or "it failed").lower()
            return [Problem("unreadable", f"cannot be read: {reason}")]

    def _compared(
        self, entry: InstalledEntry, found: os.stat_result, places: Mapping[Digest, TreePath]
    ) -> Iterator[Problem]:
        if stat.S_IFMT(found.st_mode) != FORMATS[entry.kind]:
            yield Problem("kind", f"is a {kind_of(found)}, but was installed as a {_KINDS[FORMATS[entry.kind]]}")
            return
        if entry.is_shared:  # another star, the image or the operator made the folder, with its own mode and owner
            return
        mode = stat.S_IMODE(found.st_mode)
        if entry.kind != "symlink" and mode != entry.mode:  # Linux gives every symlink 0777
            yield Problem("attributes", f"has the mode {mode:04o}, but was installed with {entry.mode:04o}")
        if self._owners and (found.st_uid, found.st_gid) != (entry.uid, entry.gid):
            text = f"belongs to {found.st_uid}:{found.st_gid}, but was installed for {entry.uid}:{entry.gid}"
            yield Problem("attributes", text)
        if entry.rdev is not None and (os.major(found.st_rdev), os.minor(found.st_rdev)) != entry.rdev:
            number = f"{os.major(found.st_rdev)}:{os.minor(found.st_rdev)}"
            yield Problem("content", f"is device {number}, but was installed as {entry.rdev[0]}:{entry.rdev[1]}")
        if entry.kind == "file":
            yield from self._file_problems(entry)
        elif entry.kind == "symlink":
            target = self._root.link_target(entry.path)
            if Digest.of(target) != entry.digest:
                yield Problem("content", f"points to {TreePath(target).text}, but was installed with another target")
        elif entry.kind == "hardlink":
            yield from self._hard_link_problems(entry, found, places)

    def _file_problems(self, entry: InstalledEntry) -> Iterator[Problem]:
        with self._root.file(entry.path) as descriptor:
            problem = self._content_problem(entry, descriptor)
            held = {name: _attribute(descriptor, name) for name in {CAPABILITY, *(name for name, _ in entry.xattrs)}}
        if problem:
            word = "was modified" if is_configuration(entry.path) else "has other bytes"
            yield Problem("content", f"{word}: it {problem}")
        for name, value in sorted(held.items()):
            wanted = dict(entry.xattrs).get(name)
            if value != wanted:
                text = f"has the attribute {escaped(name)} {_hex(value)}, but was installed with {_hex(wanted)}"
                yield Problem("attributes", text)

    def _content_problem(self, entry: InstalledEntry, descriptor: int) -> str:
        """Return how the bytes of the open file differ; an empty text if they do not."""
        size_bytes = os.fstat(descriptor).st_size
        if entry.size_bytes is not None and size_bytes > entry.size_bytes + _MORE_BYTES:
            return f"has {size_bytes} bytes, but was installed with {entry.size_bytes}"
        with open(descriptor, "rb", closefd=False) as stream:
            digest = Digest.of_stream(stream)
            self.bytes_read += stream.tell()
        return "" if digest == entry.digest else f"is {digest}, but was installed as {entry.digest or 'none'}"

    def _hard_link_problems(
        self, entry: InstalledEntry, found: os.stat_result, places: Mapping[Digest, TreePath]
    ) -> Iterator[Problem]:
        target = places.get(entry.digest) if entry.digest is not None else None
        if target is None:
            yield Problem("content", "was installed as a hard link to a path that its star does not have")
            return
        other = self._root.stat(target)
        if other is None or (other.st_dev, other.st_ino) != (found.st_dev, found.st_ino):
            yield Problem("content", f"is no longer one file with {shown(target)}")


def places_of(entries: Iterator[InstalledEntry] | tuple[InstalledEntry, ...]) -> dict[Digest, TreePath]:
    """Return the paths of a star by the digest of their text, by which a hard link names its file."""
    return {Digest.of(bytes(entry.path)): entry.path for entry in entries}


def kind_of(found: os.stat_result) -> str:
    """Return the kind of an entry in words."""
    return _KINDS.get(stat.S_IFMT(found.st_mode), "thing of another kind")


def _attribute(descriptor: int, name: bytes) -> bytes | None:
    try:
        return os.getxattr(descriptor, name)
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return None
        raise


def _hex(value: bytes | None) -> str:
    return "none" if value is None else value.hex()
