"""The initramfs's archive: as the kernel reads it, byte for byte where that matters."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from dataclasses import replace as altered

import pytest

from cosmos.errors import Malformed
from cosmos.pack.cpio import cpio_pieces, xattr_losses
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

TREE = [
    Entry(path=TreePath(b"dev"), kind="dir", mode=0o755, mtime=7),
    Entry(path=TreePath(b"dev/console"), kind="char", mode=0o600, rdev=(5, 1), mtime=7),
    Entry(path=TreePath(b"dev/sda"), kind="block", mode=0o660, rdev=(8, 0), gid=6, mtime=7),
    Entry(path=TreePath(b"bin"), kind="dir", mode=0o755, mtime=7),
    Entry(path=TreePath(b"bin/busybox"), kind="file", mode=0o4755, mtime=7, content=b"ELF!!"),
    Entry(path=TreePath(b"bin/ash"), kind="hardlink", mode=0o4755, target=b"bin/busybox"),
    Entry(path=TreePath(b"bin/zcat"), kind="hardlink", mode=0o4755, target=b"bin/busybox"),
    Entry(path=TreePath(b"bin/sh"), kind="symlink", mode=0o777, target=b"busybox"),
    Entry(path=TreePath(b"latin-\xe9"), kind="file", mode=0o644, content=b"", uid=4294967294),
    Entry(path=TreePath(b"pipe"), kind="fifo", mode=0o600),
]


@dataclass(frozen=True)
class Record:
    """One entry, parsed by hand as the kernel does (init/initramfs.c)."""

    name: bytes
    numbers: tuple[int, ...]  # inode mode uid gid links time size …
    content: bytes

    @property
    def inode(self) -> int:
        return self.numbers[0]


def records(data: bytes) -> list[Record]:
    found: list[Record] = []
    place = 0
    while True:
        assert place % 4 == 0
        assert data[place : place + 6] == b"070701"
        numbers = tuple(int(data[place + 6 + 8 * n : place + 14 + 8 * n], 16) for n in range(13))
        start = place + 110
        name = data[start : start + numbers[11]]
        assert name.endswith(b"\0")
        content_start = (start + numbers[11] + 3) & ~3
        content = data[content_start : content_start + numbers[6]]
        place = (content_start + numbers[6] + 3) & ~3
        if name == b"TRAILER!!!\0":
            assert data[place:].strip(b"\0") == b""
            return found
        found.append(Record(name=name[:-1], numbers=numbers, content=content))


def packed(entries: list[Entry]) -> bytes:
    return b"".join(cpio_pieces(entries))


def test_every_entry_is_there_in_its_order() -> None:
    assert [record.name for record in records(packed(TREE))] == [entry.path for entry in TREE]


def test_types_modes_owners_and_times_are_the_entries() -> None:
    by_name = {record.name: record.numbers for record in records(packed(TREE))}
    assert by_name[b"dev"][1:6] == (0o040755, 0, 0, 2, 7)
    assert by_name[b"bin/busybox"][1:6] == (0o104755, 0, 0, 3, 7)
    assert by_name[b"bin/ash"][1:6] == (0o104755, 0, 0, 3, 7)
    assert by_name[b"bin/sh"][1:7] == (0o120777, 0, 0, 1, 0, 7)
    assert by_name[b"dev/console"][9:11] == (5, 1)
    assert by_name[b"dev/console"][1] == 0o020600
    assert by_name[b"dev/sda"][1:4] == (0o060660, 0, 6)
    assert by_name[b"pipe"][1] == 0o010600
    assert by_name[b"latin-\xe9"][2] == 4294967294


def test_hard_links_share_an_inode_and_the_last_has_the_content() -> None:
    linked = [record for record in records(packed(TREE)) if record.numbers[4] == 3]
    assert [(record.name, record.content) for record in linked] == [
        (b"bin/busybox", b""),
        (b"bin/ash", b""),
        (b"bin/zcat", b"ELF!!"),
    ]
    assert len({record.inode for record in linked}) == 1


def test_inodes_are_counted_and_nothing_else_shares_one() -> None:
    found = [record.inode for record in records(packed(TREE))]
    assert found == [1, 2, 3, 4, 5, 5, 5, 6, 7, 8]


def test_the_archive_fills_whole_blocks_and_is_the_same_each_time() -> None:
    assert len(packed(TREE)) % 512 == 0
    assert packed(TREE) == packed(list(TREE))


def test_bsdtar_lists_it() -> None:
    listed = subprocess.run(["bsdtar", "-tf", "-"], input=packed(TREE), capture_output=True, check=True).stdout
    names = [entry.path if entry.path.isascii() else b"latin-\\351" for entry in TREE]
    assert listed.splitlines() == names


def test_entries_that_lose_attributes_are_named() -> None:
    ping = Entry(path=TreePath(b"bin/ping"), kind="file", mode=0o755, xattrs=((b"security.capability", bytes(20)),))
    assert xattr_losses([*TREE, ping]) == [ping]


class Huge(bytes):
    """Claims to be 4 GiB long."""

    def __len__(self) -> int:
        return 1 << 32


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (Entry(path=TreePath(b"a"), kind="file", mode=0o644, content=Huge()), "has 4294967296 bytes"),
        (Entry(path=TreePath(b"a"), kind="file", mode=0o644, mtime=-1), "cannot keep"),
        (Entry(path=TreePath(b"a"), kind="file", mode=0o644, mtime=1 << 32), "cannot keep"),
        (Entry(path=TreePath(b"a"), kind="file", mode=0o644, uid=1 << 32), "cannot keep"),
        (Entry(path=TreePath(b"TRAILER!!!"), kind="file", mode=0o644), "cannot keep"),
        (Entry(path=TreePath(b"a"), kind="hardlink", mode=0o644, target=b"b"), "hard link to /b"),
        (Entry(path=TreePath(b"a"), kind="hardlink", mode=0o644, target=b"dev"), "hard link to /dev"),
    ],
)
def test_what_cpio_cannot_hold_is_refused_by_name(entry: Entry, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        packed([TREE[0], entry])


def test_a_path_below_the_trailers_name_is_no_trailer() -> None:
    below = altered(TREE[4], path=TreePath(b"dev/TRAILER!!!"))
    assert [record.name for record in records(packed([TREE[0], below]))] == [b"dev", b"dev/TRAILER!!!"]
