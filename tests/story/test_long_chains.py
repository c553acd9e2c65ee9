"""Chains of thousands of stars, each depending on the next: no command's depth grows with them."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from cosmos.device.freeze import LOCK_PATH
from cosmos.device.root import LiveRoot
from cosmos.device.settings import write_settings
from cosmos.device.system import TRUST_PATH, initialise, read_universe, rendered
from cosmos.model.galaxy import Listed
from cosmos.model.image import GalaxySource
from cosmos.model.lock import Lock
from cosmos.model.names import Arch, GalaxyName, StarName
from cosmos.model.settings import Settings
from cosmos.model.universe import UNIVERSE_PATH, Installed
from cosmos.model.version import SemVer
from fakes.galaxies import GalaxyFixture, StarSpec, make_galaxy, make_signers, write_index, write_spec
from fakes.programs import Cosmos

LENGTH = 5_000
NAMES = [f"s{number:04}" for number in range(LENGTH)]  # each depends on the next, so that the order is not by name


def chained(galaxy: GalaxyFixture) -> list[Listed]:
    """Publish the chain."""
    rows = []
    for at, name in enumerate(NAMES):
        needs = {NAMES[at + 1]: "*"} if at + 1 < LENGTH else {}
        rows.append(write_spec(galaxy, StarSpec(name, dependencies=needs, type="nebula"), 2))
    write_index(galaxy, rows, seq=2)
    return rows


@pytest.mark.slow
def test_a_chain_of_thousands_of_installed_stars_is_frozen_in_its_order(tmp_path: Path, cosmos: Cosmos) -> None:
    assert sys.getrecursionlimit() < LENGTH
    galaxy = make_galaxy(tmp_path / "galaxy", "core", (), make_signers())
    rows = chained(galaxy)
    root = tmp_path / "root"
    root.mkdir()
    with LiveRoot.open(root) as live:
        initialise(live, arch=Arch("x86_64"), version="1")
        write_settings(live, Settings(galaxies=(GalaxySource(name=GalaxyName("core"), url=str(galaxy.path)),)))
        live.replace_document(TRUST_PATH, tomli_w.dumps(galaxy.signers.roots().to_toml()).encode())
        installed = {
            row.name: Installed(
                version=SemVer(1, 0, 0),
                files=(),
                galaxy="core",
                archive=row.archive,
                type="nebula",
                dependencies=tuple(map(StarName, NAMES[at + 1 : at + 2])),
                asked_by=() if at else ("user",),
                needed_by=(StarName(NAMES[at - 1]),) if at else (),
            )
            for at, row in enumerate(rows)
        }
        live.replace_document(UNIVERSE_PATH, rendered(replace(read_universe(live), installed=installed)))
    cosmos("freeze", "--root", root).ok()
    lock = Lock.parse((root / str(LOCK_PATH)).read_bytes(), "lock")
    assert [star.name for star in lock.stars] == NAMES[::-1]
    assert list(lock.request.stars) == [NAMES[0]]
    assert cosmos("status", "--root", root, "--json").json()["stars"]
    cosmos("verify", "--root", root).ok()
    cosmos("show", NAMES[0], "--root", root).ok()
    cosmos("install", NAMES[0], "--root", root).ok()
