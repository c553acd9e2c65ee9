"""Debian's essential packages, which every package may use without a dependency (Debian Policy 3.8): `/bin/sh`.

A star depends only on the packages that its package names. `import-deb --with-essential` imports the essential packages
as well, and makes the nebula `debian-essential` that depends on them, so that an image wishes for one name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from cosmos.debian.apt import AptRecord
from cosmos.errors import NoSolution
from cosmos.model.constraint import ANY_VERSION
from cosmos.model.names import StarName
from cosmos.model.star import Star
from cosmos.model.version import DebianVersion

NEBULA: Final = StarName("debian-essential")
_VERSION_OF: Final = "base-files"  # Debian's release stands in its version: 12.4+deb12u12


def essential_nebula(names: Iterable[str], records: Mapping[str, AptRecord]) -> Star:
    """Return the star that depends on each of `names`; raises `NoSolution` if the archive has no such packages."""
    found = records.get(_VERSION_OF)
    if found is None:
        raise NoSolution("--with-essential", f"the host's sources have no essential package {_VERSION_OF}")
    star = Star(
        name=NEBULA,
        version=DebianVersion.of(found.version),
        type="nebula",
        description="what every Debian system has, and packages use without saying so",
        dependencies={StarName.parse(name): ANY_VERSION for name in sorted(names)},
    )
    return replace(star, source=star.archive_source)
