"""A comparison in words: lines for a terminal, JSON for programs, Markdown for release notes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from cosmos.canon import Json
from cosmos.model.reporter import counted
from cosmos.release.diff.compare import CAUSES, Difference, LayerChange, StarChange, TreeComparison
from cosmos.release.diff.comparison import Comparison, LicenceChange
from cosmos.release.diff.side import Node
from cosmos.treepath import escaped

NOBODY: Final = "no star's"
_SET_ID: Final = 0o6000
_WORD: Final = re.compile(r"[A-Za-z0-9.+~:-]*")  # that Markdown leaves as it is
PACKED: Final = {
    "only-compressor": "the same contents, packed by another compressor or at another level",
    "order": "the same entries in another order",
    "form": "the same entries, written in another form",
}


def comparison_lines(found: Comparison) -> Iterator[str]:
    """Yield the comparison as lines, grouped by star."""
    return map(one_line, _lines(found))


def one_line(text: str) -> str:
    """Return text without line breaks: no name and no value may forge a line of the answer."""
    return text.replace("\n", "\\n")


def _lines(found: Comparison) -> Iterator[str]:
    yield f"--- {found.before}"
    yield f"+++ {found.after}"
    if found.tree is not None:
        yield from _tree_lines(found.tree)
    for document in found.documents:
        yield f"{document.name}:"
        yield from (f"  {line}" for line in document.lines)
    if found.files:
        yield "other files of the release:"
        yield from (f"  {line}" for line in found.files)
    if found.deeds:
        yield "what scripts do:"
        yield from (f"  {'+' if deed.now else '-'} {deed.star}: {deed.what}" for deed in found.deeds)
    yield summary(found)


def comparison_row(found: Comparison) -> dict[str, Json]:
    """Return the comparison as JSON."""
    tree = found.tree
    return {
        "before": found.before,
        "after": found.after,
        "same": found.is_same,
        "paths-that-are-the-same": 0 if tree is None else tree.same,
        "stars": [] if tree is None else [_star_row(change) for change in tree.stars],
        "differences": [] if tree is None else [_difference_row(one) for one in tree.differences],
        "not-compared": [] if tree is None else [f"/{path.text}" for path in tree.hidden],
        "layers": [] if tree is None else [_layer_row(one) for one in tree.layers],
        "licences": {one.star: {"before": one.before or None, "after": one.after or None} for one in found.licences},
        "repacked": [] if tree is None else [{"layer": one.layer, "why": one.why} for one in tree.repacked],
        "documents": {document.name: list(document.lines) for document in found.documents},
        "files": list(found.files),
        "scripts": [{"star": deed.star, "now": deed.now, "what": deed.what} for deed in found.deeds],
    }


def comparison_notes(found: Comparison) -> Iterator[str]:
    """Yield release notes in Markdown: stars, licences, rights, download sizes, what scripts do, and every path.

    What the two things contain is written as code: it must not become a link, a mention or HTML.
    """
    return map(one_line, _notes(found))


def _notes(found: Comparison) -> Iterator[str]:
    yield f"## {_code(found.before)} → {_code(found.after)}"
    yield ""
    yield f"{summary(found)[:1].upper()}{summary(found)[1:]}."
    if found.tree is not None:
        yield from _star_notes(found)
        yield from _tree_notes(found.tree)
    for document in found.documents:
        yield from ("", f"### {_word(document.name)}", "")
        yield from (f"- {_code(line)}" for line in document.lines)
    if found.files:
        yield from ("", "### Other files of the release", "")
        yield from (f"- {_code(line)}" for line in found.files)
    if found.deeds:
        yield from ("", "### What scripts do", "")
        yield from (
            f"- {_word(deed.star)} {'now does' if deed.now else 'no longer does'} {_code(deed.what)}"
            for deed in found.deeds
        )


def difference_line(one: Difference) -> str:
    """Return the line of one path: its causes, the path, old and new values."""
    return f"{'+'.join(one.causes):<8} {path_words(one)}{changed_fields(one)}"


def _tree_lines(tree: TreeComparison) -> Iterator[str]:
    if tree.stars:
        yield "stars:"
        yield from (f"  {change.name}: {_change(change)}" for change in tree.stars)
    for star, differences in _by_star(tree.differences):
        yield f"{star or NOBODY}: {counted(len(differences), 'path')}"
        for one in differences:
            yield f"  {difference_line(one)}"
            yield from (f"             {line}" for line in one.inside)
    yield from (f"layer {one.layer}: {PACKED[one.why]}" for one in tree.repacked)
    yield from (f"not compared, something is mounted there: /{path.text}" for path in tree.hidden)


def _star_notes(found: Comparison) -> Iterator[str]:
    """Yield the stars with their licences, and what a system with the old image downloads."""
    tree = found.tree
    stars = () if tree is None else tree.stars
    licences = {one.star: one for one in found.licences}
    if stars:
        yield from ("", "### Stars", "", "| star | before | after | licence |", "|---|---|---|---|")
        for change in stars:
            words = (change.name, change.before or "-", change.after or "-")
            yield f"| {' | '.join(map(_word, words))} | {_licence(licences.get(change.name))} |"
    others = [one for one in found.licences if one.star not in {change.name for change in stars}]
    if others:
        yield from ("", "### Other licences of the same version", "")
        yield from (f"- {_word(one.star)}: {_licence(one)}" for one in others)
    if tree is not None and tree.layers:
        total = sum(layer.after_bytes for layer in tree.layers)
        yield from ("", "### Download", "")
        yield f"{counted(len(tree.layers), 'layer')} with other packed bytes: {total:,} bytes to fetch."
        yield from ("", "| layer | bytes before | bytes after |", "|---|---:|---:|")
        yield from (
            f"| {_word(layer.name)} | {_bytes(layer.before_bytes)} | {_bytes(layer.after_bytes)} |"
            for layer in tree.layers
        )


def _bytes(number: int) -> str:
    return f"{number:,}" if number else "-"


def _licence(change: LicenceChange | None) -> str:
    if change is None:
        return "not known"
    before, after = (_cell_code(text) if text else "not stated" for text in (change.before, change.after))
    if not change.before or change.before == change.after:
        return after
    return f"{before} → {after}" if change.after else f"was {before}"


def _tree_notes(tree: TreeComparison) -> Iterator[str]:
    rights = [one for one in tree.differences if gains_rights(one)]
    if rights:
        yield from ("", "### Rights that were not there before", "")
        yield from (
            f"- {_code(path_words(one))} of {_word(one.star) if one.star else NOBODY}: "
            f"{_code(changed_fields(one).strip())}"
            for one in rights
        )
    if tree.differences:
        yield from ("", "### Paths", "", "| star | path | cause | what |", "|---|---|---|---|")
        for star, differences in _by_star(tree.differences):
            for one in differences:
                what = "; ".join(_cell_code(text) for text in (changed_fields(one).strip(), *one.inside) if text)
                causes = ", ".join(one.causes)
                yield f"| {_word(star or '-')} | {_cell_code(path_words(one))} | {causes} | {what} |"
    if tree.repacked:
        yield from ("", "### Packed differently", "")
        yield from (f"- layer {_word(one.layer)}: {PACKED[one.why]}" for one in tree.repacked)
    if tree.hidden:
        yield from ("", "### Not compared, because something is mounted there", "")
        yield from (f"- {_code(f'/{path.text}')}" for path in tree.hidden)


def _by_star(differences: Iterable[Difference]) -> list[tuple[str, list[Difference]]]:
    groups: dict[str, list[Difference]] = {}
    for one in differences:
        groups.setdefault(one.star, []).append(one)
    return sorted(groups.items())


def path_words(one: Difference) -> str:
    """Return the path, and where a moved file is now."""
    moved = f" -> /{one.moved_to.text}" if one.moved_to is not None else ""
    return f"/{one.path.text}{moved}"


def changed_fields(one: Difference) -> str:
    """Return the old and new values of the fields that differ."""
    old, new = one.before, one.after
    if old is None or new is None:
        only = new or old
        return "" if only is None else f"  {_described(only)}"
    said = []
    for cause in one.causes:
        match cause:
            case "kind":
                said.append(f"{old.kind} -> {new.kind}")
            case "content":
                said.append(f"{old.size:,} -> {new.size:,} bytes" if old.size != new.size else f"{old.size:,} bytes")
            case "link" if old.kind == "symlink":
                said.append(f"{escaped(old.target)} -> {escaped(new.target)}")
            case "link":
                said.append("shares its file with other paths than before")
            case "mode":
                said.append(f"{old.mode:04o} -> {new.mode:04o}{_set_id(new)}")
            case "owner":
                said.append(f"{old.uid}:{old.gid} -> {new.uid}:{new.gid}")
            case "xattr":
                said.append(f"{_xattrs(old)} -> {_xattrs(new)}")
            case "device":
                said.append(f"{_device(old)} -> {_device(new)}")
            case "time":
                said.append(f"{old.mtime} -> {new.mtime}")
            case "star":
                said.append(f"{old.owner} -> {new.owner}")
            case _:
                pass
    return f"  {', '.join(said)}" if said else ""


def _described(node: Node) -> str:
    size = f", {node.size:,} bytes" if node.kind == "file" else ""
    return f"{node.kind} {node.mode:04o} {node.uid}:{node.gid}{size}{_set_id(node)}"


def _set_id(node: Node) -> str:
    return ", runs with its owner's rights" if node.kind == "file" and node.mode & _SET_ID else ""


def gains_rights(one: Difference) -> bool:
    """Return whether a file runs with rights that it did not give before: set-ID bits, capabilities."""
    if one.after is None or one.after.kind != "file":
        return False
    gained = one.after.mode & _SET_ID & ~(one.before.mode if one.before is not None else 0)
    attributes = set(one.after.xattrs) - set(one.before.xattrs if one.before is not None else ())
    return bool(gained or attributes)


def _xattrs(node: Node) -> str:
    return " ".join(f"{escaped(name)}={value.hex()}" for name, value in node.xattrs) or "none"


def _device(node: Node) -> str:
    return "none" if node.rdev is None else f"{node.rdev[0]}:{node.rdev[1]}"


def _change(change: StarChange) -> str:
    if not change.before:
        return f"added, {change.after}"
    return f"{change.before} -> {change.after}" if change.after else f"removed, was {change.before}"


def _star_row(change: StarChange) -> Json:
    return {"name": change.name, "before": change.before or None, "after": change.after or None}


def _layer_row(change: LayerChange) -> Json:
    return {
        "layer": change.name,
        "packed-bytes-before": change.before_bytes or None,
        "packed-bytes-after": change.after_bytes or None,
    }


def _difference_row(one: Difference) -> Json:
    return {
        "path": f"/{one.path.text}",
        "star": one.star or None,
        "causes": list(one.causes),
        "moved-to": None if one.moved_to is None else f"/{one.moved_to.text}",
        "before": _node_row(one.before),
        "after": _node_row(one.after),
        "inside": list(one.inside),
    }


def _node_row(node: Node | None) -> Json:
    if node is None:
        return None
    return {
        "kind": node.kind,
        "mode": f"{node.mode:04o}",
        "uid": node.uid,
        "gid": node.gid,
        "size-bytes": node.size,
        "digest": None if node.digest is None else str(node.digest),
        "target": escaped(node.target) or None,
        "device": None if node.rdev is None else _device(node),
        "xattrs": {escaped(name): value.hex() for name, value in node.xattrs},
        "mtime": node.mtime,
        "owner": node.owner or None,
    }


def summary(found: Comparison) -> str:
    """Return the sentence that says how much differs, without its full stop."""
    if found.is_same and found.tree is not None and found.tree.repacked:
        return f"the same contents, packed differently: {counted(len(found.tree.repacked), 'layer')}"
    if found.is_same:
        return "the same"
    if found.tree is None:
        values = sum(len(document.lines) for document in found.documents)
        return f"{counted(values, 'value')} {'differs' if values == 1 else 'differ'}"
    total = len(found.tree.differences)
    by_cause = [(cause, sum(cause in one.causes for one in found.tree.differences)) for cause in CAUSES]
    causes = ", ".join(f"{number} {cause}" for cause, number in by_cause if number)
    return f"{total:,} of {total + found.tree.same:,} paths differ{f': {causes}' if causes else ''}"


def _word(text: str) -> str:
    """Return a name as it is if Markdown has no other meaning for it, else as code."""
    return text if _WORD.fullmatch(text) else _cell_code(text)


def _code(text: str) -> str:
    """Return text as code in Markdown, whatever it contains (CommonMark 0.31, 6.1)."""
    runs = [len(run) for run in re.findall("`+", text)]
    fence = "`" * next(length for length in range(1, len(runs) + 2) if length not in runs)
    blank = " " if text.startswith("`") or text.endswith("`") or not text.strip() else ""
    return f"{fence}{blank}{text}{blank}{fence}"


def _cell_code(text: str) -> str:
    """Return text as code in a cell of a table, where a bar ends the cell even in code (GFM 0.29, 4.10)."""
    return _code(text).replace("|", "\\|")
