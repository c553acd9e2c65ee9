"""`stellar lint`: find unsafe or unclear entries of a star, and secrets in its files.

What counts as a secret is the ship guard's rule (`release.lint`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from cosmos.errors import ScriptFailed
from cosmos.nova.job import NovaResult
from cosmos.nova.meter import Meter, VerbError
from cosmos.nova.virtual_root import VirtualRoot
from cosmos.release.lint.entry_rules import secrets
from cosmos.release.lint.secret_text import KEYS_AND_TOKENS, sieved
from cosmos.staging.powers import OpenFolders
from cosmos.stellar.open_star import OpenStar
from cosmos.stellar.validate_star import Finding
from cosmos.tree.entry import Entry
from cosmos.treepath import ROOT, TreePath, climbs_out, escaped

_OPEN: Final = OpenFolders.below(ROOT, lambda path: path)
_WANTED: Final = sieved(KEYS_AND_TOKENS)
_FILLED_LATER: Final = frozenset({b"dev", b"proc", b"run", b"sys", b"tmp"})  # by the running system


def lint(star: OpenStar, below: Mapping[TreePath, Entry] | None) -> tuple[Finding, ...]:
    """Return the unsafe or unclear entries that `star` lays on `below`, the root of its dependencies.

    If the dependencies are not known, `below` is None, and links are not checked.
    """
    return tuple(_findings(star, below))


def _findings(star: OpenStar, below: Mapping[TreePath, Entry] | None) -> Iterator[Finding]:
    if not star.licence:
        yield _error("star.toml: has no license")
    in_archive = {f"files/{path.text}": entry for path, entry in star.files.items()}
    in_archive |= {path.text: entry for path, entry in star.beside.items()}
    if star.script is not None:
        in_archive[star.script_name] = Entry(path=ROOT, kind="file", mode=0o644, content=star.script)
    yield from _of_secrets(in_archive.items())
    try:
        laid = star.lay(below or {})
    except ScriptFailed as failure:
        yield _error(str(failure))
        return
    if star.script is not None and not any(event.verb == "filemap" for event in laid.receipt.events):
        yield _warning(f"{star.script_name}: declares no outputs; add filemap{{…}}")
    known = {id(entry.content) for entry in in_archive.values()}
    written = (entry for entry in laid.entries.values() if id(entry.content) not in known)
    yield from _of_secrets((f"/{entry.path.text}", entry) for entry in written)
    for entry in laid.entries.values():
        yield from _of_rights(entry)
        if entry.kind == "symlink" and climbs_out(entry.path, entry.target):
            yield _error(f"/{entry.path.text}: leads out of the root ({escaped(entry.target)})")
    if below is not None:
        yield from _of_links(laid, below)


def _of_secrets(entries: Iterable[tuple[str, Entry]]) -> Iterator[Finding]:
    """Yield the private keys and tokens in files of the archive, and in what the script writes."""
    for shown, entry in entries:
        for _, what in secrets(entry, _WANTED):
            yield _warning(f"{shown}: {what}; whoever has the star has it, too")


def _of_rights(entry: Entry) -> Iterator[Finding]:
    """Yield the problems of an entry's rights. Character devices are left out: everybody may write to /dev/null."""
    shown = f"/{entry.path.text}"
    if entry.kind == "file" and entry.mode & 0o6000:
        yield _warning(f"{shown}: runs with its owner's or group's rights ({entry.mode:04o})")
    if entry.xattrs:
        names = ", ".join(escaped(name) for name, _ in entry.xattrs)
        yield _warning(f"{shown}: has more rights or marks than its mode says ({names})")
    is_shared = entry.kind == "dir" and entry.mode & 0o1000 and not _OPEN.hold(entry)
    if entry.kind in ("file", "dir", "fifo", "block") and entry.mode & 0o002 and not is_shared:
        yield _error(f"{shown}: everybody may write to it ({entry.mode:04o})")


def _of_links(laid: NovaResult, below: Mapping[TreePath, Entry]) -> Iterator[Finding]:
    """Yield the symlinks whose target is not an entry of the star or its dependencies."""
    root = VirtualRoot(own=laid.entries, lower=below, epoch=0, meter=Meter.unbounded(), on_read=_unheard)
    for entry in laid.entries.values():
        if entry.kind != "symlink":
            continue
        try:
            end = root.resolve(entry.path, "follow")
        except VerbError as problem:
            yield _warning(f"/{entry.path.text}: leads nowhere ({problem})")
            continue
        if end != ROOT and end.split(b"/")[0] not in _FILLED_LATER and root.entry_at(end) is None:
            yield _warning(f"/{entry.path.text}: leads to nothing ({escaped(entry.target)})")


def _unheard(_path: TreePath, _entry: Entry | None) -> None:
    """Ignore a read."""


def _error(problem: str) -> Finding:
    return Finding(weight="error", problem=problem)


def _warning(problem: str) -> Finding:
    return Finding(weight="warning", problem=problem)
