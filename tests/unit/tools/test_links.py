"""Links are followed inside a tree, and nowhere else."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.links import Last, TooManyLinks, followed
from cosmos.treepath import ROOT, TreePath

LINKS = {
    b"bin": b"usr/bin",
    b"usr/bin/sh": b"dash",
    b"usr/bin/vi": b"/etc/editor",
    b"etc/editor": b"../bin/./ed",
    b"up": b"../../..",
    b"into": b"bin/",
    b"a": b"b",
    b"b": b"a",
    b"self": b"self",
}


def target_of(path: TreePath, _rest: Sequence[bytes]) -> bytes | None:
    return LINKS.get(path)


@pytest.mark.parametrize(
    ("path", "last", "end"),
    [
        (b"bin/sh", "follow", b"usr/bin/dash"),
        (b"bin/sh", "keep", b"usr/bin/sh"),
        (b"bin", "keep", b"bin"),
        (b"bin/", "keep", b"usr/bin"),
        (b"bin/vi", "follow", b"usr/bin/ed"),
        (b"up/bin/sh", "keep", b"usr/bin/sh"),
        (b"up", "follow", b""),
        (b"../../etc", "follow", b"etc"),
        (b"bin/../lib", "follow", b"usr/lib"),
        (b"into/sh", "follow", b"usr/bin/dash"),
        (b"none/such", "follow", b"none/such"),
        (b"", "follow", b""),
        (b"//usr/./bin/", "follow", b"usr/bin"),
    ],
)
def test_a_path_leads_where_a_kernel_would_lead_it(path: bytes, last: Last, end: bytes) -> None:
    assert followed(path, target_of, last=last) == end


@pytest.mark.parametrize("path", [b"a", b"b/x", b"self"])
def test_a_circle_ends(path: bytes) -> None:
    with pytest.raises(TooManyLinks, match="more than 40 links"):
        followed(path, target_of)


@pytest.mark.parametrize(("links", "ends"), [(40, True), (41, False)])
def test_as_many_links_are_followed_as_a_kernel_follows(links: int, ends: bool) -> None:
    chain = {b"%d" % number: b"%d" % (number + 1) for number in range(links)}
    if ends:
        assert followed(b"0", lambda path, rest: chain.get(path)) == b"%d" % links
    else:
        with pytest.raises(TooManyLinks):
            followed(b"0", lambda path, rest: chain.get(path))


def test_whoever_is_asked_hears_what_comes_after_and_whoever_counts_hears_each_step() -> None:
    asked, steps = list[tuple[bytes, tuple[bytes, ...]]](), list[bytes]()

    def told(path: TreePath, rest: Sequence[bytes]) -> bytes | None:
        asked.append((path, tuple(rest)))
        return LINKS.get(path)

    followed(b"bin/../x", told, on_step=steps.append)
    assert asked == [
        (b"bin", (b"x", b"..")),
        (b"usr", (b"x", b"..", b"bin")),
        (b"usr/bin", (b"x", b"..")),
        (b"usr/x", ()),
    ]
    assert steps == [ROOT, ROOT, b"usr", b"usr/bin", b"usr"]


NAMES = ("a", "b", "c")
PATHS = st.lists(st.sampled_from((*NAMES, ".", "..", "")), min_size=1, max_size=5).map("/".join)


@given(links=st.dictionaries(st.sampled_from(NAMES), PATHS.filter(bool), max_size=3), path=PATHS)
def test_what_a_file_system_without_absolute_links_leads_to_is_found(
    tmp_path_factory: pytest.TempPathFactory, links: dict[str, str], path: str
) -> None:
    """As the kernel has it, below a folder that is deep enough for no `..` to leave it."""
    root = tmp_path_factory.mktemp("tree") / "out" / "of" / "reach" / "of" / "every" / "path"
    root.mkdir(parents=True)
    links = {name: target.lstrip("/") or "." for name, target in links.items()}
    for name in NAMES:
        if name in links:
            (root / name).symlink_to(links[name])
        else:
            for below in NAMES:
                (root / name / below).mkdir(parents=True)
    table = {name.encode(): target.encode() for name, target in links.items()}
    try:
        end = followed(path.lstrip("/").encode(), lambda at, rest: table.get(bytes(at)))
    except TooManyLinks:
        assert not (root / path.lstrip("/")).exists()
        return
    there = Path(os.path.realpath(root / path.lstrip("/")))
    if there.is_relative_to(root) and (root / path.lstrip("/")).exists() and "\0" not in path:
        assert (root / os.fsdecode(end)).resolve() == there
