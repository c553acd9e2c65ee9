"""SemVer 2.0.0, by the examples of its own specification (semver.org)."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.model.version import SemVer, Version

# Section 11.2 to 11.4: each list in rising order.
RISING = [
    ["1.0.0", "2.0.0", "2.1.0", "2.1.1"],
    ["1.0.0-alpha", "1.0.0"],
    [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-alpha.beta",
        "1.0.0-beta",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
    ],
    ["1.9.0", "1.10.0", "1.11.0"],  # section 2
    ["1.0.0--", "1.0.0-0a", "1.0.0-a"],
    ["1.0.0", "1.0.0+1", "1.0.0+2", "1.0.0+10", "1.0.0+a", "1.0.0+a.1"],  # ours: builds have an order of their own
]
# Examples of sections 2, 9 and 10.
VALID = [
    "0.0.0",
    "1.9.0",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-0.3.7",
    "1.0.0-x.7.z.92",
    "1.0.0-x-y-z.--",
    "1.0.0-alpha+001",
    "1.0.0+20130313144700",
    "1.0.0-beta+exp.sha.5114f85",
    "1.0.0+21AF26D3----117B344092BD",
    "999999999999999999.0.0",
]
INVALID = [
    "",
    "1",
    "1.2",
    "1.2.3.4",
    "v1.2.3",
    "01.2.3",
    "1.02.3",
    "1.2.03",
    "1.2.3-",
    "1.2.3+",
    "1.2.3-01",
    "1.2.3-a..b",
    "1.2.3-a.01",
    "1.2.3+a..b",
    "1.2.3-é",
    "1.2.3 ",
    " 1.2.3",
    "1.2.3\n",
    "-1.2.3",
    "1.2.3+a+b",
    "1.2.3-a_b",
    "\u0661.2.3",
    "1.2.x",
    "9999999999999999999.0.0",
    "1.0.0-" + "a" * 300,
]

identifiers = st.lists(
    st.one_of(st.integers(0, 99).map(str), st.from_regex(r"[a-zA-Z-]{1,3}", fullmatch=True)), max_size=3
)
versions = st.builds(
    SemVer,
    st.integers(0, 3),
    st.integers(0, 3),
    st.integers(0, 3),
    identifiers.map(tuple),
    identifiers.map(tuple),
)


@pytest.mark.parametrize("texts", RISING, ids=" < ".join)
def test_versions_have_the_order_of_the_specification(texts: list[str]) -> None:
    parsed = [Version.parse(text) for text in texts]
    for low, high in itertools.combinations(parsed, 2):
        assert low < high
        assert not high < low
        assert low != high


@pytest.mark.parametrize("text", VALID)
def test_a_valid_version_is_read_and_written_the_same(text: str) -> None:
    assert str(Version.parse(text)) == text


@pytest.mark.parametrize("text", INVALID)
def test_an_invalid_version_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"SemVer 2\.0\.0"):
        SemVer.of(text)


def test_build_metadata_has_no_precedence_and_yet_makes_another_version() -> None:
    plain, built = SemVer.of("1.0.0"), SemVer.of("1.0.0+b1")
    assert plain.precedence == built.precedence
    assert plain != built


@given(versions)
def test_every_version_reads_back(version: SemVer) -> None:
    assert Version.parse(str(version)) == version


@given(versions, versions, versions)
def test_the_order_is_total(one: SemVer, two: SemVer, three: SemVer) -> None:
    assert (one < two) + (two < one) + (one == two) == 1
    if one <= two <= three:
        assert one <= three
