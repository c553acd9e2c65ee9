"""A threshold of two in every role, through every command: one signature is never enough, two distinct ones are.

One case a role: the same document with one signature, with two by one key, and with two by two keys.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from cosmos.digest import Digest
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.trust.dsse import assemble
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import GALAXY_TYPE, IN_TOTO_TYPE, LOCK_TYPE, STAR_TYPE, TRUST_TYPE, Role
from cosmos.trust.roots import AuthorKey, RoleKeys, TrustRoots
from fakes.galaxies import Signers, make_galaxy
from fakes.growing_galaxies import pin
from fakes.images import APP, BASE, META, ImageFixture, make_image
from fakes.programs import Cosmos, Outcome

STARS = (BASE, APP, META)
ALL: tuple[Role, ...] = ("root", "galaxy", "release", "log", "witness")
POLICY = "[policy]\nsigned-lock = true\nlog = true"


def secret(name: str, role: Role) -> SecretKey:
    return SecretKey(name=KeyName(name), role=role, seed=f"{role} {name}".encode().ljust(32, b"."))


FIRST = {role: secret(f"{role}-1", role) for role in (*ALL, "author")}
SECOND = {role: secret(f"{role}-2", role) for role in (*ALL, "author")}
SIGNERS = Signers(FIRST)
ROLES: dict[Role, RoleKeys] = {
    role: RoleKeys(threshold=2, keys=(FIRST[role].public, SECOND[role].public)) for role in ALL
}
AUTHORS = tuple(AuthorKey(key=keys["author"].public, galaxies=("*",), stars=("*",)) for keys in (FIRST, SECOND))
ROOTS = replace(SIGNERS.roots(), roles=ROLES, authors=AUTHORS, author_threshold=2)


def seal(file: Path, kind: str, *keys: SecretKey) -> None:
    """Sign a file with these keys, as often as each is named."""
    rows = [key.signature(kind, file.read_bytes()) for key in keys]
    again = [replace(row, keyid=f"{row.keyid}{place}") if place else row for place, row in enumerate(rows)]
    twice = len({key.public.raw for key in keys}) < len(keys)
    Path(f"{file}.dsse").write_bytes(assemble(kind, file.read_bytes(), again if twice else rows))


def too_few(role: Role) -> tuple[tuple[SecretKey, ...], ...]:
    return (FIRST[role],), (SECOND[role],), (FIRST[role], FIRST[role])


class Site:
    """An image, a system and a galaxy in which two keys have signed everything. Each attack takes a signature away."""

    def __init__(self, where: Path, cosmos: Cosmos, stellar: Cosmos) -> None:
        self.where, self.cosmos, self.stellar = where, cosmos, stellar
        self.image: ImageFixture = make_image(where, STARS, signers=SIGNERS, tables=POLICY)
        self.galaxy = self.image.galaxy
        pin(SIGNERS, self.image.home, roles=ROLES, authors=AUTHORS, author_threshold=2)
        for keys in (FIRST, SECOND):
            for key in keys.values():
                key.save(where / f"{key.public.name}.key", None)
        self.statements = [self.galaxy.statement(star.id) for star in STARS]
        for statement in self.statements:
            seal(statement, STAR_TYPE, FIRST["author"], SECOND["author"])
        self.indexes = [self.galaxy.index, self.galaxy.path / "snapshots/1.toml"]
        for index in self.indexes:
            seal(index, GALAXY_TYPE, FIRST["galaxy"], SECOND["galaxy"])
        self.append(FIRST["log"], SECOND["log"])
        self.cosign(FIRST["witness"])
        self.cosign(SECOND["witness"])
        self.freeze().ok()
        seal(self.lock, LOCK_TYPE, FIRST["release"], SECOND["release"])
        self.system = where / "system"
        self.system.mkdir()
        trust = where / "trust.toml"
        trust.write_text(tomli_w.dumps(ROOTS.to_toml()))
        self.on_system("init", "--arch", "x86_64").ok()
        self.on_system("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes())).ok()
        self.on_system("add-galaxy", "core", self.galaxy.path).ok()

    @property
    def lock(self) -> Path:
        return self.image.folder / "universe.lock.toml"

    def key(self, key: SecretKey) -> Path:
        return self.where / f"{key.public.name}.key"

    def append(self, *keys: SecretKey) -> None:
        shutil.rmtree(self.galaxy.path / "log", ignore_errors=True)
        words = [word for key in keys for word in ("--key", self.key(key))]
        self.stellar("log", "append", self.galaxy.path, *words).ok()

    def cosign(self, key: SecretKey) -> None:
        words = ("--key", self.key(key), "--seen", self.where / f"{key.public.name}.head", "--home", self.image.home)
        self.stellar("log", "cosign", self.galaxy.path, *words).ok()

    def on_system(self, *words: object) -> Outcome:
        return self.cosmos(*words, "--root", self.system)

    def freeze(self) -> Outcome:
        return self.cosmos("freeze", self.image.folder, "--home", self.image.home)

    def build(self, *words: object) -> Outcome:
        return self.cosmos("build", self.image.folder, "--home", self.image.home, *words)

    def verify(self) -> Outcome:
        return self.cosmos("verify", self.image.out, "--home", self.image.home)

    def demand_refused(self, *outcomes: Outcome) -> None:
        for outcome in outcomes:
            outcome.fails(4)
            assert "2 distinct pinned keys, got 1" in outcome.err or "signed by 2 pinned keys" in outcome.err, (
                outcome.err
            )

    def no_memory(self) -> None:
        """Forget what the store has: a good envelope of before must not stand in for the bad one."""
        shutil.rmtree(self.image.home / "store", ignore_errors=True)


@pytest.fixture
def site(tmp_path: Path, cosmos: Cosmos, stellar: Cosmos) -> Site:
    return Site(tmp_path, cosmos, stellar)


@pytest.mark.objective("SO-02")
def test_with_two_signatures_of_every_role_every_command_passes(site: Site) -> None:
    site.build("--key", site.key(FIRST["release"])).ok()
    seal(site.image.out / "RELEASE.json", IN_TOTO_TYPE, FIRST["release"], SECOND["release"])
    site.verify().ok()
    site.on_system("sync").ok()
    site.on_system("install", "everything").ok()
    site.on_system("verify").ok()
    site.on_system("freeze").ok()
    site.stellar("log", "check", site.galaxy.path, "--home", site.image.home).ok()


@pytest.mark.objective("SO-02")
def test_one_author_of_two_is_not_enough(site: Site) -> None:
    for keys in too_few("author"):
        site.no_memory()
        seal(site.statements[0], STAR_TYPE, *keys)
        install, show = site.on_system("install", "everything"), site.on_system("show", "base", "--json")
        site.demand_refused(site.build(), site.freeze(), install)
        assert "2 distinct pinned keys, got 1" in show.ok().out
        assert site.on_system("sync", "--json").json()["galaxies"][0]["left-out"] == ["base-1.2.0"]
    assert not (site.system / "usr").exists()


@pytest.mark.objective("SO-02")
def test_one_galaxy_key_of_two_is_not_enough(site: Site) -> None:
    for keys in too_few("galaxy"):
        site.no_memory()
        for index in site.indexes:
            seal(index, GALAXY_TYPE, *keys)
        install = site.on_system("install", "everything")
        site.demand_refused(site.build(), site.freeze(), site.on_system("sync"), install)
    assert not (site.system / "usr").exists()


@pytest.mark.objective("SO-02")
def test_one_signature_of_a_lock_that_must_be_signed_is_not_enough(site: Site) -> None:
    for keys in too_few("release"):
        seal(site.lock, LOCK_TYPE, *keys)
        site.demand_refused(site.build())
    assert not site.image.out.exists()


@pytest.mark.objective("SO-02")
def test_one_signature_of_a_release_is_not_enough(site: Site) -> None:
    site.build("--key", site.key(FIRST["release"])).ok()
    for keys in too_few("release")[:2]:
        seal(site.image.out / "RELEASE.json", IN_TOTO_TYPE, *keys)
        site.demand_refused(site.verify())
    seal(site.image.out / "RELEASE.json", IN_TOTO_TYPE, FIRST["release"], FIRST["release"])
    site.verify().fails(4)


def demand_one_more(site: Site, role: str) -> None:
    check = site.stellar("log", "check", site.galaxy.path, "--home", site.image.home)
    for outcome in (site.build(), check):
        assert f"want the head signed by 2 pinned keys of the role {role}, got 1" in outcome.fails(4).err


@pytest.mark.objective("SO-02", "SO-13")
def test_one_log_key_of_two_is_not_enough(site: Site) -> None:
    site.append(FIRST["log"])
    demand_one_more(site, "log")


@pytest.mark.objective("SO-02", "SO-13")
def test_one_witness_of_two_is_not_enough(site: Site) -> None:
    site.append(FIRST["log"], SECOND["log"])
    site.cosign(FIRST["witness"])
    demand_one_more(site, "witness")


@pytest.mark.objective("SO-02", "SO-11")
def test_one_root_key_of_two_is_not_enough(site: Site) -> None:
    second = site.where / "2.toml"
    second.write_text(tomli_w.dumps(replace(ROOTS, version=2).to_toml()))
    for keys in too_few("root"):
        seal(second, TRUST_TYPE, *keys)
        home = site.cosmos("trust", "update", second, "--home", site.image.home)
        site.demand_refused(home, site.on_system("trust", "update", second))
    seal(second, TRUST_TYPE, FIRST["root"], SECOND["root"])
    site.on_system("trust", "update", second).ok()


@pytest.mark.objective("SO-02", "SO-12")
@pytest.mark.parametrize("role", ["author", "galaxy"])
def test_a_key_that_was_retired_before_does_not_make_two(site: Site, role: Role) -> None:
    """Both have signed, and one of them was retired before the seq of what they signed: one is left of two."""
    retired = Revoked(key=SECOND[role].public.id, reason="has left", effective_seq=1)

    def home(roots: TrustRoots) -> None:
        site.no_memory()
        pin(SIGNERS, site.image.home, roles=ROLES, authors=AUTHORS, author_threshold=2, revoked=roots.revoked)
        site.lock.unlink(missing_ok=True)

    home(replace(ROOTS, revoked=(retired,)))
    site.freeze().ok()  # of seq 1: both still count
    make_galaxy(site.galaxy.path, "core", STARS, SIGNERS, seq=2)
    for statement in site.statements:
        seal(statement, STAR_TYPE, FIRST["author"], SECOND["author"])
    for name in ("meta.toml", "snapshots/2.toml"):
        seal(site.galaxy.path / name, GALAXY_TYPE, FIRST["galaxy"], SECOND["galaxy"])
    home(replace(ROOTS, revoked=(retired,)))
    assert "whose key was revoked for all after seq 1 (has left)" in site.freeze().fails(4).err
    home(ROOTS)
    site.freeze().ok()
