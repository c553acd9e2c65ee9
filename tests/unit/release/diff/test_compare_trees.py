"""Two trees are compared path by path, however they are kept; a naive comparison must say the same."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos.pack.image_file import PackedLayer, image_pieces, pack_layer
from cosmos.pack.tar import TAR_END, tar_members
from cosmos.release.diff.compare import Difference, Repacked, compare_trees
from cosmos.release.diff.comparison import compare
from cosmos.release.diff.folder_side import FolderSide
from cosmos.release.diff.image_side import ImageSide
from cosmos.release.diff.tar_side import TarSide
from cosmos.tree.entry import Entry, tree_of
from cosmos.treepath import TreePath

NAMES = count()


def entry(path: str, content: bytes = b"x", **fields: object) -> Entry:
    return Entry(path=TreePath(path.encode()), kind="file", mode=0o644, content=content, **fields)


FOLDER = Entry(path=TreePath(b"d"), kind="dir", mode=0o755)
FILES = [entry("d/a", b"a" * 600), entry("d/b", b"b" * 700, mtime=5), entry("c", b"c")]
LINK = Entry(path=TreePath(b"d/link"), kind="symlink", mode=0o777, target=b"a")
TWIN = Entry(path=TreePath(b"d/twin"), kind="hardlink", mode=0o644, target=b"c")


def image(tmp_path: Path, *layers: PackedLayer) -> ImageSide:
    file = tmp_path / f"{next(NAMES)}.tar.zst"
    file.write_bytes(b"".join(image_pieces(layers, {})))
    return ImageSide(file, file.name, None)


def image_of(tmp_path: Path, entries: Iterable[Entry], star: str = "app-1.0.0", level: int = 3) -> ImageSide:
    tree = list(entries)
    folders = [one for one in tree if one.kind == "dir"]
    rest = [one for one in tree if one.kind != "dir"]
    return image(tmp_path, pack_layer("directories", folders, level), pack_layer(star, rest, level))


def tar_of(tmp_path: Path, entries: Iterable[Entry]) -> TarSide:
    file = tmp_path / f"{next(NAMES)}.tar"
    ordered = sorted(entries, key=lambda one: (one.kind == "hardlink", one.path))
    file.write_bytes(b"".join([*tar_members(ordered), TAR_END]))
    return TarSide(file, file.name)


def folder_of(tmp_path: Path, entries: Iterable[Entry]) -> FolderSide:
    folder = tmp_path / f"{next(NAMES)}"
    folder.mkdir()
    ordered = sorted(entries, key=lambda one: (one.kind == "hardlink", one.path))
    for one in ordered:
        place = folder / one.path.decode()
        if one.kind == "dir":
            place.mkdir()
        elif one.kind == "symlink":
            place.symlink_to(one.target.decode())
        elif one.kind == "hardlink":
            place.hardlink_to(folder / one.target.decode())
        else:
            place.write_bytes(one.content)
        if one.kind in ("dir", "file"):
            place.chmod(one.mode)
    for one in reversed(ordered):
        os.utime(folder / one.path.decode(), (one.mtime, one.mtime), follow_symlinks=False)
    return FolderSide(folder, str(folder))


def causes(found: Iterable[Difference]) -> dict[str, tuple[str, ...]]:
    return {one.path.text: one.causes for one in found}


def test_the_same_tree_is_the_same_however_it_is_kept(tmp_path: Path) -> None:
    tree = [FOLDER, *FILES, LINK, TWIN]
    sides = [image_of(tmp_path, tree), tar_of(tmp_path, tree), folder_of(tmp_path, tree)]
    for before in sides:
        for after in sides:
            found = compare_trees(before, after, frozenset({"owner"}))
            assert (causes(found.differences), found.same) == ({}, 6)


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        ({"content": b"A" + b"a" * 599}, ("content",)),
        ({"content": b"a" * 601}, ("content",)),
        ({"mode": 0o4755}, ("mode",)),
        ({"uid": 3}, ("owner",)),
        ({"gid": 3}, ("owner",)),
        ({"xattrs": ((b"user.a", b"1"),)}, ("xattr",)),
        ({"mtime": 9}, ("time",)),
        ({"kind": "fifo", "content": b""}, ("kind",)),
        ({"mode": 0o600, "mtime": 9, "content": b""}, ("content", "mode", "time")),
    ],
)
def test_each_field_that_differs_is_a_cause(tmp_path: Path, change: Mapping[str, object], wanted: object) -> None:
    other = [FOLDER, replace(FILES[0], **change), *FILES[1:]]
    found = compare_trees(image_of(tmp_path, [FOLDER, *FILES]), image_of(tmp_path, other))
    assert causes(found.differences) == {"d/a": wanted}
    assert (found.differences[0].star, found.same, found.repacked) == ("app", 3, ())


def test_the_target_of_a_symlink_and_the_file_that_paths_share_are_links(tmp_path: Path) -> None:
    before = image_of(tmp_path, [FOLDER, *FILES, LINK, TWIN])
    copied = entry("d/twin", b"c")
    after = image_of(tmp_path, [FOLDER, *FILES, replace(LINK, target=b"b"), copied])
    assert causes(compare_trees(before, after).differences) == {
        "c": ("link",),
        "d/link": ("link",),
        "d/twin": ("link",),
    }


def test_which_of_two_names_of_one_file_comes_first_is_no_difference(tmp_path: Path) -> None:
    old = [entry("a"), Entry(path=TreePath(b"b"), kind="hardlink", mode=0o644, target=b"a")]
    new = [entry("b"), Entry(path=TreePath(b"a"), kind="hardlink", mode=0o644, target=b"b")]
    assert compare_trees(tar_of(tmp_path, old), tar_of(tmp_path, new)).differences == ()


def test_a_file_under_another_name_has_moved(tmp_path: Path) -> None:
    before = image_of(tmp_path, [FOLDER, *FILES])
    after = image_of(tmp_path, [FOLDER, replace(FILES[0], path=TreePath(b"d/z")), *FILES[1:], entry("n", b"new")])
    found = {one.path.text: one for one in compare_trees(before, after).differences}
    assert causes(found.values()) == {"d/a": ("moved",), "n": ("added",)}
    assert found["d/a"].moved_to == TreePath(b"d/z")


def test_a_star_keeps_its_name_in_another_version(tmp_path: Path) -> None:
    before = image_of(tmp_path, [FOLDER, *FILES], "app-1.0.0")
    after = image_of(tmp_path, [FOLDER, *FILES, entry("e")], "app-1.2.0")
    found = compare_trees(before, after)
    assert [(one.name, one.before, one.after) for one in found.stars] == [("app", "1.0.0", "1.2.0")]
    assert [(one.path.text, one.star) for one in found.differences] == [("e", "app")]


def test_a_path_that_another_star_owns_now_is_named(tmp_path: Path) -> None:
    none = pack_layer("directories", [], 3)
    before = image(tmp_path, none, pack_layer("app-1.0.0", FILES[2:], 3), pack_layer("lib-1.0.0", [entry("l")], 3))
    after = image(tmp_path, none, pack_layer("app-1.0.0", [entry("l")], 3), pack_layer("lib-1.0.0", FILES[2:], 3))
    assert causes(compare_trees(before, after).differences) == {"c": ("star",), "l": ("star",)}


def test_another_compressor_is_no_difference_and_is_said(tmp_path: Path) -> None:
    before = image_of(tmp_path, [FOLDER, *FILES], level=1)
    after = image_of(tmp_path, [FOLDER, *FILES], level=19)
    found = compare_trees(before, after)
    assert found.differences == ()
    assert found.repacked and all(one.why == "only-compressor" for one in found.repacked)


def test_another_order_of_the_same_entries_is_said(tmp_path: Path) -> None:
    none = pack_layer("directories", [], 3)
    a, b = pack_layer("a-1.0.0", FILES[2:], 3), pack_layer("b-1.0.0", [entry("l")], 3)
    found = compare_trees(image(tmp_path, none, a, b), image(tmp_path, none, b, a))
    assert (found.differences, found.repacked) == ((), (Repacked(layer="the layers themselves", why="order"),))


def test_only_layers_that_differ_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    none, same = pack_layer("directories", [], 3), pack_layer("same-1.0.0", [entry("s", b"s" * 9000)], 3)
    before = image(tmp_path, none, same, pack_layer("app-1.0.0", FILES[2:], 3))
    after = image(tmp_path, none, same, pack_layer("app-1.0.0", [entry("c", b"other")], 3))
    decoded: list[str] = []
    plain = ImageSide._content
    monkeypatch.setattr(ImageSide, "_content", lambda self, layer: decoded.append(layer.name) or plain(self, layer))
    assert causes(compare_trees(before, after).differences) == {"c": ("content",)}
    assert set(decoded) == {"app-1.0.0"}


def test_the_inside_of_a_file_is_shown_from_each_kind_of_side(tmp_path: Path) -> None:
    old, new = [entry("etc.conf", b"a\nb\nc\n")], [entry("etc.conf", b"a\nB\nc\n")]
    for make in (image_of, tar_of, folder_of):
        before, after = make(tmp_path, old), make(tmp_path, new)
        (found,) = compare(tmp_path / before.label, tmp_path / after.label).tree.differences
        assert found.inside == ("line 2: -b", "line 2: +B")


PATHS = [TreePath(name) for name in (b"a", b"b", b"d", b"d/a", b"d/b", b"d/e", b"z")]


@st.composite
def trees(draw: st.DrawFn) -> list[Entry]:
    found = [FOLDER]
    for path in PATHS:
        if path == FOLDER.path or not draw(st.booleans()):
            continue
        kind = draw(st.sampled_from(["file", "file", "symlink", "fifo"]))
        found.append(
            Entry(
                path=path,
                kind=kind,
                mode=draw(st.sampled_from([0o644, 0o755, 0o4755])) if kind != "symlink" else 0o777,
                uid=draw(st.sampled_from([0, 7])),
                mtime=draw(st.sampled_from([0, 9])),
                content=draw(st.sampled_from([b"", b"1", b"2", b"22"])) if kind == "file" else b"",
                target=draw(st.sampled_from([b"a", b"z"])) if kind == "symlink" else b"",
            )
        )
    return found


def naive(before: Iterable[Entry], after: Iterable[Entry]) -> set[str]:
    """Return every path at which the two trees are not the same."""
    old, new = tree_of(before), tree_of(after)
    return {path.text for path in old.keys() | new.keys() if old.get(path) != new.get(path)}


@settings(deadline=None, max_examples=60)
@given(old=trees(), new=trees())
def test_exactly_the_paths_that_differ_are_named(
    tmp_path_factory: pytest.TempPathFactory, old: list[Entry], new: list[Entry]
) -> None:
    folder = tmp_path_factory.mktemp("trees")
    for make in (image_of, tar_of):
        found = compare_trees(make(folder, old), make(folder, new), frozenset({"moved"}))
        assert {one.path.text for one in found.differences} == naive(old, new)
        moved = compare_trees(make(folder, old), make(folder, new))
        named = {one.path.text for one in moved.differences}
        named |= {one.moved_to.text for one in moved.differences if one.moved_to is not None}
        assert named == naive(old, new)


def test_a_moved_program_that_gained_rights_says_so(tmp_path: Path) -> None:
    old, new = entry("a", b"program"), replace(entry("b", b"program"), mode=0o4755)
    found = compare_trees(folder_of(tmp_path, [old]), folder_of(tmp_path, [new]), frozenset({"time"}))
    assert [(one.causes, one.moved_to) for one in found.differences] == [(("moved", "mode"), TreePath(b"b"))]
    calm = compare_trees(folder_of(tmp_path, [old]), folder_of(tmp_path, [new]), frozenset({"time", "mode"}))
    assert causes(calm.differences) == {"a": ("moved",)}


def test_very_many_files_of_the_same_bytes_are_moved_each_to_its_own_place(tmp_path: Path) -> None:
    number = 300
    old = [entry(f"old-{at:03}", b"licence") for at in range(number)]
    new = [entry(f"new-{at:03}", b"licence") for at in range(number)]
    found = compare_trees(image_of(tmp_path, old), image_of(tmp_path, new)).differences
    assert [(one.path.text, one.moved_to.text if one.moved_to else "") for one in found] == [
        (f"old-{at:03}", f"new-{at:03}") for at in range(number)
    ]


def test_what_is_mounted_in_a_root_is_not_called_removed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a running system, /proc is another file system: nobody sees the folder below it."""
    tree = [Entry(path=TreePath(b"proc"), kind="dir", mode=0o555), entry("proc/version", b"1"), entry("d")]
    packed, root = image_of(tmp_path, tree), folder_of(tmp_path, [tree[0], tree[2]])
    plain = Path.lstat

    def lstat(path: Path) -> os.stat_result:
        found = plain(path)
        return os.stat_result((*found[:2], found.st_dev + 1, *found[3:])) if path.name == "proc" else found

    monkeypatch.setattr(Path, "lstat", lstat)
    found = compare_trees(packed, root, frozenset({"owner", "time"}))
    assert (found.differences, found.hidden, found.same) == ((), (TreePath(b"proc"),), 1)


def test_what_is_looked_into_fits_in_memory(tmp_path: Path) -> None:
    """200 files of 8 MiB would be 1.6 GB: the smallest are looked into, up to 32 MiB of them together."""
    sizes = {"small": 1, "large-a": 7, "large-b": 7, "large-c": 7, "large-d": 7, "large-e": 7}
    folders = [tmp_path / "old", tmp_path / "new"]
    for folder, letter in zip(folders, (b"a", b"b"), strict=True):
        folder.mkdir()
        for name, mib in sizes.items():
            (folder / name).write_bytes(letter * mib * (1 << 20))
    found = compare(*folders).tree
    assert found is not None
    assert {one.path.text for one in found.differences if not one.inside} == {"large-e"}


def test_the_layers_that_a_system_has_to_fetch_have_their_sizes(tmp_path: Path) -> None:
    old = image_of(tmp_path, [entry("a", b"1" * 99)], "app-1.0.0")
    new = image(
        tmp_path,
        pack_layer("directories", [], 3),
        pack_layer("app-1.0.0", [entry("a", b"2" * 99)], 3),
        pack_layer("more-1.0.0", [entry("b", b"3")], 3),
    )
    sizes = {name: packing.packed_bytes for name, packing in new.packings.items()}
    layers = {one.name: (one.before_bytes, one.after_bytes) for one in compare_trees(old, new).layers}
    assert layers["app-1.0.0"] == (old.packings["app-1.0.0"].packed_bytes, sizes["app-1.0.0"])
    assert layers["more-1.0.0"] == (0, sizes["more-1.0.0"])
    assert {one.name: one.after_bytes for one in compare_trees(new, old).layers}["more-1.0.0"] == 0
    assert "directories" not in layers
