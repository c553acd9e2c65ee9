"""A galaxy on a server that is far away: what several stars need is on its way at the same time.

The server answers the requests for such files in pairs: a command that asked for one after the other would wait.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.keyring.secret_key import SecretKey
from cosmos.trust.badges import BADGES_SUFFIX
from cosmos.trust.keys import KeyName
from cosmos.trust.log import PROOF_SUFFIX
from cosmos.trust.roles import Role
from cosmos.trust.roots import RoleKeys
from fakes.galaxies import GalaxyFixture, StarSpec, make_galaxy, make_signers
from fakes.growing_galaxies import carry
from fakes.kept_servers import KeptServer, kept
from fakes.programs import Cosmos
from fakes.upstream_galaxies import write_upstream

pytestmark = [pytest.mark.slow]

NAMES = ("north", "south", "east", "west")
LOG = SecretKey(name=KeyName("core-log"), role="log", seed=b"core-log".ljust(32, b"."))
ALICE = SecretKey(name=KeyName("alice"), role="attester", seed=b"alice".ljust(32, b"."))


@pytest.fixture
def galaxy(tmp_path: Path, stellar: Cosmos) -> GalaxyFixture:
    """A signed galaxy: every star has a log proof and a badge."""
    stars = [StarSpec(name, files={f"usr/share/{name}": name.encode()}) for name in NAMES]
    signers = make_signers()
    made = make_galaxy(tmp_path / "galaxy", "core", stars, signers)
    roles: dict[Role, RoleKeys] = {**signers.roots().roles}
    for key in (LOG, ALICE):
        key.save(tmp_path / f"{key.role}.key", None)
        roles[key.role] = RoleKeys(threshold=1, keys=(key.public,))
    carry(made.path, replace(signers.roots(), roles=roles), signers)
    stellar("log", "append", made.path, "--key", tmp_path / "log.key").ok()
    for name in NAMES:
        words = (made.statement(f"{name}-1.0.0"), "--kind", "test", "--result", "passed")
        stellar("attest", *words, "--key", tmp_path / "attester.key").ok()
    return made


@pytest.fixture
def server(galaxy: GalaxyFixture) -> Iterator[KeptServer]:
    with kept(galaxy.path) as server:
        yield server


@pytest.fixture
def root(tmp_path: Path, galaxy: GalaxyFixture, server: KeptServer, cosmos: Cosmos) -> Path:
    """A system that wants of every star to be in the log, and a badge."""
    root, trust = tmp_path / "root", galaxy.path / "trust/1.toml"
    root.mkdir()
    cosmos("init", "--root", root, "--arch", "x86_64").ok()
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
    cosmos("add-galaxy", "core", server.address, "--root", root).ok()
    with (root / "etc/cosmos/config.toml").open("a") as settings:
        settings.write("\n[policy]\nlog = true\nbadges = { test = 1 }\n")
    return root


def asked(server: KeptServer, ending: str) -> list[str]:
    return [target for _, target, _ in server.requests if target.endswith(ending)]


@pytest.mark.parametrize("words", [("install", *NAMES, "--yes"), ("install", *NAMES, "--dry-run"), ("sync", "--full")])
def test_proofs_and_badges_of_several_stars_come_at_the_same_time(
    server: KeptServer, root: Path, cosmos: Cosmos, words: tuple[str, ...]
) -> None:
    server.wait_for_two(PROOF_SUFFIX, BADGES_SUFFIX)
    cosmos(*words, "--root", root).ok()
    assert server.alone == []
    assert len(asked(server, PROOF_SUFFIX)) == len(NAMES)
    assert len(asked(server, BADGES_SUFFIX)) == len(NAMES) * (
        1 if "sync" in words else 2
    )  # the policy, and what is shown


def test_manifests_of_an_upstream_galaxy_come_at_the_same_time(tmp_path: Path, cosmos: Cosmos) -> None:
    names = [f"{name}-plain" for name in NAMES]
    folder = write_upstream(
        tmp_path / "plain",
        index=f'name = "plain"\nversion = "2026.01"\nstars = {names}\n\n[checksums]\n',
        stars={name: f'name = "{name}"\nversion = "1.0.0"\ntype = "normal"\n' for name in names},
        archives={f"{name}-1.0.0": {f"./files/usr/share/{name}": name.encode()} for name in names},
    )
    root = tmp_path / "root"
    root.mkdir()
    cosmos("init", "--root", root, "--arch", "x86_64").ok()
    with kept(folder) as server:
        server.wait_for_two("-plain.toml")
        cosmos("add-galaxy", "plain", server.address, "--allow-unsigned", "--root", root).ok()
        cosmos("install", *names, "--yes", "--root", root).ok()
    assert server.alone == []
    assert len(asked(server, "-plain.toml")) == 2 * len(NAMES)  # for the versions, then for the statements
