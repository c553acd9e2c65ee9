"""The line of a universe's entry is the same, whether it is made of an entry or taken over from a manifest's line."""

from __future__ import annotations

import pytest

from cosmos.tree.entry import Entry
from cosmos.tree.installed import installed_entry, recorded_line
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath

ENTRIES = [
    Entry(path=TreePath.parse("usr/bin/tool"), kind="file", mode=0o4755, uid=7, gid=8, content=b"tool"),
    Entry(path=TreePath.parse("etc/tool.conf"), kind="file", mode=0o644, content=b""),
    Entry(path=TreePath.parse("etc"), kind="dir", mode=0o755),
    Entry(path=TreePath.parse("usr/bin/a b\\\u202e"), kind="symlink", mode=0o777, target=b"to ol\xff"),
    Entry(path=TreePath.parse("usr/bin/twin"), kind="hardlink", mode=0o755, target=b"usr/bin/tool"),
    Entry(path=TreePath.parse("dev/null"), kind="char", mode=0o666, rdev=(1, 3)),
    Entry(
        path=TreePath.parse("usr/bin/ping"),
        kind="file",
        mode=0o755,
        content=b"ping",
        xattrs=((b"user.b", b"2"), (b"user.a", b"1")),
    ),
]


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.kind)
@pytest.mark.parametrize("mtime", [0, 1_700_000_000, -1])
def test_a_line_that_was_taken_over_is_the_line_of_the_entry(entry: Entry, mtime: int) -> None:
    line = ManifestLine.of(entry)
    for is_shared in (False, True) if entry.kind == "dir" else (False,):
        found = recorded_line(line, mtime=mtime, is_shared=is_shared)
        made = installed_entry(line, mtime=mtime, is_shared=is_shared)
        assert (found.path, found.kind, found.line) == (made.path, made.kind, made.line)
