"""A journal waits for what is not mounted; a read-only `/usr` does not keep it; `status` promises what is so."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cosmos.device.initialise import initialise
from cosmos.device.journal import at_work, journal, standing
from cosmos.device.kernel import RESOLVE_NO_XDEV, Kernel
from cosmos.device.live_entries import identity_of
from cosmos.device.recovery import recover_journal
from cosmos.device.root import LiveRoot
from cosmos.device.system import JOURNAL_PATH
from cosmos.device.transaction import Batch, Transaction
from cosmos.digest import Digest
from cosmos.errors import CosmosError, WorldFailed
from cosmos.model.changes import Place
from cosmos.model.journal import changes_line, committed_line, head_line, prepared_line
from cosmos.model.names import Arch
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath
from fakes.programs import Cosmos

USR = TreePath(b"usr")
TOOL = Entry(path=TreePath(b"usr/tool"), kind="file", mode=0o755, content=b"tool", uid=os.geteuid(), gid=os.getegid())


class Mounting(Kernel):
    """A kernel that has something mounted at `/usr`."""

    def open_inside(self, folder: int, path: bytes, flags: int, *, resolve: int, mode: int = 0) -> int:
        if resolve & RESOLVE_NO_XDEV and path == b"usr":
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return super().open_inside(folder, path, flags, resolve=resolve, mode=mode)


class PowerCut(BaseException):
    """The power is cut: nothing is cleared up."""


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "usr").mkdir(parents=True)
    with LiveRoot.open(root) as live, at_work(live):
        initialise(live, arch=Arch("x86_64"), version="1")
    return root


@contextmanager
def cut_off(root: Path, kernel: Kernel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Transaction]:
    """Begin a transaction, and leave its journal as a power cut does."""
    with monkeypatch.context() as patch, LiveRoot.open(root, kernel) as live, at_work(live):
        patch.setattr("cosmos.device.journal.recover_journal", lambda root: None)
        with journal(live, tag="t", command="install") as going_on:
            yield Transaction(live, going_on)


def recovered(root: Path, kernel: Kernel) -> None:
    with LiveRoot.open(root, kernel) as live, at_work(live):
        recover_journal(live)


@pytest.mark.parametrize("how_far", ["prepared", "published", "committed"])
def test_a_journal_waits_for_what_is_not_mounted(bare: Path, monkeypatch: pytest.MonkeyPatch, how_far: str) -> None:
    with cut_off(bare, Mounting(), monkeypatch) as transaction:
        transaction.prepare(Batch.placing("s", [], [TOOL]))
        if how_far != "prepared":
            transaction.publish()
        if how_far == "committed":
            transaction.commit(None)
    (bare / "usr").rename(bare / "disk")  # the disk is not mounted now: an empty folder is in its place
    (bare / "usr").mkdir()
    with pytest.raises(WorldFailed, match="/usr: was mounted when cosmos install began") as caught:
        recovered(bare, Kernel())
    assert caught.value.hint == f"mount it, then: cosmos install --root {bare}"
    assert (bare / JOURNAL_PATH.text).exists()
    (bare / "usr").rmdir()
    (bare / "disk").rename(bare / "usr")
    recovered(bare, Mounting())
    assert not (bare / JOURNAL_PATH.text).exists()
    assert [path.name for path in (bare / "usr").iterdir()] == (["tool"] if how_far == "committed" else [])


def test_a_journal_without_mounts_waits_for_a_folder_that_is_missing(bare: Path) -> None:
    """An older cosmos wrote no mounts."""
    change = Place(path=TreePath(b"usr/lib/tool"), new=identity_of(TOOL))
    lines = head_line("t", "install") + changes_line("s", [change]) + prepared_line()
    (bare / JOURNAL_PATH.text).parent.mkdir()
    (bare / JOURNAL_PATH.text).write_bytes(lines.replace(b'nal":4', b'nal":2').replace(b'"mounts":[],', b""))
    with pytest.raises(WorldFailed, match="/usr/lib: is not there") as caught:
        recovered(bare, Kernel())
    assert "make the folder again" in str(caught.value.hint)
    assert (bare / JOURNAL_PATH.text).exists()
    (bare / "usr/lib").mkdir()
    (bare / "usr/lib/tool").write_bytes(b"tool")
    recovered(bare, Kernel())
    assert list((bare / "usr/lib").iterdir()) == []


def test_a_folder_that_the_transaction_made_itself_need_not_be_there(bare: Path) -> None:
    nothing = Digest.of(b"")
    folder = Place(path=TreePath(b"usr/new"), new=identity_of(Entry(path=TreePath(b"usr/new"), kind="dir", mode=0o755)))
    assert folder.new.digest == nothing
    file = Place(path=TreePath(b"usr/new/tool"), new=identity_of(TOOL))
    (bare / JOURNAL_PATH.text).parent.mkdir()
    (bare / JOURNAL_PATH.text).write_bytes(head_line("t", "install") + changes_line("s", [folder, file]))
    recovered(bare, Kernel())
    assert not (bare / JOURNAL_PATH.text).exists()


def test_a_read_only_usr_does_not_leave_an_installation_cut_off(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Linux answers EROFS also for the removal of what is missing."""
    usr = (bare / "usr").stat().st_ino
    for name in ("unlink", "rmdir", "open", "mkdir"):
        monkeypatch.setattr(os, name, _read_only(getattr(os, name), usr, writes=name != "open"))
    with LiveRoot.open(bare) as live, at_work(live):
        with (
            pytest.raises(WorldFailed, match="/usr/tool: read-only file system"),
            journal(live, tag="t", command="install") as going_on,
        ):
            Transaction(live, going_on).prepare(Batch.placing("s", [], [TOOL]))
        assert standing(live) == "idle"
    assert not (bare / JOURNAL_PATH.text).exists()


def _read_only(real: Callable[..., int], folder: int, *, writes: bool) -> Callable[..., int]:
    def call(name: object, *more: int, **folders: int) -> int:
        descriptor = folders.get("dir_fd")
        changes = writes or any(flags & os.O_CREAT for flags in more[:1])
        if changes and descriptor is not None and os.fstat(descriptor).st_ino == folder:
            raise OSError(errno.EROFS, os.strerror(errno.EROFS))
        return real(name, *more, **folders)

    return call


def test_no_line_of_a_journal_is_long(bare: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entries = [
        Entry(path=TreePath(b"usr/%d" % number), kind="fifo", mode=0o644, uid=os.geteuid(), gid=os.getegid())
        for number in range(2_500)
    ]
    with cut_off(bare, Kernel(), monkeypatch) as transaction:
        transaction.prepare(Batch.placing("s", [], entries))
    lines = (bare / JOURNAL_PATH.text).read_bytes().splitlines()
    assert [line.count(b'"change":') for line in lines] == [0, 1_000, 1_000, 500]
    recovered(bare, Kernel())
    assert list((bare / "usr").iterdir()) == []


BEGUN = head_line("t", "autoremove") + changes_line("s", [Place(path=TOOL.path, new=identity_of(TOOL))])
JOURNALS = {
    "interrupted": BEGUN + prepared_line(),
    "committed": BEGUN + prepared_line() + committed_line(None),
    "unreadable": b'{"cosmos-journal":99,"tag":"t"}\n{"new":true}\n',
}


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        ("interrupted", "puts back what was there before"),
        ("committed", "the next cosmos install finishes it"),
        ("unreadable", "of another cosmos: finish it with that one"),
    ],
)
def test_status_promises_only_what_the_next_install_does(bare: Path, cosmos: Cosmos, found: str, sentence: str) -> None:
    (bare / JOURNAL_PATH.text).parent.mkdir()
    (bare / JOURNAL_PATH.text).write_bytes(JOURNALS[found])
    lines = cosmos("status", "--root", bare).ok().out.splitlines()
    who = "a change" if found == "unreadable" else "cosmos autoremove"
    assert [line for line in lines if sentence in line and line.startswith(f"change        {who} was cut off")] != []
    row = cosmos("status", "--json", "--root", bare).json()
    assert (row["installation"], row["changing-command"]) == (found, None if found == "unreadable" else "autoremove")
    assert f"{who} was cut off" in cosmos("history", "--root", bare).ok().out
    verified = cosmos("verify", "--root", bare).fails(7).err
    assert f"{who} was cut off" in verified
    assert ("puts back" in verified, "finishes it" in verified) == (found == "interrupted", found == "committed")
    done = cosmos("install", "--root", bare)
    assert done.code == (2 if found == "unreadable" else 0)
    assert ("put back" in done.out, "finished" in done.out) == (found == "interrupted", found == "committed")
    assert f"{who} was cut off" in done.out or found == "unreadable"


@pytest.mark.parametrize("found", ["interrupted", "committed", "unreadable"])
def test_a_long_journal_is_judged_by_its_ends(bare: Path, monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    (bare / JOURNAL_PATH.text).parent.mkdir()
    middle = changes_line("s", [Place(path=TOOL.path, new=identity_of(TOOL))]) * 5_000
    data = JOURNALS[found]
    head = data.index(b"\n") + 1
    (bare / JOURNAL_PATH.text).write_bytes(data[:head] + middle + data[head:] + b'{"cut":')
    monkeypatch.setattr("cosmos.device.recovery.read_journal", None)
    with LiveRoot.open(bare) as live:
        assert standing(live) == found


def test_a_user_who_may_not_open_the_lock_is_told_that_the_owner_can_tell(
    open_folder: Path, as_nobody: Callable[[Callable[[], str]], str]
) -> None:
    with LiveRoot.open(open_folder) as live, at_work(live):
        initialise(live, arch=Arch("x86_64"), version="1")
    (open_folder / JOURNAL_PATH.text).parent.mkdir()
    (open_folder / JOURNAL_PATH.text).write_bytes(BEGUN)

    def work() -> str:
        with LiveRoot.open(open_folder) as live:
            try:
                return standing(live)
            except CosmosError as error:
                return str(error)

    assert as_nobody(work) == "unclear"
