"""`stellar index-galaxy --trust-stat` reads an archive again unless it is the very file that was hashed before."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from cosmos.canon import digest_of
from cosmos.cli.stellar import index_galaxy as command
from cosmos.digest import Digest
from cosmos.keyring.store_key import store_key
from cosmos.store.blobs import StoreFolder
from cosmos.store.sealed import Seal, SealedStore
from fakes.galaxies import StarSpec
from fakes.images import BASE, META, ImageFixture, make_image
from fakes.kept_files import flipped, in_place
from fakes.programs import Cosmos, Outcome

NOT_BELIEVED = (
    "was not written by this home: somebody changed the store; it is not believed, and every archive is hashed"
)
REFUSED = "its statement names sha256:"


@dataclass
class Site:
    """A galaxy of three stars, with its keys and a home."""

    image: ImageFixture
    stellar: Cosmos

    @property
    def archive(self) -> Path:
        return self.image.galaxy.archive(BASE.id)

    @property
    def packages(self) -> Path:
        return self.archive.parent

    @property
    def store(self) -> SealedStore:
        return SealedStore(StoreFolder(self.image.home / "store"), Seal(store_key(self.image.home)))

    @property
    def key(self) -> Digest:
        return digest_of({"what": "known-archives", "packages": os.fsencode(self.packages.resolve()).hex()})

    def index(self, *words: object) -> Outcome:
        keys = [word for role in ("author", "galaxy") for word in ("--key", self.image.folder.parent / f"{role}.key")]
        return self.stellar("index-galaxy", self.image.galaxy.path, *keys, *words)

    def trusting(self) -> Outcome:
        return self.index("--trust-stat", "--home", self.image.home)

    def looked_at(self) -> dict[str, int]:
        found = self.index("--trust-stat", "--home", self.image.home, "--json").json()["looked-at"]
        assert isinstance(found, dict)
        return found


@pytest.fixture
def site(tmp_path: Path, stellar: Cosmos, monkeypatch: pytest.MonkeyPatch) -> Site:
    """A galaxy that was indexed with --trust-stat. Every file counts as old enough for its stat to be kept."""
    monkeypatch.setattr(command, "SETTLED_NANOSECONDS", -(10**12))
    image = make_image(tmp_path)
    for role in ("author", "galaxy"):
        image.signers[role].save(tmp_path / f"{role}.key", None)
    made = Site(image, stellar)
    made.trusting().ok()
    return made


def test_an_archive_that_was_hashed_before_is_not_read_again(site: Site) -> None:
    meta = site.image.galaxy.index.read_bytes()
    assert site.looked_at() == {"files": 3, "hashed": 0}
    said = site.trusting().ok()
    assert "0 of 3 archives were hashed again, the others have the stat of an earlier run" in said.err
    assert site.image.galaxy.index.read_bytes() == meta


def test_without_the_option_every_archive_is_hashed_and_no_home_is_needed(
    site: Site, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shutil.rmtree(site.image.home)
    monkeypatch.setenv("HOME", str(tmp_path / "nobody"))
    in_place(site.archive, flipped)
    assert REFUSED in site.index().fails(4).err
    assert not site.image.home.exists()
    assert not (tmp_path / "nobody").exists()


@pytest.mark.objective("SO-27")
def test_a_changed_archive_of_the_same_size_and_mtime_is_noticed_by_its_ctime(site: Site) -> None:
    in_place(site.archive, flipped)
    assert REFUSED in site.trusting().fails(4).err


@pytest.mark.objective("SO-27")
def test_an_archive_replaced_by_another_inode_is_hashed(site: Site) -> None:
    """The other file has the same bytes at first, and then others: both have the size and mtime of the archive."""
    other = site.archive.with_name("other")
    shutil.copy2(site.archive, other)
    other.rename(site.archive)
    assert site.looked_at() == {"files": 3, "hashed": 1}
    other.write_bytes(flipped(site.archive.read_bytes()))
    shutil.copystat(site.archive, other)
    other.rename(site.archive)
    assert REFUSED in site.trusting().fails(4).err


def test_two_known_archives_that_change_places_are_noticed(site: Site) -> None:
    other, aside = site.image.galaxy.archive(META.id), site.archive.with_name("aside")
    site.archive.rename(aside)
    other.rename(site.archive)
    aside.rename(other)
    assert REFUSED in site.trusting().fails(4).err


@pytest.mark.objective("SO-27")
@pytest.mark.parametrize("attack", ["changed", "sealed by the thief", "without a seal", "of another galaxy"])
def test_a_forged_record_of_archives_is_named_and_every_archive_is_hashed(site: Site, attack: str) -> None:
    """The thief exchanges an archive and writes its stat into the record, with the digest that the statement names."""
    data = site.store.get_result(site.key)
    assert data is not None
    before = site.archive.stat()
    in_place(site.archive, flipped)
    forged = data.replace(str(before.st_ctime_ns).encode(), str(site.archive.stat().st_ctime_ns).encode())
    assert forged != data
    code = {
        "changed": site.store.seal.code(site.key, data),
        "sealed by the thief": Seal(b"a thief").code(site.key, forged),
        "without a seal": b"",
        "of another galaxy": site.store.seal.code(digest_of({"another": "galaxy"}), forged),
    }[attack]
    StoreFolder(site.image.home / "store").put_result(site.store._place(site.key), code + forged)
    said = site.trusting().fails(4).err
    assert NOT_BELIEVED in said
    assert REFUSED in said


def test_an_archive_that_has_just_changed_is_hashed_again_each_time(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second change within the tick of the clock would have the same stat."""
    monkeypatch.setattr(command, "SETTLED_NANOSECONDS", 10**12)
    shutil.rmtree(site.image.home / "store")
    for _ in range(2):
        assert site.looked_at() == {"files": 3, "hashed": 3}


def test_a_damaged_record_and_one_of_another_home_are_none(site: Site) -> None:
    for path in (site.image.home / "store" / "results").rglob("*"):
        if path.is_file():
            path.chmod(0o644)
            path.write_bytes(b"damaged")
    assert site.looked_at() == {"files": 3, "hashed": 3}
    (site.image.home / "store.key").unlink()
    assert site.looked_at() == {"files": 3, "hashed": 3}


def test_a_new_star_is_read_and_the_others_are_not(site: Site, stellar: Cosmos) -> None:
    from fakes.galaxies import write_spec

    write_spec(site.image.galaxy, StarSpec("more", "1.0.0", {"usr/share/more": b"more"}))
    site.image.galaxy.statement("more-1.0.0").unlink()
    site.image.galaxy.statement("more-1.0.0").with_suffix(".toml.dsse").unlink()
    row = site.index("--trust-stat", "--home", site.image.home, "--json").json()
    assert (row["stars"], row["changed"], row["looked-at"]) == (4, True, {"files": 3, "hashed": 0})
    assert site.looked_at() == {"files": 4, "hashed": 1}
