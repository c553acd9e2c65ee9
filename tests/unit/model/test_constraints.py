"""Constraints in Cargo's grammar, by the tables of The Cargo Book ("Specifying Dependencies")."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cosmos.model.constraint import Constraint
from cosmos.model.version import SemVer, Version

# constraint -> lowest version allowed, lowest version no longer allowed (None: there is none)
RANGES = {
    # "Caret requirements", the book's own table
    "^1.2.3": ("1.2.3", "2.0.0"),
    "^1.2": ("1.2.0", "2.0.0"),
    "^1": ("1.0.0", "2.0.0"),
    "^0.2.3": ("0.2.3", "0.3.0"),
    "^0.2": ("0.2.0", "0.3.0"),
    "^0.0.3": ("0.0.3", "0.0.4"),
    "^0.0": ("0.0.0", "0.1.0"),
    "^0": ("0.0.0", "1.0.0"),
    # "Default requirements": a bare version is a caret
    "1.2.3": ("1.2.3", "2.0.0"),
    "1.2": ("1.2.0", "2.0.0"),
    "1": ("1.0.0", "2.0.0"),
    "0.2.3": ("0.2.3", "0.3.0"),
    "0.0.3": ("0.0.3", "0.0.4"),
    "0": ("0.0.0", "1.0.0"),
    # "Tilde requirements"
    "~1.2.3": ("1.2.3", "1.3.0"),
    "~1.2": ("1.2.0", "1.3.0"),
    "~1": ("1.0.0", "2.0.0"),
    "~0.2.3": ("0.2.3", "0.3.0"),
    # "Wildcard requirements"
    "*": ("0.0.0", None),
    "1.*": ("1.0.0", "2.0.0"),
    "1.2.*": ("1.2.0", "1.3.0"),
    "1.*.*": ("1.0.0", "2.0.0"),
    "1.x": ("1.0.0", "2.0.0"),
    # "Comparison requirements"
    ">= 1.2.0": ("1.2.0", None),
    "> 1": ("2.0.0", None),
    ">1.2": ("1.3.0", None),
    "> 1.2.3": ("1.2.4", None),
    "< 2": ("0.0.0", "2.0.0"),
    "<=1.2.3": ("0.0.0", "1.2.4"),
    "<=1.2": ("0.0.0", "1.3.0"),
    "<=1": ("0.0.0", "2.0.0"),
    "= 1.2.3": ("1.2.3", "1.2.4"),
    "=1.2": ("1.2.0", "1.3.0"),
    "=1": ("1.0.0", "2.0.0"),
    # "Multiple version requirements"
    ">= 1.2, < 1.5": ("1.2.0", "1.5.0"),
    "^1.2, <1.8.3": ("1.2.0", "1.8.3"),
    # of our documents
    ">=1.2, <2": ("1.2.0", "2.0.0"),
    "^1.36": ("1.36.0", "2.0.0"),
}
MALFORMED = [
    "",
    " ",
    "^",
    "1.",
    "a",
    "1,",
    ",1",
    "1 2",
    "1||2",
    "^*",
    ">=1.*",
    "*.1",
    "1.*.2",
    "==1",
    "=>1",
    "~>1",
    "^1.2.3-é",
    "1" * 300,
]

numbers = st.integers(0, 4)
releases = st.builds(SemVer, numbers, numbers, numbers)


def below(version: SemVer) -> SemVer | None:
    """Some release that lies just below."""
    if version.patch:
        return SemVer(version.major, version.minor, version.patch - 1)
    if version.minor:
        return SemVer(version.major, version.minor - 1, 999)
    return SemVer(version.major - 1, 999, 999) if version.major else None


@pytest.mark.parametrize(("text", "ends"), RANGES.items())
def test_a_constraint_allows_exactly_its_range(text: str, ends: tuple[str, str | None]) -> None:
    constraint, lowest = Constraint.parse(text), SemVer.of(ends[0])
    assert constraint.allows(lowest)
    before = below(lowest)
    assert before is None or not constraint.allows(before)
    if ends[1] is None:
        assert constraint.allows(SemVer(999, 999, 999))
    else:
        end = SemVer.of(ends[1])
        assert not constraint.allows(end)
        assert constraint.allows(below(end) or end)
    assert str(constraint) == text


@pytest.mark.parametrize("text", MALFORMED)
def test_what_is_no_constraint_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"want|a \* "):
        Constraint.parse(text)


@pytest.mark.parametrize(
    ("text", "allowed", "refused"),
    [
        ("*", [], ["1.0.0-alpha"]),
        ("^1", ["1.5.0"], ["1.0.0-alpha", "1.5.0-rc.1", "2.0.0-alpha"]),
        (
            "^1.2.3-beta.2",
            ["1.2.3-beta.2", "1.2.3-beta.11", "1.2.3", "1.9.0"],
            ["1.2.3-beta.1", "1.2.4-beta.2", "2.0.0"],
        ),
        (">=1.0.0-alpha, <2", ["1.0.0-alpha", "1.0.0-rc.1", "1.5.0"], ["1.5.0-rc.1", "2.0.0-alpha"]),
        ("=1.2.3-rc.1", ["1.2.3-rc.1"], ["1.2.3", "1.2.3-rc.2"]),
        ("<1.2.3-rc.2", ["1.2.3-rc.1", "1.2.2"], ["1.2.3-rc.2", "1.2.3", "1.2.2-rc.1"]),
        ("~1.2.3-rc.1", ["1.2.3-rc.1", "1.2.9"], ["1.2.9-rc.1", "1.3.0"]),
    ],
)
def test_a_pre_release_is_allowed_only_where_its_release_is_named_with_one(
    text: str, allowed: list[str], refused: list[str]
) -> None:
    constraint = Constraint.parse(text)
    assert [version for version in allowed if not constraint.allows(Version.parse(version))] == []
    assert [version for version in refused if constraint.allows(Version.parse(version))] == []


def test_build_metadata_counts_only_after_an_equals_sign() -> None:
    assert Constraint.parse("=1.2.3+b1").allows(Version.parse("1.2.3+b1"))
    assert not Constraint.parse("=1.2.3+b1").allows(Version.parse("1.2.3+b2"))
    assert Constraint.parse("=1.2.3").allows(Version.parse("1.2.3+b2"))
    assert Constraint.parse("^1.2.3+b1").allows(Version.parse("1.2.3+b2"))
    assert Constraint.parse(">=1.2.3+b9").allows(Version.parse("1.2.3+b1"))


@given(releases, releases)
def test_the_comparisons_agree_with_the_order(limit: SemVer, version: SemVer) -> None:
    allowed = {
        operator: Constraint.parse(f"{operator}{limit}").allows(version) for operator in ("<", "<=", "=", ">=", ">")
    }
    assert allowed == {
        "<": version < limit,
        "<=": version <= limit,
        "=": version == limit,
        ">=": version >= limit,
        ">": version > limit,
    }


@given(releases, releases)
def test_a_caret_and_a_tilde_never_reach_the_next_major_version(limit: SemVer, version: SemVer) -> None:
    for operator in "^~":
        if Constraint.parse(f"{operator}{limit}").allows(version):
            assert version >= limit
            assert version.major == limit.major
            assert operator == "^" or version.minor == limit.minor


@given(st.text(max_size=30))
def test_no_text_breaks_the_parser(text: str) -> None:
    try:
        Constraint.parse(text)
    except ValueError:
        return
