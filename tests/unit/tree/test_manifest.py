"""The manifest is one text for one tree, and reads back exactly."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos.digest import Digest
from cosmos.errors import Malformed
from cosmos.pack.layer import LayerLine
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine, content_root, manifest, parse_manifest
from cosmos.treepath import TreePath, escaped, unescaped

NAMES = st.binary(min_size=1, max_size=12).filter(lambda raw: not set(raw) & {0, 0x2F} and raw not in (b".", b".."))
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda parts: TreePath.parse(b"/".join(parts)))
NUMBERS = st.integers(0, 1 << 31)
XATTRS = st.lists(st.tuples(NAMES, st.binary(max_size=8)), max_size=2, unique_by=lambda pair: pair[0])


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    path, mode = draw(PATHS), draw(st.integers(0, 0o7777))
    uid, gid = draw(NUMBERS), draw(NUMBERS)
    xattrs = tuple(sorted(draw(XATTRS)))
    match draw(st.sampled_from(["file", "dir", "symlink", "hardlink", "char"])):
        case "file":
            return Entry(path=path, kind="file", mode=mode, uid=uid, gid=gid, content=draw(st.binary()), xattrs=xattrs)
        case "symlink":
            return Entry(path=path, kind="symlink", mode=0o777, target=draw(NAMES))
        case "hardlink":
            return Entry(path=path, kind="hardlink", mode=mode, target=bytes(draw(PATHS)))
        case "char":
            return Entry(path=path, kind="char", mode=mode, rdev=(draw(st.integers(0, 255)), draw(st.integers(0, 255))))
        case _:
            return Entry(path=path, kind="dir", mode=mode, uid=uid, gid=gid, xattrs=xattrs)


@given(st.lists(entries(), max_size=5, unique_by=lambda entry: entry.path))
def test_a_manifest_reads_back_exactly_whatever_the_names(tree: list[Entry]) -> None:
    lines = [ManifestLine.of(entry) for entry in tree]
    text = manifest(lines)
    assert parse_manifest(text, "m") == tuple(sorted(lines, key=lambda line: line.path))
    assert content_root(reversed(lines)) == Digest.of(text)


@given(st.binary())
def test_the_text_form_of_any_name_reads_back(raw: bytes) -> None:
    assert unescaped(escaped(raw)) == raw
    assert escaped(raw).isprintable() or not any(ord(char) < 0xA0 and not char.isprintable() for char in escaped(raw))


def test_a_line_is_made_once_and_never_of_what_an_entry_was() -> None:
    entry = Entry(path=TreePath(b"a"), kind="file", mode=0o644, content=b"x")
    line = ManifestLine.of(entry)
    assert ManifestLine.of(entry) is line
    for other in (entry.at(TreePath(b"b")), replace(entry, mode=0o755), replace(entry, content=b"y")):
        assert ManifestLine.of(other) == ManifestLine.of(replace(other, mtime=1)) != line
    assert ManifestLine.of(entry.without_content()).size == 0


def test_memory_that_somebody_may_write_to_is_hashed_again() -> None:
    held = bytearray(b"x")
    entry = Entry(path=TreePath(b"a"), kind="file", mode=0o644, content=memoryview(held))
    before = ManifestLine.of(entry)
    held[0] += 1
    assert ManifestLine.of(entry).digest == Digest.of(b"y") != before.digest


def test_a_line_of_the_manifest_is_what_the_documentation_says() -> None:
    entry = Entry(
        path=TreePath(b"usr/bin/a b"), kind="file", mode=0o4755, content=b"x", xattrs=((b"security.capability", b"\1"),)
    )
    digest = Digest.of(b"x")
    assert str(ManifestLine.of(entry)) == f"file 4755 0 0 1 {digest} - security.capability=01 usr/bin/a\\x20b -"


@pytest.mark.parametrize(
    "text",
    [
        "dir 0755 0 0 0 - - - b -\ndir 0755 0 0 0 - - - a -\n",  # not sorted
        "dir 0755 0 0 0 - - - a -\ndir 0755 0 0 0 - - - a -\n",  # twice
        "dir 755 0 0 0 - - - a -\n",  # not as it is written
        "dir 0755 0 0 0 - - - ../a -\n",
        "door 0755 0 0 0 - - - a -\n",
        "dir 0755 0 0 0 - - - a -",  # no newline
        "dir 0755 0 0 a -\n",
        "dir 0755 x 0 0 - - - a -\n",
    ],
)
def test_a_manifest_that_we_would_not_have_written_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match=r"^m"):
        parse_manifest(text.encode(), "m")


def test_a_changed_mode_changes_the_content_root_and_a_changed_time_does_not() -> None:
    late = Entry(path=TreePath(b"a"), kind="file", mode=0o644, mtime=9)
    early = Entry(path=TreePath(b"a"), kind="file", mode=0o644, mtime=1)
    setuid = Entry(path=TreePath(b"a"), kind="file", mode=0o4644)
    roots = [content_root([ManifestLine.of(entry)]) for entry in (late, early, setuid)]
    assert roots[0] == roots[1] != roots[2]


def test_a_changed_line_is_written_again() -> None:
    line = ManifestLine.parse("file 0644 0 0 5 sha256:" + "a" * 64 + " - - etc/motd -")
    assert str(replace(line, size=6)) == "file 0644 0 0 6 sha256:" + "a" * 64 + " - - etc/motd -"
    assert str(replace(line, path=TreePath(b"etc/issue"))).endswith(" etc/issue -")


def test_bytes_are_hashed_once_and_other_bytes_again() -> None:
    entry = Entry(path=TreePath(b"etc/motd"), kind="file", mode=0o644, content=b"one")
    assert entry.digest == Digest.of(b"one")
    assert entry.digest is entry.digest
    assert entry.at(TreePath(b"etc/issue")).digest is entry.digest
    assert replace(entry, content=b"two").digest == Digest.of(b"two")
    assert replace(entry, content=bytes(memoryview(b"one"))).digest == Digest.of(b"one")


def test_memory_that_somebody_can_write_to_is_hashed_at_each_look() -> None:
    memory = bytearray(b"one")
    entry = Entry(path=TreePath(b"etc/motd"), kind="file", mode=0o644, content=memoryview(memory))
    assert entry.digest == Digest.of(b"one")
    memory[:] = b"two"
    assert entry.digest == Digest.of(b"two")
    read_only = Entry(path=entry.path, kind="file", mode=0o644, content=memoryview(memory).toreadonly())
    assert read_only.digest == Digest.of(b"two")
    memory[:] = b"six"
    assert read_only.digest == Digest.of(b"six")


@pytest.mark.parametrize(
    "text",
    [
        "file 0644 00 0 5 sha256:" + "a" * 64 + " - - etc/motd -",
        "file 0644 0 0 05 sha256:" + "a" * 64 + " - - etc/motd -",
        "file 0644 0 0 5 - - - etc/motd -",
        "file 0644 0 0 5 sha256:" + "a" * 64 + " - - etc//motd -",
        "file 0644 0 0 5 sha256:" + "a" * 64 + " - - /etc/motd -",
        "file 0644 0 0 5 sha256:" + "a" * 64 + " - - ../motd -",
        "file 0644 0 0 5 sha256:" + "a" * 64 + " - - etc/motd x",
        "dir 0755 0 0 4 - - - etc -",
        "dir 0755 0 0 0 - - - etc -\n",
        "symlink 0777 0 0 0 - - - etc/x a\\x62",
    ],
)
def test_a_line_that_is_nearly_usual_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        ManifestLine.parse(text)


def outcome(parse: Callable[[str], object], text: str) -> str:
    try:
        return f"{parse(text)!r}"
    except ValueError as error:
        return f"refused: {error}"


def judged(text: str) -> ManifestLine:
    """Return the line as the rules of each field read it, without the usual form."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cosmos.tree.manifest._USUAL", re.compile(r"(?!)"))
        return ManifestLine.parse(text)


HEX = "0123456789abcdef" * 4
HOSTILE = st.lists(
    st.sampled_from(
        [
            *(
                "",
                " ",
                "-",
                "0",
                "00",
                "01",
                "1",
                "-1",
                "+1",
                "1_0",
                "0x1",
                "1" * 9,
                "1" * 19,
                "9" * 30,
                "\u0663",
                "1\n",
            ),
            *(
                "0644",
                "644",
                "4755",
                "07777",
                "8888",
                "file",
                "dir",
                "symlink",
                "hardlink",
                "char",
                "fifo",
                "door",
                "File",
            ),
            *(f"sha256:{HEX}", f"sha256:{HEX.upper()}", f"sha256:{HEX}0", f"SHA256:{HEX}", "1:3", "user.a=00", "a,b"),
            *("usr/bin", "/usr", "usr/", "usr//bin", ".", "..", "./a", "a/.", "a/../b", "...", "a/.b/..c", "~", "\x7f"),
            *("a\\x20b", "a\\x41", "a\\", "caf\u00e9", "\\xff", "\u202e", "x" * 255, "x" * 256, "/".join("x" * 64)),
            *("/".join("x" * 65), "/".join(["y" * 200] * 6), "a\tb", "a\x00b", "a\nb"),
        ]
    ),
    min_size=9,
    max_size=11,
).map(" ".join)
FORMS = st.sampled_from(
    [
        "file 0644 0 0 5 sha256:" + HEX + " - - etc/motd -",
        "dir 0755 0 0 0 - - - etc -",
        "symlink 0777 0 0 0 - - - etc/x -",
        "hardlink 0644 0 0 0 - - - etc/x etc/motd",
    ]
)


@st.composite
def damaged_lines(draw: st.DrawFn) -> str:
    """A valid line, with one field or some characters exchanged."""
    text = draw(st.one_of(FORMS, entries().map(lambda entry: str(ManifestLine.of(entry)))))
    parts = text.split(" ")
    if draw(st.booleans()):
        parts[draw(st.integers(0, len(parts) - 1))] = draw(HOSTILE).split(" ")[0]
        return " ".join(parts)
    start, size = draw(st.integers(0, len(text))), draw(st.integers(0, 2))
    return (
        text[:start] + draw(st.sampled_from(["", " ", "0", "/", ".", "\\", "\n", "A", "\u0663"])) + text[start + size :]
    )


@given(st.one_of(entries().map(lambda entry: str(ManifestLine.of(entry))), damaged_lines(), HOSTILE, st.text()))
@settings(max_examples=400)
def test_a_line_is_read_at_once_as_it_is_read_field_by_field(text: str) -> None:
    assert outcome(ManifestLine.parse, text) == outcome(judged, text)
    if not outcome(judged, text).startswith("refused"):
        assert ManifestLine.parse(text)._text == str(judged(text)) == text


@given(
    st.sampled_from(["0", "7", "00", "07", "", "-1", "+1", "1_0", " 1", "\u0663", "1" * 30, "1" * 5000]),
    damaged_lines(),
)
def test_a_row_of_a_layer_is_its_offset_and_its_line(offset: str, text: str) -> None:
    said = outcome(LayerLine.parse, f"{offset} {text}")
    if offset in ("0", "7", "1" * 30):
        line = outcome(judged, text)
        assert said == (line if line.startswith("refused") else f"LayerLine(line={line}, data_offset={offset})")
    else:
        assert said.startswith("refused")
