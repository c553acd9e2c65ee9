"""Attack by attack on galaxies and locks: rollback, fast-forward, mix-and-match, revocation. As commands; each exit 4.

Rollback is judged with no clock: by the floors of trust.toml, by what this home has seen, and by the lock.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from cosmos.keyring.secret_key import SecretKey
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.names import GalaxyName, ImageName, KeyName, StarName
from cosmos.trust.floors import Floors, Recovered
from cosmos.trust.revocation import Revoked
from cosmos.trust.roles import STAR_TYPE, TRUST_TYPE
from cosmos.trust.roots import AuthorKey, RoleKeys, TrustRoots
from fakes.galaxies import Signers, make_galaxy, write_index
from fakes.growing_galaxies import pin
from fakes.http_servers import serving
from fakes.images import APP, BASE, META, ImageFixture, copy_image, make_image
from fakes.programs import Cosmos, Outcome

CORE, IMAGE, APP_NAME = GalaxyName("core"), ImageName("small"), StarName("app")
STARS = (BASE, APP, META)
Change = Callable[[TrustRoots], TrustRoots]


class Site:
    """An image that was frozen and built once, and the trust.toml of its home, which can go on."""

    def __init__(self, image: ImageFixture, cosmos: Cosmos) -> None:
        self.image = image
        self.cosmos = cosmos
        self.roots = image.signers.roots()

    def freeze(self) -> Outcome:
        return self.cosmos("freeze", self.image.folder, "--home", self.image.home)

    def build(self, *words: str) -> Outcome:
        return self.cosmos("build", self.image.folder, "--home", self.image.home, *words)

    def verify(self, *words: str) -> Outcome:
        return self.cosmos("verify", self.image.out, "--home", self.image.home, *words)

    def index(self, seq: int, signers: Signers | None = None) -> None:
        """Publish the same stars under another seq; their statements stay as they are."""
        galaxy = replace(self.image.galaxy, signers=signers or self.image.signers)
        rows = GalaxyIndex.parse(galaxy.index.read_bytes(), "meta.toml").snapshot
        write_index(galaxy, rows, seq=seq)

    def trust(self, change: Change) -> None:
        """Give out the next trust.toml, signed by the root key, and take it."""
        self.roots = replace(change(self.roots), version=self.roots.version + 1)
        stick = self.image.home.parent / "stick"
        stick.mkdir(exist_ok=True)
        data = tomli_w.dumps(self.roots.to_toml()).encode()
        (stick / f"{self.roots.version}.toml").write_bytes(data)
        root = self.image.signers["root"]
        (stick / f"{self.roots.version}.toml.dsse").write_bytes(root.sign(TRUST_TYPE, data))
        self.cosmos("trust", "update", stick, "--home", self.image.home).ok()

    def snapshot(self) -> dict[str, bytes]:
        """Everything that a refused command may not have changed."""
        folders = (self.image.folder, self.image.home / "trust")
        return {str(file): file.read_bytes() for folder in folders for file in folder.rglob("*") if file.is_file()}

    def refused(self, act: Callable[[], Outcome]) -> str:
        """Run `act`, demand the refusal whole, and return its sentence."""
        before = self.snapshot()
        outcome = act().fails(4)
        assert self.snapshot() == before, "nothing is written"
        (line,) = [line for line in outcome.err.splitlines() if "error: " in line]
        return line


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory, succeed: Callable[..., None]) -> ImageFixture:
    image = make_image(tmp_path_factory.mktemp("built"), STARS)
    make_galaxy(image.galaxy.path, "core", STARS, image.signers, seq=5)
    succeed("freeze", image.folder, "--home", image.home)
    succeed("build", image.folder, "--home", image.home, "--key", image.secret_key)
    return image


@pytest.fixture
def site(built_once: ImageFixture, tmp_path: Path, cosmos: Cosmos) -> Site:
    return Site(copy_image(built_once, tmp_path), cosmos)


def author(signers: Signers) -> str:
    return signers["author"].public.id


def revoke(key: str, seq: int = 0) -> Change:
    return lambda roots: replace(roots, revoked=(*roots.revoked, Revoked(key=key, reason="stolen", effective_seq=seq)))


# Rollback, freeze, fork


@pytest.mark.objective("SO-07")
def test_an_index_older_than_one_seen_is_refused_when_freezing(site: Site) -> None:
    site.index(6)
    site.freeze().ok()
    (site.image.folder / "universe.lock.toml").unlink()  # so that the home's memory alone can tell
    site.index(5)
    assert "meta.toml: has seq 5, but seq 6 was seen before" in site.refused(site.freeze)


@pytest.mark.objective("SO-07")
def test_an_index_older_than_one_seen_is_refused_when_building(site: Site) -> None:
    shutil.copytree(site.image.galaxy.path, site.image.home / "old")
    lock = (site.image.folder / "universe.lock.toml").read_bytes()
    site.index(6)
    site.freeze().ok()
    shutil.rmtree(site.image.galaxy.path)
    (site.image.home / "old").rename(site.image.galaxy.path)
    (site.image.folder / "universe.lock.toml").write_bytes(lock)
    assert "has seq 5, but seq 6 was seen before" in site.refused(site.build)


@pytest.mark.objective("SO-07")
def test_an_old_lock_still_builds_while_the_galaxy_has_gone_on(site: Site) -> None:
    lock = (site.image.folder / "universe.lock.toml").read_bytes()
    site.index(6)
    site.freeze().ok()
    (site.image.folder / "universe.lock.toml").write_bytes(lock)
    site.build().ok()


@pytest.mark.objective("SO-07")
def test_two_indexes_with_one_seq_are_a_fork(site: Site) -> None:
    (site.image.folder / "universe.lock.toml").unlink()
    make_galaxy(site.image.galaxy.path, "core", STARS[:2], site.image.signers, seq=5)
    assert "but another with the same seq 5 was seen before" in site.refused(site.freeze)


@pytest.mark.objective("SO-09")
def test_a_frozen_galaxy_is_judged_by_the_floor(site: Site) -> None:
    site.trust(lambda roots: replace(roots, floors=Floors(galaxies={CORE: 6})))
    assert "seq 5 lies below the floor of 6" in site.refused(site.freeze)
    assert "seq 5 lies below the floor of 6" in site.refused(site.build)
    site.index(6)
    site.freeze().ok()


@pytest.mark.objective("SO-09", "RR-03")
def test_without_memory_a_rollback_is_not_seen_and_it_says_so(site: Site) -> None:
    """RR-03: no memory and no floor."""
    site.index(6)
    site.freeze().ok()
    (site.image.folder / "universe.lock.toml").unlink()
    (site.image.home / "trust/state.toml").unlink()
    site.index(5)
    assert "a rollback cannot be judged" in site.freeze().ok().err


@pytest.mark.objective("SO-07")
def test_a_star_below_the_floor_is_refused(site: Site) -> None:
    site.trust(lambda roots: replace(roots, floors=Floors(stars={APP_NAME: "2.0.1"})))
    assert "lies below the floor of 2.0.1" in site.refused(site.build)


@pytest.mark.objective("SO-08")
def test_two_snapshots_are_not_mixed(site: Site) -> None:
    """A lock row from another snapshot, the rest from this one."""
    newer = replace(BASE, version="1.3.0")
    make_galaxy(site.image.galaxy.path, "core", (newer, APP, META), site.image.signers, seq=6)
    lock = site.image.folder / "universe.lock.toml"
    old = lock.read_text()
    cosmos = site.cosmos
    cosmos("freeze", site.image.folder, "--home", site.image.home, "--upgrade").ok()
    head, _ = lock.read_text().split("[[star]]", 1)
    assert head != old.split("[[star]]", 1)[0]
    lock.write_text(head + "[[star]]" + old.split("[[star]]", 1)[1])
    assert "snapshot 6 of galaxy core does not list it as the lock pins it" in site.refused(site.build)


@pytest.mark.objective("SO-12")
def test_a_release_by_a_key_that_was_revoked_since_is_refused_by_every_command_with_the_key_named(site: Site) -> None:
    site.verify().ok()
    site.trust(revoke(site.image.signers["release"].public.id))
    release, home, new = site.image.out, ("--home", site.image.home), site.image.folder / "new"
    lock = site.image.folder / "universe.lock.toml"
    for act in (
        site.verify,
        lambda: site.cosmos("rebuild", release, *home),
        lambda: site.cosmos("bootstrap", "--root", new, "--lock", lock, "--release", release, *home),
    ):
        outcome = act().fails(4)
        assert "RELEASE.json.dsse" in outcome.err
        assert "is signed by test-release, whose key was revoked (stolen)" in outcome.err
        assert "--key" not in outcome.err  # which would lead to the revoked key
    assert not new.exists()


@pytest.mark.objective("SO-12")
def test_a_key_that_was_revoked_signs_no_release(site: Site) -> None:
    site.trust(revoke(site.image.signers["release"].public.id))
    said = site.refused(lambda: site.build("--key", str(site.image.secret_key)))
    assert "release key test-release: was revoked (stolen), so who has this trust.toml accepts no release" in said


@pytest.mark.objective("SO-10")
def test_a_fast_forward_does_not_lock_the_operator_out(site: Site) -> None:
    thief_seq = (1 << 62) + 1
    lock = (site.image.folder / "universe.lock.toml").read_bytes()
    site.index(thief_seq)
    site.freeze().ok()  # the thief of the galaxy's key has made every honest index look old
    (site.image.folder / "universe.lock.toml").write_bytes(lock)
    new = Signers({**site.image.signers.keys, "galaxy": SecretKey.generate(KeyName("galaxy-2"), "galaxy")})
    site.index(6, new)
    stolen = site.image.signers["galaxy"].public

    def rotate(roots: TrustRoots) -> TrustRoots:
        keys = RoleKeys(threshold=1, keys=(stolen, new["galaxy"].public))
        return revoke(stolen.id, 5)(replace(roots, roles={**roots.roles, "galaxy": keys}))

    site.trust(rotate)
    assert "has seq 6, but seq 4611686018427387905 was seen before" in site.refused(site.freeze)
    site.trust(lambda roots: replace(roots, recovered=Recovered(galaxies={CORE: roots.version + 1})))
    site.freeze().ok()
    site.index(thief_seq)
    assert "whose key was revoked for all after seq 5 (stolen)" in site.refused(site.freeze)


@pytest.mark.objective("SO-07")
def test_a_lock_is_compared_with_the_newest_index_although_nothing_is_remembered(site: Site) -> None:
    """The memory was lost, but the lock says what was seen: a galaxy that is older than the lock was rolled back."""
    shutil.copytree(site.image.galaxy.path, site.image.home / "old")
    site.index(6)
    site.freeze().ok()
    (site.image.home / "trust/state.toml").unlink()
    for name in ("meta.toml", "meta.toml.dsse"):
        shutil.copy(site.image.home / "old" / name, site.image.galaxy.path / name)
    outcome = site.build().fails(4)
    assert "has seq 5, but seq 6 was seen before, in the lock" in outcome.err


@pytest.mark.objective("SO-09")
def test_a_release_from_an_index_below_the_floor_is_refused_by_verify(site: Site) -> None:
    """The release is whole, and every key in it is good: the floor alone says that its galaxy was frozen."""
    site.verify().ok()
    site.trust(lambda roots: replace(roots, floors=Floors(galaxies={CORE: 6})))
    said = site.refused(site.verify)
    assert "is not trusted now (was valid when it was locked)" in said
    assert "is locked from seq 5 of core, below the floor of 6" in said


@pytest.mark.objective("SO-09")
@pytest.mark.parametrize("floors", [Floors(stars={APP_NAME: "2.0.1"}), Floors(galaxies={CORE: 6})], ids=["star", "seq"])
def test_a_star_that_was_accepted_by_name_is_still_below_the_floor_of_today(site: Site, floors: Floors) -> None:
    """The keys of the lock's own day judge it; but floors only rise, so those of today hold."""
    site.trust(lambda roots: replace(revoke(author(site.image.signers))(roots), floors=floors))
    names = [word for star in STARS for word in ("--accept-revoked", star.name)]
    outcome = site.build(*names).fails(4)
    assert "below the floor of" in outcome.err
    refused = site.verify(*names).fails(4).err
    assert "below the floor of" in refused
    assert "--accept-revoked" not in refused


@pytest.mark.objective("SO-10")
def test_a_lock_made_from_a_thief_s_index_does_not_stop_a_freeze_after_the_recovery(site: Site) -> None:
    honest = (site.image.folder / "universe.lock.toml").read_bytes()
    site.index((1 << 62) + 1)
    site.freeze().ok()
    new = Signers({**site.image.signers.keys, "galaxy": SecretKey.generate(KeyName("galaxy-2"), "galaxy")})
    site.index(6, new)
    stolen = site.image.signers["galaxy"].public

    def rotate(roots: TrustRoots) -> TrustRoots:
        keys = RoleKeys(threshold=1, keys=(stolen, new["galaxy"].public))
        found = revoke(stolen.id)(replace(roots, roles={**roots.roles, "galaxy": keys}))
        return replace(found, recovered=Recovered(galaxies={CORE: roots.version + 1}))

    site.trust(rotate)
    assert site.freeze().ok().code == 0
    lock = (site.image.folder / "universe.lock.toml").read_text()
    assert "seq = 6\n" in lock
    assert site.build().ok().code == 0
    (site.image.folder / "universe.lock.toml").write_bytes(honest)  # a lock of before the recovery binds nobody either
    site.freeze().ok()
    (site.image.folder / "universe.lock.toml").write_text(lock)  # but one of since does
    site.index(5, new)
    assert "has seq 5, but seq 6 was seen before" in site.refused(site.freeze)


@pytest.mark.objective("SO-10")
def test_a_star_that_was_recovered_goes_down_without_a_word_of_the_operator(site: Site) -> None:
    """A thief of the author's key published app 9.0.0; trust.toml revokes that key's stars and recovers the name."""
    bad = replace(APP, version="9.0.0")
    make_galaxy(site.image.galaxy.path, "core", (BASE, bad, META), site.image.signers, seq=6)
    cosmos = site.cosmos
    cosmos("freeze", site.image.folder, "--home", site.image.home, "--upgrade").ok()
    make_galaxy(site.image.galaxy.path, "core", STARS, site.image.signers, seq=7)
    assert "this is a downgrade" in site.freeze().fails(4).err
    site.trust(lambda roots: replace(roots, recovered=Recovered(stars={APP_NAME: roots.version + 1})))
    site.freeze().ok()
    assert "downgraded" not in (site.image.folder / "universe.lock.toml").read_text()


# Revocation and old locks


@pytest.mark.objective("SO-12")
def test_a_revoked_key_with_an_existing_lock_is_refused_and_told_apart(site: Site) -> None:
    site.verify().ok()
    site.trust(revoke(author(site.image.signers)))
    said = site.refused(site.build)
    assert "was valid when it was locked, but is not trusted now" in said
    assert "is signed by test-author, whose key was revoked (stolen)" in said
    said = site.refused(site.verify)
    assert "is not trusted now (was valid when it was locked): base-1.2.0: is signed by test-author" in said


@pytest.mark.objective("SO-12")
def test_a_revoked_star_is_accepted_by_name_alone_and_the_release_says_so(site: Site) -> None:
    site.trust(revoke(author(site.image.signers)))
    assert "app" in site.refused(lambda: site.build("--accept-revoked", "base"))
    names = [word for star in STARS for word in ("--accept-revoked", star.name)]
    site.build(*names, "--key", str(site.image.secret_key)).ok()
    said = json.loads((site.image.out / "RELEASE.json").read_bytes())["predicate"]["buildDefinition"]
    assert set(said["externalParameters"]["acceptedRevoked"]) == {"base", "app", "everything"}
    site.verify().fails(4)
    out = site.verify(*names).ok().out
    assert "was valid when locked  yes, by trust.toml version 1" in out
    assert "is trusted now         no, but accepted" in out


@pytest.mark.objective("SO-12")
def test_a_snapshot_by_a_revoked_galaxy_key_is_accepted_by_name_alone(site: Site) -> None:
    site.trust(revoke(site.image.signers["galaxy"].public.id))
    said = site.refused(site.build)
    assert "galaxy:core: was valid when it was locked, but is not trusted now" in said
    site.build("--accept-revoked", "galaxy:core").ok()


@pytest.mark.objective("SO-12")
def test_a_name_that_need_not_be_accepted_is_an_error(site: Site) -> None:
    assert "need not be accepted" in site.build("--accept-revoked", "app").fails(3).err


@pytest.mark.objective("SO-12")
def test_what_was_never_signed_by_a_pinned_key_cannot_be_accepted(tmp_path: Path, cosmos: Cosmos) -> None:
    site = Site(make_image(tmp_path, STARS), cosmos)
    site.freeze().ok()
    mallory = Signers({**site.image.signers.keys, "author": SecretKey.generate(KeyName("mallory"), "author")})
    for star in STARS:
        statement = site.image.galaxy.statement(star.id)
        sealed = mallory["author"].sign(STAR_TYPE, statement.read_bytes())
        statement.with_name(f"{statement.name}.dsse").write_bytes(sealed)
    said = site.refused(lambda: site.build("--accept-revoked", "base"))
    assert "want a signature by a pinned key" in said


@pytest.mark.objective("SO-12")
def test_what_a_retired_key_signed_before_stays_good(site: Site) -> None:
    retired = author(site.image.signers)
    site.trust(revoke(retired, 5))
    site.build("--key", str(site.image.secret_key)).ok()
    assert "is trusted now         yes" in site.verify().ok().out
    # the same key signs again, after it was put away
    make_galaxy(site.image.galaxy.path, "core", STARS, site.image.signers, seq=6)
    outcome = site.freeze().fails(4)
    assert "is signed by test-author, whose key was revoked for all after seq 5 (stolen)" in outcome.err


@pytest.mark.objective("SO-12")
def test_a_key_that_is_pinned_no_longer_is_not_trusted_now(site: Site) -> None:
    other = SecretKey.generate(KeyName("other"), "author").public
    site.trust(lambda roots: replace(roots, authors=(AuthorKey(key=other, galaxies=("*",), stars=("*",)),)))
    assert "was valid when it was locked, but is not trusted now" in site.refused(site.build)


@pytest.mark.objective("SO-12")
def test_a_lock_from_a_trust_that_was_never_accepted_here_is_not_called_valid(site: Site, tmp_path: Path) -> None:
    site.trust(revoke(author(site.image.signers)))
    (site.image.home / "trust/chain/1.toml").unlink()
    said = site.refused(site.verify)
    assert "this home cannot judge whether it ever was" in said
    assert "was valid" not in site.refused(site.build)


# Releases


def counted(site: Site, counter: int) -> None:
    text = (site.image.folder / "image.toml").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("counter")]
    (site.image.folder / "image.toml").write_text("\n".join([f"counter = {counter}", *lines]) + "\n")
    site.build("--key", str(site.image.secret_key)).ok()


@pytest.mark.objective("SO-07")
def test_an_older_release_than_one_seen_is_refused(site: Site) -> None:
    counted(site, 3)
    site.verify().ok()
    counted(site, 2)
    assert "has counter 2, but counter 3 was seen before" in site.refused(site.verify)


@pytest.mark.objective("SO-09")
def test_a_release_below_the_floor_is_refused(site: Site) -> None:
    counted(site, 3)
    site.trust(lambda roots: replace(roots, floors=Floors(releases={IMAGE: 4})))
    assert "counter 3 lies below the floor of 4" in site.refused(site.verify)


@pytest.mark.objective("SO-12")
def test_a_star_signed_anew_after_its_key_was_revoked_is_taken_from_a_remote_galaxy_once_it_is_locked_again(
    tmp_path: Path, cosmos: Cosmos
) -> None:
    """The store keeps the signature of the day when it was fetched; the same statement has another one now.

    The old lock names a signer whose signature does not count any more: what it says of trust is not copied on.
    """
    site = Site(make_image(tmp_path, (BASE,)), cosmos)
    with serving(site.image.galaxy.path) as address:
        text = (site.image.folder / "image.toml").read_text()
        (site.image.folder / "image.toml").write_text(text.replace("../galaxy", address))
        site.freeze().ok()
        site.build().ok()
        new = SecretKey.generate(KeyName("author-2"), "author")
        added = AuthorKey(key=new.public, galaxies=("*",), stars=("*",))
        gone = author(site.image.signers)
        site.trust(lambda roots: revoke(gone)(replace(roots, authors=(*roots.authors, added))))
        assert "whose key was revoked" in site.refused(site.build)
        statement = site.image.galaxy.statement(BASE.id)
        statement.with_name(f"{statement.name}.dsse").write_bytes(new.sign(STAR_TYPE, statement.read_bytes()))
        assert "was signed again, by" in site.refused(site.build)
        site.freeze().ok()
        assert new.public.id in (site.image.folder / "universe.lock.toml").read_text()
        site.build().ok()
    site.build("--offline").ok()


@pytest.mark.objective("SO-12")
def test_a_signed_release_whose_lock_only_claims_our_trust_is_refused(tmp_path: Path, cosmos: Cosmos) -> None:
    """Its lock names our trust.toml, but its stars are by an author whom that one never pinned."""
    site = Site(make_image(tmp_path, (BASE,)), cosmos)
    site.freeze().ok()
    lock = site.image.folder / "universe.lock.toml"
    ours = lock.read_text().split("[trust]\n")[1].split("\n\n")[0]
    mallory = Signers({**site.image.signers.keys, "author": SecretKey.generate(KeyName("mallory"), "author")})
    make_galaxy(site.image.galaxy.path, "core", (BASE,), mallory, seq=2)
    elsewhere = tmp_path / "elsewhere"
    pin(mallory, elsewhere, version=2)  # a home that never had a version 1
    cosmos("freeze", site.image.folder, "--home", elsewhere).ok()
    theirs = lock.read_text().split("[trust]\n")[1].split("\n\n")[0]
    assert theirs != ours
    lock.write_text(lock.read_text().replace(theirs, ours))
    cosmos("build", site.image.folder, "--home", elsewhere, "--key", site.image.secret_key).ok()
    said = site.refused(lambda: site.verify("--accept-revoked", "base"))
    assert "was not valid when it was locked: base-1.2.0: is signed by 0 pinned keys, and 1 must have signed" in said
