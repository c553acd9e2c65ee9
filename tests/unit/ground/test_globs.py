"""Globs mean what the grammar in cosmos.globs says they mean."""

from __future__ import annotations

import fnmatch
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.globs import Glob, checked, matches_any, name_matches, unused, wildcard_spans
from cosmos.treepath import TreePath

PARTS = st.text("ab*?[", min_size=1, max_size=4).filter(lambda part: "**" not in part) | st.just("**")
GLOBS = st.lists(PARTS, min_size=1, max_size=5).map("/".join)
PATHS = st.lists(st.text("ab[", min_size=1, max_size=4), min_size=1, max_size=5).map("/".join)
NAME_GLOBS = st.text("abZ0+._*?-", min_size=1, max_size=8)  # what trust.toml takes
NAMES = st.text("abZ0+._-", min_size=1, max_size=8)


def matches(path: TreePath, glob: str) -> bool:
    return matches_any(path, [glob])


def naive(parts: list[str], names: list[str]) -> bool:
    """Try every way in which the components of a glob may stand for those of a path."""
    if not parts:
        return not names
    if parts[0] == "**":
        least = 1 if set(parts) == {"**"} else 0  # at the end: one component or more
        return any(naive([part for part in parts[1:] if least == 0], names[n:]) for n in range(least, len(names) + 1))
    return bool(names) and naive_part(parts[0], names[0]) and naive(parts[1:], names[1:])


def naive_part(part: str, name: str) -> bool:
    if not part:
        return not name
    if part[0] == "*":
        return any(naive_part(part[1:], name[n:]) for n in range(len(name) + 1))
    return bool(name) and part[0] in ("?", name[0]) and naive_part(part[1:], name[1:])


@pytest.mark.parametrize(
    ("glob", "taken", "left"),
    [
        ("usr/bin", ["usr/bin", "usr/bin/a", "usr/bin/a/b"], ["usr", "usr/binary", "bin"]),
        ("usr/bin/*", ["usr/bin/a", "usr/bin/["], ["usr/bin", "usr/bin/a/b"]),
        ("usr/**", ["usr/a", "usr/a/b"], ["usr", "us/a"]),
        ("**", ["a", "a/b"], []),
        ("**/libc.so.6", ["libc.so.6", "lib/x/libc.so.6"], ["lib/xlibc.so.6", "libc.so.6x"]),
        (
            "usr/share/doc/*/copyright",
            ["usr/share/doc/x/copyright"],
            ["usr/share/doc/copyright", "usr/share/doc/x/y/copyright"],
        ),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["a/xb"]),
        ("a/**/b/**", ["a/b/c", "a/x/b/c/d"], ["a/b", "a/x/b"]),
        ("?", ["a"], ["ab", "a/b"]),
        ("/etc/motd", ["etc/motd"], ["motd"]),
        ("./etc//motd/", ["etc/motd"], ["motd"]),
        ("usr/bin/[", ["usr/bin/["], ["usr/bin/x"]),
        ("[ab]*", ["[ab]c"], ["a", "bc"]),
        ("caf\\xe9", ["caf\\xe9"], ["cafe"]),
        ("caf?/x", ["caf\\xe9/x"], ["caf\u00e9/x"]),
        ("a.b", ["a.b"], ["axb"]),
    ],
)
def test_globs(glob: str, taken: list[str], left: list[str]) -> None:
    assert [path for path in taken if not matches(TreePath.from_text(path), glob)] == []
    assert [path for path in left if matches(TreePath.from_text(path), glob)] == []


@pytest.mark.parametrize("glob", ["", "/", "a\\b", "*" * 3 + "/*" * 9, "usr/**.so", "usr/lib**", "../a", "a\0b"])
def test_a_glob_that_means_nothing_is_refused(glob: str) -> None:
    for read in (checked, lambda glob: matches(TreePath(b"a"), glob), lambda glob: unused([glob], [TreePath(b"a")])):
        with pytest.raises(ValueError, match=r"want|not the text form|must stand alone|component|NUL"):
            read(glob)


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


@given(GLOBS, PATHS)
def test_a_glob_takes_what_a_naive_matcher_takes(glob: str, path: str) -> None:
    wanted = naive(glob.split("/"), path.split("/"))
    assert Glob.parse(glob.encode()).matches(TreePath.parse(path)) == wanted
    below = not set(glob) & {"*", "?"} and path.startswith(f"{glob}/")
    assert matches(TreePath.parse(path), glob) == (wanted or below)


@given(PATHS, st.data())
def test_a_glob_that_is_made_of_a_path_takes_it(path: str, data: st.DataObject) -> None:
    parts = [
        data.draw(st.sampled_from([part, "*", "?" * len(part), f"{part[0]}*", f"*{part[-1]}"]))
        for part in path.split("/")
    ]
    parts.insert(data.draw(st.integers(0, len(parts) - 1)), "**")
    assert Glob.parse("/".join(parts).encode()).matches(TreePath.parse(path))
    assert matches(TreePath.parse(path), "/".join(parts))


@given(NAME_GLOBS, NAMES)
def test_a_glob_on_names_takes_what_it_always_took(glob: str, name: str) -> None:
    """trust.toml's scopes were judged by fnmatch: no glob that they take may ever take more."""
    assert name_matches(name, glob) == fnmatch.fnmatchcase(name, glob) == naive_part(glob, name)


@given(NAMES, st.data())
def test_a_glob_that_is_made_of_a_name_takes_it_as_fnmatch_does(name: str, data: st.DataObject) -> None:
    begin = data.draw(st.integers(0, len(name)))
    end = data.draw(st.integers(begin, len(name)))
    glob = name[:begin] + data.draw(st.sampled_from(["*", "**", "?", "*?"])) + name[end:]
    assert name_matches(name, glob) == fnmatch.fnmatchcase(name, glob)


@pytest.mark.parametrize("glob", ["**", "lib**", "**z"])
def test_two_stars_in_a_glob_on_names_are_one(glob: str) -> None:
    for name in ("lib", "libz", "z", "a"):
        assert name_matches(name, glob) == name_matches(name, glob.replace("**", "*"))


@given(NAME_GLOBS, NAMES)
def test_each_wildcard_stands_for_what_a_greedy_pattern_gives_it(glob: str, name: str) -> None:
    pattern = "".join({"*": "(.*)", "?": "(.)"}.get(char) or re.escape(char) for char in glob)
    match = re.fullmatch(pattern, name)
    wanted = None if match is None else tuple(match.span(n + 1) for n in range(len(match.groups())))
    assert wildcard_spans(name, glob) == wanted


def test_the_first_of_two_stars_stands_for_all_that_it_can() -> None:
    assert wildcard_spans("a-b-c", "*-*") == ((0, 3), (4, 5))


def test_a_hostile_glob_in_a_list_is_answered_at_once() -> None:
    began = time.process_time()
    assert not matches(TreePath.parse("/".join(["a" * 250] * 4)), "/".join(["**", "*a*a*a*a*a*a*a*b"] * 6))
    assert not matches(TreePath.parse("/".join("a" * 64)), "**/a/" * 30 + "b")
    assert not matches(TreePath.parse("a" * 255), "*a" * 120 + "b")
    assert time.process_time() - began < 5  # one that tries every way takes days


def test_a_hostile_glob_on_names_is_answered_at_once() -> None:
    began = time.process_time()
    assert not name_matches("a" * 128, "*a" * 63 + "b")
    assert wildcard_spans("a" * 128, "*a" * 64) is not None
    assert time.process_time() - began < 5  # one that tries every way takes for ever
