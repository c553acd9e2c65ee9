"""A thief in a system: files and the record of them, changed together."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from cosmos.digest import Digest

UNIVERSE = "var/lib/cosmos/universe.toml"
EVIL = b"evil"


class Forgeable:
    """A system in the folder `root`, of which a test forges a part."""

    root: Path

    def edit(self, change: Callable[[str], str]) -> None:
        file = self.root / UNIVERSE
        text = file.read_text()
        assert change(text) != text, "nothing was forged"
        file.write_text(change(text))

    def forge(self, path: str, data: bytes = EVIL) -> None:
        """Give a file other bytes, and its row the digest of these."""
        file = self.root / path
        old = file.read_bytes()
        file.write_bytes(data)
        sizes = (f" {len(old)} ", f" {len(data)} ")
        self.edit(
            lambda text: re.sub(
                rf'"file [^"]* {path} -"',
                lambda row: row[0].replace(str(Digest.of(old)), str(Digest.of(data))).replace(*sizes, 1),
                text,
            )
        )
