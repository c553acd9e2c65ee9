"""Roots of systems that are full of links to the host, and every command that works on a root.

python hostile_roots.py COMMANDS.json      -> a line `CODE WORD…` for each command, for a tracer of system calls
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cosmos.digest import Digest
from fakes.galaxies import StarSpec, make_galaxy, make_signers

FOLDERS = (
    "etc",
    "etc/cosmos",
    "etc/cosmos/chain",
    "etc/cosmos/near",
    "usr",
    "usr/lib",
    "tmp",
    "var",
    "var/lib",
    "var/lib/cosmos",
    "var/lib/cosmos/journal",
    "var/cache",
    "var/cache/cosmos",
    "var/cache/cosmos/batches",
    "var/cache/cosmos/blobs",
    "var/cache/cosmos/partial",
    "var/cache/cosmos/results",
    "var/cache/cosmos/temporary",
)
FILES = (
    "etc/cosmos/config.toml",
    "etc/cosmos/trust.toml",
    "etc/cosmos/trust.toml.dsse",
    "etc/cosmos/chain/1.toml",
    "etc/cosmos/.cosmos-document",
    "usr/lib/libz.so",
    "var/lib/cosmos/.cosmos-document",
    "var/lib/cosmos/journal/install",
    "var/lib/cosmos/journal/universe.toml",
    "var/lib/cosmos/lock",
    "var/lib/cosmos/trust-state.toml",
    "var/lib/cosmos/universe.lock.toml",
    "var/lib/cosmos/universe.toml",
    "var/cache/cosmos/batches/000000000001",
    "var/cache/cosmos/batches/lock",
    "var/cache/cosmos/lock",
)
KINDS = ("absolute", "relative", "dangling", "circle")
LONG_AGO = 1_000_000_000


@dataclass(frozen=True, kw_only=True)
class Host:
    """A folder of the host with a twin of everything that a link can lead to, a galaxy, and a trust document."""

    where: Path
    outside: Path
    galaxy: Path
    trust: Path

    @classmethod
    def make(cls, where: Path) -> Host:
        """Make the host in the folder `where`."""
        signers = make_signers()
        stars = (
            StarSpec("zlib", "1.3.1", {"usr/lib/libz.so": b"z"}),
            StarSpec("nano", "7.2.0", {"usr/bin/nano": b"n"}),
        )
        make_galaxy(where / "galaxy", "core", stars, signers)
        make_galaxy(where / "near", "near", (StarSpec("ed", "1.0.0", {"usr/bin/ed": b"e"}),), signers)
        outside = where / "outside"
        for name in FOLDERS:
            (outside / name).mkdir(parents=True, exist_ok=True)
        for name in FILES:
            (outside / name).write_text("# of the host\n")
        shutil.copytree(where / "near", outside / "etc/cosmos/near", dirs_exist_ok=True)
        for path in (*outside.rglob("*"), outside):
            os.utime(path, (LONG_AGO, LONG_AGO))
        trust = signers.write_trust(where / "trust.toml")
        (where / "versions").mkdir()
        shutil.copyfile(trust, where / "versions/1.toml")
        return cls(where=where, outside=outside, galaxy=where / "galaxy", trust=trust)

    def seen(self) -> dict[str, tuple[object, ...]]:
        """Return everything about the folder outside but the times of reading."""
        found: dict[str, tuple[object, ...]] = {}
        for path in (self.outside, *sorted(self.outside.rglob("*"))):
            held = path.lstat()
            data = path.read_bytes() if path.is_file() else b""
            found[str(path.relative_to(self.where))] = (held.st_mode, held.st_mtime, held.st_nlink, held.st_uid, data)
        return found

    def link(self, root: Path, name: str, kind: str) -> None:
        """Put a link at `name` below `root`, in place of what is there."""
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        place.unlink(missing_ok=True)
        twin = self.outside / name
        match kind:
            case "absolute":
                place.symlink_to(twin)
            case "relative":
                place.symlink_to(os.path.relpath(twin, place.parent))
            case "dangling":
                place.symlink_to(self.outside / "new" / name)
            case _:
                place.symlink_to(place.name)

    def commands(self, root: Path, mirror: str) -> list[list[str]]:
        """Return every command that works on a root, in an order in which all have something to do."""
        digest = Digest.of(self.trust.read_bytes()).hex
        words: list[list[str]] = [
            ["init", "--arch", "x86_64"],
            ["trust", "init", str(self.trust), "--sha256", digest],
            ["trust", "show"],
            ["add-galaxy", "core", str(self.galaxy)],
            ["sync", "--full"],
            ["sync", "core", "--full", "--from", mirror],
            ["show", "zlib"],
            ["install", "zlib", "--dry-run"],
            ["install", "zlib"],
            ["install", "nano", "--offline"],
            ["list-galaxies"],
            ["status"],
            ["owns", "/usr/lib"],
            ["why", "zlib"],
            ["history"],
            ["verify"],
            ["freeze"],
            ["trust", "update", str(self.where / "versions")],
            ["add-galaxy", "more", str(self.where)],
            ["remove-galaxy", "more"],
            ["install"],
        ]
        return [[*line, "--root", str(root)] for line in words]


def a_system(host: Host, root: Path) -> None:
    """Make a small tree at `root` that has an own galaxy beside its settings, under a relative address."""
    for name in ("etc/cosmos", "usr/lib", "var/lib/cosmos", "var/cache/cosmos", "tmp"):
        (root / name).mkdir(parents=True)
    (root / "etc/cosmos/config.toml").write_text('[galaxies.near]\nurl = "near"\n')
    shutil.copytree(host.where / "near", root / "etc/cosmos/near")


def main(commands: Sequence[Sequence[str]]) -> None:
    """Run each command, and say how it ended."""
    from cosmos.cli.cosmos.main import program
    from cosmos.cli.endings import run

    for words in commands:
        code: object = 0
        try:
            run(program, "cosmos", words)
        except SystemExit as ended:
            code = ended.code
        sys.stderr.write(f"ended {code} {' '.join(words)}\n")


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text()))
