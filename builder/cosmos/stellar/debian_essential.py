"""Debian's essential packages: what every package may use without saying so (Debian Policy 3.8), such as `/bin/sh`.

A star depends on what its package names, and on nothing else. `import-deb --with-essential` imports these packages too,
and makes a nebula of them, `debian-essential`, so that an image wishes for one name.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from cosmos.errors import NoSolution
from cosmos.model.constraint import ANY_VERSION
from cosmos.model.demand import Demand
from cosmos.model.names import StarName
from cosmos.model.star import Star
from cosmos.model.version import DebianVersion
from cosmos.pack.star_archive import write_star
from cosmos.stellar.answered import Answers
from cosmos.stellar.build_star import BuiltStar, archive_source
from cosmos.transport.apt import AptRecord

NEBULA: Final = StarName("debian-essential")
_VERSION_OF: Final = "base-files"  # Debian's release stands in its version: 12.4+deb12u12


def essential_nebula(names: Iterable[str], records: Mapping[str, AptRecord], level: int) -> BuiltStar:
    """Return the star that depends on each of `names`; raises `NoSolution` for an archive that has none."""
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
    star = replace(star, source=archive_source(star))
    return BuiltStar(manifest=star, packed=write_star(star, None, (), level=level), script=None, entries=(), unrun=())


def assumed(names: Iterable[str], answers: Answers) -> tuple[str, ...]:
    """Return those of the essential packages `names` that no star at hand answers for."""
    return tuple(name for name in sorted(names) if not answers.has(Demand(StarName.parse(name))))
