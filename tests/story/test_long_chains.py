"""Chains of thousands of stars, each depending on the next: no command's depth grows with them."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path

import pytest
import tomli_w

from cosmos.device.freeze import LOCK_PATH
from cosmos.device.initialise import initialise
from cosmos.device.root import LiveRoot
from cosmos.device.settings import write_settings
from cosmos.device.system import TRUST_PATH, read_universe, rendered
from cosmos.model.galaxy import Listed
from cosmos.model.image import GalaxySource
from cosmos.model.lock import Lock
from cosmos.model.names import Arch, GalaxyName, StarName
from cosmos.model.settings import Settings
from cosmos.model.universe import UNIVERSE_PATH, Installed
from cosmos.model.version import SemVer
from fakes.galaxies import GalaxyFixture, StarSpec, make_galaxy, make_signers, write_index, write_spec
from fakes.programs import Cosmos

LENGTHS = [1_100, pytest.param(5_000, marks=pytest.mark.exhaustive)]


def chained(galaxy: GalaxyFixture, names: list[str]) -> list[Listed]:
    """Publish the chain: each star depends on the next."""
    rows = []
    for name, needed in zip_longest(names, names[1:]):
        needs = {needed: "*"} if needed else {}
        rows.append(write_spec(galaxy, StarSpec(name, dependencies=needs, type="nebula"), 2))
    write_index(galaxy, rows, seq=2)
    return rows


@pytest.mark.slow
@pytest.mark.parametrize("length", LENGTHS)
def test_a_chain_of_thousands_of_installed_stars_is_frozen_in_its_order(
    length: int, tmp_path: Path, cosmos: Cosmos
) -> None:
    assert sys.getrecursionlimit() < length
    names = [f"s{number:04}" for number in range(length)]  # the order of the lock is the other way round
    galaxy = make_galaxy(tmp_path / "galaxy", "core", (), make_signers())
    rows = chained(galaxy, names)
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
                dependencies=tuple(map(StarName, names[at + 1 : at + 2])),
                asked_by=() if at else ("user",),
                needed_by=(StarName(names[at - 1]),) if at else (),
            )
            for at, row in enumerate(rows)
        }
        live.replace_document(UNIVERSE_PATH, rendered(replace(read_universe(live), installed=installed)))
    cosmos("freeze", "--root", root).ok()
    lock = Lock.parse((root / str(LOCK_PATH)).read_bytes(), "lock")
    assert [star.name for star in lock.stars] == names[::-1]
    assert list(lock.request.stars) == [names[0]]
    assert cosmos("status", "--root", root, "--json").json()["stars"]
    cosmos("verify", "--root", root).ok()
    cosmos("show", names[0], "--root", root).ok()
    cosmos("install", names[0], "--root", root).ok()
