"""What a recipe names and no package has."""

from __future__ import annotations

import pytest

from cosmos.model.star import Unpack
from cosmos.stellar.selection import Brought, unmatched
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
