"""Attacks by an unsigned galaxy, or by whoever can write to its files or to the cache. Nothing is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.digest import Digest
from cosmos.limits import MAX_DOCUMENT_BYTES
from fakes.http_servers import serving
from fakes.programs import Cosmos
from fakes.upstream_galaxies import INDEX, STARS, upstream_archive, write_upstream

STACK = STARS["core-stack"]


@pytest.fixture
def galaxy(tmp_path: Path) -> Path:
    return write_upstream(tmp_path / "example")


@pytest.fixture
def root(tmp_path: Path, galaxy: Path, cosmos: Cosmos) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    cosmos("init", "--root", root, "--arch", "x86_64").ok()
    cosmos("add-galaxy", "example", galaxy, "--allow-unsigned", "--root", root).ok()
    return root


@pytest.mark.parametrize(
    ("text", "code", "problem"),
    [
        (STACK.replace('"core-stack"', '"hello"'), 4, "is not the manifest of core-stack"),
        (STACK.replace('version = "1.0.0"', 'version = "0.9.0"'), 4, "is of version 0.9.0, but 1.0.0 was asked for"),
        (STACK + "#" * MAX_DOCUMENT_BYTES, 4, f"more than {MAX_DOCUMENT_BYTES} bytes"),
        (STACK.replace('"nebula"', '"planet"'), 2, "type: want one of normal, nebula, meta"),
        (STACK.replace("[dependencies]", "[dependencies]\n'../x' = '*'"), 2, "dependencies"),
        (STACK.replace("hello = ", "core-stack = '*'\nhello = "), 0, ""),  # a circle of one star is no attack
    ],
)
@pytest.mark.objective("SO-06")
def test_a_nebulas_manifest_that_lies_is_refused(
    galaxy: Path, root: Path, cosmos: Cosmos, text: str, code: int, problem: str
) -> None:
    (galaxy / "stars/core-stack.toml").write_text(text)
    done = cosmos("install", "core-stack", "--root", root)
    assert (done.code, problem in done.err) == (code, True), done.err
    assert (root / "usr").exists() == (code == 0)


@pytest.mark.objective("SO-17")
def test_a_nebula_lays_no_file_and_runs_no_script_whatever_lies_in_its_archive(
    galaxy: Path, root: Path, cosmos: Cosmos
) -> None:
    evil = {"./install.lua": b'function install() write("/etc/evil", "x") end', "./files/etc/evil2": b"x"}
    (galaxy / "packages/core-stack-1.0.0.tar.gz").write_bytes(upstream_archive(evil))
    cosmos("install", "core-stack", "--root", root).ok()
    assert not (root / "etc/evil").exists()
    assert not (root / "etc/evil2").exists()


@pytest.mark.objective("SO-06")
def test_a_nebula_that_was_changed_in_the_cache_is_refused_offline(galaxy: Path, root: Path, cosmos: Cosmos) -> None:
    with serving(galaxy) as address:
        cosmos("add-galaxy", "example", address, "--allow-unsigned", "--root", root).ok()
        cosmos("sync", "--full", "--root", root).ok()
    digest = Digest.of(STACK.encode()).hex
    blob = root / f"var/cache/cosmos/blobs/{digest[:2]}/{digest}"
    blob.chmod(0o644)
    blob.write_text(STACK.replace("a base", "A BASE"))
    cosmos("install", "core-stack", "--offline", "--root", root).fails(4)
    assert not (root / "usr").exists()


@pytest.mark.objective("SO-05")
def test_an_index_that_was_stripped_of_its_stars_does_not_let_the_next_galaxy_answer_offline(
    galaxy: Path, root: Path, tmp_path: Path, cosmos: Cosmos
) -> None:
    """The first galaxy lists `hello`, but the cache has no statement of it: the second galaxy must not answer."""
    second = write_upstream(tmp_path / "second", index=INDEX.replace('"example"', '"second"', 1))
    with serving(galaxy) as address:
        cosmos("add-galaxy", "example", address, "--allow-unsigned", "--root", root).ok()
        cosmos("sync", "--index", "--root", root).ok()
    cosmos("add-galaxy", "second", second, "--allow-unsigned", "--root", root).ok()
    assert "is not in the store" in cosmos("install", "hello", "--offline", "--root", root).fails(5).err
    assert not (root / "usr").exists()
