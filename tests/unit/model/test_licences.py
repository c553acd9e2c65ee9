"""Licences are joined as SPDX reads them."""

from __future__ import annotations

from cosmos.model.licence import joined_licences


def test_joining_keeps_brackets_where_they_matter() -> None:
    assert joined_licences(["(A OR B) AND C", "C", ""]) == "(A OR B) AND C"
    assert joined_licences(["A OR B"]) == "A OR B"
    assert joined_licences([]) == ""
