"""Files that are searched together are searched as each alone: nothing is passed over, nothing is found next door."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos.content import FileRange
from cosmos.release.lint.entry_rules import Allowed, secrets, sifted
from cosmos.release.lint.layer_look import LayerLook, Wanted
from cosmos.release.lint.secret_text import patterns, sieved
from cosmos.spool import Spool
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

TOKEN = b"ghs_" + b"aB3" * 12
KEY = b"-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7\n"
FOLDER = b"/home/alice/src"
WANTED = sieved(patterns([FOLDER]))
PARTS = st.sampled_from([b"", b"ghs_", TOKEN[4:], TOKEN, KEY, KEY[:20], FOLDER, b"\0", b" " * 70_000, b"x" * 300])


def file(number: int, content: bytes) -> Entry:
    return Entry(path=TreePath.parse(f"usr/f{number}"), kind="file", mode=0o644, content=content)


@settings(max_examples=60)
@given(st.lists(st.lists(PARTS, max_size=4).map(b"".join), max_size=40))
def test_what_is_found_in_a_file_does_not_depend_on_the_files_beside_it(contents: list[bytes]) -> None:
    entries = [file(number, content) for number, content in enumerate(contents)]
    together = [(entry, list(secrets(entry, sieves))) for entry, sieves in sifted(entries, WANTED)]
    assert together == [(entry, list(secrets(entry, WANTED))) for entry in entries]


def test_a_token_is_found_in_the_last_of_thousands_of_files() -> None:
    entries = [*(file(number, b"plain") for number in range(2_500)), file(2_500, TOKEN)]
    look = LayerLook()
    allowed = Allowed(setuid=False, open_to_all=False)
    look.add(entries, "star 1.0", None, allowed, Wanted(()))
    assert [(one.path, one.rule) for one in look.findings] == [(b"usr/f2500", "token")]


def test_halves_of_a_token_in_two_files_are_no_token() -> None:
    entries = [file(0, b" " + TOKEN[:3]), file(1, TOKEN[3:])]
    assert [list(secrets(entry, sieves)) for entry, sieves in sifted(entries, WANTED)] == [[], []]


def test_the_target_of_a_symlink_is_searched_among_files() -> None:
    link = Entry(path=TreePath.parse("usr/l"), kind="symlink", mode=0o777, target=FOLDER + b"/x")
    found = [list(secrets(entry, sieves)) for entry, sieves in sifted([file(0, b"a"), link, file(1, b"b")], WANTED)]
    assert found == [[], [("build-path", "its target has a folder of the builder")], []]


def test_a_small_file_on_the_disk_is_searched_among_others(tmp_path: Path) -> None:
    content = Spool(tmp_path, in_memory=0).add([TOKEN])
    assert isinstance(content, FileRange)
    entry = Entry(path=TreePath.parse("usr/f"), kind="file", mode=0o644, content=content)
    assert [list(secrets(one, sieves)) for one, sieves in sifted([entry], WANTED)] == [
        [("token", "has a token of GitHub at byte 0")]
    ]
