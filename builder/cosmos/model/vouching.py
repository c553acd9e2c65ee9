"""`Vouching`: what others than its author must have said of every star, in a table `[policy]`.

    [policy]                      # of image.toml for an image, of /etc/cosmos/config.toml for a system
    log = true                    # every star must be in its galaxy's transparency log (trust.log)
    badges = { test = 2 }         # how many attesters must have signed that a star passed (trust.badges)

A key that is left out demands nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Final, Literal, Self, TypeAlias, get_args

from cosmos.records import dataclass
from cosmos.tables import Table

BadgeKind: TypeAlias = Literal["test", "scan"]
BADGE_KINDS: Final[tuple[BadgeKind, ...]] = get_args(BadgeKind)


@dataclass(frozen=True, kw_only=True, slots=True)
class Vouching:
    """What the operator demands of every star. `badges`: how many attesters must say of each kind that it passed."""

    log: bool = False
    badges: Mapping[BadgeKind, int] = field(default_factory=dict)

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the demands in a `[policy]` table; the caller reads its other keys."""
        return cls(log=table.take("log", bool, False), badges=_badges(table.take_table("badges")))

    def to_toml(self) -> dict[str, object]:
        """Return the keys as `tomli_w` takes them."""
        return {**({"log": True} if self.log else {}), **({"badges": dict(self.badges)} if self.badges else {})}

    def __bool__(self) -> bool:
        """Whether the operator demands anything."""
        return self.log or bool(self.badges)


def _badges(table: Table | None) -> dict[BadgeKind, int]:
    if table is None:
        return {}
    wanted = {kind: table.count(kind, least=1) for kind in BADGE_KINDS if kind in table}
    table.end()
    return wanted
