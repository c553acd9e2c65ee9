"""A name belongs to the first galaxy that lists it, or has a star that provides it, whatever is withheld or damaged.

If the first galaxy's answer cannot be used, the answer is a refusal, and never the next galaxy's star (decision 0004).
"""

from __future__ import annotations

import contextlib
import shutil
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from cosmos.digest import Digest
from cosmos.model.galaxy import GalaxyIndex
from cosmos.model.names import StarName
from cosmos.trust.floors import Floors
from cosmos.trust.roles import GALAXY_TYPE
from fakes.galaxies import GalaxyFixture, StarSpec, make_galaxy, make_signers
from fakes.growing_galaxies import pin
from fakes.http_servers import serving
from fakes.programs import Cosmos, Outcome

ZLIB = StarSpec("zlib", "1.3.1", {"usr/lib/libz.so": b"z"})
POSTFIX = StarSpec("postfix", "3.0.0", {"usr/bin/postfix": b"p"}, provides={"mail": "1.0.0"})
APP = StarSpec("app", "1.0.0", {"usr/bin/app": b"a"}, {"zlib": "*"})
MAILER = StarSpec("mailer", "1.0.0", {"usr/bin/mailer": b"m"}, {"mail": "*"})
EVIL = (
    StarSpec("zlib", "9.9.9", {"usr/lib/libz.so": b"evil"}),
    StarSpec("evil", "9.9.9", {"usr/bin/evil": b"evil"}, provides={"mail": "9.0.0"}),
)
WANTED = {"app": "zlib-1.3.1", "mailer": "postfix-3.0.0"}  # what is asked for, and whose files are attacked
IMAGE = """\
name = "small"
version = "1.0.0"
arch = "x86_64"
template = "./template"
source-date-epoch = 1700000000

[stars]
{star} = "*"

[galaxies]
core = "{core}"
extra = "../extra"
"""


class Site:
    """Two galaxies: `core` comes first, and `extra` has higher versions; one author is pinned for both."""

    def __init__(self, where: Path, cosmos: Cosmos, *, index_format: int) -> None:
        self.where, self.cosmos, self.signers = where, cosmos, make_signers()
        self.core = make_galaxy(where / "core", "core", (ZLIB, POSTFIX, APP, MAILER), self.signers)
        make_galaxy(where / "extra", "extra", EVIL, self.signers)
        for name in ("core", "extra"):
            if index_format == 2:
                self._to_format_2(replace(self.core, path=where / name, name=self.core.name.parse(name)))
        self.home, self.root, self.image = where / "home", where / "root", where / "image"
        pin(self.signers, self.home)
        (self.image / "template" / "root").mkdir(parents=True)
        (self.image / "template" / "template.toml").write_text("merged-usr = true\n")

    def _to_format_2(self, galaxy: GalaxyFixture) -> None:
        index = GalaxyIndex.parse(galaxy.index.read_bytes(), "meta.toml")
        specs = {spec.id: spec for spec in (ZLIB, POSTFIX, APP, MAILER, *EVIL)}
        rows = []
        for row in index.snapshot:
            spec = specs[f"{row.name}-{row.version}"]
            rows.append(replace(row, arch=spec.star().arch, provides=tuple(map(StarName, spec.provides))))
        data = tomli_w.dumps(replace(index, format=2, snapshot=tuple(rows)).to_toml()).encode()
        for name in ("meta.toml", "snapshots/1.toml"):
            (galaxy.path / name).write_bytes(data)
            (galaxy.path / f"{name}.dsse").write_bytes(self.signers["galaxy"].sign(GALAXY_TYPE, data))

    def system(self, core: str) -> None:
        self.root.mkdir()
        trust = self.signers.write_trust(self.where / "trust.toml")
        self.cosmos("init", "--root", self.root, "--arch", "x86_64").ok()
        digest = Digest.of(trust.read_bytes())
        self.cosmos("trust", "init", trust, "--sha256", digest, "--root", self.root).ok()
        self.cosmos("add-galaxy", "core", core, "--root", self.root).ok()
        self.cosmos("add-galaxy", "extra", self.where / "extra", "--root", self.root).ok()

    def freeze(self, star: str, core: str, *words: str) -> Outcome:
        (self.image / "image.toml").write_text(IMAGE.format(star=star, core=core))
        return self.cosmos("freeze", self.image, "--home", self.home, *words)

    def install(self, star: str, *words: str) -> Outcome:
        return self.cosmos("install", star, "--root", self.root, *words)

    def demand_no_evil(self, *outcomes: Outcome) -> None:
        """Every command was a refusal, and no star of `extra` is in a lock or on the system."""
        assert [outcome.code in (3, 4, 5) for outcome in outcomes] == [True] * len(outcomes), outcomes
        lock = self.image / "universe.lock.toml"
        assert "9.9.9" not in (lock.read_text() if lock.exists() else "")
        universe = self.root / "var/lib/cosmos/universe.toml"
        assert "9.9.9" not in universe.read_text()
        assert not (self.root / "usr").exists()


def without_envelope(statement: Path) -> None:
    Path(f"{statement}.dsse").unlink()


def with_a_changed_byte(statement: Path) -> None:
    data = bytearray(statement.read_bytes())
    data[20] ^= 1
    statement.write_bytes(data)


def with_another_signature(statement: Path) -> None:
    envelope = Path(f"{statement}.dsse")
    shutil.copy(statement.with_name(f"{APP.id}.toml.dsse"), envelope)


def without_statement(statement: Path) -> None:
    statement.unlink()
    without_envelope(statement)


ATTACKS: dict[str, Callable[[Path], None]] = {
    "its envelope is missing": without_envelope,
    "one byte is another": with_a_changed_byte,
    "its envelope is another star's": with_another_signature,
    "its statement is missing": without_statement,
}


@contextlib.contextmanager
def reached(site: Site, way: str) -> Iterator[str]:
    if way == "folder":
        yield str(site.core.path)
        return
    with serving(site.core.path) as address:
        yield address


@pytest.fixture(params=[1, 2], ids=["format-1", "format-2"])
def site(request: pytest.FixtureRequest, tmp_path: Path, cosmos: Cosmos) -> Site:
    return Site(tmp_path, cosmos, index_format=request.param)


@pytest.mark.objective("SO-05")
@pytest.mark.parametrize("star", WANTED)
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("way", ["folder", "http"])
def test_a_name_does_not_move_to_the_next_galaxy_when_the_first_one_s_answer_is_unusable(
    site: Site, star: str, attack: str, way: str
) -> None:
    with reached(site, way) as core:
        site.system(core)
        ATTACKS[attack](site.core.statement(WANTED[star]))
        site.demand_no_evil(site.freeze(star, core), site.install(star), site.install(star, "--dry-run"))


@pytest.mark.objective("SO-05")
@pytest.mark.parametrize("star", WANTED)
@pytest.mark.parametrize("way", ["folder", "http"])
def test_a_name_does_not_move_to_the_next_galaxy_because_of_a_floor(site: Site, star: str, way: str) -> None:
    with reached(site, way) as core:
        site.system(core)
        floors = Floors(stars={StarName("zlib"): "1.3.2", StarName("postfix"): "3.0.1"})
        pin(site.signers, site.home, floors=floors)
        anchor = site.root / "etc/cosmos/trust.toml"
        anchor.write_text(tomli_w.dumps(replace(site.signers.roots(), floors=floors).to_toml()))
        (site.root / "var/lib/cosmos/trust-state.toml").unlink(missing_ok=True)
        site.demand_no_evil(site.freeze(star, core), site.install(star))


@pytest.mark.objective("SO-05")
@pytest.mark.parametrize("star", WANTED)
def test_a_name_does_not_move_to_the_next_galaxy_offline(site: Site, star: str) -> None:
    """Only the index of the first galaxy was synced: what is withheld from the store is withheld, too."""
    with serving(site.core.path) as core:
        site.system(core)
        site.cosmos("sync", "core", "--index", "--root", site.root).ok()
        site.cosmos("sync", "extra", "--full", "--root", site.root).ok()
    site.demand_no_evil(site.install(star, "--offline"))


@pytest.mark.objective("SO-05")
def test_what_no_galaxy_before_claims_is_still_taken_from_the_next(site: Site) -> None:
    """The rule shuts nothing out that it need not: `evil` is a name that only `extra` lists."""
    with serving(site.core.path) as core:
        site.system(core)
        site.install("mailer").ok()
        site.install("evil").ok()
    assert (site.root / "usr/bin/postfix").exists()


@pytest.mark.objective("SO-05")
def test_a_lock_that_takes_a_provided_name_from_the_next_galaxy_is_refused(tmp_path: Path, cosmos: Cosmos) -> None:
    """Every star of it is signed and listed; but the name `mail` is the first galaxy's to answer."""
    site = Site(tmp_path, cosmos, index_format=2)
    site.freeze("mailer", "../core").ok()
    lock = site.image / "universe.lock.toml"
    honest = tomllib.loads(lock.read_text())
    swapped = site.core.path.with_name("swapped")
    site.core.path.rename(swapped)  # a lock of the same wish, where `core` has no postfix
    make_galaxy(site.core.path, "core", (ZLIB, APP, MAILER), site.signers, seq=1)
    elsewhere = tmp_path / "elsewhere"
    pin(site.signers, elsewhere)
    lock.unlink()
    cosmos("freeze", site.image, "--home", elsewhere).ok()
    forged = tomllib.loads(lock.read_text())
    assert "evil" in {row["name"] for row in forged["star"]}
    shutil.rmtree(site.core.path)
    swapped.rename(site.core.path)
    forged["galaxy"] = honest["galaxy"]
    rows = {row["name"]: row for row in honest["star"]}
    for row in forged["star"]:
        if row["name"] in rows:
            row.update({key: rows[row["name"]][key] for key in ("archive", "statement", "size-bytes")})
    lock.write_text(tomli_w.dumps(forged))
    said = cosmos("build", site.image, "--home", site.home).fails(3).err
    assert "evil-9.9.9: is locked from galaxy extra, but galaxy core comes first and answers for mail" in said
