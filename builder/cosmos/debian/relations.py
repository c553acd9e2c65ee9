"""A Debian package's relations to other packages (Debian Policy 7), for a system of one architecture.

`Pre-Depends` and `Depends` count the same; recommendations do not count. `Conflicts` and `Breaks` count the same,
because an image has no half-installed packages. A relation of a package to itself is left out. A conflict with packages
of other architectures (`libc6-x32:i386`) is left out, because the system has none. `Priority` decides only which
provider `--closure` prefers. `Multi-Arch` decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

from cosmos.debian.apt import AptRecord
from cosmos.debian.deb822 import Relation, listed, relations

Group: TypeAlias = tuple[Relation, ...]  # alternatives, the preferred first


def needed(record: AptRecord, architecture: str) -> Iterator[Group]:
    """Yield the groups of which one alternative must be there; raises `Malformed`.

    A group that the package satisfies by itself is left out. A group that only packages of other architectures could
    satisfy is kept, and cannot be satisfied.
    """
    for group in _groups(record, architecture, "pre-depends", "depends"):
        if not any(answers(record, one, architecture) for one in group):
            yield tuple(one for one in group if one.is_on(architecture)) or group


def provided(record: AptRecord, architecture: str) -> dict[str, tuple[str | None, ...]]:
    """Return the names that the package answers to besides its own, each with its versions; None: without a version."""
    found: dict[str, dict[str | None, None]] = {}
    for one in _each(record, architecture, "provides"):
        if one.operator in (None, "="):  # Policy 7.5: no other means anything
            found.setdefault(one.name, {})[one.version or None] = None
    return {name: tuple(versions) for name, versions in found.items()}


def barred(record: AptRecord, architecture: str) -> Iterator[Relation]:
    """Yield the packages that the package cannot be installed beside."""
    return _each(record, architecture, "conflicts", "breaks")


def replaced(record: AptRecord, architecture: str) -> Iterator[Relation]:
    """Yield the packages whose files the package may overwrite (Policy 7.6.1)."""
    return _each(record, architecture, "replaces")


def answers(record: AptRecord, wanted: Relation, architecture: str) -> bool:
    """Return whether the package satisfies `wanted`, by its own name or by one that it provides.

    A name that is provided without a version satisfies no relation with a version (Policy 7.5).
    """
    if not wanted.is_on(architecture):
        return False
    if wanted.name == record.name and wanted.allows(record.version):
        return True
    return any(wanted.allows(version) for version in provided(record, architecture).get(wanted.name, ()))


def _each(record: AptRecord, architecture: str, *fields: str) -> Iterator[Relation]:
    for group in _groups(record, architecture, *fields):
        yield from (one for one in group if one.name != record.name and one.is_on(architecture))


def _groups(record: AptRecord, architecture: str, *fields: str) -> tuple[Group, ...]:
    return relations(listed(record.fields, *fields), record.file_name, architecture=architecture)
