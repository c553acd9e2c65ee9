"""`cosmos dev STAR_FOLDER IMAGE`: a star that nobody has published in an image; nothing of the builder changes."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from cosmos.image.trial import TrialWorld
from cosmos.keyring.secret_key import SecretKey
from cosmos.model.names import KeyName
from cosmos.trust.roots import AuthorKey, RoleKeys
from fakes.galaxies import StarSpec, make_galaxy, make_signers
from fakes.growing_galaxies import make_upstream_galaxy, pin
from fakes.images import APP, BASE, META, ImageFixture, make_image
from fakes.programs import Cosmos, Outcome

SCRIPT = """function install()
  copy("app", "/usr/bin/app")
  write("/etc/tried", "yes\\n")
end
"""


class Site:
    """An image that is frozen, and the source folder of a star in it."""

    def __init__(self, folder: Path, cosmos: Cosmos) -> None:
        self.image: ImageFixture = make_image(folder / "work")
        self.star = folder / "app"
        self._cosmos = cosmos
        self.write(SCRIPT)
        cosmos("freeze", self.image.folder, "--home", self.image.home).ok()

    def write(self, script: str, *, name: str = "app", version: str = "2.0.0", more: str = "") -> None:
        (self.star / "files").mkdir(parents=True, exist_ok=True)
        (self.star / "star.toml").write_text(
            f'name = "{name}"\nversion = "{version}"\nlicense = "MIT"\ninstall_script = "install.lua"\n{more}'
        )
        (self.star / "install.lua").write_text(script)
        (self.star / "files" / "app").write_text("the new one\n")

    def dev(self, *more: object) -> Outcome:
        return self._cosmos("dev", self.star, self.image.folder, "--home", self.image.home, *more)

    def row(self) -> dict[str, Any]:
        return json.loads(self.dev("--json").ok().out)

    def seen(self) -> dict[str, str]:
        """Return the digest of every file of the image, its galaxy, and the home's trust."""
        image = self.image
        folders = (image.folder, image.galaxy.path, image.home / "trust")
        files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
        return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture
def site(tmp_path: Path, cosmos: Cosmos) -> Site:
    return Site(tmp_path, cosmos)


def test_the_changed_star_is_in_the_image_and_nothing_of_the_builder_s_has_changed(site: Site, cosmos: Cosmos) -> None:
    before = site.seen()
    row = site.row()
    assert site.seen() == before
    assert (row["star"], row["version"], row["galaxy"], row["added"]) == ("app", "2.0.0", "core", False)
    assert cosmos("cat", row["folder"], "/etc/tried").ok().out == "yes\n"
    assert cosmos("cat", row["folder"], "/usr/bin/app").ok().out == "the new one\n"
    assert Path(row["folder"]).parent == site.image.home / "dev"
    cosmos("build", site.image.folder, "--home", site.image.home).ok()
    assert "/etc/tried" not in (site.image.out / "manifest.txt").read_text(), "the store gives the old star to others"


def test_a_second_run_makes_the_layers_of_what_changed_alone(site: Site) -> None:
    assert site.row()["made"]
    site.write(SCRIPT.replace("yes", "again"))
    assert set(site.row()["made"]) == {"app"}
    assert site.row()["made"] == {}


def test_the_tried_star_takes_the_place_of_all_its_versions_and_the_others_stay_as_locked(
    site: Site, cosmos: Cosmos
) -> None:
    stars = [BASE, APP, META, replace(BASE, version="1.3.0"), replace(APP, version="3.0.0")]
    make_galaxy(site.image.galaxy.path, "core", stars, site.image.signers, seq=2)
    site.write(SCRIPT, version="0.1.0", more='[dependencies]\nbase = "*"\n')
    row = site.row()
    assert row["version"] == "0.1.0"
    said = cosmos("tree", row["folder"]).ok().out
    assert "app 0.1.0" in said and "base 1.2.0" in said


def test_a_star_that_the_image_does_not_need_is_wished_for_in_the_trial(site: Site, cosmos: Cosmos) -> None:
    site.write(SCRIPT.replace("/usr/bin/app", "/usr/bin/new"), name="new-star", version="0.1.0")
    before = site.seen()
    said = site.dev().ok().out
    assert said.startswith(f"built {site.image.home / 'dev'}") and "which the image does not need otherwise" in said
    assert site.seen() == before
    row = site.row()
    assert row["added"] and cosmos("cat", row["folder"], "/etc/tried").ok().out == "yes\n"


def test_an_image_without_a_lock_is_tried_with_the_newest(site: Site) -> None:
    (site.image.folder / "universe.lock.toml").unlink()
    assert site.row()["added"] is False
    assert not (site.image.folder / "universe.lock.toml").exists()


def test_thresholds_of_two_are_met_by_two_throw_away_keys(site: Site) -> None:
    signers, other = site.image.signers, SecretKey.generate(KeyName("other"), "galaxy")
    second = AuthorKey(key=make_signers("second")["author"].public, galaxies=("core",), stars=("never",))
    roots = signers.roots()
    roles = {**roots.roles, "galaxy": RoleKeys(threshold=2, keys=(signers["galaxy"].public, other.public))}
    make_galaxy(site.image.galaxy.path, "core", [BASE, APP, META], signers, seq=2)
    pin(signers, site.image.home, roles=roles, authors=(*roots.authors, second))
    assert "2" in site.dev().fails(4).err, "the galaxy itself has one signature"
    pin(signers, site.image.home, authors=(*roots.authors, second))
    assert site.row()["star"] == "app"


@pytest.mark.objective("SO-01")
def test_another_star_that_nobody_trusted_signed_is_refused_in_a_trial(site: Site) -> None:
    stranger = SecretKey.generate(KeyName("mallory"), "author")
    stars = [replace(BASE, version="1.2.1", signer=stranger), APP, META]
    make_galaxy(site.image.galaxy.path, "core", stars, site.image.signers, seq=2)
    site.write(SCRIPT, more='[dependencies]\nbase = "*"\n')
    assert "base-1.2.1" in site.dev().fails(4).err


@pytest.mark.objective("SO-07")
def test_a_galaxy_that_was_rolled_back_is_refused_in_a_trial(site: Site, cosmos: Cosmos) -> None:
    make_galaxy(site.image.galaxy.path, "core", [BASE, APP, META], site.image.signers, seq=5)
    cosmos("outdated", site.image.folder, "--home", site.image.home)  # remembers seq 5
    make_galaxy(site.image.galaxy.path, "core", [BASE, APP, META], site.image.signers, seq=2)
    site.dev().fails(4)


def test_what_only_published_stars_can_have_is_not_asked_for(site: Site, cosmos: Cosmos) -> None:
    file = site.image.folder / "image.toml"
    file.write_text(file.read_text() + "\n[policy]\nlog = true\nsigned-lock = true\nbadges = { test = 1 }\n")
    assert site.row()["star"] == "app"
    cosmos("build", site.image.folder, "--home", site.image.home).fails(4)


def test_a_script_that_fails_is_named_with_its_line(site: Site) -> None:
    site.write('function install()\n  copy("missing", "/usr/bin/app")\nend\n')
    assert "install.lua:2" in site.dev().fails(6).err


def test_a_star_of_a_galaxy_in_upstream_s_format_is_refused_with_a_way_out(tmp_path: Path, site: Site) -> None:
    make_upstream_galaxy(tmp_path / "work", "old", [StarSpec("app", "1.0.0")])
    file = site.image.folder / "image.toml"
    text = file.read_text()
    file.write_text(text.replace("[galaxies]", '[galaxies]\nold = { url = "../old", allow-unsigned = true }'))
    said = site.dev().fails(2).err
    assert "app: is in galaxy old, whose index has upstream's format" in said and "hint: " in said


def test_a_folder_that_is_no_star_is_refused(site: Site, tmp_path: Path) -> None:
    (site.star / "star.toml").unlink()
    assert "stellar new-star" in site.dev().fails(2).err


def test_a_trial_states_no_trust_that_somebody_accepted() -> None:
    assert TrialWorld.locked_trust.fget is not None
    assert TrialWorld.locked_trust.fget(object.__new__(TrialWorld)).version == 0


def test_a_signed_release_is_not_replaced(site: Site, cosmos: Cosmos) -> None:
    image = site.image
    cosmos("build", image.folder, "--home", image.home, "--key", image.secret_key).ok()
    before = site.seen()
    said = site.dev("--out", image.out).fails(2)
    assert f"{image.out}: holds a signed release" in said.err
    assert "hint: choose another folder" in said.err
    assert site.seen() == before
    site.dev("--out", image.folder / "tried").ok()


def test_values_for_one_device_reach_the_trial(site: Site, cosmos: Cosmos) -> None:
    template = site.image.folder / "template"
    (template / "template.toml").write_text(
        'merged-usr = true\n[variables.room]\ntype = "string"\ndefault = "none"\nmeaning = "where it stands"\n'
    )
    (template / "root/etc/room.j2").write_text("{{ room }}\n")
    site.dev("--out", site.image.folder / "tried", "--var", "room=cellar").ok()
    assert cosmos("cat", site.image.folder / "tried", "/etc/room").ok().out == "cellar\n"
    values = site.image.folder / "values.toml"
    values.write_text('room = "attic"\n')
    site.dev("--out", site.image.folder / "tried", "--vars", values).ok()
    assert cosmos("cat", site.image.folder / "tried", "/etc/room").ok().out == "attic\n"


def test_where_no_galaxy_could_have_the_star_the_way_to_one_is_told(tmp_path: Path, site: Site) -> None:
    make_upstream_galaxy(tmp_path / "work", "old", [StarSpec("other", "1.0.0")])
    file = site.image.folder / "image.toml"
    head, _, tail = file.read_text().partition("[galaxies]")
    rest = tail.partition("\n[")
    file.write_text(f'{head}[galaxies]\nold = {{ url = "../old", allow-unsigned = true }}\n{rest[1]}{rest[2]}')
    said = site.dev().fails(2).err
    assert f"{file}: no galaxy of it has an index with a seq, in which a star could be tried" in said
    assert "stellar galaxy-init FOLDER makes a galaxy" in said
