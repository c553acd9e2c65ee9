"""Two commands at once on one system: one waits or is refused, and the result is that of one after the other."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from cosmos.digest import Digest
from fakes.galaxies import GalaxyFixture, StarSpec, make_galaxy, make_signers
from fakes.growing_galaxies import carry
from fakes.programs import REPO, Cosmos

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
    "remove-galaxy": ("remove-galaxy", "spare"),
    "trust": ("trust", "update", "{root}/srv", "--offline"),
    "init": ("init", "--arch", "x86_64"),
    "rebuild": ("repair", "--universe", "--yes", "--offline"),
    "rehearse": ("install", "editor", "--dry-run"),  # it remembers the galaxy's index
    "search": ("search", "ed"),
    "show": ("show", "editor"),
    "verify": ("verify", "--trust"),
    "status": ("status",),
}
LOCKED_BY: Final = {  # the modules that take the lock, and the commands above that come there
    "cli/cosmos/init.py": ("init",),
    "cli/cosmos/add_galaxy.py": ("settings",),
    "cli/cosmos/remove_galaxy.py": ("remove-galaxy",),
    "cli/cosmos/trust/places.py": ("trust",),
    "device/sync.py": ("sync",),
    "device/freeze.py": ("freeze",),
    "device/search.py": ("search",),
    "device/install.py": ("install",),
    "device/vouching.py": ("rehearse",),  # if the policy demands a log
    "device/repair.py": ("repair", "rebuild"),
    "device/uninstall.py": ("uninstall", "autoremove"),
    "device/update.py": ("update",),
    "device/galaxies.py": ("rehearse", "show"),
    "device/releases.py": (),  # the verification of a release by a system's keys, which only remembers its version
}
ALWAYS: Final = {"update", "install", "uninstall", "repair", "sync", "freeze", "trust", "search", "verify"}
PAIRS = [
    pytest.param(*pair, marks=() if "update" in pair and ALWAYS.issuperset(pair) else pytest.mark.exhaustive)
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
    cosmos("add-galaxy", "spare", "/srv/spare", "--root", root).ok()
    (root / "srv").mkdir()
    carry(root / "srv", replace(galaxy.signers.roots(), version=2), galaxy.signers)
    make_galaxy(galaxy.path, "core", LATER, galaxy.signers, seq=2)
    (root / "usr/lib/libz.so.1").write_bytes(b"damaged")
    return root


def words_of(root: Path, name: str) -> list[object]:
    return [*(word.format(root=root) for word in COMMANDS[name]), "--root", root]


def started(root: Path, name: str) -> subprocess.Popen[str]:
    program = [sys.executable, Path(sys.executable).with_name("cosmos"), *words_of(root, name)]
    return subprocess.Popen(
        program, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, text=True
    )


def after(
    system: Path, names: tuple[str, ...], where: Path, cosmos: Cosmos
) -> tuple[dict[str, bytes], set[tuple[str, int]]]:
    """Return the state after these commands, one after the other, and the exit code of each."""
    root = where / "-".join(("then", *names))
    shutil.copytree(system, root, symlinks=True)
    codes = set()
    for name in names:
        codes.add((name, cosmos(*words_of(root, name)).code))
    return state(root), codes


def state(root: Path) -> dict[str, bytes]:
    """Return the files that say what the system is, and the bytes of every file of a star."""
    places = [root / name for name in STATE]
    places += sorted(place for top in ("usr", "etc") for place in (root / top).rglob("*") if place.is_file())
    return {str(place.relative_to(root)): place.read_bytes() for place in places}


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_the_result_is_that_of_one_after_the_other(
    system: Path, tmp_path: Path, cosmos: Cosmos, one: str, other: str
) -> None:
    runs = [(one, other), (other, one), *((name,) for name in {one, other})]
    found = [after(system, names, tmp_path / f"run-{place}", cosmos) for place, names in enumerate(runs)]
    processes = [started(system, one), started(system, other)]
    said = [process.communicate()[0] for process in processes]
    refused = [process.returncode == 5 and REFUSED in text for process, text in zip(processes, said, strict=True)]
    assert not all(refused), "nobody was let in"
    usual = set[tuple[str, int]]().union(*(codes for _, codes in found))
    for name, process, was in zip((one, other), processes, refused, strict=True):
        assert was or (name, process.returncode) in usual, said
    assert state(system) in [state for state, _ in found]
    assert cosmos("status", "--root", system, "--json").json()["installation"] == "idle"


def test_every_command_that_takes_the_lock_is_in_a_pair() -> None:
    sources = REPO / "builder/cosmos"
    takers = {
        str(file.relative_to(sources))
        for file in sources.rglob("*.py")
        if re.search(r"^(?!def ).*\bat_work\(", file.read_text(), re.MULTILINE)
    }
    assert takers == set(LOCKED_BY)
    assert {name for names in LOCKED_BY.values() for name in names} <= set(COMMANDS)
