"""Two commands at once on one system: one waits or is refused, and the result is that of one after the other."""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cosmos.digest import Digest
from fakes.galaxies import GalaxyFixture, StarSpec, make_galaxy, make_signers
from fakes.programs import Cosmos

pytestmark = [pytest.mark.slow]

STARS = (
    StarSpec("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z" * 5000}),
    StarSpec("tool", "2.0.0", {"usr/bin/tool": b"tool", "etc/tool.conf": b"a = 1\n"}, {"zlib": "^1.3"}),
    StarSpec("left", "1.0.0", {"usr/bin/left": b"left"}),
    StarSpec("editor", "6.2.0", {"usr/bin/ed": b"ed"}, {"left": "*"}),
)
LATER = (*STARS, StarSpec("tool", "2.1.0", {"usr/bin/tool": b"tool 2.1"}, {"zlib": "^1.3"}))
COMMANDS = {
    "install": ("install", "editor", "--yes", "--offline"),
    "update": ("update", "--all", "--yes", "--offline"),
    "uninstall": ("uninstall", "tool"),
    "autoremove": ("autoremove",),
    "repair": ("repair", "--offline"),
    "sync": ("sync", "--full"),
    "freeze": ("freeze", "--offline"),
    "settings": ("add-galaxy", "other", "/srv/other"),
}
PAIRS = [
    pytest.param(*pair, marks=() if "update" in pair else pytest.mark.exhaustive)
    for pair in itertools.combinations_with_replacement(COMMANDS, 2)
]
REFUSED = "another cosmos is at work"
STATE = ("var/lib/cosmos/universe.toml", "etc/cosmos/config.toml")


@pytest.fixture
def galaxy(tmp_path: Path) -> GalaxyFixture:
    return make_galaxy(tmp_path / "galaxy", "core", STARS, make_signers())


@pytest.fixture
def system(tmp_path: Path, galaxy: GalaxyFixture, cosmos: Cosmos) -> Path:
    """A system with something to do for every command: updates, an orphan, a damaged file, a newer index."""
    root = tmp_path / "system"
    root.mkdir()
    cosmos("init", "--root", root, "--arch", "x86_64").ok()
    trust = galaxy.signers.write_trust(tmp_path / "trust.toml")
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
    cosmos("add-galaxy", "core", galaxy.path, "--root", root).ok()
    cosmos("install", "tool", "editor", "--root", root).ok()
    cosmos("uninstall", "editor", "--root", root).ok()
    make_galaxy(galaxy.path, "core", LATER, galaxy.signers, seq=2)
    (root / "usr/lib/libz.so.1").write_bytes(b"damaged")
    return root


def started(root: Path, name: str) -> subprocess.Popen[str]:
    program = [sys.executable, Path(sys.executable).with_name("cosmos"), *COMMANDS[name], "--root", root]
    return subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    )


def after(system: Path, names: tuple[str, ...], where: Path) -> dict[str, bytes]:
    """Return the state after these commands, one after the other."""
    root = where / "-".join(("then", *names))
    shutil.copytree(system, root, symlinks=True)
    for name in names:
        process = started(root, name)
        process.communicate()
    return state(root)


def state(root: Path) -> dict[str, bytes]:
    """Return the files that say what the system is, and the bytes of every file of a star."""
    places = [root / name for name in STATE]
    places += sorted(place for top in ("usr", "etc") for place in (root / top).rglob("*") if place.is_file())
    return {str(place.relative_to(root)): place.read_bytes() for place in places}


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_the_result_is_that_of_one_after_the_other(
    system: Path, tmp_path: Path, cosmos: Cosmos, one: str, other: str
) -> None:
    possible = [after(system, (one, other), tmp_path / "a"), after(system, (other, one), tmp_path / "b")]
    possible += [after(system, (name,), tmp_path / f"alone-{name}") for name in {one, other}]
    processes = [started(system, one), started(system, other)]
    said = [process.communicate()[0] for process in processes]
    refused = [process.returncode == 5 and REFUSED in text for process, text in zip(processes, said, strict=True)]
    assert not all(refused), "nobody was let in"
    assert all(process.returncode in (0, 3) or was for process, was in zip(processes, refused, strict=True)), said
    assert state(system) in possible
    assert cosmos("status", "--root", system, "--json").json()["installation"] == "idle"
