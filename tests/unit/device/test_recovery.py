"""What is found of an older cosmos, of a person's own work in between, and of a file system that cannot do all."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cosmos.device.initialise import initialise
from cosmos.device.journal import at_work, journal, standing
from cosmos.device.kernel import Kernel
from cosmos.device.live_entries import found_attributes, found_identity, identity_of
from cosmos.device.recovery import Undone, recover_journal
from cosmos.device.root import LiveRoot
from cosmos.device.system import JOURNAL_PATH, NEXT_UNIVERSE_PATH, read_universe, rendered, universe_bytes
from cosmos.device.transaction import Batch, Transaction
from cosmos.digest import Digest
from cosmos.errors import NoSolution, WorldFailed
from cosmos.model.changes import Attributes, Change, Place, Remove, Replace, SetAttributes
from cosmos.model.journal import changes_line, committed_line, head_line, prepared_line
from cosmos.model.names import Arch
from cosmos.model.universe import UNIVERSE_PATH, Universe
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

NEXT = rendered(Universe(arch=Arch("x86_64"), version="2"))
ONE, TWO, DIR = TreePath(b"one"), TreePath(b"two"), TreePath(b"dir")


@pytest.fixture
def system(tmp_path: Path) -> Path:
    with LiveRoot.open(tmp_path) as root:
        initialise(root, arch=Arch("x86_64"), version="1")
    (tmp_path / "one").write_bytes(b"old")
    return tmp_path


def file(path: TreePath, content: bytes = b"new", **other: object) -> Entry:
    owner = {"uid": os.geteuid(), "gid": os.getegid()}
    return Entry(**{"path": path, "kind": "file", "mode": 0o644, "content": content, **owner, **other})


@contextmanager
def going_on(system: Path, kernel: Kernel | None = None) -> Iterator[tuple[LiveRoot, Transaction]]:
    with (
        LiveRoot.open(system, kernel) as root,
        at_work(root),
        journal(root, tag="t", command="install") as open_journal,
    ):
        yield root, Transaction(root, open_journal)


def replacing(root: LiveRoot, entry: Entry) -> Batch:
    old = found_identity(root, entry.path)
    assert old is not None
    change = Replace(path=entry.path, old=old, new=identity_of(entry))
    return Batch(star="s", changes=[change], entries={entry.path: entry})


def removing(root: LiveRoot, path: TreePath) -> Batch:
    old = found_identity(root, path)
    assert old is not None
    return Batch(star="s", changes=[Remove(path=path, old=old)], entries={})


def replacing_one(root: LiveRoot) -> Batch:
    return replacing(root, file(ONE))


def removing_one(root: LiveRoot) -> Batch:
    return removing(root, ONE)


def setting(root: LiveRoot, path: TreePath, mode: int) -> Batch:
    old = found_attributes(root, path, "file")
    assert old is not None
    new = Attributes(mode=mode, uid=old.uid, gid=old.gid)
    return Batch(star="s", changes=[SetAttributes(path=path, kind="file", old=old, new=new)], entries={})


def settled(system: Path) -> Undone:
    with LiveRoot.open(system) as root, at_work(root):
        undone = recover_journal(root)
        assert standing(root) == "idle"
    assert undone is not None
    return undone


def left_behind(system: Path, *lines: bytes) -> None:
    place = system / str(JOURNAL_PATH)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"".join(lines))


# --- a journal of format 1, as the cosmos before this one leaves it


def older(system: Path, *, renamed: int) -> None:
    """Leave what the older cosmos leaves when it is killed after `renamed` of its two files have their names."""
    with LiveRoot.open(system) as root:
        before = Digest.of(universe_bytes(root) or b"")
    digest = Digest.of(b"new")
    rows = ",".join(
        f'{{"path":"/opt/{name}","temporary":".cosmos-0a1b2c3d4e5f-{number}","kind":"file","identity":"{digest}"}}'
        for number, name in enumerate(("a", "b"))
    )
    left_behind(
        system,
        f'{{"before":"{before}","cosmos-journal":1}}\n'.encode(),
        f'{{"entries":[{rows}],"folders":["/opt"],"star":"s"}}\n'.encode(),
    )
    (system / "opt").mkdir()
    for number, name in enumerate(("a", "b")):
        name = name if number < renamed else f".cosmos-0a1b2c3d4e5f-{number}"
        (system / "opt" / name).write_bytes(b"new")


@pytest.mark.parametrize("renamed", [0, 1, 2])
def test_an_installation_that_an_older_cosmos_left_is_undone(system: Path, renamed: int) -> None:
    older(system, renamed=renamed)
    undone = settled(system)
    assert (undone.took_place, undone.removed, undone.kept) == (False, renamed, ())
    assert not (system / "opt").exists()


def test_an_installation_that_an_older_cosmos_had_committed_stays(system: Path) -> None:
    older(system, renamed=2)
    (system / str(UNIVERSE_PATH)).write_bytes(NEXT)
    assert settled(system).took_place
    assert (system / "opt/b").read_bytes() == b"new"


# --- what somebody else did meanwhile


def test_a_file_that_was_changed_since_the_plan_is_not_replaced(system: Path) -> None:
    with pytest.raises(NoSolution, match="/one: somebody changed it"), going_on(system) as (root, transaction):
        transaction.prepare(replacing(root, file(ONE)))
        (system / "one").write_bytes(b"mine")
        transaction.publish()
    assert (system / "one").read_bytes() == b"mine"
    assert sorted(path.name for path in system.iterdir()) == ["etc", "one", "var"]


@pytest.mark.parametrize("change", [replacing_one, removing_one])
@pytest.mark.parametrize("what", ["folder", "fifo", "socket", "link"])
def test_whatever_took_the_files_place_since_the_plan_stays(
    system: Path, change: Callable[[LiveRoot], Batch], what: str
) -> None:
    with pytest.raises(NoSolution, match="/one: somebody changed it"), going_on(system) as (root, transaction):
        transaction.prepare(change(root))
        (system / "one").unlink()
        match what:
            case "folder":
                (system / "one").mkdir()
                (system / "one/mine").write_text("")
            case "fifo":
                os.mkfifo(system / "one")
            case "socket":
                os.mknod(system / "one", stat.S_IFSOCK | 0o600)
            case _:
                (system / "one").symlink_to("etc")
        before = (system / "one").lstat().st_ino
        transaction.publish()
    assert (system / "one").lstat().st_ino == before
    assert sorted(path.name for path in system.iterdir()) == ["etc", "one", "var"]


def test_a_file_that_is_gone_since_the_plan_is_not_replaced(system: Path) -> None:
    with pytest.raises(NoSolution, match="/one: somebody changed it"), going_on(system) as (root, transaction):
        transaction.prepare(replacing(root, file(ONE)))
        (system / "one").unlink()
        transaction.publish()
    assert sorted(path.name for path in system.iterdir()) == ["etc", "var"]


@pytest.mark.parametrize("content", [b"mine", None])
def test_a_file_that_was_changed_since_the_plan_is_not_removed(system: Path, content: bytes | None) -> None:
    with pytest.raises(NoSolution, match="/one: somebody changed it"), going_on(system) as (root, transaction):
        transaction.prepare(removing(root, ONE))
        (system / "one").unlink()
        if content is not None:
            (system / "one").write_bytes(content)
        transaction.publish()
    assert [path.read_bytes() for path in system.glob("one")] == ([] if content is None else [content])


def test_attributes_that_were_changed_since_the_plan_are_left(system: Path) -> None:
    with pytest.raises(NoSolution, match="/one: somebody changed it"), going_on(system) as (root, transaction):
        transaction.prepare(setting(root, ONE, 0o755))
        (system / "one").chmod(0o600)
        transaction.publish()
    assert stat.S_IMODE((system / "one").stat().st_mode) == 0o600


@pytest.mark.parametrize("how", ["replace", "remove", "attributes"])
def test_what_a_person_put_there_after_the_change_stays_and_is_named(system: Path, how: str) -> None:
    batches: dict[str, Callable[[LiveRoot], Batch]] = {
        "replace": lambda root: replacing(root, file(ONE)),
        "remove": lambda root: removing(root, ONE),
        "attributes": lambda root: setting(root, ONE, 0o755),
    }
    with LiveRoot.open(system) as root, at_work(root):
        batch = batches[how](root)
        with pytest.raises(OSError, match="cut"), journal(root, tag="t", command="install") as open_journal:
            transaction = Transaction(root, open_journal)
            transaction.prepare(batch)
            transaction.publish()
            data = (system / str(JOURNAL_PATH)).read_bytes()
            (system / str(JOURNAL_PATH)).unlink()  # so that nothing is undone yet
            raise OSError("cut")
    (system / "one").unlink(missing_ok=True)
    (system / "one").write_bytes(b"a person's")
    (system / "one").chmod(0o640)
    left_behind(system, data)
    undone = settled(system)
    assert (undone.took_place, undone.kept) == (False, (ONE,))
    assert (system / "one").read_bytes() == b"a person's"
    assert stat.S_IMODE((system / "one").stat().st_mode) == 0o640
    assert list(system.glob(".cosmos-*")) == []


def test_a_folder_that_somebody_filled_stays_and_is_named(system: Path) -> None:
    (system / "dir").mkdir()
    with LiveRoot.open(system) as root:
        changes = removing(root, DIR).changes
    (system / "dir/mine").write_text("")
    left_behind(system, head_line("t", "install"), changes_line("s", changes), prepared_line(), committed_line(None))
    undone = settled(system)
    assert (undone.took_place, undone.kept) == (True, (DIR,))
    assert (system / "dir/mine").exists()


# --- the commit


def test_a_commit_takes_universe_toml_along(system: Path) -> None:
    (system / str(NEXT_UNIVERSE_PATH)).parent.mkdir()
    (system / str(NEXT_UNIVERSE_PATH)).write_bytes(NEXT)
    left_behind(system, head_line("t", "install"), prepared_line(), committed_line(Digest.of(NEXT)))
    assert settled(system).took_place
    with LiveRoot.open(system) as root:
        assert read_universe(root).version == "2"
    assert not (system / str(NEXT_UNIVERSE_PATH)).parent.exists()


@pytest.mark.parametrize("held", [None, b"something else"])
def test_a_commit_whose_universe_was_lost_is_an_error_and_its_journal_stays(system: Path, held: bytes | None) -> None:
    left_behind(system, head_line("t", "install"), prepared_line(), committed_line(Digest.of(NEXT)))
    if held is not None:
        (system / str(NEXT_UNIVERSE_PATH)).write_bytes(held)
    with (
        LiveRoot.open(system) as root,
        at_work(root),
        pytest.raises(WorldFailed, match=r"journal/universe.toml: the journal names"),
    ):
        recover_journal(root)
    assert (system / str(JOURNAL_PATH)).exists()


def test_changes_that_leave_the_universe_alone_are_committed_too(system: Path) -> None:
    before = (system / str(UNIVERSE_PATH)).read_bytes()
    with going_on(system) as (root, transaction):
        transaction.prepare(replacing(root, file(ONE)))
        transaction.publish()
        transaction.commit(None)
    assert (system / "one").read_bytes() == b"new"
    assert (system / str(UNIVERSE_PATH)).read_bytes() == before


def test_one_path_is_changed_once(system: Path) -> None:
    with pytest.raises(ValueError, match="changes each path once"), going_on(system) as (root, transaction):
        transaction.prepare(removing(root, ONE))
        transaction.prepare(setting(root, ONE, 0o600))
    assert (system / "one").read_bytes() == b"old"


# --- what not every file system, and not every user, can do


class NoExchange(Kernel):
    """A kernel on a file system that knows no RENAME_EXCHANGE."""

    def exchange(self, folder: int, one: bytes, other: bytes) -> None:
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL), other)


def test_a_file_system_that_cannot_exchange_is_named_and_nothing_stays(system: Path) -> None:
    with (
        pytest.raises(WorldFailed, match="/one: its file system cannot exchange two files"),
        going_on(system, NoExchange()) as (root, transaction),
    ):
        transaction.prepare(Batch.placing("t", [], [file(TWO)]))
        transaction.prepare(replacing(root, file(ONE)))
        transaction.publish()
    assert sorted(path.name for path in system.iterdir()) == ["etc", "one", "var"]
    assert (system / "one").read_bytes() == b"old"


def test_an_ordinary_user_changes_a_system_of_their_own(
    open_folder: Path, as_nobody: Callable[[Callable[[], str]], str]
) -> None:
    os.chown(open_folder, 65534, 65534)

    def work() -> str:
        with LiveRoot.open(open_folder) as root:
            initialise(root, arch=Arch("x86_64"), version="1")
        for name in ("one", "gone", "mode"):
            (open_folder / name).write_bytes(b"old")
        (open_folder / "one").chmod(0o000)
        (open_folder / "one").chmod(0o644)
        answers = []
        for fails in (True, False):
            try:
                with going_on(open_folder) as (root, transaction):
                    transaction.prepare(replacing(root, file(ONE, mode=0o4755, uid=7, gid=8)))
                    transaction.prepare(removing(root, TreePath(b"gone")))
                    transaction.prepare(setting(root, TreePath(b"mode"), 0o700))
                    transaction.publish()
                    answers.append(str(transaction.unowned))
                    if fails:
                        raise OSError("cut")
                    transaction.commit(NEXT)
            except OSError:
                pass
            held = {path.name: path.read_bytes() for path in open_folder.iterdir() if path.is_file()}
            answers.append(f"{sorted(held)} {held['one']!r} {(open_folder / 'mode').stat().st_mode & 0o777:o}")
        return "; ".join(answers)

    assert as_nobody(work) == "1; ['gone', 'mode', 'one'] b'old' 644; 1; ['mode', 'one'] b'new' 700"


def test_one_batch_may_hold_every_kind_of_change(system: Path) -> None:
    (system / "gone").write_bytes(b"x")
    with going_on(system) as (root, transaction):
        new = file(TWO)
        changes: list[Change] = [
            Place(path=TWO, new=identity_of(new)),
            *setting(root, ONE, 0o711).changes,
            *removing(root, TreePath(b"gone")).changes,
        ]
        transaction.prepare(Batch(star="s", changes=changes, entries={TWO: new}))
        transaction.publish()
        transaction.commit(NEXT)
    assert not (system / "gone").exists()
    assert (system / "two").read_bytes() == b"new"
    assert stat.S_IMODE((system / "one").stat().st_mode) == 0o711


def test_a_removal_that_was_cut_off_between_its_two_names_is_undone(system: Path) -> None:
    """Where a file system has no RENAME_NOREPLACE, a rename is a link and then a removal."""
    with LiveRoot.open(system) as root:
        changes = removing(root, ONE).changes
    left_behind(system, head_line("t", "install"), changes_line("s", changes), prepared_line())
    (system / ".cosmos-t-0").hardlink_to(system / "one")
    undone = settled(system)
    assert undone.kept == ()
    assert (system / "one").read_bytes() == b"old"
    assert list(system.glob(".cosmos-*")) == []


def test_a_system_without_proc_is_changed_and_recovered(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry is named by its descriptor itself; a kernel before Linux 6.6 needs /proc to set a mode."""

    def missing(held: int) -> str:
        raise OSError(errno.EOPNOTSUPP, "this needs /proc, which is not mounted")

    (system / "mode").write_bytes(b"old")
    with (system / "mode").open("rb") as stream:
        try:
            Kernel().chmod_held(stream.fileno(), 0o600)
        finally:
            monkeypatch.setattr("cosmos.device.live_entries.named_by", missing)
    if tuple(map(int, os.uname().release.split(".")[:2])) >= (6, 6):
        monkeypatch.setattr("cosmos.device.kernel.named_by", missing)
    os.setxattr(system / "mode", b"user.note", b"1")
    for fails in (True, False):
        with suppress(ZeroDivisionError), going_on(system) as (root, transaction):
            transaction.prepare(replacing(root, file(ONE)))
            transaction.prepare(setting(root, TreePath(b"mode"), 0o700))
            transaction.publish()
            if fails:
                raise ZeroDivisionError
            transaction.commit(NEXT)
        held = (system / "one").read_bytes(), (system / "mode").stat().st_mode & 0o777
        assert held == ((b"old", 0o600) if fails else (b"new", 0o700))


def test_a_document_that_a_power_cut_left_without_its_journal_is_removed(system: Path) -> None:
    beside = system / str(NEXT_UNIVERSE_PATH)
    beside.parent.mkdir(exist_ok=True)
    beside.write_bytes(NEXT)
    with LiveRoot.open(system) as root, at_work(root):
        assert recover_journal(root) is None
    assert not beside.parent.exists()
