"""`run()` in `build()`: a program on the builder's own machine, in a copy of the source tree.

Only for a maintainer's own source folder: what it runs can do whatever the maintainer can. The environment is fixed and
small, the working folder is a temporary copy, and what is there afterwards comes back as data (regular files, folders
and symlinks; 0644 or 0755; owned by root).

KNOWN GAP: no sandbox holds the program. That comes with `run()` at install time, in its own issue.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from cosmos.model.reporter import Reporter
from cosmos.nova.job import RunOutcome
from cosmos.process import outcome, watch_program
from cosmos.stellar.source_folder import folder_entries
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

_BUILD_SECONDS: Final = 3600


@dataclass(frozen=True, kw_only=True, slots=True)
class HostPrograms:
    """Runs programs of the host. `path` is where they are looked for; `epoch` is the time of what they make."""

    path: str
    epoch: int
    reporter: Reporter

    def run(self, words: tuple[bytes, ...], env: Mapping[bytes, bytes], tree: Mapping[TreePath, Entry]) -> RunOutcome:
        """Run `words` in a copy of `tree` and return what is there afterwards; raises `WorldFailed`."""
        with tempfile.TemporaryDirectory(prefix="cosmos-build-") as name:
            root = Path(name) / "source"
            root.mkdir()
            written_out(tree, root)
            fixed = {
                "PATH": self.path,
                "HOME": name,
                "TMPDIR": name,
                "TZ": "UTC",
                "LC_ALL": "C.UTF-8",
                "SOURCE_DATE_EPOCH": str(self.epoch),
            }
            given = {os.fsdecode(key): os.fsdecode(value) for key, value in env.items()}
            status, last = watch_program(
                [os.fsdecode(word) for word in words],
                env={**fixed, **given},
                cwd=root,
                timeout_seconds=_BUILD_SECONDS,
                where="build()",
                told=_unheard,
            )
            if status != 0:
                self.reporter.warn(f"build(): {os.fsdecode(words[0])} {outcome(status)}; it said:\n{last}")
            return RunOutcome(status=status, tree=dict(_read_back(root, tree, self.epoch)))


def written_out(tree: Mapping[TreePath, Entry], root: Path) -> None:
    """Write `tree` below the empty folder `root`; owners, times and devices are not."""
    for path in sorted(tree):
        entry, place = tree[path], root / os.fsdecode(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        if entry.kind == "dir":
            place.mkdir(exist_ok=True)
        elif entry.kind == "symlink":
            place.symlink_to(os.fsdecode(entry.target))
        elif entry.kind in ("file", "hardlink"):
            content = tree[TreePath(entry.target)].content if entry.kind == "hardlink" else entry.content
            place.write_bytes(content)
            place.chmod(0o755 if entry.mode & 0o100 else 0o644)


def _read_back(root: Path, before: Mapping[TreePath, Entry], epoch: int) -> Iterator[tuple[TreePath, Entry]]:
    """Yield what is below `root` now; what the program left alone keeps its owner, mode and time."""
    for entry in folder_entries(root, mtime=epoch):
        old = before.get(entry.path)
        if old is None or old.kind != entry.kind or old.target != entry.target or old.content != entry.content:
            yield entry.path, entry
        else:
            mode = old.mode if bool(old.mode & 0o100) == bool(entry.mode & 0o100) or old.kind == "dir" else entry.mode
            yield entry.path, replace(old, mode=mode)


def _unheard(_line: str) -> None:
    """Let a line pass: its last ones are in the error, if there is one."""
