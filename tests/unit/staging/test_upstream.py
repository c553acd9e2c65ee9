"""Statements of stars in a galaxy of upstream's format: what they are made of, and what the store is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.errors import Refused, WorldFailed
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.image import GalaxySource
from cosmos.model.names import GalaxyName, StarName
from cosmos.model.statement import Statement, manifest_path
from cosmos.model.version import SemVer
from cosmos.staging import upstream
from cosmos.staging.acquire import verified_index
from cosmos.staging.galaxies import OpenGalaxy
from cosmos.staging.source import SignedFile, Source
from cosmos.staging.stage import opened as unpacked
from cosmos.staging.upstream import statement_for, upstream_listing, upstream_statement
from cosmos.store.blobs import StoreFolder
from cosmos.trust.archives import verify_archive
from cosmos.trust.roots import TrustRoots
from fakes.carriers import MemoryCarrier
from fakes.upstream_galaxies import ARCHIVES, INDEX, upstream_archive, write_upstream

ONE = SemVer(1, 0, 0)
STACK, HELLO, WORDS = map(StarName, ("core-stack", "hello", "words"))


@pytest.fixture
def files(tmp_path: Path) -> dict[str, bytes]:
    folder = write_upstream(tmp_path / "example")
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def remote(store: Path, files: dict[str, bytes]) -> tuple[Source, MemoryCarrier]:
    carrier = MemoryCarrier(files, is_local=False)
    return Source(galaxy=GalaxyName("example"), carrier=carrier, store=StoreFolder(store)), carrier


def index_of(files: dict[str, bytes]) -> GalaxyIndex:
    return GalaxyIndex.parse(files["meta.toml"], "meta.toml")


def opened(source: Source) -> OpenGalaxy:
    asked = GalaxySource(name=source.galaxy, url="memory", allow_unsigned=True)
    roots = TrustRoots(version=0, roles={})
    index = verified_index(source.newest_index(), source, roots, allow_unsigned=True)
    return OpenGalaxy(asked, source, index, roots)


def parsed(file: SignedFile) -> Statement:
    return Statement.parse(file.data, file.path)


def test_a_nebula_is_its_manifest_and_no_archive_is_asked_for(tmp_path: Path, files: dict[str, bytes]) -> None:
    source, carrier = remote(tmp_path / "store", files)
    said = parsed(upstream_statement(source, index_of(files), STACK, ONE))
    assert (said.archive, said.file) == (Digest.of(files["stars/core-stack.toml"]), "stars/core-stack.toml")
    assert (said.size_bytes, said.unpacked_bytes, said.script) == (len(files["stars/core-stack.toml"]), 0, None)
    assert carrier.reads == ["stars/core-stack.toml"]


def test_a_nebulas_archive_is_not_read_even_if_there_is_one(tmp_path: Path, files: dict[str, bytes]) -> None:
    files["packages/core-stack-1.0.0.tar.gz"] = upstream_archive({"./files/usr/bin/evil": b"e"})
    files["stars/core-stack.toml"] += b'[checksums]\n"usr/bin/evil" = "' + b"0" * 64 + b'"\n'
    source, carrier = remote(tmp_path / "store", files)
    upstream_statement(source, index_of(files), STACK, ONE)
    assert carrier.reads == ["stars/core-stack.toml"]


def test_a_lock_of_an_older_cosmos_that_pins_a_nebulas_archive_still_holds(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    files["packages/core-stack-1.0.0.tar.gz"] = upstream_archive({"./install.lua": b"function install() end"})
    source, carrier = remote(tmp_path / "store", files)
    index = index_of(files)
    galaxy = opened(source)
    (candidate,) = galaxy.versions(STACK)
    star = galaxy.pinned(candidate, (), ())
    _, table, manifest = upstream._manifest(carrier, source, STACK, ONE)
    older = upstream._rendered(table, upstream._of_archive(carrier, source, index, manifest))
    locked = replace(star, file=parsed(older).file, statement=older.digest)
    fresh, _ = remote(tmp_path / "another store", files)
    assert statement_for(fresh, index, locked, None) == older
    with pytest.raises(Refused, match="now gives"):
        statement_for(fresh, index, replace(locked, file="stars/core-stack.toml"), None)


def test_a_script_that_the_archive_does_not_have_is_named(tmp_path: Path, files: dict[str, bytes]) -> None:
    files["stars/words.toml"] = b'install_script = "install.lua"\n' + files["stars/words.toml"]
    source, _ = remote(tmp_path / "store", files)
    with pytest.raises(Refused, match=r"words-0.3.0.tar.gz: has no install.lua, which stars/words.toml names"):
        upstream_statement(source, index_of(files), WORDS, SemVer(0, 3, 0))


def test_an_archive_that_the_index_still_lists_is_fetched_once(tmp_path: Path, files: dict[str, bytes]) -> None:
    source, carrier = remote(tmp_path / "store", files)
    galaxy = opened(source)
    (candidate,) = galaxy.versions(HELLO)
    first = galaxy.statement(candidate)
    source.store.settle()
    again, carrier = remote(tmp_path / "store", files)
    assert opened(again).statement(candidate).digest == first.digest
    assert carrier.reads == ["meta.toml", "meta.toml.dsse", "stars/hello.toml"]
    other = upstream_archive({**ARCHIVES["hello-1.0.0"], "./bin/hello": b"other"})
    files["packages/hello-1.0.0.tar.gz"] = other
    changed, _ = remote(tmp_path / "store", {**files, "meta.toml": INDEX.encode()})  # no checksum is listed any more
    assert opened(changed).statement(candidate).statement.archive == Digest.of(other)


def test_offline_the_last_statement_answers_for_its_own_version_alone(tmp_path: Path, files: dict[str, bytes]) -> None:
    source, _ = remote(tmp_path / "store", files)
    galaxy = opened(source)
    (candidate,) = galaxy.versions(HELLO)
    digest = galaxy.statement(candidate).digest
    source.store.settle()
    offline = Source(galaxy=source.galaxy, carrier=None, store=StoreFolder(tmp_path / "store"))
    assert upstream_statement(offline, index_of(files), HELLO, ONE).digest == digest
    with pytest.raises(WorldFailed, match="is not in the store"):
        upstream_statement(offline, index_of(files), HELLO, SemVer(1, 0, 1))
    with pytest.raises(WorldFailed, match="is not in the store"):
        upstream_statement(offline, index_of(files), WORDS, SemVer(0, 3, 0))
    names = GalaxyIndex(name=source.galaxy, newest={HELLO: None, WORDS: None})
    assert upstream_listing(offline, names) == {HELLO: ONE}


def test_a_lock_that_says_that_a_manifest_unpacks_to_something_is_refused(
    tmp_path: Path, files: dict[str, bytes]
) -> None:
    source, _ = remote(tmp_path / "store", files)
    galaxy = opened(source)
    (candidate,) = galaxy.versions(STACK)
    star, said = galaxy.pinned(candidate, (), ()), galaxy.statement(candidate).statement
    data = files["stars/core-stack.toml"]
    assert unpacked(verify_archive(data, star), said).manifest == data
    with pytest.raises(Refused, match="expected a manifest, which unpacks to nothing"):
        unpacked(verify_archive(data, replace(star, unpacked_bytes=1)), said)
    with pytest.raises(Refused, match=r"want a name that ends in .tar.zst or .tar.gz"):
        unpacked(verify_archive(data, replace(star, type="normal")), said)


def test_offline_a_star_that_was_never_read_is_named_with_the_way_out(tmp_path: Path, files: dict[str, bytes]) -> None:
    offline = Source(galaxy=GalaxyName("example"), carrier=None, store=StoreFolder(tmp_path / "store"))
    with pytest.raises(WorldFailed, match=r"hello 1\.0\.0: is not in the store, and offline") as said:
        upstream_statement(offline, index_of(files), HELLO, ONE)
    assert said.value.hint == "run the same command without --offline once"


@pytest.mark.parametrize("source", ["packages/../meta.toml", "./packages/../../etc/passwd", "packages//x"])
def test_a_manifest_whose_archive_lies_outside_of_packages_is_refused(
    tmp_path: Path, files: dict[str, bytes], source: str
) -> None:
    name = manifest_path(HELLO)
    text = files[name].decode()
    lines = [line for line in text.splitlines() if not line.startswith("source")]
    files[name] = "\n".join([f'source = "{source}"', *lines]).encode()
    galaxy = opened(remote(tmp_path / "store", files)[0])
    with pytest.raises(
        Refused, match=r"hello-1\.0\.0: source: want a path inside the galaxy such as packages/"
    ) as said:
        (candidate,) = galaxy.versions(HELLO)
        galaxy.statement(candidate)
    assert said.value.hint == "its galaxy's maintainer must correct its manifest"
