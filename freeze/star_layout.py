"""The star `cosmos`: stars/cosmos, with the binary in it."""

from __future__ import annotations

import hashlib
import json
import platform
import re
import shutil
from pathlib import Path

from places import Places, sha256

STAR_PROGRAM = Path("files/usr/bin/cosmos")


def lay_out_star(places: Places) -> None:
    """Write stars/cosmos with the binary in it. Modes are set, not inherited from a umask."""
    shutil.rmtree(places.star, ignore_errors=True)
    shutil.copytree(places.root / "stars" / "cosmos", places.star, symlinks=True)
    manifest = places.star / "star.toml"
    floor = json.loads(places.contents.read_text())["glibc"]
    manifest.write_text(for_this_machine(manifest.read_text(), glibc=floor, arch=platform.machine()))
    program = places.star / STAR_PROGRAM
    program.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(places.binary, program)
    for path in (places.star, *places.star.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path == program else 0o644)
    (places.work / "star.sha256").write_text(star_digest(places, sha256(places.binary)))


def for_this_machine(manifest: str, *, glibc: str, arch: str) -> str:
    """Return the star's manifest with the glibc and the architecture that the binary was built for.

    >>> for_this_machine('arch = "x86_64"\\nglibc-runtime = ">=2.36"\\n', glibc="2.39", arch="aarch64")
    'arch = "aarch64"\\nglibc-runtime = ">=2.39"\\n'
    """
    manifest = re.sub(r'(?m)^arch = "[^"]*"', f'arch = "{arch}"', manifest)
    return re.sub(r'(?m)^glibc-runtime = "[^"]*"', f'glibc-runtime = ">={glibc}"', manifest)


def star_digest(places: Places, binary: str) -> str:
    """Return the digest of the star's source files and of the binary's digest."""
    parts = [
        f"{path.relative_to(places.root)} {sha256(path)}"
        for path in sorted((places.root / "stars" / "cosmos").rglob("*.*"))
    ]
    return hashlib.sha256("\n".join([*parts, binary]).encode()).hexdigest()


def star_is_current(places: Places) -> bool:
    """Return whether the star's folder holds this binary and this recipe."""
    try:
        binary = sha256(places.binary)
        said = (places.work / "star.sha256").read_text()
        return said == star_digest(places, binary) and sha256(places.star / STAR_PROGRAM) == binary
    except OSError:
        return False
