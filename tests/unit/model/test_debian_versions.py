"""Versions in Debian's scheme: dpkg's order, its relations, and Cargo's ranges over upstream's numbers."""

from __future__ import annotations

import itertools
import shutil
import subprocess

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cosmos.model.constraint import Constraint, exactly
from cosmos.model.version import DebianVersion, SemVer, Version
from fakes.examples import tried

# Each line in dpkg's order (Debian Policy 5.6.12 and versions of Debian's own archive).
RISING = [
    "1.0~~ 1.0~~a 1.0~ 1.0 1.0-1 1.0a 1.0.1",
    "1.35.0-3 1.35.0-4~bpo11+1 1.35.0-4 1.35.0-4+b1 1.35.0-4+deb12u1 1.35.0-4.1 1.35.0-5 1:1.0-1",
    "10.0.0~dfsg-11 10.0.0~dfsg-11+deb12u9 10.0.0-1 10.01-1",
    "0~20191001-1 0-1 0.1 1~rc1 1",
    "9.2p1-2 9.2p1-2+deb12u6 9.2p1-2+deb12u10 9.3p1-1",
    "590-2.1~deb12u2 590-2.1",
    "1.2.11.dfsg-2 1.2.11.dfsg1-1",
]


@pytest.mark.parametrize("line", RISING)
def test_versions_are_ordered_as_dpkg_orders_them(line: str) -> None:
    parsed = [DebianVersion.of(text) for text in line.split()]
    for low, high in itertools.combinations(parsed, 2):
        assert low < high
        assert low.rank < high.rank


@pytest.mark.parametrize("pair", ["1.0 1.0-0", "1.0 1.00", "0:1.0 1.0", "1.0-1 1.0-01"])
def test_what_dpkg_holds_to_be_equal_ranks_the_same_and_yet_is_another_star(pair: str) -> None:
    one, other = map(DebianVersion.of, pair.split())
    assert one.rank == other.rank
    assert one != other
    assert (one < other) != (other < one)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="compares with dpkg itself, where there is one")
@given(st.from_regex(r"[019][019.+~ab-]{0,8}", fullmatch=True), st.from_regex(r"[019][019.+~ab-]{0,8}", fullmatch=True))
@tried(same=25, new=100)
def test_the_order_is_dpkgs(one: str, other: str) -> None:
    assume(not one.endswith("-") and not other.endswith("-"))
    mine, theirs = DebianVersion.of(one).rank, DebianVersion.of(other).rank
    for relation, holds in (("lt", mine < theirs), ("eq", mine == theirs)):
        said = subprocess.run(["dpkg", "--compare-versions", one, relation, other], check=False).returncode
        assert holds == (said == 0)


@pytest.mark.parametrize(
    ("constraint", "allowed", "refused"),
    [
        (">=1.2-4", ["1.2-4", "1.2-4+b1", "1.2-10", "1:0.1"], ["1.2-3", "1.2-4~rc1", "1.2"]),
        ("<<1.2-4", ["1.2-3", "1.2-4~rc1", "1.2"], ["1.2-4", "1.2-4+b1", "1:1.0-1"]),
        (">>1.2", ["1.2-1", "1.2.0", "1.3"], ["1.2", "1.2-0", "1.2~rc1"]),
        (">1.2", ["1.2-1", "1.2.0"], ["1.2", "1.2-0"]),
        ("<=1:2.5.1-1", ["1:2.5.1-1", "2.6-1", "1:2.5.1-0.1"], ["1:2.5.1-1+b1", "1:2.6-1"]),
        ("=1.2-3", ["1.2-3", "1.2-03"], ["1.2-3+b1", "1.2", "1:1.2-3"]),
        ("=1.2", ["1.2", "1.2-0"], ["1.2-1", "1.2.0"]),
        (">=1.0, <<2", ["1.0-1", "2~rc1-1"], ["2", "2-1", "0.9-1"]),
        ("*", ["10.0.0~dfsg-11", "0~1", "1:1.0-1"], []),
        ("^10", ["10.0.0~dfsg-11+deb12u9", "10.3-1", "1:10.2-1"], ["9.9-1", "11-1", "11~rc1-1"]),
        ("10", ["10.0.0~dfsg-11"], ["11-1"]),
        ("^10.0.0", ["10.0.0~dfsg-11", "10.9-1"], ["11.0-1"]),
        ("~10.0", ["10.0.0~dfsg-11", "10.0.9-1"], ["10.1-1"]),
        ("^0.2.3", ["0.2.3-1", "0.2.9-1"], ["0.2.2-1", "0.3.0-1"]),
        ("^1.2-3", ["1.2-3", "1.2-4", "1.9-1"], ["1.2-2", "2.0-1"]),
        ("590.*", ["590-2.1~deb12u2", "590.1-1"], ["591-1"]),
        ("1.2.*", ["1.2-1", "1.2.9-1"], ["1.3-1", "1.20-1"]),
        (">=10.0.0~dfsg", ["10.0.0~dfsg-11", "10.0.0-1"], ["10.0.0~a-1"]),
    ],
)
def test_a_constraint_means_what_dpkg_means(constraint: str, allowed: list[str], refused: list[str]) -> None:
    parsed = Constraint.parse(constraint)
    assert [text for text in allowed if not parsed.allows(DebianVersion.of(text))] == []
    assert [text for text in refused if parsed.allows(DebianVersion.of(text))] == []


@pytest.mark.parametrize("constraint", [">=1:2.3-4", "<<2", ">>1.0", "=1.2-3~deb12u1"])
def test_what_only_debian_can_mean_allows_no_semver_version(constraint: str) -> None:
    parsed = Constraint.parse(constraint)
    assert not any(parsed.allows(SemVer.of(text)) for text in ("0.0.1", "1.0.0", "2.3.4", "9.0.0"))


@pytest.mark.parametrize("text", ["", "-1", "a b", "1:", ":1", "1_2", "1.0-", "é", "1" * 300])
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="want a Debian version"):
        Version.parse(text, "debian")


def test_a_name_that_was_imported_under_semver_goes_on_under_its_own_version() -> None:
    was, now = Version.parse("590.0.0+DEB.2"), Version.parse("590-2", "debian")
    assert was < now
    assert max(was, now) == now


@pytest.mark.parametrize(
    ("version", "scheme", "floor", "below"),
    [
        ("1.2-3", "debian", "1.2-10", True),
        ("1.2-10", "debian", "1.2-3", False),
        ("1.2.3-4", "debian", "1.2.3-5", True),  # SemVer would read a pre-release, and let every revision pass
        ("1.3.0", "semver", "1.3.1", True),
        ("1.3.1", "semver", "1.3.1", False),
        ("9.9.9", "semver", "1:1.0-1", True),  # no SemVer version reaches what only Debian can mean
    ],
)
def test_a_floor_is_read_in_the_scheme_of_the_version(version: str, scheme: str, floor: str, below: bool) -> None:
    assert Version.parse(version, "debian" if scheme == "debian" else "semver").is_below(floor) == below


@pytest.mark.parametrize("version", [DebianVersion.of("a1.0"), DebianVersion.of("1" * 256), SemVer.of("1.0.0-rc.1+b1")])
def test_every_version_can_be_asked_for_exactly(version: Version) -> None:
    limit = exactly(version)
    assert limit.allows(version)
    assert Constraint.parse(limit.text) == limit
    assert not limit.allows(Version.parse("1.0", "debian"))
