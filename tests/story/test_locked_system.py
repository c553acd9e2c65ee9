"""`freeze` of a running system gives a lock that builds, and that installs, the same contents on another machine."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from cosmos.digest import Digest
from cosmos.trust.roles import TRUST_TYPE
from cosmos.trust.roots import Revoked
from fakes.galaxies import GalaxyFixture, StarSpec, index_by_stellar, make_galaxy, make_home, make_signers, write_spec
from fakes.images import APP, BASE, make_image
from fakes.programs import Cosmos

STARS = (BASE, APP, StarSpec("extra", files={"usr/bin/extra": b"extra"}))
OF_A_MACHINE = {"url", "asked-by"}  # of an entry of the universe: where it was installed from, and who asked there
PUBLISHED = {"url", "statement", "signers"}  # what an image does not record

Init = Callable[..., Path]


@pytest.fixture
def galaxy(tmp_path: Path) -> GalaxyFixture:
    made = make_galaxy(tmp_path / "galaxy", "core", STARS, make_signers())
    index_by_stellar(made)
    return made


@pytest.fixture
def init(tmp_path: Path, galaxy: GalaxyFixture, cosmos: Cosmos) -> Init:
    """Make an empty system that trusts the galaxy's keys and knows the galaxy at this address."""
    trust = galaxy.signers.write_trust(tmp_path / "trust.toml")

    def made(name: str, address: Path | None = galaxy.path, arch: str = "x86_64") -> Path:
        root = tmp_path / name
        root.mkdir()
        cosmos("init", "--root", root, "--arch", arch).ok()
        cosmos("trust", "init", trust, "--sha256", Digest.of(trust.read_bytes()), "--root", root).ok()
        if address is not None:
            cosmos("add-galaxy", "core", address, "--root", root).ok()
        return root

    return made


@pytest.fixture
def device(init: Init, cosmos: Cosmos) -> Path:
    root = init("device")
    cosmos("install", "app", "--root", root).ok()
    return root


@pytest.fixture
def lock(device: Path, cosmos: Cosmos, tmp_path: Path) -> Path:
    cosmos("freeze", "--root", device).ok()
    return Path(shutil.copy(device / "var/lib/cosmos/universe.lock.toml", tmp_path / "device.lock"))


def universe(root: Path, *without: str) -> dict[str, Any]:
    installed = tomllib.loads((root / "var/lib/cosmos/universe.toml").read_text())["installed"]
    return {name: {key: row[key] for key in row if key not in without} for name, row in installed.items()}


def contents(root: Path) -> dict[str, Any]:
    """The universe's stars as far as an image and a system both say it. Of folders, an image also lists shared ones."""
    found = universe(root, *OF_A_MACHINE, *PUBLISHED)
    return {
        name: {**row, "entries": [line for line in row["entries"] if not line.startswith("dir ")]}
        for name, row in found.items()
    }


def test_the_frozen_system_builds_into_an_image_of_the_same_contents(
    device: Path, galaxy: GalaxyFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    image, home = tmp_path / "image", make_home(tmp_path / "home", galaxy.signers)
    said = cosmos("freeze", "--root", device, "--image", image).ok().out
    assert f"next: cosmos build {image}" in said
    write_spec(galaxy, StarSpec("app", "2.1.0", {"usr/bin/app": b"newer"}, {"base": "*"}), 9)
    index_by_stellar(galaxy)
    cosmos("freeze", image, "--check").ok()
    cosmos("build", image, "--home", home, "--keep-root", tmp_path / "tree").ok()
    assert contents(tmp_path / "tree") == contents(device)
    for row in universe(device).values():
        for path in row["files"]:
            one, other = (root / path.lstrip("/") for root in (device, tmp_path / "tree"))
            assert one.lstat().st_mode == other.lstat().st_mode
            assert one.is_symlink() or one.read_bytes() == other.read_bytes()


def test_a_merged_usr_of_the_system_is_one_of_the_image(
    init: Init, galaxy: GalaxyFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    root = init("merged")
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("usr/bin")
    cosmos("install", "app", "--root", root).ok()
    cosmos("freeze", "--root", root, "--image", tmp_path / "image").ok()
    home = make_home(tmp_path / "home", galaxy.signers)
    cosmos("build", tmp_path / "image", "--home", home, "--keep-root", tmp_path / "tree").ok()
    assert contents(tmp_path / "tree") == contents(root)
    assert (tmp_path / "tree/bin").is_symlink()


def test_the_system_s_policy_goes_into_the_image(
    init: Init, galaxy: GalaxyFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    write_spec(galaxy, StarSpec("there", files={"opt/there": b"x"}), 9)
    index_by_stellar(galaxy)
    root = init("root")
    with (root / "etc/cosmos/config.toml").open("a") as config:
        config.write('[policy]\noutside = ["there"]\n')
    cosmos("install", "there", "--root", root).ok()
    cosmos("freeze", "--root", root, "--image", tmp_path / "image").ok()
    cosmos("build", tmp_path / "image", "--home", make_home(tmp_path / "home", galaxy.signers)).ok()


def test_an_image_folder_that_is_there_is_kept(device: Path, cosmos: Cosmos, tmp_path: Path) -> None:
    (tmp_path / "image").mkdir()
    (tmp_path / "image" / "image.toml").write_text("mine")
    assert "is there already" in cosmos("freeze", "--root", device, "--image", tmp_path / "image").fails(2).err
    assert (tmp_path / "image" / "image.toml").read_text() == "mine"
    cosmos("freeze", tmp_path / "image", "--image", tmp_path / "other").fails(2)


@pytest.mark.objective("SO-15")
def test_the_lock_installs_the_same_stars_on_another_system(
    init: Init, device: Path, lock: Path, galaxy: GalaxyFixture, cosmos: Cosmos
) -> None:
    write_spec(galaxy, StarSpec("app", "2.1.0", {"usr/bin/app": b"newer"}, {"base": "*"}), 9)
    index_by_stellar(galaxy)
    other = init("other")
    row = cosmos("install", "--locked", lock, "--root", other, "--json").json()
    assert [(one["name"], one["version"]) for one in row["installed"]] == [("base", "1.2.0"), ("app", "2.0.0")]
    made = "etc/app.conf"  # by a script: its time is that of the installation
    assert (other / made).read_bytes() == (device / made).read_bytes()
    assert entries(other) == entries(device)
    cosmos("verify", "--root", other).ok()
    again = cosmos("install", "--locked", lock, "--root", other, "--json").json()
    assert (again["installed"], again["kept"]) == ([], ["app"])


def entries(root: Path) -> dict[str, Any]:
    """The universe's stars, without the times of the files that scripts made."""
    return {
        name: {**row, "entries": [_timeless(line) for line in row["entries"]]} for name, row in universe(root).items()
    }


def _timeless(line: str) -> str:
    return " ".join(word for place, word in enumerate(line.split(" ")) if place != 5)


def test_it_installs_from_a_stick_where_the_galaxy_is_away(
    init: Init, device: Path, lock: Path, galaxy: GalaxyFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    home = make_home(tmp_path / "home", galaxy.signers)
    cosmos("vendor", lock, tmp_path / "stick", "--home", home).ok()
    shutil.move(galaxy.path, tmp_path / "unplugged")
    other = init("other", tmp_path / "nowhere")
    cosmos("install", "--locked", lock, "--root", other).fails(5)
    assert list((other / "var/lib/cosmos").glob("universe.toml")) and not (other / "usr").exists()
    cosmos("install", "--locked", lock, "--from", tmp_path / "stick", "--root", other, "--offline").ok()
    assert {name: row["archive"] for name, row in universe(other).items()} == {
        name: row["archive"] for name, row in universe(device).items()
    }


def test_the_stars_of_an_image_s_lock_are_installed_as_asked_for_by_the_user(
    init: Init, galaxy: GalaxyFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    image = make_image(tmp_path / "i", STARS, {"app": "*"})
    cosmos("freeze", image.folder, "--home", image.home).ok()
    other = init("other", image.galaxy.path)
    cosmos("install", "--locked", image.folder / "universe.lock.toml", "--root", other).ok()
    assert universe(other)["app"]["asked-by"] == ["user"]
    assert universe(other)["base"]["needed-by"] == ["app"]


def test_a_star_in_another_version_is_named_and_nothing_changes(
    init: Init, lock: Path, galaxy: GalaxyFixture, cosmos: Cosmos
) -> None:
    write_spec(galaxy, StarSpec("base", "1.3.0", {"bin/tool": b"other"}), 9)
    index_by_stellar(galaxy)
    other = init("other")
    cosmos("install", "base@=1.3.0", "extra", "--root", other).ok()
    before = (other / "var/lib/cosmos/universe.toml").read_bytes()
    said = cosmos("install", "--locked", lock, "--root", other).fails(3).err
    assert "base is installed as 1.3.0, but the lock has 1.2.0" in said
    assert (other / "var/lib/cosmos/universe.toml").read_bytes() == before
    assert not (other / "usr/bin/app").exists()


def test_stars_that_the_lock_does_not_name_stay(init: Init, lock: Path, cosmos: Cosmos) -> None:
    other = init("other")
    cosmos("install", "extra", "--root", other).ok()
    cosmos("install", "--locked", lock, "--root", other).ok()
    assert set(universe(other)) == {"app", "base", "extra"}


def test_a_conflict_with_an_installed_star_is_named(
    init: Init, lock: Path, galaxy: GalaxyFixture, cosmos: Cosmos
) -> None:
    write_spec(galaxy, StarSpec("foe", files={"usr/bin/foe": b"f"}, conflicts={"app": "*"}), 9)
    index_by_stellar(galaxy)
    other = init("other")
    cosmos("install", "foe", "--root", other).ok()
    assert "foe 1.0.0 conflicts with app 2.0.0" in cosmos("install", "--locked", lock, "--root", other).fails(3).err


def test_a_lock_of_other_keys_is_refused(init: Init, lock: Path, cosmos: Cosmos) -> None:
    other = init("other")
    document = lock.read_text()
    digest = tomllib.loads(document)["trust"]["digest"]
    lock.write_text(document.replace(digest, str(Digest.of(b"another trust.toml"))))
    assert "made under another version 1" in cosmos("install", "--locked", lock, "--root", other).fails(4).err
    lock.write_text(document.replace("[trust]\nversion = 1", "[trust]\nversion = 2"))
    assert "made under version 2" in cosmos("install", "--locked", lock, "--root", other).fails(4).err


@pytest.mark.objective("SO-12")
def test_a_star_of_the_lock_whose_key_was_revoked_since_is_refused_with_the_way_out(
    init: Init, lock: Path, galaxy: GalaxyFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    other = init("other")
    gone = Revoked(key=galaxy.signers["author"].public.id, reason="stolen")
    newer = tmp_path / "newer.toml"
    newer.write_text(tomli_w.dumps(replace(galaxy.signers.roots(), version=2, revoked=(gone,)).to_toml()))
    Path(f"{newer}.dsse").write_bytes(galaxy.signers["root"].sign(TRUST_TYPE, newer.read_bytes()))
    cosmos("trust", "update", newer, "--root", other).ok()
    before = contents(other)
    told = cosmos("install", "--locked", lock, "--root", other).fails(4).err
    assert "base-1.2.0: is in the lock, but is not trusted now: " in told
    assert "whose key was revoked (stolen)" in told
    assert "hint: make a lock of stars that are trusted now: cosmos freeze IMAGE --upgrade" in told
    assert contents(other) == before


def test_a_galaxy_that_is_not_the_system_s_is_named(
    init: Init, lock: Path, cosmos: Cosmos, galaxy: GalaxyFixture
) -> None:
    other = init("other", None)
    said = cosmos("install", "--locked", lock, "--root", other).fails(3).err
    assert f"cosmos add-galaxy core {galaxy.path} --root {other}" in said


def test_a_lock_for_another_machine_is_refused(init: Init, lock: Path, cosmos: Cosmos) -> None:
    other = init("other", arch="aarch64")
    assert "is for x86_64" in cosmos("install", "--locked", lock, "--root", other).fails(3).err


@pytest.mark.objective("SO-15")
def test_a_lock_that_names_another_archive_is_refused(init: Init, lock: Path, cosmos: Cosmos) -> None:
    star = tomllib.loads(lock.read_text())["star"][1]
    lock.write_text(lock.read_text().replace(star["archive"], str(Digest.of(b"another"))))
    cosmos("install", "--locked", lock, "--root", init("other")).fails(4)


def test_a_lock_of_an_older_snapshot_is_no_rollback_and_the_memory_stays(
    init: Init, lock: Path, galaxy: GalaxyFixture, cosmos: Cosmos
) -> None:
    write_spec(galaxy, StarSpec("later"), 9)
    newest = index_by_stellar(galaxy)
    other = init("other")
    cosmos("sync", "--root", other).ok()
    before = (other / "var/lib/cosmos/trust-state.toml").read_bytes()
    cosmos("install", "--locked", lock, "--root", other).ok()
    assert (other / "var/lib/cosmos/trust-state.toml").read_bytes() == before
    assert newest


def test_a_rehearsal_changes_nothing(init: Init, lock: Path, cosmos: Cosmos) -> None:
    other = init("other")
    row = json.loads(cosmos("install", "--locked", lock, "--root", other, "--dry-run", "--json").ok().out)
    assert [one["name"] for one in row["installed"]] == ["base", "app"]
    assert universe(other) == {}


def test_a_lock_takes_no_stars_besides(init: Init, lock: Path, cosmos: Cosmos, tmp_path: Path) -> None:
    other = init("other")
    cosmos("install", "extra", "--locked", lock, "--root", other).fails(2)
    cosmos("install", "extra", "--from", tmp_path, "--root", other).fails(2)
    assert "vendored.json" in cosmos("install", "--locked", lock, "--from", tmp_path, "--root", other).fails(2).err


def test_a_lock_from_a_system_with_another_order_of_galaxies_takes_no_name_from_the_first_one(
    init: Init, galaxy: GalaxyFixture, cosmos: Cosmos, tmp_path: Path
) -> None:
    """Where the lock was made, core answers for app. Here it is the house's own galaxy, whose app is another one."""
    own = make_galaxy(
        tmp_path / "own", "own", (StarSpec("app", "9.0.0", {"usr/bin/app": b"own"}), StarSpec("mine")), galaxy.signers
    )
    index_by_stellar(own)
    there, here = init("there"), init("here", None)
    for root, names in ((there, ["own"]), (here, ["own", "core"])):
        for name in names:
            cosmos("add-galaxy", name, {"own": own, "core": galaxy}[name].path, "--root", root).ok()
    cosmos("install", "app", "mine", "--root", there).ok()
    cosmos("freeze", "--root", there).ok()
    lock = there / "var/lib/cosmos/universe.lock.toml"
    said = cosmos("install", "--locked", lock, "--root", here).fails(3).err
    assert "app-2.0.0: is locked from galaxy core, but galaxy own comes first and answers for app" in said
    assert "the order of galaxies in config.toml is another than where it was locked" in said
    assert universe(here) == {}


@pytest.mark.objective("SO-15")
def test_a_lock_does_not_let_stars_be_unsigned_where_the_system_does_not(
    init: Init, lock: Path, cosmos: Cosmos
) -> None:
    other = init("other")
    lock.write_text(lock.read_text().replace("allow-unsigned = false", "allow-unsigned = true"))
    said = cosmos("install", "--locked", lock, "--root", other).fails(4).err
    assert "core: the lock lets its stars be unsigned, and config.toml does not" in said
    assert "allow-unsigned = true under [galaxies] in /etc/cosmos/config.toml" in said
    assert universe(other) == {}
