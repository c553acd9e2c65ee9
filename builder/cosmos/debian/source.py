"""`deb:` sources: the Debian package that a star is made from.

    deb:busybox-static                        the version that apt would install
    deb:busybox-static=1:1.35.0-4+deb12u1     that version
    deb:gcc-*-base                            the package whose name matches; two that match are an error
    deb:linux-image-cloud-amd64 -> linux-image-6.1.0-*-cloud-amd64
                                              of what linux-image-cloud-amd64 depends on, the one whose name matches

`*` and `?` are the wildcards; a name is matched as a whole. The last form is for packages whose name changes with each
update. Archives keep the older ones for a while, and the package before the arrow depends on the current one.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Collection, Sequence
from typing import Final, Self

from cosmos.debian.apt import Apt, AptRecord
from cosmos.debian.deb822 import Relation, listed, relations
from cosmos.errors import Malformed, NoSolution
from cosmos.globs import name_matches, wildcard_spans
from cosmos.records import dataclass

PREFIX: Final = "deb:"
_FORM: Final = re.compile(
    r"deb:(?:(?P<through>[a-z0-9][a-z0-9+.-]{0,127}) -> )?(?P<name>[a-z0-9][a-z0-9+.*?-]{0,127})"
    r"(?:=(?P<version>[A-Za-z0-9.+~:-]{1,200}))?"
)
_SHOWN: Final = 8  # names in one line of an error


@dataclass(frozen=True, kw_only=True, slots=True)
class DebSource:
    """A parsed source. `name` may hold wildcards; `version` is None for the newest version.

    `through`: the package whose dependencies are searched; None to search the whole archive.
    """

    name: str
    version: str | None = None
    through: str | None = None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `deb:NAME[=VERSION]` or `deb:PACKAGE -> NAME` as a source, or raise `ValueError`.

        >>> DebSource.parse("deb:nano=7.2-1").version
        '7.2-1'
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"want deb:NAME, deb:NAME=VERSION or deb:PACKAGE -> NAME, got {text[:80]!r}")
        found = cls(name=match["name"], version=match["version"], through=match["through"])
        if found.version and (found.has_wildcards or found.through):
            raise ValueError(f"takes a version only with a name alone, got {text[:80]!r}")
        return found

    @property
    def has_wildcards(self) -> bool:
        """Whether it names several packages."""
        return bool(set(self.name) & {"*", "?"})

    def wild_parts(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return the part of `name` that each wildcard matches, with the characters beside it, and that part with the
        wildcard; empty if `name` does not match.

        >>> DebSource.parse("deb:linux-image-*-cloud-amd64").wild_parts("linux-image-6.1.0-56-cloud-amd64")
        (('-6.1.0-56-', '-*-'),)
        """
        wildcards = [char for char in self.name if char in "*?"]
        spans = wildcard_spans(name, self.name)
        if spans is None:
            return ()
        return tuple(
            (name[start - 1 : end + 1], name[start - 1] + wildcard + name[end : end + 1])
            for wildcard, (start, end) in zip(wildcards, spans, strict=True)
            if start < end
        )

    def __str__(self) -> str:
        through = f"{self.through} -> " if self.through else ""
        return f"{PREFIX}{through}{self.name}" + (f"={self.version}" if self.version else "")


def find_packages(apt: Apt, sources: Sequence[DebSource]) -> list[AptRecord]:
    """Return the record of each source's package, as `find_package` does; apt is asked for their names at once."""
    apt.candidates(_asked_for(sources))
    return [find_package(apt, source) for source in sources]


def find_those_there_are(apt: Apt, sources: Sequence[DebSource]) -> list[AptRecord]:
    """Return the same, without those that `find_package` refuses."""
    apt.candidates(_asked_for(sources))
    found = []
    for source in sources:
        with contextlib.suppress(NoSolution, Malformed):
            found.append(find_package(apt, source))
    return found


def _asked_for(sources: Sequence[DebSource]) -> list[str]:
    """Return the names that `find_package` asks for as they are."""
    return [source.through or source.name for source in sources if source.through or not source.has_wildcards]


def find_package(apt: Apt, source: DebSource) -> AptRecord:
    """Return the record of the one package that `source` names; raises `NoSolution` for none and for several."""
    if source.through is not None:
        return _needed(apt, source, apt.record(source.through))
    if not source.has_wildcards:
        return apt.record(source.name, source.version)
    matching = [name for name in apt.names_beginning(_prefix(source.name)) if name_matches(name, source.name)]
    found = apt.candidates(matching)
    if not found:
        raise NoSolution(str(source), "no package has such a name", hint="apt-cache pkgnames lists them")
    _demand_one(source, found)
    return next(iter(found.values()))


def _needed(apt: Apt, source: DebSource, package: AptRecord) -> AptRecord:
    """Return the record of the dependency of `package`, at the exact version if the relation has one."""
    groups = relations(listed(package.fields, "pre-depends", "depends"), package.file_name)
    needed: dict[str, Relation] = {one.name: one for group in groups for one in group}
    found = [name for name in sorted(needed) if name_matches(name, source.name)]
    if not found:
        problem = f"{package.name} {package.version} depends on no package of such a name: {_some(needed) or 'on none'}"
        raise NoSolution(str(source), problem)
    _demand_one(source, found)
    one = needed[found[0]]
    return apt.record(one.name, one.version if one.operator == "=" else None)


def _demand_one(source: DebSource, found: Collection[str]) -> None:
    if len(found) > 1:
        problem = f"{len(found)} packages have such a name: {_some(found)}"
        hint = f'name one of them, or the package that depends on the one you mean: "deb:PACKAGE -> {source.name}"'
        raise NoSolution(str(source), problem, hint=hint)


def _some(names: Collection[str]) -> str:
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return ", ".join(sorted(names)[:_SHOWN]) + more


def _prefix(glob: str) -> str:
    return re.split(r"[*?]", glob, maxsplit=1)[0]
