"""Packages are read strictly: what dpkg would not have written is refused, and nothing grows past its bound."""

from __future__ import annotations

import bz2
import gzip
import lzma
import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from cosmos.debian.deb import read_deb
from cosmos.errors import CosmosError, Malformed, Refused
from cosmos.limits import Budget
from cosmos.pack import inflate
from cosmos.pack.inflate import inflated
from fakes.debs import MTIME, ar, control_text, lzma_alone, make_deb, tar

FILES = {"usr": None, "usr/bin": None, "usr/bin/hello": b"hello\n", "usr/bin/hi": "hello", "etc": None}
CONTROL = control_text("hello", depends="libc6 (>= 2.36)")
GOOD = make_deb(CONTROL, FILES, suffix="")


@pytest.mark.parametrize("suffix", ["", ".gz", ".xz", ".zst", ".bz2", ".lzma"])
def test_a_package_is_read_whatever_it_is_compressed_with(suffix: str) -> None:
    package = read_deb(make_deb(CONTROL, FILES, scripts=("postinst", "prerm"), suffix=suffix), "hello.deb")
    assert (package.name, package.control["depends"]) == ("hello", "libc6 (>= 2.36)")
    assert package.scripts == ("postinst", "prerm")
    rows = [(entry.path.text, entry.kind, entry.mode, entry.mtime) for entry in package.entries]
    assert rows == [
        ("usr", "dir", 0o755, MTIME),
        ("usr/bin", "dir", 0o755, MTIME),
        ("usr/bin/hello", "file", 0o755, MTIME),
        ("usr/bin/hi", "symlink", 0o777, MTIME),
        ("etc", "dir", 0o755, MTIME),
    ]
    assert bytes(package.entries[2].content) == b"hello\n"


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="compares with dpkg-deb, where there is one")
@pytest.mark.parametrize("compression", ["none", "gzip", "xz", "zstd"])
def test_what_dpkg_deb_writes_is_read(tmp_path: Path, compression: str) -> None:
    root = tmp_path / "root"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN").chmod(0o755)  # dpkg-deb demands that, whatever the umask is
    (root / "DEBIAN/control").write_text(CONTROL)
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/hello").write_bytes(b"x" * 100_000)
    long = "n" * 200
    (root / "usr" / long).write_text("long name\n")
    (root / "usr" / "hard").hardlink_to(root / "usr" / long)
    file = tmp_path / "hello.deb"
    argv = ["dpkg-deb", f"-Z{compression}", "--root-owner-group", "-b", str(root), str(file)]
    built = subprocess.run(argv, capture_output=True, text=True, check=False)
    if compression == "zstd" and "unknown compression" in built.stderr:
        return  # this dpkg cannot write it
    assert built.returncode == 0, built.stderr
    entries = {entry.path.text: entry for entry in read_deb(file.read_bytes(), "hello.deb").entries}
    assert {f"usr/{long}", "usr/hard", "usr/bin/hello"} <= entries.keys()
    assert sorted(entries[name].kind for name in ("usr/hard", f"usr/{long}")) == ["file", "hardlink"]


def members(control: bytes, data: bytes) -> list[tuple[str, bytes]]:
    return [("debian-binary", b"2.0\n"), ("control.tar", control), ("data.tar", data)]


PARTS = members(tar({"control": CONTROL.encode()}), tar(FILES))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "does not begin with"),
        (b"!<arch>\n", "want debian-binary, control.tar and data.tar, got nothing"),
        (ar(PARTS[:2]), "want debian-binary, control.tar and data.tar"),
        (ar([PARTS[1], PARTS[0], PARTS[2]]), "want debian-binary, control.tar and data.tar"),
        (ar([PARTS[0], PARTS[2], PARTS[1]]), "want control.tar or"),
        (ar([*PARTS[:2], ("extra", b"x"), PARTS[2]]), "want debian-binary"),
        (ar([*PARTS, PARTS[2]]), "is there twice"),
        (ar([*PARTS, ("data.tar.gz", gzip.compress(PARTS[2][1]))]), "want debian-binary"),
        (ar([*PARTS, ("control.tar.gz", gzip.compress(PARTS[1][1]))]), "want debian-binary"),
        (ar([("debian-binary", b"2.0"), *PARTS[1:]]), "want format 2.0"),
        (ar([("debian-binary", b"3.0\n"), *PARTS[1:]]), "want format 2.0"),
        (ar([*PARTS[:2], ("data.tar.lz4", b"")]), "want data.tar or data.tar.gz, .xz, .zst, .bz2, .lzma, got"),
        (ar([PARTS[0], ("control.tar.bz2", b""), PARTS[2]]), "want control.tar or control.tar.gz, .xz, .zst, got"),
        (ar([*PARTS[:2], ("data.tar.bz2", b"no bzip2 at all")]), "data.tar.bz2: is damaged"),
        (ar([*PARTS[:2], ("data.tar.lzma", b"no lzma at all")]), "data.tar.lzma: is damaged"),
        (ar([*PARTS[:2], ("data.tar.bz2", bz2.compress(PARTS[2][1])[:-9])]), "data.tar.bz2: is damaged: cut off"),
        (ar([*PARTS[:2], ("data.tar.lzma", lzma_alone(PARTS[2][1])[:-9])]), "data.tar.lzma: is damaged: cut off"),
        (ar([*PARTS[:2], ("data.tar.bz2", bz2.compress(PARTS[2][1]) * 2)]), "bytes follow its end"),
        (ar([*PARTS[:2], ("data.tar.lzma", lzma_alone(PARTS[2][1]) + b"x")]), "1 bytes follow its end"),
        (ar([*PARTS[:2], ("data.tar.xz", lzma.compress(PARTS[2][1]) + bytes(5))]), "5 bytes follow its end"),
        (ar([*PARTS[:2], ("data.tar.gz", gzip.compress(PARTS[2][1]) + b"\x1f\x8b\x08")]), "cut off"),
        (ar([*PARTS[:2], ("data.tar.xz", b"no xz at all")]), "data.tar.xz: is damaged"),
        (ar([*PARTS[:2], ("data.tar.gz", gzip.compress(PARTS[2][1])[:-9])]), "data.tar.gz: is damaged: cut off"),
        (ar([*PARTS[:2], ("data.tar.xz", lzma.compress(PARTS[2][1])[:-9])]), "data.tar.xz: is damaged"),
        (ar([*PARTS[:2], ("data.tar.gz", gzip.compress(PARTS[2][1]) + b"x")]), "1 bytes follow its end"),
        (ar([*PARTS[:2], ("data.tar.xz", lzma.compress(PARTS[2][1]) + b"more")]), "4 bytes follow its end"),
        (ar([*PARTS[:2], ("data.tar.zst", zstandard.compress(PARTS[2][1])[:-40])]), "is cut off"),
        (GOOD[:-1], "is cut off"),
        (GOOD + b"x", "is damaged at byte"),
        (GOOD.replace(b"`\n", b"`x", 1), "want a member's header"),
        (ar(members(tar({}), tar(FILES))), "has no control file"),
        (ar(members(tar({"control": b"Package: x\n"}), tar(FILES))), "its control file has no Version"),
    ],
)
def test_what_is_no_package_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(CosmosError, match=said):
        read_deb(data, "bad.deb")


@pytest.mark.parametrize(
    "parts",
    [
        [*PARTS, ("_gpgorigin", b"signature")],
        [PARTS[0], ("_one", b"1"), PARTS[1], ("_two", b"2"), PARTS[2]],
        [*PARTS, ("sig.asc", b"signature"), ("other", b"x")],
        [("debian-binary", b"2.1\nmore\n"), *PARTS[1:]],
    ],
)
def test_members_and_lines_that_deb_5_says_to_pass_over_are_passed_over(parts: list[tuple[str, bytes]]) -> None:
    package = read_deb(ar(parts), "x.deb")
    assert (package.name, len(package.entries)) == ("hello", len(FILES))


def test_a_control_file_that_says_a_thing_twice_is_malformed() -> None:
    with pytest.raises(Malformed, match="the field Package is there twice"):
        read_deb(make_deb(CONTROL + "Package: other\n", {}), "x.deb")


def test_a_device_node_in_a_package_is_refused() -> None:
    node = tarfile.TarInfo("./dev/null")
    node.type, node.devmajor, node.devminor = tarfile.CHRTYPE, 1, 3
    with pytest.raises(Refused, match="dev/null: is a device node"):
        read_deb(make_deb(CONTROL, {"dev": None, "dev/null": node}), "x.deb")


@pytest.mark.parametrize("name", ["../../etc/passwd", "/../etc/passwd", "usr/../../x"])
def test_a_path_that_leaves_the_package_is_refused(name: str) -> None:
    info = tarfile.TarInfo(name)
    with pytest.raises(Refused):
        read_deb(make_deb(CONTROL, {"x": info}), "x.deb")


@given(st.integers(0, len(GOOD) - 1), st.integers(1, 255))
@settings(max_examples=200, deadline=None)
def test_a_changed_byte_is_an_error_of_ours_or_another_package(place: int, flip: int) -> None:
    data = bytearray(GOOD)
    data[place] ^= flip
    try:
        read_deb(bytes(data), "changed.deb")
    except CosmosError as error:
        assert str(error)


def test_gzip_members_one_after_another_are_one_content(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = [b"a" * 3_000_000, b"", b"b", bytes(range(256)) * 9000]
    packed = b"".join(map(gzip.compress, parts))
    assert bytes(inflated(packed, ".gz", Budget(1 << 30), "x")) == b"".join(parts)
    monkeypatch.setattr(inflate, "MAX_GZIP_MEMBERS", 3)
    with pytest.raises(Refused, match="more than 3 gzip members"):
        inflated(packed, ".gz", Budget(1 << 30), "x")


def test_the_padding_of_an_xz_stream_is_no_part_of_it() -> None:
    assert bytes(inflated(lzma.compress(b"abc") + bytes(8), ".xz", Budget(3), "x")) == b"abc"


def test_what_is_inflated_is_exact() -> None:
    assert bytes(inflated(gzip.compress(b"abc"), ".gz", Budget(3), "x")) == b"abc"
    with pytest.raises(Refused):
        inflated(gzip.compress(b"abcd"), ".gz", Budget(3), "x")
