"""A galaxy of upstream's own making, unchanged: in a folder and over HTTP, on a device and on the builder."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from fakes import http_servers
from fakes.http_servers import serving
from fakes.images import EPOCH, write_template
from fakes.programs import Cosmos
from fakes.upstream_galaxies import write_upstream


@pytest.fixture
def galaxy(tmp_path: Path) -> Path:
    return write_upstream(tmp_path / "example")


@pytest.fixture
def root(tmp_path: Path, cosmos: Cosmos) -> Path:
    root = tmp_path / "root"
    root.mkdir()
    cosmos("init", "--root", root, "--arch", "x86_64").ok()
    return root


def take(cosmos: Cosmos, root: Path, address: object) -> None:
    cosmos("add-galaxy", "example", address, "--allow-unsigned", "--root", root).ok()


def test_a_nebula_without_an_archive_installs_syncs_freezes_and_verifies(
    galaxy: Path, root: Path, cosmos: Cosmos
) -> None:
    take(cosmos, root, galaxy)
    assert "4 archives" not in cosmos("sync", "--full", "--root", root).ok().out
    done = cosmos("install", "core-stack", "old-stack", "--root", root).ok()
    assert [line.split(" from ")[0] for line in done.out.splitlines()] == [
        "installed hello 1.0.0",
        "installed core-stack 1.0.0",
        "installed words 0.3.0",
        "installed old-stack 2.1.0",
    ]
    assert (root / "usr/bin/hello").read_bytes().startswith(b"#!/bin/sh")
    assert (root / "usr/share/words").read_text() == "one\ntwo\n"
    universe = tomllib.loads((root / "var/lib/cosmos/universe.toml").read_text())["installed"]
    assert (universe["core-stack"]["type"], universe["core-stack"]["files"]) == ("nebula", [])
    assert universe["old-stack"]["type"] == "nebula"
    cosmos("verify", "--root", root).ok()
    said = cosmos("status", "--root", root).ok().out
    assert "stars         4 with 2 files, " in said
    assert "\n  core-stack 1.0.0: nebula, from example\n  hello 1.0.0: 1 file, from example\n" in said
    row = cosmos("status", "--root", root, "--json").json()
    assert row["files-of-stars"] == {"core-stack": 0, "hello": 1, "old-stack": 0, "words": 1}
    cosmos("freeze", "--root", root).ok()
    lock = tomllib.loads((root / "var/lib/cosmos/universe.lock.toml").read_text())
    (stack,) = (star for star in lock["star"] if star["name"] == "core-stack")
    assert (stack["file"], stack["unpacked-bytes"], stack["script"]) == ("stars/core-stack.toml", 0, "")


def test_over_http_all_is_there_offline_after_a_full_sync(
    galaxy: Path, root: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(galaxy) as address:
        take(cosmos, root, address)
        assert cosmos("sync", "--full", "--root", root, "--json").json()["galaxies"][0]["stars"] == 5
    monkeypatch.setattr("socket.socket.connect", lambda *_: pytest.fail("a socket was made"))
    cosmos("install", "core-stack", "old-stack", "--root", root, "--offline").ok()
    assert (root / "usr/bin/hello").exists()
    cosmos("verify", "--root", root).ok()
    cosmos("freeze", "--offline", "--root", root).ok()
    assert "hello" in cosmos("search", "hello", "--offline", "--root", root).ok().out
    cosmos("show", "core-stack", "--offline", "--root", root).ok()


def test_unknown_keys_of_index_manifest_and_constellation_warn_and_pass(
    galaxy: Path, root: Path, tmp_path: Path, cosmos: Cosmos
) -> None:
    take(cosmos, root, galaxy)
    tools = tmp_path / "tools.toml"
    tools.write_text('name = "tools"\nicon = "x"\nmembers = ["words@0.3", "old-stack@^2.0", "hello@1.0.0"]\n')
    done = cosmos("install", "--constellation", tools, "--root", root).ok()
    for warning in (
        f"{tools}: unknown key icon",
        "galaxy example: its index has the unknown key homepage",
        "hello 1.0.0: its manifest has the unknown key mood",
        "hello 1.0.0: its manifest has the unknown key hooks",
        "hello-1.0.0: nobody signed it",
    ):
        assert warning in done.err
    assert "words" in done.out
    other = tmp_path / "other.toml"
    other.write_text('name = "other"\nmembers = ["words@^1"]\n')
    assert "constellation:other wants words" in cosmos("install", "--constellation", other, "--root", root).fails(3).err


def test_a_shell_script_is_refused_by_name_with_the_way_out(galaxy: Path, root: Path, cosmos: Cosmos) -> None:
    take(cosmos, root, galaxy)
    cosmos("sync", "--full", "--root", root).ok()
    for words in (("install", "shelly"), ("install", "hello", "shelly", "--dry-run")):
        failed = cosmos(*words, "--root", root).fails(6)
        assert "shelly: install.sh: is a shell script, and cosmos runs only Nova scripts" in failed.err
        assert "hint: write what it does as install.lua" in failed.err
    assert not (root / "usr").exists()
    with (root / "etc/cosmos/config.toml").open("a") as stream:
        stream.write('[policy]\nrun = ["shelly"]\n')
    cosmos("install", "shelly", "--root", root).fails(6)


def test_a_shell_script_fails_the_build_by_name(image: Path, tmp_path: Path, cosmos: Cosmos) -> None:
    file = image / "image.toml"
    file.write_text(file.read_text().replace("old-stack", "shelly"))
    cosmos("freeze", image, "--home", tmp_path / "home").ok()
    assert "shelly: install.sh: is a shell" in cosmos("build", image, "--home", tmp_path / "home").fails(6).err


def test_sync_and_freeze_name_a_shell_script_before_it_is_installed(
    galaxy: Path, root: Path, image: Path, tmp_path: Path, cosmos: Cosmos
) -> None:
    said = "shelly 1.0.0: cosmos {} will refuse it: its install.sh is a shell script, and cosmos runs only Nova scripts"
    take(cosmos, root, galaxy)
    for words in ((), ("--full",)):
        done = cosmos("sync", *words, "--root", root).ok()
        assert [line for line in done.err.splitlines() if "shell" in line] == [
            f"cosmos: warning: {said.format('install')}"
        ]
    assert cosmos("sync", "--json", "--root", root).json()["galaxies"][0]["shell-scripts"] == ["shelly-1.0.0"]
    assert "shell" not in cosmos("sync", "--index", "--root", root).ok().err
    assert "shell" not in cosmos("freeze", image, "--home", tmp_path / "home").ok().err
    file = image / "image.toml"
    file.write_text(file.read_text().replace("old-stack", "shelly"))
    assert said.format("build") in cosmos("freeze", image, "--home", tmp_path / "home").ok().err


def test_no_badge_is_asked_of_a_galaxy_that_can_have_none(
    galaxy: Path, root: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()
    monkeypatch.setattr(http_servers._Quiet, "log_message", lambda _self, _form, *said: asked.append(str(said[0])))
    with serving(galaxy) as address:
        take(cosmos, root, address)
        cosmos("show", "hello", "--root", root).ok()
        cosmos("install", "core-stack", "--root", root).ok()
    assert any("meta.toml" in line for line in asked)
    assert [line for line in asked if "intoto" in line] == []


def test_an_ftp_address_is_refused(root: Path, cosmos: Cosmos) -> None:
    failed = cosmos("add-galaxy", "example", "ftp://galaxy.invalid/core", "--allow-unsigned", "--root", root).fails(2)
    assert "want a folder, file://, http:// or https://" in failed.err


def test_status_lists_more_than_20_stars_only_if_asked(tmp_path: Path, root: Path, cosmos: Cosmos) -> None:
    names = [f"n{number:02}" for number in range(21)]
    stars = {name: f'name = "{name}"\nversion = "1.0.0"\ntype = "nebula"\n' for name in names}
    listed = "".join(f'{name} = "1.0.0"\n' for name in names)
    index = f'name = "example"\nversion = "2025.04"\n[stars]\n{listed}[checksums]\n'
    take(cosmos, root, write_upstream(tmp_path / "many", stars=stars, archives={}, index=index))
    cosmos("install", *names, "--root", root).ok()
    assert "n20" not in (said := cosmos("status", "--root", root).ok().out)
    assert "to list them: cosmos status --stars" in said
    assert "  n20 1.0.0: nebula, from example" in cosmos("status", "--stars", "--root", root).ok().out


@pytest.fixture
def image(tmp_path: Path, galaxy: Path) -> Path:
    folder = tmp_path / "image"
    write_template(folder / "template")
    (folder / "image.toml").write_text(
        'name = "small"\nversion = "1.0.0"\narch = "x86_64"\ntemplate = "./template"\n'
        f'source-date-epoch = {EPOCH}\n[stars]\ncore-stack = "*"\nold-stack = "*"\n'
        f'[galaxies]\nexample = {{ url = "{galaxy}", allow-unsigned = true }}\n'
    )
    return folder


def test_an_image_of_upstreams_stars_is_frozen_and_built(image: Path, tmp_path: Path, cosmos: Cosmos) -> None:
    home = tmp_path / "home"
    assert "unknown key mood" in cosmos("freeze", image, "--home", home).ok().err
    cosmos("build", image, "--home", home).ok()
    pack = next((image / "out").glob("*.tar.zst"))
    names = cosmos("ls", pack).ok().out
    assert "usr/bin/hello" in names
    assert "usr/share/words" in names
    universe = tomllib.loads(cosmos("cat", pack, "var/lib/cosmos/universe.toml").ok().out)
    assert universe["installed"]["core-stack"]["type"] == "nebula"
    cosmos("build", image, "--home", home, "--offline").ok()


@pytest.mark.parametrize("fresh", [False, True], ids=["the home that froze it", "another home"])
@pytest.mark.parametrize("old, new", [('"1.0.0"\n', '"1.0.*"\n'), ("a base", "a BASE"), ("hello = ", "evil = ")])
def test_a_nebulas_manifest_that_changed_after_it_was_frozen_is_refused_by_the_build(
    image: Path, galaxy: Path, tmp_path: Path, cosmos: Cosmos, fresh: bool, old: str, new: str
) -> None:
    cosmos("freeze", image, "--home", tmp_path / "home").ok()
    manifest = galaxy / "stars/core-stack.toml"
    manifest.write_text(new.join(manifest.read_text().rsplit(old, 1)))
    home = tmp_path / ("another home" if fresh else "home")
    assert "core-stack" in cosmos("build", image, "--home", home).fails(4).err
    assert not (image / "out").exists()


@pytest.mark.parametrize("words", [(), ("--offline",)])
def test_an_image_of_upstreams_stars_is_vendored_and_built_where_the_galaxy_is_not(
    galaxy: Path, image: Path, tmp_path: Path, cosmos: Cosmos, words: tuple[str, ...]
) -> None:
    home, stick, away = tmp_path / "home", tmp_path / "stick", tmp_path / "away"
    cosmos("freeze", image, "--home", home).ok()
    root = cosmos("build", image, "--home", home, "--json").json()["content-root"]
    cosmos("vendor", image, stick, "--home", home).ok()
    galaxy.rename(tmp_path / "gone")
    image.rename(tmp_path / "gone-too")
    built = cosmos(
        "build", stick / "image", "--from", stick, "--out", tmp_path / "out", "--home", away, "--json", *words
    )
    assert built.json()["content-root"] == root
    archive = stick / "galaxies/example/packages/hello-1.0.0.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-1] + b"!")
    again = ("build", stick / "image", "--from", stick, "--out", tmp_path / "out2", "--home", tmp_path / "third")
    assert "hello" in cosmos(*again).fails(4).err
