"""`cosmos store`: a store that was collected, damaged, shared or filled up gives the right image, or a clear error."""

from __future__ import annotations

import json
import os
import resource
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cosmos.image.workshop import staging
from cosmos.store.blobs import StoreFolder
from fakes.galaxies import StarSpec
from fakes.images import APP, BASE, META, ImageFixture, copy_image, make_image
from fakes.programs import REPO, Cosmos, Outcome

STARS = (BASE, APP, *(StarSpec(f"more-{at}", files={f"usr/lib/more-{at}": b"%d" % at * 9000}) for at in range(5)), META)
WISHES = {star.name: "*" for star in STARS}


def a_socket(place: Path) -> None:
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(os.path.relpath(place))  # a socket's whole path may be too long


def a_link_to_a_file(place: Path) -> None:
    place.with_name("file").write_bytes(b"mine")
    place.symlink_to("file")


STRANGERS: Mapping[str, Callable[[Path], object]] = {
    "a file": lambda place: place.write_bytes(b"mine"),
    "a pipe": os.mkfifo,
    "a socket": a_socket,
    "a link to something else": a_link_to_a_file,
    "a link to nowhere, where nothing is": lambda place: place.symlink_to("nowhere"),
    "a link to store, where nothing is": lambda place: place.symlink_to("store"),
}


@pytest.fixture(scope="module")
def built_once(tmp_path_factory: pytest.TempPathFactory, succeed: Callable[..., None]) -> ImageFixture:
    image = make_image(tmp_path_factory.mktemp("built"), STARS, WISHES)
    succeed("freeze", image.folder, "--home", image.home)
    succeed("build", image.folder, "--home", image.home, "--out", image.out)
    return image


@pytest.fixture
def built(built_once: ImageFixture, tmp_path: Path) -> ImageFixture:
    """A built image with its store, for a test to change as it likes."""
    return copy_image(built_once, tmp_path)


def build(image: ImageFixture, cosmos: Cosmos, out: str = "out", *words: object) -> Outcome:
    return cosmos("build", image.folder, "--home", image.home, "--out", image.folder / out, *words)


def files(folder: Path) -> Mapping[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def kept(home: Path) -> list[Path]:
    return sorted(
        path for room in ("blobs", "results") for path in (home / "store" / room).rglob("*") if path.is_file()
    )


def program(*words: object, limit_bytes: int | None = None) -> subprocess.Popen[str]:
    """Start `cosmos` in a process of its own, which may write no file longer than the limit."""

    def limited() -> None:
        if limit_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, limit_bytes))

    start = (
        f"import sys; sys.path.insert(0, {str(REPO / 'builder')!r}); from cosmos.cli.cosmos.main import main; main()"
    )
    return subprocess.Popen(
        [sys.executable, "-c", start, *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limited,
    )


def test_the_three_commands_answer_people_and_machines(built: ImageFixture, cosmos: Cosmos) -> None:
    home = ("--home", built.home)
    said = cosmos("store", "stat", *home).ok().out
    assert "blob" in said
    assert "of 20.0 GiB" in said
    row = cosmos("store", "stat", *home, "--json").json()
    assert row["kinds"]["blob"]["files"] >= len(STARS)
    assert row["size-bytes"] == sum(kind["size-bytes"] for kind in row["kinds"].values())
    assert "all are whole" in cosmos("store", "check", *home).ok().out
    assert cosmos("store", "check", *home, "--json").json()["damaged"] == []
    planned = cosmos("store", "gc", *home, "--limit", "0", "--dry-run", "--json").json()
    assert planned["dry-run"]
    assert len(kept(built.home)) == sum(not item["path"].startswith("batches/") for item in planned["removed"])
    assert cosmos("store", "gc", *home, "--limit", "0", "--json").json()["removed"] == planned["removed"]
    assert kept(built.home) == []
    assert "removed 0 files" in cosmos("store", "gc", *home).ok().out


def test_what_a_killed_build_left_is_collected_and_nothing_useful_goes_for_it(
    built: ImageFixture, cosmos: Cosmos
) -> None:
    left, home, before = built.home / "store/temporary/left", ("--home", built.home), kept(built.home)
    left.write_bytes(bytes(1_000_000))
    planned = cosmos("store", "gc", *home, "--limit", "500000", "--dry-run", "--json").json()
    assert left.exists()
    done = cosmos("store", "gc", *home, "--limit", "500000", "--json").json()
    assert done["removed"] == planned["removed"] == [{"path": "temporary/left", "size-bytes": 1_000_000}]
    assert kept(built.home) == before
    assert done["size-bytes"] == cosmos("store", "stat", *home, "--json").json()["size-bytes"] <= 500_000


def test_a_home_without_a_store_has_nothing_to_look_after(tmp_path: Path, cosmos: Cosmos) -> None:
    for command in ("gc", "check", "stat"):
        said = cosmos("store", command, "--home", tmp_path / "nowhere").ok()
        assert f"{tmp_path}/nowhere/store: there is no store yet" in said.out, "a mistyped home is seen"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("kind", STRANGERS)
def test_what_is_no_folder_in_the_place_of_a_store_is_said_before_any_work(
    tmp_path: Path, cosmos: Cosmos, kind: str
) -> None:
    """A link that led nowhere was an empty store that was whole; a build resolved and fetched before it failed."""
    image = make_image(tmp_path, STARS, WISHES)
    cosmos("freeze", image.folder, "--home", image.home).ok()
    place = image.home / "store"
    shutil.rmtree(place)
    STRANGERS[kind](place)
    before = place.lstat()
    upkeep = [("store", *words) for words in (["stat"], ["check"], ["gc"], ["gc", "--dry-run"])]
    for words in (*upkeep, ("build", image.folder), ("freeze", image.folder, "--upgrade")):
        said = cosmos(*words, "--home", image.home, "--json").fails(5)
        error = json.loads(said.out)["error"]
        assert (error["where"], error["what"]) == (str(place), f"not a directory, but {kind}"), words
        assert error["hint"]
    assert (place.lstat().st_ino, place.lstat().st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize("inner", ["blobs", "results", "batches", "temporary", "partial", "blobs/aa"])
def test_a_file_in_the_place_of_a_folder_of_a_store_is_named(built: ImageFixture, cosmos: Cosmos, inner: str) -> None:
    """A file in the place of `blobs` was an empty folder of a store that was whole."""
    place = built.home / "store" / inner
    shutil.rmtree(place, ignore_errors=True)
    place.write_bytes(b"mine")
    for command in ("stat", "check", "gc"):
        said = cosmos("store", command, "--home", built.home).fails(5)
        assert f"{place}: not a directory, but a file" in said.err
    assert place.read_bytes() == b"mine"


def test_a_home_that_is_a_link_to_nowhere_is_no_home_without_a_store(tmp_path: Path, cosmos: Cosmos) -> None:
    (tmp_path / "home").symlink_to("away")
    for command in ("gc", "check", "stat"):
        said = cosmos("store", command, "--home", tmp_path / "home").fails(5)
        assert f"{tmp_path}/home: not a directory, but a link to away, where nothing is" in said.err


@pytest.mark.parametrize("text", ["20", "20GiB", "20 GiB", "1 TiB"])
def test_the_limit_stands_in_config_toml(built: ImageFixture, cosmos: Cosmos, text: str) -> None:
    (built.home / "config.toml").write_text(f'[store]\nlimit = "{text}"\n')
    assert cosmos("store", "stat", "--home", built.home, "--json").json()["limit-bytes"] in (20, 20 << 30, 1 << 40)


@pytest.mark.parametrize("text", ['limit = "much"', "limit = 5", 'limits = "5 GiB"', 'limit = "-1"', 'limit = "5 GB"'])
def test_a_limit_of_another_form_is_malformed(built: ImageFixture, cosmos: Cosmos, text: str) -> None:
    (built.home / "config.toml").write_text(f"[store]\n{text}\n")
    assert "config.toml" in cosmos("store", "gc", "--home", built.home).fails(2).err
    cosmos("store", "gc", "--home", built.home, "--limit", "5 GB").fails(2)


def test_a_build_keeps_the_store_within_the_limit_of_config_toml(built: ImageFixture, cosmos: Cosmos) -> None:
    (built.home / "config.toml").write_text('[store]\nlimit = "5 KiB"\n')
    before = files(built.out)
    said = build(built, cosmos, "other").ok()
    assert "store: removed what was used least recently" in said.err
    assert cosmos("store", "stat", "--home", built.home, "--json").json()["size-bytes"] <= 5 << 10
    build(built, cosmos, "again").ok()
    assert files(built.folder / "again") == files(built.folder / "other") == before


def test_what_was_collected_is_made_again_the_same(built: ImageFixture, cosmos: Cosmos) -> None:
    before = files(built.out)
    for limit in ("30000", "9000", "0"):
        cosmos("store", "gc", "--home", built.home, "--limit", limit).ok()
        shutil.rmtree(built.out)
        build(built, cosmos).ok()
        assert files(built.out) == before


Damage = Callable[[Path], None]


def flipped(file: Path) -> None:
    data = file.read_bytes()
    file.chmod(0o644)
    file.write_bytes(data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 1]) + data[len(data) // 2 + 1 :])


def half(file: Path) -> None:
    file.chmod(0o644)
    os.truncate(file, file.stat().st_size // 2)


def emptied(file: Path) -> None:
    file.chmod(0o644)
    os.truncate(file, 0)


@pytest.mark.parametrize("damage", [flipped, half, emptied, Path.unlink])
def test_a_damaged_store_gives_the_same_image_and_is_mended(
    built: ImageFixture, cosmos: Cosmos, damage: Damage
) -> None:
    """Every blob and every record at once: nothing damaged is used, and all of it is made or fetched again."""
    before, there = files(built.out), kept(built.home)
    for file in there:
        damage(file)
    build(built, cosmos, "other").ok()
    assert files(built.folder / "other") == before
    cosmos("store", "check", "--home", built.home)  # it finds what this build did not look at: frames without files
    assert cosmos("store", "check", "--home", built.home, "--json").json()["damaged"] == []


@pytest.mark.parametrize("damage", [flipped, half, emptied])
def test_a_check_names_what_is_damaged_and_a_build_makes_it_again(
    built: ImageFixture, cosmos: Cosmos, damage: Damage
) -> None:
    before, file = files(built.out), next((built.home / "store" / "blobs").rglob("*/*"))
    damage(file)
    said = cosmos("store", "check", "--home", built.home).fails(7)
    assert f"blobs/{file.parent.name}/{file.name}" in said.err
    assert not file.exists()
    cosmos("store", "check", "--home", built.home).ok()
    build(built, cosmos, "other").ok()
    assert files(built.folder / "other") == before


def test_nothing_is_collected_while_a_build_uses_the_store(built: ImageFixture, cosmos: Cosmos) -> None:
    """The build holds the store from its first look to its end, so what it has seen stays."""
    builder = StoreFolder(built.home / "store")
    with builder.hold():
        refused = cosmos("store", "gc", "--home", built.home, "--limit", "0").fails(5)
        assert "another command is using the store, so nothing was removed" in refused.err
        assert kept(built.home)
    cosmos("store", "gc", "--home", built.home, "--limit", "0").ok()
    assert not kept(built.home)


def collecting(home: Path, builds: list[subprocess.Popen[str]]) -> Iterator[int]:
    """Collect again and again until all builds have ended; yield each exit code."""
    while any(one.poll() is None for one in builds):
        one = program("store", "gc", "--home", home, "--limit", "0")
        one.communicate(timeout=120)
        yield one.returncode


def test_two_builders_and_a_collector_share_a_store(built: ImageFixture, cosmos: Cosmos) -> None:
    before = files(built.out)
    cosmos("store", "gc", "--home", built.home, "--limit", "0").ok()
    builds = [
        program("build", built.folder, "--home", built.home, "--out", built.folder / name, "--jobs", jobs)
        for name, jobs in (("one", 1), ("two", 2))
    ]
    codes = set(collecting(built.home, builds))
    with ThreadPoolExecutor() as pool:
        said = list(pool.map(lambda one: one.communicate(timeout=300)[1], builds))
    assert [one.returncode for one in builds] == [0, 0], said
    assert codes <= {0, 5}
    assert files(built.folder / "one") == files(built.folder / "two") == before


def test_a_disk_that_is_full_is_named_and_leaves_no_half_of_anything(built: ImageFixture, cosmos: Cosmos) -> None:
    """A limit on the size of files stands for the full disk: each write beyond it fails in the middle."""
    before = files(built.out)
    for limit_bytes in (100, 1_000, 4_000):
        cosmos("store", "gc", "--home", built.home, "--limit", "0").ok()
        one = program(
            "build", built.folder, "--home", built.home, "--out", built.folder / "other", limit_bytes=limit_bytes
        )
        _, said = one.communicate(timeout=300)
        assert one.returncode == 5, said
        assert "error: " in said
        assert not (built.folder / "other").exists()
        assert "all are whole" in cosmos("store", "check", "--home", built.home).ok().out
    build(built, cosmos, "other").ok()
    assert files(built.folder / "other") == before


def test_the_bytes_are_the_same_cold_and_warm_with_1_2_and_8_workers(built: ImageFixture, cosmos: Cosmos) -> None:
    before = files(built.out)
    for jobs in (1, 2, 8):
        cosmos("store", "gc", "--home", built.home, "--limit", "0").ok()
        for name in (f"cold-{jobs}", f"warm-{jobs}"):
            build(built, cosmos, name, "--jobs", jobs).ok()
            assert files(built.folder / name) == before
        assert "nothing changed: " in build(built, cosmos, f"warm-{jobs}", "--jobs", jobs).ok().err
        assert files(built.folder / f"warm-{jobs}") == before


def test_no_more_workers_are_forked_than_there_are_layers_to_make(
    built: ImageFixture, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A build with `--jobs 99999` forked so many processes before the first of them had something to do."""
    forked: list[int] = []
    workers = staging._workers
    monkeypatch.setattr(staging, "_workers", lambda workshop, jobs: forked.append(jobs) or workers(workshop, jobs))
    cosmos("store", "gc", "--home", built.home, "--limit", "0").ok()
    build(built, cosmos, "other", "--jobs", 1024).ok()
    build(built, cosmos, "warm", "--jobs", 1024).ok()
    assert forked == [len(STARS), 1]
    assert files(built.folder / "other") == files(built.out)
    build(built, cosmos, "other", "--jobs", 99_999).fails(2)


def test_an_audit_passes_a_store_that_is_right_and_says_its_seed(built: ImageFixture, cosmos: Cosmos) -> None:
    said = build(built, cosmos, "out", "--audit", "100%").ok()
    assert f"audit {len(STARS)} layers of {len(STARS)}, seed " in said.err
    said = build(built, cosmos, "out", "--audit", "1%", "--audit-seed", "a seed").ok()
    assert f"audit 1 layer of {len(STARS)}, seed a seed" in said.err
    for wrong in ("0%", "101%", "5", "x%", "-1%"):
        build(built, cosmos, "out", f"--audit={wrong}").fails(2)
    build(built, cosmos, "out", "--audit-seed", "x").fails(2)
