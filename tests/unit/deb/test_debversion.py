"""Debian's versions are ordered as dpkg orders them, and the SemVers that are made of them keep that order."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cosmos.model.version import Version
from cosmos.tree.deb822 import Relation
from cosmos.tree.debversion import DebVersion, constraint, satisfies, semver

# Versions of packages in Debian's archive, each line in Debian's order.
CHAINS = [
    "1.35.0-3 1.35.0-4~bpo11+1 1.35.0-4 1.35.0-4+b1 1.35.0-4+deb12u1 1.35.0-4+deb12u1+b1 1.35.0-4.1 1.35.0-5",
    "2.4.67-1~deb12u2 2.4.68-1~deb12u1 2.4.68-1~deb12u2 2.4.68-1 2.4.68-2",
    "6.1.137-1 6.1.140-1 6.1.147-1 6.12.38-1~bpo12+1 6.12.38-1",
    "2024a-0 2024a-0+deb12u1 2024b-0 2025a-0 2025b-0+deb12u1",
    "9.2p1-2 9.2p1-2+deb12u6 9.2p1-2+deb12u10 9.3p1-1",
    "1.2.11.dfsg-2 1.2.11.dfsg1-1 1.2.11.dfsg2-1 1.2.13.dfsg-1",
    "4.0~beta2-1 4.0~rc1-1 4.0~rc2-1 4.0-1",
    "20210119 20230311 20230311+deb12u1 20240203",
    "1.2.13.dfsg-1 1.2.13.dfsg-2 1.2.14-1",
    "6.3-1 6.3+20220423-2 6.4-1 6.4+20221231-1 6.4+20240113-1+b1",
    "0.0.1-1 0.0.1.1-1 0.0.2-1",
    "1.0.2j-1 1.0.2k-1 1.0.2k-1+b2 1.0.3-1",
    "3.0.15-1~deb12u1 3.0.16-1~deb12u1 3.0.17-1~deb12u2 3.0.17-1~deb12u3",
]

numbers = st.integers(0, 120).map(str)
dates = st.sampled_from(["20200101", "20221231", "20230311"])
dotted = st.lists(numbers, min_size=2, max_size=4).map(".".join)
letters_after = st.sampled_from(["", "", "", "p1", "p2", "pk"])
snapshots = st.one_of(st.just(""), dates.map("+git{}".format), st.sampled_from(["+dfsg", "+dfsg1", "+ds"]))
candidates = st.sampled_from(["", "", "", "~rc1", "~rc2", "~beta1", "~git20200101"])
revisions = st.one_of(numbers, st.tuples(numbers, numbers).map(".".join))
suffixes = st.sampled_from(
    ["", "", "+b1", "+b2", "+deb12u1", "+deb12u2", "+deb12u1+b1", "~deb12u1", "~deb11u3", "~bpo12+1"]
)


@st.composite
def versions(draw: st.DrawFn) -> str:
    """One version in the forms that Debian's archive uses."""
    candidate = draw(candidates)
    leading = draw(dotted)
    assume(not (candidate and leading.count(".") > 2 and leading.endswith(".0")))  # the stated gap: ~ after 0
    upstream = leading + (candidate or draw(letters_after) or draw(snapshots))
    revision = draw(revisions)
    suffix = draw(suffixes)
    assume(not (suffix.startswith("~") and revision.rpartition(".")[2] == "0"))
    return f"{upstream}-{revision}{suffix}"


def dpkg_says(one: str, relation: str, other: str) -> bool:
    return subprocess.run(["dpkg", "--compare-versions", one, relation, other], check=False).returncode == 0


@pytest.mark.parametrize("chain", CHAINS)
def test_real_versions_are_ordered_as_debian_orders_them(chain: str) -> None:
    texts = chain.split()
    assert sorted(texts, key=DebVersion.parse) == texts
    assert [str(version) for version in sorted(map(semver, texts))] == [str(semver(text)) for text in texts]
    assert len({str(semver(text)) for text in texts}) == len(texts)


@pytest.mark.skipif(shutil.which("dpkg") is None, reason="compares with dpkg itself, where there is one")
@given(st.text("019.+~-abz", min_size=1, max_size=9), st.text("019.+~-abz", min_size=1, max_size=9))
@settings(max_examples=80, deadline=None)
def test_the_order_is_dpkgs(one: str, other: str) -> None:
    one, other = f"1:1{one}", f"1:1{other}"
    try:
        mine, theirs = DebVersion.parse(one), DebVersion.parse(other)
    except ValueError:
        assume(False)
    assume(not one.endswith("-") and not other.endswith("-"))
    assert (mine < theirs) == dpkg_says(one, "lt", other)
    assert (mine == theirs) == dpkg_says(one, "eq", other)


@given(versions(), versions())
@settings(max_examples=600, deadline=None)
def test_a_later_package_is_a_later_star(one: str, other: str) -> None:
    mine, theirs = DebVersion.parse(one), DebVersion.parse(other)
    assume(leading_numbers(one) == leading_numbers(other))
    assume(not {next_char(one), next_char(other)} >= {"+", "p"})  # the stated gap: letters beside +
    if mine < theirs:
        assert semver(one) < semver(other), (str(semver(one)), str(semver(other)))


@given(versions(), versions(), st.sampled_from(["<<", "<=", "=", ">=", ">>"]))
@settings(max_examples=400, deadline=None)
def test_a_need_is_never_made_stricter_and_a_conflict_never_wider(one: str, other: str, operator: str) -> None:
    assume(leading_numbers(one) == leading_numbers(other))
    relation = Relation(name="x", operator=operator, version=other)
    star, is_meant = semver(one), satisfies(DebVersion.parse(one), relation)
    assume(not star.pre)  # a pre-release is taken only by a constraint that names it (model.version)
    if is_meant:
        assert constraint(relation, "wide").allows(star)
    elif operator != "=":
        assert not constraint(relation, "narrow").allows(star)


@given(st.text(st.characters(codec="ascii", exclude_categories=("Cc",)), max_size=80))
def test_whatever_debian_takes_becomes_a_semver_or_an_error(text: str) -> None:
    try:
        version = DebVersion.parse(text)
    except ValueError:
        return
    assert Version.parse(str(semver(version.text))) == semver(text)


@pytest.mark.parametrize(
    ("debian", "star"),
    [
        ("1:1.35.0-4+deb12u1+b1", "1.35.0+e1.DEB.4.deb.12.u.1.b.1"),
        ("2.36-9+deb12u14", "2.36.0+DEB.9.deb.12.u.14"),
        ("20230311", "20230311.0.0"),
        ("2:1.02.185-2", "1.2.185+e2.DEB.2"),
        ("0~20191001-1", "0.0.0-20191001+DEB.1"),
        ("2022.83-1+deb12u3", "2022.83.0+DEB.1.deb.12.u.3"),
        ("3.20250512.1~deb12u1", "3.20250512.1+deb.12.u.1"),
        ("123456789012345678901-1", "0.0.0+123456789012345678901.DEB.1"),
    ],
)
def test_examples(debian: str, star: str) -> None:
    assert str(semver(debian)) == star


@pytest.mark.parametrize(
    ("operator", "version", "wide", "narrow"),
    [
        (">=", "2.36", ">=2.36.0", ">=2.36.0"),
        (">=", "2.36-5", ">=2.36.0", ">2.36.0"),
        ("<<", "2.4", "<2.4.0", "<2.4.0"),
        ("<<", "2.36-10", "<=2.36.0", "<2.36.0"),
        (">>", "1.0", ">=1.0.0", ">1.0.0"),
        ("=", "1:1.0-2", "=1.0.0+e1.DEB.2", "=1.0.0+e1.DEB.2"),
    ],
)
def test_relations_become_constraints(operator: str, version: str, wide: str, narrow: str) -> None:
    relation = Relation(name="x", operator=operator, version=version)
    assert constraint(relation, "wide").text == wide
    assert constraint(relation, "narrow").text == narrow


def leading_numbers(text: str) -> int:
    """Return how many dotted numbers upstream's version begins with (three or more count as three)."""
    count = 0
    for part in DebVersion.parse(text).upstream.split("."):
        digits = len(part) - len(part.lstrip("0123456789"))
        count += digits > 0
        if digits != len(part):
            break
    return min(count, 3)


def next_char(text: str) -> str:
    """Return what follows the numbers that upstream's version begins with."""
    return DebVersion.parse(text).upstream.lstrip("0123456789.")[:1]
