"""`cosmos search` as an operator types it: in a folder, over HTTP, offline after a sync, and without a catalogue."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from cosmos.digest import Digest
from fakes.galaxies import GalaxyFixture, StarSpec, index_by_stellar, make_galaxy, make_signers
from fakes.growing_galaxies import make_upstream_galaxy
from fakes.http_servers import serving
from fakes.images import APP, BASE, META, make_image
from fakes.programs import Cosmos

STARS = (
    StarSpec("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z"}, description="compression, as a library"),
    StarSpec("zlib-doc", "1.3.1", description="pages about it"),
    StarSpec("gzip", "1.12.0", {"usr/bin/gzip": b"g"}, {"zlib": "*"}, description="Compression of files"),
)


@pytest.fixture
def galaxy(tmp_path: Path) -> GalaxyFixture:
    made = make_galaxy(tmp_path / "galaxy", "core", STARS, make_signers())
    index_by_stellar(made)
    return made


@pytest.fixture
def root(tmp_path: Path, galaxy: GalaxyFixture, cosmos: Cosmos) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    cosmos("init", "--root", root, "--arch", "x86_64").ok()
    trust = galaxy.signers.write_trust(tmp_path / "trust.toml")
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
    cosmos("add-galaxy", "core", galaxy.path, "--root", root).ok()
    return root


def test_words_are_found_in_a_galaxy_in_a_folder(root: Path, cosmos: Cosmos) -> None:
    assert cosmos("search", "zlib", "--root", root).ok().out.splitlines() == [
        "zlib      1.3.1  core  compression, as a library",
        "zlib-doc  1.3.1  core  pages about it",
    ]
    cosmos("install", "gzip", "--root", root).ok()
    assert cosmos("search", "COMPRESSION", "--root", root).ok().out.splitlines() == [
        "gzip  1.12.0  core  [installed] Compression of files",
        "zlib  1.3.1   core  [installed] compression, as a library",
    ]
    row = cosmos("search", "compression", "files", "--root", root, "--json").json()
    assert (row["words"], row["by-name-only"], row["left-out"]) == (["compression", "files"], [], {})
    (gzip,) = row["stars"]
    assert (gzip["name"], gzip["version"], gzip["installed"], gzip["license"]) == ("gzip", "1.12.0", "1.12.0", "MIT")
    assert gzip["size-bytes"] > 0


def test_nothing_found_is_exit_0_with_a_sentence_and_no_line(root: Path, cosmos: Cosmos) -> None:
    done = cosmos("search", "zlibb", "--root", root).ok()
    assert done.out == ""
    assert "no star has 'zlibb' in its name or description; did you mean zlib or zlib-doc?" in done.err
    assert cosmos("search", "zlibb", "--root", root, "--json").json()["stars"] == []
    cosmos("search", "--root", root).fails(2)


def test_after_a_sync_over_http_a_search_makes_no_socket(
    root: Path, galaxy: GalaxyFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(galaxy.path) as address:
        cosmos("add-galaxy", "core", address, "--root", root).ok()
        assert "gzip" in cosmos("search", "files", "--root", root).ok().out
        cosmos("sync", "--index", "--root", root).ok()
    failed = cosmos("search", "files", "--root", root).fails(5)
    assert "galaxies.core" in failed.err
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a socket was made"))
    assert "gzip" in cosmos("search", "files", "--root", root, "--offline").ok().out


def test_a_catalogue_is_fetched_once_and_only_the_index_after_that(
    root: Path, galaxy: GalaxyFixture, cosmos: Cosmos
) -> None:
    with serving(galaxy.path) as address:
        cosmos("add-galaxy", "core", address, "--root", root).ok()
        cosmos("search", "files", "--root", root).ok()
        (catalogue,) = (galaxy.path / "catalogues").iterdir()
        catalogue.unlink()
        assert "gzip" in cosmos("search", "files", "--root", root).ok().out


def test_a_catalogue_that_is_missing_is_told_and_names_are_searched(
    root: Path, galaxy: GalaxyFixture, cosmos: Cosmos
) -> None:
    (catalogue,) = (galaxy.path / "catalogues").iterdir()
    catalogue.unlink()
    done = cosmos("search", "zlib", "--root", root).ok()
    assert "there is no such file in the galaxy" in done.err
    assert "only names are searched there: core" in done.err
    assert [line.split()[0] for line in done.out.splitlines()] == ["zlib", "zlib-doc"]
    cosmos("sync", "--root", root).fails(5)


def test_galaxies_without_a_catalogue_are_told_in_one_line(
    root: Path, tmp_path: Path, galaxy: GalaxyFixture, cosmos: Cosmos
) -> None:
    up = make_upstream_galaxy(tmp_path, "up", [StarSpec("zlib", "0.9.0"), StarSpec("zstd", "1.5.0")])
    cosmos("add-galaxy", "up", up, "--allow-unsigned", "--root", root).ok()
    done = cosmos("search", "z", "--root", root).ok()
    assert [line.split()[:3] for line in done.out.splitlines()] == [
        ["zlib", "1.3.1", "core"],
        ["zlib-doc", "1.3.1", "core"],
        ["zstd", "1.5.0", "up"],
        ["gzip", "1.12.0", "core"],
    ]
    assert done.err.splitlines() == ["1 galaxy has no catalogue, and only names are searched there: up"]


def test_a_description_cannot_control_the_terminal(tmp_path: Path, root: Path, cosmos: Cosmos) -> None:
    made = make_galaxy(
        tmp_path / "galaxy", "core", [StarSpec("evil", description="a\x1b[31mb\nc")], make_signers(), seq=2
    )
    index_by_stellar(made)
    assert cosmos("search", "evil", "--root", root).ok().out == "evil  1.0.0  core  a\\x1b[31mb c\n"


def test_an_ordinary_user_searches_root_s_system(root: Path, cosmos: Cosmos) -> None:
    subprocess.run(["chmod", "-R", "a-w", root], check=True)
    try:
        assert "gzip" in cosmos("search", "files", "--root", root).ok().out
    finally:
        subprocess.run(["chmod", "-R", "u+w", root], check=True)


def test_the_galaxies_of_an_image_are_searched_and_its_lock_says_what_it_has(tmp_path: Path, cosmos: Cosmos) -> None:
    newer = replace(BASE, version="1.3.0", description="a TOOL of many uses")
    image = make_image(tmp_path, (BASE, newer, APP, META), {"base": "=1.2.0"})
    index_by_stellar(image.galaxy)
    words = ("search", "tool", "--image", image.folder, "--home", image.home)
    assert cosmos(*words).ok().out == "base  1.3.0  core  a TOOL of many uses\n", "there is no lock yet"
    cosmos("freeze", image.folder, "--home", image.home).ok()
    assert cosmos(*words).ok().out == "base  1.3.0  core  [locked 1.2.0] a TOOL of many uses\n"
    (row,) = cosmos(*words, "--json").json()["stars"]
    assert (row["name"], row["locked"]) == ("base", "1.2.0") and "installed" not in row
    assert "did you mean base?" in cosmos("search", "bsae", *words[2:]).ok().err
    cosmos("search", "tool", "--home", image.home).fails(2)


def test_the_search_of_an_image_believes_no_galaxy_that_no_pinned_key_has_signed(
    tmp_path: Path, cosmos: Cosmos
) -> None:
    image = make_image(tmp_path)
    index = image.galaxy.path / "meta.toml"
    index.write_bytes(index.read_bytes().replace(b"core", b"cure", 1))
    cosmos("search", "app", "--image", image.folder, "--home", image.home).fails(4)
