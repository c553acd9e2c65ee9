"""A star takes over the files of the stars that it names, in the versions that it names: dpkg's `Replaces`."""

from __future__ import annotations

import pytest

from cosmos.model.names import GalaxyName, StarName
from cosmos.model.star import Star
from cosmos.resolve.replacing import Vouched, replaced_by

ORIGIN = """
[[origin]]
ecosystem = "deb"
name = "old"
version = "1.2-3"
digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
"""


def star(name: str, version: str = "1.0-1", more: str = "", *, galaxy: str = "deb", signers: str = "ann") -> Vouched:
    text = f'name = "{name}"\nversion = "{version}"\nversion-scheme = "debian"\n{more}'
    manifest = Star.parse(text.encode(), name)
    return Vouched(star=manifest, galaxy=GalaxyName(galaxy), signers=frozenset(signers.split()))


@pytest.mark.parametrize(
    ("replaces", "version", "takes"),
    [
        ('"*"', "1.2-3", True),
        ('"<<1.2-4"', "1.2-3", True),
        ('"<<1.2-4"', "1.2-4", False),
        ('"<<1.2-4"', "1:1.0", False),
        ('["<<1.0", "=1.2-3"]', "1.2-3", True),
        ('["<<1.0", "=1.2-3"]', "1.2-4", False),
    ],
)
def test_name_and_one_of_the_ranges_must_match(replaces: str, version: str, takes: bool) -> None:
    new = star("new", more=f"replaces = {{ old = {replaces} }}\n")
    assert replaced_by([star("old", version), new])[StarName("new")] == (frozenset({"old"}) if takes else frozenset())


def test_a_star_made_of_the_package_is_meant_by_its_name() -> None:
    new = star("new", more='replaces = { old = "<<2" }\n')
    made_of_it = star("own", "9", ORIGIN)
    assert replaced_by([new, made_of_it]) == {"new": {"own"}, "own": frozenset()}


def test_a_name_that_is_merely_provided_does_not_count() -> None:
    new = star("new", more='replaces = { mail = "*" }\n')
    assert replaced_by([new, star("mta", more='provides = { mail = "" }\n')])[StarName("new")] == frozenset()


def test_a_star_replaces_nothing_of_itself() -> None:
    alone = star("new", "1.0", 'replaces = { old = "*" }\n' + ORIGIN)
    assert replaced_by([alone]) == {"new": frozenset()}


@pytest.mark.parametrize(
    ("galaxy", "signers", "takes"),
    [
        ("deb", "ann", True),
        ("deb", "ann ben", True),
        ("deb", "ben", False),
        ("deb", "", False),
        ("core", "ann", False),
    ],
)
def test_a_star_takes_nothing_of_another_galaxy_or_of_what_others_have_signed(
    galaxy: str, signers: str, takes: bool
) -> None:
    new = star("new", more='replaces = { old = "*" }\n', galaxy=galaxy, signers=signers)
    found = replaced_by([star("old", signers="ann"), new])[StarName("new")]
    assert found == (frozenset({"old"}) if takes else frozenset())


def test_where_nobody_signs_a_star_s_word_counts() -> None:
    new = star("new", more='replaces = { old = "*" }\n', signers="")
    assert replaced_by([star("old", signers=""), new])[StarName("new")] == {"old"}
