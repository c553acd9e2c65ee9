"""A receipt holds exactly while a script would see the same again, and then it would make the same."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos.nova.indexed_tree import IndexedTree
from cosmos.nova.job import NovaJob
from cosmos.nova.meter import Meter, VerbError
from cosmos.nova.receipt import Receipt
from cosmos.nova.verbs import Verbs
from cosmos.tables import Table
from cosmos.tree.entry import Entry, Tree
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath

NAMES = st.sampled_from(["a", "b", "c"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
KINDS = st.sampled_from(["file", "dir", "symlink", "char"])


@st.composite
def entries(draw: st.DrawFn) -> Entry:
    path, kind = TreePath.parse(draw(PATHS)), draw(KINDS)
    if kind == "symlink":
        target = draw(PATHS) if draw(st.booleans()) else "/" + draw(PATHS)
        return Entry(path=path, kind="symlink", mode=0o777, target=target.encode())
    if kind == "dir":
        xattrs = ((b"user.x", b"1"),) if draw(st.booleans()) else ()
        return Entry(path=path, kind="dir", mode=draw(st.sampled_from([0o755, 0o700])), xattrs=xattrs)
    if kind == "char":
        return Entry(path=path, kind="char", mode=0o600, rdev=(1, 3))
    return Entry(path=path, kind="file", mode=0o644, content=b"x")


def plausible(found: list[Entry]) -> Tree:
    """A tree in which nothing lies below anything but a folder."""
    tree = {entry.path: entry for entry in found}
    for path in sorted(tree):
        if any(above in tree and tree[above].kind != "dir" for above in path.parents):
            del tree[path]
    return tree


TREES = st.lists(entries(), max_size=6).map(plausible)
CALLS = st.one_of(
    st.tuples(st.just("exists"), PATHS),
    st.tuples(st.just("write"), PATHS, st.just("text")),
    st.tuples(st.just("mkdir"), PATHS),
    st.tuples(st.just("symlink"), PATHS, PATHS),
    st.tuples(st.just("chmod"), PATHS | st.just("/"), st.just(0o700)),
    st.tuples(st.just("chown"), PATHS, st.just(1), st.just(1)),
    st.tuples(st.just("copy"), st.just("folder"), PATHS),
    st.tuples(st.just("copy"), st.just("folder/f"), PATHS.map(lambda path: path + "/")),
    st.tuples(st.just("glob"), st.sampled_from(["*", "a/*", "**", "a/**/c", "b/c", "?/b"])),
)
FILES = {
    TreePath(b"folder/f"): Entry(path=TreePath(b"folder/f"), kind="file", mode=0o755, content=b"f"),
    TreePath(b"folder/a/g"): Entry(path=TreePath(b"folder/a/g"), kind="file", mode=0o644, content=b"g"),
}


def no_templates(_name: str, _template: bytes, _variables: bytes) -> bytes:
    raise AssertionError


def ran(calls: list[tuple[object, ...]], root: Tree) -> tuple[Receipt, list[ManifestLine]]:
    """What a script that makes `calls`, and goes on after each error, leaves on `root`."""
    job = NovaJob(star="x", script_name="x", script=b"", files=FILES, root=root, epoch=5)
    verbs = Verbs(job, "install", Meter(), no_templates)
    for name, *args in calls:
        try:
            answer = getattr(verbs, str(name))(*(arg.encode() if isinstance(arg, str) else arg for arg in args))
        except VerbError as error:
            answer = error.problem.encode()
        verbs.log(str(answer).encode())  # a script may do anything with what it learnt
    receipt = Receipt(script="x", function="install", events=tuple(verbs.events))
    return receipt, [ManifestLine.of(entry) for entry in verbs.root.layer().values()]


@pytest.mark.slow
@settings(max_examples=600, deadline=None)
@given(calls=st.lists(CALLS, min_size=1, max_size=6), before=TREES, after=TREES)
def test_a_layer_is_used_again_exactly_when_every_read_still_holds(calls, before, after):
    then, now = ran(calls, before), ran(calls, after)
    holds = then[0].changed(IndexedTree(after), None) is None
    assert holds is (then[0].reads == now[0].reads)
    if holds:
        assert then == now


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(calls=st.lists(CALLS, min_size=1, max_size=6), before=TREES, extra=entries())
def test_what_was_not_looked_at_may_change(calls, before, extra):
    receipt, _ = ran(calls, before)
    after = plausible([*before.values(), replace(extra, path=TreePath(b"elsewhere/" + extra.path))])
    looked = [event for event in receipt.reads if event.verb == "glob"]
    assert looked or receipt.changed(IndexedTree(after), None) is None


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(calls=st.lists(CALLS, min_size=1, max_size=6), root=TREES)
def test_a_receipt_is_read_as_it_was_written(calls, root):
    receipt, _ = ran(calls, root)
    assert Receipt.read(Table.from_json(receipt.to_bytes(), "x")) == receipt


def test_a_folder_that_a_script_takes_over_is_read_with_all_that_it_has():
    plain = Entry(path=TreePath(b"a"), kind="dir", mode=0o755)
    for other in (replace(plain, mode=0o750), replace(plain, gid=5), replace(plain, xattrs=((b"user.x", b"1"),))):
        receipt, lines = ran([("mkdir", "a")], {plain.path: plain})
        assert ran([("mkdir", "a")], {plain.path: other})[1] != lines
        assert receipt.changed(IndexedTree({plain.path: other}), None) is not None


def test_a_try_at_the_root_hides_no_later_look():
    receipt, _ = ran([("chmod", "/", 0o700), ("exists", "a/b")], {})
    below = {TreePath(b"a/b"): Entry(path=TreePath(b"a/b"), kind="file", mode=0o644)}
    assert receipt.changed(IndexedTree(below), None) == "/a was absent, is dir 0755 0:0"


def test_a_pattern_that_a_link_leads_on_can_be_looked_for_again():
    for target in ("/a**b", "/a*b", "/" + "/".join(["x" * 250] * 4)):
        receipt, _ = ran([("symlink", target, "l"), ("glob", "l/" + "?" * 100)], {})
        assert receipt.changed(IndexedTree({}), None) is None
