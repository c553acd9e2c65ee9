"""The tree that a program of `run()` sees, and the tree that comes back, are the tree: through real bubblewrap, as root
and as an ordinary user.
"""

from __future__ import annotations

import json
import os
import pickle
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeVar

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.errors import Malformed
from cosmos.sandbox.bubble import HOST_TOOLS, Bubble
from cosmos.sandbox.run_outcome import RunOutcome
from cosmos.tree.entry import Entry, Kind
from cosmos.treepath import TreePath
from fakes.examples import tried
from fakes.users import become
from fakes.waiting import LONG_SECONDS

pytestmark = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap is not there")
T = TypeVar("T")
Tree = Mapping[TreePath, Entry]
EPOCH = 1_000_000_000
ORDINARY = 4321  # a user that no other test is
CAPABILITY = (b"security.capability", b"\1\0\0\2" + bytes(16))
NOW = 10**9 + 1  # later than every time of a tree


def as_user(user: int, work: Callable[[], T]) -> T:
    """Do `work` in a fork that has become `user`, if this process may, and return what came of it."""
    ours, its = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        try:
            if os.geteuid() == 0 and user != 0:
                become(user)
            answer = (True, work())
        except BaseException as error:
            answer = (False, error)
        with os.fdopen(its, "wb") as stream:
            stream.write(pickle.dumps(answer))
        os._exit(0)
    os.close(its)
    with os.fdopen(ours, "rb") as stream:
        is_done, answer = pickle.loads(stream.read())
    os.waitpid(child, 0)
    if not is_done:
        raise answer
    return answer


@pytest.fixture(params=["root", "ordinary"], scope="module")
def user(request: pytest.FixtureRequest) -> int:
    """Who builds: as root, both; as an ordinary user, that user alone."""
    if os.geteuid() != 0 and request.param == "root":
        pytest.skip("only root can be root")
    return 0 if request.param == "root" else ORDINARY


@pytest.fixture(scope="module")
def ran(user: int) -> Callable[..., RunOutcome]:
    """Runs words on a tree, as `user`."""

    def run(tree: Tree, *words: bytes | str, epoch: int = EPOCH) -> RunOutcome:
        runner = Bubble(tools=HOST_TOOLS, epoch=epoch, timeout_seconds=LONG_SECONDS, where="x")
        raw = tuple(word.encode() if isinstance(word, str) else word for word in words)
        return as_user(user, lambda: runner.run(raw, {}, {path: tree[path] for path in tree}))

    return run


@pytest.fixture(scope="module")
def left(ran: Callable[..., RunOutcome]) -> Callable[..., dict[str, Entry]]:
    """Runs a shell's command on entries; returns the tree that it left."""

    def run(entries: list[Entry], command: str, **fields: int) -> dict[str, Entry]:
        outcome = ran({entry.path: entry for entry in entries}, "sh", "-ec", command, **fields)
        assert outcome.status == 0, outcome.last
        return {path.text: entry for path, entry in outcome.tree.items()}

    return run


NAMES = st.sampled_from([b"a", b"b", b"a-b", b"\xff\xfe", "ä".encode(), b"with space"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(lambda names: TreePath(b"/".join(names)))
MODES = st.integers(0, 0o7777)
OPEN_MODES = MODES.map(lambda mode: mode | 0o500)  # of a folder that a program without capabilities may look into
OWNERS = st.sampled_from([0, 0, 7, 65534, 0xFFFFFFFE])
TIMES = st.integers(0, EPOCH)
XATTRS = st.lists(
    st.sampled_from([(b"user.a", b"1"), (b"user.b", bytes(range(256))), CAPABILITY, (b"trusted.x", b"t")]),
    unique=True,
).map(lambda pairs: tuple(sorted(pairs)))  # fmt: skip


@st.composite
def trees(draw: st.DrawFn, folder_modes: st.SearchStrategy[int] = MODES) -> Tree:
    tree: dict[TreePath, Entry] = {}
    for path in sorted(draw(st.lists(PATHS, unique=True, max_size=8))):
        if any(above in tree and tree[above].kind != "dir" for above in path.parents):
            continue
        kind: Kind = draw(st.sampled_from(["file", "dir", "symlink", "hardlink", "fifo", "char", "block"]))
        fields = {"uid": draw(OWNERS), "gid": draw(OWNERS), "mtime": draw(TIMES), "mode": draw(MODES)}
        files = [other for other in tree.values() if other.kind == "file"]
        if kind == "hardlink":
            if files:
                shared = draw(st.sampled_from(files))
                tree[path] = replace(shared, path=path, kind="hardlink", content=b"", target=bytes(shared.path))
        elif kind == "symlink":
            fields["mode"] = 0o777
            tree[path] = Entry(
                path=path, kind=kind, target=draw(st.sampled_from([b"/etc/passwd", b"a", b"../x"])), **fields
            )
        elif kind in ("char", "block"):
            tree[path] = Entry(path=path, kind=kind, rdev=(1, 3), **fields)
        elif kind == "file":
            content = draw(st.binary(max_size=40))
            tree[path] = Entry(path=path, kind=kind, content=content, xattrs=draw(XATTRS), **fields)
        else:
            fields["mode"] = draw(folder_modes) if kind == "dir" else fields["mode"]
            xattrs = draw(XATTRS) if kind == "dir" else ()
            tree[path] = Entry(path=path, kind=kind, xattrs=xattrs, **fields)
    return tree


@tried(same=8, new=50)
@given(tree=trees())
def test_a_tree_that_no_program_changed_comes_back_equal(ran: Callable[..., RunOutcome], tree: Tree) -> None:
    outcome = ran(tree, "true")
    assert outcome.status == 0
    assert outcome.tree == tree


LOOK = """
import json, os, stat
seen, kinds = {}, {stat.S_IFREG: "file", stat.S_IFDIR: "dir", stat.S_IFLNK: "symlink", stat.S_IFIFO: "fifo"}
def look(folder):
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        one = os.lstat(path)
        kind = kinds[stat.S_IFMT(one.st_mode)]
        xattrs = {}
        if kind in ("file", "dir"):
            try: xattrs = {name: os.getxattr(path, name).hex() for name in os.listxattr(path)}
            except PermissionError: xattrs = None
        try: content = open(path, "rb").read().hex() if kind == "file" else ""
        except PermissionError: content = None
        target = os.fsencode(os.readlink(path)).hex() if kind == "symlink" else ""
        facts = [kind, stat.S_IMODE(one.st_mode), one.st_uid, one.st_gid, one.st_mtime_ns]
        seen[os.fsencode(path[2:]).hex()] = [*facts, content, target, xattrs, one.st_ino]
        if kind == "dir": look(path)
root = os.stat(".")
look(".")
print(json.dumps([stat.S_IMODE(root.st_mode), root.st_mtime_ns, seen]), file=open("/stage/seen", "w"))
"""


def expected(tree: Tree) -> dict[str, list[object]]:
    """Return what a program should see of each path, but for the inode numbers."""
    implied = {above for path in tree for above in path.parents if above not in tree}
    whole = dict(tree) | {path: Entry(path=path, kind="dir", mode=0o755, mtime=EPOCH) for path in implied}
    seen = {}
    for path, entry in whole.items():
        first = tree[TreePath(entry.target)] if entry.kind == "hardlink" else entry
        target = first.target.hex() if first.kind == "symlink" else ""
        xattrs = {name.decode(): value.hex() for name, value in first.xattrs if name.startswith(b"user.")}
        if first.kind not in ("char", "block"):
            content = bytes(first.content).hex()
            seen[path.hex()] = [first.kind, first.mode, 0, 0, first.mtime * 10**9, content, target, xattrs]
    return seen


def has_user_xattrs() -> bool:
    """Whether this kernel's memory has `user.` attributes: since Linux 6.6."""
    return tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 6)


@tried(same=8, new=50)
@given(tree=trees(OPEN_MODES))
def test_a_program_sees_the_tree_as_it_is(ran: Callable[..., RunOutcome], tree: Tree) -> None:
    outcome = ran(tree, "python3", "-I", "-c", LOOK)
    assert outcome.status == 0, outcome.last
    mode, mtime_ns, seen = json.loads(bytes(outcome.tree[TreePath(b"seen")].content))
    assert (mode, mtime_ns) == (0o755, EPOCH * 10**9)
    numbers = {path: facts.pop() for path, facts in seen.items()}
    wanted = expected(tree)
    for path, facts in seen.items():
        for place in (5, 7):  # what it may not read it did not see
            if facts[place] is None or (place == 7 and not has_user_xattrs()):
                facts[place] = wanted[path][place]
    assert seen == wanted
    links = {path: TreePath(entry.target) for path, entry in tree.items() if entry.kind == "hardlink"}
    assert {path.hex(): numbers[first.hex()] for path, first in links.items()} == {
        path.hex(): numbers[path.hex()] for path in links
    }
    assert {path: entry for path, entry in outcome.tree.items() if path != b"seen"} == tree


def file(path: str, content: bytes = b"x", mode: int = 0o644, **fields: Any) -> Entry:
    return Entry(path=TreePath.parse(path), kind="file", mode=mode, content=content, **fields)


def link(path: str, first: Entry) -> Entry:
    return replace(first, path=TreePath.parse(path), kind="hardlink", content=b"", target=bytes(first.path))


def folder(path: str, mode: int = 0o755, **fields: Any) -> Entry:
    return Entry(path=TreePath.parse(path), kind="dir", mode=mode, **fields)


OWNED = file("ping", b"ping", 0o4750, uid=7, gid=8, mtime=5, xattrs=(CAPABILITY, (b"user.a", b"1")))


@pytest.mark.parametrize(
    ("command", "path", "changes"),
    [
        ("mv ping pong", "pong", {}),
        ("chmod 0700 ping", "ping", {"mode": 0o700}),
        ("touch -d @3 ping", "ping", {"mtime": 3}),
        ("touch ping", "ping", {"mtime": EPOCH}),
        ("cp --preserve=all ping x; mv x ping; chmod 4750 ping", "ping", {}),
        ("cat ping >x; cat x >ping; rm x; chmod 4750 ping", "ping", {"mtime": EPOCH}),
    ],
)
def test_what_the_sandbox_cannot_hold_stays_with_the_file(left, command, path, changes):
    after = left([OWNED], command)
    assert after == {path: replace(OWNED, path=TreePath.parse(path), **changes)}


def test_a_further_hard_link_has_everything_of_the_file(left):
    after = left([OWNED], "ln ping a")
    assert after == {"ping": OWNED, "a": link("a", OWNED)}


def test_other_bytes_lose_a_files_capabilities_and_its_set_user_id_bit(left):
    after = left([OWNED], "echo more >>ping")
    assert after["ping"].xattrs == tuple(pair for pair in OWNED.xattrs if pair != CAPABILITY)
    assert (after["ping"].content, after["ping"].mode, after["ping"].mtime) == (b"pingmore\n", 0o750, EPOCH)
    assert (after["ping"].uid, after["ping"].gid) == (7, 8), "as the kernel does it"


def test_another_file_at_the_path_is_the_programs_own(left):
    after = left([OWNED], "rm ping; echo other >ping; chmod 0640 ping")
    assert after == {"ping": file("ping", b"other\n", 0o640, mtime=EPOCH)}


def test_a_capability_cannot_be_carried_to_other_bytes_by_a_move(left):
    after = left([OWNED, file("evil", b"evil", mtime=5)], "mv evil ping")
    assert after == {"ping": file("ping", b"evil", mtime=5)}
    after = left([OWNED, file("evil", b"evil", mtime=5)], "cat evil >ping; mv ping x; mv evil ping; mv x evil")
    assert CAPABILITY not in (*after["ping"].xattrs, *after["evil"].xattrs)


def test_modes_are_never_widened(left):
    entries = [file("secret", b"s", 0o600), file("su", b"s", 0o4755), folder("d", 0o1733), file("d/x", b"s", 0o000)]
    assert list(left(entries, "true").values()) == sorted(entries, key=lambda entry: entry.path)
    made = left([], "umask 077; echo s >secret; mkdir d; chmod 2710 d; echo x >x; chmod 6755 x")
    assert {path: entry.mode for path, entry in made.items()} == {"secret": 0o600, "d": 0o2710, "x": 0o6755}


def test_31_names_of_one_large_file_take_the_room_of_one(left):
    first = file("f0", bytes(200 << 20))
    after = left([first, *(link(f"f{number}", first) for number in range(1, 31))], "ln f7 g; rm f0; chmod 600 f3")
    assert [path for path, entry in after.items() if entry.kind == "file"] == ["f1"]
    assert {entry.target for entry in after.values() if entry.kind == "hardlink"} == {b"f1"}
    assert {entry.mode for entry in after.values()} == {0o600}
    assert len(after) == 31


def test_a_link_that_was_replaced_leaves_the_others_together(left):
    first = file("a", b"one")
    after = left([first, link("b", first), link("c", first)], "echo two >x; mv x a")
    assert {path: (entry.kind, bytes(entry.content), entry.target) for path, entry in after.items()} == {
        "a": ("file", b"two\n", b""), "b": ("file", b"one", b""), "c": ("hardlink", b"", b"b")
    }  # fmt: skip


def test_a_folder_that_no_entry_names_gets_none(left):
    entry = file("etc/secret/key", mtime=3)
    assert left([entry], "true") == {"etc/secret/key": entry}
    assert left([entry], "chmod 700 etc/secret").keys() == {"etc/secret", "etc/secret/key"}


@pytest.mark.parametrize("mode", [0o000, 0o100, 0o200, 0o400, 0o600])
def test_a_folder_is_read_back_whatever_its_mode(left, mode):
    entries = [folder("d", mode), folder("d/e", mode), file("d/e/x", mode=mode)]
    assert list(left(entries, "true").values()) == entries


def test_a_folder_that_was_left_empty_stays(left):
    after = left([file("etc/secret/key", mtime=3)], "rm etc/secret/key")
    assert after == {"etc/secret": folder("etc/secret", mtime=EPOCH)}


def test_a_device_stays_unless_its_folder_is_gone_or_its_place_taken(left):
    device = Entry(path=TreePath(b"dev/null"), kind="char", mode=0o666, rdev=(1, 3), uid=7)
    assert left([folder("dev"), device], "test ! -e dev/null") == {"dev": folder("dev"), "dev/null": device}
    assert left([folder("dev"), device], "rmdir dev") == {}
    assert left([folder("dev"), device], "echo >dev/null; touch -d @9 dev/null dev")["dev/null"] == file(
        "dev/null", b"\n", mtime=9
    )


@pytest.mark.parametrize("epoch", [5, 10**10], ids=["past", "future"])
def test_the_clock_of_the_machine_does_not_come_back(left, epoch):
    after = left([], "echo >new; mkdir d; ln -s x l; touch -d @2 old; touch -d @99999999999 late", epoch=epoch)
    assert {path: entry.mtime for path, entry in after.items()} == {
        "new": epoch, "d": epoch, "l": epoch, "old": 2, "late": epoch
    }  # fmt: skip


def test_attributes_that_a_program_sets_come_back(left):
    if not has_user_xattrs():
        pytest.skip("this kernel's memory has no attributes")
    after = left([file("f"), folder("d")], "python3 -c 'import os; os.setxattr(\"f\", \"user.x\", b\"1\"); "
                 "os.setxattr(\"d\", \"user.y\", b\"2\")'")  # fmt: skip
    assert (after["f"].xattrs, after["d"].xattrs) == (((b"user.x", b"1"),), ((b"user.y", b"2"),))


ARCHIVED = (
    "tar --sort=none -cf /tmp/t /stage 2>/dev/null; tar -tvf /tmp/t >seen; sha256sum /tmp/t >digest; touch -d @0 ."
)


def test_an_archive_of_the_stage_is_the_same_on_each_run_and_for_each_user() -> None:
    tree = [folder("d", 0o750), file("d/a", b"1", 0o600), file("e/b", b"2", 0o755, mtime=77), folder("f")]
    tree.append(link("d/c", tree[1]))
    runner = Bubble(tools=HOST_TOOLS, epoch=EPOCH, timeout_seconds=LONG_SECONDS, where="x")

    def archived() -> bytes:
        return bytes(
            runner.run((b"sh", b"-ec", ARCHIVED.encode()), {}, {e.path: e for e in tree})
            .tree[TreePath(b"digest")]
            .content
        )

    masks = {}
    for user, mask in ((0, 0o022), (ORDINARY, 0o077), (ORDINARY + 1, 0o000)):

        def work(mask: int = mask) -> bytes:
            os.umask(mask)
            return archived()

        masks[user] = as_user(user, work)
    assert len(set(masks.values())) == 1
    assert b"/tmp/t" in next(iter(masks.values()))


@pytest.mark.parametrize(
    "wrong",
    [
        [Entry(path=TreePath(b"a"), kind="symlink", mode=0o777, target=b"/"), file("a/x")],
        [Entry(path=TreePath(b"a"), kind="hardlink", mode=0o644, target=b"nowhere")],
        [Entry(path=TreePath(b"a"), kind="hardlink", mode=0o644, target=b"d"), folder("d")],
    ],
    ids=["below-a-link", "of-nothing", "of-a-folder"],
)
def test_a_tree_that_no_folder_can_hold_is_refused_by_name(left, wrong):
    with pytest.raises(Malformed, match=r"^/a"):
        left(wrong, "true")
