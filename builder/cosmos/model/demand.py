"""What a star asks of others: a name with the versions that will do, and alternatives of such."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from cosmos.model.names import StarName
from cosmos.model.version import Constraint, Version


@dataclass(frozen=True, slots=True)
class Demand:
    """A name, and which versions of it will do."""

    name: StarName
    constraint: Constraint

    def allows(self, version: Version | None) -> bool:
        """Return whether `version` will do; None (provided without a version) does only where any version would."""
        return not self.constraint.comparators if version is None else self.constraint.allows(version)

    def __str__(self) -> str:
        return f"{self.name} {self.constraint}" if self.constraint.comparators else str(self.name)


Need: TypeAlias = tuple[Demand, ...]  # alternatives, the preferred first; one of them must be answered
