"""Translate one Debian package into a star's manifest.

A manifest depends only on its package's control data, not on other packages that are imported or available. So the same
package is the same star everywhere, and to import one more package never changes another star.

    the package says                        the star says
    Version: 1:2.3-4                        version = "1:2.3-4", version-scheme = "debian"
    Depends, Pre-Depends: a (>= 1-2)        [dependencies] a = ">=1-2"; several ranges of one name joined by commas
                          a | b (>= 2)      any-of = ["a | b >=2"], in the order in which it is written
    Provides: v, w (= 3)                    provides = { v = "", w = "3" }
    Conflicts, Breaks: c (<< 4-5)           conflicts = { c = "<<4-5" }, each of several ranges
    Replaces: r (<< 6)                      replaces = { r = "<<6" }

Names of virtual packages stay in the manifest; `cosmos freeze` finds their providers.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Final

from cosmos.debian.apt import AptRecord
from cosmos.debian.apt_state import ARCHITECTURES
from cosmos.debian.contents import origin_of
from cosmos.debian.deb822 import Relation
from cosmos.debian.relations import barred, needed, provided, replaced
from cosmos.errors import Malformed
from cosmos.model.constraint import ANY_VERSION, Constraint
from cosmos.model.demand import Demand, Need
from cosmos.model.names import ANY_ARCH, Arch, StarName
from cosmos.model.star import Ranges, Star
from cosmos.model.version import DebianVersion
from cosmos.records import dataclass

_MACHINES: Final = {debian: machine for machine, debian in ARCHITECTURES.items()}
_PERSON: Final = re.compile(r'\s*+"?+([^"<]*+)("?+)\s*+<([^>]*+)>\s*+')


def manifest_of(record: AptRecord, architecture: str, licence: str) -> Star:
    """Return the manifest of the star made of `record`, for systems of `architecture`; raises `Malformed`."""
    try:
        needs = _needs(record, architecture)
        star = Star(
            name=StarName.parse(record.name),
            version=DebianVersion.of(record.version),
            arch=arch_of(record),
            description=record.fields.get("description", "").split("\n")[0],
            license=licence,
            authors=_maintainer(record),
            dependencies=needs.of_one_name,
            any_of=needs.alternatives,
            provides={
                StarName.parse(name): tuple(map(_version, versions))
                for name, versions in sorted(provided(record, architecture).items())
            },
            conflicts=_ranges(barred(record, architecture)),
            replaces=_ranges(replaced(record, architecture)),
            origins=(origin_of(record),),
        )
    except ValueError as error:
        raise Malformed(record.file_name, str(error)) from error
    return replace(star, source=star.archive_source)


def arch_of(record: AptRecord) -> Arch:
    """Return a package's architecture, as a star names it."""
    if record.architecture == "all":
        return ANY_ARCH
    return Arch.parse(_MACHINES.get(record.architecture, record.architecture))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Needs:
    of_one_name: dict[StarName, Constraint]
    alternatives: tuple[Need, ...]


def _needs(record: AptRecord, architecture: str) -> _Needs:
    ranges: dict[StarName, dict[str, None]] = {}
    alternatives: dict[Need, None] = {}
    for group in needed(record, architecture):
        need = tuple(dict.fromkeys(_demand(one, architecture) for one in group))
        if len(need) > 1:
            alternatives[need] = None
        else:
            texts = ranges.setdefault(need[0].name, {})
            texts |= {} if need[0].constraint.is_any else {need[0].constraint.text: None}
    return _Needs(
        of_one_name={
            name: Constraint.parse(", ".join(texts)) if texts else ANY_VERSION for name, texts in sorted(ranges.items())
        },
        alternatives=tuple(alternatives),
    )


def _demand(one: Relation, architecture: str) -> Demand:
    if not one.is_on(architecture):
        raise ValueError(f"depends on {one}, a package of another architecture than {architecture}")
    return Demand(StarName.parse(one.name), one.constraint)


def _version(text: str | None) -> DebianVersion | None:
    return None if text is None else DebianVersion.of(text)


def _ranges(barring: Iterable[Relation]) -> Ranges:
    found: dict[StarName, dict[Constraint, None]] = {}
    for one in barring:
        found.setdefault(StarName.parse(one.name), {})[one.constraint] = None
    return {name: tuple(limits) for name, limits in sorted(found.items())}


def _maintainer(record: AptRecord) -> dict[str, str]:
    match = _PERSON.fullmatch(record.fields.get("maintainer", ""))
    name = "" if match is None else match[1] if match[2] else match[1].rstrip()
    return {name: match[3]} if match and name else {}
