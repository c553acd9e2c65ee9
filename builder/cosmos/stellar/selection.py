"""Select the entries that a recipe keeps of its packages (`[unpack]`, see model.star).

`only` applies first, then `exclude`, then `rename`. A folder is kept, with its mode and owner, if something in it is
kept, or if the package ships it empty and the globs match it. If a hard link is kept and its file is not, the link
becomes the file. Two packages may bring the same folder, but nothing else twice.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from cosmos.errors import Faults, Malformed, NoSolution
from cosmos.globs import checked, matches_any, unused
from cosmos.model.star import Unpack
from cosmos.plain_toml import basic_string
from cosmos.records import dataclass
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath


@dataclass(frozen=True, kw_only=True, slots=True)
class Brought:
    """The entries of one package, or of the source folder itself."""

    owner: str
    entries: Sequence[Entry]


def demand_good_globs(unpack: Unpack, source: str) -> None:
    """Raise `Malformed`, with the key, for an invalid glob or path; it carries the others."""
    faults = Faults()
    for key, globs in (("only", unpack.only), ("exclude", unpack.exclude)):
        for place, glob in enumerate(globs):
            try:
                checked(glob)
            except ValueError as error:
                faults.found.append(Malformed(source, f"unpack.{key}[{place}]: {error}"))
    with faults.noting():
        _moves(unpack, source)
    faults.demand_none()


def selected(brought: Brought, unpack: Unpack, besides: Collection[TreePath], source: str) -> list[Entry]:
    """Return the entries that `unpack` keeps of one package, renamed, in byte order. Paths in `besides` always stay."""
    entries = {entry.path: entry for entry in brought.entries}
    kept = {path for path in entries if _is_kept(path, unpack, besides)}
    whole = with_links_resolved(entries, kept)
    leaves = _leaves(entries)
    standing = {path: entry for path, entry in whole.items() if entry.kind != "dir" or path in leaves}
    moves = _moves(unpack, source)
    moved = [_moved(entry, moves) for entry in standing.values()]
    above = {parent for entry in moved for parent in entry.path.parents}
    folders = [_moved(entry, moves) for entry in entries.values() if entry.kind == "dir" and entry.path not in standing]
    moved += [folder for folder in folders if folder.path in above]
    return sorted(_once(moved, brought.owner), key=lambda entry: entry.path)


def joined(parts: Iterable[Brought]) -> list[Entry]:
    """Return all entries as one tree, in byte order; raises `NoSolution` with both owners of a path."""
    owners: dict[TreePath, str] = {}
    tree: dict[TreePath, Entry] = {}
    for part in parts:
        for entry in part.entries:
            held = tree.get(entry.path)
            if held is None:
                tree[entry.path], owners[entry.path] = entry, part.owner
            elif not (held.kind == entry.kind == "dir"):
                raise NoSolution(
                    f"/{entry.path.text}",
                    f"both {owners[entry.path]} and {part.owner} bring it",
                    hint=f"leave one out; in star.toml, under [unpack]: exclude = [{basic_string(entry.path.text)}]",
                )
    for path in tree:
        for parent in path.parents:
            above = tree.get(parent)
            if above is not None and above.kind != "dir":
                problem = f"{owners[path]} brings it below {parent.text}, which is a {above.kind} of {owners[parent]}"
                raise NoSolution(f"/{path.text}", problem)
    return [tree[path] for path in sorted(tree)]


def unmatched(unpack: Unpack, parts: Iterable[Brought]) -> tuple[str, ...]:
    """Return the values of `[unpack]` that match nothing in any package, as `key: value`."""
    paths = [entry.path for part in parts for entry in part.entries]
    rows = [f"only: {glob}" for glob in unused(unpack.only, paths)]
    rows += [f"exclude: {glob}" for glob in unused(unpack.exclude, paths)]
    named = {above for path in paths for above in (path, *path.parents)}
    return tuple(rows + [f"rename: {name}" for name in unpack.rename if TreePath.rooted(name) not in named])


def _is_kept(path: TreePath, unpack: Unpack, besides: Collection[TreePath]) -> bool:
    if path in besides:
        return True
    wants_all = not unpack.only and not unpack.kernel_modules
    return (wants_all or matches_any(path, unpack.only)) and not matches_any(path, unpack.exclude)


def with_links_resolved(entries: Mapping[TreePath, Entry], kept: Collection[TreePath]) -> dict[TreePath, Entry]:
    """Return the kept entries; the first of the kept links to a file that is not kept becomes that file."""
    whole: dict[TreePath, Entry] = {}
    heirs: dict[TreePath, TreePath] = {}
    for path in sorted(kept):
        entry = entries[path]
        if entry.kind == "hardlink" and (file := TreePath(entry.target)) not in kept:
            heir = heirs.setdefault(file, path)
            entry = replace(entries[file], path=path) if heir == path else replace(entry, target=bytes(heir))
        whole[path] = entry
    return whole


def _leaves(entries: Mapping[TreePath, Entry]) -> set[TreePath]:
    """Return the folders that are empty in the package."""
    full = {path.parent for path in entries}
    return {path for path, entry in entries.items() if entry.kind == "dir" and path not in full}


def _moves(unpack: Unpack, source: str) -> dict[TreePath, TreePath]:
    moves: dict[TreePath, TreePath] = {}
    faults = Faults()
    for old, new in unpack.rename.items():
        try:
            moves[TreePath.rooted(old)] = TreePath.rooted(new)
        except ValueError as error:
            faults.found.append(Malformed(source, f"unpack.rename: {error}"))
    faults.demand_none()
    return moves


def _moved(entry: Entry, moves: Mapping[TreePath, TreePath]) -> Entry:
    path = _new_path(entry.path, moves)
    if entry.kind == "hardlink":
        return replace(entry, path=path, target=bytes(_new_path(TreePath(entry.target), moves)))
    return replace(entry, path=path) if path != entry.path else entry


def _new_path(path: TreePath, moves: Mapping[TreePath, TreePath]) -> TreePath:
    """Return the new path of `path`, by the longest matching move."""
    for old in (path, *reversed(path.parents)):
        if old in moves:
            return TreePath(moves[old] + path[len(old) :])
    return path


def _once(entries: Iterable[Entry], owner: str) -> list[Entry]:
    tree: dict[TreePath, Entry] = {}
    for entry in entries:
        held = tree.setdefault(entry.path, entry)
        if held is not entry and not (held.kind == entry.kind == "dir"):
            raise NoSolution(
                f"/{entry.path.text}", f"two paths of {owner} are renamed to it", hint="correct [unpack] rename"
            )
    return list(tree.values())
