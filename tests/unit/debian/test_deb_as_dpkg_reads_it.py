"""Packages that dpkg takes and a star's own archive may not be: each is read to what dpkg-deb lays."""

from __future__ import annotations

import io
import os
import shutil
import stat
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from cosmos.debian.deb import read_deb
from cosmos.errors import Refused
from cosmos.model.names import StarName
from cosmos.model.star import Star
from cosmos.model.version import Version
from cosmos.pack.star_archive import read_star, write_star
from cosmos.pack.untar import read_tar
from cosmos.tree.entry import Entry
from fakes.debs import MTIME, ar, control_text, tar

CONTROL = tar({"control": control_text("odd").encode()})
Row = tuple[str, str, int, bytes]  # path, kind, mode, a file's bytes or a link's target


def info(name: str, kind: bytes = tarfile.REGTYPE, *, content: bytes = b"", **fields: object) -> tuple:
    made = tarfile.TarInfo(name)
    made.type, made.mtime, made.size = kind, MTIME, len(content)
    made.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for field, value in fields.items():
        setattr(made, field, value)
    return made, content


def packed(*members: tuple, form: int = tarfile.GNU_FORMAT) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as out:
        for made, content in members:
            out.addfile(made, io.BytesIO(content))
    return stream.getvalue()


def v7(data: bytes) -> bytes:
    """Return an archive with the headers that tar had before ustar: no magic, folders told by their slash alone."""
    out = bytearray()
    while any(block := bytearray(data[len(out) : len(out) + 512])):
        size = int(block[124:135], 8)
        block[257:] = bytes(72) + b"0000000\0" * 2 + bytes(167)  # device numbers as GNU tar --format=v7 has them
        if block[156:157] == tarfile.DIRTYPE:
            name = block[:100].rstrip(b"\0").removesuffix(b"/") + b"/"
            block[:100], block[156:157] = name.ljust(100, b"\0"), b"\0"
        block[148:156] = b" " * 8
        block[148:156] = b"%06o\0 " % sum(block)
        out += block + data[len(out) + 512 : len(out) + 512 + size + -size % 512]
    return bytes(out) + bytes(1024)


FOLDER = info("./usr/", tarfile.DIRTYPE)
ONE = info("./usr/f", content=b"one")
ODD: dict[str, tuple[bytes, list[Row]]] = {
    "a folder given twice: the last one's mode holds": (
        packed(FOLDER, ONE, info("./usr/", tarfile.DIRTYPE, mode=0o700), info("./usr/g", content=b"two")),
        [("usr", "dir", 0o700, b""), ("usr/f", "file", 0o644, b"one"), ("usr/g", "file", 0o644, b"two")],
    ),
    "the root given twice": (
        packed(info("./", tarfile.DIRTYPE), FOLDER, info("./", tarfile.DIRTYPE), ONE),
        [("usr", "dir", 0o755, b""), ("usr/f", "file", 0o644, b"one")],
    ),
    "a hard link to a symlink is a second symlink": (
        packed(
            FOLDER,
            info("./usr/s", tarfile.SYMTYPE, linkname="f", mode=0o777),
            info("./t", tarfile.LNKTYPE, linkname="./usr/s"),
            info("./u", tarfile.LNKTYPE, linkname="./t"),
        ),
        [("usr", "dir", 0o755, b""), *((path, "symlink", 0o777, b"f") for path in ("usr/s", "t", "u"))],
    ),
    "names that begin with a slash, and doubled slashes": (
        packed(
            info("/usr/", tarfile.DIRTYPE),
            info("//usr//f", content=b"one"),
            info(".//usr//g", content=b"two"),
            info("./usr/h", tarfile.LNKTYPE, linkname="/usr//f"),
        ),
        [
            ("usr", "dir", 0o755, b""),
            ("usr/f", "file", 0o644, b"one"),
            ("usr/g", "file", 0o644, b"two"),
            ("usr/h", "hardlink", 0o644, b"one"),
        ],
    ),
    "headers of the first tar": (
        v7(packed(FOLDER, ONE)),
        [("usr", "dir", 0o755, b""), ("usr/f", "file", 0o644, b"one")],
    ),
    "an end of one block": (
        packed(FOLDER, ONE)[: 512 * 4],
        [("usr", "dir", 0o755, b""), ("usr/f", "file", 0o644, b"one")],
    ),
}


def deb(data: bytes) -> bytes:
    return ar([("debian-binary", b"2.0\n"), ("control.tar", CONTROL), ("data.tar", data)])


def rows(entries: tuple[Entry, ...]) -> list[Row]:
    files = {bytes(entry.path): bytes(entry.content) for entry in entries}
    return [
        (
            entry.path.text,
            entry.kind,
            entry.mode,
            files[entry.target] if entry.kind == "hardlink" else entry.target or files[entry.path],
        )
        for entry in entries
    ]


def laid(root: Path) -> list[Row]:
    """What dpkg-deb laid; it cannot tell a file from its hard links."""
    found: list[Row] = []
    for path in sorted(root.rglob("*")):
        status, name = path.lstat(), str(path.relative_to(root))
        mode = stat.S_IMODE(status.st_mode)
        if path.is_symlink():
            found.append((name, "symlink", mode, os.fsencode(path.readlink())))
        elif path.is_dir():
            found.append((name, "dir", mode, b""))
        else:
            found.append((name, "file", mode, path.read_bytes()))
    return found


@pytest.mark.parametrize("case", ODD)
def test_what_dpkg_takes_is_read_to_one_meaning_and_makes_a_star(case: str) -> None:
    data, wanted = ODD[case]
    entries = read_deb(deb(data), "odd.deb").entries
    assert rows(entries) == wanted
    star = Star(name=StarName("odd"), version=Version.parse("1.0.0"))
    archive = write_star(star, None, entries, level=1)
    files = read_star(archive.data, "odd-1.0.0.tar.zst", archive.unpacked_bytes, script_name="").files
    assert sorted(rows(tuple(files.values()))) == sorted(wanted)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="compares with dpkg-deb, where there is one")
@pytest.mark.parametrize("case", ODD)
def test_dpkg_deb_lays_the_same(case: str, tmp_path: Path) -> None:
    data, wanted = ODD[case]
    (tmp_path / "odd.deb").write_bytes(deb(data))
    subprocess.run(["dpkg-deb", "-x", tmp_path / "odd.deb", tmp_path / "root"], check=True, capture_output=True)
    kinds = {"hardlink": "file"}
    assert laid(tmp_path / "root") == sorted(
        (path, kinds.get(kind, kind), mode, what) for path, kind, mode, what in wanted
    )


@pytest.mark.parametrize("case", ODD)
def test_a_star_s_own_archive_may_not_be_so(case: str) -> None:
    with pytest.raises(Refused):
        read_tar(ODD[case][0], "odd-1.0.0.tar.zst")


@pytest.mark.parametrize(
    ("fields", "of", "wanted"),
    [
        ({"uid": 1000240000, "gid": 1000240001}, lambda entry: (entry.uid, entry.gid), (1000240000, 1000240001)),
        ({"uid": (1 << 32) - 2}, lambda entry: (entry.uid, entry.gid), ((1 << 32) - 2, 0)),
        ({"mtime": -5}, lambda entry: entry.mtime, -5),
        ({"mtime": 1 << 34}, lambda entry: entry.mtime, 1 << 34),
    ],
)
def test_numbers_too_large_for_octal_are_read_as_gnu_tar_writes_them(
    fields: dict[str, int], of: Callable[[Entry], object], wanted: object
) -> None:
    data = packed(info("usr/f", content=b"one", **fields))
    assert {block[0] for start in (108, 116, 136) if (block := data[start : start + 1])[0] >= 0x80}, "it is base-256"
    (entry,) = read_deb(deb(data), "odd.deb").entries
    assert (of(entry), bytes(entry.content)) == (wanted, b"one")
    with pytest.raises(Refused, match="not octal"):
        read_tar(data, "odd-1.0.0.tar.zst")


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (packed(FOLDER, ONE, ONE), "usr/f: is there twice"),
        (packed(info("./dev/x", tarfile.CHRTYPE)), "is a device node or FIFO"),
        (packed(info("./usr/p", tarfile.FIFOTYPE)), "is a device node or FIFO"),
        (packed(info("./usr/l", tarfile.SYMTYPE, linkname="../../etc/passwd")), "climbs above the root"),
        (packed(info("./usr/a\u202eb")), "bidirectional"),
        (packed(info("./usr/\u00e9"), info("./usr/e\u0301")), "only by Unicode form"),
        (packed(info("./" + "d/" * 70 + "f")), "70 components, the limit is 64"),
        (packed(info("./" + "/".join(["d" * 50] * 22))), "the limit is 1024"),
        (packed(FOLDER, ONE)[: 512 * 3], "is cut off"),
        (
            packed(info("f", pax_headers={"SCHILY.acl.access": "user::rw-"}), form=tarfile.PAX_FORMAT),
            "unknown pax keyword: SCHILY.acl.access",
        ),
    ],
)
def test_what_stays_refused_though_dpkg_takes_it(data: bytes, said: str) -> None:
    """Each has its reason in docs/formats/deb.md."""
    with pytest.raises(Refused, match=said):
        read_deb(deb(data), "odd.deb")
