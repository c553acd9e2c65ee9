"""`cosmos outdated IMAGE`: what a freeze with --upgrade would move, and what holds the stars that stay."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from cosmos.trust.revocation import Revoked
from fakes.galaxies import StarSpec
from fakes.growing_galaxies import GrowingGalaxy, grow_galaxy, new_signers, pin
from fakes.images import write_template
from fakes.programs import Cosmos

ZLIB = StarSpec("zlib", "1.3.1", files={"usr/lib/libz.so.1": b"zlib"})
NANO = StarSpec("nano", "7.2.0", files={"usr/bin/nano": b"nano"}, dependencies={"zlib": "^1"})


class Site:
    """An image of nano, its galaxy, and a home."""

    def __init__(self, folder: Path, cosmos: Cosmos) -> None:
        self.keys = new_signers()
        self.galaxy: GrowingGalaxy = grow_galaxy(folder, "core", [ZLIB, NANO], keys=self.keys)
        self.image, self.home = folder / "image", folder / "home"
        self.image.mkdir()
        self._cosmos = cosmos
        pin(self.keys, self.home)
        self.wish({"nano": "*"})
        cosmos("freeze", self.image, "--home", self.home).ok()

    def wish(self, stars: dict[str, str]) -> None:
        document: dict[str, object] = {
            "name": "rescue",
            "version": "1.0.0",
            "arch": "x86_64",
            "template": "./template",
            "source-date-epoch": 1767225600,
            "stars": stars,
            "galaxies": {"core": "../core"},
        }
        write_template(self.image / "template")
        (self.image / "image.toml").write_text(tomli_w.dumps(document))

    def said(self, *more: str) -> list[str]:
        return self._cosmos("outdated", self.image, "--home", self.home, *more).ok().out.splitlines()

    def stars(self) -> dict[str, Any]:
        rows = self._cosmos("outdated", self.image, "--home", self.home, "--json").json()["stars"]
        return {row["star"]: row for row in rows}


@pytest.fixture
def site(tmp_path: Path, cosmos: Cosmos) -> Site:
    return Site(tmp_path, cosmos)


def test_an_image_of_the_newest_stars_says_so(site: Site) -> None:
    assert site.said() == [f"{site.image}/universe.lock.toml: every star is the newest that there is (2 stars)"]


def test_a_star_that_can_move_is_shown_with_both_sizes(site: Site) -> None:
    before = (site.image / "universe.lock.toml").read_bytes()
    site.galaxy.add(StarSpec("zlib", "1.4.0", files={"usr/lib/libz.so.1": bytes(range(256)) * 40}))
    row = site.stars()["zlib"]
    assert (row["move"], row["locked"], row["fits"], row["newest"]) == ("up", "1.3.1", "1.4.0", "1.4.0")
    sizes = [site.galaxy.file(f"packages/zlib-{one}.tar.zst").stat().st_size for one in ("1.3.1", "1.4.0")]
    assert [row["locked-bytes"], row["fits-bytes"]] == sizes
    assert site.said() == [
        "star  locked  fits   newest  bytes",
        f"zlib  1.3.1   1.4.0  1.4.0   {sizes[0]:,} -> {sizes[1]:,}",
        f"1 star would move. next: cosmos freeze {site.image} --upgrade",
    ]
    assert (site.image / "universe.lock.toml").read_bytes() == before, "nothing is written"


def test_what_is_shown_is_what_freeze_takes(site: Site, cosmos: Cosmos) -> None:
    site.galaxy.add(StarSpec("zlib", "1.4.0"), StarSpec("nano", "8.0.0", dependencies={"zlib": "^1", "ncurses": "*"}))
    site.galaxy.add(StarSpec("ncurses", "6.4.0"))
    promised = {name: row["fits"] for name, row in site.stars().items()}
    assert site.stars()["ncurses"]["move"] == "comes"
    cosmos("freeze", site.image, "--home", site.home, "--upgrade").ok()
    assert promised == {"nano": "8.0.0", "ncurses": "6.4.0", "zlib": "1.4.0"}
    assert {name: row["locked"] for name, row in site.stars().items()} == promised


def test_a_star_is_held_by_who_does_not_want_the_newest(site: Site, cosmos: Cosmos) -> None:
    site.galaxy.add(StarSpec("zlib", "2.0.0"))
    assert site.stars()["zlib"]["held-by"] == ["nano 7.2.0 wants zlib ^1"]
    assert site.said()[1:] == [
        f"zlib  1.3.1   1.3.1  2.0.0   {site.stars()['zlib']['locked-bytes']:,}",
        "    held: nano 7.2.0 wants zlib ^1",
        "no star would move",
    ]
    site.wish({"nano": "*", "zlib": "~1.3"})
    assert site.stars()["zlib"]["held-by"] == ["image wants zlib ~1.3", "nano 7.2.0 wants zlib ^1"]


def test_a_star_is_held_by_what_its_newest_version_itself_needs(site: Site) -> None:
    site.galaxy.add(
        StarSpec("nano", "8.0.0", dependencies={"zlib": "^2"}),
        StarSpec("nano", "7.9.0", dependencies={"zlib": "^1"}, conflicts={"zlib": "^1"}),
    )
    row = site.stars()["nano"]
    assert (row["fits"], row["newest"]) == ("7.2.0", "8.0.0")
    assert row["held-by"] == ["nano 8.0.0 wants zlib ^2, but zlib 1.3.1 is chosen"]
    site.galaxy.withdraw("nano", "8.0.0")
    assert site.stars()["nano"]["held-by"] == ["nano 7.9.0 conflicts with zlib ^1, and zlib 1.3.1 is there"]


def test_a_withdrawn_star_is_named_and_a_lower_one_is_called_a_downgrade(site: Site) -> None:
    site.galaxy.add(StarSpec("zlib", "1.3.0"))
    site.galaxy.withdraw("zlib", "1.3.1")
    row = site.stars()["zlib"]
    assert (row["move"], row["withdrawn"]) == ("down", True)
    assert "    a downgrade: only with --allow-downgrade zlib" in site.said()
    assert "    withdrawn: its galaxy does not list the locked version any more" in site.said()


def test_other_bytes_under_the_locked_version_are_named(site: Site) -> None:
    site.galaxy.add(StarSpec("zlib", "1.3.1", files={"usr/lib/libz.so.1": b"other"}))
    assert site.stars()["zlib"]["move"] == "exchanged"


def test_a_locked_star_whose_signer_was_revoked_is_named(site: Site, tmp_path: Path) -> None:
    site.galaxy.add(*(StarSpec(one.name, "9.0.0", signer=site.keys["author"]) for one in (ZLIB, NANO)))
    other = new_signers()
    roots = site.keys.roots()
    authors = (*roots.authors, *other.roots().authors)
    pin(site.keys, site.home, authors=authors, revoked=(Revoked(key=site.keys["author"].public.id, reason="stolen"),))
    site.galaxy.add(StarSpec("zlib", "1.3.2"), StarSpec("nano", "7.2.1"), author=other["author"])
    site.galaxy.withdraw("zlib", "9.0.0")
    site.galaxy.withdraw("nano", "9.0.0")
    site.galaxy.withdraw("nano", "7.2.0")
    stars = site.stars()
    assert "stars/zlib-1.3.1.toml" in stars["zlib"]["untrusted"]
    assert stars["nano"]["untrusted"] == "signed by new-author, revoked", "it is no longer listed"


@pytest.mark.objective("SO-07")
def test_outdated_refuses_a_galaxy_that_was_rolled_back(site: Site, cosmos: Cosmos) -> None:
    site.galaxy.add(StarSpec("zlib", "1.4.0"))
    site.said()  # remembers seq 2
    site.galaxy.index(seq=1)
    cosmos("outdated", site.image, "--home", site.home).fails(4)


def test_an_image_without_a_lock_is_sent_to_freeze(site: Site, cosmos: Cosmos) -> None:
    (site.image / "universe.lock.toml").unlink()
    outcome = cosmos("outdated", site.image, "--home", site.home).fails(3)
    assert f"hint: cosmos freeze {site.image}" in outcome.err


def test_offline_the_locked_snapshot_is_compared_with_itself(site: Site) -> None:
    site.galaxy.add(StarSpec("zlib", "1.4.0"))
    assert "every star is the newest that there is" in site.said("--offline")[0]


def test_a_freeze_names_the_stars_that_moved(site: Site, cosmos: Cosmos) -> None:
    """It said "4 stars", whatever had moved; a person had to compare two locks to learn what an upgrade did."""
    words = ("freeze", site.image, "--home", site.home)
    assert cosmos(*words, "--json").json()["moves"] == {}
    site.galaxy.add(StarSpec("zlib", "1.3.2"))
    said = cosmos(*words, "--upgrade").ok().out.splitlines()
    assert said[1] == "  zlib 1.3.1 -> 1.3.2"
    assert len(said) == 3
    (site.image / "universe.lock.toml").unlink()
    first = cosmos(*words, "--json").json()
    assert first["moves"] == {"nano": [None, "7.2.0"], "zlib": [None, "1.3.2"]}
    assert (first["changed"], first["stars"]) == (True, 2)
