"""What a package says of others is what its star says: each relation, each range, in Debian's meaning (Policy 7)."""

from __future__ import annotations

from dataclasses import replace

import pytest
import tomli_w

from cosmos.debian.apt import AptRecord
from cosmos.debian.deb822 import Relation
from cosmos.debian.relations import answers
from cosmos.debian.star import manifest_of
from cosmos.errors import Malformed
from cosmos.model.demand import Demand, need_text
from cosmos.model.facts import Facts
from cosmos.model.names import StarName
from cosmos.model.star import Star
from cosmos.model.version import DebianVersion, Version
from fakes.debs import FakeArchive


def star_of(name: str = "x", version: str = "1.0-1", architecture: str = "amd64", **fields: str) -> Star:
    return manifest_of(FakeArchive().add(name, version=version, **fields), architecture, "")


def needs_of(**fields: str) -> list[str]:
    return list(map(need_text, star_of(**fields).needs))


def texts(ranges: object) -> dict[str, list[str]]:
    return {str(name): [str(one or "") for one in limits] for name, limits in ranges.items()}  # type: ignore[attr-defined]  # a mapping


def test_a_star_bears_the_version_that_its_package_has() -> None:
    star = star_of(version="1:590-2.1~deb12u2+b1")
    assert (str(star.version), star.version.scheme, star.id) == (
        "1:590-2.1~deb12u2+b1",
        "debian",
        "x-1:590-2.1~deb12u2+b1",
    )


@pytest.mark.parametrize(
    ("relation", "text", "in_range", "outside"),
    [
        ("a", "*", "0~1", None),
        ("a (>= 1.2-4)", ">=1.2-4", "1.2-4", "1.2-3"),
        ("a (>> 1.2-4)", ">>1.2-4", "1.2-4+b1", "1.2-4"),
        ("a (<< 1.2-4)", "<<1.2-4", "1.2-4~deb12u1", "1.2-4"),
        ("a (<= 1.2)", "<=1.2", "1.2-0", "1.2-1"),
        ("a (= 1:1.2-4)", "=1:1.2-4", "1:1.2-4", "1.2-4"),
        ("a (>= 1:0.1)", ">=1:0.1", "1:0.1", "9.9"),
        ("a (<< 1:2.39.5-.)", "<<1:2.39.5-.", "1:2.39.5-0+deb12u3", "1:2.39.6-1"),
        ("a (>= 10)", ">=10", "10.0.0~dfsg-11", "9.56"),
        ("a:any (>= 2)", ">=2", "2", "2~rc1"),
        ("a:amd64 (>= 2)", ">=2", "2", "1"),
    ],
)
def test_a_relation_becomes_a_constraint_that_means_the_same(
    relation: str, text: str, in_range: str, outside: str | None
) -> None:
    limit = star_of(depends=relation).dependencies[StarName("a")]
    assert limit.text == text
    assert limit.allows(DebianVersion.of(in_range))
    assert outside is None or not limit.allows(DebianVersion.of(outside))


def test_depends_and_pre_depends_count_alike_and_recommendations_do_not() -> None:
    assert needs_of(depends="b", pre_depends="a (>= 1)", recommends="c", suggests="d") == ["a >=1", "b"]


def test_several_ranges_of_one_name_must_all_hold() -> None:
    assert needs_of(depends="a (>= 1.2-3), b, a (<< 2), a, a (<< 2)") == ["a >=1.2-3, <<2", "b"]


def test_alternatives_stay_alternatives_in_the_order_in_which_they_are_written() -> None:
    assert needs_of(depends="z | a (>= 2-1) | virtual, one | one, b") == ["b", "one", "z | a >=2-1 | virtual"]


def test_a_group_that_the_package_satisfies_by_itself_is_left_out() -> None:
    assert needs_of(depends="x | other, x (= 1.0-1) | other, y") == ["y"]
    assert needs_of(provides="virtual, versioned (= 3)", depends="virtual, other | versioned (>= 2), y") == ["y"]
    assert needs_of(provides="virtual", depends="virtual (>= 1) | other") == ["virtual >=1 | other"]
    assert needs_of(depends="x (>> 2) | other") == ["x >>2 | other"]


def test_alternatives_of_another_architecture_are_left_out_and_one_alone_cannot_be_a_star() -> None:
    assert needs_of(depends="gcc-cross | gcc:i386, a [arm64], b [!arm64]") == ["b", "gcc-cross"]
    with pytest.raises(Malformed, match=r"depends on gcc:i386, a package of another architecture than amd64"):
        star_of(depends="gcc:i386")


def test_what_a_package_provides_keeps_its_version_or_has_none() -> None:
    star = star_of(version="7-1", provides="mail, virt (= 1:2.0-3), virt (= 3), virt, both")
    assert texts(star.provides) == {"both": [""], "mail": [""], "virt": ["1:2.0-3", "3", ""]}
    facts = Facts.of(star)
    assert [Demand.parse("virt >=1:2").allows(version) for version in facts.provides[StarName("virt")]] == [
        True,
        False,
        False,
    ]


def test_conflicts_and_breaks_keep_every_range_and_never_bar_the_package_itself() -> None:
    star = star_of(
        conflicts="tool (<< 1.0), tool (>= 3.0), x (<< 1), libc6-x32:i386", breaks="tool (<< 1.0), lib (<= 2-1)"
    )
    assert texts(star.conflicts) == {"lib": ["<=2-1"], "tool": ["<<1.0", ">=3.0"]}


def test_a_conflict_sees_the_epoch() -> None:
    """Issue 9: bash and bash-completion of bookworm could not stand beside each other."""
    (limit,) = star_of("bash", conflicts="bash-completion (<< 20060301-0)").conflicts[StarName("bash-completion")]
    assert [limit.covers(DebianVersion.of(text)) for text in ("20060301-1", "1:2.11-6", "20050121")] == [
        False,
        False,
        True,
    ]


def test_a_conflict_with_a_name_that_the_package_provides_is_kept_and_bars_the_others() -> None:
    star = star_of(provides="mta", conflicts="mta")
    assert (texts(star.provides), texts(star.conflicts)) == ({"mta": [""]}, {"mta": ["*"]})


def test_what_a_package_replaces_is_kept_with_every_range() -> None:
    star = star_of(replaces="old (<< 2.0-1), older, x (<< 1), old (= 3)", breaks="old (<< 2.0-1)")
    assert texts(star.replaces) == {"old": ["<<2.0-1", "=3"], "older": ["*"]}


def test_priority_and_multi_arch_have_no_say() -> None:
    plain = star_of(depends="a")
    odd = star_of(depends="a", priority="required", multi_arch="foreign", essential="yes")
    assert odd.needs == plain.needs
    assert (odd.provides, odd.conflicts, odd.replaces) == ({}, {}, {})


def test_a_manifest_reads_back_as_it_was_written() -> None:
    star = star_of(
        depends="a (>= 1), b | c", provides="v, w (= 2)", conflicts="k (<< 1), k (>> 2)", replaces="r (<< 1:2-.)"
    )
    assert Star.parse(tomli_w.dumps(star.to_toml()).encode(), "x") == star
    assert not star.is_plain


@pytest.mark.parametrize(
    ("wanted", "is_answered"),
    [
        (Relation(name="x"), True),
        (Relation(name="x", operator=">=", version="1.0"), True),
        (Relation(name="x", operator="<<", version="1.0"), False),
        (Relation(name="virtual"), True),
        (Relation(name="virtual", operator=">=", version="1"), False),
        (Relation(name="versioned", operator=">=", version="3"), True),
        (Relation(name="versioned", operator=">>", version="3"), False),
        (Relation(name="x", qualifier="any"), True),
        (Relation(name="x", qualifier="i386"), False),
        (Relation(name="y"), False),
    ],
)
def test_a_package_answers_to_its_name_and_to_what_it_provides(wanted: Relation, is_answered: bool) -> None:
    record = FakeArchive().add("x", provides="virtual, versioned (= 3)")
    assert answers(record, wanted, "amd64") is is_answered


def test_a_star_made_of_the_package_under_another_name_answers_the_need() -> None:
    """Issue 9: an imported package beside this repository's own stars."""
    libc6 = manifest_of(FakeArchive().add("libc6", version="2.36-9+deb12u14"), "amd64", "")
    runtime = replace(libc6, name=StarName("glibc-runtime"), version=Version.parse("1.0.0"))
    (need,) = star_of("htop", depends="libc6 (>= 2.34)").needs[0]
    assert [need.allows(version) for version in Facts.of(runtime).provides[StarName("libc6")]] == [True]
    (newer,) = star_of("newer", depends="libc6 (>= 2.37)").needs[0]
    assert [newer.allows(version) for version in Facts.of(runtime).provides[StarName("libc6")]] == [False]


@pytest.mark.parametrize(
    ("maintainer", "authors"),
    [
        ("Joe <joe@x>", {"Joe": "joe@x"}),
        ('  "Joe, of X"   <joe@x> ', {"Joe, of X": "joe@x"}),
        ('"Joe " <joe@x>', {"Joe ": "joe@x"}),
        ("<joe@x>", {}),
        ("Joe", {}),
        ("Joe" + " " * 300_000, {}),
        ("J e" * 200_000, {}),
    ],
)
def test_a_maintainer_is_read_in_time_in_proportion_to_the_field(maintainer: str, authors: dict[str, str]) -> None:
    fields = {"package": "a", "version": "1", "architecture": "all", "size": "1", "sha256": "0" * 64}
    record = AptRecord.of({**fields, "maintainer": maintainer})
    assert manifest_of(record, "amd64", "MIT").authors == authors
