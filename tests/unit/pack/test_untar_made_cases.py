"""The dialects of tar that foreign archives have, written here header by header.

They are read here without foreign test data, as test_untar.py reads the foreign ones. What is refused of those,
tests/attack/test_archives.py makes.
"""

from __future__ import annotations

import io
import tarfile

import pytest

from cosmos.pack.untar import read_tar

END = bytes(1024)
USTAR, GNU = b"ustar\x0000", b"ustar  \0"
DEEP = b"/".join([b"a" * 15] * 12)
NEVER_ENDING = b"this_is_a_folder_with_a_name_that_just_keeps_going_on_and_on_" * 2 + b"end"
WHEN = 1591049509


def member(name: bytes, content: bytes = b"", *, kind: bytes = b"0", magic: bytes = USTAR, **fields: bytes) -> bytes:
    """Return one member as a careful writer writes it, but for the `fields` (whole, as they stand in the header)."""
    numbers = {
        "mode": b"0000644\0",
        "uid": b"0001750\0",
        "gid": b"0001751\0",
        "size": b"%011o\0" % len(content),
        "mtime": b"%011o\0" % WHEN,
    }
    row = name.ljust(100, b"\0") + b"".join(fields.get(field, number) for field, number in numbers.items())
    row += b" " * 8 + kind + fields.get("link", b"").ljust(100, b"\0") + magic
    row += fields.get("owner", b"").ljust(64, b"\0") + fields.get("devices", bytes(16)) + bytes(167)
    assert len(row) == 512
    checksum = fields.get("checksum", b"%06o\0 ") % sum(row)
    return row[:148] + checksum + row[156:] + content + bytes(-len(content) % 512)


def pax(*records: bytes) -> bytes:
    """Return an extended header of these records, each with its length already."""
    assert [int(record.split(b" ")[0]) for record in records] == [len(record) for record in records]
    return member(b"./PaxHeaders.31978/x", b"".join(records), kind=b"x")


def long_name(name: bytes) -> bytes:
    """Return the header by which GNU tar and 7-Zip say a name of more than 100 bytes."""
    return member(b"././@LongLink", name + b"\0", kind=b"L", mode=b"0100777\0")


READ: dict[str, tuple[bytes, list[tuple[str, int, int, int, bytes, bytes, bytes]]]] = {
    "7-Zip: long names in a POSIX archive, file types in the modes": (
        long_name(NEVER_ENDING + b"/")
        + member(NEVER_ENDING[:100], kind=b"5", mode=b"0040777\0")
        + long_name(NEVER_ENDING + b"/test.txt")
        + member(NEVER_ENDING[:100], b"7z", mode=b"0100777\0")
        + END,
        [
            ("dir", 0o777, 1000, WHEN, b"", NEVER_ENDING, b""),
            ("file", 0o777, 1000, WHEN, b"7z", NEVER_ENDING + b"/test.txt", b""),
        ],
    ),
    "GNU tar: its own magic, a block of 20 records": (
        b"".join(member(name, magic=GNU, owner=b"alex", devices=bytes(16)) for name in (b"a", b"b")) + bytes(20 * 512),
        [("file", 0o644, 1000, WHEN, b"", name, b"") for name in (b"a", b"b")],
    ),
    "BSD tar: spaces after numbers, and no NUL after two of them": (
        member(
            b"a", mode=b"000644 \0", uid=b"001750 \0", gid=b"000024 \0", mtime=b"%011o " % WHEN, size=b"00000000000 "
        )
        + END,
        [("file", 0o644, 1000, WHEN, b"", b"a", b"")],
    ),
    "pax: a size that says the same again, times in fractions": (
        pax(b"30 mtime=1591049509.784738529\n", b"30 atime=1591049509.784738529\n", b"9 size=4\n")
        + member(b"test", b"four")
        + END,
        [("file", 0o644, 1000, WHEN, b"four", b"test", b"")],
    ),
    "pax: a user of more than seven digits": (
        pax(b"18 uid=4294967294\n", b"18 gid=4294967294\n") + member(b"./test.txt", b"x", uid=bytes(8)) + END,
        [("file", 0o644, 4294967294, WHEN, b"x", b"test.txt", b"")],
    ),
    "pax: deep paths of a file, of a symlink's target and of a hard link's": (
        pax(b"201 path=" + DEEP[:191] + b"\n")
        + member(b"cut", b"deep")
        + pax(b"205 linkpath=" + DEEP[:191] + b"\n")
        + member(b"soft", kind=b"2", mode=b"0000777\0", link=b"cut")
        + pax(b"205 linkpath=" + DEEP[:191] + b"\n")
        + member(b"hard", kind=b"1", link=b"cut")
        + END,
        [
            ("file", 0o644, 1000, WHEN, b"deep", DEEP[:191], b""),
            ("symlink", 0o777, 1000, WHEN, b"", b"soft", DEEP[:191]),
            ("hardlink", 0o644, 1000, WHEN, b"", b"hard", DEEP[:191]),
        ],
    ),
    "a link before the file that it leads to": (
        member(b"lnk", kind=b"2", mode=b"0000777\0", link=b"file") + member(b"file", b"content") + END,
        [
            ("symlink", 0o777, 1000, WHEN, b"", b"lnk", b"file"),
            ("file", 0o644, 1000, WHEN, b"content", b"file", b""),
        ],
    ),
}


@pytest.mark.parametrize("dialect", READ)
def test_an_archive_in_another_writers_dialect_is_read(dialect: str) -> None:
    data, wanted = READ[dialect]
    entries = read_tar(data, "a")
    found = [(e.kind, e.mode, e.uid, e.mtime, bytes(e.content), bytes(e.path), bytes(e.target)) for e in entries]
    assert found == wanted


@pytest.mark.parametrize("dialect", READ)
def test_an_archive_in_another_writers_dialect_has_what_python_finds(dialect: str) -> None:
    data, wanted = READ[dialect]
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        found = [(each.name.removeprefix("./").encode(), each.uid, int(each.mtime)) for each in archive]
    assert found == [(path, uid, when) for _, _, uid, when, _, path, _ in wanted]


def test_an_attribute_beside_times_is_kept() -> None:
    data = pax(b"30 mtime=1465740889.394991526\n", b"35 SCHILY.xattr.user.pax.flags=epm\n") + member(b"a/b") + END
    assert read_tar(data, "a")[-1].xattrs == ((b"user.pax.flags", b"epm"),)
