"""`expect.txt`: what it says of a star, and how a difference reads."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.debian.source import DebSource
from cosmos.errors import NoSolution
from cosmos.model.names import ANY_ARCH, StarName
from cosmos.stellar.open_star import OpenStar
from cosmos.stellar.try_star import changes, differences
from cosmos.tree.entry import Entry, tree_of
from cosmos.treepath import TreePath


def entry(path: str, content: bytes | None = None, mode: int = 0o755) -> Entry:
    """Return a file with this content, or a folder."""
    kind = "dir" if content is None else "file"
    return Entry(path=TreePath.parse(path), kind=kind, mode=mode, content=content or b"")


def star(*entries: Entry, script: str | None = None) -> OpenStar:
    """Return a star that holds these entries."""
    return OpenStar(
        name=StarName.parse("tool"),
        arch=ANY_ARCH,
        licence="MIT",
        needs=(),
        script_name="install.lua",
        script=script.encode() if script else None,
        files=tree_of(entries),
        beside={},
    )


def alone(found: OpenStar) -> list[str]:
    """Return what the star does to an empty root."""
    title, *lines = changes(found, {}).splitlines()
    assert title == "# on an empty root"
    return lines


def test_bytes_of_the_archive_are_named_for_the_same_path_first() -> None:
    twins = [entry("a", b"same"), entry("usr/b", b"same"), entry("usr/empty", b"")]
    made = alone(star(*twins, script="function install() copy('usr', '/usr') write('/usr/c', 'same') end"))
    assert made[0] == "added file 0755 0:0 /usr/b = files/usr/b"
    assert made[1] == "added file 0644 0:0 /usr/c = files/a"
    assert made[2].startswith("added file 0755 0:0 /usr/empty 0 sha256:e3b0c4")


def test_bytes_that_a_script_changed_are_not_the_archives() -> None:
    made = alone(star(entry("usr/b", b"before"), script="function install() write('/usr/b', 'after', '0755') end"))
    assert made[0].startswith("added file 0755 0:0 /usr/b 5 sha256:")


def test_only_a_folder_that_says_something_is_told() -> None:
    folders = [entry("usr"), entry("usr/empty"), entry("usr/own", mode=0o700), entry("usr/own/x", b"x")]
    assert [line.split()[4] for line in alone(star(*folders))] == ["/usr/empty", "/usr/own", "/usr/own/x"]


def test_a_folder_laid_over_another_mode_is_told() -> None:
    below = tree_of([entry("tmp", mode=0o1777), entry("usr")])
    found = changes(star(entry("tmp"), entry("tmp/x", b"x"), entry("usr"), entry("usr/x", b"x")), below)
    assert "changed dir 0755 0:0 /tmp\n" in found
    assert "/usr\n" not in found


def test_what_is_the_same_on_both_roots_is_told_once() -> None:
    below = tree_of([entry("usr/lib/x", b"x")])
    assert changes(star(entry("usr/x", b"x")), below).splitlines() == [
        "# on an empty root",
        "added file 0755 0:0 /usr/x = files/usr/x",
        "# on the root of its dependencies: the same",
    ]
    assert "changed file 0755 0:0 /usr/lib/x" in changes(star(entry("usr/lib/x", b"y")), below)


def test_a_star_that_lays_nothing_says_so() -> None:
    assert alone(star()) == ["nothing"]


@pytest.mark.parametrize(
    ("glob", "name", "parts"),
    [
        ("linux-image-6.1.0-*-cloud", "linux-image-6.1.0-56-cloud", (("-56-", "-*-"),)),
        ("lib?tools*", "lib3tools12", (("b3t", "b?t"), ("s12", "s*"))),
        ("tool*", "tool", ()),
        ("tool-*", "another", ()),
        ("tool", "tool", ()),
    ],
)
def test_a_wildcard_stands_for_what_is_between_its_neighbours(
    glob: str, name: str, parts: tuple[tuple[str, str], ...]
) -> None:
    assert DebSource.parse(f"deb:{glob}").wild_parts(name) == parts


@pytest.mark.parametrize(
    ("wanted", "found", "told"),
    [
        ("a\nb\n", "a\nb\n", ()),
        ("a\nb\nc\n", "b\nc\na\n", ("@@ -1 +0,0 @@", "-a", "@@ -3,0 +3 @@", "+a")),
        ("a\nb\n", "a\nb\nb\n", ("@@ -2,0 +3 @@", "+b")),
        ("a\na\n", "a\n", ("@@ -2 +1,0 @@", "-a")),
        ("# one\na\n# two\na\n", "# one\na\n# two\n", ("@@ -4 +3,0 @@", "-a")),
        ("", "a\n", ("@@ -0,0 +1 @@", "+a")),
    ],
)
def test_each_line_that_went_or_came_is_told_with_its_place(
    wanted: str, found: str, told: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "expect.txt").write_text(wanted)
    assert differences(found, tmp_path / "expect.txt") == told


def test_bytes_that_are_no_text_differ_and_do_not_stop_the_comparison(tmp_path: Path) -> None:
    (tmp_path / "expect.txt").write_bytes(b"\xff\n")
    assert differences("a\n", tmp_path / "expect.txt") == ("@@ -1 +1 @@", "-\\xff", "+a")


def test_a_star_without_expectations_is_told_how_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(NoSolution) as none:
        differences("a\n", tmp_path / "expect.txt")
    assert "--update" in (none.value.hint or "")
