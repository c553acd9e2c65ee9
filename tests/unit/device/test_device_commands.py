"""What the commands on a system say where they cannot do what they were asked."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from cosmos.device.kernel import Kernel
from cosmos.device.settings import SETTINGS_PATH
from cosmos.device.system import TRUST_PATH
from cosmos.model.universe import UNIVERSE_PATH
from fakes.programs import Cosmos

COMMANDS = (
    ("status",),
    ("show", "s"),
    ("install", "s"),
    ("verify",),
    ("freeze",),
    ("list-galaxies",),
    ("remove-galaxy", "core"),
    ("add-galaxy", "core", "/galaxy"),
)


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_root_that_is_no_system_is_malformed_in_every_command(
    cosmos: Cosmos, tmp_path: Path, words: tuple[str, ...]
) -> None:
    bare = tmp_path / "bare"
    for root in (tmp_path / "nowhere", bare):
        assert "is no cosmos system" in cosmos(*words, "--root", root).fails(2).err
        bare.mkdir(exist_ok=True)
    assert f"cosmos init --root {bare}" in cosmos(*words, "--root", bare).fails(2).err


def test_without_anchors_the_operator_is_told_to_accept_some(galaxy, system: Path, cosmos: Cosmos) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    (system / TRUST_PATH.text).unlink()
    said = cosmos("install", "s", "--root", system).fails(4).err
    assert "no trust anchors were accepted for this system" in said
    assert f"cosmos trust init FILE --sha256 DIGEST --root {system}" in said


@pytest.mark.parametrize("url", ["ftp://host/galaxy", "deb:hello", "file://host/galaxy"])
def test_an_address_that_nothing_opens_is_not_taken(system: Path, cosmos: Cosmos, url: str) -> None:
    before = (system / SETTINGS_PATH.text).read_bytes()
    cosmos("add-galaxy", "far", url, "--root", system).fails(2)
    assert (system / SETTINGS_PATH.text).read_bytes() == before


def test_a_folder_that_is_not_there_is_warned_of(galaxy, system: Path, cosmos: Cosmos) -> None:
    absent = cosmos("add-galaxy", "stick", galaxy.folder.with_name("absent"), "--root", system).ok()
    assert "absent is not a folder at the moment" in absent.err
    assert cosmos("add-galaxy", "stick", galaxy.folder, "--root", system).ok().err == ""


def test_hints_on_a_system_are_about_its_commands(galaxy, system: Path, cosmos: Cosmos) -> None:
    galaxy.star("hello", files={"usr/f": b"s"})
    clash = cosmos("install", "hello@^9", "--root", system).fails(3).err
    missing = cosmos("install", "quux", "--root", system).fails(3).err
    assert "cosmos show STAR" in clash
    assert "to add a galaxy that has quux: cosmos add-galaxy NAME URL" in missing
    assert "image.toml" not in clash + missing


@pytest.mark.parametrize("code", [errno.ENOSYS, errno.EPERM], ids=["an old kernel", "a container's filter"])
@pytest.mark.parametrize(
    "words",
    [
        *COMMANDS,
        ("init",),
        ("sync",),
        ("trust", "show"),
        ("trust", "init", "trust.toml", "--sha256", "0" * 64),
        ("trust", "update", "trust.toml"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_without_openat2_every_command_on_a_root_fails_closed(
    system: Path, cosmos: Cosmos, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], code: int
) -> None:
    def missing(*_: object, **__: object) -> int:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Kernel, "open_inside", missing)
    before = {path: path.lstat().st_mtime_ns for path in system.rglob("*")}
    said = cosmos(*words, "--root", system).fails(5).err
    assert "openat2 does not work here" in said
    assert "use Linux 5.6 or newer; in a container, let its seccomp filter pass openat2" in said
    assert {path: path.lstat().st_mtime_ns for path in system.rglob("*")} == before


def test_a_galaxy_that_is_not_in_the_settings_is_not_synced(galaxy, system: Path, cosmos: Cosmos) -> None:
    said = cosmos("sync", "other", "--root", system).fails(3).err
    assert "other: no galaxy has this name; config.toml has core" in said
    assert f"cosmos add-galaxy other URL --root {system}" in said


def test_another_address_is_for_one_galaxy(galaxy, system: Path, cosmos: Cosmos) -> None:
    cosmos("add-galaxy", "more", galaxy.folder, "--root", system).ok()
    said = cosmos("sync", "--from", galaxy.folder, "--root", system).fails(3).err
    assert f"{galaxy.folder}: --from takes one galaxy, got 2" in said
    assert f"cosmos sync GALAXY --from {galaxy.folder} --root {system}" in said


@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_root_that_cannot_be_opened_is_told_as_the_world_s_failure(
    cosmos: Cosmos, tmp_path: Path, words: tuple[str, ...]
) -> None:
    (tmp_path / "circle").symlink_to("circle")
    said = cosmos(*words, "--root", tmp_path / "circle").fails(5).err
    assert f"{tmp_path / 'circle'}: too many levels of symbolic links" in said


def test_without_anchors_nothing_is_repaired(galaxy, system: Path, cosmos: Cosmos) -> None:
    galaxy.star("s", files={"usr/f": b"s"})
    cosmos("install", "s", "--root", system).ok()
    (system / TRUST_PATH.text).unlink()
    (system / "usr/f").write_bytes(b"changed")
    said = cosmos("repair", "--root", system).fails(4).err
    assert "no trust anchors were accepted for this system" in said
    assert f"cosmos trust init FILE --sha256 DIGEST --root {system}" in said
    assert (system / "usr/f").read_bytes() == b"changed"


def test_without_anchors_and_without_a_release_no_universe_is_rebuilt(galaxy, system: Path, cosmos: Cosmos) -> None:
    (system / UNIVERSE_PATH.text).unlink()
    (system / TRUST_PATH.text).unlink()
    said = cosmos("repair", "--universe", "--arch", "x86_64", "--yes", "--root", system).fails(4).err
    assert "no trust anchors were accepted for this system" in said
    assert f"cosmos trust init FILE --sha256 DIGEST --root {system}; or name the release" in said
    assert not (system / UNIVERSE_PATH.text).exists()
