"""Star archives: written the same each time, and upstream's read."""

from __future__ import annotations

import gzip
import io
import tarfile
from dataclasses import replace

import pytest

from cosmos.errors import Malformed
from cosmos.model.names import StarName
from cosmos.model.star import Star
from cosmos.model.version import Version
from cosmos.pack.star_archive import read_star, write_star
from cosmos.tree.entry import Entry
from cosmos.treepath import TreePath

STAR = Star(name=StarName("nano"), version=Version.parse("7.2.0"), install_script="install.lua")
SCRIPT = b"function install() copy('usr/bin/nano', '/usr/bin/nano') end\n"
FILES = [
    Entry(path=TreePath(b"usr"), kind="dir", mode=0o755, mtime=5),
    Entry(path=TreePath(b"usr/bin"), kind="dir", mode=0o755, mtime=5),
    Entry(path=TreePath(b"usr/bin/nano"), kind="file", mode=0o4755, uid=1, gid=2, mtime=5, content=b"ELF"),
    Entry(path=TreePath(b"usr/bin/rnano"), kind="symlink", mode=0o777, mtime=5, target=b"nano"),
    Entry(path=TreePath(b"usr/bin/edit"), kind="hardlink", mode=0o4755, uid=1, gid=2, mtime=5, target=b"usr/bin/nano"),
]


def test_what_is_written_comes_back() -> None:
    packed = write_star(STAR, SCRIPT, FILES, level=3)
    contents = read_star(packed.data, "packages/nano-7.2.0.tar.zst", packed.unpacked_bytes)
    assert Star.parse(contents.manifest, "star.toml") == STAR
    assert contents.script == SCRIPT
    assert contents.files == {entry.path: entry for entry in FILES}
    assert set(contents.beside) == {b"star.toml", b"install.lua"}


@pytest.mark.objective("SO-24")
def test_the_order_of_files_does_not_move_a_byte() -> None:
    assert write_star(STAR, SCRIPT, reversed(FILES), level=3) == write_star(STAR, SCRIPT, iter(FILES), level=3)


def test_a_nebula_holds_its_manifest_alone() -> None:
    packed = write_star(replace(STAR, type="nebula", install_script=""), None, [], level=3)
    contents = read_star(packed.data, "nano-7.2.0.tar.zst", packed.unpacked_bytes, script_name="")
    assert (contents.script, contents.files, list(contents.beside)) == (None, {}, [b"star.toml"])


@pytest.mark.parametrize("prefix", ["", "./"])
def test_an_archive_of_upstream_is_read(prefix: str) -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, content in {"install.sh": b"#!/bin/sh\n", "nano": b"ELF", "files/etc/nanorc": b"set"}.items():
            member = tarfile.TarInfo(prefix + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    tar = stream.getvalue()
    contents = read_star(gzip.compress(tar), "nano-7.2.0.tar.gz", len(tar), script_name="install.sh")
    assert (contents.manifest, contents.script) == (b"", b"#!/bin/sh\n")
    assert {path: bytes(entry.content) for path, entry in contents.files.items()} == {b"etc/nanorc": b"set"}
    assert set(contents.beside) == {b"install.sh", b"nano"}


def test_a_script_under_another_name_is_not_the_script() -> None:
    packed = write_star(STAR, SCRIPT, FILES, level=3)
    contents = read_star(packed.data, "a.tar.zst", packed.unpacked_bytes, script_name="other.lua")
    assert contents.script is None


@pytest.mark.parametrize(
    ("star", "script", "message"),
    [
        (STAR, None, "the script is missing"),
        (replace(STAR, install_script=""), SCRIPT, "there is a script"),
        (replace(STAR, install_script="../install.lua"), SCRIPT, "install_script"),
        (replace(STAR, install_script="files/install.lua"), SCRIPT, "want a name beside files/"),
    ],
)
def test_script_and_manifest_must_fit_together(star: Star, script: bytes | None, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        write_star(star, script, FILES, level=3)


def test_a_star_may_hold_names_that_differ_by_case_alone() -> None:
    names = (b"usr/Net/a", b"usr/net/a", b"usr/net/xt_DSCP.ko", b"usr/net/xt_dscp.ko")
    twins = [Entry(path=TreePath(name), kind="file", mode=0o644, content=name) for name in names]
    packed = write_star(STAR, SCRIPT, twins, level=3)
    assert list(read_star(packed.data, "a.tar.zst", packed.unpacked_bytes).files.values()) == twins
