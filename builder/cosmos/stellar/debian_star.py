"""One Debian package as a star's manifest: its name, version, dependencies and the rest, in a star's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from cosmos.errors import Malformed
from cosmos.model.names import ANY_ARCH, Arch, StarName
from cosmos.model.star import Star
from cosmos.model.version import ANY_VERSION, Constraint, Version
from cosmos.stellar.build_star import archive_source, origin_of
from cosmos.transport.apt import AptRecord
from cosmos.transport.apt_state import ARCHITECTURES
from cosmos.tree.deb822 import Relation, listed, relations
from cosmos.tree.debversion import constraint, semver

_MACHINES: Final = {debian: machine for machine, debian in ARCHITECTURES.items()}
_PERSON: Final = re.compile(r'\s*"?([^"<]*?)"?\s*<([^>]*)>\s*')


def manifest_of(
    record: AptRecord, needs: Mapping[str, tuple[Relation, ...]], versions: Mapping[str, str], licence: str
) -> Star:
    """Return the manifest of the star made of `record`.

    `needs` are its dependencies as `Closure.needs` has them, `versions` the Debian versions of the packages chosen. A
    constraint allows what was chosen, whatever is lost on the way from Debian's versions. Raises `Malformed`.
    """
    try:
        version = semver(record.version)
        star = Star(
            name=StarName.parse(record.name),
            version=version,
            arch=arch_of(record),
            description=record.fields.get("description", "").split("\n")[0],
            license=licence,
            authors=_maintainer(record),
            dependencies={
                StarName.parse(name): needed(asked, semver(versions[name])) for name, asked in sorted(needs.items())
            },
            provides=_provided(record, version),
            conflicts=_conflicting(record),
            origins=(origin_of(record),),
        )
    except ValueError as error:
        raise Malformed(record.file_name, str(error)) from error
    return replace(star, source=archive_source(star))


def arch_of(record: AptRecord) -> Arch:
    """Return the machine that a package is for, in a star's words."""
    if record.architecture == "all":
        return ANY_ARCH
    return Arch.parse(_MACHINES.get(record.architecture, record.architecture))


def needed(asked: tuple[Relation, ...], chosen: Version) -> Constraint:
    """Return the constraint that `asked` make together; it allows `chosen`. Raises `ValueError`."""
    texts = dict.fromkeys(constraint(relation, "wide").text for relation in asked if relation.operator)
    together = Constraint.parse(", ".join(texts)) if texts else ANY_VERSION
    if together.allows(chosen):
        return together
    return Constraint.parse(f">={Version(chosen.major, chosen.minor, chosen.patch, chosen.pre)}")


def _provided(record: AptRecord, own: Version) -> dict[StarName, Version]:
    """Return the names that the package answers to; one with no version of its own has the package's."""
    groups = relations(record.fields.get("provides", ""), record.file_name)
    return {
        StarName.parse(one.name): semver(one.version) if one.version else own
        for group in groups
        for one in group
        if one.name != record.name
    }


def _conflicting(record: AptRecord) -> dict[StarName, Constraint]:
    """Return what it cannot stand beside; of several ranges of one name the first: a constraint has no "or"."""
    groups = relations(listed(record.fields, "conflicts", "breaks"), record.file_name)
    found: dict[StarName, Constraint] = {}
    for one in (one for group in groups for one in group if one.name != record.name):
        found.setdefault(StarName.parse(one.name), constraint(one, "narrow"))
    return found


def _maintainer(record: AptRecord) -> dict[str, str]:
    match = _PERSON.fullmatch(record.fields.get("maintainer", ""))
    return {match[1]: match[2]} if match and match[1] else {}
