"""Attacks on a galaxy's catalogue: altered, cut, an older one, another galaxy's, a bomb. Each is exit 4, unparsed."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.model.catalogue import Catalogue
from cosmos.model.galaxy import CataloguePin, GalaxyIndex
from cosmos.trust.roles import GALAXY_TYPE
from fakes.galaxies import GalaxyFixture, StarSpec, index_by_stellar, make_galaxy, make_signers
from fakes.http_servers import serving
from fakes.programs import Cosmos, Outcome

ZLIB = StarSpec("zlib", "1.3.1", {"usr/lib/libz.so": b"z" * 100}, description="compression")
NANO = StarSpec("nano", "7.2.0", {"usr/bin/nano": b"nano"}, {"zlib": "^1"}, description="an editor")
BOMB = b"format = 1\n" + b"".join(b"[a%d.b.c.d]\n" % number for number in range(400_000))


class System:
    """A system, and a galaxy whose catalogue somebody replaces on the way: in its folder, or behind its server."""

    def __init__(self, where: Path, cosmos: Cosmos, address: Callable[[Path], str]) -> None:
        self.where = where
        self.root = where / "system"
        self.root.mkdir()
        self.cosmos = cosmos
        self.galaxy = self.publish(1, ZLIB)
        trust = self.galaxy.signers.write_trust(where / "trust.toml")
        cosmos("init", "--root", self.root, "--arch", "x86_64").ok()
        cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", self.root).ok()
        cosmos("add-galaxy", "core", address(self.galaxy.path), "--root", self.root).ok()

    def publish(self, seq: int, *stars: StarSpec, name: str = "core") -> GalaxyFixture:
        made = make_galaxy(self.where / name, name, stars, make_signers(), seq=seq)
        index_by_stellar(made)
        return made

    @property
    def file(self) -> Path:
        """The catalogue that the index names."""
        index = GalaxyIndex.parse(self.galaxy.index.read_bytes(), "x")
        assert index.catalogue is not None
        return self.galaxy.path / index.catalogue.path

    def refused(self) -> None:
        """Demand that search and sync refuse what is there, remember nothing, and keep nothing of it."""
        before = self.files()
        for words in (("search", "zlib"), ("sync",), ("sync", "--index")):
            failed: Outcome = self.cosmos(*words, "--root", self.root).fails(4)
            assert self.file.name[:16] in failed.err
        assert self.files() == before

    def files(self) -> dict[str, bytes]:
        """The memory, and every blob in the cache. The good index may be kept: its batch is no part of this."""
        kept = [file for file in (self.root / "var").rglob("*") if file.is_file()]
        return {str(file): file.read_bytes() for file in kept if "blobs" in file.parts or file.suffix == ".toml"}


@contextmanager
def folder(path: Path) -> Iterator[str]:
    yield str(path)


@pytest.fixture(params=[folder, serving], ids=["folder", "http"])
def system(request: pytest.FixtureRequest, tmp_path: Path, cosmos: Cosmos) -> Iterator[System]:
    """The galaxy's folder is there before its server."""
    (tmp_path / "core").mkdir()
    with request.param(tmp_path / "core") as address:
        yield System(tmp_path, cosmos, lambda _path: address)


@pytest.mark.objective("SO-03")
@pytest.mark.parametrize("place", [0, 20, -2])
def test_an_altered_catalogue_is_refused(system: System, place: int) -> None:
    data = bytearray(system.file.read_bytes())
    data[place] ^= 1
    system.file.write_bytes(data)
    system.refused()


@pytest.mark.objective("SO-03")
@pytest.mark.parametrize("cut", [lambda data: data[:-1], lambda data: b"", lambda data: data + b"\n"])
def test_a_catalogue_that_is_cut_or_longer_is_refused(system: System, cut: Callable[[bytes], bytes]) -> None:
    system.file.write_bytes(cut(system.file.read_bytes()))
    system.refused()


@pytest.mark.objective("SO-08")
def test_an_older_catalogue_under_the_name_of_the_newer_one_is_refused(system: System) -> None:
    """It is of the same galaxy and was signed once; it hides the stars that came since."""
    older = system.file.read_bytes()
    system.publish(2, ZLIB, NANO)
    system.file.write_bytes(older)
    system.refused()


@pytest.mark.objective("SO-19")
def test_a_bomb_in_its_place_is_refused_by_its_size_and_its_digest_before_it_is_parsed(system: System) -> None:
    good = system.file.read_bytes()
    system.file.write_bytes(BOMB)
    system.refused()
    system.file.write_bytes(BOMB[: len(good)])
    system.refused()


def test_a_damaged_copy_in_the_cache_is_refused_removed_and_fetched_again(tmp_path: Path, cosmos: Cosmos) -> None:
    (tmp_path / "core").mkdir()
    with serving(tmp_path / "core") as address:
        system = System(tmp_path, cosmos, lambda _path: address)
        cosmos("sync", "--root", system.root).ok()
        blob = next((system.root / "var/cache/cosmos/blobs").rglob(system.file.name.removesuffix(".toml")))
        blob.chmod(0o600)
        blob.write_bytes(blob.read_bytes().replace(b"compression", b"compulsions"))
        assert "damaged" in cosmos("search", "zlib", "--offline", "--root", system.root).fails(4).err
        assert "compression" in cosmos("search", "zlib", "--root", system.root).ok().out
        assert "compression" in cosmos("search", "zlib", "--offline", "--root", system.root).ok().out


@pytest.mark.objective("SO-05")
@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lambda data: data.replace(b'version = "1.3.1"', b'version = "9.9.9"'), "which the index does not list"),
        (lambda data: data.replace(b'arch = "any"', b'arch = "x86_64"'), "which the index does not list"),
        (lambda data: data.replace(b'name = "zlib"', b'name = "glib"'), "which the index does not list"),
        (lambda data: data.replace(b'galaxy = "core"', b'galaxy = "near"'), "is the catalogue of galaxy near"),
        (lambda data: data[: data.index(b"[[star]]")], "does not describe zlib"),
    ],
)
def test_a_signed_catalogue_that_contradicts_its_index_is_refused(
    tmp_path: Path, cosmos: Cosmos, change: Callable[[bytes], bytes], problem: str
) -> None:
    """The galaxy's key signs both, so it may hide a star; but it hides it in the index, where `sync` tells of it."""
    system = System(tmp_path, cosmos, str)
    old = CataloguePin.of(system.file.read_bytes())
    data = change(system.file.read_bytes())
    new = CataloguePin.of(data)
    (system.galaxy.path / new.path).write_bytes(data)
    text = system.galaxy.index.read_text().replace(str(old.digest), str(new.digest))
    text = text.replace(f"size-bytes = {old.size_bytes}", f"size-bytes = {new.size_bytes}")
    system.galaxy.index.write_text(text)
    Path(f"{system.galaxy.index}.dsse").write_bytes(system.galaxy.signers["galaxy"].sign(GALAXY_TYPE, text.encode()))
    assert problem in cosmos("search", "zlib", "--root", system.root).fails(4).err


@pytest.mark.objective("SO-05")
def test_a_changed_index_stops_a_search(system: System) -> None:
    system.galaxy.index.write_bytes(system.galaxy.index.read_bytes().replace(b'"1.3.1"', b'"1.3.2"'))
    system.cosmos("search", "zlib", "--root", system.root).fails(4)


@pytest.mark.objective("SO-07")
def test_a_rolled_back_galaxy_stops_a_search_and_a_search_remembers(system: System) -> None:
    shutil.copytree(system.galaxy.path, system.where / "old")
    system.publish(2, ZLIB, NANO)
    assert "nano" in system.cosmos("search", "editor", "--root", system.root).ok().out
    for name in ("meta.toml", "meta.toml.dsse"):
        shutil.copy(system.where / "old" / name, system.galaxy.path / name)
    assert "was seen before" in system.cosmos("search", "zlib", "--root", system.root).fails(4).err


def test_a_lie_in_a_catalogue_installs_nothing(tmp_path: Path, cosmos: Cosmos) -> None:
    """What is installed follows from the statement alone, so a signed lie in the catalogue is only words."""
    system = System(tmp_path, cosmos, str)
    assert Catalogue.parse(system.file.read_bytes(), "x").stars[0].provides == ()
    cosmos("install", "compression", "--root", system.root).fails(3)
