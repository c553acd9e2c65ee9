"""`cosmos why` shows every chain from a wish to a star, the shortest first, and never more than a person reads."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from cosmos.device.why import reasons_for
from cosmos.digest import Digest
from cosmos.errors import NoSolution
from cosmos.model.names import Arch, StarName
from cosmos.model.universe import Installed, Universe
from cosmos.model.version import Version
from cosmos.resolve.chains import MAX_CHAINS
from fakes.programs import Cosmos


def universe(needs: Mapping[str, str], asked: Mapping[str, str]) -> Universe:
    """Return a universe of stars, each with the stars that need it, and who asked for some of them."""
    return Universe(
        arch=Arch("x86_64"),
        version="1",
        installed={
            StarName(name): Installed(
                version=Version.parse("1.0.0"),
                files=(),
                galaxy="core",
                archive=Digest.of(name.encode()),
                needed_by=tuple(map(StarName, above.split())),
                asked_by=tuple(asked.get(name, "").split()),
            )
            for name, above in needs.items()
        },
    )


def chains(found: Universe, name: str) -> list[str]:
    return [" ".join((chain.wish, *chain.stars)) for chain in reasons_for(found, StarName(name)).chains]


def test_every_chain_is_shown_the_shortest_first() -> None:
    found = universe(
        {"zlib": "tool app", "tool": "app", "app": ""},
        {"app": "image constellation:desk", "tool": "user"},
    )
    assert chains(found, "zlib") == [
        "image app zlib",
        "constellation:desk app zlib",
        "user tool zlib",
        "image app tool zlib",
        "constellation:desk app tool zlib",
    ]
    assert chains(found, "app") == ["image app", "constellation:desk app"]


def test_a_star_that_nobody_needs_any_more_says_so() -> None:
    found = universe({"a": "", "b": "c", "c": "b gone"}, {})
    assert reasons_for(found, StarName("a")).chains == ()
    assert reasons_for(found, StarName("b")).needed_by == ("c",)
    assert reasons_for(found, StarName("c")).needed_by == ("b",)


def test_stars_that_need_each_other_are_no_endless_chain() -> None:
    found = universe({"a": "b", "b": "a"}, {"b": "user"})
    assert chains(found, "a") == ["user b a"]
    assert chains(found, "b") == ["user b"]


def test_more_chains_than_atoms_are_cut_at_the_bound() -> None:
    layers = {
        f"s{level}-{number}": " ".join(f"s{level + 1}-{one}" for one in range(10) if level < 30)
        for level in range(31)
        for number in range(10)
    }
    found = universe(layers, {"s30-0": "user"})
    reasons = reasons_for(found, StarName("s0-0"))
    assert len(reasons.chains) == MAX_CHAINS
    assert reasons.has_more


def test_a_missing_star_names_its_like() -> None:
    with pytest.raises(NoSolution) as caught:
        reasons_for(universe({"zlib": ""}, {}), StarName("zlip"))
    assert caught.value.hint == "did you mean zlib?"


def test_the_command_says_it_in_lines_and_as_json(galaxy, system, cosmos: Cosmos) -> None:
    galaxy.star("zlib", "1.3.1", {"usr/z": b"z"})
    galaxy.star("tool", "2.0.0", {"usr/t": b"t"}, dependencies={"zlib": "^1.3"})
    cosmos("install", "tool", "--root", system).ok()
    assert cosmos("why", "zlib", "--root", system).ok().out == "user -> tool -> zlib\n"
    row = cosmos("why", "zlib", "--json", "--root", system).json()
    assert row["chains"] == [{"wish": "user", "stars": ["tool", "zlib"]}]
    assert (row["wanted"], row["more"], row["needed-by"]) == (True, False, ["tool"])
    cosmos("why", "nano", "--root", system).fails(3)
