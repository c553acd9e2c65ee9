"""`stellar fetch FOLDER`: a star's sources, checked by their digests, into its own folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from cosmos.digest import Digest
from fakes.http_servers import serving
from fakes.programs import Cosmos
from fakes.upstream_galaxies import upstream_archive

DATA = upstream_archive({"hello-2.12/bin/hello": b"hello"})


@pytest.fixture
def star(tmp_path: Path) -> Path:
    (tmp_path / "stars/hello").mkdir(parents=True)
    (tmp_path / "served").mkdir()
    (tmp_path / "served/hello-2.12.tar.gz").write_bytes(DATA)
    return tmp_path / "stars/hello"


def write_recipe(star: Path, *places: str, digests: tuple[str, ...] = (Digest.of(DATA).hex,)) -> None:
    sources, sums = ", ".join(f'"tar:{place}"' for place in places), ", ".join(f'"{one}"' for one in digests)
    (star / "star.toml").write_text(
        f'name = "hello"\nversion = "2.12.0"\nlicense = "MIT"\nsource = [{sources}]\nsha256 = [{sums}]\n'
    )


def test_a_source_comes_into_the_folder_by_its_digest_and_again_offline(
    star: Path, tmp_path: Path, stellar: Cosmos
) -> None:
    home = ("--home", tmp_path / "home")
    with serving(tmp_path / "served") as address:
        write_recipe(star, f"{address}/hello-2.12.tar.gz")
        done = stellar("fetch", star, *home).ok()
    assert done.out == f"{star}/hello-2.12.tar.gz {Digest.of(DATA)}\n"
    assert (star / "hello-2.12.tar.gz").read_bytes() == DATA
    (row,) = stellar("fetch", star, "--out", tmp_path / "out", "--offline", "--json", *home).json()
    assert row == {"file": str(tmp_path / "out/hello-2.12.tar.gz"), "digest": str(Digest.of(DATA))}
    (star / "hello-2.12.tar.gz").write_bytes(b"mine")
    assert "is there with other bytes" in stellar("fetch", star, "--offline", *home).fails(4).err
    assert (star / "hello-2.12.tar.gz").read_bytes() == b"mine"


def test_a_source_with_another_digest_is_not_written(star: Path, tmp_path: Path, stellar: Cosmos) -> None:
    with serving(tmp_path / "served") as address:
        write_recipe(star, f"{address}/hello-2.12.tar.gz", digests=("0" * 64,))
        assert "but the archive is sha256:" in stellar("fetch", star, "--home", tmp_path / "home").fails(4).err
    assert not (star / "hello-2.12.tar.gz").exists()


def test_two_sources_of_one_name_and_a_folder_without_a_source_are_refused(
    star: Path, tmp_path: Path, stellar: Cosmos
) -> None:
    home = ("--home", tmp_path / "home")
    (tmp_path / "served/again").mkdir()
    (tmp_path / "served/again/hello-2.12.tar.gz").write_bytes(DATA)
    with serving(tmp_path / "served") as address:
        places = (f"{address}/hello-2.12.tar.gz", f"{address}/again/hello-2.12.tar.gz")
        write_recipe(star, *places, digests=(Digest.of(DATA).hex,) * 2)
        assert "names two sources that are called" in stellar("fetch", star, *home).fails(2).err
    (star / "own.tar.gz").write_bytes(DATA)
    write_recipe(star, "own.tar.gz")
    assert "names no source to fetch" in stellar("fetch", star, *home).fails(3).err
    assert "is not there" in stellar("fetch", f"{tmp_path}/nowhere", *home).fails(2).err
    assert "give FOLDERs" in stellar("fetch", star, "nano", *home).err


def test_a_source_whose_server_is_away_is_named_with_the_way_out(star: Path, tmp_path: Path, stellar: Cosmos) -> None:
    with serving(tmp_path / "served") as address:
        write_recipe(star, f"{address}/hello-2.12.tar.gz")
    failed = stellar("fetch", star, "--home", tmp_path / "home").fails(5).err
    assert f"{address}/hello-2.12.tar.gz: cannot be reached: connection refused" in failed
    assert "name its file: tar:PATH" in failed
    assert not (star / "hello-2.12.tar.gz").exists()


@pytest.mark.parametrize("name", ["deb:UPPER", "UPPER", "a b", "hello=1 2"])
def test_what_is_no_name_of_a_package_is_named_and_nothing_is_made(tmp_path: Path, stellar: Cosmos, name: str) -> None:
    out = tmp_path / "out"
    failed = stellar("fetch", name, "--out", out, "--home", tmp_path / "home").fails(2).err
    assert f"error: {name}: want deb:NAME, deb:NAME=VERSION or deb:PACKAGE -> NAME, got " in failed
    assert not out.exists()
