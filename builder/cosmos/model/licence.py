"""Licences as SPDX expressions (SPDX 2.3, annex D), such as `GPL-2.0-only OR (MIT AND Zlib)`.

`AND` binds stronger than `OR`. `LicenseRef-…` stands for a licence that SPDX has no id for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

_SPDX: Final = re.compile(r"\(*[A-Za-z0-9.+-]+\)*(?: (?:AND|OR|WITH) \(*[A-Za-z0-9.+-]+\)*)*")


def is_expression(text: str) -> bool:
    """Return whether `text` has the form of an SPDX expression. It does not look its ids up in SPDX's list.

    >>> is_expression("MIT OR Apache-2.0"), is_expression("the usual one")
    (True, False)
    """
    return _SPDX.fullmatch(text) is not None


def joined_licences(expressions: Iterable[str]) -> str:
    """Return all of `expressions` joined into one; each licence appears once.

    >>> joined_licences(["MIT", "Zlib AND MIT", "ISC OR MIT"])
    '(ISC OR MIT) AND MIT AND Zlib'
    """
    terms = {term for one in expressions if one for term in _terms(one)}
    if len(terms) == 1:
        only = terms.pop()
        return only[1:-1] if only.startswith("(") else only
    return " AND ".join(sorted(terms))


def _terms(expression: str) -> list[str]:
    """Return the terms that `AND` joins outside of brackets; a whole `OR` expression is one term, put in brackets."""
    terms, depth = [""], 0
    for word in re.findall(r"[()]|[^\s()]+", expression):
        depth += (word == "(") - (word == ")")
        if depth == 0 and word == "OR":
            return [f"({expression})"]
        if depth == 0 and word == "AND":
            terms.append("")
        else:
            glued = word == ")" or terms[-1].endswith("(") or not terms[-1]
            terms[-1] += word if glued else f" {word}"
    return terms
