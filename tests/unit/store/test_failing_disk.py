"""A disk that fails while a store is written or read is told with the file, and with what to do."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.errors import WorldFailed
from cosmos.folders import Folder
from cosmos.store.blobs import StoreFolder
from cosmos.store.upkeep import check, collect, items

DATA = b"data"
BLOB = Digest.of(DATA)
BLOB_FILE = f"blobs/{BLOB.hex[:2]}/{BLOB.hex}"
RESULT_FILE = f"results/{BLOB.hex[:2]}/{BLOB.hex}"


def failing(*_: object, **__: object) -> None:
    raise OSError(errno.EIO, os.strerror(errno.EIO))


def failing_for_files(number: int) -> None:
    if not stat.S_ISDIR(os.fstat(number).st_mode):
        failing()


def soon(store: StoreFolder) -> None:
    store.put_hashed_soon(BLOB, DATA)
    store.settle()


def batched(store: StoreFolder) -> None:
    store.put_result_soon(BLOB, DATA)
    store.settle()


@pytest.mark.parametrize(
    ("keep", "file"),
    [
        (lambda store: store.put(DATA), BLOB_FILE),
        (lambda store: store.put_result(BLOB, DATA), RESULT_FILE),
        (soon, BLOB_FILE),
        (batched, "batches/000000000001"),
    ],
)
@pytest.mark.parametrize(("call", "fails"), [("fsync", failing_for_files), ("fchmod", failing), ("replace", failing)])
def test_a_file_that_cannot_be_written_is_named(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keep: Callable[[StoreFolder], object],
    file: str,
    call: str,
    fails: Callable[..., None],
) -> None:
    """It was told with the folder of the store alone."""
    monkeypatch.setattr(os, call, fails)
    with pytest.raises(WorldFailed) as told:
        keep(StoreFolder(tmp_path))
    assert str(told.value) == f"{tmp_path / file}: input/output error"
    assert "dmesg" in str(told.value.hint)
    monkeypatch.undo()
    keep(StoreFolder(tmp_path))
    assert (tmp_path / file).is_file()
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.parametrize("at", ["its end", "a record"])
@pytest.mark.parametrize("ask", [lambda store: store.get_result(BLOB), lambda store: batched(store)])
def test_a_batch_that_cannot_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ask: Callable[[StoreFolder], object], at: str
) -> None:
    """It is read by whoever asks for a record in it, and by whoever takes it into the next batch."""
    store = StoreFolder(tmp_path)
    store.put_result_soon(BLOB, b"older")
    store.settle()
    pread, first_record = os.pread, len(b"cosmos-batch 1\n")

    def failing_there(number: int, size: int, place: int) -> bytes:
        if at == "its end" or place == first_record:
            failing()
        return pread(number, size, place)

    monkeypatch.setattr(os, "pread", failing_there)
    with pytest.raises(WorldFailed) as told:
        ask(StoreFolder(tmp_path))
    assert str(told.value) == f"{tmp_path}/batches/000000000001: cannot be read: input/output error"
    assert str(check(StoreFolder(tmp_path)).stuck) == str(told.value)


def test_a_file_that_cannot_be_removed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = StoreFolder(tmp_path)
    store.put(DATA)
    monkeypatch.setattr(os, "unlink", failing)
    for remove in (lambda: collect(store, 0), lambda: store.remove_blobs([BLOB])):
        with pytest.raises(WorldFailed, match=f"{tmp_path / BLOB_FILE}: input/output error"):
            remove()


def test_what_this_user_may_not_read_is_not_said_to_be_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of another user was; and that a file which is only read cannot be written was said of it."""
    store = StoreFolder(tmp_path)
    store.put_result_soon(BLOB, b"older")
    store.settle()
    opened = Folder.open

    def denied(self: Folder, name: str) -> int | None:
        if name == "000000000001":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(self, name)

    monkeypatch.setattr(Folder, "open", denied)
    for ask in (check, lambda store: store.get_result(BLOB), batched):
        with pytest.raises(WorldFailed) as told:
            ask(StoreFolder(tmp_path))
        assert str(told.value) == f"{tmp_path}/batches/000000000001: cannot be read: permission denied"
        assert told.value.hint


def test_a_folder_of_the_store_that_cannot_be_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store was, although it could be read."""
    StoreFolder(tmp_path).put(DATA)
    names = Folder.names

    def denied(self: Folder) -> list[str]:
        if self.below == str(Path(BLOB_FILE).parent):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return names(self)

    monkeypatch.setattr(Folder, "names", denied)
    for command in (items, check, lambda store: collect(store, 0)):
        with pytest.raises(WorldFailed) as told:
            command(StoreFolder(tmp_path))
        assert str(told.value) == f"{(tmp_path / BLOB_FILE).parent}: cannot be read: permission denied"
