"""`Side`: one of the two trees that are compared, in a form that does not depend on how the tree is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Final, Protocol

from cosmos.digest import Digest
from cosmos.limits import MIB
from cosmos.records import dataclass
from cosmos.tree.entry import Kind
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath

LOOK_BYTES: Final = 8 * MIB  # of one file that is opened to say where it differs; a larger one differs as a whole


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One path of a side. Its kind is never "hardlink": paths that share a file are files with the same `group`.

    `digest` is of a file's bytes, None if nobody has read it yet. `group` is the first of the paths that share the
    file, None if there is one path alone. `mtime` is in seconds since 1970, None if the side cannot tell it. `owner` is
    the star (NAME-VERSION) or the layer that the path belongs to, "" if nobody knows.
    """

    kind: Kind
    mode: int
    uid: int
    gid: int
    size: int
    digest: Digest | None
    rdev: tuple[int, int] | None
    xattrs: tuple[tuple[bytes, bytes], ...]
    target: bytes
    mtime: int | None
    owner: str
    group: TreePath | None = None


Nodes = Mapping[TreePath, Node]


@dataclass(frozen=True, kw_only=True, slots=True)
class Packing:
    """One layer of an image: the digest and the size of its packed bytes, and the order of its paths."""

    digest: Digest
    packed_bytes: int
    order: tuple[TreePath, ...]


class Side(Protocol):
    """A tree that is compared. `label` names it as the person did."""

    @property
    def label(self) -> str:
        """The name of the side, for people."""

    @property
    def nodes(self) -> Nodes:
        """Every path of the tree, in byte order."""

    @property
    def hidden(self) -> frozenset[TreePath]:
        """The paths on which something else is mounted: what they and the paths below are, nobody can see."""

    @property
    def stars(self) -> Mapping[str, str]:
        """The version of each star that may hold files, by the star's name, if the side knows its stars."""

    @property
    def packings(self) -> Mapping[str, Packing]:
        """The layers of an image by name; nothing for other sides."""

    def digest(self, path: TreePath) -> Digest:
        """Return the digest of the file at `path`. Raises `WorldFailed`."""

    def contents(self, paths: Iterable[TreePath]) -> Iterator[tuple[TreePath, bytes]]:
        """Yield the bytes of the files at `paths`, each of at most `LOOK_BYTES`, in any order. Raises `Refused`."""

    def times(self, layer: str) -> Mapping[TreePath, int]:
        """Return the time of each path in a layer of an image; decodes the layer. Raises `Refused`."""

    def unpacked_digest(self, layer: str) -> Digest:
        """Return the digest of a layer's content, decompressed. Raises `Refused`."""


def nodes_of(
    lines: Iterable[tuple[ManifestLine, str]], mtime_of: Callable[[TreePath], int | None] = lambda _path: None
) -> dict[TreePath, Node]:
    """Return the nodes of manifest lines and their owners; hard links become files of one group."""
    nodes: dict[TreePath, Node] = {}
    links: dict[TreePath, list[TreePath]] = {}
    for line, owner in lines:
        if line.kind == "hardlink":
            links.setdefault(TreePath(line.target), []).append(line.path)
        nodes[line.path] = Node(
            kind=line.kind,
            mode=line.mode,
            uid=line.uid,
            gid=line.gid,
            size=line.size,
            digest=line.digest,
            rdev=line.rdev,
            xattrs=line.xattrs,
            target=line.target,
            mtime=mtime_of(line.path),
            owner=owner,
        )
    for target, paths in links.items():
        file, group = nodes[target], min(target, *paths)
        for path in (target, *paths):
            nodes[path] = replace(file, group=group, owner=nodes[path].owner, mtime=nodes[path].mtime)
    return dict(sorted(nodes.items()))


class NoLayers:
    """A side that is no image: it has no layers, and knows its stars only if it was told."""

    def __init__(self, stars: Mapping[str, str]) -> None:
        self.stars = stars
        self.packings: Mapping[str, Packing] = {}

    @property
    def hidden(self) -> frozenset[TreePath]:
        """No path."""
        return frozenset()

    def times(self, layer: str) -> Mapping[TreePath, int]:
        """Raise `KeyError`: there is no layer."""
        raise KeyError(layer)

    def unpacked_digest(self, layer: str) -> Digest:
        """Raise `KeyError`: there is no layer."""
        raise KeyError(layer)
