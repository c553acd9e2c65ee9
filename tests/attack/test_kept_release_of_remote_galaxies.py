"""A build says that nothing changed of an image of a galaxy over HTTP, as strictly as a whole build would.

A whole build asks such a galaxy for one file, the trust.toml that would follow, and takes the rest from the store.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.cli.cosmos import kept_build
from cosmos.model.lock import Lock
from cosmos.model.names import GalaxyName
from cosmos.staging.source import Source
from cosmos.store.blobs import StoreFolder, blob_path
from cosmos.trust.revocation import Revoked
from cosmos.trust.roots import TrustRoots
from fakes.galaxies import make_signers
from fakes.growing_galaxies import carry
from fakes.huge_files import grow, hash_no_huge_file
from fakes.images import BASE, ImageFixture, make_image
from fakes.kept_files import build, files
from fakes.kept_servers import KeptServer, kept
from fakes.programs import Cosmos

NOTHING = "nothing changed: "
NEXT = "/trust/2.toml"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[KeptServer]:
    """A server of the image's galaxy."""
    (tmp_path / "galaxy").mkdir()
    with kept(tmp_path / "galaxy") as running:
        yield running


@pytest.fixture
def built(tmp_path: Path, server: KeptServer, cosmos: Cosmos) -> ImageFixture:
    """An image whose galaxy is behind the server, built once, so that the home remembers its release."""
    image = make_image(tmp_path)
    definition = image.folder / "image.toml"
    definition.write_text(definition.read_text().replace('"../galaxy"', f'"{server.address}"'))
    cosmos("freeze", image.folder, "--home", image.home).ok()
    build(image, cosmos).ok()
    server.requests.clear()
    return image


def asked(server: KeptServer) -> list[str]:
    return [target for _, target, _ in server.requests]


def lock_of(image: ImageFixture) -> Lock:
    file = image.folder / "universe.lock.toml"
    return Lock.parse(file.read_bytes(), str(file))


def stored_archive(image: ImageFixture) -> Path:
    (star,) = (star for star in lock_of(image).stars if star.name == BASE.name)
    return image.home / "store" / blob_path(star.archive)


def damage(file: Path) -> None:
    data = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


def revoking(image: ImageFixture) -> TrustRoots:
    """Return the next trust.toml of the operator, which revokes the author of all stars."""
    roots = image.signers.roots()
    revoked = Revoked(key=image.signers["author"].public.id, reason="stolen laptop", effective_seq=0)
    return replace(roots, version=roots.version + 1, revoked=(*roots.revoked, revoked))


def test_the_second_build_writes_no_file_says_so_and_asks_for_the_next_trust_toml_alone(
    built: ImageFixture, server: KeptServer, cosmos: Cosmos
) -> None:
    before = files(built.out)
    said = build(built, cosmos).ok()
    assert NOTHING in said.err
    assert said.out.startswith(f"unchanged {built.out}\n")
    assert files(built.out) == before
    assert asked(server) == [NEXT]
    row = build(built, cosmos, "--json").json()
    assert (row["changed"], row["made"]) == (False, {})
    assert row["looked-at"]["hashed"] == row["looked-at"]["files"] >= 20


def test_a_whole_build_asks_for_no_more(built: ImageFixture, server: KeptServer, cosmos: Cosmos) -> None:
    """If a build ever asks for more, nothing changed must ask for it, too."""
    shutil.rmtree(built.out)
    assert NOTHING not in build(built, cosmos).ok().err
    assert asked(server) == [NEXT]


@pytest.mark.objective("SO-12")
def test_a_revocation_that_the_galaxy_carries_now_stops_the_build(built: ImageFixture, cosmos: Cosmos) -> None:
    before = files(built.out)
    carry(built.galaxy.path, revoking(built), built.signers)
    said = build(built, cosmos).fails(4).err
    assert "galaxy core: carries version 2 of trust.toml" in said
    assert "test-author revoked (stolen laptop)" in said
    assert files(built.out) == before
    build(built, cosmos, "--trust-stat").fails(4)


def test_a_trust_toml_that_nobody_pinned_has_signed_is_named_each_time(built: ImageFixture, cosmos: Cosmos) -> None:
    carry(built.galaxy.path, revoking(built), make_signers("stranger"))
    for _ in range(2):
        said = build(built, cosmos).ok().err
        assert NOTHING not in said
        assert "carries a trust.toml that your keys do not accept" in said


def test_of_a_galaxy_that_is_away_nothing_changed_as_for_a_whole_build(
    built: ImageFixture, server: KeptServer, cosmos: Cosmos
) -> None:
    """The store has all that the lock pins, so a whole build goes on without the galaxy."""
    server.close()
    assert NOTHING in build(built, cosmos).ok().err
    shutil.rmtree(built.out)
    assert NOTHING not in build(built, cosmos).ok().err
    shutil.rmtree(built.home / "store")
    whole = build(built, cosmos).fails(5)
    assert "galaxies.core in " in whole.err


def test_offline_a_build_asks_for_nothing(built: ImageFixture, server: KeptServer, cosmos: Cosmos) -> None:
    before = files(built.out)
    assert build(built, cosmos, "--offline").ok().out.startswith(f"unchanged {built.out}\n")
    assert files(built.out) == before
    assert asked(server) == []


@pytest.mark.parametrize("attack", [damage, Path.unlink, grow])
def test_a_damaged_or_missing_archive_of_the_store_is_noticed_and_fetched_again(
    built: ImageFixture,
    server: KeptServer,
    cosmos: Cosmos,
    attack: Callable[[Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    hash_no_huge_file(monkeypatch)
    archive = stored_archive(built)
    good = archive.read_bytes()
    attack(archive)
    assert NOTHING not in build(built, cosmos).ok().err
    assert archive.read_bytes() == good
    assert f"/packages/{built.galaxy.archive(BASE.id).name}" in asked(server)
    assert NOTHING in build(built, cosmos).ok().err


@pytest.mark.parametrize(
    ("path", "said"),
    [("out/manifest.txt", "out: manifest.txt"), ("template/root/etc/hostname.j2", "template: root/etc/hostname.j2")],
)
def test_a_changed_file_is_noticed_before_a_connection_is_made(
    built: ImageFixture, server: KeptServer, cosmos: Cosmos, path: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[object, list[str]]] = []

    def noting(question: kept_build.Question) -> kept_build.Unchanged | str:
        found = kept_build.look(question)
        seen.append((found, asked(server)))
        return found

    monkeypatch.setattr("cosmos.cli.cosmos.build.look", noting)
    damage(built.folder / path)
    assert NOTHING not in build(built, cosmos).err
    assert seen == [(said, [])]


@pytest.mark.parametrize("document", ["statement", "index"])
def test_another_envelope_in_the_store_is_noticed(built: ImageFixture, cosmos: Cosmos, document: str) -> None:
    """The store's copy of a document is not sealed: a whole build verifies its signatures, and fetches others."""
    lock = lock_of(built)
    digest = lock.stars[0].statement if document == "statement" else lock.galaxies[0].index
    store = StoreFolder(built.home / "store")
    source = Source(galaxy=GalaxyName("core"), carrier=None, store=store)
    file = source.kept_file(digest)
    assert file is not None
    assert file.envelope is not None
    source.keep(replace(file, envelope=None))
    store.settle()
    assert NOTHING not in build(built, cosmos).ok().err, "the galaxy has the signatures"


def test_with_trust_stat_no_archive_of_the_store_is_read(
    built: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_build, "SETTLED_NANOSECONDS", -(10**12))  # every file is old enough
    assert NOTHING in build(built, cosmos).ok().err
    row = build(built, cosmos, "--trust-stat", "--json").json()["looked-at"]
    documents = 1 + len(lock_of(built).stars)
    assert row["hashed"] < documents + 5  # what is not there has no stat
    damage(stored_archive(built))
    assert NOTHING not in build(built, cosmos, "--trust-stat").ok().err


def test_another_address_of_the_galaxy_is_another_image(built: ImageFixture, cosmos: Cosmos) -> None:
    definition = built.folder / "image.toml"
    definition.write_text(definition.read_text().replace("http://127.0.0.1", "http://localhost"))
    assert "is stale" in build(built, cosmos).fails(3).err
