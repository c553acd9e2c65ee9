"""The other programs of cold_bench, which get the same packages of Debian: what to prepare for each, and its words.

    mmdebstrap  its variant `extract`, which unpacks and no more, of the packages as Debian packs them (xz), and packed
                again with zstd
    mkosi       an image of the packages, with no network: version 14, which Debian 12 has, as root. It installs the
                packages, their scripts too, and some more that it insists on. Other versions take other options
    dpkg-deb    unpacks the packages; then `tar --sort=name | zstd -T0` packs the tree

A program that is not there has no row.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bench.telling import silently

_MKOSI: Final = "mkosi 14"
_MKOSI_INSISTS_ON: Final = (
    *("apt", "libapt-pkg6.0", "ca-certificates", "openssl", "debian-archive-keyring", "tzdata", "usr-is-merged"),
    *("systemd-sysv", "systemd-resolved", "libpam-systemd", "dbus", "dbus-bin", "dbus-daemon", "libdbus-1-3"),
    *("dbus-session-bus-common", "dbus-system-bus-common"),
)
_UNPACK: Final = 'for deb; do dpkg-deb -x "$deb" .; done'
_PACK: Final = "tar --sort=name -c . | zstd -q -T0 -{level} > /dev/null"
_HASH: Final = 'for deb; do sha256sum "$deb"; dpkg-deb -x "$deb" .; done; find . -type f -print0 | xargs -0 sha256sum'


@dataclass(frozen=True, slots=True)
class Work:
    """A program with its words, and the folder that it runs in; None for one that does not matter."""

    words: list[str]
    folder: str | None = None


def unpacked_and_hashed(debs: Iterable[str], room: str) -> Work:
    """Return what `stellar import-deb` is held against, in the empty folder `room`."""
    return Work(["sh", "-c", f"{{ {_HASH}; }} > /dev/null", "sh", *debs], room)


def unpacked_and_packed(debs: Iterable[str], room: str, level: str) -> Work:
    """Return dpkg-deb and then tar with zstd, in the empty folder `room`."""
    return Work(["sh", "-c", f"{_UNPACK}; {_PACK.format(level=level)}", "sh", *debs], room)


def has_mmdebstrap() -> bool:
    """Return whether mmdebstrap is there."""
    return shutil.which("mmdebstrap") is not None


def has_mkosi() -> bool:
    """Return whether mkosi runs here: the version whose options are known, on a Debian, as root."""
    if os.geteuid() != 0 or not _release() or not all(map(shutil.which, ("mkosi", "debootstrap"))):
        return False
    said = subprocess.run(["mkosi", "--version"], capture_output=True, text=True, check=False).stdout
    return said.strip() == _MKOSI


def mmdebstrap(data: Path, debs: list[str], packed: str) -> Work:
    """Return mmdebstrap of packages that are `packed` so: "xz" as they are, "zstd" packed again."""
    folder = data / ("repository" if packed == "xz" else f"repository-{packed}")
    if not folder.is_dir():
        folder.mkdir()
        of = debs if packed == "xz" else _packed_again(data, debs, packed)
        (folder / "Packages").write_text(_listed(of, folder, "./"))
    mode = "--mode=root" if os.geteuid() == 0 else "--mode=unshare"
    words = ["mmdebstrap", "--variant=extract", mode, "--format=null", f"--include={','.join(_names(folder))}"]
    return Work([*words, "stable", "/dev/null", f"deb [trusted=yes] copy:{folder} ./"])


def mkosi(data: Path, debs: list[str], room: str, level: str) -> Work:
    """Return mkosi of the packages and of those that it insists on, which apt fetches once; in the folder `room`."""
    folder, release = data / "repository-mkosi", _release()
    lists = folder / "dists" / release / "main" / "binary-amd64"
    if not folder.is_dir():
        _write_archive(folder, lists, release, [*debs, *_fetched(data)])
    words = ["mkosi", "--distribution=debian", f"--release={release}", f"--local-mirror=file://{folder}"]
    words += ["--repository-key-check=no", "--with-network=never", "--bootable=no", "--with-docs=yes", "--format=tar"]
    words += [f"--package={','.join(_names(lists))}", "--compress-output=zstd", "--output=image", "--force", "build"]
    return Work(["env", f"ZSTD_CLEVEL={level}", *words], room)


def _release() -> str:
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def _names(lists: Path) -> list[str]:
    """Return the names of the packages that the list in a folder has."""
    lines = (lists / "Packages").read_text().splitlines()
    return sorted(line.removeprefix("Package: ") for line in lines if line.startswith("Package: "))


def _packed_again(data: Path, debs: list[str], packed: str) -> list[str]:
    """Return the packages, packed by dpkg-deb with another compression."""
    folder = data / f"packages-{packed}"
    folder.mkdir(exist_ok=True)
    for deb in debs:
        with tempfile.TemporaryDirectory(dir=data) as room:
            silently("dpkg-deb", "--raw-extract", deb, f"{room}/x")
            silently("dpkg-deb", f"-Z{packed}", "--build", f"{room}/x", folder / Path(deb).name)
    return sorted(map(str, folder.glob("*.deb")))


def _fetched(data: Path) -> list[str]:
    folder = data / "packages-mkosi"
    folder.mkdir(exist_ok=True)
    silently("apt-get", "-qq", "download", *_MKOSI_INSISTS_ON, cwd=folder)
    return sorted(map(str, folder.glob("*.deb")))


def _write_archive(folder: Path, lists: Path, release: str, debs: list[str]) -> None:
    """Write an archive of Debian that debootstrap takes: packages, one list, and a Release that nobody signs."""
    (folder / "pool").mkdir(parents=True)
    lists.mkdir(parents=True)
    listed = _listed(debs, folder / "pool", "pool/").encode()
    (lists / "Packages").write_bytes(listed)
    head = f"Suite: stable\nCodename: {release}\nArchitectures: amd64\nComponents: main\n"
    row = f" {hashlib.sha256(listed).hexdigest()} {len(listed)} main/binary-amd64/Packages\n"
    (folder / "dists" / release / "Release").write_text(f"{head}SHA256:\n{row}")


def _listed(debs: Iterable[str], folder: Path, prefix: str) -> str:
    """Copy the packages into `folder`, and return the list that names them, each package once."""
    records: dict[str, str] = {}
    for deb in debs:
        said = subprocess.run(["dpkg-deb", "-f", deb], capture_output=True, text=True, check=True).stdout
        package = next(line for line in said.splitlines() if line.startswith("Package: "))
        if package in records:
            continue
        name = Path(deb).name  # its digest
        shutil.copyfile(deb, folder / name)
        data = Path(deb).read_bytes()
        digest = hashlib.sha256(data).hexdigest()
        records[package] = f"{said}Filename: {prefix}{name}\nSize: {len(data)}\nSHA256: {digest}\n"
    return "".join(f"{record}\n" for record in records.values())
