"""What a recipe names and no package has."""

from __future__ import annotations

import tomllib

import pytest

from cosmos.errors import NoSolution
from cosmos.model.star import Unpack
from cosmos.stellar.selection import Brought, joined, selected, unmatched
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

PACKAGE = Brought(
    owner="tool",
    entries=tuple(Entry(path=TreePath(path), kind="file", mode=0o644) for path in (b"bin/a**b", b"usr/share/doc/x")),
)


@pytest.mark.parametrize(
    ("old", "is_there"),
    [("bin/a**b", True), ("/usr/share/", True), ("usr/share/doc/x", True), ("bin/*", False), ("usr/shar", False)],
)
def test_a_path_that_is_renamed_is_no_glob(old: str, is_there: bool) -> None:
    found = unmatched(Unpack(rename={old: "opt/x"}), [PACKAGE])
    assert found == (() if is_there else (f"rename: {old}",))


def test_globs_that_fit_nothing_are_named() -> None:
    assert unmatched(Unpack(only=("bin/*", "sbin/*"), exclude=("**/x", "**/y")), [PACKAGE]) == (
        "only: sbin/*",
        "exclude: **/y",
    )


def test_the_hint_about_an_odd_name_can_be_pasted() -> None:
    path = TreePath(b'say "hi"\\\xff')
    parts = [Brought(owner=o, entries=(Entry(path=path, kind="file", mode=0o644),)) for o in ("a", "b")]
    with pytest.raises(NoSolution) as caught:
        joined(parts)
    without = tomllib.loads((caught.value.hint or "").partition("[unpack]: ")[2])["exclude"]
    assert selected(parts[0], Unpack(exclude=tuple(without)), (), "star.toml") == []
