"""`deb:` sources: a Debian package as the material of a star.

    deb:busybox-static                        the version that the host's apt would install
    deb:busybox-static=1:1.35.0-4+deb12u1     that version
    deb:linux-image-6.1.0-*-cloud-amd64       of the packages whose names match, the one with the newest version

`*` and `?` are the wildcards; a name is matched as a whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Self

from cosmos.errors import NoSolution
from cosmos.model.version import DebianVersion
from cosmos.transport.apt import Apt, AptRecord

PREFIX: Final = "deb:"
_FORM: Final = re.compile(r"deb:([a-z0-9][a-z0-9+.*?-]{0,127})(?:=([A-Za-z0-9.+~:-]{1,200}))?")
_MEANING: Final = {"*": "([^ ]*)", "?": "([^ ])"}


@dataclass(frozen=True, kw_only=True, slots=True)
class DebSource:
    """What a recipe asks for. `name` may hold wildcards; `version` is None where the newest will do."""

    name: str
    version: str | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `deb:NAME[=VERSION]` as a source, or raise `ValueError`.

        >>> DebSource.parse("deb:nano=7.2-1").version
        '7.2-1'
        """
        match = _FORM.fullmatch(text)
        if match is None:
            raise ValueError(f"want deb:NAME or deb:NAME=VERSION, got {text[:80]!r}")
        if match[2] and set(match[1]) & {"*", "?"}:
            raise ValueError(f"a name with wildcards takes no version, got {text[:80]!r}")
        return cls(name=match[1], version=match[2])

    @property
    def has_wildcards(self) -> bool:
        """Whether it names several packages."""
        return bool(set(self.name) & {"*", "?"})

    def wild_parts(self, name: str) -> tuple[tuple[str, str], ...]:
        """Return what each wildcard stands for in `name`, the characters beside it with it, and the same with the
        wildcard; nothing where `name` does not match.

        >>> DebSource.parse("deb:linux-image-*-cloud-amd64").wild_parts("linux-image-6.1.0-56-cloud-amd64")
        (('-6.1.0-56-', '-*-'),)
        """
        match = _pattern(self.name).fullmatch(name)
        if match is None:
            return ()
        wildcards = [char for char in self.name if char in _MEANING]
        spans = [match.span(place) for place in range(1, len(wildcards) + 1)]
        return tuple(
            (name[start - 1 : end + 1], name[start - 1] + wildcard + name[end : end + 1])
            for wildcard, (start, end) in zip(wildcards, spans, strict=True)
            if start < end
        )

    def __str__(self) -> str:
        return f"{PREFIX}{self.name}" + (f"={self.version}" if self.version else "")


def find_package(apt: Apt, source: DebSource) -> AptRecord:
    """Return the record of the package that `source` asks for; raises `NoSolution`."""
    if not source.has_wildcards:
        return apt.record(source.name, source.version)
    matching = [name for name in apt.names_beginning(_prefix(source.name)) if _pattern(source.name).fullmatch(name)]
    found = apt.candidates(matching).values()
    if not found:
        raise NoSolution(
            str(source), "no package of such a name in the host's sources", hint="apt-cache pkgnames lists them"
        )
    return max(found, key=lambda record: (DebianVersion.of(record.version), record.name))


def _prefix(glob: str) -> str:
    return re.split(r"[*?]", glob, maxsplit=1)[0]


def _pattern(glob: str) -> re.Pattern[str]:
    return re.compile("".join(_MEANING.get(char) or re.escape(char) for char in glob))
