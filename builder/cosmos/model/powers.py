"""`Powers`: what a star may do only if the operator names it in a table `[policy]`.

    [policy]                      # of image.toml for an image, of /etc/cosmos/config.toml for a system
    run = ["fontconfig"]          # run programs at installation (in a sandbox of its own)
    setuid = ["sudo", "su"]       # ship files that run with their owner's or group's rights
    setcap = ["ping"]             # ship files with capabilities
    mknod = ["base-devices"]      # make devices
    chown = ["postfix"]           # give files to others than root, or let everybody write to them
    outside = ["linux-cloud"]     # install files outside /usr and /etc

A power that is left out is given to no star. A star's own manifest has no such key.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Final, Literal, Self, TypeAlias

from cosmos.model.names import StarName
from cosmos.records import dataclass
from cosmos.tables import Table

Power: TypeAlias = Literal["run", "setuid", "setcap", "mknod", "chown", "outside"]
POWERS: Final[tuple[Power, ...]] = ("run", "setuid", "setcap", "mknod", "chown", "outside")


@dataclass(frozen=True, kw_only=True, slots=True)
class Powers:
    """The stars that the operator named for each power."""

    named: Mapping[Power, tuple[StarName, ...]] = field(default_factory=dict)

    @classmethod
    def read(cls, table: Table) -> Self:
        """Return the powers in a `[policy]` table; the caller reads its other keys."""
        return cls(named={power: table.parsed_strings(power, StarName.parse) for power in POWERS if power in table})

    def to_toml(self) -> dict[str, object]:
        """Return the keys as `tomli_w` takes them."""
        return {power: [str(star) for star in stars] for power, stars in self.named.items()}

    def has(self, star: StarName, power: Power) -> bool:
        """Whether the operator named `star` for `power`."""
        return star in self.named.get(power, ())

    def of(self, star: StarName) -> tuple[Power, ...]:
        """Return the powers that `star` is named for."""
        return tuple(power for power in POWERS if self.has(star, power))

    def lines_with(self, wanted: Mapping[Power, Iterable[StarName]]) -> str:
        """Return the lines of `[policy]` that name `wanted` for each power, besides those that are named already.

        >>> Powers(named={"setuid": (StarName("su"),)}).lines_with({"setuid": [StarName("sudo")]})
        'setuid = ["su", "sudo"]'
        """
        lines = []
        for power, stars in wanted.items():
            names = ", ".join(f'"{name}"' for name in dict.fromkeys((*self.named.get(power, ()), *stars)))
            lines.append(f"{power} = [{names}]")
        return "\n".join(lines)
