"""What a star asks of others: a name with a constraint, and alternatives of these.

libfoo                 any version
libfoo >=1.2-3         a constraint (model.constraint)
mta-a | mta-b >=2      alternatives, the preferred first
"""

from __future__ import annotations

import re
from typing import Final, Self, TypeAlias

from cosmos.model.constraint import ANY_VERSION, Constraint
from cosmos.model.names import StarName
from cosmos.model.version import Version
from cosmos.records import dataclass

_FORM: Final = re.compile(r"([A-Za-z0-9][A-Za-z0-9+._-]*)\s*(.*)")
MAX_ALTERNATIVES: Final = 64  # of one need; Debian's longest has about 20


@dataclass(frozen=True, slots=True)
class Demand:
    """A star of this name, or one that provides the name, in a version that `constraint` allows."""

    name: StarName
    constraint: Constraint = ANY_VERSION

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return `NAME` or `NAME CONSTRAINT` as a demand, or raise `ValueError`.

        >>> str(Demand.parse("libfoo >=1.2")), str(Demand.parse("mail"))
        ('libfoo >=1.2', 'mail')
        """
        match = _FORM.fullmatch(text.strip())
        if match is None:
            raise ValueError(f"want NAME or NAME CONSTRAINT, got {text[:80]!r}")
        return cls(StarName.parse(match[1]), Constraint.parse(match[2]) if match[2] else ANY_VERSION)

    def allows(self, version: Version | None) -> bool:
        """Return whether `version` satisfies this; None stands for a name that is provided without a version."""
        return self.constraint.is_any if version is None else self.constraint.allows(version)

    def bars(self, version: Version | None) -> bool:
        """Return whether a conflict with this demand forbids `version`; here a pre-release counts like any other."""
        return self.constraint.is_any if version is None else self.constraint.covers(version)

    def __str__(self) -> str:
        return str(self.name) if self.constraint == ANY_VERSION else f"{self.name} {self.constraint}"


Need: TypeAlias = tuple[Demand, ...]  # one of them must be answered; the preferred first


def parse_need(text: str) -> Need:
    """Return alternatives, parted by bars, as a need, or raise `ValueError`.

    >>> need_text(parse_need("mta-a|mta-b >=2"))
    'mta-a | mta-b >=2'
    """
    parts = text.split("|")
    if len(parts) > MAX_ALTERNATIVES:
        raise ValueError(f"want at most {MAX_ALTERNATIVES} alternatives, got {len(parts)}")
    return tuple(Demand.parse(part) for part in parts)


def need_text(need: Need) -> str:
    """Return `need` as it is written."""
    return " | ".join(map(str, need))
