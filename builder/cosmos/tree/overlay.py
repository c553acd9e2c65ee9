"""Merge layers into one tree.

The rules, in the order in which they are applied:

1. **Directories merge.** A folder that several layers bring exists once. If the template names it, its mode and owner
   are the template's. Else all layers that name it must agree on its mode, owner and attributes. If two do not, an
   error names both, unless `winners` or `replaces` decide as in rule 2. A folder that no layer names, but that holds
   entries, is `0755 0 0`.
2. **Every other path has one owner.** If two layers bring one path, an error names both, even if their bytes are equal.
   There are two exceptions: `winners` (the image's `[policy] owners`) names one of them, or one of them replaces the
   other (a star's `replaces`: the file has moved from one package to another). Then the loser's entry is dropped. Of
   more than two layers, the one wins that replaces each of the others. If two replace each other, neither wins.
3. **Only a folder has entries below it.** A path below another layer's symlink or file is an error that names both.
4. **Two layers' names must differ by more than case.** If two layers bring paths that differ by case alone, such as
   `usr/bin/head` and `usr/bin/HEAD`, an error names both. Folders are exempt, and so are two paths if `winners` names
   for each of them the layer that brings it. One layer may bring both (decision 0012).
5. **Readers must accept the tree.** Names that are equal in Unicode form NFC, control characters that reorder text, and
   symlinks that climb above the root are refused, because readers of an image refuse them (pack.untar).

A merged /usr is a property of the template (`PathMap`): `bin`, `sbin`, `lib…` are links into `usr`, and the paths and
hard-link targets of every star are mapped *before* layering, so that rule 3 does not trip over the links.
"""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import combinations

from cosmos.errors import NoSolution
from cosmos.plain_toml import basic_string
from cosmos.records import dataclass
from cosmos.tree.entry import Entry, Kind
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath, caseless, climbs_out, composed, has_bidi

TEMPLATE = "template"  # the owner's name of what comes from the rootfs template and the finish script
IMPLIED = "directories"  # the owner's name of folders that no layer names


@dataclass(frozen=True, kw_only=True, slots=True)
class PathMap:
    """Top-level links into other folders: `{bin: usr/bin}`. Empty if no folders are merged.

    >>> PathMap(links={b"bin": TreePath(b"usr/bin")}).mapped(TreePath(b"bin/sh"))
    TreePath(b'usr/bin/sh')
    """

    links: Mapping[bytes, TreePath]

    def mapped(self, path: TreePath) -> TreePath:
        """Return `path` after the links are followed."""
        top, slash, rest = path.partition(b"/")
        folder = self.links.get(top)
        if folder is None:
            return path
        return TreePath(folder + slash + rest) if slash else folder

    def entries(self) -> Iterator[Entry]:
        """Yield the links themselves."""
        for top, folder in self.links.items():
            yield Entry(path=TreePath(top), kind="symlink", mode=0o777, target=bytes(folder))


@dataclass(frozen=True, kw_only=True, slots=True)
class Layer:
    """The entries that one owner brings."""

    owner: str
    lines: Sequence[ManifestLine]
    replaces: frozenset[str] = frozenset()  # the owners whose paths it takes


@dataclass(frozen=True, kw_only=True, slots=True)
class Overlaid:
    """A whole tree by path, in byte order of path, with the owner of each path."""

    lines: Mapping[TreePath, ManifestLine]
    owners: Mapping[TreePath, str]

    def dropped(self, layer: Layer) -> frozenset[TreePath]:
        """Return the paths of `layer` that another layer owns, without folders."""
        return frozenset(
            line.path for line in layer.lines if line.kind != "dir" and self.owners.get(line.path) != layer.owner
        )


def overlay(layers: Sequence[Layer], winners: Mapping[TreePath, str]) -> Overlaid:
    """Return the tree of `layers`, given in lock order with the template's last; raises `NoSolution`."""
    lines: dict[TreePath, ManifestLine] = {}
    owners: dict[TreePath, str] = {}
    contested: dict[TreePath, dict[str, ManifestLine]] = {}
    unlike: dict[TreePath, dict[str, ManifestLine]] = {}  # folders on which layers do not agree
    for layer in layers:
        for line in layer.lines:
            held = lines.get(line.path)
            are_folders = held is not None and line.kind == held.kind == "dir"
            if held is None or (are_folders and layer.owner == TEMPLATE):
                lines[line.path], owners[line.path] = line, layer.owner
            elif not are_folders:
                contested.setdefault(line.path, {owners[line.path]: held})[layer.owner] = line
            elif line != held:
                unlike.setdefault(line.path, {owners[line.path]: held})[layer.owner] = line
    replaces = {layer.owner: layer.replaces for layer in layers}
    for path, brought in (*contested.items(), *unlike.items()):
        if owners[path] == TEMPLATE and path in unlike:
            continue
        owner = _winner(path, brought, winners, replaces)
        lines[path], owners[path] = brought[owner], owner
    for path in list(lines):
        _imply_folders(path, lines, owners)
    _check_hard_links(lines, owners)
    _check_names(lines, owners)
    _check_twins(lines, owners, winners)
    return _ordered(lines, owners)


def amended(tree: Overlaid, brought: Sequence[ManifestLine], winners: Mapping[TreePath, str]) -> Overlaid:
    """Return `tree` with the lines `brought` by the image's own layer; they replace lines of any owner.

    The result is the same as `overlay` of all layers, with `brought` in the template's layer and the template as the
    winner of these paths, with one exception: a folder stays a folder, whoever made it, and a file stays no folder.
    Only the paths that `brought` touches are judged again. Raises `NoSolution`.
    """
    if not brought:
        return tree
    lines, owners = dict(tree.lines), dict(tree.owners)
    for line in brought:
        held = lines.get(line.path)
        if held is not None and (held.kind == "dir") != (line.kind == "dir"):
            raise NoSolution(
                f"/{line.path.text}",
                f"{owners[line.path]} makes it a {_kind(held.kind)}, so the image's own layer cannot make it a "
                f"{_kind(line.kind)}",
            )
        lines[line.path], owners[line.path] = line, TEMPLATE
    for line in brought:
        _imply_folders(line.path, lines, owners)
    _check_hard_links(lines, owners)
    if any(not line.path.isascii() or has_bidi(line.target) or line.kind == "symlink" for line in brought):
        _check_names(lines, owners)
    _check_twins(lines, owners, {**winners, **{line.path: TEMPLATE for line in brought}})
    return _ordered(lines, owners)


def implied_folder(path: TreePath) -> ManifestLine:
    """Return the line of a folder that no layer names."""
    return ManifestLine(
        path=path, kind="dir", mode=0o755, uid=0, gid=0, size=0, digest=None, rdev=None, xattrs=(), target=b""
    )


def remapped(entries: Iterable[Entry], star: str, paths: PathMap) -> dict[TreePath, Entry]:
    """Return a star's entries at the paths that the template's links lead to, by path in byte order.

    A symlink that would then point at itself is dropped: the template has the same link. Two entries of the star, other
    than folders, that would get one path are refused (`NoSolution`).
    """
    tree: dict[TreePath, Entry] = {}
    for entry in entries:
        moved = _moved(entry, paths)
        held = tree.get(moved.path)
        if entry.kind == "symlink" and moved.path != entry.path and _destination(entry, paths) == moved.path:
            continue
        if held is None:
            tree[moved.path] = moved
        elif not (held.kind == moved.kind == "dir"):
            raise NoSolution(star, f"brings /{moved.path.text} twice once /usr is merged")
    return {path: tree[path] for path in sorted(tree)}


def hard_links_ordered(tree: Mapping[TreePath, Entry], star: str) -> dict[TreePath, Entry]:
    """Return `tree` in which the first path, in byte order, of every group of hard links is the file.

    A reader that goes through the paths in order then finds each target before its links.
    """
    groups: dict[TreePath, list[TreePath]] = {}
    for path, entry in tree.items():
        if entry.kind == "hardlink":
            groups.setdefault(_file_behind(tree, path, star), []).append(path)
    ordered = dict(tree)
    for target, links in groups.items():
        first, *rest = sorted((target, *links))
        ordered[first] = replace(tree[target], path=first)
        for path in rest:
            ordered[path] = replace(
                tree[target], path=path, kind="hardlink", target=bytes(first), content=b"", xattrs=()
            )
    return ordered


def _file_behind(tree: Mapping[TreePath, Entry], path: TreePath, star: str) -> TreePath:
    seen = {path}
    at = TreePath(tree[path].target)
    while at in tree and tree[at].kind == "hardlink" and at not in seen:
        seen.add(at)
        at = TreePath(tree[at].target)
    if at not in tree or tree[at].kind != "file":
        raise NoSolution(star, f"/{path.text} is a hard link to /{at.text}, which is not a file of this star")
    return at


def _moved(entry: Entry, paths: PathMap) -> Entry:
    path = paths.mapped(entry.path)
    if entry.kind == "hardlink":
        return replace(entry, path=path, target=bytes(paths.mapped(TreePath(entry.target))))
    if path == entry.path:
        return entry
    if entry.kind == "symlink" and b".." in entry.target.split(b"/") and not entry.target.startswith(b"/"):
        destination = _destination(entry, paths)
        if destination is not None:  # the same place, as seen from the new folder
            return replace(entry, path=path, target=posixpath.relpath(destination, path.parent or b"."))
    return entry.at(path)


def _destination(link: Entry, paths: PathMap) -> TreePath | None:
    """Return a symlink's destination after /usr is merged, from its text alone; None if it is outside the tree."""
    absolute = posixpath.normpath(posixpath.join(b"/", link.path.parent, link.target))
    try:
        return paths.mapped(TreePath.rooted(absolute))
    except ValueError:
        return None


def _imply_folders(path: TreePath, lines: dict[TreePath, ManifestLine], owners: dict[TreePath, str]) -> None:
    """Make the folders above `path` that no layer names; refuses a path below an entry that is not a folder.

    A folder that is there has its own turn, or had it: then what is above it is judged as well.
    """
    above = lines.get(path.parent)
    if above is not None and above.kind == "dir":
        return
    for parent in path.parents:
        if parent not in lines:
            lines[parent], owners[parent] = implied_folder(parent), IMPLIED
        elif lines[parent].kind != "dir":
            raise NoSolution(
                path.text,
                f"{owners[path]} puts it below /{parent.text}, which {owners[parent]} makes a {lines[parent].kind}",
                hint="let the template merge these folders (merged-usr), or leave one of the two out",
            )


def _ordered(lines: Mapping[TreePath, ManifestLine], owners: Mapping[TreePath, str]) -> Overlaid:
    paths = sorted(lines)
    return Overlaid(lines={path: lines[path] for path in paths}, owners={path: owners[path] for path in paths})


def _winner(
    path: TreePath,
    brought: Mapping[str, ManifestLine],
    winners: Mapping[TreePath, str],
    replaces: Mapping[str, frozenset[str]],
) -> str:
    """Return the layer that owns `path`, of those that bring it; raises if none of them wins."""
    if len({line.kind == "dir" for line in brought.values()}) == 1:
        stated = winners.get(path)
        if stated in brought:
            return str(stated)
        above = [owner for owner in brought if brought.keys() - {owner} <= replaces[owner]]
        if len(above) == 1:
            return above[0]
    pairs = list(combinations(brought, 2))
    open_pairs = [pair for pair in pairs if (pair[0] in replaces[pair[1]]) == (pair[1] in replaces[pair[0]])]
    one, other = (open_pairs or pairs)[0]
    shown = _folder if brought[one].kind == brought[other].kind == "dir" else _kind_of
    raise NoSolution(
        f"/{path.text}",
        f"both {one} ({shown(brought[one])}) and {other} ({shown(brought[other])}) bring it",
        hint=f"say who wins in image.toml: [policy] owners = {{ {_won(path, one)} }}",
    )


def _won(path: TreePath, owner: str) -> str:
    """Return the line of image.toml by which `owner` has the path."""
    return f"{basic_string(path.text)} = {basic_string(owner)}"


def _check_hard_links(lines: Mapping[TreePath, ManifestLine], owners: Mapping[TreePath, str]) -> None:
    for path, line in lines.items():
        if line.kind == "hardlink":
            target = TreePath(line.target)
            if target not in lines or lines[target].kind != "file" or owners[target] != owners[path]:
                raise NoSolution(
                    f"/{path.text}",
                    f"{owners[path]} makes it a hard link to /{target.text}, which another layer replaces",
                    hint="let one owner bring both paths",
                )


def _check_names(lines: Mapping[TreePath, ManifestLine], owners: Mapping[TreePath, str]) -> None:
    forms: dict[bytes, TreePath] = {}
    for path, line in lines.items():
        if not path.isascii():
            twin = forms.setdefault(composed(path), path)
            if twin != path:
                raise NoSolution(
                    f"/{path.text}",
                    f"{owners[path]} and {owners[twin]} bring names that differ only by Unicode form",
                    hint=f"leave one of the two out: {bytes(twin)!r}, {bytes(path)!r}",
                )
        if not (path.isascii() and line.target.isascii()) and (has_bidi(path) or has_bidi(line.target)):
            raise NoSolution(f"/{path.text}", f"{owners[path]} gives it a bidirectional control character")
        if line.kind == "symlink" and climbs_out(path, line.target):
            raise NoSolution(f"/{path.text}", f"{owners[path]} makes it a symlink that climbs above the root")


def _check_twins(
    lines: Mapping[TreePath, ManifestLine], owners: Mapping[TreePath, str], winners: Mapping[TreePath, str]
) -> None:
    keys = [path.lower() if path.isascii() else caseless(path) for path in lines]
    shared = {key for key, count in Counter(keys).items() if count > 1}
    twins: dict[bytes, list[TreePath]] = {}
    for path, key in zip(lines, keys, strict=True):
        if key in shared:
            twins.setdefault(key, []).append(path)
    are_implied = any(owners[path] == IMPLIED for group in twins.values() for path in group)
    bringers = _bringers(owners) if are_implied else owners
    for group in twins.values():
        for one, other in combinations(sorted(group), 2):
            are_stated = all(winners.get(path) == bringers[path] for path in (one, other))
            are_folders = lines[one].kind == lines[other].kind == "dir"
            if bringers[one] != bringers[other] and not are_folders and not are_stated:
                raise NoSolution(
                    f"/{one.text}",
                    f"{bringers[one]} brings it, and {bringers[other]} brings /{other.text}: "
                    "the two differ by case alone",
                    hint="leave one of the two out, or say in image.toml that both are meant: [policy] owners = "
                    f"{{ {_won(one, bringers[one])}, {_won(other, bringers[other])} }}",
                )


def _bringers(owners: Mapping[TreePath, str]) -> Mapping[TreePath, str]:
    """Return the bringer of each path: its owner; for a folder that no layer names, the owner of its first entry."""
    bringers = {path: owner for path, owner in owners.items() if owner != IMPLIED}
    for path in sorted(bringers):  # a folder comes before what it holds, so all above a folder that is known is known
        owner, parent = bringers[path], path.parent
        while parent and parent not in bringers:
            bringers[parent] = owner
            parent = parent.parent
    return bringers


def _kind_of(line: ManifestLine) -> str:
    return _kind(line.kind)


def _folder(line: ManifestLine) -> str:
    return f"folder {line.mode:04o} {line.uid}:{line.gid}{' with attributes' if line.xattrs else ''}"


def _kind(kind: Kind) -> str:
    return {"dir": "folder", "hardlink": "hard link", "char": "device", "block": "device"}.get(kind, kind)
