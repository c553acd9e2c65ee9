"""What a star needs, provides and conflicts with: all that the resolver and the judge of a lock read of it.

A lock holds these keys in each `[[star]]` row, so that the lock can be judged by itself:

    needs = ["libc6 >=2.36", "mta-a | mta-b >=2"]
    provides = ["virt debian 1.0-1", "mail"]   # a name with scheme and version, or without a version
    conflicts = ["libfoo <<1.2-4"]
    stands-for = ["libc6"]                 # stars that it cannot stand beside, because it was made of the same package
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Self

from cosmos.model.demand import Demand, Need, need_text, parse_need
from cosmos.model.names import ANY_ARCH, Arch, StarName
from cosmos.model.star import Star
from cosmos.model.version import Scheme, Version
from cosmos.records import dataclass
from cosmos.tables import Table


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a candidate's verified statement says of it.

    `provides`: names with the versions they are provided in; None is a name without a version. `replaces_whole`: names
    of stars that this one replaces, because it was made of the same packages. It cannot be installed beside them.
    """

    arch: Arch = ANY_ARCH
    needs: tuple[Need, ...] = ()
    provides: Mapping[StarName, tuple[Version | None, ...]] = field(default_factory=dict)
    conflicts: tuple[Demand, ...] = ()
    replaces_whole: frozenset[StarName] = frozenset()

    def provides_for(self, demand: Demand) -> bool:
        """Return whether a version that this star provides answers `demand`."""
        return any(demand.allows(version) for version in self.provides.get(demand.name, ()))

    def provides_barred(self, conflict: Demand) -> bool:
        """Return whether `conflict` forbids a version that this star provides."""
        return any(conflict.bars(version) for version in self.provides.get(conflict.name, ()))

    @classmethod
    def of(cls, star: Star) -> Self:
        """Return the facts in a manifest; a star made of Debian packages provides these packages."""
        provides = {name: list(versions) for name, versions in star.provides.items()}
        for name, version in star.made_of:
            versions = provides.setdefault(name, [])
            if version not in versions:
                versions.append(version)
        return cls(
            arch=star.arch,
            needs=star.needs,
            provides={name: tuple(versions) for name, versions in sorted(provides.items())},
            conflicts=tuple(Demand(name, limit) for name, limits in sorted(star.conflicts.items()) for limit in limits),
            replaces_whole=frozenset(name for name, _ in star.made_of),
        )

    @classmethod
    def read(cls, table: Table, arch: Arch) -> Self:
        """Return the facts in a row of a lock; every key must be present."""
        for key in ("needs", "provides", "conflicts", "stands-for"):
            table.need(key, list)
        replaced = table.parsed_strings("stands-for", StarName.parse)
        if len(set(replaced)) != len(replaced):
            table.fail("stands-for", "names one twice")  # a set would hide it
        provides: dict[StarName, list[Version | None]] = {}
        for name, version in table.parsed_strings("provides", _provided):
            provides.setdefault(name, []).append(version)
        return cls(
            arch=arch,
            needs=table.parsed_strings("needs", parse_need),
            provides={name: tuple(versions) for name, versions in sorted(provides.items())},
            conflicts=table.parsed_strings("conflicts", Demand.parse),
            replaces_whole=frozenset(replaced),
        )

    def to_toml(self) -> dict[str, object]:
        """Return the keys of a row as `tomli_w` takes them."""
        return {
            "needs": [need_text(need) for need in self.needs],
            "provides": [
                _provided_text(name, version)
                for name, versions in sorted(self.provides.items())
                for version in versions
            ],
            "conflicts": [str(demand) for demand in self.conflicts],
            "stands-for": sorted(map(str, self.replaces_whole)),
        }


def _provided(text: str) -> tuple[StarName, Version | None]:
    """Return `NAME`, or `NAME SCHEME VERSION`, as a name and its version, or raise `ValueError`."""
    name, _, rest = text.partition(" ")
    if not rest:
        return StarName.parse(name), None
    scheme, _, version = rest.partition(" ")
    schemes: dict[str, Scheme] = {"semver": "semver", "debian": "debian"}
    if scheme not in schemes:
        raise ValueError(f"want NAME, or NAME SCHEME VERSION, got {text[:80]!r}")
    return StarName.parse(name), Version.parse(version, schemes[scheme])


def _provided_text(name: StarName, version: Version | None) -> str:
    return str(name) if version is None else f"{name} {version.scheme} {version}"
