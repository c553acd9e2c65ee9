"""What is written is what is read: by our own reader for any tree, and by GNU tar, bsdtar and Python for a hard one."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos.errors import Malformed
from cosmos.pack.cpio import cpio_pieces
from cosmos.pack.image_file import ImageReader, image_pieces
from cosmos.pack.layer import PackedLayer, members_in_order, pack_layer
from cosmos.pack.stated import Whole, stated_entries
from cosmos.pack.tar import TAR_END, member_header, tar_members
from cosmos.pack.untar import TarReader, read_tar
from cosmos.tree.entry import Entry
from cosmos.tree.manifest import ManifestLine
from cosmos.treepath import TreePath, climbs_out, composed, has_bidi

SEPARATORS = (b"", b".", b"..")

names = st.one_of(
    st.sampled_from(
        [b"usr", b"bin", b"a b", b"PaxHeaders", b"-", "caf\u00e9".encode(), b"\xff\xfe", b"x" * 150, b"\n"]
    ),
    st.binary(min_size=1, max_size=12),
).filter(lambda name: b"/" not in name and b"\0" not in name and name not in SEPARATORS and not has_bidi(name))
targets = st.one_of(
    st.sampled_from([b"/usr/bin/env", b"x" * 101, b"\xff", "caf\u00e9".encode(), b"y/" * 2000]),
    st.binary(min_size=1, max_size=9),
).filter(lambda target: b"\0" not in target and not has_bidi(target))
owners = st.sampled_from([0, 1000, 0o7777777, 0o10000000, (1 << 32) - 2])
times = st.sampled_from([0, 1700000000, 0o77777777777, 0o100000000000, -1, -(1 << 31)])
contents = st.one_of(st.binary(max_size=40), st.sampled_from([b"", bytes(511), bytes(512), bytes(513)]))
attributes = st.dictionaries(
    st.sampled_from([b"security.capability", b"user.a", b"user.b c"]), st.binary(max_size=30), max_size=2
).map(lambda found: tuple(sorted(found.items())))


@st.composite
def trees(draw: st.DrawFn) -> list[Entry]:
    """Entries in an order that an archive can have: folders first, hard links after their files."""
    entries: dict[bytes, Entry] = {}
    folded: set[bytes] = set()
    folders = [b""]
    for _ in range(draw(st.integers(0, 9))):
        parent, name = draw(st.sampled_from(folders)), draw(names)
        path = parent + b"/" + name if parent else name
        if composed(path) in folded:
            continue
        kind = draw(st.sampled_from(["file", "dir", "symlink", "hardlink", "char", "block", "fifo"]))
        entry = Entry(
            path=TreePath(path),
            kind=kind,
            mode=draw(st.integers(0, 0o7777)),
            uid=draw(owners),
            gid=draw(owners),
            mtime=draw(times),
            content=draw(contents) if kind == "file" else b"",
            target=draw(targets) if kind == "symlink" else b"",
            rdev=(draw(st.integers(0, 4095)), draw(st.integers(0, 1 << 20))) if kind in ("char", "block") else None,
            xattrs=draw(attributes),
        )
        if kind == "symlink" and climbs_out(path, entry.target):
            continue
        if kind == "hardlink":
            files = [file for file in entries.values() if file.kind == "file"]
            if not files:
                continue
            file = draw(st.sampled_from(files))
            entry = replace(file, path=entry.path, kind="hardlink", target=bytes(file.path), content=b"", xattrs=())
        if kind == "dir":
            folders.append(path)
        entries[path] = entry
        folded.add(composed(path))
    return list(entries.values())


def packed(entries: list[Entry]) -> bytes:
    return b"".join([*tar_members(entries), TAR_END])


@given(trees())
def test_any_tree_comes_back_as_it_was(entries: list[Entry]) -> None:
    assert read_tar(packed(entries), "a.tar", devices="keep") == entries


@given(trees())
@settings(max_examples=40)
def test_python_sees_the_same_tree(entries: list[Entry]) -> None:
    types = {"file": "0", "hardlink": "1", "symlink": "2", "char": "3", "block": "4", "dir": "5", "fifo": "6"}
    with tarfile.open(fileobj=io.BytesIO(packed(entries))) as archive:
        found = archive.getmembers()
        assert [os.fsencode(member.name) for member in found] == [entry.path for entry in entries]
        for member, entry in zip(found, entries, strict=True):
            assert member.type.decode() == types[entry.kind]
            assert (member.mode, member.uid, member.gid, int(member.mtime)) == (
                entry.mode,
                entry.uid,
                entry.gid,
                entry.mtime,
            )
            assert os.fsencode(member.linkname).rstrip(b"/") == entry.target.rstrip(b"/")
            if entry.kind == "file":
                stream = archive.extractfile(member)
                assert stream is not None
                assert stream.read() == entry.content
            if entry.rdev is not None:
                assert (member.devmajor, member.devminor) == entry.rdev


@given(trees())
@settings(max_examples=40)
def test_what_python_writes_is_read(entries: list[Entry]) -> None:
    for form in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        stream = io.BytesIO()
        kept = [entry for entry in entries if form == tarfile.PAX_FORMAT or entry.uid <= 0o7777777 >= entry.gid]
        kept = [
            entry
            for entry in kept
            if entry.kind not in ("hardlink", "char", "block", "fifo") and 0 <= entry.mtime < 8**11
        ]
        with tarfile.open(fileobj=stream, mode="w", format=form) as archive:
            for entry in kept:
                member = tarfile.TarInfo(os.fsdecode(entry.path))
                member.type = {"file": b"0", "dir": b"5", "symlink": b"2"}[entry.kind]
                member.mode, member.uid, member.gid, member.mtime = entry.mode, entry.uid, entry.gid, entry.mtime
                member.linkname, member.size = os.fsdecode(entry.target), entry.size
                archive.addfile(member, io.BytesIO(bytes(entry.content)))
        assert read_tar(stream.getvalue(), "a.tar") == [replace(entry, xattrs=()) for entry in kept]


@given(trees())
def test_a_layer_is_read_as_the_strict_reader_reads_it(entries: list[Entry]) -> None:
    layer = pack_layer("a", entries, 1)
    tar = zstandard.ZstdDecompressor().decompress(bytes(layer.frame))
    stated = stated_entries(layer.lines, Whole(tar))
    if stated is not None:  # times before 1970 are left to the strict reader
        assert stated == TarReader("a", devices="keep").read(tar)[0] == members_in_order(entries)
        assert [entry.digest for entry in stated] == [row.line.digest for row in layer.lines]
    usual = all(0 <= entry.mtime < 8**11 for entry in entries)
    assert (stated is not None) == usual or not usual


@given(trees())
def test_a_layer_comes_back_as_it_was(entries: list[Entry]) -> None:
    packed = pack_layer("a-1.0.0", entries, 1)
    layer = PackedLayer.from_record(packed.record(), lambda _digest, _size: packed.frame)
    assert layer == packed
    assert layer.entries() == members_in_order(entries)
    assert [row.line for row in layer.lines] == [ManifestLine.of(entry) for entry in members_in_order(entries)]
    files = {entry.path: entry for entry in entries if entry.kind == "file"}
    for entry in entries:
        if entry.kind in ("file", "hardlink"):
            assert layer.read_file(entry.path) == files[TreePath(entry.target or entry.path)].content


@given(trees())
@settings(max_examples=40)
def test_an_image_comes_back_as_it_was(entries: list[Entry]) -> None:
    folders = [entry for entry in entries if entry.kind == "dir"]
    others = [entry for entry in entries if entry.kind != "dir"]
    layers = [pack_layer("directories", folders, 1), pack_layer("a-1.0.0", others, 1)]
    reader = ImageReader.of_stream(io.BytesIO(b"".join(image_pieces(layers, {"a": 1}))), "a.tar.zst")
    assert list(reader.entries()) == [*members_in_order(folders), *members_in_order(others)]
    assert reader.lines() == sorted((ManifestLine.of(entry) for entry in entries), key=lambda line: line.path)


@pytest.mark.objective("SO-24")
@given(trees(), st.randoms(use_true_random=False))
def test_the_order_of_entries_does_not_move_a_byte_of_a_layer(entries: list[Entry], random: object) -> None:
    shuffled = list(entries)
    random.shuffle(shuffled)
    assert pack_layer("a", shuffled, 1) == pack_layer("a", entries, 1)


# --- a hard tree, read by the tools that people have

LONG = b"usr/" + b"d" * 90 + b"/" + b"e" * 90
HARD: list[Entry] = [
    Entry(path=TreePath(b"usr"), kind="dir", mode=0o755, mtime=1),
    Entry(path=TreePath(b"usr/" + b"d" * 90), kind="dir", mode=0o755, mtime=1),
    Entry(path=TreePath(b"usr/" + b"n" * 180), kind="dir", mode=0o1777, mtime=1),
    Entry(path=TreePath(LONG), kind="file", mode=0o4755, mtime=1700000000, content=b"long\n"),
    Entry(path=TreePath(b"usr/" + b"n" * 180 + b"/file"), kind="file", mode=0o640, mtime=7, content=b"n" * 1000),
    Entry(path=TreePath("usr/caf\u00e9".encode()), kind="file", mode=0o644, mtime=7, content=b""),
    Entry(path=TreePath(b"usr/latin-\xe9"), kind="file", mode=0o644, mtime=7, content=b"\xe9"),
    Entry(path=TreePath(b"usr/with space"), kind="symlink", mode=0o777, mtime=7, target=b"latin-\xe9"),
    Entry(path=TreePath(b"usr/far"), kind="symlink", mode=0o777, mtime=7, target=b"/" + LONG),
    Entry(path=TreePath(b"usr/zlink"), kind="hardlink", mode=0o4755, mtime=1700000000, target=LONG),
]


# bsdtar takes the setuid bit from what it cannot give to its owner, so that the entries belong to whoever runs this.
OURS = [replace(entry, uid=os.geteuid(), gid=os.getegid()) for entry in HARD]


def walked(folder: Path) -> dict[bytes, tuple[object, ...]]:
    """Return what lies below `folder`: type, mode, time and content or target; links by name."""
    found: dict[bytes, tuple[object, ...]] = {}
    root = os.fsencode(folder)
    for above, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = above + b"/" + name
            state = os.lstat(path)
            content: object = None
            if stat.S_ISLNK(state.st_mode):
                content = os.fsencode(Path(os.fsdecode(path)).readlink())
            elif stat.S_ISREG(state.st_mode):
                content = (Path(os.fsdecode(path)).read_bytes(), int(state.st_mtime), state.st_nlink)
            found[os.path.relpath(path, root)] = (stat.S_IFMT(state.st_mode), stat.S_IMODE(state.st_mode), content)
    return found


def wanted(entries: list[Entry]) -> dict[bytes, tuple[object, ...]]:
    files = {entry.path: entry for entry in entries}
    types = {"file": stat.S_IFREG, "hardlink": stat.S_IFREG, "dir": stat.S_IFDIR, "symlink": stat.S_IFLNK}
    found: dict[bytes, tuple[object, ...]] = {}
    for entry in entries:
        file = files[TreePath(entry.target)] if entry.kind == "hardlink" else entry
        links = 1 + sum(other.kind == "hardlink" and other.target == file.path for other in entries)
        content: object = None
        if entry.kind == "symlink":
            content = entry.target
        elif file.kind == "file":
            content = (bytes(file.content), file.mtime, links)
        found[bytes(entry.path)] = (types[entry.kind], entry.mode, content)
    return found


PACKAGES = {"bsdtar": "libarchive-tools"}


def program(name: str) -> str:
    """Return the path of a program that the tests need; a test that cannot run must not pass."""
    found = shutil.which(name)
    if found is None:
        pytest.fail(f"{name} is missing: apt-get install {PACKAGES.get(name, name)}")
    return found


def extracted(command: list[str], archive: Path, folder: Path) -> dict[bytes, tuple[object, ...]]:
    folder.mkdir()
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    subprocess.run([*command, str(archive), "-C", str(folder)], check=True, env=environment, stderr=subprocess.DEVNULL)
    return walked(folder)


@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
def test_other_tools_extract_the_tree_that_was_packed(tool: str, tmp_path: Path) -> None:
    archive = tmp_path / "a.tar"
    archive.write_bytes(packed(OURS))
    assert extracted([program(tool), "-xpf"], archive, tmp_path / "out") == wanted(OURS)


@pytest.mark.parametrize("tool", [["tar", "--zstd"], ["bsdtar"]])
def test_other_tools_extract_an_image(tool: list[str], tmp_path: Path) -> None:
    folders = [entry for entry in OURS if entry.kind == "dir"]
    others = [entry for entry in OURS if entry.kind != "dir"]
    layers = [
        pack_layer("directories", folders, 3),
        pack_layer("a-1.0.0", others[:2], 3),
        pack_layer("b", others[2:-1], 3),
    ]
    layers.append(pack_layer("template", [others[-1]], 3))
    image = tmp_path / "a.tar.zst"
    image.write_bytes(b"".join(image_pieces(layers, {})))
    program("zstd")
    assert extracted([program(tool[0]), *tool[1:], "-xpf"], image, tmp_path / "out") == wanted(OURS)


def test_bsdtar_extracts_the_initramfs_that_was_packed(tmp_path: Path) -> None:
    archive = tmp_path / "a.cpio"
    archive.write_bytes(b"".join(cpio_pieces(OURS)))
    assert extracted([program("bsdtar"), "-xpf"], archive, tmp_path / "out") == wanted(OURS)


@pytest.mark.parametrize("tool", ["tar", "bsdtar"])
@pytest.mark.parametrize("form", ["pax", "gnu", "ustar"])
def test_archives_of_other_tools_are_read(tool: str, form: str, tmp_path: Path) -> None:
    if (tool, form) == ("bsdtar", "gnu"):
        form = "gnutar"
    kept = [entry for entry in OURS if len(entry.path) <= 180 and entry.path != LONG and entry.target != LONG]
    kept = kept if form != "ustar" else [entry for entry in kept if len(entry.path) <= 90 and len(entry.target) <= 90]
    (tmp_path / "a.tar").write_bytes(packed(kept))
    folder = tmp_path / "out"
    before = extracted([program("tar"), "-xpf"], tmp_path / "a.tar", folder)
    options = ["--owner=0", "--group=0", "--sort=name"] if tool == "tar" else ["--uid=0", "--gid=0"]
    again = tmp_path / "b.tar"
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    command = [program(tool), f"--format={form}", *options, "-cf", str(again), "-C", str(folder), "."]
    subprocess.run(command, check=True, env=environment)
    entries = read_tar(again.read_bytes(), "b.tar")
    assert {bytes(entry.path) for entry in entries} == set(before)
    assert {bytes(entry.path): entry.mode for entry in entries if entry.kind != "symlink"} == {
        path: mode for path, (kind, mode, _) in before.items() if kind != stat.S_IFLNK
    }


# --- the form of what is written


def test_a_plain_entry_needs_no_extended_header() -> None:
    assert len(member_header(HARD[0])) == 512
    assert len(member_header(Entry(path=TreePath(LONG), kind="file", mode=0o644))) == 512
    assert len(member_header(Entry(path=TreePath("caf\u00e9".encode()), kind="file", mode=0o644))) == 512


@pytest.mark.parametrize(
    "entry",
    [
        Entry(path=TreePath(b"x" * 101), kind="file", mode=0o644),
        Entry(path=TreePath(b"\xff"), kind="file", mode=0o644),
        Entry(path=TreePath(b"a"), kind="symlink", mode=0o777, target=b"x" * 101),
        Entry(path=TreePath(b"a"), kind="file", mode=0o644, uid=0o10000000),
        Entry(path=TreePath(b"a"), kind="file", mode=0o644, mtime=-1),
        Entry(path=TreePath(b"a"), kind="file", mode=0o644, xattrs=((b"user.a", b"1"),)),
    ],
)
def test_what_ustar_cannot_say_gets_an_extended_header(entry: Entry) -> None:
    header = member_header(entry)
    assert header[156:157] == b"x"
    assert read_tar(header + TAR_END, "a.tar") == [entry]


def test_a_name_that_is_not_utf8_is_said_to_be_binary_before_it_is_given() -> None:
    header = member_header(Entry(path=TreePath(b"\xff"), kind="symlink", mode=0o777, target=b"\xfe"))
    assert header[512:].startswith(b"21 hdrcharset=BINARY\n9 path=\xff\n14 linkpath=\xfe\n")


def test_a_file_of_more_than_8_gib_has_its_size_in_the_extended_header() -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 1 << 34

    header = member_header(Entry(path=TreePath(b"a"), kind="file", mode=0o644, content=Huge()))
    assert header[512:].startswith(b"20 size=17179869184\n")
    assert header[1024 + 124 : 1024 + 136] == b"00000000000\0"


@pytest.mark.parametrize(
    "entry",
    [
        Entry(path=TreePath(b"a"), kind="file", mode=0o644, xattrs=((b"user.a=b", b"1"),)),
        Entry(path=TreePath(b"a"), kind="char", mode=0o644, rdev=(1, 1 << 30)),
    ],
)
def test_what_tar_cannot_say_is_an_error(entry: Entry) -> None:
    with pytest.raises(Malformed, match="a: tar cannot keep"):
        member_header(entry)


@pytest.mark.parametrize("bent", [{"mode": 0o10000}, {"mode": -1}, {"uid": -1}, {"gid": -1}])
def test_what_is_no_entry_is_our_bug(bent: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="no mode or owner"):
        member_header(replace(HARD[0], **bent))
