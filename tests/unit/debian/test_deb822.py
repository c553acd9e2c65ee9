"""Debian's control files and relations are read as its policy says."""

from __future__ import annotations

import pytest

from cosmos.debian import deb822
from cosmos.debian.deb822 import Relation, paragraph, paragraphs, relations
from cosmos.errors import Malformed


def test_fields_are_found_by_name_whatever_their_case_and_continuations_are_joined() -> None:
    text = "Package: hello\nDESCRIPTION: a greeting\n of two lines\n .\n and a third\n# a comment\nSection: misc\n"
    assert paragraph(text, "x") == {
        "package": "hello",
        "description": "a greeting\nof two lines\n\nand a third",
        "section": "misc",
    }


def test_paragraphs_are_parted_by_blank_lines() -> None:
    assert [row["a"] for row in paragraphs("\n\na: 1\n\n \na: 2\n\n\n", "x")] == ["1", "2"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" begins with a continuation", "line 1: continues a field"),
        ("Package hello", "line 1: want Field: value"),
        ("a: 1\nA: 2", "line 2: the field A is there twice"),
        ("", "want one paragraph, got 0"),
        ("a: 1\n\nb: 2", "want one paragraph, got 2"),
    ],
)
def test_what_is_no_control_file_is_malformed(text: str, said: str) -> None:
    with pytest.raises(Malformed, match=said):
        paragraph(text, "control")


def test_relations_have_alternatives_versions_and_qualifiers() -> None:
    text = "libc6 (>= 2.36), python3:any (<< 3.12~), a | b (= 1:2-3) , c(>=1) <!nocheck>, d [amd64 i386],"
    groups = relations(text, "x", architecture="amd64")
    assert [[str(one) for one in group] for group in groups] == [
        ["libc6 (>= 2.36)"],
        ["python3:any (<< 3.12~)"],
        ["a", "b (= 1:2-3)"],
        ["c (>= 1)"],
        ["d"],
    ]


def test_relations_for_another_architecture_are_left_out() -> None:
    assert relations("a [arm64], b [!amd64], c [!arm64], d [linux-any] | e [arm64]", "x", architecture="amd64") == (
        (Relation(name="c"),),
        (Relation(name="d"),),
    )


def test_the_old_operators_mean_or_equal() -> None:
    assert relations("a (> 1), b (< 2)", "x") == (
        (Relation(name="a", operator=">=", version="1"),),
        (Relation(name="b", operator="<=", version="2"),),
    )


@pytest.mark.parametrize("text", ["a (>= )", "(>= 1)", "a b", "a (~ 1)", "a | ", "$x", "a (>= 1; rm)"])
def test_a_relation_that_means_nothing_is_malformed(text: str) -> None:
    with pytest.raises(Malformed, match="want a relation"):
        relations(text, "x")


@pytest.mark.parametrize(
    ("qualifier", "is_there"), [("", True), ("any", True), ("native", True), ("amd64", True), ("i386", False)]
)
def test_a_qualifier_means_a_package_that_a_system_of_one_architecture_has_or_has_not(
    qualifier: str, is_there: bool
) -> None:
    text = f"a:{qualifier}" if qualifier else "a"
    ((one,),) = relations(text, "x", architecture="amd64")
    assert (str(one), one.is_on("amd64")) == (text, is_there)


@pytest.mark.parametrize(
    ("relation", "version", "will_do"),
    [
        ("a", None, True),
        ("a", "0", True),
        ("a (>= 1)", None, False),
        ("a (= 1.0)", "1.0-0", True),
        ("a (= 1.0)", "1.0-1", False),
        ("a (<< 1.0)", "1.0~rc1", True),
        ("a (>> 1:0)", "9", False),
    ],
)
def test_a_relation_allows_what_dpkg_allows(relation: str, version: str | None, will_do: bool) -> None:
    ((one,),) = relations(relation, "x")
    assert one.allows(version) is will_do


@pytest.mark.parametrize("sign", [",", "|", ", a | b"])
def test_a_field_with_very_many_relations_is_refused(sign: str) -> None:
    with pytest.raises(Malformed, match=r"^x: has more than 20000 relations in one field$"):
        relations(f"a{sign}" * 20_000, "x")
    assert len(relations(", ".join(f"a{number}" for number in range(19_999)), "x")) == 19_999


def test_lines_are_parted_by_newlines_alone() -> None:
    assert paragraph("a: 1\x0b2\r\nb: \x85\n c\u2028", "x") == {"a": "1\x0b2", "b": "\nc"}
    assert [row["a"] for row in paragraphs("a: 1\n\n\na: 2", "x")] == ["1", "2"]


def test_a_paragraph_has_so_many_fields_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deb822, "_MAX_FIELDS", 3)
    assert len(paragraph("a: 1\nb: 2\nc: 3", "x")) == 3
    with pytest.raises(Malformed, match=r"^x: line 4: more than 3 fields in one paragraph$"):
        paragraph("a: 1\nb: 2\nc: 3\nd: 4", "x")
