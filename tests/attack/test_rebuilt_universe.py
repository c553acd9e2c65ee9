"""`cosmos repair --universe`: a lost universe.toml comes back from what was signed; nothing is guessed in silence."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cosmos.device.root import LiveRoot
from cosmos.device.system import read_universe
from cosmos.model.universe import Universe
from fakes.forgeries import EVIL, UNIVERSE
from fakes.galaxies import StarSpec, make_galaxy
from fakes.images import BASE, ImageFixture
from fakes.installed_systems import STARS, System
from fakes.programs import Cosmos
from fakes.released_systems import MOTD, TOOL, ReleasedSystem, make_release

COPIES = """
function install()
  copy("m", "/usr/lib/made/m")
  if exists("/usr/lib/libz.so") then symlink("m", "/usr/lib/made/saw-zlib") end
end
"""
MADE = StarSpec("made", files={"m": b"m"}, dependencies={"zlib": "*"}, script=COPIES)
GROUP = StarSpec("group", type="nebula", dependencies={"made": "*"})
USER = StarSpec("needs-group", files={"usr/bin/ng": b"ng"}, dependencies={"group": "*"})
OTHER = StarSpec("other", files={"usr/bin/other": b"other"})


@pytest.fixture
def system(tmp_path: Path, cosmos: Cosmos) -> System:
    system = System(tmp_path, cosmos, (*STARS, MADE, GROUP, USER))
    newer = StarSpec("tool", "2.0.0", {"usr/bin/tool": b"tool", "usr/share/tool/data": b"newer"}, {"zlib": "*"})
    lonely = StarSpec("lonely", type="nebula")
    make_galaxy(system.galaxy.path, "core", (*STARS, newer, MADE, GROUP, USER, OTHER, lonely), system.signers, seq=2)
    return system


@pytest.mark.parametrize("harm", ["lost", "cut off", "not TOML", "an entry that cannot be read"])
def test_a_lost_or_damaged_universe_is_rebuilt(system: System, harm: str) -> None:
    file = system.root / UNIVERSE
    with LiveRoot.open(system.root) as live:
        before = read_universe(live)
    data = file.read_bytes()
    if harm == "lost":
        file.unlink()
    elif harm == "an entry that cannot be read":
        file.write_bytes(data.replace(b"file 0755", b"file 9755", 1))
    else:
        file.write_bytes(data[: len(data) // 2] if harm == "cut off" else b"\xff")
    spoilt = None if harm == "lost" else file.read_bytes()
    refused = system.run("repair", "--universe", "--arch", "x86_64").fails(2)
    assert "nothing was written: if this is right, add --yes" in refused.err
    assert "takes tool 1.0.0 from core: 2 of 2 files as signed" in refused.out
    assert (file.read_bytes() if file.exists() else None) == spoilt
    told = system.run("repair", "--universe", "--arch", "x86_64", "--yes").ok().out
    assert "takes group 1.0.0 from core: brings no file, but is needed" in told
    assert "leaves out lonely: brings no file, so that nothing shows whether it was installed" in told
    assert "other" not in told
    assert "not known: who asked for each star (user is written)" in told
    with LiveRoot.open(system.root) as live:
        after = read_universe(live)
    assert after.installed.keys() == before.installed.keys()
    for name, star in after.installed.items():
        was = before.installed[name]
        assert (star.version, star.archive, set(star.files)) == (was.version, was.archive, set(was.files))
        assert (star.about, star.dependencies) == (was.about, was.dependencies)
        assert star.published is not None
        assert was.published is not None
        assert star.published.signers == was.published.signers
        assert (star.asked_by, set(star.needed_by)) == (("user",), set(was.needed_by))
    assert "5 stars as signed, 0 as recorded only" in system.run("verify").ok().out
    kept = system.root / "var/lib/cosmos/universe.toml.damaged"
    assert (kept.read_bytes() if kept.exists() else None) == spoilt


def test_a_universe_that_can_be_read_is_not_rebuilt(system: System) -> None:
    assert "can be read, so it is not rebuilt" in system.run("repair", "--universe", "--yes").fails(2).err


def test_most_of_a_star_is_enough_and_less_is_not(system: System) -> None:
    (system.root / "usr/lib/libz.so").write_bytes(EVIL)
    (system.root / "etc/zlib.conf").write_bytes(b"mine")
    (system.root / "usr/share/tool/data").write_bytes(EVIL)
    (system.root / UNIVERSE).unlink()
    told = system.run("repair", "--universe", "--yes", "--arch", "x86_64").ok().out
    assert "takes zlib" not in told
    assert "takes tool" not in told, "one of two files is not most"
    assert "takes made 1.0.0" in told


@pytest.mark.objective("SO-01")
def test_what_nobody_trusted_signed_is_not_taken(system: System) -> None:
    (system.root / UNIVERSE).unlink()
    shutil.rmtree(system.root / "var/cache")
    for file in system.galaxy.path.glob("stars/tool-*.dsse"):
        file.unlink()
    told = system.run("repair", "--universe", "--yes", "--arch", "x86_64").ok().out
    assert "takes zlib 1.3.1" in told
    assert "tool" not in told


def test_a_stick_serves_as_well(system: System) -> None:
    (system.root / UNIVERSE).unlink()
    shutil.rmtree(system.root / "var/cache")
    system.galaxy.path.rename(system.where / "stick")
    told = system.run("repair", "--universe", "--yes", "--arch", "x86_64", "--from", system.where / "stick").ok().out
    assert "takes tool 1.0.0 from core" in told


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> ImageFixture:
    return make_release(tmp_path_factory.mktemp("made"), counter=3)


@pytest.fixture
def released(made: ImageFixture, tmp_path: Path, cosmos: Cosmos) -> ReleasedSystem:
    """A system that was made from a release, and whose universe is lost."""
    system = ReleasedSystem(tmp_path / "there", cosmos, made)
    (system.root / UNIVERSE).unlink()
    return system


@pytest.mark.parametrize("trusts", ["anchors", "a key"])
def test_the_release_that_made_the_system_knows_its_whole_universe(released: ReleasedSystem, trusts: str) -> None:
    if trusts == "anchors":
        released.accept()
    words = ("--from", released.release, *(("--key", released.key) if trusts == "a key" else ()))
    told = released.run("repair", "--universe", "--yes", *words).ok().out
    assert "takes base 1.2.0 from the release: 1 of 1 files as signed" in told
    assert "takes from the release what the image" in told
    assert (released.root / UNIVERSE).read_bytes() == released.universe
    released.run("verify", *words).ok()
    assert released.tree() == released.good


def test_spoilt_files_are_restored_after_the_universe_came_back(released: ReleasedSystem) -> None:
    released.accept()
    (released.root / MOTD).write_bytes(EVIL)
    (released.root / TOOL).chmod(0o600)
    released.run("repair", "--universe", "--yes", "--from", released.release).ok()
    released.run("repair", "--from", released.release).ok()
    assert released.tree() == released.good


def test_a_star_of_the_release_that_is_not_on_the_disk_is_not_taken(released: ReleasedSystem) -> None:
    released.accept()
    (released.root / TOOL).unlink()
    shutil.rmtree(released.root / "usr/share/doc")
    told = released.run("repair", "--universe", "--yes", "--from", released.release).ok().out
    assert "takes base" not in told
    assert "takes library 1.0.0 from the release" in told
    with LiveRoot.open(released.root) as live:
        assert {*read_universe(live).installed} == {"library"}


def test_a_release_of_another_system_gives_no_universe(released: ReleasedSystem) -> None:
    for path in released.good:
        if (released.root / path).is_file():
            (released.root / path).write_bytes(b"another system")
    said = released.run("repair", "--universe", "--yes", "--from", released.release, "--key", released.key).fails(4)
    assert "is not the release of this system" in said.err
    assert not (released.root / UNIVERSE).exists()


@pytest.mark.objective("SO-01")
def test_a_release_that_nobody_trusted_signed_gives_no_universe(released: ReleasedSystem) -> None:
    released.run("repair", "--universe", "--yes", "--from", released.release).fails(4)
    released.accept()
    image = next(released.release.glob("*.tar.zst"))
    image.write_bytes(image.read_bytes()[:-1] + b"x")
    assert "1 difference" in released.run("repair", "--universe", "--yes", "--from", released.release).fails(7).err
    assert not (released.root / UNIVERSE).exists()


def test_a_star_that_was_updated_since_the_release_keeps_its_newer_version(released: ReleasedSystem) -> None:
    released.accept()
    newer = StarSpec("base", "1.3.0", {"usr/bin/tool": b"newer", "usr/share/doc/base2": b"newer"})
    galaxy = make_galaxy(released.where / "galaxy", "core", (BASE, newer), released.signers, seq=9)
    (released.root / UNIVERSE).write_bytes(released.universe)
    released.run("remove-galaxy", "core")
    released.run("add-galaxy", "core", galaxy.path).ok()
    released.run("update", "base", "--yes").ok()
    after = (released.root / UNIVERSE).read_bytes()
    (released.root / UNIVERSE).unlink()
    told = released.run("repair", "--universe", "--yes", "--from", released.release).ok().out
    assert "takes base 1.3.0 from core: 2 of 2 files as signed" in told
    with LiveRoot.open(released.root) as live:
        rebuilt = read_universe(live)
    was = Universe.parse(after, "u")
    assert rebuilt.versions == was.versions
    assert {name: star.asked_by for name, star in rebuilt.installed.items()} == {
        name: star.asked_by for name, star in was.installed.items()
    }
    assert (rebuilt.image, rebuilt.content_root) == (was.image, was.content_root)
    assert rebuilt.layers.keys() == was.layers.keys()
    released.run("verify", "--from", released.release).ok()
