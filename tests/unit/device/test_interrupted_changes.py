"""The four changes of the journal, cut off at every step: each path holds the old or the new, and all agree which."""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.device.initialise import initialise
from cosmos.device.journal import at_work, journal, standing
from cosmos.device.live_entries import found_identity, identity_of
from cosmos.device.recovery import Undone, recover_journal
from cosmos.device.root import LiveRoot
from cosmos.device.system import read_universe, rendered
from cosmos.device.transaction import Batch, Transaction
from cosmos.digest import Digest
from cosmos.model.changes import Change, Place, Remove, Replace, SetAttributes
from cosmos.model.names import Arch
from cosmos.model.universe import Universe
from cosmos.tree.entry import Entry, Kind
from cosmos.treepath import TreePath
from fakes.examples import tried
from fakes.power_cuts import CutKernel, disk_in_memory, killed, power_until, steps_of

IS_ROOT = os.geteuid() == 0
ME = (os.geteuid(), os.getegid())
OTHER = (7, 8) if IS_ROOT else ME
NEXT = rendered(Universe(arch=Arch("x86_64"), version="2"))


@pytest.fixture(autouse=True, scope="module")
def disk() -> Iterator[None]:
    with disk_in_memory():
        yield


@dataclass(frozen=True, kw_only=True)
class Node:
    """One path of the naive model: everything that a change may change."""

    kind: Kind = "file"
    content: bytes = b""
    mode: int = 0o644
    owner: tuple[int, int] = ME
    note: bytes | None = None

    def entry(self, path: bytes, link: bytes = b"") -> Entry:
        """Return the node as an entry, or as a hard link to the file at `link`."""
        return Entry(
            path=TreePath(path),
            kind="hardlink" if link else self.kind,
            mode=self.mode,
            uid=self.owner[0],
            gid=self.owner[1],
            content=self.content if self.kind == "file" and not link else b"",
            target=link or (self.content if self.kind == "symlink" else b""),
            xattrs=() if self.note is None or link else ((b"user.note", self.note),),
        )


Tree = Mapping[bytes, Node]


def tree_of(root: Path) -> dict[bytes, Node]:
    """Return everything below `root` but cosmos's own state."""
    found: dict[bytes, Node] = {}
    for path in root.rglob("*"):
        name = os.fsencode(path.relative_to(root))
        if name.split(b"/")[0] in (b"var", b"etc"):
            continue
        held = path.lstat()
        kinds: dict[int, Kind] = {
            stat.S_IFREG: "file",
            stat.S_IFDIR: "dir",
            stat.S_IFLNK: "symlink",
            stat.S_IFIFO: "fifo",
        }
        kind = kinds[stat.S_IFMT(held.st_mode)]
        content, note = b"", None
        if kind == "file":
            content = path.read_bytes()
        if kind == "symlink":
            content = os.fsencode(path.readlink())
        if kind in ("file", "dir") and "user.note" in os.listxattr(path):
            note = os.getxattr(path, "user.note")
        mode = 0o777 if kind == "symlink" else stat.S_IMODE(held.st_mode)
        found[name] = Node(kind=kind, content=content, mode=mode, owner=(held.st_uid, held.st_gid), note=note)
    return found


def make(root: Path, tree: Tree) -> None:
    """Make a system with this tree."""
    with LiveRoot.open(root) as live:
        initialise(live, arch=Arch("x86_64"), version="1")
    for name, node in sorted(tree.items()):
        path = root / os.fsdecode(name)
        match node.kind:
            case "dir":
                path.mkdir()
            case "file":
                path.write_bytes(node.content)
            case "symlink":
                path.symlink_to(os.fsdecode(node.content))
            case _:
                os.mkfifo(path)
        if IS_ROOT:
            os.lchown(path, *node.owner)
        if node.kind != "symlink":
            path.chmod(node.mode)
        if node.note is not None:
            os.setxattr(path, "user.note", node.note)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """From `old` to `new`: the paths in the order of their changes, in batches; `links` are hard links to others.

    Of what only the attributes differ, that in `rewritten` is replaced all the same.
    """

    old: Tree
    new: Tree
    order: Sequence[Sequence[bytes]]
    links: Mapping[bytes, bytes]
    rewritten: frozenset[bytes] = frozenset()

    def batches(self, root: LiveRoot) -> Iterator[Batch]:
        """Yield the changes of one batch after the other."""
        for number, paths in enumerate(self.order):
            entries = {
                TreePath(path): self.new[path].entry(path, self.links.get(path, b""))
                for path in paths
                if path in self.new
            }
            changes = [change for path in paths for change in self._changes(root, path, entries)]
            yield Batch(star=f"s{number}", changes=changes, entries=entries)

    def _changes(self, root: LiveRoot, name: bytes, entries: Mapping[TreePath, Entry]) -> Iterator[Change]:
        path, old, new = TreePath(name), self.old.get(name), self.new.get(name)
        there = found_identity(root, path) if old is not None else None
        coming = None
        if new is not None:
            shared = Digest.of(new.content) if name in self.links else None
            coming = identity_of(entries[path], shared)
        if there is None:
            if coming is not None:
                yield Place(path=path, new=coming)
        elif coming is None:
            yield Remove(path=path, old=there)
        elif old is not None and new is not None:
            is_same_content = (old.kind, old.content) == (new.kind, new.content)
            if is_same_content and name not in self.rewritten:
                if old != new:
                    assert there.attributes is not None
                    assert coming.attributes is not None
                    yield SetAttributes(path=path, kind=new.kind, old=there.attributes, new=coming.attributes)
            else:
                yield Replace(path=path, old=there, new=coming)


def carry_out(root: Path, plan: Plan) -> None:
    """Carry `plan` out in one transaction, as a command does."""
    with LiveRoot.open(root, CutKernel()) as live, at_work(live):
        recover_journal(live)
        with journal(live, tag="t", command="install") as going_on:
            transaction = Transaction(live, going_on)
            for batch in plan.batches(live):
                transaction.prepare(batch)
            transaction.publish()
            transaction.commit(NEXT)


def recover(root: Path) -> Undone | None:
    """Settle what was cut off, as the next command does."""
    with LiveRoot.open(root, CutKernel()) as live, at_work(live):
        return recover_journal(live)


def demand_old_or_new(root: Path, plan: Plan, when: str) -> bool:
    """Assert that all of `root` is old, or all of it new; return whether it is new."""
    with LiveRoot.open(root) as live:
        assert standing(live) == "idle"
        is_new = read_universe(live).version == "2"
    assert tree_of(root) == (plan.new if is_new else plan.old), when
    left = [name for _, folders, files in os.walk(root) for name in (*folders, *files) if name.startswith(".cosmos-")]
    assert left == [], when
    assert list((root / "var/lib/cosmos/journal").glob("*")) == [], when
    return is_new


EVERY_CHANGE = Plan(
    old={
        b"d": Node(kind="dir", mode=0o755),
        b"d/file": Node(content=b"old" * 1000),
        b"d/to-link": Node(content=b"old"),
        b"d/link": Node(kind="symlink", content=b"file", mode=0o777),
        b"d/same": Node(content=b"same", mode=0o644),
        b"d/gone": Node(content=b"gone", note=b"kept"),
        b"d/stays": Node(content=b"stays"),
        b"gone": Node(kind="dir", mode=0o700),
        b"gone/in": Node(kind="dir", mode=0o711),
        b"gone/in/pipe": Node(kind="fifo", mode=0o600),
        b"gone/link": Node(kind="symlink", content=b"in", mode=0o777),
        b"attributes": Node(content=b"a", mode=0o4755, note=b"old"),
        b"owner": Node(kind="symlink", content=b"a", mode=0o777),
    },
    new={
        b"d": Node(kind="dir", mode=0o1770, owner=OTHER, note=b"n"),
        b"d/file": Node(content=b"new" * 2000, mode=0o4755, owner=OTHER, note=b"n"),
        b"d/to-link": Node(kind="symlink", content=b"file", mode=0o777),
        b"d/link": Node(content=b"new" * 2000, mode=0o4755, owner=OTHER, note=b"n"),  # a hard link to d/file
        b"d/same": Node(content=b"same", mode=0o600),  # rewritten with the same bytes
        b"d/stays": Node(content=b"stays"),
        b"attributes": Node(content=b"a", mode=0o2711, owner=OTHER),
        b"owner": Node(kind="symlink", content=b"a", mode=0o777, owner=OTHER),
        b"new": Node(kind="dir", mode=0o750),
        b"new/in": Node(kind="dir", mode=0o755),
        b"new/in/file": Node(content=b"fresh", mode=0o600),
        b"new/pipe": Node(kind="fifo", mode=0o622),
    },
    order=[
        [b"new", b"new/in", b"new/in/file", b"d/file", b"d/link", b"d/same", b"attributes"],
        [b"gone", b"d/to-link", b"gone/in", b"gone/in/pipe", b"gone/link", b"owner", b"d", b"d/gone", b"new/pipe"],
    ],
    links={b"d/link": b"d/file"},
    rewritten=frozenset({b"d/same"}),
)


@pytest.fixture
def systems(tmp_path: Path) -> Callable[[], Path]:
    """Makes one system after another, each with the old tree."""
    made = 0

    def system() -> Path:
        nonlocal made
        made += 1
        root = tmp_path / str(made)
        root.mkdir()
        make(root, EVERY_CHANGE.old)
        return root

    return system


def test_every_change_takes_place(systems: Callable[[], Path]) -> None:
    root = systems()
    carry_out(root, EVERY_CHANGE)
    assert demand_old_or_new(root, EVERY_CHANGE, "not cut off")
    assert (root / "d/file").stat().st_ino == (root / "d/link").stat().st_ino


STEPS = [  # of a command, at which it is killed: every thirteenth; each in `make test-slow`
    pytest.param(13, id="some"),
    pytest.param(1, id="all", marks=pytest.mark.exhaustive),
]


@pytest.mark.slow
@pytest.mark.parametrize("every", STEPS)
def test_killed_at_any_step_every_path_holds_the_old_or_every_path_the_new(
    systems: Callable[[], Path], every: int
) -> None:
    whole = systems()
    steps = steps_of(lambda: carry_out(whole, EVERY_CHANGE))
    ended = []
    for step in range(0, steps, every):
        root = systems()
        killed(partial(carry_out, root, EVERY_CHANGE), step)
        undone = recover(root)
        is_new = demand_old_or_new(root, EVERY_CHANGE, f"killed at step {step}")
        assert undone is None or undone.took_place == is_new
        assert undone is None or undone.kept == ()
        ended.append(is_new)
        shutil.rmtree(root)
    assert ended == sorted(ended), "there is one moment of commit"
    assert ended.count(False) > 100 // every
    assert ended.count(True) > 20 // every


def test_an_undone_exchange_is_on_the_disk_before_its_temporary_is_removed(
    systems: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second power cut may keep the removal alone; then the temporary still held the old entry, which is lost."""
    calls: list[str] = []
    exchange, remove, fsync = CutKernel.exchange, LiveRoot.remove, os.fsync
    whole = systems()
    steps = steps_of(lambda: carry_out(whole, EVERY_CHANGE))
    monkeypatch.setattr(CutKernel, "exchange", lambda *words: (calls.append("exchange"), exchange(*words))[1])
    monkeypatch.setattr(LiveRoot, "remove", lambda *words: (calls.append("remove"), remove(*words))[1])
    monkeypatch.setattr(os, "fsync", lambda *words: (calls.append("fsync"), fsync(*words))[1])
    undone = 0
    for step in range(0, steps, 11):
        root = systems()
        killed(partial(carry_out, root, EVERY_CHANGE), step)
        calls.clear()
        recover(root)
        undone += calls.count("exchange")
        after = [calls[place + 1] for place, call in enumerate(calls) if call == "exchange"]
        assert set(after) <= {"fsync"}, f"killed at step {step}: {calls}"
        shutil.rmtree(root)
    assert undone > 5


@pytest.mark.slow
@pytest.mark.parametrize("every", STEPS)
@pytest.mark.parametrize("ends", ["old", "new"])
def test_killed_while_recovering_the_next_recovery_ends_it(systems: Callable[[], Path], ends: str, every: int) -> None:
    at = next(step for step in _cuts(systems) if step.ends == ends).step

    def cut_off() -> Path:
        root = systems()
        with power_until(at):
            carry_out(root, EVERY_CHANGE)
        return root

    first = cut_off()
    steps = steps_of(lambda: recover(first))
    assert steps > 20
    for step in range(0, steps, every):
        root = cut_off()
        killed(partial(recover, root), step)
        recover(root)
        assert demand_old_or_new(root, EVERY_CHANGE, f"killed at step {step}") == (ends == "new")
        shutil.rmtree(root)


@dataclass(frozen=True)
class _Cut:
    step: int
    ends: str


def _cuts(systems: Callable[[], Path]) -> Iterator[_Cut]:
    """Yield the last cut that is undone, and the first that is finished."""
    whole = systems()
    low, high = 0, steps_of(lambda: carry_out(whole, EVERY_CHANGE)) - 1
    while high - low > 1:
        middle = (low + high) // 2
        root = systems()
        with power_until(middle):
            carry_out(root, EVERY_CHANGE)
        recover(root)
        low, high = (low, middle) if demand_old_or_new(root, EVERY_CHANGE, f"cut at {middle}") else (middle, high)
    yield _Cut(low, "old")
    yield _Cut(high, "new")


# --- random trees

FOLDERS = (b"d", b"d/s", b"e")
PATHS = (b"a", b"b", b"d", b"d/s", b"d/s/y", b"d/s/z", b"d/x", b"e", b"e/x", b"e/y")
MODES = st.sampled_from([0o600, 0o644, 0o755, 0o4755, 0o2711])
NOTES = st.sampled_from([None, b"1", b"2"])
OWNERS = st.sampled_from([ME, OTHER])


@st.composite
def nodes(draw: st.DrawFn, path: bytes) -> Node:
    if path in FOLDERS:
        return Node(
            kind="dir", mode=draw(st.sampled_from([0o700, 0o755, 0o1777])), owner=draw(OWNERS), note=draw(NOTES)
        )
    kind = draw(st.sampled_from(["file", "file", "symlink", "fifo"]))
    content = draw(st.sampled_from([b"1", b"2", b"3" * 5000]))
    if kind == "symlink":
        return Node(kind="symlink", content=content[:1], mode=0o777, owner=draw(OWNERS))
    if kind == "fifo":
        return Node(kind="fifo", mode=draw(MODES), owner=draw(OWNERS))
    return Node(content=content, mode=draw(MODES), owner=draw(OWNERS), note=draw(NOTES))


@st.composite
def trees(draw: st.DrawFn) -> dict[bytes, Node]:
    found: dict[bytes, Node] = {}
    for path in PATHS:
        folder = path.rpartition(b"/")[0]
        if (not folder or folder in found) and draw(st.booleans()):
            found[path] = draw(nodes(path))
    return found


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    old, new = draw(trees()), draw(trees())
    for path in old.keys() & new.keys():
        if new[path].kind != "dir" and draw(st.booleans()):
            same = old[path]  # of the same content, so that attributes alone differ
            note = draw(NOTES) if same.kind == "file" else None
            new[path] = replace(same, owner=draw(OWNERS), note=note)
            if same.kind != "symlink":
                new[path] = replace(new[path], mode=draw(MODES))
    rewritten = {path for path in sorted(old.keys() & new.keys()) if new[path].kind != "dir" and draw(st.booleans())}
    written = [
        path
        for path in sorted(new)
        if new[path].kind == "file"
        and (path not in old or path in rewritten or (old[path].kind, old[path].content) != ("file", new[path].content))
    ]
    links: dict[bytes, bytes] = {}
    for target, path in pairwise(written):
        if target not in links and draw(st.booleans()):
            links[path] = target
            new[path] = new[target]
            rewritten.add(path)
    folders = [path for path in PATHS if path in FOLDERS and path in new and path not in old]
    others = [path for path in PATHS if (path in new or path in old) and path not in folders and path not in links]
    shuffled = draw(st.permutations(others))
    cut = draw(st.integers(0, len(shuffled)))
    order = [[*folders, *shuffled[:cut]], [*shuffled[cut:], *sorted(links)]]
    return Plan(old=old, new=new, order=order, links=links, rewritten=frozenset(rewritten))


@contextmanager
def a_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="cosmos-test-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


ANYWHERE = st.integers(0, (1 << 32) - 1)  # modulo a few hundred: each as likely as the others


@pytest.mark.slow
@tried(same=30, new=100)
@given(plan=plans(), cuts=st.lists(st.tuples(ANYWHERE, ANYWHERE), min_size=4, max_size=4))
def test_any_changes_cut_at_any_step_end_as_the_model_says(plan: Plan, cuts: list[tuple[int, int]]) -> None:
    with a_folder() as root:
        make(root, plan.old)
        steps = steps_of(partial(carry_out, root, plan))
        assert demand_old_or_new(root, plan, "not cut off")
    for number, (first, second) in enumerate(cuts):
        with a_folder() as root:
            make(root, plan.old)
            with power_until(first % steps):
                carry_out(root, plan)
            if number % 2:
                with power_until(second % 100):
                    recover(root)
            undone = recover(root)
            demand_old_or_new(root, plan, f"cut at step {first % steps}, then at {second % 100}")
            assert undone is None or undone.kept == ()
