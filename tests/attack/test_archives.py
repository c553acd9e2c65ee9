"""Archives that a hostile author could sign: each is refused before anything of it is used, and named."""

from __future__ import annotations

import gzip
import io
import os
import struct
import tempfile
from collections.abc import Callable
from typing import TypeAlias

import pytest
import zstandard

from cosmos import limits
from cosmos.content import FileRange, HeldFile
from cosmos.errors import CosmosError, Refused
from cosmos.model.names import StarName
from cosmos.model.star import Star
from cosmos.model.version import Version
from cosmos.pack import untar, zst
from cosmos.pack.star_archive import read_star, write_star
from cosmos.pack.untar import read_tar
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

END = bytes(1024)
SOURCE = "evil-1.0.0.tar.zst"


def summed(header: bytes) -> bytes:
    """Return a header with its checksum put right."""
    blank = header[:148] + b" " * 8 + header[156:]
    return header[:148] + b"%06o\0 " % sum(blank) + header[156:]


def member(
    name: bytes,
    *,
    kind: bytes = b"0",
    content: bytes = b"",
    link: bytes = b"",
    magic: bytes = b"ustar\x0000",
    prefix: bytes = b"",
    **raw: bytes,
) -> bytes:
    """Return one member, right but for what the caller bends. `raw` are whole fields."""
    fields = {
        "mode": b"0000644\0",
        "uid": b"0000000\0",
        "gid": b"0000000\0",
        "size": b"%011o\0" % len(content),
        "mtime": b"00000000000\0",
        "devices": b"0000000\x000000000\0",
        "rest": bytes(12),
        "padding": bytes(-len(content) % 512),
    } | raw
    numbers = b"".join(fields[field] for field in ("mode", "uid", "gid", "size", "mtime"))
    header = name.ljust(100, b"\0") + numbers + bytes(8) + kind + link.ljust(100, b"\0") + magic + bytes(64)
    header += fields["devices"] + prefix.ljust(155, b"\0") + fields["rest"]
    assert len(header) == 512
    return summed(header) + content + fields["padding"]


def pax(*records: tuple[bytes, bytes], kind: bytes = b"x") -> bytes:
    """Return a pax header with these records."""
    body = b""
    for key, value in records:
        rest = b" " + key + b"=" + value + b"\n"
        length = len(rest) + 1
        while length != len(rest) + len(b"%d" % length):
            length = len(rest) + len(b"%d" % length)
        body += b"%d" % length + rest
    return member(b"pax", kind=kind, content=body)


def pax_raw(body: bytes) -> bytes:
    return member(b"pax", kind=b"x", content=body)


FILE = member(b"a", content=b"1")

HOSTILE: dict[str, tuple[bytes, str]] = {
    # names
    "an absolute path": (member(b"/etc/passwd"), "/etc/passwd: starts with a slash"),
    "an absolute folder": (member(b"/etc/", kind=b"5"), "starts with a slash"),
    "a path that goes up": (member(b"usr/../../etc/passwd"), "component '..'"),
    "a name that is two dots": (member(b".."), "component '..'"),
    "a path that goes up after ./": (member(b"./../etc/passwd"), "component '..'"),
    "a folder that is two dots": (member(b"../", kind=b"5"), "component '..'"),
    "a dot inside": (member(b"usr/./bin"), "component '.'"),
    "two slashes": (member(b"usr//bin"), "component ''"),
    "a file with a slash at its end": (member(b"usr/"), "component ''"),
    "an empty name": (member(b""), "is not a name"),
    "a file named dot": (member(b"."), "component '.'"),
    "the root as a symlink": (member(b"./", kind=b"2", link=b"/etc"), "is not a name"),
    "the root twice": (member(b"./", kind=b"5") + member(b".", kind=b"5"), "there twice"),
    "bytes after the end of a name": (member(b"a\0b"), "bytes after its name's end"),
    "a NUL in a pax path": (pax((b"path", b"a\0b")) + FILE, "holds a NUL"),
    "a NUL in a folder of a pax path": (pax((b"path", b"a\0b/c")) + FILE, "holds a NUL"),
    "an absolute pax path": (pax((b"path", b"/etc/passwd")) + FILE, "starts with a slash"),
    "a pax path that goes up": (pax((b"path", b"x/../../y")) + FILE, "component '..'"),
    "an absolute prefix": (member(b"passwd", prefix=b"/etc"), "starts with a slash"),
    "a prefix that goes up": (member(b"passwd", prefix=b".."), "component '..'"),
    "a name of more than 1,024 bytes": (pax((b"path", b"/".join([b"x" * 200] * 6))) + FILE, "limit is 1024"),
    "a name of more than 64 components": (pax((b"path", b"x/" * 64 + b"y")) + FILE, "65 components"),
    "a component of more than 255 bytes": (pax((b"path", b"x" * 256)) + FILE, "limit is 255"),
    "a bidirectional control": (member("a\u202egnp.exe".encode()), "a\\xe2\\x80\\xaegnp.exe: has a bidirectional"),
    "a bidirectional control in a folder": (member("a\u2066b/c".encode()), "bidirectional"),
    "a bidirectional control in a target": (member(b"a", kind=b"2", link="\u200fb".encode()), "bidirectional"),
    # names beside each other
    "one path twice": (FILE + FILE, "a: is there twice"),
    "one path twice, once with ./": (FILE + member(b"./a"), "./a: is there twice"),
    "one folder twice": (member(b"d/", kind=b"5") * 2, "d/: is there twice"),
    "names that differ by Unicode form": (
        member("caf\u00e9".encode()) + member("cafe\u0301".encode()),
        "cafe\u0301: differs from caf\u00e9 only by Unicode form",
    ),
    "folders that differ by Unicode form": (
        member("\u00e9/a".encode()) + member("e\u0301/b".encode()),
        "only by Unicode form",
    ),
    "a path below a symlink": (
        member(b"d", kind=b"2", link=b"/etc") + member(b"d/passwd"),
        "d/passwd: lies below d, which is a symlink",
    ),
    "a path far below a symlink": (
        member(b"d", kind=b"2", link=b"/") + member(b"d/e/f/passwd"),
        "lies below d, which is a symlink",
    ),
    "a path below a file": (FILE + member(b"a/b"), "lies below a, which is a file"),
    "a symlink over a folder that was used": (
        member(b"d/x") + member(b"d", kind=b"2", link=b"/etc"),
        "d: is a symlink, but there are entries below it",
    ),
    "a symlink over a folder": (member(b"d/", kind=b"5") + member(b"d", kind=b"2", link=b"/etc"), "is there twice"),
    # links
    "a hard link to what is not there": (
        member(b"b", kind=b"1", link=b"a"),
        "b: is a hard link to a, which is not an earlier file",
    ),
    "a hard link to what comes later": (member(b"b", kind=b"1", link=b"a") + FILE, "not an earlier file"),
    "a hard link outside": (member(b"b", kind=b"1", link=b"/etc/shadow"), "/etc/shadow, which is not an earlier file"),
    "a hard link that goes up": (FILE + member(b"b", kind=b"1", link=b"../a"), "not an earlier file"),
    "a hard link to itself": (member(b"b", kind=b"1", link=b"b"), "not an earlier file"),
    "a hard link to a symlink": (
        member(b"s", kind=b"2", link=b"/etc/shadow") + member(b"b", kind=b"1", link=b"s"),
        "not an earlier file",
    ),
    "a hard link to a folder": (member(b"d/", kind=b"5") + member(b"b", kind=b"1", link=b"d"), "not an earlier file"),
    "a hard link with content": (FILE + member(b"b", kind=b"1", link=b"a", content=b"2"), "hardlink with 1 bytes"),
    "a hard link with other attributes": (
        FILE + pax((b"SCHILY.xattr.security.capability", b"x" * 20)) + member(b"b", kind=b"1", link=b"a"),
        "other extended attributes",
    ),
    "a symlink to nothing": (member(b"s", kind=b"2"), "its target is not a name"),
    "a symlink with a NUL": (pax((b"linkpath", b"a\0b")) + member(b"s", kind=b"2"), "its target is not a name"),
    "a symlink of more than 4,095 bytes": (pax((b"linkpath", b"x" * 4096)) + member(b"s", kind=b"2"), "is not a name"),
    "a symlink that climbs out": (member(b"usr/s", kind=b"2", link=b"../../etc"), "climbs above the root: ../../etc"),
    "a symlink that climbs out late": (member(b"s", kind=b"2", link=b"a/../../b"), "climbs above the root"),
    "an absolute symlink that climbs out": (member(b"s", kind=b"2", link=b"/../b"), "climbs above the root"),
    "a file with a link name": (member(b"a", link=b"b"), "is a file with a link name"),
    # types
    "a character device": (member(b"null", kind=b"3"), "null: is a device node or FIFO"),
    "a block device": (member(b"sda", kind=b"4"), "is a device node or FIFO"),
    "a FIFO": (member(b"pipe", kind=b"6"), "is a device node or FIFO"),
    "a contiguous file": (member(b"a", kind=b"7"), "a contiguous file"),
    "a sparse member": (member(b"a", kind=b"S", magic=b"ustar  \0"), "a sparse member"),
    "a multi-volume member": (member(b"a", kind=b"M"), "multi-volume"),
    "a type that nobody knows": (member(b"a", kind=b"Z"), "of unknown type"),
    "a folder with content": (member(b"d/", kind=b"5", content=b"1"), "is a dir with 1 bytes"),
    "a symlink with content": (member(b"s", kind=b"2", link=b"a", content=b"1"), "is a symlink with 1 bytes"),
    # headers
    "a wrong checksum": (FILE[:148] + b"0000000\0" + FILE[156:], "its checksum is"),
    "a checksum that is no number": (FILE[:148] + b"\xff" * 8 + FILE[156:], "its checksum is"),
    "an old header": (member(b"a", magic=bytes(8)), "is not a ustar header"),
    "another magic": (member(b"a", magic=b"ustar\x0001"), "is not a ustar header"),
    "bytes after the header's fields": (member(b"a", rest=b"tar\0" + bytes(8)), "mean nothing"),
    "a GNU header with a prefix": (member(b"a", magic=b"ustar  \0", prefix=b"etc"), "mean nothing"),
    "a base-256 size": (
        member(b"a", content=b"1", size=b"\x80" + bytes(10) + b"\1"),
        "a: has a number that is not octal",
    ),
    "a negative base-256 size": (member(b"a", size=b"\xff" * 12), "not octal"),
    "a base-256 user": (member(b"a", uid=b"\x80\0\0\0\xff\xff\xff\xfe"), "not octal"),
    "a base-256 time": (member(b"a", mtime=b"\xff" * 12), "not octal"),
    "a size with a sign": (member(b"a", size=b"-0000000001\0"), "not octal"),
    "a size in Python's notation": (member(b"a", size=b"0o00000001_\0"), "not octal"),
    "a size of spaces": (member(b"a", size=b" " * 12), "not octal"),
    "a size with more after it": (member(b"a", size=b"0000001 0001"), "not octal"),
    "a mode with an 8": (member(b"a", mode=b"0000648\0"), "not octal"),
    "content that is cut off": (member(b"a", size=b"00000100000\0"), "a: is cut off"),
    "padding that is not zeros": (member(b"a", content=b"1", padding=b"x" * 511), "its padding is not zeros"),
    # GNU long names
    "two long names": (member(b"L", kind=b"L", content=b"b\0") * 2 + FILE, "two extended headers of one type"),
    "a long name and a pax path": (
        member(b"L", kind=b"L", content=b"b\0") + pax((b"path", b"c")) + FILE,
        "two long names for one entry",
    ),
    "a long name with a NUL inside": (member(b"L", kind=b"L", content=b"b\0c\0") + FILE, "a malformed long name"),
    "an empty long name": (member(b"L", kind=b"L", content=b"\0") + FILE, "a malformed long name"),
    "a long name for nothing": (member(b"L", kind=b"L", content=b"b\0"), "ends after an extended header"),
    "a long name that is cut off": (member(b"L", kind=b"L", size=b"00000010000\0"), "is cut off"),
    "a long name that goes up": (member(b"L", kind=b"L", content=b"../b\0") + FILE, "component '..'"),
    "an extended header without bound": (member(b"L", kind=b"L", size=b"77777777777\0"), "the limit is 1048576"),
    # pax
    "two pax headers": (pax((b"uid", b"1")) + pax((b"gid", b"1")) + FILE, "two extended headers of one type"),
    "a pax record that is too long": (pax_raw(b"99 path=b\n"), "does not add up"),
    "a pax record that is too short": (pax_raw(b"5 path=b\n"), "does not add up"),
    "a pax record without a newline": (pax_raw(b"9 path=bX"), "does not add up"),
    "a pax record of length nought": (pax_raw(b"0 path=b\n"), "does not add up"),
    "a pax length with a nought before it": (pax_raw(b"010 path=b\n"), "does not add up"),
    "a pax length with a sign": (pax_raw(b"+9 path=b\n"), "does not add up"),
    "a pax record without an equals sign": (pax_raw(b"9 path b\n"), "does not add up"),
    "a pax record without a keyword": (pax_raw(b"5 =b\n"), "does not add up"),
    "a pax header with a tail": (pax_raw(b"10 path=b\n" + b"\0" * 4), "does not add up"),
    "a pax keyword twice": (pax((b"path", b"b"), (b"path", b"c")) + FILE, "a doubled pax keyword: path"),
    "an unknown pax keyword": (pax((b"EVIL.keyword", b"1")) + FILE, "an unknown pax keyword: EVIL.keyword"),
    "a sparse map in pax": (pax((b"GNU.sparse.map", b"0,1")) + FILE, "a sparse member: GNU.sparse.map"),
    "an ACL that would be lost": (pax((b"SCHILY.acl.access", b"user::rw-")) + FILE, "unknown pax keyword"),
    "a nameless attribute": (pax((b"SCHILY.xattr.", b"1")) + FILE, "a malformed extended attribute"),
    "an attribute that is too large": (
        pax((b"SCHILY.xattr.user.a", bytes(65537))) + FILE,
        "a malformed extended attribute",
    ),
    "a pax size where the header says nought": (
        pax((b"size", b"1024")) + member(b"blob.bin", content=bytes(1024), size=b"00000000000\0"),
        "has two sizes: 0 and 1024",
    ),
    "an attribute with another value in base64": (
        pax((b"SCHILY.xattr.user.a", b"first"), (b"LIBARCHIVE.xattr.user.a", b"c2Vjb25k")) + FILE,
        "differs from its SCHILY.xattr twin",
    ),
    "a device number of no device that is none": (
        member(b"a", devices=b"000010 \x00377 1111"),
        "not octal digits in a field that means nothing there",
    ),
    "a time of an extended header that is none": (
        member(b"pax", kind=b"x", content=b"9 uid=12\n", mtime=b"yyyyyyyyyyyy") + FILE,
        "not octal digits in a field that means nothing there",
    ),
    "a link whose target is only in a GNU long name": (
        member(b"././@LongLink", kind=b"K", content=b"x\0", magic=b"ustar  \0")
        + member(b"l", kind=b"2", magic=b"ustar  \0"),
        "is a link whose own header names no target",
    ),
    "a link whose target is only in a pax header": (
        pax((b"linkpath", b"x" * 120)) + member(b"l", kind=b"2"),
        "is a link whose own header names no target",
    ),
    "an attribute in base64 alone": (pax((b"LIBARCHIVE.xattr.user.a", b"MQ==")) + FILE, "without its SCHILY.xattr"),
    "an empty pax path": (pax((b"path", b"")) + FILE, "an empty path"),
    "an unknown charset": (pax((b"hdrcharset", b"EBCDIC")) + FILE, "unknown hdrcharset"),
    "a pax size with a sign": (pax((b"size", b"-1")) + FILE, "want a whole number"),
    "a pax size with spaces": (pax((b"size", b" 1")) + FILE, "want a whole number"),
    "a pax size with an underscore": (pax((b"size", b"1_0")) + FILE, "want a whole number"),
    "a pax size with noughts": (pax((b"size", b"01")) + FILE, "want a whole number"),
    "a pax size in other digits": (pax((b"size", "\u0661".encode())) + FILE, "want a whole number"),
    "a pax size that the header contradicts": (pax((b"size", b"0")) + FILE, "two sizes: 1 and 0"),
    "a pax size without bound": (pax((b"size", b"9" * 19)) + member(b"a"), "want a whole number"),
    "a pax size beyond the archive": (
        pax((b"size", b"4096")) + member(b"a", size=b"00000010000\0"),
        "is cut off",
    ),
    "a pax user that chown would ignore": (pax((b"uid", b"4294967295")) + FILE, "want a whole number"),
    "a pax time that is none": (pax((b"mtime", b"1e9")) + FILE, "want seconds"),
    "a pax time that is not a number": (pax((b"mtime", b"nan")) + FILE, "want seconds"),
    "a global header with a path": (pax((b"path", b"b"), kind=b"g") + FILE, "a global pax header with more"),
    "a global header with a size": (pax((b"size", b"0"), kind=b"g") + FILE, "a global pax header with more"),
}


@pytest.mark.objective("SO-18")
@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_archive_is_refused_by_name(attack: str) -> None:
    data, message = HOSTILE[attack]
    with pytest.raises(Refused) as refusal:
        read_tar(data + END, SOURCE)
    assert refusal.value.where == SOURCE
    assert message in refusal.value.problem
    assert str(refusal.value).isprintable()


# what the rules of dpkg, for the archives in a Debian package, let stand: each has one meaning
HARMLESS_IN_A_PACKAGE = {
    "an absolute path",
    "an absolute folder",
    "two slashes",
    "the root twice",
    "an absolute pax path",
    "an absolute prefix",
    "one folder twice",
    "a hard link to a symlink",
    "an old header",
    "a base-256 size",
    "a base-256 user",
    "a base-256 time",
    "a device number of no device that is none",
    "a time of an extended header that is none",
    "a link whose target is only in a GNU long name",
    "a link whose target is only in a pax header",
}


@pytest.mark.objective("SO-18")
@pytest.mark.parametrize("attack", HOSTILE)
def test_a_hostile_archive_in_a_package_is_refused_unless_it_has_one_meaning(attack: str) -> None:
    data, _ = HOSTILE[attack]
    if attack in HARMLESS_IN_A_PACKAGE:
        for entry in read_tar(data + END, SOURCE, rules="dpkg"):
            TreePath.parse(bytes(entry.path))
    else:
        with pytest.raises(Refused):
            read_tar(data + END, SOURCE, rules="dpkg")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (member(b"/../etc/passwd"), "component '..'"),
        (member(b"//./../etc/passwd"), "component '..'"),
        (member(b"usr//../../etc/passwd"), "component '..'"),
        (member(b"///"), "is not a name"),
        (FILE + member(b"//a"), "there twice"),
        (FILE + member(b"a/", kind=b"5"), "there twice"),
        (member(b"d/", kind=b"5") + member(b"d"), "there twice"),
        (member(b"b", kind=b"1", link=b"/../a"), "not an earlier file"),
        (member(b"s", kind=b"2", link=b"a") * 2, "there twice"),
        (
            member(b"usr/s", kind=b"2", link=b"../a") + member(b"b", kind=b"1", link=b"usr/s"),
            "b: its target climbs above the root",
        ),
        (member(b"a", uid=b"\x80\0\0\0\xff\xff\xff\xff"), "has the number 4294967295 in its header"),
        (member(b"a", gid=b"\xff" * 8), "has the number -1 in its header"),
        (member(b"a", size=b"\xff" * 12), "has the number -1 in its header"),
        (member(b"a", size=b"\x80" + bytes(6) + b"\xff" * 5), "has the number 1099511627775 in its header"),
        (member(b"a", size=b"\x80" + bytes(8) + b"\xff" * 3), "is cut off"),
        (member(b"a", mtime=b"\x80" + b"\xff" * 11), "in its header, want -999999999999 to 999999999999"),
        (member(b"a", mode=b"\x80\0\0\0\xff\xff\xff\xff"), "in its header, want 0 to 2097151"),
        (member(b"a", uid=b"\xc0" + bytes(7)), "not octal"),
        (member(b"a", magic=bytes(8), prefix=b"etc"), "mean nothing"),
    ],
)
def test_what_dpkg_takes_is_taken_within_bounds_alone(data: bytes, said: str) -> None:
    with pytest.raises(Refused, match=said):
        read_tar(data + END, SOURCE, rules="dpkg")


@pytest.mark.objective("SO-19")
def test_a_folder_given_without_end_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untar, "MAX_STAR_ENTRIES", 3)
    folder = member(b"d/", kind=b"5")
    assert len(read_tar(folder * 3 + END, SOURCE, rules="dpkg")) == 1
    with pytest.raises(Refused, match="more than 3 entries"):
        read_tar(folder * 4 + END, SOURCE, rules="dpkg")


def test_what_the_attacks_bend_is_right_when_it_is_not_bent() -> None:
    straight = (
        member(b"d/", kind=b"5") + pax((b"path", b"d/b"), (b"uid", b"7")) + FILE + member(b"c", kind=b"1", link=b"d/b")
    )
    entries = read_tar(straight + END, SOURCE)
    assert [(entry.path, entry.kind, entry.uid) for entry in entries] == [
        (b"d", "dir", 0),
        (b"d/b", "file", 7),
        (b"c", "hardlink", 7),
    ]


@pytest.mark.parametrize("tail", [b"", bytes(512), bytes(1023), bytes(1024) + b"\1", bytes(1024) + FILE, bytes(1025)])
def test_an_archive_ends_with_zeros_and_nothing_else(tail: bytes) -> None:
    with pytest.raises(Refused, match=r"two blocks of zeros|something after its end"):
        read_tar(FILE + tail, SOURCE)


def test_a_member_behind_the_end_is_not_read() -> None:
    with pytest.raises(Refused, match="something after its end, at byte 1024"):
        read_tar(FILE + bytes(512) + member(b"hidden") + END, SOURCE)


@pytest.mark.parametrize("length", range(1, 2048, 97))
def test_an_archive_that_is_cut_anywhere_is_refused(length: int) -> None:
    whole = FILE + member(b"b", content=b"2") + END
    with pytest.raises(Refused):
        read_tar(whole[:length], SOURCE)


@pytest.mark.objective("SO-19")
def test_more_entries_than_declared_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(untar, "MAX_STAR_ENTRIES", 3)
    members = b"".join(member(b"f%d" % number) for number in range(4))
    assert len(read_tar(members[: 3 * 512] + END, SOURCE)) == 3
    with pytest.raises(Refused, match="more than 3 entries"):
        read_tar(members + END, SOURCE)


@pytest.mark.parametrize("bit", range(8))
def test_every_flipped_bit_of_a_header_is_refused(bit: int) -> None:
    whole = FILE + END
    checksum_blanks = (148, 154, 155)  # a nought or blank of the checksum that turns into a blank says the same
    for place in range(512):
        bent = bytearray(whole)
        bent[place] ^= 1 << bit
        try:
            assert read_tar(bytes(bent), SOURCE) == read_tar(whole, SOURCE)
            assert place in checksum_blanks
        except Refused:
            pass


def test_names_that_differ_by_case_alone_are_two_names() -> None:
    names = [b"Net/a", b"net/a", b"net/xt_DSCP.ko", b"net/xt_dscp.ko", "\u00e9".encode(), "\u00c9".encode()]
    entries = read_tar(b"".join(map(member, names)) + END, SOURCE)
    assert [entry.path for entry in entries] == names


# --- compressed forms


Reader: TypeAlias = Callable[[bytes, int, str], bytes]


def in_pieces(data: bytes, size_bytes: int, source: str) -> bytes:
    return b"".join(zst.unpacked_exactly(data, ".zst", size_bytes, source))


def from_disk(data: bytes, size_bytes: int, source: str) -> bytes:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        content = FileRange(HeldFile(os.dup(file.fileno()), "file"), 0, len(data))
    return b"".join(zst.unpacked_exactly(content, ".zst", size_bytes, source))


@pytest.fixture(params=[zst.decompress_exactly, in_pieces, from_disk])
def read_zstd(request: pytest.FixtureRequest) -> Reader:
    """A reader of zstd: of data in memory at once, or in pieces, or of a file."""
    reader: Reader = request.param
    return reader


def gunzip_exactly(data: bytes, size_bytes: int, source: str) -> bytes:
    return b"".join(zst.unpacked_exactly(data, ".gz", size_bytes, source))


def zstd_frame(content: bytes, **options: bool) -> bytes:
    return zstandard.ZstdCompressor(level=3, **options).compress(content)


@pytest.mark.objective("SO-19")
def test_a_bomb_stops_at_the_signed_size(read_zstd: Reader) -> None:
    bomb = zstd_frame(bytes(64 << 20))
    with pytest.raises(Refused, match="holds more than 1000 bytes"):
        read_zstd(bomb, 1000, SOURCE)
    with pytest.raises(Refused, match="holds more than 1000 bytes"):
        gunzip_exactly(gzip.compress(bytes(64 << 20)), 1000, SOURCE)


@pytest.mark.objective("SO-19")
def test_a_bomb_that_does_not_state_its_size_stops_as_well(read_zstd: Reader) -> None:
    bomb = zstd_frame(bytes(64 << 20), write_content_size=False)
    with pytest.raises(
        Refused, match=r"more bytes than its header states|not what its header states|holds more than 1000 bytes"
    ):
        read_zstd(bomb, 1000, SOURCE)


@pytest.mark.objective("SO-19")
def test_a_bomb_of_many_frames_stops_as_well(read_zstd: Reader) -> None:
    with pytest.raises(Refused, match="holds more than 100 bytes"):
        read_zstd(zstd_frame(bytes(60)) * 2, 100, SOURCE)


@pytest.mark.objective("SO-19")
def test_frames_and_members_without_end_are_refused(read_zstd: Reader, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zst, "MAX_FRAMES", 3)
    monkeypatch.setattr(zst, "MAX_GZIP_MEMBERS", 3)
    assert read_zstd(zstd_frame(b"a") * 3, 3, SOURCE) == b"aaa"
    assert gunzip_exactly(gzip.compress(b"a") * 3, 3, SOURCE) == b"aaa"
    with pytest.raises(Refused, match="more than 3 zstd frames"):
        read_zstd(zstd_frame(b"") * 4, 0, SOURCE)
    with pytest.raises(Refused, match="more than 3 gzip members"):
        gunzip_exactly(gzip.compress(b"") * 4, 0, SOURCE)


@pytest.mark.parametrize("size_bytes", [0, 1, 99, 101, 1 << 20])
@pytest.mark.parametrize("states_size", [True, False])
def test_another_size_than_the_signed_one_is_refused(read_zstd: Reader, size_bytes: int, states_size: bool) -> None:
    data = zstd_frame(b"x" * 100, write_content_size=states_size)
    with pytest.raises(Refused):
        read_zstd(data, size_bytes, SOURCE)
    with pytest.raises(Refused):
        gunzip_exactly(gzip.compress(b"x" * 100), size_bytes, SOURCE)


@pytest.mark.parametrize("states_size", [True, False])
def test_compressed_data_that_is_cut_anywhere_is_refused(read_zstd: Reader, states_size: bool) -> None:
    content = bytes(range(256)) * 3
    for data, read in (
        (zstd_frame(content, write_content_size=states_size, write_checksum=True), read_zstd),
        (zstd_frame(content, write_content_size=states_size), read_zstd),
        (gzip.compress(content), gunzip_exactly),
    ):
        assert read(data, len(content), SOURCE) == content
        for length in range(len(data)):
            with pytest.raises(Refused, match=r"cut off|is not zstd data|not enough data"):
                read(data[:length], len(content), SOURCE)


@pytest.mark.parametrize("tail", [b"\0", b"PK", zst.skippable_frame(b"hidden", 0), b"\x28\xb5\x2f\xfd"])
def test_anything_after_the_last_frame_is_refused(read_zstd: Reader, tail: bytes) -> None:
    with pytest.raises(Refused):
        read_zstd(zstd_frame(b"x") + tail, 1, SOURCE)
    with pytest.raises(Refused):
        read_zstd(tail + zstd_frame(b"x"), 1, SOURCE)
    with pytest.raises(Refused):
        gunzip_exactly(gzip.compress(b"x") + tail, 1, SOURCE)


@pytest.mark.objective("SO-19")
def test_a_window_larger_than_the_bound_is_refused(read_zstd: Reader) -> None:
    window_of_256_mib = bytes([(28 - 10) << 3])
    data = b"\x28\xb5\x2f\xfd\x00" + window_of_256_mib + b"\x09\x00\x00x"
    assert zstandard.get_frame_parameters(data).window_size == 256 << 20
    with pytest.raises(Refused, match="wants a window of 268435456 bytes"):
        read_zstd(data, 1, SOURCE)


def test_a_frame_that_wants_a_dictionary_is_refused(read_zstd: Reader) -> None:
    dictionary = zstandard.train_dictionary(1024, [b"%d" % number * 20 for number in range(2000)])
    data = zstandard.ZstdCompressor(dict_data=dictionary).compress(b"x")
    with pytest.raises(Refused, match="wants a dictionary"):
        read_zstd(data, 1, SOURCE)


def test_a_frame_whose_header_lies_about_its_size_is_refused(read_zstd: Reader) -> None:
    frame = bytearray(zstd_frame(b"x" * 100))
    assert frame[4] & 0x20
    frame[5] = 90
    with pytest.raises(Refused):
        read_zstd(bytes(frame), 90, SOURCE)


def test_a_wrong_checksum_is_refused(read_zstd: Reader) -> None:
    data = zst.compress([b"x" * 100], 3)
    with pytest.raises(Refused, match="damaged"):
        read_zstd(data[:-1] + bytes([data[-1] ^ 1]), 100, SOURCE)
    packed = gzip.compress(b"x" * 100)
    with pytest.raises(Refused, match="damaged"):
        gunzip_exactly(packed[:-8] + struct.pack("<II", 0, 100), 100, SOURCE)


# --- star archives


def packed(tar: bytes) -> tuple[bytes, int]:
    return zst.compress([tar], 3), len(tar)


@pytest.mark.objective("SO-18")
@pytest.mark.parametrize(
    ("members", "message"),
    [
        (member(b"files", content=b"1"), "files: want a folder, got a file"),
        (member(b"files", kind=b"2", link=b"/etc"), "files: want a folder, got a symlink"),
        (FILE + member(b"files/b", kind=b"1", link=b"a"), "files/b: is a hard link across files/"),
        (member(b"files/a") + member(b"b", kind=b"1", link=b"files/a"), "b: is a hard link across files/"),
        (member(b"files/s", kind=b"2", link=b"../star.toml"), "files/s: its target climbs above files/"),
        (member(b"star.toml", kind=b"2", link=b"/etc/passwd"), "star.toml: want a file"),
        (member(b"star.toml/", kind=b"5"), "star.toml: want a file"),
        (member(b"install.lua", kind=b"2", link=b"a"), "install.lua: want a file"),
        (member(b"install.lua", content=bytes(limits.MAX_SCRIPT_BYTES + 1)), "install.lua: want a file of at most"),
        (member(b"files/null", kind=b"3"), "files/null: is a device node"),
    ],
)
def test_a_hostile_star_is_refused_by_name(members: bytes, message: str) -> None:
    data, size = packed(members + END)
    with pytest.raises(Refused) as refusal:
        read_star(data, SOURCE, size)
    assert message in refusal.value.problem


@pytest.mark.parametrize("name", ["evil.tar", "evil.tar.xz", "evil.zip", "evil", "evil.tar.zst.txt"])
def test_a_star_of_another_suffix_is_refused(name: str) -> None:
    with pytest.raises(Refused, match="want a name that ends in"):
        read_star(b"", name, 0)


@pytest.mark.objective("SO-18")
def test_a_script_name_does_not_lead_out() -> None:
    data, size = packed(FILE + END)
    with pytest.raises(Refused, match="its script's name"):
        read_star(data, SOURCE, size, script_name="../../etc/passwd")


@pytest.mark.parametrize(
    "entry",
    [
        Entry(path=TreePath(b"dev/null"), kind="char", mode=0o666, rdev=(1, 3)),
        Entry(path=TreePath(b"s"), kind="symlink", mode=0o777, target=b"../../x"),
        Entry(path=TreePath("a\u202eb".encode()), kind="file", mode=0o644),
        Entry(path=TreePath(b"l"), kind="hardlink", mode=0o644, target=b"nowhere"),
    ],
)
def test_a_maker_learns_at_once_of_what_no_reader_would_take(entry: Entry) -> None:
    star = Star(name=StarName("evil"), version=Version.parse("1.0.0"))
    with pytest.raises(CosmosError, match=r"evil-1\.0\.0: files/"):
        write_star(star, None, [entry], level=3)


@pytest.mark.objective("SO-18")
def test_reading_never_returns_what_python_would_write_outside() -> None:
    """The archive of CVE-2025-4517's class: symlinks that together lead out, then a file written through them."""
    chain = io.BytesIO()
    for depth in range(1, 17):
        folder = b"/".join([b"d" * 200] * min(depth, 4))
        chain.write(pax((b"path", folder + b"/l%d" % depth), (b"linkpath", b"../" * 20)) + member(b"l", kind=b"2"))
    with pytest.raises(Refused):
        read_tar(chain.getvalue() + END, SOURCE)
