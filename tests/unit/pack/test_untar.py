"""Foreign archives, and what the reader folds, drops and keeps."""

from __future__ import annotations

import io
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.errors import Refused
from cosmos.pack.pax import parse_pax, read_time
from cosmos.pack.tar import TAR_END, tar_members
from cosmos.pack.treenames import is_plain
from cosmos.pack.untar import TarReader, read_tar
from cosmos.spool import Spool
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

DEEP = b"/".join([b"a" * 15] * 12)
NEVER_ENDING = b"this_is_a_folder_with_a_name_that_just_keeps_going_on_and_on_and_on_it_is_a_very_very_long_folder_name"

# archive of tar-rs -> (kind, mode, user, time, size, path, target) of each entry
READ: dict[str, list[tuple[str, int, int, int, int, bytes, bytes]]] = {
    "7z_long_path.tar": [
        ("dir", 0o777, 0, 1589990592, 0, NEVER_ENDING, b""),
        ("file", 0o777, 0, 1589990592, 0, NEVER_ENDING + b"/test.txt", b""),
    ],
    "biguid_pax.tar": [("file", 0o644, 4294967294, 1689592580, 14, b"test.txt", b"")],
    "directory.tar": [
        ("dir", 0o755, 1000, 1417683836, 0, b"a", b""),
        ("dir", 0o755, 1000, 1417683797, 0, b"a/b", b""),
        ("file", 0o644, 1000, 1417683865, 2, b"a/c", b""),
    ],
    "file_times.tar": [("file", 0o644, 501, 1000000000, 0, b"a", b"")],
    "link.tar": [
        ("symlink", 0o777, 1000, 1448291033, 0, b"lnk", b"file"),
        ("file", 0o644, 1000, 1448291023, 14, b"file", b""),
    ],
    "pax.tar": [
        ("file", 0o664, 1000, 1453146164, 760, b"Cargo.toml", b""),
        ("file", 0o664, 1000, 1453267988, 2390, b"src/lib.rs", b""),
    ],
    "pax2.tar": [
        ("dir", 0o755, 1000, 1625585664, 0, DEEP, b""),
        ("file", 0o644, 1000, 1625585664, 16, DEEP + b"/" + b"c" * 15, b""),
        ("file", 0o644, 1000, 1625585659, 16, DEEP + b"/" + b"b" * 15, b""),
        ("symlink", 0o777, 1000, 1625585841, 0, b"b" * 15, DEEP + b"/" + b"b" * 15),
        ("hardlink", 0o644, 1000, 1625585664, 0, b"c" * 15, DEEP + b"/" + b"c" * 15),
    ],
    "reading_files.tar": [
        ("file", 0o664, 1000, 1405606201, 22, b"a", b""),
        ("file", 0o664, 1000, 1405606206, 22, b"b", b""),
    ],
    "simple.tar": [("file", 0o664, 1000, 1405576114, 0, name, b"") for name in (b"a", b"b", b"c")],
    "simple_missing_last_header.tar": [("file", 0o664, 1000, 1405576114, 0, name, b"") for name in (b"a", b"b", b"c")],
    "xattrs.tar": [
        ("dir", 0o755, 1000, 1465740889, 0, b"a", b""),
        ("file", 0o644, 1000, 1465740889, 0, b"a/b", b""),
    ],
}
REFUSED = {
    "biguid_gnu.tar": "./test.txt: has a number that is not octal",  # base-256
    "duplicate_dirs.tar": "some_dir/: is there twice",
    "empty_filename.tar": "bytes after its name's end",
    "spaces.tar": "is not a ustar header",  # v7
    "pax_size.tar": "test: has two sizes: 0 and 4",
    "sparse-1.tar": "a sparse member",
    "sparse-large.tar": "a sparse member",
    "sparse.tar": "a sparse member",
}


def test_every_foreign_archive_has_an_outcome(vectors: Path) -> None:
    assert {file.name for file in (vectors / "tar").glob("*.tar")} == READ.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", READ)
def test_a_foreign_archive_is_read(name: str, vectors: Path) -> None:
    data = (vectors / "tar" / name).read_bytes()
    entries = read_tar(data, name)
    assert [(e.kind, e.mode, e.uid, e.mtime, e.size, e.path, e.target) for e in entries] == READ[name]


@pytest.mark.parametrize("name", READ)
def test_a_foreign_archive_has_the_contents_that_python_finds(name: str, vectors: Path) -> None:
    file = vectors / "tar" / name
    with tarfile.open(file) as archive:
        streams = {member.name.removeprefix("./"): archive.extractfile(member) for member in archive if member.isreg()}
        contents = {name: stream.read() for name, stream in streams.items() if stream is not None}
    found = {e.path.decode(): bytes(e.content) for e in read_tar(file.read_bytes(), name) if e.kind == "file"}
    assert found == contents


@pytest.mark.parametrize("name", REFUSED)
def test_a_foreign_archive_is_refused(name: str, vectors: Path) -> None:
    with pytest.raises(Refused) as refusal:
        read_tar((vectors / "tar" / name).read_bytes(), name, devices="keep")
    assert (refusal.value.where, REFUSED[name] in refusal.value.problem) == (name, True)


def test_a_foreign_attribute_is_kept(vectors: Path) -> None:
    entries = read_tar((vectors / "tar" / "xattrs.tar").read_bytes(), "xattrs.tar")
    assert entries[1].xattrs == ((b"user.pax.flags", b"epm"),)


def archive(*members: tarfile.TarInfo) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as written:
        for member in members:
            written.addfile(member, io.BytesIO(bytes(member.size)))
    return stream.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type = kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info


def test_a_leading_dot_is_folded_and_the_root_dropped() -> None:
    entries = read_tar(
        archive(member("./", tarfile.DIRTYPE), member("./usr/", tarfile.DIRTYPE), member("./usr/a")), "a"
    )
    assert [entry.path for entry in entries] == [b"usr", b"usr/a"]


def test_folders_need_no_entries_of_their_own() -> None:
    assert [entry.path for entry in read_tar(archive(member("usr/bin/a"), member("usr/bin/b")), "a")] == [
        b"usr/bin/a",
        b"usr/bin/b",
    ]


def test_a_folder_may_come_after_what_is_in_it() -> None:
    assert len(read_tar(archive(member("usr/a"), member("usr", tarfile.DIRTYPE)), "a")) == 2


def test_a_hard_link_to_a_hard_link_leads_to_the_file_and_shares_what_it_is() -> None:
    linked = archive(
        member("a", mode=0o4755, uid=7, mtime=9, size=3),
        member("b", tarfile.LNKTYPE, linkname="./a", mode=0),
        member("c", tarfile.LNKTYPE, linkname="b", mode=0o777, uid=1),
    )
    assert [(e.path, e.target, e.mode, e.uid, e.mtime) for e in read_tar(linked, "a")[1:]] == [
        (b"b", b"a", 0o4755, 7, 9),
        (b"c", b"a", 0o4755, 7, 9),
    ]


def test_devices_are_kept_where_the_caller_asks() -> None:
    data = archive(member("null", tarfile.CHRTYPE, devmajor=1, devminor=3), member("pipe", tarfile.FIFOTYPE))
    assert [(e.kind, e.rdev) for e in read_tar(data, "a", devices="keep")] == [("char", (1, 3)), ("fifo", None)]


def test_a_global_comment_says_nothing() -> None:
    stream = io.BytesIO()
    with tarfile.open(
        fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, pax_headers={"comment": "0f" * 20}
    ) as written:
        written.addfile(member("a"))
    assert [entry.path for entry in read_tar(stream.getvalue(), "a")] == [b"a"]


def test_numbers_left_empty_are_nought() -> None:
    header = bytearray(next(iter(tar_members([Entry(path=TreePath(b"a"), kind="file", mode=0o644)]))))
    header[108:124] = bytes(16)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    assert read_tar(bytes(header) + TAR_END, "a")[0].uid == 0


def test_contents_are_slices_of_the_archive_and_no_copies() -> None:
    data = archive(member("a", size=700))
    content = read_tar(data, "a")[0].content
    assert isinstance(content, memoryview)
    assert content.obj is data


def test_attributes_that_bsdtar_writes_twice_are_read_once() -> None:
    body = b"27 SCHILY.xattr.user.a b=1\n" + b"34 LIBARCHIVE.xattr.user.a%20b=MQ\n"
    assert parse_pax(body)[b"SCHILY.xattr.user.a b"] == b"1"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(b"0", 0), (b"1.9", 1), (b"-1", -1), (b"-1.0", -1), (b"-1.000000001", -2), (b"-0.5", -1), (b"5.", 5)],
)
def test_times_are_rounded_down(text: bytes, seconds: int) -> None:
    assert read_time(text) == seconds


@given(
    st.lists(
        st.one_of(st.binary(max_size=4), st.sampled_from([b"..", b".", b"", b"a/b", b"x" * 255, b"x" * 256])),
        max_size=70,
    )
)
def test_the_quick_check_of_a_path_agrees_with_the_thorough_one(parts: list[bytes]) -> None:
    path = b"/".join(parts)
    parent, _, name = path.rpartition(b"/")

    def is_path(raw: bytes) -> bool:
        try:
            TreePath.parse(raw)
        except ValueError:
            return False
        return True

    if not parent or is_path(parent):
        assert is_plain(path, name) == is_path(path)


@given(st.binary(max_size=2048))
def test_no_bytes_make_the_reader_fail_otherwise_than_by_refusing(data: bytes) -> None:
    with suppress(Refused):
        read_tar(data, "a")
    with suppress(ValueError):
        parse_pax(data)


def test_published_archives_are_read_as_strictly_as_stars_but_for_old_headers_and_large_numbers() -> None:
    def tar(*members: tarfile.TarInfo, form: int = tarfile.GNU_FORMAT) -> bytes:
        raw = io.BytesIO()
        with tarfile.open(fileobj=raw, mode="w", format=form) as out:
            for member in members:
                out.addfile(member)
        return raw.getvalue()

    def member(name: str, kind: bytes = tarfile.REGTYPE, target: str = "", mtime: int = 1) -> tarfile.TarInfo:
        info = tarfile.TarInfo(name)
        info.type, info.linkname, info.mtime = kind, target, mtime
        return info

    late = tar(member("a", mtime=1 << 34))
    assert [entry.mtime for entry in read_tar(late, "x", rules="published")] == [1 << 34]
    with pytest.raises(Refused, match="not octal digits"):
        read_tar(late, "x")
    folder, link = member("d", tarfile.DIRTYPE), member("l", tarfile.SYMTYPE, "d")
    for members in (
        (folder, folder),
        (folder, link, member("h", tarfile.LNKTYPE, "l")),
        (member("/a"),),
        (member("a//b"),),
    ):
        assert read_tar(tar(*members), "x", rules="dpkg")
        with pytest.raises(Refused):
            read_tar(tar(*members), "x", rules="published")
    with pytest.raises(Refused, match="is cut off"):
        read_tar(tar(member("a"))[:1024], "x", rules="published")


PIECE = st.sampled_from([b"a", b"b", b"\xc3\xa9", b"e\xcc\x81", b"\xe2\x80\xae"])


@given(
    st.lists(
        st.tuples(st.lists(PIECE, min_size=1, max_size=3), st.sampled_from(["file", "dir", "symlink"])), max_size=5
    )
)
def test_names_that_are_paths_already_are_judged_as_those_of_an_archive(
    rows: list[tuple[list[bytes], Literal["file", "dir", "symlink"]]],
) -> None:
    entries = [
        Entry(path=TreePath.parse(b"/".join(parts)), kind=kind, mode=0o755, target=b"t" if kind == "symlink" else b"")
        for parts, kind in rows
    ]
    problems = []
    for read in (
        lambda: TarReader("x", devices="refuse").accept(entries),
        lambda: TarReader("x", devices="refuse").read(b"".join(map(bytes, tar_members(entries)))),
    ):
        try:
            read()
            problems.append("")
        except Refused as error:
            problems.append(str(error))
    assert problems[0] == problems[1]


def test_an_archive_in_a_file_has_the_entries_and_the_faults_of_one_in_memory(tmp_path: Path) -> None:
    entries = [
        Entry(path=TreePath(b"a"), kind="dir", mode=0o755),
        Entry(path=TreePath(b"a/b"), kind="file", mode=0o644, content=b"x" * 700),
        Entry(path=TreePath(b"a/" + b"c" * 120), kind="hardlink", mode=0o644, target=b"a/b"),
        Entry(path=TreePath(b"a/d"), kind="file", mode=0o644, content=b"y"),
    ]
    whole = b"".join(map(bytes, tar_members(entries))) + TAR_END
    assert read_tar(Spool(tmp_path, in_memory=0).add([whole]), "x") == read_tar(whole, "x") == entries
    for data in (whole[:1300], whole[:1900] + b"!" + whole[1901:], whole[:-600], whole + b"!", whole[1:]):
        problems = []
        for content in (Spool(tmp_path, in_memory=0).add([data]), data):
            with pytest.raises(Refused) as caught:
                read_tar(content, "x")
            problems.append(str(caught.value))
        assert problems[0] == problems[1]
