"""Try a Nova script on a scratch root: an empty one, or a copy of a folder. Nothing outside is changed.

`copy` finds its sources in the script's own folder, as it would in the star's archive.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from cosmos.canon import Json
from cosmos.limits import MAX_SCRIPT_BYTES
from cosmos.nova.job import NovaJob, NovaResult
from cosmos.nova.run import run_install
from cosmos.nova.sources import FILES
from cosmos.reading import read_bounded
from cosmos.records import dataclass
from cosmos.sandbox.on_disk import folder_entries
from cosmos.stellar.source_folder import moved_up
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath, escaped


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """The result of a script: one readable line for each change, and its receipt."""

    made: tuple[str, ...]
    receipt: Json


@dataclass(kw_only=True, slots=True)
class ScriptSession:
    """Runs scripts one after the other. Each works on the root that the scripts before it left."""

    sources: Path | None = None
    root: Mapping[TreePath, Entry] = field(default_factory=dict)
    epoch: int = 0

    @classmethod
    def of(cls, sources: Path | None, root: Path | None) -> ScriptSession:
        """Return a session with a copy of the folder `root` as the system; raises `Malformed`."""
        entries = () if root is None else folder_entries(root)
        return cls(sources=sources, root={entry.path: entry for entry in entries})

    def run_file(self, script: Path) -> Tried:
        """Run the script's `install()`; raises `ScriptFailed`."""
        return self._ran(read_bounded(script, MAX_SCRIPT_BYTES), script.name)

    def run_line(self, line: str) -> Tried:
        """Run one line of verbs; raises `ScriptFailed`."""
        return self._ran(b"function install() " + line.encode("utf-8", "surrogateescape") + b"\nend", "line")

    def _ran(self, script: bytes, name: str) -> Tried:
        tree = {} if self.sources is None else {entry.path: entry for entry in folder_entries(self.sources)}
        inside = FILES + b"/"
        result = run_install(
            NovaJob(
                star="",
                script_name=name,
                script=script,
                files={
                    moved_up(entry).path: moved_up(entry) for path, entry in tree.items() if path.startswith(inside)
                },
                beside={path: entry for path, entry in tree.items() if path.split(b"/")[0] != FILES},
                root={},
                own=self.root,
                epoch=self.epoch,
            )
        )
        made = tuple(_change(self.root, result))
        self.root = result.entries
        return Tried(made=made, receipt=result.receipt.to_json())


def _change(before: Mapping[TreePath, Entry], result: NovaResult) -> list[str]:
    """Return the changes, as `added|changed|removed kind mode uid:gid path detail`."""
    lines = [
        f"{'changed' if path in before else 'added'} {described(entry)}"
        for path, entry in result.entries.items()
        if before.get(path) != entry
    ]
    return lines + [f"removed /{path.text}" for path in sorted(before) if path not in result.entries]


def described(entry: Entry, origin: str | None = None) -> str:
    """Return an entry as a line that a person can read in a diff. If `origin` is given, the line has this source of the
    file's bytes in place of their size and digest.

    >>> file = Entry(path=TreePath(b"etc/x"), kind="file", mode=0o644, content=b"hello")
    >>> described(file)
    'file 0644 0:0 /etc/x 5 sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824'
    >>> described(file, "files/x")
    'file 0644 0:0 /etc/x = files/x'
    """
    line = f"{entry.kind} {entry.mode:04o} {entry.uid}:{entry.gid} /{entry.path.text}"
    if entry.kind == "file":
        line += f" {entry.size} {entry.digest}" if origin is None else f" = {origin}"
    if entry.target:
        line += f" -> {escaped(entry.target)}"
    if entry.rdev is not None:
        line += f" {entry.rdev[0]}:{entry.rdev[1]}"
    return line + "".join(f" {escaped(name)}={value.hex()}" for name, value in entry.xattrs)
