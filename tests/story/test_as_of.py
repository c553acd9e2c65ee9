"""`cosmos freeze --as-of DATE`: against what the galaxies had published on that date, by their own signed dates."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from cosmos.image.definition import read_definition, read_lock
from cosmos.model.names import GalaxyName
from cosmos.model.reporter import Silent
from cosmos.stellar.galaxy_folder import GalaxyFolder
from cosmos.stellar.galaxy_init import init_galaxy
from cosmos.stellar.index_galaxy import index_galaxy
from cosmos.stellar.signing import sign_file
from cosmos.trust.floors import Floors
from cosmos.trust.revocation import Revoked
from fakes.galaxies import GalaxyFixture, StarSpec, write_spec
from fakes.growing_galaxies import make_upstream_galaxy, new_signers, pin
from fakes.images import write_template
from fakes.programs import Cosmos, Outcome

HISTORY = ("2026-01-05", "2026-01-05", "2026-02-10", "2026-03-01", "2026-03-01", "2026-06-30")


class Site:
    """A galaxy that published zlib 1.0.0, 1.1.0, … on the days of `HISTORY`, and an image of zlib."""

    def __init__(self, folder: Path, cosmos: Cosmos) -> None:
        self.folder, self.keys = folder, new_signers()
        self.galaxy = GalaxyFixture(folder / "core", GalaxyName("core"), self.keys)
        self.home, self.image = folder / "home", folder / "image"
        self.lock = self.image / "universe.lock.toml"
        self._cosmos = cosmos
        init_galaxy(self.galaxy.path, self.galaxy.name, "of a test", "2026.01.01")
        for minor, day in enumerate(HISTORY):
            self.publish(f"1.{minor}.0", day)
        pin(self.keys, self.home)
        self.wish({"core": "../core"})

    def publish(self, version: str, day: str) -> None:
        write_spec(self.galaxy, StarSpec("zlib", version, {"usr/lib/libz.so": version.encode()}))
        index_galaxy(
            GalaxyFolder(root=self.galaxy.path),
            authors=[],
            galaxies=[self.keys["galaxy"]],
            today=day.replace("-", "."),
            reporter=Silent(),
        )

    def wish(self, galaxies: dict[str, object]) -> None:
        write_template(self.image / "template")
        document = {
            "name": "small",
            "version": "1.0.0",
            "arch": "x86_64",
            "template": "./template",
            "source-date-epoch": 1767225600,
            "stars": {"zlib": "*"},
            "galaxies": galaxies,
        }
        (self.image / "image.toml").write_text(tomli_w.dumps(document))

    def freeze(self, *words: object) -> Outcome:
        return self._cosmos("freeze", self.image, "--home", self.home, *words)

    def locked(self, day: str) -> tuple[str, int, str]:
        """Freeze anew as of `day`; return the version of zlib, and the snapshot's seq and date."""
        self.lock.unlink(missing_ok=True)
        self.freeze("--as-of", day).ok()
        lock, _ = read_lock(read_definition(self.image))
        return str(lock.stars[0].version), lock.galaxies[0].seq, lock.galaxies[0].version


@pytest.fixture
def site(tmp_path: Path, cosmos: Cosmos) -> Site:
    return Site(tmp_path, cosmos)


@pytest.mark.parametrize(
    ("day", "version", "seq", "dated"),
    [
        ("2026-01-05", "1.1.0", 2, "2026.01.05"),
        ("2026-02-09", "1.1.0", 2, "2026.01.05"),
        ("2026.02.10", "1.2.0", 3, "2026.02.10"),
        ("2026-03-01", "1.4.0", 5, "2026.03.01"),
        ("2026-06-29", "1.4.0", 5, "2026.03.01"),
        ("2026-06-30", "1.5.0", 6, "2026.06.30"),
        ("2099-01-01", "1.5.0", 6, "2026.06.30"),
    ],
)
def test_the_last_snapshot_of_a_day_is_taken(site: Site, day: str, version: str, seq: int, dated: str) -> None:
    assert site.locked(day) == (version, seq, dated)


def test_the_same_date_gives_the_same_lock_after_the_galaxy_has_gone_on(site: Site, cosmos: Cosmos) -> None:
    site.locked("2026-03-01")
    before = site.lock.read_bytes()
    for minor in range(6, 12):
        site.publish(f"1.{minor}.0", "2026-07-01")
    site.locked("2026-03-01")
    assert site.lock.read_bytes() == before
    cosmos("build", site.image, "--home", site.home).ok()
    assert site.freeze("--check", "--json").json()["fresh"] is not False


def test_a_freeze_without_a_date_keeps_the_versions_and_takes_the_newest_snapshot(site: Site) -> None:
    site.locked("2026-02-10")
    site.freeze().ok()
    lock, _ = read_lock(read_definition(site.image))
    assert (str(lock.stars[0].version), lock.galaxies[0].seq) == ("1.2.0", 6)


def test_before_the_first_index_there_is_no_solution(site: Site) -> None:
    said = site.freeze("--as-of", "2026-01-04").fails(3).err
    assert "galaxy core: had no index on 2026.01.04: its first one is of 2026.01.05" in said
    assert "hint: name a later date: --as-of 2026.01.05" in said
    assert not site.lock.exists()


def test_a_date_before_the_lock_s_is_a_downgrade_that_somebody_has_to_name(site: Site) -> None:
    site.freeze().ok()
    assert "--allow-downgrade zlib" in site.freeze("--as-of", "2026-02-10").fails(4).err
    site.freeze("--as-of", "2026-02-10", "--allow-downgrade", "zlib").ok()
    lock, _ = read_lock(read_definition(site.image))
    assert lock.downgraded == {"zlib": "1.5.0"}


@pytest.mark.parametrize(
    "text", ["3 weeks ago", "2026-02-30", "20260210", "2026-W07-2", "2026-02.10", "", "٢٠٢٦-02-10"]
)
def test_a_span_is_no_date(site: Site, text: str) -> None:
    assert "--as-of: want a date such as 2026-11-20" in site.freeze("--as-of", text).fails(2).err


@pytest.mark.parametrize("option", ["--offline", "--check"])
def test_a_date_needs_the_galaxies(site: Site, option: str) -> None:
    assert "reads the snapshots of the galaxies" in site.freeze("--as-of", "2026-02-10", option).fails(2).err


def test_a_galaxy_in_upstream_s_format_has_no_dates(site: Site) -> None:
    make_upstream_galaxy(site.folder, "old", [StarSpec("zlib", "0.9.0")])
    site.wish({"old": {"url": "../old", "allow-unsigned": True}})
    assert "galaxy old: has no snapshots" in site.freeze("--as-of", "2026-02-10").fails(3).err


@pytest.mark.objective("SO-07")
def test_a_rolled_back_galaxy_is_refused_whatever_the_date(site: Site) -> None:
    site.freeze().ok()
    for file, copy in (("meta.toml", "snapshots/3.toml"), ("meta.toml.dsse", "snapshots/3.toml.dsse")):
        shutil.copy(site.galaxy.path / copy, site.galaxy.path / file)
    site.lock.unlink()
    site.freeze("--as-of", "2026-02-10").fails(4)


@pytest.mark.objective("SO-07")
def test_a_date_leads_to_no_snapshot_below_the_operator_s_floor(site: Site) -> None:
    pin(site.keys, site.home, floors=Floors(galaxies={GalaxyName("core"): 4}))
    assert "below the floor" in site.freeze("--as-of", "2026-02-10").fails(4).err
    assert site.locked("2026-03-01")[1] == 5


@pytest.mark.objective("SO-12")
def test_a_date_does_not_bring_back_a_revoked_key(site: Site) -> None:
    pin(site.keys, site.home, revoked=(Revoked(key=site.keys["author"].public.id, reason="stolen"),))
    site.freeze("--as-of", "2026-02-10").fails(4)


def test_snapshots_of_before_a_rotation_are_passed_over_and_never_replaced_by_an_older_one(site: Site) -> None:
    old, new = site.keys, new_signers()
    site.keys = replace(old, keys={**old.keys, "galaxy": new["galaxy"]})
    for minor in (6, 7, 8):
        site.publish(f"1.{minor}.0", f"2026-0{minor + 1}-15")
    pin(site.keys, site.home)
    assert site.locked("2026-08-20") == ("1.7.0", 8, "2026.08.15")
    site.lock.unlink()
    site.freeze("--as-of", "2026-03-01").fails(4)
    for seq in (7, 8):  # the answer is damaged: neither an older nor a later one takes its place
        (site.galaxy.path / f"snapshots/{seq}.toml.dsse").unlink()
        site.freeze("--as-of", f"2026-0{seq}-20").fails(4)


def test_a_snapshot_under_another_s_name_is_refused(site: Site) -> None:
    for ending in ("", ".dsse"):
        shutil.copy(site.galaxy.path / f"snapshots/4.toml{ending}", site.galaxy.path / f"snapshots/3.toml{ending}")
    assert "want the index with seq 3, but it has 4" in site.freeze("--as-of", "2026-02-10").fails(4).err


def test_a_galaxy_s_dates_do_not_go_back_when_its_maintainer_s_clock_does(site: Site) -> None:
    site.publish("1.9.0", "2025-12-31")
    assert site.locked("2026-06-30") == ("1.9.0", 7, "2026.06.30")


def test_a_galaxy_whose_signed_dates_go_back_has_no_one_answer(site: Site) -> None:
    """Its maintainer signed a later snapshot with an earlier date: no lock is written."""
    file = site.galaxy.path / "snapshots/4.toml"
    file.write_text(file.read_text().replace('version = "2026.03.01"', 'version = "2025.01.01"'))
    (site.galaxy.path / "snapshots/4.toml.dsse").unlink()
    sign_file(file, site.keys["galaxy"])
    failed = site.freeze("--as-of", "2026-02-15").fails(4)
    assert "galaxy core: the dates of its snapshots go back, so --as-of has no one answer" in failed.err
    assert "leave out --as-of" in failed.err
    assert not site.lock.exists()
