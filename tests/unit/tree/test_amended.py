"""Amending a tree gives what laying all layers again gives: the same tree, or the same refusal."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos.errors import NoSolution
from cosmos.tree.entry import Entry, Kind
from cosmos.tree.manifest import ManifestLine
from cosmos.tree.overlay import TEMPLATE, Layer, Overlaid, amended, overlay
from cosmos.treepath import TreePath

_NAMES = st.sampled_from(["a", "b", "B", "é", "e\u0301"])
_FOUR: tuple[Kind, ...] = ("file", "dir", "symlink", "hardlink")
_KINDS = st.sampled_from(_FOUR)
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map(lambda parts: TreePath.parse("/".join(parts)))


@st.composite
def _line(draw: st.DrawFn) -> ManifestLine:
    path, kind = draw(_PATHS), draw(_KINDS)
    target = {"symlink": draw(st.sampled_from([b"a", b"../../../../x"])), "hardlink": draw(_PATHS)}.get(kind, b"")
    return ManifestLine.of(
        Entry(path=path, kind=kind, mode=draw(st.sampled_from([0o644, 0o755])), target=bytes(target))
    )


_LINES = st.lists(_line(), max_size=4, unique_by=lambda line: line.path)
_WINNERS = st.dictionaries(_PATHS, st.sampled_from(["one", "two", TEMPLATE]), max_size=3)


def _made(layers: list[Layer], winners: dict[TreePath, str]) -> Overlaid | None:
    try:
        return overlay(layers, winners)
    except NoSolution:
        return None


@settings(max_examples=100)
@given(one=_LINES, two=_LINES, own=_LINES, brought=_LINES, winners=_WINNERS)
def test_an_amended_tree_is_what_all_layers_make_together(
    one: list[ManifestLine],
    two: list[ManifestLine],
    own: list[ManifestLine],
    brought: list[ManifestLine],
    winners: dict[TreePath, str],
) -> None:
    stars = [Layer(owner="one", lines=one), Layer(owner="two", lines=two)]
    first = _made([*stars, Layer(owner=TEMPLATE, lines=own)], winners)
    if first is None:
        return
    folders = {line.path for line in first.lines.values() if line.kind == "dir"}
    if any(line.path in first.lines and (line.path in folders) != (line.kind == "dir") for line in brought):
        with pytest.raises(NoSolution, match="so the image's own layer cannot make it a"):
            amended(first, brought, winners)
        return
    left = {line.path: line for line in own if first.owners[line.path] == TEMPLATE or line.kind == "dir"}
    left |= {line.path: line for line in brought}
    wanted = _made(
        [*stars, Layer(owner=TEMPLATE, lines=list(left.values()))],
        {**winners, **{line.path: TEMPLATE for line in brought}},
    )
    try:
        got: Overlaid | None = amended(first, brought, winners)
    except NoSolution:
        got = None
    if wanted is None or got is None:
        assert wanted is got
        return
    assert list(got.lines.items()) == list(wanted.lines.items())
    assert got.owners == wanted.owners


@pytest.mark.parametrize(("held", "brought"), [("dir", "file"), ("file", "dir")])
def test_a_folder_stays_a_folder_and_a_file_a_file_whoever_made_it(held: Kind, brought: Kind) -> None:
    def line(kind: Kind) -> ManifestLine:
        return ManifestLine.of(Entry(path=TreePath(b"a"), kind=kind, mode=0o755))

    for owner in ("one", TEMPLATE):
        first = overlay([Layer(owner=owner, lines=[line(held)])], {})
        assert amended(first, [line(held)], {}).owners == {TreePath(b"a"): TEMPLATE}
        with pytest.raises(NoSolution, match=f"/a: {owner} makes it a"):
            amended(first, [line(brought)], {})
