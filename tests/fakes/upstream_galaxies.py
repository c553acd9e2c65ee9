"""An unsigned galaxy as upstream's own tools write it, file by file, without this project's code.

folder = write_upstream(tmp_path / "example")
"""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
from collections.abc import Mapping
from pathlib import Path

INDEX = """\
name = "example"
description = "Example galaxy"
version = "2025.04"
homepage = "https://galaxy.example"

[stars]
core-stack = "1.0.0"
hello = "1.0.0"
old-stack = "2.1.0"
words = "0.3.0"
shelly = "1.0.0"

[checksums]
"""
AUTHORS = '\n[authors]\nAnn = "ann@example.org"\n'
STARS = {
    "core-stack": 'name = "core-stack"\nversion = "1.0.0"\ntype = "nebula"\ndescription = "a base"\n'
    f'install_script = "install.lua"\n{AUTHORS}\n[dependencies]\nhello = "1.0.0"\n',
    "hello": 'name = "hello"\nversion = "1.0.0"\ntype = "normal"\ninstall_script = "install.lua"\nmood = "good"\n'
    f'source = "./packages/hello-1.0.0.tar.gz"\n{AUTHORS}\n[hooks]\nafter = "reboot"\n',
    "old-stack": f'name = "old-stack"\nversion = "2.1.0"\ntype = "meta"\n{AUTHORS}\n[dependencies]\nwords = ">=0.2"\n',
    "words": 'name = "words"\nversion = "0.3.0"\nlicense = "MIT"\nsource = "./packages/words-0.3.0.tar.gz"\n'
    f'{AUTHORS}\n[dependencies]\nhello = "*"\n',
    "shelly": 'name = "shelly"\nversion = "1.0.0"\ninstall_script = "./install.sh"\n'
    f'source = "./packages/shelly-1.0.0.tar.gz"\n{AUTHORS}',
}
ARCHIVES: dict[str, dict[str, bytes]] = {
    "hello-1.0.0": {  # an older archive of upstream: the files lie at its root
        "./bin/hello": b"#!/bin/sh\necho hello\n",
        "./install.lua": b'function install()\n  copy("bin/hello", "/usr/bin/hello")\nend\n',
    },
    "words-0.3.0": {"./files/usr/share/words": b"one\ntwo\n"},
    "shelly-1.0.0": {"./files/shelly": b"s", "./install.sh": b"#!/bin/sh\ncp files/shelly /usr/bin/shelly\n"},
}


def write_upstream(
    folder: Path,
    *,
    stars: Mapping[str, str] | None = None,
    archives: Mapping[str, Mapping[str, bytes]] | None = None,
    index: str = INDEX,
) -> Path:
    """Write an upstream galaxy into `folder`, and return it. The index lists the checksum of each archive."""
    for below in ("stars", "packages"):
        (folder / below).mkdir(parents=True, exist_ok=True)
    for name, text in (STARS if stars is None else stars).items():
        (folder / f"stars/{name}.toml").write_text(text)
    for stem, members in (ARCHIVES if archives is None else archives).items():
        data = upstream_archive(members)
        (folder / f"packages/{stem}.tar.gz").write_bytes(data)
        index += f'{stem.rpartition("-")[0]} = "{hashlib.sha256(data).hexdigest()}"\n'
    (folder / "meta.toml").write_text(index)
    return folder


def upstream_archive(members: Mapping[str, bytes]) -> bytes:
    """Return an archive as upstream packs it: the folder `.` first, all names below it, in gzip."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        top = tarfile.TarInfo("./")
        top.type, top.mode = tarfile.DIRTYPE, 0o755
        tar.addfile(top)
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size, member.mode = len(data), 0o755 if "/bin/" in name else 0o644
            tar.addfile(member, io.BytesIO(data))
    return gzip.compress(packed.getvalue(), mtime=0)
