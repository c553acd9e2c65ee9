"""Attacks on what a lock says of trust: it is verified and then stated, never copied. As commands."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.trust.dsse import assemble
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import STAR_TYPE, TRUST_TYPE
from cosmos.trust.roots import AuthorKey, TrustRoots
from fakes.growing_galaxies import pin
from fakes.images import APP, BASE, META, ImageFixture, make_image
from fakes.programs import Cosmos, Outcome

OTHER, NEVER = (SecretKey.generate(KeyName(name), "author") for name in ("other", "never-signed"))
NOBODY = "ed25519:" + "0" * 64


def pinned(*keys: SecretKey) -> tuple[AuthorKey, ...]:
    return tuple(AuthorKey(key=key.public, galaxies=("*",), stars=("*",)) for key in keys)


def revoked(*keys: SecretKey) -> tuple[Revoked, ...]:
    return tuple(Revoked(key=key.public.id, reason="stolen") for key in keys)


class Site:
    """An image whose stars `test-author` has signed; `other` and `never-signed` are pinned authors besides."""

    def __init__(self, where: Path, cosmos: Cosmos) -> None:
        self.image: ImageFixture = make_image(where, (BASE, APP, META))
        self.cosmos = cosmos
        self.author = self.image.signers["author"]
        self.roots = replace(self.image.signers.roots(), authors=pinned(self.author, OTHER, NEVER))
        pin(self.image.signers, self.image.home, authors=self.roots.authors)
        self.freeze().ok()

    @property
    def lock(self) -> Path:
        return self.image.folder / "universe.lock.toml"

    def freeze(self) -> Outcome:
        return self.cosmos("freeze", self.image.folder, "--home", self.image.home)

    def build(self, *words: str) -> Outcome:
        return self.cosmos(
            "build", self.image.folder, "--home", self.image.home, "--key", self.image.secret_key, *words
        )

    def verify(self, *words: str) -> Outcome:
        return self.cosmos("verify", self.image.out, "--home", self.image.home, *words)

    def trust(self, change: Callable[[TrustRoots], TrustRoots]) -> None:
        """Give out the next trust.toml, and take it."""
        self.roots = replace(change(self.roots), version=self.roots.version + 1)
        file = self.image.home.parent / f"{self.roots.version}.toml"
        file.write_bytes(tomli_w.dumps(self.roots.to_toml()).encode())
        Path(f"{file}.dsse").write_bytes(self.image.signers["root"].sign(TRUST_TYPE, file.read_bytes()))
        self.cosmos("trust", "update", file, "--home", self.image.home).ok()

    def edit(self, change: Callable[[dict[str, Any]], object]) -> None:
        lock = tomllib.loads(self.lock.read_text())
        change(lock)
        self.lock.write_text(tomli_w.dumps(lock))

    def name_signers(self, *keys: str) -> None:
        self.edit(lambda lock: [row.update(signers=list(keys)) for row in lock["star"]])

    def sign_again(self, *keys: SecretKey) -> None:
        for star in (BASE, APP, META):
            file = self.image.galaxy.statement(star.id)
            data = file.read_bytes()
            rows = [key.signature(STAR_TYPE, data) for key in keys]
            Path(f"{file}.dsse").write_bytes(assemble(STAR_TYPE, data, rows))

    def stated(self) -> set[str]:
        """Every signer of a star that RELEASE.json states."""
        said = json.loads((self.image.out / "RELEASE.json").read_bytes())["predicate"]["buildDefinition"]
        notes = [row.get("annotations", {}) for row in said["resolvedDependencies"]]
        return {signer for note in notes for signer in note.get("signers", [])}


@pytest.fixture
def site(tmp_path: Path, cosmos: Cosmos) -> Site:
    return Site(tmp_path, cosmos)


@pytest.mark.objective("SO-12")
@pytest.mark.parametrize("beside", [False, True], ids=["instead", "beside the real one"])
@pytest.mark.parametrize("who", ["another pinned author", "nobody's key"])
def test_a_lock_names_no_signer_who_did_not_sign(site: Site, who: str, beside: bool) -> None:
    """Otherwise the later revocation of the real signer is not seen, and a signed release states a lie."""
    false = NEVER.public.id if who == "another pinned author" else NOBODY
    site.name_signers(*([site.author.public.id] if beside else []), false)
    assert f"says that {false} signed it, but it has no such signature" in site.build().fails(4).err
    assert not site.image.out.exists()


@pytest.mark.objective("SO-12")
def test_a_lock_names_no_revoked_key_that_did_not_sign(site: Site) -> None:
    """A revoked key's signature counts for nothing; but it must be there, since RELEASE.json would name the key."""
    site.trust(lambda roots: replace(roots, revoked=revoked(NEVER)))
    site.name_signers(site.author.public.id, NEVER.public.id)
    assert f"says that {NEVER.public.id} signed it" in site.build().fails(4).err


@pytest.mark.objective("SO-12")
@pytest.mark.parametrize("how", ["revoked", "pinned no longer"])
def test_a_release_states_the_signers_that_were_verified(site: Site, how: str) -> None:
    """One of the lock's two signers lost its trust: the build goes on with the other, and states that one alone."""
    site.sign_again(site.author, OTHER)
    site.freeze().ok()
    site.build().ok()
    assert site.stated() == {site.author.public.id, OTHER.public.id}
    if how == "revoked":
        site.trust(lambda roots: replace(roots, revoked=revoked(OTHER)))
    else:
        site.trust(lambda roots: replace(roots, authors=pinned(site.author, NEVER)))
    site.build().ok()
    assert site.stated() == {site.author.public.id}
    site.verify().ok()


@pytest.mark.objective("SO-12")
def test_what_a_build_takes_its_verification_takes(site: Site) -> None:
    """Two authors must have signed now, and have; but the old lock names one: it is refused where it is built."""
    site.sign_again(site.author, OTHER)
    site.trust(lambda roots: replace(roots, author_threshold=2))
    said = site.build().fails(4).err
    assert "was signed again, by" in said
    assert "the lock names only 1 of the 2 that must have signed" in said
    site.freeze().ok()
    site.build().ok()
    site.verify().ok()


@pytest.mark.objective("SO-12")
def test_stars_signed_again_are_locked_again_before_they_are_built(site: Site) -> None:
    site.trust(lambda roots: replace(roots, revoked=revoked(site.author)))
    site.sign_again(OTHER)
    said = site.build().fails(4).err
    assert f"was signed again, by {OTHER.public.id}, and the lock names none of them" in said
    site.freeze().ok()
    site.build().ok()
    assert site.stated() == {OTHER.public.id}
    site.verify().ok()


@pytest.mark.objective("SO-07")
def test_a_lock_that_names_an_accepted_trust_with_another_digest_is_refused(site: Site) -> None:
    site.edit(lambda lock: lock["trust"].update(digest="sha256:" + "0" * 64))
    said = site.build().fails(4).err
    assert "but the lock was made under another version 1: sha256:000" in said
    site.trust(lambda roots: replace(roots, description="the next"))
    assert "chain/1.toml: is sha256:" in site.build().fails(4).err  # also of a version before the newest


@pytest.mark.objective("SO-12")
def test_verify_says_that_the_lock_names_another_trust_than_the_one_accepted_here(site: Site, tmp_path: Path) -> None:
    site.build().ok()
    other = tmp_path / "other-home"
    pin(site.image.signers, other, authors=site.roots.authors, description="of another operator, also version 1")
    said = site.cosmos("verify", site.image.out, "--home", other).ok().out
    assert "cannot be judged: version 1 of trust.toml is another document here than the lock names" in said
    assert "never accepted" not in said


@pytest.mark.objective("SO-12")
def test_a_lock_under_a_newer_trust_than_this_home_has_is_refused(site: Site, tmp_path: Path) -> None:
    """The newer trust.toml may hold a revocation: nobody goes on under the old one in silence."""
    behind = tmp_path / "behind"
    pin(site.image.signers, behind, authors=site.roots.authors)
    site.trust(lambda roots: replace(roots, description="the next"))
    site.lock.unlink()
    site.freeze().ok()
    refused = site.cosmos("build", site.image.folder, "--home", behind).fails(4).err
    assert "was made under version 2 of trust.toml, but this home has version 1" in refused
    assert "cosmos trust update FROM" in refused


@pytest.mark.objective("SO-25")
def test_a_star_that_lost_its_only_signer_makes_no_signed_release(tmp_path: Path, cosmos: Cosmos) -> None:
    """The galaxy lets stars be unsigned. The lock names a key that did sign, but was revoked since."""
    site = Site(tmp_path, cosmos)
    text = (site.image.folder / "image.toml").read_text()
    allowed = text.replace('core = "../galaxy"', 'core = { url = "../galaxy", allow-unsigned = true }')
    assert allowed != text
    (site.image.folder / "image.toml").write_text(allowed)
    site.freeze().ok()
    site.trust(lambda roots: replace(roots, revoked=revoked(site.author)))
    said = site.build().fails(4).err
    assert "nobody signed base, app, everything, so the release cannot be signed" in said
    assert not site.image.out.exists()
