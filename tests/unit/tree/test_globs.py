"""Globs mean what model.star says they mean."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.tree.globs import matches, matches_any, unused
from cosmos.treepath import TreePath


@pytest.mark.parametrize(
    ("glob", "taken", "left"),
    [
        ("usr/bin", ["usr/bin", "usr/bin/a", "usr/bin/a/b"], ["usr", "usr/binary", "bin"]),
        ("usr/bin/*", ["usr/bin/a", "usr/bin/["], ["usr/bin", "usr/bin/a/b"]),
        ("usr/**", ["usr/a", "usr/a/b"], ["usr", "us/a"]),
        ("**/libc.so.6", ["libc.so.6", "lib/x/libc.so.6"], ["lib/xlibc.so.6", "libc.so.6x"]),
        (
            "usr/share/doc/*/copyright",
            ["usr/share/doc/x/copyright"],
            ["usr/share/doc/copyright", "usr/share/doc/x/y/copyright"],
        ),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/xb"]),
        ("?", ["a"], ["ab", "a/b"]),
        ("/etc/motd", ["etc/motd"], ["motd"]),
        ("usr/bin/[", ["usr/bin/["], ["usr/bin/x"]),
        ("caf\\xe9", ["caf\\xe9"], ["cafe"]),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_globs(glob: str, taken: list[str], left: list[str]) -> None:
    assert [path for path in taken if not matches(TreePath.from_text(path), glob)] == []
    assert [path for path in left if matches(TreePath.from_text(path), glob)] == []


@pytest.mark.parametrize("glob", ["", "/", "a\\b", "*" * 3 + "/*" * 9])
def test_a_glob_that_means_nothing_is_refused(glob: str) -> None:
    with pytest.raises(ValueError, match=r"want|not the text form"):
        matches(TreePath(b"a"), glob)


def test_no_globs_take_nothing() -> None:
    assert not matches_any(TreePath(b"a"), [])
    assert matches_any(TreePath(b"a"), ["b", "a"])


def test_globs_that_take_nothing_are_found() -> None:
    assert unused(["a/*", "b"], [TreePath(b"a/x")]) == ("b",)


@given(st.from_regex(rb"[a-z.\[\]+]{1,5}(/[a-z.\[\]+]{1,5}){0,3}", fullmatch=True))
def test_a_path_is_its_own_glob(raw: bytes) -> None:
    if any(part in (b".", b"..") for part in raw.split(b"/")):
        return
    assert matches(TreePath(raw), raw.decode())
