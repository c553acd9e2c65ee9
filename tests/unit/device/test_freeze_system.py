"""`cosmos freeze` of a system: everything that is installed is pinned, or nothing is written."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from cosmos.device.freeze import LOCK_PATH, Frozen, freeze_system
from cosmos.device.install import InstallRequest, install
from cosmos.device.root import LiveRoot
from cosmos.device.settings import write_settings
from cosmos.device.system import TRUST_PATH, read_universe, rendered
from cosmos.digest import Digest
from cosmos.errors import NoSolution
from cosmos.model.constraint import ANY_VERSION
from cosmos.model.lock import Lock
from cosmos.model.names import StarName
from cosmos.model.reporter import Silent
from cosmos.model.settings import Settings
from cosmos.model.universe import UNIVERSE_PATH, Installed
from cosmos.model.version import SemVer
from cosmos.resolve.resolving import Wish
from cosmos.treepath import TreePath
from cosmos.trust.revocation import Revoked

EPOCH = 1_767_225_600


def put(root: Path, *names: str) -> None:
    wishes = [Wish(who="user", name=StarName(name), constraint=ANY_VERSION) for name in names]
    with LiveRoot.open(root) as live:
        install(live, InstallRequest(wishes=wishes, offline=False, epoch=EPOCH), Silent())


def frozen(root: Path) -> Frozen:
    with LiveRoot.open(root) as live:
        return freeze_system(live, Silent(), offline=False)


@pytest.fixture
def filled(galaxy, system: Path) -> Path:
    galaxy.star("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z"})
    galaxy.star("tool", "2.0.0", {"usr/bin/tool": b"t"}, dependencies={"zlib": "^1.3"})
    put(system, "tool")
    return system


def test_everything_installed_is_pinned_in_dependency_order(galaxy, filled: Path) -> None:
    galaxy.star("zlib", "1.4.0", {"usr/lib/libz.so.1": b"newer"})
    made = frozen(filled)
    data = (filled / str(LOCK_PATH)).read_bytes()
    lock = Lock.parse(data, "universe.lock.toml")
    assert lock == made.lock
    assert [star.id for star in lock.stars] == ["zlib-1.3.1", "tool-2.0.0"]
    archive = (galaxy.folder / lock.stars[0].file).read_bytes()
    assert (lock.stars[0].archive, lock.stars[0].size_bytes) == (Digest.of(archive), len(archive))
    assert lock.stars[0].signers == (galaxy.signers["author"].public.id,)
    assert {str(name): limit.text for name, limit in lock.request.stars.items()} == {"tool": "=2.0.0"}
    assert lock.galaxies[0].index == Digest.of((galaxy.folder / "meta.toml").read_bytes())


def test_the_same_system_freezes_to_the_same_bytes(filled: Path) -> None:
    assert frozen(filled).changed
    before = (filled / str(LOCK_PATH)).read_bytes()
    assert not frozen(filled).changed
    assert (filled / str(LOCK_PATH)).read_bytes() == before


def test_a_galaxy_that_is_away_is_named_with_every_star_and_nothing_is_written(galaxy, filled: Path) -> None:
    galaxy.folder.rename(galaxy.folder.with_name("unplugged"))
    with pytest.raises(NoSolution) as caught:
        frozen(filled)
    assert str(caught.value).startswith("2 stars come from galaxy core, which is not available: ")
    assert str(caught.value).count("no galaxy is there") == 1
    assert not (filled / str(LOCK_PATH)).exists()


def test_a_galaxy_that_has_another_archive_by_now_is_refused(galaxy, filled: Path) -> None:
    galaxy.star("zlib", "1.3.1", {"usr/lib/libz.so.1": b"other bytes under the same version"})
    galaxy.drop(0)
    with pytest.raises(NoSolution, match=r"zlib: 1\.3\.1 was installed from sha256:.*, but galaxy core now has"):
        frozen(filled)


def test_a_version_that_its_galaxy_gave_up_is_named(galaxy, filled: Path) -> None:
    galaxy.drop(1)
    with pytest.raises(NoSolution, match=r"tool: galaxy core has no version 2\.0\.0 any more"):
        frozen(filled)


def test_a_star_that_upstream_recorded_cannot_be_pinned(filled: Path) -> None:
    with LiveRoot.open(filled) as root:
        universe = read_universe(root)
        old = Installed(version=SemVer(1, 0, 0), files=(TreePath(b"x"),))
        root.replace_document(
            UNIVERSE_PATH, rendered(replace(universe, installed={**universe.installed, StarName("old"): old}))
        )
    with pytest.raises(NoSolution, match="old: the universe does not record its galaxy"):
        frozen(filled)


def test_keys_that_are_no_longer_pinned_pin_nothing(filled: Path) -> None:
    (filled / "etc/cosmos/trust.toml").unlink()
    with pytest.raises(NoSolution, match=r"is not available: .*want a signature by a pinned key"):
        frozen(filled)


def test_settings_without_the_galaxy_are_told(filled: Path) -> None:
    with LiveRoot.open(filled) as root:
        write_settings(root, Settings())
    with pytest.raises(NoSolution) as caught:
        frozen(filled)
    assert str(caught.value) == "2 stars come from galaxy core, which is not configured here"
    assert (caught.value.hint or "").startswith("cosmos add-galaxy core URL")


def test_a_circle_of_dependencies_is_pinned_as_it_stands(galaxy, system: Path) -> None:
    galaxy.star("libc", files={"usr/lib/c": b"c"}, dependencies={"libgcc": "*"})
    galaxy.star("libgcc", files={"usr/lib/g": b"g"}, dependencies={"libc": "^1"})
    put(system, "libc")
    lock = frozen(system).lock
    assert [(star.name, star.dependencies, star.wanted_by) for star in lock.stars] == [
        ("libgcc", ("libc",), ("libc",)),
        ("libc", ("libgcc",), ("image", "libgcc")),
    ]


@pytest.mark.parametrize("word", ["user", "image"])
def test_a_star_that_is_called_as_a_wisher_is_told_from_it(galaxy, system: Path, word: str) -> None:
    galaxy.star("zlib", "1.3.1", {"usr/lib/libz.so.1": b"z"})
    galaxy.star(word, "2.0.0", {"usr/bin/tool": b"t"}, dependencies={"zlib": "^1.3"})
    put(system, word)
    assert set(frozen(system).lock.request.stars) == {word}
    put(system, "zlib")  # now a person asks for it, too
    with LiveRoot.open(system) as live:
        assert read_universe(live).installed[StarName("zlib")].wanted_by == ("user", f"star:{word}")
    assert set(frozen(system).lock.request.stars) == {word, "zlib"}


def test_after_a_revocation_the_hint_is_about_the_key_and_not_about_mounting(galaxy, filled: Path) -> None:
    author = galaxy.signers["author"].public.id
    roots = replace(galaxy.signers.roots(), version=2, revoked=(Revoked(key=author, reason="stolen"),))
    with LiveRoot.open(filled) as live:
        live.replace_document(TRUST_PATH, tomli_w.dumps(roots.to_toml()).encode())
    with pytest.raises(NoSolution, match=r"2 stars cannot be pinned: .*revoked") as caught:
        frozen(filled)
    assert "mount" not in str(caught.value.hint)
    assert "cosmos trust show" in str(caught.value.hint)


def test_a_version_that_its_galaxy_gave_up_is_not_to_be_mounted(galaxy, filled: Path) -> None:
    galaxy.drop(1)
    with pytest.raises(NoSolution) as caught:
        frozen(filled)
    assert caught.value.hint == f"to see what its galaxy has now: cosmos show STAR --root {filled}"


def test_what_freeze_verified_is_remembered(galaxy, filled: Path) -> None:
    galaxy.star("new", files={"usr/new": b"x"})
    frozen(filled)
    newest = Digest.of((galaxy.folder / "meta.toml").read_bytes())
    assert str(newest) in (filled / "var/lib/cosmos/trust-state.toml").read_text()


def test_a_file_that_was_touched_later_does_not_change_the_time_of_the_lock(galaxy, filled: Path) -> None:
    before = frozen(filled).lock.build.source_date_epoch
    touched = next(path for path in (filled / "usr").rglob("*") if path.is_file() and not path.is_symlink())
    os.utime(touched, (before + 1000, before + 1000))
    assert frozen(filled).lock.build.source_date_epoch == before
