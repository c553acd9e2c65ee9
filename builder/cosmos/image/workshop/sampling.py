"""Which layers `cosmos build --audit N%` makes again: the same seed chooses the same ones."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from cosmos.model.names import StarName
from cosmos.records import dataclass

if TYPE_CHECKING:
    from fractions import Fraction

_WHOLE: Final = 1 << 64


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """Which share of the layers from the store is made again (0 to 1), and the seed that chooses them."""

    share: Fraction
    seed: str

    def chosen(self, names: list[StarName]) -> list[StarName]:
        """Return the chosen names: about the share of them, and at least one of any."""
        ranked = {name: self._rank(name) for name in names}
        below = [name for name in names if ranked[name] < self.share * _WHOLE]
        return below or sorted(names, key=lambda name: ranked[name])[:1]

    def _rank(self, name: StarName) -> int:
        return int.from_bytes(hashlib.sha256(f"{self.seed}\0{name}".encode()).digest()[:8], "big")
