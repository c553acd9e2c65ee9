"""The answer of `apt-cache dumpavail`: each package is found by its name, wherever its fields stand."""

from __future__ import annotations

from cosmos.debian.available import Available

TEXT = b"""Package: bash
Essential: yes
Description: a shell
 Package: not-a-package
 Essential: yes

Architecture: amd64
Package: caf\xc3\xa9-2
Version: 1

Package: dash
Description: says
 that it is Essential: yes
Essential: yes
Version: 2
"""


def test_a_record_is_its_whole_paragraph() -> None:
    found = Available(TEXT)
    assert found.paragraph("café-2") == "Architecture: amd64\nPackage: café-2\nVersion: 1\n"
    assert found.paragraph("dash") == TEXT[TEXT.index(b"Package: dash") :].decode()


def test_a_name_within_another_field_is_no_package() -> None:
    found = Available(TEXT)
    assert [found.paragraph(name) for name in ("not-a-package", "", "das", "-2")] == [None] * 4


def test_the_essential_packages_are_those_with_the_field() -> None:
    assert Available(TEXT).essential() == {"bash", "dash"}


def test_an_empty_answer_has_no_package() -> None:
    assert (Available(b"").essential(), Available(b"").paragraph("a")) == (set(), None)


def test_of_two_records_of_one_name_the_first_counts() -> None:
    assert Available(b"Package: a\nVersion: 1\n\nPackage: a\nVersion: 2\n").paragraph("a") == "Package: a\nVersion: 1\n"
