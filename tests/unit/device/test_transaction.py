"""Changing entries under a journal: all kinds, all attributes, and everything undone when it does not succeed."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from cosmos.device.initialise import initialise
from cosmos.device.journal import at_work, journal, standing
from cosmos.device.kernel import Kernel
from cosmos.device.recovery import recover_journal
from cosmos.device.root import LiveRoot
from cosmos.device.system import JOURNAL_PATH, rendered, universe_bytes
from cosmos.device.transaction import Batch, Transaction
from cosmos.digest import Digest
from cosmos.errors import Malformed, NoSolution, WorldFailed
from cosmos.model.names import Arch
from cosmos.model.universe import Universe
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

IS_ROOT = os.geteuid() == 0
TIME = 1_700_000_000


def file(path: str, content: bytes = b"bytes", **other: object) -> Entry:
    return Entry(
        **{"path": TreePath.parse(path), "kind": "file", "mode": 0o644, "mtime": TIME, "content": content, **other}
    )


def folder(path: str, mode: int = 0o755) -> Entry:
    return Entry(path=TreePath.parse(path), kind="dir", mode=mode, mtime=TIME)


EVERY_KIND = Batch.placing(
    "every",
    folders=[folder("opt"), folder("opt/every", 0o1777)],
    entries=[
        file("opt/every/a", b"a" * 3_000_000, mode=0o4755, uid=7, gid=8),
        Entry(path=TreePath(b"opt/every/b"), kind="hardlink", mode=0o4755, target=b"opt/every/a", mtime=TIME),
        file("opt/every/caf\udce9", b""),
        file("opt/every/d", xattrs=((b"user.note", b"\x00\x01"),)),
        Entry(path=TreePath(b"opt/every/fifo"), kind="fifo", mode=0o666, mtime=TIME),
        Entry(path=TreePath(b"opt/every/link"), kind="symlink", mode=0o777, target=b"/nowhere/\xff", mtime=TIME),
    ],
)


@pytest.fixture
def system(tmp_path: Path) -> Path:
    with LiveRoot.open(tmp_path) as root, at_work(root):
        initialise(root, arch=Arch("x86_64"), version="1")
    return tmp_path


def snapshot(root: Path) -> dict[str, tuple[int, bytes | str]]:
    """Everything below `root`: mode, and a file's bytes or a link's target."""
    found: dict[str, tuple[int, bytes | str]] = {}
    for path in sorted(root.rglob("*")):
        mode = path.lstat().st_mode
        held: bytes | str = b""
        if stat.S_ISLNK(mode):
            held = str(path.readlink())
        elif stat.S_ISREG(mode):
            held = path.read_bytes()
        found[str(path.relative_to(root))] = (mode, held)
    return found


NEXT = rendered(Universe(arch=Arch("x86_64"), version="2"))


def test_every_kind_is_laid_with_mode_time_owner_and_attributes(system: Path) -> None:
    with LiveRoot.open(system) as root, at_work(root), journal(root, tag="t", command="install") as going_on:
        transaction = Transaction(root, going_on)
        transaction.prepare(EVERY_KIND)
        assert not (system / "opt/every/a").exists(), "nothing may be seen before everything is written"
        transaction.publish()
        transaction.commit(NEXT)
    home = system / "opt/every"
    assert sorted(os.fsencode(path.name) for path in home.iterdir()) == [b"a", b"b", b"caf\xe9", b"d", b"fifo", b"link"]
    assert (home / "a").read_bytes() == b"a" * 3_000_000
    assert stat.S_IMODE((home / "a").stat().st_mode) == 0o4755
    assert (home / "a").stat().st_ino == (home / "b").stat().st_ino
    assert os.fsencode((home / "link").readlink()) == b"/nowhere/\xff"
    assert stat.S_ISFIFO((home / "fifo").stat().st_mode)
    assert stat.S_IMODE((home / "fifo").stat().st_mode) == 0o666, "whatever the umask is"
    assert stat.S_IMODE(home.stat().st_mode) == 0o1777
    assert os.getxattr(home / "d", "user.note") == b"\x00\x01"
    assert {int(path.lstat().st_mtime) for path in (home, *home.iterdir())} == {TIME}
    if IS_ROOT:
        assert ((home / "a").stat().st_uid, (home / "a").stat().st_gid) == (7, 8)
    with LiveRoot.open(system) as root:
        assert standing(root) == "idle"


@pytest.mark.skipif(not IS_ROOT, reason="only root can make device nodes")
def test_device_nodes_keep_their_numbers(system: Path) -> None:
    node = Entry(path=TreePath(b"null"), kind="char", mode=0o666, rdev=(1, 3), mtime=TIME)
    with LiveRoot.open(system) as root, at_work(root), journal(root, tag="t", command="install") as going_on:
        transaction = Transaction(root, going_on)
        transaction.prepare(Batch.placing("dev", folders=[], entries=[node]))
        transaction.publish()
        transaction.commit(NEXT)
    found = (system / "null").stat()
    assert stat.S_ISCHR(found.st_mode)
    assert stat.S_IMODE(found.st_mode) == 0o666
    assert (os.major(found.st_rdev), os.minor(found.st_rdev)) == (1, 3)


@pytest.mark.parametrize("how_far", ["recorded", "prepared", "published"])
def test_an_installation_that_fails_leaves_what_was_there(system: Path, how_far: str) -> None:
    before = snapshot(system)
    with (
        LiveRoot.open(system) as root,
        at_work(root),
        pytest.raises(ZeroDivisionError),
        journal(root, tag="t", command="install") as going_on,
    ):
        transaction = Transaction(root, going_on)
        if how_far != "recorded":
            transaction.prepare(EVERY_KIND)
        if how_far == "published":
            transaction.publish()
        raise ZeroDivisionError
    assert snapshot(system) == before


def test_an_installation_that_was_committed_is_not_undone(system: Path) -> None:
    with (
        LiveRoot.open(system) as root,
        at_work(root),
        pytest.raises(ZeroDivisionError),
        journal(root, tag="t", command="install") as going_on,
    ):
        transaction = Transaction(root, going_on)
        transaction.prepare(EVERY_KIND)
        transaction.publish()
        transaction.commit(NEXT)
        raise ZeroDivisionError
    assert (system / "opt/every/a").exists()
    assert not (system / str(JOURNAL_PATH)).exists()


class CaselessKernel(Kernel):
    """Stands in for a file system that knows no case: a name is taken where one is that differs by case alone."""

    def rename_new(self, folder: int, old: bytes, new: bytes) -> None:
        if new.lower() in {os.fsencode(name).lower() for name in os.listdir(folder)}:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), new)
        super().rename_new(folder, old, new)


def test_names_that_the_file_system_takes_for_one_are_refused_and_nothing_stays(system: Path) -> None:
    before = snapshot(system)
    with (
        LiveRoot.open(system, CaselessKernel()) as root,
        at_work(root),
        pytest.raises(NoSolution, match="/readme: this file system does not distinguish it from /README"),
        journal(root, tag="t", command="install") as going_on,
    ):
        transaction = Transaction(root, going_on)
        transaction.prepare(Batch.placing("s", folders=[], entries=[file("README", b"1"), file("readme", b"2")]))
        transaction.publish()
    assert snapshot(system) == before


def test_a_name_that_was_taken_meanwhile_is_not_written_over_and_not_removed(system: Path) -> None:
    with (
        LiveRoot.open(system) as root,
        at_work(root),
        pytest.raises(NoSolution, match="somebody made it"),
        journal(root, tag="t", command="install") as going_on,
    ):
        transaction = Transaction(root, going_on)
        transaction.prepare(Batch.placing("s", folders=[], entries=[file("one"), file("two")]))
        (system / "two").write_text("mine")
        transaction.publish()
    assert (system / "two").read_text() == "mine"
    assert not (system / "one").exists()


def test_a_planted_temporary_is_not_written_through(system: Path) -> None:
    victim = system / "victim"
    victim.write_text("precious")
    (system / ".cosmos-t-0").symlink_to(victim)
    with (
        LiveRoot.open(system) as root,
        at_work(root),
        pytest.raises(WorldFailed),
        journal(root, tag="t", command="install") as going_on,
    ):
        Transaction(root, going_on).prepare(Batch.placing("s", folders=[], entries=[file("one")]))
    assert victim.read_text() == "precious"


def cut_off(system: Path, lines: bytes) -> None:
    path = system / str(JOURNAL_PATH)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(lines)


def line_of(entry: Entry) -> bytes:
    digest = Digest.of(entry.content)
    return (
        b'{"star":"s","folders":[],"entries":[{"path":"/%s","temporary":".cosmos-t-0","kind":"file","identity":"%s"}]}\n'
        % (entry.path, digest.encode())
    )


def begun(system: Path) -> bytes:
    with LiveRoot.open(system) as root:
        return b'{"cosmos-journal":1,"before":"%s"}\n' % Digest.of(universe_bytes(root) or b"").encode()


def test_after_a_cut_only_what_we_put_there_is_removed(system: Path) -> None:
    (system / "one").write_bytes(b"bytes")
    (system / "two").write_bytes(b"a person made this")
    cut_off(system, begun(system) + line_of(file("one")) + line_of(file("two")))
    with LiveRoot.open(system) as root, at_work(root):
        assert standing(root) == "running"
        undone = recover_journal(root)
    assert undone is not None
    assert (undone.took_place, undone.removed, undone.kept) == (False, 1, (TreePath(b"two"),))
    assert not (system / "one").exists()
    assert (system / "two").exists()


def test_a_line_that_was_cut_off_does_not_count(system: Path) -> None:
    (system / "one").write_bytes(b"bytes")
    cut_off(system, begun(system) + line_of(file("one"))[:-2])
    with LiveRoot.open(system) as root, at_work(root):
        assert recover_journal(root) is not None
    assert (system / "one").exists()


@pytest.mark.parametrize(
    "line",
    [
        b"nonsense\n",
        b'{"cosmos-journal":2,"before":""}\n',
        b'{"cosmos-journal":1,"before":"sha256:0"}\n',
        b"[]\n",
    ],
)
def test_a_damaged_journal_is_named_and_nothing_is_removed(system: Path, line: bytes) -> None:
    cut_off(system, line)
    with LiveRoot.open(system) as root, at_work(root), pytest.raises(Malformed, match="journal/install"):
        recover_journal(root)
    assert (system / str(JOURNAL_PATH)).exists()


def test_a_journal_cannot_name_a_path_outside_or_another_files_name(system: Path) -> None:
    row = b'{"star":"s","folders":[],"entries":[{"path":"%s","temporary":"%s","kind":"file","identity":"sha256:%s"}]}\n'
    for path, temporary in ((b"/../x", b".cosmos-t-0"), (b"/x", b"passwd"), (b"/x", b".cosmos-/../y")):
        cut_off(system, begun(system) + row % (path, temporary, b"0" * 64))
        with LiveRoot.open(system) as root, at_work(root), pytest.raises(Malformed):
            recover_journal(root)


def test_two_may_not_work_on_one_system(system: Path) -> None:
    with (
        LiveRoot.open(system) as root,
        LiveRoot.open(system) as other,
        at_work(root),
        pytest.raises(WorldFailed, match="another cosmos"),
        at_work(other),
    ):
        pass
