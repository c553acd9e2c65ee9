"""Layers lie over one another by rules that a person can state."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from cosmos.digest import Digest
from cosmos.errors import NoSolution
from cosmos.tree.entry import Entry, Kind
from cosmos.tree.manifest import ManifestLine
from cosmos.tree.overlay import IMPLIED, TEMPLATE, Layer, PathMap, hard_links_ordered, overlay, remapped
from cosmos.treepath import TreePath

MERGED = PathMap(links={b"bin": TreePath(b"usr/bin"), b"lib": TreePath(b"usr/lib")})


def entry(path: str, kind: Kind = "file", mode: int = 0o644, *, target: bytes = b"", content: bytes = b"") -> Entry:
    return Entry(path=TreePath.parse(path), kind=kind, mode=mode, target=target, content=content)


def layer(owner: str, *entries: Entry, replaces: str = "") -> Layer:
    return Layer(owner=owner, lines=[ManifestLine.of(item) for item in entries], replaces=frozenset(replaces.split()))


def tree(*entries: Entry) -> dict[TreePath, Entry]:
    return {item.path: item for item in entries}


def test_two_stars_may_not_own_one_path() -> None:
    with pytest.raises(NoSolution) as caught:
        overlay([layer("nano", entry("etc/rc")), layer("vim", entry("etc/rc"))], {})
    assert "/etc/rc: both nano (file) and vim (file) bring it" in str(caught.value)
    assert "owners" in (caught.value.hint or "")


def test_two_stars_may_not_own_one_path_even_with_the_same_bytes() -> None:
    with pytest.raises(NoSolution):
        overlay([layer("a", entry("x", content=b"same")), layer("b", entry("x", content=b"same"))], {})


@pytest.mark.parametrize("winner", ["nano", "vim"])
def test_the_image_says_who_wins_a_path_and_the_loser_drops_it(winner: str) -> None:
    layers = [layer("nano", entry("etc/rc", content=b"n")), layer("vim", entry("etc/rc", content=b"v"))]
    made = overlay(layers, {TreePath(b"etc/rc"): winner})
    assert made.owners[TreePath(b"etc/rc")] == winner
    loser = next(item for item in layers if item.owner != winner)
    assert made.dropped(loser) == {TreePath(b"etc/rc")}


def test_a_winner_that_is_neither_of_the_two_decides_nothing() -> None:
    with pytest.raises(NoSolution):
        overlay([layer("a", entry("x")), layer("b", entry("x"))], {TreePath(b"x"): "c"})


@pytest.mark.parametrize("order", list(permutations("abc")))
def test_a_star_that_replaces_those_beside_it_owns_the_path_in_whatever_order_they_come(order: tuple[str, ...]) -> None:
    replaces = {"a": "", "b": "a c", "c": "a"}
    layers = [layer(name, entry("x", content=name.encode()), replaces=replaces[name]) for name in order]
    made = overlay(layers, {})
    assert made.owners[TreePath(b"x")] == "b"
    assert made.lines[TreePath(b"x")].digest == Digest.of(b"b")
    assert {item.owner: made.dropped(item) for item in layers} == {"a": {b"x"}, "b": frozenset(), "c": {b"x"}}


def test_a_star_that_replaces_another_takes_what_both_bring_and_nothing_more() -> None:
    made = overlay([layer("new", entry("x"), replaces="old"), layer("old", entry("x"), entry("y"))], {})
    assert made.owners == {b"x": "new", b"y": "old"}


@pytest.mark.parametrize(
    ("replaces", "said"),
    [
        ({"a": "b", "b": "a", "c": "a b"}, None),
        ({"a": "b", "b": "a", "c": ""}, "both a (file) and b (file)"),
        ({"a": "b", "b": "c", "c": ""}, "both a (file) and c (file)"),
        ({"a": "b", "b": "c", "c": "a"}, "both a (file) and b (file)"),
    ],
    ids=str,
)
def test_where_none_replaces_all_the_others_two_that_stand_against_each_other_are_named(
    replaces: dict[str, str], said: str | None
) -> None:
    layers = [layer(name, entry("x"), replaces=replaces[name]) for name in "abc"]
    if said is None:
        assert overlay(layers, {}).owners[TreePath(b"x")] == "c"
        return
    with pytest.raises(NoSolution) as caught:
        overlay(layers, {})
    assert said in str(caught.value)


def test_two_stars_that_replace_each_other_are_refused_and_the_image_may_decide() -> None:
    layers = [layer("a", entry("x"), replaces="b"), layer("b", entry("x"), replaces="a")]
    with pytest.raises(NoSolution, match="both a"):
        overlay(layers, {})
    assert overlay(layers, {TreePath(b"x"): "a"}).owners[TreePath(b"x")] == "a"


def test_the_image_s_word_counts_more_than_a_star_s() -> None:
    layers = [layer("new", entry("x"), replaces="old"), layer("old", entry("x"))]
    assert overlay(layers, {TreePath(b"x"): "old"}).owners[TreePath(b"x")] == "old"


def test_nobody_replaces_a_folder() -> None:
    with pytest.raises(NoSolution, match=r"both old \(folder\) and new \(file\)"):
        overlay([layer("old", entry("x", "dir")), layer("new", entry("x"), replaces="old")], {})


def test_folders_on_which_their_stars_agree_merge() -> None:
    made = overlay([layer("a", entry("srv", "dir", 0o700)), layer("b", entry("srv", "dir", 0o700))], {})
    assert (made.lines[TreePath(b"srv")].mode, made.owners[TreePath(b"srv")]) == (0o700, "a")


@pytest.mark.parametrize("order", list(permutations("abc")))
def test_a_star_does_not_change_the_mode_of_a_folder_of_another_star(order: tuple[str, ...]) -> None:
    modes = {"a": 0o755, "b": 0o755, "c": 0o1777}
    layers = [layer(name, entry("srv", "dir", modes[name])) for name in order]
    with pytest.raises(NoSolution, match=r"/srv: both ") as caught:
        overlay(layers, {})
    assert "c (folder 1777 0:0)" in str(caught.value)
    assert "(folder 0755 0:0)" in str(caught.value)
    assert 'owners = { "srv" = ' in (caught.value.hint or "")
    assert overlay(layers, {TreePath(b"srv"): "c"}).lines[TreePath(b"srv")].mode == 0o1777
    first = order[0] if order[0] != "c" else order[1]
    assert overlay(layers, {TreePath(b"srv"): first}).lines[TreePath(b"srv")].mode == 0o755


@pytest.mark.parametrize("other", [{"uid": 1}, {"gid": 1}, {"xattrs": ((b"user.a", b"x"),)}])
def test_a_star_does_not_change_the_owner_or_the_attributes_of_a_folder_of_another_star(other: dict[str, Any]) -> None:
    folder = entry("srv", "dir", 0o755)
    with pytest.raises(NoSolution, match=r"/srv: both a \(folder 0755 0:0\) and b \(folder 0755 "):
        overlay([layer("a", folder), layer("b", replace(folder, **other))], {})


def test_a_folder_that_a_star_only_uses_is_as_the_star_that_names_it_says() -> None:
    layers = [layer("a", entry("srv/key")), layer("b", entry("srv", "dir", 0o700))]
    assert overlay(layers, {}).lines[TreePath(b"srv")].mode == 0o700


def test_a_folder_of_two_stars_is_as_in_the_template_that_names_it() -> None:
    stars = [layer("a", entry("tmp", "dir", 0o755)), layer("b", entry("tmp", "dir", 0o700))]
    made = overlay([*stars, layer(TEMPLATE, entry("tmp", "dir", 0o1777))], {})
    assert (made.lines[TreePath(b"tmp")].mode, made.owners[TreePath(b"tmp")]) == (0o1777, TEMPLATE)


def test_the_template_has_the_last_word_on_a_folder() -> None:
    made = overlay([layer("a", entry("tmp", "dir", 0o755)), layer(TEMPLATE, entry("tmp", "dir", 0o1777))], {})
    assert made.lines[TreePath(b"tmp")].mode == 0o1777


def test_a_folder_that_nobody_names_is_made() -> None:
    made = overlay([layer("a", entry("usr/bin/x"))], {})
    assert (made.lines[TreePath(b"usr")].mode, made.owners[TreePath(b"usr")]) == (0o755, IMPLIED)
    assert list(made.lines) == [b"usr", b"usr/bin", b"usr/bin/x"]


@pytest.mark.parametrize("kind", ["symlink", "file"])
def test_nothing_lies_below_what_is_no_folder(kind: Kind) -> None:
    below = layer("a", entry("opt", kind, target=b"etc" if kind == "symlink" else b""))
    with pytest.raises(NoSolution, match="which a makes a"):
        overlay([below, layer("b", entry("opt/passwd"))], {})


def test_a_folder_and_a_file_at_one_path_are_refused() -> None:
    with pytest.raises(NoSolution, match="folder"):
        overlay([layer("a", entry("x", "dir")), layer("b", entry("x"))], {TreePath(b"x"): "b"})


def test_a_merged_usr_moves_paths_and_hard_link_targets() -> None:
    star = [entry("bin/gunzip"), entry("bin/zcat", "hardlink", target=b"bin/gunzip")]
    moved = remapped(star, "gzip-1.0.0", MERGED)
    assert list(moved) == [b"usr/bin/gunzip", b"usr/bin/zcat"]
    assert moved[TreePath(b"usr/bin/zcat")].target == b"usr/bin/gunzip"


def test_a_link_that_stood_for_the_merge_is_dropped() -> None:
    for target in (b"/usr/bin/sh", b"../usr/bin/sh"):
        moved = remapped([entry("usr/bin/sh"), entry("bin/sh", "symlink", target=target)], "dash-1.0.0", MERGED)
        assert [(item.path, item.kind) for item in moved.values()] == [(b"usr/bin/sh", "file")]


def test_a_relative_link_that_moves_still_leads_to_the_same_place() -> None:
    moved = remapped([entry("lib/conf", "symlink", target=b"../etc/conf")], "s-1.0.0", MERGED)
    assert moved[TreePath(b"usr/lib/conf")].target == b"../../etc/conf"
    kept = remapped([entry("lib/a/x.so", "symlink", target=b"x.so.1")], "s-1.0.0", MERGED)
    assert kept[TreePath(b"usr/lib/a/x.so")].target == b"x.so.1"


def test_two_files_of_a_star_that_the_merge_brings_together_are_refused() -> None:
    with pytest.raises(NoSolution, match="brings /usr/bin/sh twice"):
        remapped([entry("bin/sh"), entry("usr/bin/sh")], "dash-1.0.0", MERGED)


def test_the_first_path_of_a_hard_link_group_is_the_file() -> None:
    made = hard_links_ordered(tree(entry("a", "hardlink", target=b"z"), entry("z", content=b"data")), "s-1.0.0")
    assert made[TreePath(b"a")].kind == "file"
    assert bytes(made[TreePath(b"a")].content) == b"data"
    assert (made[TreePath(b"z")].kind, made[TreePath(b"z")].target) == ("hardlink", b"a")


def test_hard_links_that_only_link_to_one_another_are_refused() -> None:
    with pytest.raises(NoSolution):
        hard_links_ordered(tree(entry("a", "hardlink", target=b"b"), entry("b", "hardlink", target=b"a")), "s-1.0.0")


def test_a_hard_link_may_not_lose_its_file_to_another_star() -> None:
    linked = layer("a", entry("x"), entry("y", "hardlink", target=b"x"))
    with pytest.raises(NoSolution, match="hard link"):
        overlay([linked, layer("b", entry("x"))], {TreePath(b"x"): "b"})


@pytest.mark.parametrize(
    ("made", "problem"),
    [
        (Entry(path=TreePath("usr/a\u202eb".encode()), kind="file", mode=0o644), "a gives it a bidirectional control"),
        (
            Entry(path=TreePath(b"usr/l"), kind="symlink", mode=0o777, target="\u2067x".encode()),
            "a gives it a bidirectional control",
        ),
        (
            Entry(path=TreePath(b"usr/l"), kind="symlink", mode=0o777, target=b"../../x"),
            "a makes it a symlink that climbs above the root",
        ),
    ],
)
def test_what_no_reader_of_an_image_takes_is_refused(made, problem):
    with pytest.raises(NoSolution, match=problem):
        overlay([Layer(owner="a", lines=[ManifestLine.of(made)])], {})


@pytest.mark.parametrize("names", [("usr/bin/head", "usr/bin/HEAD"), ("usr/\u00e9", "usr/\u00c9"), ("a/b/c", "a/B/c")])
def test_two_stars_whose_paths_differ_by_case_alone_are_refused_by_name(names: tuple[str, str]) -> None:
    with pytest.raises(NoSolution) as caught:
        overlay([layer("coreutils", entry(names[0])), layer("lwp", entry(names[1]))], {})
    said = str(caught.value)
    assert all(word in said for word in ("coreutils brings", "lwp brings", f"/{names[0]}", f"/{names[1]}")), said
    assert "differ by case alone" in said


def test_one_star_may_bring_paths_that_differ_by_case_alone() -> None:
    made = overlay([layer("linux", entry("lib/xt_DSCP.ko"), entry("lib/xt_dscp.ko")), layer("b", entry("lib/c"))], {})
    assert {b"lib/xt_DSCP.ko", b"lib/xt_dscp.ko", b"lib/c"} <= made.lines.keys()


def test_folders_of_two_stars_that_differ_by_case_alone_stand_side_by_side() -> None:
    made = overlay(
        [layer("a", entry("terminfo/A/x")), layer("b", entry("terminfo/a", "dir"), entry("terminfo/a/y"))], {}
    )
    assert {b"terminfo/A/x", b"terminfo/a/y"} <= made.lines.keys()


@pytest.mark.parametrize("named", [True, False])
def test_a_folder_and_another_star_s_file_that_differ_by_case_alone_are_refused(named: bool) -> None:
    folder = [entry("usr/Doc", "dir")] if named else []
    with pytest.raises(NoSolution, match="/usr/Doc: a brings it, and b brings /usr/doc"):
        overlay([layer("a", *folder, entry("usr/Doc/x")), layer("b", entry("usr/doc"))], {})


def test_the_image_may_say_that_both_of_two_paths_are_meant() -> None:
    layers = [layer("coreutils", entry("head")), layer("lwp", entry("HEAD"))]
    both = {TreePath(b"head"): "coreutils", TreePath(b"HEAD"): "lwp"}
    assert overlay(layers, both).lines.keys() == both.keys()
    for one in both:
        with pytest.raises(NoSolution, match="differ by case alone"):
            overlay(layers, {one: both[one]})


def test_a_third_star_is_compared_with_each_of_two_twins() -> None:
    twins = layer("a", entry("x"), entry("X"))
    with pytest.raises(NoSolution, match="differ by case alone"):
        overlay([twins, layer("b", entry("X"))], {TreePath(b"X"): "b"})


def test_two_stars_whose_paths_differ_by_unicode_form_alone_are_refused_whatever_the_image_says() -> None:
    forms = {TreePath("\u00e9".encode()): "a", TreePath("e\u0301".encode()): "b"}
    with pytest.raises(NoSolution, match="only by Unicode form"):
        overlay([layer(owner, entry(path.text)) for path, owner in forms.items()], forms)


def test_the_hint_about_an_odd_name_can_be_pasted() -> None:
    path = TreePath(b'say "hi"\\\xff')
    layers = [layer(owner, Entry(path=path, kind="file", mode=0o644, content=owner.encode())) for owner in ("a", "b")]
    with pytest.raises(NoSolution) as caught:
        overlay(layers, {})
    owners = tomllib.loads((caught.value.hint or "").partition("[policy] ")[2])["owners"]
    winners = {TreePath.from_text(key): owner for key, owner in owners.items()}
    assert overlay(layers, winners).owners == {path: "a"}
