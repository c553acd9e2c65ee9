"""`cosmos sync --dry-run --diff --prune`: what would change, what has changed, and what leaves the cache."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cosmos.digest import Digest
from fakes.galaxies import StarSpec
from fakes.growing_galaxies import GrowingGalaxy, grow_galaxy
from fakes.programs import Cosmos
from fakes.upstream_galaxies import ARCHIVES, INDEX, STARS, upstream_archive, write_upstream

ZLIB = StarSpec("zlib", "1.3.1", {"usr/lib/libz.so": b"z" * 100})
NANO = StarSpec("nano", "7.2.0", {"usr/bin/nano": b"nano"}, {"zlib": "^1"})


@pytest.fixture
def galaxy(tmp_path: Path) -> GrowingGalaxy:
    return grow_galaxy(tmp_path, "core", [ZLIB, NANO])


@pytest.fixture
def root(tmp_path: Path, galaxy: GrowingGalaxy, cosmos: Cosmos) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    cosmos("init", "--root", root, "--arch", "x86_64").ok()
    trust = galaxy.keys.write_trust(tmp_path / "trust.toml")
    cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
    cosmos("add-galaxy", "core", galaxy.path, "--root", root).ok()
    return root


def all_files(root: Path) -> dict[str, bytes]:
    return {str(file.relative_to(root)): file.read_bytes() for file in sorted(root.rglob("*")) if file.is_file()}


def cached(root: Path) -> set[str]:
    return {file.name for file in (root / "var/cache/cosmos/blobs").rglob("*") if file.is_file()}


def archive(galaxy: GrowingGalaxy, stem: str) -> str:
    return Digest.of(galaxy.file(f"packages/{stem}.tar.zst").read_bytes()).hex


def test_a_dry_run_says_what_would_change_and_changes_nothing(
    root: Path, galaxy: GrowingGalaxy, cosmos: Cosmos
) -> None:
    first = cosmos("sync", "--dry-run", "--diff", "--full", "--root", root).ok().out
    assert first.splitlines() == ["core: seq 1; 2 new, 0 gone; would fetch 2 archives", "+ nano 7.2.0", "+ zlib 1.3.1"]
    cosmos("sync", "--full", "--root", root).ok()
    galaxy.add(StarSpec("zlib", "1.3.2", {"usr/lib/libz.so": b"new"}))
    galaxy.withdraw("nano", "7.2.0")
    before = all_files(root)
    done = cosmos("sync", "--dry-run", "--diff", "--full", "--prune", "--root", root).ok()
    size = galaxy.file("packages/nano-7.2.0.tar.zst").stat().st_size
    assert done.out.splitlines() == [
        "core: seq 3, was 1; 1 new, 1 gone; would fetch 1 archive",
        "+ zlib 1.3.2",
        "- nano 7.2.0",
        f"cache: would remove 1 file, {size:,} bytes",
    ]
    assert "lists no more: nano 7.2.0" in done.err
    assert all_files(root) == before
    row = cosmos("sync", "--diff", "--full", "--prune", "--root", root, "--json").json()
    assert (row["dry-run"], row["galaxies"][0]["new"], row["galaxies"][0]["gone"]) == (
        False,
        ["zlib 1.3.2"],
        ["nano 7.2.0"],
    )
    assert row["pruned"]["files"] == [f"sha256:{archive(galaxy, 'nano-7.2.0')}"]
    assert cached(root) == {archive(galaxy, "zlib-1.3.1"), archive(galaxy, "zlib-1.3.2")}
    assert "0 new, 0 gone" in cosmos("sync", "--dry-run", "--root", root).ok().out


def test_what_an_installed_star_came_from_stays(root: Path, galaxy: GrowingGalaxy, cosmos: Cosmos) -> None:
    cosmos("install", "nano", "--root", root).ok()
    galaxy.withdraw("nano", "7.2.0")
    (root / "var/cache/cosmos/blobs/00").mkdir(exist_ok=True)
    (root / "var/cache/cosmos/blobs/00/notes").write_text("no blob has such a name")
    said = cosmos("sync", "--prune", "--root", root).ok().out
    assert "cache: removed 0 files, 0 bytes" in said
    assert archive(galaxy, "nano-7.2.0") in cached(root)


def test_a_dry_run_refuses_a_rolled_back_galaxy(root: Path, galaxy: GrowingGalaxy, cosmos: Cosmos) -> None:
    galaxy.index()
    cosmos("sync", "--root", root).ok()
    galaxy.index(seq=1)
    assert "has seq 1, but seq 2 was seen before" in cosmos("sync", "--dry-run", "--root", root).fails(4).err


def test_nothing_is_pruned_by_less_than_all_galaxies_or_beside_a_writer(root: Path, cosmos: Cosmos) -> None:
    cosmos("sync", "--full", "--root", root).ok()
    before = cached(root)
    for words in (("core",), ("--index",), ("core", "--from", root)):
        assert "--prune judges by the stars of all galaxies" in cosmos("sync", *words, "--prune", "--root", root).err
    with writing(root / "var/cache/cosmos/lock"):
        assert "nothing was pruned" in cosmos("sync", "--prune", "--root", root).fails(5).err
    assert cached(root) == before


@contextmanager
def writing(lock: Path) -> Iterator[None]:
    with lock.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_SH)
        yield


def test_an_upstream_galaxy_is_compared_and_pruned(tmp_path: Path, root: Path, cosmos: Cosmos) -> None:
    folder = write_upstream(tmp_path / "example", index=INDEX.replace("[checksums]\n", "\n"))
    meta = folder / "meta.toml"
    meta.write_text(INDEX.replace("[checksums]\n", ""))  # an owner who lists no checksums
    cosmos("remove-galaxy", "core", "--root", root).ok()
    cosmos("add-galaxy", "example", folder, "--allow-unsigned", "--root", root).ok()
    cosmos("sync", "--full", "--root", root).ok()
    old = Digest.of(upstream_archive(ARCHIVES["words-0.3.0"])).hex
    assert old in cached(root)
    (folder / "stars/words.toml").write_text(STARS["words"].replace("0.3.0", "0.4.0"))
    (folder / "packages/words-0.4.0.tar.gz").write_bytes(upstream_archive({"./files/usr/share/words": b"new"}))
    meta.write_text(meta.read_text().replace('words = "0.3.0"', 'words = "0.4.0"'))
    done = cosmos("sync", "--dry-run", "--diff", "--full", "--prune", "--root", root).ok().out.splitlines()
    assert done[:3] == ["example: seq 0; 1 new, 1 gone; would fetch 1 archive", "+ words 0.4.0", "- words 0.3.0"]
    assert done[3].startswith("cache: would remove 1 file")
    cosmos("sync", "--full", "--prune", "--root", root).ok()
    assert old not in cached(root)
    cosmos("install", "words", "--offline", "--root", root).ok()


def test_a_missing_star_of_an_upstream_galaxy_is_left_out_by_name(tmp_path: Path, root: Path, cosmos: Cosmos) -> None:
    folder = write_upstream(tmp_path / "example")
    (folder / "packages/shelly-1.0.0.tar.gz").unlink()
    cosmos("add-galaxy", "example", folder, "--allow-unsigned", "--root", root).ok()
    done = cosmos("sync", "example", "--full", "--root", root).ok()
    assert "left out: shelly 1.0.0: " in done.err
    assert "4 versions, 4 archives; 1 not there: shelly-1.0.0" in done.out
