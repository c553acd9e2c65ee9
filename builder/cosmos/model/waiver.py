"""`Waiver`: a rule of the ship guard (release.lint.rules) that the operator waives until a release, with a reason.

[policy.waive.dangling-symlink]       # of image.toml; RELEASE.json carries the same table as JSON
reason = "the target is on the data partition"
until = 7                             # the last release, by the counter of image.toml, that the waiver counts for
paths = ["var/lib/app/**"]            # optional: globs; without them the rule is waived for every path
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Self

from cosmos.canon import Json
from cosmos.globs import checked, matches_any
from cosmos.records import dataclass
from cosmos.tables import Table
from cosmos.treepath import TreePath


@dataclass(frozen=True, kw_only=True, slots=True)
class Waiver:
    """Why a rule is waived, up to which release counter, and for which paths; without `paths`, for all."""

    reason: str
    until: int
    paths: tuple[str, ...] = ()

    @classmethod
    def read_all(cls, table: Table) -> dict[str, Self]:
        """Return a table `waive`: rule id -> waiver. Whether there is such a rule is not judged here."""
        waivers = {rule: cls._read(table.table(rule)) for rule in table.keys()}
        table.end()
        return waivers

    @classmethod
    def _read(cls, table: Table) -> Self:
        waiver = cls(
            reason=table.read("reason", _reason),
            until=table.count("until", least=1),
            paths=table.parsed_strings("paths", checked),
        )
        table.end()
        return waiver

    def to_json(self) -> dict[str, Json]:
        """Return the table."""
        return {"reason": self.reason, "until": self.until, **({"paths": [*self.paths]} if self.paths else {})}

    def covers(self, path: TreePath) -> bool:
        """Return whether the rule is waived for `path`."""
        return not self.paths or matches_any(path, self.paths)

    def has_expired(self, counter: int) -> bool:
        """Return whether the waiver no longer counts for the release with this counter."""
        return counter > self.until


def waivers_to_json(waivers: Mapping[str, Waiver]) -> dict[str, Json]:
    """Return the table `waive`."""
    return {rule: waiver.to_json() for rule, waiver in waivers.items()}


def _reason(text: str) -> str:
    if not text.strip():
        raise ValueError("want a reason")
    return text
