"""A system with two installed stars, and what an attacker with root's rights does to it."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from cosmos.digest import Digest
from fakes.galaxies import GalaxyFixture, StarSpec, make_galaxy, make_signers
from fakes.programs import Cosmos, Outcome

STARS = (
    StarSpec("zlib", "1.3.1", {"usr/lib/libz.so": b"z", "etc/zlib.conf": b"level=6"}),
    StarSpec("tool", "1.0.0", {"usr/bin/tool": b"tool", "usr/share/tool/data": b"data"}, {"zlib": "*"}),
)
UNIVERSE = "var/lib/cosmos/universe.toml"
EVIL = b"evil"


class System:
    """A system on which `tool`, which needs `zlib`, is installed from a galaxy in a folder."""

    def __init__(self, where: Path, cosmos: Cosmos, stars: tuple[StarSpec, ...] = STARS) -> None:
        self.where, self.cosmos, self.root = where, cosmos, where / "root"
        self.signers = make_signers()
        self.galaxy: GalaxyFixture = make_galaxy(where / "galaxy", "core", stars, self.signers)
        self.root.mkdir()
        trust = self.signers.write_trust(where / "trust.toml")
        self.run("init", "--arch", "x86_64").ok()
        self.run("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes())).ok()
        self.run("add-galaxy", "core", self.galaxy.path).ok()
        self.run("install", *(star.name for star in stars)).ok()

    def run(self, *words: object) -> Outcome:
        return self.cosmos(*words, "--root", self.root)

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
