"""A search: every word, the best place first, one galaxy a name, and what is known of galaxies without a catalogue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import tomli_w

from cosmos.device.initialise import initialise
from cosmos.device.install import InstallRequest, install
from cosmos.device.journal import at_work
from cosmos.device.root import LiveRoot
from cosmos.device.search import search
from cosmos.device.settings import read_settings, write_settings
from cosmos.device.sync import Wanted, sync
from cosmos.device.system import TRUST_PATH
from cosmos.errors import Malformed, NoSolution, WorldFailed
from cosmos.model.constraint import exactly
from cosmos.model.galaxy import CataloguePin, GalaxyIndex
from cosmos.model.image import GalaxySource
from cosmos.model.names import Arch, GalaxyName, StarName
from cosmos.model.settings import Settings
from cosmos.model.version import Version
from cosmos.resolve.resolving import Wish
from cosmos.staging.searching import Searched
from cosmos.trust.roles import GALAXY_TYPE
from fakes.galaxies import GalaxyFixture, StarSpec, index_by_stellar, make_galaxy, make_signers
from fakes.growing_galaxies import make_upstream_galaxy
from fakes.reporters import Remembering

STARS = (
    StarSpec("ed", description="a line editor"),
    StarSpec("ed-doc", description="pages about a program"),
    StarSpec("sed", description="a stream EDITOR"),
    StarSpec("nano", "7.2.0", description="a small editor", provides={"pico": ""}),
    StarSpec("nano", "7.1.0", description="an older editor"),
    StarSpec("nano", "8.0.0-rc.1", description="a coming editor"),
)


class System:
    """A system with any galaxies, under one set of keys."""

    def __init__(self, where: Path) -> None:
        self.where = where
        self.root = where / "system"
        self.root.mkdir()
        self.reporter = Remembering()
        with LiveRoot.open(self.root) as live, at_work(live):
            initialise(live, arch=Arch("x86_64"), version="1")
        self.trust()

    def trust(self, **fields: object) -> None:
        rows = make_signers().roots().to_toml() | fields
        with LiveRoot.open(self.root) as live, at_work(live):
            live.replace_document(TRUST_PATH, tomli_w.dumps(rows).encode())

    def galaxy(self, name: str, stars: Sequence[StarSpec], *, catalogue: bool = True) -> GalaxyFixture:
        made = make_galaxy(self.where / name, name, stars, make_signers())
        if catalogue:
            index_by_stellar(made)
        self.use(name, str(made.path))
        return made

    def use(self, name: str, url: str, *, allow_unsigned: bool = False) -> None:
        source = GalaxySource(name=GalaxyName(name), url=url, allow_unsigned=allow_unsigned)
        with LiveRoot.open(self.root) as live, at_work(live):
            before = tuple(one for one in read_settings(live).galaxies if one.name != name)
            write_settings(live, Settings(galaxies=(*before, source)))

    def search(self, *words: str, offline: bool = False) -> Searched:
        with LiveRoot.open(self.root) as live:
            return search(live, words, self.reporter, offline=offline)

    def names(self, *words: str) -> list[str]:
        return [str(found.star.name) for found in self.search(*words).found]

    def install(self, name: str, version: str) -> None:
        wish = Wish(who="user", name=StarName(name), constraint=exactly(Version.parse(version)))
        with LiveRoot.open(self.root) as live:
            install(live, InstallRequest(wishes=[wish], offline=False, epoch=1_767_225_600), self.reporter)

    def sync(self) -> None:
        with LiveRoot.open(self.root) as live:
            sync(live, read_settings(live), Wanted(), self.reporter)


@pytest.fixture
def system(tmp_path: Path) -> System:
    return System(tmp_path)


def test_the_name_comes_first_then_its_beginning_then_its_middle_then_the_description(system: System) -> None:
    system.galaxy("core", STARS)
    assert system.names("ed") == ["ed", "ed-doc", "sed", "nano"]


def test_every_word_must_be_there_in_whatever_case(system: System) -> None:
    system.galaxy("core", STARS)
    assert system.names("EDITOR") == ["ed", "nano", "sed"]
    assert system.names("editor", "Small") == ["nano"]
    assert system.names("line", "ED") == ["ed"]
    assert system.names("editor", "absent") == []
    assert system.names("pico") == ["nano"], "a name that it provides"
    assert system.names("straße") == []


def test_the_newest_version_is_shown_and_a_pre_release_only_alone(system: System) -> None:
    system.galaxy("core", (*STARS, StarSpec("beta", "0.1.0-rc.1")))
    (nano,) = system.search("nano").found
    assert (str(nano.star.version), nano.star.description, nano.galaxy) == ("7.2.0", "a small editor", "core")
    assert str(system.search("beta").found[0].star.version) == "0.1.0-rc.1"


def test_the_installed_version_is_told(system: System) -> None:
    system.galaxy("core", STARS)
    assert system.search("nano").found[0].had is None
    system.install("nano", "7.1.0")
    assert str(system.search("nano").found[0].had) == "7.1.0"


def test_a_star_of_this_machine_comes_before_a_newer_one_of_another(system: System) -> None:
    system.galaxy("core", [StarSpec("tool", "2.0.0", arch="aarch64"), StarSpec("tool", "1.0.0", arch="x86_64")])
    (tool,) = system.search("tool").found
    assert (str(tool.star.version), tool.star.arch) == ("1.0.0", "x86_64")


def test_a_star_of_another_machine_alone_is_told_with_its_architecture(system: System) -> None:
    system.galaxy("core", [StarSpec("tool", "2.0.0", arch="aarch64")])
    (tool,) = system.search("tool").found
    assert tool.star.arch == "aarch64"


def test_the_first_galaxy_that_lists_a_name_answers_for_it(system: System) -> None:
    """Also if it lists the name without the word, and if a star of it provides the name."""
    system.galaxy("mine", [StarSpec("nano", "1.0.0", description="our own"), StarSpec("a-ed", provides={"ed": ""})])
    system.galaxy("core", STARS)
    nano = system.search("nano").found[0]
    assert (nano.galaxy, str(nano.star.version)) == ("mine", "1.0.0")
    assert system.names("small") == []
    assert system.names("line") == [], "core's ed stands behind mine's a-ed, which provides ed"


def test_a_star_below_the_operator_s_floor_is_not_shown(system: System) -> None:
    system.galaxy("core", STARS)
    system.trust(floor={"stars": {"nano": "9.0.0"}})
    assert "nano" not in system.names("editor")


def test_a_galaxy_that_is_away_is_left_out_with_a_warning(system: System) -> None:
    system.galaxy("core", STARS)
    system.use("away", str(system.where / "stick"))
    done = system.search("nano")
    assert [found.star.name for found in done.found] == ["nano"]
    assert set(done.left_out) == {"away"}
    assert any("stick" in text and text.endswith("its stars are left out") for text in system.reporter.warnings)


def test_if_no_galaxy_can_be_reached_that_is_a_failure_and_no_empty_answer(system: System) -> None:
    with pytest.raises(NoSolution, match="this system has no galaxy") as error:
        system.search("nano")
    assert "cosmos add-galaxy NAME URL" in str(error.value.hint)
    system.use("away", str(system.where / "stick"))
    with pytest.raises(WorldFailed, match="no galaxy is there"):
        system.search("nano")


def test_a_galaxy_without_a_catalogue_is_searched_by_name(system: System) -> None:
    system.galaxy("old", STARS, catalogue=False)
    done = system.search("ed")
    assert [found.star.name for found in done.found] == ["ed", "ed-doc", "sed"]
    assert done.by_name == ("old",)
    assert system.names("stream") == []
    system.sync()
    assert system.names("stream") == ["sed"], "its statement is in the cache now"
    assert str(system.search("nano").found[0].star.version) == "7.2.0"


@pytest.mark.parametrize("names_only", [True, False])
def test_a_galaxy_of_upstream_is_searched_by_name(system: System, names_only: bool) -> None:
    path = make_upstream_galaxy(system.where, "up", STARS[:3], names_only=names_only)
    system.use("up", str(path), allow_unsigned=True)
    done = system.search("ed")
    assert [found.star.name for found in done.found] == ["ed", "ed-doc", "sed"]
    assert (done.by_name, done.found[0].star.version is None) == (("up",), names_only)


def test_names_like_the_word_are_told_if_nothing_is_found(system: System) -> None:
    system.galaxy("core", STARS)
    assert system.search("nanoo").near == ("nano",)
    assert system.search("nanoo", "x").near == ()
    assert system.search("nan").near == ()


def test_a_catalogue_of_a_newer_format_is_told_and_names_are_searched(system: System) -> None:
    """A device that is behind must still find the newer cosmos."""
    made = system.galaxy("core", STARS)
    _replace_catalogue(made, lambda data: data.replace(b"format = 1", b"format = 2\nmood = 1"))
    system.sync()
    done = system.search("nano")
    assert ([found.star.name for found in done.found], done.by_name) == (["nano"], ("core",))
    assert any("this catalogue is for a newer cosmos" in text for text in system.reporter.warnings)


def test_a_catalogue_that_is_signed_and_malformed_is_named(system: System) -> None:
    made = system.galaxy("core", STARS)
    _replace_catalogue(made, lambda data: data.replace(b"license", b"licence"))
    with pytest.raises(Malformed, match="core: the catalogue: star"):
        system.search("nano")


def _replace_catalogue(galaxy: GalaxyFixture, change: Callable[[bytes], bytes]) -> None:
    """Let the galaxy's own key sign an index that names another catalogue."""
    index = GalaxyIndex.parse(galaxy.index.read_bytes(), "x")
    assert index.catalogue is not None
    data = change((galaxy.path / index.catalogue.path).read_bytes())
    pin = CataloguePin.of(data)
    (galaxy.path / pin.path).write_bytes(data)
    old, new = index.catalogue, pin
    text = galaxy.index.read_text().replace(str(old.digest), str(new.digest))
    text = text.replace(f"size-bytes = {old.size_bytes}", f"size-bytes = {new.size_bytes}")
    galaxy.index.write_text(text)
    Path(f"{galaxy.index}.dsse").write_bytes(galaxy.signers["galaxy"].sign(GALAXY_TYPE, text.encode()))
