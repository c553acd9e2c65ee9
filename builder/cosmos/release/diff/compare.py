"""Compare two sides path by path, and give each difference its causes.

    added removed     the path is on one side alone
    moved             a file is on one side alone, and the same bytes are under another name on the other; its fields
                      are compared as well
    kind              a file became a link, a folder a device, …
    content           the bytes of a file
    link              the target of a symlink, or which paths share one file
    mode owner xattr device time      these fields
    star              the path belongs to another star; the path itself may be the same

Of an image, times are read only of the layers whose packed bytes differ: the others are the same, times included. A
layer of which only the packed bytes differ was packed by another compressor, or in another order (`Repacked`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Literal, TypeAlias

from cosmos.digest import Digest
from cosmos.records import dataclass
from cosmos.release.diff.side import Node, Nodes, Side
from cosmos.treepath import TreePath

ALL_LAYERS = "the layers themselves"
Cause: TypeAlias = Literal[
    "added", "removed", "moved", "kind", "content", "link", "mode", "owner", "xattr", "device", "time", "star"
]
CAUSES: tuple[Cause, ...] = (
    *("added", "removed", "moved", "kind", "content", "link", "mode", "owner", "xattr", "device", "time", "star"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One path that differs. `before` or `after` is None if the path is not there.

    `moved_to` is the new path of a moved file; then `after` is the file at the new path. `star` is the star's name, or
    the layer's or the document's, "" if nobody owns the path.
    """

    path: TreePath
    causes: tuple[Cause, ...]
    before: Node | None
    after: Node | None
    star: str
    moved_to: TreePath | None = None
    inside: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Repacked:
    """A layer with the same entries and other packed bytes: `why` is "only-compressor", "order" or "form"."""

    layer: str
    why: Literal["only-compressor", "order", "form"]


@dataclass(frozen=True, kw_only=True, slots=True)
class LayerChange:
    """A layer whose packed bytes differ, with its packed sizes in bytes; 0 where the layer is missing."""

    name: str
    before_bytes: int
    after_bytes: int


@dataclass(frozen=True, kw_only=True, slots=True)
class StarChange:
    """A star that one side has in another version, or not at all ("")."""

    name: str
    before: str
    after: str


@dataclass(frozen=True, kw_only=True, slots=True)
class TreeComparison:
    """Everything in which two trees differ. `same` counts the paths that are the same on both sides.

    `hidden` are the paths that were not compared, with all below them, because something is mounted there. `layers` are
    those with other packed bytes.
    """

    differences: tuple[Difference, ...]
    hidden: tuple[TreePath, ...]
    layers: tuple[LayerChange, ...]
    repacked: tuple[Repacked, ...]
    stars: tuple[StarChange, ...]
    same: int


def compare_trees(before: Side, after: Side, ignored: frozenset[Cause] = frozenset()) -> TreeComparison:
    """Return in what the trees differ, without the causes in `ignored`. Raises the errors of the sides."""
    names = _names(before) | _names(after)
    repacked, times = _layers(before, after)
    hidden = before.hidden | after.hidden
    old, new = (_seen(_timed(side.nodes, timed), hidden) for side, timed in zip((before, after), times, strict=True))
    found: list[Difference] = []
    same = 0
    for path in sorted(old.keys() | new.keys()):
        causes = tuple(
            cause for cause in _causes(path, old.get(path), new.get(path), before, after, names) if cause not in ignored
        )
        if causes:
            found.append(
                Difference(
                    path=path,
                    causes=causes,
                    before=old.get(path),
                    after=new.get(path),
                    star=_owner(path, new, old, names),
                )
            )
        else:
            same += 1
    if "moved" not in ignored:
        found = [*_with_moves(found, before, after, ignored)]
    stars = tuple(
        StarChange(name=name, before=before.stars.get(name, ""), after=after.stars.get(name, ""))
        for name in sorted(before.stars.keys() | after.stars.keys())
        if before.stars.get(name) != after.stars.get(name)
    )
    return TreeComparison(
        differences=tuple(found),
        hidden=tuple(sorted(hidden)),
        layers=tuple(_layer_changes(before, after)),
        repacked=repacked,
        stars=stars,
        same=same,
    )


def _names(side: Side) -> dict[str, str]:
    """Return the name of each of the side's stars by its id: a star keeps its name when its version changes."""
    return {f"{name}-{version}": name for name, version in side.stars.items()}


def _causes(
    path: TreePath, old: Node | None, new: Node | None, before: Side, after: Side, names: Mapping[str, str]
) -> Iterator[Cause]:
    if old is None or new is None:
        yield "added" if old is None else "removed"
        return
    if old.kind != new.kind:
        yield "kind"
        return
    if old.kind == "file" and _content_differs(path, old, new, before, after):
        yield "content"
    if old.target != new.target if old.kind == "symlink" else old.group != new.group:
        yield "link"
    yield from _field_causes(old, new)
    if old.owner and new.owner and _star(old, names) != _star(new, names):
        yield "star"


def _field_causes(old: Node, new: Node) -> Iterator[Cause]:
    if old.mode != new.mode:
        yield "mode"
    if (old.uid, old.gid) != (new.uid, new.gid):
        yield "owner"
    if old.xattrs != new.xattrs:
        yield "xattr"
    if old.rdev != new.rdev:
        yield "device"
    if None not in (old.mtime, new.mtime) and old.mtime != new.mtime:
        yield "time"


def _owner(path: TreePath, new: Nodes, old: Nodes, names: Mapping[str, str]) -> str:
    """Return the name of the star that owns the path now, or did before."""
    owners = (_star(nodes[path], names) for nodes in (new, old) if path in nodes)
    return next((owner for owner in owners if owner), "")


def _star(node: Node, names: Mapping[str, str]) -> str:
    """Return the name of the star that owns the node, or of its layer."""
    return names.get(node.owner, node.owner)


def _content_differs(path: TreePath, old: Node, new: Node, before: Side, after: Side) -> bool:
    if old.size != new.size:
        return True
    return (old.digest or before.digest(path)) != (new.digest or after.digest(path))


def _layers(
    before: Side, after: Side
) -> tuple[tuple[Repacked, ...], tuple[Mapping[TreePath, int], Mapping[TreePath, int]]]:
    """Return the layers that differ in their packing alone, and the times in the layers that differ."""
    repacked: list[Repacked] = []
    old_times: dict[TreePath, int] = {}
    new_times: dict[TreePath, int] = {}
    for old_name, new_name in _pairs(before, after):
        old, new = before.packings[old_name], after.packings[new_name]
        if old.digest == new.digest:
            continue
        here, there = before.times(old_name), after.times(new_name)
        old_times.update(here)
        new_times.update(there)
        if here != there or not _same_lines(before.nodes, after.nodes, here):
            continue
        if before.unpacked_digest(old_name) == after.unpacked_digest(new_name):
            repacked.append(Repacked(layer=new_name, why="only-compressor"))
        else:
            repacked.append(Repacked(layer=new_name, why="form" if old.order == new.order else "order"))
    if [layer for layer in before.packings if layer in after.packings] != [
        layer for layer in after.packings if layer in before.packings
    ]:
        repacked.append(Repacked(layer=ALL_LAYERS, why="order"))
    return tuple(repacked), (old_times, new_times)


def _layer_changes(before: Side, after: Side) -> Iterator[LayerChange]:
    """Yield each layer with other packed bytes, by its name in `after` if it is there."""
    if not before.packings or not after.packings:
        return
    pairs = {new: old for old, new in _pairs(before, after)}
    for name, packing in after.packings.items():
        old = before.packings[pairs[name]] if name in pairs else None
        if old is None or old.digest != packing.digest:
            yield LayerChange(
                name=name, before_bytes=0 if old is None else old.packed_bytes, after_bytes=packing.packed_bytes
            )
    for name in sorted(before.packings.keys() - set(pairs.values())):
        yield LayerChange(name=name, before_bytes=before.packings[name].packed_bytes, after_bytes=0)


def _pairs(before: Side, after: Side) -> list[tuple[str, str]]:
    """Return the names of the layers that both sides have; a star's layer is the same in any version."""
    old_names, new_names = _names(before), _names(after)
    new = {new_names.get(layer, layer): layer for layer in after.packings}
    named = [(layer, old_names.get(layer, layer)) for layer in before.packings]
    return [(layer, new[name]) for layer, name in named if name in new]


def _same_lines(old: Nodes, new: Nodes, paths: Mapping[TreePath, int]) -> bool:
    return all(
        path in old and path in new and replace(old[path], owner="") == replace(new[path], owner="") for path in paths
    )


def _timed(nodes: Nodes, times: Mapping[TreePath, int]) -> Nodes:
    if not times:
        return nodes
    return {path: replace(node, mtime=times[path]) if path in times else node for path, node in nodes.items()}


def _seen(nodes: Nodes, hidden: frozenset[TreePath]) -> Nodes:
    """Return the nodes without those at and below the hidden paths."""
    if not hidden:
        return nodes
    return {path: node for path, node in nodes.items() if path not in hidden and hidden.isdisjoint(path.parents)}


def _with_moves(found: list[Difference], before: Side, after: Side, ignored: frozenset[Cause]) -> Iterator[Difference]:
    """Yield the differences, with each removed file joined to an added one of the same bytes, if there is one."""
    gone = [(one, node) for one in found if one.causes == ("removed",) and (node := _movable(one.before))]
    sizes = {node.size for _, node in gone}
    come: dict[tuple[int, Digest], deque[tuple[Difference, Node]]] = {}
    for one in found:
        if one.causes == ("added",) and (node := _movable(one.after)) and node.size in sizes:
            come.setdefault((node.size, node.digest or after.digest(one.path)), deque()).append((one, node))
    sizes = {size for size, _ in come}
    moved: dict[TreePath, Difference] = {}
    for one, node in gone:
        if node.size in sizes and (there := come.get((node.size, node.digest or before.digest(one.path)))):
            target, new = there.popleft()
            fields = (cause for cause in _field_causes(node, new) if cause not in ignored)
            moved[one.path] = replace(one, causes=("moved", *fields), after=new, moved_to=target.path)
    taken = {one.moved_to for one in moved.values()}
    return (moved.get(one.path, one) for one in found if one.path not in taken)


def _movable(node: Node | None) -> Node | None:
    return node if node is not None and node.kind == "file" and node.size > 0 else None
