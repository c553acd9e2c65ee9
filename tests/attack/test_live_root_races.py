"""Races against a writer on a live root: a folder exchanged for a link that leads outside, at each of its steps."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.device.initialise import initialise
from cosmos.device.journal import at_work, journal
from cosmos.device.kernel import Kernel
from cosmos.device.live_entries import found_identity, identity_of
from cosmos.device.recovery import recover_journal
from cosmos.device.root import LiveRoot
from cosmos.device.system import read_universe
from cosmos.device.transaction import Batch, Transaction
from cosmos.errors import CosmosError, WorldFailed
from cosmos.keyring.anchors import keep_version
from cosmos.model.changes import Attributes, Change, Remove, Replace, SetAttributes
from cosmos.model.names import Arch
from cosmos.store.blobs import StoreFolder
from cosmos.transport.partial import partial_download
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

MOST_STEPS = 200
LONG_AGO = 1_000_000_000
TWINS = (b"replaced", b"removed", b"secret")


class ExchangingKernel(Kernel):
    """A kernel on whose `at`-th call somebody exchanges `folder` for a link to `outside`."""

    def __init__(self, folder: Path, outside: Path, at: int) -> None:
        super().__init__()
        self._folder = folder
        self._outside = outside
        self._left = at

    @property
    def has_exchanged(self) -> bool:
        return self._left < 0

    def open_inside(self, folder: int, path: bytes, flags: int, *, resolve: int, mode: int = 0) -> int:
        self._maybe_exchange()
        return super().open_inside(folder, path, flags, resolve=resolve, mode=mode)

    def rename_new(self, folder: int, old: bytes, new: bytes) -> None:
        self._maybe_exchange()
        super().rename_new(folder, old, new)

    def exchange(self, folder: int, one: bytes, other: bytes) -> None:
        self._maybe_exchange()
        super().exchange(folder, one, other)

    def _maybe_exchange(self) -> None:
        if self._left == 0:
            self._folder.rename(self._folder.with_name("aside"))
            self._folder.symlink_to(self._outside)
        self._left -= 1


def a_system(tmp_path: Path) -> tuple[Path, Path]:
    inside, outside = tmp_path / "root", tmp_path / "outside"
    (inside / "usr/lib").mkdir(parents=True)
    (outside / "lib").mkdir(parents=True)
    (outside / "lib/secret").write_text("host")
    (inside / "usr/lib/secret").write_text("system")
    os.utime(outside / "lib", (LONG_AGO, LONG_AGO))
    with LiveRoot.open(inside) as root:
        initialise(root, arch=Arch("x86_64"), version="1")
    return inside, outside


def install(root: LiveRoot) -> None:
    entries = [
        Entry(path=TreePath(b"usr/lib/a"), kind="file", mode=0o644, content=b"x"),
        Entry(path=TreePath(b"usr/lib/b"), kind="hardlink", mode=0o644, target=b"usr/lib/a"),
        Entry(path=TreePath(b"usr/lib/c"), kind="symlink", mode=0o777, target=b"a"),
        Entry(path=TreePath(b"usr/lib/d/e"), kind="file", mode=0o644, content=b"x"),
    ]
    folder = Entry(path=TreePath(b"usr/lib/d"), kind="dir", mode=0o755)
    with at_work(root):
        recover_journal(root)
        with journal(root, tag="t", command="install") as going_on:
            transaction = Transaction(root, going_on)
            transaction.prepare(Batch.placing("s", [folder], entries))
            transaction.publish()


def exchanged_at_each_step(where: Path, work: Callable[[LiveRoot], None], twins: tuple[bytes, ...] = ()) -> list[bool]:
    """Exchange the folder at the first step of `work`, then at the second, and so on; return which were refused.

    `twins` are files that the system and the folder outside have alike, so that only their place tells them apart.
    """
    refusals: list[bool] = []
    for step in range(MOST_STEPS):
        inside, outside = a_system(where / str(step))
        for folder in (inside / "usr/lib", outside / "lib"):
            for name in twins:
                (folder / os.fsdecode(name)).write_text("system")
        os.utime(outside / "lib", (LONG_AGO, LONG_AGO))
        held = all_of(outside)
        kernel = ExchangingKernel(inside / "usr", outside, step)
        was_refused = False
        try:
            with LiveRoot.open(inside, kernel) as root:
                work(root)
        except CosmosError:
            was_refused = True
        assert all_of(outside) == held, f"something was changed outside at step {step}"
        assert (outside / "lib").stat().st_mtime == LONG_AGO, f"something was changed outside and undone at step {step}"
        if not kernel.has_exchanged:
            return refusals
        refusals.append(was_refused)
    pytest.fail("the work takes more steps than were tried")


def all_of(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return the mode and the bytes of all that is below `folder`."""
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in folder.rglob("*")
    }


@pytest.mark.objective("SO-18")
def test_a_folder_exchanged_at_any_step_never_leads_a_writer_outside(tmp_path: Path) -> None:
    assert sum(exchanged_at_each_step(tmp_path, install)) > 20, "the attack came too late to matter"


def change(root: LiveRoot) -> None:
    """Replace, remove and change what has its twin outside."""
    new = Entry(path=TreePath(b"usr/lib/replaced"), kind="file", mode=0o644, content=b"new")
    with at_work(root):
        recover_journal(root)
        held = {name: found_identity(root, TreePath(b"usr/lib").joined(name)) for name in TWINS}
        replaced, removed, secret = (held[name] for name in TWINS)
        if replaced is None or removed is None or secret is None or secret.attributes is None:
            raise WorldFailed("usr/lib", "cannot be read")
        changes: list[Change] = [
            Replace(path=new.path, old=replaced, new=identity_of(new)),
            Remove(path=TreePath(b"usr/lib/removed"), old=removed),
            SetAttributes(
                path=TreePath(b"usr/lib/secret"),
                kind="file",
                old=secret.attributes,
                new=Attributes(mode=0o4777, uid=secret.attributes.uid, gid=secret.attributes.gid),
            ),
        ]
        with journal(root, tag="t", command="install") as going_on:
            transaction = Transaction(root, going_on)
            transaction.prepare(Batch(star="s", changes=changes, entries={new.path: new}))
            transaction.publish()
            transaction.commit(None)


@pytest.mark.objective("SO-18")
def test_a_folder_exchanged_at_any_step_never_leads_a_change_outside(tmp_path: Path) -> None:
    assert sum(exchanged_at_each_step(tmp_path, change, twins=TWINS)) > 20, "the attack came too late to matter"


@pytest.mark.objective("SO-18")
def test_a_folder_exchanged_at_any_step_never_shows_the_host(tmp_path: Path) -> None:
    for step in range(MOST_STEPS):
        inside, outside = a_system(tmp_path / str(step))
        kernel = ExchangingKernel(inside / "usr", outside, step)
        with LiveRoot.open(inside, kernel) as root:
            assert root.document(TreePath(b"usr/lib/secret"), max_bytes=99) in (b"system", None)
            found = root.stat(TreePath(b"usr/lib/secret"))
            assert found is None or found.st_size == len("system")
        if not kernel.has_exchanged:
            return


@pytest.mark.objective("SO-18")
def test_state_below_a_planted_link_stays_inside(tmp_path: Path) -> None:
    inside, outside = tmp_path / "root", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (inside / "var").symlink_to(outside)
    (inside / "etc").symlink_to("../outside")
    with LiveRoot.open(inside) as root:
        initialise(root, arch=Arch("x86_64"), version="1")
        assert read_universe(root).version == "1"
    assert list(outside.iterdir()) == []


def keep(root: LiveRoot) -> None:
    """Use everything that works on a `Folder` of the root: the store, a download, the trust anchors."""
    store = StoreFolder(root.below(TreePath(b"usr/lib/store")))
    digest = store.put(b"blob")
    store.put_result_soon(digest, b"result")
    store.settle()
    store.sweep()
    with partial_download(store.partial_dir, "http://host/star", 9) as partial:
        partial.restart("v")
        partial.append(b"bytes")
    anchor = root.below(TreePath(b"usr/lib")).file("trust.toml")
    keep_version(anchor, 1, b"version", b"envelope")
    anchor.write(b"trust")
    assert StoreFolder(root.below(TreePath(b"usr/lib/store"))).get(digest, 4) == b"blob"
    assert anchor.read(99) in (b"trust", None)
    anchor.remove()


@pytest.mark.objective("SO-18")
def test_a_folder_exchanged_at_any_step_never_leads_the_store_or_the_anchors_outside(tmp_path: Path) -> None:
    refusals = exchanged_at_each_step(tmp_path, keep)
    assert len(refusals) > 20, "the attack came too late to matter"
    assert not all(refusals), "work goes on inside, too"
