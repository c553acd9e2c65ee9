"""Read a Debian package as the contents of a star: its entries, its licence, and the names of its scripts."""

from __future__ import annotations

from cosmos.debian.apt import AptRecord
from cosmos.debian.copyright import licence_of, unknown_licence
from cosmos.debian.deb import DebPackage, read_deb
from cosmos.model.star import DEBIAN, Origin
from cosmos.tree.ecosystem import Contents
from cosmos.treepath import TreePath


def contents_of(data: bytes, record: AptRecord) -> Contents:
    """Return the contents of the package `data`; raises `Refused` or `Malformed`, which name the package's file."""
    package = read_deb(data, record.file_name)
    return Contents(entries=package.entries, licence=_licence(package), scripts=package.scripts, budget=package.budget)


def origin_of(record: AptRecord) -> Origin:
    """Return the origin of a star made of this package."""
    return Origin(ecosystem=DEBIAN, name=record.name, version=record.version, digest=record.digest)


def _licence(package: DebPackage) -> str:
    """Return the package's licence, or a reference to its own copyright file if that is in another package."""
    path = TreePath(b"usr/share/doc/" + package.name.encode() + b"/copyright")
    files = {entry.path: entry for entry in package.entries}
    entry = files.get(path)
    if entry is not None and entry.kind == "hardlink":
        entry = files[TreePath(entry.target)]
    if entry is None or entry.kind != "file":
        return unknown_licence(package.name)
    return licence_of(bytes(entry.content), package.name) or unknown_licence(package.name)
